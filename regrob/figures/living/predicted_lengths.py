"""Predicted lengths against those that attacks find, a dot a digit: its picture, its mistake, its lengths."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from regrob.analysis.measures import LABELS
from regrob.errors import InputError
from regrob.figures.living.frame import Living, living
from regrob.figures.predictions import predicted_against_found
from regrob.figures.theme import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from torch import Tensor

PIXELS = 28 * 28
SHOWN = ("margin", "radius", "edge")
"""The predictions that the reader chooses from."""

COLUMNS = (*SHOWN, "certified", "found", "logit-margin")
"""Of a table of predictions, what is told of a digit."""


def predicted_lengths(
    networks: Mapping[str, tuple[pd.DataFrame, Tensor]],
    images: Tensor,
    classes: Sequence[str],
    *,
    start: int = 0,
) -> Living:
    """A scatter for each network and prediction; the reader goes from dot to dot and sees the digits.

    Args:
        networks: name of a penalty → what `experiments.predictions.measure_and_keep` gives. A digit
            that no attack changed into another is left out.
        images: (N, …) of 28×28 pixels in [0, 1], to which the tables' column image points.
        classes: the names of the two classes.
        start: the image that is shown first, of the first network.

    Raises:
        InputError: other images, more classes than two, mistakes that do not belong to a table's rows, or
            no such image.
    """
    if images.ndim < 2 or images[0].numel() != PIXELS:
        raise InputError(f"images must be (N, …) of 28×28 pixels, got {tuple(images.shape)}")
    if len(classes) != 2:
        raise InputError(f"a mistake is read as the other of two classes, got {len(classes)} classes")
    entries = [_entry(name, *measured, images) for name, measured in networks.items()]
    if start not in entries[0]["image"]:
        raise InputError(f"start must be an image of the first table, got {start}")
    first, _ = next(iter(networks.values()))
    data = {
        "networks": entries,
        "digits": [pack(torch.round(15 * image.clamp(0, 1))) for image in images],
        "classes": list(classes),
        "start": start,
    }
    return living(
        "predicted_lengths",
        data,
        alt="Scatter of digits on logarithmic axes, what is predicted at the image against what attacks "
        "find. The affine margin d lies close to the line of equality, slightly above it; one dot is "
        "chosen, and beside the scatter are its digit, the nearest mistake, and its lengths.",
        still=_still(first),
        predict=(
            "After the Jacobian penalty, do the dots of d move away from the line of equality, or onto it? "
            "And those of ‖r*‖₂?",
            "Both move down to it: d onto the line, as the network is now nearly affine on the way to the "
            "mistake. Attacks find their mistakes farther out than before, and yet ‖r*‖₂ is shorter.",
        ),
    )


def pack(levels: Tensor) -> str:
    """Whole numbers from 0 to 15, two a byte, the first one in the upper half, in base64."""
    upper, lower = levels.detach().cpu().flatten().to(torch.uint8).view(-1, 2).unbind(dim=1)
    return base64.b64encode(bytes((16 * upper + lower).tolist())).decode()


def _entry(name: str, table: pd.DataFrame, mistakes: Tensor, images: Tensor) -> dict[str, Any]:
    """A network's columns, and each digit's change to its mistake, in steps of reach/7 around 8."""
    if len(mistakes) != len(table):
        raise InputError(f"need a mistake for each of {len(table)} rows, got {len(mistakes)}")
    fooled = np.flatnonzero(np.isfinite(table["found"]))
    kept = table.iloc[fooled]
    changes = (mistakes[fooled.tolist()] - images[kept["image"].tolist()]).flatten(1)
    reach = changes.abs().amax(dim=1)
    return {
        "name": LABELS[name],
        "image": kept["image"].tolist(),
        "label": kept["label"].tolist(),
        **{column: kept[column].tolist() for column in COLUMNS},
        "reach": reach.tolist(),
        "changes": [pack(row) for row in torch.round(7 * changes / reach[:, None]) + 8],
    }


def _still(table: pd.DataFrame) -> Figure:
    import matplotlib.pyplot as plt

    with style():
        figure, axes = plt.subplots(figsize=(5.6, 4.0))
        predicted_against_found(axes, table, "one network, two classes")
        axes.set_ylabel("predicted at the image")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
