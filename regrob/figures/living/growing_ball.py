"""A network with two inputs: drag the point, and watch the interval around its nearest mistake close."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import ReluLayers, polytopes, relu_layers
from regrob.certificates import Search, linear_radius
from regrob.figures import planes
from regrob.figures.living.frame import Living, living
from regrob.figures.results import legend_below
from regrob.figures.theme import BLACK, BLUE, GREEN, GREY, VERMILION, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from regrob.affine.polytopes import Region

SEEN = 1.0
CUT = 2.5
"""Half sides of the square that is shown, and of the one cut into pieces: wide enough that no nearest
boundary of a point of the lattice lies outside it."""

STEP, SIDE = 0.2, 9
"""Of the lattice on which the point moves: SIDE × SIDE points around the middle of the square."""

NODES = (1, 2, 4, 8, 16, 32)
"""Budgets that a reader can choose."""


class Known(NamedTuple):
    """What a search knows after so many nodes."""

    nodes: int
    certified: float
    found: float


def lattice() -> Tensor:
    """Where the point can be: (SIDE², 2), the second input changing first."""
    marks = STEP * (torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2)
    return torch.cartesian_prod(marks, marks)


def history(layers: ReluLayers, x: Tensor, label: int) -> list[Known]:
    """The intervals around the distance from x, (2,), to its nearest mistake, whenever one end has moved.

    The first mistake that the search knows is the nearest point of the lattice that is one. It bounds its
    nodes by linear bounds alone: with the semidefinite dual there is little left to cut.
    """
    search = Search(layers, x, label, box=None, batch=1, starts=lattice(), dual=False)
    known: list[Known] = []

    def watch(now: Search) -> None:
        if not known or (now.certified, now.found) != known[-1][1:]:
            known.append(Known(now.nodes, now.certified, now.found))

    search.advance(nodes=NODES[-1], watch=watch)
    return known


def growing_ball(network: nn.Sequential, points: Tensor, labels: Tensor) -> Living:
    """The pieces of a network with two inputs and two classes, a point, and the interval that a search knows.

    The point is at first where the interval takes the most steps to close.

    Args:
        network: Flatten, Linear and ReLU layers, 2 → 2, in float64.
        points: (N, 2) to show, of two classes.
        labels: (N,).

    Raises:
        InputError: a network that `polytopes.regions` does not read.
    """
    pieces = polytopes.regions(network, low=-CUT, high=CUT)
    places = lattice()
    with torch.no_grad():
        sides = network(places).argmax(dim=1)
    linear = linear_radius(network, places, sides, box=None).tolist()
    edges = [float(polytopes.distance_to_edge(network, x)) for x in places]
    layers = relu_layers(network, places[:1])
    histories = [history(layers, x, int(y)) for x, y in zip(places, sides, strict=True)]
    start = max(range(len(places)), key=lambda place: len(histories[place]))
    data = {
        "limit": SEEN,
        "start": divmod(start, SIDE),
        "step": STEP,
        "side": SIDE,
        "low": float(places[0, 0]),
        "nodes": NODES,
        "points": [[*x, y] for x, y in zip(points.tolist(), labels.tolist(), strict=True)],
        "pieces": [piece.corners for piece in pieces],
        "boundary": [ends for piece in pieces if (ends := planes.boundary(piece)) is not None],
        "lattice": list(zip(edges, linear, histories, strict=True)),
    }
    with style():
        circles = [
            ("edge of the polytope", GREY, "-", edges[start]),
            ("linear bound", BLUE, "--", linear[start]),
        ]
        still = _still(pieces, places[start], circles, histories[start])
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


def _still(
    pieces: Sequence[Region], x: Tensor, circles: list[tuple[str, str, str, float]], known: list[Known]
) -> Figure:
    """The circles around the point at the start, and the interval against the nodes."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Circle

    figure, (plane, chart) = plt.subplots(1, 2, figsize=(8.4, 4.6))
    planes.outline(plane, pieces, "#cccccc", 0.6)
    planes.draw_boundary(plane, pieces, color=BLACK, linestyle="-")
    centre = (float(x[0]), float(x[1]))
    plane.add_patch(Circle(centre, known[-1].certified, color=GREEN, alpha=0.3))
    for _, colour, dashes, length in (*circles, ("", VERMILION, ":", known[-1].found)):
        plane.add_patch(Circle(centre, length, fill=False, color=colour, linestyle=dashes, linewidth=2))
    plane.plot(*centre, "o", color=BLACK, markersize=6)
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
