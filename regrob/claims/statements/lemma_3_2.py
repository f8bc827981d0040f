"""Lemma 3.2: Jacobian, gradient and Hessian of the loss with two classes, in closed form."""

from __future__ import annotations

from functools import partial

import sympy as sp

from regrob.claims.claim import Claim, proof
from regrob.claims.hypotheses import BINARY, OFF_KINKS, PIECEWISE
from regrob.symbols import cross_entropy, differentiate, for_every_size, prove_equal, prove_zero

statement = partial(Claim, chapter="book/lemma_3_2")


def prove_jacobian(transposed: bool = False) -> None:
    """∂z_k/∂x_a = v[a, k] for every n and K, by differentiating the sum."""
    for_every_size("a symbolic number of inputs; k is any class")
    L = cross_entropy()
    entry = L.v[L.k, L.a] if transposed else L.v[L.a, L.k]
    prove_equal(differentiate(L.logit(L.k), L.x[L.a], L.c), entry, because="J = V")


def prove_gradient(sign: int = 1) -> None:
    """Differentiate the loss for general n and K; at K = 2 both labels give ∓q(v₊ − v₋)."""
    L = cross_entropy()
    prove_equal(L.gradient(), L.mean(L.v[L.a, L.k]) - L.v[L.a, L.y], because="∇ = V(p − e_y)")
    plus, minus, p = sp.symbols("v_plus v_minus p_plus")  # one coordinate stands for all
    for label in (1, -1):
        p_y = p if label == 1 else 1 - p
        own = plus if label == 1 else minus
        gradient = p * plus + (1 - p) * minus - own
        prove_zero(gradient - sign * label * (p_y - 1) * (plus - minus), because="Eq. (7), ∇")


def prove_hessian(power: int = 1) -> None:
    """Differentiate twice for general n and K; at K = 2 the covariance is p₊p₋ s sᵀ."""
    L = cross_entropy()
    v_a, v_b = L.v[L.a, L.k], L.v[L.b, L.k]
    prove_equal(L.hessian(), L.mean(v_a * v_b) - L.mean(v_a) * L.mean(v_b), because="H = V(diag p − ppᵀ)Vᵀ")
    a_plus, a_minus, b_plus, b_minus, p = sp.symbols("a_plus a_minus b_plus b_minus p")
    q = 1 - p
    covariance = (
        p * a_plus * b_plus + q * a_minus * b_minus - (p * a_plus + q * a_minus) * (p * b_plus + q * b_minus)
    )
    prove_zero(covariance - (p * q) ** power * (a_plus - a_minus) * (b_plus - b_minus), because="Eq. (7), H")


LEMMA_JACOBIAN = statement(
    id="lemma-3.2-jacobian",
    where="Lemma 3.2, Eq. (7), first line",
    title="the Jacobian is V",
    printed="J = V",
    hypotheses=(PIECEWISE, OFF_KINKS, BINARY),
    depends=("eq-5",),
    derivation=proof(prove_jacobian, wrong=True, mistake="the transpose of V"),
)

LEMMA_GRADIENT = statement(
    id="lemma-3.2-gradient",
    where="Lemma 3.2, Eq. (7), second line; Eq. (18)",
    title="the input gradient",
    printed=r"\nabla = y(p(\mathbf x)_y - 1)(\mathbf v_+ - \mathbf v_-)^T",
    corrected=r"\nabla = y(p_y - 1)(\mathbf v_+ - \mathbf v_-)",
    hypotheses=(PIECEWISE, OFF_KINKS, BINARY, "∇ a column, as the Hessian needs"),
    transcription=True,
    depends=("lemma-3.2-jacobian",),
    derivation=proof(prove_gradient, wrong=-1, mistake="the sign reversed"),
)

LEMMA_HESSIAN = statement(
    id="lemma-3.2-hessian",
    where="Lemma 3.2, Eq. (7), last two lines; Eq. (19)",
    title="the Hessian has rank one",
    printed=r"H = p(\mathbf x)_y(1 - p(\mathbf x)_y)(\mathbf v_+ - \mathbf v_-)(\mathbf v_+ - \mathbf v_-)^T",
    hypotheses=(PIECEWISE, OFF_KINKS, BINARY),
    depends=("lemma-3.2-gradient",),
    derivation=proof(prove_hessian, wrong=2, mistake="p_y(1 − p_y) squared"),
)

CLAIMS = (LEMMA_JACOBIAN, LEMMA_GRADIENT, LEMMA_HESSIAN)
