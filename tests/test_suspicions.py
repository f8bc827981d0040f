"""The stored tests of why our numbers differ from the paper's are read at the right place and unit."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from regrob.analysis import paper_numbers, suspicions
from regrob.analysis.paper_numbers import CONV, LENET
from regrob.analysis.suspicions import SHORT, SUSPICIONS, TRAINED
from regrob.errors import DataError
from regrob.experiments import reproduction

STORED = Path(__file__).parents[1] / "book" / "results"


def rows(*numbers: tuple[suspicions.TestVariant, str, list[float]]) -> pd.DataFrame:
    """A table of tests from (place, measure, one value a seed)."""
    return pd.DataFrame(
        [
            (test, "mnist-1-7", network, variant, iteration, seed, measure, value)
            for (test, network, variant, iteration), measure, values in numbers
            for seed, value in enumerate(values)
        ],
        columns=list(paper_numbers.COLUMNS),
    )


def test_a_number_is_read_at_its_place_alone() -> None:
    tests = rows((TRAINED, "pgd", [0.3, 0.5]), (SHORT, "pgd", [0.9, 0.9]), (TRAINED, "fgsm", [0.1, 0.1]))
    assert suspicions.interval(tests, TRAINED, "pgd").mean == pytest.approx(0.4)
    assert suspicions.interval(tests, TRAINED, "pgd").count == 2
    means = suspicions.means(tests).loc[TRAINED[:3]]
    assert means["pgd"].to_dict() == pytest.approx({5_000: 0.9, 50_000: 0.4})
    with pytest.raises(DataError, match=r"no apgd is stored of training.* run the test 'training'"):
        suspicions.interval(tests, TRAINED, "apgd")


def test_every_suspicion_has_its_line_and_the_paper_the_last() -> None:
    places = {(place, attack) for place, *attacks in SUSPICIONS.values() for attack in attacks if attack}
    values = {key: 0.01 * number for number, key in enumerate(sorted(places), start=1)}
    tests = rows(*((place, attack, [value] * 3) for (place, attack), value in values.items()))
    table = suspicions.table(tests)
    assert list(table.index) == [*SUSPICIONS, "the paper"]
    for changed, (place, fgsm, pgd) in SUSPICIONS.items():
        accuracies = suspicions.under_attack(tests)[changed]
        assert accuracies.pgd.mean == pytest.approx(100 * values[place, pgd])
        assert table.loc[changed, "PGD"] == f"{accuracies.pgd:.1f}"
        assert (accuracies.fgsm is None) == (table.loc[changed, "FGSM"] == "") == (fgsm == "")
    assert list(table.loc["the paper"]) == ["50,000", "34.91 ± 0.81", "7.84 ± 0.50"]


def test_activations_stand_beside_the_papers_convolutional_network() -> None:
    at = ("convolutions", CONV, "no ReLU there", 2_000)
    measures = ("accuracy", "fgsm", "fgsm, no clipping", "pgd", "pgd, no clipping")
    tests = rows(*((at, name, [0.1 * place, 0.3 * place]) for place, name in enumerate(measures)))
    table = suspicions.activations(tests)
    assert list(table.loc["no ReLU there"]) == ["0.0", "20.0", "40.0", "60.0", "80.0"]
    assert list(table.loc["the paper"]) == ["99.86", "86.32", "", "35.10", ""]


def test_a_broken_training_shows_its_step_and_no_accuracy() -> None:
    large = pd.DataFrame(
        {"diverged at": [-1.0, 7.0], "accuracy": [0.993, float("nan")]},
        index=["curvature, λ = 1.6", "curvature, λ = 25.6"],
    )
    table = suspicions.breaking(large, ["curvature"], (1.6, 25.6))
    assert table.loc["curvature"].to_dict() == {"λ = 1.6": "99.3 %", "λ = 25.6": "NaN at step 7"}
    at_once = large.assign(**{"diverged at": [0.0, 7.0]})
    assert suspicions.breaking(at_once, ["curvature"], [1.6]).loc["curvature", "λ = 1.6"] == "NaN at step 0"


def test_the_stored_tests_hold_every_suspicion_and_say_what_they_ask() -> None:
    tests, facts = paper_numbers.read(STORED)
    assert set(suspicions.under_attack(tests)) == set(SUSPICIONS)
    assert {place[1] for place, _, _ in SUSPICIONS.values()} == {LENET}
    asked = reproduction.asked(facts)
    assert list(asked.index) == sorted(facts)
    assert asked["asks"].str.fullmatch(r"[^?]+\?").all()
    assert asked.loc["large", "seconds"] == facts["large"]["seconds"]
