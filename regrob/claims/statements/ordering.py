"""How the penalties are ordered: H ⪰ (p_y/q)∇∇ᵀ, Eqs. (41) to (43), the chains, and what replaces them."""

from __future__ import annotations

from functools import partial

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Claim, Counterexample, Verdict
from regrob.claims.class_sums import P, double_sum, weighted_moments
from regrob.claims.combinators import check_at, check_both, check_networks, check_random, proof
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.hypotheses import ANY_LABEL, ANY_LABEL_ANY_K, ARGMAX, OFF_KINKS, ORDERED
from regrob.claims.instances import Instance, written_down
from regrob.claims.samplings import MISTAKES_TOO, THREE_OR_MORE, Sampling
from regrob.claims.statements.proposition_4_1 import (
    E,
    at_least,
    gershgorin,
    middle_43,
    pair_sum,
    prove_above_trace_bound,
    prove_bend_crude,
)
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import derivatives

statement = partial(Claim, chapter="book/ordering")
theorem = partial(statement, where="new")

# --- the Loewner inequality ------------------------------------------------------------


def prove_loewner(weight: int = 1) -> None:
    """q·(rᵀHr − (p/q)(∇ᵀr)²) = Σ_{i<j; i,j≠y} p_i p_j (a_i − a_j)², a = Vᵀr: any n, K, y.

    The moments are the rivals': their probabilities sum to q.
    """
    q, a_y = sp.symbols("q a_y")
    p, rivals = 1 - q, weighted_moments(q)
    mean = p * a_y + rivals(1, 1)
    form = p * a_y**2 + rivals(1, 2) - mean**2
    along = mean - a_y
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    a_i, a_j = sp.symbols("a_i a_j", real=True)
    pair = p_i * p_j * (a_i - a_j) ** 2 / 2
    pairs = double_sum(pair, rivals, (p_i, a_i), (p_j, a_j))
    prove_zero(q * form - weight * p * along**2 - pairs, because="the certificate")
    prove_sign(pair, "nonnegative")


def difference_from_rank_one(case: Instance, factor: float = 1.0) -> Tensor:
    """H − factor·(p/q)∇∇ᵀ: (T, n, n)."""
    ratio = factor * case.p / case.q
    return case.hessian - ratio[:, None, None] * case.gradient.unsqueeze(-1) * case.gradient.unsqueeze(-2)


def loewner_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """−λ_min(H − factor·(p/q)∇∇ᵀ) relative to ‖H‖₂: positive where the inequality fails."""
    least: Tensor = torch.linalg.eigvalsh(difference_from_rank_one(case, factor))[..., 0]
    return -least / case.curvature


def distance_from_rank_one(spread: float) -> Tensor:
    """K = 4 with rivals `spread` apart: H − (p/q)∇∇ᵀ relative to H."""
    case = written_down([[1.0, 0.0, spread, 0.0], [0.0, 2.0, 2.0, 2.0]], [0.5, 0.3, -0.2, 0.1])
    return difference_from_rank_one(case).abs().amax() / case.curvature


LOEWNER = theorem(
    id="thm-loewner",
    title="the Hessian dominates the squared gradient",
    printed=r"H \succeq \frac{p_y}{1-p_y}\,\nabla\nabla^T,\quad\text{hence } \|H\|_2 \ge \frac{p_y}{1-p_y}\|\nabla\|_2^2",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K, "equality iff all rivals' columns coincide"),
    depends=("lemma-4.1-pairs", "lemma-4.1-gradient"),
    derivation=proof(prove_loewner, wrong=2, mistake="twice the constant"),
    checks=(
        *check_both(
            "least eigenvalue of H − (p/q)∇∇'", loewner_excess, 1.01, "one per cent more", MISTAKES_TOO
        ),
        *check_both(
            "the norms",
            lambda c, factor=1.0: violation(factor * c.p / c.q * c.gradient_norm.square(), c.curvature),
            1.01,
            "one per cent more",
            MISTAKES_TOO,
        ),
        check_at(
            "equality where the rivals coincide", distance_from_rank_one, 0.0, 0.1, "rivals that differ"
        ),
    ),
)


def prove_constant(sign: int = -1) -> None:
    """Where a = Vᵀr is e_y up to a constant, rᵀHr = p q and ∇ᵀr = −q: ratio p/q, every K."""
    q, shift = sp.symbols("q shift")
    p = 1 - q
    mean = p * (1 + shift) + q * shift
    form = p * (1 + shift) ** 2 + q * shift**2 - mean**2
    prove_zero(form - p * q, because="rᵀHr")
    prove_zero((mean - (1 + shift)) - sign * q, because="∇ᵀr")
    prove_zero(form - p / q * (sign * q) ** 2, because="the ratio is p/q")


