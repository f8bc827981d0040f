"""What it costs to examine a network, against the gradients that no examination can do without."""

from __future__ import annotations

import torch

from regrob.bench import steps
from regrob.bench.harness import Benchmark, BenchmarkResult, by_turns, ratios
from regrob.examination import examine

IMAGES, CLASSES = 32, 10
"""Of a batch whose gradients are the rival; two batches are examined."""


def rows() -> list[Benchmark]:
    """The rows of the table."""
    title = (
        f"examine, ResNet-18 on {2 * IMAGES} images 3×32×32, no attacks or certificates / "
        f"K backward passes of each image, in batches of {IMAGES}"
    )
    return [Benchmark("examine", title, _examine, 3.0)]


def _examine(quick: bool) -> BenchmarkResult:
    network = steps.resnet_18(16 if quick else 64, CLASSES).eval()
    count = 4 if quick else 2 * IMAGES  # the trials on the first images are paid once
    images = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def gradients() -> None:
        for part in images.split(IMAGES):
            x = part.clone().requires_grad_(True)
            z = network(x)
            for k in range(CLASSES):
                torch.autograd.grad(z[:, k].sum(), x, retain_graph=True)

    contenders: dict[str, steps.TrainingStep] = {
        "ours": lambda: examine(network, images, sample=0),
        "gradients": gradients,
    }
    seconds = by_turns(contenders, 1 if quick else 7)
    each = 1e3 * sorted(seconds["gradients"])[len(seconds["gradients"]) // 2] / count
    return BenchmarkResult(ratios(seconds, "ours", "gradients"), facts={"gradients, ms an image": each})
