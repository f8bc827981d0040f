"""Proposition 4.1: Eqs. (17) and (37), and the two-sided bound that replaces it and Eq. (16).

Both of the paper's bounds have one shape, 2ξ/(a + √(a² + 2bξ)), which falls as a or b grows;
so each is true where a ≥ ‖∇‖₂ and b ≥ ‖H‖₂ (Eq. 33). What is at stake is b.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.many import (
    ARGMAX,
    MODEL,
    OFF_KINKS,
    Case,
    at,
    both,
    fixed,
    frobenius,
    gain,
    too_long,
    violation,
)
from regrob.claims.statements.many_norms import total_distance
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import bounds, taylor_radius

PAGE = "book/proposition_4_1"
Normalisation = Literal["ordered", "unordered", "mean"]


def nu_squared(V: Tensor, normalisation: Normalisation) -> Tensor:
    """Three readings of the paper's Σ‖v_i − v_j‖²/K²: (…).

    Args:
        normalisation: "ordered": all ordered pairs over K², as in [10] and in this package;
            "unordered": pairs i < j over K²; "mean": the average over the K(K−1) ordered pairs.
    """
    K, D = V.shape[-1], total_distance(V)
    return {"ordered": 2 * D / K**2, "unordered": D / K**2, "mean": 2 * D / (K * (K - 1))}[normalisation]


def bound_16(case: Case, normalisation: Normalisation = "ordered") -> Tensor:
    """Eq. (16) as printed, in the rationalised form: (T,)."""
    K = case.z.shape[-1]
    b = 0.5 * K * (K - 1) * case.p * case.q * nu_squared(case.V, normalisation)
    return taylor_radius.positive_root(2 * case.q * frobenius(case.V), b, case.xi)


def bound_17(case: Case) -> Tensor:
    """Eq. (17), in the rationalised form: (T,)."""
    mu = frobenius(case.V)
    return taylor_radius.positive_root(2 * case.q * mu, 2 * case.p * case.q * mu.square(), case.xi)


def lower(case: Case) -> Tensor:
    """The left end of Theorem `thm-two-sided`: (T,)."""
    return bounds.radius_l2_bracket(case.V, case.z, case.y).lower


def upper(case: Case) -> Tensor:
    """Its right end: (T,)."""
    return bounds.radius_l2_bracket(case.V, case.z, case.y).upper


# --- Eqs. (17) and (37) ----------------------------------------------------------------

P, Q, XI, MU = sp.symbols("p q xi mu", positive=True)


def root(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """(a/b)(√(1 + 2bξ/a²) − 1), the lower end of Eq. (33)."""
    return a / b * (sp.sqrt(1 + 2 * b * XI / a**2) - 1)


def prove_17(constant: int = 2) -> None:
    """Eq. (33)'s lower end at a = 2qμ, b = 2p_y qμ² is Eq. (17)."""
    printed = (sp.sqrt(1 + P * XI / Q) - 1) / (P * MU)
    prove_zero(root(2 * Q * MU, constant * P * Q * MU**2) - printed, because="Eq. (37)'s last step")


EQ_37 = Claim(
    id="eq-37",
    where="Appendix E, Eq. (37)",
    title="from the norms' bounds to the radius's",
    printed=r"\|\mathbf r^*\|_2 \ge \frac{2(1-p_y)\|V\|_F}{2p_y(1-p_y)\|V\|_F^2}\left(\sqrt{1+\frac{4p_y(1-p_y)\|V\|_F^2}{4(1-p_y)^2\|V\|_F^2}}-1\right) \ge \cdots",
    corrected=r"\|\mathbf r^*\|_2 \ge \frac{2q\|V\|_F}{2p_yq\|V\|_F^2}\left(\sqrt{1+\frac{4p_yq\|V\|_F^2\,\xi}{4q^2\|V\|_F^2}}-1\right) = \frac{1}{p_y\|V\|_F}\left(\sqrt{1+\frac{p_y\xi}{q}}-1\right)",
    text=Text.CORRECTED,
    transcription=True,  # ξ is missing under the first root
    hypotheses=(OFF_KINKS, ARGMAX, MODEL),
    depends=("eq-33", "eq-33-decreasing", "eq-34", "eq-36"),
    chapter=PAGE,
    derivation=Derivation(prove_17, lambda: prove_17(4), "‖H‖ ≤ 4p_y q‖V‖²"),
)


