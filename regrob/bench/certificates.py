"""Rows of the benchmark about proofs: how soon the interval around a digit closes, and how far it does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from regrob.bench.harness import Measurement, Row, SkippedError
from regrob.data import datasets
from regrob.examination import certify
from regrob.networks import lenet_300_100, mlp
from regrob.training import train

SEED = 3
"""Of the first weights."""


def rows() -> list[Row]:
    """Small networks until the interval is closed, LeNet-300-100 for ten seconds a digit."""
    seconds = "seconds of one core a digit until certified ≥ 0.99 found"

    def small(generator: torch.Generator) -> nn.Module:
        return mlp((784, 24, 24, 2), generator=generator)

    def ten(generator: torch.Generator) -> nn.Module:
        return mlp((784, 50, 50, 10), generator=generator)

    def lenet(generator: torch.Generator) -> nn.Module:
        return lenet_300_100(2, generator=generator)

    ratio = "certified / found in ten seconds a digit, LeNet-300-100, 1 against 7"
    return [
        Row("closed-24", f"mlp 784-24-24-2, 1 against 7: {seconds}", lambda q: _closed(small, False, q), 1.0),
        Row("closed-50", f"mlp 784-50-50-10, ten digits: {seconds}", lambda q: _closed(ten, True, q), 10.0),
        Row("certified-plain", ratio, lambda q: _certified(lenet, None, 0.0, q), at_least=0.6),
        Row(
            "certified-jacobian",
            f"{ratio}, after the Jacobian penalty at 0.1",
            lambda q: _certified(lenet, "jacobian", 0.1, q),
            at_least=0.5,
        ),
        Row(
            "certified-curvature",
            f"{ratio}, after the curvature penalty at 1.6",
            lambda q: _certified(lenet, "curvature", 1.6, q),
            at_least=0.7,
        ),
    ]


Build = Callable[[torch.Generator], nn.Module]


def _trained(
    build: Build, ten: bool, penalty: str | None, weight: float, quick: bool
) -> tuple[nn.Module, datasets.Task]:
    if datasets.default_source() != "full":
        raise SkippedError("it is about MNIST's digits, which are not here")
    task = datasets.ten_classes("full") if ten else datasets.one_versus_seven("full")
    network = build(torch.Generator().manual_seed(SEED))
    train(network, task, iterations=100 if quick else 3000)
    if penalty is not None:
        train(network, task, iterations=20 if quick else 2000, penalty=penalty, weight=weight, seed=1)
    return network.eval(), task


def _closed(build: Build, ten: bool, quick: bool) -> Measurement:
    network, task = _trained(build, ten, None, 0.0, quick)
    count, most = (3, 2.0) if quick else (100, 60.0)
    images, labels = task.test_images[:count], task.test_labels[:count]
    known = certify(network, images, labels, seconds=most, clock=time.process_time)
    right = [i for i, reason in enumerate(known.reasons) if reason != "misclassified"]
    closed = sum(known.reasons[i] == "closed" for i in right) / len(right)
    seconds = [float(known.seconds[i]) for i in right]
    enough = 0.95 if ten else 0.99
    return Measurement(seconds, sound=closed >= enough, facts={"share closed": closed, "digits": len(right)})


def _certified(build: Build, penalty: str | None, weight: float, quick: bool) -> Measurement:
    network, task = _trained(build, False, penalty, weight, quick)
    count, most = (2, 1.0) if quick else (10, 10.0)
    images, labels = task.test_images[:count], task.test_labels[:count]
    known = certify(network, images, labels, seconds=most, clock=time.process_time)
    right = [i for i, reason in enumerate(known.reasons) if reason != "misclassified"]
    ratios = [float(known.certified[i] / known.found[i]) for i in right]
    facts = {
        "certified": statistics.median(known.certified[right].tolist()),
        "found": statistics.median(known.found[right].tolist()),
    }
    return Measurement(ratios, sound=max(ratios) <= 1.0, facts=facts)
