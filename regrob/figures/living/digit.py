"""A digit under attack: two networks that run in the page, a pad to draw on, ε under a slider."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regrob.errors import InputError
from regrob.figures.living.frame import Living, living
from regrob.figures.theme import GREY, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

NAMES = {"none": "no penalty", "curvature": "curvature penalty"}


def digit(
    stored: Mapping[str, Any], images: Tensor, *, still: Any = None, start: int = 0, epsilon: float = 0.1
) -> Living:
    """The reader draws a digit or takes one of these, and turns the attack's size.

    Args:
        stored: what `experiments.digit_networks` wrote: each network's packed layers.
        images: (N, …) of 28×28 pixels in [0, 1], the digits to begin with.
        still: a picture for paper.
        start: which digit is shown first.
        epsilon: the attack's size at the start.

    Raises:
        InputError: other images, or no such digit.
    """
    if images.ndim < 2 or images[0].numel() != 784:
        raise InputError(f"images must be (N, …) of 28×28 pixels, got {tuple(images.shape)}")
    if not 0 <= start < len(images):
        raise InputError(f"start must be an index from 0 to {len(images) - 1}, got {start}")
    data = {
        "networks": [
            {"name": NAMES[network["penalty"]], "layers": network["layers"]} for network in stored["networks"]
        ],
        "digits": [_bytes(image) for image in images],
        "start": start,
        "epsilon": epsilon,
    }
    return living(
        "digit",
        data,
        alt="Three pictures: a handwritten digit, a change of its pixels that follows the stroke and its "
        "surroundings, and their sum, which looks like the same digit and is read as another one.",
        still=still,
        predict=(
            "Turn ε up until the network reads another digit. Can you still read it? Then take the network "
            "that was trained with a penalty: does it take a larger change, or none at all?",
            "You can. The network with the penalty takes a larger change, as its slopes are smaller: compare "
            "ν and d. No penalty makes it immune.",
        ),
    )


def _bytes(image: Tensor) -> str:
    pixels: Sequence[int] = (255 * image.detach().cpu().flatten()).round().clamp(0, 255).int().tolist()
    return base64.b64encode(bytes(pixels)).decode()


def three_pictures(original: Tensor, attacked: Tensor) -> Figure:
    """A digit (28, 28), its change, and both together: the figure's still."""
    import matplotlib.pyplot as plt

    change = attacked - original
    reach = float(change.abs().max())
    with style():
        figure, panels = plt.subplots(1, 3, figsize=(6.4, 2.6))
        panels[0].imshow(original, cmap="gray_r", vmin=0, vmax=1)
        panels[1].imshow(change, cmap="PuOr", vmin=-reach, vmax=reach)
        panels[2].imshow(attacked, cmap="gray_r", vmin=0, vmax=1)
        for axes, title in zip(panels, ("a digit", "the change alone", "what the network sees"), strict=True):
            axes.set_title(title)
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.spines[:].set(visible=True, color=GREY)
    return figure
