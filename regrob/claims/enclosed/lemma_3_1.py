"""Lemma 3.1 with two classes in intervals: the threshold log 2, and the two roots that are one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from regrob.claims.enclosed.four_penalties import frobenius
from regrob.claims.enclosed.proposition_3_1 import radius
from regrob.claims.enclosure import EnclosedCheck, Sides, enclosed, log, norm, sqrt
from regrob.claims.rational_networks import NetworkAtPoint, all_points, points


@enclosed(
    "L ≤ log 2 where and only where y has the larger logit",
    over=all_points,
    relation="<=",
    wrong=3,
    mistake="the threshold log 3",
)
def threshold(point: NetworkAtPoint, count: int = 2) -> Iterator[Sides]:
    """The oracle's loss and log `count`, the one that should be the smaller on the left."""
    sides = (point.loss.value, log(count))
    yield sides if point.is_correct else sides[::-1]


@enclosed(
    "the lower root with the oracle's ∇ and H is the radius",
    over=points,
    wrong=Fraction(101, 100),
    mistake="one per cent too much curvature",
)
def collapse(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """2ξ/(‖∇‖ + √(‖∇‖² + 2‖H‖ξ)) against Proposition 3.1's radius; ‖H‖₂ = ‖H‖_F here, by the eigenvector."""
    slope, curvature = norm(point.gradient), frobenius(point) * factor.numerator / factor.denominator
    yield 2 * point.xi / (slope + sqrt(slope**2 + 2 * curvature * point.xi)), radius(point)


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "remark-beta": (threshold,),
    "lemma-3.1-collapse": (collapse,),
}
"""The enclosed checks of each claim, by its id."""
