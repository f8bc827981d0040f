"""A table of results summed up over seeds: in numbers, for programs, and in words, for a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from regrob.analysis.equal_robustness import at_equal
from regrob.analysis.measures import (
    BENIGN,
    CARLINI,
    CONFIDENCE,
    DEEPFOOL,
    LABELS,
    MEASURES,
    ROBUST,
    SLOPE,
    UNPENALISED,
    Measure,
    NetworkResults,
    Setting,
    by_network,
    interval_by_setting,
    lines_of,
    success,
)

if TYPE_CHECKING:
    import pandas as pd

EVERY = (BENIGN, *ROBUST)
"""What a table of settings shows if nothing else is asked for."""

HEADS = {
    measure: f"{measure.title}, {'%' if measure.factor == 100 else 'distance'}"
    for measure in MEASURES.values()
}
"""Measure → the head of its column on a page."""


EXPLORED = (*MEASURES.values(), success(DEEPFOOL), success(CARLINI), CONFIDENCE, SLOPE)
"""What a reader chooses from in a picture of stored results."""


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each network, measure, penalty and λ: the data of a picture that a reader explores.

    Args:
        table: as `tables.read` gives it.

    Returns:
        columns network, attack, metric, penalty, lambda; mean, low, high, in the measure's unit, where
        low and high are the ends of the 95 % interval, the two values of two seeds, and NaN of one
        seed; seeds that were used; diverged, the seeds that were not; values, one a seed in the order of
        the seeds, NaN of one that diverged. What the table does not measure has no row.
    """
    import pandas as pd

    keys = ["network", "attack", "metric", "penalty", "lambda"]
    by_seed = table.sort_values("seed").groupby(keys)["value"].agg(tuple)
    rows = [
        (
            results.network,
            *measure.key,
            *setting,
            interval.mean,
            *interval.ends,
            interval.count,
            interval.dropped,
            tuple(measure.factor * value for value in by_seed[results.network, *measure.key, *setting]),
        )
        for results in by_network(table)
        for measure in EXPLORED
        for setting, interval in interval_by_setting(results.table, results.network, measure).items()
    ]
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "seeds", "diverged", "values"])


def in_words(networks: Iterable[NetworkResults], measures: Sequence[Measure] = EVERY) -> pd.DataFrame:
    """A row for each network and setting, without a penalty first: means with intervals, as texts.

    The column seeds says where some diverged: "9 of 10".
    """
    import pandas as pd

    rows = []
    for results in networks:
        lost = results.diverged()
        for setting in results.settings("none", *lines_of(results.table)):
            seeds = (
                f"{results.seeds - lost[setting]} of {results.seeds}" if setting in lost else results.seeds
            )
            row = {"network": results.title, **_setting(setting), "seeds": str(seeds)}
            rows.append(row | {HEADS[measure]: _text(results, setting, measure) for measure in measures})
    return pd.DataFrame(rows)


def best_settings(
    networks: Iterable[NetworkResults],
    penalties: Sequence[str],
    chosen_by: Measure,
    measures: Sequence[Measure] = EVERY,
) -> pd.DataFrame:
    """Each penalty at its best λ by one measure, and what all measures say there; no penalty first.

    A penalty of which seeds diverged at every λ has no row. The same seeds choose and are shown: a
    description.
    """
    import pandas as pd

    rows = []
    for results in networks:
        best = [results.best(name, chosen_by) for name in penalties if results.whole(name)]
        for setting in (UNPENALISED, *best):
            row = {"network": results.title, **_setting(setting)}
            rows.append(row | {HEADS[measure]: _text(results, setting, measure) for measure in measures})
    return pd.DataFrame(rows)


def readings(
    table: pd.DataFrame,
    network: str,
    penalties: Sequence[str],
    levels: Mapping[Measure, float],
    aims: Mapping[Measure, str],
) -> pd.DataFrame:
    """What else is true of each penalty's networks where one measure has a given value, as texts.

    Args:
        table, network, penalties: as `equal_robustness.at_equal` takes them.
        levels: what is made equal → its value, in the table's unit.
        aims: what is read off → the format of its numbers.
    """
    import pandas as pd

    rows = []
    for across, at in levels.items():
        for penalty in penalties:
            row = {"equal": f"{across.title} at {at * across.factor:.3g}", "penalty": LABELS[penalty]}
            for aim, digits in aims.items():
                reached = at_equal(table, network, penalty, across.key, aim.key, at)
                row[aim.title if aim.factor != 100 else HEADS[aim]] = f"{aim.interval(reached):{digits}}"
            rows.append(row)
    return pd.DataFrame(rows)


def _setting(setting: Setting) -> dict[str, str]:
    penalty, weight = setting
    return {"penalty": LABELS[penalty], "λ": f"{weight:g}" if weight else "–"}


def _text(results: NetworkResults, setting: Setting, measure: Measure) -> str:
    """The mean and its interval; a dash where no seed has a value, or nothing was measured."""
    rows = results.table
    if not ((rows["attack"] == measure.attack) & (rows["metric"] == measure.metric)).any():
        return "–"
    interval = results.interval(setting, measure)
    return "–" if np.isnan(interval.mean) else f"{interval:{measure.digits}}"
