"""Lower and upper bounds on a radius, one digit after the other, or as shares of the exact radius."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regrob.figures.theme import BLUE, GREEN, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor


def bracket_by_digit(
    axes: Axes, low: Tensor, high: Tensor, others: Mapping[str, tuple[Tensor, str, str]]
) -> None:
    """Each digit's bracket as a bar, in order of its upper end, with other bounds as dots.

    Args:
        axes: to draw on.
        low: lower ends, (N,).
        high: upper ends, (N,).
        others: label → (bounds (N,), marker, colour).
    """
    order = high.argsort()
    places = range(len(order))
    axes.vlines(places, low[order], high[order], color=BLUE, alpha=0.5)
    ends = {"upper end": (high, "^", BLUE), "lower end": (low, "v", BLUE)}
    for label, (bounds, marker, colour) in {**ends, **others}.items():
        axes.plot(places, bounds[order], marker, color=colour, label=label, markersize=4)
    axes.set(yscale="log", xlabel="digit, in order")
    axes.legend(fontsize=9)


def bounds_over_exact(exact: Tensor, bounds: Mapping[str, Tensor]) -> Figure:
    """Histograms of bound / exact radius: label → bounds (N,), at most three."""
    import matplotlib.pyplot as plt
    import torch

    edges = torch.linspace(0, 1.6, 65).tolist()
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    looks = ((VERMILION, "--"), (GREEN, "-."), (BLUE, "-"))
    for (label, values), (colour, dashes) in zip(bounds.items(), looks, strict=False):
        line: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 2}
        axes.hist(values / exact, bins=edges, histtype="step", label=label, **line)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set(xlabel="bound / exact $\\|r^*\\|_2$", ylabel="digits")
    axes.legend(loc="upper left")
    return figure
