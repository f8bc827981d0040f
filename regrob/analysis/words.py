"""What a table of results shows, as short lines for printing: computed, so that they cannot lag behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from regrob.analysis import comparisons
from regrob.figures.results import (
    BENIGN,
    LOOKS,
    ROBUST,
    diverged,
    interval_by_setting,
    known,
    lines_of,
    name_of,
)

if TYPE_CHECKING:
    import pandas as pd


def describe(table: pd.DataFrame) -> str:
    """What the figure shows, in words and numbers computed from the table; for printing below it.

    Settings of which a seed diverged are named, and are neither highest nor lowest.
    """
    lines = []
    penalties = lines_of(table)
    for network in known(table, "network"):
        lines.append(name_of(network))
        gone = diverged(table, network)
        for measure in (BENIGN, *ROBUST):
            spec = ".1f" if measure.factor == 100 else ".2f"
            found = interval_by_setting(table, network, measure)
            tried = {s: found[s] for s in found if s[0] in penalties and not gone[s]}
            if not tried:
                continue
            most, least = max(tried, key=lambda s: tried[s].mean), min(tried, key=lambda s: tried[s].mean)
            unit = "%" if measure.factor == 100 else "long"
            lines.append(f"  {measure.title}, {unit}")  # short lines, for phones
            lines.append(f"    no penalty {found['none', 0.0]:{spec}}")
            for word, (penalty, weight) in (("highest", most), ("lowest", least)):
                lines.append(f"    {word} {tried[penalty, weight]:{spec}}")
                lines.append(f"      {LOOKS[penalty].label}, λ = {weight:g}")
        for (penalty, weight), count in gone.items():
            if count:
                lines.append(f"  {LOOKS[penalty].label}, λ = {weight:g}")
                lines.append(f"    {count} of its seeds diverged")
    return "\n".join(lines)


def scoreboard(found: pd.DataFrame, first: str) -> str:
    """The verdicts of `comparisons.duels` as a small table of signs: rows λ, columns rival and attack."""
    signs = {"higher": "+", "lower": "−", "open": "·"}
    measures = {(m.attack, m.metric): m.title.replace("Carlini–Wagner", "C–W") for m in ROBUST}
    shown = {measures[key]: key for key in zip(found["attack"], found["metric"], strict=True)}
    lines = [f"{LOOKS[first].label} against …", "+ higher, − lower, · undecided"]
    for rival, rows in found.groupby("rival", sort=False):
        lines.append(f"  {LOOKS[str(rival)].label}")
        lines.append("    " + "λ".rjust(6) + "".join(f"  {title}" for title in shown))
        for weight, part in rows.groupby("lambda"):
            by_key = dict(zip(zip(part["attack"], part["metric"], strict=True), part["verdict"], strict=True))
            cells = "".join(signs[by_key[key]].rjust(2 + len(title)) for title, key in shown.items())
            lines.append(f"    {float(str(weight)):6g}{cells}")
    return "\n".join(lines)


def finishes(found: Sequence[comparisons.Finish]) -> str:
    """`comparisons.at_best` as lines for printing: each penalty's score, its λ, and the first one's lead."""
    measures = {(m.attack, m.metric): m for m in (BENIGN, *ROBUST)}
    lines = []
    for i, one in enumerate(found):
        m = measures[one.measure]
        if i == 0 or (one.price, one.measure) != (found[i - 1].price, found[i - 1].measure):
            first = one.penalty
            cost = "any price" if np.isinf(one.price) else f"{100 * one.price:g} points of accuracy"
            lines.append(f"{m.title}, {m.unit if m.factor == 100 else 'distance'}, for {cost}")
        tried = ", ".join(f"{weight:g}" for weight in sorted(set(one.weights)))
        lines.append(f"  {LOOKS[one.penalty].label:16} {one.score.times(m.factor):.2f}")
        lines.append(f"    at λ = {tried}")
        if one.penalty != first:
            lines.append(f"    lead {one.lead.times(m.factor):.2f}, {comparisons.ENDINGS[one.verdict]}")
    return "\n".join(lines)
