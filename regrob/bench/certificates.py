"""Rows of the benchmark about proofs: how soon the interval around a digit closes, and how far it does.

The peer of the linear bounds alone is auto_LiRPA.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from regrob.bench.harness import Benchmark, BenchmarkResult, SkippedError, by_turns, ratios
from regrob.certificates import linear_radius
from regrob.data import datasets
from regrob.examination import certify
from regrob.networks import lenet_300_100, mlp
from regrob.training import train

HALVED = 3e-3
"""What 12 halvings of the interval from 0 to 6 leave open, as a share of a radius of a half."""

SEED = 3
"""Of the first weights."""


def rows() -> list[Benchmark]:
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
        Benchmark(
            "closed-24", f"mlp 784-24-24-2, 1 against 7: {seconds}", lambda q: _closed(small, False, q), 1.0
        ),
        Benchmark(
            "closed-50", f"mlp 784-50-50-10, ten digits: {seconds}", lambda q: _closed(ten, True, q), 10.0
        ),
        Benchmark("certified-plain", ratio, lambda q: _certified(lenet, None, 0.0, q), at_least=0.6),
        Benchmark(
            "certified-jacobian",
            f"{ratio}, after the Jacobian penalty at 0.1",
            lambda q: _certified(lenet, "jacobian", 0.1, q),
            at_least=0.5,
        ),
        Benchmark(
            "certified-curvature",
            f"{ratio}, after the curvature penalty at 1.6",
            lambda q: _certified(lenet, "curvature", 1.6, q),
            at_least=0.7,
        ),
        Benchmark(
            "linear-plain",
            "plain linear bound, ℓ2, 100 digits at once, LeNet-300-100: ours / auto_LiRPA's, 12 halvings",
            _linear_plain,
            0.7,
        ),
        Benchmark(
            "linear-best",
            "median certified ℓ2, LeNet-300-100: ours in the box of pixels / auto_LiRPA's α-CROWN",
            _linear_best,
            at_least=1.2,
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


def _closed(build: Build, ten: bool, quick: bool) -> BenchmarkResult:
    network, task = _trained(build, ten, None, 0.0, quick)
    count, most = (3, 2.0) if quick else (100, 60.0)
    images, labels = task.test_images[:count], task.test_labels[:count]
    known = certify(network, images, labels, seconds=most, clock=time.process_time)
    right = [i for i, reason in enumerate(known.reasons) if reason != "misclassified"]
    closed = sum(known.reasons[i] == "closed" for i in right) / len(right)
    seconds = [float(known.seconds[i]) for i in right]
    enough = 0.95 if ten else 0.99
    return BenchmarkResult(
        seconds, sound=closed >= enough, facts={"share closed": closed, "digits": len(right)}
    )


def _certified(build: Build, penalty: str | None, weight: float, quick: bool) -> BenchmarkResult:
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
    return BenchmarkResult(ratios, sound=max(ratios) <= 1.0, facts=facts)


def _peer_radius(network: nn.Module, images: Tensor, labels: Tensor, method: str) -> Tensor:
    """auto_LiRPA's certified ℓ2 radius of two classes, by 12 halvings of the interval from 0 to 6."""
    peer: Any = importlib.import_module("auto_LiRPA")
    bounded = peer.BoundedModule(network, images, bound_opts={"optimize_bound_args": {"iteration": 20}})
    right = torch.nn.functional.one_hot(labels, 2).to(images)[:, None]
    low, high = torch.zeros(len(images)), torch.full((len(images),), 6.0)
    for _ in range(12):
        middle = (low + high) / 2
        ball = peer.PerturbationLpNorm(norm=2, eps=middle[:, None])
        x = peer.BoundedTensor(images, ball)
        margins = bounded.compute_bounds(x=(x,), C=2 * right - 1, method=method, bound_upper=False)[0]
        holds = margins.detach()[:, 0] > 0
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return low


def _compared(method: str, count: int, box: tuple[float, float] | None, quick: bool) -> tuple[Any, Any]:
    """Seconds and radii, ours and the peer's, by turns on the same digits."""
    try:
        importlib.import_module("auto_LiRPA")
    except ImportError:
        raise SkippedError("the peer is not installed: auto_LiRPA") from None
    network, task = _trained(lambda generator: lenet_300_100(2, generator=generator), False, None, 0.0, quick)
    images, labels = task.test_images[:count], task.test_labels[:count]
    radii: dict[str, Tensor] = {}

    def ours() -> None:
        radii["ours"] = linear_radius(network, images, labels, box=box, tolerance=HALVED, check=False)

    def theirs() -> None:
        radii["theirs"] = _peer_radius(network, images, labels, method)

    seconds = by_turns({"ours": ours, "theirs": theirs}, 1 if quick or box else 5, time.process_time)
    return seconds, radii


def _linear_plain(quick: bool) -> BenchmarkResult:
    seconds, radii = _compared("CROWN", 4 if quick else 100, None, quick)
    off = float((radii["ours"] - radii["theirs"]).abs().max())
    each = statistics.median(seconds["ours"]) / len(radii["ours"])
    facts = {"largest difference of the radii": off, "ours, seconds a digit": each}
    return BenchmarkResult(ratios(seconds, "ours", "theirs"), sound=off <= 0.01, facts=facts)


def _linear_best(quick: bool) -> BenchmarkResult:
    seconds, radii = _compared("alpha-CROWN", 2 if quick else 20, (0.0, 1.0), quick)
    ratio = float(radii["ours"].median() / radii["theirs"].median())
    share = statistics.median(ratios(seconds, "ours", "theirs"))
    return BenchmarkResult([ratio], sound=share <= 0.1, facts={"seconds, ours / theirs": share})
