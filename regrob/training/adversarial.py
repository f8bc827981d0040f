"""Adversarial training: each batch is replaced by what projected gradient descent makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regrob.attacks._common import check_count, check_size
from regrob.ensembles.network_view import Pullback
from regrob.errors import InputError


@dataclass(frozen=True)
class Adversary:
    """Projected gradient descent with a random start (Madry et al. 2018), as training uses it.

    Unlike `attacks.pgd` it returns the last iterate: the network learns from it, fooled or not.

    Attributes:
        epsilon: radius of the ℓ∞ ball, in the units of pixels in [0, 1].
        steps: how many sign steps.
        step_size: of each; None for 2.5 ε/steps, which can cross the ball.

    Raises:
        InputError: a size that is negative or infinite; fewer than one step.
    """

    epsilon: float
    steps: int = 10
    step_size: float | None = None

    def __post_init__(self) -> None:
        check_size("epsilon", self.epsilon)
        check_count("steps", self.steps)
        check_size("step_size", self.stride)

    @property
    def stride(self) -> float:
        """The size of one step."""
        return 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size

    def perturb(self, view: Pullback, images: Tensor, labels: Tensor, starts: Tensor) -> Tensor:
        """The adversarial batch: within ε of the images and in [0, 1], (N, …).

        Args:
            view: the network, frozen in what it does with batch statistics and dropout.
            images: (N, …), in [0, 1].
            labels: (N,), int64.
            starts: (N, …), in [−1, 1], where in the ball to begin; see `starts`.
        """
        low, high = (images - self.epsilon).clamp_min(0), (images + self.epsilon).clamp_max(1)
        x = torch.clamp(images + self.epsilon * starts, low, high)
        for _ in range(self.steps):
            gradient, _ = view.gradient(x, lambda z: _slope(z, labels))
            x = torch.clamp(x + self.stride * gradient.sign(), low, high)
        return x


def _slope(z: Tensor, labels: Tensor) -> Tensor:
    """−∂m/∂z, which has the direction of the cross-entropy's slope and never saturates: (N, K)."""
    own = labels[:, None]
    return torch.softmax(z.scatter(1, own, -math.inf), dim=1).scatter(1, own, -1.0)


def starts(seed: int, iteration: int, shape: Sequence[int]) -> Tensor:
    """Uniform numbers in [−1, 1) for one batch, float32, on the CPU.

    They depend on the seed and the iteration alone, so that a run that stopped goes on with
    the same numbers, and a member of an ensemble sees those of its solo run.
    """
    # torch's generator keeps 32 bits of its seed: mix both numbers into those.
    mixed = (1_000_003 * seed + iteration) % 2**32
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(mixed), device="cpu") - 1


def check_box(images: Tensor) -> None:
    """Raise InputError unless all pixels lie in [0, 1], the box of the adversary."""
    smallest, largest = float(images.min()), float(images.max())
    if smallest < 0 or largest > 1:
        raise InputError(
            f"an adversary needs pixels in [0, 1], got {smallest:.3g} … {largest:.3g}; scale the images"
        )
