"""What a linear function is at least on a ball of perturbations, cut by a box and by a half-space.

The ball is {δ : ‖δ‖_p ≤ r}, the box asks low ≤ x + δ ≤ high, and the half-space, of which a mistake is known
to lie inside, is {δ : c · δ + e ≤ 0}. All bounds are dual ones, so that any multiplier is sound and only the
best is tight:

    a · δ  =  b · δ + (a − b) · δ  ≥  −r ‖b‖_q + Σ min over the box of (a − b)_i δ_i    for every b,
    a · δ  ≥  (a + μ c) · δ + μ e                                                        for every μ ≥ 0.

The box's best b is |b_i| = min(|a_i|, λ reach_i^{p−1}); reach_i is how far pixel i can move against a_i.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from regrob.checks import Images, check_norm
from regrob.errors import InputError

UNIT = 2.0**-53
"""The unit roundoff of float64: the relative error of one operation."""

ROUNDS = 4
"""Of the search for λ, each of which only comes nearer."""


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

    def least(self, slopes: Tensor, at: Tensor, columns: Tensor | None = None) -> Tensor:
        """A lower bound of slopes · δ on the ball of each slope's image, also of the exact product: (P,).

        Args:
            slopes: (P, s), what is not listed being zero.
            at: (P,), the images.
            columns: (P, s), which pixels the slopes are of; None if of all in their order.

        >>> ball = Ball(torch.tensor([5.0]).double(), 2.0)
        >>> ball.least(torch.tensor([[3.0, 4.0]]).double(), torch.tensor([0]))
        tensor([-25.0000], dtype=torch.float64)
        """
        if bool((at == at[:1]).all()):
            at = at[:1]
        radius = self.radius[at]

        def taken(values: Tensor) -> Tensor:
            return values[at] if columns is None else values[at[:, None], columns]

        box = None
        if self.below is not None and self.above is not None:
            box = taken(self.below), taken(self.above)
        alone = _least(slopes, radius, self.norm, box)
        if self.normal is None or self.offset is None:
            return alone
        normal = taken(self.normal)
        mu = _multiplier(slopes, normal, self.offset[at], radius)
        cut = _least(slopes + mu[:, None] * normal, radius, self.norm, box) + mu * self.offset[at]
        sizes = torch.linalg.vector_norm(slopes, dim=1) + mu * torch.linalg.vector_norm(normal, dim=1)
        rounding = 8 * UNIT * (radius * sizes * math.sqrt(slopes.shape[1]) + mu * self.offset[at].abs())
        return torch.fmax(alone, cut - rounding)


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


def _least(slopes: Tensor, radius: Tensor, norm: float, box: tuple[Tensor, Tensor] | None) -> Tensor:
    """Without a half-space: minus a sum of terms of one sign, so that its error is relative."""
    slack = 1 + 4 * (slopes.shape[1] + 32) * UNIT
    q = dual(norm)
    free = radius * torch.linalg.vector_norm(slopes, ord=q, dim=1)
    if box is None:
        return torch.mul(free, -slack)
    size = slopes.abs()
    reach = torch.where(slopes < 0, box[1], -box[0])
    if math.isinf(norm):
        return -slack * (size * torch.minimum(reach, radius[:, None])).sum(dim=1)
    most = _box_share(size, reach, radius, norm)
    inside = torch.minimum(size, most)
    split = radius * torch.linalg.vector_norm(inside, ord=q, dim=1) + ((size - inside) * reach).sum(dim=1)
    return -slack * torch.fmin(free, split)


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
    for _ in range(ROUNDS if norm == 2 else 4 * ROUNDS):
        full = wish >= reach * scale[:, None]
        free = torch.where(full, 0.0, wish).pow(norm).sum(dim=1)
        rest = (budget - torch.where(full, limit, 0.0).sum(dim=1)).clamp_min(0.0)
        scale = torch.minimum(scale, (free / rest).pow(1 / norm).nan_to_num(0.0, posinf=math.inf))
    return (scale[:, None] * reach) ** (norm - 1)


def _multiplier(slopes: Tensor, normal: Tensor, offset: Tensor, radius: Tensor) -> Tensor:
    """The best μ for the Euclidean ball without a box, a good one otherwise: (P,).

    At the best one the cosine between a + μ c and c is e/(r ‖c‖), how far the half-space is in radii.
    """
    length = torch.linalg.vector_norm(normal, dim=1)
    cosine = (offset / (radius * length)).clamp(-1.0, 1 - 1e-9)
    along = (slopes * normal).sum(dim=1) / length
    across = (slopes.square().sum(dim=1) - along.square()).clamp_min(0.0).sqrt()
    best = (cosine * across / (1 - cosine.square()).sqrt() - along) / length
    return torch.clamp_min(best.nan_to_num(0.0, 0.0, 0.0), 0.0)
