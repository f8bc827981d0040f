"""A network with two inputs: drag the point, and watch the interval around its nearest mistake close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from regrob.affine import polytopes
from regrob.figures import planes
from regrob.figures.living.frame import Living, living
from regrob.figures.results import legend_below
from regrob.figures.theme import BLACK, BLUE, GREEN, GREY, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from regrob.affine.polytopes import Region

SEEN = 1.0
CUT = 2.5
"""Half sides of the square that is shown, and of the one cut into pieces: wide enough that no nearest
boundary of a place shown lies outside it."""

NODES = (1, 2, 4, 8, 16, 32)
"""Budgets that a reader can choose."""


class Known(NamedTuple):
    """What a search knows after so many nodes."""

    nodes: int
    certified: float
    found: float


class Place(NamedTuple):
    """Where the point can be, and what is known of the distance to its nearest mistake.

    Attributes:
        x: the two inputs.
        edge: distance to the edge of its polytope.
        linear: what a linear bound certifies.
        history: of a search, from its first node on; certified rises and found falls.
    """

    x: tuple[float, float]
    edge: float
    linear: float
    history: list[Known]


def growing_ball(network: nn.Sequential, places: Sequence[Place], points: Tensor, labels: Tensor) -> Living:
    """The pieces of a network with two inputs and two classes, a point, and the interval that a search knows.

    The point is at first where the interval takes the most steps to close.

    Args:
        network: Flatten, Linear and ReLU layers, 2 → 2, in float64.
        places: where the point can be, by columns of as many places each, evenly spaced.
        points: (N, 2) to show, of two classes.
        labels: (N,).

    Raises:
        InputError: a network that `polytopes.regions` does not read.
    """
    pieces = polytopes.regions(network, low=-CUT, high=CUT)
    side = round(len(places) ** 0.5)
    start = max(range(len(places)), key=lambda number: len(places[number].history))
    data = {
        "limit": SEEN,
        "start": divmod(start, side),
        "step": places[1].x[1] - places[0].x[1],
        "side": side,
        "low": places[0].x[0],
        "nodes": NODES,
        "points": [[*x, y] for x, y in zip(points.tolist(), labels.tolist(), strict=True)],
        "pieces": [piece.corners for piece in pieces],
        "boundary": [ends for piece in pieces if (ends := planes.boundary(piece)) is not None],
        "lattice": [place[1:] for place in places],
    }
    with style():
        still = _still(pieces, places[start])
    return living(
        "growing_ball",
        data,
        alt="A square cut into polygons by a ReLU network; a thick line separates two classes of points. "
        "Around one movable point are a small circle inside its polygon, a dashed circle of what a linear "
        "bound certifies, a shaded disc of what branch and bound certifies, and a dotted circle that just "
        "reaches across the thick line, where a mistake was found. Beside it the last two radii against the "
        "number of nodes: one rises in steps, the other falls, until they meet.",
        still=still,
        predict=(
            "Put the slider to one node, and raise it. Which of the two circles moves, the disc's or the "
            "dotted one? Can the disc ever cross the thick line?",
            "Both may move: the search proves more, and it also finds nearer mistakes. The disc never "
            "crosses the line, after however few nodes, since each disc is proved; the dotted circle always "
            "does. Where the line is straight near the point, few nodes close the gap; between several "
            "corners it takes more.",
        ),
    )


def _still(pieces: Sequence[Region], place: Place) -> Figure:
    """The circles around the point at the start, and the interval against the nodes."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Circle

    known = place.history
    circles = (("edge of the polytope", GREY, "-", place.edge), ("linear bound", BLUE, "--", place.linear))
    figure, (plane, chart) = plt.subplots(1, 2, figsize=(8.4, 4.6))
    planes.outline(plane, pieces, "#cccccc", 0.6)
    planes.draw_boundary(plane, pieces, color=BLACK, linestyle="-")
    plane.add_patch(Circle(place.x, known[-1].certified, color=GREEN, alpha=0.3))
    for _, colour, dashes, length in (*circles, ("", VERMILION, ":", known[-1].found)):
        plane.add_patch(Circle(place.x, length, fill=False, color=colour, linestyle=dashes, linewidth=2))
    plane.plot(*place.x, "o", color=BLACK, markersize=6)
    planes.frame(plane, SEEN)
    nodes = [one.nodes for one in known] + [NODES[-1]]
    for name, colour, dashes in (("certified", GREEN, "-"), ("found", VERMILION, ":")):
        lengths = [getattr(one, name) for one in known] + [getattr(known[-1], name)]
        chart.step(nodes, lengths, where="post", color=colour, linestyle=dashes, label=name)
    for name, colour, dashes, length in circles:
        chart.axhline(length, color=colour, linestyle=dashes, linewidth=1.2, label=name)
    chart.set(
        xscale="log", xticks=NODES, xticklabels=NODES, xlabel="nodes", ylabel="distance", ylim=(0, None)
    )
    chart.minorticks_off()
    legend_below(figure, chart)
    return figure
