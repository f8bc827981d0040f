"""Section 3: the local linear map of Eq. (5), and what Lemma 3.2 derives from it for two classes."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor, nn

from regrob.affine.polytopes import masked_product
from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw, Sample, autograd_noise, relative, signed
from regrob.errors import ProofError
from regrob.symbols import cross_entropy, differentiate, prove_equal, prove_zero
from regrob.theory import probability

AFFINE, LEMMA = "book/locally_affine", "book/lemma_3_2"
OFF_KINKS = "x off the kinks (the interior of Q(x))"
BINARY = "K = 2"


# --- Eq. (5): affine inside the polytope -----------------------------------------------


def prove_affine(order: Callable[..., sp.MatrixExpr] = lambda W1, D, W2: W1 * D * W2) -> None:
    """With the mask D fixed, W₂ᵀD(W₁ᵀx + b₁) + b₂ = Vᵀx + c for V = W₁DW₂, at every size.

    W₁ᵀx + b₁ stands for the affine map that all layers below make, so this is the step of an
    induction over the layers; D is diagonal, hence symmetric.
    """
    n, h, k = sp.symbols("n h k", integer=True, positive=True)
    W1, W2 = sp.MatrixSymbol("W1", n, h), sp.MatrixSymbol("W2", h, k)
    D, x = sp.MatrixSymbol("D", h, h), sp.MatrixSymbol("x", n, 1)
    b1, b2 = sp.MatrixSymbol("b1", h, 1), sp.MatrixSymbol("b2", k, 1)
    logits = W2.T * D * (W1.T * x + b1) + b2
    offset = W2.T * D * b1 + b2
    gap = logits - order(W1, D, W2).T * x - offset
    left = sp.expand(sp.refine(gap.doit(), sp.Q.symmetric(D))).doit()
    if left != sp.ZeroMatrix(k, 1):
        raise ProofError(f"the affine map leaves {left}")


def _product_excess(V_of: Callable[[Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """V multiplied out from weights and masks, against autograd's Jacobian of the network."""

    def excess(draw: Draw) -> Tensor:
        def one(s: Sample) -> Tensor:
            assert isinstance(s.network, nn.Sequential)
            V = V_of(torch.stack([masked_product(s.network, image) for image in s.images]))
            return relative(V - s.autograd.jacobian, s.autograd.jacobian, axes=2)

        return torch.cat([one(s) for s in draw.samples(2) if "MLP" in s.name])

    return excess


def _found_excess(V_of: Callable[[Tensor], Tensor]) -> Callable[[Draw], Tensor]:
    """V of `local_map`, a gradient a class, against one dense Jacobian; a reader's network included."""
    return lambda draw: draw.over_samples(
        2, lambda s: relative(V_of(s.map.V) - s.autograd.jacobian, s.autograd.jacobian, axes=2)
    )


def _affine_excess(V_of: Callable[[Sample], Tensor]) -> Callable[[Draw], Tensor]:
    """Move a little inside Q(x): the logits must move by Vᵀr exactly."""

    def excess(draw: Draw) -> Tensor:
        def one(sample: Sample) -> Tensor:
            generator = torch.Generator().manual_seed(draw.seed)
            step = torch.randn(sample.images.shape, generator=generator, dtype=torch.float64)
            step = 1e-7 * step.to(sample.images)
            with torch.no_grad():
                moved = sample.network(sample.images + step) - sample.network(sample.images)
            predicted = (V_of(sample).mT @ step.flatten(1).unsqueeze(-1)).squeeze(-1)
            return relative(moved - predicted, predicted, axes=1)

        return draw.over_samples(2, one)

    return excess


EQ_5 = Claim(
    id="eq-5",
    where="Section 3, Eq. (5)",
    title="the logits are affine around x",
    printed=r"g(\mathbf x')|_{\mathbf x'\in Q(\mathbf x)} = V^T\mathbf x'",
    corrected=r"g(\mathbf x') = V^T\mathbf x' + \mathbf c \text{ on } Q(\mathbf x), \quad \mathbf c = 0 \text{ without biases}",
    text=Text.RESTATED,
    hypotheses=("piecewise-linear network", OFF_KINKS, "no biases, or an offset c"),
    chapter=AFFINE,
    derivation=Derivation(
        prove_affine,
        lambda: prove_affine(lambda W1, D, W2: W1 * D * D * W2),
        "the mask applied twice",
    ),
    checks=(
        Check(
            "V, multiplied out from weights and masks, against autograd's Jacobian",
            _product_excess(lambda V: V),
            _product_excess(lambda V: V.flip(-1)),
            "the two classes exchanged",
        ),
        Check(
            "a step inside Q(x) moves the logits by V'r",
            _affine_excess(lambda s: s.map.V),
            _affine_excess(lambda s: s.map.V * 1.01),
            "V one per cent too large",
            tolerance=1e-6,  # a step of 1e-7 leaves nine digits of a difference of logits
        ),
    ),
)

