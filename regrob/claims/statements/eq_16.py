"""Equation (16) under three readings of ν², Eq. (38), and which of the two bounds is tighter."""

from __future__ import annotations

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.many import (
    ARGMAX,
    MODEL,
    OFF_KINKS,
    ORDERED,
    Case,
    both,
    frobenius,
    over_random,
    pair_sum,
    too_long,
    violation,
)
from regrob.claims.statements.prop_4_1 import (
    MU,
    PAGE,
    XI,
    Normalisation,
    P,
    Q,
    bound_16,
    bound_17,
    root,
)
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import taylor_radius


def prove_16(fewest: int, pairs: int = 2) -> None:
    """K ≥ `fewest` makes ½K(K−1)p_y qν² at least the sharp (2/K)p_y qD; ν² = pairs·D/K²."""
    more = sp.Symbol("more", nonnegative=True)
    K, D = fewest + more, sp.Symbol("D", positive=True)
    nu2 = pairs * D / K**2
    b = K * (K - 1) * P * Q * nu2 / 2
    printed = (
        4 * MU / (K * (K - 1) * P * nu2) * (sp.sqrt(1 + K * (K - 1) * P * nu2 * XI / (4 * Q * MU**2)) - 1)
    )
    prove_zero(root(2 * Q * MU, b) - printed, because="Eq. (16) is Eq. (33)'s lower end")
    prove_sign(sp.factor(b - 2 / K * P * Q * D), "nonnegative")


def refute_16(
    case: tuple[sp.Expr, sp.Expr, sp.Expr], K: int, distance: sp.Expr, norm: sp.Expr, pairs: int
) -> tuple[sp.Expr, sp.Expr]:
    """(a step's length that reaches ξ along ∇, Eq. (16)'s bound), exact.

    Args:
        case: p_y, ‖∇‖², and ∇ᵀH∇/‖∇‖².
        K: number of classes.
        distance: D = Σ_{i<j} ‖v_i − v_j‖².
        norm: ‖V‖_F².
        pairs: 2 for ordered pairs, 1 for i < j.
    """
    p, slope2, bend = case
    q, xi, nu2 = 1 - p, sp.log(K * p), pairs * distance / K**2
    slope = sp.sqrt(slope2)
    step = slope / bend * (sp.sqrt(1 + 2 * bend * xi / slope2) - 1)
    k = sp.Integer(K * (K - 1)) * p * nu2
    bound = 4 * sp.sqrt(norm) / k * (sp.sqrt(1 + k * xi / (4 * q * norm)) - 1)
    return step, bound


