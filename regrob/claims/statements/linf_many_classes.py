"""ℓ_∞ with many classes: Eqs. (39) and (40), the induced norms, and a bracket that closes at K = 2."""

from __future__ import annotations

from functools import partial

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Claim
from regrob.claims.class_sums import Q
from regrob.claims.combinators import check_at, check_both, check_random, proof
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.hypotheses import ANY_LABEL, ARGMAX, MODEL_BELOW_LOG_K, OFF_KINKS
from regrob.claims.instances import Instance, written_down
from regrob.claims.quadratic_model import corner_radius, overshoot, shortfall, within
from regrob.claims.samplings import MISTAKES_TOO, TWO_CLASSES
from regrob.claims.statements.lemma_3_1 import prove_root
from regrob.claims.statements.proposition_4_1 import OVER_RIVALS, prove_bend_crude, prove_upper_end
from regrob.symbols import prove_sign, prove_zero, sum_over
from regrob.theory import bounds, taylor_radius

statement = partial(Claim, chapter="book/linf_many_classes")
theorem = partial(statement, where="new")
BOX = f"{MODEL_BELOW_LOG_K}, ‖r‖_∞ minimal"


def one_norm(case: Instance) -> Tensor:
    """‖∇‖₁: (T,)."""
    return case.gradient.abs().sum(dim=-1)


def column_norm(matrix: Tensor) -> Tensor:
    """The norm induced by ℓ₁, the largest column sum ‖·‖₁: (…)."""
    return matrix.abs().sum(dim=-2).amax(dim=-1)


def row_norm(matrix: Tensor) -> Tensor:
    """The norm induced by ℓ_∞, the largest row sum ‖·‖_∞: (…)."""
    return matrix.abs().sum(dim=-1).amax(dim=-1)


def bound_40(case: Instance, *, inputs: bool = True) -> Tensor:
    """Eq. (40): (T,). `inputs=False` forgets the factor n."""
    n = case.gradient.shape[-1] if inputs else 1
    return taylor_radius.positive_root(one_norm(case), n * column_norm(case.hessian), case.xi)


# --- Eqs. (39) and (40) ----------------------------------------------------------------


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


def holder_excess(case: Instance, share: float = 1.0) -> Tensor:
    """Eq. (39)'s left side at the exact ‖r̃*‖_∞, which must not be negative; relative to ξ."""
    t = corner_radius(case)
    n = case.gradient.shape[-1] * share
    left = one_norm(case) * t + 0.5 * n * column_norm(case.hessian) * t.square()
    return (case.xi - left) / case.xi


def random_steps_excess(case: Instance) -> Tensor:
    """∇ᵀr and rᵀHr at random steps against Hölder's bounds."""
    generator = torch.Generator().manual_seed(1)
    r = torch.randn(case.gradient.shape, generator=generator, dtype=torch.float64).to(case.z)
    size = r.abs().amax(dim=-1)
    return worst(
        violation((case.gradient * r).sum(dim=-1), one_norm(case) * size),
        violation(
            case.quadratic_form(r), case.gradient.shape[-1] * column_norm(case.hessian) * size.square()
        ),
    )


EQ_39 = statement(
    id="eq-39",
    where="Appendix E, Eq. (39)",
    title="Hölder's inequality on the box",
    printed=r"-\xi+\|\nabla\|_1\|\tilde{\mathbf r}^*\|_\infty+\tfrac n2\|H\|_1\|\tilde{\mathbf r}^*\|_\infty^2 \ge -\xi+\nabla^T\mathbf r^*+\tfrac12(\mathbf r^*)^TH\mathbf r^* \ge 0",
    corrected=r"\text{the same with } \tilde{\mathbf r}^* \text{ throughout}",
    restated=True,
    transcription=True,  # the tildes
    hypotheses=(OFF_KINKS, BOX, "n inputs", "‖H‖₁ the largest column sum"),
    depends=("lemma-4.1-gradient", "remark-psd"),
    derivation=proof(prove_box, wrong=1, mistake="t for t²"),
    checks=(
        *check_both(
            "∇'r and r'Hr on a box",
            random_steps_excess,
            lambda c: violation((c.gradient * c.gradient.sign()).sum(dim=-1), 0.99 * one_norm(c)),
            "one per cent off ‖∇‖₁",
        ),
        check_random(
            "the left side at the exact ‖r̃*‖_∞",
            holder_excess,
            0.2,  # n = 5
            "the factor n forgotten",
        ),
    ),
)


