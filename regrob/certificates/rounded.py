"""Certified distances in the images' precision."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded_down(distance: Tensor, dtype: torch.dtype) -> Tensor:
    """Distances in float64, in another precision and never above.

    >>> third = torch.tensor(1 / 3, dtype=torch.float64)
    >>> bool(rounded_down(third, torch.float32).double() <= third)
    True
    """
    rounded = distance.to(dtype)
    below = torch.nextafter(rounded, torch.zeros_like(rounded))
    return torch.where(rounded.double() > distance, below, rounded)
