"""The oracle of enclosed checks: values, gradients and Hessians by forward-mode differentiation.

A `Jet` goes through a computation and carries a function's value and its first two derivatives along, by the sum,
product and chain rules and by no formula of the paper. Its numbers are fractions where all is exact, intervals else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from regrob.claims import enclosure
from regrob.claims.enclosure import Enclosure, interval
from regrob.errors import HypothesisError


@dataclass(frozen=True)
class Jet:
    """A function of n variables at a point.

    Attributes:
        value: the function's.
        gradient: n numbers.
        hessian: n rows of n.
    """

    value: Enclosure
    gradient: tuple[Enclosure, ...]
    hessian: tuple[tuple[Enclosure, ...], ...]

    def __add__(self, other: Jet | Enclosure) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.gradient, self.hessian)
        return Jet(
            self.value + other.value,
            tuple(a + b for a, b in zip(self.gradient, other.gradient, strict=True)),
            tuple(
                tuple(a + b for a, b in zip(mine, others, strict=True))
                for mine, others in zip(self.hessian, other.hessian, strict=True)
            ),
        )

    def __mul__(self, other: Jet | Enclosure) -> Jet:
        if not isinstance(other, Jet):
            return chain(self, self.value * other, other, 0)
        f, g = self, other
        n = range(len(f.gradient))
        return Jet(
            f.value * g.value,
            tuple(f.gradient[a] * g.value + f.value * g.gradient[a] for a in n),
            tuple(
                tuple(
                    f.hessian[a][b] * g.value
                    + f.gradient[a] * g.gradient[b]
                    + g.gradient[a] * f.gradient[b]
                    + f.value * g.hessian[a][b]
                    for b in n
                )
                for a in n
            ),
        )

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Jet:
        return self * -1

    def __sub__(self, other: Jet | Enclosure) -> Jet:
        return self + other * -1

    def __rsub__(self, other: Enclosure) -> Jet:
        return (self * -1).__add__(other)

    def __truediv__(self, other: Jet | Enclosure) -> Jet:
        return self * (reciprocal(other) if isinstance(other, Jet) else 1 / interval(other))


def variables(point: Sequence[Enclosure]) -> list[Jet]:
    """The n coordinates as functions of themselves."""
    n = len(point)
    flat = ((0,) * n,) * n
    return [Jet(value, tuple(int(a == c) for a in range(n)), flat) for c, value in enumerate(point)]


def chain(inner: Jet, value: Enclosure, slope: Enclosure, curvature: Enclosure) -> Jet:
    """A function of a function, given the outer one's value and its first two derivatives."""
    g = inner.gradient
    n = range(len(g))
    return Jet(
        value,
        tuple(slope * d for d in g),
        tuple(tuple(slope * inner.hessian[a][b] + curvature * (g[a] * g[b]) for b in n) for a in n),
    )


def enclose(jet: Jet) -> Jet:
    """A jet of fractions as one of intervals."""
    return Jet(
        interval(jet.value),
        tuple(map(interval, jet.gradient)),
        tuple(tuple(map(interval, row)) for row in jet.hessian),
    )


def relu(jet: Jet) -> Jet:
    """max(x, 0) of an exact jet, off the kink.

    Raises:
        HypothesisError: the value is 0, where no derivative exists.
    """
    if jet.value == 0:
        raise HypothesisError("a unit's input is exactly 0: choose a point off the kinks")
    return jet if jet.value > 0 else jet * Fraction(0)


def exp(jet: Jet) -> Jet:
    """eˣ."""
    value = enclosure.exp(jet.value)
    return chain(jet, value, value, value)


def log(jet: Jet) -> Jet:
    """log x."""
    slope = 1 / jet.value
    return chain(jet, enclosure.log(jet.value), slope, -(slope**2))


def sqrt(jet: Jet) -> Jet:
    """√x."""
    value = enclosure.sqrt(jet.value)
    return chain(jet, value, 1 / (2 * value), -1 / (4 * value * jet.value))


def reciprocal(jet: Jet) -> Jet:
    """1/x."""
    value = 1 / interval(jet.value)
    return chain(jet, value, -(value**2), 2 * value**3)


def derivatives(function: Callable[[Jet], Jet], at: Enclosure) -> tuple[Enclosure, Enclosure, Enclosure]:
    """f(t), f′(t) and f″(t) of a function of one variable."""
    (t,) = variables([interval(at)])
    jet = function(t)
    return jet.value, jet.gradient[0], jet.hessian[0][0]
