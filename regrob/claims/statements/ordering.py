"""How the penalties are ordered: Eqs. (41) to (43), the chains, and what is true in their place."""

from __future__ import annotations

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.many import (
    ARGMAX,
    OFF_KINKS,
    ORDERED,
    Case,
    both,
    frobenius,
    pair_sum,
    violation,
)
from regrob.claims.statements.loewner import prove_ordering, prove_third
from regrob.claims.statements.many_norms import prove_bend_crude
from regrob.claims.statements.prop_4_1 import nu_squared
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import bounds, derivatives

PAGE = "book/ordering"
P, Q = sp.symbols("p q", positive=True)


def prove_quarter(parts: int = 4) -> None:
    """p(1 − p) ≤ ¼, the slack being (p − ½)²."""
    p = sp.symbols("p", real=True)
    prove_sign(sp.Rational(1, parts) - p * (1 - p), "nonnegative", certificate=(p - sp.Rational(1, 2)) ** 2)


def prove_41(parts: int = 4) -> None:
    """Eq. (36), then p(1 − p) ≤ ¼."""
    prove_bend_crude()
    prove_quarter(parts)


EQ_41 = Claim(
    id="eq-41",
    where="Appendix E, Eq. (41)",
    title="the curvature is at most half the Jacobian penalty",
    printed=r"\|H\|_2 \le 2p_y(1-p_y)\|V\|_F^2 \le \tfrac12\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX, "the outer inequality ‖H‖₂ ≤ ½‖V‖_F² needs no label"),
    depends=("eq-36", "cor-ordering"),
    chapter=PAGE,
    derivation=Derivation(prove_41, lambda: prove_41(5), "p(1 − p) ≤ 1/5"),
    checks=(
        *both(
            "both links",
            lambda c: torch.maximum(
                violation(c.bend, 2 * c.p * c.q * frobenius(c.V).square()), c.p * c.q - 0.25
            ),
            lambda c: violation(c.bend, c.p * c.q * frobenius(c.V).square()),
            "p_y q‖V‖_F², without the factor 2",
        ),
        *both(
            "‖H‖₂ ≤ ½‖V‖_F² for any label",
            lambda c: violation(c.bend, 0.5 * frobenius(c.V).square()),
            lambda c: violation(c.bend, 2 * c.p * c.q * frobenius(c.V).square()),
            "the first link for any label",
            correct=False,
        ),
    ),
)

# --- Eq. (42) --------------------------------------------------------------------------


def prove_42(weight: int = 1) -> None:
    """rᵀHr − p_y(r·(v_y − v̄))² is the sum of the other classes' squares; ∇ = v̄ − v_y."""
    p_k = sp.symbols("p_k", positive=True)
    a_k, mean, a_y = sp.symbols("a_k mean a_y", real=True)
    prove_sign(p_k * (a_k - mean) ** 2, "nonnegative")
    prove_zero(P * (a_y - mean) ** 2 - weight * P * (mean - a_y) ** 2, because="∇ = v̄ − v_y")
    half = sp.Symbol("half", nonnegative=True)  # p_y = ½ + half
    prove_sign((P - sp.Rational(1, 2)).subs(P, sp.Rational(1, 2) + half), "nonnegative")


def instance_42() -> tuple[sp.Expr, sp.Expr]:
    """K = 4, V = (1, 0, 0, 0), x = log 6/5: (‖H‖₂, ‖∇‖₂²), exact."""
    weight = sp.exp(sp.log(sp.Rational(6, 5)))  # e^x against 1, 1, 1
    p = weight / (weight + 3)
    return p * (1 - p), (1 - p) ** 2


def counterexample_42() -> Counterexample:
    """p = 2/7: H = 10/49 = 20/98, but ‖∇‖²/2 = 25/98."""
    bend, square = instance_42()
    return Counterexample(
        r"K = 4,\ V = (1,0,0,0),\ x = \log\tfrac65,\ p_y = \tfrac27:\ \|H\|_2 \text{ against } \tfrac12\|\nabla\|_2^2",
        bend,
        ">=",
        square / 2,
    )


EQ_42 = Claim(
    id="eq-42",
    where="Appendix E, Eq. (42)",
    title="the curvature against the input-gradient penalty",
    printed=(
        r"\|H\|_2 = \left\|\sum p_i(\mathbf v_i-\bar{\mathbf v})(\mathbf v_i-\bar{\mathbf v})^T\right\|_2 "
        r"\ge p_y\|\mathbf v_y-\bar{\mathbf v}\|_2^2 \ge p_y\|\nabla\|_2^2 \ge \tfrac12\|\nabla\|_2^2"
    ),
    corrected=(
        r"\|H\|_2 \ge p_y\|\mathbf v_y-\bar{\mathbf v}\|_2^2 = p_y\|\nabla\|_2^2, "
        r"\text{ and } \ge \tfrac12\|\nabla\|_2^2 \text{ where } p_y \ge \tfrac12"
    ),
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, "any label in the first links", "p_y ≥ 1/2 in the last"),
    depends=("lemma-4.1-pairs", "lemma-4.1-gradient"),
    chapter=PAGE,
    derivation=Derivation(prove_42, lambda: prove_42(2), "twice ‖∇‖²"),
    checks=(
        *both(
            "‖H‖ ≥ p_y‖∇‖², any label",
            lambda c: violation(c.p * c.slope.square(), c.bend),
            lambda c: violation(c.slope.square(), c.bend),
            "‖∇‖² itself",
            correct=False,
        ),
        *both(
            "‖H‖ ≥ ½‖∇‖² where p_y ≥ ½",
            lambda c: torch.where(c.p >= 0.5, violation(0.5 * c.slope.square(), c.bend), -1.0),
            lambda c: violation(0.5 * c.slope.square(), c.bend),
            "any p_y and any label",
            correct=False,
        ),
    ),
    counterexample=counterexample_42,
    partly=True,
    expected=Verdict.PARTLY,
)

