"""A network as dense maps and maxima: the same function, with a ReLU and a pool as one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrob.affine import MaxLayers, max_layers
from regrob.errors import UnsuitableNetworkError
from regrob.networks import Residual, make_every_part_matter


def logits(made: MaxLayers, x: Tensor) -> Tensor:
    h = x.flatten()
    for layer in made.layers:
        h = layer.values(layer.weight @ h + layer.bias)
    return made.weight @ h + made.bias


CHAINS = {
    "ReLU, then pool": ([nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2)], [(4, True)]),
    "pool, then ReLU": ([nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.ReLU()], [(4, True)]),
    "overlapping windows": ([nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2, stride=1)], [(4, True)]),
    "pool of pools": ([nn.Conv2d(1, 3, 3), nn.MaxPool2d(2, stride=1), nn.MaxPool2d(2)], [(16, False)]),
    "an average between": (
        [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU(), nn.MaxPool2d(2)],
        [(1, True), (4, True)],
    ),
    "BatchNorm": ([nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()], [(1, True)]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_same_function(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    body, expected = CHAINS[name]
    network = nn.Sequential(*body, nn.Flatten(), nn.LazyLinear(3)).double()
    images = torch.randn(4, 1, 6, 6, dtype=torch.float64, generator=generator)
    network(images)
    make_every_part_matter(network, images, generator)
    made = max_layers(network, images)
    assert [(layer.windows.shape[1], layer.floor) for layer in made.layers] == expected
    with torch.no_grad():
        z = network(images)
    for x, own in zip(images, z, strict=True):
        assert torch.allclose(logits(made, x), own, rtol=1e-10, atol=1e-10)
    wrong = made._replace(bias=made.bias + 1e-6)
    assert not torch.allclose(logits(wrong, images[0]), z[0], rtol=1e-10, atol=1e-10)


def test_a_skip_and_another_bend_are_refused() -> None:
    x = torch.rand(1, 4).double()
    skip = nn.Sequential(Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 3), nn.ReLU())
    with pytest.raises(UnsuitableNetworkError, match="a layer is skipped"):
        max_layers(nn.Sequential(skip, nn.Linear(3, 2)).double(), x)
    with pytest.raises(UnsuitableNetworkError, match="neither a ReLU nor a max-pool"):
        max_layers(nn.Sequential(nn.Linear(4, 4), nn.Hardtanh(), nn.Linear(4, 2)).double(), x)
