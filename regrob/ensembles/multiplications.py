"""The products of a training step of linear layers: which way is cheaper, and what the limit is.

r rows are pulled back for each of N examples, and the penalties' gradient in S has f columns
(see `theory.penalties`). A layer maps n inputs to h outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from regrob.theory.penalties import check_name


class Product(NamedTuple):
    """`times` products of a matrix (rows, inner) with one (inner, columns)."""

    rows: int
    inner: int
    columns: int
    times: int = 1


def count(products: Sequence[Product]) -> int:
    """Multiplications of numbers."""
    return sum(rows * inner * columns * times for rows, inner, columns, times in products)


def pulled_back(kinds: Sequence[str], classes: int) -> int:
    """r, the rows that are pulled back: only the Jacobian penalty needs all of them."""
    return classes if "jacobian" in kinds else classes - 1


def columns(kinds: Sequence[str], classes: int) -> int:
    """f, the columns of the penalties' factor.

    Raises:
        InputError: no penalty has one of these names.
    """
    for kind in kinds:
        check_name(kind)
    each = sum(kind in kinds for kind in ("input-gradient", "curvature"))
    return each + (classes if "jacobian" in kinds or "cross-lipschitz" in kinds else 0)


def few(rows: int, f: int) -> bool:
    """Whether the loss's signal and f columns are fewer than the rows themselves."""
    return f + 1 < rows


def symmetric(inner: int, width: int) -> list[Product]:
    """XᵀX as `kernels.symmetric_product` computes it: six ninths, the other three are mirrored."""
    third = -(-width // 3)
    return [Product(third, inner, part * third) for part in (1, 2, 3)]


def pulled(n: int, h: int, examples: int, rows: int, f: int) -> list[Product]:
    """A linear first layer's: rows to the image, VᵀV, tangents forward, the gradient."""
    forward, gradient = (f, 1 + f) if few(rows, f) else (rows, rows)
    return [
        Product(examples * rows, h, n),
        Product(rows, n, rows, examples),
        Product(examples * forward, n, h),
        Product(n, examples * gradient, h),
    ]


def by_square(n: int, h: int, examples: int, rows: int, f: int) -> list[Product]:
    """The same by WᵀW: that, the rows times it, VᵀV, the gradient."""
    start = [*symmetric(n, h), Product(examples * rows, h, h), Product(rows, h, rows, examples)]
    if few(rows, f):
        return [*start, Product(examples * f, h, n), Product(n, examples * (1 + f), h)]
    return [*start, Product(n, examples, h), *symmetric(examples * f, h), Product(n, h, h)]


def square_pays(n: int, h: int, examples: int, rows: int, f: int) -> bool:
    """Whether WᵀW saves multiplications."""
    return count(by_square(n, h, examples, rows, f)) < count(pulled(n, h, examples, rows, f))


def plain_step(widths: Sequence[int], examples: int) -> list[Product]:
    """Back-propagation through linear layers of these widths, n first and K last."""
    layers = list(itertools.pairwise(widths))
    forward = [Product(examples, n, h) for n, h in layers]
    back = [Product(examples, h, n) for n, h in layers[1:]]
    return [*forward, *back, *(Product(n, examples, h) for n, h in layers)]


def adversarial_step(widths: Sequence[int], examples: int, steps: int) -> list[Product]:
    """A plain step at images that so many steps of PGD found, each there and back to the image."""
    layers = list(itertools.pairwise(widths))
    forward = [Product(examples, n, h) for n, h in layers]
    back = [Product(examples, h, n) for n, h in layers]
    return [*(forward + back) * steps, *plain_step(widths, examples)]


def penalised_step(widths: Sequence[int], examples: int, rows: int, f: int) -> list[Product]:
    """The step of `step.Block`, the cheaper way."""
    n, h = widths[:2]
    square = square_pays(n, h, examples, rows, f)
    first = (by_square if square else pulled)(n, h, examples, rows, f)
    forward, gradient = (f, 1 + f) if few(rows, f) else (rows, rows)
    layers = list(itertools.pairwise(widths))
    upper: list[Product] = []
    for n, h in layers[1:]:
        upper += [Product(examples * rows, h, n), Product(n, examples * gradient, h)]
    upper += [Product(examples * forward, n, h) for n, h in layers[1:-1]]
    return [*(Product(examples, n, h) for n, h in layers), *first, *upper]
