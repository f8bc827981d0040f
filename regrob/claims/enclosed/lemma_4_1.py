"""Lemma 4.1 in intervals: V, ∇ and H of three classes against forward-mode differentiation."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from regrob.claims.enclosed.lemma_3_2 import jacobian_check
from regrob.claims.enclosed.locally_affine import step_check
from regrob.claims.enclosure import EnclosedCheck, Enclosure, Sides, dot, enclosed, exp, interval, total
from regrob.claims.rational_networks import NetworkAtPoint, points


def three_classes() -> tuple[NetworkAtPoint, ...]:
    """Points of three classes."""
    return points(3)


def probabilities(point: NetworkAtPoint) -> list[Enclosure]:
    """The softmax."""
    return [1 / total(exp(other - z) for other in point.z) for z in point.z]


@enclosed(
    "V(p − y) against the loss's own gradient", over=three_classes, wrong=0, mistake="Vp, the label forgotten"
)
def gradient(point: NetworkAtPoint, label: int = 1) -> Iterator[Sides]:
    """∇ = V(p − y), coordinate by coordinate."""
    residual = [p - label * (k == point.y) for k, p in enumerate(probabilities(point))]
    for row, differentiated in zip(zip(*point.V, strict=True), point.gradient, strict=True):
        yield dot(residual, map(interval, row)), differentiated


@enclosed(
    "V(diag p − ppᵀ)Vᵀ against the loss's own Hessian",
    over=three_classes,
    wrong=Fraction(99, 100),
    mistake="one per cent of ppᵀ forgotten",
)
def hessian(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """H = V(diag p − ppᵀ)Vᵀ, entry by entry."""
    p = probabilities(point)
    rows = [[interval(v) for v in row] for row in zip(*point.V, strict=True)]
    for row, differentiated in zip(rows, point.hessian, strict=True):
        for other, entry in zip(rows, differentiated, strict=True):
            second = dot(p, [v * w for v, w in zip(row, other, strict=True)])
            yield second - interval(factor) * dot(p, row) * dot(p, other), entry


@enclosed(
    "the sum over pairs against the loss's own Hessian",
    over=three_classes,
    wrong=Fraction(101, 100),
    mistake="one per cent more",
)
def pairs(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """H = Σ_{i<j} p_i p_j (v_i − v_j)(v_i − v_j)ᵀ, entry by entry."""
    weighted = list(combinations(zip(probabilities(point), point.V, strict=True), 2))
    for a, row in enumerate(point.hessian):
        for b, entry in enumerate(row):
            terms = (p * q * interval((v[a] - w[a]) * (v[b] - w[b])) for (p, v), (q, w) in weighted)
            yield interval(factor) * total(terms), entry


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "eq-14": (step_check(three_classes),),
    "lemma-4.1-jacobian": (jacobian_check(three_classes),),
    "lemma-4.1-gradient": (gradient,),
    "lemma-4.1-hessian": (hessian,),
    "lemma-4.1-pairs": (pairs,),
}
"""The enclosed checks of each claim, by its id."""