EQ_40 = statement(
    id="eq-40",
    where="Appendix E, Eq. (40)",
    title="a lower bound in the ℓ_∞ norm",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty \ge \frac{2\xi}{\sqrt{\|\nabla\|_1^2+2n\|H\|_1\xi}+\|\nabla\|_1}",
    hypotheses=(OFF_KINKS, BOX, "ξ ≥ 0", "‖H‖₁ the largest column sum"),
    depends=("eq-39",),
    derivation=proof(prove_root, wrong=1, mistake="nξ‖H‖₁ under the root"),
    checks=check_both(
        "no step as short as Eq. (40) reaches ξ",
        lambda c, inputs=True: overshoot(c, bound_40(c, inputs=inputs), box=True),
        False,
        "the factor n forgotten",
    ),
)

# --- the two induced norms -------------------------------------------------------------


def prove_first(constant: int = 2) -> None:
    """‖p − e_y‖₁ = q + Σ_{j≠y} p_j = 2q, for every K; then ‖Vw‖₁ ≤ ‖V‖₁‖w‖₁."""
    p_j = sp.Symbol("p_j", nonnegative=True)
    prove_zero(Q + sum_over(p_j, OVER_RIVALS, p_j) - constant * Q, because="‖p − e_y‖₁ = 2q")


def prove_second(constant: int = 2) -> None:
    """Column i of M sums to 2p_i(1 − p_i) in absolute value, and that is at most 2p_y q."""
    p_i, q_i = sp.symbols("p_i q_i", positive=True)  # q_i = Σ_{j≠i} p_j
    column = p_i * q_i + p_i * q_i  # |p_i − p_i²| and Σ_{j≠i} p_i p_j
    prove_zero(column - constant * p_i * q_i, because="‖M‖₁, column by column")
    prove_bend_crude()


def gradient_bound(case: Instance, factor: float = 2.0) -> Tensor:
    """2q‖V‖₁: (T,)."""
    return factor * case.q * column_norm(case.V)


def hessian_bound(case: Instance, factor: float = 2.0) -> Tensor:
    """2p_y q‖V‖₁‖V‖_∞: (T,)."""
    return factor * case.p * case.q * column_norm(case.V) * row_norm(case.V)


def distance_from_bounds(second: float) -> Tensor:
    """Both bounds at once at V = (1, second): the larger distance from equality."""
    case = written_down([[1.0, second]], [0.6, -0.6])
    return worst(
        ratio_error(one_norm(case), gradient_bound(case)),
        ratio_error(column_norm(case.hessian), hessian_bound(case)),
    )


ATTAINED = check_at("attained at V = (1, −1)", distance_from_bounds, -1.0, 0.0, "V = (1, 0)")

INDUCED_GRADIENT = statement(
    id="remark-gradient-1-norm",
    where="Appendix E, below Eq. (40), first bound",
    title="‖∇‖₁ against ‖V‖₁",
    printed=r"\|\nabla\|_1 \le 2(1-p_y)\|V\|_1",
    hypotheses=(OFF_KINKS, ANY_LABEL, "‖V‖₁ the largest column sum"),
    depends=("lemma-4.1-gradient",),
    derivation=proof(prove_first, wrong=1, mistake="q for 2q"),
    checks=(
        *check_both(
            "‖∇‖₁ ≤ 2q‖V‖₁",
            lambda c, factor=2.0: violation(one_norm(c), gradient_bound(c, factor)),
            1.0,
            "q for 2q",
            MISTAKES_TOO,
        ),
        ATTAINED,
    ),
)

