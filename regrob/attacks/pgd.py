"""Projected gradient descent: many small sign steps inside the ℓ∞ ball."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regrob.attacks._common import (
    AttackResult,
    Best,
    Box,
    Goal,
    ascent,
    check_count,
    check_size,
    conclude,
    inside,
    prepare,
)
from regrob.ensembles.network_view import Pullback, pullback
from regrob.errors import InputError


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
    stop_at_success: bool = False,
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
        stop_at_success: leave an example alone once it is fooled. The same examples succeed,
            sooner; their loss is no longer the largest. For success rates only.
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
    x, goal, z = prepare(network, images, labels, targets=targets, box=box)
    view = pullback(network)
    generator = torch.Generator().manual_seed(seed)
    best = Best(x, goal.judge(z))
    run = _Run(goal, *_walls(x, epsilon, box), steps, step_size, stop_at_success)
    for _ in range(restarts):
        start = x
        if random_start:
            noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64, device="cpu") - 1
            start = inside(x + epsilon * noise.to(x), box)
        run.climb(view, start, best)
    return conclude(network, x, best.images, goal, norm="linf", saturated=best.saturated)


def _walls(x: Tensor, epsilon: float, box: Box) -> tuple[Tensor, Tensor]:
    """The least and the largest value that each pixel may take in the ball and the box."""
    return inside(x - epsilon, box), inside(x + epsilon, box)


@dataclass(frozen=True)
class _Run:
    """One climb from a start, and what stays the same in all of them."""

    goal: Goal
    low: Tensor  # (N, …)
    high: Tensor  # (N, …)
    steps: int
    step_size: float
    stop_at_success: bool

    def climb(self, view: Pullback, start: Tensor, best: Best) -> None:
        """Offer every point on the way to `best`."""
        active = torch.arange(len(start), device=start.device)
        current, low, high, goal = start.clone(), self.low, self.high, self.goal
        here = best  # of the active examples
        for _ in range(self.steps):
            if self.stop_at_success:
                if bool(here.success.all()):
                    break
                packed = view.pack(~here.success)
                if packed is not None:
                    best.put(active, here)
                    kept, view = packed
                    active, goal, here = active[kept], goal.among(kept), here.among(kept)
                    current, low, high = current[kept], low[kept], high[kept]
            gradient, judged = ascent(view, current, goal)
            here.offer(current, judged, first=self.stop_at_success)
            current.add_(gradient.sign(), alpha=self.step_size)
            torch.clamp(current, low, high, out=current)  # back into the ball and the box
        else:
            here.offer(current, goal.judge(view.logits(current)), first=self.stop_at_success)
        best.put(active, here)
