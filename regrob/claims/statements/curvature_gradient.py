"""How the curvature changes with V and z: its gradient, and where it has none."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
import torch
from torch import Tensor

from regrob.claims.claim import Check, Claim, Derivation, Text
from regrob.claims.instances import Draw, relative
from regrob.claims.many import OFF_KINKS, Case, both, over_random
from regrob.symbols import differentiate, prove_zero
from regrob.theory import derivatives, penalties

PAGE = "book/exact_curvature"
SIMPLE = "H's largest eigenvalue is simple, u its unit eigenvector"


def prove_curvature_gradient(factor: int = 2) -> None:
    """∂/∂a_j and ∂/∂z_j of Var_p(a) = E[a²] − E[a]², p = softmax z, for every K."""
    K = sp.Symbol("K", integer=True, positive=True)
    k, j = sp.symbols("k j", integer=True, nonnegative=True)
    z, a = sp.IndexedBase("z", real=True), sp.IndexedBase("a", real=True)

    def total(term: sp.Expr) -> sp.Expr:
        return sp.Sum(sp.exp(z[k]) * term, (k, 0, K - 1))

    Z, mean = total(sp.S.One), total(a[k]) / total(sp.S.One)
    variance = total(a[k] ** 2) / Z - mean**2
    p_j = sp.exp(z[j]) / Z
    by_a = differentiate(variance, a[j], k)
    by_z = differentiate(variance, z[j], k)
    # Names for the three sums, so that what is left to simplify is a rational function.
    names = {Z: sp.Symbol("Z"), total(a[k]): sp.Symbol("S1"), total(a[k] ** 2): sp.Symbol("S2")}
    deviation = a[j] - mean
    for found, claimed in (
        (by_a, factor * p_j * deviation),
        (by_z, p_j * (deviation**2 - variance)),
    ):
        prove_zero((found.doit(deep=False) - claimed).expand().subs(names), because="the slope of a variance")


def closed_gradient(case: Case, factor: float = 2.0) -> tuple[Tensor, Tensor]:
    """2u(p∘(a − ā))ᵀ and p_k((a_k − ā)² − ‖H‖), u from the n×n matrix: (T, n, K) and (T, K)."""
    values, vectors = torch.linalg.eigh(case.hessian)
    u, size = vectors[..., -1], values[..., -1:]
    p = torch.softmax(case.z, dim=-1)
    columns = case.V - derivatives.column(case.V, case.z.argmax(dim=-1))
    a = (u.unsqueeze(-2) @ columns).squeeze(-2)
    deviation = a - (p * a).sum(dim=-1, keepdim=True)
    return factor * u.unsqueeze(-1) * (p * deviation).unsqueeze(-2), p * (deviation.square() - size)


def _by_autograd(case: Case, *, dense: bool) -> tuple[Tensor, Tensor]:
    """Autograd through the n×n eigenvalue problem, or through the K×K one."""
    V, z = case.V.detach().requires_grad_(), case.z.detach().requires_grad_()
    with torch.enable_grad():
        if dense:
            size = torch.linalg.eigvalsh(derivatives.hessian(V, z))[..., -1]
        else:
            size = derivatives.curvature(V, z)
        found = torch.autograd.grad(size.sum(), (V, z))
    return found[0], found[1]


def _by_engine(case: Case) -> tuple[Tensor, Tensor]:
    """The closed form that trains ensembles, ∂P/∂V = 2VFFᵀ."""
    only = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=case.V.dtype, device=case.V.device)
    found = penalties.gram_penalty(case.V.mT @ case.V, case.z, case.y, only, ("curvature",))
    return 2 * case.V @ found.factor @ found.factor.mT, found.logits


def _slopes_differ(case: Case, route: str, factor: float = 2.0) -> Tensor:
    """The two gradients' relative distance, times the relative gap below the top eigenvalue.

    The gap, because an eigenvector is known only to rounding over its gap.
    """
    in_V, in_z = closed_gradient(case, factor)
    V, z = _by_engine(case) if route == "engine" else _by_autograd(case, dense=route == "dense")
    apart = torch.maximum(relative(V - in_V, in_V, 2), relative(z - in_z, in_z, 1))
    values = torch.linalg.eigvalsh(case.hessian)
    second = values[..., -2] if values.shape[-1] > 1 else torch.zeros_like(case.bend)
    # z's gradient is a difference of terms as large as ‖H‖.
    cancelled = case.bend / torch.linalg.vector_norm(in_z, dim=-1)
    scaled: Tensor = apart * (1 - second / case.bend) / cancelled.clamp_min(1.0)
    return scaled


GRADIENT = Claim(
    id="thm-curvature-gradient",
    where="new",
    title="the gradient of the curvature",
    printed=(
        r"\frac{\partial\|H\|_2}{\partial V} = 2\,\mathbf u\,\big(p\circ(\mathbf a-\bar a)\big)^T,\quad "
        r"\frac{\partial\|H\|_2}{\partial z_k} = p_k\big((a_k-\bar a)^2-\|H\|_2\big),\quad "
        r"\mathbf a = V^T\mathbf u,\ \bar a = p^T\mathbf a"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, SIMPLE),
    depends=("thm-exact-curvature",),
    chapter=PAGE,
    derivation=Derivation(prove_curvature_gradient, lambda: prove_curvature_gradient(1), "half of ∂/∂V"),
    checks=(
        *both(
            "against autograd through the n×n eigenvalue problem",
            lambda c: _slopes_differ(c, "dense"),
            lambda c: _slopes_differ(c, "dense", 1.0),
            "half of ∂/∂V",
            correct=False,
        ),
        *both(
            "against autograd through the K×K eigenvalue problem",
            lambda c: _slopes_differ(c, "small"),
            lambda c: _slopes_differ(c, "small", 1.0),
            "half of ∂/∂V",
            correct=False,
        ),
        Check(
            "against the closed form that trains ensembles",
            over_random(lambda c: _slopes_differ(c, "engine"), high=5.0),
            over_random(lambda c: _slopes_differ(c, "engine", 1.0), high=5.0),
            "half of ∂/∂V",
            tolerance=1e-6,  # the engine's eigenvector is good to the gap's fourth digit
        ),
    ),
)


def _tied(draw: Draw) -> tuple[Case, Tensor]:
    """Equally likely corners of a randomly turned regular triangle, and a direction for V."""
    generator = torch.Generator().manual_seed(draw.seed)
    count = draw.trials
    corners = torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.75**0.5, -(0.75**0.5)]], dtype=torch.float64)
    frame = torch.linalg.qr(torch.randn(count, 4, 2, generator=generator, dtype=torch.float64)).Q
    V = (frame @ corners).to(draw.device)
    z = torch.zeros(count, 3, dtype=torch.float64, device=draw.device)
    y = torch.zeros(count, dtype=torch.int64, device=draw.device)
    toward = torch.randn(count, 4, 3, generator=generator, dtype=torch.float64).to(draw.device)
    H = derivatives.hessian(V, z)
    return Case(V, z, y, derivatives.input_gradient(V, z, y), H, torch.ones_like(z[:, 0])), toward


def _tie_excess(pick: int) -> Callable[[Draw], Tensor]:
    def excess(draw: Draw) -> Tensor:
        case, W = _tied(draw)
        step = 1e-6
        ahead = derivatives.curvature(case.V + step * W, case.z)
        found = (ahead - case.bend) / step
        A, B = derivatives.hessian_factor(case.V, case.z), derivatives.hessian_factor(W, case.z)
        dH = A @ B.mT + B @ A.mT  # the factor is linear in V
        top = torch.linalg.eigh(case.hessian).eigenvectors[..., -2:]
        rates = torch.linalg.eigvalsh(top.mT @ dH @ top)
        size = torch.linalg.matrix_norm(dH, ord=2)
        one_sided = (found - rates[..., pick]).abs() / size
        slope = (_by_autograd(case, dense=False)[0] * W).sum(dim=(-2, -1))
        outside = torch.maximum(slope - rates[..., pick], rates[..., 0] - slope) / size
        return torch.maximum(one_sided, outside)

    return excess


def prove_ties(factor: int = 4) -> None:
    """What a part β outside the top eigenspace gains, 4tεβ, less what it costs, δβ², is O(t²)."""
    t, size, gap, beta = sp.symbols("t epsilon delta beta", positive=True)
    least = factor * t**2 * size**2 / gap - (4 * t * size * beta - gap * beta**2)
    prove_zero(least - (2 * t * size / sp.sqrt(gap) - sp.sqrt(gap) * beta) ** 2, because="a square")


TIES = Claim(
    id="thm-curvature-ties",
    where="new",
    title="where the top eigenvalue is multiple",
    printed=(
        r"\|H+tE\|_2 = \|H\|_2 + t\,\lambda_{\max}(U^TEU) + O(t^2),\ t\downarrow0,\quad "
        r"U \text{ a basis of the top eigenspace; autograd returns a Clarke element}"
    ),
    text=Text.NEW,
    hypotheses=(OFF_KINKS, "E symmetric", "the top eigenvalue of H is positive, of any multiplicity"),
    depends=("thm-curvature-gradient",),
    chapter=PAGE,
    derivation=Derivation(prove_ties, lambda: prove_ties(3), "3 in place of 4"),
    checks=(
        Check(
            "one-sided slope at a double top eigenvalue; autograd's lies between the two extremes",
            _tie_excess(-1),
            _tie_excess(0),
            "the smallest eigenvalue of UᵀEU",
            tolerance=1e-4,
        ),
    ),
)

CLAIMS = (GRADIENT, TIES)
"""New: the derivative, and what is left of it at a multiple eigenvalue."""
