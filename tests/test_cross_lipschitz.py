"""The local cross-Lipschitz constant, exact in the plane and bounded elsewhere, and what it guarantees."""

from __future__ import annotations

import math

import pytest
import torch
from exact_distances import layers_of, nearest_mistake
from torch import Tensor, nn

from regrob import certificates, networks
from regrob.certificates import cross_lipschitz
from regrob.certificates.cross_lipschitz import cross_lipschitz_radius, local_cross_lipschitz
from regrob.errors import InputError

SQUARE = {"low": -4.0, "high": 4.0}


def plane_network(seed: int, classes: int = 3, *, slope: float = 0.0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    made = networks.mlp((2, 7, 6, classes), generator=generator, slope=slope).double()
    return networks.scatter_biases(made, 0.5, generator)


def dual(norm: float) -> float:
    return math.inf if norm == 1 else 1.0 if norm == math.inf else norm / (norm - 1)


def gradients(model: nn.Module, points: Tensor, label: int, order: float = 2.0) -> Tensor:
    """‖∇(z_y − z_j)‖ at each point, by autograd: (N, K)."""
    x = points.clone().requires_grad_(True)
    z = model(x)
    lead = z[:, [label]] - z
    slopes = [torch.autograd.grad(lead[:, j].sum(), x, retain_graph=True)[0] for j in range(z.shape[1])]
    return torch.stack([torch.linalg.vector_norm(slope, ord=order, dim=1) for slope in slopes], dim=1)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_the_exact_constant_is_the_largest_gradient_of_a_dense_scan(slope: float) -> None:
    grown = 0
    for seed in range(4):
        model, x = plane_network(seed, slope=slope), torch.tensor([0.3, -0.2], dtype=torch.float64)
        label = int(model(x[None]).argmax())
        for radius in (0.0, 0.3, 1.5):
            exact = certificates.exact_cross_lipschitz(model, x, label, radius, **SQUARE)
            generator = torch.Generator().manual_seed(seed)
            polar = torch.rand(20_000, 2, dtype=torch.float64, generator=generator)
            r, angle = radius * polar[:, 0].sqrt(), 2 * math.pi * polar[:, 1]
            scan = gradients(model, x + torch.stack([r * angle.cos(), r * angle.sin()], dim=1), label)
            largest = scan.amax(dim=0)
            assert bool((largest <= exact * (1 + 1e-9)).all())
            assert float((largest / exact).nan_to_num(nan=1.0).min()) > 1 - 1e-9 or radius == 1.5
            grown += bool((exact > scan[0] * 1.01).any())
    assert grown >= 4


def test_with_the_exact_constant_the_guarantee_lies_between_the_polytopes_and_the_truth() -> None:
    beyond_edge = 0
    for seed in range(3):
        model = plane_network(seed)
        points = 2 * torch.rand(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1
        labels = model(points).argmax(dim=1)
        truth = certificates.distances_to_mistakes(model, points, labels, low=-40.0, high=40.0)
        within = certificates.certified_radius(model, points, labels)
        for x, label, exact, inner in zip(points, labels, truth, within, strict=True):
            found = certificates.exact_cross_lipschitz_radius(model, x, int(label), low=-40.0, high=40.0)
            assert float(inner) * (1 - 1e-9) <= float(found) <= float(exact) * (1 + 1e-9)
            beyond_edge += float(found) > float(inner) * 1.01
            # The tooth: min{R, min_j (z_y − z_j)/L_j(R)} is nowhere larger, and here it is reached.
            z = model(x[None])[0].detach()
            values = []
            for radius in (0.5 * float(found), float(found), 2 * float(found)):
                if math.isfinite(radius):
                    L = certificates.exact_cross_lipschitz(model, x, int(label), radius, low=-40.0, high=40.0)
                    reach = ((z[label] - z) / L)[torch.arange(3) != label].min()
                    values.append(min(radius, float(reach)))
            if values:
                assert max(values) == pytest.approx(float(found), rel=1e-9)
    assert beyond_edge >= 2


def test_the_exact_guarantee_of_an_affine_network_is_the_distance() -> None:
    model, x = networks.mlp((2, 3)).double(), torch.tensor([0.2, 0.1], dtype=torch.float64)
    label = int(model(x[None]).argmax())
    truth = certificates.distance_to_mistake(model, x, label, low=-60.0, high=60.0)
    found = certificates.exact_cross_lipschitz_radius(model, x, label, low=-60.0, high=60.0)
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=0)
    other = (label + 1) % 3
    assert float(certificates.exact_cross_lipschitz_radius(model, x, other, low=-60.0, high=60.0)) == 0
    with pytest.raises(InputError, match="outside the square"):
        certificates.exact_cross_lipschitz_radius(model, x, label, low=0.15)
    with pytest.raises(InputError, match="radius"):
        certificates.exact_cross_lipschitz(model, x, label, -0.5)


# --- bounds on the constant, in any dimension --------------------------------------------


def chain(*widths: int, seed: int, scale: float = 1.0) -> nn.Sequential:
    """Random, its first layer times `scale` and the last divided by it; no class wins in the whole box."""
    generator = torch.Generator().manual_seed(seed)
    made = networks.mlp(widths, generator=generator).double()
    networks.scatter_biases(made, 0.4, generator)
    with torch.no_grad():
        for parameter in made[1].parameters():
            parameter *= scale
        made[-1].weight /= scale
        points = torch.rand(64, widths[0], dtype=torch.float64, generator=generator)
        made[-1].bias -= made(points).mean(dim=0)
    return made


def examples(model: nn.Module, n: int, seed: int, count: int = 3) -> tuple[Tensor, Tensor]:
    x = torch.rand(count, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return x, model(x).argmax(dim=1)


def in_ball(x: Tensor, radius: float, norm: float, count: int) -> Tensor:
    """Random points of a ball, most of them near its surface, moved into the box [0, 1]."""
    generator = torch.Generator().manual_seed(7)
    step = torch.randn(count, len(x), dtype=torch.float64, generator=generator)
    step *= torch.rand(count, len(x), dtype=torch.float64, generator=generator) ** 3
    step *= radius / torch.linalg.vector_norm(step, ord=norm, dim=1, keepdim=True)
    step *= torch.rand(count, 1, dtype=torch.float64, generator=generator) ** 0.3
    return (x + step).clamp(0.0, 1.0)


def excess(model: nn.Module, x: Tensor, y: Tensor, radius: float, norm: float, analysis: str) -> float:
    """The largest gradient found in the balls, in units of its bound."""
    radii = torch.full((len(x),), radius, dtype=torch.float64)
    bound = local_cross_lipschitz(model, x, y, radii, norm=norm, analysis=analysis)
    largest = 0.0
    for image, label, most in zip(x, y, bound, strict=True):
        slopes = gradients(model, in_ball(image, radius, norm, 400), int(label), dual(norm)).amax(dim=0)
        others = torch.arange(len(most)) != label
        largest = max(largest, float((slopes / most)[others].max()))
    return largest


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("analysis", ["interval", "linear"])
def test_no_gradient_in_the_ball_is_larger(
    norm: float, analysis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [(5, 9, 3), (5, 8, 6, 2), (4, 6, 6, 5, 10)]
    cases = [chain(*widths, seed=seed) for seed, widths in enumerate(kinds)]
    pairs = [(model, *examples(model, model[1].in_features, seed)) for seed, model in enumerate(cases)]
    for model, x, y in pairs:
        for radius in (0.05, 0.4, 2.0):
            assert excess(model, x, y, radius, norm, analysis) <= 1
    own = cross_lipschitz._Local._bounds  # the tooth: units watched on a ball of half the radius
    monkeypatch.setattr(cross_lipschitz._Local, "_bounds", lambda self, radii: own(self, 0.25 * radii))
    assert max(excess(*pair, 0.4, norm, analysis) for pair in pairs) > 1


def test_the_relaxed_square_is_above_every_corner_and_near_the_largest() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 9)
    ratios = []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(9, 3 + seed, dtype=torch.float64, generator=generator)
        h = torch.rand(9, dtype=torch.float64, generator=generator) + 0.01 * seed
        e = corners * h
        largest = float(((e @ rows).square().sum(dim=1)).max())
        ratios.append(float(cross_lipschitz._largest_square(rows @ rows.T, h)) / largest)
    assert 1 <= min(ratios) < 1.001 and max(ratios) < 1.3  # a smaller factor of 0.999 would be caught
    zero = torch.zeros(3, 3, dtype=torch.float64)
    assert float(cross_lipschitz._largest_square(zero, torch.ones(3, dtype=torch.float64))) == 0


def test_in_the_plane_the_bounds_lie_between_the_truth_and_a_small_multiple() -> None:
    ratios: dict[str, list[float]] = {"interval": [], "linear": []}
    for seed in range(5):
        model = plane_network(seed)
        x, y = examples(model, 2, seed, count=2)
        radii = torch.full((2,), 0.2, dtype=torch.float64)
        for analysis, found in ratios.items():
            bound = local_cross_lipschitz(model, x, y, radii, analysis=analysis)
            for i in range(2):
                exact = certificates.exact_cross_lipschitz(model, x[i], int(y[i]), 0.2, low=0.0, high=1.0)
                rivals = torch.arange(3) != y[i]
                found += (bound[i] / exact)[rivals].tolist()
    for found in ratios.values():
        assert min(found) >= 1 and sorted(found)[len(found) // 2] < 1.3
    assert sum(ratios["linear"]) <= sum(ratios["interval"]) * (1 + 1e-9)


# --- what they guarantee -----------------------------------------------------------------


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_no_mistake_is_nearer_than_guaranteed(norm: float, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for seed, widths in enumerate([(3, 7, 2), (4, 5, 5, 3), (3, 4, 4, 4, 5), (2, 6, 6, 10)]):
        model = chain(*widths, seed=seed)
        x, y = examples(model, widths[0], seed)
        truth = torch.tensor(
            [
                nearest_mistake(*layers_of(model), a, int(b), norm=norm).distance
                for a, b in zip(x, y, strict=True)
            ],
            dtype=torch.float64,
        )
        tolerance = 1e-9 if norm == 2 else 1e-6
        by_analysis = [
            cross_lipschitz_radius(model, x, y, norm=norm, analysis=a) for a in ("interval", "linear")
        ]
        for certified in by_analysis:
            assert bool((certified <= truth * (1 + tolerance)).all()) and bool((certified > 0).all())
        if norm == 2:
            inner = certificates.certified_radius(model, x, y)
            assert bool((by_analysis[1] >= inner * (1 - 2e-3)).all())  # before a unit switches it is exact
        shares += (by_analysis[1] / truth)[truth.isfinite()].tolist()
    assert len(shares) >= 4 and max(shares) > 0.3
    margins = cross_lipschitz._Local.guarantees  # the tooth: constants of another norm, or of the point alone
    monkeypatch.setattr(
        cross_lipschitz._Local, "guarantees", lambda self, radii: margins(self, 0 * radii + 1e-9)
    )
    model = chain(3, 6, 5, 3, seed=1)
    x, y = examples(model, 3, 1, count=6)
    truth = [
        nearest_mistake(*layers_of(model), a, int(b), norm=norm).distance for a, b in zip(x, y, strict=True)
    ]
    assert bool((cross_lipschitz_radius(model, x, y, norm=norm) > torch.tensor(truth)).any())


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, math.inf])
@pytest.mark.parametrize("analysis", ["interval", "linear"])
def test_it_is_the_distance_of_an_affine_network(norm: float, analysis: str) -> None:
    model = networks.mlp((6, 4), generator=torch.Generator().manual_seed(3)).double()
    x, y = examples(model, 6, 1)
    V, z = model[1].weight.detach(), model(x).detach()
    found = cross_lipschitz_radius(model, x, y, norm=norm, analysis=analysis, box=None)
    for i, label in enumerate(y):
        slopes = torch.linalg.vector_norm(V[label] - V, ord=dual(norm), dim=1)
        others = torch.arange(4) != label
        truth = float(((z[i, label] - z[i]) / slopes)[others].min())
        assert truth * (1 - 1e-9) <= float(found[i]) <= truth


@pytest.mark.parametrize("scale", [1e-100, 1e-8, 1.0, 1e8, 1e100])
def test_the_scale_of_the_weights_does_not_matter(scale: float) -> None:
    model, plain = chain(4, 7, 3, seed=2, scale=scale), chain(4, 7, 3, seed=2)
    x, y = examples(plain, 4, 2)
    found, expected = cross_lipschitz_radius(model, x, y), cross_lipschitz_radius(plain, x, y)
    assert bool((found <= expected * 1.01).all()) and bool((found >= expected * 0.99).all())


def test_constant_logits_mistakes_and_the_images_precision() -> None:
    model = chain(4, 6, 3, seed=5)
    x, y = examples(model, 4, 3)
    exact = cross_lipschitz_radius(model, x, y)
    rounded = cross_lipschitz_radius(model.float(), x.float(), y)
    assert rounded.dtype == torch.float32
    again = cross_lipschitz_radius(model.double(), x.float().double(), y)
    assert bool((rounded.double() <= again).all()) and bool((rounded >= again.float() * (1 - 1e-6)).all())
    assert float(cross_lipschitz_radius(model, x[:1], (y[:1] + 1) % 3)) == 0
    assert bool((exact > 0).all())
    for part in (model[1].weight, model[-1].weight):  # nothing moves the logits, in two ways
        kept = part.detach().clone()
        nn.init.zeros_(part)
        label = model(x).argmax(dim=1)
        for box in (None, (0.0, 1.0)):
            assert bool(cross_lipschitz_radius(model, x, label, box=box).isinf().all())
        part.data.copy_(kept)
    for settings, message in [
        ({"norm": 0.5}, "norm"),
        ({"box": (0.2, 0.1)}, "low < high"),
        ({"box": (0.5, 1.0)}, "outside the box"),
    ]:
        with pytest.raises(InputError, match=message):
            cross_lipschitz_radius(model, x, y, **settings)
    with pytest.raises(InputError, match="radius"):
        local_cross_lipschitz(model, x, y, torch.tensor([-1.0, 0.0, 0.0]))


def test_without_a_box_what_is_flat_at_the_image_is_not_flat_everywhere() -> None:
    model = networks.mlp(
        (2, 1, 2)
    ).double()  # z = (0, relu(x₀ − 1) − 1): 2 away at the image, where it is off
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[1].bias.fill_(-1.0)
        model[3].weight.copy_(torch.tensor([[0.0], [1.0]]))
        model[3].bias.copy_(torch.tensor([0.0, -1.0]))
    x, y = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0])
    for analysis in ("interval", "linear"):
        found = cross_lipschitz_radius(model, x, y, analysis=analysis, box=None)
        assert 0.99 <= float(found) <= nearest_mistake(*layers_of(model), x, 0, box=None).distance == 2
        assert float(cross_lipschitz_radius(model, x, y, analysis=analysis, box=(0.0, 0.9))) == math.inf
