"""What the attacks share: the result, the goal, the checks, and the best point seen so far."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from regrob.affine import checked_logits, require_frozen_statistics
from regrob.checks import (
    ImageLabels,
    ImageLogits,
    ImageMask,
    Images,
    PerImage,
    check_count,
    check_images,
    check_labels,
)
from regrob.ensembles.network_view import Pullback, StackedPullback, alike, pullback
from regrob.errors import InputError, NotPiecewiseLinearError, VanishingGradientWarning

Network = nn.Module | Callable[[Tensor], Tensor]
"""What maps images (N, …) to logits (N, K): a module, or any function that autograd can differentiate."""

PixelBounds = tuple[float | Tensor, float | Tensor]
"""The least and the largest value of a pixel."""

Box = PixelBounds | None
"""The range of a pixel, as numbers or as tensors that broadcast to an image; None for no constraint."""

BOX_TOLERANCE = 1e-6
"""How far outside the box, in units of its width, a pixel may lie that is then put back into it."""

SUM_TOLERANCE = 1e-3
"""How far from one the outputs of a softmax may sum."""

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
        correct: whether the network predicts the label at the image itself.
    """

    images: Images
    success: ImageMask
    distance: PerImage
    norm: str
    saturated_mask: ImageMask
    correct: ImageMask

    @property
    def saturated(self) -> int:
        """How many examples saturated; see `saturated_mask`."""
        return int(self.saturated_mask.sum())

    @property
    def success_rate(self) -> float:
        """The share of all examples that fool the network, in [0, 1]; one minus the accuracy under attack."""
        return float(self.success.double().mean())

    @property
    def success_rate_of_correct(self) -> float:
        """The share of the correctly classified examples that fool the network; NaN if there are none."""
        return float(self.success[self.correct].double().mean())

    @property
    def counted(self) -> ImageMask:
        """Whose distances count: the correctly classified examples that fool the network.

        An example that was wrong from the start needs no perturbation, and would pass for a very
        near one.
        """
        return self.success & self.correct

    @property
    def mean_distance(self) -> float:
        """The mean size over the `counted` examples; NaN if there are none.

        Read it beside `success_rate_of_correct`.
        """
        return float(self.distance[self.counted].double().mean())


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


class Prepared(NamedTuple):
    """What an attack works on, checked.

    Attributes:
        network: as a module.
        view: its logits and gradients.
        images: detached, inside the box.
        goal: labels and targets.
        z: the logits at the images.
        box: with tensors, if it has any, of the shape of an image.
    """

    network: nn.Module
    view: Pullback
    images: Images
    goal: Goal
    z: ImageLogits
    box: Box


class FunctionNetwork(nn.Module):
    """A function from images to logits, as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        owner = getattr(function, "__self__", None)
        if isinstance(
            owner, nn.Module
        ):  # a method, `network.forward` say: what is asked of modules is asked of it
            self.owner = owner

    def forward(self, images: Tensor) -> Tensor:
        """The function's own logits."""
        return self.function(images)


def prepare(
    network: Network, images: Images, labels: ImageLabels, *, targets: ImageLabels | None, box: Box
) -> Prepared:
    """Check everything once.

    Raises:
        InputError: bad images, labels or targets; a target that is the label; pixels outside
            the box; a box that is empty; images in half precision, or in another dtype than the
            network's; probabilities in place of logits.
        NotPiecewiseLinearError: a network whose logits at an image depend on chance or on the other
            images: in training mode with batch statistics or dropout, say.
    """
    check_images(images)
    if not isinstance(network, nn.Module):
        if not callable(network):
            raise InputError(f"network must map images to logits, got {type(network).__name__}")
        network = FunctionNetwork(network)
    require_frozen_statistics(network)
    check_dtype(network, images)
    x = images.detach()
    bounds = None if box is None else _check_box(box, x)
    if bounds is not None:
        x = _put_into(bounds, x)
    with torch.no_grad():
        z = checked_logits(network, x)
        check_labels(labels, z)
        if not isinstance(network, StackedPullback):
            _check_each_by_itself(network, x, z)
        require_logits(network, x, z)
    if targets is not None:
        check_labels(targets, z)
        if bool((targets == labels).any()):
            raise InputError("a target must differ from the label; some are equal")
    return Prepared(network, pullback(network, x), x, Goal(labels, targets), z.to(x.dtype), bounds)


