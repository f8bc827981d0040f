"""The derivatives of the units' heights by the images, from a trace."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from regrob.affine.bends import Bend
from regrob.affine.graph import Trace


def along(traced: Trace, bends: list[Bend], directions: Tensor) -> list[Tensor]:
    """∇h · t of every unit, for each direction t of (D, *images.shape): one tensor (D, M) a bend.

    >>> from regrob.affine.graph import trace
    >>> traced = trace(torch.nn.ReLU(), torch.tensor([[3.0, -4.0]]))
    >>> along(traced, traced.bends, torch.tensor([[[1.0, 10.0]]]))
    [tensor([[ 1., 10.]])]
    """
    # Two reverse passes make a forward one: u ↦ Jᵀu is linear, and its derivative along t is Jt.
    u = [torch.zeros_like(bend.units.heights, requires_grad=True) for bend in bends]
    pulled = gradient(traced, list(zip(bends, u, strict=True)), create_graph=True)
    if not pulled.requires_grad:
        return [part.detach().expand(len(directions), -1) for part in u]
    try:
        return _pulled_along(pulled, u, directions)
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        return [_along_unit_by_unit(traced, bend, directions) for bend in bends]


def _pulled_along(pulled: Tensor, u: list[Tensor], directions: Tensor) -> list[Tensor]:
    """d(pulled · t)/du for each direction t of (D, …): one tensor (D, M) each u."""
    if len(directions) > 1:
        try:
            return list(
                torch.autograd.grad(
                    pulled, u, directions, is_grads_batched=True, retain_graph=True, materialize_grads=True
                )
            )
        except RuntimeError as error:
            if "inside of vmap" not in str(error):  # as of a pooling in the channels-last layout
                raise
    changes = [
        torch.autograd.grad(pulled, u, direction, retain_graph=True, materialize_grads=True)
        for direction in directions
    ]
    return [torch.stack(parts) for parts in zip(*changes, strict=True)]


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
    >>> traced = trace(torch.nn.ReLU(), torch.tensor([[3.0, -4.0]]))
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
        (total,) = torch.autograd.grad(
            edges,
            traced.images,
            pulled,
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )
    return total.detach() if not create_graph else total
