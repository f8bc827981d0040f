"""Balls of perturbations around many images, cut by the box of pixels and by a half-space.

The ball is {δ : ‖δ‖_p ≤ r}, the box asks low ≤ x + δ ≤ high, and the half-space, in which all mistakes are
known to lie, is {δ : c · δ + e ≤ 0}. For p = ∞ `caps` bounds a linear function on it; for p = 2 a closed form
does, which knows of the box what pixels are at its edge. For another p it is a dual bound, in which any b is
sound and only the best is tight:

    a · δ  =  b · δ + (a − b) · δ  ≥  −r ‖b‖_q + Σ min over the box of (a − b)_i δ_i.

The best is |b_i| = min(|a_i|, λ reach_i^{p−1}); reach_i is how far pixel i can move against a_i.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.certificates import caps
from regrob.certificates.caps import UNIT
from regrob.checks import Images, check_norm
from regrob.errors import InputError

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
            return _least(slopes, radius, self.norm, below, above)
        if below is None or above is None:
            infinity = torch.full_like(slopes[:1], math.inf)
            below, above = -infinity, infinity
        radius = radius.expand(len(slopes))
        if normal is not None and offset is not None:
            normal, offset = normal.expand_as(slopes), offset.expand(len(slopes))
        return caps.least(slopes, radius, below, above, normal, offset, self.norm)

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
            found = caps.nearest(slopes, offsets, self.below, self.above, self.norm)
            return found.distance, found.step
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
    slack = 1 + 4 * (slopes.shape[1] + 32) * UNIT
    size: Tensor = torch.linalg.vector_norm(slopes, ord=dual(norm), dim=1)
    return size * slack


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
    if box is None:
        return Ball(r, norm)
    low, high = box
    if not low < high:
        raise InputError(f"box must be (low, high) with low < high, got {box}")
    if not bool(((x >= low) & (x <= high)).all()):
        worst = float(x.min()) if float(x.min()) < low else float(x.max())
        raise InputError(
            f"a pixel of {worst:.4g} is outside the box {box}; give box=None, or the pixels' range"
        )
    # A difference is rounded by half a unit at most: the box is made no smaller than it is.
    return Ball(r, norm, (low - x) * (1 + 4 * UNIT), (high - x) * (1 + 4 * UNIT))


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


def _least(slopes: Tensor, radius: Tensor, norm: float, below: Tensor | None, above: Tensor | None) -> Tensor:
    """Without a half-space: minus a sum of terms of one sign, so that its error is relative."""
    free = radius * lengths(slopes, norm)
    if below is None or above is None:
        return -free
    size = slopes.abs()
    reach = torch.where(slopes < 0, above, -below)
    inside = torch.minimum(size, _box_share(size, reach, radius, norm))
    split = radius * lengths(inside, norm) + ((size - inside) * reach).sum(dim=1)
    return -torch.fmin(free, split * (1 + 4 * (slopes.shape[1] + 32) * UNIT))


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
