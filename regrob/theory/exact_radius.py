"""The exact size of r* with any number of classes, in place of bounds.

r* is the paper's: the shortest r at which the quadratic model L + ∇ᵀr + rᵀHr/2 of the loss
reaches the threshold β. H = A Aᵀ (`hessian_factor`) has rank K − 1 at most, ∇ lies in its
range, and r* = θ(I − θH)⁻¹∇. So the eigenvectors of the K×K matrix AᵀA turn the problem into
one equation in one unknown. Nothing of size n×n is formed.

Float64 inside, whatever the dtype of V and z; the relative error stays within some tens of
roundings, up to margins of 700.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from regrob.checks import (
    InputVector,
    Jacobian,
    Labels,
    Logits,
    PerExample,
    check_labels,
    check_map,
    first_offender,
)
from regrob.errors import HypothesisError, InputError
from regrob.theory import derivatives, probability, taylor_radius

_HARD = 1e-150
"""Stands for a ∇ with no part along the top eigenvector at all; its square does not underflow."""


class Minimum(NamedTuple):
    """The shortest step to the model's boundary, float64.

    Attributes:
        radius: ‖r*‖₂; infinite where H = 0 and ∇ = 0.
        perturbation: r*; one of the two where two are shortest.
        slope: ‖∇ + H r*‖₂, how fast the model rises there, along r*.
    """

    radius: PerExample
    perturbation: InputVector
    slope: PerExample


def exact_radius_l2(V: Jacobian, z: Logits, y: Labels, *, threshold: float | None = None) -> PerExample:
    """‖r*‖₂ = min ‖r‖₂ such that L + ∇ᵀr + rᵀHr/2 ≥ β, for any K and any label.

    Zero where L ≥ β already. Infinite where no r reaches β: all columns of V coincide. At
    K = 2 it is `radius_l2`. The gradient is the envelope theorem's,

        d‖r*‖ = −(dL + r*ᵀd∇ + r*ᵀdH r*/2) / ‖∇ + H r*‖₂,

    taken as zero where the radius is zero or infinite. Where two steps are shortest (∇ has
    no part along the top eigenvector, and ξ is large) the radius has a kink, and this is
    the slope on one side of it. Once differentiable.

    Args:
        threshold: β in nats; log K, the paper's, if None.

    Raises:
        InputError: wrong shapes, a threshold that is not finite, NaN or infinity in V or z.
        HypothesisError: q = 1 − p_y underflows; the radius overflows.

    >>> V = torch.tensor([[1.0, 0.0, -1.0]])  # one input, z = (x, 0, −x) at x = log 2
    >>> exact_radius_l2(V, V[0] * math.log(2.0), torch.tensor(0))
    tensor(0.7095)
    """
    xi = _checked_slack(V, z, y, threshold)
    radius: Tensor = _ExactRadius.apply(V, z, y, xi)  # type: ignore[no-untyped-call]
    return radius


def exact_perturbation_l2(
    V: Jacobian, z: Logits, y: Labels, *, threshold: float | None = None
) -> InputVector:
    """r* itself, without a gradient: one of the two where two steps are shortest.

    Raises:
        InputError: as `exact_radius_l2`.
        HypothesisError: as there, and where no r reaches the threshold.

    >>> exact_perturbation_l2(torch.tensor([[1.0, 0.0]]), torch.tensor([4.0, 1.0]).log(), torch.tensor(0))
    tensor([-1.4772])
    """
    xi = _checked_slack(V, z, y, threshold)
    minimum = minimum_l2(V, z, y, xi)
    if unmoved := first_offender(torch.isinf(minimum.radius)):
        raise HypothesisError(
            f"{unmoved.name}: the columns of V coincide, so that no step changes the loss; "
            "select the examples where exact_radius_l2 is finite"
        )
    return minimum.perturbation.to(V.dtype)


@torch.no_grad()
def minimum_l2(V: Jacobian, z: Logits, y: Labels, xi: PerExample) -> Minimum:
    """The radius, r* and the slope for a given ξ, in float64. Inputs are not checked.

    B = √(1 + 2pξ/q) − 1 as in Prop. 3.1. With λ₁ the largest eigenvalue of AᵀA, μ_i = λ_i/λ₁,
    and γ_i the parts of ∇·√(p/(qλ₁)) along H's eigenvectors, the multiplier θ becomes
    κ = θλ₁/(1 − θλ₁) ∈ (0, ∞), and κ = B s with s ≥ 1 (s = 1 at K = 2). s solves

        Σ γ_i² ζ_i (B μ_i ζ_i + 2) / (B + 2) = 1,   ζ_i = 1 / (1/s + B(1 − μ_i)),

    where nothing cancels or overflows: H's scale √q is taken out of its factor first.

    >>> V, z = torch.tensor([[1.0, 0.0]]), torch.tensor([4.0, 1.0]).log()
    >>> minimum_l2(V, z, torch.tensor(0), torch.tensor(1.25)).slope  # q + pq‖r*‖ = √11/5
    tensor(0.6633, dtype=torch.float64)
    """
    V, z, xi = V.double(), z.double(), xi.double()
    m = probability.logit_margin(z, y)
    q = torch.sigmoid(-m)
    root_p, root_q = probability.root_rival_probability(-m), probability.root_rival_probability(m)
    below = xi > 0  # the threshold; elsewhere the radius is zero, which is put in at the end
    xi = torch.where(below, xi, 1.0)

    factor, toward = _factor(V, z, y, q, root_p, root_q)  # A/√q and ∇/q
    Q, R = torch.linalg.qr(factor)  # RᵀR = AᵀA/q: the K×K problem, without squaring
    U, sigma, _ = torch.linalg.svd(R, full_matrices=False)
    directions = Q @ U  # H's eigenvectors: (…, n, min(n, K))
    curved = sigma[..., 0] > 0
    top = torch.where(curved, sigma[..., 0], 1.0)
    mu = (sigma / top[..., None]).square()
    gap = (top[..., None] - sigma) * (top[..., None] + sigma) / top[..., None].square()  # 1 − μ
    gamma = (directions.mT @ toward).squeeze(-1) * (root_p / top)[..., None]
    first = gamma[..., :1]
    gamma = torch.cat([torch.where(first.abs() < _HARD, _HARD, first), gamma[..., 1:]], dim=-1)

    reach = taylor_radius.taylor_reach(m, xi)  # B/p
    B = reach * torch.sigmoid(m)
    s = _solve_scale(gamma, mu, gap, B)
    zeta = 1.0 / (1.0 / s + B[..., None] * gap)
    parts = (reach * root_p / top)[..., None] * gamma * zeta  # of r*, along the eigenvectors
    radius = torch.linalg.vector_norm(parts, dim=-1)
    r = (directions @ parts.unsqueeze(-1)).squeeze(-1)
    slope = radius * q * top.square() * (1.0 + 1.0 / s[..., 0] / B)  # ‖r*‖/θ

    reachable = curved & below
    return Minimum(
        torch.where(reachable, radius, torch.where(below, math.inf, 0.0)),
        torch.where(reachable[..., None], r, 0.0),
        slope,
    )


def _factor(
    V: Tensor, z: Tensor, y: Tensor, q: Tensor, root_p: Tensor, root_q: Tensor
) -> tuple[Tensor, Tensor]:
    """A/√q (…, n, K) and ∇/q = u − v_y (…, n, 1), u the rivals' average.

    Column j ≠ y is √(p_j/q)(v_j − v̄), column y is −√(pq)(u − v_y).
    """
    label = functional.one_hot(y, z.shape[-1]).bool()
    root_rivals = (0.5 * torch.log_softmax(z.masked_fill(label, -math.inf), dim=-1)).exp()
    difference = V - derivatives.column(V, y)
    toward = difference @ root_rivals.square().unsqueeze(-1)
    factor = (difference - q[..., None, None] * toward) * root_rivals.unsqueeze(-2)
    own = -(root_p * root_q)[..., None, None] * toward
    return torch.where(label.unsqueeze(-2), own, factor), toward


def _solve_scale(gamma: Tensor, mu: Tensor, gap: Tensor, B: Tensor) -> Tensor:
    """s of `minimum_l2`, by bisection of log s on [0, −2 log|γ₁|], then Newton steps: (…, 1).

    In log s the equation's left side F has |F″| ≤ 2F′, term by term. So a step squares a small error, and
    three take what twenty halvings leave of −2 log|γ₁|, at most 7e-4, to rounding.
    """
    share = (B / (B + 2.0))[..., None]
    rest = (2.0 / (B + 2.0))[..., None]
    bend = B[..., None] * gap

    def terms(log_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inverse = torch.exp(-log_s)
        zeta = 1.0 / (inverse + bend)
        # Grouped so that 0 meets no infinity, however large ζ.
        value = ((gamma * zeta) * (gamma * (share * mu * zeta + rest))).sum(dim=-1, keepdim=True)
        return value, zeta, inverse * zeta  # the last is d log ζ / d log s

    low = torch.zeros_like(B)[..., None]
    high = (-2.0 * gamma[..., :1].abs().log()).clamp_min(0.0)
    for _ in range(20):
        middle = 0.5 * (low + high)
        below = terms(middle)[0] < 1.0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    log_s = 0.5 * (low + high)
    s = log_s.exp()
    for _ in range(3):
        value, zeta, growth = terms(log_s)
        rate = ((gamma * zeta) * (gamma * (2.0 * share * mu * zeta + rest)) * growth).sum(-1, keepdim=True)
        step = (1.0 - value) / rate
        log_s, s = log_s + step, s * step.exp()
    return s


class _ExactRadius(torch.autograd.Function):
    """`minimum_l2`'s radius with the envelope derivative at fixed r*."""

    @staticmethod
    def forward(ctx: Any, V: Tensor, z: Tensor, y: Tensor, xi: Tensor) -> Tensor:
        minimum = minimum_l2(V, z, y, xi)
        ctx.save_for_backward(V, z, y, *minimum)
        return minimum.radius.to(V.dtype)

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor, Tensor, None, None]:
        if torch.is_grad_enabled():  # r* would be taken as constant, without a word
            raise InputError("the exact radius is differentiable once: call it without create_graph=True")
        V, z, y, radius, r, slope = ctx.saved_tensors
        along_a, along_z = _model_derivatives(V.double(), z.double(), y, r)
        moving = torch.isfinite(radius) & (radius > 0)
        pull = torch.where(moving, -weight.double() / slope, 0.0)[..., None]
        grad_V = pull[..., None] * r.unsqueeze(-1) * along_a.unsqueeze(-2)
        return grad_V.to(V.dtype), (pull * along_z).to(z.dtype), None, None


