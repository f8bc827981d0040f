"""The Loewner inequality H ⪰ (p_y/q)∇∇ᵀ, its best constant, and the ordering that follows."""

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
    fixed,
    over_networks,
    over_random,
    violation,
)
from regrob.claims.statements.many_norms import weighted_moment
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import bounds

PAGE = "book/ordering"


def prove_loewner(weight: int = 1) -> None:
    """q·(rᵀHr − (p/q)(∇ᵀr)²) = Σ_{i<j; i,j≠y} p_i p_j (a_i − a_j)², a = Vᵀr: any n, K, y.

    R1, R2 stand for Σ_{j≠y} p_j a_j and Σ_{j≠y} p_j a_j²; the rivals' probabilities sum to q.
    """
    q, a_y = sp.symbols("q a_y")
    p = 1 - q

    def moment(i: int, j: int) -> sp.Expr:
        return q if (i, j) == (1, 0) else sp.Symbol(f"R{j}")

    mean = p * a_y + moment(1, 1)
    form = p * a_y**2 + moment(1, 2) - mean**2
    along = mean - a_y
    p_i, p_j = sp.symbols("p_i p_j", positive=True)
    a_i, a_j = sp.symbols("a_i a_j", real=True)
    pair = p_i * p_j * (a_i - a_j) ** 2 / 2
    pairs = sum_over(sum_over(pair, moment, p_j, a_j), moment, p_i, a_i)
    prove_zero(q * form - weight * p * along**2 - pairs, because="the certificate")
    prove_sign(pair, "nonnegative")


def _least(case: Case, factor: float = 1.0) -> Tensor:
    """−λ_min(H − factor·(p/q)∇∇ᵀ) relative to ‖H‖₂: positive where the inequality fails."""
    ratio = factor * case.p / case.q
    rank_one = ratio[:, None, None] * case.gradient.unsqueeze(-1) * case.gradient.unsqueeze(-2)
    least: Tensor = torch.linalg.eigvalsh(case.hessian - rank_one)[..., 0]
    return -least / case.bend


def _coincident(spread: float) -> Tensor:
    """K = 4 with rivals `spread` apart: H − (p/q)∇∇ᵀ relative to H."""
    case = at([[1.0, 0.0, spread, 0.0], [0.0, 2.0, 2.0, 2.0]], [0.5, 0.3, -0.2, 0.1])
    rank_one = (case.p / case.q)[:, None, None] * case.gradient.unsqueeze(-1) * case.gradient.unsqueeze(-2)
    return (case.hessian - rank_one).abs().amax() / case.bend


