"""Tables of results and comparisons as text: for printing, and for the prose of a page.

Everything is computed from the tables, so that a sentence cannot lag behind its numbers. Printed
lines are short, for phones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.analysis import comparisons, paper_numbers
from regrob.analysis.comparisons import IN_WORDS, AtBest, Comparison, at_largest, tally
from regrob.analysis.equal_robustness import NOT_REACHED, at_equal
from regrob.analysis.intervals import Interval, mean_interval
from regrob.analysis.measures import (
    ATTACKS,
    BENIGN,
    CARLINI,
    DEEPFOOL,
    LABELS,
    PGD,
    ROBUST,
    UNPENALISED,
    Measure,
    NetworkResults,
    Setting,
    by_network,
    interval_by_setting,
    known,
    lines_of,
    name_of,
    setting_name,
    success,
)
from regrob.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

PHONE = 38
"""Characters of a printed line that fit on a phone."""

ONE_SEED = "one seed, no interval"
VERDICTS = ("higher", "lower", "within", "outside", "undecided", ONE_SEED)

MEASURES = {measure.key: measure for measure in (BENIGN, *ROBUST)}
SHORT = {BENIGN: "benign", **{measure: measure.attack for measure in ROBUST}}
"""Measure → what the names of its facts end in."""


# --- where numbers come from --------------------------------------------------------------


def origin(table: pd.DataFrame, sidecar: dict[str, Any], network: str) -> dict[str, str]:
    """Where a network's numbers come from, each fact as a short text for the prose of a page.

    Raises:
        DataError: the results are of other networks.
    """
    if network not in sidecar["networks"]:
        raise DataError(f"no result of {network}; there are {', '.join(sidecar['networks'])}")
    budget = sidecar["networks"][network]

    def listed(key: str) -> str:
        recorded = sorted(str(maker[key]) for maker in sidecar["made_by"] if maker.get(key))
        return ", ".join(dict.fromkeys(recorded)) or "not recorded"

    def count(images: int | None) -> str:
        return "the whole test set" if images is None else f"{images} test images"

    tried = sorted({float(w) for w in table[table["network"] == network]["lambda"]} - {0.0})
    absent = [weight for weight in paper_numbers.weights(sidecar["dataset"]) if weight not in tried]
    return {
        "preset": str(sidecar["preset"]),
        "seeds": str(budget["seeds"]),
        "reference": thousands(budget["reference"]),
        "fine-tuning": thousands(budget["fine_tuning"]),
        "weights": ", ".join(f"{weight:g}" for weight in tried),
        "missing": ", ".join(f"{weight:g}" for weight in absent) or "none",
        "batch": str(budget["batch"]),
        "images": count(budget["images"]),
        "searched-images": count(budget["searched_images"] or budget["images"]),
        "distance-images": count(budget["distance_images"]),
        "device": listed("device"),
        "date": listed("date"),
        "commit": listed("commit"),
        "hours": f"{sidecar['seconds'] / 3600:.1f}",
    }


def protocol(table: pd.DataFrame, sidecar: dict[str, Any], classes: int | None = None) -> str:
    """What `origin` says of each network's training and attacks, as lines below the network's name.

    Raises:
        DataError: the results are of other networks.
    """
    folds = TextWrapper(PHONE, initial_indent="  ", subsequent_indent="    ")
    lines = []
    for results in by_network(table, classes):
        facts = origin(table, sidecar, results.network)
        lines.append(results.title)
        for line in (
            f"{facts['seeds']} seed(s), batches of {facts['batch']}",
            f"steps: {facts['reference']}, then {facts['fine-tuning']} more",
            f"λ: {facts['weights']}",
            f"the paper's, not here: {facts['missing']}",
            f"FGSM: {facts['images']}",
            f"PGD, DeepFool: {facts['searched-images']}",
            f"Carlini–Wagner: {facts['distance-images']}",
        ):
            lines.append(folds.fill(line))
    return "\n".join(lines)


def absent(table: pd.DataFrame, networks: Iterable[str]) -> str:
    """Which of these networks a table does not hold: "VGG-like, ResNet-32", or "none"."""
    return ", ".join(map(name_of, sorted(set(networks) - set(table["network"])))) or "none"


def longest_training(sidecars: Iterable[dict[str, Any]]) -> int:
    """Iterations of the references that were trained the longest."""
    return max(int(budget["reference"]) for sidecar in sidecars for budget in sidecar["networks"].values())


def power_of_ten(number: float) -> str:
    """A positive number in one digit and a power of ten, "2·10⁷"; whole below 10 000, "83"."""
    if number < 1e4:
        return f"{number:.0f}"
    exponent = int(np.floor(np.log10(number)))
    raised = str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{number / 10**exponent:.0f}·10{raised}"


def thousands(number: int) -> str:
    """A count with a space between its thousands: "50 000"."""
    return f"{number:,}".replace(",", " ")


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
    """How often each verdict of `verdict` or `closeness` occurs: "2 higher; 1 undecided"."""
    numbers = Counter(verdicts)
    return "; ".join(f"{numbers[name]} {name}" for name in VERDICTS if name in numbers)


def mark(verdicts: Iterable[str], good: str = "higher", bad: str = "lower") -> str:
    """✅ if every verdict is `good` and there is one, ❌ if any is `bad`, else "undecided"."""
    kinds = set(verdicts)
    if bad in kinds:
        return "❌"
    return "✅" if kinds == {good} else "undecided"


def tick(holds: bool) -> str:
    """✅ or ❌."""
    return "✅" if holds else "❌"


# --- tables in words ----------------------------------------------------------------------


def describe(table: pd.DataFrame) -> str:
    """What the figure shows, in words and numbers computed from the table; for printing below it.

    Settings of which a seed diverged are named, and are neither highest nor lowest.
    """
    lines = []
    penalties = lines_of(table)
    for network in known(table, "network"):
        lines.append(name_of(network))
        diverged = NetworkResults(table, network).diverged()
        for measure in (BENIGN, *ROBUST):
            intervals = interval_by_setting(table, network, measure)
            tried = {s: intervals[s] for s in intervals if s[0] in penalties and s not in diverged}
            if not tried:
                continue
            most, least = max(tried, key=lambda s: tried[s].mean), min(tried, key=lambda s: tried[s].mean)
            lines.append(f"  {measure.title}, {'%' if measure.factor == 100 else 'long'}")
            lines.append(f"    no penalty {intervals['none', 0.0]:{measure.digits}}")
            for word, setting in (("highest", most), ("lowest", least)):
                lines.append(f"    {word} {tried[setting]:{measure.digits}}")
                lines.append(f"      {setting_name(setting)}")
        for setting, count in diverged.items():
            lines += [f"  {setting_name(setting)}", f"    {count} of its seeds diverged"]
    return "\n".join(lines)


def means_at(
    results: NetworkResults, setting: Setting, measures: Iterable[Measure], digits: str | None = None
) -> dict[str, str]:
    """ "benign", "pgd", … → the mean over seeds at one setting, for the prose."""
    means = {measure: results.interval(setting, measure).mean for measure in measures}
    return {SHORT[measure]: f"{mean:{digits or measure.digits}}" for measure, mean in means.items()}


def best_settings(
    results: NetworkResults, penalties: Sequence[str], chosen_by: Measure, measures: Sequence[Measure]
) -> str:
    """Each penalty's best λ by one measure, and all measures there, as lines below a heading.

    The first line is that of no penalty; a penalty of which seeds diverged at every λ has no line.
    The same seeds choose and are shown: a description.
    """
    short = {"none": "none", "fgsm": "FGSM", "pgd": "PGD", "deepfool": "DF", "carlini-wagner": "CW"}
    columns = "".join(f"{short[measure.attack]:>6}" for measure in measures)
    lines = [f"{results.title}, {results.seeds} seed(s)", f"  {'':16}{'λ':>6}{columns}"]
    best = [results.best(name, chosen_by) for name in penalties if results.whole(name)]
    for penalty, weight in (UNPENALISED, *best):
        line = f"  {LABELS[penalty]:16}{f'{weight:g}' if weight else '–':>6}"
        for measure in measures:
            mean = results.interval((penalty, weight), measure).mean
            line += f"{'–':>6}" if np.isnan(mean) else f"{mean:6{measure.digits}}"
        lines.append(line)
    return "\n".join(lines)


def best_penalties(networks: Iterable[NetworkResults], penalties: Sequence[str], measure: Measure) -> str:
    """Whose best setting is the best of all, network by network: "LeNet-5: Jacobian; VGG: curvature"."""
    texts = []
    for results in networks:
        best, _ = max(results.whole(*penalties), key=lambda s: results.interval(s, measure).mean)
        texts.append(f"{results.title}: {LABELS[best]}")
    return "; ".join(texts)


def lowest_success(networks: Iterable[NetworkResults], penalties: Sequence[str]) -> tuple[float, str]:
    """The lowest rate at which a minimal attack fools a network of any setting, in %, and where that is."""
    rates = [
        (rate, f"{measure.title}, {results.title}, {setting_name(setting)}")
        for results in networks
        for setting in results.settings("none", *penalties)
        for measure in (DEEPFOOL, CARLINI)
        for rate in results.values(setting, success(measure))
        if not np.isnan(rate)
    ]
    return min(rates, key=itemgetter(0))


def diverged_settings(table: pd.DataFrame, classes: int | None = None) -> dict[str, int]:
    """Settings in which a seed diverged, "LeNet-5, Jacobian, λ = 1.6", and how many did."""
    return {
        f"{results.title}, {setting_name(setting)}": count
        for results in by_network(table, classes)
        for setting, count in results.diverged().items()
    }


def lost_seeds(results: NetworkResults) -> str:
    """One network's settings in which seeds diverged, "Jacobian, 1.6: 2 of 4 seeds"; "none" without any."""
    texts = [
        f"{LABELS[method]}, {strength:g}: {count} of {results.seeds} seeds"
        for (method, strength), count in results.diverged().items()
    ]
    return "; ".join(texts) or "none"


