"""ℓ_∞ with many classes: Eqs. (39) and (40), the induced norms, and a bracket that closes at K = 2."""

from __future__ import annotations

from collections.abc import Callable

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
    corner_values,
    fixed,
    gain,
    over_random,
    too_long,
    violation,
)
from regrob.claims.statements.many_norms import Q, prove_bend_crude, rival_moment
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import bounds, taylor_radius

PAGE = "book/linf_many_classes"
BOX = "the loss replaced by its quadratic model, β = log K, ‖r‖_∞ minimal"


def dual(case: Case) -> Tensor:
    """‖∇‖₁: (T,)."""
    return case.gradient.abs().sum(dim=-1)


def column_norm(matrix: Tensor) -> Tensor:
    """The norm induced by ℓ₁, the largest column sum ‖·‖₁: (…)."""
    return matrix.abs().sum(dim=-2).amax(dim=-1)


def row_norm(matrix: Tensor) -> Tensor:
    """The norm induced by ℓ_∞, the largest row sum ‖·‖_∞: (…)."""
    return matrix.abs().sum(dim=-1).amax(dim=-1)


def entries(matrix: Tensor) -> Tensor:
    """Σ_{kl} |H_kl|: (…)."""
    return matrix.abs().sum(dim=(-2, -1))


def bound_40(case: Case, *, inputs: bool = True) -> Tensor:
    """Eq. (40): (T,). `inputs=False` forgets the factor n."""
    n = case.gradient.shape[-1] if inputs else 1
    return taylor_radius.positive_root(dual(case), n * column_norm(case.hessian), case.xi)


# --- Eq. (39) --------------------------------------------------------------------------


def prove_box(power: int = 2) -> None:
    """t² ∓ r_k r_l ≥ 0 for |r_k|, |r_l| ≤ t; hence rᵀHr ≤ Σ|H_kl|·t² ≤ n‖H‖₁t², any n.

    Each of the two is half a sum of products of t ± r_k and t ± r_l, none of them negative.
    """
    t, r_k, r_l = sp.symbols("t r_k r_l", real=True)
    minus_k, plus_k, minus_l, plus_l = sp.symbols("minus_k plus_k minus_l plus_l", nonnegative=True)
    values = {minus_k: t - r_k, plus_k: t + r_k, minus_l: t - r_l, plus_l: t + r_l}
    for sign, halves in ((-1, minus_k * plus_l + plus_k * minus_l), (1, minus_k * minus_l + plus_k * plus_l)):
        prove_zero(t**power + sign * r_k * r_l - (halves / 2).subs(values), because="entry by entry")
        prove_sign(halves, "nonnegative")
    gap, column = sp.symbols("gap column", nonnegative=True)  # a column's sum, and ‖H‖₁ less that
    prove_sign((column + gap) - column, "nonnegative")


def corner_radius(case: Case) -> Tensor:
    """‖r̃*‖_∞ exactly, by trying every corner: a convex model is largest on a box at one. (T,)."""
    linear, curved = corner_values(case)
    return taylor_radius.positive_root(linear, curved, case.xi.unsqueeze(-1)).amin(dim=-1)


def _holder_excess(case: Case, inputs: float = 1.0) -> Tensor:
    """Eq. (39)'s left side at the exact ‖r̃*‖_∞, which must not be negative; relative to ξ."""
    t = corner_radius(case)
    n = case.gradient.shape[-1] * inputs
    left = dual(case) * t + 0.5 * n * column_norm(case.hessian) * t.square()
    return (case.xi - left) / case.xi


def _random_box(case: Case) -> Tensor:
    """Random steps: rᵀHr and ∇ᵀr against Hölder's bounds."""
    generator = torch.Generator().manual_seed(1)
    r = torch.randn(case.gradient.shape, generator=generator, dtype=torch.float64).to(case.z)
    size = r.abs().amax(dim=-1)
    bend = (r.unsqueeze(-2) @ case.hessian @ r.unsqueeze(-1)).flatten()
    return torch.maximum(
        violation((case.gradient * r).sum(dim=-1), dual(case) * size),
        violation(bend, case.gradient.shape[-1] * column_norm(case.hessian) * size.square()),
    )


def _wrong_box(case: Case) -> Tensor:
    r = case.gradient.sign()  # a corner
    return violation((case.gradient * r).sum(dim=-1), 0.99 * dual(case))


