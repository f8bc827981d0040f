"""By enumeration of all polytopes: the exact distance to the nearest mistake of a network with two inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrob.affine.polytopes import cut, regions
from regrob.checks import Image, Scalar
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
    x = image.detach().flatten().double()
    to_edge = float(torch.minimum(x - low, high - x).min())
    if to_edge < 0:
        raise InputError(f"the image {x.tolist()} is outside the square [{low}, {high}]²")
    nearest = torch.tensor(torch.inf, dtype=torch.float64)
    for corners, V, c in regions(network, low=low, high=high):
        z = corners @ V + c
        for rival in range(z.shape[1]):
            lead = z[:, rival] - z[:, label]
            if rival == label or float(lead.max()) <= 0:
                continue
            led_by_rival = cut(corners, lead)[0]
            nearest = torch.minimum(nearest, _distance_to_polygon(led_by_rival, x))
    if to_edge < float(nearest) < torch.inf:
        raise InputError(
            f"the nearest mistake in the square is {float(nearest):.3g} away, its edge only {to_edge:.3g}; "
            "widen it with low and high"
        )
    return nearest


def _distance_to_polygon(corners: Tensor, x: Tensor) -> Tensor:
    """From a point to a convex polygon, zero inside it."""
    ahead = corners.roll(-1, dims=0) - corners
    towards = x - corners
    turn = ahead[:, 0] * towards[:, 1] - ahead[:, 1] * towards[:, 0]
    if bool((turn >= 0).all()) or bool((turn <= 0).all()):
        return torch.zeros((), dtype=torch.float64)
    length = ahead.square().sum(dim=1).clamp_min(torch.finfo(ahead.dtype).tiny)
    share = ((towards * ahead).sum(dim=1) / length).clamp(0.0, 1.0)
    nearest: Tensor = torch.linalg.vector_norm(towards - share[:, None] * ahead, dim=1).min()
    return nearest
