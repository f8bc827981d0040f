"""Rows of dots with intervals, one a penalty; and who is ahead, comparison by comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.analysis.dots import Dot, Panels
from regrob.analysis.measures import LABELS, MEASURES
from regrob.figures.results import errors
from regrob.figures.theme import BLACK, BLUE, GREY, LOOKS, VERMILION

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNS = {
    "higher": ("^", BLUE, "ahead"),
    "lower": ("v", VERMILION, "behind"),
    "undecided": (".", GREY, "undecided"),
}
"""Verdict → marker, colour and word."""


def dot_panels(panels: Panels, zero: bool = True, columns: int = 2) -> Figure:
    """Each panel's rows from top to bottom, in each row a dot and a bar for every penalty.

    A filled dot is decided: its interval leaves zero out. A hollow one is not.

    Args:
        panels: as the functions of `analysis.dots` give them.
        zero: whether the dots are differences, so that zero is drawn, and hollow dots mean something.
        columns: panels side by side.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    shown = {(dot.row, dot.penalty) for dots in panels.values() for dot in dots}
    rows = list(dict.fromkeys(dot.row for dots in panels.values() for dot in dots))
    of_row = {row: [name for name in LABELS if (row, name) in shown] for row in rows}
    penalties = [name for name in LABELS if any(name in names for names in of_row.values())]
    lines = -(-len(panels) // columns)
    room = 0.15 * max(map(len, of_row.values())) + 0.2
    size = (6.4, 0.7 + lines * (0.75 + room * len(rows)))
    figure, cells = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False)
    for axes, (title, dots) in zip(cells.flat, panels.items(), strict=False):
        if zero:
            axes.axvline(0.0, color=BLACK, linewidth=1.0, linestyle="-")
        for dot in dots:
            _draw(axes, dot, rows.index(dot.row), of_row[dot.row], zero)
        axes.set_title(title, fontsize=11)
        axes.set(yticks=range(len(rows)), yticklabels=[_folded(row) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for row in range(1, len(rows)):
            axes.axhline(row - 0.5, color="#dddddd", linewidth=0.7, linestyle="-")
        axes.grid(visible=False, axis="y")
    for axes in cells.flat[len(panels) :]:
        axes.axis("off")
    handles = [Line2D([], [], **_look(name), label=LABELS[name]) for name in penalties]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _look(penalty: str) -> dict[str, Any]:
    look = LOOKS[penalty]
    return {"color": look.colour, "marker": look.marker, "linestyle": "none", "markersize": 6.0}


def _draw(axes: Axes, dot: Dot, row: int, penalties: list[str], zero: bool) -> None:
    place = penalties.index(dot.penalty) - (len(penalties) - 1) / 2
    y = row + 0.8 * place / max(len(penalties), 2)
    decided = not zero or dot.interval.above() or dot.interval.below()
    axes.errorbar(
        dot.interval.mean, y, xerr=np.nan_to_num(errors([dot.interval])), capsize=2.5, elinewidth=1.4,
        markerfacecolor=None if decided else "white", **_look(dot.penalty),
    )  # fmt: skip


def _folded(row: str) -> str:
    """A row's label in two lines, cut at its first comma or its middle space."""
    if ", " in row:
        return row.replace(", ", ",\n", 1)
    return row.replace(" at ", "\nat ", 1) if len(row) > 14 else row


def verdict_grid(boards: Mapping[str, pd.DataFrame]) -> Figure:
    """Where the first penalty is ahead of its rivals: a block a network, a panel a rival, λ against attack.

    Args:
        boards: title of a network → its `comparisons.joint_differences`.
    """
    import matplotlib.pyplot as plt

    rivals = list(dict.fromkeys(rival for board in boards.values() for rival in board["rival"]))
    weights = {title: sorted(board["lambda"].unique()) for title, board in boards.items()}
    heights = [len(grid) + 1.5 for grid in weights.values()]
    figure, cells = plt.subplots(
        len(boards), len(rivals), figsize=(6.4, 1.3 + 0.3 * sum(heights)), squeeze=False,
        height_ratios=heights, sharey="row",
    )  # fmt: skip
    for line, (title, board) in zip(cells, boards.items(), strict=True):
        attacks = list(dict.fromkeys(zip(board["attack"], board["metric"], strict=True)))
        for axes, rival in zip(line, rivals, strict=True):
            _signs(axes, board[board["rival"] == rival], weights[title], attacks)
            axes.set_title(f"against {LABELS[rival]}", fontsize=10)
        line[0].set_ylabel(f"{title}\nλ", fontsize=10)
    for name, (marker, colour, word) in SIGNS.items():
        cells[0, 0].plot([], [], marker, color=colour, markersize=6 if name == "undecided" else 7, label=word)
    figure.legend(*cells[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _signs(axes: Axes, board: pd.DataFrame, weights: list[float], attacks: list[tuple[str, str]]) -> None:
    for _, row in board.iterrows():
        marker, colour, _ = SIGNS[row["verdict"]]
        place = attacks.index((row["attack"], row["metric"])), weights.index(row["lambda"])
        axes.plot(*place, marker, color=colour, markersize=7)
    names = [MEASURES[key].title.replace("Carlini–Wagner", "C–W") for key in attacks]
    axes.set_xticks(range(len(attacks)), labels=names, rotation=45, ha="right", fontsize=10)
    axes.set_yticks(range(len(weights)), labels=[f"{weight:g}" for weight in weights], fontsize=10)
    axes.set(xlim=(-0.5, len(attacks) - 0.5), ylim=(-0.6, len(weights) - 0.4))
