"""The exact curvature in numbers: the K×K form, products with H, its gradient, against autograd."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check, check_both, check_random
from regrob.claims.comparisons import ratio_error, relative
from regrob.claims.groups import Groups
from regrob.claims.instances import Draw, Instance, Sample, closed_form, length
from regrob.claims.samplings import CLASSES, MISTAKES_TOO, Sampling
from regrob.theory import derivatives, penalties

# --- the K×K form ----------------------------------------------------------------------


def gram_norm(case: Instance, *, centred: bool = True) -> Tensor:
    """λ_max of the K×K matrix √p_i √p_j (v_i − v̄)ᵀ(v_j − v̄), formed by the definition: (T,)."""
    root = (0.5 * torch.log_softmax(case.z, dim=-1)).exp()
    columns = case.V - derivatives.column(case.V, case.z.argmax(dim=-1))
    if centred:
        columns = columns - columns @ root.square().unsqueeze(-1)
    A = columns * root.unsqueeze(-2)
    largest: Tensor = torch.linalg.eigvalsh(A.mT @ A)[..., -1]
    return largest


EXACT = (
    *check_both(
        "λ_max of the K×K matrix against ‖H‖₂ of the n×n one",
        lambda c, centred=True: ratio_error(gram_norm(c, centred=centred), c.curvature),
        False,
        "the mean v̄ not taken away",
        MISTAKES_TOO,
    ),
    *check_both(
        "`properties.curvature` against ‖H‖₂ of the n×n one",
        lambda c: ratio_error(derivatives.curvature(c.V, c.z), c.curvature),
        lambda c: ratio_error(derivatives.curvature(c.V, c.z), c.trace),
        "the trace in place of the norm",
        MISTAKES_TOO,
        blunt={groups.of(2): "H has rank one"},
    ),
)

# --- three classes ---------------------------------------------------------------------


def three_classes(case: Instance, factor: float = 16.0) -> Tensor:
    """(T + √(T² − 16 p₀p₁p₂ Area²))/2: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    s, t = case.V[..., 1] - case.V[..., 0], case.V[..., 2] - case.V[..., 0]
    ss, tt, st = (s * s).sum(dim=-1), (t * t).sum(dim=-1), (s * t).sum(dim=-1)
    apart = (s - t).square().sum(dim=-1)
    T = p[..., 0] * p[..., 1] * ss + p[..., 0] * p[..., 2] * tt + p[..., 1] * p[..., 2] * apart
    product = p.prod(dim=-1) * (ss * tt - st.square()) / 4
    return 0.5 * (T + (T.square() - factor * product).clamp_min(0.0).sqrt())


THREE = check_both(
    "the closed form against ‖H‖₂ of the n×n matrix",
    lambda c, factor=16.0: ratio_error(three_classes(c, factor), c.curvature),
    15.9,
    "15.9 in place of 16",
    Sampling(classes=(3,), correct=False),
    tolerance=1e-8,  # at a near tie the root's argument has lost its digits
)

# --- products with H -------------------------------------------------------------------


def product(network: nn.Module, images: Tensor, r: Tensor, *, centred: bool = True) -> Tensor:
    """Hr from one forward-mode and one reverse-mode pass through the network: (N, n)."""
    with torch.enable_grad():
        forward = torch.func.jvp(network, (images,), (r,))  # z, and its rate a along r
        pull = torch.func.vjp(network, images)[1]
        p, a = torch.softmax(forward[0], dim=-1).detach(), forward[1].detach()
        mean = (p * a).sum(dim=-1, keepdim=True) if centred else 0.0
        pulled: Tensor = pull(p * (a - mean))[0]
    return pulled.detach().flatten(1)


def product_excess(draw: Draw, centred: bool = True) -> Groups:
    """`product` at a random r against autograd's full Hessian, in units of ‖H‖‖r‖ and its rounding."""

    def excess(s: Sample) -> Tensor:
        r = draw.normal(*s.images.shape)
        difference = product(s.network, s.images, r, centred=centred)
        r = r.flatten(1)
        difference = difference - (s.autograd.hessian @ r.unsqueeze(-1)).squeeze(-1)
        size: Tensor = torch.linalg.matrix_norm(s.autograd.hessian, ord=2) * length(r)
        return length(difference) / size / s.noise

    return draw.over_samples(excess, *CLASSES)


PRODUCT = (
    check(
        "one JVP and one VJP against autograd's full Hessian",
        product_excess,
        wrong=False,
        mistake="the mean of a not taken away",
    ),
)

# --- the gradient of the curvature -----------------------------------------------------


def closed_gradient(case: Instance, factor: float = 2.0) -> tuple[Tensor, Tensor]:
    """2u(p∘(a − ā))ᵀ and p_k((a_k − ā)² − ‖H‖), u from the n×n matrix: (T, n, K) and (T, K)."""
    values, vectors = torch.linalg.eigh(case.hessian)
    u, size = vectors[..., -1], values[..., -1:]
    p = torch.softmax(case.z, dim=-1)
    columns = case.V - derivatives.column(case.V, case.z.argmax(dim=-1))
    a = (u.unsqueeze(-2) @ columns).squeeze(-2)
    deviation = a - (p * a).sum(dim=-1, keepdim=True)
    return factor * u.unsqueeze(-1) * (p * deviation).unsqueeze(-2), p * (deviation.square() - size)


