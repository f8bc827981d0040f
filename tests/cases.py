"""The table of networks that the tests run over, built from torch alone.

Importing `regrob` here would let a fault hide itself: weights, biases and statistics are
random, float64, and no pre-activation is likely to be zero at the random images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Skip(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def linear(classes: int) -> nn.Module:
    return nn.Linear(5, classes)


def without_bias(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 9, bias=False),
        nn.ReLU(),
        nn.Linear(9, 7, bias=False),
        nn.ReLU(),
        nn.Linear(7, classes, bias=False),
    )


def with_bias(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, classes))


def leaky(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 9), nn.LeakyReLU(0.1), nn.Linear(9, 7), nn.LeakyReLU(-0.5), nn.Linear(7, classes)
    )


def parametric(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.PReLU(8), nn.Linear(8, classes))


def skip(classes: int) -> nn.Module:
    body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
    return nn.Sequential(nn.Linear(5, 6), Skip(body), nn.ReLU(), Skip(nn.Linear(6, 6)), nn.Linear(6, classes))


def batch_norm(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, classes)
    )


def relu_then_pool(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 6),
        nn.ReLU(),
        nn.Linear(6, classes),
    )


def pool_then_relu(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.AvgPool2d(3),
        nn.Flatten(),
        nn.Linear(3, classes),
    )


@dataclass(frozen=True)
class Case:
    """A network, three images and their labels, of which the last is wrong."""

    name: str
    classes: int
    network: nn.Module
    images: Tensor
    y: Tensor


BUILDERS: dict[Callable[[int], nn.Module], tuple[int, ...]] = {
    linear: (5,),
    without_bias: (5,),
    with_bias: (5,),
    leaky: (5,),
    parametric: (5,),
    skip: (5,),
    batch_norm: (5,),
    relu_then_pool: (1, 6, 6),
    pool_then_relu: (1, 6, 6),
}
CLASSES = (2, 3, 5, 10)
NAMES = [f"{build.__name__}-{classes}" for build in BUILDERS for classes in CLASSES]


def case(name: str) -> Case:
    """Build the case called "builder-K", the same numbers each time."""
    kind, classes = name.split("-")
    build, shape = next((b, s) for b, s in BUILDERS.items() if b.__name__ == kind)
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    with torch.random.fork_rng():
        network = build(int(classes)).double().eval()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            fan_in = max(1, value[0].numel()) if value.ndim > 1 else 4
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(noise.abs() + 0.5 if key.endswith("running_var") else noise * (2 / fan_in) ** 0.5)
    images = torch.rand(3, *shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        y = network(images).argmax(dim=-1)
    y[-1] = (y[-1] + 1) % int(classes)
    return Case(name, int(classes), network, images, y)
