"""Points of two interleaved arcs in the plane, and small networks that tell them apart."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from regrob.networks import mlp
from regrob.training.single import objective


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


def trained_on_arcs(*, seed: int, steps: int = 250) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A 2-10-10-2 perceptron in float64, trained on 240 points of `two_arcs`; and the points and labels.

    Args:
        seed: of the points and of the network.
        steps: of training; after 250 it has all points right.
    """
    generator = torch.Generator().manual_seed(seed)
    points, labels = two_arcs(240, generator)
    network = mlp((2, 10, 10, 2), generator=generator).double()
    _descend(network, points, labels, None, 0.0, steps)
    return network, points, labels


def tuned_on_arcs(
    network: nn.Sequential, points: Tensor, labels: Tensor, *, penalty: str, weight: float
) -> nn.Sequential:
    """A copy of a network, trained on with a penalty.

    Args:
        network: of `trained_on_arcs`; it stays as it is.
        points: (N, 2).
        labels: (N,).
        penalty: one of PENALTIES.
        weight: its λ.
    """
    tuned = copy.deepcopy(network)
    _descend(tuned, points, labels, penalty, weight, 120)
    return tuned


def _descend(
    network: nn.Sequential, points: Tensor, labels: Tensor, penalty: str | None, weight: float, steps: int
) -> None:
    """Full-batch Adam on the penalised loss, in place."""
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        loss, term = objective(network, points, labels, penalty)
        (loss + weight * term).backward()
        optimiser.step()
