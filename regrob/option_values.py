"""What the options of the command line accept, checked before any work."""

from __future__ import annotations

import argparse
import math

from regrob.errors import InputError


def positive(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: it is smaller.
        ValueError: it is no whole number.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def size(text: str) -> float:
    """A finite number of at least 0.

    Raises:
        ArgumentTypeError: it is negative, infinite or NaN.
        ValueError: it is no number.
    """
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be finite and at least 0, got {text}")
    return value


def shape(text: str) -> tuple[int, ...]:
    """Positive sizes with commas between them.

    Raises:
        ArgumentTypeError: it is anything else.
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be positive sizes, as in 1,28,28, got {text!r}")
    return sizes


def check_device(name: str) -> None:
    """Make sure that torch can use a device in float64.

    Raises:
        InputError: it cannot.
    """
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=name)
    except (RuntimeError, AssertionError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used in float64 here: {first}") from error
