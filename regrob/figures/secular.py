"""The secular function F(θ), whose root is the multiplier of the shortest step (the exact radius)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from regrob.figures.theme import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def secular_curves(
    second: float, first: Sequence[float], eigenvalues: tuple[float, float], xi: float, limit: float
) -> Figure:
    """F = Σ g_i²/(2λ_i) ((1 − θλ_i)⁻² − 1) against θλ₁, a line for each g₁; g₁ = 0 is the hard case.

    Args:
        second: g₂, the gradient along the second eigenvector.
        first: at most four values of g₁, along the top eigenvector.
        eigenvalues: λ₁ ≥ λ₂ > 0.
        xi: the height that F must reach.
        limit: L, what F tends to at θλ₁ = 1 in the hard case.
    """
    import matplotlib.pyplot as plt

    share = 1 - torch.logspace(-5, 0, 400, dtype=torch.float64)  # θλ₁
    top = eigenvalues[0]
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    looks = ((BLUE, "-"), (GREEN, "-."), (PURPLE, ":"), (BLACK, "--"))
    for part, (colour, dashes) in zip(first, looks, strict=False):
        F = torch.zeros_like(share)
        for g, value in zip((part, second), eigenvalues, strict=True):
            F = F + g**2 / (2 * value) * ((1 - share * value / top) ** -2 - 1)
        axes.plot(share, F, dashes, color=colour, label=f"$g_1={part:g}$")
    axes.axhline(xi, color=VERMILION, linewidth=1.2)
    axes.axhline(limit, color=GREY, linewidth=1, linestyle=":")
    axes.text(0.02, xi + 0.015, "ξ", color=VERMILION)
    axes.text(0.02, limit + 0.015, "L", color=GREY)
    axes.set(xlim=(0, 1.01), ylim=(0, 0.7), xlabel="$\\theta\\lambda_1$", ylabel="$F(\\theta)$")
    axes.legend(loc="upper left", bbox_to_anchor=(0.1, 1))
    return figure
