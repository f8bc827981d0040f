"""Sentences from tables and comparisons say what the numbers say, and a single seed claims nothing."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from small_table import table

from regrob.analysis import comparisons, words
from regrob.analysis.comparisons import AtBest
from regrob.analysis.intervals import Interval, mean_interval
from regrob.analysis.measures import BENIGN, DEEPFOOL, PGD, by_network

UP, DOWN, OPEN = Interval(2.0, 1.0, 3.0, 5), Interval(-2.0, -3.0, -1.0, 5), Interval(0.5, -1.0, 2.0, 5)
ALONE = mean_interval([2.0])


def test_a_verdict_needs_an_interval() -> None:
    assert [words.verdict(gap) for gap in (UP, DOWN, OPEN)] == ["higher", "lower", "undecided"]
    assert words.verdict(ALONE) == words.ONE_SEED == words.closeness(ALONE, 10.0)


def test_closeness_asks_for_the_whole_interval() -> None:
    assert [words.closeness(OPEN, margin) for margin in (2.1, 2.0)] == ["within", "undecided"]
    assert [words.closeness(gap, 0.9) for gap in (UP, DOWN, OPEN)] == ["outside", "outside", "undecided"]


def test_counts_stand_in_one_order_and_leave_out_what_did_not_occur() -> None:
    assert words.counts([words.ONE_SEED, "undecided", "lower", "undecided"]) == (
        "1 lower; 2 undecided; 1 one seed, no interval"
    )
    assert words.counts([]) == ""


@pytest.mark.parametrize(
    ("verdicts", "sign"),
    [
        (["higher", "higher"], "✅"),
        (["higher", "undecided"], "undecided"),
        (["higher", "lower"], "❌"),
        ([], "undecided"),
    ],
)
def test_a_mark_needs_all_and_one_counterexample_is_enough(verdicts: list[str], sign: str) -> None:
    assert words.mark(verdicts) == sign


def test_large_factors_are_powers_of_ten() -> None:
    assert [words.power_of_ten(x) for x in (83.4, 9999, 2.3e7, 9.6e10)] == ["83", "9999", "2·10⁷", "10·10¹⁰"]
    assert words.thousands(50_000) == "50 000"


@pytest.fixture
def results() -> pd.DataFrame:
    rows = []
    for seed, (low, high) in enumerate(((0.2, 0.5), (0.3, 0.7))):
        for setting, pgd in {("none", 0.0): 0.1, ("jacobian", 0.1): low, ("jacobian", 1.0): high}.items():
            rows += [
                (*setting, seed, "pgd", "accuracy", pgd),
                (*setting, seed, "deepfool", "distance", 2 - pgd),
            ]
        for setting, benign in {("none", 0.0): 0.99, ("jacobian", 0.1): 0.98, ("jacobian", 1.0): 0.9}.items():
            diverged = setting == ("jacobian", 1.0) and seed == 1
            rows.append((*setting, seed, "none", "accuracy", math.nan if diverged else benign))
    return table(rows)


def test_best_settings_leave_out_what_diverged(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    lines = words.best_settings(network, ["jacobian"], PGD, (BENIGN, PGD, DEEPFOOL)).splitlines()
    assert lines[0] == "net, 2 seed(s)"
    assert [line.split() for line in lines[1:]] == [
        ["λ", "none", "PGD", "DF"],
        ["no", "penalty", "–", "99.0", "10.0", "1.90"],
        ["Jacobian", "0.1", "98.0", "25.0", "1.75"],
    ]
    assert len({len(line) for line in lines[1:]}) == 1
    assert words.diverged_settings(results) == {"net, Jacobian, λ = 1": 1}


def at_best(price: float, penalty: str, difference: Interval) -> AtBest:
    return AtBest(price, ("pgd", "accuracy"), penalty, UP, (0.1,), difference)


ENDS = [
    at_best(math.inf, "curvature", OPEN),
    at_best(math.inf, "jacobian", Interval(0.02, 0.01, 0.03, 5)),
    at_best(math.inf, "cross-lipschitz", OPEN),
    at_best(0.01, "curvature", OPEN),
    at_best(0.01, "jacobian", DOWN),
]


def test_leads_are_of_the_rivals_and_in_points() -> None:
    leads = words.differences_at_best(ENDS, {"any": math.inf, "point": 0.01})
    assert set(leads) == {"any-pgd-jacobian", "any-pgd-cross-lipschitz", "point-pgd-jacobian"}
    assert leads["any-pgd-jacobian"] == "2.00 [1.00, 3.00], ahead"
    assert comparisons.verdicts(ENDS) == ["higher", "undecided", "lower"]


def test_standing_groups_the_rivals() -> None:
    standing = words.verdicts_at_best(ENDS, math.inf, PGD)
    assert standing == "ahead of Jacobian and not decided against cross-Lipschitz"
    assert words.verdicts_at_best(ENDS, 0.01, PGD) == "behind Jacobian"


def row_of(verdict: str, firm: bool) -> pd.Series:
    return pd.Series({"verdict": verdict, "firm": firm, "mean": 0.02, "low": 0.01, "high": 0.03, "count": 5})


def test_only_a_firm_race_has_a_mark() -> None:
    rows = [row_of("higher", True), row_of("lower", True), row_of("higher", False), row_of("undecided", True)]
    assert [words.firm_mark(row) for row in rows] == ["✅", "❌", "undecided", "undecided"]
    assert words.firm_mark(row_of("not reached", True)) == "not reached"
    in_words = {"higher": "pays less", "undecided": "undecided"}
    assert [words.firm_verdict(row, in_words) for row in rows[2:]] == [
        "pays less, but not on a coarser grid",
        "undecided",
    ]
    assert words.difference(rows[0], 100) == "2.00 [1.00, 3.00]"
    assert words.difference(row_of("not reached", False)) == "not reached by all seeds"


def test_a_price_needs_all_seeds() -> None:
    row = pd.Series({"reached": 3, "seeds": 4, "mean": math.nan, "low": math.nan, "high": math.nan})
    assert words.paid(row) == "reached by 3 of 4 seeds"
    row = pd.Series({"reached": 4, "seeds": 4, "mean": 0.02, "low": 0.01, "high": 0.03})
    assert words.paid(row) == "2.00 [1.00, 3.00]"


def test_places_of_differences() -> None:
    gaps = pd.DataFrame(
        {"attack": ["pgd", "deepfool"], "metric": ["accuracy", "distance"], "lambda": [0.1, 1.6]}
    )
    assert words.attacks_and_weights(gaps) == "PGD at λ = 0.1, DeepFool at λ = 1.6"
    assert words.attacks_and_weights(gaps[:0]) == "none"


def test_texts_of_networks_stand_under_their_names() -> None:
    assert words.named({"lenet-5": "a", "net": "b"}) == "LeNet-5\na\nnet\nb"
