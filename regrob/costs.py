"""Multiplications in the products of a training step: which way is cheaper, and what the limit is.

r rows are pulled back for each of N examples, and the penalties' gradient in S has f columns
(see `gram`). A layer maps n inputs to h outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

SYMMETRIC = 2 / 3
"""Share of a product XᵀX that `kernels.symmetric_product` computes: three of six ninths are mirrored."""


def columns(kinds: Sequence[str], classes: int) -> int:
    """f, the columns of the penalties' factor."""
    each = sum(kind in kinds for kind in ("input-gradient", "curvature"))
    return each + (classes if "jacobian" in kinds or "cross-lipschitz" in kinds else 0)


def few(rows: int, f: int) -> bool:
    """Whether the loss's signal and f columns are fewer than the rows themselves."""
    return f + 1 < rows


def pulled(n: int, h: int, examples: int, rows: int, f: int) -> int:
    """A linear first layer's: rows to the image, VᵀV, tangents forward, the gradient."""
    back, gram = rows * n * h, rows * rows * n
    forward, gradient = (f, 1 + f) if few(rows, f) else (rows, rows)
    return examples * (back + gram + (forward + gradient) * n * h)


def by_square(n: int, h: int, examples: int, rows: int, f: int) -> int:
    """The same by WᵀW: that, the rows times it, VᵀV, the gradient."""
    square = round(SYMMETRIC * n * h * h)
    gram = examples * (rows * h * h + rows * rows * h)
    if few(rows, f):
        return square + gram + examples * (f + 1 + f) * n * h
    own = examples * (n * h + round(SYMMETRIC * f * h * h)) + n * h * h
    return square + gram + own


def square_pays(n: int, h: int, examples: int, rows: int, f: int) -> bool:
    """Whether WᵀW saves multiplications."""
    return by_square(n, h, examples, rows, f) < pulled(n, h, examples, rows, f)


def plain_step(widths: Sequence[int], examples: int) -> int:
    """Back-propagation through linear layers of these widths, n first and K last."""
    layers = [a * b for a, b in itertools.pairwise(widths)]
    return examples * (2 * sum(layers) + sum(layers[1:]))


def penalised_step(widths: Sequence[int], examples: int, rows: int, f: int) -> int:
    """The step of `block.Block`, the cheaper way."""
    n, h = widths[:2]
    layers = [a * b for a, b in itertools.pairwise(widths)]
    first = min(pulled(n, h, examples, rows, f), by_square(n, h, examples, rows, f))
    forward, gradient = (f, 1 + f) if few(rows, f) else (rows, rows)
    upper = examples * (rows + gradient) * sum(layers[1:]) + examples * forward * sum(layers[1:-1])
    return examples * sum(layers) + first + upper
