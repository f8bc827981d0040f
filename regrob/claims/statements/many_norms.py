"""How large ∇ and H can be: Eqs. (34), (35), (36), their sharp forms, and tr H."""

from __future__ import annotations

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.many import (
    ARGMAX,
    OFF_KINKS,
    Case,
    at,
    both,
    distances,
    fixed,
    frobenius,
    pair_sum,
    violation,
)
from regrob.symbols import prove_equal, prove_sign, prove_zero, sum_over
from regrob.theory import bounds

PAGE = "book/proposition_4_1"
P, Q = sp.symbols("p q", positive=True)  # p_y, and q for 1 − p_y


def rival_moment(power: int) -> sp.Expr:
    """Σ over the rivals of p_j^power: q for the first power, a symbol for the others."""
    return Q if power == 1 else sp.Symbol(f"R{power}", positive=True)


def weighted_moment(i: int, j: int) -> sp.Expr:
    """Σ_k p_k^i w_k^j over all classes, with Σ p = 1."""
    return sp.S.One if (i, j) == (1, 0) else sp.Symbol(f"S{i}{j}")


# --- Eq. (34) --------------------------------------------------------------------------


def prove_slope_crude(constant: int = 2) -> None:
    """constant·q² − ‖p − e_y‖² = Σ_{j≠y} p_j(q − p_j), each factor of which is nonnegative."""
    p_j, others = sp.symbols("p_j others", nonnegative=True)  # others = q − p_j, the other rivals
    squared = Q**2 + sum_over(p_j**2, rival_moment, p_j)
    slack = sum_over(p_j * (Q - p_j), rival_moment, p_j)
    prove_zero(constant * Q**2 - squared - slack, because="‖p − e_y‖² ≤ 2q²")
    prove_sign(p_j * others, "nonnegative")


def spectral(V: Tensor) -> Tensor:
    """‖V‖₂: (…,)."""
    largest: Tensor = torch.linalg.matrix_norm(V, ord=2)
    return largest


def _sharp_slope() -> Tensor:
    """V = (1, −1): ‖∇‖ = √2·q‖V‖₂."""
    case = at([[1.0, -1.0]], [0.7, -0.7])
    return (case.slope / (2**0.5 * case.q * spectral(case.V)) - 1).abs()


def _blunt_slope() -> Tensor:
    case = at([[1.0, 0.0]], [0.7, 0.0])
    return (case.slope / (2**0.5 * case.q * spectral(case.V)) - 1).abs()


EQ_34 = Claim(
    id="eq-34",
    where="Appendix E, Eq. (34)",
    title="the input gradient against the Lipschitz constant",
    printed=r"\|\nabla\|_2 \le 2(1-p_y)\|V\|_2 \le 2(1-p_y)\|V\|_F",
    hypotheses=(OFF_KINKS, "any label"),
    depends=("lemma-4.1-gradient",),
    chapter=PAGE,
    derivation=Derivation(
        prove_slope_crude, lambda: prove_slope_crude(1), "‖p − e_y‖ ≤ q, without the factor √2"
    ),
    checks=(
        *both(
            "‖∇‖ ≤ 2q‖V‖₂ ≤ 2q‖V‖_F",
            lambda c: torch.maximum(
                violation(c.slope, 2 * c.q * spectral(c.V)), violation(spectral(c.V), frobenius(c.V))
            ),
            lambda c: violation(c.slope, c.q * spectral(c.V)),
            "q in place of 2q",
            correct=False,
        ),
        Check(
            "the best constant is √2: attained at V = (1, −1)",
            fixed(_sharp_slope),
            fixed(_blunt_slope),
            "V = (1, 0), where it is not",
        ),
    ),
)

# --- Eq. (35) --------------------------------------------------------------------------


