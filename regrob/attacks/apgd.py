"""APGD-CE, a part of AutoAttack: projected gradient ascent that finds its own step size."""

from __future__ import annotations

import math
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
    over_pixels,
    prepare,
)
from regrob.checks import ImageLabels, Images, check_count, check_size
from regrob.ensembles.network_view import Pullback

MOMENTUM = 0.75
"""What the gradient step counts; the rest is the step before it."""

ENOUGH = 0.75
"""The share of steps between two checkpoints that must raise the loss."""


def apgd(
    network: Network,
    images: Images,
    labels: ImageLabels,
    *,
    epsilon: float = 0.1,
    steps: int = 100,
    restarts: int = 1,
    random_start: bool = True,
    seed: int = 0,
    box: Box = (0.0, 1.0),
    targets: ImageLabels | None = None,
) -> AttackResult:
    """The ℓ∞ attack of Croce and Hein (2020) on the cross-entropy, two classes or more.

    Sign steps with momentum begin at size 2ε. At checkpoints, which follow each other faster
    and faster, an example that climbs too rarely or has stalled goes back to its best point
    and halves its step. There is no step size to choose, so a weak result is not the
    setting's fault.

    AutoAttack's other loss, DLR, needs three logits; at two there is this one alone. The
    score −m stands in place of the cross-entropy log(1 + e^{−m}): the signs and the order of all
    losses are the same, and nothing saturates, which is what DLR was made for.

    Args:
        epsilon: ε ≥ 0, radius of the ℓ∞ ball in pixels' units.
        steps: gradients for each restart, 100 in AutoAttack.
        restarts: how many times to start; the best point of all counts.
        random_start: start at random in the ball, some pixel at its edge, else at the image.

    Raises:
        InputError: see `prepare`; a negative size; fewer than one step or restart;
            several restarts from one and the same point.

    >>> apgd(torch.nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]), epsilon=0.2).images
    tensor([[0.4000, 0.6000]])
    """
    check_size("epsilon", epsilon)
    check_count("steps", steps)
    check_restarts(restarts, random_start)
    given = prepare(network, images, labels, targets=targets, box=box)
    x, goal, box = given.images, given.goal, given.box
    generator = torch.Generator().manual_seed(seed)
    best = Best(x, goal.judge(given.z))
    run = _Run(x=x, goal=goal, epsilon=epsilon, steps=steps, box=box)
    for _ in range(restarts):
        start = x
        if random_start:
            noise = noise_like(x, generator)
            noise = noise / over_pixels(noise.flatten(1).abs().amax(dim=1), x)
            start = inside(x + epsilon * noise.to(x), box)
        run.climb(given.view, start, best)
    return conclude(given, best.images, norm="linf", saturated=best.saturated)


def checkpoints(steps: int) -> list[int]:
    """The steps at which the step size is judged: 22 % first, then at shrinking distances ≥ 6 %.

    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    fractions = [0, 22]  # in hundredths, so that nothing rounds
    while fractions[-1] < 100:
        fractions.append(fractions[-1] + max(fractions[-1] - fractions[-2] - 3, 6))
    return sorted({math.ceil(f * steps / 100) for f in fractions[1:] if f <= 100})


@dataclass(frozen=True)
class _Run:
    """What all climbs of an attack have in common."""

    x: Tensor  # (N, …)
    goal: Goal
    epsilon: float
    steps: int
    box: Box

    def project(self, moved: Tensor) -> Tensor:
        """Back into the ball and the box."""
        return inside(self.x + (moved - self.x).clamp(-self.epsilon, self.epsilon), self.box)

    def climb(self, view: Pullback, start: Tensor, best: Best) -> None:
        """Climb from `start`, and offer every point to `best`."""
        size = torch.full_like(start.flatten(1)[:, 0], 2 * self.epsilon)  # (N,)
        current = before = start
        gradient, judged = ascent(view, current, self.goal)
        best.offer(current, judged)
        score = judged.score
        top, top_image, top_gradient = score, current, gradient  # of this climb
        rises = torch.zeros_like(size)
        top_at_mark, halved_at_mark = top, torch.zeros_like(size, dtype=torch.bool)
        marks = checkpoints(self.steps)
        last_mark = 0
        for step in range(1, self.steps + 1):
            ahead = self.project(current + over_pixels(size, start) * gradient.sign())
            if step > 1:
                ahead = current + MOMENTUM * (ahead - current) + (1 - MOMENTUM) * (current - before)
                ahead = self.project(ahead)
            before, current = current, ahead
            gradient, judged = ascent(view, current, self.goal)
            best.offer(current, judged)
            rises = rises + (judged.score > score)
            score = judged.score
            record = score > top
            top = torch.where(record, score, top)
            top_image = torch.where(over_pixels(record, start), current, top_image)
            top_gradient = torch.where(over_pixels(record, start), gradient, top_gradient)
            if step in marks:
                rare = rises < ENOUGH * (step - last_mark)
                stalled = ~halved_at_mark & (top <= top_at_mark)
                halve = rare | stalled
                size = torch.where(halve, 0.5 * size, size)
                current = torch.where(over_pixels(halve, start), top_image, current)
                gradient = torch.where(over_pixels(halve, start), top_gradient, gradient)
                score = torch.where(halve, top, score)
                rises, top_at_mark, halved_at_mark, last_mark = torch.zeros_like(rises), top, halve, step