def _centred_pair(V: list[list[float]]) -> Callable[[], Tensor]:
    """How far Eq. (17) is from the exact radius at K = 2 and a margin of 60."""

    def gap() -> Tensor:
        case = at(V, [30.0, -30.0])
        return (1 - bound_17(case) / radii_exact(case)).abs()

    return gap


def radii_exact(case: Case) -> Tensor:
    """‖r*‖₂ at K = 2, or with one input: the root of the model along ∇, which is then exact."""
    return taylor_radius.positive_root(case.slope, case.bend, case.xi)


EQ_17 = Claim(
    id="prop-4.1-eq-17",
    where="Proposition 4.1, Eq. (17)",
    title="a lower bound by the Lipschitz constant",
    printed=r"\|\mathbf r^*\|_2 \ge \frac{1}{p_y\|V\|_F}\left(\sqrt{1+\frac{p_y\xi}{1-p_y}}-1\right)",
    hypotheses=(OFF_KINKS, ARGMAX, MODEL, "ξ = log(K p_y)", "V ≠ 0"),
    depends=("eq-37",),
    chapter=PAGE,
    derivation=Derivation(prove_17, lambda: prove_17(4), "‖H‖ ≤ 4p_y q‖V‖²"),
    checks=(
        *both(
            "no step as short as Eq. (17) reaches ξ",
            lambda c: too_long(c, bound_17(c)),
            lambda c: too_long(
                c,
                taylor_radius.positive_root(c.q * frobenius(c.V), c.p * c.q * frobenius(c.V).square(), c.xi),
            ),
            "‖∇‖ ≤ q‖V‖_F and ‖H‖ ≤ p_y q‖V‖_F², half of Eqs. (34) and (36)",
        ),
        Check(
            "the constant cannot be raised: ratio → 1 at V = (½, −½)",
            fixed(_centred_pair([[0.5, -0.5]])),
            fixed(_centred_pair([[1.0, 0.0]])),
            "V = (1, 0)",
            tolerance=1e-6,
        ),
    ),
)

# --- the bound that replaces both ------------------------------------------------------


def prove_two_sided(bracket: int = 2) -> None:
    """Insert the sharp norms into Eq. (33)'s lower end; solve the model's minorant for the upper."""
    W, c, s = sp.symbols("W c s", positive=True)
    B = sp.sqrt(1 + bracket * P * XI / Q) - 1
    claimed = sp.sqrt(Q / c) * B / (P * W)
    prove_zero(root(sp.sqrt(Q * c) * W, P * c * W**2) - claimed, because="c cancels under the root")
    prove_zero(claimed.subs(c, 2 * Q) - B / (sp.sqrt(2) * P * W), because="c = 2q")
    prove_zero(claimed.subs(c, 1) - sp.sqrt(Q) * B / (P * W), because="c = 1")
    # H ⪰ (p/q)∇∇ᵀ: along ∇ the model is at least s + (p/2q)s², s = ∇ᵀr, which is ξ at s = (q/p)B.
    prove_zero((s + P * s**2 / (2 * Q) - XI).subs(s, Q / P * B), because="the upper end reaches ξ")


def _along(case: Case, length: Tensor) -> Tensor:
    """By how much a step of this length along ∇ stays short of ξ, relative to ξ."""
    step = case.gradient / case.slope.unsqueeze(-1) * length.unsqueeze(-1)
    return (case.xi - gain(case, step)) / case.xi


def _limit(tail: float) -> Tensor:
    """K = 4, V = (½, −½, 0, 0): both ends meet as the last two classes become improbable."""
    case = at([[0.5, -0.5, 0.0, 0.0]], [2.0, -2.0, -tail, -tail])
    return upper(case) / lower(case) - 1


