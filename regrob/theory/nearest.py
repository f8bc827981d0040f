"""The nearest boundary of a local affine classifier, from the rows that lead to the rivals."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

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
