"""A figure laid out anew for a phone: one panel a row, and no letter too small to read.

A page shows a figure at the width of the screen. What was drawn 6.4 inches wide for a desk would
have letters of 8 pixels there, so it is not shrunk but set again, `WIDTH` inches wide.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend

WIDTH = 4.6
"""Inches; a telephone's column of text is some 350 pixels wide, so a point becomes about a pixel."""

LEAST_FONT = 11.0
"""Points; smaller letters grow to this size."""

TALLEST = 3.4
"""Inches that a panel may be high, unless its two axes have one scale."""

GAP = 0.1
"""Inches above and below each panel."""

LABELS = 0.4
"""Inches that the numbers and the words below a panel take."""


def stack(figure: Figure) -> None:
    """Lay out a figure's panels below each other, `WIDTH` inches wide; the figure itself is changed.

    A panel that shared numbers or words of an axis with a neighbour gets its own. Pictures without
    numbers on their axes, digits for example, stay side by side as far as there is room. A figure
    without panels stays as it is.
    """
    if not figure.axes:
        return
    figure.draw_without_rendering()
    borrow_labels(figure)
    enlarge_letters(figure, LEAST_FONT)
    for axes in figure.axes:
        for words in (axes.xaxis.label, axes.title):
            words.set_wrap(True)
    heights = [_stack_part(part) for part in parts(figure)]
    figure.set_size_inches(WIDTH, max(heights) * len(heights))  # the parts of a figure are equally high
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(h_pad=GAP)  # type: ignore[call-arg]
    _narrow_legends(figure)


def enlarge_letters(figure: Figure, least: float) -> None:
    """Let no letter be smaller than so many points."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), least))


def parts(figure: Figure) -> list[Figure | SubFigure]:
    """The figure's parts, each with panels and a legend of its own; the figure itself if it has none."""
    return [*figure.subfigs] or [figure]


def borrow_labels(figure: Figure) -> None:
    """Write at every panel the numbers, words and title that its row or column has written only once."""
    for part in parts(figure):
        panels = [axes for axes in part.axes if axes.axison and axes.get_subplotspec() is not None]
        for axes in panels:
            axes.tick_params(labelleft=True, labelbottom=True)
            row, column = _place(axes)
            above = [a for a in panels if _place(a)[1] == column and _place(a)[0] < row]
            if not _titled(axes) and any(_place(a)[1] > 0 for a in panels):
                axes.set_title(next((a.get_title() for a in reversed(above) if a.get_title()), ""))
            if not axes.get_ylabel() and len(axes.get_yticks()):
                left = [a for a in panels if _place(a)[0] == row and _place(a)[1] < column]
                axes.set_ylabel(next((a.get_ylabel() for a in left if a.get_ylabel()), ""))
            if not axes.get_xlabel() and len(axes.get_xticks()):
                below = [a for a in panels if _place(a)[1] == column and _place(a)[0] > row]
                axes.set_xlabel(next((a.get_xlabel() for a in below if a.get_xlabel()), ""))


def _titled(axes: Axes) -> bool:
    return bool(axes.get_title() or axes.get_title("left"))


def _place(axes: Axes) -> tuple[int, int]:
    """A panel's row and column."""
    spec = axes.get_subplotspec()
    assert spec is not None
    return spec.rowspan.start, spec.colspan.start


def _stack_part(part: Figure | SubFigure) -> float:
    """Give the part a grid of one column, or of as many pictures as there is room for; its height."""
    from matplotlib.gridspec import GridSpec

    cells: dict[tuple[int, int], list[Axes]] = {}
    for axes in part.axes:
        if axes.get_subplotspec() is not None:
            cells.setdefault(_place(axes), []).append(axes)
    order = [cells[place] for place in sorted(cells)]
    columns = min(_columns(part), len(order))
    for axes in part.axes:
        _move_legend(part, axes)
    rows = [order[start : start + columns] for start in range(0, len(order), columns)]
    heights = [max(_height(cell[0], WIDTH / columns) for cell in row) for row in rows]
    around = [max(_around(cell[0]) for cell in row) for row in rows]
    whole: Any = part  # Matplotlib's types know no grid for a part of a figure
    grid = GridSpec(len(rows), columns, figure=whole, height_ratios=heights)
    for number, cell in enumerate(order):
        for axes in cell:
            axes.set_subplotspec(grid[number // columns, number % columns])
    return sum(heights) + sum(around) + sum(_legend_height(legend) for legend in part.legends)


def _columns(part: Figure | SubFigure) -> int:
    """How many panels fit side by side: pictures without numbers at the width at which they were drawn."""
    if any(axes.axison and (len(axes.get_xticks()) or len(axes.get_yticks())) for axes in part.axes):
        return 1
    dpi = part.get_figure(root=True).dpi
    widest = max((axes.get_window_extent().width / dpi for axes in part.axes), default=WIDTH)
    return max(1, math.floor(WIDTH / max(widest, WIDTH / 3)))


def _height(axes: Axes, width: float) -> float:
    """Inches for a panel `width` inches wide that was drawn with another width."""
    box, dpi = axes.get_window_extent(), axes.figure.get_figure(root=True).dpi
    if axes.get_aspect() != "auto":
        return float(width * box.height / box.width)
    if not axes.axison:
        legend = axes.get_legend()
        return _legend_height(legend) if legend else 0.1
    return float(min(max(0.85 * width * box.height / box.width, box.height / dpi), TALLEST))


def _around(axes: Axes) -> float:
    """Inches that title, numbers and words take above and below a panel."""
    if not axes.axison:
        return 0.1
    lines = 1 + axes.get_title().count("\n") if _titled(axes) else 0
    return 0.15 + 0.22 * lines + (LABELS if len(axes.get_xticks()) else 0.0)


def _legend_height(legend: Legend) -> float:
    """Inches that a legend takes in one column of lines at most `LEAST_FONT` and a half apart."""
    return (len(legend.get_texts()) + 1) * 1.6 * LEAST_FONT / 72


def _move_legend(part: Figure | SubFigure, axes: Axes) -> None:
    """A legend beside a panel goes below it, where there is room."""
    legend = axes.get_legend()
    if legend is None or (not axes.axison and len(part.axes) > 1):
        return
    if legend.get_window_extent().x0 < axes.get_window_extent().x1 - 1:
        return
    handles, labels = axes.get_legend_handles_labels()
    size = {"fontsize": LEAST_FONT, "markerscale": legend.markerscale}
    legend.remove()
    part.legend(handles, labels, loc="outside lower center", **size)


def _narrow_legends(figure: Figure) -> None:
    """Fewer columns for a legend that is wider than the screen."""
    for part in parts(figure):
        for wide in [*part.legends]:
            legend: Any = wide  # Matplotlib's types leave out the number of columns
            while legend._ncols > 1 and _width(figure, legend) > WIDTH:
                words = [text.get_text() for text in legend.get_texts()]
                settings = {"ncols": legend._ncols - 1, "fontsize": LEAST_FONT}
                legend.remove()
                legend = part.legend(legend.legend_handles, words, loc="outside lower center", **settings)


def _width(figure: Figure, legend: Legend) -> float:
    figure.draw_without_rendering()
    return float(legend.get_window_extent().width / figure.dpi)
