"""The quadratic model on a ball or a box: its largest gain, its radius, and steps that reach ξ or do not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regrob.claims.instances import Excess, Instance, length
from regrob.theory import taylor_radius


def largest_gain(case: Instance, radius: Tensor, *, box: bool = False, steps: int = 40) -> Tensor:
    """The quadratic model's largest gain ∇ᵀr + rᵀHr/2 on a ball or box: (T,).

    The model is convex, so its maximum is on the sphere or at a corner. Corners are tried one
    by one up to n = 8. Otherwise we climb: stepping to the point of the ball (or the corner)
    that the slope points at never goes down. The climb's end is a true value of the model, so
    a radius whose ball holds a gain above ξ is no lower bound.
    """
    if box and case.gradient.shape[-1] <= 8:
        linear, curved = corner_values(case)
        gains = radius.unsqueeze(-1) * linear + 0.5 * radius.square().unsqueeze(-1) * curved
        return gains.amax(dim=-1)

    def extreme(slope: Tensor) -> Tensor:
        unit = slope.sign() if box else slope / length(slope).unsqueeze(-1)
        return radius.unsqueeze(-1) * unit

    r = extreme(case.gradient)
    for _ in range(steps):
        r = extreme(case.model_gradient(r))
    return case.gain(r)


def corner_values(case: Instance) -> tuple[Tensor, Tensor]:
    """|∇ᵀs| and sᵀHs at one of each pair ±s of the unit box's corners: (T, 2^{n−1}) each."""
    n = case.gradient.shape[-1]
    bits = torch.arange(2 ** (n - 1), device=case.z.device).unsqueeze(-1)
    signs = 1.0 - 2.0 * ((bits >> torch.arange(n, device=case.z.device)) & 1).to(case.z)
    curved = torch.einsum("sa,...ab,sb->...s", signs, case.hessian, signs)
    return (case.gradient @ signs.T).abs(), curved.clamp_min(0.0)  # rounding leaves a zero on either side


def corner_radius(case: Instance) -> Tensor:
    """‖r̃*‖_∞ exactly, by trying every corner: a convex model is largest on a box at one. (T,)."""
    linear, curved = corner_values(case)
    return taylor_radius.positive_root(linear, curved, case.xi.unsqueeze(-1)).amin(dim=-1)


def reach_along(case: Instance, direction: Tensor) -> Tensor:
    """The t > 0 at which the step t·direction (T, n), uphill, gains ξ: (T,)."""
    return taylor_radius.positive_root(
        (case.gradient * direction).sum(dim=-1), case.quadratic_form(direction), case.xi
    )


def overshoot(case: Instance, radius: Tensor, *, box: bool = False) -> Tensor:
    """By how much a step within `radius` exceeds ξ, relative to ξ: no lower bound if positive."""
    return (largest_gain(case, radius, box=box) - case.xi) / case.xi


def shortfall(case: Instance, step: Tensor) -> Tensor:
    """By how much the gain of a step (T, n) stays below ξ, relative to ξ."""
    return (case.xi - case.gain(step)) / case.xi


def within(radius: Callable[[Instance], Tensor], *, box: bool = False) -> Excess:
    """The excess that finds out whether a radius (T,), or a multiple of it, is a lower bound."""
    return lambda case, stretch=1.0: overshoot(case, stretch * radius(case), box=box)
