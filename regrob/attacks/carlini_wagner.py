"""Carlini and Wagner's ℓ2 attack: minimise distance plus a constant times the margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regrob.attacks._common import (
    AttackResult,
    Box,
    Examples,
    Goal,
    Network,
    conclude,
    gap_and_coefficients,
    over_pixels,
    prepare,
    saturates,
)
from regrob.checks import ImageLabels, Images, check_count, check_size
from regrob.ensembles.network_view import Pullback, ScaledPullback
from regrob.errors import InputError
from regrob.notebook import bar

NEAREST, LARGEST = 1e-2, 1e10
"""The first c is that of a boundary at least so far, and at most so large for logits near one."""

CHECKS = 10
"""How often, within one search step, an example is asked whether it still makes progress."""


def carlini_wagner(
    network: Network,
    images: Images,
    labels: ImageLabels,
    *,
    confidence: float = 0.0,
    learning_rate: float = 5e-3,
    binary_search_steps: int = 5,
    max_iterations: int = 1000,
    initial_const: float | None = None,
    abort_early: bool = True,
    box: Box = (0.0, 1.0),
    targets: ImageLabels | None = None,
) -> AttackResult:
    """The smallest ‖r‖₂ found by Adam on ‖r‖² + c·max(z_y − max_j z_j + κ, 0) (Carlini, Wagner 2017).

    The box is kept by x = tanh(w). The constant c is searched for each example: up tenfold
    while nothing succeeds, then by bisection. Each example stops on its own when its loss
    stalls, so results do not depend on what else is in the batch.

    On an affine classifier the minimum lies on the boundary only if c ≥ 2·gap/‖∇gap‖².
    Strong penalties shrink that gradient, and a fixed small c then reports robustness that
    is not there. The search therefore starts from that bound, unless told otherwise: logits
    s·z have the same smallest perturbation as z, and the search for c/s goes as that for c does.
    Only κ, and `initial_const` where it is given, are in units of the logits, by definition.

    Args:
        confidence: κ ≥ 0.
        learning_rate: Adam's, 5e-3 in the CleverHans of the paper's time.
        binary_search_steps: values of c tried, 5 there.
        max_iterations: Adam's steps for each c, 1000 there.
        initial_const: the first c for every example, 1e-2 there; None for the bound above,
            with a gap that lies at least 0.01 away.
        abort_early: stop an example whose loss has not fallen by 0.01 % in a tenth of the steps.

    Raises:
        InputError: see `prepare`; a setting out of range.

    >>> x, y = torch.tensor([[0.6, 0.4]]), torch.tensor([0])
    >>> round(float(carlini_wagner(torch.nn.Identity(), x, y, max_iterations=200).distance), 2)  # √2/10
    0.14
    """
    check_size("confidence", confidence)
    check_size("learning_rate", learning_rate)
    check_count("binary_search_steps", binary_search_steps)
    check_count("max_iterations", max_iterations)
    if initial_const is not None and not 0 < initial_const < math.inf:
        raise InputError(f"initial_const must be positive and finite, got {initial_const}")
    given = prepare(network, images, labels, targets=targets, box=box)
    x, goal = given.images, given.goal
    saturated = saturates(given.z, labels)
    settings = _Settings(given.box, learning_rate, max_iterations, abort_early)
    best = x.clone()
    scaled = ScaledPullback(given.view, given.z)
    for index, view in scaled.blocks(x):
        block, block_goal, unit = x[index], goal.among(index), scaled.unit[index]
        initial = None if initial_const is None else initial_const * unit
        search = _Search.start(view, block, block_goal, confidence / unit, initial)
        for _ in range(binary_search_steps):
            search.bisect(_descend(view, block, block_goal, search, settings))
        best[index] = search.best
    return conclude(given, best, norm="l2", saturated=saturated)


@dataclass
class _Search:
    """The search for c, and the best image so far, of every example."""

    confidence: Tensor  # (N,)
    const: Tensor  # (N,)
    lower: Tensor  # (N,)
    upper: Tensor  # (N,), infinite until something succeeds
    best: Tensor  # (N, …)
    best_distance: Tensor  # (N,), squared

    @classmethod
    def start(
        cls, view: Pullback, x: Tensor, goal: Goal, confidence: Tensor, initial: Tensor | None
    ) -> _Search:
        """The first constants: given, or from the affine bound 2·gap/‖∇gap‖²."""
        const = initial
        if const is None:
            z = view.logits(x)
            gap, push = gap_and_coefficients(z, goal, confidence)
            gradient, _ = view.gradient(x, lambda _: push)
            size = gradient.flatten(1).square().sum(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
            const = (2 * gap / size).maximum(2 * NEAREST / size.sqrt()).clamp_max(LARGEST)
        infinite = torch.full_like(const, math.inf)
        return cls(confidence, const, torch.zeros_like(const), infinite, x.clone(), infinite.clone())

    def bisect(self, success: Tensor) -> None:
        """Narrow the interval of c after one descent; `success` (N,) bool."""
        self.upper = torch.where(success, self.const, self.upper)
        self.lower = torch.where(success, self.lower, self.const)
        middle = 0.5 * (self.lower + self.upper)
        self.const = torch.where(self.upper.isinf(), 10 * self.const, middle)


@dataclass(frozen=True)
class _Settings:
    """What all descents have in common, by the names of the attack's arguments."""

    box: Box
    learning_rate: float
    max_iterations: int
    abort_early: bool


