"""A network on a straight line through its inputs, against the affine piece at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrob.figures.theme import BLUE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def margin_along_line(t: Tensor, margin: Tensor, tangent: Tensor, switches: Tensor) -> Figure:
    """A network's margin on a straight way beside that of its affine piece at the start, and the gap.

    Args:
        t: distances from the start, (T,).
        margin: the network's logit margin, (T,).
        tangent: the affine piece's, (T,).
        switches: distances at which a unit switches, marked below the difference.
    """
    import matplotlib.pyplot as plt

    figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.8, 5.4), sharex=True, height_ratios=(3, 2))
    upper.plot(t, margin, "-", color=BLUE, label="the network")
    upper.plot(t, tangent, "--", color=VERMILION, label="its affine piece at x")
    upper.axhline(0, color="black", linestyle=":", linewidth=1.2)
    upper.set(ylabel="margin")
    upper.legend(loc="upper right")
    gap = margin - tangent
    lower.plot(t, gap, "-", color=BLUE)
    floor = float(gap.min()) - 0.15 * float(gap.max() - gap.min())
    look: dict[str, Any] = {"color": "black", "linestyle": "", "markersize": 9}
    lower.plot(switches, [floor] * len(switches), "|", **look, label="a unit switches")
    lower.set(xlabel="distance from the digit", ylabel="difference")
    lower.legend(loc="upper right")
    return figure
