"""Proposition 3.1 in intervals: the Taylor radius of two classes, how it grows, and the true margin beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from regrob.claims import enclosure, forward_mode
from regrob.claims.enclosure import EnclosedCheck, Enclosure, Sides, dot, enclosed, interval, norm
from regrob.claims.forward_mode import Jet
from regrob.claims.rational_networks import NetworkAtPoint, points

# --- Proposition 3.1 -------------------------------------------------------------------


def taylor_margin(p: Any, q: Any, xi: Any, sqrt: Callable[[Any], Any] = enclosure.sqrt) -> Any:
    """τ = (√(1 + 2pξ/q) − 1)/p, of intervals or, with `forward_mode.sqrt`, of jets."""
    return (sqrt(1 + 2 * p * xi / q) - 1) / p


def radius(point: NetworkAtPoint) -> Enclosure:
    """‖r*‖₂ = τ/ν."""
    return taylor_margin(point.p, point.q, point.xi) / point.nu


def printed_radius(point: NetworkAtPoint) -> Enclosure:
    """Eq. (8) as printed, with the −1 under the root."""
    return enclosure.sqrt(2 * point.p * point.xi / point.q) / (point.p * point.nu)


@enclosed(
    "a step of ‖r*‖ along ∇ reaches the threshold",
    over=points,
    wrong=printed_radius,
    mistake="Eq. (8) as printed",
)
def threshold(
    point: NetworkAtPoint, radius: Callable[[NetworkAtPoint], Enclosure] = radius
) -> Iterator[Sides]:
    """Step by the radius along ∇: the loss's quadratic model must reach log 2."""
    length = radius(point) / norm(point.gradient)
    yield point.gain([length * g for g in point.gradient]), point.xi


@enclosed(
    "no step of that length in another direction does",
    over=points,
    relation="<=",
    wrong=Fraction(6, 5),
    mistake="steps a fifth longer, some of which do",
)
def beyond_threshold(point: NetworkAtPoint, stretch: Fraction = Fraction(1)) -> Iterator[Sides]:
    """The model at length `stretch`·‖r*‖, in directions that lean towards ∇, −∇ and the axes, against log 2."""
    uphill = [g / norm(point.gradient) for g in point.gradient]
    for lean in (-3, 0, 3):
        for axis in range(point.n):
            direction = [lean * g + (a == axis) for a, g in enumerate(uphill)]
            length = interval(stretch) * radius(point)
            yield point.gain([length / norm(direction) * d for d in direction]), point.xi


# --- growth and convexity, over a whole range of probabilities -------------------------


def confidences(lowest: Fraction, step: Fraction) -> Callable[[], Iterator[Enclosure]]:
    """Intervals of p_y that cover all from `lowest` to 0.999: one ends where 1 − p_y has fallen by `step`."""

    def cells() -> Iterator[Enclosure]:
        q = 1 - lowest
        while q > Fraction(1, 1000):
            yield interval(1 - q, 1 - q * (1 - step))
            q = (q * (1 - step)).limit_denominator(10**6)

    return cells


def radius_of_confidence(p: Jet) -> Jet:
    """τ as a function of p_y."""
    tau: Jet = taylor_margin(p, 1 - p, forward_mode.log(2 * p), forward_mode.sqrt)
    return tau


@enclosed(
    "its derivative on all of 0.505 ≤ p_y ≤ 0.999",
    over=confidences(Fraction(505, 1000), Fraction(1, 40)),
    relation="<=",
    wrong=lambda p: radius_of_confidence(p) * (1 - p),
    mistake="a radius that shrinks like √q",
)
def growth(p: Enclosure, radius: Callable[[Jet], Jet] = radius_of_confidence) -> Iterator[Sides]:
    """0 ≤ dτ/dp for every p of an interval."""
    yield interval(0), forward_mode.derivatives(radius, p)[1]


@enclosed(
    "its second derivative on all of 0.6 ≤ p_y ≤ 0.999",
    over=confidences(Fraction(3, 5), Fraction(1, 100)),
    relation="<=",
    wrong=lambda p: forward_mode.sqrt(radius_of_confidence(p)),
    mistake="the radius's square root",
)
def convexity(p: Enclosure, radius: Callable[[Jet], Jet] = radius_of_confidence) -> Iterator[Sides]:
    """0 ≤ d²τ/dp² for every p of an interval."""
    yield interval(0), forward_mode.derivatives(radius, p)[2]


# --- New: the Taylor radius against the true margin ------------------------------------


@enclosed("d ≤ ‖r*‖", over=points, relation="<=", wrong=True, mistake="the two exchanged")
def overshoot(point: NetworkAtPoint, exchanged: bool = False) -> Iterator[Sides]:
    """The true margin m/ν against the Taylor radius."""
    sides = (interval(point.m) / point.nu, radius(point))
    yield sides[::-1] if exchanged else sides


@enclosed(
    "a step of d ends on the boundary",
    over=points,
    wrong=Fraction(1001, 1000),
    mistake="a step one per mille longer",
)
def boundary(point: NetworkAtPoint, stretch: Fraction = Fraction(1)) -> Iterator[Sides]:
    """After a step of `stretch`·d along −s, against the label's sign, the two logits are equal."""
    length = interval(stretch * point.m) / point.nu
    r = [-point.sign * length * interval(s) / point.nu for s in point.s]
    plus, minus = (interval(z) + dot(map(interval, v), r) for v, z in zip(point.V, point.z, strict=True))
    scale = interval(max(map(abs, point.z)))  # the logits themselves may be small where they meet
    yield plus + scale, minus + scale


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "prop-3.1": (threshold, beyond_threshold),
    "eq-8": (threshold,),
    "remark-radius-monotone": (growth,),
    "thm-taylor-overshoots": (overshoot, boundary),
    "thm-radius-convex": (convexity,),
}
"""The enclosed checks of each claim, by its id."""
