"""Pictures of predicted lengths beside those that attacks find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regrob.analysis.predictions import Predictions
from regrob.figures.results import dots, legend_below
from regrob.figures.theme import BLACK, LENGTHS, LOOKS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

LONG_NAMES = {
    "edge": "nearest kink",
    "found": "a mistake found",
    "margin": "affine boundary, d",
    "radius": "quadratic model, ‖r*‖₂",
}
"""How the lengths of one image are written, from the shortest to the longest."""


def one_image(pixels: Tensor, lengths: Mapping[str, float]) -> Figure:
    """A digit (28, 28) and its lengths, one a row, on a logarithmic axis.

    Args:
        pixels: in [0, 1].
        lengths: a value for each of `LONG_NAMES`, say a row of `predictions.measure`.
    """
    import matplotlib.pyplot as plt

    figure, (digit, panel) = plt.subplots(1, 2, figsize=(6.6, 2.5), width_ratios=(1, 4))
    digit.imshow(pixels, cmap="gray_r", vmin=0, vmax=1)
    digit.set_axis_off()
    for row, name in enumerate(LONG_NAMES):
        look = LENGTHS[name]
        width = 3 if look.marker == "|" else 1
        panel.plot(lengths[name], row, look.marker, markersize=10, markeredgewidth=width, color=look.colour)
    panel.set(xscale="log", yticks=range(len(LONG_NAMES)), yticklabels=LONG_NAMES.values(), ylim=(3.6, -0.6))
    panel.set_xlabel("length, in units where a pixel runs from 0 to 1")
    return figure


def predicted_against_found(axes: Axes, table: pd.DataFrame, title: str) -> None:
    """Three predicted lengths against what attacks find, both logarithmic; one dot an image.

    Args:
        axes: to draw on.
        table: columns found, radius, margin and edge, as `predictions.measure` gives it.
        title: of the panel.
    """
    for name in ("radius", "margin", "edge"):
        label, colour, _, marker = LENGTHS[name]
        look: dict[str, Any] = {
            "color": colour,
            "label": label,
            "markersize": 5,
            "alpha": 0.7,
            "linestyle": "none",
        }
        axes.plot(table["found"], table[name], marker, **look)
    ends = [table["found"].min(), table["found"].max()]
    axes.plot(ends, ends, color=BLACK, linestyle="-", linewidth=1.2, label="equal")
    axes.set(xscale="log", yscale="log", xlabel="found by attacks")
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4) if tick <= ends[1]]
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_title(title, fontsize=11)


def examples(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """`predicted_against_found` of several tables, title → table, side by side."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(tables), figsize=(7.2, 4.0), sharey=True)
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        predicted_against_found(axes, table, title)
    panels[0].set_ylabel("predicted at the image")
    legend_below(figure, panels[0], ncols=4)
    return figure


def before_and_after(stored: Mapping[str, Predictions]) -> Figure:
    """Medians of what is found, d and ‖r*‖₂: a panel a data set, title → summaries, a row a setting."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(stored), 1, figsize=(6.4, 5.6), sharex=True)
    for axes, (title, predictions) in zip(panels, stored.items(), strict=True):
        settings = predictions.settings
        series = {}
        for name in ("found", "margin", "radius"):
            label, colour, _, marker = LENGTHS[name]
            series[label] = (colour, marker, [predictions.median(setting, name) for setting in settings])
        dots(axes, [LOOKS[penalty].label for penalty, _ in settings], series)
        axes.set_xscale("log")
        axes.set_title(f"{title}, λ = {settings[-1][1]:g}")
    panels[-1].set_xlabel("median length over the digits")
    legend_below(figure, panels[0], ncols=3)
    return figure
