"""How far the Taylor radius overshoots the affine classifier's boundary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from regrob.figures.theme import BLUE, GREY, ORANGE, VERMILION
from regrob.theory.taylor_radius import taylor_margin

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def loss_and_model(probability: float) -> Figure:
    """The affine classifier's loss along ∇ and its quadratic model; dots where each reaches log 2.

    Args:
        probability: p_y at the start, above 1/2.
    """
    import matplotlib.pyplot as plt

    p, q, tie = probability, 1 - probability, math.log(2)
    steps = torch.linspace(0, 11.5, 300, dtype=torch.float64)
    margin = torch.tensor(math.log(p / q), dtype=torch.float64)
    true_loss = torch.log1p(torch.exp(steps - margin))
    model = -math.log(p) + q * steps + p * q * steps**2 / 2
    figure, axes = plt.subplots(figsize=(6.4, 3.5))
    axes.plot(steps, true_loss, "-", color=BLUE, label="loss of the affine classifier")
    axes.plot(steps, model, "--", color=VERMILION, label="its quadratic model")
    axes.axhline(tie, color=GREY, linewidth=1.2, linestyle=":")
    for place, name in ((float(margin), "$m$"), (float(taylor_margin(margin)), "$\\tau$")):
        axes.plot([place], [tie], "o", color="black")
        axes.annotate(name, (place, tie), (0, 7), textcoords="offset points", ha="right")
    axes.text(0.1, tie + 0.02, "log 2", color=GREY)
    axes.set(xlim=(0, 11.5), ylim=(0, 1.6), ylabel="loss")
    axes.set(xlabel="step along ∇, in units of margin (νt)")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1))
    return figure


def taylor_against_margin(taylor: Tensor, margin: Tensor) -> Figure:
    """Histograms of ‖r*‖₂ / d, and of both lengths beside the diameter √784 of the digits' box.

    Args:
        taylor: ‖r*‖₂, (N,).
        margin: d, (N,).
    """
    import matplotlib.pyplot as plt

    ratio = taylor / margin
    middle = float(ratio.median())
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.5))
    left.hist(ratio.clamp(1, 1000), bins=torch.logspace(0, 3, 31).tolist(), color=BLUE)
    left.set(xscale="log", xlabel="$\\|r^*\\|_2\\,/\\,d$", ylabel="digits")
    left.axvline(middle, color="black", linestyle="--", label=f"median {middle:.0f}")
    left.legend()
    lengths = torch.logspace(-1, 3.5, 46).tolist()
    right.hist(margin, bins=lengths, color=ORANGE, label="$d$")
    right.hist(taylor, bins=lengths, histtype="step", linewidth=2, color=BLUE, label="$\\|r^*\\|_2$")
    right.axvline(28, color="black", linestyle="--", label="box diameter")
    right.set(xscale="log", xlabel="length")
    right.legend(loc="upper right", fontsize=9)
    right.margins(y=0.35)
    return figure
