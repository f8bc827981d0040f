"""Proved distances: bands from what is certified to what is found; lines, where the distance is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.analysis.measures import UNPENALISED, Measure, NetworkResults, Setting, setting_name
from regrob.analysis.proved import (
    ATTACKED,
    CERTIFIED,
    EXPLANATIONS,
    FOUND,
    LINEAR,
    NODES,
    TIGHTNESS,
    Proved,
    is_settled,
    withstanding,
    withstands,
)
from regrob.figures.results import band, legend_below, trade
from regrob.figures.theme import BLACK, GREY, LENGTHS, LOOKS, SKY, VERMILION, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray


def brackets(proved: Proved, settings: Sequence[Setting]) -> Figure:
    """A row a setting: a bar from the certified to the found median, linear bounds before it, attacks behind.

    A thin line is the interval over seeds, from the certified one's lower end to the found one's upper end.

    Args:
        proved: of one network.
        settings: from top to bottom.
    """
    import matplotlib.pyplot as plt

    results = proved.results
    figure, axes = plt.subplots(figsize=(6.4, 1.6 + 0.42 * len(settings)))
    for row, setting in enumerate(settings):
        colour = LOOKS[setting[0]].colour
        proven, found = (results.interval(setting, measure) for measure in (CERTIFIED, FOUND))
        low, high = proven.mean, found.mean
        axes.plot([proven.ends[0], found.ends[1]], [row, row], color=colour, linestyle="-", linewidth=1.5)
        axes.plot([low, high], [row, row], color=colour, linestyle="-", linewidth=9, solid_capstyle="butt")
        axes.plot([low, high], [row, row], "|", color=colour, markersize=15, markeredgewidth=3)
    for measure, label, marker, colour in (
        (LINEAR, "proved by linear bounds alone", ">", GREY),
        (ATTACKED, "found by attacks alone", "x", BLACK),
    ):
        x = [results.interval(setting, measure).mean for setting in settings]
        look: dict[str, Any] = {"color": colour, "markersize": 8, "markeredgewidth": 2, "linestyle": "none"}
        axes.plot(x, range(len(x)), marker=marker, label=label, **look)
    axes.plot([], [], color=VERMILION, linestyle="-", linewidth=9, label="from certified to found")
    axes.set(yticks=range(len(settings)), yticklabels=[setting_name(setting) for setting in settings])
    axes.set(xlim=(0, None), ylim=(len(settings) - 0.5, -0.5), xlabel=r"median $\ell_2$ distance")
    legend_below(figure, axes, ncols=1)
    return figure


def between(
    axes: Axes, results: NetworkResults, penalties: Sequence[str], low: Measure, high: Measure
) -> None:
    """A line a penalty against λ with what is proved, in a band; without a penalty across the panel.

    The band reaches up to what is found; over seeds from the lower end of the one interval to the upper
    end of the other.

    Args:
        axes: to draw on.
        results: of one network.
        penalties: which to draw.
        low, high: what is proved, and what is found.
    """
    start, end = (results.interval(UNPENALISED, measure).mean for measure in (low, high))
    look = LOOKS["none"]
    for level in (start, end):
        axes.axhline(level, color=look.colour, linestyle=look.linestyle, linewidth=1.2)
    axes.axhspan(start, end, color=look.colour, alpha=0.12, linewidth=0)
    axes.plot([], [], **look.line)
    for penalty in penalties:
        look = LOOKS[penalty]
        settings = results.whole(penalty)
        weights = [weight for _, weight in settings]
        proven, found = ([results.interval(setting, m) for setting in settings] for m in (low, high))
        bottom = [np.nanmin([each.mean, each.ends[0]]) for each in proven]
        top = [np.nanmax([each.mean, each.ends[1]]) for each in found]
        axes.fill_between(weights, bottom, top, color=look.colour, alpha=0.18, linewidth=0)
        axes.plot(weights, [each.mean for each in proven], **look.line, marker=look.marker, markersize=5)
    axes.set(xscale="log", xlabel=STRENGTH, ylabel=low.unit, ylim=(0, None))


def against_strength(proved: Proved, penalties: Sequence[str], radii: Sequence[float]) -> Figure:
    """The median distance, and the accuracy that is left at each ε, against λ: bands, a panel each.

    Args:
        proved: of one network.
        penalties: one band each.
        radii: ε, of those that `analysis.proved.RADII` lists.
    """
    import matplotlib.pyplot as plt

    count = 1 + len(radii)
    figure, cells = plt.subplots((count + 1) // 2, 2, figsize=(6.8, 3.3 * ((count + 1) // 2)), squeeze=False)
    panels = cells.flatten()
    between(panels[0], proved.results, penalties, CERTIFIED, FOUND)
    panels[0].set_title("distance to a mistake")
    for axes, radius in zip(panels[1:], radii, strict=False):
        between(axes, proved.results, penalties, withstands(CERTIFIED, radius), withstands(FOUND, radius))
        axes.set(ylim=(-3, 103), title=f"accuracy within reach {radius:g}")
    for axes in panels[count:]:
        axes.axis("off")
    legend_below(figure, panels[0])
    return figure


def withstanding_figure(proved: Proved, settings: Sequence[Setting]) -> Figure:
    """The accuracy that is left against ε: a band a setting, from what is proved to what is not refuted.

    Args:
        proved: of one network.
        settings: one band each.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    farthest = max(proved.of(setting)["found"].replace(np.inf, np.nan).max() for setting in settings)
    radii = np.linspace(0, farthest, 400)
    for setting in settings:
        rows, look = proved.of(setting), LOOKS[setting[0]]
        proven, possible = (100 * withstanding(rows[name], radii) for name in ("certified", "found"))
        axes.fill_between(radii, proven, possible, color=look.colour, alpha=0.3, linewidth=0)
        axes.plot(radii, proven, color=look.colour, linestyle=look.linestyle, label=setting_name(setting))
    axes.set(xlabel=r"$\varepsilon$, the length that an adversary may move", ylabel="accuracy, %")
    axes.set(ylim=(-2, 102), xlim=(0, farthest))
    legend_below(figure, axes)
    return figure


