"""A number as a computer holds it: a ball for the exact value, and balls for how far the computed one is off.

The standard model of floating point: the computed a ∘ b is (a ∘ b)(1 + δ) + η. Half a unit in the last place bounds
|δ| for + − × ÷ √, and `ULPS` of them for functions of a library; η is not zero where the result may leave the
normal range. Balls are Arb's (python-flint), whose every operation rounds outwards. So a bound that comes out of a
chain of operations is proved, for all values that the balls hold, if a library keeps to `ULPS`. That is tested.

`rounded_tensor` puts these numbers into tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from flint import arb

from regrob.errors import InputError

ULPS = {"exp": 2.0, "log": 1.0, "log1p": 1.0, "expm1": 1.0, "singular_value": 8.0}
"""Largest error of a function of a library, in units in the last place of its value."""

ZERO, ONE = arb(0), arb(1)
UNKNOWN = arb(0, math.inf)


@dataclass(frozen=True, slots=True)
class Rounded:
    """A computed number: exact · (1 + error) + shift.

    Attributes:
        exact: holds what exact arithmetic would give.
        error: holds the relative error, but for the shift.
        shift: holds an absolute error, of what has cancelled or underflowed.
    """

    exact: arb
    error: arb = ZERO
    shift: arb = ZERO

    @property
    def deviation(self) -> arb:
        """Holds computed − exact."""
        return self.exact * self.error + self.shift

    @property
    def computed(self) -> arb:
        """Holds the computed number."""
        return self.exact if _infinite(self) else self.exact + self.deviation

    @property
    def relative(self) -> arb:
        """Holds computed / exact − 1."""
        return self.error if self.shift.is_zero() else _known(self.error + self.shift / self.exact)


NOTHING = Rounded(ZERO)


class Arithmetic:
    """What a computer makes of `Rounded` numbers in one format; methods are named like torch's functions.

    Args:
        dtype: torch.float64 or torch.float32.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        info = torch.finfo(dtype)
        self.dtype = dtype
        self.unit = arb(info.eps) / 2
        self.tiny, self.largest = info.tiny, info.max

    def last_place(self, size: arb) -> arb:
        """The unit in the last place of the largest number in a ball."""
        mantissa, exponent = max(size.abs_upper(), arb(self.tiny)).man_exp()
        return 2 * self.unit * arb((1, int(exponent) + int(mantissa).bit_length() - 1))

    def rounded(self, exact: arb, error: arb, shift: arb = ZERO, ulps: float = 0.5) -> Rounded:
        """The number after it is stored with an error of so many units in the last place."""
        if exact.is_zero() and shift.is_zero():
            return NOTHING
        size = Rounded(exact, error, shift).computed
        if not size.abs_upper() < self.largest:
            return Rounded(exact, UNKNOWN)
        last_place = self.last_place(size)
        if not size.abs_lower() > self.tiny:  # an absolute error then; multiplying by 2 may round, too
            return Rounded(exact, error, shift + _around(max(ulps, 0.5) * last_place))
        stored = 1 + _around(ulps * min(2 * self.unit, last_place / size.abs_lower()))
        if not shift.is_zero() and exact.abs_upper() < 2 * exact.abs_lower():  # as well as relative
            error, shift = error + shift / exact, ZERO
        return Rounded(exact, _known((1 + error) * stored - 1), _known(shift * stored))

    def constant(self, value: float) -> Rounded:
        """A number in a formula: exact if it has few binary digits, else the float next to √2, to log K or the like."""
        if not math.isfinite(value) or (value * 1024).is_integer():
            return Rounded(arb(value))
        return Rounded(arb(value, abs(value) * 2.0**-53), _around(2 * self.unit))

    # --- of one number -------------------------------------------------------------------------

    def neg(self, a: Rounded) -> Rounded:
        """−a."""
        return Rounded(-a.exact, a.error, -a.shift)

    def abs(self, a: Rounded) -> Rounded:
        """|a|."""
        if a.computed >= 0:
            return a
        if a.computed <= 0:
            return self.neg(a)
        return self.maximum(a, self.neg(a))

    def square(self, a: Rounded) -> Rounded:
        """a²."""
        return self.mul(a, a)

    def sqrt(self, a: Rounded) -> Rounded:
        """√a: √(a + d) = √a √(1 + d/a). Where squares have underflowed, d moves the root by √|d| at most."""
        root = _increasing(arb.sqrt, a.exact)
        if a.relative > -1:
            return self.rounded(root, (1 + a.relative).sqrt() - 1)
        if a.deviation.abs_upper() < self.tiny:
            return self.rounded(root, ZERO, _around(a.deviation.abs_upper().sqrt()))
        return Rounded(root, UNKNOWN)  # it may be the root of a negative number

    def reciprocal(self, a: Rounded) -> Rounded:
        """1/a."""
        return self.div(self.constant(1.0), a)

    def exp(self, a: Rounded) -> Rounded:
        """eᵃ: e^(a + d) = eᵃ (1 + (e^d − 1)). Every library has e⁰ = 1 and e^−∞ = 0."""
        if a == NOTHING:
            return self.constant(1.0)
        return self.rounded(_increasing(arb.exp, a.exact), _known(a.deviation.expm1()), ulps=ULPS["exp"])

    def expm1(self, a: Rounded) -> Rounded:
        """eᵃ − 1: its shift is eᵃ (e^d − 1)."""
        shift = _known(_increasing(arb.exp, a.exact) * a.deviation.expm1())
        return self.rounded(_increasing(arb.expm1, a.exact), ZERO, shift, ULPS["expm1"])

    def log(self, a: Rounded) -> Rounded:
        """The natural logarithm; d in a shifts it by that of 1 + d/a."""
        return self.rounded(_increasing(arb.log, a.exact), ZERO, _known(a.relative.log1p()), ULPS["log"])

    def log1p(self, a: Rounded) -> Rounded:
        """log(1 + a): its shift is log(1 + d/(1 + a)). For a > 0 it is concave, so that a relative error shrinks."""
        if a.exact > 0 and a.shift.is_zero():
            return self.rounded(_increasing(arb.log1p, a.exact), a.error.union(ZERO), ulps=ULPS["log1p"])
        shift = _known((a.deviation / (1 + a.exact)).log1p())
        return self.rounded(_increasing(arb.log1p, a.exact), ZERO, shift, ULPS["log1p"])

    def sigmoid(self, a: Rounded) -> Rounded:
        """1/(1 + e⁻ᵃ), as torch forms it."""
        return self.reciprocal(self.add(self.constant(1.0), self.exp(self.neg(a))))

    def log_sigmoid(self, a: Rounded) -> Rounded:
        """min(a, 0) − log(1 + e^−|a|), as torch forms it."""
        return self.sub(self.minimum(a, NOTHING), self.log1p(self.exp(self.neg(self.abs(a)))))

    # --- of two numbers ------------------------------------------------------------------------

    def add(self, a: Rounded, b: Rounded) -> Rounded:
        """a + b."""
        return self.sum((a, b))

    def sub(self, a: Rounded, b: Rounded) -> Rounded:
        """a − b; nothing if both are the same number."""
        return NOTHING if a is b else self.sum((a, self.neg(b)))

    def mul(self, a: Rounded, b: Rounded) -> Rounded:
        """a b."""
        if NOTHING in (a, b):
            return NOTHING
        by_a, by_b = a.exact * (1 + a.error), b.exact * (1 + b.error)
        shift = a.shift * by_b + b.shift * by_a + a.shift * b.shift
        error = (1 + a.error) * (1 + b.error) - 1
        exactly = _power_of_two(a) or _power_of_two(b)
        return self.rounded(_product(a.exact, b.exact), error, shift, 0.0 if exactly else 0.5)

    def div(self, a: Rounded, b: Rounded) -> Rounded:
        """a / b."""
        if b.exact.is_zero():
            return Rounded(a.exact / b.exact)
        off = 1 + b.relative
        error = _known((1 + a.error) / off - 1)
        shift = _known(a.shift / (b.exact * off))
        return self.rounded(
            _product(a.exact, _inverse(b.exact)), error, shift, 0.0 if _power_of_two(b) else 0.5
        )

    def maximum(self, a: Rounded, b: Rounded) -> Rounded:
        """The larger one; where the computed numbers are too close to tell, what is true of either."""
        larger = self.gt(a, b)
        if larger is None:
            return Rounded(a.exact.max(b.exact), a.error.union(b.error), a.shift.union(b.shift))
        return a if larger else b

    def minimum(self, a: Rounded, b: Rounded) -> Rounded:
        """The smaller one, likewise."""
        smaller = self.gt(b, a)
        if smaller is None:
            return Rounded(a.exact.min(b.exact), a.error.union(b.error), a.shift.union(b.shift))
        return a if smaller else b

    def gt(self, a: Rounded, b: Rounded) -> bool | None:
        """Whether the computed a > b; None where the balls do not decide it."""
        if a is b or a == b == NOTHING:
            return False
        if a.computed > b.computed:
            return True
        return False if a.computed <= b.computed else None

    def differ(self, a: Rounded, b: Rounded) -> bool | None:
        """Whether the computed a ≠ b, likewise."""
        if a is b or a == b == NOTHING:
            return False
        return None if a.computed.overlaps(b.computed) else True

    def either(self, a: Rounded, b: Rounded) -> Rounded:
        """What is true of both a and b, two forms of one quantity of which the computer takes one.

        Raises:
            InputError: they are not: their exact values lie apart.
        """
        if not a.exact.overlaps(b.exact):
            raise InputError(
                f"it is not decided which of two different numbers is taken, {a.exact} or {b.exact}"
            )
        return Rounded(a.exact, a.error.union(b.error), a.shift.union(b.shift))

    # --- of many numbers -----------------------------------------------------------------------

    def sum(self, numbers: Sequence[Rounded]) -> Rounded:
        """The sum, in whatever order it is taken; zeros cost nothing.

        Each term passes through all roundings but the last at most. Where all terms have one sign, the relative error
        is a weighted mean of theirs. Where they may cancel, it is kept as a shift.
        """
        terms = [number for number in numbers if number != NOTHING]
        if len(terms) < 2:
            return terms[0] if terms else NOTHING
        for term in terms:
            if _infinite(term):  # from a mask
                return term
        exact = sum((term.exact for term in terms), ZERO)
        passed = (1 + _around(self.unit)) ** (len(terms) - 2)
        errors = [(1 + term.error) * passed - 1 for term in terms]
        shift = sum((term.shift * passed for term in terms), ZERO)
        if not _one_sign(terms):
            deviation = sum((term.exact * error for term, error in zip(terms, errors, strict=True)), ZERO)
            return self.rounded(exact, ZERO, _known(deviation + shift))
        sizes = [error.abs_upper() for error in errors]
        shares = [min(ONE, term.exact.abs_upper() / exact.abs_lower()) for term in terms]
        mean = sum((share * size for share, size in zip(shares, sizes, strict=True)), ZERO)
        return self.rounded(exact, _around(min(max(sizes), mean.abs_upper())), shift)

    def mean(self, numbers: Sequence[Rounded]) -> Rounded:
        """The sum divided by their number."""
        return self.div(self.sum(numbers), self.constant(float(len(numbers))))

    def amax(self, numbers: Sequence[Rounded]) -> Rounded:
        """The largest one."""
        return reduce(self.maximum, numbers)

    def amin(self, numbers: Sequence[Rounded]) -> Rounded:
        """The smallest one."""
        return reduce(self.minimum, numbers)

    def argmax(self, numbers: Sequence[Rounded]) -> int:
        """The place of the largest one.

        Raises:
            InputError: two are too close to tell.
        """
        for place, number in enumerate(numbers):
            if all(self.gt(number, other) for other in numbers if other is not number):
                return place
        raise InputError("the balls do not decide which number is the largest: make them smaller")

    def vector_norm(self, numbers: Sequence[Rounded]) -> Rounded:
        """The root of the sum of squares."""
        return self.sqrt(self.sum([self.square(number) for number in numbers]))

    def singular_value(self, row: Sequence[Rounded]) -> Rounded:
        """The one singular value of a matrix with one row: the row's length, as a library finds it."""
        length = self.vector_norm(row)
        return self.rounded(length.exact, length.error, length.shift, ULPS["singular_value"])

    def logsumexp(self, numbers: Sequence[Rounded]) -> Rounded:
        """log Σ eᵃ, counted from the largest one.

        Where the numbers move by d, it moves by log Σ w e^|d| at most, w = softmax(a), and by no more than one of them.
        """
        finite = [number for number in numbers if not _infinite(number)]
        if len(finite) == 1:
            return finite[0]
        stored = [Rounded(number.computed) for number in finite]
        largest = self.amax(stored)
        formed = self.add(largest, self.log(self.sum(self._exponentials(stored, largest))))
        weights = [_increasing(arb.exp, number.exact) for number in finite]
        moves = [number.deviation.abs_upper() for number in finite]
        total = sum(weights, ZERO)
        mean = sum((weight * move.expm1() for weight, move in zip(weights, moves, strict=True)), ZERO) / total
        moved = _around(min(max(moves), mean.log1p().abs_upper()))
        return Rounded(
            _increasing(arb.log, total), formed.error, _known(moved * (1 + formed.error) + formed.shift)
        )

    def softmax(self, numbers: Sequence[Rounded]) -> list[Rounded]:
        """eᵃ / Σ eᵃ, counted from the largest one."""
        exponentials = self._exponentials(numbers, self.amax(numbers))
        total = self.reciprocal(self.sum(exponentials))  # a division errs less
        return [self.mul(exponential, total) for exponential in exponentials]

    def log_softmax(self, numbers: Sequence[Rounded]) -> list[Rounded]:
        """a − log Σ eᵃ, counted from the largest one."""
        largest = self.amax(numbers)
        log_sum = self.log(self.sum(self._exponentials(numbers, largest)))
        return [self.sub(self.sub(number, largest), log_sum) for number in numbers]

    def _exponentials(self, numbers: Sequence[Rounded], largest: Rounded) -> list[Rounded]:
        return [self.exp(self.sub(number, largest)) for number in numbers]


