"""A comparison scores no seed by its own luck, and what is reported together holds together."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from small_table import table

from regrob.analysis import comparisons, equal_robustness, measures
from regrob.analysis.intervals import mean_interval, paired_difference
from regrob.errors import InputError
from regrob.theory import cross_lipschitz_squared, lipschitz_squared


def chain(values_of, weights=(0.1, 1.0, 10.0), seeds=3):
    """Rows of none and of one penalty: values_of(λ, seed) gives PGD and benign accuracy."""
    rows = []
    for seed in range(seeds):
        for weight in (0.0, *weights):
            name = "jacobian" if weight else "none"
            robust, benign = values_of(weight, seed)
            rows += [(name, weight, seed, "pgd", "accuracy", robust)]
            rows += [(name, weight, seed, "none", "accuracy", benign)]
    return table(rows)


def test_the_best_weight_within_a_price():
    gain = {0.0: (0.1, 0.99), 0.1: (0.5, 0.988), 1.0: (0.8, 0.98), 10.0: (0.9, 0.7)}
    flat = chain(lambda weight, seed: gain[weight])
    for within, best in ((math.inf, 10.0), (0.02, 1.0), (0.005, 0.1), (0.001, 0.0)):
        found, weights = comparisons.chosen(flat, "net", "jacobian", ("pgd", "accuracy"), within=within)
        assert weights == [best] * 3
        assert found == pytest.approx([gain[best][0]] * 3)


def test_a_seed_does_not_choose_for_itself():
    # Each seed is lucky at a weight of its own; picking by one's own luck would score 0.9.
    lucky = (0.1, 1.0, 10.0)
    table_ = chain(lambda weight, seed: (0.9 if lucky[seed] == weight else 0.1, 0.99))
    found, weights = comparisons.chosen(table_, "net", "jacobian", ("pgd", "accuracy"))
    assert all(weight != lucky[seed] for seed, weight in enumerate(weights))
    assert found == pytest.approx([0.1] * 3)


def test_a_weight_where_a_seed_diverged_is_not_chosen():
    table_ = chain(lambda weight, seed: (math.nan if (weight, seed) == (10.0, 1) else weight, 0.99))
    _, weights = comparisons.chosen(table_, "net", "jacobian", ("pgd", "accuracy"))
    assert weights == [1.0] * 3


def test_one_seed_cannot_choose():
    found, weights = comparisons.chosen(
        chain(lambda *_: (1, 1), seeds=1), "net", "jacobian", ("pgd", "accuracy")
    )
    assert np.isnan(found).all() and np.isnan(weights).all()


def test_at_equal_reads_off_each_seeds_line():
    gain = {0.0: (0.1, 0.9), 0.1: (0.3, 0.8), 1.0: (0.7, 0.4), 10.0: (0.9, 0.2)}
    table_ = chain(lambda weight, seed: gain[weight])

    def read(at):
        args = ("net", "jacobian", ("none", "accuracy"), ("pgd", "accuracy"))
        return equal_robustness.at_equal(table_, *args, at)

    assert read(0.8) == pytest.approx([0.3] * 3)
    assert read(0.6) == pytest.approx([0.5] * 3)
    assert np.isnan(read(0.1)).all()
    assert np.isnan(read(0.95)).all()


def test_differences_hold_together():
    random = np.random.default_rng(1)
    rows = []
    for seed in range(6):
        for weight in (0.1, 1.0):
            base = random.normal()
            rows += [("jacobian", weight, seed, "pgd", "accuracy", base)]
            rows += [("curvature", weight, seed, "pgd", "accuracy", base + weight + random.normal() / 50)]
            rows += [("input-gradient", weight, seed, "pgd", "accuracy", base + random.normal())]
    found = comparisons.joint_differences(
        table(rows), "net", "curvature", ("jacobian", "input-gradient"), [("pgd", "accuracy")]
    )
    assert len(found) == 4
    jacobian = found[found["rival"] == "jacobian"].set_index("lambda")
    assert list(jacobian["verdict"]) == ["higher", "higher"]
    pair = [measures.values(table(rows), "net", p, 0.1, "pgd", "accuracy") for p in ("curvature", "jacobian")]
    one = paired_difference(*pair, 1 - 0.05 / 4)
    assert jacobian.loc[0.1, "low"] == pytest.approx(one.low)
    other = comparisons.joint_differences(
        table(rows), "net", "jacobian", ("curvature",), [("pgd", "accuracy")]
    )
    assert list(other["verdict"]) == ["lower", "lower"]
    with pytest.raises(InputError, match="shares no λ"):
        comparisons.joint_differences(
            table(rows), "net", "curvature", ("cross-lipschitz",), [("pgd", "accuracy")]
        )


def test_twenty_comparisons_without_a_difference_seldom_name_a_winner():
    random = np.random.default_rng(2)
    named = 0
    for _ in range(10):
        rows = [
            (name, weight, seed, "pgd", "accuracy", random.normal())
            for name in ("a", "b")
            for weight in range(1, 21)
            for seed in range(5)
        ]
        found = comparisons.joint_differences(table(rows), "net", "a", ("b",), [("pgd", "accuracy")])
        named += bool((found["verdict"] != "undecided").any())
    assert named <= 2  # twenty intervals at 95 % each would name one in six or seven of ten


def test_at_equal_stops_where_a_seed_diverged():
    nan = math.nan
    gain = {0.1: (0.3, 0.8), 1.0: (nan, nan), 10.0: (0.95, 0.2), 100.0: (0.5, 0.1)}

    def line(weight, seed):
        return (0.2, 0.9) if weight == 0 else gain[weight] if seed == 1 else (0.8, 0.5)

    found = equal_robustness.at_equal(
        chain(line, weights=(0.1, 1.0, 10.0, 100.0)),
        *("net", "jacobian", ("pgd", "accuracy"), ("none", "accuracy")), 0.7,
    )  # fmt: skip
    assert np.isnan(found[1]) and np.isfinite(found[[0, 2]]).all()


def test_a_tally_counts_each_verdict_also_those_that_are_missing():
    found = pd.DataFrame({"verdict": ["higher", "undecided", "higher", "higher"]})
    assert comparisons.tally(found["verdict"]) == "ahead in three, behind in none and undecided in one"
    assert comparisons.tally(["undecided"]) == "undecided in the only one"
    assert comparisons.tally(["lower"] * 14) == "behind in all 14"


def test_a_comparison_at_the_best_is_paired_strict_and_counts_its_price():
    random = np.random.default_rng(3)
    rows = []
    for seed in range(6):
        luck = 0.3 + random.normal() / 20
        rows += [("none", 0.0, seed, "pgd", "accuracy", luck), ("none", 0.0, seed, "none", "accuracy", 0.99)]
        for name, gain in (("curvature", 0.1), ("jacobian", 0.05)):
            for weight in (0.1, 1.0):  # at 1.0 twice the gain, for three points of accuracy
                robust = luck + gain * (1 + (weight == 1.0)) + random.normal() / 1000
                rows += [(name, weight, seed, "pgd", "accuracy", robust)]
                rows += [(name, weight, seed, "none", "accuracy", 0.99 - 0.03 * (weight == 1.0))]
    pgd = ("pgd", "accuracy")
    found = comparisons.at_best(table(rows), "net", "curvature", ["jacobian"], [pgd], [math.inf, 0.01])
    assert [(one.price, one.penalty) for one in found] == [
        (price, name) for price in (math.inf, 0.01) for name in ("curvature", "jacobian")
    ]
    assert [set(one.weights) for one in found] == [{1.0}, {1.0}, {0.1}, {0.1}]
    assert [one.difference.verdict for one in found] == ["undecided", "higher", "undecided", "higher"]
    scores = [comparisons.chosen(table(rows), "net", name, pgd)[0] for name in ("curvature", "jacobian")]
    assert found[1].difference == paired_difference(*scores, 1 - 0.05 / 2)
    assert found[1].score == mean_interval(scores[1], span=(0.0, 1.0))
    assert found[1].score.high - found[1].score.low > 5 * (found[1].difference.high - found[1].difference.low)
    (_, other, *_) = comparisons.at_best(table(rows), "net", "jacobian", ["curvature"], [pgd])
    assert other.difference.verdict == "lower"
    with pytest.raises(InputError, match="needs a rival"):
        comparisons.at_best(table(rows), "net", "jacobian", [], [pgd])


def pair_of_lines(first, second, weights, seeds=4):
    """Rows of none and two penalties under all attacks: first(λ) and second(λ), and a seed's own share."""
    rows = []
    for seed in range(seeds):
        for attack, metric in measures.ATTACKS:
            rows.append(("none", 0.0, seed, attack, metric, 0.5))
            for weight in weights:
                own = (seed - 1.5) / 1e4
                rows.append(("jacobian", weight, seed, attack, metric, first(weight) + own))
                rows.append(("cross-lipschitz", weight, seed, attack, metric, second(weight) - own))
    return table(rows)