def _descend(view: Pullback, x: Tensor, goal: Goal, search: _Search, settings: _Settings) -> Tensor:
    """One run of Adam at the current constants; updates the best images; returns who succeeded."""
    success = torch.zeros_like(search.const, dtype=torch.bool)
    active = torch.arange(len(x), device=x.device)
    run = _Run(
        goal=goal,
        const=search.const,
        confidence=search.confidence,
        going=~success,
        loss=torch.full_like(search.const, math.inf),
        success=success,
        best=search.best.clone(),
        best_distance=search.best_distance,
    )
    adam = _Adam(x, settings.box)
    every = math.ceil(settings.max_iterations / CHECKS)
    for step in bar(range(settings.max_iterations), title="Carlini and Wagner's attack"):
        image = adam.image()
        pulled, _ = view.gradient(image, run.coefficients)
        moved = image - adam.origin
        squared = torch.linalg.vecdot(moved.flatten(1), moved.flatten(1))
        run.record(image, squared)
        adam.step(pulled, moved, settings.learning_rate)
        if settings.abort_early and step % every == 0:
            run.check(squared)
            if not bool(run.going.any()):
                break
            packed = view.pack(run.going)
            if packed is not None:
                run.put(active, search, success)
                kept, view = packed
                active, run, adam = active[kept], run.among(kept), adam.among(kept)
    run.put(active, search, success)
    return success


@dataclass
class _Run(Examples):
    """The examples of one descent, A of them; those that have stopped are no longer recorded."""

    goal: Goal
    const: Tensor  # (A,)
    confidence: Tensor  # (A,)
    going: Tensor  # (A,) bool
    loss: Tensor  # (A,), at the last check
    success: Tensor  # (A,) bool
    best: Tensor  # (A, …)
    best_distance: Tensor  # (A,), squared

    def coefficients(self, z: Tensor) -> Tensor:
        """∂/∂z of c · max(gap, 0), zero where the gap is closed; remembers the gap: (A, K)."""
        self.gap, coefficients = gap_and_coefficients(z, self.goal, self.confidence)
        return coefficients.mul_((self.const * (self.gap > 0))[:, None])

    def record(self, image: Tensor, squared: Tensor) -> None:
        """Note the successes, and keep the closest."""
        fooled = torch.where(self.confidence > 0, self.gap <= 0, self.gap < 0) & self.going
        closer = fooled & (squared < self.best_distance)
        self.success = self.success | fooled
        self.best_distance = torch.where(closer, squared, self.best_distance)
        torch.where(over_pixels(closer, image), image, self.best, out=self.best)

    def check(self, squared: Tensor) -> None:
        """Stop the examples whose loss has not fallen since the last check."""
        loss = self.const * self.gap.clamp_min(0) + squared
        self.going = self.going & (loss <= 0.9999 * self.loss)
        self.loss = loss

    def put(self, active: Tensor, search: _Search, success: Tensor) -> None:
        """Write the successes and the best images back."""
        success[active] = self.success
        search.best[active] = self.best
        search.best_distance[active] = self.best_distance


class _Adam(Examples):
    """Adam on w, where the image is tanh(w) stretched to the box, or w itself without one.

    With a box it keeps v = 2w: tanh(w) = 2σ(v) − 1, and torch's σ takes a fifth of the time of
    its tanh. A step on w is twice as large in v, and v's gradient is half of w's.
    """

    def __init__(self, x: Tensor, box: Box) -> None:
        """At the image; pixels at the box's edge begin a hair inside, or tanh could not move them."""
        self.steps, self.boxed = 0, box is not None
        low, width = (0.0, 1.0) if box is None else (box[0], box[1] - box[0])
        self.range = low, width  # a pair: what is a tensor here is one entry an example
        self.unit = box == (0.0, 1.0) if not isinstance(low, Tensor) else False
        self.v = x.clone()
        if self.boxed:
            self.v = 2 * torch.atanh((2 * (x - low) / width - 1) * 0.999999)
        self.first, self.second = torch.zeros_like(x), torch.zeros_like(x)
        self.origin = self.image().clone()

    def image(self) -> Tensor:
        """The image at v; to be read only."""
        if not self.boxed:
            return self.v
        self.share = torch.sigmoid(self.v)  # of the box's width
        low, width = self.range
        return self.share if self.unit else self.share * width + low

    def step(self, pulled: Tensor, moved: Tensor, rate: float) -> None:
        """One Adam step with the usual 0.9, 0.999, 1e-8.

        Args:
            pulled: the gradient of c · max(gap, 0) by the image.
            moved: from the origin to the image.
            rate: the learning rate.
        """
        self.steps += 1
        gradient = torch.add(pulled, moved, alpha=2)
        if self.boxed:
            slope = torch.addcmul(self.share, self.share, self.share, value=-1.0)  # σ' = σ − σ²
            gradient.mul_(slope if self.unit else slope.mul_(self.range[1]))
        faster = 2.0 if self.boxed else 1.0
        self.first.lerp_(gradient, 0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        bias = math.sqrt(1 - 0.999**self.steps)
        size = self.second.sqrt().add_(1e-8 * bias / faster)
        self.v.addcdiv_(self.first, size, value=-faster * rate * bias / (1 - 0.9**self.steps))
