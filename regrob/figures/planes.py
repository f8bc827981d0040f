"""Pictures of networks with two inputs: the pieces on which they are affine, and ellipses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regrob.figures.theme import ORANGE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from regrob.affine.polytopes import Region


def frame(axes: Axes, limit: float = 1.0, ticks: bool = True, **settings: Any) -> None:
    """A square panel from −limit to limit in both inputs, without a grid."""
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", **settings)
    if ticks:
        marks = [-limit, -limit / 2, 0, limit / 2, limit]
        axes.set(xticks=marks, yticks=marks, xlabel="$x_1$", ylabel="$x_2$")
    else:
        axes.set(xticks=[], yticks=[])
    axes.grid(False)


def fill_pieces(axes: Axes, pieces: Iterable[Region]) -> None:
    """Each polygon in the colour of the direction of v₊ − v₋ there, with white edges."""
    import matplotlib as mpl

    for piece in pieces:
        s = piece.V[:, 0] - piece.V[:, 1]
        turn = float(s[1].atan2(s[0])) / (2 * math.pi) + 0.5  # a colour that closes at ±π
        colour = mpl.colormaps["twilight"](turn)
        axes.fill(*piece.corners.T, color=colour, alpha=0.75, linewidth=0)
        outline(axes, [piece], "white", 0.7)


def outline(axes: Axes, pieces: Iterable[Region], colour: str, linewidth: float) -> None:
    """The edges of each polygon."""
    for piece in pieces:
        axes.fill(*piece.corners.T, fill=False, edgecolor=colour, linestyle="-", linewidth=linewidth)


def draw_boundary(axes: Axes, pieces: Iterable[Region], **settings: Any) -> None:
    """The decision boundary of two classes: in each polygon a straight piece."""
    for piece in pieces:
        ends = boundary(piece)
        if ends is not None:
            axes.plot(*ends.T, solid_capstyle="round", **settings)


def boundary(piece: Region) -> Tensor | None:
    """The two points (2, 2) of a polygon's edges at which both logits are equal; None without any."""
    import torch

    corners, V, c = piece
    gap = corners @ (V[:, 0] - V[:, 1]) + c[0] - c[1]
    ends = []
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        if gap[i] * gap[j] < 0:
            share = gap[i] / (gap[i] - gap[j])
            ends.append(corners[i] + share * (corners[j] - corners[i]))
    return torch.stack(ends) if len(ends) == 2 else None


def patchwork(pieces: Iterable[Region], points: Tensor, labels: Tensor) -> Figure:
    """All pieces, the decision boundary across them, and points (N, 2) of two classes."""
    import matplotlib.pyplot as plt

    pieces = list(pieces)
    figure, axes = plt.subplots(figsize=(5.2, 5.2))
    fill_pieces(axes, pieces)
    draw_boundary(axes, pieces, color="black", linestyle="-", linewidth=2.6)
    for label, marker, colour in ((0, "o", SKY), (1, "^", ORANGE)):
        x, y = points[labels == label].T
        axes.scatter(x, y, s=14, marker=marker, color=colour, edgecolor="black", linewidth=0.5, zorder=3)
    frame(axes)
    return figure


def side_by_side(networks: Mapping[str, Sequence[Region]]) -> Figure:
    """The pieces of each network by name; above each panel its name and their number."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(networks), figsize=(6.4, 3.5))
    for axes, (name, pieces) in zip(panels, networks.items(), strict=True):
        fill_pieces(axes, pieces)
        frame(axes, ticks=False, title=f"{name}: {len(pieces)}")
    return figure


def stand_on_piece(pieces: Iterable[Region], piece: Region, x: Tensor, title: str) -> Figure:
    """All pieces' edges, the piece around x shaded, and its own affine boundary as a dashed line.

    Args:
        pieces: of a network with two inputs and two classes.
        piece: the one that x lies in.
        x: (2,).
        title: above the panel.
    """
    import matplotlib.pyplot as plt
    import torch

    figure, axes = plt.subplots(figsize=(4.4, 4.7))
    outline(axes, pieces, "#cccccc", 0.6)
    axes.fill(*piece.corners.T, color=SKY, alpha=0.8)
    draw_boundary(axes, pieces, color="black", linestyle="-")
    s, gap = piece.V[:, 0] - piece.V[:, 1], piece.c[0] - piece.c[1]
    foot = -gap * s / s.square().sum()
    along = torch.tensor([-s[1], s[0]]) / s.norm()
    axes.plot(*torch.stack([foot - 4 * along, foot + 4 * along]).T, color=VERMILION, linestyle="--")
    axes.plot(*x, "o", color="black", markersize=8)
    frame(axes, title=title)
    return figure


def ellipse(centre: Tensor, matrix: Tensor, points: int = 300) -> Tensor:
    """The curve (r − centre)ᵀ M⁻¹ (r − centre) = 1 in the plane.

    Args:
        centre: (2,).
        matrix: M, (2, 2), symmetric and positive semidefinite.
        points: on the curve.

    Returns:
        (2, points), the last point being the first.
    """
    import torch

    turn = torch.linspace(0, 2 * torch.pi, points, dtype=matrix.dtype)
    values, vectors = torch.linalg.eigh(matrix)
    circle = torch.stack([turn.cos(), turn.sin()])
    curve: Tensor = centre[:, None] + vectors @ (values.clamp_min(0).sqrt()[:, None] * circle)
    return curve
