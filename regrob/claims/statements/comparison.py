"""Section 3.2: the four penalties side by side. Eqs. (11), (12) and the chain."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Counterexample, Derivation, Text, Verdict
from regrob.claims.instances import Draw, Instance, Sample, autograd_noise, relative
from regrob.claims.statements.lemma_3_1 import prove_collapse
from regrob.symbols import prove_equal, prove_sign, prove_zero
from regrob.theory import derivatives, probability

CHAPTER = "book/four_penalties"
BINARY, OFF_KINKS = "K = 2", "x off the kinks"
LEMMA = ("lemma-3.2-gradient", "lemma-3.2-hessian")


def _pq(s: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """p_y, q and ν of a sample's local maps."""
    p, q = (f(s.map.z, s.y) for f in (probability.label_probability, probability.rival_probability))
    return p, q, derivatives.cross_lipschitz(s.map.V)


# --- the eigenvector and Eq. (11) ------------------------------------------------------


def _eigenvector_excess(classes: int) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        g, H = s.autograd.gradient, s.autograd.hessian
        image = (H @ g.unsqueeze(-1)).squeeze(-1)
        largest = torch.linalg.matrix_norm(H, 2)
        return relative(image - largest[:, None] * g, largest[:, None] * g, axes=1) / autograd_noise(s)

    return lambda draw: draw.over_samples(classes, one)


EIGENVECTOR = Claim(
    id="remark-gradient-eigenvector",
    where="Section 3.2, first corollary",
    title="the input gradient is the Hessian's first eigenvector",
    printed=r"\nabla \text{ has the direction of the first eigenvector of } H",
    hypotheses=(BINARY, OFF_KINKS, "ν > 0"),
    depends=LEMMA,
    chapter=CHAPTER,
    derivation=Derivation(prove_collapse, lambda: prove_collapse(2), "twice the eigenvalue"),
    checks=(
        Check(
            "H∇ = ‖H‖₂∇ with autograd's ∇ and H",
            _eigenvector_excess(2),
            _eigenvector_excess(3),
            "three classes",
        ),
    ),
)


def prove_norms(power: int = 1) -> None:
    """‖cs‖² = c²S; (ssᵀ)² = S ssᵀ gives ‖s sᵀ‖₂ = S and ‖s sᵀ‖_F² = S², for every n."""
    p, q, S, s_a, s_b = sp.symbols("p q S s_a s_b", positive=True)
    prove_equal((q**power * s_a) ** 2 / s_a**2 * S, q**2 * S, because="‖∇‖₂²")
    h_ab = p * q * s_a * s_b
    square_ab = (p * q) ** 2 * s_a * S * s_b  # Σ_c h_ac h_cb
    prove_zero(square_ab - p * q * S * h_ab, because="H² = pqS·H: one eigenvalue, pqS")
    prove_zero(square_ab.subs({s_b: s_a}) * S / s_a**2 - (p * q * S) ** 2, because="‖H‖_F²")


def _eq_11_excess(which: str, factor: float) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        p, q, nu = _pq(s)
        measured, formula = {
            "gradient": (s.autograd.gradient.square().sum(dim=-1), q.square() * nu.square()),
            "spectral": (torch.linalg.matrix_norm(s.autograd.hessian, 2), p * q * nu.square()),
            "frobenius": (torch.linalg.matrix_norm(s.autograd.hessian), p * q * nu.square()),
            "jacobian": (
                s.autograd.jacobian.square().sum(dim=(1, 2)),
                derivatives.lipschitz_squared(s.map.V),
            ),
        }[which]
        off: Tensor = (factor * formula - measured).abs() / measured / autograd_noise(s)
        return off

    return lambda draw: draw.over_samples(2, one)


EQ_11 = Claim(
    id="eq-11",
    where="Section 3.2, Eq. (11)",
    title="three penalties in closed form",
    printed=r"\lambda\mu^2,\quad \lambda(1-p_y)^2\nu^2,\quad \lambda p_y(1-p_y)\nu^2;\qquad \|H\|_F=\|H\|_2",
    hypotheses=(BINARY, OFF_KINKS, "any label"),
    depends=LEMMA,
    chapter=CHAPTER,
    derivation=Derivation(prove_norms, lambda: prove_norms(2), "q to the fourth power"),
    checks=tuple(
        Check(
            f"{name} by autograd",
            _eq_11_excess(which, 1.0),
            _eq_11_excess(which, 1.001),
            "one per mille more",
        )
        for name, which in (
            ("‖∇‖₂²", "gradient"),
            ("‖H‖₂", "spectral"),
            ("‖H‖_F", "frobenius"),
            ("‖J‖_F²", "jacobian"),
        )
    ),
)

# --- the chain and Eq. (12) ------------------------------------------------------------


def prove_chain(half: int = 2) -> None:
    """Slacks: q(2p − 1)ν² for p = (1 + t)/2 ≥ ½; and (2p − 1)²ν²/4 + ‖v₊ + v₋‖²/4 for any p."""
    p, N, total = sp.symbols("p N total", nonnegative=True)  # ν² and ‖v₊ + v₋‖²
    t, rest = sp.symbols("t rest", nonnegative=True)  # 2p − 1 and 1 − t
    first = (p * (1 - p) * N - (1 - p) ** 2 * N).subs(p, (1 + t) / 2)
    prove_zero(first - (rest / 2 * t * N).subs(rest, 1 - t), because="the first slack")
    prove_sign(rest / 2 * t * N, "nonnegative")
    r = sp.symbols("r", real=True)  # 2p − 1, either sign
    second = (N + total) / 2 / half - ((1 + r) / 2) * ((1 - r) / 2) * N
    prove_sign(second, "nonnegative", certificate=r**2 * N / 4 + total / 4)