def check_dtype(network: nn.Module, images: Images) -> None:
    """Raise InputError unless images and weights are of one dtype, single or double precision."""
    weights = next((p for p in network.parameters() if p.is_floating_point()), None)
    if torch.finfo(images.dtype).bits < 32:
        raise InputError(
            f"images are {images.dtype}, too coarse for the small steps of an attack: "
            "attack network.float() with images.float()"
        )
    if weights is not None and weights.dtype != images.dtype:
        raise InputError(
            f"images are {images.dtype} and the network's weights {weights.dtype}: "
            "convert one of them, images.to(weights.dtype) or network.to(images.dtype)"
        )


def _check_box(box: PixelBounds, images: Images) -> PixelBounds:
    """The bounds, both as numbers or both as tensors of an image's shape."""
    bounds = box
    if any(isinstance(bound, Tensor) for bound in box):
        shape = images.shape[1:]
        tensors = [torch.as_tensor(bound).to(images) for bound in box]
        try:
            bounds = (tensors[0].expand(shape), tensors[1].expand(shape))
        except RuntimeError:
            raise InputError(
                f"the box's bounds must broadcast to an image of shape {tuple(shape)}, got "
                f"{[tuple(bound.shape) for bound in tensors]}; bounds of channels have shape (channels, 1, 1)"
            ) from None
    low, high = (torch.as_tensor(bound, device="cpu") for bound in bounds)
    if not bool((low < high).all()) or not bool((low.isfinite() & high.isfinite()).all()):
        raise InputError(
            f"box must be (low, high), finite with low < high, got {box}; box=None sets no bounds"
        )
    return bounds


def _put_into(bounds: PixelBounds, images: Images) -> Images:
    """The images inside their box, to which rounding alone may have denied them.

    Raises:
        InputError: a pixel lies clearly outside.
    """
    low, high = bounds
    tolerance = BOX_TOLERANCE * (high - low)
    if bool((images < low - tolerance).any()) or bool((images > high + tolerance).any()):
        smallest, largest = float(images.min()), float(images.max())
        bottom, top = float(torch.as_tensor(low).min()), float(torch.as_tensor(high).max())
        raise InputError(
            f"pixels must lie in the box [{bottom}, {top}], got {smallest:.3g} … {largest:.3g}; "
            "scale the images, or pass their own range as box=(low, high), or box=None"
        )
    return inside(images, bounds)


def _check_each_by_itself(network: nn.Module, images: Images, z: ImageLogits) -> None:
    """Raise NotPiecewiseLinearError unless the first image, twice, has the logits it has among the others."""
    twice, expected = network(images[:1].repeat_interleave(2, dim=0)), z[:1].repeat_interleave(2, dim=0)
    if not alike(expected, twice):
        apart = float((expected - twice).abs().max())
        raise NotPiecewiseLinearError(
            f"two copies of the first image have other logits than it has among the {len(images)} images, "
            f"by up to {apart:.2g}: the network is random, or couples the examples of a batch; "
            "call eval() on all its modules, and pass training=False to functional dropout and batch_norm"
        )


def require_logits(network: nn.Module, images: Images, z: Tensor) -> None:
    """Raise InputError if the outputs z at the images are probabilities, as after a softmax."""
    if _sums_to_one(z) and _sums_to_one(network(0.5 * images)):  # twice is no accident
        raise InputError(
            "the network returns probabilities: every row of its outputs is nonnegative and sums to one. "
            "Where a softmax saturates its gradient vanishes, and attacks fail for no other reason; "
            "leave the last softmax out, or make it a log_softmax"
        )


