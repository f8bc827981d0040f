"""What every attack takes, checks and returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.errors import InputError
from regrob.local import check_images, check_labels, check_logits, require_frozen_statistics
from regrob.probability import logit_margin
from regrob.pullback import Pullback

Box = tuple[float, float] | None
NORMS = {"l2": 2.0, "linf": math.inf}


@dataclass(frozen=True)
class AttackResult:
    """Perturbed images, and whether each of them really fools the network.

    Attributes:
        images: (N, …), the perturbed images; where the attack failed, its best attempt.
        success: (N,) bool, from a last forward pass over `images`: the predicted class is
            not the label, or, in a targeted attack, is the target.
        distance: (N,), size of the perturbation in `norm`, in pixels' units, failures included.
        norm: "l2" or "linf".
        saturated: how many examples met p_y = 1 in working precision. There the usual
            p − e_y has lost the label's own part, and an attack that differentiates the
            cross-entropy goes astray or stands still. Ours differentiate the margin.
    """

    images: Tensor
    success: Tensor
    distance: Tensor
    norm: str
    saturated: int

    @property
    def success_rate(self) -> float:
        """The share of examples that fool the network, in [0, 1]."""
        return float(self.success.double().mean())

    @property
    def mean_distance(self) -> float:
        """The mean size over the successes; NaN if there are none. Read it beside `success_rate`."""
        return float(self.distance[self.success].double().mean())


@dataclass(frozen=True)
class Goal:
    """What an attack drives at: away from the labels, or towards targets.

    Attributes:
        classes: (N,), the labels, or the targets.
        targeted: which of the two they are.
    """

    classes: Tensor
    targeted: bool

    def reached(self, z: Tensor) -> Tensor:
        """Whether the predicted class is the one wanted: (N,) bool."""
        hit = z.argmax(dim=-1) == self.classes
        return hit if self.targeted else ~hit

    def score(self, z: Tensor) -> Tensor:
        """Grows with the attack's progress: (N,).

        It is −m, or m of the target. The cross-entropy log(1 + e^{−m}) is a function of m
        alone, ∇L = −q∇m, so both have the same sign of every derivative and the same order
        of losses; but −m never saturates.
        """
        m = logit_margin(z, self.classes)
        return m if self.targeted else -m

    def slope(self, z: Tensor) -> Tensor:
        """∂score/∂z: ∓(e_y − softmax over the rivals), each row summing to zero: (N, K)."""
        own = functional.one_hot(self.classes, z.shape[-1])
        rivals = torch.softmax(z.masked_fill(own.bool(), -math.inf), dim=-1)
        return own - rivals if self.targeted else rivals - own


def prepare(
    network: nn.Module, images: Tensor, labels: Tensor, *, targets: Tensor | None, box: Box
) -> tuple[Tensor, Goal]:
    """Check everything once; return the detached images and the goal.

    Raises:
        InputError: bad images, labels or targets; a target that is the label; pixels outside
            the box; a box that is empty.
        NotPiecewiseLinearError: a network in training mode with batch statistics or dropout.
    """
    check_images(images)
    require_frozen_statistics(network)
    with torch.no_grad():
        z = network(images)
    check_logits(z, images)
    check_labels(labels, z)
    if targets is not None:
        check_labels(targets, z)
        if bool((targets == labels).any()):
            raise InputError("a target must differ from the label; some are equal")
    if box is not None:
        low, high = box
        if not low < high:
            raise InputError(f"box must be (low, high) with low < high, got {box}")
        if bool((images < low).any()) or bool((images > high).any()):
            smallest, largest = float(images.min()), float(images.max())
            raise InputError(
                f"pixels must lie in the box [{low}, {high}], got {smallest:.3g} … {largest:.3g}; "
                "scale the images, or pass box=None"
            )
    goal = Goal(labels, targeted=False) if targets is None else Goal(targets, targeted=True)
    return images.detach(), goal


def check_size(name: str, value: float) -> None:
    """Raise InputError unless a radius or step size is finite and not negative."""
    if not 0.0 <= value < math.inf:
        raise InputError(f"{name} must be finite and at least 0, got {value}")


def check_count(name: str, value: int) -> None:
    """Raise InputError unless a number of steps or restarts is at least one."""
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value}")


def ascent(way_in: Pullback, images: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    """∂score/∂x and the logits, at each image: (N, …) and (N, K)."""
    return way_in.gradient(images, goal.slope)


def saturates(z: Tensor, labels: Tensor) -> Tensor:
    """Whether softmax rounds p_y to one: (N,) bool."""
    p = torch.softmax(z, dim=-1)
    return p.gather(-1, labels.unsqueeze(-1)).squeeze(-1) == 1


def inside(images: Tensor, box: Box) -> Tensor:
    """Clip every pixel to the box."""
    return images if box is None else images.clamp(*box)


class Best:
    """The best point seen for each example: successes first, then the larger loss."""

    def __init__(self, way_in: Pullback, images: Tensor, goal: Goal, labels: Tensor) -> None:
        z = way_in.logits(images)
        self.goal, self.labels = goal, labels
        self.images, self.success, self.score = images.clone(), goal.reached(z), goal.score(z)
        self.saturated = saturates(z, labels)

    def offer(self, images: Tensor, z: Tensor) -> None:
        """Take over the examples in which these images are better."""
        success, score = self.goal.reached(z), self.goal.score(z)
        better = (success & ~self.success) | ((success == self.success) & (score > self.score))
        self.images[better] = images[better]
        self.success = torch.where(better, success, self.success)
        self.score = torch.where(better, score, self.score)
        self.saturated |= saturates(z, self.labels)


def conclude(
    network: nn.Module, originals: Tensor, images: Tensor, goal: Goal, *, norm: str, saturated: int
) -> AttackResult:
    """Judge the perturbed images by one more forward pass, and measure them."""
    with torch.no_grad():
        success = goal.reached(network(images))
    difference = (images - originals).flatten(1)
    distance = torch.linalg.vector_norm(difference, ord=NORMS[norm], dim=1)
    return AttackResult(images, success, distance, norm, saturated)