def diverged_and_others(table: pd.DataFrame) -> str:
    """Where seeds diverged, how many, and how well the other seeds classify: "none" without any."""
    texts = []
    for results in by_network(table):
        for setting, count in results.diverged().items():
            accuracies = results.values(setting, BENIGN)
            seeds = "all seeds"
            if count < len(accuracies):
                low, high = np.nanmin(accuracies), np.nanmax(accuracies)
                seeds = f"{count} seeds, and the others classify {low:.0f} to {high:.0f} % of the images"
            texts.append(f"{results.title}, {setting_name(setting)}: {seeds}")
    return "; ".join(texts) or "none"


def diverged_networks(table: pd.DataFrame) -> dict[str, str]:
    """Settings in which a network diverged, "jacobian at λ = 1.6", and how many of all networks did."""
    benign = table[(table["attack"] == "none") & (table["metric"] == "accuracy")]
    return {
        f"{penalty} at λ = {weight:g}": f"{part.isna().sum()} of {len(part)} networks"
        for (penalty, weight), part in benign.groupby(["penalty", "lambda"])["value"]
        if part.isna().any()
    }


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


def gains(compared: Sequence[Comparison]) -> str:
    """`comparisons.gains` of one network as lines below the settings' names."""
    lines = [compared[0].results.title] if compared else []
    for setting, of_setting in groupby(compared, key=lambda comparison: comparison.setting):
        lines.append(f"  {setting_name(setting)}")
        for comparison in of_setting:
            measure, gap = comparison.measure, comparison.gap
            lines.append(f"    {measure.title:14} {gap:{measure.digits}}")
            if gap.count > 1:
                lines.append(f"    {'':14} {verdict(gap)}")
    return "\n".join(lines)


