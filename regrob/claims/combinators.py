"""Proofs and checks from one function each, of one free choice: right by default and wrong for the tooth.

A statement and its tooth differ in one choice: a sign, a factor, a norm, the number of classes.
So a proof is written once, as a function of that choice, and so is a check: `excess(draw, choice=right)`. Where it
needs no more than one instance or one network at a time, it is a function of these, and
`on_instances` or `on_networks` draws them:

    @checked("twice what should be compared", wrong=-1.0, mistake="the sign reversed")
    @on_networks
    def gradient_check(sample: Sample, sign: float = 1.0) -> Tensor: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from regrob.claims.claim import Check, Derivation, Evidence
from regrob.claims.instances import Draw, Sample
from regrob.theory import probability

Excess = Callable[..., Tensor]
"""By how much a statement is violated: of a draw, an instance or a network, and of a choice that is right by default."""


def proof(
    prove: Callable[..., object], *, wrong: object, mistake: str, evidence: Evidence = Evidence.GENERAL
) -> Derivation:
    """The derivation `prove()`, with `prove(wrong)` as its tooth; the arguments are as in `check`."""
    return Derivation(prove, lambda: prove(wrong), mistake, evidence)


def check(name: str, excess: Excess, *, wrong: object, mistake: str, tolerance: float = 1e-10) -> Check:
    """A check of `excess(draw)`, with `excess(draw, wrong)` as its tooth.

    Args:
        name: what is compared with what.
        excess: by how much the statement is violated, see `Check`.
        wrong: the choice that must be caught.
        mistake: the wrong choice, in words.
        tolerance: largest excess that passes.
    """
    return Check(name, excess, lambda draw: excess(draw, wrong), mistake, tolerance)


def checked(name: str, *, wrong: object, mistake: str, tolerance: float = 1e-10) -> Callable[[Excess], Check]:
    """`check` as a decorator: the excess below it becomes the check."""
    return lambda excess: check(name, excess, wrong=wrong, mistake=mistake, tolerance=tolerance)


def on_instances(
    excess: Excess, classes: int = 2, *, correct: bool = True, low: float = 1e-2, high: float = 30.0
) -> Excess:
    """The excess over random instances; the keywords are `Draw.instances`'s."""

    def over_instances(draw: Draw, *choice: object) -> Tensor:
        return excess(draw.instances(classes, correct=correct, low=low, high=high), *choice)

    return over_instances


def on_networks(
    excess: Excess, *classes: int, only: Callable[[Sample], bool] = lambda sample: True
) -> Excess:
    """The excess over the sample networks that `only` admits, one after the other; two classes if none is said."""

    def over_networks(draw: Draw, *choice: object) -> Tensor:
        return draw.over_samples(lambda s: excess(s, *choice), *(classes or (2,)), only=only)

    return over_networks


# --- many instances and networks, of every number of classes -----------------------------

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


def _check(
    over: Callable[[Excess, Sampling], Callable[[Draw], Tensor]],
    name: str,
    excess: Excess,
    tooth: Excess | object,
    wrong: str,
    sampling: Sampling = CORRECT_ONLY,
    tolerance: float = 1e-10,
) -> Check:
    """A check over many cases.

    Args:
        over: where they come from, `over_random` or `over_networks`.
        tooth: another excess, or a wrong second argument of the same one.
        wrong: what is wrong with it, in words.
    """
    wrong_excess = tooth if callable(tooth) else lambda case: excess(case, tooth)
    return Check(name, over(excess, sampling), over(wrong_excess, sampling), wrong, tolerance)


check_random = partial(_check, over_random)
"""A check on bare instances; see `_check`."""

check_networks = partial(_check, over_networks)
"""A check on networks, with autograd's ∇ and H; see `_check`."""


def check_both(
    name: str,
    excess: Excess,
    tooth: Excess | object,
    wrong: str,
    sampling: Sampling = CORRECT_ONLY,
    tolerance: float = 1e-10,
) -> tuple[Check, Check]:
    """`check_random` and `check_networks` with the same arguments."""
    arguments = (excess, tooth, wrong, sampling, tolerance)
    return (
        check_random(f"{name} (random instances)", *arguments),
        check_networks(f"{name} (networks, autograd)", *arguments),
    )


def check_at(
    name: str,
    excess: Callable[[float], Tensor],
    value: float,
    tooth: float,
    wrong: str,
    *,
    tolerance: float = 1e-10,
) -> Check:
    """A check without random numbers: the excess at one value, and at another as the tooth."""
    return Check(
        name,
        lambda draw: excess(value).flatten().to(draw.device),
        lambda draw: excess(tooth).flatten().to(draw.device),
        wrong,
        tolerance,
    )
