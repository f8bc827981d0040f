"""A task of two clouds of 6×6 pictures, made in a millisecond."""

from __future__ import annotations

import torch

from regrob.data.datasets import Task


def small_task(classes: int = 2, count: int = 40) -> Task:
    """Pictures around K random centres, with labels in turn."""
    generator = torch.Generator().manual_seed(11)
    centres = torch.rand(classes, 1, 6, 6, generator=generator)
    labels = torch.arange(count) % classes
    images = (centres[labels] + 0.2 * torch.randn(count, 1, 6, 6, generator=generator)).clamp(0, 1)
    half = count // 2
    return Task(
        "clouds",
        tuple(str(k) for k in range(classes)),
        images[:half],
        labels[:half],
        images[half:],
        labels[half:],
        "made in a test",
    )
