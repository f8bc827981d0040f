"""Certificates against what they promise: exact nearest mistakes, attacks, and other routes to the edge."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import certificates, networks
from regrob.affine import gradient, local_map, polytopes, trace
from regrob.attacks import deepfool
from regrob.certificates import affine_certificates, certified_radius, polytope
from regrob.errors import HypothesisError, InputError
from regrob.theory import margin_l2


def network(*widths: int, seed: int = 0) -> nn.Sequential:
    """An MLP with biases that are not zero, in float64."""
    generator = torch.Generator().manual_seed(seed)
    made = networks.mlp(widths, generator=generator).double()
    for module in made:
        if isinstance(module, nn.Linear):
            module.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return made


def points(count: int, *shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *shape, generator=generator, dtype=torch.float64)


def convolution(*, pool_first: bool = False) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU and max-pool, in eval mode."""
    torch.manual_seed(0)
    bend = [nn.MaxPool2d(2), nn.LeakyReLU(0.1)] if pool_first else [nn.ReLU(), nn.MaxPool2d(2, padding=1)]
    made = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        *bend,
        nn.Flatten(),
        nn.LazyLinear(5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )
    made(torch.rand(4, 1, 6, 6))
    return made.double().eval()


# --- the edge --------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_the_edge_of_a_perceptron_is_the_nearest_half_space(chunk: int) -> None:
    made, images = network(4, 9, 7, 3), points(5, 4)
    one_by_one = torch.stack([polytopes.distance_to_edge(made, image) for image in images])
    batched = polytope.edge_distance(made, images, chunk=chunk)
    torch.testing.assert_close(batched, one_by_one, rtol=1e-12, atol=0)


@pytest.mark.parametrize("pool_first", [False, True])
def test_the_map_is_affine_up_to_the_edge_and_bends_beyond(pool_first: bool) -> None:
    made, images = convolution(pool_first=pool_first), points(6, 1, 6, 6)
    edge = polytope.edge_distance(made, images)
    V, z = local_map(made, images)
    directions = torch.randn(400, 1, 36, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    for share, affine in ((0.999, True), (60.0, False)):
        r = share * edge[:, None] * directions  # (400, 6, 36)
        moved = (images.flatten(1) + r).reshape(-1, 1, 6, 6)
        predicted = z + torch.einsum("dna,nak->dnk", r, V)
        off = (made(moved).detach().reshape_as(predicted) - predicted).abs().amax()
        assert (float(off) < 1e-12) is affine


def test_the_edge_is_no_further_than_where_the_slopes_change() -> None:
    """Walking towards the nearest face of a network with pools, V changes just beyond the edge."""
    made, images = convolution(), points(3, 1, 6, 6)
    for image in images:
        edge = float(polytope.edge_distance(made, image[None]))
        V = local_map(made, image[None]).V
        x = image.clone().requires_grad_(True)
        traced = trace(made, x[None])
        heights = torch.cat([bend.units.heights for bend in traced.bends])
        slopes = [
            gradient(traced, [(bend, unit)])[0]
            for bend in traced.bends
            for unit in torch.eye(bend.units.heights.numel())
        ]
        sizes = torch.stack([slope.norm() for slope in slopes])
        reach = torch.where(sizes > 0, heights.abs() / sizes, torch.inf)
        nearest = int(reach.argmin())
        assert math.isclose(float(reach[nearest].detach()), edge, rel_tol=1e-10)
        towards = -heights[nearest].detach().sign() * slopes[nearest] / sizes[nearest]
        for share, same in ((0.999, True), (1.001, False)):
            there = local_map(made, (image + share * edge * towards)[None]).V
            assert torch.allclose(there, V, rtol=0, atol=1e-12) is same


def test_a_kink_has_no_distance_and_a_linear_network_no_edge() -> None:
    made = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).double()
    made[0].weight.data = torch.eye(2, dtype=torch.float64)
    images = torch.tensor([[0.0, 1.0], [0.3, 0.4]], dtype=torch.float64)
    assert polytope.edge_distance(made, images).tolist() == pytest.approx([0.0, 0.3])
    assert polytope.edge_distance(nn.Linear(2, 2).double(), images).tolist() == [math.inf, math.inf]


def test_units_that_nothing_moves_and_modules_in_place() -> None:
    made = network(4, 6, 5, 2)
    made[1].weight.data[0] = 0.0  # a constant first unit
    usual = polytope.edge_distance(made, points(3, 4))
    assert bool(torch.isfinite(usual).all())
    in_place = nn.Sequential(*(nn.ReLU(inplace=True) if isinstance(m, nn.ReLU) else m for m in made))
    torch.testing.assert_close(polytope.edge_distance(in_place, points(3, 4)), usual)


def test_kinks_outside_modules_are_measured() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(functional.relu(self.inner(x)))

    made, images = Bare().double(), points(2, 4)
    modules = nn.Sequential(made.inner, nn.ReLU(), made.outer)
    assert torch.equal(polytope.edge_distance(made, images), polytope.edge_distance(modules, images))
    bounded = nn.Sequential(made.inner, nn.Hardtanh(), nn.ReLU(), made.outer)
    h = made.inner(images).detach()
    slopes = made.inner.weight.detach().norm(dim=1)
    gaps = torch.stack([(h - 1).abs(), (h + 1).abs(), torch.where(h.abs() < 1, h.abs(), torch.inf)])
    torch.testing.assert_close(polytope.edge_distance(bounded, images), (gaps / slopes).amin(dim=(0, 2)))


