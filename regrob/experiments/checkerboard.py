"""A checkerboard in the plane, and a small network that tells its two colours apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.networks import mlp

FIELD = 3.2
"""Radians a unit of input, so that a square is about one unit wide."""


def checkerboard(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points of the square [−1, 1]², (count, 2), float64, and the colours of their fields, 0 or 1.

    >>> points, labels = checkerboard(1000, torch.Generator().manual_seed(0))
    >>> abs(float(labels.double().mean()) - 0.5) < 0.1
    True
    """
    points = 2 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 1
    x, y = points.T
    return points, (torch.sin(FIELD * x + 0.5) * torch.sin(FIELD * y) > 0).long()


def trained_on_checkerboard(*, seed: int, steps: int = 400) -> nn.Sequential:
    """A 2-10-10-2 perceptron in float64, trained on fresh points of the checkerboard.

    Args:
        seed: of the points and of the network.
        steps: of training, on 256 points each.
    """
    generator = torch.Generator().manual_seed(seed)
    network = mlp((2, 10, 10, 2), generator=generator).double()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        points, labels = checkerboard(256, generator)
        optimiser.zero_grad()
        functional.cross_entropy(network(points), labels).backward()
        optimiser.step()
    return network.eval()