LOEWNER = Claim(
    id="thm-loewner",
    where="new",
    title="the Hessian dominates the squared gradient",
    printed=r"H \succeq \frac{p_y}{1-p_y}\,\nabla\nabla^T,\quad\text{hence } \|H\|_2 \ge \frac{p_y}{1-p_y}\|\nabla\|_2^2",
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "any label, any K", "equality iff all rivals' columns coincide"),
    depends=("lemma-4.1-pairs", "lemma-4.1-gradient"),
    chapter=PAGE,
    derivation=Derivation(prove_loewner, lambda: prove_loewner(2), "twice the constant"),
    checks=(
        *both(
            "least eigenvalue of H − (p/q)∇∇'",
            _least,
            lambda c: _least(c, 1.01),
            "one per cent more",
            correct=False,
        ),
        *both(
            "the norms",
            lambda c: violation(c.p / c.q * c.slope.square(), c.bend),
            lambda c: violation(1.01 * c.p / c.q * c.slope.square(), c.bend),
            "one per cent more",
            correct=False,
        ),
        Check(
            "equality where the rivals coincide",
            fixed(lambda: _coincident(0.0)),
            fixed(lambda: _coincident(0.1)),
            "rivals that differ",
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


def _tight(case: Case, shift: float = 0.0) -> Tensor:
    """Solve C Vᵀr = C e_y by least squares; where that succeeds, compare the ratio with p/q.

    In units of the rounding to expect: rᵀHr = pq comes out of terms as large as ‖H‖‖r‖².
    """
    K = case.z.shape[-1]
    C = torch.eye(K, dtype=case.V.dtype, device=case.V.device) - 1.0 / K
    target = torch.nn.functional.one_hot(case.y, K).to(case.V)
    r = (torch.linalg.pinv((case.V @ C).mT) @ (target @ C).unsqueeze(-1)).squeeze(-1)
    a = (case.V.mT @ r.unsqueeze(-1)).squeeze(-1)
    solved = ((a - target) @ C).abs().amax(dim=-1) < 1e-9
    bend = (r.unsqueeze(-2) @ case.hessian @ r.unsqueeze(-1)).flatten()
    ratio = bend / (case.gradient * r).sum(dim=-1).square()
    error = (ratio / ((1 + shift) * case.p / case.q) - 1).abs()
    cancelled = case.bend * r.square().sum(dim=-1) / (case.p * case.q)
    error = error / cancelled.clamp_min(1.0)
    fine = solved & (case.q > 1e-3)
    return torch.where(fine, error, torch.zeros_like(error))


def _largest(case: Case, share: float = 1.0) -> Tensor:
    """How far ∇ᵀH⁺∇ exceeds q/p. Small eigenvalues, which are rounding, are left out: that only lowers it."""
    inverse = torch.linalg.pinv(case.hessian, rtol=1e-5, hermitian=True)
    form = (case.gradient.unsqueeze(-2) @ inverse @ case.gradient.unsqueeze(-1)).flatten()
    return violation(form, share * case.q / case.p)


CONSTANT = Claim(
    id="thm-loewner-constant",
    where="new",
    title="p_y/q is the best constant",
    printed=(
        r"\operatorname{rank}(VC) = K-1 \Rightarrow \sup\{c : H \succeq c\,\nabla\nabla^T\} = \frac{p_y}{1-p_y}; "
        r"\text{ in general } \sup = \frac1{\nabla^TH^+\nabla} \ge \frac{p_y}{1-p_y}"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "∇ ≠ 0", "any label"),
    depends=("thm-loewner",),
    chapter=PAGE,
    derivation=Derivation(prove_constant, lambda: prove_constant(1), "∇ᵀr = +q, with p/q unchanged"),
    checks=(
        Check(
            "a direction in which rᵀHr = (p/q)(∇ᵀr)² (random instances)",
            over_random(_tight, correct=False, inputs=12, high=3.0),
            over_random(lambda c: _tight(c, 0.01), correct=False, inputs=12, high=3.0),
            "one per cent more",
        ),
        Check(
            "the same (networks, autograd)",
            over_networks(_tight, (2, 3, 4), correct=False),
            over_networks(lambda c: _tight(c, 0.01), (2, 3, 4), correct=False),
            "one per cent more",
        ),
        Check(
            "∇'H⁺∇ ≤ q/p_y (random instances)",
            over_random(_largest, correct=False, inputs=12, high=3.0),
            over_random(lambda c: _largest(c, 0.99), correct=False, inputs=12, high=3.0),
            "one per cent less",
        ),
        Check(
            "∇'H⁺∇ ≤ q/p_y (networks, autograd)",
            over_networks(_largest, (2, 3, 4), correct=False),
            over_networks(lambda c: _largest(c, 0.99), (2, 3, 4), correct=False),
            "one per cent less",
        ),
    ),
)

# --- what follows ----------------------------------------------------------------------


def prove_ordering(parts: int = 2) -> None:
    """p_y ≥ 1/K gives p/q ≥ 1/(K−1); ½|w|² − wᵀMw ≥ 0 by Gershgorin and p_i(1 − p_i) ≤ ¼."""
    half = sp.Rational(1, parts)
    K, lead = sp.Symbol("K", positive=True), sp.Symbol("lead", nonnegative=True)
    k = sp.Symbol("k", positive=True)  # K − 1
    p = 1 / K + lead
    slack = (p * (K - 1) - (1 - p)).subs(K, k + 1)  # p/q − 1/(K − 1), times q(K − 1)
    prove_sign(slack, "nonnegative", certificate=lead * (k + 1))
    p_i, w_i, p_j, w_j = sp.symbols("p_i w_i p_j w_j", real=True)
    form = weighted_moment(1, 2) - weighted_moment(1, 1) ** 2
    pair = p_i * p_j * (w_i + w_j) ** 2 / 2
    double = sum_over(sum_over(pair, weighted_moment, p_j, w_j), weighted_moment, p_i, w_i)
    off = double - sum_over(2 * p_i**2 * w_i**2, weighted_moment, p_i, w_i)  # i ≠ j: a sum of squares
    gaps = sum_over(2 * (p_i - half) ** 2 * w_i**2, weighted_moment, p_i, w_i)
    prove_zero(half * weighted_moment(0, 2) - form - off - gaps, because="λ_max(M) ≤ ½")


def _order(case: Case, divisor: float, half: float = 0.5) -> Tensor:
    return torch.maximum(
        violation(case.slope.square() / divisor, case.bend),
        violation(case.bend, half * bounds.centred_norm(case.V).square()),
    )


def _ends_attained(x: float) -> Tensor:
    """K = 4: V = (1, 0, 0, 0) as x → 0 for the left end; (1, −1, 0, 0), p → (½, ½, 0, 0) for the right."""
    left = at([[1.0, 0.0, 0.0, 0.0]], [x, 0.0, 0.0, 0.0])
    right = at([[1.0, -1.0, 0.0, 0.0]], [x, -x, -1 / x**0.5, -1 / x**0.5])
    return torch.maximum(
        (left.bend * 3 / left.slope.square() - 1).abs(),
        (right.bend / (0.5 * bounds.centred_norm(right.V).square()) - 1).abs(),
    )


ORDERING = Claim(
    id="cor-ordering",
    where="new",
    title="the penalties in order, with their best constants",
    printed=r"\frac{\|\nabla\|_2^2}{K-1} \le \|H\|_2 \le \tfrac12\|VC\|_2^2 \le \tfrac12\|V\|_F^2",
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ARGMAX + " (left link only)"),
    depends=("thm-loewner", "lemma-4.1-hessian"),
    chapter=PAGE,
    derivation=Derivation(prove_ordering, lambda: prove_ordering(3), "a third for a half"),
    checks=(
        *both(
            "‖∇‖²/(K−1) ≤ ‖H‖ ≤ ½‖VC‖²",
            lambda c: _order(c, c.z.shape[-1] - 1.0),
            lambda c: _order(c, c.z.shape[-1] - 1.0, 1 / 3),
            "a third for a half",
        ),
        Check(
            "both ends are approached at K = 4",
            fixed(lambda: _ends_attained(1e-6)),
            fixed(lambda: _ends_attained(0.5)),
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


def _third(case: Case, least: float) -> Tensor:
    return torch.where(case.p >= least, violation(0.5 * case.slope.square(), case.bend), -1.0)


HALF = Claim(
    id="cor-half",
    where="new",
    title="when half the squared gradient is below the curvature",
    printed=r"\tfrac12\|\nabla\|_2^2 \le \|H\|_2 \text{ for every } V \text{ iff } p_y \ge \tfrac13",
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "any label, any K"),
    depends=("thm-loewner",),
    chapter=PAGE,
    derivation=Derivation(prove_third, lambda: prove_third(4), "p_y ≥ 1/4"),
    checks=both(
        "½‖∇‖² ≤ ‖H‖ where p_y ≥ 1/3",
        lambda c: _third(c, 1 / 3),
        lambda c: _third(c, 0.0),
        "any p_y",
        correct=False,
    ),
)

CLAIMS = (LOEWNER, CONSTANT, ORDERING, HALF)
"""New theorems; the paper's statements are in `ordering`."""
