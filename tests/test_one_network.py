"""What chapters compute of a single network: its training, finite differences, a straight walk."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from regrob import data
from regrob.affine import kinks, local_map
from regrob.experiments.along_line import along_line
from regrob.experiments.checkerboard import checkerboard, trained_on_checkerboard
from regrob.experiments.finite_differences import finite_differences
from regrob.experiments.one_network import lenet_at_held_out, trained_lenet
from regrob.experiments.two_arcs import trained_on_arcs, two_arcs
from regrob.networks import lenet_300_100, mlp, scatter_biases
from regrob.theory import derivatives, margin_l2, probability, taylor_radius
from regrob.training import accuracy, train


@pytest.fixture(scope="module")
def small():
    generator = torch.Generator().manual_seed(2)
    return scatter_biases(mlp((5, 12, 10, 2), generator=generator).double(), 0.5, generator)


def points(count, *, seed=3):
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed)).double()


def test_trained_lenet_is_seed_zero_by_hand():
    task = data.one_versus_seven()
    by_hand = lenet_300_100(2, generator=torch.Generator().manual_seed(0))
    train(by_hand, task, iterations=3, seed=0)
    network = trained_lenet(task, iterations=3)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), by_hand.parameters(), strict=True))


def test_lenet_at_held_out_keeps_the_digits_asked_for():
    task = data.one_versus_seven()
    every = lenet_at_held_out(task, iterations=8, chosen=slice(0, None, 2))
    kept = lenet_at_held_out(
        task, iterations=8, chosen=slice(0, None, 2), keep=taylor_radius.has_taylor_radius
    )
    right = probability.correctly_classified(every.z, every.y)
    assert 0 < len(kept.y) == int(right.sum()) < len(every.y)  # so early some are wrong
    assert torch.equal(kept.images, every.images[right])
    assert torch.equal(every.images[1], task.test_images[2].double().flatten())
    assert kept.V.dtype == torch.float64
    assert torch.equal(kept.V, local_map(every.network, every.images).V[right])
    assert every.accuracy == accuracy(trained_lenet(task, iterations=8), task.test_images, task.test_labels)


def test_two_arcs_are_mirror_images_and_can_be_told_apart():
    first, labels = two_arcs(2000, torch.Generator().manual_seed(0))
    upper, lower = first[labels == 0], first[labels == 1]
    assert torch.allclose(upper.mean(dim=0), -lower.mean(dim=0), atol=0.03)
    assert upper.shape == lower.shape == (1000, 2)
    network, seen, truth = trained_on_arcs(seed=7)
    assert accuracy(network, seen, truth) > 0.97
    affine = torch.cat([seen, torch.ones(240, 1)], dim=1)
    straight = torch.linalg.lstsq(affine, 2 * truth.double()[:, None] - 1).solution
    guess = (affine @ straight)[:, 0] > 0
    assert float((guess == truth.bool()).double().mean()) < 0.97  # not by a straight line


def test_short_finite_differences_are_the_curvature_along_the_gradient(small):
    x, y = points(20), torch.arange(20) % 2
    assert not kinks(small, x).any()
    V, z = local_map(small, x)
    gradient = derivatives.input_gradient(V, z, y)
    unit = gradient / gradient.norm(dim=1, keepdim=True)
    found = finite_differences(small, x, y, unit, [1e-6, 3.0])
    assert torch.allclose(found.network[0], torch.ones(20).double(), atol=1e-4)
    assert torch.allclose(found.affine[0], found.network[0], atol=1e-6)
    assert not found.crossed[0].any() and found.crossed[1].any()
    apart = (found.network[1] - found.affine[1]).abs() > 1e-9
    assert torch.equal(apart, found.crossed[1])  # they part where a kink is crossed, and only there


def test_a_direction_that_no_logit_sees_has_no_finite_difference():
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).double()
    network[1].weight.data.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    x, y = torch.zeros(1, 2).double(), torch.zeros(1, dtype=torch.int64)
    across = torch.tensor([[0.0, 1.0]]).double()
    assert float(finite_differences(network, x, y, across, [0.5]).network) == 0


def test_along_line_reaches_the_affine_boundary_and_leaves_the_piece_at_a_switch(small):
    image = points(1)[0]
    V, z = local_map(small, image[None])
    label = int(z.argmax())
    reach = float(margin_l2(V, z, torch.tensor([label])))
    distances = torch.linspace(0, 2 * reach, 401, dtype=torch.float64)
    line = along_line(small, image, label, distances)
    assert float(line.tangent[200]) == pytest.approx(0, abs=1e-12)  # halfway: the affine boundary
    assert float(line.margin[0]) == pytest.approx(float(line.tangent[0]))
    first = int((line.switches > 0).nonzero()[0])
    assert 0 < first < 400
    assert torch.allclose(line.margin[:first], line.tangent[:first], atol=1e-12)
    assert not math.isclose(float(line.margin[first]), float(line.tangent[first]), abs_tol=1e-9)


def test_the_checkerboard_is_learned_and_no_straight_line_tells_its_colours():
    points, colours = checkerboard(2000, torch.Generator().manual_seed(0))
    assert points.abs().max() <= 1 and points.dtype == torch.float64
    assert accuracy(trained_on_checkerboard(seed=3), points, colours) > 0.93
    affine = torch.cat([points, torch.ones(len(points), 1)], dim=1)
    straight = torch.linalg.lstsq(affine, 2 * colours.double()[:, None] - 1).solution
    assert float(((affine @ straight)[:, 0] > 0).eq(colours.bool()).double().mean()) < 0.7
