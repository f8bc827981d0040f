"""Two penalised losses over two weights v₊ and v₋: a valley of minimisers beside a single one (Prop. 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regrob.figures.theme import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def valley_and_bowl(grid: Tensor, valley: Tensor, bowl: Tensor) -> Figure:
    """Contours of both losses, their minimisers in red.

    Args:
        grid: values of v₊ and of v₋, symmetric about 0, (N,) with N odd.
        valley: the cross-Lipschitz loss, a function of v₊ − v₋ alone, (N, N); a row is one v₋.
        bowl: the Jacobian loss, likewise.
    """
    import matplotlib.pyplot as plt
    import torch

    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.7))
    for ax, name, loss in zip(axes, ("cross-Lipschitz", "Jacobian"), (valley, bowl), strict=True):
        levels = loss.min() + 1.2 * torch.linspace(0, 1, 13) ** 2
        ax.contour(grid, grid, loss, levels=levels, colors=BLUE)
        ax.plot(grid, -grid, ":", color=GREY)
        end = float(grid[-1])
        ax.set(xlim=(-end, end), ylim=(-end, end), aspect="equal")
        ax.set(xlabel="$v_+$", ylabel="$v_-$", title=name)
    middle = len(grid) // 2
    gap = grid[int(valley[middle].argmin())] - grid[middle]  # every minimiser has this v₊ − v₋
    axes[0].plot(grid, grid - gap, "-", color=VERMILION, linewidth=2.5)
    row, column = divmod(int(bowl.argmin()), len(grid))
    axes[1].plot(grid[column], grid[row], "o", color=VERMILION)
    return figure
