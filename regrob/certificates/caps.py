"""The least value of linear functions over a ball, cut by the pixel box and by a half-space: many at once.

{δ: ‖δ‖_p ≤ r, low ≤ δ ≤ high, g·δ + h ≤ 0} is a *cap*: thin where r is only slightly more than the distance
to the half-space. Whatever multipliers of the ball and of the half-space are put in, the dual function is a
lower bound; a few Newton steps find good ones. From each bound a slack is taken for float64's rounding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

UNIT = torch.finfo(torch.float64).eps / 2
TINY = 1e-150
NEWTON_STEPS = 4


def rounding(operations: int) -> float:
    """γ_n = n u/(1 − n u) (Higham 2002, section 3.1), with room for a constant number of operations a term.

    >>> 0 < rounding(100) < 1e-13
    True
    """
    return 4.0 * (operations + 8) * UNIT


class Nearest(NamedTuple):
    """The nearest points of half-spaces a·δ + c ≤ 0 in the box.

    Attributes:
        distance: (R,), rounded down; zero where δ = 0 is in the half-space, large where the box is not.
        step: δ (R, n), that point.
        price: (R,), by how much ‖δ‖²/2 (ℓ2), or ‖δ‖∞, rises with c.
    """

    distance: Tensor
    step: Tensor
    price: Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a·b of each row."""
    product: Tensor = torch.linalg.vecdot(a, b)
    return product


def least(
    a: Tensor, radius: Tensor, low: Tensor, high: Tensor, g: Tensor | None, h: Tensor | None, norm: float
) -> Tensor:
    """Lower bounds on a·δ over caps, one a row: a and g (R, n), radius and h (R,), low and high (n,).

    Without g: over the ball in the box. On an empty cap the bound may be anything.

    >>> a, r = torch.tensor([[3.0, 4.0]]).double(), torch.ones(1).double()
    >>> low, high = torch.tensor([-1.0, -0.5]).double(), torch.ones(2).double()
    >>> round(float(least(a, r, low, high, None, None, 2.0)), 4)  # −3 √(1 − 1/4) − 4/2
    -4.5981
    """
    bound = _least_l2(a, radius, low, high, g, h) if norm == 2.0 else _least_linf(a, radius, low, high, g, h)
    return bound.nan_to_num(-math.inf, math.inf, -math.inf)


def _least_l2(
    a: Tensor, radius: Tensor, low: Tensor, high: Tensor, g: Tensor | None, h: Tensor | None
) -> Tensor:
    """max over t > 0 and λ ≥ 0 of min_δ a·δ + λ(g·δ + h) + (‖δ‖² − r²)/2t, at δ = clamp(−t(a + λg))."""
    square, size = radius.square(), torch.linalg.vector_norm(a, dim=1)
    gamma = rounding(a.shape[1])
    t = radius / size.clamp_min(TINY)
    tau = torch.zeros_like(t)  # t λ
    best = torch.full_like(t, -math.inf)
    if g is not None and h is not None:
        g_size = torch.linalg.vector_norm(g, dim=1)
        best = (-size * radius).nan_to_num(-math.inf) * (1.0 + gamma)
        t, tau = _without_box(size.square(), dot(a, g), g_size.square(), h, square)
    for _ in range(NEWTON_STEPS):
        b = t[:, None] * a
        if g is not None:
            b = b + tau[:, None] * g
        d = (-b).clamp(low, high)
        free = d == -b
        free_a = a * free
        taken, aa, ad = dot(d, d), dot(free_a, a), dot(a, d)
        value = ad + (taken - square) / (2.0 * t)
        slack = size * radius + square / t
        if g is None or h is None:
            held = taken - t.square() * aa
            best = torch.maximum(best, value - gamma * slack)
            t = torch.where(aa > 0, ((square - held).clamp_min(0.0) / aa.clamp_min(TINY)).sqrt(), 1e6 * t)
            t = t.clamp(TINY, 1e100)
            continue
        ag, gg, gd = dot(free_a, g), dot(g * free, g), dot(g, d)
        multiplier = tau / t
        value = value + multiplier * (gd + h)
        slack = slack + multiplier * (g_size * radius + h.abs())
        best = torch.maximum(best, (value - gamma * slack).nan_to_num(-math.inf))
        held = taken - (t.square() * aa + 2.0 * t * tau * ag + tau.square() * gg)
        t, tau = _without_box(aa, ag, gg, h + gd + t * ag + tau * gg, (square - held).clamp_min(0.0))
    return best


