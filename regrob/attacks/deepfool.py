"""DeepFool: step to the nearest boundary of the local affine classifier, until the class changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrob.attacks.result import (
    AttackResult,
    Box,
    check_count,
    check_size,
    conclude,
    inside,
    prepare,
    saturates,
)
from regrob.pullback import StackedPullback, pullback

SMALLEST_STEP = 1e-4
"""Added to every distance, so that a point on a boundary still moves across it."""


def deepfool(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    box: Box = (0.0, 1.0),
) -> AttackResult:
    """The ℓ2 attack of Moosavi-Dezfooli et al. (2016), over all K classes.

    Each step goes to the exact boundary of the current polytope's affine classifier,
    d = min_j (z_y − z_j)/‖v_y − v_j‖; the sum of steps is stretched by `overshoot`. For a
    network that is affine everywhere one step is optimal. Examples that are fooled rest.

    Args:
        network: maps (N, …) to logits (N, K); piecewise linear, in eval mode.
        images: (N, …), floating point.
        labels: (N,), int64.
        steps: at most this many, 50 in the original.
        overshoot: 0.02 in the original.
        box: the range of a pixel, or None for no constraint.

    Raises:
        InputError: see `result.prepare`; fewer than one step; a negative overshoot.
    """
    check_count("steps", steps)
    check_size("overshoot", overshoot)
    x, goal = prepare(network, images, labels, targets=None, box=box)
    way_in = pullback(network)
    shrinkable = not isinstance(network, StackedPullback)  # an ensemble needs all its examples
    total = torch.zeros_like(x)
    perturbed = x.clone()
    saturated = saturates(way_in.logits(x), labels)
    active = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        V, z = way_in.local_map(perturbed[active])
        standing = z.argmax(dim=-1) == labels[active]
        if not bool(standing.any()):
            break
        if shrinkable:
            V, z, active = V[standing], z[standing], active[standing]
            standing = standing[standing]
        step = boundary_step(V, z, labels[active]).reshape(x[active].shape)
        shape = (-1, *(1,) * (x.ndim - 1))
        total[active] += torch.where(standing.view(shape), step, 0.0)
        moved = inside(x[active] + (1.0 + overshoot) * total[active], box)
        perturbed[active] = torch.where(standing.view(shape), moved, perturbed[active])
    return conclude(network, x, perturbed, goal, norm="l2", saturated=int(saturated.sum()))


def boundary_step(V: Tensor, z: Tensor, labels: Tensor) -> Tensor:
    """The shortest step to the affine classifier's boundary, a hair longer: (N, n).

    Args:
        V, z: the local map, (N, n, K) and (N, K).
        labels: (N,), the class to leave.
    """
    own = labels[:, None]
    gap = (z.gather(1, own) - z).abs()  # (N, K)
    toward = V - V.gather(2, own[:, None].expand(-1, V.shape[1], 1))  # (N, n, K): v_j − v_y
    length = torch.linalg.vector_norm(toward, dim=1).clamp_min(1e-8)
    distance = (gap / length).scatter(1, own, torch.inf)
    nearest = distance.argmin(dim=1, keepdim=True)  # (N, 1)
    direction = toward.gather(2, nearest[:, None].expand(-1, V.shape[1], 1)).squeeze(2)
    size = distance.gather(1, nearest) + SMALLEST_STEP
    step: Tensor = size * direction / length.gather(1, nearest)
    return step
