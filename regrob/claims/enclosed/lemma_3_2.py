"""Lemma 3.2 in intervals: V, ∇ and H of two classes against forward-mode differentiation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from regrob.claims.enclosure import EnclosedCheck, Sides, enclosed, interval
from regrob.claims.rational_networks import NetworkAtPoint, all_points, points


def jacobian(point: NetworkAtPoint, reverse: bool = False) -> Iterator[Sides]:
    """J = V, entry by entry, or V with its classes in reverse order."""
    columns = reversed(point.V) if reverse else point.V
    for column, differentiated in zip(columns, point.jacobian, strict=True):
        yield from zip(column, differentiated, strict=True)


def jacobian_check(over: Callable[[], Iterable[NetworkAtPoint]]) -> EnclosedCheck:
    """V against forward mode at these points."""
    name, mistake = "V against the network's own Jacobian, exactly", "the classes in reverse order"
    return enclosed(name, over=over, wrong=True, mistake=mistake)(jacobian)


@enclosed("Eq. (7) against the loss's own gradient", over=all_points, wrong=-1, mistake="the sign reversed")
def gradient(point: NetworkAtPoint, factor: int = 1) -> Iterator[Sides]:
    """∇ = y(p_y − 1)(v₊ − v₋), coordinate by coordinate."""
    for s_a, differentiated in zip(point.s, point.gradient, strict=True):
        yield point.q * interval(-factor * point.sign * s_a), differentiated


@enclosed(
    "Eq. (7) against the loss's own Hessian",
    over=all_points,
    wrong=Fraction(101, 100),
    mistake="one per cent too much curvature",
)
def hessian(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """H = p_y(1 − p_y)(v₊ − v₋)(v₊ − v₋)ᵀ, entry by entry."""
    for s_a, row in zip(point.s, point.hessian, strict=True):
        for s_b, differentiated in zip(point.s, row, strict=True):
            yield point.p * point.q * interval(factor * s_a * s_b), differentiated


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "lemma-3.2-jacobian": (jacobian_check(points),),
    "lemma-3.2-gradient": (gradient,),
    "lemma-3.2-hessian": (hessian,),
}
"""The enclosed checks of each claim, by its id."""
