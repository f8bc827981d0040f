"""Which penalty wins: at each λ, at each one's best λ, and at equal robustness.

λ means something else for every penalty, so there are three kinds of comparison. All are
paired over seeds, as everything in `statistics`, and intervals that are reported together
hold together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regrob.analysis.intervals import (
    Interval,
    differences,
    mean_interval,
    paired_difference,
    values,
    weights_of,
)
from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Measured = tuple[str, str]
"""Attack and metric."""


def chosen(
    table: pd.DataFrame,
    network: str,
    penalty: str,
    aim: Measured,
    *,
    within: float = math.inf,
    keep: Measured = ("none", "accuracy"),
) -> tuple[NDArray[np.float64], list[float]]:
    """A penalty at its best λ, where nothing that chooses is also what is scored.

    For each seed the other seeds choose: the λ with the largest mean of `aim`, among those
    whose mean of `keep` is at most `within` below its mean without a penalty. The seed's own
    value at that λ is reported. λ = 0 is among the candidates; a λ at which a seed diverged is not.

    Returns:
        one value of `aim` a seed, and the λ chosen for each; NaN if there is one seed only,
        and so no other to choose.

    Raises:
        InputError: a setting that the table lacks.
    """
    settings = [("none", 0.0), *((penalty, weight) for weight in weights_of(table, network, penalty))]
    score = np.stack([values(table, network, *s, *aim) for s in settings])  # (settings, seeds)
    kept = np.stack([values(table, network, *s, *keep) for s in settings])
    if score.shape[1] < 2:
        return np.array([math.nan]), [math.nan]
    found, weights = [], []
    for seed in range(score.shape[1]):
        others = np.arange(score.shape[1]) != seed
        mean, cost = score[:, others].mean(axis=1), kept[:, others].mean(axis=1)
        allowed = (cost >= cost[0] - within) & ~np.isnan(score).any(axis=1)
        best = int(np.argmax(np.where(allowed, mean, -np.inf)))
        found.append(score[best, seed])
        weights.append(settings[best][1])
    return np.array(found), weights


def at_equal(
    table: pd.DataFrame, network: str, penalty: str, across: Measured, aim: Measured, at: float
) -> NDArray[np.float64]:
    """`aim` where `across` has a given value, on each seed's line through its settings.

    The line runs from λ = 0 through the penalty's λ in ascending order, straight between two
    of them; its first crossing counts. NaN for a seed whose line does not reach the value, or
    diverged before it did.
    """
    settings = [("none", 0.0), *((penalty, weight) for weight in weights_of(table, network, penalty))]
    x = np.stack([values(table, network, *s, *across) for s in settings], axis=1)  # (seeds, settings)
    y = np.stack([values(table, network, *s, *aim) for s in settings], axis=1)
    found = np.full(len(x), np.nan)
    for seed in range(len(x)):
        for i in range(len(settings) - 1):
            before, after = x[seed, i] - at, x[seed, i + 1] - at
            if np.isnan(after):  # beyond, a crossing need not be the first
                break
            if before * after <= 0 and before != after:
                share = before / (before - after)
                found[seed] = (1 - share) * y[seed, i] + share * y[seed, i + 1]
                break
    return found


def duels(
    table: pd.DataFrame,
    network: str,
    first: str,
    rivals: Iterable[str],
    measures: Iterable[Measured],
    level: float = 0.95,
) -> pd.DataFrame:
    """One penalty against each rival, at every λ that both have, with intervals that hold together.

    With m comparisons each interval is taken at 1 − (1 − level)/m, so that all hold at once
    with the probability `level`, however the comparisons depend on each other (Bonferroni).

    Returns:
        the columns of `differences`, and rival, and verdict: "higher" or "lower" where the
        interval of first − rival leaves zero out, else "open".
    """
    import pandas as pd

    here = table[table["network"] == network]
    rivals, measures = list(rivals), list(measures)
    own = set(weights_of(here, network, first))
    count = len(measures) * sum(len(own & set(weights_of(here, network, rival))) for rival in rivals)
    if not count:
        raise InputError(f"{first} shares no λ with {', '.join(rivals) or 'nobody'} for {network}")
    strict = 1 - (1 - level) / count
    parts = [differences(here, first, rival, measures, strict).assign(rival=rival) for rival in rivals]
    found = pd.concat(parts, ignore_index=True)
    found["verdict"] = np.select([found["low"] > 0, found["high"] < 0], ["higher", "lower"], "open")
    return found


@dataclass(frozen=True)
class Finish:
    """How one penalty ends a race in which each takes its own best λ.

    Attributes:
        price: how much mean accuracy without attack it may give up, as a share.
        measure: attack and metric that λ is chosen for.
        penalty: its name.
        score: over seeds, each at the λ that the other seeds chose.
        weights: the λ that were chosen, one a seed.
        lead: the first penalty's score minus this one's, paired over seeds.
    """

    price: float
    measure: Measured
    penalty: str
    score: Interval
    weights: tuple[float, ...]
    lead: Interval

    @property
    def verdict(self) -> str:
        """The lead's: "higher", "lower" or "open"."""
        return self.lead.verdict


def at_best(
    table: pd.DataFrame,
    network: str,
    first: str,
    rivals: Iterable[str],
    measures: Iterable[Measured],
    prices: Iterable[float] = (math.inf,),
    level: float = 0.95,
) -> list[Finish]:
    """One penalty against each rival, each at its best λ, with leads that hold together.

    `chosen` takes the best of a penalty's λ for each seed. With m leads each interval is taken
    at 1 − (1 − level)/m, as in `duels`.

    Returns:
        for each price and each measure: the first penalty, then its rivals.

    Raises:
        InputError: no rivals, or the table lacks a setting.
    """
    rivals, measures, prices = list(rivals), list(measures), list(prices)
    if not rivals:
        raise InputError(f"{first} needs a rival to race against, got none")
    strict = 1 - (1 - level) / (len(prices) * len(measures) * len(rivals))
    found = []
    for price in prices:
        for measure in measures:
            runs = {name: chosen(table, network, name, measure, within=price) for name in (first, *rivals)}
            ahead, _ = runs[first]
            for penalty, (scores, weights) in runs.items():
                lead = paired_difference(ahead, scores, strict)
                found.append(Finish(price, measure, penalty, mean_interval(scores), tuple(weights), lead))
    return found


ENDINGS = {"higher": "ahead", "lower": "behind", "open": "undecided"}
"""What the verdicts of `duels` and `at_best` say of the first penalty."""


def tally(found: pd.DataFrame) -> str:
    """How the comparisons of `duels` ended for the first penalty: "3 ahead, 0 behind, 1 undecided"."""
    counts = found["verdict"].value_counts()
    return ", ".join(f"{counts.get(verdict, 0)} {word}" for verdict, word in ENDINGS.items())