def tight_direction_error(case: Instance, factor: float = 1.0) -> Tensor:
    """Solve C Vᵀr = C e_y by least squares; where that succeeds, compare the ratio with p/q.

    In units of the rounding to expect: rᵀHr = pq comes out of terms as large as ‖H‖‖r‖².
    """
    C = torch.eye(case.K, dtype=case.V.dtype, device=case.V.device) - 1.0 / case.K
    target = torch.nn.functional.one_hot(case.y, case.K).to(case.V)
    r = (torch.linalg.pinv((case.V @ C).mT) @ (target @ C).unsqueeze(-1)).squeeze(-1)
    a = (case.V.mT @ r.unsqueeze(-1)).squeeze(-1)
    solved = ((a - target) @ C).abs().amax(dim=-1) < 1e-9
    ratio = case.quadratic_form(r) / (case.gradient * r).sum(dim=-1).square()
    cancelled = case.curvature * r.square().sum(dim=-1) / (case.p * case.q)
    error = ratio_error(ratio, factor * case.p / case.q) / cancelled.clamp_min(1.0)
    return torch.where(solved & (case.q > 1e-3), error, torch.zeros_like(error))


def largest_ratio_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """How far ∇ᵀH⁺∇ exceeds q/p. Small eigenvalues, which are rounding, are left out: that only lowers it."""
    inverse = torch.linalg.pinv(case.hessian, rtol=1e-5, hermitian=True)
    form = (case.gradient.unsqueeze(-2) @ inverse @ case.gradient.unsqueeze(-1)).flatten()
    return violation(form, factor * case.q / case.p)


WIDE = Sampling(correct=False, inputs=12, high=3.0)  # n ≥ K, so that C Vᵀr = C e_y has a solution
FEW_CLASSES = Sampling(classes=(2, 3, 4), correct=False)

