"""The paper's Figures 2 and 4 to 7 from a table of results, and the pictures that go with them.

Each network has a block two panels wide, so that it can be read on a phone: benign accuracy
beside the legend, the two ℓ∞ attacks, the two minimal ones, and below these how often they
succeed, because a mean distance leaves out what was not fooled. Lines are means over seeds,
bands their 95 % intervals. A diverged run is a cross on the lower edge, never a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.analysis import comparisons
from regrob.analysis.intervals import Interval
from regrob.analysis.measures import (
    ATTACKS,
    BENIGN,
    CARLINI,
    DEEPFOOL,
    FGSM,
    PGD,
    ROBUST,
    UNPENALISED,
    Measure,
    Setting,
    diverged,
    interval_by_setting,
    known,
    lines_of,
    name_of,
    success,
)
from regrob.figures.theme import BLACK, LOOKS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


def robustness(table: pd.DataFrame, penalties: Sequence[str] = (), networks: Sequence[str] = ()) -> Figure:
    """Accuracy and distance against λ under four attacks: a block of panels for each network.

    FGSM and PGD share their vertical axis, and so do DeepFool and Carlini–Wagner, within and
    between networks.

    Args:
        table: as `tables.read` or `in_memory.attacked` gives it.
        penalties: which to draw; all of the table's if empty.
        networks: which to draw; all of the table's if empty.

    Raises:
        InputError: the table lacks a network or penalty that was asked for.
    """
    import matplotlib.pyplot as plt

    shown = known(table, "network", networks)
    drawn = lines_of(table, penalties)
    figure = plt.figure(figsize=(6.4, 8.6 * len(shown)), layout="constrained")
    blocks = np.atleast_1d(np.array(figure.subfigures(len(shown), 1, hspace=0.02), dtype=object))
    grouped: dict[str, list[Axes]] = {}
    for block, network in zip(blocks, shown, strict=True):
        _block(block, table, network, drawn, grouped)
    for name, group in grouped.items():
        _share(group, of_all=name == "success")
    return figure


def _block(
    block: SubFigure, table: pd.DataFrame, network: str, penalties: list[str], grouped: dict[str, list[Axes]]
) -> None:
    seeds = table[table["network"] == network]["seed"].nunique()
    title = name_of(network)
    block.suptitle(f"{title}, {seeds} seed{'s' if seeds > 1 else ''}", fontsize=12)
    cells = block.subplots(4, 2, sharex=True, height_ratios=(1.0, 1.0, 1.0, 0.55))
    places = [
        (cells[0, 0], BENIGN, "benign"),
        (cells[1, 0], FGSM, "accuracy"),
        (cells[1, 1], PGD, "accuracy"),
        (cells[2, 0], DEEPFOOL, "distance"),
        (cells[2, 1], CARLINI, "distance"),
    ]
    for (row, column), minimal in zip(((3, 0), (3, 1)), (DEEPFOOL, CARLINI), strict=True):
        places.append((cells[row, column], success(minimal), "success"))
    gone = diverged(table, network)
    for axes, measure, group in places:
        draw(axes, interval_by_setting(table, network, measure), gone, penalties, measure)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(measure.unit)
        grouped.setdefault(group, []).append(axes)
    for axes in (cells[3, 0], cells[3, 1]):
        axes.set_xlabel("λ")
    cells[0, 1].axis("off")
    handles, labels = cells[0, 0].get_legend_handles_labels()
    crosses = [line for line in cells[0, 0].lines if line.get_label() == "_diverged"]
    if crosses:
        handles, labels = [*handles, crosses[0]], [*labels, "a seed diverged"]
    cells[0, 1].legend(handles, labels, loc="center", fontsize=11)


def draw(
    axes: Axes,
    intervals: dict[Setting, Interval],
    gone: dict[Setting, int],
    penalties: Sequence[str],
    measure: Measure,
) -> None:
    """One panel: a measure against λ, one line a penalty, and two lines without a penalty.

    Args:
        axes: of the panel.
        intervals: of every setting, as `interval_by_setting` gives them.
        gone: how many seeds of each setting diverged.
        penalties: which to draw.
        measure: that of the intervals.
    """
    axes.set_xscale("log")
    for name, label in (("reference", "before fine-tuning"), ("none", "no penalty")):
        level = intervals.get((name, 0.0))
        if level is not None:
            look = LOOKS[name]
            axes.axhline(level.mean, color=look.colour, linestyle=look.linestyle, label=label)
            if np.isfinite(level.low):
                axes.axhspan(max(level.low, 0.0), level.high, color=look.colour, alpha=0.12, linewidth=0)
    top = 100.0 if measure.factor == 100 else np.inf
    for name in penalties:
        grid = sorted(weight for penalty, weight in intervals if penalty == name)
        if not grid:
            continue
        band(axes, grid, [intervals[name, weight] for weight in grid], name, top=top)
        lost = [weight for weight in grid if gone[name, weight]]
        if lost:
            edge = axes.get_xaxis_transform()
            axes.plot(
                lost, [0.0] * len(lost), marker="x", color=LOOKS[name].colour, transform=edge, clip_on=False,
                linestyle="none", markersize=9, markeredgewidth=2.5, label="_diverged", zorder=5,
            )  # fmt: skip
    axes.set_title(measure.title)


def band(
    axes: Axes, x: Sequence[float], intervals: Sequence[Interval], penalty: str, top: float = np.inf
) -> None:
    """A penalty's line of means with the band of its intervals, cut at 0 and at `top`."""
    look = LOOKS[penalty]
    axes.plot(x, [interval.mean for interval in intervals], **look.line, **_marker(penalty))
    ends = ([max(i.low, 0.0) for i in intervals], [min(i.high, top) for i in intervals])
    axes.fill_between(x, *ends, color=look.colour, alpha=0.18, linewidth=0)


