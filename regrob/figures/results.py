"""The paper's Figures 2 and 4 to 7 from a table of results, and the pictures that go with them.

Each network has a block two panels wide, so that it can be read on a phone: benign accuracy
beside the legend, the two ℓ∞ attacks, the two minimal ones, and below these how often they
succeed, because a mean distance leaves out what was not fooled. Lines are means over seeds,
bands their 95 % intervals. A diverged run is a cross on the lower edge, never a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regrob.analysis import intervals
from regrob.analysis.intervals import Interval, mean_interval
from regrob.errors import InputError
from regrob.figures.theme import BLACK, GREY, LINE_STYLES, ORANGE, PENALTY_STYLE, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

LOOKS = {
    **PENALTY_STYLE,
    "reference": Look("reference", GREY, LINE_STYLES[5], "*"),
    "adversarial-training": Look("adversarial training", ORANGE, LINE_STYLES[4], "P"),
}
Setting = tuple[str, float]
"""Name of a penalty and λ."""

NETWORK_NAMES = {
    "lenet-300-100": "LeNet-300-100",
    "lenet-5": "LeNet-5",
    "conv-bn": "Four layers, BatchNorm",
    "vgg": "VGG-like",
    "resnet-32": "ResNet-32, no BatchNorm",
}
"""How a network of the results files is written."""


def name_of(network: str) -> str:
    """How a network is written; one that has no other name keeps its own."""
    return NETWORK_NAMES.get(network, network)


class Measure(NamedTuple):
    """One number of a network: attack and metric as in the table, its title, its unit."""

    attack: str
    metric: str
    title: str
    unit: str
    factor: float


BENIGN = Measure("none", "accuracy", "no attack", "accuracy, %", 100.0)
FGSM = Measure("fgsm", "accuracy", "FGSM", "accuracy, %", 100.0)
PGD = Measure("pgd", "accuracy", "PGD", "accuracy, %", 100.0)
DEEPFOOL = Measure("deepfool", "distance", "DeepFool", r"mean $\ell_2$ distance", 1.0)
CARLINI = Measure("carlini-wagner", "distance", "Carlini–Wagner", r"mean $\ell_2$ distance", 1.0)
ROBUST = (FGSM, PGD, DEEPFOOL, CARLINI)
CONFIDENCE = Measure("none", "probability", "confidence", "mean $p_y$", 1.0)
SLOPE = Measure("none", "cross-lipschitz", "slope", r"mean $\nu^2$", 1.0)


def figure_2(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """Jacobian against cross-Lipschitz penalty, two classes (the paper's Figure 2)."""
    return robustness(table, ("jacobian", "cross-lipschitz"), networks)


def figure_4(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """All penalties, two classes of MNIST (the paper's Figure 4)."""
    return robustness(table, networks=networks)


def figure_5(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """All penalties, ten classes of MNIST; the paper's Figure 5 leaves the curvature out."""
    return robustness(table, networks=networks)


def figure_6(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """All penalties, two classes of CIFAR-10 (the paper's Figure 6)."""
    return robustness(table, networks=networks)


def figure_7(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """All penalties, ten classes of CIFAR-10; the paper's Figure 7 leaves the curvature out."""
    return robustness(table, networks=networks)


def robustness(table: pd.DataFrame, penalties: Sequence[str] = (), networks: Sequence[str] = ()) -> Figure:
    """Accuracy and distance against λ under four attacks: a block of panels for each network.

    FGSM and PGD share their vertical axis, and so do DeepFool and Carlini–Wagner, within and
    between networks.

    Args:
        table: as `results.read` or `live.experiment` gives it.
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
        success = Measure(minimal.attack, "success", "", "fooled, %", 100.0)
        places.append((cells[row, column], success, "success"))
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
    found: dict[Setting, Interval],
    gone: dict[Setting, int],
    penalties: Sequence[str],
    measure: Measure,
) -> None:
    """One panel: a measure against λ, one line a penalty, and two lines without a penalty."""
    axes.set_xscale("log")
    for name, label in (("reference", "before fine-tuning"), ("none", "no penalty")):
        one = found.get((name, 0.0))
        if one is not None:
            look = LOOKS[name]
            axes.axhline(one.mean, color=look.colour, linestyle=look.linestyle, label=label)
            if np.isfinite(one.low):
                axes.axhspan(max(one.low, 0.0), one.high, color=look.colour, alpha=0.12, linewidth=0)
    top = 100.0 if measure.factor == 100 else np.inf
    for name in penalties:
        look = LOOKS[name]
        grid = weights(found, name)
        if not grid:
            continue
        line = [found[name, weight] for weight in grid]
        axes.plot(grid, [one.mean for one in line], **look.line, **_marker(name))
        ends = ([max(one.low, 0.0) for one in line], [min(one.high, top) for one in line])
        axes.fill_between(grid, *ends, color=look.colour, alpha=0.18, linewidth=0)
        lost = [weight for weight in grid if gone[name, weight]]
        if lost:
            edge = axes.get_xaxis_transform()
            axes.plot(
                lost, [0.0] * len(lost), marker="x", color=look.colour, transform=edge, clip_on=False,
                linestyle="none", markersize=9, markeredgewidth=2.5, label="_diverged", zorder=5,
            )  # fmt: skip
    axes.set_title(measure.title)


def _marker(penalty: str) -> dict[str, Any]:
    """How a penalty's points are drawn; the Jacobian's frame those that lie on them."""
    open_square = {"markerfacecolor": "none", "markersize": 9.0, "markeredgewidth": 1.3}
    return {"marker": LOOKS[penalty].marker, "markersize": 5.0} | (
        open_square if penalty == "jacobian" else {}
    )


def interval_by_setting(
    table: pd.DataFrame, network: str, measure: Measure, level: float = 0.95
) -> dict[Setting, Interval]:
    """(penalty, λ) → mean and interval over seeds of one measure, in the measure's unit."""
    here = (table["network"] == network) & (table["attack"] == measure.attack)
    rows = table[here & (table["metric"] == measure.metric)]
    return {
        (str(penalty), float(str(weight))): mean_interval(one["value"].to_numpy() * measure.factor, level)
        for (penalty, weight), one in rows.groupby(["penalty", "lambda"])
    }


def diverged(table: pd.DataFrame, network: str) -> dict[Setting, int]:
    """(penalty, λ) → how many seeds ended in NaN: those whose benign accuracy is missing."""
    return {setting: one.dropped for setting, one in interval_by_setting(table, network, BENIGN).items()}


def weights(found: dict[Setting, Interval], penalty: str) -> list[float]:
    """The λ of a penalty, in ascending order."""
    return sorted(weight for name, weight in found if name == penalty)


def known(table: pd.DataFrame, column: str, wanted: Sequence[str] = ()) -> list[str]:
    """The networks or penalties to show, in the order of all figures.

    Args:
        table: as `results.read` gives it.
        column: network or penalty.
        wanted: only these, in this order.

    Raises:
        InputError: the table lacks one that was wanted.
    """
    there = list(table[column].unique())
    missing = [name for name in wanted if name not in there]
    if missing:
        raise InputError(f"the table has no {column} {missing[0]!r}; it has {', '.join(there)}")
    if wanted:
        return list(wanted)
    order = [*LOOKS] if column == "penalty" else sorted(there)
    return [name for name in order if name in there]


def lines_of(table: pd.DataFrame, wanted: Sequence[str] = ()) -> list[str]:
    """The penalties that have a line of their own: all but fine-tuning without one, and references."""
    return [name for name in known(table, "penalty", wanted) if name not in ("none", "reference")]


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
        table: as `results.read` or `live.experiment` gives it.
        first, second: penalties.
        network: of the table.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(2, 2, figsize=(6.4, 5.4), sharex=True, sharey="row")
    pairs = [(measure.attack, measure.metric) for measure in ROBUST]
    here = intervals.differences(table[table["network"] == network], first, second, pairs)
    look = LOOKS[first]
    for axes, measure in zip(cells.flat, ROBUST, strict=True):
        rows = here[here["attack"] == measure.attack]
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
        table: as `results.read` or `live.experiment` gives it.
        network: of the table.
        across: the horizontal measure.
        measures: one panel each, side by side.
        penalties: one line each; settings with a diverged seed are left out.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(1, len(measures), figsize=(6.4, 4.3), sharex=True, squeeze=False)
    gone, horizontal = diverged(table, network), interval_by_setting(table, network, across)
    for axes, measure in zip(cells[0], measures, strict=True):
        found = interval_by_setting(table, network, measure)
        for name in penalties:
            look = LOOKS[name]
            settings = [("none", 0.0), *((name, w) for w in weights(found, name))]
            whole = [s for s in settings if not gone[s]]
            x = [horizontal[s] for s in whole]
            y = [found[s] for s in whole]
            middle = [[one.mean for one in row] for row in (x, y)]
            axes.plot(*middle, **look.line, **_marker(name))
            for row, bars in ((x, "xerr"), (y, "yerr")):
                half = [one.high - one.mean for one in row]
                axes.errorbar(
                    *middle, **{bars: half}, color=look.colour, linestyle="none", linewidth=1.0, alpha=0.6
                )
        start = [one["none", 0.0].mean for one in (horizontal, found)]
        axes.plot(*start, LOOKS["none"].marker, color=BLACK, markersize=9, label="no penalty", zorder=5)
        axes.set(title=measure.title, xlabel=across.unit, ylabel=measure.unit)
    handles, labels = cells[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=11)
    return figure
