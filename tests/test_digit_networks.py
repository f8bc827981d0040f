"""The two networks that the cover attacks: what is stored of them is what they do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from regrob.attacks import pgd
from regrob.data import ten_classes
from regrob.errors import InputError
from regrob.experiments import digit_networks
from regrob.networks import lenet_300_100


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return digit_networks.STORED.load()


def test_four_bits_give_back_the_nearest_multiples() -> None:
    network = lenet_300_100(10, generator=torch.Generator().manual_seed(0))
    again = digit_networks.unpack(digit_networks.pack(network))
    for ours, theirs in zip(network, again, strict=True):
        if not isinstance(ours, nn.Linear):
            continue
        integers, scales = digit_networks.quantise(ours.weight.detach())
        assert int(integers.abs().max()) <= digit_networks.LEVELS
        expected = integers.double() * scales.double()[:, None]
        torch.testing.assert_close(theirs.weight.detach(), expected, rtol=1e-5, atol=0)
        # No other whole numbers are nearer at these scales, and no other scale of the list is.
        error = (expected - ours.weight.detach().double()).square().sum(dim=1)
        for factor in (0.8, 1.25):
            other = scales.double() * factor
            rounded = (ours.weight.detach().double() / other[:, None]).round().clamp(-7, 7) * other[:, None]
            assert float((rounded - ours.weight.detach().double()).square().sum()) > float(error.sum())


def test_layers_of_another_network_are_refused() -> None:
    layers = digit_networks.pack(lenet_300_100(10))
    with pytest.raises(InputError, match="not the layers of a LeNet-300-100"):
        digit_networks.unpack(layers[:2])


def measured(stored: dict[str, Any]) -> list[tuple[float, float]]:
    """Shares of the embedded test digits that each network reads right, without and under attack."""
    task = ten_classes("embedded")
    x, y = task.test_images[:400], task.test_labels[:400]
    shares = []
    for network in stored["networks"]:
        model = digit_networks.unpack(network["layers"]).float()
        with torch.no_grad():
            right = float((model(x).argmax(dim=1) == y).double().mean())
        shares.append((right, 1 - pgd(model, x, y, epsilon=stored["epsilon"]).success_rate))
    return shares


def agrees(stored: dict[str, Any], shares: list[tuple[float, float]]) -> bool:
    """Whether the stored facts lie within four standard deviations of these shares."""
    for network, (right, robust) in zip(stored["networks"], shares, strict=True):
        for share, fact in ((right, "right"), (robust, "right_under_pgd")):
            stated = network["facts"][fact]
            if abs(share - stated) > 4 * (stated * (1 - stated) / 400) ** 0.5 + 0.005:
                return False
    return True


def test_the_stored_shares_are_those_of_the_stored_networks(stored: dict[str, Any]) -> None:
    shares = measured(stored)
    assert agrees(stored, shares)
    assert shares[1][1] > shares[0][1] + 0.1  # the penalty protects
    swapped = copy.deepcopy(stored)
    swapped["networks"].reverse()
    assert not agrees(swapped, shares)


def test_the_file_names_what_produced_it(stored: dict[str, Any]) -> None:
    assert stored["provenance"]["torch"] and stored["provenance"]["date"]
    assert [network["penalty"] for network in stored["networks"]] == ["none", digit_networks.PENALTY]
    assert stored["train_images"] > 50_000
