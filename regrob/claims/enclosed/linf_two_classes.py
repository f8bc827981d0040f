"""Two classes in the ℓ∞ ball in intervals: FGSM, Propositions 3.2 and 3.3 against every corner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from regrob.claims.enclosed.proposition_3_1 import radius, taylor_margin
from regrob.claims.enclosure import (
    EnclosedCheck,
    Enclosure,
    Sides,
    dot,
    enclosed,
    exp,
    interval,
    log,
    norm,
    power,
    total,
)
from regrob.claims.rational_networks import (
    NetworkAtPoint,
    all_points,
    corners,
    points,
    quadratic_form,
    sign,
    softplus,
    two_and_three_classes,
)

HAIR = Fraction(999, 1000)
"""Corners are tried a hair inside the box, where an inequality is strict."""


def one_norm(vector: Iterable[Enclosure]) -> Enclosure:
    """‖vector‖₁."""
    return total(abs(interval(x)) for x in vector)


def fgsm_corner(point: NetworkAtPoint) -> tuple[int, ...]:
    """sign(∇) with the oracle's ∇."""
    return tuple(map(sign, point.gradient))


def box(point: NetworkAtPoint, half_width: Enclosure) -> Iterator[list[Enclosure]]:
    """The 2ⁿ corners of a box."""
    return ([half_width * c for c in corner] for corner in corners(point.n))


# --- Eq. (2): the worst loss in a box --------------------------------------------------


def affine_loss(point: NetworkAtPoint, r: list[Fraction]) -> Enclosure:
    """The loss of the affine classifier after a step r, for any number of classes."""
    z = [interval(z + dot(v, r)) for v, z in zip(point.V, point.z, strict=True)]
    return log(1 + total(exp(z_k - z[point.y]) for k, z_k in enumerate(z) if k != point.y))


def reach(point: NetworkAtPoint) -> Fraction:
    """An ε that moves the margin by about 4."""
    size: Fraction = total(abs(v) for column in point.V for v in column)
    return 4 / size


@enclosed(
    "the true loss at every other corner against FGSM's",
    over=two_and_three_classes,
    relation="<=",
    wrong=1,
    mistake="three classes, where FGSM is not optimal",
)
def fgsm(pair: tuple[NetworkAtPoint, NetworkAtPoint], which: int = 0) -> Iterator[Sides]:
    """The loss at each other corner of a box against the loss at ε sign(∇)."""
    point = pair[which]
    epsilon, best = reach(point), fgsm_corner(point)
    worst = affine_loss(point, [epsilon * c for c in best])
    for corner in corners(point.n):
        if corner != best:
            yield affine_loss(point, [epsilon * c for c in corner]), worst


@enclosed(
    "the worst loss is log(1 + exp(−m + ε‖s‖₁))", over=all_points, wrong=norm, mistake="the ℓ2 norm of s"
)
def worst_loss(point: NetworkAtPoint, size: Callable[..., Enclosure] = one_norm) -> Iterator[Sides]:
    """The true loss at FGSM's corner against the closed form."""
    epsilon = reach(point)
    corner = [epsilon * c for c in fgsm_corner(point)]
    yield affine_loss(point, corner), softplus(interval(epsilon) * size(point.s) - interval(point.m))


# --- Eqs. (21), (22): a constraint on one number ---------------------------------------


@enclosed(
    "rᵀHr = (p/q)(∇ᵀr)² with the oracle's ∇ and H", over=all_points, wrong=-1, mistake="the odds upside down"
)
def constraint(point: NetworkAtPoint, direction: int = 1) -> Iterator[Sides]:
    """rᵀHr against (p/q)^±1 (∇ᵀr)², at steps along the axes and one across."""
    odds = exp(direction * point.m)
    steps = [tuple(int(a == c) for a in range(point.n)) for c in range(point.n)]
    for r in (*steps, tuple(range(1, point.n + 1))):
        yield quadratic_form(point.hessian, r), odds * dot(point.gradient, r) ** 2


# --- Proposition 3.2 -------------------------------------------------------------------


def radius_linf(point: NetworkAtPoint) -> Enclosure:
    """‖r̃*‖_∞ = τ/‖s‖₁."""
    return taylor_margin(point.p, point.q, point.xi) / one_norm(point.s)


@enclosed(
    "the corner of the box of that radius at sign(∇) reaches log 2",
    over=points,
    wrong=radius,
    mistake="the ℓ2 radius",
)
def threshold(
    point: NetworkAtPoint, half_width: Callable[[NetworkAtPoint], Enclosure] = radius_linf
) -> Iterator[Sides]:
    """The model at half_width · sign(∇) against ξ."""
    yield point.gain([half_width(point) * c for c in fgsm_corner(point)]), point.xi


@enclosed(
    "no corner of a box one per mille smaller does",
    over=points,
    relation="<=",
    wrong=1 / HAIR,
    mistake="a box one per mille larger",
)
def below_threshold(point: NetworkAtPoint, stretch: Fraction = HAIR) -> Iterator[Sides]:
    """The model at every corner of a box of `stretch` times that radius against ξ."""
    for corner in box(point, interval(stretch) * radius_linf(point)):
        yield point.gain(corner), point.xi


def literal_radius(point: NetworkAtPoint, p: Enclosure | None = None) -> Enclosure:
    """Eq. (23) through ‖∇‖₁, with p, or p_y if None, in place of p(x)."""
    rest = taylor_margin(point.p, point.q, point.xi) * point.p
    return point.q / (point.p if p is None else p) * rest / one_norm(point.gradient)


