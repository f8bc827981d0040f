"""Carlini and Wagner's ℓ2 attack: minimise distance plus a constant times the margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.attacks.result import (
    AttackResult,
    Box,
    Goal,
    check_count,
    check_size,
    conclude,
    prepare,
    saturates,
)
from regrob.errors import InputError
from regrob.pullback import Pullback, StackedPullback, pullback

CHECKS = 10
"""How often, within one search step, an example is asked whether it still makes progress."""


def carlini_wagner(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    confidence: float = 0.0,
    learning_rate: float = 5e-3,
    binary_search_steps: int = 5,
    max_iterations: int = 1000,
    initial_const: float | None = None,
    abort_early: bool = True,
    box: Box = (0.0, 1.0),
    targets: Tensor | None = None,
) -> AttackResult:
    """The smallest ‖r‖₂ found by Adam on ‖r‖² + c·max(z_y − max_j z_j + κ, 0) (2017).

    The box is kept by x = tanh(w). The constant c is searched for each example: up tenfold
    while nothing succeeds, then by bisection. Each example stops on its own when its loss
    stalls, so results do not depend on what else is in the batch.

    On an affine classifier the minimum lies on the boundary only if c ≥ 2·gap/‖∇gap‖².
    Strong penalties shrink that gradient, and a fixed small c then reports robustness that
    is not there. The search therefore starts from that bound, unless told otherwise.

    Args:
        network: maps (N, …) to logits (N, K); in eval mode.
        images: (N, …), floating point.
        labels: (N,), int64.
        confidence: κ ≥ 0.
        learning_rate: Adam's, 5e-3 in the CleverHans of the paper's time.
        binary_search_steps: values of c tried, 5 there.
        max_iterations: Adam's steps for each c, 1000 there.
        initial_const: the first c for every example, 1e-2 there; None for the bound above,
            but no less than 1e-2.
        abort_early: stop an example whose loss has not fallen by 0.01 % in a tenth of the steps.
        box: the range of a pixel, or None for no constraint.
        targets: (N,), int64: aim at these classes.

    Raises:
        InputError: see `result.prepare`; a setting out of range.
    """
    check_size("confidence", confidence)
    check_size("learning_rate", learning_rate)
    check_count("binary_search_steps", binary_search_steps)
    check_count("max_iterations", max_iterations)
    if initial_const is not None and not 0 < initial_const < math.inf:
        raise InputError(f"initial_const must be positive and finite, got {initial_const}")
    x, goal = prepare(network, images, labels, targets=targets, box=box)
    way_in = pullback(network)
    saturated = int(saturates(way_in.logits(x), labels).sum())
    search = _Search.start(way_in, x, goal, confidence, initial_const)
    shrinkable = not isinstance(network, StackedPullback)  # an ensemble needs all its examples
    for _ in range(binary_search_steps):
        found = _descend(
            way_in, x, goal, search, box, confidence, learning_rate, max_iterations, abort_early, shrinkable
        )
        search.bisect(found)
    return conclude(network, x, search.best, goal, norm="l2", saturated=saturated)


@dataclass
class _Search:
    """The search for c, and the best image so far, of every example."""

    const: Tensor  # (N,)
    lower: Tensor  # (N,)
    upper: Tensor  # (N,), infinite until something succeeds
    best: Tensor  # (N, …)
    best_distance: Tensor  # (N,), squared

    @classmethod
    def start(
        cls, way_in: Pullback, x: Tensor, goal: Goal, confidence: float, initial: float | None
    ) -> _Search:
        """The first constants: given, or from the affine bound 2·gap/‖∇gap‖²."""
        const = x.new_full((len(x),), initial or 0.0)
        if initial is None:
            z = way_in.logits(x)
            gap, push = gap_and_coefficients(z, goal, confidence)
            gradient, _ = way_in.gradient(x, lambda _: push)
            size = gradient.flatten(1).square().sum(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
            const = (2 * gap / size).clamp(1e-2, 1e10)
        infinite = torch.full_like(const, math.inf)
        return cls(const, torch.zeros_like(const), infinite, x.clone(), infinite.clone())

    def bisect(self, found: Tensor) -> None:
        """Narrow the interval of c after one descent; `found` (N,) bool."""
        self.upper = torch.where(found, self.const, self.upper)
        self.lower = torch.where(found, self.lower, self.const)
        middle = 0.5 * (self.lower + self.upper)
        self.const = torch.where(self.upper.isinf(), 10 * self.const, middle)


def gap_and_coefficients(z: Tensor, goal: Goal, confidence: float) -> tuple[Tensor, Tensor]:
    """The gap that the attack closes, and ∂gap/∂z: (N,) and (N, K).

    z_y − max_{j≠y} z_j + κ; for a target t, max_{j≠t} z_j − z_t + κ.
    """
    own = functional.one_hot(goal.classes, z.shape[-1]).to(z.dtype)
    rival = z.masked_fill(own.bool(), -math.inf).argmax(dim=-1)
    sign = -1.0 if goal.targeted else 1.0
    coefficients = sign * (own - functional.one_hot(rival, z.shape[-1]).to(z.dtype))
    return (coefficients * z).sum(dim=-1) + confidence, coefficients


@dataclass(frozen=True)
class _Hinge:
    """c · max(gap, 0), as coefficients of the logits' gradients."""

    goal: Goal
    const: Tensor
    confidence: float

    def coefficients(self, z: Tensor) -> Tensor:
        """∂/∂z: (N, K), zero where the gap is closed."""
        gap, coefficients = gap_and_coefficients(z, self.goal, self.confidence)
        return coefficients * (self.const * (gap > 0))[:, None]


