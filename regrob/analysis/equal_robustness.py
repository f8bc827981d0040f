"""What robustness costs: methods compared where they are equally robust.

A method is a penalty or adversarial training, with a strength: λ or ε. Strengths of two
methods share no unit, so equal strength compares nothing. Equal robustness does: each seed's
line through its settings is followed, from no method at all to the smallest strength that
reaches the target, and what else is true of the network is read off there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regrob.analysis import intervals
from regrob.analysis.comparisons import Measured, at_equal
from regrob.analysis.tables import COLUMNS
from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SHARED = ("reference", "none")
"""What two figures of one protocol have in common: the networks that everything starts from."""


def joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Two tables in one, the second's references and its networks without a method left out.

    Args:
        first, second: as `results.read` gives them, of one protocol.

    Raises:
        InputError: a network of the second has no references in the first, or others: then
            its seeds are no partners, and nothing may be paired.
    """
    import pandas as pd

    keys = list(COLUMNS[2:-1])
    # The method itself must not be in both either: which of the two would be meant?
    common = first.merge(second, on=keys, suffixes=("", " of the second"))
    known = set(common.loc[common["penalty"] == "reference", "network"])
    lacking = sorted(set(second["network"]) - known)
    if lacking:
        raise InputError(f"the tables share no references of {lacking[0]}: run both in one folder")
    equal = np.isclose(common["value"], common["value of the second"], rtol=1e-6, atol=1e-9, equal_nan=True)
    if not equal.all():
        row = common[~equal].iloc[0]
        raise InputError(
            f"the tables differ in {row['attack']} {row['metric']} of {row['network']}, "
            f"{row['penalty']}, seed {row['seed']}: {row['value']:g} and {row['value of the second']:g}; "
            "they must go on from the same networks"
        )
    rest = second[~second["penalty"].isin(SHARED)]
    return pd.concat([first, rest], ignore_index=True)


def price(
    table: pd.DataFrame, network: str, method: str, across: Measured, aim: Measured, target: float
) -> NDArray[np.float64]:
    """What each seed gives up of `aim` for so much of `across`: aim without the method, minus with it.

    Read between two settings by a straight line; see `comparisons.at_equal`. Negative where
    the method raises both.

    Args:
        table: as `results.read` or `joined` gives it; in its units.
        network, method: of the table.
        across: the robustness that is made equal, say ("pgd", "accuracy").
        aim: what is read off there, say ("none", "accuracy").
        target: of `across`; above what any seed has without the method.

    Returns:
        one value a seed; NaN for a seed whose line does not reach the target, or diverged before.

    Raises:
        InputError: a seed has the target without any method; or the table lacks a setting.
    """
    start = intervals.values(table, network, "none", 0.0, *across)
    if not (start < target).all():
        raise InputError(
            f"target must lie above {across[0]} {across[1]} without a method, "
            f"which is up to {np.nanmax(start):g}, got {target:g}"
        )
    there = at_equal(table, network, method, across, aim, target)
    return intervals.values(table, network, "none", 0.0, *aim) - there


def prices(
    table: pd.DataFrame,
    network: str,
    methods: Sequence[str],
    across: Measured,
    aim: Measured,
    targets: Sequence[float],
    level: float = 0.95,
) -> pd.DataFrame:
    """The price of each method at each target, with an interval of its own.

    Returns:
        columns method, target, reached, seeds, mean, low, high: `reached` of `seeds` lines
        reach the target. Where some do not, the mean would be one over the lucky seeds
        alone; it and its interval are NaN.

    Raises:
        InputError: see `price`.
    """
    import pandas as pd

    found = []
    for method in methods:
        for target in targets:
            paid = price(table, network, method, across, aim, target)
            reached = int(np.isfinite(paid).sum())
            one = intervals.mean_interval(paid if reached == len(paid) else [np.nan], level)
            found.append((method, target, reached, len(paid), one.mean, one.low, one.high))
    return pd.DataFrame(found, columns=["method", "target", "reached", "seeds", "mean", "low", "high"])


def races(
    table: pd.DataFrame,
    network: str,
    rival: str,
    methods: Sequence[str],
    across: Measured,
    aims: Sequence[Measured],
    targets: Sequence[float],
    level: float = 0.95,
) -> pd.DataFrame:
    """`aim` of each method minus that of the rival, where both are equally robust, seed by seed.

    The intervals hold all at once with the probability `level` (Bonferroni over methods,
    targets and aims, also those that no line reaches).

    Returns:
        columns method, target, attack, metric, mean, low, high, count, verdict: "higher" or
        "lower" where the interval leaves zero out, "open" where it does not, "not reached"
        where a seed of either line does not come as far; there are no numbers then.

    Raises:
        InputError: no method, aim or target; or see `price`.
    """
    import pandas as pd

    count = len(methods) * len(aims) * len(targets)
    if not count:
        raise InputError("need a method, an aim and a target at least")
    strict = 1 - (1 - level) / count
    found = []
    for target in targets:
        for aim in aims:
            theirs = price(table, network, rival, across, aim, target)
            for method in methods:
                ours = price(table, network, method, across, aim, target)
                whole = bool(np.isfinite(ours).all() and np.isfinite(theirs).all())
                gap = intervals.paired_difference(theirs, ours, strict)  # prices: the sign turns
                if not whole:
                    gap = intervals.mean_interval([np.nan])
                numbers = (gap.mean, gap.low, gap.high, gap.count)
                found.append((method, target, *aim, *numbers, gap.verdict if whole else "not reached"))
    names = ["method", "target", "attack", "metric", "mean", "low", "high", "count", "verdict"]
    return pd.DataFrame(found, columns=names)


def thinned(table: pd.DataFrame, network: str, methods: Sequence[str]) -> pd.DataFrame:
    """The table without every second strength of each method; the largest stays.

    What is read off between two settings changes with them. A verdict that a coarser grid
    turns round was one of the grid.
    """
    keep = np.ones(len(table), dtype=bool)
    for method in methods:
        dropped = intervals.weights_of(table, network, method)[-2::-2]
        here = (table["network"] == network) & (table["penalty"] == method)
        keep &= ~(here & table["lambda"].isin(dropped)).to_numpy()
    return table[keep]
