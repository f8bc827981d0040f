"""A network as dense layers, against the network itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from regrob.affine import relu_layers
from regrob.errors import InputError, NotPiecewiseLinearError, UnsuitableNetworkError
from regrob.networks import Residual, lenet_5, mlp, scatter_biases


def drawn(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Written(nn.Module):
    """Functions in place of modules; weights that are rectified themselves; a ReLU that overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 7), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.linear(x.flatten(1) * 2 - 1, self.first.weight.relu(), self.first.bias)
        h = functional.relu(h, inplace=True)
        h = torch.relu_(h.flip(1) - 0.1)
        return self.second((h[:, ::2].clamp(min=0) @ torch.ones(4, 7).to(h)).clamp_min(0.0))


def convolutional() -> nn.Sequential:
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout(),
        nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.Linear(5, 3),
    )  # fmt: skip
    norm = network[1]
    nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.uniform_(norm.weight, -1.0, 1.0)
    return scatter_biases(network, 0.3)


NETWORKS = {
    "mlp": (lambda: scatter_biases(mlp((6, 150, 4, 3)), 0.3), (6,), 3),
    "affine": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), (2, 3), 1),
    "without biases": (lambda: mlp((6, 5, 5, 2), bias=False), (6,), 3),
    "written by hand": (Written, (2, 3), 5),
    "convolutional": (convolutional, (2, 6, 6), 3),
    "constant": (lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Constant()), (2,), 1),
}


class Constant(nn.Module):
    """Looks at its input and returns the same logits whatever it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.0 * x + torch.tensor([1.0, 2.0]).to(x)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layers_are_the_network(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    build, shape, depth = NETWORKS[name]
    network = build().to(dtype).eval()
    if name == "constant":
        depth = 2
    layers = relu_layers(network, drawn((2, *shape)).to(dtype))
    assert len(layers.weights) == len(layers.biases) == depth
    assert {t.dtype for t in (*layers.weights, *layers.biases)} == {torch.float64}
    x = drawn((20, *shape), seed=1)
    with torch.no_grad():
        expected = network.double()(x)
    assert (layers.logits(x.flatten(1)) - expected).abs().max() <= 1e-13 * expected.abs().max()
    wrong = layers._replace(biases=(layers.biases[0] * 1.001 + 1e-6, *layers.biases[1:]))
    if name != "constant":
        assert (wrong.logits(x.flatten(1)) - expected).abs().max() > 1e-9 * expected.abs().max()


def test_linear_layers_come_as_they_are() -> None:
    network = scatter_biases(mlp((6, 150, 4, 3)), 0.3)
    layers = relu_layers(network, torch.zeros(1, 6))
    linear = [m for m in network if isinstance(m, nn.Linear)]
    for layer, weight, bias in zip(linear, layers.weights, layers.biases, strict=True):
        assert torch.equal(weight, layer.weight.double())
        assert torch.equal(bias, layer.bias.double())
    assert not any(t.requires_grad for t in (*layers.weights, *layers.biases))


def test_the_preactivations_are_what_the_relus_get() -> None:
    network = scatter_biases(mlp((6, 5, 4, 3)), 0.3).double()
    x = drawn((7, 6))
    found = relu_layers(network, x).preactivations(x)
    for depth, got in zip((2, 4, 6), found, strict=True):
        assert torch.allclose(got, network[:depth](x), atol=1e-14, rtol=0)


class Skips(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu() + x


class Halved(nn.Module):
    """Computes in float32 whatever it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().relu().to(x)


@pytest.mark.parametrize(
    ("network", "shape", "error", "words"),
    [
        (lenet_5().eval(), (1, 28, 28), UnsuitableNetworkError, "max_pool2d"),
        (mlp((4, 3, 2), slope=0.1), (4,), UnsuitableNetworkError, "leaky_relu"),
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU6()), (4,), UnsuitableNetworkError, "ReLU6"),
        (nn.Sequential(nn.Linear(4, 3), nn.Hardtanh(0.0, 2.0)), (4,), UnsuitableNetworkError, "Hardtanh"),
        (Skips(), (4,), UnsuitableNetworkError, "the images"),
        (
            nn.Sequential(nn.ReLU(), Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))),
            (4,),
            UnsuitableNetworkError,
            "ReLU '0', ReLU '1.body.1'",
        ),
        (nn.Sequential(nn.Linear(4, 3), nn.Threshold(0.0, 1.0)), (4,), UnsuitableNetworkError, "Threshold"),
        (nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,), NotPiecewiseLinearError, "tanh"),
        (Halved(), (4,), InputError, "float32"),
        (mlp((4, 3, 2)), (5,), InputError, "cannot read"),
    ],
)
def test_what_is_no_chain_is_refused_by_name(network, shape, error, words) -> None:
    with pytest.raises(error, match=words):
        relu_layers(network, drawn((1, *shape)).float())


@pytest.mark.parametrize("low", [0.25, torch.tensor(0.25)])
def test_a_clamp_elsewhere_is_no_relu(low: float | torch.Tensor) -> None:
    class Clamped(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.clamp(min=low)

    with pytest.raises(UnsuitableNetworkError, match="elsewhere than at zero"):
        relu_layers(Clamped(), torch.ones(1, 3))
