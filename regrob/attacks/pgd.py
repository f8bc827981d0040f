"""Projected gradient descent: many small sign steps inside the ℓ∞ ball."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrob.attacks.result import (
    AttackResult,
    Best,
    Box,
    ascent,
    check_count,
    check_size,
    conclude,
    inside,
    prepare,
)
from regrob.errors import InputError
from regrob.pullback import pullback


def pgd(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float = 0.1,
    steps: int = 40,
    step_size: float = 0.01,
    restarts: int = 1,
    random_start: bool = True,
    seed: int = 0,
    box: Box = (0.0, 1.0),
    targets: Tensor | None = None,
) -> AttackResult:
    """Climb the loss by sign steps, projected to the ball and the box (Madry et al. 2018).

    Of all the points visited, the original included, the one returned is a success if any
    is, and has the largest loss among those: a later step or restart never loses a success.

    Args:
        network: maps (N, …) to logits (N, K); in eval mode if it has BatchNorm or dropout.
        images: (N, …), floating point.
        labels: (N,), int64.
        epsilon: ε ≥ 0, radius of the ℓ∞ ball in pixels' units.
        steps: how many steps, 40 in the original.
        step_size: of each, 0.01 in the original.
        restarts: how many times to start; each start is random if `random_start`.
        random_start: start uniformly in the ball, else at the image.
        seed: of the random starts.
        box: the range of a pixel, or None for no constraint.
        targets: (N,), int64: step down the loss of these classes instead, towards them.

    Raises:
        InputError: see `result.prepare`; a negative size; fewer than one step or restart;
            several restarts from one and the same point.
    """
    check_size("epsilon", epsilon)
    check_size("step_size", step_size)
    check_count("steps", steps)
    check_count("restarts", restarts)
    if restarts > 1 and not random_start:
        raise InputError(f"{restarts} restarts without random_start would all be the same one")
    x, goal = prepare(network, images, labels, targets=targets, box=box)
    way_in = pullback(network)
    generator = torch.Generator().manual_seed(seed)
    best = Best(way_in, x, goal, labels)
    for _ in range(restarts):
        current = x
        if random_start:
            noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1
            current = inside(x + epsilon * noise.to(x), box)
        for _ in range(steps):
            gradient, z = ascent(way_in, current, goal)
            best.offer(current, z)
            moved = current + step_size * gradient.sign()
            current = inside(x + (moved - x).clamp(-epsilon, epsilon), box)
        best.offer(current, way_in.logits(current))
    return conclude(network, x, best.images, goal, norm="linf", saturated=int(best.saturated.sum()))
