"""The paper's numbers beside ours, and the small experiments that ask why they differ."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import pytest
import torch

from regrob.analysis import paper_numbers, tables
from regrob.analysis.intervals import Interval
from regrob.analysis.paper_numbers import STATED, Stated, readings, verdict
from regrob.attacks import fgsm
from regrob.data import datasets
from regrob.ensembles.ensemble import Ensemble
from regrob.errors import DataError, InputError
from regrob.experiments import reproduction
from regrob.experiments.grid import FIGURES
from regrob.networks import mlp
from regrob.theory.penalties import PENALTY_NAMES

THEIRS = Stated("mnist-1-7", "lenet-5", "none", 50.0, 1.0)


def interval(mean: float, half: float) -> Interval:
    return Interval(mean, mean - half, mean + half, 10)


def test_a_deviation_of_one_run_is_narrower_than_an_error_of_the_mean() -> None:
    narrow, wide = readings(THEIRS)
    assert narrow == pytest.approx(2.262157 / math.sqrt(10))
    assert wide == pytest.approx(2.262157)
    assert readings(dataclasses.replace(THEIRS, spread=None)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("mean", "half", "word"),
    [
        (50.0, 0.1, "compatible"),
        (50.7, 0.1, "compatible"),
        (51.5, 0.1, "open"),
        (53.0, 0.1, "differs"),
        (53.0, 4.0, "compatible"),  # ours says too little to differ
        (47.0, 0.1, "differs"),
        (50.0, math.nan, "open"),  # one seed carries nothing
    ],
)
def test_the_verdict_asks_both_readings(mean: float, half: float, word: str) -> None:
    assert verdict(THEIRS, interval(mean, half)) == word


def test_two_seeds_carry_no_verdict() -> None:
    assert verdict(THEIRS, dataclasses.replace(interval(60.0, 1.0), count=2)) == "open"
    assert verdict(THEIRS, dataclasses.replace(interval(60.0, 1.0), count=3)) == "differs"


def test_each_stated_number_is_one_that_a_sweep_measures() -> None:
    for stated in STATED:
        assert any(
            figure.dataset == stated.dataset and stated.network in figure.networks
            for figure in FIGURES.values()
        )
        assert stated.attack in ("none", "fgsm", "pgd")
        assert 0 < stated.value < 100
        assert stated.spread is not None
    assert len({stated.key for stated in STATED}) == len(STATED) == 8


def small(seeds: int = 2) -> Ensemble:
    built = [mlp((784, 8, 2), generator=torch.Generator().manual_seed(seed)) for seed in range(seeds)]
    return Ensemble(built, torch.zeros(seeds, len(PENALTY_NAMES)))


def test_accuracy_under_attack_is_each_members_own() -> None:
    task = datasets.one_versus_seven("embedded")
    x, y = task.test_images[:40], task.test_labels[:40]
    ensemble = small()
    found = reproduction.under_attack(ensemble, lambda f, a, b: fgsm(f, a, b, epsilon=0.02), x, y)
    for member, accuracy in enumerate(found):
        alone = ensemble.member(member, mlp((784, 8, 2)))
        assert accuracy == pytest.approx(1 - fgsm(alone, x, y, epsilon=0.02).success_rate)
    assert found[0] != found[1]


def test_without_biases_nu_gamma_is_the_margin() -> None:
    task = datasets.one_versus_seven("embedded")
    x, y = task.train_images[:50], task.train_labels[:50]
    built = [mlp((784, 8, 2), bias=False, generator=torch.Generator().manual_seed(0))]
    ensemble = Ensemble(built, torch.zeros(1, len(PENALTY_NAMES)))
    z = built[0](x).detach().double()
    margin = (z[:, 0] - z[:, 1]).abs()
    found = reproduction.confidence(ensemble, x, y)
    assert found["νγ, mean"][0] == pytest.approx(float(margin.mean()), rel=1e-5)
    assert found["νγ, largest"][0] == pytest.approx(float(margin.max()), rel=1e-5)
    assert found["νγ below 1.28"][0] == pytest.approx(float((margin <= 1.2784645).double().mean()))
    loss = torch.nn.functional.cross_entropy(z, y)
    assert found["loss, mean"][0] == pytest.approx(float(loss), rel=1e-5)


def test_the_small_experiments_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGROB_DATA", raising=False)
    monkeypatch.setattr(reproduction, "ATTACKED", 20)
    runs = {
        "training": reproduction.training(seeds=1, milestones=(0, 250)),
        "undecayed": reproduction.undecayed(seeds=1, milestones=(0, 250)),
        "protocol": reproduction.protocol(seeds=1, iterations=3),
        "convolutions": reproduction.convolutions(seeds=1, iterations=2),
        "curvature": reproduction.curvature(seeds=1, reference=20, iterations=3),
        "large": reproduction.large(weights=(1.6, 1e9), reference=3, iterations=6),
        "large-lenet-5": reproduction.large_lenet_5(weights=(1e9,), reference=1, iterations=4),
    }
    assert set(runs) == set(reproduction.TESTS)
    found = {name: list(rows) for name, rows in runs.items()}
    for rows in found.values():
        assert all(len(row) == 7 for row in rows)
        assert len({row[:6] for row in rows}) == len(rows)
    at = {(row[2], row[5]): row[6] for row in found["large"]}
    assert at["jacobian, λ = 1.6", "diverged at"] == -1
    assert at["jacobian, λ = 1e+09", "diverged at"] > 0
    assert ("jacobian, λ = 1e+09", "νγ, mean") not in at  # what diverged has no numbers
    assert next(row[6] for row in found["large-lenet-5"] if row[5] == "diverged at") > 0
    trained = {(row[3], row[5]): row[6] for row in found["training"]}
    assert trained[250, "accuracy"] > trained[0, "accuracy"]
    free = {(row[3], row[5]): row[6] for row in found["undecayed"]}
    assert free[0, "ν, mean"] == trained[0, "ν, mean"]
    assert free[250, "ν, mean"] > trained[250, "ν, mean"]  # nothing pulls the weights to zero
    assert trained[250, "pgd, no clipping"] <= trained[250, "pgd"]


def test_a_test_replaces_its_own_rows(tmp_path: Path) -> None:
    row = ("mnist-1-7", "lenet-5", "as trained", 0, 0, "accuracy", 0.5)
    paper_numbers.store(tmp_path, "one", [row], {"seconds": 1.0})
    paper_numbers.store(tmp_path, "two", [row], {"seconds": 2.0, "made_by": {"torch": "2.6"}})
    paper_numbers.store(tmp_path, "one", [(*row[:6], 0.75)], {"seconds": 3.0})
    table, facts = paper_numbers.read(tmp_path)
    assert table.set_index("test")["value"].to_dict() == {"one": 0.75, "two": 0.5}
    assert facts["one"]["seconds"] == 3.0
    assert facts["two"]["made_by"] == {"torch": "2.6"}


def test_ours_are_found_wherever_they_lie(tmp_path: Path) -> None:
    binary, ten = ("mnist-1-7", "lenet-300-100", "pgd"), ("mnist-10", "lenet-5", "none")
    assert set(paper_numbers.measured(tmp_path)) == {stated.key for stated in STATED}
    assert not any(paper_numbers.measured(tmp_path).values())
    assert set(paper_numbers.beside(paper_numbers.measured(tmp_path))["ours"]) == {"not run"}
    row = dict.fromkeys(tables.COLUMNS, "")
    row |= {"dataset": "mnist-10", "network": "lenet-5", "penalty": "reference", "lambda": 0.0}
    row |= {"figure": "references-10", "attack": "none", "metric": "accuracy"}
    rows = [row | {"seed": seed, "value": 0.98 + 0.01 * seed} for seed in range(3)]
    tuned = [one | {"penalty": "jacobian", "lambda": 0.1, "value": 0.1} for one in rows]
    facts = {"networks": {"lenet-5": {"reference": 50_000}}}
    tables.write(tmp_path, "references-10", rows + tuned, facts)
    tests = [(*binary[:2], "as trained", n, s, "pgd", n / 1e5) for n in (250, 5_000, 50_000) for s in (0, 1)]
    paper_numbers.store(tmp_path, "training", tests, {"seconds": 1.0})
    found = paper_numbers.measured(tmp_path)
    assert [(one.iterations, one.source) for one in found[ten]] == [(50_000, "references-10")]
    assert found[ten][0].value.mean == pytest.approx(99.0)
    assert found[ten][0].value.count == 3
    assert [one.iterations for one in found[binary]] == [50_000, 5_000]  # 250 is no reference
    assert found[binary][0].value.mean == pytest.approx(50.0)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"paper\.csv and paper\.json not found"):
        paper_numbers.read(tmp_path)
    monkeypatch.setattr(sys, "argv", ["paper", "nonsense", "--out", str(tmp_path)])
    with pytest.raises(InputError, match="no test is called 'nonsense'"):
        reproduction.main()
