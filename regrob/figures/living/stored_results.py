"""Stored results to explore: one measure of one network against λ, each dot with interval and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regrob.analysis.measures import (
    LABELS,
    MEASURES,
    SHARES,
    Key,
    Measure,
    NetworkResults,
    Setting,
    by_network,
    lines_of,
    setting_name,
)
from regrob.analysis.summary import EXPLORED, tidy
from regrob.errors import InputError
from regrob.figures.living.frame import Living, living
from regrob.figures.results import band
from regrob.figures.theme import LOOKS, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

QUANTITIES = {
    "accuracy": "accuracy",
    "distance": "distance",
    "success": "share fooled",
    "probability": "confidence",
    "cross-lipschitz": "slope",
}
"""Metric of a table → what the reader chooses it by."""

ATTACKS = {measure.attack: measure.title for measure in MEASURES.values()}
"""Attack of a table → what the reader chooses it by."""

TITLES = {
    "accuracy": "accuracy, {}, %",
    "distance": "mean ℓ₂ distance, {}",
    "success": "fooled by {}, %",
    "probability": "mean p_y",
    "cross-lipschitz": "mean ν²",
}
"""Metric → how an axis names it, with its attack."""

DIGITS = {"accuracy": 1, "success": 1, "distance": 2}
"""Decimals of the book's tables, to which numbers are rounded here, so that both say the same."""


def stored_results(
    tables: Mapping[str, pd.DataFrame], *, network: str, measure: Key, start: Setting
) -> Living:
    """The reader chooses network, quantity, attack and penalty, and goes from dot to dot.

    Args:
        tables: title of a sweep → its table, as `tables.read` gives it.
        network: of the first sweep, which is shown first.
        measure: attack and metric that are shown first.
        start: the penalty and λ of the first dot.

    Raises:
        InputError: no such measure, or the first sweep lacks what shall be shown first.
    """
    networks = [entry for title, table in tables.items() for entry in _entries(title, table)]
    first = next(iter(tables.values()))
    results = NetworkResults(first[first["network"] == network], network)
    results.values(start, _measure(measure))  # raises for what is not stored
    known = {key for entry in networks for key in entry["measures"]}
    data = {
        "networks": networks,
        "measures": [
            {
                "key": _name(one.key),
                "quantity": one.metric,
                "attack": one.attack,
                "title": TITLES[one.metric].format(ATTACKS[one.attack]),
                "digits": DIGITS.get(one.metric),
                "share": one.metric in SHARES,
                "most": one.factor,
            }
            for one in EXPLORED
            if _name(one.key) in known
        ],
        "quantities": list(QUANTITIES.items()),
        "attacks": list(ATTACKS.items()),
        "penalties": LABELS,
        "start": {
            "network": [entry["key"] for entry in networks].index(network),
            "measure": _name(measure),
            "penalty": start[0],
            "weight": start[1],
        },
    }
    return living(
        "stored_results",
        data,
        alt=f"{results.title}: a line for each penalty, accuracy under an attack against λ on a logarithmic "
        "axis. Each line rises from that of no penalty, bends, and falls at the largest λ; at one dot the "
        "interval and the values of all seeds are marked.",
        still=_still(results, measure),
        predict=_prediction(results, measure),
    )


def _name(key: Key) -> str:
    return " ".join(key)


def _entries(title: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """One for each network: its settings, and of each measure a list as long for mean, ends and seeds."""
    rows, entries = tidy(table), []
    for results in by_network(table):
        settings = results.settings(*(name for name in LABELS if results.weights(name)))
        of_network = rows[rows["network"] == results.network].set_index(["attack", "metric"])
        entries.append(
            {
                "key": results.network,
                "name": f"{title}, {results.title}",
                "sign": "ε" if lines_of(results.table) == ["adversarial-training"] else "λ",
                "settings": settings,
                "measures": {
                    _name(measure.key): _columns(of_network.loc[[measure.key]], settings, measure)
                    for measure in EXPLORED
                    if measure.key in of_network.index
                },
            }
        )
    return entries


def _columns(rows: pd.DataFrame, settings: list[Setting], measure: Measure) -> dict[str, list[Any]]:
    """One entry a setting; None, which JSON has, stands for NaN, which it has not."""
    digits = DIGITS.get(measure.metric)

    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value) if digits is None else round(float(value), digits)

    by_setting = rows.set_index(["penalty", "lambda"]).loc[settings]
    return {
        **{name: [number(value) for value in by_setting[name]] for name in ("mean", "low", "high")},
        "values": [[number(value) for value in values] for values in by_setting["values"]],
    }


def _measure(key: Key) -> Measure:
    for measure in EXPLORED:
        if measure.key == key:
            return measure
    raise InputError(f"no measure has the key {key!r}; there are {', '.join(str(m.key) for m in EXPLORED)}")


def _prediction(results: NetworkResults, key: Key) -> tuple[str, str]:
    """Which penalty comes farthest, and at which λ: from the table."""
    measure = _measure(key)
    best = [results.best(name, measure) for name in lines_of(results.table) if results.whole(name)]
    best.sort(key=lambda setting: -results.interval(setting, measure).mean)
    said = [f"{setting_name(s)}: {results.interval(s, measure):{measure.digits}}" for s in best]
    apart = max(weight for _, weight in best) / min(weight for _, weight in best)
    return (
        "Which penalty comes farthest under PGD, if each has the λ that suits it best? And does the same λ "
        "suit all of them?",
        f"In per cent, with 95 % intervals: {'; '.join(said)}. The best λ differ by a factor of up to "
        f"{apart:g}, so a comparison at one λ for all says little.",
    )


def _still(results: NetworkResults, key: Key) -> Figure:
    import matplotlib.pyplot as plt

    measure = _measure(key)
    penalties: Sequence[str] = lines_of(results.table)
    with style():
        figure, axes = plt.subplots(figsize=(6.4, 3.8))
        for name in penalties:
            weights = results.weights(name)
            band(axes, weights, [results.interval((name, weight), measure) for weight in weights], name)
        level = results.interval(("none", 0.0), measure)
        axes.axhline(level.mean, **LOOKS["none"].line)
        axes.set(xscale="log", xlabel="λ", ylabel=TITLES[measure.metric].format(measure.title))
        axes.legend(loc="best")
    return figure
