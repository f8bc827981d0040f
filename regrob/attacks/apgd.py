"""APGD-CE, a part of AutoAttack: projected gradient ascent that finds its own step size."""

from __future__ import annotations

import math

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

MOMENTUM = 0.75
"""What the gradient step counts; the rest is the step before it."""

ENOUGH = 0.75
"""The share of steps between two checkpoints that must raise the loss."""


def apgd(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float = 0.1,
    steps: int = 100,
    restarts: int = 1,
    random_start: bool = True,
    seed: int = 0,
    box: Box = (0.0, 1.0),
    targets: Tensor | None = None,
) -> AttackResult:
    """The ℓ∞ attack of Croce and Hein (2020) on the cross-entropy, two classes or more.

    Sign steps with momentum begin at size 2ε. At checkpoints, which follow each other faster
    and faster, an example that climbs too rarely or has stalled goes back to its best point
    and halves its step. There is no step size to choose, so a weak result is not the
    setting's fault.

    AutoAttack's other loss, DLR, needs three logits; at two there is this one alone. Ours
    climbs −m in place of the cross-entropy log(1 + e^{−m}): the signs and the order of all
    losses are the same, and nothing saturates, which is what DLR was made for.

    Args:
        network: maps (N, …) to logits (N, K); in eval mode if it has BatchNorm or dropout.
        images: (N, …), floating point.
        labels: (N,), int64.
        epsilon: ε ≥ 0, radius of the ℓ∞ ball in pixels' units.
        steps: gradients for each restart, 100 in AutoAttack.
        restarts: how many times to start; the best point of all counts.
        random_start: start at random in the ball, some pixel at its edge, else at the image.
        seed: of the random starts.
        box: the range of a pixel, or None for no constraint.
        targets: (N,), int64: step down the loss of these classes instead, towards them.

    Raises:
        InputError: see `result.prepare`; a negative size; fewer than one step or restart;
            several restarts from one and the same point.
    """
    check_size("epsilon", epsilon)
    check_count("steps", steps)
    check_count("restarts", restarts)
    if restarts > 1 and not random_start:
        raise InputError(f"{restarts} restarts without random_start would all be the same one")
    x, goal, z = prepare(network, images, labels, targets=targets, box=box)
    view = pullback(network)
    generator = torch.Generator().manual_seed(seed)
    best = Best(x, goal.judge(z))
    for _ in range(restarts):
        start = x
        if random_start:
            noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64, device="cpu") - 1
            noise = noise / noise.flatten(1).abs().amax(dim=1).view(-1, *(1,) * (x.ndim - 1))
            start = inside(x + epsilon * noise.to(x), box)
        _climb(view, x, goal, best, start, epsilon, steps, box)
    return conclude(network, x, best.images, goal, norm="linf", saturated=best.saturated)


def checkpoints(steps: int) -> list[int]:
    """The steps at which the step size is judged: 22 % first, then at shrinking distances ≥ 6 %.

    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    fractions = [0, 22]  # in hundredths, so that nothing rounds
    while fractions[-1] < 100:
        fractions.append(fractions[-1] + max(fractions[-1] - fractions[-2] - 3, 6))
    return sorted({math.ceil(f * steps / 100) for f in fractions[1:] if f <= 100})


def _climb(
    view: Pullback,
    x: Tensor,
    goal: Goal,
    best: Best,
    start: Tensor,
    epsilon: float,
    steps: int,
    box: Box,
) -> None:
    """One run from `start`; every point is offered to `best`."""

    def project(moved: Tensor) -> Tensor:
        return inside(x + (moved - x).clamp(-epsilon, epsilon), box)

    shape = (-1, *(1,) * (x.ndim - 1))
    size = torch.full_like(x.flatten(1)[:, 0], 2 * epsilon)  # (N,)
    current = before = start
    gradient, judged = ascent(view, current, goal)
    best.offer(current, judged)
    score = judged.score
    top, top_image, top_gradient = score, current, gradient  # of this run
    rises = torch.zeros_like(size)
    top_then, halved_then = top, torch.zeros_like(size, dtype=torch.bool)
    marks = checkpoints(steps)
    last = 0
    for step in range(1, steps + 1):
        ahead = project(current + size.view(shape) * gradient.sign())
        if step > 1:
            ahead = project(current + MOMENTUM * (ahead - current) + (1 - MOMENTUM) * (current - before))
        before, current = current, ahead
        gradient, judged = ascent(view, current, goal)
        best.offer(current, judged)
        new = judged.score
        rises = rises + (new > score)
        score = new
        record = new > top
        top = torch.where(record, new, top)
        top_image = torch.where(record.view(shape), current, top_image)
        top_gradient = torch.where(record.view(shape), gradient, top_gradient)
        if step in marks:
            rare = rises < ENOUGH * (step - last)
            stalled = ~halved_then & (top <= top_then)
            halve = rare | stalled
            size = torch.where(halve, 0.5 * size, size)
            current = torch.where(halve.view(shape), top_image, current)
            gradient = torch.where(halve.view(shape), top_gradient, gradient)
            score = torch.where(halve, top, score)
            rises, top_then, halved_then, last = torch.zeros_like(rises), top, halve, step
