"""Proposition 3.4 made right, for any number of classes, any layers and most optimisers."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor
from torch.nn import functional

from regrob.affine.local_map import local_map
from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw, Sample, relative
from regrob.claims.last_layer import (
    body,
    centre,
    draw_problems,
    gradient,
    last,
    metrics,
    minimise,
    over_sequential,
    start,
    with_last_layer,
)
from regrob.symbols import prove_zero, sum_over
from regrob.theory import penalties

PAGE = "book/proposition_3_4"
UNCONSTRAINED = "the logits are Wᵀa(x) + c, with a last layer W that nothing else shares or constrains"
ORDERED = "ν² = Σ_{i,j}‖v_i − v_j‖²/K² over ordered pairs, half the paper's ν² at K = 2"

# --- the identity ----------------------------------------------------------------------


def moments(K: sp.Symbol) -> Callable[[int], sp.Expr]:
    """Σ_k v_k^i, with Σ 1 = K."""
    return lambda i: K if i == 0 else sp.Symbol(f"S{i}")


def prove_identity(half: int = 2) -> None:
    """½ΣΣ(v_i − v_j)² = KΣv_k² − (Σv_k)² in every coordinate, for every K at once."""
    K = sp.symbols("K", positive=True)
    v_i, v_j = sp.symbols("v_i v_j", real=True)
    moment = moments(K)
    pairs = sum_over(sum_over((v_i - v_j) ** 2 / half, moment, v_j), moment, v_i)
    prove_zero(K * moment(2) - moment(1) ** 2 - pairs, because="Kμ² = ‖V1‖² + Σ_{i<j}‖v_i − v_j‖²")


def _identity_excess(classes: int, hein: float) -> Callable[[Draw], Tensor]:
    """μ² from autograd's Jacobian against (K/2)ν² + ‖V1‖²/K."""

    def one(s: Sample) -> Tensor:
        V = s.autograd.jacobian
        total = V.sum(dim=-1).square().sum(dim=-1)
        nu = penalties.cross_lipschitz_penalty(s.map.V, s.map.z, s.y)
        mu = V.square().sum(dim=(1, 2))
        off: Tensor = (mu - hein * classes / 2 * nu - total / classes).abs() / mu
        return off

    return lambda draw: draw.over_samples(classes, one)


IDENTITY = Claim(
    id="thm-equivalence-identity",
    where="new",
    title="the Jacobian penalty is the cross-Lipschitz penalty and the sum of the columns",
    printed=(
        r"K\mu^2 = \|V\mathbf 1\|_2^2+\sum_{i<j}\|\mathbf v_i-\mathbf v_j\|_2^2,\quad\text{that is}\quad "
        r"\mu^2 = \tfrac K2\nu^2+\tfrac1K\|V\mathbf 1\|_2^2"
    ),
    text=Text.NEW,
    hypotheses=("any V and K", ORDERED),
    chapter=PAGE,
    derivation=Derivation(prove_identity, lambda: prove_identity(1), "every pair counted twice"),
    checks=tuple(
        Check(
            f"networks with K = {K}, autograd's Jacobian",
            _identity_excess(K, 1.0),
            _identity_excess(K, 2.0),
            "twice ν²",
        )
        for K in (2, 3, 5)
    ),
)

# --- minimisers and stationary points --------------------------------------------------


def prove_shift(change: int = 1) -> None:
    """A common u changes every logit alike: L and all pairs stay, ‖V1‖² goes through zero.

    General K: by line restriction, with the moments of p (Σp_k = 1) and of the columns.
    """
    K, lam, u, t = sp.symbols("K lam u t", positive=True)
    v_i, v_j, z = sp.symbols("v_i v_j z", real=True)
    shifted = (v_i + u) - (v_j + change * u)
    prove_zero(shifted**2 - (v_i - v_j) ** 2, because="pairs do not see a common shift")
    Z = sp.symbols("Z", positive=True)  # Σ exp z_k; a shift t multiplies it by e^t
    prove_zero(sp.expand_log(sp.log(Z * sp.exp(t)), force=True) - (z + t) - (sp.log(Z) - z))
    S, G = sp.symbols("S G", real=True)  # Σ_k w_k and E BᵀB in one coordinate of an eigenbasis
    prove_zero(lam / K * G * (S + K * (-S / K)) ** 2, because="the centred columns add to zero")
    slope = sp.diff(lam / K * G * (S + K * t) ** 2, t).subs(t, 0)
    prove_zero(slope - 2 * lam * G * S, because="J's slope along a common shift u is 2λ uᵀGs")


