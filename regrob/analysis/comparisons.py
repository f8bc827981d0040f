"""Which penalty wins, at each λ and with each penalty at its own best; and whether two are the same.

λ means something else for every penalty, so equal λ alone decides nothing; `equal_robustness`
has the third comparison, which does without λ. All are paired over seeds, and intervals that
are reported together hold together (Bonferroni).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regrob.analysis import phrases
from regrob.analysis.intervals import Interval, mean_interval, paired_difference
from regrob.analysis.measures import (
    ATTACKS,
    BENIGN,
    UNPENALISED,
    Key,
    Measure,
    NetworkResults,
    Setting,
    difference_span_of,
    means,
    span_of,
    values,
    weights_of,
)
from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

IN_WORDS = {"higher": "ahead", "lower": "behind", "undecided": "undecided"}
"""What the verdicts of `joint_differences` and `at_best` say of the first penalty."""


def line_through(table: pd.DataFrame, network: str, penalty: str) -> list[Setting]:
    """Fine-tuning without a penalty, then the penalty's λ in ascending order."""
    return [UNPENALISED, *((penalty, weight) for weight in weights_of(table, network, penalty))]


def differences(
    table: pd.DataFrame,
    first: str,
    second: str,
    measures: Iterable[Key],
    level: float = 0.95,
) -> pd.DataFrame:
    """First − second, paired over seeds, for each network, each λ that both have, each measure.

    Args:
        table: as `tables.read` gives it.
        first, second: names of penalties.
        measures: pairs (attack, metric).
        level: of each interval.

    Returns:
        columns network, lambda, attack, metric, mean, low, high, count, dropped.
    """
    import pandas as pd

    rows = []
    measures = list(measures)
    for network in table["network"].unique():
        shared = set(weights_of(table, network, first)) & set(weights_of(table, network, second))
        for weight in sorted(shared):
            for attack, metric in measures:
                pair = [values(table, network, name, weight, attack, metric) for name in (first, second)]
                gap = paired_difference(pair[0], pair[1], level).cut(difference_span_of(metric))
                rows.append(
                    (network, weight, attack, metric, gap.mean, gap.low, gap.high, gap.count, gap.dropped)
                )
    names = ["network", "lambda", "attack", "metric", "mean", "low", "high", "count", "dropped"]
    return pd.DataFrame(rows, columns=names)


MARGINS = {"accuracy": 0.01, "distance": 0.02}
"""What would not matter: a point of accuracy; a fiftieth of the distance without a penalty."""


def equivalence(
    table: pd.DataFrame, network: str, first: str, second: str, level: float = 0.95
) -> pd.DataFrame:
    """Whether two penalties are the same at each λ under each attack, up to the margin of `MARGINS`.

    A difference that is "not significant" shows nothing; one whose whole interval lies within the
    margin shows sameness. The intervals hold all at once with the probability `level`.

    Returns:
        the columns of `differences`; reach, the largest |value| of the interval; same, whether it
        is below the margin; apart, whether the interval leaves zero out. Both are false where there is
        no interval.
    """
    of_network = table[table["network"] == network]
    count = len(ATTACKS) * len(weights_of(of_network, network, first))
    gaps = differences(of_network, first, second, ATTACKS, 1 - (1 - level) / count)
    unpenalised = means(of_network)[network]
    distance = [unpenalised[(*key, *UNPENALISED)] for key in zip(gaps["attack"], gaps["metric"], strict=True)]
    scale = np.where(gaps["metric"] == "accuracy", 1.0, distance)
    gaps["reach"] = gaps[["low", "high"]].abs().max(axis=1, skipna=False)
    gaps["same"] = gaps["reach"] < gaps["metric"].map(MARGINS) * scale
    gaps["apart"] = (gaps["low"] > 0) | (gaps["high"] < 0)
    return gaps


class Comparison(NamedTuple):
    """One setting minus another by one measure, in its unit: one difference a seed."""

    results: NetworkResults
    setting: Setting
    measure: Measure
    each: NDArray[np.float64]

    @property
    def gap(self) -> Interval:
        """The mean difference and its own 95 % interval."""
        return mean_interval(self.each).cut(self.measure.difference_span)

    @property
    def margin(self) -> float:
        """What would not matter, see `MARGINS`, in the unit of the measure."""
        scale = self.measure.factor
        if self.measure.metric == "distance":
            scale = self.results.interval(UNPENALISED, self.measure).mean
        return MARGINS[self.measure.metric] * scale


def _compared(results: NetworkResults, first: Setting, second: Setting, measure: Measure) -> Comparison:
    each = results.values(first, measure) - results.values(second, measure)
    return Comparison(results, first, measure, each)


