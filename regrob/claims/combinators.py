"""Checks from one function each, of one free choice: right by default and wrong for the tooth.

As a proof (`claim.proof`), a check is written once, as a function of a choice: `excess(draw, choice=right)`.
Where it needs no more than one instance or one network at a time, it is a function of these, and
`on_instances` or `on_networks` draws them:

    @checked("twice what should be compared", wrong=-1.0, mistake="the sign reversed")
    @on_networks
    def gradient_check(sample: Sample, sign: float = 1.0) -> Tensor: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from torch import Tensor

from regrob.claims.check import Check
from regrob.claims.groups import Groups, Values
from regrob.claims.instances import Draw, Excess, Sample
from regrob.claims.samplings import CORRECT_ONLY, Sampling, over_networks, over_random

ALL_BITE: Mapping[str, str] = MappingProxyType({})
"""No group is spared by the tooth."""


def check(
    name: str,
    excess: Excess,
    *,
    wrong: object,
    mistake: str,
    tolerance: float = 1e-10,
    blunt: Mapping[str, str] = ALL_BITE,
) -> Check:
    """A check of `excess(draw)`, with `excess(draw, wrong)` as its tooth.

    Args:
        name: what is compared with what.
        excess: by how much the statement is violated, see `Check`.
        wrong: the choice that must be caught.
        mistake: the wrong choice, in words.
        tolerance: largest excess that passes.
        blunt: groups in which the wrong choice is right, and why.
    """
    return Check(name, excess, lambda draw: excess(draw, wrong), mistake, tolerance, blunt)


def checked(
    name: str,
    *,
    wrong: object,
    mistake: str,
    tolerance: float = 1e-10,
    blunt: Mapping[str, str] = ALL_BITE,
) -> Callable[[Excess], Check]:
    """`check` as a decorator: the excess below it becomes the check."""
    return lambda excess: check(name, excess, wrong=wrong, mistake=mistake, tolerance=tolerance, blunt=blunt)


def on_instances(
    excess: Excess, classes: int = 2, *, correct: bool = True, low: float = 1e-2, high: float = 30.0
) -> Excess:
    """The excess over random instances; the keywords are `Draw.instances`'s."""

    def over_instances(draw: Draw, *choice: object) -> Values:
        values: Values = excess(draw.instances(classes, correct=correct, low=low, high=high), *choice)
        return values

    return over_instances


def on_networks(
    excess: Excess, *classes: int, only: Callable[[Sample], bool] = lambda sample: True
) -> Excess:
    """The excess over the sample networks of these K (2 if none is given) that `only` admits."""

    def over_networks(draw: Draw, *choice: object) -> Groups:
        return draw.over_samples(lambda s: excess(s, *choice), *(classes or (2,)), only=only)

    return over_networks


# --- checks over a sampling ----------------------------------------------------------------


def _check(
    over: Callable[[Excess, Sampling], Callable[[Draw], Groups]],
    name: str,
    excess: Excess,
    tooth: Excess | object,
    wrong: str,
    sampling: Sampling = CORRECT_ONLY,
    tolerance: float = 1e-10,
    blunt: Mapping[str, str] = ALL_BITE,
) -> Check:
    """A check over many cases.

    Args:
        over: where they come from, `over_random` or `over_networks`.
        tooth: another excess, or a wrong second argument of the same one.
        wrong: what is wrong with it, in words.
    """
    wrong_excess = tooth if callable(tooth) else lambda case: excess(case, tooth)
    return Check(name, over(excess, sampling), over(wrong_excess, sampling), wrong, tolerance, blunt)


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
    blunt: Mapping[str, str] = ALL_BITE,
) -> tuple[Check, Check]:
    """`check_random` and `check_networks` with the same arguments."""
    arguments = (excess, tooth, wrong, sampling, tolerance, blunt)
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
