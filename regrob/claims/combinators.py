"""From a formula to a check: the excess with one free choice, right by default and wrong for the tooth.

A statement and its tooth differ in one choice: a sign, a factor, a norm, the number of classes.
So a check is written once, as a function of that choice: `excess(draw, choice=right)`. Where it
needs no more than one instance or one network at a time, it is a function of these, and
`on_instances` or `on_networks` draws them:

    @checked("twice what should be compared", wrong=-1.0, mistake="the sign reversed")
    @on_networks
    def gradient_check(sample: Sample, sign: float = 1.0) -> Tensor: ...
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from regrob.claims.claim import Check
from regrob.claims.instances import Draw, Sample

Excess = Callable[..., Tensor]
"""A function of a draw, an instance or a network, and of a choice that is right by default."""


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
