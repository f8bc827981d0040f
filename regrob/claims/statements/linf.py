"""Proposition 3.2 and Eqs. (21) to (23): the ℓ∞ radius of two classes, and that of any norm."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw, Instance, Sample, autograd_noise
from regrob.symbols import prove_sign, prove_zero
from regrob.theory import derivatives, probability, taylor_radius

CHAPTER = "book/linf_two_classes"
BINARY, CORRECT = "K = 2", "x classified correctly: p_y > 1/2"
OFF_KINKS = "x off the kinks"


def corners(n: int) -> Tensor:
    """All sign vectors of length n: (2^n, n)."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)), dtype=torch.float64)


def model_gain(instance: Instance, r: Tensor) -> Tensor:
    """∇ᵀr + rᵀHr/2 for steps r (…, T, n), from the general ∇ and H: (…, T)."""
    g = derivatives.input_gradient(*instance)
    A = derivatives.hessian_factor(instance.V, instance.z)  # rᵀHr = ‖Aᵀr‖²
    along = (A.mT @ r.unsqueeze(-1)).squeeze(-1)
    return (g * r).sum(dim=-1) + 0.5 * along.square().sum(dim=-1)


# --- Eqs. (21), (22): a constraint on one number ---------------------------------------


def prove_scalar(power: int = 1) -> None:
    """rᵀHr = pq(sᵀr)² and ∇ᵀr = ∓q sᵀr, so rᵀHr = (p/q)(∇ᵀr)²; then both roots in ∇ᵀr."""
    p, q, xi = sp.symbols("p q xi", positive=True)
    along = sp.symbols("along", real=True)  # sᵀr
    for label in (1, -1):
        t = -label * q * along
        prove_zero(p * q * along**2 - (p / q) ** power * t**2, because="the constraint is scalar")
    B = sp.sqrt(1 + 2 * p * xi / q)
    T = sp.symbols("T", real=True)
    roots = (q / p * (B - 1), -q / p * (B + 1))
    prove_zero(p / (2 * q) * (T - roots[0]) * (T - roots[1]) - (T + p / (2 * q) * T**2 - xi))


def _scalar_excess(exponent: float) -> Callable[[Draw], Tensor]:
    """rᵀHr against (p/q)(∇ᵀr)² with autograd's ∇ and H."""

    def excess(draw: Draw) -> Tensor:
        def one(s: Sample) -> Tensor:
            generator = torch.Generator().manual_seed(draw.seed)
            g, H = s.autograd.gradient, s.autograd.hessian
            r = torch.randn(g.shape, generator=generator, dtype=torch.float64).to(g)
            r = r + 3 * g / g.norm(dim=-1, keepdim=True)
            curved: Tensor = (r.unsqueeze(-2) @ H @ r.unsqueeze(-1)).flatten()
            odds = torch.exp(exponent * probability.logit_margin(s.map.z, s.y))
            scalar = odds * (g * r).sum(dim=-1).square()
            relative: Tensor = (curved - scalar).abs() / curved
            return relative / autograd_noise(s).square()

        return draw.over_samples(2, one)

    return excess


SCALAR = Claim(
    id="eq-22",
    where="Appendix C, Eqs. (21), (22)",
    title="the quadratic constraint is a constraint on ∇ᵀr alone",
    printed=r"-\xi+\nabla^T\mathbf r+\frac{p_y}{2(1-p_y)}(\nabla^T\mathbf r)^2 \ge 0",
    hypotheses=(BINARY, OFF_KINKS, "any label", "ξ = β − L"),
    depends=("lemma-3.2-gradient", "lemma-3.2-hessian"),
    chapter=CHAPTER,
    derivation=Derivation(prove_scalar, lambda: prove_scalar(2), "the odds squared"),
    checks=(
        Check(
            "rᵀHr = (p/q)(∇ᵀr)² with autograd's ∇ and H",
            _scalar_excess(1.0),
            _scalar_excess(-1.0),
            "the odds upside down",
        ),
    ),
)

# --- Proposition 3.2 -------------------------------------------------------------------


def prove_dual(printed: int = 1) -> None:
    """Hölder by coordinates with equality at ρ sign(∇), then the length: Eq. (23)."""
    size, room = sp.symbols("size room", nonnegative=True)  # |∇_c| and ρ − r_c sign(∇_c)
    prove_sign(size * room, "nonnegative")  # ρ|∇_c| − ∇_c r_c, zero at r_c = ρ sign(∇_c)
    prove_length(printed)


def prove_length(printed: int = 1) -> None:
    """∇ᵀr ≤ ‖r‖‖∇‖_*, with equality somewhere, is what a dual norm is: so ‖r‖ = (q/p)(B − 1)/‖∇‖_*.

    With ‖∇‖_* = q‖s‖_* that is (B − 1)/(p‖s‖_*); the root of the other sign is farther away.
    """
    p, q, S, xi = sp.symbols("p q S xi", positive=True)
    B = sp.sqrt(1 + 2 * p * xi / q)
    prove_zero(q / p * (B - 1) / (q * S) - (B - 1) / (p**printed * S), because="Eq. (23)")
    far = q / p * (B + 1) - q / p * (B - 1)  # the other root is farther away
    prove_sign(sp.simplify(far), "positive")


