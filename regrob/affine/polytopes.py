"""The polytope Q(x), on which the affine map at x stays exact (below Eq. 5), and that map layer by layer.

Every hidden unit of an `mlp` splits the inputs at the hyperplane on which it switches. The
inputs that lie on x's side of all of them form Q(x): convex, closed under mixing, and a cone
if the network has no biases. Units are read in the network's order, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.checks import Image, Scalar
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

    @property
    def area(self) -> float:
        """Of the polygon.

        >>> corners = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> Region(corners, torch.eye(2), torch.zeros(2)).area
        1.0
        """
        x, y = self.corners.T
        return 0.5 * abs(float((x * y.roll(-1) - y * x.roll(-1)).sum()))

    def holds(self, point: Tensor) -> bool:
        """Whether a point (2,) lies inside: to the same side of every edge.

        >>> corners = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> piece = Region(corners, torch.eye(2), torch.zeros(2))
        >>> piece.holds(torch.tensor([0.5, 0.5])), piece.holds(torch.tensor([1.5, 0.5]))
        (True, False)
        """
        edge_x, edge_y = (self.corners.roll(-1, dims=0) - self.corners).T
        way_x, way_y = (point - self.corners).T
        side = edge_x * way_y - edge_y * way_x
        return bool((side > 0).all() or (side < 0).all())


def half_spaces(network: nn.Sequential, image: Image) -> HalfSpaces:
    """The half-spaces whose intersection is Q(x) (below Eq. 5): M of them for M hidden units.

    Raises:
        HypothesisError: the image sits on a kink, where several polytopes meet.
        InputError: another kind of layer than Flatten, Linear, ReLU and LeakyReLU.

    >>> half_spaces(nn.Sequential(nn.ReLU()), torch.tensor([3.0, 4.0]))  # the positive quadrant
    HalfSpaces(normals=tensor([[1., 0.], [0., 1.]]), offsets=tensor([0., 0.]))
    """
    x = image.detach().flatten()
    V, c = _identity(x)
    normals, offsets = [V[:0]], [c[:0]]
    for layer in _layers(network):
        if isinstance(layer, nn.Linear):
            V, c = _apply(layer, V, c)
            continue
        h = V.T @ x + c
        if bool((h == 0).any()):
            raise HypothesisError(
                "the image sits on a kink, so it has no polytope of its own; "
                "select the images where kinks(network, images) is False, or move them a little"
            )
        sign = h.sign()
        normals.append((V * sign).T)
        offsets.append(c * sign)
        V, c = _mask(V, c, h > 0, layer)
    return HalfSpaces(torch.cat(normals), torch.cat(offsets))


def masked_product(network: nn.Sequential, image: Image) -> Tensor:
    """V = W_1 D_1(x) ⋯ W_{d-1} D_{d-1}(x) W_d, multiplied out as below Eq. (5): (n, K).

    The paper's own formula for an `mlp`, kept beside autograd's answer so that the book can
    hold one against the other. D_j has entries in {slope, 1}: Eq. (4) prints the case slope 0.

    Raises:
        InputError: another kind of layer than `half_spaces` reads.

    >>> masked_product(nn.Sequential(nn.ReLU()), torch.tensor([3.0, -4.0]))
    tensor([[1., 0.], [0., 0.]])
    """
    x = image.detach().flatten()
    V, c = _identity(x)
    for layer in _layers(network):
        if isinstance(layer, nn.Linear):
            V, c = _apply(layer, V, c)
        else:
            V, c = _mask(V, c, V.T @ x + c > 0, layer)
    return V


def distance_to_edge(network: nn.Sequential, image: Image) -> Scalar:
    """Euclidean distance from x to the boundary of Q(x), infinite if Q(x) is everything.

    The nearest hyperplane decides, even where others are redundant: nothing lies in between.

    Raises:
        HypothesisError, InputError: as `half_spaces`.

    >>> distance_to_edge(nn.Sequential(nn.ReLU()), torch.tensor([3.0, -4.0]))
    tensor(3.)
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

    >>> network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    >>> weight = nn.init.eye_(network[0].weight)
    >>> len(regions(network))  # the four quadrants
    4
    """
    first = next((m for m in network if isinstance(m, nn.Linear)), None)
    if first is None or first.in_features != 2:
        raise InputError("regions draws networks with two inputs; build one with mlp((2, …, K))")
    if not low < high:
        raise InputError(f"low must be below high, got {low} and {high}")
    square = torch.tensor([[low, low], [high, low], [high, high], [low, high]], dtype=torch.float64)
    pieces = [Region(square, *_identity(square[0]))]
    for layer in _layers(network):
        if isinstance(layer, nn.Linear):
            pieces = [Region(corners, *_apply(layer, V, c)) for corners, V, c in pieces]
        else:
            pieces = [part for piece in pieces for part in _fold(piece, layer)]
    return pieces


def _identity(x: Tensor) -> tuple[Tensor, Tensor]:
    """V and c of the map x ↦ x, from which the layers' maps are multiplied up."""
    return torch.eye(x.numel(), dtype=x.dtype, device=x.device), torch.zeros_like(x)


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
        polygons = [part for polygon in polygons for part in cut(polygon, polygon @ v + offset)]
    parts = []
    for polygon in polygons:
        h = polygon.mean(dim=0) @ piece.V + piece.c
        parts.append(Region(polygon, *_mask(piece.V, piece.c, h > 0, slope)))
    return parts


def cut(polygon: Tensor, height: Tensor) -> list[Tensor]:
    """The parts of a convex polygon above and below height = 0, in this order; itself if all is on one side.

    The corners (C, 2) go around the polygon; height (C,) is an affine function, at each of them.

    >>> triangle = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> [part.tolist() for part in cut(triangle, triangle[:, 0] - 1)]  # along x = 1
    [[[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]]
    """
    tolerance = 1e-12 * float(height.abs().max())
    if float(height.min()) >= -tolerance or float(height.max()) <= tolerance:
        return [polygon]
    above, below = [], []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        start, end = height[i], height[j]
        if start >= 0:
            above.append(polygon[i])
        if start <= 0:
            below.append(polygon[i])
        if float(start) * float(end) < 0:
            crossing = polygon[i] + start / (start - end) * (polygon[j] - polygon[i])
            above.append(crossing)
            below.append(crossing)
    return [torch.stack(above), torch.stack(below)]
