"""The Taylor radius in three norms: turn s, choose the norm, and hold its radius against borrowed bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from regrob.errors import InputError
from regrob.figures import steps
from regrob.figures.living.frame import Living, living
from regrob.figures.theme import BLUE, VERMILION, style
from regrob.theory.taylor_radius import taylor_margin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START = (2.0, 1.0)


def norm_ball(margin: float = 1.5) -> Living:
    """The smallest ball that reaches the model's threshold in the plane, for s = v₊ − v₋ of length √5.

    Args:
        margin: the logit margin m > 0 of the example.

    Raises:
        InputError: a margin that is not positive and finite.
    """
    if not 0 < margin < math.inf:
        raise InputError(f"margin must be positive and finite, got {margin}")
    tau = float(taylor_margin(torch.tensor(margin, dtype=torch.float64)))
    return living(
        "norm_ball",
        {"margin": margin, "tau": tau, "start": list(START)},
        alt="Left, a half-plane of steps at which the quadratic model reaches log 2, an arrow s at right "
        "angles to its edge, and around the origin the smallest ball that touches it: a diamond, a "
        "disc or a square. Right, over the direction of s, the size of that ball and two lower bounds "
        "on it that are borrowed from the other norms; they touch it only in special directions.",
        still=_still(tau),
        predict=(
            "You know the radius in one norm and want it in another. A factor between the norms turns one "
            "into a lower bound on the other. In which directions of s does nothing get lost?",
            "Only along an axis or a diagonal. In two dimensions the worst loss is a factor of √2 or 2, "
            "but between the disc and the square it is √n in general, and so 28 for a digit of 784 "
            "pixels.",
        ),
    )


def _still(tau: float) -> Figure:
    """The disc and the square that touch the half-plane sᵀr ≥ τ."""
    import matplotlib.pyplot as plt

    s = torch.tensor(START)
    disc, square = tau / s.norm(), tau / s.abs().sum()
    with style():
        figure, axes = plt.subplots(figsize=(4.6, 4.4))
        steps.threshold_region(axes, s, torch.zeros(2, 2), tau, limit=1.6, edge=0)  # a half-plane: no H
        axes.plot(*steps.disc(float(disc)), "-", color=BLUE, label="disc")
        axes.plot(*steps.square(float(square)), "--", color=VERMILION, label="square")
        axes.plot(*(disc * s / s.norm()), "o", color=BLUE)
        axes.plot(*(square * s.sign()), "s", color=VERMILION)
        steps.plane(axes, limit=1.6)
        axes.legend(loc="lower left")
    return figure
