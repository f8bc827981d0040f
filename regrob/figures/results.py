"""The paper's Figures 2 and 4 to 7 from a table of results, and the other pictures of tables.

In `robustness` each network has a block two panels wide, so that it can be read on a phone: benign accuracy
beside the legend, the two ℓ∞ attacks, the two minimal ones, and below these how often they
succeed, because a mean distance leaves out what was not fooled. Lines are means over seeds,
bands their 95 % intervals, or the values of two seeds. A diverged run is a cross on the lower edge,
never a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.analysis import box, comparisons
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
    NetworkResults,
    Setting,
    interval_by_setting,
    known,
    lines_of,
    name_of,
    success,
)
from regrob.analysis.paper_numbers import Stated, readings
from regrob.figures.theme import BLACK, BLUE, COLOURS, GREY, LINE_STYLES, LOOKS, MARKERS, ORANGE, VERMILION

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike, NDArray


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
    diverged = NetworkResults(table, network).diverged()
    for axes, measure, group in places:
        intervals = interval_by_setting(table, network, measure)
        _panel(axes, intervals, diverged, penalties, measure)
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


def _panel(
    axes: Axes,
    intervals: dict[Setting, Interval],
    diverged: dict[Setting, int],
    penalties: Sequence[str],
    measure: Measure,
) -> None:
    """One panel: a measure against λ, one line a penalty, and two lines without a penalty."""
    axes.set_xscale("log")
    for name, label in (("reference", "before fine-tuning"), ("none", "no penalty")):
        level = intervals.get((name, 0.0))
        if level is not None:
            look = LOOKS[name]
            axes.axhline(level.mean, color=look.colour, linestyle=look.linestyle, label=label)
            if np.isfinite(level.low):
                axes.axhspan(*level.ends, color=look.colour, alpha=0.12, linewidth=0)
    for name in penalties:
        grid = sorted(weight for penalty, weight in intervals if penalty == name)
        if not grid:
            continue
        band(axes, grid, [intervals[name, weight] for weight in grid], name)
        crossed = [weight for weight in grid if (name, weight) in diverged]
        if crossed:
            cross: dict[str, Any] = {"marker": "x", "markersize": 9, "markeredgewidth": 2.5, "zorder": 5}
            cross |= {"color": LOOKS[name].colour, "linestyle": "none", "label": "_diverged"}
            edge = axes.get_xaxis_transform()
            axes.plot(crossed, [0.0] * len(crossed), transform=edge, clip_on=False, **cross)
    axes.set_title(measure.title)


def band(
    axes: Axes,
    x: Sequence[float],
    intervals: Sequence[Interval],
    penalty: str,
    **marker: Any,
) -> None:
    """A penalty's line of means with the band of its intervals, or of two seeds' values.

    Args:
        axes: to draw on.
        x: one number an interval.
        intervals: in the same order.
        penalty: decides colour, dashes and marker.
        marker: arguments of `Axes.plot` that take the place of the usual marker's.
    """
    look = LOOKS[penalty]
    means = [interval.mean for interval in intervals]
    axes.plot(x, means, **look.line, **(marker or _marker(penalty)))
    low, high = zip(*(interval.ends for interval in intervals), strict=True)
    axes.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0)


def lines(axes: Axes, x: Sequence[float], series: Mapping[str, ArrayLike]) -> None:
    """One line a label, each in colour, dashes and marker of its own."""
    looks = zip(COLOURS, LINE_STYLES, MARKERS, strict=True)
    for (label, y), (colour, dashes, marker) in zip(series.items(), looks, strict=False):
        axes.plot(x, y, color=colour, linestyle=dashes, marker=marker, label=label)


def against_weight(
    networks: Iterable[NetworkResults],
    penalties: Sequence[str],
    reading: Callable[[NetworkResults, Setting], Interval],
) -> Figure:
    """Something of each setting against λ: a panel a network, a band a penalty, dotted without a penalty.

    Args:
        networks: the results of each.
        penalties: one line each.
        reading: what is drawn of a network at a setting; not negative.
    """
    import matplotlib.pyplot as plt

    networks = list(networks)
    figure, cells = plt.subplots(1, len(networks), figsize=(6.4, 3.6), sharey=True, squeeze=False)
    for axes, results in zip(cells[0], networks, strict=True):
        for penalty in penalties:
            grid = results.weights(penalty)
            intervals = [reading(results, (penalty, weight)) for weight in grid]
            band(axes, grid, intervals, penalty, marker=LOOKS[penalty].marker)
        level = reading(results, UNPENALISED).mean
        axes.axhline(level, color=BLACK, linestyle=":", label="no penalty")
        axes.set(xscale="log", xlabel="λ", ylim=(0, None), title=results.title)
    cells[0, 0].legend(loc="best")
    return figure


def partners(
    results: NetworkResults, pair: tuple[str, str], factor: float, measures: Sequence[Measure]
) -> Figure:
    """Two penalties against the same λ, left, and the second against λ/factor, right: a row a measure."""
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(len(measures), 2, figsize=(6.4, 6.0), sharex=True, sharey="row")
    for row, measure in zip(cells, measures, strict=True):
        for axes, divided in zip(row, (1.0, factor), strict=True):
            for penalty, by in zip(pair, (1.0, divided), strict=True):
                settings = results.settings(penalty)
                intervals = [results.interval(setting, measure) for setting in settings]
                x = [weight / by for _, weight in settings]
                band(axes, x, intervals, penalty, marker=LOOKS[penalty].marker)
            axes.set(xscale="log", title=measure.title)
        row[0].set_ylabel(measure.unit)
    cells[0, 0].legend(loc="best")
    return figure


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
    """First − second penalty, paired over seeds, against λ: four attacks, intervals at 95 %."""
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
        table, network: of results.
        across: the horizontal measure.
        measures: one panel each, side by side.
        penalties: one line each; settings with a diverged seed are left out.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(1, len(measures), figsize=(6.4, 4.3), sharex=True, squeeze=False)
    results = NetworkResults(table[table["network"] == network], network)
    for axes, measure in zip(cells[0], measures, strict=True):
        for penalty in penalties:
            trade(axes, results, penalty, across, measure)
        start = [results.interval(UNPENALISED, m).mean for m in (across, measure)]
        axes.plot(*start, LOOKS["none"].marker, color=BLACK, markersize=9, label="no penalty", zorder=5)
        axes.set(title=measure.title, xlabel=across.unit, ylabel=measure.unit)
    legend_below(figure, cells[0, 0], fontsize=11)
    return figure


def trade(
    axes: Axes,
    results: NetworkResults,
    penalty: str,
    across: Measure,
    up: Measure,
    bars: bool = True,
) -> None:
    """One line of `exchange`: a penalty's means from λ = 0 to its largest, with bars for intervals."""
    settings = results.whole("none", penalty)
    lines = [[results.interval(setting, m) for setting in settings] for m in (across, up)]
    x, y = ([interval.mean for interval in line] for line in lines)
    look = LOOKS[penalty]
    marker = _marker(penalty) if bars else {"marker": look.marker, "markersize": 5}
    axes.plot(x, y, **look.line, **marker)
    for line, direction in zip(lines, ("xerr", "yerr") if bars else (), strict=False):
        error: dict[str, Any] = {direction: errors(line)}
        axes.errorbar(x, y, **error, color=look.colour, linestyle="none", linewidth=1.0, alpha=0.6)


