"""What tables of results and comparisons say, as parts of sentences for the prose of a page.

Everything is computed from the tables, so that a sentence cannot lag behind its numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.analysis import comparisons, phrases
from regrob.analysis.comparisons import IN_WORDS, AtBest, Comparison, at_largest, tally
from regrob.analysis.equal_robustness import NOT_REACHED
from regrob.analysis.intervals import Interval, written
from regrob.analysis.measures import (
    BENIGN,
    CARLINI,
    DEEPFOOL,
    LABELS,
    MEASURES,
    PENALTY_PHRASES,
    PGD,
    ROBUST,
    Measure,
    NetworkResults,
    Setting,
    setting_phrase,
    success,
)

if TYPE_CHECKING:
    import pandas as pd

ONE_SEED = "one seed, no interval"
VERDICTS = {
    "higher": "higher",
    "lower": "lower",
    "within": "within the margin",
    "outside": "outside it",
    "undecided": "undecided",
}
"""What `verdict` and `closeness` say, in the order and the words of `counts`."""

HELD, FAILED, UNDECIDED = "✅", "❌", "❔"
"""The marks of a statement: borne out, refuted, and neither of the two."""

SHORT = {BENIGN: "benign", **{measure: measure.attack for measure in ROBUST}}
"""Measure → what the names of its facts end in."""


# --- verdicts in words --------------------------------------------------------------------


def verdict(gap: Interval) -> str:
    """ "higher", "lower" or "undecided"; of a single seed, that it has no interval."""
    return ONE_SEED if gap.count < 2 else gap.verdict


def with_verdict(gap: Interval, digits: str) -> str:
    """A difference, its interval and what that says: "2.0 [1.0, 3.0], higher"; of one seed, no verdict."""
    return f"{gap:{digits}}, {verdict(gap)}" if gap.count > 1 else f"{gap:{digits}}"


def closeness(gap: Interval, margin: float) -> str:
    """Whether the whole interval lies "within" ±margin or "outside" it, else "undecided"."""
    if gap.count < 2:
        return ONE_SEED
    if gap.within(margin):
        return "within"
    return "outside" if gap.above(margin) or gap.below(-margin) else "undecided"


def counts(verdicts: Iterable[str]) -> str:
    """How often each verdict of `verdict` or `closeness` occurs: "higher in two and undecided in one"."""
    found = Counter(verdicts)
    counts = dict(zip(found, phrases.numbers(found.values()), strict=True))
    parts = [f"{word} in {counts[name]}" for name, word in VERDICTS.items() if name in counts]
    texts = [phrases.listed(parts)] if parts else []
    if ONE_SEED in counts:
        has = "has" if found[ONE_SEED] == 1 else "have"
        texts.append(f"{counts[ONE_SEED]} {has} one seed and no verdict")
    return "; ".join(texts)


def mark(verdicts: Iterable[str], good: str = "higher", bad: str = "lower") -> str:
    """✅ if every verdict is `good` and there is one, ❌ if any is `bad`, else ❔."""
    kinds = set(verdicts)
    if bad in kinds:
        return FAILED
    return HELD if kinds == {good} else UNDECIDED


def tick(holds: bool) -> str:
    """✅ or ❌."""
    return HELD if holds else FAILED


# --- tables in words ----------------------------------------------------------------------


def means_at(
    results: NetworkResults, setting: Setting, measures: Iterable[Measure], digits: str | None = None
) -> dict[str, str]:
    """ "benign", "pgd", … → the mean over seeds at one setting, for the prose."""
    means = {measure: results.interval(setting, measure).mean for measure in measures}
    return {SHORT[measure]: f"{mean:{digits or measure.digits}}" for measure, mean in means.items()}


def best_penalties(networks: Iterable[NetworkResults], penalties: Sequence[str], measure: Measure) -> str:
    """Whose best setting is the best of all: "the curvature penalty for LeNet-5; …"."""
    best_for: dict[str, list[str]] = {}
    for results in networks:
        best, _ = max(results.whole(*penalties), key=lambda s: results.interval(s, measure).mean)
        best_for.setdefault(PENALTY_PHRASES[best], []).append(results.phrase)
    return "; ".join(f"{penalty} for {phrases.listed(titles)}" for penalty, titles in best_for.items())


def lowest_success(networks: Iterable[NetworkResults], penalties: Sequence[str]) -> str:
    """How often minimal attacks fool a network where they do so least, as a sentence.

    A mean distance leaves out the images that the attack did not fool.
    """
    rates = [
        (rate, measure, results, setting)
        for results in networks
        for setting in results.settings("none", *penalties)
        for measure in (DEEPFOOL, CARLINI)
        for rate in results.values(setting, success(measure))
        if not np.isnan(rate)
    ]
    rate, measure, results, setting = min(rates, key=itemgetter(0))
    if rate > 99.95:
        return "Both minimal attacks fooled every network on every image."
    return (
        f"The lowest success rate is {rate:.1f} %, that of {measure.title} on {results.phrase}, with "
        f"{setting_phrase(setting)}; where the rate is low, the distance is that of the easier images."
    )


def lost_seeds(results: NetworkResults) -> str:
    """Where seeds diverged: "two of four seeds with the Jacobian penalty at λ = 1.6", or "no seed"."""
    texts = [
        f"{_of(count, results.seeds, 'seed')} with {setting_phrase(setting)}"
        for setting, count in results.diverged().items()
    ]
    return phrases.listed(texts, "no seed")


def diverged_and_others(networks: Iterable[NetworkResults]) -> str:
    """Where seeds diverged, and how well the others classify, a sentence a setting; or that none did."""
    sentences = []
    for results in networks:
        for setting, count in results.diverged().items():
            accuracies = results.values(setting, BENIGN)
            where = f"{results.phrase} with {setting_phrase(setting)}"
            others = "."
            if count < len(accuracies):
                low, high = np.nanmin(accuracies), np.nanmax(accuracies)
                others = f"; the others classify {low:.0f} to {high:.0f} % of the images."
            who = _of(count, len(accuracies), "seed")
            sentences.append(phrases.sentence(f"{who} of {where} diverged{others}"))
    return " ".join(sentences) or "No seed diverged."


def diverged_settings(networks: Iterable[NetworkResults]) -> str:
    """The same in one row: "one of ten seeds of LeNet-5 with no penalty"; "no network" without any."""
    texts = [
        f"{_of(count, results.seeds, 'seed')} of {results.phrase} with {setting_phrase(setting)}"
        for results in networks
        for setting, count in results.diverged().items()
    ]
    return phrases.listed(texts, "no network")


def diverged_networks(table: pd.DataFrame) -> dict[Setting, str]:
    """Setting in which networks diverged → "three of 13 networks", all networks of the table together."""
    benign = table[(table["attack"] == "none") & (table["metric"] == "accuracy")]
    return {
        (str(penalty), float(str(weight))): _of(int(part.isna().sum()), len(part), "network")
        for (penalty, weight), part in benign.groupby(["penalty", "lambda"])["value"]
        if part.isna().any()
    }


def _of(part: int, whole: int, noun: str) -> str:
    """ "three of ten seeds", "both seeds", "all ten seeds", "the only seed"."""
    if part < whole:
        return "{} of {} {}".format(*phrases.numbers([part, whole]), f"{noun}s")
    if whole <= 2:
        return f"the only {noun}" if whole == 1 else f"both {noun}s"
    return f"all {phrases.counted(whole, noun)}"


# --- comparisons in words -----------------------------------------------------------------


def tallies(board: pd.DataFrame) -> dict[str, str]:
    """How a network's `comparisons.joint_differences` end: in all, at the largest λ, and there by rival.

    Returns:
        board, board-count, board-largest, largest (that λ), and top-RIVAL for each rival.
    """
    largest = at_largest(board)
    texts = {
        "board": tally(board["verdict"]),
        "board-count": str(len(board)),
        "board-largest": tally(largest["verdict"]),
        "largest": f"{largest['lambda'].max():g}",
    }
    return texts | {f"top-{rival}": tally(rows["verdict"]) for rival, rows in largest.groupby("rival")}


def gain_counts(compared: Sequence[Comparison]) -> dict[str, str]:
    """How the `comparisons.gains` of all networks ended, for the prose.

    Returns:
        up-PENALTY: of how many networks, one a seed, DeepFool's distance grew, "three of four"; gain-MEASURE:
        `counts` of verdicts; gain-mark: `mark` for DeepFool's distance, networks of one seed left out.
    """
    texts = {}
    lengths = [comparison for comparison in compared if comparison.measure == DEEPFOOL]
    for penalty in dict.fromkeys(comparison.setting[0] for comparison in lengths):
        grew = np.concatenate([c.each > 0 for c in lengths if c.setting[0] == penalty])
        up = phrases.number(int(grew.sum())) if grew.any() else "none"
        texts[f"up-{penalty}"] = f"{up} of {phrases.number(len(grew))}"
    for measure in dict.fromkeys(comparison.measure for comparison in compared):
        verdicts = [verdict(c.gap) for c in compared if c.measure == measure]
        texts[f"gain-{SHORT[measure]}"] = counts(verdicts)
    texts["gain-mark"] = mark(verdict(c.gap) for c in lengths if c.gap.count > 1)
    return texts


def jacobian_and_cross_lipschitz(
    networks: Iterable[NetworkResults], classes: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    """How near the two penalties are at equal λ: a row a network, and facts for the prose.

    Returns:
        the table, as texts; and same: `counts` of `closeness`, same-mark: their `mark`, square: from
        network to network, how much of μ² the Jacobian alone sees (`NetworkResults.class_sum_share`).
    """
    import pandas as pd

    rows, shares, verdicts = [], [], []
    for results in networks:
        share = results.class_sum_share(("reference", 0.0), classes)
        compared = comparisons.at_equal_weights(results, "jacobian", "cross-lipschitz", ROBUST)
        shares.append(share.mean)
        verdicts += [closeness(comparison.gap, comparison.margin) for comparison in compared]
        row = {"network": results.title, "the square, % of μ²": f"{share:.1f}"}
        for measure, unit in ((PGD, "points"), (DEEPFOOL, "distance")):
            row[f"largest difference, {measure.title}, {unit}"] = largest_difference(compared, measure)
        rows.append(row)
    facts = {
        "same": counts(verdicts) or "none run",
        "same-mark": mark(verdicts, "within", "outside"),
        "square": f"{min(shares):.0f} to {max(shares):.0f}",
    }
    return pd.DataFrame(rows), facts


def largest_difference(compared: Sequence[Comparison], measure: Measure) -> str:
    """The mean difference with the largest size: points to a tenth, distances to a thousandth."""
    means = [comparison.gap.mean for comparison in compared if comparison.measure == measure]
    return written(max(means, key=abs), "+.1f" if measure.factor == 100 else "+.3f") if means else "–"


def verdicts_of(boards: Iterable[pd.DataFrame]) -> dict[str, str]:
    """How several networks' `comparisons.joint_differences` end together.

    Returns:
        board: the `tally` of all verdicts, board-mark: their `mark`.
    """
    verdicts = [verdict for board in boards for verdict in board["verdict"]]
    ending = tally(verdicts) if verdicts else "no comparison, for want of a second seed"
    return {"board": ending, "board-mark": mark(verdicts)}


def attacks_and_weights(gaps: pd.DataFrame) -> str:
    """Where the rows of `comparisons.differences` stand: "PGD at λ = 0.1 and DeepFool at λ = 1.6"."""
    rows = zip(gaps["attack"], gaps["metric"], gaps["lambda"], strict=True)
    places = [f"{MEASURES[attack, metric].title} at λ = {weight:g}" for attack, metric, weight in rows]
    return phrases.listed(places)


def sameness(gaps: pd.DataFrame) -> dict[str, str]:
    """Where two penalties are the same by `comparisons.equivalence`, for the prose.

    Returns:
        same-count, "12 of 20" or "all 32"; not-same and apart, as `attacks_and_weights` says them.
    """
    same = int(gaps["same"].sum())
    return {
        "same-count": f"all {len(gaps)}" if same == len(gaps) else f"{same} of {len(gaps)}",
        "not-same": attacks_and_weights(gaps[~gaps["same"]]),
        "apart": attacks_and_weights(gaps[gaps["apart"]]),
    }


def _difference_at_best(best: AtBest, digits: str) -> str:
    difference = best.difference.times(MEASURES[best.measure].factor)
    return f"{difference:{digits}}, {IN_WORDS[difference.verdict]}"


def differences_at_best(
    compared: Sequence[AtBest], prices: Mapping[str, float], digits: str = ".2f"
) -> dict[str, str]:
    """ "PRICE-ATTACK-RIVAL" → first − rival with its verdict, of `comparisons.at_best`."""
    names = {price: name for name, price in prices.items()}
    return {
        f"{names[best.price]}-{best.measure[0]}-{best.penalty}": _difference_at_best(best, digits)
        for best in compared
        if best.penalty != compared[0].penalty
    }


def scores(compared: Sequence[AtBest], prices: Mapping[str, float], digits: str = ".2f") -> dict[str, str]:
    """ "PRICE-ATTACK-PENALTY" → each penalty's own score, of `comparisons.at_best`."""
    names = {price: name for name, price in prices.items()}
    return {
        f"{names[best.price]}-{best.measure[0]}-{best.penalty}": (
            f"{best.score.times(MEASURES[best.measure].factor):{digits}}"
        )
        for best in compared
    }


