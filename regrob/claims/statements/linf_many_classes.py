"""ℓ_∞ with many classes: Eqs. (39) and (40), the induced norms, and a bracket that closes at K = 2."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, proof
from regrob.claims.class_sums import Q
from regrob.claims.hypotheses import ANY_LABEL, ARGMAX, MODEL_BELOW_LOG_K, OFF_KINKS
from regrob.claims.statements.lemma_3_1 import prove_root
from regrob.claims.statements.proposition_4_1 import (
    OVER_RIVALS,
    prove_bend_crude,
    prove_loewner,
    prove_upper_end,
)
from regrob.symbols import for_every_size, prove_sign, prove_zero, sum_over

statement = partial(Claim, chapter="book/linf_many_classes")


theorem = partial(statement, where="new")


BOX = f"{MODEL_BELOW_LOG_K}, ‖r‖_∞ minimal"

# --- Eqs. (39) and (40) ----------------------------------------------------------------


def prove_box(power: int = 2) -> None:
    """t² ∓ r_k r_l ≥ 0 for |r_k|, |r_l| ≤ t; hence rᵀHr ≤ Σ|H_kl|·t² ≤ n‖H‖₁t², any n.

    Each of the two is half a sum of products of t ± r_k and t ± r_l, none of them negative.
    """
    for_every_size("one entry of H after the other, whatever n and K")
    t, r_k, r_l = sp.symbols("t r_k r_l", real=True)
    minus_k, plus_k, minus_l, plus_l = sp.symbols("minus_k plus_k minus_l plus_l", nonnegative=True)
    values = {minus_k: t - r_k, plus_k: t + r_k, minus_l: t - r_l, plus_l: t + r_l}
    for sign, halves in ((-1, minus_k * plus_l + plus_k * minus_l), (1, minus_k * minus_l + plus_k * plus_l)):
        prove_zero(t**power + sign * r_k * r_l - (halves / 2).subs(values), because="entry by entry")
        prove_sign(halves, "nonnegative")


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
)

EQ_40 = statement(
    id="eq-40",
    where="Appendix E, Eq. (40)",
    title="a lower bound in the ℓ_∞ norm",
    printed=r"\|\tilde{\mathbf r}^*\|_\infty \ge \frac{2\xi}{\sqrt{\|\nabla\|_1^2+2n\|H\|_1\xi}+\|\nabla\|_1}",
    hypotheses=(OFF_KINKS, BOX, "ξ ≥ 0", "‖H‖₁ the largest column sum"),
    depends=("eq-39",),
    derivation=proof(prove_root, prove_box, wrong=1, mistake="nξ‖H‖₁ under the root"),
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


INDUCED_GRADIENT = statement(
    id="remark-gradient-1-norm",
    where="Appendix E, below Eq. (40), first bound",
    title="‖∇‖₁ against ‖V‖₁",
    printed=r"\|\nabla\|_1 \le 2(1-p_y)\|V\|_1",
    hypotheses=(OFF_KINKS, ANY_LABEL, "‖V‖₁ the largest column sum"),
    depends=("lemma-4.1-gradient",),
    derivation=proof(prove_first, wrong=1, mistake="q for 2q"),
)

INDUCED_HESSIAN = statement(
    id="remark-hessian-1-norm",
    where="Appendix E, below Eq. (40), second bound",
    title="‖H‖₁ against ‖V‖₁‖V‖_∞",
    printed=r"\|H\|_1 \le 2p_y(1-p_y)\|V\|_1\|V\|_\infty",
    hypotheses=(OFF_KINKS, ARGMAX, "‖·‖₁ the largest column sum, ‖·‖_∞ the largest row sum"),
    depends=("lemma-4.1-hessian",),
    derivation=proof(prove_second, wrong=1, mistake="p_y q for 2p_y q"),
)

# --- the bracket -----------------------------------------------------------------------


def prove_bracket(factor: int = 2) -> None:
    """The upper end along r = t·sign ∇, where ∇ᵀr = ‖∇‖₁t; the lower one is the root of Eq. (39)'s."""
    prove_upper_end(factor)
    prove_box()
    prove_root()


LINF = theorem(
    id="thm-linf-two-sided",
    title="the ℓ_∞ radius between two closed forms",
    printed=r"\frac{2\xi}{\|\nabla\|_1+\sqrt{\|\nabla\|_1^2+2h\xi}} \le \|\tilde{\mathbf r}^*\|_\infty \le \frac{B}{p_y\|\mathbf v_y-\mathbf u\|_1},\quad h = \sum_{k,l}|H_{kl}| \le n\|H\|_1",
    hypotheses=(OFF_KINKS, ARGMAX, BOX, "∇ ≠ 0"),
    depends=("eq-39", "thm-loewner"),
    derivation=proof(prove_bracket, prove_loewner, wrong=1, mistake="pξ/q under the root"),
)

CLAIMS = (EQ_39, EQ_40, INDUCED_GRADIENT, INDUCED_HESSIAN, LINF)
