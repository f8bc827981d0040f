"""How far a network departs from its local affine map, step by step along a direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regrob.figures.theme import BLUE, GREEN, PURPLE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 1e-17
"""Shown for a departure of zero, which a logarithmic axis does not have."""


def departure_figure(
    steps: NDArray[np.float64],
    affine: Mapping[str, NDArray[np.float64]],
    bent: NDArray[np.float64],
    title: str,
) -> Figure:
    """Departures against the step, both logarithmic.

    Args:
        steps: (T,), positive.
        affine: label → (T,) departures of up to three networks that are affine up to a kink; dotted.
        bent: (T,) those of a network that bends from the start; solid.
        title: label of the latter.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    looks = zip((BLUE, GREEN, PURPLE), "o^D", strict=True)
    lines = [(label, gaps, ":", *look) for (label, gaps), look in zip(affine.items(), looks, strict=False)]
    for label, gaps, style, colour, marker in (*lines, (title, bent, "-", VERMILION, "X")):
        look = {"color": colour, "marker": marker, "markersize": 5, "linestyle": style}
        axes.loglog(steps, np.maximum(gaps, LEAST), label=label, **look)
    axes.set(xlabel="step t", ylabel="departure from the affine map")
    figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    return figure