def test_sameness_needs_an_interval_within_the_margin():
    pair = ("jacobian", "cross-lipschitz")
    near = pair_of_lines(
        lambda w: 0.6, lambda w: 0.6 + 0.002 * (w == 1.0) + 0.05 * (w == 2.0), (0.1, 1.0, 2.0)
    )
    gaps = comparisons.equivalence(near, "net", *pair).set_index(["lambda", "attack"])
    assert len(gaps) == 12
    assert list(gaps.loc[0.1, "same"]) == [True] * 4 and not gaps.loc[0.1, "apart"].any()
    assert list(gaps.loc[1.0, "same"]) == [True] * 4 and gaps.loc[1.0, "apart"].all()
    assert not gaps.loc[2.0, "same"].any()
    # A distance's margin is a fiftieth of 0.5, an accuracy's a point: 0.0101 is too much for both.
    edge = pair_of_lines(lambda w: 0.6, lambda w: 0.6101, (0.1,))
    assert not comparisons.equivalence(edge, "net", *pair)["same"].any()
    alone = near[near["seed"] == 0]
    gaps = comparisons.equivalence(alone, "net", *pair)
    assert not gaps["same"].any() and not gaps["apart"].any()
    assert comparisons.largest(gaps) == pytest.approx({"accuracy": 0.0503, "distance": 0.0503})