def gain_counts(compared: Sequence[Comparison]) -> dict[str, str]:
    """How the `comparisons.gains` of all networks ended, for the prose.

    Returns:
        up-PENALTY: of how many networks, one a seed, DeepFool's distance grew, "3 of 4"; gain-MEASURE:
        `counts` of verdicts; gain-mark: `mark` for DeepFool's distance, networks of one seed left out.
    """
    texts = {}
    lengths = [comparison for comparison in compared if comparison.measure == DEEPFOOL]
    for penalty in dict.fromkeys(comparison.setting[0] for comparison in lengths):
        grew = np.concatenate([c.each > 0 for c in lengths if c.setting[0] == penalty])
        texts[f"up-{penalty}"] = f"{grew.sum()} of {len(grew)}"
    for measure in dict.fromkeys(comparison.measure for comparison in compared):
        verdicts = [verdict(c.gap) for c in compared if c.measure == measure]
        texts[f"gain-{SHORT[measure]}"] = counts(verdicts)
    texts["gain-mark"] = mark(verdict(c.gap) for c in lengths if c.gap.count > 1)
    return texts


def jacobian_and_cross_lipschitz(
    networks: Iterable[NetworkResults], classes: int
) -> tuple[str, dict[str, str]]:
    """How near the two penalties are at equal λ: lines for printing, and facts for the prose.

    Returns:
        the lines; and same: `counts` of `closeness`, same-mark: their `mark`, square: from network to
        network, how much of μ² the Jacobian alone sees (`NetworkResults.class_sum_share`).
    """
    lines, shares, verdicts = [], [], []
    for results in networks:
        share = results.class_sum_share(("reference", 0.0), classes)
        compared = comparisons.at_equal_weights(results, "jacobian", "cross-lipschitz", ROBUST)
        shares.append(share.mean)
        verdicts += [closeness(comparison.gap, comparison.margin) for comparison in compared]
        lines += [f"{results.title}: the square", f"  is, in % of μ², {share:.1f}"]
        for measure in (PGD, DEEPFOOL):
            lines.append(f"  largest difference, {measure.title}: {largest_difference(compared, measure)}")
    facts = {
        "same": counts(verdicts) or "none run",
        "same-mark": mark(verdicts, "within", "outside"),
        "square": f"{min(shares):.0f} to {max(shares):.0f}",
    }
    return "\n".join(lines), facts