def _around(radius: arb) -> arb:
    """The ball around zero."""
    return arb(0, radius.abs_upper())


def _increasing(function: Callable[[arb], arb], a: arb) -> arb:
    """An increasing function of a ball, from the values at its ends: Arb's own are wider for wide balls."""
    return function(a) if a.is_exact() else function(a.lower()).union(function(a.upper()))


def _product(a: arb, b: arb) -> arb:
    """a b. Of wide balls the product is wider than it need be, and may hold zero; their ends are multiplied instead."""
    product = a * b
    if product.abs_upper() < 2 * product.abs_lower() or a.contains(0) or b.contains(0):
        return product
    ends = (a.abs_lower() * b.abs_lower()).union(a.abs_upper() * b.abs_upper())
    return ends if (a > 0) == (b > 0) else -ends


def _inverse(a: arb) -> arb:
    """1/a, likewise."""
    inverse = 1 / a
    if inverse.abs_upper() < 2 * inverse.abs_lower() or a.contains(0):
        return inverse
    ends = (1 / a.abs_upper()).union(1 / a.abs_lower())
    return ends if a > 0 else -ends


def _known(ball: arb) -> arb:
    """The ball; all numbers where a division by what may be zero has left NaN."""
    return UNKNOWN if ball.is_nan() or not ball.is_finite() else ball


def _infinite(number: Rounded) -> bool:
    return bool(number.exact.is_exact() and not number.exact.is_finite())


def _power_of_two(number: Rounded) -> bool:
    """Whether it is an exact power of two, by which a product is exact."""
    exact = number.exact
    if not (number.error.is_zero() and number.shift.is_zero() and exact.is_exact() and exact.is_finite()):
        return False
    mantissa, _ = exact.man_exp()
    return abs(int(mantissa)) == 1


def _one_sign(terms: Sequence[Rounded]) -> bool:
    return all(term.exact > 0 for term in terms) or all(term.exact < 0 for term in terms)