def verdicts_at_best(compared: Sequence[AtBest], price: float, measure: Measure) -> str:
    """What the first penalty is to its rivals, as half a sentence.

    "ahead of the Jacobian penalty"; "not told apart from any rival" where several end alike.
    """
    words = {"higher": "ahead of", "lower": "behind", "undecided": "not told apart from"}
    groups: dict[str, list[str]] = {}
    for best in compared:
        if best.penalty != compared[0].penalty and (best.price, best.measure) == (price, measure.key):
            groups.setdefault(words[best.difference.verdict], []).append(PENALTY_PHRASES[best.penalty])
    if len(groups) == 1:
        ((word, names),) = groups.items()
        if len(names) > 1:
            return f"{word} {'any' if word == words['undecided'] else 'every'} rival"
    return ", and ".join(f"{word} {phrases.listed(names)}" for word, names in groups.items())


def verdicts_by_place(compared: Sequence[AtBest], price: float, places: Mapping[str, Measure]) -> str:
    """`verdicts_at_best` by several measures, each with its words, such as "under PGD".

    Where all end alike: "not told apart from any rival, under PGD or by DeepFool's distance".
    """
    standings = {place: verdicts_at_best(compared, price, measure) for place, measure in places.items()}
    if len(set(standings.values())) == 1:
        (standing,) = set(standings.values())
        return f"{standing}, {(' or ' if standing.startswith('not') else ' and ').join(standings)}"
    return "; ".join(f"{place} {standing}" for place, standing in standings.items())


