"""How the exact radius changes with the network, and the exact radius in the maximum norm."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.many import (
    OFF_KINKS,
    Case,
    both,
    over_networks,
    over_random,
    too_long,
    violation,
)
from regrob.claims.statements.exact_radius import ANY, MODEL, radius, step
from regrob.symbols import differentiate, prove_sign, prove_zero, sum_over
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory import exact_radius as exact

PAGE = "book/exact_radius"

# --- the derivative --------------------------------------------------------------------


def prove_envelope(half: int = 2) -> None:
    """d(‖r*‖²) along g, λ and ξ, by differentiating the secular equation implicitly, every K.

    F(θ) = ξ is the equation, N(θ) = ‖r*‖². Since N' = 2θF', the change of θ drops out.
    """
    K = sp.Symbol("K", integer=True, positive=True)
    i, j = sp.symbols("i j", integer=True, nonnegative=True)
    g, size = sp.IndexedBase("g", real=True), sp.IndexedBase("lambda", positive=True)
    theta = sp.Symbol("theta", positive=True)

    def r(k: sp.Symbol) -> sp.Expr:
        return theta * g[k] / (1 - theta * size[k])

    one = g[i] * r(i) + size[i] * r(i) ** 2 / 2
    prove_zero(sp.diff(r(i) ** 2, theta) - 2 * theta * sp.diff(one, theta), because="N' = 2θF'")
    F, N = sp.Sum(one, (i, 0, K - 1)), sp.Sum(r(i) ** 2, (i, 0, K - 1))
    for by, claimed in ((g[j], -2 * theta * r(j)), (size[j], -2 * theta * r(j) ** 2 / half)):
        total = differentiate(N, by, i) - 2 * theta * differentiate(F, by, i)
        prove_zero(total - claimed, because=f"along {by}")


def _difference_excess(case: Case, half: float = 0.5, h: float = 1e-6) -> Tensor:
    """The envelope derivative against a central difference, along a random direction in (V, z).

    V's differences of columns change by a share of themselves: two columns that agree stay so.
    """
    generator = torch.Generator().manual_seed(1)
    V, z, y = case.V, case.z, case.y
    W = torch.randn(V.shape, generator=generator, dtype=torch.float64).to(V.device)
    w = torch.randn(z.shape, generator=generator, dtype=torch.float64).to(V.device)
    W = W * (V - derivatives.column(V, y))
    r = step(case)
    slope = torch.linalg.vector_norm(case.gradient + (case.hessian @ r.unsqueeze(-1)).squeeze(-1), dim=-1)

    def loss_gradient_form(t: float) -> tuple[Tensor, Tensor, Tensor]:
        V_t, z_t = V + t * W, z + t * w
        g, H = derivatives.input_gradient(V_t, z_t, y), derivatives.hessian(V_t, z_t)
        form = (r.unsqueeze(-2) @ H @ r.unsqueeze(-1)).flatten()
        return probability.loss(z_t, y), (g * r).sum(dim=-1), form

    ahead, behind = loss_gradient_form(h), loss_gradient_form(-h)
    dL, dg, dH = ((a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True))
    envelope = -(dL + dg + half * dH) / slope
    found = exact.exact_radius_l2(V + h * W, z + h * w, y)
    found = (found - exact.exact_radius_l2(V - h * W, z - h * w, y)) / (2 * h)
    length = radius(case)
    error: Tensor = (found - envelope).abs() / (length + envelope.abs())
    return error


def _autograd_excess(case: Case, half: float = 1.0) -> Tensor:
    """Autograd's gradient of the radius against the model's at the fixed r*, in units of its rounding.

    Autograd's softmax knows p only to rounding, while the terms that matter are as small as √q.
    """
    V, z = case.V.detach().requires_grad_(), case.z.detach().requires_grad_()
    with torch.enable_grad():
        in_V, in_z = torch.autograd.grad(exact.exact_radius_l2(V, z, case.y).sum(), (V, z))
    r = step(case)
    slope = torch.linalg.vector_norm(case.gradient + (case.hessian @ r.unsqueeze(-1)).squeeze(-1), dim=-1)
    with torch.enable_grad():  # the model at the fixed r*, differentiated by autograd
        g, factor = derivatives.input_gradient(V, z, case.y), derivatives.hessian_factor(V, z)
        form = (factor.mT @ r.unsqueeze(-1)).square().sum(dim=(-2, -1))
        value = probability.loss(z, case.y) + (g * r).sum(dim=-1) + 0.5 * half * form
        at_V, at_z = torch.autograd.grad((-value / slope).sum(), (V, z))
    apart = torch.linalg.matrix_norm(in_V - at_V) / torch.linalg.matrix_norm(at_V)
    apart = torch.maximum(apart, (in_z - at_z).abs().amax(dim=-1) / at_z.abs().amax(dim=-1))
    return apart * case.q.sqrt()


ENVELOPE = Claim(
    id="thm-exact-radius-envelope",
    where="new",
    title="the derivative of the exact radius",
    printed=(
        r"\mathrm d\|\mathbf r^*\|_2 = -\frac{\mathrm dL+\mathbf r^{*T}\mathrm d\nabla"
        r"+\tfrac12\mathbf r^{*T}\mathrm dH\,\mathbf r^*}{\|\nabla+H\mathbf r^*\|_2}"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ANY, "not the hard case"),
    depends=("thm-exact-radius",),
    chapter=PAGE,
    derivation=Derivation(prove_envelope, lambda: prove_envelope(1), "no ½ before dH"),
    checks=(
        *both(
            "against central differences",
            _difference_excess,
            lambda c: _difference_excess(c, 1.0),
            "no ½ before dH",
            tolerance=1e-5,
        ),
        *both(
            "autograd's gradient of the radius against the formula",
            _autograd_excess,
            lambda c: _autograd_excess(c, 2.0),
            "no ½ before H",
            tolerance=1e-8,
        ),
    ),
)


def prove_conditioned(half: int = 2) -> None:
    """|g| ≤ |g + λr|, θλ ≤ 1 and ξ ≤ r·(g + λr), one eigendirection at a time."""
    g, size, theta, left = sp.symbols("g lambda theta left", positive=True)
    r = theta * g / (1 - theta * size)
    prove_zero(g + size * r - g / (1 - theta * size), because="the slope")
    prove_sign((1 / left - 1).subs(left, 1 / (1 + sp.Symbol("k", positive=True))), "positive")
    work = r * (g + size * r) - (g * r + size * r**2 / half)
    prove_zero(work - size * r**2 / 2, because="what is left is a square")


def _conditions(case: Case, factor: float = 1.0) -> Tensor:
    """The three quotients of the corollary, each at most one, after subtracting one."""
    r, length = step(case), radius(case)
    slope = torch.linalg.vector_norm(case.gradient + (case.hessian @ r.unsqueeze(-1)).squeeze(-1), dim=-1)
    return torch.stack(
        [
            violation(factor * case.slope, slope),
            violation(factor * length * case.bend, slope),
            violation(factor * case.xi, length * slope),
        ]
    ).amax(dim=0)


CONDITIONED = Claim(
    id="cor-exact-radius-conditioned",
    where="new",
    title="the radius is as well conditioned as a number can be",
    printed=(
        r"\frac{|\mathrm d\rho|}{\rho}\le\frac{\|\mathrm d\nabla\|_2}{\|\nabla\|_2}"
        r"+\frac12\,\frac{\|\mathrm dH\|_2}{\|H\|_2}+\frac{|\mathrm d\xi|}{\xi},\quad \rho=\|\mathbf r^*\|_2"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, ANY, "∇ ≠ 0, not the hard case"),
    depends=("thm-exact-radius-envelope",),
    chapter=PAGE,
    derivation=Derivation(prove_conditioned, lambda: prove_conditioned(1), "rᵀHr without its ½"),
    checks=both(
        "the three quotients",
        _conditions,
        lambda c: _conditions(c, 1.1),
        "a tenth more",
        tolerance=1e-9,
    ),
)

# --- the maximum norm, three classes ---------------------------------------------------


def prove_corner(factor: int = 1) -> None:
    """The model is convex: between two points it lies below its chord by a weighted variance, any K."""
    p_k, a_k, b_k, t = sp.symbols("p_k a_k b_k t")

    def moment(i: int, j: int, k: int) -> sp.Expr:
        return sp.S.One if (i, j, k) == (1, 0, 0) else sp.Symbol(f"E{j}{k}")

    def model(value: sp.Expr) -> sp.Expr:  # L + E[a] − a_y + Var[a]/2, with a_y = 0 and L = 0
        mean = sum_over(p_k * value, moment, p_k, a_k, b_k)
        return mean + sum_over(p_k * value**2, moment, p_k, a_k, b_k) / 2 - mean**2 / 2

    chord = t * model(a_k) + (1 - t) * model(b_k) - model(t * a_k + (1 - t) * b_k)
    mean = sum_over(p_k * (a_k - b_k), moment, p_k, a_k, b_k)
    variance = sum_over(p_k * (a_k - b_k) ** 2, moment, p_k, a_k, b_k) - mean**2
    prove_zero(chord - factor * t * (1 - t) * variance / 2, because="convexity")


def _all_corners(case: Case) -> Tensor:
    """The least root over all 2ⁿ⁻¹ pairs of opposite corners: (T,)."""
    n = case.V.shape[-2]
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=n - 1)), dtype=case.V.dtype)
    signs = torch.cat([torch.ones_like(signs[:, :1]), signs], dim=1).T.to(case.V.device)  # (n, 2ⁿ⁻¹)
    slope = (case.gradient.unsqueeze(-2) @ signs).squeeze(-2).abs()
    bend = (signs * (case.hessian @ signs)).sum(dim=-2).clamp_min(0.0)
    return taylor_radius.positive_root(slope, bend, case.xi[:, None]).amin(dim=-1)


def _sup(case: Case) -> Tensor:
    return exact.exact_radius_linf_three_classes(case.V, case.z, case.y)


def _along_signs(case: Case) -> Tensor:
    """What the corner sign ∇ needs: an upper bound."""
    corner = case.gradient.sign()
    bend = (corner.unsqueeze(-2) @ case.hessian @ corner.unsqueeze(-1)).flatten()
    return taylor_radius.positive_root((case.gradient * corner).sum(dim=-1), bend, case.xi)


def _corner_excess(found: Callable[[Case], Tensor]) -> Callable[[Case], Tensor]:
    return lambda case: (found(case) / _all_corners(case) - 1).abs()


SUP = Claim(
    id="thm-exact-radius-linf",
    where="new, in place of Eqs. (39) and (40)",
    title="the exact radius in the maximum norm, three classes",
    printed=(
        r"\|\tilde{\mathbf r}^*\|_\infty = \min_{\mathbf s}\frac{2\xi}{|\nabla^T\mathbf s|"
        r"+\sqrt{(\nabla^T\mathbf s)^2+2\xi\,\mathbf s^TH\mathbf s}},\quad \mathbf s\in\{\pm1\}^n; "
        r"\text{ for } K=3\ n \text{ candidates, found by one sort, suffice}"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, MODEL, ANY, "K = 3 for the sort; any K for the minimum over signs"),
    depends=("lemma-4.1-gradient", "lemma-4.1-hessian"),
    chapter=PAGE,
    derivation=Derivation(prove_corner, lambda: prove_corner(2), "twice the variance"),
    checks=(
        Check(
            "the sweep against all corners, n = 6 (random instances)",
            over_random(_corner_excess(_sup), (3,), inputs=6),
            over_random(_corner_excess(_along_signs), (3,), inputs=6),
            "the corner sign ∇ only",
            tolerance=1e-9,
        ),
        Check(
            "climbing within the box finds nothing higher (networks, autograd)",
            over_networks(lambda c: too_long(c, _sup(c), box=True), (3,)),
            over_networks(lambda c: too_long(c, 1.001 * _sup(c), box=True), (3,)),
            "a box one per mille larger",
        ),
        Check(
            "never more than the corner sign ∇ needs (networks, autograd)",
            over_networks(lambda c: violation(_sup(c), _along_signs(c)), (3,)),
            over_networks(lambda c: violation(_along_signs(c), _sup(c)), (3,)),
            "the two exchanged",
        ),
    ),
)

CLAIMS = (ENVELOPE, CONDITIONED, SUP)
"""New: derivative and conditioning of the exact radius; the maximum norm."""
