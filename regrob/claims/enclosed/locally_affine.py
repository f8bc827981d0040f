"""The network as an affine map around a point, in exact fractions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from regrob.claims.enclosed.lemma_3_2 import jacobian_check
from regrob.claims.enclosure import EnclosedCheck, Sides, dot, enclosed
from regrob.claims.rational_networks import NetworkAtPoint, bias_free, points, with_biases


@enclosed(
    "the logits of a network without biases against Vᵀx",
    over=lambda: zip(bias_free(), with_biases(), strict=True),
    wrong=1,
    mistake="networks with biases",
)
def linear(pair: tuple[NetworkAtPoint, NetworkAtPoint], which: int = 0) -> Iterator[Sides]:
    """z = Vᵀx, V by the masked product."""
    point = pair[which]
    for column, z in zip(point.V, point.z, strict=True):
        yield dot(column, point.x), z


def neighbour(point: NetworkAtPoint) -> NetworkAtPoint:
    """The network at another point of Q(x), the first of x + r, x + r/2, … that is there."""
    size = Fraction(1)
    while True:
        moved = replace(point, x=tuple(x + size / (a + 2) for a, x in enumerate(point.x)))
        if moved.pattern == point.pattern:
            return moved
        size /= 2


def step(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """The logits at a neighbour against z + Vᵀr."""
    there = neighbour(point)
    r = [new - old for new, old in zip(there.x, point.x, strict=True)]
    for column, z, moved in zip(point.V, point.z, there.z, strict=True):
        yield factor * dot(column, r), moved - z


def step_check(over: Callable[[], Iterable[NetworkAtPoint]]) -> EnclosedCheck:
    """The network itself after a step inside Q(x), at these points."""
    name, mistake = "a step inside Q(x) moves the logits by Vᵀr, exactly", "one per cent more"
    return enclosed(name, over=over, wrong=Fraction(101, 100), mistake=mistake)(step)


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "eq-3": (linear,),
    "eq-5": (jacobian_check(points), step_check(points)),
}
"""The enclosed checks of each claim, by its id."""
