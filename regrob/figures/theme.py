"""The look of the book's figures: style, colours, and how each penalty is drawn.

Colours are Okabe and Ito's, which people with any colour vision can tell apart, and no line
relies on colour alone: each has its own dashes, and its own marker where points are shown.
Matplotlib is loaded when something is drawn, not when this module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from regrob.analysis.measures import LABELS
from regrob.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

BLACK, GREY = "#000000", "#6b6b6b"
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY = "#cc79a7", "#56b4e9"

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Okabe and Ito's palette in the order in which lines take it; yellow is too pale on white."""

LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
"""As many dash patterns as colours, so that the n-th line differs in both."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


class Look(NamedTuple):
    """How one series is drawn: `ax.plot(x, y, **look.line, marker=look.marker)`."""

    label: str
    colour: str
    linestyle: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """The keyword arguments of `ax.plot`, without the marker."""
        return {"label": self.label, "color": self.colour, "linestyle": self.linestyle}


LOOKS: dict[str, Look] = {
    penalty: Look(LABELS[penalty], *look)
    for penalty, look in {
        "none": (BLACK, LINE_STYLES[6], "X"),
        "input-gradient": (GREEN, LINE_STYLES[2], "^"),
        "jacobian": (VERMILION, LINE_STYLES[1], "s"),
        "curvature": (BLUE, LINE_STYLES[0], "o"),
        "cross-lipschitz": (PURPLE, LINE_STYLES[3], "D"),
        "reference": (GREY, LINE_STYLES[5], "*"),
        "adversarial-training": (ORANGE, LINE_STYLES[4], "P"),
    }.items()
}
"""Name of a penalty → its look, the same in every figure of the book."""


LENGTHS = {
    "radius": Look("‖r*‖₂", VERMILION, LINE_STYLES[0], "s"),
    "margin": Look("d", BLUE, LINE_STYLES[0], "o"),
    "edge": Look("nearest kink", GREY, LINE_STYLES[0], "|"),
    "found": Look("found by attacks", BLACK, LINE_STYLES[0], "X"),
}
"""Column of a table of predictions → the look of that length."""


@contextmanager
def style() -> Iterator[None]:
    """Draw with the book's settings inside the `with` block; restore the old ones after it.

    The ground is white and opaque, so that a figure reads the same on a dark page; while the book is
    built, figures also come as drawings without a ground, in colours of the page (`drawing`).
    """
    import matplotlib as mpl
    from cycler import cycler

    from regrob.figures.drawing import show_as_drawings

    if os.environ.get("REGROB_STATIC") == "1":
        show_as_drawings()
    lines = cycler(color=list(COLOURS)) + cycler(linestyle=list(LINE_STYLES))
    settings: Any = {
        "figure.figsize": (6.4, 3.8),
        "figure.dpi": 130,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "white",
        "savefig.transparent": False,
        "axes.facecolor": "white",
        "axes.prop_cycle": lines,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 12,
        "axes.labelsize": 12,
        "font.size": 12,
        "font.family": "DejaVu Sans",
        "grid.color": "#dddddd",
        "grid.linewidth": 0.7,
        "legend.fontsize": 11,
        "legend.frameon": False,
        "legend.handlelength": 2.8,
        "lines.linewidth": 2.0,
        "lines.markersize": 6.0,
        "xtick.labelsize": 11,
        "ytick.labelsize": 11,
        "text.color": "black",
        "text.usetex": False,
        "svg.hashsalt": "regrob",
        "svg.fonttype": "path",
    }
    with mpl.rc_context(settings):
        yield
        interactive = mpl.is_interactive()
    # A notebook's backend switches this on at its first figure, perhaps inside the block.
    mpl.interactive(interactive)


def digits(images: Tensor, titles: Sequence[str] = (), *, size: float = 1.5) -> Figure:
    """A row of digits, ink on white, each under its title.

    Alt text is the caller's: the notebook cell's `mystnb.image.alt`.

    Args:
        images: (N, 28, 28) or (N, 1, 28, 28), pixels in [0, 1].
        titles: one a digit, or none.
        size: width of one digit in inches.

    Raises:
        InputError: wrong shape, or a number of titles that is neither 0 nor N.
    """
    import matplotlib.pyplot as plt

    if images.ndim not in (3, 4) or images.shape[0] == 0 or (images.ndim == 4 and images.shape[1] != 1):
        raise InputError(f"images must have shape (N, 28, 28) or (N, 1, 28, 28), got {tuple(images.shape)}")
    count = images.shape[0]
    if len(titles) not in (0, count):
        raise InputError(f"titles must number 0 or {count}, one a digit, got {len(titles)}")
    pixels = images.detach().cpu().reshape(count, *images.shape[-2:]).numpy()
    figure, row = plt.subplots(1, count, figsize=(size * count, size * 1.25), squeeze=False)
    for number, axes in enumerate(row[0]):
        axes.imshow(pixels[number], cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=GREY)
        if titles:
            axes.set_title(titles[number], fontsize=11)
    return figure