@enclosed(
    "the corner of the box of that radius at sign(∇), with p_y",
    over=points,
    wrong=lambda point: literal_radius(point, point.p if point.y == 0 else point.q),
    mistake="the first class's probability",
)
def literal_threshold(
    point: NetworkAtPoint, half_width: Callable[[NetworkAtPoint], Enclosure] = literal_radius
) -> Iterator[Sides]:
    """The model at half_width · sign(∇) against ξ, the radius written with ‖∇‖₁."""
    yield point.gain([half_width(point) * c for c in fgsm_corner(point)]), point.xi


# --- any norm (new) --------------------------------------------------------------------


def order_norm(vector: tuple[Enclosure, ...], order: Fraction) -> Enclosure:
    """‖vector‖ of an order above 1, for entries other than 0."""
    return power(total(power(abs(interval(x)), order) for x in vector), 1 / order)


@enclosed(
    "ℓ_{3/2}, ℓ2, ℓ3, ℓ4: a step of that length along the dual direction",
    over=points,
    wrong=False,
    mistake="the norm itself in place of its dual",
)
def dual_step(point: NetworkAtPoint, dual: bool = True) -> Iterator[Sides]:
    """A step of norm τ/‖s‖_* along the maximiser of ∇ᵀr reaches log 2, for four norms."""
    tau = taylor_margin(point.p, point.q, point.xi)
    for order in (Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4)):
        direction = tuple(sign(g) * power(abs(g), 1 / (order - 1)) for g in point.gradient)
        length = tau / order_norm(point.s, order / (order - 1) if dual else order)
        scale = length / order_norm(direction, order)
        yield point.gain([scale * d for d in direction]), point.xi


# --- Proposition 3.3: the worst case in the ball ---------------------------------------

EPSILONS = (Fraction(1, 100), Fraction(1), Fraction(30))


def eta(point: NetworkAtPoint, reach: Enclosure) -> Enclosure:
    """η* = L + q·reach + pq·reach²/2, where reach = ε‖s‖₁."""
    return softplus(-point.m) + point.q * reach + point.p * point.q * reach**2 / 2


def model(point: NetworkAtPoint, r: list[Enclosure]) -> Enclosure:
    """The loss's quadratic model with the oracle's L, ∇ and H."""
    return point.loss.value + point.gain(r)


@enclosed("η* is the model at ε sign(∇), any label", over=all_points, wrong=norm, mistake="the ℓ2 norm")
def worst_case(point: NetworkAtPoint, size: Callable[..., Enclosure] = one_norm) -> Iterator[Sides]:
    """η* against the model with the oracle's L, ∇ and H, for three ε."""
    for epsilon in EPSILONS:
        corner = [interval(epsilon * c) for c in fgsm_corner(point)]
        yield eta(point, interval(epsilon) * size(point.s)), model(point, corner)


@enclosed(
    "the model at no corner exceeds η*",
    over=all_points,
    relation="<=",
    wrong=Fraction(99, 100),
    mistake="ε one per cent smaller",
)
def within_worst_case(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """The model at every corner a hair inside the ball against η*, for three ε."""
    for epsilon in EPSILONS:
        bound = eta(point, interval(factor * epsilon) * one_norm(point.s))
        for corner in box(point, interval(HAIR * epsilon)):
            yield model(point, corner), bound


@enclosed(
    "each link at steps inside the ball, “≤” throughout",
    over=all_points,
    relation="<=",
    wrong=True,
    mistake="“=” as printed",
)
def chain(point: NetworkAtPoint, equality: bool = False) -> Iterator[Sides]:
    """The links of Eq. (24) with ε = 1, at steps r of the ball; where it prints “=”, “≥” must hold too."""
    one = one_norm(point.gradient)

    def line(size: Enclosure) -> Enclosure:
        return size * one + point.p / (2 * point.q) * (size * one) ** 2

    for step in corners(point.n):
        r = [interval(Fraction(c, a + 2)) for a, c in enumerate(step)]  # ‖r‖_∞ = 1/2
        first, second, third = point.gain(r), line(interval(Fraction(1, 2))), line(interval(1))
        yield first, second
        yield (third, second) if equality else (second, third)


# --- what η* does not bound (new) ------------------------------------------------------


@enclosed(
    "η* against the exact worst loss up to ε‖s‖₁ = 2m",
    over=points,
    relation="<=",
    wrong=(Fraction(3),),
    mistake="a larger ε, where a parabola overtakes a line",
)
def true_loss(
    point: NetworkAtPoint, shares: tuple[Fraction, ...] = (Fraction(1, 1000), Fraction(1, 2), Fraction(1))
) -> Iterator[Sides]:
    """η* against log(1 + exp(−m + ε‖s‖₁)) where ε‖s‖₁ is a share of 2m."""
    for share in shares:
        reach = share * 2 * point.m
        yield eta(point, interval(reach)), softplus(reach - point.m)


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "eq-2-fgsm": (fgsm, worst_loss),
    "eq-22": (constraint,),
    "prop-3.2": (threshold, below_threshold),
    "eq-23": (literal_threshold,),
    "thm-any-norm": (dual_step,),
    "prop-3.3": (worst_case, within_worst_case),
    "eq-24": (chain,),
    "eq-25": (worst_case,),
    "thm-eta-below-true-loss": (true_loss,),
}
"""The enclosed checks of each claim, by its id."""