def prove_trace(count: int = 1) -> None:
    """tr H = Σ_{i<j} p_i p_j ‖v_i − v_j‖², one input coordinate at a time: any n, any K."""
    p_i, a_i, p_j, a_j = sp.symbols("p_i a_i p_j a_j")
    pair = sp.Rational(count, 2) * p_i * p_j * (a_i - a_j) ** 2
    total = sum_over(sum_over(pair, weighted_moment, p_j, a_j), weighted_moment, p_i, a_i)
    variance = weighted_moment(1, 2) - weighted_moment(1, 1) ** 2  # the diagonal entry of H
    prove_equal(total, variance, because="tr H, pair by pair")
    rest, top = sp.symbols("rest top", nonnegative=True)  # H ⪰ 0: tr H is its norm plus the rest
    prove_sign((top + rest) - top, "nonnegative")


EQ_35 = Claim(
    id="eq-35",
    where="Appendix E, Eq. (35)",
    title="the curvature is at most the sum over pairs",
    printed=r"\|H\|_2 \le \sum_{i<j} p_i p_j \|\mathbf v_i-\mathbf v_j\|_2^2",
    corrected=r"\|H\|_2 \le \sum_{i<j} p_i p_j \|\mathbf v_i-\mathbf v_j\|_2^2 = \operatorname{tr} H, \text{ with equality iff } \operatorname{rank} H \le 1",
    text=Text.RESTATED,
    hypotheses=(OFF_KINKS, "any label"),
    depends=("remark-psd",),
    chapter=PAGE,
    derivation=Derivation(prove_trace, lambda: prove_trace(2), "every pair counted twice"),
    checks=both(
        "‖H‖ ≤ Σ_{i<j} p_i p_j ‖v_i − v_j‖² = tr H",
        lambda c: torch.maximum(
            violation(c.bend, pair_sum(c.V, c.z)),
            violation(pair_sum(c.V, c.z), c.hessian.diagonal(dim1=-2, dim2=-1).sum(dim=-1)).abs(),
        ),
        lambda c: violation(c.bend, 0.5 * pair_sum(c.V, c.z)),
        "half the sum",
        correct=False,
    ),
)

# --- Eq. (36) --------------------------------------------------------------------------


def prove_bend_crude(constant: int = 2) -> None:
    """2(‖v_i‖² + ‖v_j‖²) − ‖v_i − v_j‖² = ‖v_i + v_j‖²; p_y q − p_i(1 − p_i) is a product ≥ 0."""
    a, b = sp.symbols("a b", real=True)
    prove_sign(constant * (a**2 + b**2) - (a - b) ** 2, "nonnegative", certificate=(a + b) ** 2)
    p_i, lead, rest = sp.symbols("p_i lead rest", nonnegative=True)
    p_y = p_i + lead  # y is the argmax; the classes besides i and y have `rest` = 1 − p_i − p_y
    slack = p_y * (p_i + rest) - p_i * (p_y + rest)
    prove_sign(slack, "nonnegative", certificate=lead * rest)
    # Both indices of Σ_{i≠j} p_i p_j(‖v_i‖² + ‖v_j‖²) give the same: 2 Σ p_i(1 − p_i)‖v_i‖².
    p_1, w_1, p_2, w_2 = sp.symbols("p_1 w_1 p_2 w_2")

    inner = sum_over(p_1 * p_2 * (w_1 + w_2), weighted_moment, p_2, w_2)
    double = sum_over(inner, weighted_moment, p_1, w_1)
    diagonal = sum_over(2 * p_1**2 * w_1, weighted_moment, p_1, w_1)
    claimed = sum_over(2 * p_1 * (1 - p_1) * w_1, weighted_moment, p_1, w_1)
    prove_equal(double - diagonal, claimed, because="each index counts once")


