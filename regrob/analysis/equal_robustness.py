"""Methods compared where they are equally robust: what does so much robustness cost?

A method is a penalty or adversarial training, with a strength: λ or ε. Strengths of two
methods share no unit, so equal strength compares nothing. Equal robustness does: each seed's
line through its settings is followed, from no method at all to the smallest strength that
reaches the target, and what else is true of the network is read off there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regrob.analysis.comparisons import line_through
from regrob.analysis.intervals import Interval, mean_interval, paired_difference
from regrob.analysis.measures import (
    UNPENALISED,
    Key,
    Measure,
    difference_span_of,
    means,
    values,
    weights_of,
)
from regrob.analysis.tables import COLUMNS
from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NOT_REACHED = "not reached"
"""The verdict where a seed's line does not come as far as the target."""

SHARED = ("reference", "none")
"""What two figures of one protocol have in common: the networks that everything starts from."""


def joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Two tables in one, the second's references and its networks without a method left out.

    Args:
        first, second: as `tables.read` gives them, of one protocol.

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


def common_level(
    table: pd.DataFrame, network: str, penalties: Sequence[str], across: Key, share: float
) -> float:
    """A value of `across` that every penalty reaches in the mean.

    It lies a share of the way from the mean without a penalty to the largest mean of that penalty
    which gets least far.
    """
    level = means(table)[(network, *across)]
    start, end = level[UNPENALISED], min(level[penalty].max() for penalty in penalties)
    return float(start + share * (end - start))


def at_equal(
    table: pd.DataFrame, network: str, penalty: str, across: Key, aim: Key, at: float
) -> NDArray[np.float64]:
    """`aim` where `across` has a given value, on each seed's line through its settings.

    The line runs from λ = 0 through the penalty's λ in ascending order, straight between two
    of them; its first crossing counts. NaN for a seed whose line does not reach the value, or
    diverged before it did.
    """
    settings = line_through(table, network, penalty)
    x = np.stack([values(table, network, *s, *across) for s in settings], axis=1)  # (seeds, settings)
    y = np.stack([values(table, network, *s, *aim) for s in settings], axis=1)
    readings = np.full(len(x), np.nan)
    for seed in range(len(x)):
        for i in range(len(settings) - 1):
            before, after = x[seed, i] - at, x[seed, i + 1] - at
            if np.isnan(after):  # beyond, a crossing need not be the first
                break
            if before * after <= 0 and before != after:
                share = before / (before - after)
                readings[seed] = (1 - share) * y[seed, i] + share * y[seed, i + 1]
                break
    return readings


def leads(
    table: pd.DataFrame,
    network: str,
    penalties: Sequence[str],
    across: Measure,
    aims: Iterable[Measure],
    at: float,
) -> dict[tuple[Measure, str], Interval]:
    """Each aim of the first penalty minus that of a rival, seed by seed, where both are equally robust.

    The intervals hold all at once at 95 % (Bonferroni over aims and rivals).

    Args:
        table, network: as `at_equal` takes them.
        penalties: the first, then its rivals.
        across: what is made equal.
        aims: what is read off.
        at: the value of `across`, in the table's unit.

    Returns:
        (aim, rival) → the interval, in the aim's unit.
    """
    aims, (_, *rivals) = list(aims), penalties
    strict = 1 - 0.05 / (len(aims) * len(rivals))
    gaps = {}
    for aim in aims:
        first, *others = (
            aim.factor * at_equal(table, network, penalty, across.key, aim.key, at) for penalty in penalties
        )
        for rival, other in zip(rivals, others, strict=True):
            gaps[aim, rival] = paired_difference(first, other, strict).cut(aim.difference_span)
    return gaps


