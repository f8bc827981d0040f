"""From a formula to a check: the excess with one free choice, right for one value and wrong for another.

A statement and its tooth differ in one choice: a sign, a factor, a norm, the number of classes.
So a check is written once, as a function of that choice: `excess(draw, choice)`. Where it needs
no more than one instance or one network at a time, it is a function of these, and
`on_instances` or `on_networks` draws them:

    @checked("twice what should be compared", right=1.0, wrong=-1.0, mistake="the sign reversed")
    @on_networks
    def gradient_check(sample: Sample, sign: float) -> Tensor: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from regrob.claims.claim import Check
from regrob.claims.instances import Draw, Instance, Sample

Choice = TypeVar("Choice")


def check(
    name: str,
    excess: Callable[[Draw, Choice], Tensor],
    *,
    right: Choice,
    wrong: Choice,
    mistake: str,
    tolerance: float = 1e-10,
) -> Check:
    """A check of `excess` at the right choice, with its tooth at the wrong one.

    Args:
        name: what is compared with what.
        excess: by how much the statement is violated, see `Check`.
        right, wrong: what `excess` is called with.
        mistake: the wrong choice, in words.
        tolerance: largest excess that passes.
    """
    return Check(name, lambda draw: excess(draw, right), lambda draw: excess(draw, wrong), mistake, tolerance)


def checked(
    name: str, *, right: Choice, wrong: Choice, mistake: str, tolerance: float = 1e-10
) -> Callable[[Callable[[Draw, Choice], Tensor]], Check]:
    """`check` as a decorator: the excess below it becomes the check."""
    return lambda excess: check(name, excess, right=right, wrong=wrong, mistake=mistake, tolerance=tolerance)


def on_instances(
    excess: Callable[[Instance, Choice], Tensor],
    classes: int = 2,
    *,
    correct: bool = True,
    low: float = 1e-2,
    high: float = 30.0,
) -> Callable[[Draw, Choice], Tensor]:
    """The excess over random instances; the keywords are `Draw.instances`'s."""
    return lambda draw, choice: excess(draw.instances(classes, correct=correct, low=low, high=high), choice)


def on_networks(
    excess: Callable[[Sample, Choice], Tensor],
    classes: int = 2,
    *,
    only: Callable[[Sample], bool] = lambda sample: True,
) -> Callable[[Draw, Choice], Tensor]:
    """The excess over the sample networks that `only` admits, one after the other."""
    return lambda draw, choice: draw.over_samples(classes, lambda s: excess(s, choice), only=only)
