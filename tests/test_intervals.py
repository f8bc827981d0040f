"""Intervals cover what they promise, pairs stay pairs, and a lone run carries no claim."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_table import table

from regrob.analysis import comparisons, intervals, measures
from regrob.analysis.intervals import Interval, mean_interval, paired_difference
from regrob.errors import InputError

DRAWS = 4000


@pytest.mark.parametrize(("count", "level"), [(2, 0.95), (3, 0.95), (10, 0.95), (5, 0.8)])
def test_the_interval_covers_as_often_as_it_says(count, level):
    random = np.random.default_rng(count)
    samples = random.normal(3.0, 0.7, size=(DRAWS, count))
    found = [mean_interval(sample, level) for sample in samples]
    covered = np.mean([one.low <= 3.0 <= one.high for one in found])
    error = math.sqrt(level * (1 - level) / DRAWS)
    assert abs(covered - level) < 4 * error


def test_a_normal_quantile_would_be_caught():
    # With three seeds ±1.96 standard errors cover far less than 95 %.
    random = np.random.default_rng(3)
    samples = random.normal(size=(DRAWS, 3))
    half = 1.96 * samples.std(axis=1, ddof=1) / math.sqrt(3)
    covered = np.mean(np.abs(samples.mean(axis=1)) <= half)
    assert covered < 0.95 - 4 * math.sqrt(0.95 * 0.05 / DRAWS)


ENDED = [
    # Shares near one, as of an accuracy; lengths that differ by factors, as of a distance.
    (lambda random, size: random.beta(19, 1, size), 0.95, (0.0, 1.0)),
    (lambda random, size: random.beta(9.7, 0.3, size).clip(1e-12, 1 - 1e-12), 0.97, (0.0, 1.0)),
    (lambda random, size: np.exp(random.normal(0, 0.7, size)), math.exp(0.245), intervals.POSITIVE),
]


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize(("draw", "mean", "span"), ENDED)
def test_an_interval_within_its_span_covers_more_often_than_students(draw, mean, span, count):
    samples = draw(np.random.default_rng(count), (DRAWS, count))
    bounded = [mean_interval(sample, span=span) for sample in samples]
    naive = [mean_interval(sample) for sample in samples]
    assert all(span[0] <= one.low <= one.mean <= one.high <= span[1] for one in bounded)
    covered, by_student = (np.mean([i.low <= mean <= i.high for i in each]) for each in (bounded, naive))
    error = math.sqrt(0.05 / DRAWS)
    assert covered > by_student + 4 * error and covered > 0.88
    # Student's own is not true of so skewed a thing, and leaves the scale: what this test must catch.
    assert by_student < 0.95 - 4 * error
    assert np.mean([one.low < span[0] or one.high > span[1] for one in naive]) > 0.1


def test_far_from_the_ends_the_span_changes_nothing():
    sample = [50.1, 49.9, 50.0, 50.2]
    for span in ((0.0, 100.0), intervals.POSITIVE):
        bounded, plain = mean_interval(sample, span=span), mean_interval(sample)
        assert bounded.low == pytest.approx(plain.low, abs=1e-3)
        assert bounded.high == pytest.approx(plain.high, abs=1e-3)


def test_a_span_turns_with_the_scale():
    low = mean_interval([0.9, 0.95, 0.99], span=(0.0, 1.0))
    high = mean_interval([0.1, 0.05, 0.01], span=(0.0, 1.0))
    assert (low.low, low.high) == (pytest.approx(1 - high.high), pytest.approx(1 - high.low))
    in_percent = mean_interval([90, 95, 99], span=(0.0, 100.0))
    assert (in_percent.low, in_percent.high) == (
        pytest.approx(100 * low.low),
        pytest.approx(100 * low.high),
    )
    # The delta method by hand: the logit of 1/2 has slope 4, and the odds are multiplied by e^{4·half}.
    plain = mean_interval([0.4, 0.5, 0.6])
    odds = math.exp(4 * (plain.high - 0.5))
    assert mean_interval([0.4, 0.5, 0.6], span=(0.0, 1.0)).high == pytest.approx(odds / (1 + odds))
    # And of a logarithm: the mean is multiplied by e^{half/mean}.
    plain = mean_interval([1.0, 2.0, 3.0])
    assert mean_interval([1.0, 2.0, 3.0], span=intervals.POSITIVE).high == pytest.approx(
        2 * math.exp((plain.high - 2) / 2)
    )


def test_the_ends_of_a_span_are_values_like_others():
    for end in (0.0, 100.0):
        one = mean_interval([end] * 3, span=(0.0, 100.0))
        assert one.low == one.mean == one.high == end
    strict = mean_interval([99.0, 1.0], level=0.9999, span=(0.0, 100.0))
    assert 0 <= strict.low < 1e-9 and 100 - 1e-9 < strict.high <= 100
    assert mean_interval([1.0, 1e-9], level=0.9999, span=intervals.POSITIVE).low >= 0
    with pytest.raises(InputError, match="must lie in"):
        mean_interval([99.0, 101.0], span=(0.0, 100.0))


def test_of_two_seeds_the_two_values_are_shown():
    two = mean_interval([1.33, 2.18], span=intervals.POSITIVE)
    assert f"{two:.2f}" == "1.76 (1.33 and 2.18)" and two.ends == (1.33, 2.18)
    assert f"{two.times(10):.1f}" == "17.6 (13.3 and 21.8)"
    assert two.high > 20  # the interval is kept: it decides, and it is as long as it must be
    three = mean_interval([1.0, 2.0, math.nan, 3.0])
    assert three.ends == (three.low, three.high)
    assert np.isnan(mean_interval([2.0]).ends).all()
    assert f"{mean_interval([2.0, math.nan, 3.0]):.0f}" == "2 (2 and 3)"


def test_a_cut_interval_says_the_same_of_what_can_be():
    gap = paired_difference([80.0, 90.0, 85.0], [85.0, 70.0, 90.0], level=0.999)
    assert gap.high > 100 and gap.cut((-100.0, 100.0)).high == 100
    assert gap.cut((-100.0, 100.0)).verdict == gap.verdict and gap.cut((-1e9, 1e9)) == gap
    assert math.isnan(mean_interval([2.0]).cut((0.0, 1.0)).low)


@pytest.mark.parametrize(
    ("number", "text"), [(-0.004, "0.00"), (-0.006, "−0.01"), (0.0, "0.00"), (12.345, "12.35")]
)
def test_a_number_has_a_minus_sign_only_if_a_digit_follows(number, text):
    assert intervals.written(number, ".2f") == text


def test_pairs_take_out_what_the_seed_decides():
    random = np.random.default_rng(0)
    seed_effect = random.normal(0, 10, size=8)
    a = seed_effect + 0.5 + random.normal(0, 0.05, size=8)
    b = seed_effect + random.normal(0, 0.05, size=8)
    assert paired_difference(a, b).above()
    assert not paired_difference(a, b[::-1]).above()  # pairs torn apart: nothing is seen


def test_a_textbook_case():
    # t(0.975, 4) = 2.776445; the numbers 1 … 5 have standard error √(2.5/5).
    one = mean_interval([1, 2, 3, 4, 5])
    assert one.mean == 3
    assert one.high - one.mean == pytest.approx(2.7764451052 * math.sqrt(0.5), rel=1e-9)
    assert one.count == 5


def test_diverged_runs_are_left_out_with_their_partners_and_counted():
    nan = math.nan
    assert mean_interval([1.0, nan, 3.0]) == mean_interval([1.0, 3.0]).__class__(
        2.0, mean_interval([1.0, 3.0]).low, mean_interval([1.0, 3.0]).high, 2, 1
    )
    pair = paired_difference([1.0, nan, 3.0, 4.0], [0.0, 0.0, nan, 1.0])
    assert (pair.mean, pair.count, pair.dropped) == (2.0, 2, 2)


@pytest.mark.parametrize("alone", [[2.0], [2.0, math.nan]])
def test_one_run_has_no_interval_and_supports_no_claim(alone):
    one = mean_interval(alone)
    assert (one.mean, one.count) == (2.0, 1)
    assert math.isnan(one.low) and math.isnan(one.high) and math.isnan(one.reach)
    assert not one.above(0) and not one.below(10) and not one.within(10)
    assert f"{one:.1f}" == "2.0 (one seed)"


def test_all_diverged():
    one = mean_interval([math.nan, math.nan])
    assert math.isnan(one.mean) and (one.count, one.dropped) == (0, 2)


def test_an_interval_of_a_share_solves_wilsons_equation():
    for share, count in ((0.9, 200), (1.0, 50), (0.0, 50)):
        for end in intervals.share_interval(share, count):
            # The ends are the shares p from which the observed one is 1.96 standard errors away.
            assert abs(share - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / count), abs=1e-9)
    low, high = intervals.share_interval(1.0, 50)
    assert 0.9 < low < high <= 1 + 1e-12
    for share, count in ((1.2, 10), (0.5, 0)):
        with pytest.raises(InputError, match="share between 0 and 1"):
            intervals.share_interval(share, count)


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [1.0, math.inf], 3.0])
def test_what_is_no_row_of_numbers_is_refused(bad):
    with pytest.raises(InputError, match="values must"):
        mean_interval(bad)


def test_other_mistakes_are_named():
    with pytest.raises(InputError, match="level"):
        mean_interval([1, 2], level=95)
    with pytest.raises(InputError, match="3 and 2"):
        paired_difference([1, 2, 3], [1, 2])


def test_equivalence_needs_the_whole_interval():
    one = Interval(0.1, -0.2, 0.4, 5)
    assert one.reach == 0.4
    assert one.within(0.41) and not one.within(0.4)
    assert not one.above() and not one.below()
    sides = [Interval(0.0, low, high, 5).verdict for low, high in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.2))]
    assert sides == ["higher", "lower", "undecided"]
    assert Interval(1.0, math.nan, math.nan, 1).verdict == "undecided"
    assert f"{one:.1f}" == "0.1 [−0.2, 0.4]"
    assert one.times(100).high == 40


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12), st.floats(0.5, 0.99))
def test_an_interval_holds_its_mean_and_turns_with_the_sign(numbers, level):
    one, other = mean_interval(numbers, level), mean_interval([-x for x in numbers], level)
    assert one.low <= one.mean <= one.high
    assert one.low == pytest.approx(-other.high, abs=1e-9)


@pytest.fixture
def two_penalties():
    rows = []
    for seed in (2, 0, 1):  # not in order: the functions must not rely on it
        rows += [("jacobian", 0.1, seed, "pgd", "accuracy", 0.5 + seed / 10)]
        rows += [("curvature", 0.1, seed, "pgd", "accuracy", 0.4 + seed / 10)]
        rows += [("curvature", 6.4, seed, "pgd", "accuracy", 0.9)]
    return table(rows)


def test_values_come_in_the_order_of_seeds(two_penalties):
    found = measures.values(two_penalties, "net", "jacobian", 0.1, "pgd", "accuracy")
    assert found == pytest.approx([0.5, 0.6, 0.7])
    with pytest.raises(InputError, match=r"jacobian, λ = 0\.2"):
        measures.values(two_penalties, "net", "jacobian", 0.2, "pgd", "accuracy")
    twice = pd.concat([two_penalties, two_penalties])
    with pytest.raises(InputError, match="one value a seed"):
        measures.values(twice, "net", "jacobian", 0.1, "pgd", "accuracy")


def test_differences_are_paired_and_only_where_both_were_run(two_penalties):
    found = comparisons.differences(two_penalties, "jacobian", "curvature", [("pgd", "accuracy")])
    assert list(found["lambda"]) == [0.1]
    assert found["mean"][0] == pytest.approx(0.1)
    assert found["high"][0] - found["low"][0] == pytest.approx(0, abs=1e-12)
    assert measures.weights_of(two_penalties, "net", "curvature") == [0.1, 6.4]


def test_means_and_intervals_have_one_entry_a_setting(two_penalties):
    found = measures.means(two_penalties)
    assert len(found) == 3
    assert found["net", "pgd", "accuracy", "jacobian", 0.1] == pytest.approx(0.6)
    in_percent = measures.interval_by_setting(two_penalties, "net", measures.PGD)
    assert in_percent["jacobian", 0.1].low == pytest.approx(
        mean_interval([50, 60, 70], span=(0.0, 100.0)).low
    )


def test_an_interval_lies_on_one_side_only_as_a_whole():
    interval = Interval(2.0, 1.5, 2.5, 3)
    assert [interval.side(value) for value in (1.4, 1.5, 2.0, 2.6)] == ["above", "at", "at", "below"]
    assert mean_interval([2.0]).side(1.0) == "at"  # one run is on no side
