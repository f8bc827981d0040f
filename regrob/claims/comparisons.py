"""How far two sides of a statement are apart, or a chain of inequalities from holding."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor


def relative(difference: Tensor, reference: Tensor, axes: int) -> Tensor:
    """‖difference‖ / ‖reference‖ over the last axes, one number an instance."""
    last = tuple(range(-axes, 0))
    size = reference.square().sum(dim=last).sqrt()
    return difference.square().sum(dim=last).sqrt() / size.clamp_min(torch.finfo(size.dtype).tiny)


def worst(*excesses: Tensor) -> Tensor:
    """The largest of several excesses, instance by instance."""
    return torch.stack(excesses).amax(dim=0)


def violation(*ascending: Tensor) -> Tensor:
    """By how much a ≤ b ≤ … fails at its worst link, relative to the link's size; negative with slack."""
    tiny = torch.finfo(ascending[0].dtype).tiny
    return worst(*((a - b) / (a.abs() + b.abs()).clamp_min(tiny) for a, b in pairwise(ascending)))


def ratio_error(value: Tensor, reference: Tensor) -> Tensor:
    """|value / reference − 1|."""
    return (value / reference - 1).abs()