def errors(intervals: Iterable[Interval]) -> NDArray[np.float64]:
    """How far each interval reaches below and above its mean, as `Axes.errorbar` takes it: (2, intervals)."""
    reach = [(interval.mean - interval.ends[0], interval.ends[1] - interval.mean) for interval in intervals]
    return np.maximum(reach, 0.0).T  # rounding may leave −1e−17


def exchanges(
    networks: Sequence[NetworkResults], across: Measure, measures: Sequence[Measure], penalties: Sequence[str]
) -> Figure:
    """`exchange` of several networks, a row each, without bars; no panel is narrower than noise."""
    import matplotlib.pyplot as plt

    size = (6.4, 1.1 + 2.5 * len(networks))
    figure, cells = plt.subplots(len(networks), len(measures), figsize=size, squeeze=False)
    for row, results in zip(cells, networks, strict=True):
        for axes, measure in zip(row, measures, strict=True):
            for penalty in penalties:
                trade(axes, results, penalty, across, measure, bars=False)
            start = [results.interval(UNPENALISED, m).mean for m in (across, measure)]
            axes.plot(*start, "X", color=BLACK, markersize=9)
            share = measure.factor == 100
            axes.set_ylabel(f"{measure.title}, {'%' if share else 'distance'}")
            widen(axes, 6.0, 6.0 if share else 0.3)
        row[0].set_title(results.title, loc="left", fontsize=11)
    for axes in cells[-1]:
        axes.set_xlabel(f"{across.title}, %")
    legend_below(figure, cells[0, 0])
    return figure


def seeds_figure(results: NetworkResults, penalties: Sequence[str], measures: Sequence[Measure]) -> Figure:
    """Each seed's accuracy without a penalty and at every λ: a panel a measure, a line a seed."""
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(1, len(measures), figsize=(6.6, 3.6), sharey=True)
    for axes, measure in zip(cells, measures, strict=True):
        for penalty in penalties:
            settings = results.settings("none", penalty)
            seeds = np.array([results.values(setting, measure) for setting in settings])
            look = {**LOOKS[penalty].line, "marker": LOOKS[penalty].marker}
            axes.plot(range(len(settings)), seeds, **{**look, "label": None})
            if axes is cells[0]:
                axes.plot([], [], **look)
        ticks = ["none", *(f"{weight:g}" for _, weight in settings[1:])]
        axes.set_xticks(range(len(settings)), labels=ticks)
        axes.set(title=measure.title, xlabel="λ", ylim=(-3, 103))
    cells[0].set_ylabel("accuracy, %")
    legend_below(figure, cells[0])
    return figure


