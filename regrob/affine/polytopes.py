"""The polytope Q(x): the set on which the affine map at x stays exact (below Eq. 5).

Every hidden unit of an `mlp` splits the inputs at the hyperplane on which it switches. The
inputs that lie on x's side of all of them form Q(x): convex, closed under mixing, and a cone
if the network has no biases. Units are read in the network's order, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.errors import HypothesisError, InputError


class HalfSpaces(NamedTuple):
    """Q(x) = {x' : normals · x' + offsets > 0}, one half-space a hidden unit.

    Attributes:
        normals: (M, n).
        offsets: (M,), zero without biases.
    """

    normals: Tensor
    offsets: Tensor


class Region(NamedTuple):
    """One polygon of a network with two inputs, and the affine map on it.

    Attributes:
        corners: (C, 2), in order around the polygon.
        V: (2, K), input axis then class axis.
        c: (K,), so that z(x') = Vᵀx' + c inside.
    """

    corners: Tensor
    V: Tensor
    c: Tensor


def half_spaces(network: nn.Sequential, image: Tensor) -> HalfSpaces:
    """The half-spaces whose intersection is Q(x): M of them for M hidden units.

    Args:
        network: an `nn.Sequential` of Flatten, Linear, ReLU and LeakyReLU.
        image: one image, any shape with n entries.

    Raises:
        HypothesisError: the image sits on a kink, where several polytopes meet.
        InputError: another kind of layer.
    """
    x = image.detach().flatten()
    V, c = torch.eye(x.numel(), dtype=x.dtype, device=x.device), torch.zeros_like(x)
    normals, offsets = [V[:0]], [c[:0]]
    for layer in _layers(network):
        if isinstance(layer, nn.Linear):
            V, c = _apply(layer, V, c)
            continue
        h = V.T @ x + c
        if bool((h == 0).any()):
            raise HypothesisError(
                "the image sits on a kink, so it has no polytope of its own; "
                "select the images where local.kinks is False, or move them a little"
            )
        sign = h.sign()
        normals.append((V * sign).T)
        offsets.append(c * sign)
        V, c = _mask(V, c, h > 0, layer)
    return HalfSpaces(torch.cat(normals), torch.cat(offsets))


def distance_to_edge(network: nn.Sequential, image: Tensor) -> Tensor:
    """Euclidean distance from x to the boundary of Q(x): a scalar, infinite if Q(x) is everything.

    The nearest hyperplane decides, even where others are redundant: nothing lies in between.

    Raises:
        HypothesisError, InputError: as `half_spaces`.
    """
    normals, offsets = half_spaces(network, image)
    size = torch.linalg.vector_norm(normals, dim=1)
    height = normals @ image.detach().flatten() + offsets
    reachable = size > 0  # a unit that no input moves never switches
    infinite = torch.full((1,), torch.inf, dtype=size.dtype, device=size.device)
    return torch.cat([height[reachable] / size[reachable], infinite]).min()


def regions(network: nn.Sequential, *, low: float = -1.0, high: float = 1.0) -> list[Region]:
    """All polytopes of a network with two inputs that meet the square [low, high]².

    Exact up to rounding: the square is cut along every unit's line, layer by layer.

    Raises:
        InputError: not two inputs, an empty square, or another kind of layer than `half_spaces` reads.
    """
    first = next((m for m in network if isinstance(m, nn.Linear)), None)
    if first is None or first.in_features != 2:
        raise InputError("regions draws networks with two inputs; build one with mlp((2, …, K))")
    if not low < high:
        raise InputError(f"low must be below high, got {low} and {high}")
    square = torch.tensor([[low, low], [high, low], [high, high], [low, high]], dtype=torch.float64)
    pieces = [Region(square, torch.eye(2).to(square), torch.zeros(2).to(square))]
    for layer in _layers(network):
        if isinstance(layer, nn.Linear):
            pieces = [Region(corners, *_apply(layer, V, c)) for corners, V, c in pieces]
        else:
            pieces = [part for piece in pieces for part in _fold(piece, layer)]
    return pieces


def distance_to_mistake(
    network: nn.Sequential, image: Tensor, label: int, *, low: float = -1.0, high: float = 1.0
) -> Tensor:
    """Exact distance from x to the nearest mistake of a network with two inputs: a scalar.

    Cuts the square [low, high]² into all polytopes and each polytope along the boundaries of
    its affine classifier. Zero if x is misclassified; infinite if nothing in the square is.

    Raises:
        InputError: as `regions`; x outside the square, or nearer to its edge than to any
            mistake in it, so that a nearer mistake may lie outside.
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
            parts = _cut(corners, lead)
            # Of two parts the first is the one above zero, where the rival leads.
            nearest = torch.minimum(nearest, _distance_to_polygon(parts[0], x))
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


def _layers(network: nn.Sequential) -> Iterator[nn.Linear | float]:
    """Linear layers as they are, activations as their slope left of zero."""
    for module in network:
        if isinstance(module, nn.Linear):
            yield module
        elif isinstance(module, nn.ReLU):
            yield 0.0
        elif isinstance(module, nn.LeakyReLU):
            yield module.negative_slope
        elif not isinstance(module, nn.Flatten):
            raise InputError(f"polytopes reads Linear, ReLU and LeakyReLU, got {type(module).__name__}")


def _apply(layer: nn.Linear, V: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Vᵀx + c followed by a linear layer."""
    weight = layer.weight.detach().to(V)
    bias = torch.zeros(1).to(V) if layer.bias is None else layer.bias.detach().to(V)
    return V @ weight.T, weight @ c + bias


def _mask(V: Tensor, c: Tensor, active: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Vᵀx + c followed by D: one where a unit is active, its slope where it is not."""
    diagonal = torch.where(active, V.new_ones(()), slope)
    return V * diagonal, c * diagonal


def _fold(piece: Region, slope: float) -> list[Region]:
    """Cut a polygon along the lines of a layer's units, and mask each part."""
    polygons = [piece.corners]
    for v, offset in zip(piece.V.T, piece.c, strict=True):
        polygons = [part for polygon in polygons for part in _cut(polygon, polygon @ v + offset)]
    parts = []
    for polygon in polygons:
        h = polygon.mean(dim=0) @ piece.V + piece.c
        parts.append(Region(polygon, *_mask(piece.V, piece.c, h > 0, slope)))
    return parts


def _cut(polygon: Tensor, height: Tensor) -> list[Tensor]:
    """The parts of a convex polygon above and below height = 0; height is given at its corners."""
    tolerance = 1e-12 * float(height.abs().max())
    if float(height.min()) >= -tolerance or float(height.max()) <= tolerance:
        return [polygon]
    above, below = [], []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        here, there = height[i], height[j]
        if here >= 0:
            above.append(polygon[i])
        if here <= 0:
            below.append(polygon[i])
        if float(here) * float(there) < 0:
            crossing = polygon[i] + here / (here - there) * (polygon[j] - polygon[i])
            above.append(crossing)
            below.append(crossing)
    return [torch.stack(above), torch.stack(below)]
