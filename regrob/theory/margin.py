"""The nearest boundary of the affine classifier that a network is around x."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from regrob.checks import (
    ImageLabels,
    ImageLogits,
    Images,
    Jacobian,
    Labels,
    Logits,
    PerExample,
    PerImage,
    check_map,
    first_offender,
)
from regrob.errors import HypothesisError, InputError
from regrob.theory import derivatives, probability

SHORTEST = 1e-8
"""Lower limit for ‖v_j − v_y‖₂ over max_k |z_k| in an attack's division.

A boundary that nothing leads to is very far. As a share of the logits the limit is the same for s·z.
"""


def rival_lengths(V: Jacobian, y: Labels) -> Logits:
    """‖v_j − v_y‖₂ for every class j, zero at y itself.

    >>> rival_lengths(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor(0))
    tensor([0., 5.])
    """
    length: Tensor = torch.linalg.vector_norm(V - derivatives.column(V, y), dim=-2)
    return length


def rival_distances(V: Jacobian, z: Logits, y: Labels) -> Logits:
    """(z_y − z_j)/‖v_y − v_j‖₂, from x to the boundary between y and class j.

    Negative where j leads; infinite at y itself, and where v_j = v_y.

    >>> rival_distances(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([5.0, 0.0]), torch.tensor(0))
    tensor([inf, 1.])
    """
    gap = z.gather(-1, y.unsqueeze(-1)) - z
    length = rival_lengths(V, y)
    label = functional.one_hot(y, z.shape[-1]).bool()
    return torch.where(length > 0, gap / length, math.inf).masked_fill(label, math.inf)


def margin_l2(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """d = min_j (z_y − z_j)/‖v_y − v_j‖₂: exact distance to the local classifier's boundary, any K.

    Infinite where no rival can be reached (all v_j = v_y). Within the polytope no smaller
    perturbation changes the class; beyond it the network may differ.

    Raises:
        HypothesisError: an example is not classified correctly.
        InputError: wrong shapes, or NaN or infinity in V.

    >>> V, z = torch.tensor([[3.0, 0.0, 3.0], [0.0, 4.0, 2.0]]), torch.tensor([5.0, 0.0, 3.0])
    >>> margin_l2(V, z, torch.tensor(0))  # rivals at 5/5 and 2/2
    tensor(1.)
    """
    check_map(V, z)
    if wrong := first_offender(~probability.correctly_classified(z, y)):
        raise HypothesisError(
            f"{wrong.name} is not classified correctly, so it has no margin; "
            "select the examples where probability.correctly_classified(z, y) holds"
        )
    if broken := first_offender(~torch.isfinite(V).flatten(-2).all(dim=-1)):
        raise InputError(f"V of {broken.name} holds NaN or infinity")
    return rival_distances(V, z, y).amin(dim=-1)


class Boundary(NamedTuple):
    """The nearest boundary between a label and any rival, for an attack that steps to it.

    Attributes:
        distance: min_j |z_y − z_j|/‖v_y − v_j‖₂.
        normal: from y towards that rival, of length one.
        z: the logits.
    """

    distance: PerImage
    normal: Images
    z: ImageLogits


def rivals(labels: ImageLabels, z: ImageLogits) -> Tensor:
    """The other classes of each label (N,), in ascending order: (N, K − 1).

    >>> rivals(torch.tensor([1]), torch.zeros(1, 3))
    tensor([[0, 2]])
    """
    every = torch.arange(z.shape[1] - 1, device=z.device)
    return every + (every >= labels[:, None])


def rival_differences(labels: ImageLabels, z: ImageLogits) -> Tensor:
    """e_j − e_y for all rivals j, in ascending order: (N, K − 1, K).

    >>> rival_differences(torch.tensor([1]), torch.zeros(1, 3))
    tensor([[[ 1., -1.,  0.], [ 0., -1.,  1.]]])
    """
    identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return identity[rivals(labels, z)] - identity[labels][:, None]


def shortest_length(z: ImageLogits) -> PerImage:
    """The lower limit for ‖v_j − v_y‖₂ at these logits, positive even at zero.

    >>> shortest_length(torch.tensor([[5.0, -10.0]]))
    tensor([1.0000e-07])
    """
    return (SHORTEST * z.abs().amax(dim=1)).clamp_min(torch.finfo(z.dtype).tiny)


def nearest_boundary(rows: Tensor, length: Tensor, labels: ImageLabels, z: ImageLogits) -> Boundary:
    """The boundary between y and a rival that is nearest to x, on whichever side of it x lies.

    Args:
        rows: (N, K − 1, …), v_j − v_y for each rival in turn, or what a linear layer makes v_j − v_y of.
        length: (N, K − 1), ‖v_j − v_y‖₂.

    >>> rows, z = torch.tensor([[[-3.0, 4.0]]]), torch.tensor([[5.0, 0.0]])
    >>> nearest_boundary(rows, torch.tensor([[5.0]]), torch.tensor([0]), z)[:2]
    (tensor([1.]), tensor([[-0.6000,  0.8000]]))
    """
    length = length.maximum(shortest_length(z)[:, None])
    gap = z.gather(1, labels[:, None]) - z.gather(1, rivals(labels, z))
    distance, index = (gap.abs() / length).min(dim=1)
    example = torch.arange(len(z), device=z.device)
    shortest = length[example, index].view(-1, *(1,) * (rows.ndim - 2))
    return Boundary(distance, rows[example, index] / shortest, z)
