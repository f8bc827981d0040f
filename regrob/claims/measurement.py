"""What the instances of a check say, and what several checks say together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Measurement(NamedTuple):
    """What a check's instances say.

    Attributes:
        trials: how many numbers were compared.
        worst: the largest excess, NaN if there is none or it is one.
        caught: the tooth's, likewise.
    """

    trials: int
    worst: float
    caught: float


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
