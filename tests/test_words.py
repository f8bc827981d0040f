"""Sentences from tables and comparisons say what the numbers say, and a single seed claims nothing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from small_table import table

from regrob.analysis import comparisons, words
from regrob.analysis.comparisons import AtBest
from regrob.analysis.intervals import Interval, mean_interval
from regrob.analysis.measures import ATTACKS, BENIGN, DEEPFOOL, PGD, by_network

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
    # Only accuracy without attack says who diverged; a distance may be NaN for other reasons.
    hollow = results.assign(value=results["value"].mask(results["attack"] == "deepfool"))
    assert words.diverged_networks(hollow) == {"jacobian at λ = 1": "1 of 2 networks"}


def test_gains_name_settings_and_a_verdict_only_where_there_is_an_interval(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    compared = comparisons.gains(network, ["jacobian"], (PGD, DEEPFOOL))
    assert [line.split() for line in words.gains(compared).splitlines()] == [
        ["net"],
        ["Jacobian,", "λ", "=", "0.1"],
        ["PGD", "15.0", "[-48.5,", "78.5]"],
        ["undecided"],
        ["DeepFool", "-0.15", "[-0.79,", "0.49]"],
        ["undecided"],
    ]
    assert words.largest_difference(compared, PGD) == "+15.0"
    assert words.largest_difference(compared, DEEPFOOL) == "-0.150"
    assert words.largest_difference(compared, BENIGN) == "–"
    (alone,) = by_network(results[results["seed"] == 0])
    assert "decided" not in words.gains(comparisons.gains(alone, ["jacobian"], (PGD,)))


def test_the_lowest_success_is_of_one_seed_and_says_where() -> None:
    rates = {("none", 0.0): (1.0, 0.9), ("jacobian", 0.1): (0.8, math.nan), ("jacobian", 1.0): (0.9, 0.7)}
    rows = [
        (*setting, seed, attack, "success", value if attack == "deepfool" else 1.0)
        for setting, values in rates.items()
        for seed, value in enumerate(values)
        for attack in ("deepfool", "carlini-wagner")
    ]
    rate, where = words.lowest_success(by_network(table(rows), classes=2), ["jacobian"])
    assert (rate, where) == (pytest.approx(70.0), "DeepFool, net, 2 classes, Jacobian, λ = 1")


def test_means_and_the_best_penalty_of_each_network(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    assert words.means_at(network, ("jacobian", 0.1), (BENIGN, PGD, DEEPFOOL)) == {
        "benign": "98.0",
        "pgd": "25.0",
        "deepfool": "1.75",
    }
    assert words.means_at(network, ("jacobian", 0.1), [PGD], ".0f") == {"pgd": "25"}
    # λ = 1 reaches 60 % under PGD, but a seed diverged.
    assert words.best_penalties([network], ["none", "jacobian"], PGD) == "net: Jacobian"
    assert words.best_penalties([network], ["none", "jacobian"], DEEPFOOL) == "net: no penalty"
    assert words.best_settings(network, ["jacobian"], PGD, [PGD]) == words.best_settings(
        network, ["curvature", "jacobian"], PGD, [PGD]
    )


def test_gains_are_counted_by_seed_and_by_verdict(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    (alone,) = by_network(results[results["seed"] == 0])
    compared = [
        gain for n in (network, alone) for gain in comparisons.gains(n, ["jacobian"], (PGD, DEEPFOOL))
    ]
    assert words.gain_counts(compared) == {
        "up-jacobian": "0 of 3",
        "gain-pgd": "1 undecided; 1 one seed, no interval",
        "gain-deepfool": "1 undecided; 1 one seed, no interval",
        "gain-mark": "undecided",
    }
    longer = [gain._replace(each=np.array([0.59, 0.6])) for gain in compared]
    facts = words.gain_counts([*longer, compared[-1]])
    assert (facts["up-jacobian"], facts["gain-mark"]) == ("4 of 5", "✅")


def test_jacobian_and_cross_lipschitz_are_compared_network_by_network() -> None:
    rows = []
    for penalty, weight in (("reference", 0.0), ("none", 0.0), ("jacobian", 0.1), ("cross-lipschitz", 0.1)):
        for seed in (0, 1):
            rows += [(penalty, weight, seed, "none", "accuracy", 0.9)]
            rows += [(penalty, weight, seed, "none", "jacobian", 2.0)]
            rows += [(penalty, weight, seed, "none", "cross-lipschitz", 1.5)]
            gap = 0.02 if penalty == "jacobian" else 0.0
            rows += [(penalty, weight, seed, *key, 0.5 + gap) for key in ATTACKS]
    text, facts = words.jacobian_and_cross_lipschitz(by_network(table(rows)), classes=2)
    # Margins: a point of accuracy, and 0.5 / 50 of distance.
    assert facts == {"same": "4 outside", "same-mark": "❌", "square": "25 to 25"}
    assert text.splitlines() == [
        "net: the square",
        "  is, in % of μ², 25.0 [25.0, 25.0]",
        "  largest difference, PGD: +2.0",
        "  largest difference, DeepFool: +0.020",
    ]
    references = [row for row in rows if row[0] == "reference"]
    _, facts = words.jacobian_and_cross_lipschitz(by_network(table(references)), classes=1)
    assert facts["same"] == "none run" and facts["square"] == "62 to 62"


def test_a_gap_of_one_seed_gets_no_verdict() -> None:
    assert words.with_verdict(UP, ".1f") == "2.0 [1.0, 3.0], higher"
    assert words.with_verdict(ALONE, ".1f") == "2.0 (one seed)"


def test_absent_networks_and_the_longest_training(results: pd.DataFrame) -> None:
    assert words.absent(results, {"net", "vgg", "conv-bn"}) == "Four layers, BatchNorm, VGG-like"
    assert words.absent(results, {"net"}) == "none"
    budgets = [{"networks": {"a": {"reference": 5}, "b": {"reference": 70}}}]
    assert words.longest_training([*budgets, {"networks": {"a": {"reference": 8}}}]) == 70


def test_a_duel_of_one_seed_has_no_verdict() -> None:
    rows = [
        (penalty, 0.1, seed, *key, 0.5 + 0.1 * seed * (penalty == "jacobian") + (penalty == "curvature"))
        for penalty in ("curvature", "jacobian")
        for seed in range(3)
        for key in ATTACKS
    ]
    (network,) = by_network(table(rows))
    (alone,) = by_network(table(rows[:4] + rows[12:16]))
    text, facts = words.joint_differences([network, alone], "curvature", ["jacobian"])
    assert facts == {"board": "4 ahead, 0 behind, 0 undecided", "board-mark": "✅"}
    assert text.splitlines()[:2] == ["net", "curvature against …"]
    assert text.splitlines()[-2:] == ["net", "  one seed, no interval"]
    _, facts = words.joint_differences([alone], "curvature", ["jacobian"])
    assert facts == {"board": "no comparison", "board-mark": "undecided"}


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


def test_scores_are_of_all_and_in_points() -> None:
    scores = words.scores(ENDS, {"any": math.inf, "point": 0.01}, ".0f")
    assert len(scores) == 5 and scores["point-pgd-curvature"] == "200 [100, 300]"


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


def test_tallies_are_of_all_and_of_the_largest_weight() -> None:
    rows = [("jacobian", 0.1, "higher"), ("jacobian", 1.0, "lower"), ("cross-lipschitz", 1.0, "higher")]
    texts = words.tallies(pd.DataFrame(rows, columns=["rival", "lambda", "verdict"]))
    assert texts["board"] == "2 ahead, 1 behind, 0 undecided" and texts["board-count"] == "3"
    assert texts["board-largest"] == "1 ahead, 1 behind, 0 undecided" and texts["largest"] == "1"
    assert texts["top-jacobian"] == "0 ahead, 1 behind, 0 undecided"  # 0.1 is left out


def test_who_diverged_and_how_the_others_classify(results: pd.DataFrame) -> None:
    text = words.diverged_and_others(results)
    assert text == "net, Jacobian, λ = 1: 1 seeds, and the others classify 90 to 90 % of the images"
    nobody = results[results["lambda"] < 1]
    assert words.diverged_and_others(nobody) == "none"
    (network,), (unharmed,) = by_network(results), by_network(nobody)
    assert words.lost_seeds(network) == "Jacobian, 1: 1 of 2 seeds"
    assert words.lost_seeds(unharmed) == "none"
    everyone = results.assign(value=results["value"].where(results["lambda"] < 1))
    assert words.diverged_and_others(everyone) == "net, Jacobian, λ = 1: all seeds"


def test_readings_are_taken_at_the_level_and_in_the_aims_unit(results: pd.DataFrame) -> None:
    lines = words.readings(results, "net", ["jacobian"], PGD, 0.15, {BENIGN: ".2f", DEEPFOOL: ".3f"})
    # Half and a quarter of the way from 0.99 to 0.98.
    assert lines.splitlines()[:3] == [
        "where PGD reaches 15",
        "  no attack, accuracy, %",
        f"    Jacobian         {mean_interval([98.5, 98.75]):.2f}",
    ]
    assert lines.splitlines()[4] == f"    Jacobian         {mean_interval([1.85, 1.85]):.3f}"


def test_sameness_tells_undecided_from_apart() -> None:
    columns = ["attack", "metric", "lambda", "same", "apart"]
    rows = [("pgd", "accuracy", 0.1, True, True), ("deepfool", "distance", 1.6, False, False)]
    gaps = pd.DataFrame(rows, columns=columns)
    assert words.sameness(gaps) == {
        "same-count": "1 of 2",
        "not-same": "DeepFool at λ = 1.6",
        "apart": "PGD at λ = 0.1",
    }
    assert words.same_or_apart(gaps).splitlines()[0] == "  same, within the margin: 1 of 2"


def test_prices_say_how_many_seeds_reach_a_target() -> None:
    columns = ["method", "target", "reached", "seeds", "mean", "low", "high"]
    rows = [("jacobian", 0.8, 4, 4, 0.01, 0.0, 0.02), ("jacobian", 0.9, 3, 4, math.nan, math.nan, math.nan)]
    assert words.prices(pd.DataFrame(rows, columns=columns)).splitlines() == [
        "Jacobian",
        "  80 % under PGD: gives up 1.00 [0.00, 2.00] points",
        "  90 % under PGD: reached by 3 of 4 seeds",
    ]


def differences_at_targets(attacks: list[str]) -> pd.DataFrame:
    """A line for each attack: the curvature is higher at 0.6, on one grid only; not reached at 0.9."""
    rows = [
        {**row_of(verdict, firm=False), "target": target, "method": "curvature", "attack": attack}
        for target, verdict in ((0.6, "higher"), (0.9, "not reached"))
        for attack in attacks
    ]
    return pd.DataFrame(rows).assign(metric="distance")


def test_differences_stand_below_what_is_made_equal() -> None:
    endings = {"higher": "farther", "undecided": "undecided"}
    assert words.differences(differences_at_targets(["deepfool"]), PGD, endings, 100).splitlines() == [
        "both at 60 % under PGD",
        "  curvature:",
        "    2.00 [1.00, 3.00]",
        "    farther, but not on a coarser grid",
        "both at 90 % under PGD",
        "  curvature:",
        "    not reached by all seeds",
    ]
    two_attacks = differences_at_targets(["deepfool", "carlini-wagner"])
    two = words.differences(two_attacks, DEEPFOOL, endings).splitlines()
    assert two[0] == "both at 0.6 under DeepFool"
    assert two[1:3] == ["  DeepFool, curvature:", "    0.02 [0.01, 0.03]"]
    assert "  Carlini–Wagner, curvature:" in two
    tally = words.verdict_counts(two_attacks, endings)
    assert tally == "farther, but not on a coarser grid: 2; not reached: 2"


def test_facts_of_a_race_are_named_by_attack_where_there_are_several() -> None:
    endings = {"higher": "farther"}
    one = differences_at_targets(["deepfool"])
    assert words.difference_facts(one[one["target"] == 0.6], endings, 100) == {
        "duel-curvature": "2.00 [1.00, 3.00]",
        "word-curvature": "farther, but not on a coarser grid",
        "far-curvature": "2.00 [1.00, 3.00], farther, but not on a coarser grid",
        "mark-curvature": "undecided",
    }
    both = differences_at_targets(["deepfool", "carlini-wagner"])
    facts = words.difference_facts(both[both["target"] == 0.9], endings)
    assert facts["far-carlini-wagner-curvature"] == "not reached by all seeds"
    assert facts["mark-deepfool-curvature"] == "not reached"


@pytest.mark.parametrize(
    ("price", "coarse", "sign"), [(UP, UP, "✅"), (DOWN, DOWN, "❌"), (UP, OPEN, "undecided")]
)
def test_a_price_is_marked_where_a_coarser_grid_agrees(price: Interval, coarse: Interval, sign: str) -> None:
    def prices(gap: Interval) -> pd.DataFrame:
        numbers = {"mean": gap.mean, "low": gap.low, "high": gap.high}
        other = {"method": "jacobian", "target": 0.9, "mean": 0.0, "low": -1.0, "high": 1.0}
        return pd.DataFrame([other, {"method": "curvature", "target": 0.9, **numbers}])

    assert words.price_mark(prices(price), prices(coarse), "curvature", 0.9) == sign


def test_methods_stand_side_by_side_and_zero_is_a_dash() -> None:
    columns = {"shapes": {"none": 0.0, "jacobian": 1.149}, "ours": {"none": 0.34, "jacobian": 1.886}}
    lines = words.by_method("K = 2", columns, ".2f").splitlines()
    assert [line.split() for line in lines] == [
        ["K", "=", "2", "shapes", "ours"],
        ["no", "penalty", "–", "0.34"],
        ["Jacobian", "1.15", "1.89"],
    ]
    assert len({len(line) for line in lines}) == 1
    facts = words.method_facts(columns, ".2f")
    assert (facts["shapes-none"], facts["ours-jacobian"], len(facts)) == ("–", "1.89", 4)


def test_steps_of_a_sweep_are_medians_of_one_networks_shards() -> None:
    seconds = {"d-net-jacobian-0.1-0": 0.03, "d-net-jacobian-1-0": 0.05, "d-net-jacobian-2-0": None}
    seconds |= {"d-other-jacobian-1-0": 9.0, "d-net-cross-lipschitz-1-0": 0.02}
    sidecar = {"dataset": "d", "step_seconds": seconds}
    assert words.sweep_steps([sidecar], "net") == "  jacobian: 40, 2 shards\n  cross-lipschitz: 20, 1 shards"
