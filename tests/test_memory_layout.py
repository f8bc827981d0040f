"""Networks and images in the channels-last layout, which suits convolutions, give the same numbers."""

from __future__ import annotations

import copy

import pytest
import torch
from small_task import small_task
from torch import Tensor, nn

import regrob
from regrob.affine import heights, local_map, require_piecewise_linear
from regrob.affine.graph import trace
from regrob.certificates import linear_radius
from regrob.claims import your_network
from regrob.training import train


def pooled(channels: int, classes: int) -> nn.Sequential:
    """Convolutions, both poolings and BatchNorm, for 6×6 pictures."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(channels, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, classes),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network.double().eval()


@pytest.fixture(params=["the network", "the images", "both"])
def layouts(request: pytest.FixtureRequest) -> tuple[nn.Sequential, Tensor, nn.Sequential, Tensor]:
    """A network and images, and the same with some of them in the other layout."""
    network = pooled(2, 3)
    images = torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    other, turned = copy.deepcopy(network), images
    if request.param != "the images":
        other = other.to(memory_format=torch.channels_last)
    if request.param != "the network":
        turned = images.contiguous(memory_format=torch.channels_last)
    return network, images, other, turned


def test_the_layout_changes_no_number(layouts) -> None:
    network, images, other, turned = layouts
    labels = network(images).argmax(dim=1)
    require_piecewise_linear(other, turned)
    torch.testing.assert_close(local_map(other, turned), local_map(network, images))
    torch.testing.assert_close(linear_radius(other, turned, labels), linear_radius(network, images, labels))
    known = regrob.certify(other, turned[:1], labels[:1], seconds=0.1)
    assert bool((known.certified <= known.found).all())
    prepared = your_network.prepare(other, turned), your_network.prepare(network, images)
    torch.testing.assert_close(*(each.steps for each in prepared))


def test_a_pooling_that_cannot_be_batched_is_differentiated_one_direction_at_a_time(layouts) -> None:
    network, images, other, turned = layouts
    directions = torch.randn(3, *images.shape, generator=torch.Generator().manual_seed(2)).double()
    changes = [
        heights.along(traced, traced.bends, directions)
        for traced in (trace(other, turned), trace(network, images))
    ]
    torch.testing.assert_close(*changes)


def test_a_trained_network_can_be_trained_again() -> None:
    """Training leaves the weights in the layout in which it is quickest."""
    network, task = pooled(1, 2).float(), small_task()
    for penalty in ("jacobian", "curvature"):
        train(network, task, iterations=2, penalty=penalty, weight=0.1)
