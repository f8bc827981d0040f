"""What rounding to float64 may change, and certified distances in the images' precision."""

from __future__ import annotations

import torch
from torch import Tensor

UNIT = torch.finfo(torch.float64).eps / 2
"""u, by which one operation errs at most, relatively."""


def accumulated(operations: int) -> float:
    """γ_n = n u/(1 − n u): what n roundings change at most, relatively (Higham 2002, Lemma 3.1).

    >>> accumulated(2) > 2 * UNIT
    True
    """
    return operations * UNIT / (1.0 - operations * UNIT)


def rounding(terms: int) -> float:
    """γ of a sum of so many terms, with room for a few operations on each, and a few in the end.

    >>> 0 < rounding(100) < 1e-13
    True
    """
    return accumulated(4 * (terms + 8))


def rounded_down(distance: Tensor, dtype: torch.dtype) -> Tensor:
    """Distances in float64, in another precision and never above.

    >>> third = torch.tensor(1 / 3, dtype=torch.float64)
    >>> bool(rounded_down(third, torch.float32).double() <= third)
    True
    """
    rounded = distance.to(dtype)
    below = torch.nextafter(rounded, torch.zeros_like(rounded))
    return torch.where(rounded.double() > distance, below, rounded)
