"""The least value of linear functions over balls of perturbations, cut by the pixel box and by a half-space.

The ball is {δ: ‖δ‖_p ≤ r}, the box asks low ≤ x + δ ≤ high, and the half-space, in which all mistakes are
known to lie, is {δ: c·δ + e ≤ 0}. What is left of the ball in it is a *cap*: thin where r is only slightly
more than the distance to the half-space. Whatever multipliers of the ball and of the half-space are put into
the dual function, it is a lower bound; so the search for good ones may end early. From each bound a slack is
taken for float64's rounding. There are four ways to such a bound:

* p = 2, `least`: Newton's steps on the dual, which knows all of the box;
* p = 2, `Ball.least`: a closed form, quicker, which knows of the box only what pixels are at its edge;
* p = ∞: pixels are independent, and the multiplier of the half-space is found by bisection;
* another p, without a half-space: a·δ = b·δ + (a − b)·δ ≥ −r ‖b‖_q + Σ min over the box of (a − b)_i δ_i,
  where any b is sound, and the best is |b_i| = min(|a_i|, λ reach_i^{p−1}); reach_i is how far pixel i can
  move against a_i.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.certificates.rounded import UNIT, rounding
from regrob.checks import Images, check_box, check_norm
from regrob.errors import InputError

TINY = 1e-150
"""In place of a zero by which something is divided."""

NEWTON_STEPS = 4

ROUNDS = 16
"""Of the search for λ, each of which only comes nearer."""

FEW = 16
"""From so many slopes of one image on, they are worked on image by image."""


class Ball(NamedTuple):
    """{δ : ‖δ‖_p ≤ radius, below ≤ δ ≤ above, normal · δ + offset ≤ 0}, one for each of N images.

    Attributes:
        radius: (N,).
        norm: p, from 1 to infinity.
        below, above: (N, n), at most and at least zero; None without a box.
        normal, offset: (N, n) and (N,) of the half-space; None without one.
    """

    radius: Tensor
    norm: float
    below: Tensor | None = None
    above: Tensor | None = None
    normal: Tensor | None = None
    offset: Tensor | None = None

    def of(self, at: Tensor) -> Ball:
        """Those of the images `at`."""
        return Ball(
            self.radius[at],
            self.norm,
            *(None if part is None else part[at] for part in self[2:]),
        )

    def reach(self) -> tuple[Tensor, Tensor]:
        """How far each pixel can move down and up: (N, n), or (N, 1) without a box."""
        radius = self.radius[:, None]
        if self.below is None or self.above is None:
            return radius, radius
        return torch.minimum(radius, -self.below), torch.minimum(radius, self.above)

    def farthest(self) -> Tensor:
        """The distance to the farthest corner of the box, (N,); infinite without one.

        >>> ball_around(torch.tensor([[0.25, 1.0]]), 0.0, norm=1).farthest()
        tensor([1.7500], dtype=torch.float64)
        """
        if self.below is None or self.above is None:
            return torch.full_like(self.radius, math.inf)
        far: Tensor = torch.linalg.vector_norm(torch.maximum(-self.below, self.above), ord=self.norm, dim=1)
        return far

    def least(self, slopes: Tensor, at: Tensor, columns: Tensor | None = None) -> Tensor:
        """A lower bound of slopes · δ on the ball of each slope's image, also of the exact product: (P,).

        For p = 2 all that is used of the box is that a pixel at its edge cannot move across.

        Args:
            slopes: (P, s), what is not listed being zero.
            at: (P,), the images.
            columns: (P, s), which pixels the slopes are of; None if of all. Not with a half-space.

        >>> ball = Ball(torch.tensor([5.0]).double(), 2.0)
        >>> ball.least(torch.tensor([[3.0, 4.0]]).double(), torch.tensor([0]))
        tensor([-25.0000], dtype=torch.float64)
        """
        if self.below is None and self.normal is None:
            return -self.radius[at] * lengths(slopes, self.norm)
        image, counts = at.unique_consecutive(return_counts=True)
        if columns is not None or len(image) * FEW > len(at):
            return self._least(slopes, at, columns)
        parts = zip(slopes.split(counts.tolist()), image.split(1), strict=True)
        return torch.cat([self._least(few, of, None) for part, of in parts for few in part.split(4 * FEW)])

    def _least(self, slopes: Tensor, at: Tensor, columns: Tensor | None) -> Tensor:
        """The same; `at` may be of one image for all slopes."""
        parts = (self.below, self.above, self.normal)
        if columns is None:
            below, above, normal = (None if part is None else part[at] for part in parts)
        else:
            below, above, normal = (None if part is None else part[at[:, None], columns] for part in parts)
        radius, offset = self.radius[at], None if self.offset is None else self.offset[at]
        if self.norm == 2:
            free = (
                None if below is None or above is None else ((below < 0).to(slopes), (above > 0).to(slopes))
            )
            return _least_in_cone(slopes, radius, free, normal, offset)
        if not math.isinf(self.norm):
            return _least_without_cap(slopes, radius, self.norm, below, above)
        if below is None or above is None:
            infinity = torch.full_like(slopes[:1], math.inf)
            below, above = -infinity, infinity
        radius = radius.expand(len(slopes))
        if normal is not None and offset is not None:
            normal, offset = normal.expand_as(slopes), offset.expand(len(slopes))
        return least(slopes, radius, below, above, normal, offset, self.norm)

    def nearest(self, slopes: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """How near {slopes · δ + offsets ≤ 0} comes at least, (N,), and where, (N, n), at any radius.

        Args:
            slopes: (N, n).
            offsets: (N,).

        >>> ball = Ball(torch.tensor([5.0]).double(), 2.0)
        >>> ball.nearest(torch.tensor([[3.0, 4.0]]).double(), torch.tensor([10.0]).double())[0]
        tensor([2.0000], dtype=torch.float64)
        """
        if self.norm in (2.0, math.inf) and self.below is not None and self.above is not None:
            closest = nearest(slopes, offsets, self.below, self.above, self.norm)
            return closest.distance, closest.step
        size = lengths(slopes, self.norm)
        distance = torch.where(offsets > 0, offsets / size * (1 - 8 * UNIT), 0.0).nan_to_num(0.0, math.inf)
        q = dual(self.norm)
        steep = slopes.sign() * slopes.abs() ** (q - 1) if q < math.inf else _sharpest(slopes)
        scale = torch.linalg.vector_norm(steep, ord=self.norm, dim=1, keepdim=True)
        return distance, (-distance[:, None] * steep / scale).nan_to_num(0.0, 0.0, 0.0)


def lengths(slopes: Tensor, norm: float) -> Tensor:
    """The dual norm of each row, rounded up: (P,).

    >>> lengths(torch.tensor([[3.0, 4.0]]).double(), 2.0) >= 5.0
    tensor([True])
    """
    size: Tensor = torch.linalg.vector_norm(slopes, ord=dual(norm), dim=1)
    return size * (1 + rounding(slopes.shape[1] + 24))


def ball_around(
    images: Images, radius: float | Tensor, *, norm: float = 2.0, box: tuple[float, float] | None = (0.0, 1.0)
) -> Ball:
    """The ball of a radius (N,), or of one for all, around each image, in float64.

    Raises:
        InputError: a radius below zero or not finite; a norm below one; an image outside the box.

    >>> ball_around(torch.tensor([[0.25, 1.0]]), 0.5).reach()[1]
    tensor([[0.5000, 0.0000]], dtype=torch.float64)
    """
    check_norm(norm)
    x = images.detach().double().flatten(1)
    r = torch.as_tensor(radius, dtype=torch.float64, device=x.device).expand(len(x))
    if not bool(((r >= 0) & (r < math.inf)).all()):
        raise InputError(f"radius must be finite and at least 0, got {radius}")
    check_box(box, x)
    return Ball(r, norm) if box is None else Ball(r, norm, *room(x, box))


def room(x: Tensor, box: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """By how much each pixel may fall and rise: at most and at least zero; without bounds if there is no box.

    >>> down, up = room(torch.tensor([0.0, 0.25]).double(), (0.0, 1.0))
    >>> bool((down == torch.tensor([0.0, -0.25]).double() * (1 + 4 * UNIT)).all())
    True
    """
    low, high = (-math.inf, math.inf) if box is None else box
    # A difference is rounded by half a unit at most: the box is made no smaller than it is.
    return (low - x) * (1 + 4 * UNIT), (high - x) * (1 + 4 * UNIT)


def dual(norm: float) -> float:
    """q with 1/p + 1/q = 1.

    >>> dual(2.0), dual(1.0), dual(math.inf)
    (2.0, inf, 1.0)
    """
    if norm == 1:
        return math.inf
    return 1.0 if math.isinf(norm) else norm / (norm - 1)


def _least_in_cone(
    slopes: Tensor,
    radius: Tensor,
    free: tuple[Tensor, Tensor] | None,
    normal: Tensor | None,
    offset: Tensor | None,
) -> Tensor:
    """On the Euclidean ball, of which some pixels may not go down, or not up, and on a half-space.

    At the best multiplier the cosine between a + μ c, as far as it counts, and c is e/(r ‖c‖).
    """

    def counting(b: Tensor) -> Tensor:
        return b if free is None else b * torch.where(b < 0, free[1], free[0])

    inner = counting(slopes)
    bound = -radius * lengths(inner, 2.0)
    if normal is None or offset is None:
        return bound
    size, normal_size = (torch.linalg.vector_norm(t, dim=1) for t in (slopes, normal))
    for _ in range(2):
        side = normal if free is None else normal * torch.where(inner == 0, 0.0, 1.0)
        length = torch.linalg.vector_norm(side, dim=1)
        cosine = (offset / (radius * length)).clamp(-1.0, 1 - 1e-9)
        along = torch.linalg.vecdot(slopes, side) / length
        across = torch.linalg.vecdot(inner, slopes) - along.square()
        best = (cosine * across.clamp_min(0.0).sqrt() / (1 - cosine.square()).sqrt() - along) / length
        mu = best.nan_to_num(0.0, 0.0, 0.0).clamp_min(0.0)
        inner = counting(slopes + mu[:, None] * normal)
        rounding = math.sqrt(slopes.shape[1]) * radius * (size + mu * normal_size) + mu * offset.abs()
        cut = mu * offset - radius * lengths(inner, 2.0) - 8 * UNIT * rounding
        bound = torch.fmax(bound, cut)
    return bound


def _sharpest(slopes: Tensor) -> Tensor:
    """The largest entry of each row alone."""
    size = slopes.abs()
    return slopes * (size >= size.amax(dim=1, keepdim=True))


def _least_without_cap(
    slopes: Tensor, radius: Tensor, norm: float, below: Tensor | None, above: Tensor | None
) -> Tensor:
    """For any p, without a half-space: minus a sum of terms of one sign, so that its error is relative."""
    free = radius * lengths(slopes, norm)
    if below is None or above is None:
        return -free
    size = slopes.abs()
    reach = torch.where(slopes < 0, above, -below)
    inside = torch.minimum(size, _box_share(size, reach, radius, norm))
    split = radius * lengths(inside, norm) + ((size - inside) * reach).sum(dim=1)
    return -torch.fmin(free, split * (1 + rounding(slopes.shape[1] + 24)))


def _box_share(size: Tensor, reach: Tensor, radius: Tensor, norm: float) -> Tensor:
    """λ reach^{p−1} for the λ at which min(|a|/λ, reach^{p−1})^{1/(p−1)} has norm r, or nearly."""
    if norm == 1:  # the pixels with the largest |a| go as far as they can, until r is used up
        order = size.argsort(dim=1, descending=True)
        used = reach.gather(1, order).cumsum(dim=1) >= radius[:, None]
        first = torch.where(used.any(dim=1), used.int().argmax(dim=1), 0)
        level = size.gather(1, order).gather(1, first[:, None])
        return torch.where(used.any(dim=1, keepdim=True), level, 0.0).expand_as(size)
    power = 1 / (norm - 1)
    wish, limit = size**power, reach**norm  # δ is min(wish/s, reach)
    budget = radius**norm
    scale = (wish**norm).sum(dim=1).div(budget).pow(1 / norm)
    for _ in range(ROUNDS):
        full = wish >= reach * scale[:, None]
        free = torch.where(full, 0.0, wish).pow(norm).sum(dim=1)
        rest = (budget - torch.where(full, limit, 0.0).sum(dim=1)).clamp_min(0.0)
        scale = torch.minimum(scale, (free / rest).pow(1 / norm).nan_to_num(0.0, posinf=math.inf))
    return (scale[:, None] * reach) ** (norm - 1)


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
    method = _least_by_newton if norm == 2.0 else _least_in_cube
    bound = method(a, radius, low, high, g, h)
    return bound.nan_to_num(-math.inf, math.inf, -math.inf)


def _least_by_newton(
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


def _least_in_cube(
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
    closest = _nearest_l2(a, c, low, high) if norm == 2.0 else _nearest_linf(a, c, low, high)
    return closest._replace(distance=torch.where(c > 0, closest.distance, 0.0).nan_to_num(0.0, math.inf, 0.0))


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
