"""What a penalty buys in proof: the computation survives kills, and distances err on the safe side."""

from __future__ import annotations

import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import killable_sweep
import numpy as np
import pytest
import torch
from small_task import small_task
from torch import Tensor, nn

import regrob
from regrob import cli
from regrob.affine import local_map
from regrob.analysis import tables
from regrob.analysis.measures import ADVERSARIAL
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint, proved
from regrob.experiments.proved import Stage, Work
from regrob.networks import fresh
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.single import fine_tuning_order, train

WORK = Work("tiny", "tiny", (0.1, 0.4), (0.1,), images=8, seconds=0.5, reference=20, fine_tuning=20)
PENALTIES = ("jacobian", "curvature")
ITEMS = 1 + 2 * len(PENALTIES)
DIGITS, BLOCK = 8, 6
ALL = 2 * (ITEMS + 1)


class Killed(BaseException):
    """What nothing in the package catches, as a kill."""


class Said(NamedTuple):
    """What the certifier of these tests says."""

    certified: Tensor
    found: Tensor
    nodes: Tensor
    unstable: Tensor
    seconds: Tensor
    reasons: tuple[str, ...]


def certify(
    network: nn.Module, images: Tensor, labels: Tensor, *, seconds: float, clock: Callable[[], float]
) -> Said:
    """Numbers that depend on the network and on each image alone, in the form of a certificate."""
    assert clock is time.thread_time  # a budget that the load of the machine does not eat
    with torch.no_grad():
        z = network(images).double()
    gap = z.gather(1, labels[:, None])[:, 0] - z.scatter(1, labels[:, None], -math.inf).amax(dim=1)
    right = gap > 0
    found = torch.where(right, gap / 3, 0.0)
    count = torch.arange(len(gap))
    reasons = tuple("closed" if each else "misclassified" for each in right.tolist())
    return Said(0.9 * found, found, count, count, torch.full_like(gap, seconds), reasons)


KNOWN = proved._known


def known(network: nn.Module, images: Tensor, labels: Tensor) -> list[list[float]]:
    """What takes the place of attacks and linear bounds, which take longer than all the rest."""
    said = certify(network, images, labels, seconds=0.0, clock=time.thread_time)
    return [[1.1 * found, 0.5 * found, 2.0 * found, 3.0 * found, 1.0, 7.0] for found in said.found.tolist()]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Stage]]:
    """A tiny network: one seed, two blocks of digits, 6 and 2; ITEMS items in the first stage."""
    monkeypatch.setattr(proved, "CHUNK", 3)
    monkeypatch.setattr(proved, "_known", known)
    monkeypatch.setattr(proved, "WORKS", {"tiny": WORK})
    monkeypatch.setattr(proved, "PENALTY_NAMES", PENALTIES)
    monkeypatch.setattr(proved, "BLOCK", BLOCK)
    monkeypatch.setattr(proved, "SEEDS", 1)
    with killable_sweep.shrunk():
        yield proved.plan()


