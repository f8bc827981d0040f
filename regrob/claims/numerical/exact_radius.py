"""The exact radius in numbers: the secular equation's root against the model on spheres and boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.claims.check import Check
from regrob.claims.combinators import check, check_both, check_networks, check_random
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.instances import Draw, Instance, closed_form, length
from regrob.claims.quadratic_model import corner_radius, reach_along, within
from regrob.claims.samplings import MISTAKES_TOO, TWO_CLASSES, Sampling
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory import exact_radius as exact


def radius(case: Instance) -> Tensor:
    """‖r*‖₂: (T,)."""
    return exact.exact_radius_l2(case.V, case.z, case.y)


def step(case: Instance) -> Tensor:
    """r*: (T, n)."""
    return exact.exact_perturbation_l2(case.V, case.z, case.y)


# --- the secular equation --------------------------------------------------------------


def certificate(case: Instance, r: Tensor, xi: Tensor | None = None) -> Tensor:
    """How far r is from satisfying the conditions that make it a global minimiser: (T,).

    The gain is ξ (log K − L if None); r = θ(∇ + Hr); and I − θH ⪰ 0. Only ∇ and H enter,
    not how r was computed.
    """
    xi = case.xi if xi is None else xi
    slope = case.model_gradient(r)
    theta = length(r) / length(slope)
    stationary = length(r - theta.unsqueeze(-1) * slope) / length(r)
    return worst(stationary, ratio_error(case.gain(r), xi), theta * case.curvature - 1)


def any_label_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """The certificate for slacks of 0.01 to 100, whatever the label."""
    xi = torch.logspace(-2, 2, len(case.y), dtype=case.V.dtype, device=case.V.device)
    r = exact.minimum_l2(case.V, case.z, case.y, factor * xi).perturbation
    return certificate(case, r, xi)


EXACT = (
    *check_both(
        "r* satisfies the certificate",
        lambda c, stretch=1.0: certificate(c, stretch * step(c)),
        1.001,
        "a step one per mille longer",
        tolerance=1e-9,
    ),
    *check_both(
        "the same for any label and any slack",
        any_label_excess,
        1.001,
        "a slack one per mille larger",
        MISTAKES_TOO,
        tolerance=1e-9,
    ),
    *check_both(
        "climbing within the ball finds nothing higher",
        within(radius),
        1.001,
        "a ball one per mille larger",
        tolerance=1e-9,
    ),
    *check_both(
        "K = 2 gives Proposition 3.1",
        lambda c, factor=1.0: ratio_error(radius(c), factor * taylor_radius.radius_l2(c.V, c.z, c.y)),
        1.001,
        "one per mille more",
        TWO_CLASSES,
    ),
)

# --- the hard case ---------------------------------------------------------------------


def mirrored_cases(draw: Draw) -> tuple[Instance, Tensor, Tensor]:
    """Rivals b ± c·e seen from a, e ⟂ a, b, all random; with ‖b − a‖ and c, (T,) each."""
    generator = torch.Generator().manual_seed(draw.seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(draw.trials, 1, generator=generator, dtype=torch.float64)

    frame = torch.linalg.qr(torch.randn(draw.trials, 5, 3, generator=generator, dtype=torch.float64)).Q
    ahead, aside, common = frame.unbind(dim=-1)
    distance, c = uniform(0.2, 3.0), uniform(0.2, 3.0)
    common = common * uniform(-2.0, 2.0)
    rivals = common + distance * ahead
    V = torch.stack([common, rivals + c * aside, rivals - c * aside], -1)
    z = torch.cat([uniform(0.1, 10.0), torch.zeros(draw.trials, 2, dtype=torch.float64)], dim=1)
    y = torch.zeros(draw.trials, dtype=torch.int64)
    case = closed_form(V.to(draw.device), z.to(draw.device), y.to(draw.device))
    return case, distance.to(draw.device)[:, 0], c.to(draw.device)[:, 0]


def hard_cases(draw: Draw, sideways: bool = True) -> tuple[Tensor, Instance]:
    """The hard ones among them with their radius by hand: H = pqℓ² along b − a and qc² along e, |∇| = qℓ."""
    case, ahead, c = mirrored_cases(draw)
    top, other = case.q * c.square(), case.p * case.q * ahead.square()
    along = case.q * ahead / (top - other)
    limit = case.q * ahead * along + 0.5 * other * along.square()
    hard = (top > other * (1 + 1e-6)) & (case.xi > limit * (1 + 1e-6))
    extra = 2 * (case.xi - limit) / top if sideways else torch.zeros_like(top)
    by_hand = (along.square() + extra).sqrt()
    return by_hand[hard], case.where(hard)


def hard_radius_excess(draw: Draw, sideways: bool = True) -> Tensor:
    """The radius against the one by hand."""
    by_hand, case = hard_cases(draw, sideways=sideways)
    return ratio_error(radius(case), by_hand)


def hard_certificate_excess(draw: Draw, factor: float = 1.0) -> Tensor:
    """Both r* and its mirror image satisfy the certificate."""
    _, case = hard_cases(draw)
    aside = (case.V[..., 1] - case.V[..., 2]) / 2
    r, unit = step(case), aside / length(aside).unsqueeze(-1)
    mirrored = r - 2 * factor * (r * unit).sum(dim=-1, keepdim=True) * unit
    return worst(certificate(case, r), certificate(case, mirrored))


HARD = (
    check("mirrored rivals: the radius by hand", hard_radius_excess, wrong=False, mistake="no step sideways"),
    check(
        "both steps satisfy the certificate",
        hard_certificate_excess,
        wrong=0.99,
        mistake="a mirror image that is not quite one",
        tolerance=1e-9,
    ),
)

# --- the derivative --------------------------------------------------------------------


def difference_excess(case: Instance, half: float = 0.5, h: float = 1e-6) -> Tensor:
    """The envelope derivative against a central difference, along a random direction in (V, z).

    V's differences of columns change by a share of themselves: two columns that agree stay so.
    """
    generator = torch.Generator().manual_seed(1)
    V, z, y = case.V, case.z, case.y
    W = torch.randn(V.shape, generator=generator, dtype=torch.float64).to(V.device)
    w = torch.randn(z.shape, generator=generator, dtype=torch.float64).to(V.device)
    W = W * (V - derivatives.column(V, y))
    r = step(case)

    def loss_gradient_form(t: float) -> tuple[Tensor, Tensor, Tensor]:
        moved = closed_form(V + t * W, z + t * w, y)
        return probability.loss(moved.z, y), (moved.gradient * r).sum(dim=-1), moved.quadratic_form(r)

    ahead, behind = loss_gradient_form(h), loss_gradient_form(-h)
    dL, dg, dH = ((a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True))
    envelope = -(dL + dg + half * dH) / length(case.model_gradient(r))
    difference = exact.exact_radius_l2(V + h * W, z + h * w, y)
    difference = (difference - exact.exact_radius_l2(V - h * W, z - h * w, y)) / (2 * h)
    return (difference - envelope).abs() / (radius(case) + envelope.abs())


def autograd_excess(case: Instance, half: float = 0.5) -> Tensor:
    """Autograd's gradient of the radius against the model's at the fixed r*, in units of its rounding.

    Autograd's softmax knows p only to rounding, while the terms that matter are as small as √q.
    """
    V, z = case.V.detach().requires_grad_(), case.z.detach().requires_grad_()
    r = step(case)
    slope = length(case.model_gradient(r))
    with torch.enable_grad():
        in_V, in_z = torch.autograd.grad(exact.exact_radius_l2(V, z, case.y).sum(), (V, z))
        g, factor = derivatives.input_gradient(V, z, case.y), derivatives.hessian_factor(V, z)
        form = (factor.mT @ r.unsqueeze(-1)).square().sum(dim=(-2, -1))
        value = probability.loss(z, case.y) + (g * r).sum(dim=-1) + half * form
        at_V, at_z = torch.autograd.grad((-value / slope).sum(), (V, z))
    apart = torch.linalg.matrix_norm(in_V - at_V) / torch.linalg.matrix_norm(at_V)
    apart = torch.maximum(apart, (in_z - at_z).abs().amax(dim=-1) / at_z.abs().amax(dim=-1))
    return apart * case.q.sqrt()


ENVELOPE = (
    *check_both("against central differences", difference_excess, 0.51, "0.51 before dH", tolerance=1e-5),
    *check_both(
        "autograd's gradient of the radius against the formula",
        autograd_excess,
        0.51,
        "0.51 before H",
        tolerance=1e-8,
    ),
)


def conditioning_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """‖∇‖, ‖r*‖‖H‖ and ξ/‖r*‖, none of which may exceed ‖∇ + Hr*‖."""
    size, slope = radius(case), length(case.model_gradient(step(case)))
    return worst(
        violation(factor * case.gradient_norm, slope),
        violation(factor * size * case.curvature, slope),
        violation(factor * case.xi, size * slope),
    )


CONDITIONED = check_both(
    "the three quotients", conditioning_excess, 1.01, "one per cent more", tolerance=1e-9
)

# --- the maximum norm ------------------------------------------------------------------


def radius_linf(case: Instance) -> Tensor:
    """‖r̃*‖_∞ by the sweep over n candidates: (T,)."""
    return exact.exact_radius_linf_three_classes(case.V, case.z, case.y)


SUP = (
    check_random(
        "the best of all corners, found by trying them: climbing within the box finds nothing higher",
        within(corner_radius, box=True),
        1.001,
        "a box one per mille larger",
        Sampling(classes=(2, 4, 5), inputs=10),
    ),
)


SORT = (
    check_random(
        "the sweep against all corners, n = 6 (random instances)",
        lambda c: ratio_error(radius_linf(c), corner_radius(c)),
        lambda c: ratio_error(reach_along(c, c.gradient.sign()), corner_radius(c)),
        "the corner sign ∇ only",
        Sampling(classes=(3,), inputs=6),
        tolerance=1e-9,
    ),
    check_networks(
        "climbing within the box finds nothing higher (networks, autograd)",
        within(radius_linf, box=True),
        1.001,
        "a box one per mille larger",
        Sampling(classes=(3,)),
    ),
    check_networks(
        "never more than the corner sign ∇ needs (networks, autograd)",
        lambda c, factor=1.0: violation(factor * radius_linf(c), reach_along(c, c.gradient.sign())),
        1.001,
        "one per mille more",
        Sampling(classes=(3,)),
    ),
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "thm-exact-radius": EXACT,
    "thm-exact-radius-hard-case": HARD,
    "thm-exact-radius-envelope": ENVELOPE,
    "cor-exact-radius-conditioned": CONDITIONED,
    "thm-exact-radius-linf": SUP,
    "thm-exact-radius-linf-sort": SORT,
}
"""The checks of each claim, by its id."""
