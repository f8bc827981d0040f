"""Small networks that are built to break relaxations, and images where they are hardest.

Dead units, ties, twins that switch together, weights from 1e-8 to 1e8 in one layer, kinks that all meet,
logits that are constant or equal; pixels at the box's edge. Nothing here imports `regrob`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Hard(NamedTuple):
    """A network, float64, and images in [0, 1]."""

    network: nn.Sequential
    images: Tensor


Layers = tuple[list[Tensor], list[Tensor]]
Kind = Callable[[torch.Generator], Layers]

SHAPES = ((1, 4, 2), (2, 7, 3), (3, 5, 4, 2), (4, 6, 10), (2, 3, 3, 3, 5))


def _random(widths: tuple[int, ...], generator: torch.Generator) -> Layers:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    pairs = list(itertools.pairwise(widths))
    return [1.5 * draw(out, into) / into**0.5 for into, out in pairs], [0.4 * draw(out) for _, out in pairs]


def _shape(generator: torch.Generator) -> tuple[int, ...]:
    return SHAPES[int(torch.randint(len(SHAPES), (1,), generator=generator))]


def _centred(layers: Layers, generator: torch.Generator) -> Layers:
    """The last bias moved so that no class wins everywhere in the box."""
    weights, biases = layers
    a = torch.rand(64, weights[0].shape[1], generator=generator, dtype=torch.float64)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        a = (a @ weight.T + bias).clamp_min(0.0)
    biases[-1] = biases[-1] - (a @ weights[-1].T + biases[-1]).mean(dim=0)
    return layers


def plain(generator: torch.Generator) -> Layers:
    return _centred(_random(_shape(generator), generator), generator)


def dead(generator: torch.Generator) -> Layers:
    """Units that are never on, and units that no input moves."""
    layers = _random(_shape(generator), generator)
    for weight, bias in zip(layers[0][:-1], layers[1][:-1], strict=True):
        bias[::3] -= 50.0
        weight[1::3] = 0.0
    return _centred(layers, generator)


def integers(generator: torch.Generator) -> Layers:
    """Weights in {−1, 0, 1}: kinks that coincide, and ties."""
    weights, biases = _random(_shape(generator), generator)
    return [w.round().clamp(-1.0, 1.0) for w in weights], [(2.5 * b).round() / 2.0 for b in biases]


def twins(generator: torch.Generator) -> Layers:
    """Two units a layer that switch at the same place, in opposite directions."""
    weights, biases = _random(_shape(generator), generator)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        weight[-1], bias[-1] = -weight[0], -bias[0]
    return _centred((weights, biases), generator)


def unequal(generator: torch.Generator) -> Layers:
    """Units of sizes from 1e-8 to 1e8, undone in the next layer."""
    weights, biases = _random(_shape(generator), generator)
    for k in range(len(weights) - 1):
        size = 10.0 ** (16.0 * torch.rand(len(biases[k]), generator=generator, dtype=torch.float64) - 8.0)
        weights[k], biases[k] = weights[k] * size[:, None], biases[k] * size
        weights[k + 1] = weights[k + 1] / size
    return _centred((weights, biases), generator)


def huge(generator: torch.Generator) -> Layers:
    weights, biases = plain(generator)
    return [1e8 * w for w in weights], [1e8 ** (k + 1) * b for k, b in enumerate(biases)]


def tiny(generator: torch.Generator) -> Layers:
    weights, biases = plain(generator)
    return [1e-8 * w for w in weights], [1e-8 ** (k + 1) * b for k, b in enumerate(biases)]


def meeting(generator: torch.Generator) -> Layers:
    """All kinks of the first layer meet, within 1e-6, in the middle of the box."""
    weights, biases = _random(_shape(generator), generator)
    biases[0] = 1e-6 * biases[0] - 0.5 * weights[0].sum(dim=1)
    return weights, biases


def silent(generator: torch.Generator) -> Layers:
    """A layer of zeros: constant logits."""
    weights, biases = _random(_shape(generator), generator)
    weights[-1] = torch.zeros_like(weights[-1])
    return weights, biases


def equal(generator: torch.Generator) -> Layers:
    """Two logits that differ by a constant."""
    weights, biases = plain(generator)
    weights[-1][-1], biases[-1][-1] = weights[-1][0], biases[-1][0] - 1e-3
    return weights, biases


KINDS: tuple[Kind, ...] = (
    plain, dead, integers, twins, unequal, huge, tiny, meeting, silent, equal
)  # fmt: skip


def hard(kind: Kind, seed: int) -> Hard:
    """A network of one kind, and two images: on a grid, and with saturated pixels."""
    generator = torch.Generator().manual_seed(seed)
    weights, biases = kind(generator)
    layers: list[nn.Module] = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0]).double()
        linear.weight.data, linear.bias.data = weight.clone(), bias.clone()
        layers += [linear, nn.ReLU()]
    x = torch.rand(2, weights[0].shape[1], generator=generator, dtype=torch.float64)
    x[0] = (4.0 * x[0]).round() / 4.0
    x[1] = torch.where(x[1] < 0.3, 0.0, torch.where(x[1] > 0.7, 1.0, x[1]))
    return Hard(nn.Sequential(*layers[:-1]).eval(), x)
