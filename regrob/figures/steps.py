"""Steps r in the plane: where the loss's quadratic model reaches the threshold, and how far that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regrob.figures.planes import ellipse
from regrob.figures.theme import BLUE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plane(axes: Axes, limit: float) -> None:
    """A square panel from −limit to limit in both coordinates of the step."""
    axes.set(xlabel="$r_1$", ylabel="$r_2$", aspect="equal")
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit))


def threshold_region(
    axes: Axes, gradient: Tensor, hessian: Tensor, xi: float, limit: float, edge: float = 1.5
) -> None:
    """Shade the steps with ∇ᵀr + rᵀHr/2 ≥ ξ.

    Args:
        axes: to draw on.
        gradient: ∇, (2,).
        hessian: H, (2, 2), of the gradient's dtype; zero for a half-plane.
        xi: the slack ξ.
        limit: the steps run from −limit to limit in both coordinates.
        edge: width of the line around the region; 0 draws none.
    """
    line = torch.linspace(-limit, limit, 161, dtype=gradient.dtype)
    r_1, r_2 = torch.meshgrid(line, line, indexing="xy")
    r = torch.stack([r_1, r_2], dim=-1)
    model = r @ gradient + 0.5 * ((r @ hessian) * r).sum(dim=-1)
    axes.contourf(r_1, r_2, model, levels=[xi, 1e9], colors=[SKY], alpha=0.5)
    if edge:
        axes.contour(r_1, r_2, model, levels=[xi], colors=[BLUE], linewidths=edge)


def disc(radius: float) -> Tensor:
    """The circle of this radius around the origin: (2, 200)."""
    turn = torch.linspace(0, 2 * math.pi, 200)
    return radius * torch.stack([turn.cos(), turn.sin()])


def square(half: float) -> Tensor:
    """The square |r₁|, |r₂| ≤ half, as a closed line: (2, 5)."""
    return half * torch.tensor([[-1.0, 1, 1, -1, -1], [-1, -1, 1, 1, -1]], dtype=torch.float64)


def model_boundary(gradient: Tensor, hessian: Tensor, xi: float) -> Tensor:
    """The ellipse ∇ᵀr + rᵀHr/2 = ξ in the plane of steps, for H positive definite: (2, 300)."""
    centre = -torch.linalg.solve(hessian, gradient)
    level = 2 * xi - float(gradient @ centre)
    return ellipse(centre, level * torch.linalg.inv(hessian))


def shortest_steps(boundary: Tensor, along: Tensor, shortest: Sequence[Tensor]) -> Figure:
    """The curve on which the model reaches the threshold, and the steps that lead there.

    Args:
        boundary: the curve, (2, points).
        along: the step along the gradient, (2,).
        shortest: the shortest steps, (2,) each; the disc of their length is shaded.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Circle

    figure, axes = plt.subplots(figsize=(6.2, 4.2))
    axes.plot(*boundary, "-", color="black", label="model = log 3")
    axes.plot(0, 0, "+", color="black", markersize=12)
    size = float(shortest[0].norm())
    axes.add_patch(Circle((0, 0), size, color=SKY, alpha=0.35))
    ends = torch.stack([0 * along, along], 1)
    axes.plot(*ends, "--s", color=VERMILION, markevery=[1], label=f"along ∇: {along.norm():.2f}")
    for number, step in enumerate(shortest):
        ends = torch.stack([0 * step, step], 1)
        label = None if number else f"shortest: {size:.2f}"
        axes.plot(*ends, "-o", color=BLUE, markevery=[1], label=label)
    axes.set(xlim=(-3.4, 5.6), ylim=(-2.6, 2.6), aspect="equal")
    axes.set(xlabel="$r_1$", ylabel="$r_2$")
    axes.legend(loc="upper right", fontsize=9)
    return figure
