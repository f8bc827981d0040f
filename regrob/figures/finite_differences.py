"""Finite differences of the gradient against the curvature ‖H‖₂ that they approximate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regrob.figures.theme import BLUE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def over_curvature(steps: Tensor, ratios: Tensor) -> Figure:
    """Finite difference over ‖H‖₂ at each step, (T, N): the median and the middle four fifths."""
    import matplotlib.pyplot as plt

    levels = ratios.new_tensor([0.1, 0.5, 0.9])
    low, middle, high = ratios.quantile(levels, dim=1)
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    axes.fill_between(steps, low, high, color=SKY, alpha=0.4)
    axes.loglog(steps, middle, "o-", color=BLUE, label="finite difference: median, 10–90 %")
    axes.axhline(1.0, color="black", linestyle="--", label="$\\|H\\|_2$")
    axes.set(xlabel="step $h$", ylabel="$c_h\\,/\\,\\|H\\|_2$")
    axes.legend(loc="upper left")
    return figure


def network_and_affine(steps: Tensor, network: Tensor, affine: Tensor, crossed: Tensor) -> Figure:
    """The network's finite difference beside its affine piece's, and how many steps cross a kink.

    Args:
        steps: (T,).
        network: over ‖H‖₂, (T, N): the median and the middle half.
        affine: over ‖H‖₂, (T, N): the median.
        crossed: share of the examples, (T,).
    """
    import matplotlib.pyplot as plt

    low, high = network.quantile(network.new_tensor([0.25, 0.75]), dim=1)
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(6.4, 4.9), sharex=True, height_ratios=(3, 1))
    upper.plot(steps, network.median(dim=1).values, color=BLUE, linestyle="-", label="the network")
    upper.fill_between(steps, low, high, color=BLUE, alpha=0.2)
    flat = affine.median(dim=1).values
    upper.plot(steps, flat, "--", color=VERMILION, label="its affine map at x")
    upper.set(xscale="log", yscale="log")
    upper.set_ylabel("finite difference / $\\|H\\|_2$")
    upper.legend(loc="upper left")
    lower.plot(steps, 100 * crossed, color="black", linestyle="-")
    lower.set(xlabel="step h", ylabel="crossed\na kink, %", ylim=(-5, 105))
    return figure
