"""Kinks, where several affine maps meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from regrob.affine.bends import Bend
from regrob.affine.graph import Trace
from regrob.affine.piecewise_linear import require_affine_operations
from regrob.checks import ImageMask, Images, check_images

CHUNK = 64
"""Images traced at a time."""


def kinks(network: nn.Module, images: Images) -> ImageMask:
    """Which images sit on a kink, where several affine maps meet.

    An image does if a unit's height (a pre-activation less its threshold, a maximum's lead over another
    entry) is exactly zero and its gradient is not. A zero with a zero gradient is no kink: the height stays
    zero around the image, as behind a ReLU that is off, in a pruned channel, or between two equal entries of
    a pool that move together. This is exact: take the first unit, in the order of the operations, whose
    height is zero and its gradient is not. All before it are affine around the image, so autograd's
    gradient is that of its height, which changes sign there; if there is none, nothing bends.

    Raises:
        InputError: images that are no finite batch, or that the network cannot read.
        NotPiecewiseLinearError: an operation is neither affine nor a known bend.

    >>> kinks(nn.ReLU(), torch.tensor([[1.0, -1.0], [1.0, 0.0]]))
    tensor([False,  True])
    >>> twice = nn.Sequential(nn.ReLU(), nn.ReLU())  # behind a unit that is off
    >>> kinks(twice, torch.tensor([[1.0, -1.0]]))
    tensor([False])
    """
    check_images(images)
    return torch.cat([_kinks(require_affine_operations(network, part)) for part in images.split(CHUNK)])


def _kinks(traced: Trace) -> Tensor:
    generator = torch.Generator().manual_seed(0)

    def random(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

    bends = [bend for bend in traced.bends if bool((bend.units.heights == 0).any())]
    # Along a random direction a gradient other than zero shows, unit by unit; so does, in a random
    # combination of those that show, the image to which they belong.
    changes = along(traced, bends, random(traced.images)[None])
    crossing = [
        (bend.units.heights == 0) & (change[0] != 0) for bend, change in zip(bends, changes, strict=True)
    ]
    combination = [(bend, at * random(bend.units.heights)) for bend, at in zip(bends, crossing, strict=True)]
    return gradient(traced, combination).flatten(1).any(dim=1)


def along(traced: Trace, bends: list[Bend], directions: Tensor) -> list[Tensor]:
    """∇h · t of every unit, for each direction t of (D, *images.shape): one tensor (D, M) a bend.

    >>> from regrob.affine.graph import trace
    >>> traced = trace(nn.ReLU(), torch.tensor([[3.0, -4.0]]))
    >>> along(traced, traced.bends, torch.tensor([[[1.0, 10.0]]]))
    [tensor([[ 1., 10.]])]
    """
    # Two reverse passes make a forward one: u ↦ Jᵀu is linear, and its derivative along t is Jt.
    u = [torch.zeros_like(bend.units.heights, requires_grad=True) for bend in bends]
    pulled = gradient(traced, list(zip(bends, u, strict=True)), create_graph=True)
    if not pulled.requires_grad:
        return [part.detach().expand(len(directions), -1) for part in u]
    batched = len(directions) > 1
    try:
        changes = torch.autograd.grad(
            pulled,
            u,
            directions if batched else directions[0],
            is_grads_batched=batched,
            materialize_grads=True,
        )
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        return [_along_unit_by_unit(traced, bend, directions) for bend in bends]
    return [change if batched else change[None] for change in changes]


def _along_unit_by_unit(traced: Trace, bend: Bend, directions: Tensor) -> Tensor:
    """`along` by one reverse pass a unit, where torch lacks a second derivative, as of hardsigmoid."""
    changes = torch.zeros(len(directions), bend.units.heights.numel()).to(directions)
    for unit in range(changes.shape[1]):
        alone = torch.zeros_like(bend.units.heights)
        alone[unit] = 1.0
        changes[:, unit] = (directions * gradient(traced, [(bend, alone)])).flatten(1).sum(dim=1)
    return changes


def gradient(traced: Trace, combination: list[tuple[Bend, Tensor]], *, create_graph: bool = False) -> Tensor:
    """Σ c_j ∇h_j over units j, with the coefficients c (M,) of each bend: shaped like the images.

    >>> from regrob.affine.graph import trace
    >>> traced = trace(nn.ReLU(), torch.tensor([[3.0, -4.0]]))
    >>> gradient(traced, [(traced.bends[0], torch.tensor([1.0, 10.0]))])
    tensor([[ 1., 10.]])
    """
    if not combination:
        return torch.zeros_like(traced.images)
    edges: list[GradientEdge] = []
    pulled: list[Tensor] = []
    with torch.enable_grad():
        for bend, coefficients in combination:
            operands = tuple(torch.zeros_like(t, requires_grad=True) for t in bend.units.operands)
            rise = bend.units.rise(*operands)
            edges += bend.edges
            pulled += torch.autograd.grad(
                rise, operands, coefficients.to(rise), create_graph=create_graph, materialize_grads=True
            )
        (found,) = torch.autograd.grad(
            edges,
            traced.images,
            pulled,
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )
    return found.detach() if not create_graph else found
