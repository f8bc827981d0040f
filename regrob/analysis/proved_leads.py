"""Whose mistakes are the farthest: penalties compared over seeds, each at its own best λ.

For each seed the other seeds choose λ, as in `comparisons.at_best`: nothing that chooses is also what is
compared. Of two networks the difference of the true medians lies between the first's certified less the
second's found, and the first's found less the second's certified; so an interval that reaches from the lower
end of the one to the upper end of the other holds it, whatever the proofs left open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regrob.analysis.comparisons import chosen
from regrob.analysis.intervals import Interval, paired_difference
from regrob.analysis.measures import BENIGN, UNPENALISED, Measure, NetworkResults
from regrob.analysis.proved import ATTACKED, CERTIFIED, FOUND, LINEAR, over_common_seeds


class Ranking(NamedTuple):
    """What puts networks in an order.

    Attributes:
        words: how a sentence says it.
        aim: by which λ is chosen.
        low, high: between them lies what is compared.
    """

    words: str
    aim: Measure
    low: Measure
    high: Measure


BY_LINEAR = Ranking("by linear bounds alone", LINEAR, LINEAR, LINEAR)
BY_TRUTH = Ranking("in truth", CERTIFIED, CERTIFIED, FOUND)
BY_ATTACKS = Ranking("by what attacks find", ATTACKED, ATTACKED, ATTACKED)
RANKINGS = (BY_LINEAR, BY_TRUTH, BY_ATTACKS)


class Lead(NamedTuple):
    """How much farther the mistakes of one method are than a rival's.

    Attributes:
        ranking: by what.
        price: how much accuracy without attack each may give up, as a share.
        rival: its name.
        difference: first − rival.
    """

    ranking: Ranking
    price: float
    rival: str
    difference: Interval


def leads(
    results: NetworkResults,
    first: str,
    rivals: Sequence[str],
    rankings: Sequence[Ranking] = RANKINGS,
    prices: Sequence[float] = (math.inf,),
) -> list[Lead]:
    """First − rival for each ranking, price and rival; the intervals hold all at once at 95 % (Bonferroni).

    A rival with which the first has but one seed in common gets no numbers, and does not count among them.

    Args:
        results: of one network.
        first: a penalty, or adversarial training.
        rivals: others, or "none".
        rankings: by what.
        prices: how much accuracy each may give up, as a share.

    Returns:
        one entry each.

    Raises:
        InputError: the table lacks a setting.
    """
    paired = {rival: over_common_seeds(results, first, rival) for rival in rivals}
    several = sum(common.seeds > 1 for common in paired.values())
    level = 1 - 0.05 / max(1, several * len(rankings) * len(prices))
    found = []
    for ranking in rankings:
        for price in prices:
            for rival in rivals:
                own, other = (_ends(paired[rival], name, ranking, price) for name in (first, rival))
                found.append(Lead(ranking, price, rival, between(own, other, level)))
    return found


Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of each seed, between which two numbers a median lies."""


def _ends(results: NetworkResults, penalty: str, ranking: Ranking, price: float) -> Ends:
    """What is known of a penalty's median at the λ that the other seeds chose."""
    if penalty == UNPENALISED[0]:
        return results.values(UNPENALISED, ranking.low), results.values(UNPENALISED, ranking.high)
    table = results.table
    needed = table["penalty"].isin((penalty, *UNPENALISED[:1])) & table["attack"].isin(
        measure.attack for measure in (ranking.aim, ranking.low, ranking.high, BENIGN)
    )
    results = NetworkResults(table[needed], results.network)  # a small table is read faster
    _, weights = chosen(results.table, results.network, penalty, ranking.aim.key, within=price)
    settings = [(penalty, weight) if weight else UNPENALISED for weight in weights]
    if any(math.isnan(weight) for weight in weights):
        return np.full(results.seeds, math.nan), np.full(results.seeds, math.nan)
    low, high = (
        np.array([results.values(setting, measure)[seed] for seed, setting in enumerate(settings)])
        for measure in (ranking.low, ranking.high)
    )
    return low, high


def between(first: Ends, second: Ends, level: float = 0.95) -> Interval:
    """The mean of first − second, paired over seeds, each known only to lie between two ends.

    >>> one, two = np.array([2.0, 2.1, 2.2]), np.array([1.0, 1.0, 1.3])
    >>> between((one, one + 0.1), (two, two + 0.1)).verdict
    'higher'
    """
    least = paired_difference(first[0], second[1], level)
    most = paired_difference(first[1], second[0], level)
    values = (np.array(least.values) + np.array(most.values)) / 2
    mean = (least.mean + most.mean) / 2
    return Interval(mean, least.low, most.high, least.count, least.dropped, tuple(values.tolist()))


def verdicts(compared: Iterable[Lead], ranking: Ranking, price: float = math.inf) -> list[str]:
    """ "higher", "lower" or "undecided" against each rival, by one ranking at one price."""
    return [lead.difference.verdict for lead in compared if (lead.ranking, lead.price) == (ranking, price)]