def _least_excess(classes: int, which: int) -> Callable[[Draw], Tensor]:
    """Minimise C from a start that is not zero-sum, centre it, and ask whether J is stationary."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, classes)
        identity, centring = metrics(classes)
        W = minimise(problem, start(draw, problem), centring)
        W = centre(W) if which == 0 else W
        return gradient(problem, W, identity).abs().amax(dim=(1, 2))

    return excess


def _equal_excess(classes: int, factor: float) -> Callable[[Draw], Tensor]:
    """The least J against the least C at K classes."""

    def excess(draw: Draw) -> Tensor:
        problem = draw_problems(draw, classes)
        identity, centring = metrics(classes)
        W = start(draw, problem)
        least = problem.jacobian(minimise(problem, W, identity))
        other = problem._replace(weight=factor * problem.weight)
        return (other.cross_lipschitz(minimise(other, -W, centring)) - least).abs() / least

    return excess


MINIMISERS = Claim(
    id="thm-equivalence-minimisers",
    where="new",
    title="which minimisers the two penalties share",
    printed=(
        r"\inf J_\lambda=\inf C_\lambda,\qquad \operatorname{argmin}J_\lambda = \operatorname{argmin}C_\lambda"
        r"\cap\Big\{G\sum_j\mathbf w_j=0\Big\}\quad(\lambda>0)"
    ),
    text=Text.NEW,
    hypotheses=(
        UNCONSTRAINED,
        "J = E[L + λμ²], C = E[L + λ(K/2)ν²]",
        ORDERED,
        "G = E BᵀB",
        "any trained layers",
    ),
    depends=("thm-equivalence-identity",),
    chapter=PAGE,
    derivation=Derivation(prove_shift, lambda: prove_shift(2), "a shift that differs between the columns"),
    checks=(
        Check(
            "K = 4: a minimiser of C, centred, minimises J",
            _least_excess(4, 0),
            _least_excess(4, 1),
            "not centred",
            tolerance=1e-8,
        ),
        Check("K = 3: the least values", _equal_excess(3, 1.0), _equal_excess(3, 1.5), "λKν²·3/4"),
    ),
)


def both_losses(network: torch.nn.Module, images: Tensor, y: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """J and C of a real network, with the graph back to its weights."""
    V, z = local_map(network, images, create_graph=True, check=False)
    loss = functional.cross_entropy(z, y)
    jacobian = penalties.jacobian_penalty(V, z, y).mean()
    cross = penalties.cross_lipschitz_penalty(V, z, y).mean()
    return loss + weight * jacobian, loss + weight * z.shape[-1] / 2 * cross


def _slopes(network: torch.nn.Module, images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of J and of C in all weights, λ = 0.1, flattened."""
    flat = []
    for i in range(2):
        with torch.enable_grad():
            loss = both_losses(network, images, y, 0.1)[i]
            parts = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
        flat.append(torch.cat([part.flatten() for part in parts]))
    return flat[0], flat[1]


def _stationary_excess(classes: int, zero_sum: bool) -> Callable[[Draw], Tensor]:
    """All layers' gradients of J and of C, where the last layer's columns add to zero."""

    def one(s: Sample) -> Tensor:
        W = last(s.network).weight.detach().T
        network = with_last_layer(s, centre(W) if zero_sum else W)
        J, C = _slopes(network, s.images, s.y)
        return relative(J - C, C, axes=1)[None]

    return lambda draw: over_sequential(draw, classes, one)


def _shift_excess(factor: float) -> Callable[[Draw], Tensor]:
    """Autograd's Σ_k ∂J/∂w_k on real networks against 2λGΣ_j w_j."""

    def one(s: Sample) -> Tensor:
        W = last(s.network).weight.detach().T
        network = with_last_layer(s, W)
        with torch.enable_grad():
            J, _ = both_losses(network, s.images, s.y, 0.1)
            (slope,) = torch.autograd.grad(J, last(network).weight)
        B = local_map(body(s.network), s.images).V
        formula = factor * 0.2 * (B.mT @ B).mean(dim=0) @ W.sum(dim=-1)
        return relative(slope.sum(dim=0) - formula, formula, axes=1)[None]

    return lambda draw: over_sequential(draw, 3, one)


STATIONARY = Claim(
    id="thm-equivalence-stationary",
    where="new",
    title="every stationary point of the Jacobian loss is one of the cross-Lipschitz loss",
    printed=(
        r"\nabla J_\lambda=0 \implies G\sum_j\mathbf w_j=0 \text{ and } \nabla C_\lambda=0\qquad(\lambda>0)"
    ),
    text=Text.NEW,
    hypotheses=(
        UNCONSTRAINED,
        ORDERED,
        "the gradients exist (no image on a kink)",
        "no convexity, any trained layers",
    ),
    depends=("thm-equivalence-minimisers",),
    chapter=PAGE,
    derivation=Derivation(prove_shift, lambda: prove_shift(2), "a shift that differs between the columns"),
    checks=(
        Check(
            "Σ_k ∂J/∂w_k = 2λGΣ_j w_j by autograd on networks",
            _shift_excess(1.0),
            _shift_excess(0.5),
            "half of it",
        ),
        Check(
            "zero-sum columns: the gradients agree in all layers",
            _stationary_excess(3, True),
            _stationary_excess(3, False),
            "columns that do not add to zero",
        ),
    ),
)

CLAIMS = (IDENTITY, MINIMISERS, STATIONARY)
