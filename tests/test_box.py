"""What the box of an ℓ∞ attack can show is read from distances in units of its corner."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from small_table import table

from regrob.analysis import box
from regrob.analysis.measures import by_network


def results(settings: dict[tuple[str, float], tuple[float, float, float]]) -> pd.DataFrame:
    """`box.shares` of one network with ten classes, corner 2, from benign, distance and PGD."""
    measured = (("none", "accuracy"), ("deepfool", "distance"), ("pgd", "accuracy"))
    rows = [
        (*setting, seed, *key, value)
        for setting, values in settings.items()
        for key, value in zip(measured, values, strict=True)
        for seed in (0, 1)
    ]
    return box.shares(by_network(table(rows), classes=10), ["jacobian"], corner=2.0)


SHORT, LONG = ("none", 0.0), ("jacobian", 1.0)
NAN = (math.nan, math.nan, math.nan)


def test_shares_are_in_corners_and_what_diverged_has_no_row() -> None:
    points = results({SHORT: (0.9, 0.4, 0.01), ("jacobian", 0.1): NAN, LONG: (0.12, 1.8, 0.5)})
    assert list(points["share"]) == pytest.approx([0.2, 0.9])
    assert list(points["kept"]) == pytest.approx([1.0, 50.0])
    assert list(points["guesses"]) == [False, True]  # 12 % of ten classes is guessing
    assert not results({SHORT: (0.12, 0.4, 0.01), LONG: (0.14, 1.8, 0.5)})["guesses"].any()


def test_facts_part_at_half_of_kappa() -> None:
    points = results({SHORT: (0.9, 0.79, 0.01), LONG: (0.12, 0.81, 0.5)})  # half of κ·2 is 0.798
    facts = box.facts(points)
    assert (facts["low-count"], facts["low-top"], facts["high-count"]) == ("1", "1.0", "1")
    assert (facts["off"], facts["off-share"], facts["off-pgd"]) == ("net with ten classes", "0.40", "1")
    guess = "What guesses, or nearly so: net with ten classes under the Jacobian penalty at λ = 1."
    assert facts["collapsed"].startswith(guess)
    assert facts["box-rank"] == "1.00"
    assert box.facts(points.assign(guesses=False))["collapsed"] == "No setting has fallen to guessing."


@pytest.mark.parametrize(
    ("low", "high", "blind"), [(0.01, 0.5, True), (0.04, 0.5, False), (0.02, 0.05, False)]
)
def test_the_box_is_blind_where_little_survives_near_and_more_far(
    low: float, high: float, blind: bool
) -> None:
    assert box.blind(results({SHORT: (0.9, 0.4, low), LONG: (0.9, 1.8, high)})) == blind