def largest_difference(compared: Sequence[Comparison], measure: Measure) -> str:
    """The mean difference with the largest size: points to a tenth, distances to a thousandth."""
    means = [comparison.gap.mean for comparison in compared if comparison.measure == measure]
    return f"{max(means, key=abs):{'+.1f' if measure.factor == 100 else '+.3f'}}" if means else "–"


def verdict_table(gaps: pd.DataFrame, first: str) -> str:
    """`comparisons.joint_differences` as small tables of signs, one a rival: rows λ, columns attack."""
    signs = {"higher": "+", "lower": "−", "undecided": "·"}
    keys = dict.fromkeys(zip(gaps["attack"], gaps["metric"], strict=True))
    shown = {MEASURES[key].title.replace("Carlini–Wagner", "C–W"): key for key in keys}
    lines = [f"{LABELS[first]} against …", "+ higher, − lower, · undecided"]
    for rival, rows in gaps.groupby("rival", sort=False):
        lines.append(f"  {LABELS[str(rival)]}")
        lines.append("    " + "λ".rjust(6) + "".join(f"  {title}" for title in shown))
        for weight, part in rows.groupby("lambda"):
            by_key = dict(zip(zip(part["attack"], part["metric"], strict=True), part["verdict"], strict=True))
            cells = "".join(signs[by_key[key]].rjust(2 + len(title)) for title, key in shown.items())
            lines.append(f"    {float(str(weight)):6g}{cells}")
    return "\n".join(lines)


