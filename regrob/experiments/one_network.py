"""One LeNet-300-100, trained while a chapter is read, and its affine maps at held-out digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine import local_map
from regrob.data import Task
from regrob.networks import lenet_300_100
from regrob.training import accuracy, train

Keep = Callable[[Tensor, Tensor, Tensor], Tensor]


class HeldOut(NamedTuple):
    """A trained network in float64, and N held-out digits of n pixels with K classes.

    Attributes:
        network: in float64.
        images: (N, n).
        V: (N, n, K), the local Jacobians.
        z: (N, K), the logits.
        y: (N,), the labels.
        accuracy: on all held-out digits of the task, before the change to float64.
    """

    network: nn.Sequential
    images: Tensor
    V: Tensor
    z: Tensor
    y: Tensor
    accuracy: float


def trained_lenet(task: Task, *, iterations: int) -> nn.Sequential:
    """LeNet-300-100 for the classes of a task, trained without a penalty; weights and order of seed 0."""
    network = lenet_300_100(len(task.classes), generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=iterations, seed=0)
    return network


def lenet_at_held_out(
    task: Task, *, iterations: int, chosen: slice = slice(None), keep: Keep | None = None
) -> HeldOut:
    """Train LeNet-300-100 as `trained_lenet` does, and take its affine maps at held-out digits.

    Args:
        task: the digits.
        iterations: of training.
        chosen: which of the held-out digits.
        keep: of these, only those where keep(V, z, y), a mask (N,), is true; None for all.
    """
    network = trained_lenet(task, iterations=iterations)
    right = accuracy(network, task.test_images, task.test_labels)
    network = network.double()
    images, y = task.test_images[chosen].double().flatten(1), task.test_labels[chosen]
    V, z = local_map(network, images)
    if keep is not None:
        kept = keep(V, z, y)
        images, V, z, y = images[kept], V[kept], z[kept], y[kept]
    return HeldOut(network, images, V, z, y, right)