# --- certificates ----------------------------------------------------------------------


def test_all_affine_certificates_meet_in_two_classes_and_order_in_many() -> None:
    V, z = torch.tensor([[2.0, -1.0], [0.0, 0.0]]).double(), torch.tensor([2.0, -1.0]).double()
    bounds = affine_certificates(V, z, torch.tensor(0))
    assert [float(b) for b in bounds[:4]] == pytest.approx([1.0] * 4)
    assert 0 < float(bounds.smooth) < 1

    made, images = network(5, 8, 4), points(40, 5)
    V, z = (4 * part for part in local_map(made, images))  # surer, so that some p_y exceed 1/2
    y = z.argmax(dim=1)
    bounds = affine_certificates(V, z, y)
    for higher, lower in itertools.pairwise(bounds[:4]):
        assert bool((higher >= lower - 1e-12).all())
    assert bool((bounds.margin >= bounds.smooth).all())
    unsure = torch.softmax(z, dim=1).amax(dim=1) <= 0.5
    assert bool(unsure.any()) and not bool(unsure.all())
    assert bool((bounds.pairs[unsure] == 0).all()) and bool((bounds.smooth[unsure] == 0).all())
    assert bool((bounds.pairs[~unsure] > 0).all())
    with pytest.raises(HypothesisError, match="not classified correctly"):
        affine_certificates(V, z, (y + 1) % 4)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_networks_certificate_never_exceeds_the_exact_distance(classes: int) -> None:
    reached = 0
    for seed in range(4):
        made = network(2, 7, 6, classes, seed=seed)
        images = points(4, 2, seed=seed)
        y = made(images).argmax(dim=1)
        certified = certified_radius(made, images, y)
        for image, label, bound in zip(images, y, certified, strict=True):
            exact = certificates.distance_to_mistake(made, image, int(label), low=-40, high=40)
            assert float(bound) <= float(exact) * (1 + 1e-9)
            reached += math.isclose(float(bound), float(exact), rel_tol=1e-9)
    assert reached > 0 or classes == 3  # sharp somewhere


def test_edge_and_radius_come_from_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    made, images = network(6, 4, 3, seed=3), points(40, 6)
    nn.init.ones_(made[1].bias)  # most units on, so that margins decide too
    y = made(images).argmax(dim=1)
    y[2] = (y[2] + 1) % 3
    right = torch.arange(40) != 2
    edges = polytope.edge_distance(made, images)
    V, z = local_map(made, images)
    margins = margin_l2(V[right], z[right], y[right])
    searched = []
    monkeypatch.setattr(polytope, "_edge", lambda *a, search=polytope._edge: searched.append(a) or search(*a))
    edge, radius = certificates.certificate(made, images, y)
    assert len(searched) == 39  # one search for each image that has a certificate
    torch.testing.assert_close(edge[right], edges[right], rtol=1e-12, atol=0)
    torch.testing.assert_close(radius[right], torch.minimum(margins, edge[right]), rtol=1e-12, atol=0)
    assert math.isnan(float(edge[2])) and float(radius[2]) == 0
    by_margin = margins < edge[right]
    assert bool(by_margin.any()) and not bool(by_margin.all())


def test_no_attack_beats_the_certificate_and_mistakes_have_none() -> None:
    made, images = network(6, 12, 8, 3), points(40, 6)
    y = made(images).argmax(dim=1)
    y[0] = (y[0] + 1) % 3
    certified = certified_radius(made, images, y)
    found = deepfool(made, images, y, box=None)
    assert float(certified[0]) == 0
    assert bool((certified[1:] > 0).all())
    assert bool(found.success[1:].any())
    assert bool((found.distance >= certified - 1e-12)[found.success].all())


# --- the exact nearest mistake of two inputs -------------------------------------------


def test_the_nearest_mistake_agrees_with_a_dense_scan() -> None:
    made = network(2, 7, 6, 3, seed=5)
    image = torch.tensor([0.1, -0.2], dtype=torch.float64)
    label = int(made(image[None]).argmax())
    exact = float(certificates.distance_to_mistake(made, image, label, low=-30, high=30))
    angles = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)[:, None]
    circle = torch.cat([angles.cos(), angles.sin()], dim=1)
    for share, any_mistake in ((0.999, False), (1.01, True)):
        ring = image + share * exact * circle
        assert bool((made(ring).argmax(dim=1) != label).any()) is any_mistake


def test_the_nearest_mistake_of_a_line_and_its_limits() -> None:
    made = networks.mlp((2, 2)).double()
    made[1].weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    image = torch.tensor([0.4, 0.0], dtype=torch.float64)
    assert float(certificates.distance_to_mistake(made, image, 0)) == pytest.approx(0.4)
    assert float(certificates.distance_to_mistake(made, image, 1)) == 0.0
    V, z = local_map(made, image[None])
    assert float(margin_l2(V, z, torch.tensor([0]))) == pytest.approx(0.4)
    with pytest.raises(InputError, match="widen"):
        certificates.distance_to_mistake(made, image, 0, low=-1.0, high=0.5)
    with pytest.raises(InputError, match="outside the square"):
        certificates.distance_to_mistake(made, image, 0, high=0.3)
    made[1].weight.data.zero_()
    made[1].bias.data = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert float(certificates.distance_to_mistake(made, image, 0)) == math.inf
