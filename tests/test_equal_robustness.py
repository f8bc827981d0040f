"""What robustness costs: read off per seed, at equal robustness, and never from the lucky seeds alone."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from regrob.analysis import equal_robustness, measures, tables
from regrob.analysis.intervals import paired_difference
from regrob.errors import InputError

PGD, BENIGN = ("pgd", "accuracy"), ("none", "accuracy")
HARDENING, PENALTY = "adversarial-training", "jacobian"


def table(lines, seeds=4, figure="f"):
    """`lines`: (method, strength) → (seed → (PGD accuracy, benign accuracy))."""
    rows = []
    for (method, strength), line in lines.items():
        for seed in reversed(range(seeds)):  # not in order: the functions must not rely on it
            for (attack, metric), value in zip((PGD, BENIGN), line(seed), strict=True):
                rows.append((figure, "d", "net", method, strength, seed, attack, metric, value))
    return pd.DataFrame(rows, columns=list(tables.COLUMNS))


START = {("reference", 0.0): lambda s: (0.3, 0.99), ("none", 0.0): lambda s: (0.4, 0.99 + s / 1000)}
HARDENED = {
    (HARDENING, 0.1): lambda s: (0.8, 0.97 + s / 1000),
    (HARDENING, 0.2): lambda s: (0.9, 0.93 + s / 1000),
}
PENALISED = {
    (PENALTY, 0.1): lambda s: (0.6, 0.98 + s / 1000),
    (PENALTY, 1.0): lambda s: (0.8, 0.90 + s / 1000),
    (PENALTY, 10.0): lambda s: (0.7, 0.5),
}
BOTH = table(START | HARDENED | PENALISED)


def test_the_price_is_read_from_each_seeds_line():
    paid = equal_robustness.price(BOTH, "net", HARDENING, PGD, BENIGN, 0.85)
    assert paid == pytest.approx([0.04] * 4)  # half way from 0.97 to 0.93, against 0.99
    assert equal_robustness.price(BOTH, "net", PENALTY, PGD, BENIGN, 0.5) == pytest.approx([0.005] * 4)
    # A line may pass the target again on its way down: the smallest strength counts.
    assert equal_robustness.price(BOTH, "net", PENALTY, PGD, BENIGN, 0.75) == pytest.approx([0.07] * 4)


def test_equal_strength_would_say_the_opposite():
    # At strength 0.1 the penalty costs less; at equal robustness it costs more.
    at_strength = [measures.values(BOTH, "net", m, 0.1, *BENIGN).mean() for m in (PENALTY, HARDENING)]
    at_target = [
        equal_robustness.price(BOTH, "net", m, PGD, BENIGN, 0.7).mean() for m in (PENALTY, HARDENING)
    ]
    assert at_strength[0] > at_strength[1]
    assert at_target[0] > at_target[1]


def test_a_target_that_needs_no_method_is_refused():
    for target in (0.4, 0.2, math.nan):
        with pytest.raises(InputError, match=r"up to 0\.4"):
            equal_robustness.price(BOTH, "net", PENALTY, PGD, BENIGN, target)


def test_prices_say_who_does_not_reach_the_target():
    found = equal_robustness.prices(BOTH, "net", (PENALTY, HARDENING), PGD, BENIGN, (0.6, 0.85)).set_index(
        ["method", "target"]
    )
    assert found.loc[(HARDENING, 0.6), "mean"] == pytest.approx(0.01)
    assert tuple(found.loc[(PENALTY, 0.85), ["reached", "seeds"]]) == (0, 4)
    assert np.isnan(found.loc[(PENALTY, 0.85), "mean"])


def test_lucky_seeds_alone_are_no_mean():
    # Two seeds reach 0.7, and just these pay nothing.
    lucky = {(PENALTY, 0.1): lambda s: (0.75 if s < 2 else 0.6, 0.99 + s / 1000)}
    here = table(START | HARDENED | lucky)
    paid = equal_robustness.price(here, "net", PENALTY, PGD, BENIGN, 0.7)
    assert np.isfinite(paid).sum() == 2 and np.nanmax(paid) < 1e-9
    row = equal_robustness.prices(here, "net", (PENALTY,), PGD, BENIGN, (0.7,)).iloc[0]
    assert (row["reached"], row["seeds"]) == (2, 4) and np.isnan(row["mean"])
    row = equal_robustness.differences(here, "net", HARDENING, (PENALTY,), PGD, (BENIGN,), (0.7,)).iloc[0]
    assert row["verdict"] == "not reached" and np.isnan(row["mean"])
    # The wrong variant: the mean over who is left would name a winner.
    theirs = equal_robustness.price(here, "net", HARDENING, PGD, BENIGN, 0.7)
    assert paired_difference(theirs, paid + 1e-6 * np.arange(4)).above()


def test_a_seed_that_diverged_on_the_way_has_no_reading():
    gone = {(PENALTY, 0.1): lambda s: (math.nan, math.nan) if s == 1 else (0.6, 0.98)}
    later = {(PENALTY, 1.0): lambda s: (0.95, 0.9), (PENALTY, 10.0): lambda s: (0.5, 0.1)}
    paid = equal_robustness.price(table(START | gone | later), "net", PENALTY, PGD, BENIGN, 0.8)
    # Seed 1's line falls through the target where the strength is far too large: no crossing upwards.
    assert np.isnan(paid[1]) and np.isfinite(paid[[0, 2, 3]]).all()


def test_differences_are_paired_and_have_the_sign_of_the_aim():
    random = np.random.default_rng(0)
    luck, noise = random.normal(0, 0.05, 10), random.normal(0, 0.001, 10)
    lines = {
        ("reference", 0.0): lambda s: (0.3, 0.9),
        ("none", 0.0): lambda s: (0.3, 0.9),
        (PENALTY, 1.0): lambda s: (0.9, 0.8 + luck[s] + noise[s]),
        (HARDENING, 1.0): lambda s: (0.9, 0.77 + luck[s]),
    }
    one = equal_robustness.differences(
        table(lines, 10), "net", HARDENING, (PENALTY,), PGD, (BENIGN,), (0.9,)
    ).iloc[0]
    assert one["mean"] == pytest.approx(0.03, abs=0.002)
    assert one["verdict"] == "higher" and one["count"] == 10
    # Torn apart, the pairs show nothing.
    torn = lines | {(HARDENING, 1.0): lambda s: (0.9, 0.77 + luck[9 - s])}
    two = equal_robustness.differences(
        table(torn, 10), "net", HARDENING, (PENALTY,), PGD, (BENIGN,), (0.9,)
    ).iloc[0]
    assert two["verdict"] == "undecided"


def test_differences_hold_together():
    # Three methods, two targets, one aim: six intervals at 1 − 0.05/6 each, also where not all are reached.
    noise = np.random.default_rng(1).normal(0, 1, (4, 6))
    names = ("jacobian", "curvature", "input-gradient", HARDENING)
    lines = {(n, 0.0): lambda s: (0.3, 0.9) for n in ("reference", "none")}
    lines |= {
        (name, 1.0): lambda s, own=own: (0.8, 0.8 + 0.01 * own[s])
        for name, own in zip(names, noise, strict=True)
    }
    here = table(lines, 6)
    found = equal_robustness.differences(here, "net", HARDENING, names[:3], PGD, (BENIGN,), (0.8, 0.9))
    assert list(found["verdict"][3:]) == ["not reached"] * 3
    for row, own in zip(found.to_dict("records")[:3], noise[:3], strict=True):
        strict, loose = (
            paired_difference(0.01 * own, 0.01 * noise[3], level) for level in (1 - 0.05 / 6, 0.95)
        )
        assert [row["mean"], row["low"], row["high"]] == pytest.approx([strict.mean, strict.low, strict.high])
        assert row["high"] - row["low"] > 1.5 * (loose.high - loose.low)  # intervals that hold one by one


def test_one_seed_decides_nothing():
    one = equal_robustness.differences(
        table(START | HARDENED | PENALISED, 1), "net", HARDENING, (PENALTY,), PGD, (BENIGN,), (0.7,)
    ).iloc[0]
    assert one["verdict"] == "undecided" and one["mean"] < 0 and np.isnan(one["low"])
    with pytest.raises(InputError, match="at least"):
        equal_robustness.differences(BOTH, "net", HARDENING, (), PGD, (BENIGN,), (0.7,))


def test_two_figures_of_one_protocol_become_one_table():
    first, second = table(START | PENALISED, figure="fig4"), table(START | HARDENED, figure="cost")
    both = equal_robustness.joined(first, second)
    assert len(both) == len(BOTH)
    for target in (0.5, 0.75):
        for method in (PENALTY, HARDENING):
            args = ("net", method, PGD, BENIGN, target)
            assert equal_robustness.price(both, *args) == pytest.approx(equal_robustness.price(BOTH, *args))


def test_tables_of_other_networks_are_not_paired():
    first = table(START | PENALISED)
    others = table({**START, ("none", 0.0): lambda s: (0.4, 0.98)} | HARDENED)
    with pytest.raises(InputError, match="none accuracy of net, none, seed"):
        equal_robustness.joined(first, others)
    with pytest.raises(InputError, match="share no references of net"):
        equal_robustness.joined(first, table(HARDENED))
    elsewhere = table(START | HARDENED).assign(network="another")
    with pytest.raises(InputError, match="of another"):
        equal_robustness.joined(first, elsewhere)


def test_thinning_keeps_the_largest_strength():
    grid = (0.1, 0.2, 0.4, 0.8, 1.6)
    lines = {(PENALTY, w): lambda s: (0.5, 0.5) for w in grid} | HARDENED
    here = equal_robustness.thinned(table(START | lines), "net", (PENALTY,))
    assert measures.weights_of(here, "net", PENALTY) == [0.1, 0.4, 1.6]
    assert measures.weights_of(here, "net", HARDENING) == [0.1, 0.2]
    both = equal_robustness.thinned(here, "net", (PENALTY, HARDENING))
    assert measures.weights_of(both, "net", PENALTY) == [0.1, 1.6]
    assert measures.weights_of(both, "net", HARDENING) == [0.2]


def test_a_common_level_is_reached_by_every_method():
    both = table(START | PENALISED | {("curvature", 1.0): lambda s: (0.6, 0.9)})
    level = equal_robustness.common_level(both, "net", (PENALTY, "curvature"), PGD, 0.75)
    assert level == pytest.approx(0.4 + 0.75 * (0.6 - 0.4))


def test_a_race_that_a_coarser_grid_turns_round_is_not_firm():
    noise = (0.0, 1e-4, -1e-4, 0.0)
    lines = START | {
        (HARDENING, 1.0): lambda s: (0.8, 0.95 + noise[s]),
        (PENALTY, 0.5): lambda s: (0.79, 0.985 - noise[s]),
        (PENALTY, 1.0): lambda s: (0.9, 0.5),
    }
    args = ("net", HARDENING, (PENALTY,), PGD, (BENIGN,), (0.75,))
    (row,) = equal_robustness.firm_differences(table(lines), *args).to_dict("records")
    assert row["verdict"] == "higher" and not row["firm"]
    lines[PENALTY, 1.0] = lambda s: (0.9, 0.98 - noise[s])
    (row,) = equal_robustness.firm_differences(table(lines), *args).to_dict("records")
    assert row["verdict"] == "higher" and row["firm"]


def test_leads_at_equal_robustness_are_paired_strict_and_in_the_aims_unit():
    noise = np.random.default_rng(2).normal(0, 1, (3, 6))
    names = (PENALTY, "curvature", HARDENING)
    lines = {("none", 0.0): lambda s: (0.3, 0.9)}
    lines |= {
        (name, 1.0): lambda s, own=own: (0.9, 0.8 + 0.01 * own[s])
        for name, own in zip(names, noise, strict=True)
    }
    pgd, benign = measures.PGD, measures.BENIGN
    found = equal_robustness.leads(table(lines, 6), "net", names, pgd, [benign], 0.9)
    assert list(found) == [(benign, "curvature"), (benign, HARDENING)]
    for (_, rival), gap in found.items():
        other = noise[names.index(rival)]
        strict, loose = (paired_difference(noise[0], other, level) for level in (1 - 0.05 / 2, 0.95))
        assert [gap.mean, gap.low, gap.high] == pytest.approx([strict.mean, strict.low, strict.high])
        assert gap.high > loose.high
