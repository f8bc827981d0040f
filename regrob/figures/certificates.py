"""Pictures of what certifies: lengths around one point, lengths of many digits, and three classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.figures.planes import outline
from regrob.figures.theme import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike
    from torch import Tensor

    from regrob.affine.polytopes import Region

LOOKS: dict[str, dict[str, Any]] = {
    "Taylor radius": {"color": VERMILION, "linestyle": "--", "marker": "s", "markersize": 5},
    "margin $d$": {"color": ORANGE, "linestyle": "-.", "marker": "^", "markersize": 5},
    "nearest mistake": {"color": BLACK, "linestyle": "-"},
    "DeepFool": {"color": BLACK, "marker": "o", "markersize": 5},
    "edge of $Q$": {"color": GREEN, "marker": "D", "markersize": 5, "markerfacecolor": "none"},
    "certificate": {"color": BLUE, "linestyle": "-", "marker": ".", "markersize": 3},
}
"""Name of a length → how it is drawn, as a circle or as a marker."""


def lengths_around(
    point: Tensor,
    lengths: Mapping[str, float],
    lead: Callable[[Tensor], Tensor],
    pieces: Iterable[Region],
    limit: float,
) -> Figure:
    """A point of a network with two inputs and two classes, and each length as a circle around it.

    Args:
        point: (2,).
        lengths: name, one of `LOOKS`, → radius.
        lead: inputs (N, 2) → (N,), logit of the point's class minus the other; negative is grey.
        pieces: the polygons on which the network is affine.
        limit: the square shown is [−limit, limit]².
    """
    import matplotlib.pyplot as plt
    import torch
    from matplotlib.patches import Circle

    centre = (float(point[0]), float(point[1]))
    ticks = torch.linspace(-limit, limit, 260, dtype=point.dtype)
    spots = torch.cartesian_prod(ticks, ticks)
    height = lead(spots).detach().view(len(ticks), len(ticks)).T
    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    axes.contourf(ticks, ticks, height, [-1e9, 0, 1e9], colors=["#dddddd", "white"])
    outline(axes, pieces, "#b0b0b0", 0.6)
    for name, length in lengths.items():
        look = {key: LOOKS[name][key] for key in ("color", "linestyle")}
        axes.add_patch(Circle(centre, length, fill=False, linewidth=2, label=name, **look))
    axes.plot(*centre, "o", color=BLACK)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


def lengths_in_order(lengths: Mapping[str, ArrayLike], order: ArrayLike, diameter: float) -> Figure:
    """Several lengths of each image, one marker each, on a logarithmic axis.

    Args:
        lengths: name, one of `LOOKS`, → one length an image.
        order: the images' numbers from left to right.
        diameter: of the box of pixels, drawn as a line.
    """
    import matplotlib.pyplot as plt

    rank = np.asarray(order, dtype=np.int64)
    figure, axes = plt.subplots(figsize=(7.2, 3.8))
    for name, values in lengths.items():
        axes.semilogy(np.asarray(values)[rank], label=name, **{**LOOKS[name], "linestyle": "none"})
    axes.axhline(diameter, color=GREY, linestyle=":", label="box diameter")
    axes.set_ylabel("length")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def simplex(example: ArrayLike) -> Figure:
    """All probabilities of three classes, by what the loss of class 0 tells of the answer.

    Args:
        example: (3,), probabilities to mark with a star.
    """
    import matplotlib.pyplot as plt

    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    middle = (1 / 3, 1 / 3, 1 / 3)
    # Corners of each area: p_0 = 1/2 and p_0 = 1/3 are straight lines, and so are ties of two classes.
    areas = [
        (r"certified: $L<\log2$", BLUE, [[(1, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5)]]),
        ("correct", SKY, [[(0.5, 0.5, 0), middle, (0.5, 0, 0.5)]]),
        (
            r"wrong, yet $L<\log3$",
            VERMILION,
            [[(0.5, 0.5, 0), middle, (1 / 3, 2 / 3, 0)], [(0.5, 0, 0.5), middle, (1 / 3, 0, 2 / 3)]],
        ),
        (r"wrong: $L>\log3$", ORANGE, [[(1 / 3, 2 / 3, 0), (0, 1, 0), (0, 0, 1), (1 / 3, 0, 2 / 3)]]),
    ]
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for name, colour, polygons in areas:
        for number, polygon in enumerate(polygons):
            label = name if number == 0 else f"_{name}"  # one entry in the legend
            axes.fill(*(np.array(polygon) @ corners).T, color=colour, linewidth=0.5, label=label)
    star = np.asarray(example) @ corners
    axes.plot(*star, "*", color=BLACK, markersize=12)
    axes.annotate("by hand", tuple(star), (6, 6), textcoords="offset points")
    for k, place in enumerate(((-0.06, -0.05), (1.02, -0.05), (0.47, 0.9))):
        axes.text(*place, f"$p_{k}=1$")
    axes.set(aspect="equal", xlim=(-0.15, 1.2), ylim=(-0.1, 0.98))
    axes.axis("off")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