def _marker(penalty: str) -> dict[str, Any]:
    """How a penalty's points are drawn; the Jacobian's frame those that lie on them."""
    open_square = {"markerfacecolor": "none", "markersize": 9.0, "markeredgewidth": 1.3}
    return {"marker": LOOKS[penalty].marker, "markersize": 5.0} | (
        open_square if penalty == "jacobian" else {}
    )


def _share(group: list[Axes], of_all: bool) -> None:
    """Give all axes the widest of their vertical limits, or, if their numbers are shares, all of 100 %."""
    limits = [axes.dataLim.intervaly for axes in group]
    low = min(pair[0] for pair in limits if np.isfinite(pair).all())
    high = max(pair[1] for pair in limits if np.isfinite(pair).all())
    room = 0.05 * (high - low) or 0.5
    for axes in group:  # `sharey` across subfigures would redraw everything at each change
        axes.set_ylim(*((0.0, 105.0) if of_all else (low - room, high + room)))


def difference_figure(table: pd.DataFrame, first: str, second: str, network: str) -> Figure:
    """First − second, paired over seeds, against λ: four attacks, intervals at 95 %.

    Args:
        table: as `tables.read` or `in_memory.attacked` gives it.
        first, second: penalties.
        network: of the table.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(2, 2, figsize=(6.4, 5.4), sharex=True, sharey="row")
    gaps = comparisons.differences(table[table["network"] == network], first, second, ATTACKS)
    look = LOOKS[first]
    for axes, measure in zip(cells.flat, ROBUST, strict=True):
        rows = gaps[gaps["attack"] == measure.attack]
        mean, low, high = (rows[name].to_numpy() * measure.factor for name in ("mean", "low", "high"))
        axes.axhline(0.0, color=BLACK, linestyle="-", linewidth=1.0)
        axes.errorbar(
            rows["lambda"], mean, yerr=(mean - low, high - mean), color=look.colour, linestyle="none",
            marker=look.marker, capsize=4, linewidth=1.6,
        )  # fmt: skip
        axes.set(xscale="log", title=measure.title)
    cells[0, 0].set_ylabel("difference, points")
    cells[1, 0].set_ylabel("difference of distance")
    for axes in cells[1]:
        axes.set_xlabel("λ")
    return figure


def exchange(
    table: pd.DataFrame, network: str, across: Measure, measures: Sequence[Measure], penalties: Sequence[str]
) -> Figure:
    """What a penalty gives against what it takes: each line runs through its λ, small to large.

    λ means something else for every penalty. Against a measured quantity the lines can be compared.

    Args:
        table: as `tables.read` or `in_memory.attacked` gives it.
        network: of the table.
        across: the horizontal measure.
        measures: one panel each, side by side.
        penalties: one line each; settings with a diverged seed are left out.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(1, len(measures), figsize=(6.4, 4.3), sharex=True, squeeze=False)
    gone, horizontal = diverged(table, network), interval_by_setting(table, network, across)
    for axes, measure in zip(cells[0], measures, strict=True):
        vertical = interval_by_setting(table, network, measure)
        for name in penalties:
            settings = [s for s in sorted(vertical) if s[0] == name]
            whole = [s for s in [UNPENALISED, *settings] if not gone[s]]
            x, y = ([intervals[s] for s in whole] for intervals in (horizontal, vertical))
            middle = [[interval.mean for interval in line] for line in (x, y)]
            axes.plot(*middle, **LOOKS[name].line, **_marker(name))
            for line, bars in ((x, "xerr"), (y, "yerr")):
                half = [interval.high - interval.mean for interval in line]
                colour = LOOKS[name].colour
                axes.errorbar(
                    *middle, **{bars: half}, color=colour, linestyle="none", linewidth=1.0, alpha=0.6
                )
        start = [intervals[UNPENALISED].mean for intervals in (horizontal, vertical)]
        axes.plot(*start, LOOKS["none"].marker, color=BLACK, markersize=9, label="no penalty", zorder=5)
        axes.set(title=measure.title, xlabel=across.unit, ylabel=measure.unit)
    legend_below(figure, cells[0, 0], fontsize=11)
    return figure


def legend_below(figure: Figure, axes: Axes, **settings: Any) -> None:
    """One legend for all panels, that of `axes`, in two columns below them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", **{"ncols": 2, **settings})