def test_gaps_vanish_at_the_partners_weight():
    def line(weight):
        return math.log10(weight) / 10 + 0.5

    rows = pair_of_lines(line, lambda w: line(w / 5), (0.01, 0.1, 1.0, 10.0))
    (results,) = measures.by_network(rows)
    plain, shifted = comparisons.gaps(results, ("jacobian", "cross-lipschitz"), 5.0, measures.PGD)
    assert plain.mean == pytest.approx(10 * math.log10(5), abs=0.03)
    assert shifted.mean < 0.03 and plain.count == 4
    nowhere = comparisons.gaps(results, ("jacobian", "cross-lipschitz"), 1e4, measures.PGD)
    assert all(math.isnan(gap.mean) for gap in nowhere)


def test_at_largest_keeps_the_last_weight():
    gaps = pd.DataFrame({"lambda": [0.1, 1.6, 1.6], "verdict": ["lower", "undecided", "higher"]})
    assert list(comparisons.at_largest(gaps)["verdict"]) == ["undecided", "higher"]


def test_results_of_a_network_are_in_its_measures_unit():
    table_ = chain(lambda weight, seed: (math.nan if (weight, seed) == (10.0, 1) else weight / 100, 0.99))
    table_ = table_.assign(value=table_["value"].where(~((table_["lambda"] == 10.0) & (table_["seed"] == 1))))
    (results,) = measures.by_network(table_, classes=2)
    assert (results.title, results.seeds) == ("net, 2 classes", 3)
    assert results.settings("none", "jacobian")[0] == measures.UNPENALISED
    assert results.weights("jacobian") == [0.1, 1.0, 10.0]
    assert results.diverged() == {("jacobian", 10.0): 1}
    assert results.whole("jacobian") == [("jacobian", 0.1), ("jacobian", 1.0)]
    assert results.best("jacobian", measures.PGD) == ("jacobian", 1.0)
    assert results.values(("jacobian", 1.0), measures.PGD) == pytest.approx([1.0] * 3)
    gap = results.difference(("jacobian", 1.0), measures.UNPENALISED, measures.PGD)
    assert gap.mean == pytest.approx(1.0) and gap.above()


