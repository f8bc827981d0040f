"""Sweeps: killed and resumed they end with the same bytes; damage is found and mended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import killable_sweep
import pandas as pd
import pytest
import torch
from torch import Tensor

from regrob import cli
from regrob.analysis import tables
from regrob.attacks import evaluation
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint, grid, sweep
from regrob.experiments.provenance import provenance
from regrob.training import policy, single


@pytest.fixture
def tiny() -> Iterator[None]:
    """The tiny protocol, for one test."""
    with killable_sweep.shrunk():
        yield


@pytest.fixture
def small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every preset on the embedded digits, for tests that only look at a list of shards."""
    quick = grid.task_of
    monkeypatch.setattr(grid, "task_of", lambda dataset, preset: quick(dataset, "quick"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Fills a folder as a whole tiny sweep leaves it; each figure is swept once for all tests."""
    folder, done = tmp_path_factory.mktemp("swept"), set()

    def fill(out: Path, figure: str = "tiny") -> None:
        if figure not in done:
            killable_sweep.whole(folder / figure, figure)
            done.add(figure)
        shutil.copytree(folder / figure, out, dirs_exist_ok=True)

    return fill


def contents(folder: Path) -> dict[str, bytes]:
    """Every tensor file and table, by its path within the folder."""
    kept = [p for p in folder.rglob("*") if p.suffix in (".safetensors", ".csv")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


@pytest.mark.parametrize("figure", ["tiny", "lone"])
def test_twenty_kills_change_nothing(tmp_path: Path, figure: str) -> None:
    program = Path(killable_sweep.__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(
        [sys.executable, str(program), str(tmp_path), "20", figure],
        check=False, capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    struck = int(ran.stdout.split()[-1])
    assert struck >= 5, "the kills came too late to test anything"
    assert contents(tmp_path / "undisturbed") == contents(tmp_path / "disturbed")
    assert not list(tmp_path.rglob("*.damaged"))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("figure", ["tiny", "lone"])
def test_nothing_finished_is_computed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: Callable[..., None], figure: str
) -> None:
    swept(tmp_path, figure)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(sweep, "train_ensemble", never)
    monkeypatch.setattr(single.Descent, "step", never)
    monkeypatch.setattr(sweep, "evaluate", never)
    killable_sweep.whole(tmp_path, figure)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("figure", ["tiny", "lone"])
@pytest.mark.parametrize("what", ["state", "pointer", "rows"])
def test_damage_is_set_aside_and_only_that_part_is_done_again(
    tmp_path: Path, swept: Callable[..., None], what: str, figure: str
) -> None:
    swept(tmp_path, figure)
    before = contents(tmp_path)
    shards = sorted((tmp_path / "shards").iterdir())
    shard = next(folder for folder in shards if "curvature" in folder.name)
    victim = shard if figure == "tiny" else sweep.member_folder(shard, 1)
    files = [p for p in (tmp_path / "shards").rglob("*") if p.is_file()]
    others = {p: p.stat().st_mtime_ns for p in files if not p.is_relative_to(victim)}
    others.pop(shard / "rows.json", None)
    (shard / "rows.json").unlink()
    names = {
        "state": next(victim.glob("state-*")).name,
        "pointer": "checkpoint.json",
        "rows": "rows-pgd.json",
    }
    damaged = victim / names[what]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    killable_sweep.whole(tmp_path, figure)
    assert (victim / f"{damaged.name}.damaged").exists()
    assert contents(tmp_path) == before
    assert {p: p.stat().st_mtime_ns for p in others} == others


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("call", ["run_shard", "ensure_networks"])
def test_nothing_is_trained_before_float32_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    order: list[str] = []
    original = sweep.trained
    monkeypatch.setattr(sweep, "exact_float32", lambda: order.append("exact"))

    def watched(*arguments: object) -> object:
        order.append("trained")
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "trained", watched)
    reference = grid.shards("tiny", "quick")[0]
    getattr(sweep, call)(reference, tmp_path, "quick", "cpu")
    assert order[:2] == ["exact", "trained"]


@pytest.mark.usefixtures("tiny")
def test_what_a_kill_left_behind_is_removed(tmp_path: Path, swept: Callable[..., None]) -> None:
    """A kill between the new pointer and the removal of the old state leaves that state."""
    swept(tmp_path)
    before = contents(tmp_path)
    shard = next(folder for folder in (tmp_path / "shards").iterdir() if "curvature" in folder.name)
    (shard / "state-35.safetensors").write_bytes(b"old")
    (shard / "rows.json").unlink()
    killable_sweep.whole(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("tiny")
def test_the_table_is_tidy_and_says_where_it_comes_from(tmp_path: Path, swept: Callable[..., None]) -> None:
    swept(tmp_path)
    table, sidecar = tables.read(tmp_path, "tiny")
    assert tuple(table.columns) == tables.COLUMNS
    penalties = {"reference", "none", "curvature", "jacobian", "adversarial-training"}
    assert set(table["penalty"]) == penalties
    assert set(table[table["penalty"] == "adversarial-training"]["lambda"]) == {0.3}
    assert set(table["attack"]) == {"none", "fgsm", "pgd", "deepfool", "carlini-wagner"}
    assert not table.duplicated(list(tables.COLUMNS[:-1])).any()
    accuracy = table[(table["metric"] == "accuracy")]["value"]
    assert accuracy.between(0, 1).all()
    assert sidecar["preset"] == "quick"
    assert sidecar["digest"] == "made in a test"
    assert {"torch", "device", "commit", "threads"} <= set(sidecar["made_by"][0])
    assert sidecar["networks"]["tiny"]["fine_tuning"] == 40
    assert len(sidecar["step_seconds"]) == sidecar["shards"] == 5
    assert all(0 < seconds < 1 for seconds in sidecar["step_seconds"].values())
    trained = table[(table["attack"] == "none") & (table["metric"] == "probability")]
    by_penalty = trained.groupby("penalty")["value"].mean()
    assert by_penalty["adversarial-training"] != by_penalty["none"], "the adversary did nothing"


@pytest.mark.usefixtures("tiny")
def test_the_command_line_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "tiny", "--out", str(tmp_path)]) == cli.AS_EXPECTED
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "tiny.csv"
    assert cli.main(["sweep", "fig9", "--out", str(tmp_path)]) == cli.NONSENSE
    assert "there are" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_shards_in_parallel_give_the_same_table(tmp_path: Path, swept: Callable[..., None]) -> None:
    swept(tmp_path / "one")
    sweep.sweep("tiny", tmp_path / "two", workers=sweep.Workers(jobs=2, backend="threading"), progress=False)
    one, two = (pd.read_csv(tmp_path / name / "tiny.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.usefixtures("tiny")
def test_unusable_folders_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    with pytest.raises(DataError, match="cannot make"):
        killable_sweep.whole(occupied)
    monkeypatch.setattr(sweep.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match="MiB free and the sweep needs"):
        killable_sweep.whole(tmp_path / "small")


def test_a_disk_that_fills_up_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "value.json"
    checkpoint.write_json(path, {"kept": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        checkpoint.write_json(path, {"kept": 2})
    assert checkpoint.read_json(path) == {"kept": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("figure", ["tiny", "lone"])
def test_a_disk_that_fills_up_in_the_middle_costs_nothing_that_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: Callable[..., None], figure: str
) -> None:
    swept(tmp_path / "one", figure)
    usual, written = os.fsync, []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 40:
            raise OSError(28, "No space left on device")
        usual(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"cannot write .*No space left on device.*run again to go on"):
            killable_sweep.whole(tmp_path / "two", figure)
    assert not (tmp_path / "two" / f"{figure}.csv").exists()
    killable_sweep.whole(tmp_path / "two", figure)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.usefixtures("tiny")
def test_no_room_for_the_table_is_said_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = checkpoint.write_atomically

    def full(path: Path, content: bytes) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            usual(path, content)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tables, "write_atomically", full)
        with pytest.raises(DataError, match=r"cannot write .*tiny\.csv: No space left on device"):
            killable_sweep.whole(tmp_path)
        assert not list(tmp_path.glob("*tiny*")), "a half-written table is left"
        patch.undo()
        patch.setattr(sweep, "run_shard", fail)
        killable_sweep.whole(tmp_path)
    assert (tmp_path / "tiny.csv").exists()


@pytest.mark.usefixtures("tiny")
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Path.open

    def refused(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if "w" in mode:
            raise PermissionError(13, "Permission denied")
        return usual(path, mode, *rest, **more)  # type: ignore[call-overload]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(sweep, "run_shard", never)
    for figure in ("tiny", "lone"):
        with pytest.raises(DataError, match="Permission denied"):
            killable_sweep.whole(tmp_path / figure, figure)


def test_unknown_names_are_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are fig2, fig4, fig5"):
        sweep.sweep("fig9", tmp_path)
    with pytest.raises(InputError, match="quick, standard, paper"):
        grid.budget("slow", "mnist-10", "lenet-5")
    with pytest.raises(InputError, match="it has lenet-300-100, lenet-5"):
        grid.shards("fig2", "quick", ("vgg",))
    with pytest.raises(InputError, match="references-10"):
        sweep.sweep("references", tmp_path)
    with pytest.raises(InputError, match="jobs must be at least 1"):
        sweep.Workers(jobs=0)
    with pytest.raises(DataError, match=r"fig2\.csv and fig2\.json not found"):
        tables.read(tmp_path, "fig2")


def test_the_papers_grid_is_complete() -> None:
    spent = grid.budget("paper", "mnist-1-7", "lenet-5")
    assert spent.seeds == 10
    assert spent.weights == (1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.4, 0.8, 1.6)
    assert spent.reference == 50_000
    quick = grid.shards("fig4", "quick", ("lenet-300-100",))
    assert len({shard.name for shard in quick}) == len(quick) == 2 + 2 * 4
    assert quick[0].is_reference
    assert all(shard.reference == quick[0] for shard in quick)


def test_a_shards_name_does_not_change_when_budgets_gain_fields() -> None:
    """Results of earlier runs are found by these names."""
    spent = grid.Budget(seeds=10, reference=5_000, fine_tuning=5_000)
    shard = grid.Shard("mnist-1-7", "lenet-300-100", "curvature", 0.1, 0.1, spent, "a digest")
    assert shard.name == "mnist-1-7-lenet-300-100-curvature-0.1-db714d2af4"
    assert shard.reference.name == "mnist-1-7-lenet-300-100-reference-b5f36d6c31"
    others = [
        replace(spent, **{field.name: 7})
        for field in fields(spent)
        if field.name not in ("weights", "policy")
    ]
    names = {replace(shard, budget=other).name for other in others}
    assert len(names | {shard.name}) == len(others) + 1, "a setting is missing from the name"


@pytest.mark.usefixtures("small_data")
def test_references_alone_are_the_references_of_the_figures() -> None:
    alone = grid.shards("references-1-7", "paper", ("lenet-300-100",))
    assert alone == [grid.shards("fig4", "paper", ("lenet-300-100",))[0]]
    assert alone[0].is_reference
    assert alone[0].budget.reference == 50_000
    assert [s.network for s in grid.shards("references-10", "quick")] == ["lenet-300-100", "lenet-5"]


@pytest.mark.usefixtures("small_data")
def test_shards_of_the_paper_have_one_name_whatever_made_them() -> None:
    """A table may hold shards from a processor and from a GPU; these names are on disks already."""
    (shard,) = grid.shards("references-1-7", "paper", ("lenet-300-100",))
    assert shard.budget.distance_images == 200
    assert replace(shard, digest="x").name == "mnist-1-7-lenet-300-100-reference-98e5186a5e"


@pytest.mark.usefixtures("small_data")
def test_what_robustness_costs_is_measured_on_the_references_of_figure_4() -> None:
    cost, fig4 = (grid.shards(figure, "standard") for figure in ("cost", "fig4"))
    assert {s.name for s in cost if s.penalty is None} <= {s.name for s in fig4}
    adversaries = [s for s in cost if s.penalty is not None]
    assert {s.penalty for s in adversaries} == {grid.ADVERSARIAL}
    assert [s.weight for s in adversaries] == [0.025, 0.05, 0.1, 0.2] * 2
    assert [s.weight for s in grid.shards("cost", "quick") if s.weight] == [0.1, 0.1]


# --- networks that train one after the other --------------------------------------------


@pytest.mark.usefixtures("tiny")
def test_a_member_trained_alone_is_what_plain_training_gives(tmp_path: Path) -> None:
    """Reference with one seed's order, then fine-tuning with another, under the stepwise policy."""
    killable_sweep.whole(tmp_path, "lone")
    task = grid.TASKS["tiny"](None)
    network = killable_sweep.lone(2, generator=torch.Generator().manual_seed(1))
    first = policy.StepPolicy(batch=16, milestones=(24, 32))
    second = policy.StepPolicy(batch=16, milestones=(18, 24))
    single.train(network, task, iterations=40, seed=1, regime=single.Regime(policy=first))
    single.train(
        network,
        task,
        iterations=30,
        penalty="curvature",
        weight=0.1,
        seed=10_001,
        regime=single.Regime(policy=second),
    )
    shard = next(s for s in grid.shards("lone", "quick") if s.penalty == "curvature")
    saved = checkpoint.load(sweep.member_folder(tmp_path / "shards" / shard.name, 1))
    assert saved is not None
    for name, value in network.state_dict().items():
        torch.testing.assert_close(saved[0][f"network.{name}"], value, rtol=1e-4, atol=1e-6)
    assert saved[0]["network.2.num_batches_tracked"] == 70
    table, sidecar = tables.read(tmp_path, "lone")
    rows = table[(table["penalty"] == "curvature") & (table["seed"] == 1) & (table["metric"] == "accuracy")]
    benign = single.accuracy(network, task.test_images[:8], task.test_labels[:8])
    assert rows[rows["attack"] == "none"]["value"].item() == pytest.approx(benign)
    assert set(zip(table["attack"], table["metric"], strict=True)) == set(evaluation.ROWS)
    assert set(table["penalty"]) == {"reference", "none", "curvature", "adversarial-training"}
    assert all(0 < seconds < 1 for seconds in sidecar["step_seconds"].values())


@pytest.mark.usefixtures("tiny")
def test_a_lone_member_that_diverges_is_marked_and_its_neighbour_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = single.Descent.step

    def explode(run: single.Descent, images: Tensor, labels: Tensor, rate: float) -> bool:
        if run.penalty is not None and run.network[1].weight[0, 0] == doomed and len(run.losses) == 0:  # type: ignore[index, union-attr]
            run.weight = float("inf")
        return usual(run, images, labels, rate)

    shard = next(s for s in grid.shards("lone", "quick") if s.penalty == "curvature")
    reference, _ = sweep.trained(shard.reference, tmp_path, grid.TASKS["tiny"](None), "cpu", 0)
    assert isinstance(reference, single.Descent)
    doomed = float(reference.network[1].weight.detach()[0, 0])  # type: ignore[index, union-attr]
    monkeypatch.setattr(single.Descent, "step", explode)
    killable_sweep.whole(tmp_path, "lone")
    table, sidecar = tables.read(tmp_path, "lone")
    assert sidecar["diverged"] == {shard.name: [0, -1]}
    curved = table[table["penalty"] == "curvature"]
    assert curved[curved["seed"] == 0]["value"].isna().all()
    assert len(curved[curved["seed"] == 0]) == len(evaluation.ROWS)
    assert curved[(curved["seed"] == 1) & (curved["metric"] == "accuracy")]["value"].notna().all()


def test_the_stepwise_policy_falls_at_60_and_80_percent() -> None:
    paper = grid.budget("paper", "cifar10", "vgg")
    solver = paper.solver(paper.reference)
    rates = [solver.learning_rate(t) for t in (0, 59_999, 60_000, 79_999, 80_000)]
    assert rates == pytest.approx([0.01, 0.01, 1e-3, 1e-3, 1e-4])
    assert paper.weights == (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
    assert isinstance(grid.budget("paper", "mnist-10", "lenet-5").solver(9), policy.CaffePolicy)
    assert not isinstance(grid.budget("paper", "mnist-10", "lenet-5").solver(9), policy.StepPolicy)


def test_photographs_have_an_honest_stand_in() -> None:
    assert {s.dataset for s in grid.shards("fig6", "quick")} == {"colour-digits-1-7"}
    assert {s.dataset for s in grid.shards("fig7", "quick")} == {"colour-digits-10"}
    assert {s.epsilon for s in grid.shards("fig6", "quick")} == {0.05}


def test_a_result_says_what_produced_it():
    facts = provenance()
    assert facts["torch"] == torch.__version__
    assert set(facts) == {"python", "torch", "device", "threads", "commit", "date"}
