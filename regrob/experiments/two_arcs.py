"""Points of two interleaved arcs in the plane, and a small network that tells them apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regrob.networks import mlp


def two_arcs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points around two interleaved half circles: (count, 2), float64; and labels 0 and 1 by turns.

    Args:
        count: of points.
        generator: of places and noise.
    """
    turn = torch.pi * torch.rand(count, generator=generator)
    labels = torch.arange(count) % 2
    arc = torch.stack([turn.cos() - 0.5, turn.sin() - 0.25], dim=1)
    noise = 0.08 * torch.randn(count, 2, generator=generator)
    points = 0.62 * (1 - 2 * labels[:, None]) * arc + noise
    return points.double(), labels


def trained_on_arcs(*, seed: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A 2-10-10-2 perceptron in float64, trained on 240 points of `two_arcs`; and the points and labels."""
    generator = torch.Generator().manual_seed(seed)
    points, labels = two_arcs(240, generator)
    network = mlp((2, 10, 10, 2), generator=generator).double()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(250):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(points), labels).backward()
        optimiser.step()
    return network, points, labels
