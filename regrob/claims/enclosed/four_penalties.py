"""The four penalties in intervals: forms and chains against forward mode, slopes over whole ranges, Appendix G."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

from regrob.claims import enclosure, forward_mode
from regrob.claims.enclosed.proposition_3_1 import radius
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
    total,
)
from regrob.claims.forward_mode import Jet
from regrob.claims.rational_networks import (
    NetworkAtPoint,
    all_points,
    bias_free,
    cross_entropy,
    mistakes,
    points,
    quadratic_form,
    two_and_three_classes,
    with_biases,
)
from regrob.claims.statements.four_penalties import critical_points, printed_44, printed_45

# --- the eigenvector and Eq. (11) ------------------------------------------------------


def frobenius(point: NetworkAtPoint) -> Enclosure:
    """‖H‖_F of the oracle's H."""
    return norm(h for row in point.hessian for h in row)


@enclosed(
    "H∇ = ‖H‖_F ∇ with the oracle's ∇ and H", over=two_and_three_classes, wrong=1, mistake="three classes"
)
def eigenvector(pair: tuple[NetworkAtPoint, NetworkAtPoint], which: int = 0) -> Iterator[Sides]:
    """H∇ against ‖H‖_F ∇: no eigenvalue is larger than ‖H‖_F, so where they agree it is the first one, ‖H‖₂."""
    point = pair[which]
    for g, row in zip(point.gradient, point.hessian, strict=True):
        yield dot(row, point.gradient), frobenius(point) * g