# --- the chains ------------------------------------------------------------------------


def counterexample_main() -> Counterexample:
    """K = 2, V = (¼, −¼), p = ¾: ‖∇‖/2 = 1/16 against ‖H‖ = 3/64."""
    p, s = sp.Rational(3, 4), sp.Rational(1, 2)
    return Counterexample(
        r"K = 2,\ V = (\tfrac14,-\tfrac14),\ x = 2\log 3,\ p_y = \tfrac34:\ \tfrac12\|\nabla\|_2 \text{ against } \|H\|_2",
        (1 - p) * s / 2,
        "<=",
        p * (1 - p) * s**2,
    )


CHAIN_MAIN = Claim(
    id="chain-section-4",
    where="Section 4, below Eq. (17)",
    title="the chain in the main text, its squares lost",
    printed=r"\|\nabla\|_2/2 \le \|H\|_2 \le \|V\|_F/2",
    corrected=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac12\|VC\|_2^2 \le \tfrac12\|V\|_F^2",
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, ARGMAX + " (left link only)"),
    transcription=True,  # Appendix E quotes this chain with its squares
    depends=("cor-ordering",),
    chapter=PAGE,
    derivation=Derivation(prove_ordering, lambda: prove_ordering(3), "a third for a half"),
    checks=both(
        "the corrected chain",
        lambda c: _chain(c, c.z.shape[-1] - 1.0),
        lambda c: violation(0.5 * c.slope, c.bend),
        "the left link as printed",
    ),
    counterexample=counterexample_main,
    expected=Verdict.FAILS,
)


def _chain(case: Case, divisor: float) -> Tensor:
    """‖∇‖²/divisor ≤ ‖H‖ ≤ ½‖VC‖² ≤ ½‖V‖_F², the worst link."""
    top = 0.5 * bounds.centred_norm(case.V).square()
    links = (
        violation(case.slope.square() / divisor, case.bend),
        violation(case.bend, top),
        violation(top, 0.5 * frobenius(case.V).square()),
    )
    return torch.stack(links).amax(dim=0)


CHAIN_APPENDIX = Claim(
    id="chain-appendix-e",
    where="Appendix E, above Eq. (41)",
    title="the chain with its squares",
    printed=r"\|\nabla\|_2^2/2 \le \|H\|_2 \le \|V\|_F^2/2",
    corrected=r"\|\nabla\|_2^2/2 \le \|H\|_2 \text{ for every } V \text{ iff } p_y \ge \tfrac13;\ \|H\|_2 \le \tfrac12\|V\|_F^2 \text{ always}",
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, "left link: p_y ≥ 1/3, which the argmax has for K ≤ 3", "right link: any label"),
    depends=("eq-41", "cor-half"),
    chapter=PAGE,
    derivation=Derivation(prove_third, lambda: prove_third(4), "p_y ≥ 1/4 in the left link"),
    checks=(
        *both(
            "the left link where p_y ≥ 1/3, the right one always",
            lambda c: torch.maximum(
                torch.where(c.p >= 1 / 3, violation(0.5 * c.slope.square(), c.bend), -1.0),
                violation(c.bend, 0.5 * frobenius(c.V).square()),
            ),
            lambda c: violation(0.5 * c.slope.square(), c.bend),
            "the left link for any p_y",
            correct=False,
        ),
        both(
            "both links for K = 2 and 3, correctly classified",
            lambda c: _chain(c, 2.0),
            lambda c: _chain(c, 0.5),
            "four times the gradient penalty",
            classes=(2, 3),
        )[0],
    ),
    counterexample=counterexample_42,
    partly=True,
    expected=Verdict.PARTLY,
)

# --- Eq. (43) --------------------------------------------------------------------------


def prove_43(fewest: int = 3) -> None:
    """½K(K−1)p_y qν² − (2/K)p_y qD = p_y qD(K − 3)/K, with ν² = 2D/K²; then p(1 − p) ≤ ¼."""
    more, D = sp.Symbol("more", nonnegative=True), sp.Symbol("D", positive=True)
    K = fewest + more
    slack = K * (K - 1) * P * Q * (2 * D / K**2) / 2 - 2 / K * P * Q * D
    prove_sign(sp.factor(slack), "nonnegative")
    prove_quarter()