def _sums_to_one(z: ImageLogits) -> bool:
    """Whether each row is a distribution."""
    return bool((z >= 0).all()) and bool(((z.sum(dim=1) - 1).abs() < SUM_TOLERANCE).all())


def ascent(view: Pullback, images: Images, goal: Goal) -> tuple[Images, Judged]:
    """∂score/∂x at each image, and how far the images have come."""
    judged: list[Judged] = []

    def slope(z: Tensor) -> Tensor:
        judged.append(goal.judge(z))
        return judged[0].slope

    gradient, _ = view.gradient(images, slope)
    return gradient, judged[0]


def gap_and_coefficients(
    z: ImageLogits, goal: Goal, confidence: float | PerImage
) -> tuple[PerImage, ImageLogits]:
    """The gap that the attack closes, and ∂gap/∂z.

    z_y − max_{j≠y} z_j + κ; for a target t, max_{j≠t} z_j − z_t + κ.
    """
    own = goal.classes[:, None]
    highest, rival = rival_logits(z, goal.classes).max(dim=1, keepdim=True)
    sign = -1.0 if goal.targeted else 1.0
    coefficients = torch.zeros_like(z).scatter_(1, own, sign).scatter_(1, rival, -sign)
    return (sign * (z.gather(1, own) - highest)).squeeze(1) + confidence, coefficients


def rival_logits(z: ImageLogits, classes: ImageLabels) -> ImageLogits:
    """The logits with −∞ at each image's own class, so that a maximum is one of its rivals'."""
    return z.scatter(1, classes[:, None], -math.inf)


def saturates(z: ImageLogits, labels: ImageLabels) -> ImageMask:
    """Whether softmax rounds p_y to one."""
    p = torch.softmax(z, dim=-1)
    return p.gather(-1, labels.unsqueeze(-1)).squeeze(-1) == 1


def inside(images: Images, box: Box) -> Images:
    """Clip every pixel to the box."""
    return images if box is None else clip(images, *box)


def clip(values: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Clip to bounds that are both numbers or both tensors."""
    return values.clamp(low, high)  # type: ignore[arg-type]  # torch's types do not know them as pairs


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
    given: Prepared, images: Images, *, norm: str, saturated: ImageMask, gradient: Images | None = None
) -> AttackResult:
    """Judge the perturbed images by one more forward pass, and measure them; `saturated` is passed on.

    Args:
        gradient: of the score at the given images, if the attack has it.

    Warns:
        VanishingGradientWarning: the gradient is zero at an image that was not fooled.
    """
    with torch.no_grad():
        success = given.goal.reached(given.network(images))
    difference = (images - given.images).flatten(1)
    distance = torch.linalg.vector_norm(difference, ord=NORMS[norm], dim=1)
    correct = given.z.argmax(dim=1) == given.goal.labels
    _warn_of_vanishing_gradients(given, ~success, gradient)
    return AttackResult(images, success, distance, norm, saturated, correct)


def _warn_of_vanishing_gradients(given: Prepared, failed: ImageMask, gradient: Images | None) -> None:
    """Warn if an attack could not know where to go from one of the images at which it failed."""
    if isinstance(given.network, StackedPullback) or not bool(failed.any()):
        return
    if gradient is None:
        there, _ = ascent(given.view, given.images[failed], given.goal.among(failed))
    else:
        there = gradient[failed]
    flat = int((there.flatten(1) == 0).all(dim=1).sum())
    if flat:
        warnings.warn(
            f"the gradient vanishes at {flat} of the {int(failed.sum())} images that were not fooled: "
            "an attack by gradients sees nothing there, and its failure is no evidence of robustness. "
            "Look for a saturated activation, a detach() or a rounding in the network",
            VanishingGradientWarning,
            stacklevel=4,  # where the attack was called
        )