CONSTANT = theorem(
    id="thm-loewner-constant",
    title="p_y/q is the best constant",
    printed=r"\operatorname{rank}(VC) = K-1 \Rightarrow \sup\{c : H \succeq c\,\nabla\nabla^T\} = \frac{p_y}{1-p_y}; \text{ in general } \sup = \frac1{\nabla^TH^+\nabla} \ge \frac{p_y}{1-p_y}",
    hypotheses=(OFF_KINKS, "∇ ≠ 0", ANY_LABEL),
    depends=("thm-loewner",),
    derivation=proof(prove_constant, wrong=1, mistake="∇ᵀr = +q, with p/q unchanged"),
    checks=(
        check_random(
            "a direction in which rᵀHr = (p/q)(∇ᵀr)² (random instances)",
            tight_direction_error,
            1.01,
            "one per cent more",
            WIDE,
        ),
        check_networks(
            "the same (networks, autograd)", tight_direction_error, 1.01, "one per cent more", FEW_CLASSES
        ),
        check_random(
            "∇'H⁺∇ ≤ q/p_y (random instances)", largest_ratio_excess, 0.99, "one per cent less", WIDE
        ),
        check_networks(
            "∇'H⁺∇ ≤ q/p_y (networks, autograd)", largest_ratio_excess, 0.99, "one per cent less", FEW_CLASSES
        ),
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


def distance_between_ends(x: float) -> Tensor:
    """K = 4: V = (1, 0, 0, 0) as x → 0 for the left end; (1, −1, 0, 0), p → (½, ½, 0, 0) for the right."""
    left = written_down([[1.0, 0.0, 0.0, 0.0]], [x, 0.0, 0.0, 0.0])
    right = written_down([[1.0, -1.0, 0.0, 0.0]], [x, -x, -1 / x**0.5, -1 / x**0.5])
    return worst(
        ratio_error(left.curvature * 3, left.gradient_norm.square()),
        ratio_error(right.curvature, 0.5 * right.centred_norm.square()),
    )


ORDERING = theorem(
    id="cor-ordering",
    title="the penalties in order, with their best constants",
    printed=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac12\|VC\|_2^2 \le \tfrac12\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX + " (left link only)"),
    depends=("thm-loewner", "lemma-4.1-hessian"),
    derivation=proof(prove_ordering, wrong=3, mistake="a third for a half"),
    checks=(
        *check_both(
            "‖∇‖²/(K−1) ≤ ‖H‖ ≤ ½‖VC‖²",
            lambda c, half=0.5: violation(
                c.gradient_norm.square() / (c.K - 1.0), c.curvature, half * c.centred_norm.square()
            ),
            1 / 3,
            "a third for a half",
        ),
        check_at(
            "both ends are approached at K = 4",
            distance_between_ends,
            1e-6,
            0.5,
            "far from the limit",
            tolerance=1e-5,
        ),
    ),
)


def prove_third(bound: int = 3) -> None:
    """p/q ≥ ½ from p = 1/3 on; below it, rivals that coincide have ‖H‖ = (p/q)‖∇‖² < ½‖∇‖²."""
    lead, gap = sp.Symbol("lead", nonnegative=True), sp.Symbol("gap", positive=True)
    p = sp.Rational(1, bound)
    prove_sign(sp.expand(2 * (p + lead) - (1 - p - lead)), "nonnegative")
    prove_sign(sp.expand((1 - p + gap) - 2 * (p - gap)), "positive")


def half_gradient_excess(case: Instance, least: float = 1 / 3) -> Tensor:
    """The violation of ½‖∇‖² ≤ ‖H‖ where p_y ≥ `least`; −1 elsewhere."""
    return torch.where(case.p >= least, violation(0.5 * case.gradient_norm.square(), case.curvature), -1.0)


HALF = theorem(
    id="cor-half",
    title="when half the squared gradient is below the curvature",
    printed=r"\tfrac12\|\nabla\|_2^2 \le \|H\|_2 \text{ for every } V \text{ iff } p_y \ge \tfrac13",
    hypotheses=(OFF_KINKS, ANY_LABEL_ANY_K),
    depends=("thm-loewner",),
    derivation=proof(prove_third, wrong=4, mistake="p_y ≥ 1/4"),
    checks=check_both("½‖∇‖² ≤ ‖H‖ where p_y ≥ 1/3", half_gradient_excess, 0.0, "any p_y", MISTAKES_TOO),
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
    derivation=proof(prove_41, wrong=5, mistake="p(1 − p) ≤ 1/5"),
    checks=(
        *check_both(
            "both links",
            lambda c: worst(violation(c.curvature, 2 * c.p * c.q * c.lipschitz.square()), c.p * c.q - 0.25),
            lambda c: violation(c.curvature, c.p * c.q * c.lipschitz.square()),
            "p_y q‖V‖_F², without the factor 2",
        ),
        *check_both(
            "‖H‖₂ ≤ ½‖V‖_F² for any label",
            lambda c: violation(c.curvature, 0.5 * c.lipschitz.square()),
            lambda c: violation(c.curvature, 2 * c.p * c.q * c.lipschitz.square()),
            "the first link for any label",
            MISTAKES_TOO,
        ),
    ),
)


def prove_42(weight: int = 1) -> None:
    """rᵀHr − p_y(r·(v_y − v̄))² is the sum of the other classes' squares; ∇ = v̄ − v_y."""
    p_k = sp.symbols("p_k", positive=True)
    a_k, mean, a_y = sp.symbols("a_k mean a_y", real=True)
    prove_sign(p_k * (a_k - mean) ** 2, "nonnegative")
    prove_zero(P * (a_y - mean) ** 2 - weight * P * (mean - a_y) ** 2, because="∇ = v̄ − v_y")


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
    checks=(
        *check_both(
            "‖H‖ ≥ p_y‖∇‖², any label",
            lambda c: violation(c.p * c.gradient_norm.square(), c.curvature),
            lambda c: violation(c.gradient_norm.square(), c.curvature),
            "‖∇‖² itself",
            MISTAKES_TOO,
        ),
        *check_both(
            "‖H‖ ≥ ½‖∇‖² where p_y ≥ ½",
            lambda c, least=0.5: half_gradient_excess(c, least),
            0.0,
            "any p_y and any label",
            MISTAKES_TOO,
        ),
    ),
    counterexample=counterexample_42,
    expected=Verdict.PARTLY,
)

# --- the chains and Eq. (43) -----------------------------------------------------------


def chain_excess(case: Instance, divisor: float) -> Tensor:
    """‖∇‖²/divisor ≤ ‖H‖ ≤ ½‖VC‖² ≤ ½‖V‖_F²."""
    return violation(
        case.gradient_norm.square() / divisor,
        case.curvature,
        0.5 * case.centred_norm.square(),
        0.5 * case.lipschitz.square(),
    )


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
    corrected=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac12\|VC\|_2^2 \le \tfrac12\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX + " (left link only)"),
    transcription=True,  # Appendix E quotes this chain with its squares
    depends=("cor-ordering",),
    derivation=proof(prove_ordering, wrong=3, mistake="a third for a half"),
    checks=check_both(
        "the corrected chain",
        lambda c: chain_excess(c, c.K - 1.0),
        lambda c: violation(0.5 * c.gradient_norm, c.curvature),
        "the left link as printed",
    ),
    counterexample=counterexample_main,
    expected=Verdict.FAILS,
)