Route = Literal["dense", "small", "engine"]


def computed_gradient(case: Instance, route: Route) -> tuple[Tensor, Tensor]:
    """The same as the package computes it.

    Args:
        route: autograd through the n×n eigenvalue problem ("dense") or the K×K one ("small"),
            or the closed form that trains ensembles, ∂P/∂V = 2VFFᵀ ("engine").
    """
    if route == "engine":
        weights = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=case.V.dtype, device=case.V.device)
        penalty = penalties.gram_penalty(case.V.mT @ case.V, case.z, case.y, weights, ("curvature",))
        return 2 * case.V @ penalty.factor @ penalty.factor.mT, penalty.logits
    V, z = case.V.detach().requires_grad_(), case.z.detach().requires_grad_()
    with torch.enable_grad():
        if route == "dense":
            size = torch.linalg.eigvalsh(derivatives.hessian(V, z))[..., -1]
        else:
            size = derivatives.curvature(V, z)
        in_V, in_z = torch.autograd.grad(size.sum(), (V, z))
    return in_V, in_z


def gradient_error(case: Instance, route: Route, factor: float = 2.0) -> Tensor:
    """The two gradients' relative distance, times the relative gap below the top eigenvalue.

    The gap, because an eigenvector is known only to rounding over its gap.
    """
    in_V, in_z = closed_gradient(case, factor)
    V, z = computed_gradient(case, route)
    apart = torch.maximum(relative(V - in_V, in_V, 2), relative(z - in_z, in_z, 1))
    values = torch.linalg.eigvalsh(case.hessian)
    second = values[..., -2] if values.shape[-1] > 1 else torch.zeros_like(case.curvature)
    cancelled = case.curvature / length(in_z)  # z's gradient is a difference of terms as large as ‖H‖
    scaled: Tensor = apart * (1 - second / case.curvature) / cancelled.clamp_min(1.0)
    return scaled


GRADIENT = (
    *check_both(
        "against autograd through the n×n eigenvalue problem",
        lambda c, factor=2.0: gradient_error(c, "dense", factor),
        2.02,
        "one per cent more of ∂/∂V",
        MISTAKES_TOO,
    ),
    *check_both(
        "against autograd through the K×K eigenvalue problem",
        lambda c, factor=2.0: gradient_error(c, "small", factor),
        2.02,
        "one per cent more of ∂/∂V",
        MISTAKES_TOO,
    ),
    check_random(
        "against the closed form that trains ensembles",
        lambda c, factor=2.0: gradient_error(c, "engine", factor),
        2.02,
        "one per cent more of ∂/∂V",
        Sampling(high=5.0),
        tolerance=1e-6,  # the engine's eigenvector is good to the gap's fourth digit
    ),
)


def tied_cases(draw: Draw) -> tuple[Instance, Tensor]:
    """Equally likely corners of a randomly turned regular triangle, and a direction for V (T, 4, 3)."""
    generator = torch.Generator().manual_seed(draw.seed)
    count = draw.trials
    corners = torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.75**0.5, -(0.75**0.5)]], dtype=torch.float64)
    frame = torch.linalg.qr(torch.randn(count, 4, 2, generator=generator, dtype=torch.float64)).Q
    V = (frame @ corners).to(draw.device)
    z = torch.zeros(count, 3, dtype=torch.float64, device=draw.device)
    y = torch.zeros(count, dtype=torch.int64, device=draw.device)
    direction = torch.randn(count, 4, 3, generator=generator, dtype=torch.float64).to(draw.device)
    return closed_form(V, z, y), direction


def tie_excess(draw: Draw, eigenvalue: int = -1) -> Tensor:
    """The one-sided slope against an eigenvalue of UᵀEU; and how far autograd's lies outside of them."""
    case, W = tied_cases(draw)
    step = 1e-6
    one_sided = (derivatives.curvature(case.V + step * W, case.z) - case.curvature) / step
    A, B = derivatives.hessian_factor(case.V, case.z), derivatives.hessian_factor(W, case.z)
    dH = A @ B.mT + B @ A.mT  # the factor is linear in V
    top = torch.linalg.eigh(case.hessian).eigenvectors[..., -2:]
    rates = torch.linalg.eigvalsh(top.mT @ dH @ top)
    size = torch.linalg.matrix_norm(dH, ord=2)
    by_autograd = (computed_gradient(case, "small")[0] * W).sum(dim=(-2, -1))
    outside = torch.maximum(by_autograd - rates[..., eigenvalue], rates[..., 0] - by_autograd) / size
    return torch.maximum((one_sided - rates[..., eigenvalue]).abs() / size, outside)


TIES = (
    check(
        "one-sided slope at a double top eigenvalue; autograd's lies between the two extremes",
        tie_excess,
        wrong=0,
        mistake="the smallest eigenvalue of UᵀEU",
        tolerance=1e-4,
    ),
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "thm-exact-curvature": EXACT,
    "thm-curvature-three-classes": THREE,
    "thm-hessian-vector": PRODUCT,
    "thm-curvature-gradient": GRADIENT,
    "thm-curvature-ties": TIES,
}
"""The checks of each claim, by its id."""
