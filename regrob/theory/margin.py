"""The nearest boundary of a local affine classifier, from the rows that lead to the rivals."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from regrob.checks import first_offender, name_of_example
from regrob.errors import HypothesisError, InputError
from regrob.theory import derivatives, probability

SHORTEST = 1e-8
"""The length that a vanishing gradient is given, so that its boundary is far and not nowhere."""


class Boundary(NamedTuple):
    """The nearest boundary of the local affine classifier.

    Attributes:
        distance: (N,), min_j |z_y − z_j|/‖v_y − v_j‖₂.
        normal: (N, …), from y towards that rival, of length one.
        z: (N, K).
    """

    distance: Tensor
    normal: Tensor
    z: Tensor


def differences(labels: Tensor, z: Tensor) -> Tensor:
    """e_j − e_y for all rivals j, in ascending order: (N, K − 1, K)."""
    identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return identity[rivals(labels, z)] - identity[labels][:, None]


def rivals(labels: Tensor, z: Tensor) -> Tensor:
    """The other classes: (N, K − 1)."""
    every = torch.arange(z.shape[1] - 1, device=z.device)
    return every + (every >= labels[:, None])


def nearest(rows: Tensor, length: Tensor, labels: Tensor, z: Tensor) -> Boundary:
    """The boundary of least distance.

    Args:
        rows: (N, K − 1, …), towards each rival in turn.
        length: (N, K − 1), of their pulled rows.
        labels: (N,).
        z: (N, K).
    """
    length = length.clamp_min(SHORTEST)
    gap = z.gather(1, labels[:, None]) - z.gather(1, rivals(labels, z))
    distance, index = (gap.abs() / length).min(dim=1)
    each = torch.arange(len(z), device=z.device)
    shortest = length[each, index].view(-1, *(1,) * (rows.ndim - 2))
    return Boundary(distance, rows[each, index] / shortest, z)


def margin_l2(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """d = min_j (z_y − z_j) / ‖v_y − v_j‖₂: exact distance to the local classifier's boundary: (…).

    Any K. Infinite where no rival can be reached (all v_j = v_y). Within the polytope no
    smaller perturbation changes the class; beyond it the network may differ.

    Raises:
        HypothesisError: an example is not classified correctly.
        InputError: wrong shapes, or NaN or infinity in V.

    >>> V, z = torch.tensor([[3.0, 0.0, 3.0], [0.0, 4.0, 2.0]]), torch.tensor([5.0, 0.0, 3.0])
    >>> margin_l2(V, z, torch.tensor(0))  # rivals at 5/5 and 2/2
    tensor(1.)
    """
    derivatives.check_map(V, z)
    wrong = ~probability.correctly_classified(z, y)
    if bool(wrong.any()):
        raise HypothesisError(
            f"{name_of_example(first_offender(wrong))} is not classified correctly, so it has no margin; "
            "select the examples where probability.correctly_classified(z, y) holds"
        )
    broken = ~torch.isfinite(V).flatten(-2).all(dim=-1)
    if bool(broken.any()):
        raise InputError(f"V of {name_of_example(first_offender(broken))} holds NaN or infinity")
    gap = z.gather(-1, y.unsqueeze(-1)) - z  # (…, K), zero at y
    distance = torch.linalg.vector_norm(V - derivatives.column(V, y), dim=-2)  # (…, K)
    label = functional.one_hot(y, z.shape[-1]).bool()
    reached: Tensor = gap / distance  # ∞ for a rival at distance zero
    return reached.masked_fill(label, math.inf).amin(dim=-1)
