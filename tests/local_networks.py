"""Small ReLU networks and valid bounds on their heights, for tests of what works on local networks."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from regrob.affine.relu_layers import ReluLayers
from regrob.certificates.local_network import LocalNetwork, local_network


def random_layers(*widths: int, seed: int = 0, bias: float = 0.5) -> ReluLayers:
    generator = torch.Generator().manual_seed(seed)
    weights = [
        torch.randn(b, a, generator=generator, dtype=torch.float64) / a**0.5
        for a, b in itertools.pairwise(widths)
    ]
    biases = [bias * (2 * torch.rand(len(w), generator=generator, dtype=torch.float64) - 1) for w in weights]
    return ReluLayers(tuple(weights), tuple(biases))


def interval_bounds(layers: ReluLayers, image: Tensor, radius: float) -> tuple[list[Tensor], list[Tensor]]:
    """Of the heights of the hidden layers over the ball, by intervals, a little too wide."""
    reach = radius * torch.linalg.vector_norm(layers.weights[0], dim=1)
    centre = layers.weights[0] @ image + layers.biases[0]
    lower, upper = [], []
    for k, (low, high) in enumerate([(centre - reach, centre + reach)] * (len(layers.weights) - 1)):
        if k:
            before_low, before_high = lower[-1].clamp_min(0), upper[-1].clamp_min(0)
            positive, negative = layers.weights[k].clamp_min(0), layers.weights[k].clamp_max(0)
            low = positive @ before_low + negative @ before_high + layers.biases[k]
            high = positive @ before_high + negative @ before_low + layers.biases[k]
        spare = 1e-12 * (1 + low.abs() + high.abs())
        lower.append(low - spare)
        upper.append(high + spare)
    return lower, upper


def around(
    layers: ReluLayers, image: Tensor, radius: float, *, rival: int | None = None, **more: object
) -> LocalNetwork:
    """The local network of the label that the layers give, against one rival."""
    label = int(layers.logits(image).argmax())
    rival = 1 - label if rival is None else rival
    lower, upper = interval_bounds(layers, image, radius)
    return local_network(layers, image, lower, upper, label=label, rival=rival, radius=radius, **more)


def outputs_at(local: LocalNetwork, step: np.ndarray) -> np.ndarray:
    """h at δ: each unit is the ReLU of its height."""
    outputs = np.zeros(len(local.names))
    for k in range(len(outputs)):
        outputs[k] = max(0.0, float(local.units.at(step, outputs)[k]))
    return outputs
