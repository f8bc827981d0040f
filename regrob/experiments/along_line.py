"""A network's margin on a straight line from an image towards its affine piece's nearest boundary."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import local_map
from regrob.experiments.predictions import pattern


class AlongLine(NamedTuple):
    """Two logit margins at T distances, the network's and that of its affine piece at the start.

    Attributes:
        margin: the network's, (T,).
        tangent: the affine piece's, (T,).
        switches: (T,) int64, how many units switched since the distance before; 0 at the first.
    """

    margin: Tensor
    tangent: Tensor
    switches: Tensor


def along_line(network: nn.Module, image: Tensor, label: int, distances: Tensor) -> AlongLine:
    """Walk straight to the boundary of the affine piece, and beyond.

    Args:
        network: piecewise linear, of modules, with two classes.
        image: (…), without a batch axis.
        label: 0 or 1.
        distances: (T,), starting at 0.
    """
    V, z = local_map(network, image[None])
    s = V[0, :, label] - V[0, :, 1 - label]
    downhill = -(s / s.norm()).reshape(image.shape)
    path = image + distances.reshape(-1, *[1] * image.ndim) * downhill
    with torch.no_grad():
        logits = network(path)
    sides = pattern(network, path)
    switches = (sides[1:] != sides[:-1]).sum(dim=1)
    tangent = z[0, label] - z[0, 1 - label] - distances * s.norm()
    margin = logits[:, label] - logits[:, 1 - label]
    return AlongLine(margin, tangent, torch.cat([switches.new_zeros(1), switches]))