def _model_derivatives(V: Tensor, z: Tensor, y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """∂T/∂a and ∂T/∂z of T = L + E[a] − a_y + Var[a]/2, a = Vᵀr, averages under p: (…, K) each.

    T is the model's value at x + r. Its derivative in V at fixed r is r (∂T/∂a)ᵀ.
    """
    p, residual = torch.softmax(z, dim=-1), probability.residual_probability(z, y)
    a = (r.unsqueeze(-2) @ (V - derivatives.column(V, y))).squeeze(-2)
    deviation = a - (p * a).sum(dim=-1, keepdim=True)
    variance = (p * deviation.square()).sum(dim=-1, keepdim=True)
    along_a = residual + p * deviation
    return along_a, along_a + 0.5 * p * (deviation.square() - variance)


def exact_radius_linf_three_classes(
    V: Jacobian, z: Logits, y: Labels, *, threshold: float | None = None
) -> PerExample:
    """‖r̃*‖_∞ = min ‖r‖_∞ such that L + ∇ᵀr + rᵀHr/2 ≥ β, exact, for K = 3 and any label.

    The model is convex, so within the box ‖r‖_∞ ≤ ε it is largest at a corner ε·s, s of
    signs; and it sees s only through the two numbers (v_j − v_y)ᵀs. Those pairs fill a
    polygon with at most 2n corners, which a sort by angle lists. Differentiable wherever
    one corner wins. Zero and infinite as `exact_radius_l2`.

    Raises:
        InputError: K ≠ 3, or as `exact_radius_l2`.
        HypothesisError: as `exact_radius_l2`.

    >>> V = torch.tensor([[1.0, 0.0, -1.0]]).expand(2, 3)  # two inputs share what one did above
    >>> exact_radius_linf_three_classes(V, V[0] * math.log(2.0), torch.tensor(0))
    tensor(0.3548)
    """
    check_map(V, z)
    if V.shape[-1] != 3:
        raise InputError(f"the sweep is for K = 3 classes, got K = {V.shape[-1]}; at K = 2 use radius_linf")
    xi = _checked_slack(V, z, y, threshold)
    V64, z64 = V.double(), z.double()
    p, residual = torch.softmax(z64, dim=-1), probability.residual_probability(z64, y)
    relative = V64 - derivatives.column(V64, y)
    with torch.no_grad():
        candidates = _polygon_signs(relative, y)  # (…, n, n), one column a corner
        winner = _model_root(relative, p, residual, xi, candidates).argmin(dim=-1)
        signs = candidates.gather(-1, winner[..., None, None].expand(*relative.shape[:-1], 1))
    radius = _model_root(relative, p, residual, torch.where(xi > 0, xi, 1.0), signs)[..., 0]
    unmoved = (relative == 0).flatten(-2).all(dim=-1)
    radius = torch.where(xi > 0, torch.where(unmoved, math.inf, radius), 0.0)
    return radius.to(V.dtype)


def _model_root(relative: Tensor, p: Tensor, residual: Tensor, xi: Tensor, signs: Tensor) -> Tensor:
    """The ε at which the model reaches β along ε·s, for each column s of signs (…, n, C): (…, C)."""
    a = relative.mT @ signs  # (…, K, C)
    slope = (residual.unsqueeze(-1) * a).sum(dim=-2).abs()
    weights = p.unsqueeze(-1)
    deviation = a - (weights * a).sum(dim=-2, keepdim=True)
    bend = (weights * deviation.square()).sum(dim=-2)
    return taylor_radius.positive_root(slope, bend, xi[..., None])


def _polygon_signs(relative: Tensor, y: Tensor) -> Tensor:
    """The sign vectors of the corners of {(v_j − v_y)ᵀs : s ∈ [−1, 1]ⁿ}, up to ±: (…, n, n).

    A corner is the furthest point in some direction. Turning the direction through π, the
    rows of V change sign one by one, in the order of their angles.
    """
    rivals = torch.stack([(y + 1) % 3, (y + 2) % 3], dim=-1)
    rows = relative.gather(-1, rivals.unsqueeze(-2).expand(*relative.shape[:-1], 2))  # (…, n, 2)
    across, up = rows[..., 0], rows[..., 1]
    start = torch.where((up < 0) | ((up == 0) & (across < 0)), -1.0, 1.0).to(rows.dtype)
    angle = torch.atan2(start * up, start * across)  # in [0, π)
    rank = angle.argsort(dim=-1).argsort(dim=-1)
    corner = torch.arange(rows.shape[-2], device=rows.device)
    turned = rank.unsqueeze(-1) <= corner  # (…, n, n): the rows up to this rank have turned
    return start.unsqueeze(-1) * torch.where(turned, 1.0, -1.0).to(rows.dtype)


def _checked_slack(V: Tensor, z: Tensor, y: Tensor, threshold: float | None) -> Tensor:
    """ξ = β − L in float64, after all checks: (…)."""
    check_map(V, z)
    check_labels(y, z)
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"the threshold must be a finite loss in nats, got {threshold}")
    finite = torch.isfinite(V).flatten(-2).all(dim=-1) & torch.isfinite(z).all(dim=-1)
    if broken := first_offender(~finite):
        raise InputError(f"V or z of {broken.name} holds NaN or infinity")
    root_q = probability.root_rival_probability(probability.logit_margin(z.double(), y))
    if certain := first_offender(root_q <= torch.finfo(V.dtype).tiny):
        raise HypothesisError(
            f"{certain.name}: p_y equals 1 to working precision, so that the radius overflows; "
            "leave such an example out, or use margin_l2, which does not need q"
        )
    return probability.slack(z.double(), y, threshold=threshold)
