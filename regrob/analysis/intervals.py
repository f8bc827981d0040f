"""Means over seeds, with an interval for each that can be true; no interval for a single run.

A setting is run with several seeds. Seed s fixes the initial weights and the order of the
data, so that two penalties with the same seed start from one network: their difference is
taken seed by seed, which removes what the seed alone decides. A diverged run is NaN; it is
left out, with its partner, and counted.

An accuracy lies between 0 and 100 %, a distance above 0. Student's interval knows nothing of
that: of few seeds near the end of the scale it reaches beyond, "97.9 [93.2, 102.6]", and holds
the true mean too rarely. So it is taken on a scale without ends, the logit of a share or the
logarithm of a distance, and carried back. Of two seeds any interval is nearly as long as the
scale; what is shown of them are the two values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regrob.errors import InputError

Span = tuple[float, float]
"""The least and the largest value that a quantity can have."""

SIGNED: Span = (-math.inf, math.inf)
POSITIVE: Span = (0.0, math.inf)


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and the interval for it.

    Attributes:
        mean: NaN if no value is finite.
        low, high: the interval's ends; NaN for fewer than two values, because one run says
            nothing of how runs differ. Every comparison with NaN is false, so an interval
            without ends supports no claim.
        count: the values, or pairs, that were used.
        dropped: those left out because they are NaN.
        values: the values that were used, where they are known.
    """

    mean: float
    low: float
    high: float
    count: int
    dropped: int = 0
    values: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def ends(self) -> tuple[float, float]:
        """What is drawn around the mean: the interval, or of two seeds their values; NaN of one."""
        return (min(self.values), max(self.values)) if len(self.values) == 2 else (self.low, self.high)

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
        """`f"{interval:.2f}"` reads "0.53 [0.51, 0.55]"; of two seeds "0.53 (0.52 and 0.54)".

        Of one seed it reads "0.53 (one seed)". No number reads "−0.00".
        """
        if self.count == 1:
            return f"{written(self.mean, spec)} (one seed)"
        low, high = (written(end, spec) for end in self.ends)
        around = f"({low} and {high})" if len(self.values) == 2 else f"[{low}, {high}]"
        return f"{written(self.mean, spec)} {around}"

    def times(self, factor: float) -> Interval:
        """The same interval in another unit, factor > 0: 100 for per cent."""
        mean, low, high, *values = (x * factor for x in (self.mean, self.low, self.high, *self.values))
        return Interval(mean, low, high, self.count, self.dropped, tuple(values))

    def cut(self, span: Span) -> Interval:
        """The part of the interval that lies in the span; it covers the mean as often as the whole."""
        least, largest = span
        low, high = max(self.low, least), min(self.high, largest)  # in this order NaN stays NaN
        return replace(self, low=low, high=high)


def written(number: float, spec: str) -> str:
    """A number in a format, with a true minus sign, and without a sign where it rounds to zero."""
    text = f"{number:{spec}}"
    if not text.startswith("-"):
        return text
    return f"−{text[1:]}" if any(digit in text for digit in "123456789") else text[1:]


def mean_interval(values: ArrayLike, level: float = 0.95, span: Span = SIGNED) -> Interval:
    """The mean over seeds, with Student's t interval on a scale where the span has no ends.

    With the mean m, its standard error s and g the logarithm of (m − least)/(largest − m), or of
    m − least where nothing bounds m from above, the ends are g⁻¹(g(m) ± t·g′(m)·s). Without a
    span g is the identity.

    Args:
        values: one number a seed; NaN for a run that diverged.
        level: of confidence, between 0 and 1.
        span: the least and the largest value that the quantity can have; a finite least one at least,
            or none at all.

    Raises:
        InputError: no values at all, infinite ones, some outside the span, more than one axis, or a level
            outside (0, 1).

    >>> f"{mean_interval([1.0, 2.0, 3.0, float('nan')]):.3f}"
    '2.000 [−0.484, 4.484]'
    >>> f"{mean_interval([96.0, 98.0, 99.7], span=(0.0, 100.0)):.1f}"  # not to 102.5
    '97.9 [83.3, 99.8]'
    """
    every = _as_row(values)
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level}")
    kept = every[~np.isnan(every)]
    dropped = len(every) - len(kept)
    if len(kept) and not span[0] <= kept.min() <= kept.max() <= span[1]:
        raise InputError(f"values must lie in {span}, got {kept.min():g} to {kept.max():g}")
    shown = tuple(kept.tolist())
    if len(kept) < 2:
        mean = float(kept[0]) if len(kept) else math.nan
        return Interval(mean, math.nan, math.nan, len(kept), dropped, shown)
    from scipy.stats import t

    mean = float(kept.mean())
    error = float(kept.std(ddof=1)) / math.sqrt(len(kept))
    half = float(t.ppf((1 + level) / 2, len(kept) - 1)) * error
    return Interval(mean, *_ends(mean, half, span), len(kept), dropped, shown)


def _ends(mean: float, half: float, span: Span) -> Span:
    """Mean ± half, carried through the scale that `mean_interval` describes."""
    least, largest = span
    if math.isinf(least):
        return mean - half, mean + half
    if half == 0 or mean in span:  # all seeds are equal
        return mean, mean
    below, above = mean - least, largest - mean
    stretch = math.exp(min(half * (1 / below + 1 / above), 600.0))  # 1/∞ is 0: then a logarithm's
    if math.isinf(largest):
        return least + below / stretch, least + below * stretch
    low, high = below / above / stretch, below / above * stretch
    width = largest - least
    return least + width * low / (1 + low), largest - width / (1 + high)


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