# --- equal robustness in words ------------------------------------------------------------


def of_row(row: pd.Series[Any], factor: float = 1.0) -> Interval:
    """The interval in a row of `equal_robustness.prices` or `differences`, times `factor`."""
    return Interval(row["mean"], row["low"], row["high"], int(row.get("count", 2))).times(factor)


def paid(row: pd.Series[Any]) -> str:
    """A price in points, with its interval; or how many seeds reach the target at all."""
    if row["reached"] < row["seeds"]:
        return f"reached by {_of(int(row['reached']), int(row['seeds']), 'seed')}"
    return f"{of_row(row, 100):.2f}"


def difference(row: pd.Series[Any], factor: float = 1.0) -> str:
    """A difference of `equal_robustness.differences`, with its interval."""
    return "not reached by all seeds" if row["verdict"] == NOT_REACHED else f"{of_row(row, factor):.2f}"


def firm_verdict(row: pd.Series[Any], in_words: Mapping[str, str]) -> str:
    """The verdict of `firm_differences` in the words of `in_words`, and whether a coarser grid denies it."""
    text = in_words.get(row["verdict"], row["verdict"])
    decided = row["verdict"] in ("higher", "lower")
    return f"{text} (not on a coarser grid)" if decided and not row["firm"] else text


def firm_mark(row: pd.Series[Any]) -> str:
    """✅ for a firm "higher", ❌ for a firm "lower", else ❔, and "not reached" by name."""
    if row["verdict"] == NOT_REACHED:
        return NOT_REACHED
    return mark([row["verdict"]] if row["firm"] else [])


