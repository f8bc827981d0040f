"""Projected gradient descent: many small sign steps inside the ℓ∞ ball."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regrob.attacks._common import (
    AttackResult,
    Best,
    Box,
    Goal,
    Network,
    ascent,
    check_restarts,
    conclude,
    inside,
    noise_like,
    prepare,
)
from regrob.checks import ImageLabels, Images, check_count, check_size
from regrob.ensembles.network_view import Pullback


def pgd(
    network: Network,
    images: Images,
    labels: ImageLabels,
    *,
    epsilon: float = 0.1,
    steps: int = 40,
    step_size: float = 0.01,
    restarts: int = 1,
    random_start: bool = True,
    seed: int = 0,
    stop_at_success: bool = False,
    box: Box = (0.0, 1.0),
    targets: ImageLabels | None = None,
) -> AttackResult:
    """Climb the loss by sign steps, projected to the ball and the box (Madry et al. 2018).

    Of all the points visited, the original included, the one returned is a success if any
    is, and has the largest loss among those: a later step or restart never loses a success.

    Args:
        epsilon: ε ≥ 0, radius of the ℓ∞ ball in pixels' units.
        steps: how many steps, 40 in the original.
        step_size: of each, 0.01 in the original.
        restarts: how many times to start; each start is random if `random_start`.
        random_start: start uniformly in the ball, else at the image.
        stop_at_success: leave an example alone once it is fooled. The same examples succeed,
            sooner; their loss is no longer the largest. For success rates only.

    Raises:
        InputError: see `prepare`; a negative size; fewer than one step or restart;
            several restarts from one and the same point.

    >>> pgd(torch.nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]), epsilon=0.2).images
    tensor([[0.4000, 0.6000]])
    """
    check_size("epsilon", epsilon)
    check_size("step_size", step_size)
    check_count("steps", steps)
    check_restarts(restarts, random_start)
    given = prepare(network, images, labels, targets=targets, box=box)
    x, goal, box = given.images, given.goal, given.box
    generator = torch.Generator().manual_seed(seed)
    best = Best(x, goal.judge(given.z))
    run = _Run(
        goal=goal,
        low=inside(x - epsilon, box),
        high=inside(x + epsilon, box),
        steps=steps,
        step_size=step_size,
        stop_at_success=stop_at_success,
    )
    for _ in range(restarts):
        start = x
        if random_start:
            start = inside(x + epsilon * noise_like(x, generator).to(x), box)
        run.climb(given.view, start, best)
    return conclude(given, best.images, norm="linf", saturated=best.saturated)


@dataclass(frozen=True)
class _Run:
    """What all climbs of an attack have in common.

    Attributes:
        low, high: (N, …), the range of each pixel in the ball and the box.
    """

    goal: Goal
    low: Tensor
    high: Tensor
    steps: int
    step_size: float
    stop_at_success: bool

    def climb(self, view: Pullback, start: Tensor, best: Best) -> None:
        """Offer every point on the way to `best`."""
        active = torch.arange(len(start), device=start.device)
        current, low, high, goal = start.clone(), self.low, self.high, self.goal
        active_best = best
        for _ in range(self.steps):
            if self.stop_at_success:
                if bool(active_best.success.all()):
                    break
                packed = view.pack(~active_best.success)
                if packed is not None:
                    best.put(active, active_best)
                    kept, view = packed
                    active, goal, active_best = active[kept], goal.among(kept), active_best.among(kept)
                    current, low, high = current[kept], low[kept], high[kept]
            gradient, judged = ascent(view, current, goal)
            active_best.offer(current, judged, keep_success=self.stop_at_success)
            current.add_(gradient.sign(), alpha=self.step_size)
            torch.clamp(current, low, high, out=current)  # back into the ball and the box
        else:
            active_best.offer(current, goal.judge(view.logits(current)), keep_success=self.stop_at_success)
        best.put(active, active_best)