INDUCED_HESSIAN = statement(
    id="remark-hessian-1-norm",
    where="Appendix E, below Eq. (40), second bound",
    title="‖H‖₁ against ‖V‖₁‖V‖_∞",
    printed=r"\|H\|_1 \le 2p_y(1-p_y)\|V\|_1\|V\|_\infty",
    hypotheses=(OFF_KINKS, ARGMAX, "‖·‖₁ the largest column sum, ‖·‖_∞ the largest row sum"),
    depends=("lemma-4.1-hessian",),
    derivation=proof(prove_second, wrong=1, mistake="p_y q for 2p_y q"),
    checks=(
        *check_both(
            "‖H‖₁ ≤ 2p_y q‖V‖₁‖V‖_∞",
            lambda c, factor=2.0: violation(column_norm(c.hessian), hessian_bound(c, factor)),
            1.0,
            "p_y q for 2p_y q",
        ),
        ATTAINED,
    ),
)

# --- the bracket -----------------------------------------------------------------------


def prove_bracket(factor: int = 2) -> None:
    """The upper end along r = t·sign ∇, where ∇ᵀr = ‖∇‖₁t; the lower one is the root of Eq. (39)'s."""
    prove_upper_end(factor)
    prove_box()
    prove_root()


def bracket(case: Instance) -> bounds.Bracket:
    """Both ends of Theorem `thm-linf-two-sided`: (T,) each."""
    return bounds.radius_linf_bracket(case.V, case.z, case.y)


LINF = theorem(
    id="thm-linf-two-sided",
    title="the ℓ_∞ radius between two closed forms",
    printed=r"\frac{2\xi}{\|\nabla\|_1+\sqrt{\|\nabla\|_1^2+2h\xi}} \le \|\tilde{\mathbf r}^*\|_\infty \le \frac{B}{p_y\|\mathbf v_y-\mathbf u\|_1},\quad h = \sum_{k,l}|H_{kl}| \le n\|H\|_1",
    hypotheses=(OFF_KINKS, ARGMAX, BOX, "∇ ≠ 0"),
    depends=("eq-39", "thm-loewner"),
    derivation=proof(prove_bracket, wrong=1, mistake="pξ/q under the root"),
    checks=(
        *check_both(
            "no step as short as the lower end reaches ξ",
            within(lambda c: bracket(c).lower, box=True),
            1.01,
            "one per cent longer",
        ),
        *check_both(
            "the corner sign ∇ at the upper end does",
            lambda c, stretch=1.0: shortfall(c, stretch * bracket(c).upper.unsqueeze(-1) * c.gradient.sign()),
            0.99,
            "one per cent shorter",
        ),
        *check_both(
            "the lower end is at least Eq. (40)",
            lambda c: violation(bound_40(c), bracket(c).lower),
            lambda c: violation(bracket(c).lower, bound_40(c)),
            "the two exchanged",
        ),
        *check_both(
            "the ends meet at K = 2",
            lambda c: ratio_error(bracket(c).upper, bracket(c).lower),
            lambda c: ratio_error(bracket(c).upper, bound_40(c)),
            "Eq. (40) for the lower end",
            TWO_CLASSES,
        ),
        check_random(
            "the exact radius, by every corner, lies between",
            lambda c: violation(bracket(c).lower, corner_radius(c), bracket(c).upper),
            lambda c: violation(bracket(c).upper, corner_radius(c)),
            "the upper end taken for a lower one",
        ),
    ),
)

CLAIMS = (EQ_39, EQ_40, INDUCED_GRADIENT, INDUCED_HESSIAN, LINF)