def along_gradient(V: sp.Matrix, p: sp.Matrix) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(p_0, ‖∇‖², ∇ᵀH∇/‖∇‖²) at y = 0, exact."""
    g = V * (p - sp.Matrix([1] + [0] * (len(p) - 1)))
    H = V * (sp.diag(*p) - p * p.T) * V.T
    square = (g.T * g)[0]
    return p[0], square, (g.T * H * g)[0] / square


def distance_sum(V: sp.Matrix) -> sp.Expr:
    """D, exact."""
    K = V.cols
    return sum(((V[:, i] - V[:, j]).norm() ** 2 for i in range(K) for j in range(i + 1, K)), sp.S.Zero)


def instance_16(V: list[list[object]], p: list[object], pairs: int, text: str) -> Counterexample:
    """Eq. (16) against a step that reaches ξ, at exact V and p."""
    columns, weights = sp.Matrix(V), sp.Matrix(p)
    norm = sum((entry**2 for entry in columns), sp.S.Zero)
    step, bound = refute_16(
        along_gradient(columns, weights), columns.cols, distance_sum(columns), norm, pairs
    )
    return Counterexample(text, step, ">=", bound)


def counterexample_ordered() -> Counterexample:
    """K = 2, V = (½, −½), x = log 9: p = 9/10."""
    half, p = sp.Rational(1, 2), sp.Rational(9, 10)
    return instance_16(
        [[half, -half]],
        [p, 1 - p],
        2,
        r"K = 2,\ V = (\tfrac12, -\tfrac12),\ x = \log 9,\ p_y = \tfrac9{10},\ \nu^2 = \tfrac12:\ \|\mathbf r^*\|_2 \text{ against Eq. (16)}",
    )


def counterexample_unordered(classes: int = 4) -> Counterexample:
    """i < j over K²: V = (½, −½) in the first input, the other classes in the second."""
    half, tenth = sp.Rational(1, 2), sp.Rational(-1, 10)
    others = classes - 2
    V = [[half, -half] + [0] * others, [0, 0] + [tenth] * others]
    tail = sp.Rational(1, 10**6)
    second = sp.Rational(1, 1000) - others * tail
    return instance_16(
        V,
        [sp.Rational(999, 1000), second] + [tail] * others,
        1,
        rf"K = {classes},\ V = \begin{{pmatrix}} \tfrac12 & -\tfrac12 & 0 & \cdots \\ 0 & 0 & -\tfrac1{{10}} & \cdots \end{{pmatrix}},\ p_0 = \tfrac{{999}}{{1000}},\ p_2 = \cdots = 10^{{-6}}: \text{{ a step that reaches }} \xi \text{{ against Eq. (16)}}",
    )


def _reading(normalisation: Normalisation, fewest: tuple[int, ...], wrong: int) -> tuple[Check, ...]:
    return (
        *both(
            f"no step as short as Eq. (16) reaches ξ, K in {fewest}",
            lambda c: too_long(c, bound_16(c, normalisation)),
            lambda c: too_long(c, 2 * bound_16(c, normalisation)),
            "twice as long",
            classes=fewest,
        ),
        Check(
            f"Eq. (16) fails at K = {wrong}",
            over_random(lambda c: 1e-3 - too_long(c, bound_16(c, normalisation)).amax(), (wrong,)),
            over_random(lambda c: 1e-3 - too_long(c, bound_16(c, normalisation)).amax(), (fewest[0],)),
            f"K = {fewest[0]}, where it does not",
        ),
    )


PRINTED_16 = r"\|\mathbf r^*\|_2 \ge \frac{4\|V\|_F}{K(K-1)p_y\nu^2}\left(\sqrt{1+\frac{K(K-1)p_y\nu^2\xi}{4(1-p_y)\|V\|_F^2}}-1\right)"

EQ_16 = Claim(
    id="prop-4.1-eq-16",
    where="Proposition 4.1, Eq. (16), ν² over ordered pairs",
    title="a lower bound by the cross-Lipschitz constant",
    printed=PRINTED_16,
    corrected=PRINTED_16 + r"\quad\text{for } K \ge 3",
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, ARGMAX, MODEL, ORDERED, "ν > 0", "K ≥ 3 (printed: K ≥ 2)"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "thm-trace-bound"),
    chapter=PAGE,
    derivation=Derivation(lambda: prove_16(3), lambda: prove_16(2), "K ≥ 2"),
    checks=_reading("ordered", (3, 4, 5, 10), 2),
    counterexample=counterexample_ordered,
    partly=True,
    expected=Verdict.PARTLY,
)

EQ_16_UNORDERED = Claim(
    id="prop-4.1-eq-16-unordered",
    where="Proposition 4.1, Eq. (16), ν² over pairs i < j",
    title="the same with each pair counted once",
    printed=PRINTED_16,
    corrected=PRINTED_16 + r"\quad\text{for } K \ge 5",
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, ARGMAX, MODEL, "ν² = Σ_{i<j} ‖v_i − v_j‖² / K² > 0", "K ≥ 5 (printed: K ≥ 2)"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "thm-trace-bound"),
    chapter=PAGE,
    derivation=Derivation(lambda: prove_16(5, 1), lambda: prove_16(4, 1), "K ≥ 4"),
    checks=_reading("unordered", (5, 10), 2),
    counterexample=counterexample_unordered,
    partly=True,
    expected=Verdict.PARTLY,
)

EQ_16_MEAN = Claim(
    id="prop-4.1-eq-16-mean",
    where="Proposition 4.1, Eq. (16), ν² the mean over K(K − 1) ordered pairs",
    title="the normalisation that makes the algebra work",
    printed=PRINTED_16,
    corrected=PRINTED_16 + r",\quad \nu^2 := \frac{1}{K(K-1)}\sum_{i\ne j}\|\mathbf v_i-\mathbf v_j\|_2^2",
    text=Text.RESTATED,
    hypotheses=(OFF_KINKS, ARGMAX, MODEL, "ν² = Σ_{i≠j} ‖v_i − v_j‖² / (K(K − 1)) > 0"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "thm-trace-bound"),
    chapter=PAGE,
    derivation=Derivation(lambda: prove_mean(2), lambda: prove_mean(1), "pairs i < j over K(K − 1)"),
    checks=both(
        "no step as short as Eq. (16) reaches ξ",
        lambda c: too_long(c, bound_16(c, "mean")),
        lambda c: too_long(c, 2 * bound_16(c, "mean")),
        "twice as long",
    ),
)


def prove_mean(pairs: int) -> None:
    """With ν² = pairs·D/(K(K−1)), Eq. (43)'s middle is (pairs/2)·p_y qD ≥ (2/K)p_y qD for K ≥ 2."""
    more, D = sp.Symbol("more", nonnegative=True), sp.Symbol("D", positive=True)
    K = 2 + more
    b = K * (K - 1) * P * Q * (pairs * D / (K * (K - 1))) / 2
    prove_sign(sp.factor(b - 2 / K * P * Q * D), "nonnegative")


def counterexample_38() -> Counterexample:
    """K = 2, V = (½, −½), p = 9/10: the second ≥ of Eq. (38), b = p_y q/2 against p_y q."""
    p, norm, K = sp.Rational(9, 10), sp.Rational(1, 2), 2
    q, xi, nu2 = 1 - p, sp.log(K * p), sp.Rational(1, 2)
    a, b = 2 * q * sp.sqrt(norm), p * q
    middle = a / b * (sp.sqrt(1 + 2 * b * xi / a**2) - 1)
    k = K * (K - 1) * p * nu2
    last = 4 * sp.sqrt(norm) / k * (sp.sqrt(1 + k * xi / (4 * q * norm)) - 1)
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ p_y = \tfrac9{10}: \text{ Eq. (38)'s middle against its last line}",
        middle,
        ">=",
        last,
    )


