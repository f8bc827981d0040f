"""Two LeNet-300-100 that fit into a page: ten digits, without and with a penalty, at four bits a weight.

    python -m regrob.experiments.digit_networks book/results

A weight is a whole number from −7 to 7 times its row's scale. What is stored beside the weights
was measured with them as they are stored.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import torch
from torch import Tensor, nn

from regrob.attacks import boundary_projection, pgd
from regrob.data import ten_classes
from regrob.data.datasets import Task
from regrob.errors import InputError
from regrob.experiments.provenance import provenance
from regrob.experiments.stored_measurement import StoredMeasurement
from regrob.networks import lenet_300_100
from regrob.training import accuracy, train

LEVELS = 7
"""The largest whole number of four bits; −8 is not used."""

EPSILON = 0.1
SHARES = torch.linspace(0.2, 1.0, 33)
"""Of a row's largest weight: the candidates for what the largest whole number stands for."""

PENALTY, WEIGHT = "curvature", 0.5
ITERATIONS, FINE_TUNING = 6000, 4000
ATTACKED = 200
"""So many test digits get a smallest change."""


def quantise(W: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers (rows, columns), int8, and scales (rows,), whose product is nearest to W.

    >>> integers, scales = quantise(torch.tensor([[0.7, -0.31, 0.0]]))
    >>> integers.tolist(), round(float(scales[0]), 3)
    ([[7, -3, 0]], 0.1)
    """
    best = W.abs().amax(dim=1).clamp_min(torch.finfo(W.dtype).tiny) / LEVELS
    candidates = SHARES.to(W)[:, None] * best  # (shares, rows)
    integers = (W / candidates[..., None]).round().clamp(-LEVELS, LEVELS)
    errors = (integers * candidates[..., None] - W).square().sum(dim=2)
    rows = torch.arange(len(W))
    chosen = errors.argmin(dim=0)
    return integers[chosen, rows].to(torch.int8), candidates[chosen, rows]


def pack(network: nn.Sequential) -> list[dict[str, Any]]:
    """The linear layers as plain data: shape, base64 of two weights a byte, scales and biases."""
    layers = []
    for module in network:
        if isinstance(module, nn.Linear):
            integers, scales = quantise(module.weight.detach().cpu())
            nibbles = (integers.flatten().to(torch.int16) + 8).to(torch.uint8)
            nibbles = torch.cat([nibbles, nibbles.new_full((len(nibbles) % 2,), 8)])
            packed = (nibbles[0::2] * 16 + nibbles[1::2]).numpy().tobytes()
            layers.append(
                {
                    "shape": list(module.weight.shape),
                    "weights": base64.b64encode(packed).decode(),
                    "scales": [float(f"{s:.6g}") for s in scales.tolist()],
                    "biases": [float(f"{b:.6g}") for b in module.bias.tolist()],
                }
            )
    return layers


def unpack(layers: list[dict[str, Any]]) -> nn.Sequential:
    """The network that `pack` stored, float64, in eval mode.

    Raises:
        InputError: layers that are not those of a LeNet-300-100.
    """
    network = lenet_300_100(10).double().eval()
    linear = [module for module in network if isinstance(module, nn.Linear)]
    shapes = [layer["shape"] for layer in layers]
    if shapes != [list(module.weight.shape) for module in linear]:
        raise InputError(f"these are not the layers of a LeNet-300-100: their shapes are {shapes}")
    with torch.no_grad():
        for module, layer in zip(linear, layers, strict=True):
            packed = torch.frombuffer(bytearray(base64.b64decode(layer["weights"])), dtype=torch.uint8)
            nibbles = torch.stack([packed // 16, packed % 16], dim=1).flatten()[: module.weight.numel()]
            integers = (nibbles.double() - 8).view(module.weight.shape)
            module.weight.copy_(integers * torch.tensor(layer["scales"]).double()[:, None])
            module.bias.copy_(torch.tensor(layer["biases"]).double())
    return network


def facts(network: nn.Sequential, task: Task) -> dict[str, float]:
    """What the test digits say of a network: shares right, without and under attack, and a mean distance."""
    network = copy.deepcopy(network).float()
    x, y = task.test_images, task.test_labels
    attacked = pgd(network, x, y, epsilon=EPSILON)
    nearest = boundary_projection(network, x[:ATTACKED], y[:ATTACKED], box=(0.0, 1.0))
    return {
        "right": accuracy(network, x, y),
        "right_under_pgd": 1 - attacked.success_rate,
        "nearest_mistake": nearest.mean_distance,
    }


def measure() -> dict[str, Any]:
    """Train both networks, quantise them, and measure what the quantised ones do."""
    task = ten_classes()
    network = lenet_300_100(10, generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=ITERATIONS, seed=0)
    stored = []
    for penalty, weight in ((None, 0.0), (PENALTY, WEIGHT)):
        tuned = copy.deepcopy(network)
        history = train(tuned, task, iterations=FINE_TUNING, penalty=penalty, weight=weight, seed=1)
        if history.diverged_at is not None:
            raise RuntimeError(f"λ = {weight:g} diverged at iteration {history.diverged_at}")
        layers = pack(tuned)
        of_quantised = facts(unpack(layers), task)
        stored.append(
            {"penalty": penalty or "none", "weight": weight, "facts": of_quantised, "layers": layers}
        )
    return {
        "task": task.name,
        "train_images": len(task.train_labels),
        "test_images": len(task.test_labels),
        "attacked_images": ATTACKED,
        "epsilon": EPSILON,
        "iterations": [ITERATIONS, FINE_TUNING],
        "networks": stored,
        "provenance": provenance(),
    }


STORED = StoredMeasurement("digit_networks.json", measure)

if __name__ == "__main__":
    STORED.command()
