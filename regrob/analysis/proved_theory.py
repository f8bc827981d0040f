"""How far attacks, linear bounds and the lengths of the local map lie from the true distance.

All over digits whose distance is settled, so that `found` is the truth to `TOLERANCE`; seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regrob.analysis.intervals import POSITIVE, Interval, mean_interval
from regrob.analysis.measures import Setting, setting_name
from regrob.analysis.proved import Proved, is_settled

if TYPE_CHECKING:
    import pandas as pd

LENGTHS = {"linear": "linear bounds", "margin": "d", "attacked": "attacks", "radius": "‖r*‖₂"}
"""The columns that are compared with the truth, and how they are written."""


class Agreement(NamedTuple):
    """How a length agrees with the truth.

    Attributes:
        ratio: the median of length over truth.
        rank: Spearman's correlation.
    """

    ratio: Interval
    rank: Interval


def agreement(proofs: Proved, setting: Setting, length: str) -> Agreement:
    """Of one setting, means over seeds.

    Args:
        proofs: of one network.
        setting: penalty and λ.
        length: a key of `LENGTHS`.

    Raises:
        InputError: nothing is stored of the setting.
    """
    ratios, ranks = [], []
    for _, rows in is_settled(proofs.of(setting)).groupby("seed"):
        ratios.append(float(np.median(rows[length] / rows["found"])))
        ranks.append(float(rows[length].rank().corr(rows["found"].rank())))
    return Agreement(mean_interval(ratios, span=POSITIVE), mean_interval(ranks, span=(-1.0, 1.0)))


def table(proofs: Proved, settings: Iterable[Setting]) -> pd.DataFrame:
    """A row a setting: the true median, each length over the truth, and how d and ‖r*‖₂ rank."""
    import pandas as pd

    lines = []
    for setting in settings:
        settled = is_settled(proofs.of(setting))
        truth = [float(rows["found"].median()) for _, rows in settled.groupby("seed")]
        line = {"trained with": setting_name(setting), "settled digits": str(len(settled))}
        line["truth ρ"] = _written(mean_interval(truth, span=POSITIVE))
        known = {name: agreement(proofs, setting, name) for name in LENGTHS}
        line |= {f"{LENGTHS[name]} / ρ": _written(each.ratio) for name, each in known.items()}
        line |= {f"{LENGTHS[name]}: rank": _written(known[name].rank) for name in ("margin", "radius")}
        lines.append(line)
    return pd.DataFrame(lines)


def _written(value: Interval) -> str:
    return f"{value.mean:.2f}" if value.count == 1 else f"{value:.2f}"
