"""How the penalties are ordered: H ⪰ (p_y/q)∇∇ᵀ, Eqs. (41) to (43), the chains, and what replaces them."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, Counterexample, Verdict, proof
from regrob.claims.class_sums import P, double_sum, weighted_moments
from regrob.claims.hypotheses import ANY_LABEL, ANY_LABEL_ANY_K, ARGMAX, OFF_KINKS, ORDERED
from regrob.claims.statements.exact_radius import prove_square
from regrob.claims.statements.lemma_4_1 import prove_pairs
from regrob.claims.statements.proposition_4_1 import (
    CRUDE_BEND,
    SHARP_TRACE,
    E,
    at_least,
    gershgorin,
    prove_above_trace_bound,
    prove_bend_crude,
    prove_centring,
    prove_loewner,
)
from regrob.symbols import for_every_size, prove_equal, prove_sign, prove_zero, sum_over

statement = partial(Claim, chapter="book/ordering")


theorem = partial(statement, where="new")

# --- the Loewner inequality ------------------------------------------------------------


LOEWNER = theorem(
    id="thm-loewner",
    title="the Hessian dominates the squared gradient",
    printed=r"H \succeq \frac{p_y}{1-p_y}\,\nabla\nabla^T \text{, with equality iff the rivals' columns coincide};\quad\text{hence } \|H\|_2 \ge \frac{p_y}{1-p_y}\|\nabla\|_2^2",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("lemma-4.1-pairs", "lemma-4.1-gradient"),
    derivation=proof(prove_loewner, wrong=2, mistake="twice the constant"),
)


def prove_best(share: int = 2) -> None:
    """sup{c: H ⪰ c∇∇ᵀ} = 1/(∇ᵀH⁺∇), since (∇ᵀr)² ≤ (∇ᵀH⁺∇)(rᵀHr), with equality at r = H⁺∇. Any n.

    ∇ lies in the range of H, so ∇ = Hs with s = H⁺∇. In eigendirections, with weights λ_i ≥ 0:
    (Σλs²)(Σλr²) − (Σλsr)² = ½ΣΣλ_iλ_j(s_i r_j − s_j r_i)².
    """
    size_i, size_j = sp.symbols("size_i size_j", nonnegative=True)  # λ_i, λ_j
    s_i, r_i, s_j, r_j = sp.symbols("s_i r_i s_j r_j", real=True)

    def moment(*powers: int) -> sp.Expr:
        return sp.Symbol("T" + "_".join(str(power) for power in powers))

    pair = size_i * size_j * (s_i * r_j - s_j * r_i) ** 2 / share
    pairs = double_sum(pair, moment, (size_i, s_i, r_i), (size_j, s_j, r_j))
    along = moment(1, 1, 1)  # ∇ᵀr = Σλsr
    prove_zero(moment(1, 2, 0) * moment(1, 0, 2) - along**2 - pairs, because="Cauchy-Schwarz under H")
    prove_sign(pair, "nonnegative")
    own = moment(1, 2, 0)  # r = s: ∇ᵀH⁺∇ = Σλs² is ∇ᵀr and rᵀHr at once
    prove_zero(own * own - own**2, because="equality at H⁺∇")


def prove_constant(sign: int = -1) -> None:
    """Where a = Vᵀr is e_y up to a constant, rᵀHr = p_y q and ∇ᵀr = −q: the ratio is p_y/q, for every K.

    rank(VC) = K − 1 says that such an r exists: CVᵀ then reaches every vector that adds to zero, C e_y among them.
    """
    q, shift = sp.symbols("q shift")
    p = 1 - q
    p_i, a_i = sp.symbols("p_i a_i")
    rivals = weighted_moments(q)
    mean = p * (1 + shift) + sum_over(p_i * a_i, rivals, p_i, a_i).subs(rivals(1, 1), q * shift)
    form = p * (1 + shift) ** 2 + q * shift**2 - mean**2
    prove_zero(form - p * q, because="rᵀHr")
    prove_zero((mean - (1 + shift)) - sign * q, because="∇ᵀr")
    prove_zero(form - p / q * (sign * q) ** 2, because="the ratio is p/q")


CONSTANT = theorem(
    id="thm-loewner-constant",
    title="p_y/q is the best constant",
    printed=r"\operatorname{rank}(VC) = K-1 \Rightarrow \sup\{c : H \succeq c\,\nabla\nabla^T\} = \frac{p_y}{1-p_y}; \text{ in general } \sup = \frac1{\nabla^TH^+\nabla} \ge \frac{p_y}{1-p_y}",
    hypotheses=(OFF_KINKS, "∇ ≠ 0", ANY_LABEL),
    depends=("thm-loewner",),
    derivation=proof(
        *(prove_constant, prove_best, prove_square, prove_loewner),
        wrong=1,
        mistake="∇ᵀr = +q, with p/q unchanged",
    ),
)

# --- what follows from it --------------------------------------------------------------


def prove_ordering(parts: int = 2) -> None:
    """p_y ≥ 1/K gives p/q ≥ 1/(K−1); ½|w|² − wᵀMw ≥ 0 by Gershgorin and p_i(1 − p_i) ≤ ¼."""
    half = sp.Rational(1, parts)
    K, lead = sp.Symbol("K", positive=True), sp.Symbol("lead", nonnegative=True)
    k = sp.Symbol("k", positive=True)  # K − 1
    p = 1 / K + lead
    slack = (p * (K - 1) - (1 - p)).subs(K, k + 1)  # p/q − 1/(K − 1), times q(K − 1)
    prove_sign(slack, "nonnegative", certificate=lead * (k + 1))
    p_i, w_i = sp.symbols("p_i w_i", real=True)
    form, off_diagonal = gershgorin()
    gaps = sum_over(2 * (p_i - half) ** 2 * w_i**2, E, p_i, w_i)
    prove_zero(half * E(0, 2) - form - off_diagonal - gaps, because="λ_max(M) ≤ ½")


def prove_attained(half: int = 2) -> None:
    """Both constants are the best, for every K: p_y → 1/K and coinciding rivals bring ‖H‖₂/‖∇‖₂² = p_y/q to 1/(K − 1).

    And w = (1, −1, 0, …) with p = (½, ½, 0, …) has wᵀMw = ½‖w‖².
    """
    K = sp.Symbol("K", positive=True)
    p = 1 / K
    prove_equal(p / (1 - p), 1 / (K - 1), because="the left constant")
    p_1 = p_2 = sp.Rational(1, 2)
    form = p_1 + p_2 - (p_1 - p_2) ** 2
    prove_zero(form - sp.Integer(1 + 1) / half, because="the right constant")


ORDERING = theorem(
    id="cor-ordering",
    title="the penalties in order, with the best constants for each K",
    printed=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac12\|VC\|_2^2 \le \tfrac12\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX + " (left link only)"),
    depends=("thm-loewner", "lemma-4.1-hessian"),
    derivation=proof(
        *(prove_ordering, prove_loewner, prove_centring, prove_attained),
        wrong=3,
        mistake="a third for a half",
    ),
)


def prove_third(bound: int = 3) -> None:
    """p/q ≥ ½ from p = 1/3 on; below it, rivals that coincide have ‖H‖ = (p/q)‖∇‖² < ½‖∇‖²."""
    for_every_size("p_y and q are numbers; the other steps hold for every n and K")
    lead, gap = sp.Symbol("lead", nonnegative=True), sp.Symbol("gap", positive=True)
    p = sp.Rational(1, bound)
    prove_sign(sp.expand(2 * (p + lead) - (1 - p - lead)), "nonnegative")
    prove_sign(sp.expand((1 - p + gap) - 2 * (p - gap)), "positive")


HALF = theorem(
    id="cor-half",
    title="when half the squared gradient is below the curvature",
    printed=r"\tfrac12\|\nabla\|_2^2 \le \|H\|_2 \text{ for every } V \text{ iff } p_y \ge \tfrac13",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("thm-loewner",),
    derivation=proof(prove_third, prove_loewner, prove_constant, wrong=4, mistake="p_y ≥ 1/4"),
)

# --- Eqs. (41) and (42) ----------------------------------------------------------------


def prove_quarter(parts: int = 4) -> None:
    """p(1 − p) ≤ ¼, the slack being (p − ½)²."""
    p = sp.symbols("p", real=True)
    prove_sign(sp.Rational(1, parts) - p * (1 - p), "nonnegative", certificate=(p - sp.Rational(1, 2)) ** 2)


def prove_41(parts: int = 4) -> None:
    """Eq. (36), then p(1 − p) ≤ ¼."""
    prove_bend_crude()
    prove_quarter(parts)


EQ_41 = statement(
    id="eq-41",
    where="Appendix E, Eq. (41)",
    title="the curvature is at most half the Jacobian penalty",
    printed=r"\|H\|_2 \le 2p_y(1-p_y)\|V\|_F^2 \le \tfrac12\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX, "the outer inequality ‖H‖₂ ≤ ½‖V‖_F² needs no label"),
    depends=("eq-36", "cor-ordering"),
    derivation=proof(prove_41, *CRUDE_BEND[1:], prove_ordering, wrong=5, mistake="p(1 − p) ≤ 1/5"),
)


def prove_42(weight: int = 1) -> None:
    """rᵀHr = Σp_k(r·(v_k − v̄))², of which the label's term is one: p_y(r·(v_y − v̄))², and ∇ = v̄ − v_y. Any n and K.

    Along ∇ that is p_y‖∇‖²; and p_y ≥ ½ is what the last link asks for.
    """
    p_k, a_k = sp.symbols("p_k a_k")
    mean, whole = E(1, 1), sum_over(p_k * (a_k - E(1, 1)) ** 2, E, p_k, a_k)
    prove_zero(whole - (E(1, 2) - mean**2), because="rᵀHr")
    p_k, a_k, centre, a_y = sp.symbols("p_k a_k centre a_y", real=True)
    prove_sign(sp.Symbol("p_k", positive=True) * (a_k - centre) ** 2, "nonnegative")
    prove_zero(P * (a_y - centre) ** 2 - weight * P * (centre - a_y) ** 2, because="∇ = v̄ − v_y")
    lead = sp.Symbol("lead", nonnegative=True)
    prove_sign((sp.Rational(1, 2) + lead) - sp.Rational(1, 2), "nonnegative")


def counterexample_42() -> Counterexample:
    """K = 4, V = (1, 0, 0, 0), e^x = 6/5, p = 2/7: H = pq = 20/98, but ‖∇‖²/2 = q²/2 = 25/98."""
    p = sp.Rational(6, 5) / (sp.Rational(6, 5) + 3)
    return Counterexample(
        r"K = 4,\ V = (1,0,0,0),\ x = \log\tfrac65,\ p_y = \tfrac27:\ \|H\|_2 \text{ against } \tfrac12\|\nabla\|_2^2",
        p * (1 - p),
        ">=",
        (1 - p) ** 2 / 2,
    )


EQ_42 = statement(
    id="eq-42",
    where="Appendix E, Eq. (42)",
    title="the curvature against the input-gradient penalty",
    printed=r"\|H\|_2 = \left\|\sum p_i(\mathbf v_i-\bar{\mathbf v})(\mathbf v_i-\bar{\mathbf v})^T\right\|_2 \ge p_y\|\mathbf v_y-\bar{\mathbf v}\|_2^2 \ge p_y\|\nabla\|_2^2 \ge \tfrac12\|\nabla\|_2^2",
    corrected=r"\|H\|_2 \ge p_y\|\mathbf v_y-\bar{\mathbf v}\|_2^2 = p_y\|\nabla\|_2^2, \text{ and } \ge \tfrac12\|\nabla\|_2^2 \text{ where } p_y \ge \tfrac12",
    hypotheses=(OFF_KINKS, "any label in the first links", "p_y ≥ 1/2 in the last"),
    depends=("lemma-4.1-pairs", "lemma-4.1-gradient"),
    derivation=proof(prove_42, wrong=2, mistake="twice ‖∇‖²"),
    counterexample=counterexample_42,
    expected=Verdict.PARTLY,
)

# --- the chains and Eq. (43) -----------------------------------------------------------


def two_classes(s: sp.Rational) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """(‖∇‖₂, ‖H‖₂, ν²) at K = 2, V = (s/2, −s/2), p_y = ¾, exact."""
    p = sp.Rational(3, 4)
    return (1 - p) * s, p * (1 - p) * s**2, s**2 / 2


def counterexample_main() -> Counterexample:
    """V = (¼, −¼): ‖∇‖/2 = 1/16 against ‖H‖ = 3/64."""
    gradient_norm, curvature, _ = two_classes(sp.Rational(1, 2))
    return Counterexample(
        r"K = 2,\ V = (\tfrac14,-\tfrac14),\ x = 2\log 3,\ p_y = \tfrac34:\ \tfrac12\|\nabla\|_2 \text{ against } \|H\|_2",
        gradient_norm / 2,
        "<=",
        curvature,
    )


CHAIN_MAIN = statement(
    id="chain-section-4",
    where="Section 4, below Eq. (17)",
    title="the chain in the main text, its squares lost",
    printed=r"\|\nabla\|_2/2 \le \|H\|_2 \le \|V\|_F/2",
    corrected=r"\tfrac12\|\nabla\|_2^2 \le \|H\|_2 \le \tfrac12\|V\|_F^2 \text{, Appendix E's chain, on the left for } p_y \ge \tfrac13; \text{ in general } \frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac12\|VC\|_2^2 \le \tfrac12\|V\|_F^2",
    hypotheses=(
        OFF_KINKS,
        ARGMAX + " (left links only)",
        "p_y ≥ 1/3 in the first left link: at K ≤ 3 the argmax has it",
    ),
    transcription=True,  # Appendix E quotes this chain with its squares
    depends=("cor-ordering", "cor-half", "eq-41"),
    derivation=proof(
        *(prove_ordering, prove_loewner, prove_centring, prove_attained, prove_third),
        wrong=3,
        mistake="a third for a half",
    ),
    counterexample=counterexample_main,
)

CHAIN_APPENDIX = statement(
    id="chain-appendix-e",
    where="Appendix E, above Eq. (41)",
    title="the chain with its squares",
    printed=r"\|\nabla\|_2^2/2 \le \|H\|_2 \le \|V\|_F^2/2",
    corrected=r"\|\nabla\|_2^2/2 \le \|H\|_2 \text{ for every } V \text{ iff } p_y \ge \tfrac13;\ \|H\|_2 \le \tfrac12\|V\|_F^2 \text{ always}",
    hypotheses=(OFF_KINKS, "left link: p_y ≥ 1/3, which the argmax has for K ≤ 3", "right link: any label"),
    depends=("eq-41", "cor-half"),
    derivation=proof(
        *(prove_third, prove_loewner, prove_constant, prove_ordering, prove_centring),
        wrong=4,
        mistake="p_y ≥ 1/4 in the left link",
    ),
    counterexample=counterexample_42,
    expected=Verdict.PARTLY,
)


def prove_43(fewest: int = 3) -> None:
    """½K(K−1)p_y qν² − (2/K)p_y qD = p_y qD(K − 3)/K, with ν² = 2D/K²; then p(1 − p) ≤ ¼."""
    K = at_least(fewest)
    prove_above_trace_bound(K, 2 / K**2)
    prove_quarter()


def counterexample_43() -> Counterexample:
    """V = (½, −½): 3/16 against K(K−1)p_y q ν²/2 = 3/32."""
    _, curvature, nu2 = two_classes(sp.Integer(1))
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ x = \log 3,\ p_y = \tfrac34,\ \nu^2 = \tfrac12:\ \|H\|_2 \text{ against } \tfrac12K(K-1)p_y(1-p_y)\nu^2",
        curvature,
        "<=",
        sp.Rational(3, 16) * nu2,
    )


EQ_43 = statement(
    id="eq-43",
    where="Appendix E, Eq. (43)",
    title="the curvature against the cross-Lipschitz penalty",
    printed=r"\|H\|_2 \le \sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2 \le \tfrac12K(K-1)p_y(1-p_y)\nu^2 \le \tfrac18K(K-1)\nu^2",
    corrected=r"\text{this holds for } K \ge 3; \text{ for every } K \text{ we have } \|H\|_2 \le \operatorname{tr}H \le K\,p_y(1-p_y)\,\nu^2 \le \tfrac K4\nu^2",
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED, "K ≥ 3 for the printed chain (printed: K ≥ 2)"),
    depends=("eq-35", "thm-trace-bound"),
    derivation=proof(prove_43, prove_pairs, *SHARP_TRACE, wrong=2, mistake="K ≥ 2"),
    counterexample=counterexample_43,
    expected=Verdict.PARTLY,
)


def counterexample_cross() -> Counterexample:
    """V = (½, −½): 3/16 against K(K−1)ν²/8 = 1/8."""
    _, curvature, nu2 = two_classes(sp.Integer(1))
    return Counterexample(
        r"K = 2,\ V = (\tfrac12,-\tfrac12),\ x = \log 3,\ p_y = \tfrac34,\ \nu^2 = \tfrac12:\ \|H\|_2 \text{ against } \tfrac18K(K-1)\nu^2",
        curvature,
        "<=",
        2 * nu2 / 8,
    )


CHAIN_CROSS = statement(
    id="chain-cross-lipschitz",
    where="Appendix E, below Eq. (42)",
    title="the chain that ends in the cross-Lipschitz penalty",
    printed=r"\|\nabla\|_2^2/2 \le \|H\|_2 \le K(K-1)\nu^2/8",
    corrected=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac K4\nu^2;\ \text{the printed left end holds for } K \le 3, \text{ the printed right end for } K \ge 3",
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED),
    depends=("eq-43", "cor-ordering", "cor-half"),
    derivation=proof(
        *(prove_43, *SHARP_TRACE, prove_third, prove_ordering, prove_loewner),
        wrong=2,
        mistake="K ≥ 2 in the printed right end",
    ),
    counterexample=counterexample_cross,
    expected=Verdict.PARTLY,
)

CLAIMS = (
    *(EQ_41, EQ_42, CHAIN_MAIN, CHAIN_APPENDIX, EQ_43, CHAIN_CROSS),
    *(LOEWNER, CONSTANT, ORDERING, HALF),
)
