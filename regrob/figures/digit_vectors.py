"""A digit beside vectors of its size: gradients, columns of V, eigenvectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def digit_and_vectors(digit: Tensor, vectors: Mapping[str, Tensor]) -> Figure:
    """The digit in ink, then each vector in red and blue, white where it is zero.

    Args:
        digit: 784 pixels of any shape.
        vectors: title → 784 numbers of any shape; each has a scale of its own.
    """
    import matplotlib.pyplot as plt

    figure, row = plt.subplots(1, 1 + len(vectors), figsize=(8.2, 2.2))
    row[0].imshow(digit.reshape(28, 28).numpy(), cmap="gray_r")
    for axes, vector in zip(row[1:], vectors.values(), strict=True):
        largest = float(vector.abs().max())
        axes.imshow(vector.reshape(28, 28).numpy(), cmap="RdBu_r", vmin=-largest, vmax=largest)
    for axes, title in zip(row, ("the digit", *vectors), strict=True):
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=11)
        axes.spines[:].set_visible(True)
    return figure
