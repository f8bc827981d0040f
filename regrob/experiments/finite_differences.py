"""Finite differences of the input gradient, the usual approximation of the curvature ‖H‖₂ (CURE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import local_map
from regrob.theory import derivatives

NO_CHANGE = 1e-9
"""Relative change of V from which on a step has left the polytope; below it is rounding."""


class FiniteDifferences(NamedTuple):
    """What N examples show at T lengths of the step.

    Attributes:
        network: (T, N), ‖∇L(x + hu) − ∇L(x)‖₂ / h, over ‖H‖₂.
        affine: (T, N), likewise for the affine piece at x, followed beyond its polytope.
        crossed: (T, N) bool, whether the step crossed a kink.
    """

    network: Tensor
    affine: Tensor
    crossed: Tensor


def finite_differences(
    network: nn.Module, x: Tensor, y: Tensor, directions: Tensor, steps: Sequence[float]
) -> FiniteDifferences:
    """Compare gradients at x and at x + hu, for each step h.

    Args:
        network: piecewise linear.
        x: (N, n), off the kinks.
        y: (N,), labels.
        directions: u, (N, n), of length one.
        steps: T lengths h > 0.
    """
    V, z = local_map(network, x)
    gradient, curvature = derivatives.input_gradient(V, z, y), derivatives.curvature(V, z)
    slopes = torch.einsum("ink,in->ik", V, directions)  # of the logits, along u
    of_network, of_piece, crossed = [], [], []
    for h in steps:
        moved = local_map(network, x + h * directions, check=False)
        change = derivatives.input_gradient(*moved, y) - gradient
        of_network.append(change.norm(dim=1) / h / curvature)
        change = derivatives.input_gradient(V, z + h * slopes, y) - gradient
        of_piece.append(change.norm(dim=1) / h / curvature)
        gap = (moved.V - V).flatten(1).norm(dim=1) / V.flatten(1).norm(dim=1)
        crossed.append(gap > NO_CHANGE)
    return FiniteDifferences(torch.stack(of_network), torch.stack(of_piece), torch.stack(crossed))
