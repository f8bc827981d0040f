"""A local network is the network itself, wherever its bounds hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from local_networks import around, interval_bounds, outputs_at, random_layers

from regrob.affine.relu_layers import ReluLayers
from regrob.certificates.local_network import local_network
from regrob.certificates.semidefinite import semidefinite_bound
from regrob.errors import InputError


def margin(layers: ReluLayers, x: torch.Tensor, label: int, rival: int) -> float:
    z = layers.logits(x)
    return float(z[label] - z[rival])


@pytest.mark.parametrize("widths", [(5, 2), (5, 8, 3), (6, 9, 7, 3), (4, 6, 6, 6, 2)])
@pytest.mark.parametrize("radius", [0.05, 0.3, 2.0])
def test_the_margin_is_the_networks_in_the_ball(widths: tuple[int, ...], radius: float) -> None:
    layers = random_layers(*widths, seed=len(widths))
    image = torch.full((widths[0],), 0.4, dtype=torch.float64)
    label = int(layers.logits(image).argmax())
    rival = (label + 1) % widths[-1]
    local = around(layers, image, radius, rival=rival)
    hidden = sum(widths[1:-1])
    assert len(local.names) <= hidden
    assert not np.triu(local.units.mixing).any()
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.standard_normal(widths[0])
        step *= radius * rng.random() / np.linalg.norm(step)
        outputs = outputs_at(local, step)
        heights = layers.preactivations(image + torch.tensor(step))
        true = np.array([float(heights[layer][i]) for layer, i in local.names])
        np.testing.assert_allclose(local.units.at(step, outputs), true, atol=1e-13)
        there = local.constraints.at(step, outputs)[0]
        assert there == pytest.approx(margin(layers, image + torch.tensor(step), label, rival), abs=1e-13)


def test_a_small_ball_leaves_no_unit_and_a_large_one_leaves_all() -> None:
    layers = random_layers(5, 8, 3, seed=1)
    image = torch.full((5,), 0.4, dtype=torch.float64)
    assert len(around(layers, image, 1e-6, rival=1).names) == 0
    assert len(around(layers, image, 100.0, rival=1).names) == 8


@pytest.mark.parametrize("active", [True, False])
def test_a_split_unit_is_folded_as_its_sign_says(active: bool) -> None:
    layers = random_layers(4, 6, 5, 2, seed=3)
    image = torch.full((4,), 0.5, dtype=torch.float64)
    local = around(layers, image, 1.5)
    first = next(k for k, (layer, _) in enumerate(local.names) if layer == 0)
    part = around(layers, image, 1.5, splits={local.names[first]: active})
    assert part.names == tuple(name for name in local.names if name != local.names[first])
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(200):
        step = 0.7 * rng.standard_normal(4)
        outputs = outputs_at(local, step)
        if (local.units.at(step, outputs)[first] >= 0) is not np.bool_(active):
            continue
        seen += 1
        kept = np.delete(outputs, first)
        np.testing.assert_allclose(outputs_at(part, step), kept, atol=1e-12)
        assert part.constraints.at(step, kept)[1] <= 1e-12  # the sign holds
        assert part.constraints.at(step, kept)[0] == pytest.approx(
            local.constraints.at(step, outputs)[0], abs=1e-12
        )
    assert seen > 20


def test_the_stated_error_covers_the_rounding() -> None:
    """Weights of very different sizes: the folded margin is off, by no more than it says."""
    layers = random_layers(5, 8, 7, 2, seed=5)
    weights = list(layers.weights)
    weights[0] = weights[0] * torch.logspace(-8, 8, 8, dtype=torch.float64)[:, None]
    weights[1] = weights[1] * torch.logspace(8, -8, 8, dtype=torch.float64)
    layers = layers._replace(weights=tuple(weights))
    image = torch.full((5,), 0.4, dtype=torch.float64)
    local = around(layers, image, 1e-3)
    step = np.full(5, 4e-4)
    outputs = outputs_at(local, step)
    x = [fraction(p) + fraction(d) for p, d in zip(image.tolist(), step.tolist(), strict=True)]
    z = exact_logits(layers, x)
    label = int(layers.logits(image).argmax())
    there = fraction(float(local.constraints.offsets[0]))
    there += sum(
        fraction(a) * fraction(d)
        for a, d in zip(local.constraints.rows[0].tolist(), step.tolist(), strict=True)
    )
    assert len(outputs) == 0
    off = abs(float(there - (z[label] - z[1 - label])))
    assert 0 < off <= local.constraints.errors[0] < 1e-3


def with_dead_units(layers: ReluLayers, layer: int, bias: float, *, live: float = 0.0) -> ReluLayers:
    """Two more units in a hidden layer, on which nothing acts (or one input, with a weight `live`)."""
    weights, biases = list(layers.weights), list(layers.biases)
    generator = torch.Generator().manual_seed(0)
    more = torch.zeros(2, weights[layer].shape[1], dtype=torch.float64)
    more[0, 0] = live
    weights[layer] = torch.cat([weights[layer], more])
    biases[layer] = torch.cat([biases[layer], torch.full((2,), bias, dtype=torch.float64)])
    next_layer = weights[layer + 1]
    outgoing = torch.randn(len(next_layer), 2, generator=generator, dtype=torch.float64)
    weights[layer + 1] = torch.cat([next_layer, outgoing], dim=1)
    return ReluLayers(tuple(weights), tuple(biases))


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("bias", [0.0, 1e-300, 1e-13, -1e-13])
def test_a_unit_of_constant_height_is_folded_though_its_sign_is_unknown(layer: int, bias: float) -> None:
    layers = random_layers(5, 6, 5, 2, seed=4)
    image = torch.full((5,), 0.4, dtype=torch.float64)
    local, dead = around(layers, image, 0.95), around(with_dead_units(layers, layer, bias), image, 0.95)
    assert dead.names == local.names and len(local.names) > 2
    distance = semidefinite_bound(local).distance
    assert semidefinite_bound(dead).distance == pytest.approx(distance, rel=1e-9)
    alive = around(with_dead_units(layers, layer, bias, live=1e-3), image, 0.95)
    assert len(alive.names) > len(local.names)  # a small weight is none


def test_what_a_dead_unit_feeds_is_dead_and_its_rounding_is_kept() -> None:
    """One constant height is 0.7 · 0.1 − 0.02; another 0.7 · 0.1 − 0.07, which float64 takes for zero."""

    def tensor(*values: object) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    weights = (tensor([1.0], [0.0]), tensor([1.0, 0.0], [0.0, 0.7], [0.0, 0.7]))
    weights += (tensor([1.0, 0.0, 0.0], [0.0, 1e12, 1e3]),)
    layers = ReluLayers(weights, (tensor(0.0, 0.1), tensor(0.0, -(0.7 * 0.1), -0.02), tensor(0.0, 0.0)))
    image, bounds = tensor(0.5), [tensor(0.25, 0.1), tensor(0.25, -1.0, -1.0)]
    local = local_network(layers, image, bounds, [b + 2 for b in bounds], label=0, rival=1, radius=0.25)
    assert local.names == () and not local.constraints.rows[0, 1:].any()
    z = exact_logits(layers, [fraction(0.5)])
    off = abs(fraction(float(local.constraints.offsets[0])) - (z[0] - z[1]))
    assert 1e-6 < off <= local.constraints.errors[0] < 1.0


def fraction(value: float):  # type: ignore[no-untyped-def]
    from fractions import Fraction

    return Fraction(value)


def exact_logits(layers: ReluLayers, x: list):  # type: ignore[no-untyped-def,type-arg]
    for k, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        x = [
            sum((fraction(a) * v for a, v in zip(row, x, strict=True)), fraction(b))
            for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
        ]
        if k < len(layers.weights) - 1:
            x = [max(v, fraction(0.0)) for v in x]
    return x


def test_bad_input_is_refused() -> None:
    layers = random_layers(4, 6, 2)
    image = torch.full((4,), 0.5, dtype=torch.float64)
    lower, upper = interval_bounds(layers, image, 1.0)
    good = {"label": 0, "rival": 1, "radius": 1.0}
    for change, text in (
        ({"rival": 0}, "two of the 2 classes"),
        ({"radius": 0.0}, "radius must be positive"),
        ({"box": (0.6, 1.0)}, "in the box"),
        ({"splits": {(0, 6): True}}, "must name hidden units"),
        ({"splits": {(1, 0): True}}, "must name hidden units"),
    ):
        with pytest.raises(InputError, match=text):
            local_network(layers, image, lower, upper, **{**good, **change})
    with pytest.raises(InputError, match="4 inputs"):
        local_network(layers, image[:3], lower, upper, **good)
    with pytest.raises(InputError, match="one bound a hidden unit"):
        local_network(layers, image, [lower[0][:5]], upper, **good)
    with pytest.raises(InputError, match="must be finite"):
        local_network(layers, image, lower, [upper[0] * torch.inf], **good)