def middle_38(case: Case) -> Tensor:
    """Eq. (38)'s first line with the −1 outside the root: (T,)."""
    return taylor_radius.positive_root(2 * case.q * frobenius(case.V), pair_sum(case.V, case.z), case.xi)


EQ_38 = Claim(
    id="eq-38",
    where="Appendix E, Eq. (38)",
    title="from the sum over pairs to Eq. (16)",
    printed=(
        r"\|\mathbf r^*\|_2 \ge \frac{2(1-p_y)\|V\|_F}{S}\sqrt{1+\frac{2S\xi}{4(1-p_y)^2\|V\|_F^2}-1} "
        r"\ge \text{Eq. (16)},\ S = \sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2,\ "
        r"\nu := \sum\|\mathbf v_i-\mathbf v_j\|_2^2/K^2"
    ),
    corrected=(
        r"\text{the } {-1} \text{ outside the root (there the recovery may be at fault), } \nu^2 \text{ for } \nu, "
        r"\text{ and the second } \ge \text{ for } K \ge 3"
    ),
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, ARGMAX, MODEL, ORDERED, "K ≥ 3 in the second link"),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "eq-35", "thm-trace-bound"),
    chapter=PAGE,
    derivation=Derivation(lambda: prove_16(3), lambda: prove_16(2), "K ≥ 2 in the second link"),
    checks=(
        *both(
            "no step as short as the first line reaches ξ",
            lambda c: too_long(c, middle_38(c)),
            lambda c: too_long(c, 2 * middle_38(c)),
            "twice as long",
        ),
        *both(
            "the first line is at least Eq. (16)",
            lambda c: violation(bound_16(c), middle_38(c)),
            lambda c: violation(middle_38(c), bound_16(c)),
            "the two exchanged",
            classes=(3, 4, 5, 10),
        ),
    ),
    counterexample=counterexample_38,
    partly=True,
    expected=Verdict.PARTLY,
)

# --- which bound is tighter ------------------------------------------------------------


def prove_tighter(shift: int = 1) -> None:
    """K(K−1)ν²/4 = (K−1)/2·(‖V‖_F² − K‖v̄‖²), v̄ = V1/K, for every n and K."""
    K = sp.Symbol("K", positive=True)
    a_i, a_j = sp.symbols("a_i a_j")

    def moment(power: int) -> sp.Expr:
        return K if power == 0 else sp.Symbol(f"S{power}")

    D = sum_over(sum_over((a_i - a_j) ** 2 / 2, moment, a_j), moment, a_i)
    left = K * (K - 1) * (2 * D / K**2) / 4
    prove_zero(left - (K - shift) / 2 * (moment(2) - K * (moment(1) / K) ** 2), because="row by row")


def _tighter_excess(case: Case, turn: int) -> Tensor:
    """The tighter bound must be the one that the sign of ‖V‖_F² − K(K−1)ν²/4 names."""
    K = case.z.shape[-1]
    mean = case.V.mean(dim=-1).square().sum(dim=-1)
    square = frobenius(case.V).square()
    sign = (square - 0.5 * (K - turn) * (square - K * mean)) / square
    gap = (bound_16(case) - bound_17(case)) / bound_17(case)
    decided = sign.abs() > 1e-9
    return torch.where(decided, -sign.sign() * gap, torch.zeros_like(gap))


TIGHTER = Claim(
    id="remark-which-bound",
    where="Appendix E, below Eq. (38)",
    title="which of Eqs. (16) and (17) is tighter",
    printed=r"K(K-1)\nu^2/4 \text{ and } \|V\|_F^2 \text{ are hard to compare, so it is uncertain which bound is tighter}",
    corrected=(
        r"\tfrac{K(K-1)}4\nu^2 = \tfrac{K-1}2\left(\|V\|_F^2-K\|\bar{\mathbf v}\|_2^2\right): "
        r"\text{ Eq. (16) is tighter iff } (K-1)\left(\|V\|_F^2-K\|\bar{\mathbf v}\|_2^2\right) < 2\|V\|_F^2; "
        r"\text{ always at least as tight for } K \le 3"
    ),
    text=Text.RESTATED,
    hypotheses=(ORDERED, "v̄ = V1/K, the plain mean of the columns"),
    depends=("prop-4.1-eq-16", "prop-4.1-eq-17"),
    chapter=PAGE,
    derivation=Derivation(prove_tighter, lambda: prove_tighter(2), "K − 2 for K − 1"),
    checks=both(
        "the identity's sign names the tighter bound",
        lambda c: _tighter_excess(c, 1),
        lambda c: _tighter_excess(c, 2),
        "K − 2 for K − 1",
        classes=(3, 4, 5, 10),
    ),
)

CLAIMS = (EQ_16, EQ_16_UNORDERED, EQ_16_MEAN, EQ_38, TIGHTER)
"""Eq. (16) under its three readings, Eq. (38), and the comparison."""