def gains(results: NetworkResults, penalties: Sequence[str], measures: Sequence[Measure]) -> list[Comparison]:
    """Each penalty at its largest λ without divergence, minus fine-tuning without a penalty."""
    largest = [results.whole(penalty)[-1] for penalty in penalties if results.whole(penalty)]
    return [_compared(results, setting, UNPENALISED, m) for setting in largest for m in measures]


def at_equal_weights(
    results: NetworkResults, first: str, second: str, measures: Sequence[Measure]
) -> list[Comparison]:
    """First − second at every λ at which no seed of either diverged."""
    whole = results.whole(second)
    pairs = [((first, w), (second, w)) for _, w in results.whole(first) if (second, w) in whole]
    return [_compared(results, *pair, m) for m in measures for pair in pairs]


def largest(gaps: pd.DataFrame) -> dict[str, float]:
    """Metric → the largest |mean difference|, of `differences` or `equivalence`."""
    return {str(metric): float(part["mean"].abs().max()) for metric, part in gaps.groupby("metric")}


def joint_differences(
    table: pd.DataFrame,
    network: str,
    first: str,
    rivals: Iterable[str],
    measures: Iterable[Key],
    level: float = 0.95,
) -> pd.DataFrame:
    """First − rival for each rival, at every λ that both have, with intervals that hold together.

    With m comparisons each interval is taken at 1 − (1 − level)/m, so that all hold at once
    with the probability `level`, however the comparisons depend on each other (Bonferroni).

    Returns:
        the columns of `differences`, and rival, and verdict: "higher" or "lower" where the
        interval of first − rival leaves zero out, else "undecided".
    """
    import pandas as pd

    of_network = table[table["network"] == network]
    rivals, measures = list(rivals), list(measures)
    own = set(weights_of(of_network, network, first))
    count = len(measures) * sum(len(own & set(weights_of(of_network, network, rival))) for rival in rivals)
    if not count:
        raise InputError(f"{first} shares no λ with {', '.join(rivals) or 'nobody'} for {network}")
    strict = 1 - (1 - level) / count
    parts = [differences(of_network, first, rival, measures, strict).assign(rival=rival) for rival in rivals]
    gaps = pd.concat(parts, ignore_index=True)
    gaps["verdict"] = np.select([gaps["low"] > 0, gaps["high"] < 0], ["higher", "lower"], "undecided")
    return gaps