def joint_differences(
    networks: Iterable[NetworkResults], first: str, rivals: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """One penalty against its rivals under all attacks: lines for printing, and facts for the prose.

    Returns:
        each network's `verdict_table`, a network of one seed has none; and board: the `tally` of all
        verdicts, board-mark: their `mark`.
    """
    lines, verdicts = [], []
    for results in networks:
        lines.append(results.title)
        if results.seeds < 2:
            lines.append(f"  {ONE_SEED}")
            continue
        board = comparisons.joint_differences(results.table, results.network, first, rivals, ATTACKS)
        lines.append(verdict_table(board, first))
        verdicts += list(board["verdict"])
    ending = tally(verdicts) if verdicts else "no comparison"
    return "\n".join(lines), {"board": ending, "board-mark": mark(verdicts)}


def attacks_and_weights(gaps: pd.DataFrame) -> str:
    """Where the rows of `comparisons.differences` stand: "PGD at λ = 0.1, DeepFool at λ = 1.6"."""
    rows = zip(gaps["attack"], gaps["metric"], gaps["lambda"], strict=True)
    places = [f"{MEASURES[attack, metric].title} at λ = {weight:g}" for attack, metric, weight in rows]
    return ", ".join(places) or "none"


def sameness(gaps: pd.DataFrame) -> dict[str, str]:
    """Where two penalties are the same by `comparisons.equivalence`, for the prose.

    Returns:
        same-count, "12 of 20"; not-same and apart, as `attacks_and_weights` says them.
    """
    return {
        "same-count": f"{gaps['same'].sum()} of {len(gaps)}",
        "not-same": attacks_and_weights(gaps[~gaps["same"]]),
        "apart": attacks_and_weights(gaps[gaps["apart"]]),
    }


def same_or_apart(gaps: pd.DataFrame) -> str:
    """`sameness` as lines for printing."""
    texts = sameness(gaps)
    return (
        f"  same, within the margin: {texts['same-count']}\n"
        f"  not shown to be the same: {texts['not-same']}\n"
        f"  shown to differ from zero: {texts['apart']}"
    )


def at_best(compared: Sequence[AtBest]) -> str:
    """`comparisons.at_best` as lines for printing: each penalty's score, its λ, and the first one's lead."""
    lines = []
    for i, best in enumerate(compared):
        m = MEASURES[best.measure]
        if i == 0 or (best.price, best.measure) != (compared[i - 1].price, compared[i - 1].measure):
            first = best.penalty
            cost = "any price" if np.isinf(best.price) else f"{100 * best.price:g} points of accuracy"
            lines.append(f"{m.title}, {m.unit if m.factor == 100 else 'distance'}, for {cost}")
        tried = ", ".join(f"{weight:g}" for weight in sorted(set(best.weights)))
        lines.append(f"  {LABELS[best.penalty]:16} {best.score.times(m.factor):.2f}")
        lines.append(f"    at λ = {tried}")
        if best.penalty != first:
            lines.append(f"    lead {_difference_at_best(best, '.2f')}")
    return "\n".join(lines)


def _difference_at_best(best: AtBest, digits: str) -> str:
    difference = best.difference.times(MEASURES[best.measure].factor)
    return f"{difference:{digits}}, {IN_WORDS[difference.verdict]}"


def named(texts: Mapping[str, str]) -> str:
    """Texts of several networks below each other, each under its network's name."""
    return "\n".join(f"{name_of(network)}\n{text}" for network, text in texts.items())


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
    """What the first penalty is to its rivals, as half a sentence: "ahead of Jacobian"."""
    words = {"higher": "ahead of", "lower": "behind", "undecided": "not decided against"}
    groups: dict[str, list[str]] = {}
    for best in compared:
        if best.penalty != compared[0].penalty and (best.price, best.measure) == (price, measure.key):
            groups.setdefault(words[best.difference.verdict], []).append(LABELS[best.penalty])
    return " and ".join(f"{word} {', '.join(names)}" for word, names in groups.items())


# --- equal robustness in words ------------------------------------------------------------


def readings(
    table: pd.DataFrame,
    network: str,
    penalties: Sequence[str],
    across: Measure,
    at: float,
    aims: Mapping[Measure, str],
) -> str:
    """What else is true of each penalty's networks where `across` has the value `at`, as lines for printing.

    Args:
        table, network, penalties: as `equal_robustness.at_equal` takes them.
        across: what is made equal.
        at: its value, in the table's unit.
        aims: what is read off → the format of its numbers.
    """
    lines = [f"where {across.title} reaches {at * across.factor:.3g}"]
    for aim, digits in aims.items():
        lines.append(f"  {aim.title}, {aim.unit}")
        for penalty in penalties:
            reached = aim.factor * at_equal(table, network, penalty, across.key, aim.key, at)
            lines.append(f"    {LABELS[penalty]:16} {mean_interval(reached):{digits}}")
    return "\n".join(lines)


def of_row(row: pd.Series[Any], factor: float = 1.0) -> Interval:
    """The interval in a row of `equal_robustness.prices` or `differences`, times `factor`."""
    return Interval(row["mean"], row["low"], row["high"], int(row.get("count", 2))).times(factor)


def paid(row: pd.Series[Any]) -> str:
    """A price in points, with its interval; or how many seeds reach the target at all."""
    if row["reached"] < row["seeds"]:
        return f"reached by {row['reached']:.0f} of {row['seeds']:.0f} seeds"
    return f"{of_row(row, 100):.2f}"


def difference(row: pd.Series[Any], factor: float = 1.0) -> str:
    """A difference of `equal_robustness.differences`, with its interval."""
    return "not reached by all seeds" if row["verdict"] == NOT_REACHED else f"{of_row(row, factor):.2f}"


def firm_verdict(row: pd.Series[Any], in_words: Mapping[str, str]) -> str:
    """The verdict of `firm_differences` in the words of `in_words`, and whether a coarser grid denies it."""
    text = in_words.get(row["verdict"], row["verdict"])
    decided = row["verdict"] in ("higher", "lower")
    return f"{text}, but not on a coarser grid" if decided and not row["firm"] else text


def firm_mark(row: pd.Series[Any]) -> str:
    """✅ for a firm "higher", ❌ for a firm "lower", else "undecided" or "not reached"."""
    if row["verdict"] == NOT_REACHED:
        return NOT_REACHED
    return mark([row["verdict"]] if row["firm"] else [])


def prices(table: pd.DataFrame) -> str:
    """`equal_robustness.prices` at equal accuracy under PGD, as lines below the methods' names."""
    lines = []
    for method, rows in table.groupby("method", sort=False):
        lines.append(LABELS[str(method)])
        for _, row in rows.iterrows():
            price = paid(row) if row["reached"] < row["seeds"] else f"gives up {paid(row)} points"
            lines.append(f"  {100 * row['target']:.0f} % under PGD: {price}")
    return "\n".join(lines)


def price_mark(prices: pd.DataFrame, coarse: pd.DataFrame, method: str, target: float) -> str:
    """✅ if a method's price is above zero, ❌ if below, where a coarser grid agrees; else "undecided".

    Args:
        prices, coarse: as `equal_robustness.prices` gives them, of all strengths and of every second one.
        method, target: which price.
    """
    first, second = (
        of_row(rows[(rows["method"] == method) & (rows["target"] == target)].iloc[0]).verdict
        for rows in (prices, coarse)
    )
    return mark([first] if first == second else [])


def differences(table: pd.DataFrame, across: Measure, endings: Mapping[str, str], factor: float = 1.0) -> str:
    """`equal_robustness.firm_differences` as lines: below each target of `across`, each method's difference.

    Args:
        table: as `firm_differences` gives it.
        across: what is made equal.
        endings: verdict → how it is written.
        factor: 100 for differences in points.
    """
    unit = " %" if across.factor == 100 else ""
    lines = []
    for target, rows in table.groupby("target"):
        lines.append(f"both at {across.factor * float(str(target)):g}{unit} under {across.title}")
        for _, row in rows.iterrows():
            name = LABELS[row["method"]]
            if table["attack"].nunique() > 1:
                name = f"{MEASURES[row['attack'], row['metric']].title}, {name}"
            lines += [f"  {name}:", f"    {difference(row, factor)}"]
            if row["verdict"] != NOT_REACHED:
                lines.append(f"    {firm_verdict(row, endings)}")
    return "\n".join(lines)


def difference_facts(table: pd.DataFrame, endings: Mapping[str, str], factor: float = 1.0) -> dict[str, str]:
    """Rows of `equal_robustness.firm_differences` at one target, for the prose; see `differences`.

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
    """How often each verdict of `firm_verdict` occurs: "pays more: 3; undecided: 8"."""
    numbers = Counter(firm_verdict(row, endings) for _, row in table.iterrows())
    return "; ".join(f"{ending}: {count}" for ending, count in numbers.items())


# --- what a step costs, in words ----------------------------------------------------------


def by_method(title: str, columns: Mapping[str, Mapping[str, float]], digits: str) -> str:
    """Numbers of each method side by side, one column a name, below a title; a dash for zero."""
    texts = method_facts(columns, digits)
    lines = [f"{title:26}" + "".join(f"{name:>9}" for name in columns)]
    for method in next(iter(columns.values())):
        lines.append(
            f"  {LABELS[method]:24}" + "".join(f"{texts[f'{name}-{method}']:>9}" for name in columns)
        )
    return "\n".join(lines)


def method_facts(columns: Mapping[str, Mapping[str, float]], digits: str) -> dict[str, str]:
    """ "COLUMN-METHOD" → its number, for the prose; a dash for zero."""
    return {
        f"{name}-{method}": f"{value:{digits}}" if value else "–"
        for name, column in columns.items()
        for method, value in column.items()
    }


def sweep_steps(sidecars: Iterable[dict[str, Any]], network: str) -> str:
    """Median time of one step of all seeds together, as sweeps recorded it for each shard, by method."""
    taken: dict[str, list[float]] = {}
    for sidecar in sidecars:
        head = f"{sidecar['dataset']}-{network}-"
        for shard, seconds in sidecar["step_seconds"].items():
            if seconds is not None and shard.startswith(head):
                method = shard.removeprefix(head).rsplit("-", 2)[0]
                taken.setdefault(method, []).append(1e3 * seconds)
    lines = (f"  {method}: {np.median(steps):.0f}, {len(steps)} shards" for method, steps in taken.items())
    return "\n".join(lines)
