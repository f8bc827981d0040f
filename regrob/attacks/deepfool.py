"""DeepFool: step to the nearest boundary of the local affine classifier, until the class changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrob.attacks._common import (
    AttackResult,
    Box,
    check_count,
    check_size,
    conclude,
    inside,
    prepare,
    saturates,
)
from regrob.ensembles.network_view import pullback

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
    x, goal, z = prepare(network, images, labels, targets=None, box=box)
    view = pullback(network)
    saturated = saturates(z, labels)
    perturbed = x.clone()
    shape = (-1, *(1,) * (x.ndim - 1))
    # Of the examples that are still at it, and in an ensemble of some that rest:
    active = torch.arange(len(x), device=x.device)
    here, origin, total = x, x, torch.zeros_like(x)
    for _ in range(steps):
        distance, normal, z = view.nearest(here, labels[active])
        standing = z.argmax(dim=1) == labels[active]
        if not bool(standing.any()):
            break
        size = torch.where(standing, distance + SMALLEST_STEP, 0.0)
        total = total.addcmul(size.view(shape), normal)  # those that rest stay where they are
        here = inside(torch.add(origin, total, alpha=1.0 + overshoot), box)
        perturbed[active] = here
        packed = view.pack(standing)
        if packed is not None:
            kept, view = packed
            active, here, origin, total = active[kept], here[kept], origin[kept], total[kept]
    return conclude(network, x, perturbed, goal, norm="l2", saturated=saturated)