EQ_39 = Claim(
    id="eq-39",
    where="Appendix E, Eq. (39)",
    title="Hölder's inequality on the box",
    printed=(
        r"-\xi+\|\nabla\|_1\|\tilde{\mathbf r}^*\|_\infty+\tfrac n2\|H\|_1\|\tilde{\mathbf r}^*\|_\infty^2 "
        r"\ge -\xi+\nabla^T\mathbf r^*+\tfrac12(\mathbf r^*)^TH\mathbf r^* \ge 0"
    ),
    corrected=r"\text{the same with } \tilde{\mathbf r}^* \text{ throughout}",
    text=Text.RESTATED,
    transcription=True,  # the tildes
    hypotheses=(OFF_KINKS, BOX, "n inputs", "‖H‖₁ the largest column sum"),
    depends=("lemma-4.1-gradient", "remark-psd"),
    chapter=PAGE,
    derivation=Derivation(prove_box, lambda: prove_box(1), "t for t²"),
    checks=(
        *both(
            "∇'r and r'Hr on a box",
            _random_box,
            _wrong_box,
            "one per cent off ‖∇‖₁",
        ),
        Check(
            "the left side at the exact ‖r̃*‖_∞",
            over_random(_holder_excess),
            over_random(lambda c: _holder_excess(c, 0.2)),
            "the factor n forgotten",
        ),
    ),
)

EQ_40 = Claim(
    id="eq-40",
    where="Appendix E, Eq. (40)",
    title="a lower bound in the ℓ_∞ norm",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty \ge \frac{2\xi}{\sqrt{\|\nabla\|_1^2+2n\|H\|_1\xi}+\|\nabla\|_1}",
    hypotheses=(OFF_KINKS, BOX, "ξ ≥ 0", "‖H‖₁ the largest column sum"),
    depends=("eq-39",),
    chapter=PAGE,
    derivation=Derivation(lambda: prove_root(2), lambda: prove_root(1), "nξ‖H‖₁ under the root"),
    checks=both(
        "no step as short as Eq. (40) reaches ξ",
        lambda c: too_long(c, bound_40(c), box=True),
        lambda c: too_long(c, bound_40(c, inputs=False), box=True),
        "the factor n forgotten",
    ),
)


def prove_root(twice: int = 2) -> None:
    """t = 2ξ/(a + √(a² + 2bξ)) solves at + bt²/2 = ξ, and the left side grows with t."""
    a, b, t, xi = sp.symbols("a b t xi", positive=True)
    found = 2 * xi / (a + sp.sqrt(a**2 + twice * b * xi))
    prove_zero(a * found + b * found**2 / 2 - xi, because="the root of Eq. (39)'s left side")
    prove_sign(sp.diff(a * t + b * t**2 / 2, t), "positive")


# --- the two induced norms -------------------------------------------------------------


def prove_first(constant: int = 2) -> None:
    """‖p − e_y‖₁ = q + Σ_{j≠y} p_j = 2q, for every K; then ‖Vw‖₁ ≤ ‖V‖₁‖w‖₁."""
    p_j = sp.Symbol("p_j", nonnegative=True)
    prove_zero(Q + sum_over(p_j, rival_moment, p_j) - constant * Q, because="‖p − e_y‖₁ = 2q")


def prove_second(constant: int = 2) -> None:
    """Column i of M sums to 2p_i(1 − p_i) in absolute value, and that is at most 2p_y q."""
    p_i, q_i = sp.symbols("p_i q_i", positive=True)  # q_i = Σ_{j≠i} p_j
    column = p_i * q_i + p_i * q_i  # |p_i − p_i²| and Σ_{j≠i} p_i p_j
    prove_zero(column - constant * p_i * q_i, because="‖M‖₁, column by column")
    prove_bend_crude()


def _attained(V: list[list[float]]) -> Callable[[], Tensor]:
    """Both bounds at once: their largest distance from equality."""

    def gap() -> Tensor:
        case = at(V, [0.6, -0.6])
        first = dual(case) / (2 * case.q * column_norm(case.V)) - 1
        second = (
            column_norm(case.hessian) / (2 * case.p * case.q * column_norm(case.V) * row_norm(case.V)) - 1
        )
        return torch.maximum(first.abs(), second.abs())

    return gap


INDUCED_GRADIENT = Claim(
    id="remark-gradient-1-norm",
    where="Appendix E, below Eq. (40), first bound",
    title="‖∇‖₁ against ‖V‖₁",
    printed=r"\|\nabla\|_1 \le 2(1-p_y)\|V\|_1",
    hypotheses=(OFF_KINKS, "any label", "‖V‖₁ the largest column sum"),
    depends=("lemma-4.1-gradient",),
    chapter=PAGE,
    derivation=Derivation(prove_first, lambda: prove_first(1), "q for 2q"),
    checks=(
        *both(
            "‖∇‖₁ ≤ 2q‖V‖₁",
            lambda c: violation(dual(c), 2 * c.q * column_norm(c.V)),
            lambda c: violation(dual(c), c.q * column_norm(c.V)),
            "q for 2q",
            correct=False,
        ),
        Check(
            "attained at V = (1, −1)",
            fixed(_attained([[1.0, -1.0]])),
            fixed(_attained([[1.0, 0.0]])),
            "V = (1, 0)",
        ),
    ),
)

