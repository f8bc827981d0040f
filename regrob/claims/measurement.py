"""What the instances of a check say, and what several checks say together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Measurement(NamedTuple):
    """What a check's instances say.

    Attributes:
        trials: how many numbers were compared.
        worst: the largest excess, NaN if there is none or it is one.
        caught: the tooth's, likewise, for each group of its instances.
        blunt: as in `check.Check`.
    """

    trials: int
    worst: float
    caught: Mapping[str, float]
    blunt: Mapping[str, str] = {}

    def faults_of_the_tooth(self, tolerance: float) -> Iterator[str]:
        """What is wrong with the tooth: it does not bite in a group, or bites where it is said that it cannot."""
        spared = {group: [name for name in self.blunt if _covers(name, group)] for group in self.caught}
        silent = [group for group, caught in self.caught.items() if not caught > tolerance]  # or NaN
        unspared = [group for group in silent if not spared[group]]
        if len(silent) == len(self.caught):
            yield "the tooth does not bite"
        elif unspared:
            yield f"the tooth does not bite for {'; '.join(unspared)}"
        for group in self.caught:
            if spared[group] and group not in silent:
                yield f"the tooth bites for {group}, where it was said that it cannot"
        excused = {name for names in spared.values() for name in names}
        for name in self.blunt:
            if name not in excused:
                yield f"there is no group {name} that the tooth would have to spare"


def _covers(name: str, group: str) -> bool:
    """Whether a name, of a group or of what its name begins or ends with, stands for a group."""
    return name == group or name in group.split(", ")


@dataclass
class Tally:
    """What checks of one kind say together.

    Attributes:
        trials: numbers compared, over all of them.
        worst: the largest excess of the check that comes closest to its tolerance; NaN
            without checks, infinite where a check could not be evaluated.
        tolerance: that check's tolerance.
    """

    trials: int = 0
    worst: float = math.nan
    tolerance: float = math.nan

    def add(self, measured: Measurement, tolerance: float) -> None:
        """Count one more check, of this tolerance."""
        self.trials += measured.trials
        worst = math.inf if math.isnan(measured.worst) else measured.worst
        if not self.worst / self.tolerance > worst / tolerance:  # NaN on the first check
            self.worst, self.tolerance = worst, tolerance