def norm_sum(case: Case) -> Tensor:
    """Σ_{i≠j} p_i p_j (‖v_i‖² + ‖v_j‖²) = 2 Σ p_i(1 − p_i)‖v_i‖²: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    squares = case.V.square().sum(dim=-2)
    pairs = p.unsqueeze(-1) * p.unsqueeze(-2) * (squares.unsqueeze(-1) + squares.unsqueeze(-2))
    return (pairs - torch.diag_embed(pairs.diagonal(dim1=-2, dim2=-1))).sum(dim=(-2, -1))


EQ_36 = Claim(
    id="eq-36",
    where="Appendix E, Eq. (36)",
    title="the curvature against the Lipschitz constant",
    printed=r"\|H\|_2 \le \sum_{i\ne j} p_i p_j(\|\mathbf v_i\|_2^2+\|\mathbf v_j\|_2^2) \le 2p_y(1-p_y)\|V\|_F^2",
    hypotheses=(OFF_KINKS, ARGMAX),
    depends=("eq-35",),
    chapter=PAGE,
    derivation=Derivation(prove_bend_crude, lambda: prove_bend_crude(1), "‖v_i‖² + ‖v_j‖² without the 2"),
    checks=both(
        "both links of Eq. (36)",
        lambda c: torch.maximum(
            violation(c.bend, norm_sum(c)),
            violation(norm_sum(c), 2 * c.p * c.q * frobenius(c.V).square()),
        ),
        lambda c: violation(c.bend, c.p * c.q * frobenius(c.V).square()),
        "p_y q‖V‖_F², without the factor 2",
    ),
)

# --- the sharp forms -------------------------------------------------------------------


def prove_sharp(gershgorin: int = 2) -> None:
    """‖p − e_y‖² ≤ q·min(1, 2q) and λ_max(M) ≤ p_y·min(1, 2q): four sums of signed terms."""
    p_j, lead, w = sp.symbols("p_j lead w", nonnegative=True)
    # ‖p − e_y‖² ≤ q: the slack is Σ_{j≠y} p_j(p_y − p_j).
    squared = Q**2 + sum_over(p_j**2, rival_moment, p_j)
    slack = sum_over(p_j * (P - p_j), rival_moment, p_j)
    prove_zero((Q - squared - slack).subs(P, 1 - Q), because="‖p − e_y‖² ≤ q")
    prove_sign(p_j * lead, "nonnegative")
    prove_slope_crude()  # ‖p − e_y‖² ≤ 2q²
    # p_y|w|² − wᵀMw = Σ (p_y − p_i)w_i² + (pᵀw)².
    p_i, w_i, p_k, w_k = sp.symbols("p_i w_i p_k w_k")
    mean = weighted_moment(1, 1)
    form = weighted_moment(1, 2) - mean**2
    gaps = sum_over((P - p_i) * w_i**2, weighted_moment, p_i, w_i)
    prove_zero(P * weighted_moment(0, 2) - form - gaps - mean**2, because="M ⪯ p_y I")
    prove_sign(lead * w**2, "nonnegative")
    # 2Σp_i(1 − p_i)w_i² − wᵀMw = ½ Σ_{i≠k} p_i p_k (w_i + w_k)²: Gershgorin as a sum of squares.
    pairs = p_i * p_k * (w_i + w_k) ** 2 / 2
    double = sum_over(sum_over(pairs, weighted_moment, p_k, w_k), weighted_moment, p_i, w_i)
    off_diagonal = double - sum_over(2 * p_i**2 * w_i**2, weighted_moment, p_i, w_i)
    rows = sum_over(gershgorin * p_i * (1 - p_i) * w_i**2, weighted_moment, p_i, w_i)
    prove_zero(rows - form - off_diagonal, because="Gershgorin")
    prove_bend_crude()  # p_i(1 − p_i) ≤ p_y q


def sharp_slope(case: Case, factor: float = 2.0) -> Tensor:
    """√(q·min(1, 2q))·‖VC‖₂: (T,)."""
    return (case.q * (factor * case.q).clamp_max(1.0)).sqrt() * bounds.centred_norm(case.V)


def sharp_bend(case: Case, factor: float = 2.0) -> Tensor:
    """p_y·min(1, 2q)·‖VC‖₂²: (T,)."""
    return case.p * (factor * case.q).clamp_max(1.0) * bounds.centred_norm(case.V).square()


SHARP = Claim(
    id="thm-sharp-norms",
    where="new",
    title="how large gradient and curvature can be",
    printed=r"\|\nabla\|_2^2 \le q\min(1,2q)\,\|VC\|_2^2,\quad \|H\|_2 \le p_y\min(1,2q)\,\|VC\|_2^2,\quad C = I-\tfrac1K\mathbf 1\mathbf 1^T",
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ARGMAX),
    depends=("lemma-4.1-gradient", "lemma-4.1-hessian"),
    chapter=PAGE,
    derivation=Derivation(prove_sharp, lambda: prove_sharp(1), "Gershgorin's radius forgotten"),
    checks=(
        *both(
            "‖∇‖ and ‖H‖ against ‖VC‖₂",
            lambda c: torch.maximum(violation(c.slope, sharp_slope(c)), violation(c.bend, sharp_bend(c))),
            lambda c: torch.maximum(
                violation(c.slope, sharp_slope(c, 1.9)), violation(c.bend, sharp_bend(c, 1.9))
            ),
            "1.9 in place of 2",
        ),
        *both(
            "equality at K = 2",
            lambda c: torch.maximum((c.slope / sharp_slope(c) - 1).abs(), (c.bend / sharp_bend(c) - 1).abs()),
            lambda c: (c.slope / sharp_slope(c, 1.9) - 1).abs(),
            "1.9 in place of 2",
            classes=(2,),
        ),
    ),
)


def prove_trace_bound(factor: int = 2) -> None:
    """‖VC‖_F² = D/K with D = Σ_{i<j}‖v_i − v_j‖², so tr H ≤ λ_max(M)‖VC‖_F² ≤ (2/K)p_y q D."""
    K = sp.Symbol("K", positive=True)
    a_i, a_j = sp.symbols("a_i a_j")

    def moment(power: int) -> sp.Expr:
        return K if power == 0 else sp.Symbol(f"S{power}")

    pairs = sum_over(sum_over((a_i - a_j) ** 2 / 2, moment, a_j), moment, a_i)
    centred = sum_over((a_i - moment(1) / K) ** 2, moment, a_i)
    prove_zero(pairs - K * centred, because="‖VC‖_F² = D/K, row by row")
    D = sp.Symbol("D", positive=True)
    prove_zero(2 * P * Q * (D / K) - factor / K * P * Q * D, because="λ_max(M) ≤ 2p_y q")


def total_distance(V: Tensor) -> Tensor:
    """D = Σ_{i<j} ‖v_i − v_j‖²: (…)."""
    return 0.5 * distances(V).sum(dim=(-2, -1))


def _trace_limit(tail: float) -> Tensor:
    """V = (½, −½, 0, 0), the tail classes improbable: tr H → (2/K)p_y q D."""
    case = at([[0.5, -0.5, 0.0, 0.0]], [1.0, -1.0, -tail, -tail])
    return (1 - pair_sum(case.V, case.z) / (0.5 * case.p * case.q * total_distance(case.V))).abs()


TRACE = Claim(
    id="thm-trace-bound",
    where="new",
    title="the sharp constant in place of Eq. (43)'s",
    printed=r"\|H\|_2 \le \operatorname{tr} H \le \frac2K\,p_y(1-p_y)\sum_{i<j}\|\mathbf v_i-\mathbf v_j\|_2^2",
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ARGMAX),
    depends=("eq-35", "thm-sharp-norms"),
    chapter=PAGE,
    derivation=Derivation(prove_trace_bound, lambda: prove_trace_bound(1), "1/K in place of 2/K"),
    checks=(
        *both(
            "tr H ≤ (2/K) p_y q D",
            lambda c: violation(pair_sum(c.V, c.z), 2 / c.z.shape[-1] * c.p * c.q * total_distance(c.V)),
            lambda c: violation(pair_sum(c.V, c.z), 1.9 / c.z.shape[-1] * c.p * c.q * total_distance(c.V)),
            "1.9 in place of 2",
        ),
        Check(
            "the constant is approached at K = 4",
            fixed(lambda: _trace_limit(40.0)),
            fixed(lambda: _trace_limit(2.0)),
            "rivals that are not improbable",
        ),
    ),
)

CLAIMS = (EQ_34, EQ_35, EQ_36, SHARP, TRACE)
"""The claims of this module, in the paper's order; then ours."""
