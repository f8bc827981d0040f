"""Which instances and networks a check runs over: how many classes, correctly classified or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from regrob.claims.instances import Draw, Excess
from regrob.theory import probability

CLASSES = (2, 3, 4, 5, 10)


@dataclass(frozen=True)
class Sampling:
    """Which instances a check runs over.

    Attributes:
        classes: the numbers of classes K, one after the other.
        correct: only correctly classified instances; otherwise any label.
        inputs, high: n and the logits' largest scale, of random instances.
    """

    classes: tuple[int, ...] = CLASSES
    correct: bool = True
    inputs: int = 5
    high: float = 30.0


CORRECT_ONLY = Sampling()
MISTAKES_TOO = Sampling(correct=False)
TWO_CLASSES = Sampling(classes=(2,))
THREE_OR_MORE = Sampling(classes=(3, 4, 5, 10))


def over_random(excess: Excess, sampling: Sampling = CORRECT_ONLY) -> Callable[[Draw], Tensor]:
    """The excess over bare instances of every K in turn, the trials shared out evenly."""

    def over_classes(draw: Draw) -> Tensor:
        share = Draw(max(1, draw.trials // len(sampling.classes)), draw.seed, draw.device)
        # From 0.3 on ξ stays clear of 0, where log K − L cancels.
        instances = (
            share.instances(K, correct=sampling.correct, inputs=sampling.inputs, low=0.3, high=sampling.high)
            for K in sampling.classes
        )
        return torch.cat([excess(instance).flatten() for instance in instances])

    return over_classes


def over_networks(excess: Excess, sampling: Sampling = CORRECT_ONLY) -> Callable[[Draw], Tensor]:
    """The excess over networks of every K, with autograd's ∇ and H and in units of its rounding."""

    def over_classes(draw: Draw) -> Tensor:
        instances = [s.instance for K in sampling.classes for s in draw.samples(K)]
        if sampling.correct:
            instances = [i.where(probability.correctly_classified(i.z, i.y)) for i in instances]
        return torch.cat([(excess(i) / i.noise).flatten() for i in instances])

    return over_classes