def kill_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Let so many files be put in their place, then kill instead."""
    usual, done = Path.replace, []

    def counted(*arguments: Any) -> Any:
        done.append(None)
        if len(done) > calls:
            raise Killed
        return usual(*arguments)

    monkeypatch.setattr(Path, "replace", counted)


def rows(stored: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in stored.glob("*.csv")}


def run(out: Path, stored: Path, stages: list[Stage]) -> dict[str, bytes]:
    proved.go_on(out, stored, stages, certify)
    return rows(stored)


# --- what is computed -----------------------------------------------------------------------


def test_the_queue_has_every_digit_once_and_a_first_answer_of_each_network_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proved, "task_of", lambda dataset: small_task())
    planned = proved.plan()
    names = [item.name for stage in planned for item in stage.items]
    assert len(names) == len(set(names))
    digits_of = {
        (item.group.work.network, item.group.seed, item.group.penalty, item.weight): 0
        for stage in planned
        for item in stage.items
    }
    for stage in planned:
        for item in stage.items:
            group = item.group
            key = (group.work.network, group.seed, group.penalty, item.weight)
            assert item.start == digits_of[key]  # block after block
            digits_of[key] += item.count
    assert {digits for (network, *_), digits in digits_of.items() if network == "mlp-24-24"} == {50}
    first_answers = planned[: len(proved.WORKS)]
    assert [stage.name for stage in first_answers] == [f"{network}-0" for network in proved.WORKS]
    first = planned[0].items
    assert len(first) == 1 + 8 * len(PENALTY_NAMES)
    assert {item.group.penalty for item in first} == {"none", *PENALTY_NAMES}
    assert {item.group.penalty for item in planned[len(proved.WORKS)].items} == {ADVERSARIAL}
    small = [stage.step for stage in planned if stage.step.network == "mlp-24-24"]
    places = [(step.block, step.hardened, step.seed) for step in small]
    assert places[:2] == [(0, False, 0), (0, True, 0)]
    # All seeds before more digits of one, and before adversarial training of them.
    assert places[2:] == sorted(places[2:])
    assert {stage.step.network for stage in proved.plan(["mlp-50-50"])} == {"mlp-50-50"}
    with pytest.raises(InputError, match=r"no network 'lenet' is in the queue; there are mlp-24-24"):
        proved.plan(["lenet"])


def test_a_further_strength_leaves_the_other_results_valid_and_other_settings_do_not(
    stages: list[Stage],
) -> None:
    item = stages[0].items[1]

    def named(**changes: Any) -> str:
        work = replace(WORK, **changes)
        return replace(item, group=replace(item.group, work=work, weights=work.weights)).name

    assert named(weights=(0.1, 0.4, 1.6)) == item.name
    assert named(images=9) == item.name
    for change in ({"seconds": 1.0}, {"fine_tuning": 21}, {"reference": 21}):
        assert named(**change) != item.name


def test_networks_trained_together_are_those_trained_alone(tmp_path: Path, stages: list[Stage]) -> None:
    task = small_task()
    groups = {item.group.penalty: item.group for item in stages[0].items}
    for penalty in ("none", "curvature"):
        group = groups[penalty]
        members, diverged = proved.trained(group, tmp_path, task)
        assert diverged == [-1] * len(group.weights)
        for weight, member in zip(group.weights, members, strict=True):
            (alone,) = fresh("tiny", 2, [0])
            train(alone, task, iterations=20, seed=0)
            train(
                alone,
                task,
                iterations=20,
                penalty=None if penalty == "none" else penalty,
                weight=weight,
                seed=fine_tuning_order(0),
            )
            for ours, usual in zip(member.parameters(), alone.parameters(), strict=True):
                torch.testing.assert_close(ours, usual, rtol=1e-4, atol=1e-6)
    one, other = (next(member.parameters()) for member in members)
    assert not torch.allclose(one, other, rtol=1e-4, atol=1e-6)  # the tooth: λ matters that much


# --- distances ------------------------------------------------------------------------------


def test_a_stored_distance_errs_on_the_safe_side() -> None:
    generator = torch.Generator().manual_seed(0)
    values = 10 ** (6 * torch.rand(2000, generator=generator, dtype=torch.float64) - 4)
    nearest = 0
    for value in values.tolist():
        down, up = proved.rounded(value, up=False), proved.rounded(value, up=True)
        assert down <= value <= up
        assert up - down <= 1.001e-4 * value
        assert float(f"{down:.{proved.DIGITS}g}") == down  # so the csv says it exactly
        nearest += float(f"{value:.{proved.DIGITS}g}") > value
    assert nearest > 500  # the tooth: rounding to nearest would claim too much about half of the time
    assert proved.rounded(math.inf, up=True) == math.inf
    assert proved.rounded(0.0, up=False) == 0.0


def test_rows_say_what_was_known_and_proved(
    tmp_path: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proved, "_known", KNOWN)
    item = stages[2].items[3]
    proved.prove_item(item, tmp_path, certify)
    facts = proved.facts_of(item, tmp_path)
    assert facts is not None
    table = proved.frame(item, facts)
    assert tuple(table.columns) == proved.COLUMNS
    assert table["image"].tolist() == [6, 7]
    task = small_task()
    members, _ = proved.trained(item.group, tmp_path, task)
    network = members[item.group.weights.index(item.weight)]
    images, labels = (part[6:] for part in task.held_out(8))
    usual = certify(network, images, labels, seconds=0.5, clock=time.thread_time)
    assert table["label"].tolist() == labels.tolist()
    found = torch.tensor(table["found"].tolist(), dtype=torch.float64)
    torch.testing.assert_close(found, usual.found, rtol=1e-4, atol=0)
    wrong = table["reason"] == "misclassified"
    assert (table.loc[wrong, ["certified", "found", "attacked", "margin"]] == 0).all(axis=None)
    right = table[~wrong]
    assert len(right)
    assert (right["linear"] <= right["attacked"]).all()
    assert (right["linear"] > 0).all()
    assert right["unstable"].between(0, 8).all()
    V, _ = local_map(copy.deepcopy(network).double(), images.double())
    slope = (V[..., 0] - V[..., 1]).norm(dim=1)[torch.tensor(right.index.to_list())]
    assert np.allclose(right["slope"], slope, rtol=1e-4)
    assert 0 <= facts["accuracy"] <= 1
    with torch.no_grad():
        share = float((network(task.test_images).argmax(dim=1) == task.test_labels).double().mean())
    assert facts["accuracy"] == pytest.approx(share)


@pytest.mark.filterwarnings("ignore::regrob.errors.VanishingGradientWarning")
def test_a_network_that_is_constant_around_a_digit_is_infinitely_far_by_its_local_map() -> None:
    """A large λ may let every unit of a layer die; what its digits have is stored all the same."""
    with killable_sweep.shrunk():
        (network,) = fresh("tiny", 2, [0])
    images, labels = small_task().held_out(6)
    with torch.no_grad():
        for linear in (part for part in network if isinstance(part, nn.Linear)):
            linear.weight.zero_()
            linear.bias.fill_(-1.0)
        linear.bias[:] = torch.tensor([0.5, -0.5])
    table = torch.tensor(KNOWN(network, images, labels), dtype=torch.float64)
    right = labels == 0
    assert 0 < right.sum() < len(labels)
    wrong = torch.tensor(proved.MISCLASSIFIED).double().expand(int((~right).sum()), -1)
    torch.testing.assert_close(table[~right], wrong, rtol=0, atol=0, equal_nan=True)
    _, _, margin, radius, slope, unstable = table[right].T
    assert margin.isinf().all()
    assert radius.isinf().all()
    assert (slope == 0).all()
    assert (unstable == 0).all()


def test_the_real_certifier_lies_between_linear_bounds_and_attacks(
    tmp_path: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proved, "_known", KNOWN)
    item = stages[0].items[-1]
    proved.prove_item(item, tmp_path, regrob.certify)
    table = proved.frame(item, proved.facts_of(item, tmp_path) or {})
    right = table[table["reason"] != "misclassified"]
    assert len(right) >= 3
    assert (right["reason"] == "closed").all()
    assert (right["linear"] <= right["found"]).all()
    assert (right["certified"] <= right["found"]).all()
    assert (right["found"] <= 1.001 * right["attacked"]).all()
    assert (right["certified"] > 0.9 * right["linear"]).all()


def test_a_diverged_network_has_no_distances(tmp_path: Path, stages: list[Stage]) -> None:
    item = stages[0].items[1]
    folder = tmp_path / "networks" / item.group.name
    proved.trained(item.group, tmp_path, small_task())
    tensors, facts = checkpoint.load(folder) or ({}, {})
    checkpoint.save(folder, tensors, {**facts, "diverged_at": [3, -1]})
    for each in stages[0].items:
        if each.group == item.group:
            proved.prove_item(each, tmp_path, certify)
    added = proved.store(tmp_path, tmp_path / "stored", stages)
    assert len(added) == 2
    table, sidecar = proved.read_stage(tmp_path / "stored", "tiny-0") or (None, None)
    assert set(table["lambda"]) == {0.4}
    assert sidecar["items"][item.name]["diverged_at"] == 3
    assert sidecar["items"][item.name]["accuracy"] is None
    assert proved.store(tmp_path, tmp_path / "stored", stages) == []


# --- kills, machines, stores ----------------------------------------------------------------


def test_killed_at_many_instants_it_ends_with_the_same_rows(
    tmp_path: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run(tmp_path / "whole", tmp_path / "usual", stages[:1])
    assert usual["tiny-0.csv"].count(b"\n") == 1 + BLOCK * ITEMS
    stored = tmp_path / "stored"
    kills = 0
    for calls in (0, 1, 2, 3, 5, 8, 7, 11, 4, 6):
        with monkeypatch.context() as patch:
            kill_after(patch, calls)
            try:
                run(tmp_path / "out", stored, stages[:1])
            except Killed:
                kills += 1
        proved.status(tmp_path / "out", stored, stages)  # readable at every instant
    assert kills > 6
    assert run(tmp_path / "out", stored, stages[:1]) == usual


def test_another_machine_goes_on_from_the_store_alone(
    tmp_path: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run(tmp_path / "whole", tmp_path / "usual", stages)
    stored, proofs = tmp_path / "stored", []
    whole = proved.prove_item

    def counted(item: Any, out: Path, certify: Any) -> str:
        if len(proofs) % 5 == 4:
            proofs.append("killed")
            raise Killed
        proofs.append(item.name)
        return whole(item, out, certify)

    monkeypatch.setattr(proved, "prove_item", counted)
    for machine in range(12):
        try:
            proved.go_on(tmp_path / f"{machine}", stored, stages, certify)
            break
        except Killed:
            shutil.rmtree(tmp_path / f"{machine}")
    assert rows(stored) == usual
    finished = [name for name in proofs if name != "killed"]
    assert len(finished) == len(set(finished)) == ALL  # nothing was computed twice


def test_side_by_side_gives_the_same(tmp_path: Path, stages: list[Stage]) -> None:
    usual = run(tmp_path / "whole", tmp_path / "usual", stages[:1])
    workers = proved.Workers(jobs=3, backend="threading")
    proved.go_on(tmp_path / "out", tmp_path / "stored", stages[:1], certify, workers=workers)
    assert rows(tmp_path / "stored") == usual


def test_the_store_keeps_what_it_has_and_refuses_what_is_damaged(tmp_path: Path, stages: list[Stage]) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    run(out, stored, stages[:1])
    before = {path.name: path.read_bytes() for path in stored.iterdir()}
    item = stages[0].items[2]
    path = out / "items" / item.name / checkpoint.ROWS
    facts = checkpoint.unseal(path)
    checkpoint.write_json(path, {**facts, "rows": facts["rows"][:3]})
    assert proved.store(out, stored, stages[:1]) == []
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == before
    csv = stored / "tiny-0.csv"
    text = csv.read_text()
    assert text.count("closed") > 3
    csv.write_text(text.replace("closed", "time", 1))
    with pytest.raises(DataError, match=r"tiny-0\.csv holds other rows of .* put back the committed file"):
        proved.store(out, stored, stages[:1])


def test_what_made_the_rows_is_stored_without_places(tmp_path: Path, stages: list[Stage]) -> None:
    run(tmp_path / "out", tmp_path / "stored", stages[:1])
    facts = tables.read_json(tmp_path / "stored" / "tiny-0.json")
    assert facts["settings"]["seconds"] == WORK.seconds
    assert facts["settings"]["seed"] == 0
    assert {"commit", "torch", "device", "date"} <= set(facts["made_by"][0])
    assert len(facts["items"]) == ITEMS
    text = "".join(path.read_text() for path in (tmp_path / "stored").iterdir())
    assert str(tmp_path) not in text
    assert os.sep + "home" not in text


# --- how far it is --------------------------------------------------------------------------


def test_status_counts_and_reads_only(
    tmp_path: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    nothing = proved.status(out, stored, stages)
    assert f"0 / {ALL}" in nothing
    assert "?" in nothing
    assert not out.exists()
    proved.prove_item(stages[0].items[0], out, certify)
    with monkeypatch.context() as patch:
        patch.setattr(proved, "_proved", _stopping(proved._proved, 1))
        with pytest.raises(Killed):
            proved.prove_item(stages[0].items[1], out, certify)
    said = proved.status(out, stored, stages)
    assert f"1 / {ALL}" in said
    assert f"{stages[0].items[1].name}: 3 of 6 digits" in said
    assert not stored.exists()


def _stopping(usual: Any, calls: int) -> Any:
    done: list[None] = []

    def counted(*arguments: Any) -> Any:
        done.append(None)
        if len(done) > calls:
            raise Killed
        return usual(*arguments)

    return counted


def test_the_command_stores_says_and_goes_on(
    tmp_path: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(regrob, "certify", certify, raising=False)
    words = ["proved", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "stored")]
    assert cli.main([*words, "--status"]) == cli.AS_EXPECTED
    assert f"0 / {ALL}" in capsys.readouterr().out
    assert not (tmp_path / "stored").exists()
    assert cli.main([*words, "--run", "--only", "tiny"]) == cli.AS_EXPECTED
    assert f"{ALL} / {ALL}" in capsys.readouterr().out
    assert len(rows(tmp_path / "stored")) == 1
    shutil.rmtree(tmp_path / "stored")
    assert cli.main(words) == cli.AS_EXPECTED  # stores what is finished
    assert f"{ALL} networks newly stored" in capsys.readouterr().out
    assert cli.main([*words, "--only", "vgg"]) == cli.NONSENSE
    assert "there are tiny" in capsys.readouterr().err
