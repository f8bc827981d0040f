"""What a picture of dots shows: panels of rows, and in each row one interval a penalty.

The functions turn comparisons into such panels; `figures.compared` draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from regrob.analysis.comparisons import AtBest, Comparison
from regrob.analysis.equal_robustness import NOT_REACHED
from regrob.analysis.intervals import Interval
from regrob.analysis.measures import MEASURES, UNPENALISED, Measure, NetworkResults

if TYPE_CHECKING:
    import pandas as pd


class Dot(NamedTuple):
    """A mean with its interval: in which row of a panel it stands, and of which penalty."""

    row: str
    penalty: str
    interval: Interval


Panels = dict[str, list[Dot]]
"""Title of a panel → its dots."""


def of_best_settings(
    networks: Iterable[NetworkResults], penalties: Sequence[str], measures: Sequence[Measure]
) -> Panels:
    """No penalty, and each penalty at its λ with the largest mean: a panel a measure, a row a network.

    The same seeds choose and are shown: a description. Settings of which a seed diverged are left out.
    """
    networks = list(networks)
    panels: Panels = {}
    for measure in measures:
        dots = panels.setdefault(_title(measure), [])
        for results in networks:
            best = [results.best(name, measure) for name in penalties if _whole(results, name)]
            for setting in (UNPENALISED, *best):
                dots.append(Dot(results.title, setting[0], results.interval(setting, measure)))
    return panels


def _whole(results: NetworkResults, penalty: str) -> bool:
    return penalty in set(results.table["penalty"]) and bool(results.whole(penalty))


def of_gains(compared: Iterable[Comparison]) -> Panels:
    """`comparisons.gains` of several networks: a panel a measure, a row a network."""
    panels: Panels = {}
    for comparison in compared:
        dot = Dot(comparison.results.title, comparison.setting[0], comparison.gap)
        panels.setdefault(_change(comparison.measure), []).append(dot)
    return panels


def of_best(by_network: Mapping[str, Sequence[AtBest]], prices: Mapping[float, str]) -> Panels:
    """The first penalty minus each rival, of `comparisons.at_best`: a panel for each measure and price.

    Args:
        by_network: title of a network → its comparisons; a row each.
        prices: what may be given up → how it is written.
    """
    panels: Panels = {}
    for row, compared in by_network.items():
        for best in compared:
            measure = MEASURES[best.measure]
            dots = panels.setdefault(f"{_change(measure)},\n{prices[best.price]}", [])
            if best.penalty != compared[0].penalty:
                dots.append(Dot(row, best.penalty, best.difference.times(measure.factor)))
    return panels


def of_differences(table: pd.DataFrame, across: Measure) -> Panels:
    """`equal_robustness.differences`: a panel an aim, a row a target of `across`.

    What not every seed reaches is left out.
    """
    unit = " %" if across.factor == 100 else ""
    panels: Panels = {}
    for _, row in table.iterrows():
        measure = MEASURES[row["attack"], row["metric"]]
        dots = panels.setdefault(_change(measure), [])
        if row["verdict"] != NOT_REACHED:
            interval = Interval(row["mean"], row["low"], row["high"], int(row["count"])).times(measure.factor)
            target = f"{across.factor * row['target']:g}{unit}"
            dots.append(Dot(f"{across.title} at {target}", row["method"], interval))
    return panels


def _title(measure: Measure) -> str:
    return f"{measure.title}, {'%' if measure.factor == 100 else 'distance'}"


def _change(measure: Measure) -> str:
    return f"{measure.title}, {'points' if measure.factor == 100 else 'distance'}"
