"""Symbolic sums over K classes for every K at once: named moments, and double sums over pairs."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from regrob.symbols import sum_over

P, Q = sp.symbols("p q", positive=True)
"""p_y and 1 − p_y."""


def weighted_moments(total: sp.Expr = sp.S.One) -> Callable[..., sp.Expr]:
    """Names for Σ_k p_k^i a_k^j b_k^l …, where Σ_k p_k is `total`: 1 over all classes, q over the rivals."""

    def moment(*powers: int) -> sp.Expr:
        is_total = powers[0] == 1 and not any(powers[1:])
        return total if is_total else sp.Symbol("S" + "_".join(str(power) for power in powers))

    return moment


def plain_moments(K: sp.Expr) -> Callable[[int], sp.Expr]:
    """Names for Σ_k a_k^i over K classes."""
    return lambda power: K if power == 0 else sp.Symbol(f"S{power}")


def double_sum(
    expression: sp.Expr,
    moment: Callable[..., sp.Expr],
    first: tuple[sp.Symbol, ...],
    second: tuple[sp.Symbol, ...],
) -> sp.Expr:
    """Σ_i Σ_j of a polynomial in class i's variables, `first`, and class j's, `second`."""
    return sum_over(sum_over(expression, moment, *second), moment, *first)
