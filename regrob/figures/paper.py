"""The paper's Figures 1 and 3, computed from their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from regrob.errors import InputError
from regrob.figures.theme import BLUE, COLOURS, GREY, LINE_STYLES, LOOKS
from regrob.theory import probability, taylor_radius

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    labelled = torch.logit(torch.tensor(0.85, dtype=torch.float64))
    for other in others:
        if other != nu:
            right.plot(predicted, tau / other, color="#b0b0b0", linestyle="-", linewidth=1.0)
            height = float(taylor_radius.taylor_margin(labelled)) / other
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


def figure_3(peak: float) -> Figure:
    """The paper's Figure 3: three penalties over ν² against p_y, and their slopes in the logit margin.

    Args:
        peak: p_y at which the curvature penalty pulls hardest, marked on the right.
    """
    import matplotlib.pyplot as plt

    p, m = torch.linspace(0, 1, 201), torch.linspace(-6, 6, 241)
    p_m, q_m = torch.sigmoid(m), torch.sigmoid(-m)
    penalties = {
        "input-gradient": ((1 - p) ** 2, -2 * p_m * q_m**2),
        "curvature": (p * (1 - p), p_m * q_m * (q_m - p_m)),
        "cross-lipschitz": (0.5 + 0 * p, 0 * m),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
    for name, (factor, slope) in penalties.items():
        left.plot(p, factor, **LOOKS[name].line)
        right.plot(m, slope, **LOOKS[name].line)
    right.axvline(math.log(peak / (1 - peak)), color="black", linewidth=1, linestyle=":")
    left.set(xlabel="$p_y$", ylabel="penalty / $\\nu^2$")
    right.set(xlabel="logit margin $m$", ylabel="slope in $m$ / $\\nu^2$")
    left.legend(loc="upper right", fontsize=10)
    return figure
