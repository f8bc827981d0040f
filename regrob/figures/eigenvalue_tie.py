"""The two eigenvalues of a three-class Hessian, crossing as one class vector is pushed outwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from regrob.figures.theme import BLUE, GREY, VERMILION
from regrob.theory import derivatives

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def eigenvalues_at_a_tie(V: Tensor, push: Tensor, slope: float) -> Figure:
    """Both eigenvalues of H for V + t · push and equal probabilities, and a tangent at t = 0.

    Args:
        V: (2, 3), with a double eigenvalue.
        push: (2, 3).
        slope: of the tangent.
    """
    import matplotlib.pyplot as plt

    t = torch.linspace(-0.5, 0.5, 81, dtype=V.dtype)
    moved = V + t[:, None, None] * push
    z = torch.zeros(len(t), 3, dtype=V.dtype)
    second, first = torch.linalg.eigvalsh(derivatives.hessian(moved, z)).T
    figure, axes = plt.subplots(figsize=(6.0, 3.3))
    axes.plot(t, first, "-", color=BLUE, linewidth=2.4, label="$\\|H\\|_2$")
    axes.plot(t, second, ":", color=GREY, label="the other eigenvalue")
    tangent = float(derivatives.curvature(V, z[0])) + slope * t
    axes.plot(t, tangent, "--", color=VERMILION, label="autograd's slope at the tie")
    axes.set(xlabel="corner pushed outwards by $t$", ylabel="eigenvalue")
    axes.set_ylim(0.2, 0.95)
    axes.legend(loc="upper left")
    return figure