TRUTH_LOOKS = {
    "radius": LENGTHS["radius"],
    "margin": LENGTHS["margin"],
    "attacked": LENGTHS["found"],
    "linear": Look("proved by linear bounds", SKY, "-", "^"),
}
"""The lengths of `against_truth`."""


def against_truth(proved: Proved, settings: Sequence[Setting]) -> Figure:
    """Four lengths against the true distance, both logarithmic: a panel a setting, one dot a settled digit.

    Args:
        proved: of one network.
        settings: from left to right.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(
        1, len(settings), figsize=(7.2, 4.2), sharex=True, sharey=True, squeeze=False
    )
    for axes, setting in zip(cells[0], settings, strict=True):
        rows = is_settled(proved.of(setting))
        for name, look in TRUTH_LOOKS.items():
            dots: dict[str, Any] = {"color": look.colour, "label": look.label, "linestyle": "none"}
            axes.plot(rows["found"], rows[name], look.marker, markersize=5, alpha=0.7, **dots)
        axes.axline((1, 1), (2, 2), color=BLACK, linestyle="-", linewidth=1.2, label="equal")
        axes.set(xscale="log", yscale="log", xlabel="true distance", title=setting_name(setting))
        ticks = (0.5, 1, 2, 4)
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
    cells[0, 0].set_ylabel("length")
    legend_below(figure, cells[0, 0])
    return figure


EXPLAINED = (CERTIFIED, *EXPLANATIONS, TIGHTNESS, NODES)
"""The panels of `explanation`."""

STRENGTH = "λ, or ε"
"""What a penalty and adversarial training are plotted against."""


def explanation(
    proved: Proved,
    penalties: Sequence[str],
    measures: Iterable[Measure] = EXPLAINED,
) -> Figure:
    """What makes a distance provable, against λ: itself, ν, unstable units, linear bounds, parts bounded.

    Args:
        proved: of one network.
        penalties: one line each.
        measures: a panel each.
    """
    import matplotlib.pyplot as plt

    measures, results = [*measures], proved.results
    rows = (len(measures) + 1) // 2
    figure, cells = plt.subplots(rows, 2, figsize=(6.8, 3.1 * rows), squeeze=False)
    for axes, measure in zip(cells.flatten(), measures, strict=False):
        for penalty in penalties:
            settings = results.whole(penalty)
            intervals = [results.interval(setting, measure) for setting in settings]
            look = LOOKS[penalty].marker
            band(axes, [weight for _, weight in settings], intervals, penalty, marker=look, markersize=5)
        look_none = LOOKS["none"]
        level = results.interval(UNPENALISED, measure).mean
        axes.axhline(level, color=look_none.colour, linestyle=look_none.linestyle, label=look_none.label)
        axes.set(xscale="log", xlabel=STRENGTH, title=measure.title, ylabel=measure.unit, ylim=(0, None))
        if measure == NODES:
            axes.set(yscale="log", ylim=(0.9, None))
    *_, last = cells.flatten()
    if len(measures) % 2:
        last.axis("off")
    legend_below(figure, cells[0, 0])
    return figure


def at_equal_accuracy(proved: Proved, penalties: Sequence[str], across: Measure) -> Figure:
    """Distance proved, and found by attacks, against benign accuracy: each line runs through its λ.

    Args:
        proved: of one network.
        penalties: one line each.
        across: the benign accuracy.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(1, 2, figsize=(6.8, 4.2), sharey=True)
    results = proved.results
    for axes, measure in zip(cells, (CERTIFIED, ATTACKED), strict=True):
        for penalty in penalties:
            trade(axes, results, penalty, across, measure, bars=False)
        start = [results.interval(UNPENALISED, m).mean for m in (across, measure)]
        axes.plot(*start, LOOKS["none"].marker, color=BLACK, markersize=9, label="no penalty", zorder=5)
        axes.set(title=measure.title, xlabel="accuracy, no attack, %")
        _spread(axes)
    cells[0].set_ylabel(CERTIFIED.unit)
    legend_below(figure, cells[0])
    return figure


def _spread(axes: Axes) -> None:
    """Stretch an axis of accuracies in % towards 100: as the logarithm of the share of errors does."""
    least = axes.get_xlim()[0]
    most = max(float(np.max(line.get_xdata())) for line in axes.lines)

    def height(accuracy: ArrayLike) -> NDArray[np.float64]:
        return -np.log10(np.maximum(100.05 - np.asarray(accuracy, dtype=np.float64), 1e-3))

    def accuracy(of: ArrayLike) -> NDArray[np.float64]:
        return 100.05 - 10.0 ** -np.asarray(of, dtype=np.float64)

    axes.set_xscale("function", functions=(height, accuracy))
    axes.set_xlim(least, 100.05 - 0.8 * (100.05 - most))
    axes.set_xticks([tick for tick in (50, 80, 90, 95, 97, 98, 99, 99.5) if tick >= least])