def price_figure(prices: pd.DataFrame) -> Figure:
    """`equal_robustness.prices` in points against the target, moved sideways to keep bars apart."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    for place, (method, rows) in enumerate(prices.groupby("method", sort=False)):
        reached = rows[rows["mean"].notna()]
        y, low, high = (100 * reached[column] for column in ("mean", "low", "high"))
        look = LOOKS[str(method)]
        x = 100 * reached["target"] + 0.45 * (place - 2)
        axes.errorbar(x, y, yerr=(y - low, high - y), capsize=3, marker=look.marker, **look.line)
    axes.axhline(0, color=BLACK, linewidth=1)
    axes.set(xlabel="accuracy under PGD, %", ylabel="accuracy given up, points")
    axes.set_xticks([100 * target for target in prices["target"].unique()])
    axes.legend(loc="upper left", fontsize=10)
    return figure


def box_figure(table: pd.DataFrame) -> Figure:
    """`box.shares`: one dot a setting; markers tell networks, colours penalties, a dashed line κ."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    markers = dict(zip(table["network"].unique(), "os^Dv", strict=False))
    for (network, penalty), part in table.groupby(["network", "penalty"], sort=False):
        dots_of: dict[str, Any] = {"color": LOOKS[str(penalty)].colour, "alpha": 0.8, "linestyle": "none"}
        axes.plot(part["share"], part["kept"], marker=markers[network], **dots_of)
    for network, marker in markers.items():
        axes.plot([], [], marker, color=GREY, label=network)
    for penalty in table["penalty"].unique():
        axes.plot([], [], "s", color=LOOKS[penalty].colour, label=LOOKS[penalty].label)
    axes.axvline(box.KAPPA, color=BLACK, linestyle="--", linewidth=1)
    axes.set(xlabel=r"DeepFool's mean distance / $\varepsilon\sqrt{n}$", ylabel="accuracy under PGD, %")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def unpenalised_figure(networks: Sequence[NetworkResults]) -> Figure:
    """Accuracy without a penalty: a row a network, and its dots without attack, under FGSM and PGD."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 1.5 + 0.55 * len(networks)))
    looks = ((BENIGN, BLUE, "o"), (FGSM, ORANGE, "s"), (PGD, VERMILION, "X"))
    series = {
        measure.title: (colour, marker, [results.interval(UNPENALISED, measure) for results in networks])
        for measure, colour, marker in looks
    }
    rows = [results.title.replace(", ", "\n", 1) for results in networks]
    dots(axes, rows, series, bars=False, markersize=9)
    axes.set(ylim=(len(networks) - 0.5, -0.5), xlim=(-3, 103), xlabel="accuracy, %")
    axes.tick_params(axis="y", labelsize=9)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def stated_and_measured(stated: Sequence[Stated], measured: Sequence[Interval | None]) -> Figure:
    """The paper's numbers with both readings of ±, thick and thin, and ours below each, if measured."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    for row, (number, interval) in enumerate(zip(stated, measured, strict=True)):
        narrow, wide = readings(number)
        for half, width in ((wide, 1.2), (narrow, 4.0)):
            ends = [number.value - half, number.value + half]
            axes.plot(ends, [row - 0.12] * 2, color=VERMILION, linestyle="-", linewidth=width)
        axes.plot(
            number.value, row - 0.12, "s", color=VERMILION, markersize=5, label=None if row else "paper"
        )
        if interval is not None:
            axes.plot(interval.ends, [row + 0.16] * 2, color=BLUE, linestyle="-")
            axes.plot(interval.mean, row + 0.16, "o", color=BLUE, markersize=5, label=None if row else "ours")
    names = [number.title for number in stated]
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="accuracy in %", xlim=(0, 101))
    axes.invert_yaxis()
    axes.legend(loc="upper left")
    return figure


def dots(
    axes: Axes,
    rows: Sequence[str],
    series: Mapping[str, tuple[str, str, Sequence[Interval]]],
    bars: bool = True,
    **settings: Any,
) -> None:
    """A row for each label, from top to bottom, with one dot a series and its interval as a bar.

    Args:
        axes: to draw on.
        rows: their labels.
        series: label → (colour, marker, one interval a row).
        bars: whether intervals are drawn.
        settings: of the dots, as `Axes.plot` takes them.
    """
    for label, (colour, marker, intervals) in series.items():
        for row, interval in enumerate(intervals if bars else ()):
            axes.plot(interval.ends, [row, row], color=colour, linestyle="-")
        means = [interval.mean for interval in intervals]
        axes.plot(means, range(len(rows)), marker, color=colour, label=label, **settings)
    axes.set(yticks=range(len(rows)), yticklabels=rows)
    axes.invert_yaxis()


def widen(axes: Axes, x: float, y: float) -> None:
    """Give both axes a least span, so that noise does not fill a panel."""
    for get_limits, set_limits, least in (
        (axes.get_xlim, axes.set_xlim, x),
        (axes.get_ylim, axes.set_ylim, y),
    ):
        low, high = get_limits()
        room = max(least - (high - low), 0) / 2
        set_limits(low - room, high + room)


def legend_below(figure: Figure, axes: Axes, **settings: Any) -> None:
    """One legend for all panels, that of `axes`, in two columns below them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", **{"ncols": 2, **settings})