def joint_differences_by_network(
    table: pd.DataFrame, first: str, rivals: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """`joint_differences` of each network of a table under all four attacks."""
    networks = table["network"].unique()
    return {network: joint_differences(table, network, first, rivals, ATTACKS) for network in networks}


def at_largest(gaps: pd.DataFrame) -> pd.DataFrame:
    """The rows of `joint_differences` at the largest λ that all penalties have."""
    rows: pd.DataFrame = gaps[gaps["lambda"] == gaps["lambda"].max()]
    return rows


def chosen(
    table: pd.DataFrame,
    network: str,
    penalty: str,
    aim: Key,
    *,
    within: float = math.inf,
) -> tuple[NDArray[np.float64], list[float]]:
    """A penalty at its best λ, where nothing that chooses is also what is scored.

    For each seed the other seeds choose: the λ with the largest mean of `aim`, among those
    whose mean accuracy without attack is at most `within` below that without a penalty. The seed's own
    value at that λ is reported. λ = 0 is among the candidates; a λ at which a seed diverged is not.

    Returns:
        one value of `aim` a seed, and the λ chosen for each; NaN if there is one seed only,
        and so no other to choose.

    Raises:
        InputError: a setting that the table lacks.
    """
    settings = line_through(table, network, penalty)
    score = np.stack([values(table, network, *s, *aim) for s in settings])  # (settings, seeds)
    kept = np.stack([values(table, network, *s, *BENIGN.key) for s in settings])
    if score.shape[1] < 2:
        return np.array([math.nan]), [math.nan]
    scores, weights = [], []
    for seed in range(score.shape[1]):
        others = np.arange(score.shape[1]) != seed
        mean, cost = score[:, others].mean(axis=1), kept[:, others].mean(axis=1)
        allowed = (cost >= cost[0] - within) & ~np.isnan(score).any(axis=1)
        best = int(np.argmax(np.where(allowed, mean, -np.inf)))
        scores.append(score[best, seed])
        weights.append(settings[best][1])
    return np.array(scores), weights


@dataclass(frozen=True)
class AtBest:
    """How good one penalty is at its own best λ, and how much better the first one is at its own.

    Attributes:
        price: how much mean accuracy without attack it may give up, as a share.
        measure: attack and metric that λ is chosen for.
        penalty: its name.
        score: over seeds, each at the λ that the other seeds chose.
        weights: the λ that were chosen, one a seed.
        difference: the first penalty's score minus this one's, paired over seeds.
    """

    price: float
    measure: Key
    penalty: str
    score: Interval
    weights: tuple[float, ...]
    difference: Interval


def at_best(
    table: pd.DataFrame,
    network: str,
    first: str,
    rivals: Iterable[str],
    measures: Iterable[Key],
    prices: Iterable[float] = (math.inf,),
    level: float = 0.95,
) -> list[AtBest]:
    """One penalty against each rival, each at its best λ, with differences that hold together.

    `chosen` takes the best of a penalty's λ for each seed. With m differences each interval is
    taken at 1 − (1 − level)/m, as in `joint_differences`.

    Returns:
        for each price and each measure: the first penalty, then its rivals.

    Raises:
        InputError: no rivals, or the table lacks a setting.
    """
    rivals, measures, prices = list(rivals), list(measures), list(prices)
    if not rivals:
        raise InputError(f"{first} needs a rival to be compared with, got none")
    strict = 1 - (1 - level) / (len(prices) * len(measures) * len(rivals))
    compared = []
    for price in prices:
        for measure in measures:
            best = {name: chosen(table, network, name, measure, within=price) for name in (first, *rivals)}
            for penalty, (scores, weights) in best.items():
                gap = paired_difference(best[first][0], scores, strict).cut(difference_span_of(measure[1]))
                score = mean_interval(scores, span=span_of(measure[1]))
                compared.append(AtBest(price, measure, penalty, score, tuple(weights), gap))
    return compared


def at_best_by_network(
    table: pd.DataFrame,
    first: str,
    rivals: Sequence[str],
    measures: Sequence[Key],
    prices: Sequence[float],
) -> dict[str, list[AtBest]]:
    """`at_best` of each network of a table, where every penalty chooses among the λ that all have."""
    by_network = {}
    for network in table["network"].unique():
        grids = [set(weights_of(table, network, penalty)) for penalty in (first, *rivals)]
        common = table[table["lambda"].isin({0.0, *set.intersection(*grids)})]
        by_network[str(network)] = at_best(common, network, first, rivals, measures, prices)
    return by_network


def verdicts(compared: Sequence[AtBest]) -> list[str]:
    """The verdicts of `at_best` against the rivals, in their order."""
    return [one.difference.verdict for one in compared if one.penalty != compared[0].penalty]


def gaps(
    results: NetworkResults, pair: tuple[str, str], factor: float, measure: Measure
) -> tuple[Interval, Interval]:
    """How far two penalties are apart, at equal λ and with the second's λ `factor` times as large.

    The second penalty is read off between two of its λ, by a straight line over log λ. Only λ of
    the first are taken whose partner the grid contains.

    Returns:
        two intervals over seeds, of |first − second| averaged over λ; NaN if no λ has a partner.
    """
    first, second = pair
    grid = results.weights(first)
    plain, shifted = [], []
    for i, weight in enumerate(grid):
        partner = weight * factor
        high = next((w for w in grid[i:] if w >= partner), None)
        if high is None:
            continue
        low = grid[grid.index(high) - 1]
        share = math.log(partner / low) / math.log(high / low)
        at_low, at_high = (results.values((second, w), measure) for w in (low, high))
        own = results.values((first, weight), measure)
        plain.append(own - results.values((second, weight), measure))
        shifted.append(own - (1 - share) * at_low - share * at_high)
    if not plain:
        return mean_interval([math.nan]), mean_interval([math.nan])
    span = span_of(measure.metric, measure.factor)
    apart = [np.abs(np.stack(part)).mean(axis=0) for part in (plain, shifted)]
    return mean_interval(apart[0], span=span), mean_interval(apart[1], span=span)


def tally(verdicts: Iterable[str]) -> str:
    """How often each verdict of `joint_differences` or `at_best` occurs.

    "ahead in three, behind in none and undecided in one"; "undecided in all four" where they agree.
    """
    found = Counter(verdicts)
    if len(found) == 1:
        ((verdict, count),) = found.items()
        return f"{IN_WORDS[verdict]} in {'the only one' if count == 1 else f'all {phrases.number(count)}'}"
    counts = phrases.numbers(found[verdict] for verdict in IN_WORDS)
    return phrases.listed(
        f"{word} in {count if found[verdict] else 'none'}"
        for (verdict, word), count in zip(IN_WORDS.items(), counts, strict=True)
    )