# --- Lemma 3.2 -------------------------------------------------------------------------


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


def binary_gradient(local_V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """∇ = y(p_y − 1)(v₊ − v₋), literally Eq. (7) with y = ±1: (…, n)."""
    q = probability.rival_probability(z, y)
    return (-signed(y) * q).unsqueeze(-1) * (local_V[..., 0] - local_V[..., 1])


def binary_hessian(local_V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """H = p_y(1 − p_y)(v₊ − v₋)(v₊ − v₋)ᵀ, literally Eq. (7): (…, n, n)."""
    s = local_V[..., 0] - local_V[..., 1]
    pq = probability.label_probability(z, y) * probability.rival_probability(z, y)
    return pq[..., None, None] * s.unsqueeze(-1) * s.unsqueeze(-2)


def _gradient_excess(factor: float) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        formula = factor * binary_gradient(s.map.V, s.map.z, s.y)
        return relative(formula - s.autograd.gradient, s.autograd.gradient, axes=1) / autograd_noise(s)

    return lambda draw: draw.over_samples(2, one)


def _hessian_excess(factor: float) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        formula = factor * binary_hessian(s.map.V, s.map.z, s.y)
        return relative(formula - s.autograd.hessian, s.autograd.hessian, axes=2) / autograd_noise(s)

    return lambda draw: draw.over_samples(2, one)


def prove_jacobian(transposed: bool = False) -> None:
    """∂z_k/∂x_a = v[a, k] for every n and K, by differentiating the sum."""
    L = cross_entropy()
    entry = L.v[L.k, L.a] if transposed else L.v[L.a, L.k]
    prove_equal(differentiate(L.logit(L.k), L.x[L.a], L.c), entry, because="J = V")


LEMMA_JACOBIAN = Claim(
    id="lemma-3.2-jacobian",
    where="Lemma 3.2, Eq. (7), first line",
    title="the Jacobian is V",
    printed="J = V",
    hypotheses=("piecewise-linear network", OFF_KINKS, BINARY),
    depends=("eq-5",),
    chapter=LEMMA,
    derivation=Derivation(
        prove_jacobian,
        lambda: prove_jacobian(transposed=True),
        "the transpose of V",
    ),
    checks=(
        *EQ_5.checks[:1],
        Check(
            "V, as this package finds it in any network, against autograd's Jacobian",
            _found_excess(lambda V: V),
            _found_excess(lambda V: V.flip(-1)),
            "the two classes exchanged",
        ),
    ),
)


LEMMA_GRADIENT = Claim(
    id="lemma-3.2-gradient",
    where="Lemma 3.2, Eq. (7), second line; Eq. (18)",
    title="the input gradient",
    printed=r"\nabla = y(p(\mathbf x)_y - 1)(\mathbf v_+ - \mathbf v_-)^T",
    corrected=r"\nabla = y(p_y - 1)(\mathbf v_+ - \mathbf v_-)",
    text=Text.CORRECTED,
    hypotheses=("piecewise-linear network", OFF_KINKS, BINARY, "∇ a column, as the Hessian needs"),
    transcription=True,
    depends=("lemma-3.2-jacobian",),
    chapter=LEMMA,
    derivation=Derivation(prove_gradient, lambda: prove_gradient(sign=-1), "the sign reversed"),
    checks=(
        Check(
            "Eq. (7) against autograd's gradient",
            _gradient_excess(1.0),
            _gradient_excess(-1.0),
            "the sign reversed",
        ),
    ),
)

LEMMA_HESSIAN = Claim(
    id="lemma-3.2-hessian",
    where="Lemma 3.2, Eq. (7), last two lines; Eq. (19)",
    title="the Hessian has rank one",
    printed=r"H = p(\mathbf x)_y(1 - p(\mathbf x)_y)(\mathbf v_+ - \mathbf v_-)(\mathbf v_+ - \mathbf v_-)^T",
    hypotheses=("piecewise-linear network", OFF_KINKS, BINARY),
    depends=("lemma-3.2-gradient",),
    chapter=LEMMA,
    derivation=Derivation(prove_hessian, lambda: prove_hessian(power=2), "p_y(1 − p_y) squared"),
    checks=(
        Check(
            "Eq. (7) against autograd's Hessian",
            _hessian_excess(1.0),
            _hessian_excess(1.01),
            "one per cent too much curvature",
        ),
    ),
)

CLAIMS = (EQ_5, LEMMA_JACOBIAN, LEMMA_GRADIENT, LEMMA_HESSIAN)
