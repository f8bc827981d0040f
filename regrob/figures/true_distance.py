"""Pictures of the distance to the nearest mistake: what is proved, what is found, what is only estimated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regrob.figures.results import legend_below
from regrob.figures.theme import BLACK, BLUE, GREEN, GREY, LENGTHS, LINE_STYLES, ORANGE, PURPLE, SKY, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from torch import Tensor

SOLID = LINE_STYLES[0]

PROVED = {
    "edge": Look("polytope's edge", GREY, SOLID, "|"),
    "cross_lipschitz": Look("cross-Lipschitz", PURPLE, SOLID, "v"),
    "linear": Look("linear", SKY, SOLID, "^"),
    "certified": Look("branch and bound", GREEN, SOLID, ">"),
}
"""Name of a length that is never above the true distance → its look; from the shortest to the longest."""

OTHERS = {
    "found": Look("attacks", BLACK, SOLID, "X"),
    "deepfool": Look("DeepFool", ORANGE, SOLID, "P"),
    "margin": LENGTHS["margin"],
    "radius": LENGTHS["radius"],
}
"""Those that may be above it: the first two are distances of mistakes, the last two are estimates."""

FIRST, STEP = 0.6, 0.7
"""How far from the line the first word stands, and each further one from the last."""


NEAR = (0.0, 1.9)
"""Shares of the true distance on which the second panel of `shares` looks."""


def on_one_line(pixels: Tensor, lengths: Mapping[str, float]) -> Figure:
    """A digit (28, 28) and its lengths on one logarithmic line: proved ones below it, the others above.

    Args:
        pixels: in [0, 1].
        lengths: name, one of `PROVED` or `OTHERS`, → length.
    """
    import matplotlib.pyplot as plt

    figure, (digit, panel) = plt.subplots(1, 2, figsize=(7.2, 3.4), width_ratios=(1, 5))
    digit.imshow(pixels.detach().cpu().numpy(), cmap="gray_r", vmin=0, vmax=1)
    digit.set_axis_off()
    panel.axhline(0, color=BLACK, linewidth=1, linestyle=SOLID)
    heights = []
    # Words run away from the longer lengths below the line and from the shorter ones above it, each a step
    # farther from the line than the last: so none crosses another's leader.
    for side, looks in ((-1, PROVED), (1, OTHERS)):
        names = sorted((name for name in looks if name in lengths), key=lambda name: -side * lengths[name])
        for rank, name in enumerate(names):
            look, length, height = looks[name], lengths[name], side * (FIRST + rank * STEP)
            panel.plot([length, length], [0, height], color=look.colour, linewidth=1, linestyle=SOLID)
            width = 3 if look.marker == "|" else 1.5
            panel.plot(length, 0, look.marker, color=look.colour, markersize=10, markeredgewidth=width)
            leftwards = (side < 0) == (rank > 0)
            panel.annotate(
                f"{look.label} {length:.3g}",
                (length, height),
                (-3 if leftwards else 3, 0),
                textcoords="offset points",
                ha="right" if leftwards else "left",
                va="center",
            )
            heights.append(height)
    panel.set(xscale="log", ylim=(min(heights) - STEP, max(heights) + STEP), yticks=[])
    panel.margins(x=0.1)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.spines["left"].set_visible(False)
    panel.grid(False)
    panel.set_xlabel("length, in units where a pixel runs from 0 to 1")
    return figure


def shares(table: pd.DataFrame) -> Figure:
    """Each length of each digit over the distance of its nearest mistake: all, and those around one.

    Args:
        table: a row a digit; columns of `PROVED` and `OTHERS`, "found" among them.
    """
    import matplotlib.pyplot as plt

    ordered = table.sort_values("found")
    figure, (wide, near) = plt.subplots(1, 2, figsize=(7.6, 4.4))
    for axes in (wide, near):
        axes.axhline(1, color=BLACK, linewidth=1.2, linestyle=SOLID)
        for name, look in {**PROVED, **OTHERS}.items():
            if name == "found" or name not in ordered:
                continue
            drawn: dict[str, Any] = {"color": look.colour, "label": look.label, "linestyle": "none"}
            axes.plot(range(len(ordered)), ordered[name] / ordered["found"], look.marker, **drawn)
        axes.set(xticks=[], xlabel="digit, the nearest mistake's distance rising")
    wide.set(yscale="log", ylabel="share of that distance", title="all, logarithmic")
    wide.yaxis.set_major_formatter("{x:g}")
    near.set(ylim=NEAR, title="near the truth")
    legend_below(figure, wide, ncols=3)
    return figure


def lines_below(
    inputs: Tensor, margin: Tensor, lines: Mapping[str, tuple[Tensor, Tensor]], point: tuple[float, float]
) -> Figure:
    """A margin of one input, and lines that stay below it.

    Args:
        inputs: (N,).
        margin: (N,), at each of them.
        lines: words → corners of a line, its inputs and its heights.
        point: the input x and its margin, marked.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    axes.axhline(0, color=GREY, linewidth=1, linestyle=SOLID)
    axes.plot(inputs, margin, color=BLACK, linestyle=SOLID, label="margin")
    looks = ((BLUE, LINE_STYLES[1], "^"), (GREEN, LINE_STYLES[3], ">"))
    for (words, corners), (colour, dashes, marker) in zip(lines.items(), looks, strict=True):
        drawn: dict[str, Any] = {"color": colour, "linestyle": dashes, "marker": marker, "label": words}
        axes.plot(*corners, **drawn)
    axes.plot(*point, "o", color=BLACK)
    axes.annotate("$x$", point, (-4, 10), textcoords="offset points", ha="right")
    axes.set(xlabel="input", ylabel="margin")
    legend_below(figure, axes, ncols=3)
    return figure
