"""What the attacks share: the result, the goal, the checks, and the best point seen so far."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from regrob.affine import require_frozen_statistics
from regrob.checks import (
    ImageLabels,
    ImageLogits,
    ImageMask,
    Images,
    PerImage,
    check_count,
    check_images,
    check_labels,
    check_logits,
)
from regrob.ensembles.network_view import Pullback
from regrob.errors import InputError

Box = tuple[float, float] | None
"""The range of a pixel; None for no constraint."""

NORMS = {"l2": 2.0, "linf": math.inf}


@dataclass(frozen=True)
class AttackResult:
    """Perturbed images, and whether each of them really fools the network.

    Attributes:
        images: the perturbed images; where the attack failed, its best attempt.
        success: from a last forward pass over `images`: the predicted class is not the label,
            or, in a targeted attack, is the target.
        distance: size of the perturbation in `norm`, in pixels' units, failures included.
        norm: "l2" or "linf".
        saturated_mask: which examples met p_y = 1 in working precision. There p − e_y has lost
            the label's own part, and an attack that differentiates the cross-entropy goes
            astray or stands still. The attacks of this package differentiate the margin.
    """

    images: Images
    success: ImageMask
    distance: PerImage
    norm: str
    saturated_mask: ImageMask

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
    """How far an attack has come at each image.

    Attributes:
        reached: whether the predicted class is the one wanted.
        score: grows with the progress: −m, or m of the target. The cross-entropy
            log(1 + e^{−m}) is a function of the logit margin m alone, ∇L = −q∇m, so both have
            the same sign of every derivative and the same order of losses; but −m never
            saturates.
        slope: ∂score/∂z = ∓(e_y − softmax over the rivals); each row sums to zero.
        saturated: whether p_y of the label rounds to one.
    """

    reached: ImageMask
    score: PerImage
    slope: ImageLogits
    saturated: ImageMask


@dataclass(frozen=True)
class Goal:
    """What an attack wants: predictions other than the labels, or equal to the targets."""

    labels: ImageLabels
    targets: ImageLabels | None = None

    @property
    def targeted(self) -> bool:
        """Whether there are targets."""
        return self.targets is not None

    @property
    def classes(self) -> ImageLabels:
        """The classes to reach, or those to leave."""
        return self.labels if self.targets is None else self.targets

    def among(self, index: Tensor) -> Goal:
        """The goal of some examples."""
        return Goal(self.labels[index], None if self.targets is None else self.targets[index])

    def reached(self, z: ImageLogits) -> ImageMask:
        """Whether the predicted class is the one wanted."""
        hit = z.argmax(dim=-1) == self.classes
        return hit if self.targeted else ~hit

    def judge(self, z: ImageLogits) -> Judged:
        """How far the images with these logits have come."""
        own = self.classes[:, None]
        rivals = (z - z.gather(1, own)).scatter_(1, own, -math.inf)  # z_j − z_y
        logs = torch.log_softmax(rivals, dim=1)
        score = rivals.amax(dim=1) - logs.amax(dim=1)  # log Σ exp(z_j − z_y), in two cheap passes
        slope = logs.exp_().scatter_(1, own, -1.0)
        hit = z.argmax(dim=1) == self.classes
        if self.targeted:
            return Judged(hit, -score, -slope, saturates(z, self.labels))
        negligible = math.log(torch.finfo(z.dtype).eps / 2)  # 1 + e^score rounds to one below
        return Judged(~hit, score, slope, score <= negligible)


def prepare(
    network: nn.Module, images: Images, labels: ImageLabels, *, targets: ImageLabels | None, box: Box
) -> tuple[Images, Goal, ImageLogits]:
    """Check everything once; return the detached images, the goal, and the logits.

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


def ascent(view: Pullback, images: Images, goal: Goal) -> tuple[Images, Judged]:
    """∂score/∂x at each image, and how far the images have come."""
    judged: list[Judged] = []

    def slope(z: Tensor) -> Tensor:
        judged.append(goal.judge(z))
        return judged[0].slope

    gradient, _ = view.gradient(images, slope)
    return gradient, judged[0]


def saturates(z: ImageLogits, labels: ImageLabels) -> ImageMask:
    """Whether softmax rounds p_y to one."""
    p = torch.softmax(z, dim=-1)
    return p.gather(-1, labels.unsqueeze(-1)).squeeze(-1) == 1


def inside(images: Images, box: Box) -> Images:
    """Clip every pixel to the box."""
    return images if box is None else images.clamp(*box)


def over_pixels(values: Tensor, images: Tensor) -> Tensor:
    """One value an image, shaped (N, 1, …, 1) so that it meets all of the image's pixels."""
    return values.view(-1, *(1,) * (images.ndim - 1))


def noise_like(images: Images, generator: torch.Generator) -> Images:
    """Uniform noise in [−1, 1], in float64 on the CPU, so that every device starts at the same points."""
    return 2 * torch.rand(images.shape, generator=generator, dtype=torch.float64, device="cpu") - 1


def check_restarts(restarts: int, random_start: bool) -> None:
    """Raise InputError unless there is at least one restart, and the starts differ."""
    check_count("restarts", restarts)
    if restarts > 1 and not random_start:
        raise InputError(f"{restarts} restarts without random_start would all be the same one")


class Examples:
    """What keeps one entry an example in each of its tensors."""

    def among(self, index: Tensor) -> Self:
        """The same of some examples only."""
        subset = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor | Goal):
                setattr(subset, name, value[index] if isinstance(value, Tensor) else value.among(index))
        return subset


class Best(Examples):
    """The best point seen for each example: successes first, then the larger score.

    Attributes:
        images: (N, …).
        success: (N,) bool.
        score: (N,), see `Judged`.
        saturated: (N,) bool, whether any point seen was.
    """

    def __init__(self, images: Images, judged: Judged) -> None:
        self.images, self.success, self.score = images.clone(), judged.reached, judged.score
        self.saturated = judged.saturated

    def offer(self, images: Images, judged: Judged, *, keep_success: bool = False) -> None:
        """Take over the examples in which these images are better, or not yet a success if `keep_success`."""
        better = torch.where(judged.reached == self.success, judged.score > self.score, judged.reached)
        if keep_success:
            better &= ~self.success
        torch.where(over_pixels(better, images), images, self.images, out=self.images)
        self.success = self.success | judged.reached
        self.score = torch.where(better, judged.score, self.score)
        self.saturated = self.saturated | judged.saturated

    def put(self, index: Tensor, subset: Best) -> None:
        """Write the best points of some examples back."""
        if subset is not self:
            for name, value in vars(self).items():
                value[index] = getattr(subset, name)


def conclude(
    network: nn.Module, originals: Images, images: Images, goal: Goal, *, norm: str, saturated: ImageMask
) -> AttackResult:
    """Judge the perturbed images by one more forward pass, and measure them; `saturated` is passed on."""
    with torch.no_grad():
        success = goal.reached(network(images))
    difference = (images - originals).flatten(1)
    distance = torch.linalg.vector_norm(difference, ord=NORMS[norm], dim=1)
    return AttackResult(images, success, distance, norm, saturated)
