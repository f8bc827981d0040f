"""The truth in the plane, by enumeration of all polytopes of a network with two inputs.

The distance to the nearest mistake; and the local cross-Lipschitz constant over a disc, with what Hein and
Andriushchenko's guarantee gives if that constant is known exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regrob.affine.polytopes import Region, cut, regions
from regrob.checks import Image, ImageLabels, Images, Logits, PerImage, Scalar, check_size
from regrob.errors import InputError


def distance_to_mistake(
    network: nn.Sequential, image: Image, label: int, *, low: float = -1.0, high: float = 1.0
) -> Scalar:
    """Exact distance from x to the nearest mistake of a network with two inputs.

    Cuts the square [low, high]² into all polytopes and each polytope along the boundaries of
    its affine classifier. Zero if x is misclassified; infinite if nothing in the square is.

    Raises:
        InputError: as `regions`; x outside the square, or nearer to its edge than to any
            mistake in it, so that a nearer mistake may lie outside.

    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False))
    >>> weight = nn.init.eye_(network[0].weight)
    >>> distance_to_mistake(network, torch.tensor([0.5, 0.0]), 0)  # to the diagonal: √2/4
    tensor(0.3536, dtype=torch.float64)
    """
    return distances_to_mistakes(network, image[None], torch.tensor([label]), low=low, high=high)[0]


def distances_to_mistakes(
    network: nn.Sequential, images: Images, labels: ImageLabels, *, low: float = -1.0, high: float = 1.0
) -> PerImage:
    """`distance_to_mistake` of many images, for which the square is cut once.

    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False))
    >>> weight = nn.init.eye_(network[0].weight)
    >>> points = torch.tensor([[0.5, 0.0], [0.0, 0.5]])
    >>> distances_to_mistakes(network, points, torch.tensor([0, 0]))  # the second is a mistake itself
    tensor([0.3536, 0.0000], dtype=torch.float64)
    """
    x = images.detach().flatten(1).double()
    to_edge = _distance_to_square_edge(x, low, high)
    nearest = torch.full((len(x),), torch.inf, dtype=torch.float64)
    pieces = regions(network, low=low, high=high)
    for label in labels.unique().tolist():
        own = labels == label
        for corners, V, c in pieces:
            z = corners @ V + c
            for rival in range(z.shape[1]):
                lead = z[:, rival] - z[:, label]
                if rival == label or float(lead.max()) <= 0:
                    continue
                led_by_rival = cut(corners, lead)[0]
                nearest[own] = torch.minimum(nearest[own], _distances_to_polygon(led_by_rival, x[own]))
    hidden = (to_edge < nearest) & nearest.isfinite()
    if bool(hidden.any()):
        first = int(hidden.nonzero()[0])
        raise InputError(
            f"the nearest mistake in the square is {float(nearest[first]):.3g} away, its edge only "
            f"{float(to_edge[first]):.3g}; widen it with low and high"
        )
    return nearest


def exact_cross_lipschitz(
    network: nn.Sequential, image: Image, label: int, radius: float, *, low: float = -1.0, high: float = 1.0
) -> Logits:
    """The exact local cross-Lipschitz constants L_j(R) = max ‖v_y − v_j‖₂ over a disc, (K,), zero at j = y.

    The maximum is over the polytopes that meet the open disc {x' : ‖x' − x‖₂ < R} inside the square, on each
    of which the gradient of z_y − z_j is constant.

    Args:
        radius: R, finite and at least 0; at 0 the disc is x itself.

    Raises:
        InputError: as `regions`; x outside the square; a radius that is negative or not finite.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    >>> for layer in (network[0], network[2]):
    ...     weight, bias = nn.init.eye_(layer.weight), nn.init.zeros_(layer.bias)
    >>> x = torch.tensor([0.5, -0.1])  # z = (x₀, 0) here, (x₀, x₁) above the axis
    >>> exact_cross_lipschitz(network, x, 0, 0.05), exact_cross_lipschitz(network, x, 0, 0.2)
    (tensor([0., 1.], dtype=torch.float64), tensor([0.0000, 1.4142], dtype=torch.float64))
    """
    check_size("radius", radius)
    x = _inside(image, low, high)
    pieces = regions(network, low=low, high=high)
    distance = torch.cat([_distances_to_polygon(piece.corners, x) for piece in pieces])
    return _slopes(pieces, label)[(distance < radius) | (distance == 0)].amax(dim=0)


def exact_cross_lipschitz_radius(
    network: nn.Sequential, image: Image, label: int, *, low: float = -1.0, high: float = 1.0
) -> Scalar:
    """Hein and Andriushchenko's guarantee with the exact constants: max_R min{R, min_j (z_y − z_j)/L_j(R)}.

    No mistake in the square is nearer (their Theorem 2.1 on the convex set disc ∩ square). L_j steps up where
    the disc meets another polytope, so the maximum is at one of these radii or between two of them. Zero if x
    is misclassified; infinite if no logit rises against the label's anywhere in the square.

    Raises:
        InputError: as `exact_cross_lipschitz`.

    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False))
    >>> weight = nn.init.eye_(network[0].weight)
    >>> exact_cross_lipschitz_radius(network, torch.tensor([0.5, 0.0]), 0)  # affine: the distance itself
    tensor(0.3536, dtype=torch.float64)
    """
    x = _inside(image, low, high)
    pieces = regions(network, low=low, high=high)
    distance, order = torch.cat([_distances_to_polygon(piece.corners, x) for piece in pieces]).sort()
    slopes = _slopes(pieces, label)[order].cummax(dim=0).values
    V, c = pieces[int(order[0])].V, pieces[int(order[0])].c
    z = (x @ V + c)[0]
    lead = z[label] - z
    rivals = torch.arange(len(z)) != label
    if float(lead[rivals].min()) <= 0:
        return torch.zeros((), dtype=torch.float64)
    # Between the i-th and the next distance the constants are those of the first i polytopes.
    reached = (lead / slopes)[:, rivals].amin(dim=1)  # a slope of zero: infinity
    until = torch.cat([distance[1:], torch.tensor([math.inf], dtype=torch.float64)])
    return torch.minimum(reached, until).amax()


def _distance_to_square_edge(x: Tensor, low: float, high: float) -> Tensor:
    to_edge: Tensor = torch.minimum(x - low, high - x).amin(dim=1)
    if bool((to_edge < 0).any()):
        outside = x[int((to_edge < 0).nonzero()[0])]
        raise InputError(f"the image {outside.tolist()} is outside the square [{low}, {high}]²")
    return to_edge


def _inside(image: Tensor, low: float, high: float) -> Tensor:
    """The image as (1, 2) in float64, if it is in the square."""
    x = image.detach().flatten().double()[None]
    _distance_to_square_edge(x, low, high)
    return x


def _slopes(pieces: Sequence[Region], label: int) -> Tensor:
    """‖v_y − v_j‖₂ on each polytope: (P, K)."""
    V = torch.stack([piece.V for piece in pieces])
    norms: Tensor = torch.linalg.vector_norm(V[:, :, label, None] - V, dim=1)
    return norms


def _distances_to_polygon(corners: Tensor, points: Tensor) -> Tensor:
    """From each point (N, 2) to a convex polygon, zero inside it: (N,)."""
    ahead = corners.roll(-1, dims=0) - corners
    towards = points[:, None] - corners
    turn = ahead[:, 0] * towards[..., 1] - ahead[:, 1] * towards[..., 0]
    inside = (turn >= 0).all(dim=1) | (turn <= 0).all(dim=1)
    length = ahead.square().sum(dim=1).clamp_min(torch.finfo(ahead.dtype).tiny)
    share = ((towards * ahead).sum(dim=2) / length).clamp(0.0, 1.0)
    to_edges = torch.linalg.vector_norm(towards - share[..., None] * ahead, dim=2)
    nearest: Tensor = to_edges.amin(dim=1)
    return nearest.masked_fill(inside, 0.0)
