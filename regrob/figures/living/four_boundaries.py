"""The decision boundary under four penalties side by side, as λ grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from regrob.affine import local_map, polytopes
from regrob.errors import InputError
from regrob.figures import planes
from regrob.figures.living.frame import Living, living
from regrob.figures.theme import LOOKS, ORANGE, SKY, style
from regrob.theory.derivatives import cross_lipschitz

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

CUT = 2.5
"""Half side of the square that is cut into pieces: wider than the one shown, so that the nearest boundary of
a point is in it."""


class BoundaryMeasures(NamedTuple):
    """A network with two inputs over a sample.

    Attributes:
        boundary: its decision boundary, straight pieces (S, 2, 2): piece, end, input.
        accuracy: the share of points that it has right.
        distance: the median distance from a point to the boundary, in the plane.
        nu: the mean of ν = ‖v₊ − v₋‖₂.
    """

    boundary: Tensor
    accuracy: float
    distance: float
    nu: float


def measure(network: nn.Sequential, points: Tensor, labels: Tensor) -> BoundaryMeasures:
    """The boundary of a network with two inputs and two classes, and three numbers of it.

    Args:
        network: Flatten, Linear, ReLU and LeakyReLU layers.
        points: (N, 2).
        labels: (N,).

    Raises:
        InputError: a network with one class everywhere, or that `polytopes.regions` does not read.
    """
    pieces = polytopes.regions(network, low=-CUT, high=CUT)
    boundary = [ends for ends in map(planes.boundary, pieces) if ends is not None]
    if not boundary:
        raise InputError("the network has one class everywhere, so that there is no boundary to draw")
    V, z = local_map(network, points)
    ends = torch.stack(boundary)
    start, way = ends[:, 0], ends[:, 1] - ends[:, 0]
    reach = points[:, None] - start
    share = ((reach * way).sum(-1) / way.square().sum(-1)).clamp(0, 1)
    distance = (reach - share[..., None] * way).norm(dim=-1).amin(dim=1)
    right = (z.argmax(dim=1) == labels).double()
    return BoundaryMeasures(
        ends, float(right.mean()), float(distance.median()), float(cross_lipschitz(V).mean())
    )


def four_boundaries(
    networks: Mapping[str, Sequence[nn.Sequential]],
    weights: Sequence[float],
    points: Tensor,
    labels: Tensor,
) -> Living:
    """The boundaries of networks that were trained with each penalty at each weight.

    Args:
        networks: name of a penalty → one network a weight.
        weights: λ, ascending; 0 reads "none".
        points: (N, 2), which are shown and measured.
        labels: (N,).

    Raises:
        InputError: another number of networks than of weights, or a network that `measure` refuses.
    """
    if any(len(row) != len(weights) for row in networks.values()):
        raise InputError(f"each penalty needs one network for each of {len(weights)} weights")
    different = {id(network): network for row in networks.values() for network in row}
    once = {key: measure(network, points, labels) for key, network in different.items()}
    measured = {name: [once[id(network)] for network in row] for name, row in networks.items()}
    data = {
        "weights": list(weights),
        "names": {name: LOOKS[name].label for name in networks},
        "points": [[*x, y] for x, y in zip(points.tolist(), labels.tolist(), strict=True)],
        "networks": {name: [one._asdict() for one in row] for name, row in measured.items()},
    }
    middle = len(weights) // 2
    return living(
        "four_boundaries",
        data,
        alt="Four squares with the same two interleaved arcs of points, one for each penalty. A line "
        "between the classes winds between the arcs at a small weight. As the weight grows it "
        "straightens and cuts through the arcs, under the Jacobian and cross-Lipschitz penalties long "
        "before the other two.",
        still=_still(measured, points, labels, middle, weights[middle]),
        predict=(
            "Turn λ up. Does the boundary move away from the points under all four penalties? And which of "
            "them first gives up on some points?",
            "Jacobian and cross-Lipschitz move it first, and are the first to give up points: they pull "
            "at every point, however surely it is right. The other two let a point go once it is sure, "
            "and bend the line only where λ is large enough to keep it unsure.",
        ),
    )


def _still(
    measured: Mapping[str, Sequence[BoundaryMeasures]], points: Tensor, labels: Tensor, at: int, weight: float
) -> Figure:
    import matplotlib.pyplot as plt

    with style():
        figure, panels = plt.subplots(1, len(measured), figsize=(8, 2.5), squeeze=False)
        for axes, (name, row) in zip(panels[0], measured.items(), strict=True):
            for label, marker, colour in ((0, "o", SKY), (1, "^", ORANGE)):
                axes.scatter(*points[labels == label].T, s=5, marker=marker, color=colour)
            for one, colour, width in ((row[0], "#999999", 1.0), (row[at], "black", 2.0)):
                for ends in one.boundary:
                    axes.plot(*ends.T, color=colour, linewidth=width, linestyle="-")
            planes.frame(axes, ticks=False)
            axes.set_title(LOOKS[name].label, fontsize=10)
        figure.suptitle(f"grey: no penalty; black: λ = {weight:g}", fontsize=10)
    return figure