def price_mark(prices: pd.DataFrame, coarse: pd.DataFrame, method: str, target: float) -> str:
    """✅ if a method's price is above zero, ❌ if below, where a coarser grid agrees; else ❔.

    Args:
        prices, coarse: as `equal_robustness.prices` gives them, of all strengths and of every second one.
        method, target: which price.
    """
    first, second = (
        of_row(rows[(rows["method"] == method) & (rows["target"] == target)].iloc[0]).verdict
        for rows in (prices, coarse)
    )
    return mark([first] if first == second else [])


def difference_facts(table: pd.DataFrame, endings: Mapping[str, str], factor: float = 1.0) -> dict[str, str]:
    """Rows of `equal_robustness.firm_differences` at one target, for the prose.

    Returns:
        duel-NAME: the difference, word-NAME: its verdict, far-NAME: both in one text,
        mark-NAME: `firm_mark`. NAME is the method, after its attack where the table has several.
    """
    texts = {}
    for _, row in table.iterrows():
        name = row["method"]
        if table["attack"].nunique() > 1:
            name = f"{row['attack']}-{name}"
        gap, word = difference(row, factor), firm_verdict(row, endings)
        texts[f"duel-{name}"], texts[f"word-{name}"] = gap, word
        texts[f"far-{name}"] = gap if row["verdict"] == NOT_REACHED else f"{gap}, {word}"
        texts[f"mark-{name}"] = firm_mark(row)
    return texts


def verdict_counts(table: pd.DataFrame, endings: Mapping[str, str]) -> str:
    """How often each verdict of `firm_verdict` occurs: "pays more in three; undecided in eight"."""
    numbers = Counter(firm_verdict(row, endings) for _, row in table.iterrows())
    return "; ".join(f"{ending} in {phrases.number(count)}" for ending, count in numbers.items())


# --- what a step costs ---------------------------------------------------------------------


def by_method(columns: Mapping[str, Mapping[str, float]], digits: str) -> pd.DataFrame:
    """A row a method, and its number in each column, as texts; a dash for zero."""
    import pandas as pd

    first = next(iter(columns.values()))
    rows = [
        {"method": LABELS[method]}
        | {name: f"{column[method]:{digits}}" if column[method] else "–" for name, column in columns.items()}
        for method in first
    ]
    return pd.DataFrame(rows)
