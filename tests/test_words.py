"""Sentences from tables and comparisons say what the numbers say, and a single seed claims nothing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from small_table import table

from regrob.analysis import comparisons, phrases, provenance, summary, words
from regrob.analysis.comparisons import AtBest
from regrob.analysis.intervals import Interval, mean_interval
from regrob.analysis.measures import ATTACKS, BENIGN, DEEPFOOL, PGD, Measure, by_network

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
        "lower in one and undecided in two; one has one seed and no verdict"
    )
    close = words.counts(["within", "outside", "within"])
    assert close == "within the margin in two and outside it in one"
    assert words.counts([words.ONE_SEED] * 14) == "14 have one seed and no verdict"
    assert words.counts([]) == ""


@pytest.mark.parametrize(
    ("verdicts", "sign"),
    [
        (["higher", "higher"], "✅"),
        (["higher", "undecided"], "❔"),
        (["higher", "lower"], "❌"),
        ([], "❔"),
    ],
)
def test_a_mark_needs_all_and_one_counterexample_is_enough(verdicts: list[str], sign: str) -> None:
    assert words.mark(verdicts) == sign


def test_large_factors_are_powers_of_ten() -> None:
    assert [phrases.power_of_ten(x) for x in (83.4, 9999, 2.3e7, 9.6e10, 4e-16, 0.0)] == [
        "83",
        "9999",
        "2·10⁷",
        "10·10¹⁰",
        "4·10⁻¹⁶",
        "0",
    ]
    assert phrases.thousands(50_000) == "50 000"


def test_counts_agree_with_their_nouns() -> None:
    numbers = [phrases.counted(count, "seed") for count in (0, 1, 2, 12, 13, 1300)]
    assert numbers == ["no seeds", "one seed", "two seeds", "twelve seeds", "13 seeds", "1 300 seeds"]
    assert phrases.counted(2, "entry", "entries") == "two entries"


def test_counts_beside_each_other_are_all_words_or_all_digits() -> None:
    assert phrases.numbers([0, 3, 12]) == ["no", "three", "twelve"]
    assert phrases.numbers([0, 3, 13]) == ["0", "3", "13"] and phrases.numbers([]) == []


def test_what_rounds_to_zero_is_less_than_the_last_digit() -> None:
    assert [phrases.at_most(size, ".1f") for size in (0.26, 0.04, 0.0)] == [
        "0.3",
        "less than 0.1",
        "less than 0.1",
    ]
    assert phrases.at_most(4e-6, ".4f") == "less than 0.0001"


def test_lists_end_in_and() -> None:
    assert [phrases.listed("abc"[:count]) for count in range(4)] == ["none", "a", "a and b", "a, b and c"]
    assert phrases.listed([], "no network") == "no network"
    assert phrases.sentence("one seed of LeNet-5") == "One seed of LeNet-5" and phrases.sentence("") == ""


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        ("x86_64 CPU", "an x86-64 processor"),
        ("aarch64 CPU", "a 64-bit Arm processor"),
        ("AMD EPYC", "an AMD EPYC"),
        ("NVIDIA H100", "an NVIDIA H100"),
        ("Tesla T4", "a Tesla T4"),
        ("not recorded", "a device that was not recorded"),
    ],
)
def test_a_device_has_its_article(recorded: str, text: str) -> None:
    assert phrases.device(recorded) == text


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
    best = summary.best_settings([network], ["jacobian"], PGD, (BENIGN, PGD, DEEPFOOL))
    assert list(best) == ["network", "penalty", "λ", "no attack, %", "PGD, %", "DeepFool, distance"]
    assert best.to_numpy().tolist() == [
        ["net", "no penalty", "–", "99.0 (99.0 and 99.0)", "10.0 (10.0 and 10.0)", "1.90 (1.90 and 1.90)"],
        ["net", "Jacobian", "0.1", "98.0 (98.0 and 98.0)", "25.0 (20.0 and 30.0)", "1.75 (1.70 and 1.80)"],
    ]
    assert words.diverged_settings([network]) == "one of two seeds of net with the Jacobian penalty at λ = 1"
    assert words.diverged_settings([]) == "no network"
    # Only accuracy without attack says who diverged; a distance may be NaN for other reasons.
    hollow = results.assign(value=results["value"].mask(results["attack"] == "deepfool"))
    assert words.diverged_networks(hollow) == {("jacobian", 1.0): "one of two networks"}


def test_gains_of_two_seeds_show_both_and_a_single_one_no_verdict(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    compared = comparisons.gains(network, ["jacobian"], (PGD, DEEPFOOL))
    assert [words.with_verdict(c.gap, c.measure.digits) for c in compared] == [
        "15.0 (10.0 and 20.0), undecided",
        "−0.15 (−0.20 and −0.10), undecided",
    ]
    assert compared[0].gap.low == pytest.approx(-48.5, abs=0.1)  # the interval is kept: it decides
    assert words.largest_difference(compared, PGD) == "+15.0"
    assert words.largest_difference(compared, DEEPFOOL) == "−0.150"
    assert words.largest_difference(compared, BENIGN) == "–"
    (alone,) = by_network(results[results["seed"] == 0])
    (gain,) = comparisons.gains(alone, ["jacobian"], (PGD,))
    assert words.with_verdict(gain.gap, ".1f") == "40.0 (one seed)"  # its own largest λ


def test_the_lowest_success_is_of_one_seed_and_says_where() -> None:
    rates = {("none", 0.0): (1.0, 0.9), ("jacobian", 0.1): (0.8, math.nan), ("jacobian", 1.0): (0.9, 0.7)}
    rows = [
        (*setting, seed, attack, "success", value if attack == "deepfool" else 1.0)
        for setting, values in rates.items()
        for seed, value in enumerate(values)
        for attack in ("deepfool", "carlini-wagner")
    ]
    text = words.lowest_success(by_network(table(rows), classes=2), ["jacobian"])
    assert text.startswith(
        "The lowest success rate is 70.0 %, that of DeepFool on net with two classes, with the Jacobian "
        "penalty at λ = 1; "
    )
    everywhere = [(*row[:-1], 1.0) for row in rows]
    text = words.lowest_success(by_network(table(everywhere)), ["jacobian"])
    assert text == "Both minimal attacks fooled every network on every image."


def test_means_and_the_best_penalty_of_each_network(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    assert words.means_at(network, ("jacobian", 0.1), (BENIGN, PGD, DEEPFOOL)) == {
        "benign": "98.0",
        "pgd": "25.0",
        "deepfool": "1.75",
    }
    assert words.means_at(network, ("jacobian", 0.1), [PGD], ".0f") == {"pgd": "25"}
    # λ = 1 reaches 60 % under PGD, but a seed diverged.
    assert words.best_penalties([network], ["none", "jacobian"], PGD) == "the Jacobian penalty for net"
    assert words.best_penalties([network] * 2, ["none", "jacobian"], DEEPFOOL) == "no penalty for net and net"
    alone, both = (
        summary.best_settings([network], names, PGD) for names in (["jacobian"], ["curvature", "jacobian"])
    )
    pd.testing.assert_frame_equal(alone, both)


def test_gains_are_counted_by_seed_and_by_verdict(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    (alone,) = by_network(results[results["seed"] == 0])
    compared = [
        gain for n in (network, alone) for gain in comparisons.gains(n, ["jacobian"], (PGD, DEEPFOOL))
    ]
    assert words.gain_counts(compared) == {
        "up-jacobian": "none of three",
        "gain-pgd": "undecided in one; one has one seed and no verdict",
        "gain-deepfool": "undecided in one; one has one seed and no verdict",
        "gain-mark": "❔",
    }
    longer = [gain._replace(each=np.array([0.59, 0.6])) for gain in compared]
    facts = words.gain_counts([*longer, compared[-1]])
    assert (facts["up-jacobian"], facts["gain-mark"]) == ("four of five", "✅")


def test_jacobian_and_cross_lipschitz_are_compared_network_by_network() -> None:
    rows = []
    for penalty, weight in (("reference", 0.0), ("none", 0.0), ("jacobian", 0.1), ("cross-lipschitz", 0.1)):
        for seed in (0, 1):
            rows += [(penalty, weight, seed, "none", "accuracy", 0.9)]
            rows += [(penalty, weight, seed, "none", "jacobian", 2.0)]
            rows += [(penalty, weight, seed, "none", "cross-lipschitz", 1.5)]
            gap = 0.02 if penalty == "jacobian" else 0.0
            rows += [(penalty, weight, seed, *key, 0.5 + gap) for key in ATTACKS]
    frame, facts = words.jacobian_and_cross_lipschitz(by_network(table(rows)), classes=2)
    # Margins: a point of accuracy, and 0.5 / 50 of distance.
    assert facts == {"same": "outside it in four", "same-mark": "❌", "square": "25 to 25"}
    assert frame.to_numpy().tolist() == [["net", "25.0 (25.0 and 25.0)", "+2.0", "+0.020"]]
    references = [row for row in rows if row[0] == "reference"]
    _, facts = words.jacobian_and_cross_lipschitz(by_network(table(references)), classes=1)
    assert facts["same"] == "none run" and facts["square"] == "62 to 62"


def test_a_gap_of_one_seed_gets_no_verdict() -> None:
    assert words.with_verdict(UP, ".1f") == "2.0 [1.0, 3.0], higher"
    assert words.with_verdict(ALONE, ".1f") == "2.0 (one seed)"


def test_absent_networks_and_the_longest_training(results: pd.DataFrame) -> None:
    absent = provenance.absent(results, {"net", "vgg", "conv-bn"})
    assert absent == "the four-layer network and the VGG-like network"
    assert provenance.absent(results, {"net"}) == "none"
    budgets = [{"networks": {"a": {"reference": 5}, "b": {"reference": 70}}}]
    assert provenance.longest_training([*budgets, {"networks": {"a": {"reference": 8}}}]) == 70


def test_a_duel_of_one_seed_has_no_verdict() -> None:
    rows = [
        (penalty, 0.1, seed, *key, 0.5 + 0.1 * seed * (penalty == "jacobian") + (penalty == "curvature"))
        for penalty in ("curvature", "jacobian")
        for seed in range(3)
        for key in ATTACKS
    ]
    board = comparisons.joint_differences(table(rows), "net", "curvature", ["jacobian"], ATTACKS)
    assert words.verdicts_of([board]) == {"board": "ahead in all four", "board-mark": "✅"}
    alone = comparisons.joint_differences(
        table(rows[:4] + rows[12:16]), "net", "curvature", ["jacobian"], ATTACKS
    )
    assert words.verdicts_of([board, alone])["board-mark"] == "❔"
    facts = words.verdicts_of([])
    assert facts == {"board": "no comparison, for want of a second seed", "board-mark": "❔"}


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
    assert standing == ("ahead of the Jacobian penalty, and not told apart from the cross-Lipschitz penalty")
    assert words.verdicts_at_best(ENDS, 0.01, PGD) == "behind the Jacobian penalty"


def alike(difference: Interval, measure: Measure) -> list[AtBest]:
    """The curvature and two rivals that all differ from it alike, by one measure."""
    penalties = ("curvature", "jacobian", "cross-lipschitz")
    return [AtBest(0.01, measure.key, penalty, UP, (0.1,), difference) for penalty in penalties]


@pytest.mark.parametrize(
    ("difference", "standing", "joined"),
    [
        (OPEN, "not told apart from any rival", "or"),
        (UP, "ahead of every rival", "and"),
        (DOWN, "behind every rival", "and"),
    ],
)
def test_a_standing_towards_all_rivals_names_none(difference: Interval, standing: str, joined: str) -> None:
    ends = alike(difference, PGD) + alike(difference, DEEPFOOL)
    assert words.verdicts_at_best(ends, 0.01, PGD) == standing
    places = {"under PGD": PGD, "by DeepFool's distance": DEEPFOOL}
    told = words.verdicts_by_place(ends, 0.01, places)
    assert told == f"{standing}, under PGD {joined} by DeepFool's distance"


def test_a_standing_that_the_measures_do_not_share_is_told_of_each() -> None:
    ends = alike(UP, PGD) + alike(OPEN, DEEPFOOL)
    told = words.verdicts_by_place(ends, 0.01, {"under PGD": PGD, "by distance": DEEPFOOL})
    assert told == "under PGD ahead of every rival; by distance not told apart from any rival"


def row_of(verdict: str, firm: bool) -> pd.Series:
    return pd.Series({"verdict": verdict, "firm": firm, "mean": 0.02, "low": 0.01, "high": 0.03, "count": 5})


def test_only_a_firm_race_has_a_mark() -> None:
    rows = [row_of("higher", True), row_of("lower", True), row_of("higher", False), row_of("undecided", True)]
    assert [words.firm_mark(row) for row in rows] == ["✅", "❌", "❔", "❔"]
    assert words.firm_mark(row_of("not reached", True)) == "not reached"
    in_words = {"higher": "pays less", "undecided": "undecided"}
    assert [words.firm_verdict(row, in_words) for row in rows[2:]] == [
        "pays less (not on a coarser grid)",
        "undecided",
    ]
    assert words.difference(rows[0], 100) == "2.00 [1.00, 3.00]"
    assert words.difference(row_of("not reached", False)) == "not reached by all seeds"


def test_a_price_needs_all_seeds() -> None:
    row = pd.Series({"reached": 3, "seeds": 4, "mean": math.nan, "low": math.nan, "high": math.nan})
    assert words.paid(row) == "reached by three of four seeds"
    row = pd.Series({"reached": 4, "seeds": 4, "mean": 0.02, "low": 0.01, "high": 0.03})
    assert words.paid(row) == "2.00 [1.00, 3.00]"


def test_places_of_differences() -> None:
    gaps = pd.DataFrame(
        {"attack": ["pgd", "deepfool"], "metric": ["accuracy", "distance"], "lambda": [0.1, 1.6]}
    )
    assert words.attacks_and_weights(gaps) == "PGD at λ = 0.1 and DeepFool at λ = 1.6"
    assert words.attacks_and_weights(gaps[:0]) == "none"


def test_tallies_are_of_all_and_of_the_largest_weight() -> None:
    rows = [("jacobian", 0.1, "higher"), ("jacobian", 1.0, "lower"), ("cross-lipschitz", 1.0, "higher")]
    texts = words.tallies(pd.DataFrame(rows, columns=["rival", "lambda", "verdict"]))
    assert texts["board"] == "ahead in two, behind in one and undecided in none"
    assert texts["board-count"] == "3" and texts["largest"] == "1"
    assert texts["board-largest"] == "ahead in one, behind in one and undecided in none"
    assert texts["top-jacobian"] == "behind in the only one"  # 0.1 is left out


def test_who_diverged_and_how_the_others_classify(results: pd.DataFrame) -> None:
    (network,) = by_network(results)
    assert words.diverged_and_others([network]) == (
        "One of two seeds of net with the Jacobian penalty at λ = 1 diverged; "
        "the others classify 90 to 90 % of the images."
    )
    (unharmed,) = by_network(results[results["lambda"] < 1])
    assert words.diverged_and_others([unharmed]) == "No seed diverged."
    assert words.lost_seeds(network) == "one of two seeds with the Jacobian penalty at λ = 1"
    assert words.lost_seeds(unharmed) == "no seed"
    everyone = by_network(results.assign(value=results["value"].where(results["lambda"] < 1)))
    text = words.diverged_and_others(everyone)
    assert text == "Both seeds of net with the Jacobian penalty at λ = 1 diverged."


def test_readings_are_taken_at_the_level_and_in_the_aims_unit(results: pd.DataFrame) -> None:
    levels, aims = {PGD: 0.15}, {BENIGN: ".2f", DEEPFOOL: ".3f"}
    (row,) = summary.readings(results, "net", ["jacobian"], levels, aims).to_dict("records")
    # Half and a quarter of the way from 0.99 to 0.98.
    assert row == {
        "equal": "PGD at 15",
        "penalty": "Jacobian",
        "no attack, %": f"{mean_interval([98.5, 98.75]):.2f}",
        "DeepFool": f"{mean_interval([1.85, 1.85]):.3f}",
    }


def test_sameness_tells_undecided_from_apart() -> None:
    columns = ["attack", "metric", "lambda", "same", "apart"]
    rows = [("pgd", "accuracy", 0.1, True, True), ("deepfool", "distance", 1.6, False, False)]
    gaps = pd.DataFrame(rows, columns=columns)
    assert words.sameness(gaps) == {
        "same-count": "1 of 2",
        "not-same": "DeepFool at λ = 1.6",
        "apart": "PGD at λ = 0.1",
    }
    assert words.sameness(gaps.assign(same=True))["same-count"] == "all 2"


def differences_at_targets(attacks: list[str]) -> pd.DataFrame:
    """A line for each attack: the curvature is higher at 0.6, on one grid only; not reached at 0.9."""
    rows = [
        {**row_of(verdict, firm=False), "target": target, "method": "curvature", "attack": attack}
        for target, verdict in ((0.6, "higher"), (0.9, "not reached"))
        for attack in attacks
    ]
    return pd.DataFrame(rows).assign(metric="distance")


def test_verdicts_of_a_race_are_counted() -> None:
    endings = {"higher": "farther", "not reached": "not so robust"}
    tally = words.verdict_counts(differences_at_targets(["deepfool", "carlini-wagner"]), endings)
    assert tally == "farther (not on a coarser grid) in two; not so robust in two"


def test_facts_of_a_race_are_named_by_attack_where_there_are_several() -> None:
    endings = {"higher": "farther"}
    one = differences_at_targets(["deepfool"])
    assert words.difference_facts(one[one["target"] == 0.6], endings, 100) == {
        "duel-curvature": "2.00 [1.00, 3.00]",
        "word-curvature": "farther (not on a coarser grid)",
        "far-curvature": "2.00 [1.00, 3.00], farther (not on a coarser grid)",
        "mark-curvature": "❔",
    }
    both = differences_at_targets(["deepfool", "carlini-wagner"])
    facts = words.difference_facts(both[both["target"] == 0.9], endings)
    assert facts["far-carlini-wagner-curvature"] == "not reached by all seeds"
    assert facts["mark-deepfool-curvature"] == "not reached"


@pytest.mark.parametrize(("price", "coarse", "sign"), [(UP, UP, "✅"), (DOWN, DOWN, "❌"), (UP, OPEN, "❔")])
def test_a_price_is_marked_where_a_coarser_grid_agrees(price: Interval, coarse: Interval, sign: str) -> None:
    def prices(gap: Interval) -> pd.DataFrame:
        numbers = {"mean": gap.mean, "low": gap.low, "high": gap.high}
        other = {"method": "jacobian", "target": 0.9, "mean": 0.0, "low": -1.0, "high": 1.0}
        return pd.DataFrame([other, {"method": "curvature", "target": 0.9, **numbers}])

    assert words.price_mark(prices(price), prices(coarse), "curvature", 0.9) == sign


def test_methods_stand_side_by_side_and_zero_is_a_dash() -> None:
    columns = {"shapes": {"none": 0.0, "jacobian": 1.149}, "ours": {"none": 0.34, "jacobian": 1.886}}
    rows = words.by_method(columns, ".2f")
    assert list(rows) == ["method", "shapes", "ours"]
    assert rows.to_numpy().tolist() == [["no penalty", "–", "0.34"], ["Jacobian", "1.15", "1.89"]]