TWO_SIDED = Claim(
    id="thm-two-sided",
    where="new",
    title="the radius between two closed forms",
    printed=(
        r"\max\!\left(\tfrac1{\sqrt2},\sqrt q\right)\frac{B}{p_y\|VC\|_2} \le \|\mathbf r^*\|_2 \le "
        r"\frac{B}{p_y\|\mathbf v_y-\mathbf u\|_2},\quad B = \sqrt{1+\tfrac{2p_y\xi}{q}}-1,\ "
        r"\mathbf u = \tfrac1q\sum_{j\ne y}p_j\mathbf v_j"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ARGMAX, MODEL, "∇ ≠ 0"),
    depends=("eq-33", "eq-33-decreasing", "thm-sharp-norms", "thm-loewner"),
    chapter=PAGE,
    derivation=Derivation(prove_two_sided, lambda: prove_two_sided(1), "pξ/q under the root"),
    checks=(
        *both(
            "no step as short as the lower end reaches ξ",
            lambda c: too_long(c, lower(c)),
            lambda c: too_long(c, 1.01 * lower(c)),
            "one per cent longer",
        ),
        *both(
            "a step of the upper end along ∇ does",
            lambda c: _along(c, upper(c)),
            lambda c: _along(c, 0.99 * upper(c)),
            "one per cent shorter",
        ),
        *both(
            "equal ends at K = 2",
            lambda c: (upper(c) / lower(c) - 1).abs(),
            lambda c: (upper(c) / (2**0.5 * lower(c)) - 1).abs(),
            "the factor 1/√2 forgotten",
            classes=(2,),
        ),
        Check(
            "the ends meet in a limit at K = 4 too",
            fixed(lambda: _limit(40.0)),
            fixed(lambda: _limit(3.0)),
            "rivals that are not improbable",
        ),
    ),
)


def prove_dominates(factor: int = 2) -> None:
    """√(qc)W ≤ 2qμ and p_y cW² ≤ 2p_y qμ², as c ≤ 2q and W ≤ μ: the smaller pair wins.

    Eq. (16) has the same a; its b is at least p_y cW² too, as D = K‖VC‖_F² ≥ KW² and K ≥ 3.
    """
    W, rest, spare = sp.symbols("W rest spare", nonnegative=True)  # μ² = W² + rest, c = 2q − spare
    mu2, c = W**2 + rest, factor * Q - spare
    prove_sign(
        4 * Q**2 * mu2 - Q * c * W**2,
        "nonnegative",
        certificate=((2 * Q**2 + Q * spare) * W**2 + 4 * Q**2 * rest),
    )
    prove_sign(2 * P * Q * mu2 - P * c * W**2, "nonnegative", certificate=P * (spare * W**2 + 2 * Q * rest))
    more, beyond = sp.symbols("more beyond", nonnegative=True)  # K = 3 + more, ‖VC‖_F² = W² + beyond
    K, D = 3 + more, (3 + more) * (W**2 + beyond)
    prove_sign(
        K * (K - 1) * P * Q * (2 * D / K**2) / 2 - P * c * W**2,
        "nonnegative",
        certificate=P * (Q * more * W**2 + Q * (K - 1) * beyond + spare * W**2),
    )


DOMINATES = Claim(
    id="cor-dominates",
    where="new",
    title="the two-sided bound is never below Eq. (17), nor below Eq. (16) where that holds",
    printed=r"\text{Eqs. (16) [for } K \ge 3], (17) \le \max\!\left(\tfrac1{\sqrt2},\sqrt q\right)\frac{B}{p_y\|VC\|_2}",
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ARGMAX, "ν² over ordered pairs in Eq. (16)"),
    depends=("thm-two-sided", "thm-trace-bound", "eq-33-decreasing"),
    chapter=PAGE,
    derivation=Derivation(prove_dominates, lambda: prove_dominates(3), "c ≤ 3q"),
    checks=(
        *both(
            "Eq. (17) against the lower end",
            lambda c: violation(bound_17(c), lower(c)),
            lambda c: violation(2**0.5 * bound_17(c), lower(c)),
            "Eq. (17) raised by √2",
            classes=(2,),
        ),
        *both(
            "Eqs. (16) and (17) against the lower end, K ≥ 3",
            lambda c: torch.maximum(violation(bound_16(c), lower(c)), violation(bound_17(c), lower(c))),
            lambda c: violation(bound_16(c), lower(c) / 2**0.5),
            "the lower end divided by √2",
            classes=(3, 4, 5, 10),
        ),
    ),
)

CLAIMS = (EQ_37, EQ_17, TWO_SIDED, DOMINATES)
"""Eq. (16) has a module of its own, `eq_16`."""
