"""The book's figures: one look for all of them, and the paper's figures as functions of data.

Colours are Okabe and Ito's, which people with any colour vision can tell apart, and no line
relies on colour alone: each has its own dashes, and its own marker where points are shown.
Matplotlib is loaded when something is drawn, not when this module is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from regrob.errors import InputError
from regrob.theory import probability, taylor_radius

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


PENALTY_STYLE: dict[str, Look] = {
    "none": Look("no penalty", BLACK, LINE_STYLES[6], "X"),
    "input-gradient": Look("input gradient", GREEN, LINE_STYLES[2], "^"),
    "jacobian": Look("Jacobian", VERMILION, LINE_STYLES[1], "s"),
    "curvature": Look("curvature", BLUE, LINE_STYLES[0], "o"),
    "cross-lipschitz": Look("cross-Lipschitz", PURPLE, LINE_STYLES[3], "D"),
}
"""Name of a penalty → its look, the same in every figure of the book."""


@contextmanager
def style() -> Iterator[None]:
    """Draw with the book's settings inside the `with` block; restore the old ones after it.

    The ground is white and opaque, so that a figure reads the same on a dark page.
    """
    import matplotlib as mpl
    from cycler import cycler

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


def figure_1(
    nu: float = 1.0,
    *,
    others: Sequence[float] = (0.5, 1.0, 2.0, 4.0),
    probabilities: Sequence[float] = (0.5, 0.7, 0.9),
) -> Figure:
    """The paper's Figure 1: ‖r*‖₂ against the predicted probability, for given ν (Prop. 3.1).

    Left, the loss's quadratic model along the steepest direction, which meets log 2 at
    ‖r*‖₂ (a dot). Right, ‖r*‖₂ against p_y at the chosen ν, and faintly at the others.
    The axes do not depend on ν, so that pictures for several ν can be laid over each other.

    Args:
        nu: cross-Lipschitz constant ν > 0 of the left panel and of the bold curve.
        others: the values of ν that are drawn faintly for comparison.
        probabilities: values of p_y in [0.5, 1) for the left panel.

    Raises:
        InputError: ν ≤ 0, or a probability outside [0.5, 1).
    """
    import matplotlib.pyplot as plt

    if not min(nu, *others) > 0:
        raise InputError(f"nu must be positive, got {min(nu, *others)}: without it no boundary is reached")
    outside = [p for p in probabilities if not 0.5 <= p < 1]
    if outside:
        raise InputError(f"probabilities must lie in [0.5, 1), got {outside[0]}")
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.7), width_ratios=(1, 1.1))
    for number, p in enumerate(probabilities):
        _draw_model(left, nu, p, number)
    left.axhline(float(torch.tensor(2.0).log()), color=GREY, linestyle=":", linewidth=1.4)
    left.text(5.95, 0.71, "log 2", color=GREY, va="bottom", ha="right", fontsize=10)
    left.set(
        xlabel=r"step $\|r\|_2$ uphill", ylabel="quadratic model of the loss", xlim=(0, 6), ylim=(0, 1.5)
    )
    left.legend(title=f"ν = {nu:.3g}", loc="lower right", fontsize=10)
    margins = torch.linspace(0.0, 9.0, 361, dtype=torch.float64)
    predicted, tau = torch.sigmoid(margins), taylor_radius.taylor_margin(margins)
    for other in others:
        if other != nu:
            right.plot(predicted, tau / other, color="#b0b0b0", linestyle="-", linewidth=1.0)
            height = (
                float(taylor_radius.taylor_margin(torch.logit(torch.tensor(0.85, dtype=torch.float64))))
                / other
            )
            side = "bottom" if other < nu else "top"
            right.text(0.85, height, f"{other:g}", color=GREY, fontsize=9, va=side, ha="right")
    right.plot(predicted, tau / nu, color=BLUE, linestyle="-", label=f"ν = {nu:.3g}")
    right.set(xlabel="predicted probability $p_y$", ylabel=r"$\|r^*\|_2$", xlim=(0.5, 1.0), ylim=(0, 12))
    right.legend(loc="upper left")
    return figure


def _draw_model(axes: Axes, nu: float, p: float, number: int) -> None:
    """One parabola L + qν t + p q ν² t²/2 and the dot where it reaches log 2."""
    y = torch.tensor([0])
    z = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
    q = 1 - p
    step = torch.linspace(0.0, 6.0, 121, dtype=torch.float64)
    model = probability.loss(z, y) + q * nu * step + 0.5 * p * q * (nu * step).square()
    colour = COLOURS[number % len(COLOURS)]
    axes.plot(
        step,
        model,
        color=colour,
        linestyle=LINE_STYLES[number % len(LINE_STYLES)],
        label=f"$p_y$ = {p:g}" if p > 0.5 else "$p_y$ → 0.5",
    )
    radius = float(taylor_radius.taylor_margin(z[:, 0] - z[:, 1])) / nu
    axes.plot([radius], [float(torch.tensor(2.0).log())], "o", color=colour, clip_on=False)