@enclosed(
    "‖∇‖₂², ‖H‖₂, ‖H‖_F and ‖J‖_F² of the oracle",
    over=all_points,
    wrong=Fraction(1001, 1000),
    mistake="one per mille more",
)
def eq_11(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """The four against (1 − p)²ν², p(1 − p)ν² twice, and μ².

    ∇ᵀH∇/‖∇‖² ≤ ‖H‖₂ ≤ ‖H‖_F: where the outer two agree, all three do.
    """
    size = interval(factor) * point.nu**2
    squared = norm(point.gradient) ** 2
    yield point.q**2 * size, squared
    yield point.p * point.q * size, quadratic_form(point.hessian, point.gradient) / squared
    yield point.p * point.q * size, frobenius(point)
    yield factor * mu_squared(point.V), mu_squared(point.jacobian)


def mu_squared(columns: list[tuple[Fraction, ...]]) -> Fraction:
    """‖V‖_F²."""
    squared: Fraction = total(v**2 for column in columns for v in column)
    return squared


# --- the chain and Eq. (12) ------------------------------------------------------------


@enclosed(
    "both links with the oracle's J, ∇ and H, correctly classified",
    over=lambda: zip(points(), mistakes(), strict=True),
    relation="<=",
    wrong=1,
    mistake="misclassified points",
)
def chain(pair: tuple[NetworkAtPoint, NetworkAtPoint], which: int = 0) -> Iterator[Sides]:
    """‖∇‖₂² ≤ ‖H‖₂ ≤ ‖J‖_F²/2; ‖H‖₂ = ‖H‖_F here, by the eigenvector."""
    point = pair[which]
    yield norm(point.gradient) ** 2, frobenius(point)
    yield frobenius(point), interval(mu_squared(point.jacobian)) / 2


@enclosed(
    "the second link, any label",
    over=all_points,
    relation="<=",
    wrong=Fraction(5, 2),
    mistake="2/5 in place of 1/2",
)
def second_link(point: NetworkAtPoint, half: Fraction = Fraction(2)) -> Iterator[Sides]:
    """‖H‖₂ ≤ ‖J‖_F²/half."""
    yield frobenius(point), interval(mu_squared(point.jacobian) / half)


@enclosed(
    "both links in exact fractions",
    over=points,
    relation="<=",
    wrong=Fraction(11, 10),
    mistake="1.1 times the inner product",
)
def eq_12(point: NetworkAtPoint, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """ν²/2 ≤ ½‖v₊‖² + factor·|v₊ᵀv₋| + ½‖v₋‖² ≤ μ²."""
    mu2 = mu_squared(point.V)
    middle = mu2 / 2 + factor * abs(dot(*point.V))
    yield dot(point.s, point.s) / 2, middle
    yield middle, mu2


# --- Figure 3: which confidence each penalty looks at, in p_y and in m -----------------


@enclosed(
    "how steep both are, from p to the next p",
    over=lambda: range(20),
    relation="<=",
    wrong=0,
    mistake="p below 1/2 too",
)
def slopes(step: int, low: Fraction | int = Fraction(1, 2)) -> Iterator[Sides]:
    """(1 − p)² is less steep at the larger of two neighbours among 20 in (low, 1), p(1 − p) at the smaller."""

    def steepness(term: Callable[[Jet], Jet], p: Fraction) -> Enclosure:
        return abs(forward_mode.derivatives(term, p)[1])

    less, more = (low + (1 - low) * Fraction(count, 20) for count in (step, step + 1))
    yield steepness(lambda p: (1 - p) * (1 - p), more), steepness(lambda p: (1 - p) * (1 - p), less)
    yield steepness(lambda p: p * (1 - p), less), steepness(lambda p: p * (1 - p), more)


def curvature_factor(m: Jet) -> Jet:
    """p_y(1 − p_y) = 1/(2 + eᵐ + e⁻ᵐ) at the logit margin m."""
    return forward_mode.reciprocal(forward_mode.exp(m) + forward_mode.exp(-m) + 2)


def stretches(low: Fraction, high: Fraction, count: int) -> Iterator[Enclosure]:
    """Intervals of equal length that cover all from `low` to `high`."""
    length = (high - low) / count
    return (interval(low + i * length, low + (i + 1) * length) for i in range(count))


@enclosed(
    "the penalty's slope on all of 0.01 ≤ m ≤ 40",
    over=lambda: stretches(Fraction(1, 100), Fraction(40), 200),
    relation="<=",
    wrong=-1,
    mistake="misclassified points",
)
def reward(m: Enclosure, sign: int = 1) -> Iterator[Sides]:
    """d p_y(1 − p_y)/dm ≤ 0 for every margin of an interval."""
    yield forward_mode.derivatives(curvature_factor, sign * m)[1], interval(0)


@enclosed(
    "no margin is steeper", over=lambda: range(1, 120), relation="<=", wrong=True, mistake="a peak at p = 3/4"
)
def peak(tenth: int, moved: bool = False) -> Iterator[Sides]:
    """|d p_y(1 − p_y)/dm| at m = 0.1, 0.2, … 11.9 against its value at the claimed peak."""

    def steepness(m: Enclosure) -> Enclosure:
        return abs(forward_mode.derivatives(curvature_factor, m)[1])

    best = interval(Fraction(3, 4)) if moved else (3 + enclosure.sqrt(3)) / 6
    yield steepness(Fraction(tenth, 10)), steepness(log(best / (1 - best)))


# --- Appendix G: Eqs. (44), (45) -------------------------------------------------------


def gradient_slope(point: NetworkAtPoint) -> Enclosure:
    """∂‖∇_x L‖²/∂t at t = 1 where the network's logits are t·z: 2 Σ_a ∇_a ∂²L/∂x_a∂t by forward mode."""
    *x, t = forward_mode.variables((*point.x, Fraction(1)))
    loss = cross_entropy([t * z for z in point.logits(x)], point.y)
    return 2 * dot(loss.gradient[:-1], loss.hessian[-1][:-1])


@enclosed(
    "∇ differentiated in the scale of networks without biases",
    over=lambda: ((point, point.mislabelled) for point in bias_free()),
    wrong=1,
    mistake="misclassified points",
)
def eq_44(labels: tuple[NetworkAtPoint, NetworkAtPoint], which: int = 0) -> Iterator[Sides]:
    """ν ∂‖∇‖²/∂ν at fixed γ is t ∂/∂t of the scaled network's, against ν times Eq. (44) with γν = |m|."""
    point = labels[which]
    yield gradient_slope(point), point.nu**2 * printed_44(interval(abs(point.m)), 1, exp)


@enclosed(
    "‖H‖₂ = t²ν²p_y(1 − p_y) differentiated in the scale t, any label",
    over=all_points,
    wrong=1,
    mistake="the input gradient's slope",
)
def eq_45(point: NetworkAtPoint, which: int = 0) -> Iterator[Sides]:
    """ν ∂‖H‖₂/∂ν at fixed γ against ν times Eq. (45) with γν = |m|."""

    def penalty(t: Jet) -> Jet:
        return t * t * curvature_factor(t * interval(point.m))

    printed = (printed_45, printed_44)[which]
    yield forward_mode.derivatives(penalty, 1)[1], printed(interval(abs(point.m)), 1, exp)


# --- Appendix G: the critical points ---------------------------------------------------


def critical_point(which: int) -> Fraction:
    """νγ where Eq. (44) vanishes, or Eq. (45), to 15 digits: their signs on either side prove as much."""
    return Fraction(str(critical_points()[which].evalf(20)))


def around(root: Fraction) -> Iterator[tuple[Enclosure, Enclosure]]:
    """Intervals before and after a root that close in on it, from 1e-15 away to 10."""
    for digits in range(15, -1, -1):
        near, far = Fraction(1, 10**digits), Fraction(10, 10**digits)
        yield interval(max(root - far, Fraction(0)), root - near), interval(root + near, root + far)


def critical_check(which: int, slope: Callable[..., Enclosure]) -> EnclosedCheck:
    """A slope is positive before its critical point, from 0 on, and negative after it."""

    @enclosed(
        f"({44 + which}) changes sign there, on all of νγ ≤ 10 but 1e-15 either way",
        over=lambda: range(1),
        relation="<=",
        wrong=1 - which,
        mistake="the other critical point",
    )
    def check(_: int, root: int = which) -> Iterator[Sides]:
        for before, after in around(critical_point(root)):
            yield interval(0), slope(before, 1, exp)
            yield slope(after, 1, exp), interval(0)

    return check


# --- Appendix G: the Taylor radius as ν grows (new) ------------------------------------


@enclosed("twice the scale, a larger radius", over=points, relation="<=", wrong=True, mistake="a smaller one")
def growth(point: NetworkAtPoint, reverse: bool = False) -> Iterator[Sides]:
    """‖r*‖ with the logits of a network and with twice these, which leave γ = |m|/ν where it is."""
    sides = (radius(point), radius(point.scaled(2)))
    yield sides[::-1] if reverse else sides


# --- Appendix G: what νγ is, and what a small loss says about it (new) -----------------


@enclosed(
    "|sᵀx| against the logit of the oracle's p_y",
    over=lambda: zip(bias_free(), with_biases(), strict=True),
    wrong=1,
    mistake="networks with biases",
)
def confidence(pair: tuple[NetworkAtPoint, NetworkAtPoint], which: int = 0) -> Iterator[Sides]:
    """νγ against |log(p_y/(1 − p_y))|, where (1 − p)/p = e^L − 1."""
    point = pair[which]
    yield interval(abs(dot(point.s, point.x))), abs(log(exp(point.loss.value) - 1))


@enclosed(
    "p_y at both critical points, to four digits",
    over=lambda: enumerate((Fraction(7822, 10_000), Fraction(9168, 10_000))),
    relation="<=",
    wrong=Fraction(1, 10_000),
    mistake="the next number of four digits",
)
def critical_confidence(case: tuple[int, Fraction], shift: Fraction = Fraction(0)) -> Iterator[Sides]:
    """1/(1 + e^{−νγ}) within half a unit of the fourth digit."""
    which, shown = case
    root, error = critical_point(which), Fraction(1, 10**15)
    p = 1 / (1 + exp(-interval(root - error, root + error)))
    yield interval(shown + shift - Fraction(1, 20_000)), p
    yield p, interval(shown + shift + Fraction(1, 20_000))


def batches() -> Iterator[tuple[NetworkAtPoint, ...]]:
    """Neighbouring pairs of networks without biases, with right labels, and all of them with either label."""
    yield from pairwise(bias_free())
    yield (*bias_free(), *(point.mislabelled for point in bias_free()))


@enclosed(
    "the mean loss against the mean νγ",
    over=batches,
    relation="<=",
    wrong=Fraction(1, 2),
    mistake="half the loss",
)
def jensen(batch: tuple[NetworkAtPoint, ...], factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """−log(e^L − 1) for the oracle's mean loss L against the mean of |sᵀx|."""
    loss = interval(factor / len(batch)) * total(point.loss.value for point in batch)
    yield -log(exp(loss) - 1), interval(total(abs(dot(point.s, point.x)) for point in batch) / len(batch))


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    "remark-gradient-eigenvector": (eigenvector,),
    "eq-11": (eq_11,),
    "chain-binary": (chain, second_link),
    "eq-12": (eq_12,),
    "remark-fig3-slopes": (slopes,),
    "remark-curvature-confidence": (reward,),
    "thm-curvature-peak": (peak,),
    "eq-44": (eq_44,),
    "eq-45": (eq_45,),
    "remark-critical-points": (critical_check(0, printed_44), critical_check(1, printed_45)),
    "thm-radius-and-nu": (growth,),
    "thm-critical-confidence": (confidence, critical_confidence),
    "thm-loss-bounds-confidence": (jensen,),
}
"""The enclosed checks of each claim, by its id."""
