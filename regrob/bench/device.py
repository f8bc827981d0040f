"""Rows of the benchmark for one device: many networks at once against one by one, and against the card.

On CUDA the rows have their full size. On any other device they are small, to see that they run.
"""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from regrob.attacks import pgd
from regrob.bench.harness import Benchmark, BenchmarkResult, SkippedError, by_turns, ratios
from regrob.bench.steps import autograd_step, batch, double_backward, fused_step
from regrob.bench.training import product_rates
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.graphs import exact_float32
from regrob.ensembles.network_view import StackedPullback
from regrob.networks import fresh
from regrob.theory.penalties import PENALTY_NAMES


def rows(device: str) -> list[Benchmark]:
    """The rows for a device, spelt as torch spells it."""
    return [
        Benchmark(
            "at-once-mlp",
            "model-steps a second, 320 LeNet-300-100 at once / one by one, four penalties, K=2",
            lambda quick: at_once("lenet-300-100", 320, device, quick),
            None,
            50.0 if device.startswith("cuda") else None,
        ),
        Benchmark(
            "at-once-lenet5",
            "model-steps a second, 80 LeNet-5 at once / one by one, four penalties, K=2",
            lambda quick: at_once("lenet-5", 80, device, quick),
        ),
        Benchmark(
            "attack-mlp",
            "PGD-40 over 320 LeNet-300-100, 64 images each: one by one / all at once",
            lambda quick: _attack("lenet-300-100", 320, device, quick),
        ),
        Benchmark(
            "attack-lenet5",
            "PGD-40 over 80 LeNet-5, 64 images each: one by one / all at once",
            lambda quick: _attack("lenet-5", 80, device, quick),
        ),
        Benchmark(
            "products",
            "rate of the products in a step of 320 LeNet-300-100 / rate of one large product, float32",
            lambda quick: _products(device, quick),
        ),
    ]


def on_cuda() -> Benchmark:
    """The processor's table has one row about a GPU, skipped where there is none."""
    title = "model-steps a second, 320 LeNet-300-100 at once / one by one, CUDA"
    return Benchmark("cuda", title, lambda quick: at_once("lenet-300-100", 320, "cuda", quick), None, 50.0)


def _size(full: int, device: str, quick: bool) -> int:
    """How many members: all of them on CUDA, a few elsewhere."""
    if not device.startswith("cuda"):
        return 4
    if not torch.cuda.is_available():
        raise SkippedError("no CUDA device here")
    exact_float32()
    return max(4, full // 16) if quick else full


def at_once(name: str, full: int, device: str, quick: bool) -> BenchmarkResult:
    """Members' steps a second, stacked and recorded, over a loop's of double backward."""
    members = _size(full, device, quick)
    contenders = {
        "stacked": fused_step(name, 2, PENALTY_NAMES, members=members, device=device),
        "one by one": autograd_step(name, 2, double_backward(PENALTY_NAMES), device=device),
    }
    seconds = by_turns(contenders, 3 if quick else 20)
    each = statistics.median(seconds["stacked"]) / members
    facts = {
        "model-steps a second": 1 / each,
        "one by one, model-steps a second": 1 / statistics.median(seconds["one by one"]),
        "members": members,
    }
    if device.startswith("cuda"):
        facts["MiB allocated at most"] = torch.cuda.max_memory_allocated() / 2**20
    speedups = [ratio * members for ratio in ratios(seconds, "one by one", "stacked")]
    return BenchmarkResult(speedups, facts=facts)


def _attack(name: str, full: int, device: str, quick: bool) -> BenchmarkResult:
    members = _size(full, device, quick)
    nets = [network.to(device).eval() for network in fresh(name, 2, range(members))]
    together = StackedPullback(Ensemble(nets))
    x, _ = (value[0] for value in batch(2, device=device))
    x = x if device.startswith("cuda") else x[:2]
    every = x.repeat(members, 1, 1, 1)
    with torch.no_grad():
        labels = together(every).argmax(dim=1).view(members, -1)
    some = range(min(members, 8))

    def stacked() -> Tensor:
        return pgd(together, every, labels.flatten(), epsilon=0.1).success

    def loop() -> Tensor:
        return torch.stack([pgd(nets[m], x, labels[m], epsilon=0.1).success for m in some])

    apart = (stacked().view(members, -1)[: len(some)] != loop()).double().mean()
    seconds = by_turns({"stacked": stacked, "loop": loop}, 1 if quick else 5)
    share = members / len(some)
    speedups = [ratio * share for ratio in ratios(seconds, "loop", "stacked")]
    facts = {
        "attacked images a second": len(every) / statistics.median(seconds["stacked"]),
        "successes that differ": float(apart),
    }
    return BenchmarkResult(speedups, sound=float(apart) <= 0.05, facts=facts)


def _products(device: str, quick: bool) -> BenchmarkResult:
    members = _size(320, device, quick)
    size = 8192 if device.startswith("cuda") and not quick else 512
    rates, rate = product_rates(members, size, 3 if quick else 20, device=device)
    return BenchmarkResult(rates, facts={"large product, Gflop/s": rate})