def _chain_excess(*, correct: bool, half: float = 2.0) -> Callable[[Draw], Tensor]:
    """The larger of the two links' relative violations, on bare instances."""

    def excess(draw: Draw) -> Tensor:
        V, z, y = draw.instances(2, correct=correct)
        g2 = derivatives.input_gradient(V, z, y).square().sum(dim=-1)
        h, mu2 = derivatives.curvature(V, z), derivatives.lipschitz_squared(V)
        return torch.maximum((g2 - h) / h, (h - mu2 / half) / mu2)

    return excess


def _chain_on_networks(*, correct: bool) -> Callable[[Draw], Tensor]:
    def one(s: Sample) -> Tensor:
        g2 = s.autograd.gradient.square().sum(dim=-1)
        h = torch.linalg.matrix_norm(s.autograd.hessian, 2)
        mu2 = s.autograd.jacobian.square().sum(dim=(1, 2))
        chosen = probability.correctly_classified(s.map.z, s.y) == correct
        found = torch.maximum((g2 - h) / h, (h - mu2 / 2) / mu2) / autograd_noise(s)
        return found[chosen]

    return lambda draw: draw.over_samples(2, one)


def counterexample_chain() -> Counterexample:
    """p_y = 1/4, ν = 1: 9/16 on the left, 3/16 in the middle."""
    p, nu = sp.Rational(1, 4), sp.Integer(1)
    return Counterexample(
        r"p_y = \tfrac14,\ \nu = 1: \ (1-p_y)^2\nu^2 \text{ against } p_y(1-p_y)\nu^2",
        (1 - p) ** 2 * nu**2,
        "<=",
        p * (1 - p) * nu**2,
    )


CHAIN = Claim(
    id="chain-binary",
    where="Section 3.2, below Eq. (11)",
    title="the chained inequality of two classes",
    printed=r"\|\nabla\|_2^2 \le \|H\|_2 \le \|V\|_F^2/2",
    corrected=(
        r"\text{the first link needs } p_y \ge \tfrac12; \text{ the second holds always, and } \tfrac12 "
        r"\text{ is its best constant}"
    ),
    text=Text.CORRECTED,
    hypotheses=(BINARY, OFF_KINKS, "p_y ≥ 1/2 for the first link"),
    depends=("eq-11",),
    chapter=CHAPTER,
    derivation=Derivation(prove_chain, lambda: prove_chain(4), "a quarter of ‖V‖_F²"),
    checks=(
        Check(
            "both links, correctly classified",
            _chain_excess(correct=True),
            _chain_excess(correct=False),
            "random labels",
        ),
        Check(
            "the second link's constant",
            _chain_excess(correct=True),
            _chain_excess(correct=True, half=2.5),
            "2/5 in place of 1/2",
        ),
        Check(
            "both links with autograd's J, ∇ and H",
            _chain_on_networks(correct=True),
            _chain_on_networks(correct=False),
            "misclassified points",
        ),
    ),
    counterexample=counterexample_chain,
    partly=True,
    expected=Verdict.PARTLY,
)


def prove_eq_12(sign: int = 1) -> None:
    """Slacks |C| + C and ‖v₊ − σv₋‖²/2, where C = v₊ᵀv₋ = σ|C|: no Cauchy-Schwarz needed."""
    A, B, size = sp.symbols("A B size", nonnegative=True)  # ‖v₊‖², ‖v₋‖², |C|
    for sigma in (1, -1):
        C = sigma * size
        middle = A / 2 + size + B / 2
        prove_sign(sp.expand(middle - (A + B - 2 * C) / 2), "nonnegative")
        square = A + B - 2 * sign * sigma * C  # ‖v₊ − σv₋‖²
        prove_zero(A + B - middle - square / 2, because="the right slack is half a square")


def _eq_12_excess(factor: float) -> Callable[[Instance], Tensor]:
    def links(instance: Instance) -> Tensor:
        plus, minus = instance.V[..., 0], instance.V[..., 1]
        nu2 = derivatives.cross_lipschitz(instance.V).square()
        mu2 = derivatives.lipschitz_squared(instance.V)
        middle = mu2 / 2 + factor * (plus * minus).sum(dim=-1).abs()
        return torch.maximum(nu2 / 2 - middle, middle - mu2) / mu2

    return links


EQ_12 = Claim(
    id="eq-12",
    where="Section 3.2, Eq. (12)",
    title="a small Jacobian has a small ν",
    printed=(
        r"\nu^2/2 \le \tfrac12\|\mathbf v_+\|_2^2+|\mathbf v_+^T\mathbf v_-|+\tfrac12\|\mathbf v_-\|_2^2 "
        r"\le \mu^2"
    ),
    hypotheses=(BINARY,),
    chapter=CHAPTER,
    derivation=Derivation(prove_eq_12, lambda: prove_eq_12(-1), "‖v₊ + σv₋‖² for the square"),
    checks=(
        Check(
            "both links, random V",
            lambda draw: _eq_12_excess(1.0)(draw.instances(2)),
            lambda draw: _eq_12_excess(1.1)(draw.instances(2)),
            "1.1 times the inner product",
        ),
        Check(
            "both links on networks",
            lambda draw: draw.over_samples(
                2, lambda s: _eq_12_excess(1.0)(Instance(s.autograd.jacobian, s.map.z, s.y))
            ),
            lambda draw: draw.over_samples(
                2, lambda s: _eq_12_excess(-1.0)(Instance(s.autograd.jacobian, s.map.z, s.y))
            ),
            "the inner product's sign reversed",
        ),
    ),
)

CLAIMS = (EIGENVECTOR, EQ_11, CHAIN, EQ_12)
