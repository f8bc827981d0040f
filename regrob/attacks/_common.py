"""What every attack takes, checks and returns."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.local_map import require_frozen_statistics
from regrob.checks import check_images, check_labels, check_logits
from regrob.ensembles.network_view import Pullback
from regrob.errors import InputError

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
        saturated_mask: (N,) bool, which examples met p_y = 1 in working precision. There the
            usual p − e_y has lost the label's own part, and an attack that differentiates the
            cross-entropy goes astray or stands still. Ours differentiate the margin.
    """

    images: Tensor
    success: Tensor
    distance: Tensor
    norm: str
    saturated_mask: Tensor

    @property
    def saturated(self) -> int:
        """How many examples saturated; see `saturated_mask`."""
        return int(self.saturated_mask.sum())

    @property
    def success_rate(self) -> float:
        """The share of examples that fool the network, in [0, 1]."""
        return float(self.success.double().mean())

    @property
    def mean_distance(self) -> float:
        """The mean size over the successes; NaN if there are none. Read it beside `success_rate`."""
        return float(self.distance[self.success].double().mean())


class Judged(NamedTuple):
    """How far an attack has come.

    Attributes:
        reached: (N,) bool, whether the predicted class is the one wanted.
        score: (N,), grows with the progress: −m, or m of the target. The cross-entropy
            log(1 + e^{−m}) is a function of the logit margin m alone, ∇L = −q∇m, so both have
            the same sign of every derivative and the same order of losses; but −m never
            saturates.
        slope: (N, K), ∂score/∂z = ∓(e_y − softmax over the rivals); each row sums to zero.
        saturated: (N,) bool, whether p_y of the label rounds to one.
    """

    reached: Tensor
    score: Tensor
    slope: Tensor
    saturated: Tensor


@dataclass(frozen=True)
class Goal:
    """What an attack drives at: away from the labels, or towards targets.

    Attributes:
        labels: (N,).
        targets: (N,), or None.
    """

    labels: Tensor
    targets: Tensor | None = None

    @property
    def targeted(self) -> bool:
        """Whether there are targets."""
        return self.targets is not None

    @property
    def classes(self) -> Tensor:
        """(N,), the classes to reach, or those to leave."""
        return self.labels if self.targets is None else self.targets

    def among(self, index: Tensor) -> Goal:
        """The goal of some examples."""
        return Goal(self.labels[index], None if self.targets is None else self.targets[index])

    def reached(self, z: Tensor) -> Tensor:
        """Whether the predicted class is the one wanted: (N,) bool."""
        hit = z.argmax(dim=-1) == self.classes
        return hit if self.targeted else ~hit

    def judge(self, z: Tensor) -> Judged:
        """Where logits (N, K) stand."""
        own = self.classes[:, None]
        rivals = (z - z.gather(1, own)).scatter_(1, own, -math.inf)  # z_j − z_y
        logs = torch.log_softmax(rivals, dim=1)
        score = rivals.amax(dim=1) - logs.amax(dim=1)  # log Σ exp(z_j − z_y), in two cheap passes
        slope = logs.exp_().scatter_(1, own, -1.0)
        hit = z.argmax(dim=1) == self.classes
        if self.targeted:
            return Judged(hit, -score, -slope, saturates(z, self.labels))
        nothing = math.log(torch.finfo(z.dtype).eps / 2)  # 1 + e^score rounds to one below
        return Judged(~hit, score, slope, score <= nothing)


def prepare(
    network: nn.Module, images: Tensor, labels: Tensor, *, targets: Tensor | None, box: Box
) -> tuple[Tensor, Goal, Tensor]:
    """Check everything once; return the detached images, the goal, and the logits (N, K).

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
    return images.detach(), Goal(labels, targets), z


def check_size(name: str, value: float) -> None:
    """Raise InputError unless a radius or step size is finite and not negative."""
    if not 0.0 <= value < math.inf:
        raise InputError(f"{name} must be finite and at least 0, got {value}")


def check_count(name: str, value: int) -> None:
    """Raise InputError unless a number of steps or restarts is at least one."""
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value}")


def ascent(view: Pullback, images: Tensor, goal: Goal) -> tuple[Tensor, Judged]:
    """∂score/∂x at each image, (N, …), and how far the images have come."""
    judged: list[Judged] = []

    def slope(z: Tensor) -> Tensor:
        judged.append(goal.judge(z))
        return judged[0].slope

    gradient, _ = view.gradient(images, slope)
    return gradient, judged[0]


def saturates(z: Tensor, labels: Tensor) -> Tensor:
    """Whether softmax rounds p_y to one: (N,) bool."""
    p = torch.softmax(z, dim=-1)
    return p.gather(-1, labels.unsqueeze(-1)).squeeze(-1) == 1


def inside(images: Tensor, box: Box) -> Tensor:
    """Clip every pixel to the box."""
    return images if box is None else images.clamp(*box)


class Best:
    """The best point seen for each example: successes first, then the larger score.

    Attributes:
        images: (N, …).
        success: (N,) bool.
        score: (N,), see `Judged`.
        saturated: (N,) bool, whether any point seen was.
    """

    def __init__(self, images: Tensor, judged: Judged) -> None:
        self.images, self.success, self.score = images.clone(), judged.reached, judged.score
        self.saturated = judged.saturated

    def offer(self, images: Tensor, judged: Judged, *, first: bool = False) -> None:
        """Take over the examples in which these images are better; of successes only the `first`, if so."""
        better = torch.where(judged.reached == self.success, judged.score > self.score, judged.reached)
        if first:
            better &= ~self.success
        shape = (-1, *(1,) * (images.ndim - 1))
        torch.where(better.view(shape), images, self.images, out=self.images)
        self.success = self.success | judged.reached
        self.score = torch.where(better, judged.score, self.score)
        self.saturated = self.saturated | judged.saturated

    def among(self, index: Tensor) -> Best:
        """The best points of some examples, apart from these."""
        some = copy.copy(self)
        for name, value in vars(self).items():
            setattr(some, name, value[index])
        return some

    def put(self, index: Tensor, some: Best) -> None:
        """Take over what has become of some examples."""
        if some is not self:
            for name, value in vars(self).items():
                value[index] = getattr(some, name)


def conclude(
    network: nn.Module, originals: Tensor, images: Tensor, goal: Goal, *, norm: str, saturated: Tensor
) -> AttackResult:
    """Judge the perturbed images by one more forward pass, and measure them; `saturated` (N,) is kept."""
    with torch.no_grad():
        success = goal.reached(network(images))
    difference = (images - originals).flatten(1)
    distance = torch.linalg.vector_norm(difference, ord=NORMS[norm], dim=1)
    return AttackResult(images, success, distance, norm, saturated)