INDUCED_HESSIAN = Claim(
    id="remark-hessian-1-norm",
    where="Appendix E, below Eq. (40), second bound",
    title="‖H‖₁ against ‖V‖₁‖V‖_∞",
    printed=r"\|H\|_1 \le 2p_y(1-p_y)\|V\|_1\|V\|_\infty",
    hypotheses=(OFF_KINKS, ARGMAX, "‖·‖₁ the largest column sum, ‖·‖_∞ the largest row sum"),
    depends=("lemma-4.1-hessian",),
    chapter=PAGE,
    derivation=Derivation(prove_second, lambda: prove_second(1), "p_y q for 2p_y q"),
    checks=(
        *both(
            "‖H‖₁ ≤ 2p_y q‖V‖₁‖V‖_∞",
            lambda c: violation(column_norm(c.hessian), 2 * c.p * c.q * column_norm(c.V) * row_norm(c.V)),
            lambda c: violation(column_norm(c.hessian), c.p * c.q * column_norm(c.V) * row_norm(c.V)),
            "p_y q for 2p_y q",
        ),
        Check(
            "attained at V = (1, −1)",
            fixed(_attained([[1.0, -1.0]])),
            fixed(_attained([[1.0, 0.0]])),
            "V = (1, 0)",
        ),
    ),
)

# --- the bracket -----------------------------------------------------------------------


def prove_bracket(factor: int = 2) -> None:
    """Along r = t·sign ∇ the model is at least s + (p/2q)s² with s = ‖∇‖₁t: ξ at s = (q/p)B."""
    p, q, xi, s = sp.symbols("p q xi s", positive=True)
    reached = q / p * (sp.sqrt(1 + factor * p * xi / q) - 1)
    prove_zero((s + p * s**2 / (2 * q) - xi).subs(s, reached), because="the upper end")
    prove_box()
    prove_root()


def _ends(case: Case) -> tuple[Tensor, Tensor]:
    return bounds.radius_linf_bracket(case.V, case.z, case.y)


def _corner_step(case: Case, scale: float) -> Tensor:
    """By how much a step of the upper end to the corner sign ∇ stays short of ξ."""
    step = scale * _ends(case)[1].unsqueeze(-1) * case.gradient.sign()
    return (case.xi - gain(case, step)) / case.xi


LINF = Claim(
    id="thm-linf-two-sided",
    where="new",
    title="the ℓ_∞ radius between two closed forms",
    printed=(
        r"\frac{2\xi}{\|\nabla\|_1+\sqrt{\|\nabla\|_1^2+2h\xi}} \le \|\tilde{\mathbf r}^*\|_\infty \le "
        r"\frac{B}{p_y\|\mathbf v_y-\mathbf u\|_1},\quad h = \sum_{k,l}|H_{kl}| \le n\|H\|_1"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ARGMAX, BOX, "∇ ≠ 0"),
    depends=("eq-39", "thm-loewner"),
    chapter=PAGE,
    derivation=Derivation(prove_bracket, lambda: prove_bracket(1), "pξ/q under the root"),
    checks=(
        *both(
            "no step as short as the lower end reaches ξ",
            lambda c: too_long(c, _ends(c)[0], box=True),
            lambda c: too_long(c, 1.01 * _ends(c)[0], box=True),
            "one per cent longer",
        ),
        *both(
            "the corner sign ∇ at the upper end does",
            lambda c: _corner_step(c, 1.0),
            lambda c: _corner_step(c, 0.99),
            "one per cent shorter",
        ),
        *both(
            "the lower end is at least Eq. (40)",
            lambda c: violation(bound_40(c), _ends(c)[0]),
            lambda c: violation(_ends(c)[0], bound_40(c)),
            "the two exchanged",
        ),
        *both(
            "the ends meet at K = 2",
            lambda c: (_ends(c)[1] / _ends(c)[0] - 1).abs(),
            lambda c: (_ends(c)[1] / bound_40(c) - 1).abs(),
            "Eq. (40) for the lower end",
            classes=(2,),
        ),
        Check(
            "the exact radius, by every corner, lies between",
            over_random(
                lambda c: torch.maximum(
                    violation(_ends(c)[0], corner_radius(c)), violation(corner_radius(c), _ends(c)[1])
                )
            ),
            over_random(lambda c: violation(_ends(c)[1], corner_radius(c))),
            "the upper end taken for a lower one",
        ),
    ),
)

CLAIMS = (EQ_39, EQ_40, INDUCED_GRADIENT, INDUCED_HESSIAN, LINF)
"""In the paper's order; then ours."""
