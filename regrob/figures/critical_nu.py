"""Two penalties as functions of ν, their critical points, and where training points lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from regrob.figures.theme import BLUE, LOOKS, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

LARGEST_NU = 6.0


def penalties_over_nu(gamma: float, critical: Mapping[str, float]) -> Figure:
    """q²ν² and p_y q ν² at a point at distance γ from the boundary, each over its largest value.

    Args:
        gamma: γ > 0.
        critical: name of the penalty → νγ at its top.
    """
    import matplotlib.pyplot as plt
    import torch

    nu = torch.linspace(0, LARGEST_NU, 241)
    odds = torch.exp(gamma * nu)
    penalties = {"input-gradient": nu**2 / (1 + odds) ** 2, "curvature": nu**2 * odds / (1 + odds) ** 2}
    figure, axes = plt.subplots(figsize=(6.0, 3.6))
    for name, values in penalties.items():
        look = LOOKS[name]
        axes.plot(nu, values / values.max(), **look.line)
        top = critical[name] / gamma
        if top <= LARGEST_NU:
            axes.plot(top, 1, look.marker, color=look.colour)
    axes.set(xlabel="cross-Lipschitz constant ν", xlim=(0, LARGEST_NU))
    axes.set(ylabel="penalty / its largest value", ylim=(0, 1.1))
    axes.legend(loc="upper right")
    return figure


def nu_gamma_before_and_after(before: Tensor, after: Tensor, critical: Sequence[float]) -> Figure:
    """Histograms of νγ over training points, with a line at each of two critical points.

    Args:
        before: plainly trained, (N,).
        after: trained on with the penalty, (N,).
        critical: two values of νγ.
    """
    import matplotlib.pyplot as plt
    import torch

    edges = torch.linspace(0, float(before.max()), 45).tolist()
    figure, axes = plt.subplots(figsize=(6.4, 3.5))
    axes.hist(before, edges, alpha=0.7, color=BLUE, label="plainly trained")
    axes.hist(after, edges, alpha=0.7, hatch="//", color=VERMILION, label="with the penalty")
    for place, dashes in zip(critical, ("--", ":"), strict=True):
        axes.axvline(place, color="black", linestyle=dashes)
    axes.set(xlabel="$\\nu\\gamma$", ylabel="training points")
    axes.legend(loc="upper right")
    return figure