def _without_box(aa: Tensor, ag: Tensor, gg: Tensor, k: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """t and τ of the least a·δ with ‖δ‖² ≤ square and g·δ ≤ −k, from the products of a and g."""
    tiny = TINY
    across = (aa - ag.square() / gg.clamp_min(tiny)).clamp_min(1e-14 * aa).clamp_min(tiny)
    room = (square - k.square() / gg.clamp_min(tiny)).clamp_min(1e-12 * square)
    t_cap = (room / across).sqrt()
    tau_cap = (k - t_cap * ag) / gg.clamp_min(tiny)
    active = (tau_cap > 0) & (gg > 0)
    t_free = (square / aa.clamp_min(tiny)).sqrt()
    t = torch.where(active, t_cap, t_free).clamp(tiny, 1e100)
    return t, torch.where(active, tau_cap, 0.0).clamp_max(1e100)


def _least_linf(
    a: Tensor, radius: Tensor, low: Tensor, high: Tensor, g: Tensor | None, h: Tensor | None
) -> Tensor:
    """max over λ ≥ 0 of Σ_i min over the cube's edge of (a + λg)_i δ_i, plus λh: concave, by bisection."""
    lower, upper = torch.maximum(low, -radius[:, None]), torch.minimum(high, radius[:, None])
    gamma = rounding(a.shape[1])

    def at(multiplier: Tensor) -> tuple[Tensor, Tensor]:
        b = a if g is None else a + multiplier[:, None] * g
        d = torch.where(b > 0, lower, upper)
        value, slack = dot(b, d), dot(b.abs(), d.abs())
        if g is None or h is None:
            return value - gamma * slack, torch.zeros_like(value)
        slack = slack + multiplier * h.abs()
        return value + multiplier * h - gamma * slack, dot(g, d) + h

    best, slope = at(torch.zeros_like(radius))
    if g is None:
        return best
    below = torch.zeros_like(radius)
    above = torch.linalg.vector_norm(a, dim=1) / torch.linalg.vector_norm(g, dim=1).clamp_min(TINY)
    for _ in range(4):  # the slope falls; double until it is negative
        value, slope = at(above)
        best = torch.maximum(best, value)
        below, above = torch.where(slope > 0, above, below), torch.where(slope > 0, 4.0 * above, above)
    for _ in range(8):
        middle = (below + above) / 2.0
        value, slope = at(middle)
        best = torch.maximum(best, value)
        below, above = torch.where(slope > 0, middle, below), torch.where(slope > 0, above, middle)
    return best


def nearest(a: Tensor, c: Tensor, low: Tensor, high: Tensor, norm: float) -> Nearest:
    """The distance from δ = 0 to {a·δ + c ≤ 0} in the box, a lower bound on it: a (R, n), c (R,).

    >>> a, c = torch.tensor([[3.0, 4.0]]).double(), torch.tensor([5.0]).double()
    >>> wide = torch.ones(2).double()
    >>> round(float(nearest(a, c, -2.0 * wide, wide, 2.0).distance), 6)
    1.0
    >>> round(float(nearest(a, c, -2.0 * wide, wide, torch.inf).distance), 6)  # 5/7
    0.714286
    """
    found = _nearest_l2(a, c, low, high) if norm == 2.0 else _nearest_linf(a, c, low, high)
    return found._replace(distance=torch.where(c > 0, found.distance, 0.0).nan_to_num(0.0, math.inf, 0.0))


def _nearest_l2(a: Tensor, c: Tensor, low: Tensor, high: Tensor) -> Nearest:
    """max over μ of min_δ ‖δ‖²/2 + μ(a·δ + c), at δ = clamp(−μa); Newton's steps come from below."""
    size = torch.linalg.vector_norm(a, dim=1)
    need = c.clamp_min(0.0)
    price = ((need / size.clamp_min(TINY)) / size.clamp_min(TINY)).clamp_max(1e100)
    gamma = rounding(a.shape[1])
    best = torch.zeros_like(c)
    d = torch.zeros_like(a)
    for step in range(2 * NEWTON_STEPS):
        b = price[:, None] * a
        d = (-b).clamp(low, high)
        reached, taken = -dot(a, d), dot(d, d)
        slack = taken + price * (size * taken.sqrt() + need)
        best = torch.maximum(best, 0.5 * taken + price * (need - reached) - gamma * slack)
        short = need - reached
        if step == 2 * NEWTON_STEPS - 1 or not bool((short > 1e-12 * need).any()):
            break
        slope = dot(a * (d == -b), a)
        price = torch.where(
            short > 0, torch.where(slope > 0, price + short / slope.clamp_min(TINY), 1e3 * price), price
        ).clamp_max(1e100)
    distance = (2.0 * best.nan_to_num(0.0)).clamp_min(0.0).sqrt() * (1.0 - 4.0 * UNIT)
    return Nearest(distance, d, price)


def _nearest_linf(a: Tensor, c: Tensor, low: Tensor, high: Tensor) -> Nearest:
    """The radius r at which Σ|a_i| min(r, room_i) reaches c: Newton's steps come from below."""
    size, room = a.abs(), torch.where(a > 0, -low, high)
    gamma = rounding(a.shape[1])
    need = c.clamp_min(0.0) * (1.0 - gamma)
    radius = need / size.sum(dim=1).clamp_min(TINY)
    proved = torch.zeros_like(radius)
    slope = size.sum(dim=1)
    for _ in range(4 * NEWTON_STEPS):
        shorter = radius * (1.0 - 4.0 * gamma)  # rounding may have led a step too far
        safe = dot(size, torch.minimum(room, shorter[:, None])) * (1.0 + gamma) <= need
        proved = torch.where(safe, torch.maximum(proved, shorter), proved)
        short = need - dot(size, torch.minimum(room, radius[:, None]))
        slope = dot(size, (room > radius[:, None]).to(size))
        grown = torch.where(slope > 0, radius + short / slope.clamp_min(TINY), 1e3 * radius)
        radius = torch.where(short > 1e-13 * need, grown, radius).clamp_max(1e100)
    d = -a.sign() * torch.minimum(room, radius[:, None])
    return Nearest(proved, d, 1.0 / slope.clamp_min(TINY))