def _descend(
    way_in: Pullback,
    x: Tensor,
    goal: Goal,
    search: _Search,
    box: Box,
    confidence: float,
    rate: float,
    iterations: int,
    abort_early: bool,
    shrinkable: bool,
) -> Tensor:
    """One run of Adam at the current constants; updates the best images; returns who succeeded."""
    found = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    active = torch.arange(len(x), device=x.device)
    state = _Adam.start(x, box)
    before = torch.full_like(search.const, math.inf)
    every = math.ceil(iterations / CHECKS)
    for step in range(iterations):
        here, goal_here = x[active], Goal(goal.classes[active], goal.targeted)
        candidate, slope = state.image()
        const = search.const[active]
        hinge = _Hinge(goal_here, const, confidence)
        pulled, z = way_in.gradient(candidate, hinge.coefficients)
        gap, _ = gap_and_coefficients(z, goal_here, confidence)
        moved = candidate - here
        squared = moved.flatten(1).square().sum(dim=1)
        success = gap < 0 if confidence == 0 else gap <= 0
        closer = success & (squared < search.best_distance[active])
        search.best_distance[active[closer]] = squared[closer]
        search.best[active[closer]] = candidate[closer]
        found[active] |= success
        state.step((pulled + 2 * (candidate - state.origin)) * slope, rate)
        if abort_early and step % every == 0:
            loss = const * gap.clamp_min(0) + squared
            going = loss <= 0.9999 * before[active]
            before[active] = loss
            if not bool(going.any()):
                break
            if shrinkable and not bool(going.all()):
                active = active[going]
                state.keep(going)
    return found


@dataclass
class _Adam:
    """Adam on w, where the image is tanh(w) stretched to the box, or w itself without one."""

    w: Tensor
    origin: Tensor
    first: Tensor
    second: Tensor
    box: Box
    steps: int = 0

    @classmethod
    def start(cls, x: Tensor, box: Box) -> _Adam:
        """At the image; pixels at the box's edge begin a hair inside, or tanh could not move them."""
        w = x.clone()
        if box is not None:
            middle, half = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2
            w = torch.atanh((x - middle) / half * 0.999999)
        state = cls(w, x, torch.zeros_like(x), torch.zeros_like(x), box)
        state.origin, _ = state.image()
        return state

    def image(self) -> tuple[Tensor, Tensor]:
        """The image at w, and its derivative."""
        if self.box is None:
            return self.w, torch.ones_like(self.w)
        middle, half = (self.box[0] + self.box[1]) / 2, (self.box[1] - self.box[0]) / 2
        t = torch.tanh(self.w)
        return t * half + middle, half * (1 - t * t)

    def step(self, gradient: Tensor, rate: float) -> None:
        """One Adam step with the usual 0.9, 0.999, 1e-8."""
        self.steps += 1
        self.first.lerp_(gradient, 0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        size = (self.second / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.w = self.w.addcdiv(self.first, size, value=-rate / (1 - 0.9**self.steps))

    def keep(self, going: Tensor) -> None:
        """Drop the examples that have stopped."""
        self.w, self.origin = self.w[going], self.origin[going]
        self.first, self.second = self.first[going], self.second[going]
