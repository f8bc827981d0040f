"""The lines around a ReLU, at fractions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from regrob.claims.enclosure import EnclosedCheck, Sides, enclosed


class Unit(NamedTuple):
    """A pre-activation a in [l, u], and the slope of the line below."""

    lower: Fraction
    upper: Fraction
    slope: Fraction
    a: Fraction


def units() -> Iterator[Unit]:
    """Wide and narrow ranges, both ends, zero and places between."""
    sizes = (Fraction(1, 7), Fraction(1), Fraction(5))
    for below, upper, slope in itertools.product(sizes, sizes, (Fraction(0), Fraction(1, 3), Fraction(1))):
        between = [-below + share * (below + upper) for share in (Fraction(0), Fraction(2, 5), Fraction(1))]
        for a in (*between, Fraction(0)):
            yield Unit(-below, upper, slope, a)


@enclosed(
    "αa ≤ max(0, a) ≤ u(a − l)/(u − l)",
    over=units,
    relation="<=",
    wrong=Fraction(99, 100),
    mistake="a chord one per cent flatter",
)
def between_lines(unit: Unit, steepness: Fraction = Fraction(1)) -> Iterator[Sides]:
    """Both inequalities, of exact numbers."""
    relu = max(Fraction(0), unit.a)
    yield unit.slope * unit.a, relu
    yield relu, steepness * unit.upper * (unit.a - unit.lower) / (unit.upper - unit.lower)


@enclosed("both best gaps are −lu/(u − l)", over=units, wrong=Fraction(101, 100), mistake="one per cent more")
def best_gaps(unit: Unit, factor: Fraction = Fraction(1)) -> Iterator[Sides]:
    """The chord's at 0, and at both ends that of the line below with the chord's slope."""
    lower, upper = unit.lower, unit.upper
    chord = upper / (upper - lower)
    best = -factor * lower * upper / (upper - lower)
    yield chord * -lower, best
    yield upper - chord * upper, best
    yield -chord * lower, best


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {"thm-relu-relaxation": (between_lines, best_gaps)}
"""The enclosed checks of each claim, by its id."""
