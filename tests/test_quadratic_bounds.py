"""The paraboloid below the margin: it is below, everywhere; and what it certifies is never too much."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from exact_distances import layers_of, nearest_mistake
from torch import Tensor, nn

from regrob.affine import MaxLayer, max_layers
from regrob.attacks import boundary_projection
from regrob.certificates import quadratic_bounds, quadratic_radius
from regrob.certificates.quadratic_bounds import Paraboloid, below, largest_eigenvalue
from regrob.errors import InputError, UnsuitableNetworkError
from regrob.networks import scatter_biases


def pooled(seed: int, *, scale: float = 1.0) -> nn.Sequential:
    """A convolution, a ReLU, a max-pool of two, and three logits."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv1d(1, 2, 2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 3)
    ).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    scatter_biases(network, 0.3, generator)
    for parameter in network[0].parameters():
        parameter.data *= scale
    network[4].weight.data /= scale
    return network.eval()


def with_relus_alone(network: nn.Sequential) -> nn.Sequential:
    """The same function: max(a, b, 0) = max(max(a − b, 0) + max(b, 0) − max(−b, 0), 0)."""
    (layer,) = (made := max_layers(network, torch.zeros(1, 1, 5).double())).layers
    left, right = (layer.windows[:, i] for i in (0, 1))
    W, b = layer.weight, layer.bias
    first, second, last = nn.Linear(5, 12).double(), nn.Linear(12, 4).double(), nn.Linear(4, 3).double()
    eye = torch.eye(4).double()
    first.weight.data = torch.cat([W[left] - W[right], W[right], -W[right]])
    first.bias.data = torch.cat([b[left] - b[right], b[right], -b[right]])
    second.weight.data, second.bias.data = torch.cat([eye, eye, -eye], dim=1), torch.zeros(4).double()
    last.weight.data, last.bias.data = made.weight, made.bias
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


def case(seed: int, **settings: float) -> tuple[nn.Sequential, Tensor, Tensor]:
    network = pooled(seed, **settings)
    images = torch.rand(2, 1, 5, generator=torch.Generator().manual_seed(seed)).double()
    images[1] = (4 * images[1]).round() / 4  # ties, and pixels at the edge
    with torch.no_grad():
        return network, images, network(images).argmax(dim=1)


@pytest.mark.parametrize("seed", [2, 3])
def test_never_above_the_exact_distance_and_not_far_below(seed: int) -> None:
    network, images, labels = case(seed)
    certified = quadratic_radius(network, images, labels, rounds=2)
    weights, biases = layers_of(with_relus_alone(network))
    truth = torch.tensor(
        [
            nearest_mistake(weights, biases, x.flatten(), int(y)).distance
            for x, y in zip(images, labels, strict=True)
        ]
    ).double()
    assert bool((certified <= truth * (1 + 1e-9)).all())
    assert bool((certified > 0.05 * truth.clamp_max(2.0)).all())


def layer_at(gap: float) -> quadratic_bounds._At:
    """h = max(δ, −δ − gap)."""
    weight = torch.tensor([[1.0], [-1.0]]).double()
    heights = torch.tensor([0.0, -gap]).double()
    layer = MaxLayer(weight, heights, torch.tensor([[0, 1]]), floor=False)
    return quadratic_bounds._At.of(layer, heights)


def holds(bound: Paraboloid, under: Paraboloid, gap: float) -> bool:
    """Whether the one is below the other at each of many δ."""
    d = torch.linspace(-6.0, 6.0, 2001).double()
    eta = torch.maximum(d, -d - gap)
    upper = bound.constant + float(bound.slopes) * eta - bound.curvature * eta.square()
    lower = under.constant + float(under.slopes) * d - under.curvature * d.square()
    return bool((lower <= upper + 1e-12).all())


@pytest.mark.parametrize("slope", [-2.0, -1.0, -0.3, 0.0, 0.8])
@pytest.mark.parametrize("curvature", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("gap", [0.0, 1.0])
@pytest.mark.parametrize("move", [0.1, 1.0])
def test_below_at_every_point(slope: float, curvature: float, gap: float, move: float) -> None:
    bound = Paraboloid(3.0, torch.tensor([slope]).double(), curvature)
    assert holds(bound, below(layer_at(gap), bound, move), gap)


def test_a_gap_twice_as_large_would_pay_too_much() -> None:
    bound = Paraboloid(3.0, torch.tensor([-1.0]).double(), 0.25)
    at = layer_at(1.0)
    assert holds(bound, below(at, bound, 0.1), 1.0)
    assert not holds(bound, below(replace(at, gaps=2 * at.gaps), bound, 0.1), 1.0)


def test_a_curvature_slightly_too_small_is_seen() -> None:
    bound = Paraboloid(3.0, torch.tensor([0.0]).double(), 1.0)
    under = below(layer_at(0.0), bound, 0.1)
    assert holds(bound, under, 0.0)
    assert not holds(bound, under._replace(curvature=0.49 * under.curvature), 0.0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_below_the_margin_of_a_network(scale: float) -> None:
    network, images, labels = case(5, scale=scale)
    certified = quadratic_radius(network, images, labels, box=None)
    assert bool((certified > 0).all())
    found = boundary_projection(network, images, labels, box=None).images
    assert bool((certified <= torch.linalg.vector_norm((found - images).flatten(1), dim=1)).all())
    same = quadratic_radius(case(5)[0], images, labels, box=None)
    assert torch.allclose(certified, same, rtol=1e-3)


def test_exact_on_an_affine_network_and_misclassified_is_zero() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).double()
    network[1].weight.data = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]).double()
    network[1].bias.data = torch.tensor([0.0, 1.0]).double()
    x = torch.tensor([[0.9, 0.6, 0.3]]).double()  # margin 1.1, slopes (1, 2, 0)
    radius = quadratic_radius(network, x, torch.tensor([0]))
    assert float(radius) == pytest.approx(1.1 / 5**0.5, rel=1e-6)
    assert float(quadratic_radius(network, x, torch.tensor([1]))) == 0.0


def test_the_box_helps_and_is_asked_of_the_images() -> None:
    network, images, labels = case(1)
    inside = quadratic_radius(network, images, labels)
    assert bool((inside >= quadratic_radius(network, images, labels, box=None) * (1 - 1e-6)).all())
    with pytest.raises(InputError, match="outside the box"):
        quadratic_radius(network, images + 1.0, labels)


def test_the_largest_eigenvalue_from_above() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (1, 5, 40):
        W = torch.randn(size, size, dtype=torch.float64, generator=generator)
        exact = float(torch.linalg.eigvalsh(W @ W.T)[-1])
        assert exact <= largest_eigenvalue(W @ W.T, 0.0) <= 1.04 * exact
    assert largest_eigenvalue(torch.full((2, 2), torch.inf).double(), 0.0) == float("inf")


def test_other_networks_are_refused_by_name() -> None:
    x = torch.rand(1, 4).double()
    y = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(UnsuitableNetworkError, match="leaky_relu"):
        quadratic_radius(nn.Sequential(nn.Linear(4, 3), nn.LeakyReLU(), nn.Linear(3, 2)).double(), x, y)
