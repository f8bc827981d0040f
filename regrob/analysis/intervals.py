"""Means over seeds, with Student's interval for each; no interval for a single run.

A setting is run with several seeds. Seed s fixes the initial weights and the order of the
data, so that two penalties with the same seed start from one network: their difference is
taken seed by seed, which removes what the seed alone decides. A diverged run is NaN; it is
left out, with its partner, and counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regrob.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and Student's interval for it.

    Attributes:
        mean: NaN if no value is finite.
        low, high: the interval's ends; NaN for fewer than two values, because one run says
            nothing of how runs differ. Every comparison with NaN is false, so an interval
            without ends supports no claim.
        count: the values, or pairs, that were used.
        dropped: those left out because they are NaN.
    """

    mean: float
    low: float
    high: float
    count: int
    dropped: int = 0

    @property
    def reach(self) -> float:
        """The smallest margin m for which the interval shows |mean| ≤ m: max(|low|, |high|)."""
        return max(abs(self.low), abs(self.high)) if self.low <= self.high else math.nan

    def above(self, value: float = 0.0) -> bool:
        """Whether all of the interval lies above the value."""
        return self.low > value

    def below(self, value: float = 0.0) -> bool:
        """Whether all of the interval lies below the value."""
        return self.high < value

    @property
    def verdict(self) -> str:
        """ "higher" or "lower" if all of the interval lies on that side of zero, else "undecided"."""
        return "higher" if self.above() else "lower" if self.below() else "undecided"

    def side(self, value: float) -> str:
        """ "above" or "below" if all of the interval lies on that side of the value, else "at"."""
        return "above" if self.above(value) else "below" if self.below(value) else "at"

    def within(self, margin: float) -> bool:
        """Whether all of the interval lies strictly between −margin and margin: equivalence.

        With a 95 % interval this is two one-sided tests at 2.5 % each.
        """
        return -margin < self.low and self.high < margin

    def __format__(self, spec: str) -> str:
        """`f"{interval:.2f}"` reads "0.53 [0.51, 0.55]"; of one value "0.53 (one seed)"."""
        if self.count == 1:
            return f"{self.mean:{spec}} (one seed)"
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def times(self, factor: float) -> Interval:
        """The same interval in another unit, factor > 0: 100 for per cent."""
        return Interval(self.mean * factor, self.low * factor, self.high * factor, self.count, self.dropped)


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The mean over seeds, with Student's t interval.

    Args:
        values: one number a seed; NaN for a run that diverged.
        level: of confidence, between 0 and 1.

    Raises:
        InputError: no values at all, infinite ones, more than one axis, or a level outside (0, 1).

    >>> f"{mean_interval([1.0, 2.0, 3.0, float('nan')]):.3f}"
    '2.000 [-0.484, 4.484]'
    """
    every = _as_row(values)
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level}")
    kept = every[~np.isnan(every)]
    dropped = len(every) - len(kept)
    if len(kept) < 2:
        return Interval(float(kept[0]) if len(kept) else math.nan, math.nan, math.nan, len(kept), dropped)
    from scipy.stats import t

    mean = float(kept.mean())
    error = float(kept.std(ddof=1)) / math.sqrt(len(kept))
    half = float(t.ppf((1 + level) / 2, len(kept) - 1)) * error
    return Interval(mean, mean - half, mean + half, len(kept), dropped)


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Interval:
    """The mean of first − second, seed by seed, with Student's t interval.

    Args:
        first, second: one number a seed, in the same order of seeds.
        level: of confidence. For a statement about m pairs at once take 1 − 0.05/m.

    Raises:
        InputError: as `mean_interval`; or the two differ in length.
    """
    a, b = _as_row(first), _as_row(second)
    if len(a) != len(b):
        raise InputError(f"pairs need equally many values, got {len(a)} and {len(b)}")
    return mean_interval(a - b, level)


def _as_row(values: ArrayLike) -> NDArray[np.float64]:
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1 or len(row) == 0:
        raise InputError(f"values must be a row with at least one number, got shape {row.shape}")
    if np.isinf(row).any():
        raise InputError("values must be finite, or NaN for a run that diverged; got an infinite one")
    return row


def share_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share of `count` independent images, 0 ≤ share ≤ 1.

    Raises:
        InputError: no images, or a share outside [0, 1].
    """
    if count < 1 or not 0 <= share <= 1:
        raise InputError(f"need a share between 0 and 1 of at least one image, got {share} of {count}")
    z2 = 1.96**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return middle - half, middle + half
