"""A network with two inputs: drag the point, and four distances to "the boundary" come apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regrob.affine import local_map, polytopes
from regrob.figures import planes
from regrob.figures.living.frame import Living, living
from regrob.figures.theme import style
from regrob.theory import margin_l2

if TYPE_CHECKING:
    from torch import Tensor, nn

SEEN = 1.0
CUT = 2.5
"""Half sides of the square that is shown, and of the one cut into pieces: wide enough that no nearest
boundary of a point shown lies outside it."""


def plane_network(network: nn.Sequential, points: Tensor, labels: Tensor, start: Tensor) -> Living:
    """The pieces of a network with two inputs and two classes, and a point to drag among them.

    Args:
        network: Flatten, Linear, ReLU and LeakyReLU layers, 2 → 2.
        points: (N, 2) to show, of two classes.
        labels: (N,).
        start: (2,), where the point is at first.

    Raises:
        InputError: a network that `polytopes.regions` does not read.
    """
    pieces = polytopes.regions(network, low=-CUT, high=CUT)
    data = {
        "limit": SEEN,
        "cut": CUT,
        "start": start,
        "points": [[*x, y] for x, y in zip(points.tolist(), labels.tolist(), strict=True)],
        # On a piece z₀ − z₁ = s·x + c.
        "pieces": [
            {"corners": corners, "s": V[:, 0] - V[:, 1], "c": c[0] - c[1]} for corners, V, c in pieces
        ],
    }
    V, z = local_map(network, start[None])
    reach = float(margin_l2(V, z, z.argmax(dim=1)))
    edge = float(polytopes.distance_to_edge(network, start))
    piece = next(piece for piece in pieces if piece.holds(start))
    with style():
        title = f"to the edge of the polytope: {edge:.3f}\nto the dashed line: {reach:.3f}"
        still = planes.stand_on_piece(pieces, piece, start, title)
    return living(
        "plane_network",
        data,
        alt="A square cut into polygons by a ReLU network. A thick line, straight inside each polygon, "
        "separates two classes of points. The polygon around one movable point is shaded. A dashed "
        "line shows the boundary of the affine map on that polygon, and a dotted one, parallel and "
        "farther off, where the quadratic model of the loss reaches log 2. Beside it four distances "
        "from the point on a logarithmic axis.",
        still=still,
        predict=(
            "Drag the point towards the thick line. When does the dashed line lie on it? Which of the four "
            "distances can you trust never to be too long?",
            "The dashed line is the true boundary wherever it crosses the shaded polygon. Only the "
            "distance to the polygon's edge, or to the dashed line where that is nearer, never promises "
            "too much: nothing is known beyond the edge. The Taylor radius is longer than the dashed "
            "line's distance everywhere.",
        ),
    )