def price(
    table: pd.DataFrame, network: str, method: str, across: Key, aim: Key, target: float
) -> NDArray[np.float64]:
    """What each seed gives up of `aim` for so much of `across`: aim without the method, minus with it.

    Read between two settings by a straight line; see `at_equal`. Negative where
    the method raises both.

    Args:
        table: as `tables.read` or `joined` gives it; in its units.
        network, method: of the table.
        across: the robustness that is made equal, say ("pgd", "accuracy").
        aim: what is read off there, say ("none", "accuracy").
        target: of `across`; above what any seed has without the method.

    Returns:
        one value a seed; NaN for a seed whose line does not reach the target, or diverged before.

    Raises:
        InputError: a seed has the target without any method; or the table lacks a setting.
    """
    start = values(table, network, *UNPENALISED, *across)
    if not (start < target).all():
        raise InputError(
            f"target must lie above {across[0]} {across[1]} without a method, "
            f"which is up to {np.nanmax(start):g}, got {target:g}"
        )
    reached = at_equal(table, network, method, across, aim, target)
    return values(table, network, *UNPENALISED, *aim) - reached


def prices(
    table: pd.DataFrame,
    network: str,
    methods: Sequence[str],
    across: Key,
    aim: Key,
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

    rows = []
    for method in methods:
        for target in targets:
            paid = price(table, network, method, across, aim, target)
            reached = int(np.isfinite(paid).sum())
            mean = mean_interval(paid if reached == len(paid) else [np.nan], level)
            mean = mean.cut(difference_span_of(aim[1]))
            rows.append((method, target, reached, len(paid), mean.mean, mean.low, mean.high))
    return pd.DataFrame(rows, columns=["method", "target", "reached", "seeds", "mean", "low", "high"])


def differences(
    table: pd.DataFrame,
    network: str,
    rival: str,
    methods: Sequence[str],
    across: Key,
    aims: Sequence[Key],
    targets: Sequence[float],
) -> pd.DataFrame:
    """`aim` of each method minus that of the rival, where both are equally robust, seed by seed.

    The intervals hold all at once at 95 % (Bonferroni over methods,
    targets and aims, also those that no line reaches).

    Returns:
        columns method, target, attack, metric, mean, low, high, count, verdict: "higher" or
        "lower" where the interval leaves zero out, "undecided" where it does not, "not reached"
        where a seed of either line does not come as far; there are no numbers then.

    Raises:
        InputError: no method, aim or target; or see `price`.
    """
    import pandas as pd

    count = len(methods) * len(aims) * len(targets)
    if not count:
        raise InputError("need a method, an aim and a target at least")
    strict = 1 - 0.05 / count
    rows = []
    for target in targets:
        for aim in aims:
            rival_price = price(table, network, rival, across, aim, target)
            for method in methods:
                own_price = price(table, network, method, across, aim, target)
                whole = bool(np.isfinite([own_price, rival_price]).all())
                gap = paired_difference(rival_price, own_price, strict)  # prices: the sign turns
                gap = gap.cut(difference_span_of(aim[1]))
                if not whole:
                    gap = mean_interval([np.nan])
                numbers = (gap.mean, gap.low, gap.high, gap.count)
                rows.append((method, target, *aim, *numbers, gap.verdict if whole else NOT_REACHED))
    names = ["method", "target", "attack", "metric", "mean", "low", "high", "count", "verdict"]
    return pd.DataFrame(rows, columns=names)


def thinned(table: pd.DataFrame, network: str, methods: Sequence[str]) -> pd.DataFrame:
    """The table without every second strength of each method; the largest stays.

    What is read off between two settings changes with them. A verdict that a coarser grid
    turns round was one of the grid.
    """
    keep = np.ones(len(table), dtype=bool)
    for method in methods:
        dropped = weights_of(table, network, method)[-2::-2]
        of_method = (table["network"] == network) & (table["penalty"] == method)
        keep &= ~(of_method & table["lambda"].isin(dropped)).to_numpy()
    return table[keep]


def firm_differences(
    table: pd.DataFrame,
    network: str,
    rival: str,
    methods: Sequence[str],
    across: Key,
    aims: Sequence[Key],
    targets: Sequence[float],
) -> pd.DataFrame:
    """`differences`, with a column `firm`: whether the verdict is the same without every second strength."""
    whole = differences(table, network, rival, methods, across, aims, targets)
    coarse = thinned(table, network, (*methods, rival))
    again = differences(coarse, network, rival, methods, across, aims, targets)
    return whole.assign(firm=(whole["verdict"] == again["verdict"]).to_numpy())