def test_gains_are_at_the_largest_weight_without_divergence_and_differences_at_common_ones():
    rows = []
    for seed in range(3):
        settings = {
            ("none", 0.0): 0.2,
            ("jacobian", 0.1): 0.3,
            ("jacobian", 1.0): 0.4,
            ("jacobian", 9.0): 0.9,
        }
        settings |= {("cross-lipschitz", 0.1): 0.1, ("cross-lipschitz", 9.0): 0.1}
        for setting, pgd in settings.items():
            diverged = setting == ("jacobian", 9.0) and seed == 2
            rows.append((*setting, seed, "none", "accuracy", math.nan if diverged else 0.9))
            rows.append((*setting, seed, "pgd", "accuracy", pgd + 0.01 * seed * bool(setting[1])))
            rows.append((*setting, seed, "deepfool", "distance", 10 * pgd))
    (results,) = measures.by_network(table(rows))
    (gain,) = comparisons.gains(results, ["jacobian", "curvature"], [measures.PGD])
    assert gain.setting == ("jacobian", 1.0)
    assert list(gain.each) == pytest.approx([20.0, 21.0, 22.0]) and gain.gap.mean == pytest.approx(21.0)
    (pair,) = comparisons.at_equal_weights(results, "jacobian", "cross-lipschitz", [measures.PGD])
    assert pair.setting == ("jacobian", 0.1) and list(pair.each) == pytest.approx([20.0] * 3)
    (distance,) = comparisons.gains(results, ["jacobian"], [measures.DEEPFOOL])
    assert gain.margin == 1.0 and distance.margin == pytest.approx(2.0 / 50)


def test_the_highest_mean_the_worth_of_an_image_and_the_most_complete_network():
    accuracies = {
        ("none", 0.0): (0.9, 0.925),
        ("jacobian", 0.1): (0.95, math.nan),
        ("curvature", 1.0): (math.nan,) * 2,
    }
    rows = [
        (*setting, seed, "none", "accuracy", value)
        for setting, by_seed in accuracies.items()
        for seed, value in enumerate(by_seed)
    ]
    (results,) = measures.by_network(table(rows))
    assert results.highest(measures.BENIGN, "curvature", "jacobian", "none") == pytest.approx(95.0)
    assert results.highest(measures.BENIGN, "none") == pytest.approx(91.25)
    assert results.worth_of_an_image("none", "jacobian") == pytest.approx(2.5)
    full = table(rows)
    few_seeds = measures.NetworkResults(full[full["seed"] == 0], "net")
    few_settings = measures.NetworkResults(full[full["penalty"] == "none"], "net")
    assert measures.most_complete([few_settings, results]) is results
    assert measures.most_complete([few_seeds, few_settings]) is few_settings


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_share_that_only_the_jacobian_sees_is_that_of_the_class_sum(classes):
    V = torch.randn(3, 6, classes, generator=torch.Generator().manual_seed(classes), dtype=torch.float64)
    mu2, nu2 = lipschitz_squared(V), cross_lipschitz_squared(V)
    rows = []
    for seed in range(3):
        rows += [("none", 0.0, seed, "none", "jacobian", float(mu2[seed]))]
        rows += [("none", 0.0, seed, "none", "cross-lipschitz", float(nu2[seed]))]
    (results,) = measures.by_network(table(rows))
    share = results.class_sum_share(measures.UNPENALISED, classes)
    percent = 100 * V.sum(dim=-1).square().sum(dim=-1) / classes / mu2
    direct = mean_interval(percent.numpy(), span=(0.0, 100.0))
    assert (share.mean, share.low, share.high) == pytest.approx((direct.mean, direct.low, direct.high))
    assert results.class_sum_share(measures.UNPENALISED, classes + 1).mean < share.mean - 1


def test_every_network_is_compared_and_at_its_best_on_the_common_weights():
    random = np.random.default_rng(4)
    rows = []
    for seed in range(4):
        for attack, metric in (*measures.ATTACKS, ("none", "accuracy")):
            rows.append(("none", 0.0, seed, attack, metric, random.uniform(0.0, 0.1)))
            for weight in (0.1, 1.0):
                rows.append(("jacobian", weight, seed, attack, metric, random.uniform(0.0, 0.1)))
            for weight in (0.1, 1.0, 10.0):  # 10 is the curvature's alone, and far the best
                best = random.uniform(0.0, 0.1) + 0.08 * weight
                rows.append(("curvature", weight, seed, attack, metric, best))
    both = pd.concat([table(rows), table(rows).assign(network="other")])
    gaps = comparisons.joint_differences_by_network(both, "curvature", ["jacobian"])
    assert list(gaps) == ["net", "other"]
    assert gaps["net"]["mean"].tolist() == pytest.approx(gaps["other"]["mean"].tolist())
    assert set(gaps["net"]["lambda"]) == {0.1, 1.0} and len(gaps["net"]) == 8
    best = comparisons.at_best_by_network(both, "curvature", ["jacobian"], [measures.PGD.key], [math.inf])
    assert [one.penalty for one in best["other"]] == ["curvature", "jacobian"]
    assert set(best["net"][0].weights) == {1.0}