def _threshold_excess(radius: Callable[[Instance], Tensor], factor: float) -> Callable[[Draw], Tensor]:
    """The largest gain over the 2^n corners of the box of that radius, against ξ."""

    def excess(draw: Draw) -> Tensor:
        instance = draw.instances(2)
        xi = probability.slack(instance.z, instance.y)
        box = corners(instance.V.shape[1]).to(xi)[:, None, :] * (factor * radius(instance))[:, None]
        # The model is convex, so its maximum over the box is at a corner.
        return (model_gain(instance, box).amax(dim=0) - xi).abs() / xi

    return excess


PROP_3_2 = Claim(
    id="prop-3.2",
    where="Proposition 3.2, Eq. (9)",
    title="the ℓ∞ radius in closed form",
    printed=(
        r"\|\tilde{\mathbf r}^*\|_\infty = \frac{1}{p_y\|\mathbf v_+-\mathbf "
        r"v_-\|_1}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}}-1\right)"
    ),
    hypotheses=(
        BINARY,
        OFF_KINKS,
        CORRECT,
        "ν > 0",
        "β = log 2",
        "the loss replaced by its quadratic model",
    ),
    depends=("eq-22",),
    chapter=CHAPTER,
    derivation=Derivation(prove_dual, lambda: prove_dual(2), "p_y squared"),
    checks=(
        Check(
            "the best corner of the box of that radius reaches log 2 exactly",
            _threshold_excess(lambda i: taylor_radius.radius_linf(*i), 1.0),
            _threshold_excess(lambda i: taylor_radius.radius_l2(*i), 1.0),
            "the ℓ2 radius",
        ),
    ),
)


def _literal_radius(instance: Instance, *, by_class: int | None) -> Tensor:
    """Eq. (23) through ‖∇‖₁, with p_y, or with p of one fixed class."""
    p_y = probability.label_probability(instance.z, instance.y)
    q = probability.rival_probability(instance.z, instance.y)
    p = p_y if by_class is None else torch.softmax(instance.z, dim=-1)[..., by_class]
    one_norm = derivatives.input_gradient(*instance).abs().sum(dim=-1)
    xi = probability.slack(instance.z, instance.y)
    X = 2 * p_y * xi / q
    return q / (p * one_norm) * (X / (torch.sqrt(1 + X) + 1))


EQ_23 = Claim(
    id="eq-23",
    where="Appendix C, below Eq. (22), and Eq. (23)",
    title="both roots, and the subscript of p",
    printed=(
        r"\|\tilde{\mathbf r}^*\|_\infty = \frac{1-p_y}{p(\mathbf "
        r"x)\|\nabla\|_1}\left(\sqrt{1+\frac{2p_y\xi}{1-p_y}}-1\right)"
    ),
    corrected=r"p(\mathbf x)_y \text{ in place of } p(\mathbf x), \text{ here and in both roots}",
    text=Text.CORRECTED,
    transcription=True,
    hypotheses=PROP_3_2.hypotheses,
    depends=("prop-3.2",),
    chapter=CHAPTER,
    checks=(
        Check(
            "the box of that radius, with p_y",
            _threshold_excess(lambda i: _literal_radius(i, by_class=None), 1.0),
            _threshold_excess(lambda i: _literal_radius(i, by_class=0), 1.0),
            "the first class's probability",
        ),
    ),
)

# --- any norm (new) --------------------------------------------------------------------


def _dual_excess(conjugate: Callable[[float], float]) -> Callable[[Draw], Tensor]:
    """A step of norm τ/‖s‖_* along the maximiser of sᵀr reaches log 2, for four norms."""

    def excess(draw: Draw) -> Tensor:
        instance = draw.instances(2)
        s = instance.V[..., 0] - instance.V[..., 1]
        uphill = derivatives.input_gradient(*instance)
        uphill = uphill / uphill.norm(dim=-1, keepdim=True)
        tau = taylor_radius.taylor_margin(probability.logit_margin(instance.z, instance.y))
        xi = probability.slack(instance.z, instance.y)
        found = []
        for order in (1.5, 2.0, 3.0, 4.0):
            dual = conjugate(order)
            direction = uphill.sign() * uphill.abs() ** (1 / (order - 1))
            r = direction / torch.linalg.vector_norm(direction, order, dim=-1, keepdim=True)
            size = torch.linalg.vector_norm(s / s.norm(dim=-1, keepdim=True), dual, dim=-1)
            length = tau / (size * s.norm(dim=-1))
            found.append((model_gain(instance, length[:, None] * r) - xi).abs() / xi)
        return torch.cat(found)

    return excess


ANY_NORM = Claim(
    id="thm-any-norm",
    where="new, after Propositions 3.1 and 3.2",
    title="the radius in any norm",
    printed=(
        r"\min\{\|\mathbf r\| : \text{the model reaches } \log 2\} = \tau(m)/\|\mathbf v_+-\mathbf v_-\|_*"
    ),
    text=Text.NEW,
    hypotheses=(BINARY, CORRECT, "ν > 0", "‖·‖ any norm, ‖·‖_* its dual norm"),
    depends=("eq-22",),
    chapter=CHAPTER,
    derivation=Derivation(prove_length, lambda: prove_length(2), "p_y squared"),
    checks=(
        Check(
            "ℓ_{3/2}, ℓ2, ℓ3, ℓ4: a step of that length along the dual direction",
            _dual_excess(lambda order: order / (order - 1)),
            _dual_excess(lambda order: order),
            "the norm itself in place of its dual",
        ),
    ),
)

CLAIMS = (PROP_3_2, ANY_NORM)
APPENDIX = (SCALAR, EQ_23)
