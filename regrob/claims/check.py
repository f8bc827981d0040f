"""What a check in float64 is: by how much a statement is violated, and the same of a wrong one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from regrob.claims.groups import Values, flat, grouped
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
        tooth: the same for a deliberately wrong variant, which must exceed the tolerance in every group. Of
            other instances altogether, as where a hypothesis is dropped, it has groups of its own.
        wrong: what the wrong variant gets wrong, in words.
        tolerance: largest excess that passes, above zero.
        blunt: names of groups in which the wrong variant is right, and why; a K, or a kind, stands for all of its groups.
    """

    name: str
    excess: Callable[[Draw], Values]
    tooth: Callable[[Draw], Values]
    wrong: str
    tolerance: float = 1e-10
    blunt: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < math.inf:
            raise InputError(f"{self.name}: the tolerance must be positive, got {self.tolerance}")

    def measure(self, *, trials: int, seed: int, device: str) -> Measurement:
        """The excess and the tooth on instances that the seed determines."""
        draw = Draw(trials, seed, device)
        excess, tooth = grouped(self.excess(draw)), grouped(self.tooth(draw))
        caught = {group: _largest(values) for group, values in tooth.items()}
        if set(excess) & set(tooth):
            caught = dict.fromkeys(excess, math.nan) | caught
        numbers = flat(excess)
        return Measurement(numbers.numel(), _largest(numbers), caught, self.blunt)


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else math.nan
