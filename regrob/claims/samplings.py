"""Which instances and networks a check runs over: how many classes, correctly classified or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from regrob.claims import groups
from regrob.claims.groups import Groups
from regrob.claims.instances import KINDS, Draw, Excess, Sample
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


def shares(draw: Draw, classes: Sequence[int]) -> Draw:
    """A draw of bare instances for each of these K, the trials shared out evenly: some of each kind."""
    return Draw(max(KINDS, draw.trials // len(classes)), draw.seed, draw.device)


def over_random(excess: Excess, sampling: Sampling = CORRECT_ONLY) -> Callable[[Draw], Groups]:
    """The excess over bare instances of every K in turn, the trials shared out evenly."""

    def over_classes(draw: Draw) -> Groups:
        share = shares(draw, sampling.classes)
        # From 0.3 on ξ stays clear of 0, where log K − L cancels.
        return {
            groups.of(K): excess(
                share.instances(
                    K, correct=sampling.correct, inputs=sampling.inputs, low=0.3, high=sampling.high
                )
            ).flatten()
            for K in sampling.classes
        }

    return over_classes


def over_networks(excess: Excess, sampling: Sampling = CORRECT_ONLY) -> Callable[[Draw], Groups]:
    """The excess over networks of every K, with autograd's ∇ and H and in units of its rounding."""

    def of_sample(sample: Sample) -> Tensor:
        case = sample.instance
        if sampling.correct:
            case = case.where(probability.correctly_classified(case.z, case.y))
        numbers: Tensor = excess(case) / case.noise
        return numbers

    return lambda draw: draw.over_samples(of_sample, *sampling.classes)
