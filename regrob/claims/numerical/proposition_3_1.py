"""Proposition 3.1 in numbers: the Taylor radius of two classes, its growth, and the true margin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regrob.claims.check import Check
from regrob.claims.combinators import checked, on_instances
from regrob.claims.comparisons import ratio_error, violation
from regrob.claims.instances import Draw, Instance, closed_form, length, signed, unit
from regrob.theory import derivatives, probability, taylor_radius
from regrob.theory.margin import margin_l2

# --- Proposition 3.1 -------------------------------------------------------------------


def printed_radius(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Eq. (8) as printed, with the −1 under the root."""
    instance = closed_form(V, z, y)
    p, q = instance.p, instance.q
    return torch.sqrt(2 * p * instance.xi / q) / (p * derivatives.cross_lipschitz(V))


@checked("a step of ‖r*‖ along ∇ reaches the threshold", wrong=printed_radius, mistake="Eq. (8) as printed")
@on_instances
def threshold_error(instance: Instance, radius: Callable[..., Tensor] = taylor_radius.radius_l2) -> Tensor:
    """Step by the radius along ∇: the loss's quadratic model must reach log 2."""
    g, xi = instance.gradient, instance.xi
    gain = instance.gain(radius(*instance).unsqueeze(-1) * unit(g))
    return (gain - xi).abs() / xi


@checked("no shorter step does", wrong=1.05, mistake="steps five per cent longer, some of which do")
def beyond_threshold(draw: Draw, stretch: float = 1.0) -> Tensor:
    """By how much the model at length `stretch`·‖r*‖ exceeds log 2, in directions that lean towards ±∇."""
    instance = draw.instances(2)
    g, xi = instance.gradient, instance.xi
    r = draw.normal(*g.shape, stream=1)
    r = unit(r) + 9 * r[:, :1].sign() * unit(g)
    r = unit(r) * stretch * taylor_radius.radius_l2(*instance).unsqueeze(-1)
    return (instance.gain(r) - xi) / xi


PROP_3_1 = (threshold_error, beyond_threshold)

EQ_8 = (threshold_error,)


@checked("Eq. (20)'s lines against the radius", wrong=1.001, mistake="one per mille more ξ")
@on_instances
def line_error(instance: Instance, factor: float = 1.0) -> Tensor:
    """The first line at the norms of ∇ and of the n×n matrix H, against the last one."""
    a, b = instance.gradient_norm, instance.curvature
    line = 2 * factor * instance.xi / (a + torch.sqrt(a.square() + 2 * factor * b * instance.xi))
    return ratio_error(line, taylor_radius.radius_l2(*instance))


EQ_20 = (line_error,)


@checked("m ≤ ν‖x‖ without biases", wrong=0.99, mistake="one per cent less than ν‖x‖")
def margin_violation(draw: Draw, factor: float = 1.0) -> Tensor:
    """log(p_y/q) of z = Vᵀx against ν‖x‖, every other x along v₊ − v₋, where the two are equal."""
    V, _, _ = draw.instances(2)
    s, x = V[..., 0] - V[..., 1], draw.normal(draw.trials, V.shape[1], stream=1)
    x[::2] = unit(s[::2]) * x[::2, :1]
    z = (V.mT @ x.unsqueeze(-1)).squeeze(-1)
    m = probability.logit_margin(z, z.argmax(dim=-1))
    return violation(m, factor * length(s) * length(x))


CORRECT_NU = (margin_violation,)


@checked("p₊ at ts/‖s‖² for random targets", wrong=1.001, mistake="one per mille farther")
def target_error(draw: Draw, factor: float = 1.0) -> Tensor:
    """The probability of x = ts/‖s‖², t = log(p/(1 − p)), against p in (0.001, 0.999)."""
    V, _, _ = draw.instances(2)
    s, p = V[..., 0] - V[..., 1], 0.001 + 0.998 * draw.uniform(draw.trials, stream=1)
    x = (factor * torch.logit(p) / s.square().sum(dim=-1)).unsqueeze(-1) * s
    z = (s * x).sum(dim=-1)  # v₋ = 0
    return (torch.sigmoid(z) - p).abs()


FOOTNOTE_1 = (target_error,)


@checked(
    "first differences over margins from 1e-6 to 700",
    wrong=lambda m: taylor_radius.taylor_margin(m) * torch.sigmoid(-m).sqrt() ** 1.1,
    mistake="a radius that shrinks like q^0.55",
)
def radius_decrease(draw: Draw, radius: Callable[[Tensor], Tensor] = taylor_radius.taylor_margin) -> Tensor:
    """By how much the radius falls between neighbouring margins of a sorted sample."""
    m = (1e-6 * (7e8) ** draw.uniform(draw.trials + 1)).sort().values
    tau = radius(m)
    return -(tau.diff() / tau[1:])


MONOTONE = (radius_decrease,)

# --- New: the Taylor radius against the true margin ------------------------------------


@checked("‖r*‖/d stays above one", wrong=0.99, mistake="one per cent less", tolerance=1e-12)
def below_margin(draw: Draw, factor: float = 1.0) -> Tensor:
    """How far the ratio ‖r*‖/d, times `factor`, lies below one."""
    instance = draw.instances(2, low=0.3)
    return 1.0 - factor * taylor_radius.radius_l2(*instance) / margin_l2(*instance)


@checked("a step of d ends on the boundary", wrong=1.001, mistake="a step one per mille longer")
@on_instances
def boundary_gap(instance: Instance, stretch: float = 1.0) -> Tensor:
    """How far apart the logits are after a step of `stretch`·d along −s: a tie means that d is the distance."""
    away = -signed(instance.y).unsqueeze(-1) * instance.s
    moved = instance.moved(unit(away) * margin_l2(*instance).unsqueeze(-1) * stretch)
    return (moved[:, 0] - moved[:, 1]).abs() / instance.z.abs().amax(dim=-1)


OVERSHOOT = (below_margin, boundary_gap)


@checked(
    "midpoints of random pairs of probabilities",
    wrong=lambda m: taylor_radius.taylor_margin(m) ** 0.7,
    mistake="the radius to the power 0.7",
)
def midpoint_excess(draw: Draw, radius: Callable[[Tensor], Tensor] = taylor_radius.taylor_margin) -> Tensor:
    """The radius halfway between two probabilities against the mean of the two radii."""
    p = 0.5 + 0.499 * draw.uniform(draw.trials, 2)

    def at(p: Tensor) -> Tensor:
        return radius(torch.log(p / (1 - p)))

    mean = at(p).mean(dim=1)
    return (at(p.mean(dim=1)) - mean) / mean


CONVEX = (midpoint_excess,)


CHECKS: dict[str, tuple[Check, ...]] = {
    "prop-3.1": PROP_3_1,
    "eq-8": EQ_8,
    "remark-footnote-1": FOOTNOTE_1,
    "remark-correct-nu": CORRECT_NU,
    "eq-20": EQ_20,
    "remark-radius-monotone": MONOTONE,
    "thm-taylor-overshoots": OVERSHOOT,
    "thm-radius-convex": CONVEX,
}
"""The checks of each claim, by its id."""
