"""How many digits of q = 1 − p_y three ways to compute it lose as the margin grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from regrob.figures.theme import BLUE, GREEN, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

LOWEST = 3e-18
"""Where an error of zero is drawn on a logarithmic axis."""


def lost_digits(margins: Tensor, errors: Mapping[str, Sequence[float]]) -> Figure:
    """Relative errors of q against the logit margin, beside what rounding 1 − p must lose, ε/q.

    Args:
        margins: (T,).
        errors: name → T relative errors, for at most three ways to compute q.
    """
    import matplotlib.pyplot as plt
    import torch

    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    looks = (("o", BLUE), ("x", VERMILION), ("s", GREEN))
    for (name, values), (marker, colour) in zip(errors.items(), looks, strict=False):
        heights = [max(value, LOWEST) for value in values]
        axes.plot(margins, heights, marker, color=colour, label=name, markersize=4, fillstyle="none")
    rounding = torch.finfo(margins.dtype).eps * margins.exp()
    axes.plot(margins, rounding, color="black", linestyle="--", linewidth=1, label="ε / q")
    axes.set(yscale="log", ylim=(2e-18, 10), ylabel="relative error of q")
    axes.set(xlabel="logit margin  $m = \\log(p_y/q)$")
    axes.legend(loc="center left")
    return figure
