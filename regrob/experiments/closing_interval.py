"""The interval around the distance to the nearest mistake, node by node, on a lattice in the plane."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrob.affine import ReluLayers, polytopes, relu_layers
from regrob.certificates import Search, linear_radius
from regrob.figures.living.growing_ball import Known, Place

STEP, SIDE = 0.2, 9
"""SIDE × SIDE places around the middle of the square, so far from each other."""

NODES = 32
"""No search bounds more."""


def lattice() -> Tensor:
    """The places: (SIDE², 2), the second input changing first."""
    marks = STEP * (torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2)
    return torch.cartesian_prod(marks, marks)


def history(layers: ReluLayers, x: Tensor, label: int) -> list[Known]:
    """The intervals around the distance from x, (2,), to its nearest mistake, whenever one end has moved.

    The first mistake that the search knows is the nearest place of the lattice that is one. It bounds its
    nodes by linear bounds alone: with the semidefinite dual there is little left to cut.
    """
    search = Search(layers, x, label, box=None, batch=1, starts=lattice(), dual=False)
    known: list[Known] = []

    def watch(now: Search) -> None:
        if not known or (now.certified, now.found) != known[-1][1:]:
            known.append(Known(now.nodes, now.certified, now.found))

    search.advance(nodes=NODES, watch=watch)
    return known


def searched(network: nn.Sequential) -> list[Place]:
    """What is known at each place of the lattice, for a network with two inputs.

    Args:
        network: Flatten, Linear and ReLU layers, in float64.
    """
    places = lattice()
    with torch.no_grad():
        sides = network(places).argmax(dim=1)
    linear = linear_radius(network, places, sides, box=None)
    layers = relu_layers(network, places[:1])
    return [
        Place(
            (float(x[0]), float(x[1])),
            float(polytopes.distance_to_edge(network, x)),
            float(radius),
            history(layers, x, int(side)),
        )
        for x, radius, side in zip(places, linear, sides, strict=True)
    ]