def counterexample_43() -> Counterexample:
    """K = 2, V = (½, −½), p = ¾: 3/16 against 3/32."""
    p, nu2 = sp.Rational(3, 4), sp.Rational(1, 2)
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ x = \log 3,\ p_y = \tfrac34,\ \nu^2 = \tfrac12:\ \|H\|_2 \text{ against } \tfrac12K(K-1)p_y(1-p_y)\nu^2",
        p * (1 - p),
        "<=",
        p * (1 - p) * nu2,
    )


def _middle_43(case: Case) -> Tensor:
    K = case.z.shape[-1]
    return 0.5 * K * (K - 1) * case.p * case.q * nu_squared(case.V, "ordered")


def _top_43(case: Case) -> Tensor:
    K = case.z.shape[-1]
    return 0.125 * K * (K - 1) * nu_squared(case.V, "ordered")


EQ_43 = Claim(
    id="eq-43",
    where="Appendix E, Eq. (43)",
    title="the curvature against the cross-Lipschitz penalty",
    printed=(
        r"\|H\|_2 \le \sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2 \le \tfrac12K(K-1)p_y(1-p_y)\nu^2 "
        r"\le \tfrac18K(K-1)\nu^2"
    ),
    corrected=r"\text{the same for } K \ge 3;\ \text{for all } K:\ \|H\|_2 \le \operatorname{tr}H \le K\,p_y(1-p_y)\,\nu^2 \le \tfrac K4\nu^2",
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED, "K ≥ 3 in the second link (printed: K ≥ 2)"),
    depends=("eq-35", "thm-trace-bound"),
    chapter=PAGE,
    derivation=Derivation(prove_43, lambda: prove_43(2), "K ≥ 2"),
    checks=(
        *both(
            "all three links, K ≥ 3",
            lambda c: torch.maximum(
                torch.maximum(
                    violation(c.bend, pair_sum(c.V, c.z)), violation(pair_sum(c.V, c.z), _middle_43(c))
                ),
                violation(_middle_43(c), _top_43(c)),
            ),
            lambda c: violation(pair_sum(c.V, c.z), 0.5 * _middle_43(c)),
            "half of the second sum",
            classes=(3, 4, 5, 10),
        ),
        *both(
            "tr H ≤ K p_y q ν², every K",
            lambda c: violation(
                pair_sum(c.V, c.z), c.z.shape[-1] * c.p * c.q * derivatives.cross_lipschitz_squared(c.V)
            ),
            lambda c: violation(pair_sum(c.V, c.z), _middle_43(c)),
            "Eq. (43) as printed, K = 2 included",
        ),
    ),
    counterexample=counterexample_43,
    partly=True,
    expected=Verdict.PARTLY,
)


def counterexample_cross() -> Counterexample:
    """K = 2, V = (½, −½), p = ¾: 3/16 against K(K−1)ν²/8 = 1/8."""
    p, nu2 = sp.Rational(3, 4), sp.Rational(1, 2)
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ x = \log 3,\ p_y = \tfrac34,\ \nu^2 = \tfrac12:\ \|H\|_2 \text{ against } \tfrac18K(K-1)\nu^2",
        p * (1 - p),
        "<=",
        2 * nu2 / 8,
    )


CHAIN_CROSS = Claim(
    id="chain-cross-lipschitz",
    where="Appendix E, below Eq. (42)",
    title="the chain that ends in the cross-Lipschitz penalty",
    printed=r"\|\nabla\|_2^2/2 \le \|H\|_2 \le K(K-1)\nu^2/8",
    corrected=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac K4\nu^2;\ \text{the printed left end for } K \le 3, \text{ the printed right end for } K \ge 3",
    text=Text.CORRECTED,
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED),
    depends=("eq-43", "cor-ordering", "cor-half"),
    chapter=PAGE,
    derivation=Derivation(prove_43, lambda: prove_43(2), "K ≥ 2 in the printed right end"),
    checks=both(
        "‖∇‖²/(K−1) ≤ ‖H‖ ≤ Kν²/4 for every K, ≤ K(K−1)ν²/8 for K ≥ 3",
        lambda c: _cross(c, 0.25 * c.z.shape[-1]),
        lambda c: _cross(c, 0.125 * c.z.shape[-1] * (c.z.shape[-1] - 1)),
        "K(K−1)/8 at K = 2 too",
    ),
    counterexample=counterexample_cross,
    partly=True,
    expected=Verdict.PARTLY,
)


def _cross(case: Case, factor: float) -> Tensor:
    K = case.z.shape[-1]
    left = violation(case.slope.square() / (K - 1), case.bend)
    right = violation(case.bend, factor * derivatives.cross_lipschitz_squared(case.V))
    worst = torch.maximum(left, right)
    return torch.maximum(worst, violation(case.bend, _top_43(case))) if K >= 3 else worst


CLAIMS = (EQ_41, EQ_42, CHAIN_MAIN, CHAIN_APPENDIX, EQ_43, CHAIN_CROSS)
"""The paper's; the theorems that take their place are in `loewner`."""
