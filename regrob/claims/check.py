"""What a check in float64 is: by how much a statement is violated, and the same of a wrong one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from regrob.claims.instances import Draw
from regrob.claims.measurement import Measurement
from regrob.errors import InputError


@dataclass(frozen=True)
class Check:
    """A test in float64 with its tooth.

    Attributes:
        name: what is compared with what.
        excess: draws instances and returns, per instance, by how much the statement is
            violated, scaled so that rounding stays below `tolerance`. An identity returns a
            relative residual, an inequality its relative violation (negative when slack).
        tooth: the same for a deliberately wrong variant, which must exceed the tolerance.
        wrong: what the wrong variant gets wrong, in words.
        tolerance: largest excess that passes, above zero.
    """

    name: str
    excess: Callable[[Draw], Tensor]
    tooth: Callable[[Draw], Tensor]
    wrong: str
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < math.inf:
            raise InputError(f"{self.name}: the tolerance must be positive, got {self.tolerance}")

    def measure(self, *, trials: int, seed: int, device: str) -> Measurement:
        """The excess and the tooth on instances that the seed determines."""
        draw = Draw(trials, seed, device)
        excess, tooth = self.excess(draw), self.tooth(draw)
        return Measurement(excess.numel(), _largest(excess), _largest(tooth))


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else math.nan
