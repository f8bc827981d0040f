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
    """One backward pass for all zeros together; unit by unit only for what that leaves open."""
    zeros = [bend.units.heights == 0 for bend in traced.bends]
    weights = [
        torch.rand(z.shape, generator=torch.Generator().manual_seed(0)).to(z.device) + 0.5 for z in zeros
    ]
    touched = [
        (bend, z * w) for bend, z, w in zip(traced.bends, zeros, weights, strict=True) if bool(z.any())
    ]
    # A random combination of gradients vanishes only if each of them does, but for rounding.
    open_images = gradient(traced, touched).flatten(1).any(dim=1)
    on_kink = torch.zeros_like(open_images)
    for bend, combination in touched:
        for unit in combination.nonzero().flatten():
            if bool((on_kink | ~open_images).all()):
                return on_kink
            alone = torch.zeros_like(combination)
            alone[unit] = 1.0
            on_kink |= gradient(traced, [(bend, alone)]).flatten(1).any(dim=1)
    return on_kink


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
