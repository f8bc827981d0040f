"""The exact distances that certificates are held against agree with each other, and with closed forms."""

from __future__ import annotations

import itertools
import math

import exact_distances
import numpy as np
import pytest
import torch
from exact_distances import layers_of, leads, nearest_mistake, nearest_mistake_by_milp
from hard_networks import hard, unequal
from torch import nn

from regrob.affine import relu_layers
from regrob.certificates import Search
from regrob.certificates.enumeration import distance_to_mistake


def network(*widths: int, seed: int, slope: float = 0.0) -> nn.Sequential:
    """A small network with biases that scatter its kinks."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        linear = nn.Linear(fan_in, fan_out).double()
        for parameter in linear.parameters():
            torch.nn.init.normal_(parameter, std=fan_in**-0.5, generator=generator)
        layers += [linear, nn.LeakyReLU(slope) if slope else nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def point(n: int, seed: int) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def own_class(model: nn.Module, x: torch.Tensor) -> int:
    return int(model(x[None]).argmax())


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_without_hidden_units_the_distance_is_the_margin_over_the_dual_norm(norm: float) -> None:
    model = network(6, 4, seed=1)
    (weight,), (bias,) = layers_of(model)
    x = point(6, 2)
    label = own_class(model, x)
    dual = math.inf if norm == 1 else 1.0 if norm == math.inf else norm / (norm - 1)
    z = weight @ x.numpy() + bias
    expected = min(
        (z[label] - z[j]) / np.linalg.norm(weight[label] - weight[j], ord=dual)
        for j in range(4)
        if j != label
    )
    found = nearest_mistake([weight], [bias], x, label, norm=norm, box=None)
    assert found.distance == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_in_the_plane_it_is_the_enumeration_of_polygons(slope: float) -> None:
    compared = 0
    for seed in range(8):
        model, x = network(2, 5, 5, 3, seed=seed, slope=slope), point(2, seed)
        label = own_class(model, x)
        found = nearest_mistake(*layers_of(model), x, label, box=(-4.0, 4.0), slope=slope).distance
        if found > 3:  # the enumeration refuses what the square's edge may hide
            continue
        compared += 1
        assert found == pytest.approx(float(distance_to_mistake(model, x, label, low=-4, high=4)), rel=1e-9)
        if slope:  # the tooth: of another slope it is another distance
            other = nearest_mistake(*layers_of(model), x, label, box=(-4.0, 4.0), slope=0.5).distance
            assert abs(other - found) > 1e-6
    assert compared >= 4


def test_for_the_maximum_norm_it_is_the_mixed_integer_programme() -> None:
    finite = 0
    for seed in range(6):
        model, x = network(4, 6, 5, 3, seed=seed), point(4, seed)
        label = own_class(model, x)
        found = nearest_mistake(*layers_of(model), x, label, norm=math.inf).distance
        whole = nearest_mistake_by_milp(*layers_of(model), x, label)
        assert found == pytest.approx(whole, abs=1e-6)
        finite += math.isfinite(found)
    assert finite >= 3


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_the_mistake_is_one_and_no_random_point_is_nearer(norm: float) -> None:
    model, x = network(3, 6, 4, 3, seed=4), point(3, 4)
    label = own_class(model, x)
    found = nearest_mistake(*layers_of(model), x, label, norm=norm)
    assert found.point is not None and found.point.min() > -1e-9 and found.point.max() < 1 + 1e-9
    assert np.linalg.norm(found.point - x.numpy(), ord=norm) == pytest.approx(found.distance)
    z = model(torch.from_numpy(found.point)[None])[0].detach()
    assert float(z[label] - z[[j for j in range(3) if j != label]].max()) == pytest.approx(0, abs=1e-6)
    points = torch.rand(200_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wrong = points[model(points).argmax(dim=1) != label]
    nearest = float(torch.linalg.vector_norm(wrong - x, ord=norm, dim=1).min())
    assert found.distance - 1e-7 <= nearest < 1.2 * found.distance + 0.05  # from both sides


def test_the_box_moves_the_mistake_away_or_out_of_reach() -> None:
    weights, biases = [np.array([[0.0, 0.0], [1.0, 0.0]])], [np.array([0.9, 0.0])]
    assert nearest_mistake(weights, biases, [0.5, 0.5], 0).distance == pytest.approx(0.4)
    assert nearest_mistake(weights, biases, [0.5, 0.5], 0, box=(0.0, 0.8)).distance == math.inf
    assert nearest_mistake_by_milp(weights, biases, [0.5, 0.5], 0, box=(0.0, 0.8)) == math.inf


def test_dead_units_ties_and_scales_do_no_harm() -> None:
    weights = [np.array([[1.0, 0.0], [0.0, 0.0], [1e8, 1e8]]), np.array([[1.0, 5.0, 0.0], [0.0, 5.0, 1e-8]])]
    biases = [np.zeros(3), np.array([0.0, 0.0])]
    # z₀ = relu(x₀), z₁ = relu(x₀ + x₁): a tie exactly where x₁ = 0 or both are negative.
    assert nearest_mistake(weights, biases, [0.5, -0.25], 0, box=(-1.0, 1.0)).distance == pytest.approx(0.25)
    assert nearest_mistake(weights, biases, [0.5, 0.25], 0, box=(-1.0, 1.0)).distance == 0
    flat = [np.zeros((2, 3))]
    assert nearest_mistake(flat, [np.array([1.0, 0.0])], np.zeros(3), 0).distance == math.inf
    assert nearest_mistake(flat, [np.zeros(2)], np.zeros(3), 0).distance == 0


@pytest.mark.parametrize("seed", [3, 41])
def test_units_of_very_different_sizes_switch_too(monkeypatch, seed: int) -> None:
    """A row of 1e-8 beside one of 1e8 is no rounding error; the search, which knows of no sizes, agrees."""
    model, images = hard(unequal, seed)
    weights, biases = layers_of(model)
    x, label = images[1], own_class(model, images[1])
    exact = nearest_mistake(weights, biases, x, label)
    assert max(map(abs, leads(weights, biases, x, label))) > 0
    assert float(max(leads(weights, biases, exact.point, label))) > -1e-9
    search = Search(relu_layers(model, x[None]), x, label)
    assert search.advance(nodes=200) == "closed"
    assert search.certified <= exact.distance * (1 + 1e-9)
    assert search.found >= exact.distance * (1 - 1e-9)

    right = exact_distances._affine

    def by_layer(*args):  # the tooth: what is zero is judged by the largest row of the layer
        V, h, sizes = right(*args)
        return V, h, sizes * 0 + abs(V).max()

    monkeypatch.setattr(exact_distances, "_affine", by_layer)
    with pytest.raises(AssertionError, match="the nearest mistake is none"):
        nearest_mistake(weights, biases, x, label)
