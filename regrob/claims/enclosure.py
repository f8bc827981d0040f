"""What an enclosed check is: two sides of a statement, each known to lie in an interval, are compared.

The intervals are mpmath's, with 80 digits, and every operation rounds outwards. So a check that passes has proved
the statement at its instances, and a tooth that bites has refuted the wrong variant at one of them. Floats have
no place here: numbers are integers, fractions, or intervals made of them by `interval`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from mpmath import MPIntervalContext

from regrob.claims.measurement import Measurement
from regrob.errors import InputError, ProofError

Enclosure: TypeAlias = Any
"""An interval of mpmath's, which has no types."""

Sides = tuple[Enclosure, Enclosure]
"""The left and the right side of a statement; exact fractions will do."""

InstanceComparison = Callable[..., Iterable[Sides]]
"""What is compared at one instance: a function of the instance and of a choice, right by default."""

_CONTEXT = MPIntervalContext()
_CONTEXT.dps = 80

_SLACK = 1 + _CONTEXT.mpf([-1, 1]) / 2**240
"""mpmath rounds exp and log from a longer approximation; that it falls on the right side is not proved."""


def interval(number: int | Fraction | Enclosure, end: int | Fraction | None = None) -> Enclosure:
    """An interval that holds an exact number, or all numbers from it to `end`.

    Raises:
        InputError: a float, which is not the number that was meant; or `end` is the smaller one.
    """
    for given in (number, end):
        if isinstance(given, float):
            raise InputError(f"an enclosure starts from integers and fractions, got the float {given!r}")
    if end is not None:
        if end < number:
            raise InputError(f"an interval ends where it begins or later, got {number} and {end}")
        return _CONTEXT.mpf([interval(number).a, interval(end).b])
    if isinstance(number, Fraction):
        return _CONTEXT.mpf(number.numerator) / number.denominator
    return _CONTEXT.mpf(number)


def exp(x: Enclosure) -> Enclosure:
    """Encloses eˣ."""
    return _CONTEXT.exp(interval(x)) * _SLACK


def log(x: Enclosure) -> Enclosure:
    """Encloses log x for x > 0.

    Raises:
        ProofError: the interval reaches 0.
    """
    x = interval(x)
    if not x > 0:  # None where the sign is not decided
        raise ProofError(f"no logarithm is known of what lies in {in_words(x)}")
    return _CONTEXT.log(x) * _SLACK


def sqrt(x: Enclosure) -> Enclosure:
    """Encloses √x for x ≥ 0.

    Raises:
        ProofError: the interval reaches below 0.
    """
    x = interval(x)
    if not x >= 0:
        raise ProofError(f"no square root is known of what lies in {in_words(x)}")
    return _CONTEXT.sqrt(x)


def power(x: Enclosure, exponent: Fraction) -> Enclosure:
    """Encloses x to a fraction, for x > 0."""
    return exp(interval(exponent) * log(x))


def total(numbers: Iterable[Enclosure]) -> Enclosure:
    """The sum, of fractions or of intervals."""
    return sum(numbers, 0)


def dot(a: Iterable[Enclosure], b: Iterable[Enclosure]) -> Enclosure:
    """aᵀb."""
    return total(x * y for x, y in zip(a, b, strict=True))


def norm(vector: Iterable[Enclosure]) -> Enclosure:
    """‖vector‖₂."""
    return sqrt(total(abs(interval(x)) ** 2 for x in vector))


def lower(x: Enclosure) -> float:
    """A float at or just below the lower end."""
    end = float(x.a)
    return end if x.a == end else math.nextafter(end, -math.inf)


def upper(x: Enclosure) -> float:
    """A float at or just above the upper end."""
    end = float(x.b)
    return end if x.b == end else math.nextafter(end, math.inf)


def in_words(x: Enclosure) -> str:
    """ "[-1.0e-80, 2.0e-80]"."""
    return f"[{lower(x):.1e}, {upper(x):.1e}]"


@dataclass(frozen=True)
class EnclosedCheck:
    """A comparison in interval arithmetic with its tooth.

    Attributes:
        name: what is compared with what.
        relation: "=" or "<=", between left and right.
        sides: yields left and right, instance after instance.
        tooth: the same for a deliberately wrong variant, to be refuted at one instance.
        wrong: what the wrong variant gets wrong, in words.
        tolerance: largest |left − right| / (|left| + |right|) that passes for "=", above zero. "<=" is
            proved without any.
    """

    name: str
    relation: str
    sides: Callable[[], Iterable[Sides]]
    tooth: Callable[[], Iterable[Sides]]
    wrong: str
    tolerance: float = 1e-30

    def __post_init__(self) -> None:
        if self.relation not in ("=", "<="):
            raise InputError(f"{self.name}: the relation must be '=' or '<=', got {self.relation!r}")
        if not 0 < self.tolerance < math.inf:
            raise InputError(f"{self.name}: the tolerance must be positive, got {self.tolerance}")

    def measure(self) -> Measurement:
        """The upper end of the largest excess, and the largest lower end of the tooth's.

        Raises:
            ProofError: an inequality is false at an instance, or the intervals are too wide to tell.
        """
        excesses = [self._excess(left, right) for left, right in self.sides()]
        if self.relation == "<=":
            for excess in excesses:
                if not upper(excess) <= 0:
                    raise ProofError(
                        f"not proved: the left side exceeds the right by {in_words(excess)} of their size"
                    )
        worst = max(map(upper, excesses), default=math.nan)
        caught = max((lower(self._excess(*sides)) for sides in self.tooth()), default=math.nan)
        return Measurement(len(excesses), worst, {"": caught})

    def _excess(self, left: Enclosure, right: Enclosure) -> Enclosure:
        """By how much the statement is violated, relative to the size of its sides."""
        if isinstance(left, Fraction) and left == right:
            return interval(0)
        left, right = interval(left), interval(right)
        gap, size = left - right, abs(left) + abs(right)
        return (abs(gap) if self.relation == "=" else gap) / size


def enclosed(
    name: str,
    *,
    over: Callable[[], Iterable[Any]],
    relation: str = "=",
    wrong: object,
    mistake: str,
    tolerance: float = 1e-30,
) -> Callable[[InstanceComparison], EnclosedCheck]:
    """A decorator: the comparison below it becomes a check, and its wrong choice the tooth.

    Args:
        name: what is compared with what.
        over: gives the instances.
        relation: "=" or "<=", between left and right.
        wrong: the choice that must be caught.
        mistake: the wrong choice, in words.
        tolerance: as in `EnclosedCheck`.
    """

    def check(compare: InstanceComparison) -> EnclosedCheck:
        def sides(*choice: object) -> Iterator[Sides]:
            for instance in over():
                yield from compare(instance, *choice)

        return EnclosedCheck(name, relation, sides, lambda: sides(wrong), mistake, tolerance)

    return check