CHAIN_APPENDIX = statement(
    id="chain-appendix-e",
    where="Appendix E, above Eq. (41)",
    title="the chain with its squares",
    printed=r"\|\nabla\|_2^2/2 \le \|H\|_2 \le \|V\|_F^2/2",
    corrected=r"\|\nabla\|_2^2/2 \le \|H\|_2 \text{ for every } V \text{ iff } p_y \ge \tfrac13;\ \|H\|_2 \le \tfrac12\|V\|_F^2 \text{ always}",
    hypotheses=(OFF_KINKS, "left link: p_y ≥ 1/3, which the argmax has for K ≤ 3", "right link: any label"),
    depends=("eq-41", "cor-half"),
    derivation=proof(prove_third, wrong=4, mistake="p_y ≥ 1/4 in the left link"),
    checks=(
        *check_both(
            "the left link where p_y ≥ 1/3, the right one always",
            lambda c, least=1 / 3: worst(
                half_gradient_excess(c, least), violation(c.curvature, 0.5 * c.lipschitz.square())
            ),
            0.0,
            "the left link for any p_y",
            MISTAKES_TOO,
        ),
        check_random(
            "both links for K = 2 and 3, correctly classified (random instances)",
            lambda c, divisor=2.0: chain_excess(c, divisor),
            0.5,
            "four times the gradient penalty",
            Sampling(classes=(2, 3)),
        ),
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


def top_43(case: Instance) -> Tensor:
    """K(K−1)ν²/8, the last term of Eq. (43): (T,)."""
    return 0.125 * case.K * (case.K - 1) * derivatives.cross_lipschitz_squared(case.V)


EQ_43 = statement(
    id="eq-43",
    where="Appendix E, Eq. (43)",
    title="the curvature against the cross-Lipschitz penalty",
    printed=r"\|H\|_2 \le \sum_{i<j}p_ip_j\|\mathbf v_i-\mathbf v_j\|_2^2 \le \tfrac12K(K-1)p_y(1-p_y)\nu^2 \le \tfrac18K(K-1)\nu^2",
    corrected=r"\text{this holds for } K \ge 3; \text{ for every } K \text{ we have } \|H\|_2 \le \operatorname{tr}H \le K\,p_y(1-p_y)\,\nu^2 \le \tfrac K4\nu^2",
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED, "K ≥ 3 in the second link (printed: K ≥ 2)"),
    depends=("eq-35", "thm-trace-bound"),
    derivation=proof(prove_43, wrong=2, mistake="K ≥ 2"),
    checks=(
        *check_both(
            "all three links, K ≥ 3",
            lambda c: violation(c.curvature, pair_sum(c), middle_43(c), top_43(c)),
            lambda c: violation(pair_sum(c), 0.5 * middle_43(c)),
            "half of the second sum",
            THREE_OR_MORE,
        ),
        *check_both(
            "tr H ≤ K p_y q ν², every K",
            lambda c: violation(pair_sum(c), c.K * c.p * c.q * derivatives.cross_lipschitz_squared(c.V)),
            lambda c: violation(pair_sum(c), middle_43(c)),
            "Eq. (43) as printed, K = 2 included",
        ),
    ),
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


def cross_chain_excess(case: Instance) -> Tensor:
    """‖∇‖²/(K−1) ≤ ‖H‖ ≤ Kν²/4, and ≤ K(K−1)ν²/8 too from K = 3 on."""
    nu2 = derivatives.cross_lipschitz_squared(case.V)
    chain = violation(case.gradient_norm.square() / (case.K - 1), case.curvature, 0.25 * case.K * nu2)
    return worst(chain, violation(case.curvature, top_43(case))) if case.K >= 3 else chain


CHAIN_CROSS = statement(
    id="chain-cross-lipschitz",
    where="Appendix E, below Eq. (42)",
    title="the chain that ends in the cross-Lipschitz penalty",
    printed=r"\|\nabla\|_2^2/2 \le \|H\|_2 \le K(K-1)\nu^2/8",
    corrected=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac K4\nu^2;\ \text{the printed left end holds for } K \le 3, \text{ the printed right end for } K \ge 3",
    hypotheses=(OFF_KINKS, ARGMAX, ORDERED),
    depends=("eq-43", "cor-ordering", "cor-half"),
    derivation=proof(prove_43, wrong=2, mistake="K ≥ 2 in the printed right end"),
    checks=check_both(
        "‖∇‖²/(K−1) ≤ ‖H‖ ≤ Kν²/4 for every K, ≤ K(K−1)ν²/8 for K ≥ 3",
        cross_chain_excess,
        lambda c: violation(c.gradient_norm.square() / (c.K - 1), c.curvature, top_43(c)),
        "K(K−1)/8 at K = 2 too",
    ),
    counterexample=counterexample_cross,
    expected=Verdict.PARTLY,
)

CLAIMS = (
    *(EQ_41, EQ_42, CHAIN_MAIN, CHAIN_APPENDIX, EQ_43, CHAIN_CROSS),
    *(LOEWNER, CONSTANT, ORDERING, HALF),
)
