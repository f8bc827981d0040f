"""The measured time of a training step against its counted multiplications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regrob.figures.results import legend_below
from regrob.figures.theme import GREY, LOOKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ByMethod = Mapping[str, float]


def step_cost_figure(counted: Mapping[int, ByMethod], slower: Mapping[int, Mapping[str, ByMethod]]) -> Figure:
    """A panel for each K, one colour a method: ours filled, autograd's open; equal on the grey line.

    Args:
        counted: K → method → multiplications over a plain step's.
        slower: K → "ours" and "autograd" → method → time over a plain step's.
    """
    import matplotlib.pyplot as plt

    figure, cells = plt.subplots(1, len(counted), figsize=(6.4, 4.2), sharey=True, squeeze=False)
    for axes, (classes, products) in zip(cells[0], counted.items(), strict=True):
        axes.plot([1, 40], [1, 40], color=GREY, linewidth=1)
        for method, count in products.items():
            label, colour, _, marker = LOOKS[method]
            look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 9, "linestyle": "none"}
            axes.plot(count, slower[classes]["ours"][method], **look, label=label)
            axes.plot(count, slower[classes]["autograd"][method], **look, markerfacecolor="none")
        axes.set(xscale="log", yscale="log", title=f"{classes} classes", xlabel="multiplications")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
            axis.set_ticks([1, 2, 5, 10, 20])
    cells[0, 0].set_ylabel("time, plain steps")
    legend_below(figure, cells[0, 0], fontsize=10)
    return figure
