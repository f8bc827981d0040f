"""The local cross-Lipschitz constant, exact in the plane and bounded elsewhere, and what it guarantees."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from regrob import certificates, networks
from regrob.errors import InputError

SQUARE = {"low": -4.0, "high": 4.0}


def plane_network(seed: int, classes: int = 3, *, slope: float = 0.0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    made = networks.mlp((2, 7, 6, classes), generator=generator, slope=slope).double()
    return networks.scatter_biases(made, 0.5, generator)


def gradients(model: nn.Module, points: Tensor, label: int) -> Tensor:
    """‖∇(z_y − z_j)‖₂ at each point, by autograd: (N, K)."""
    x = points.clone().requires_grad_(True)
    z = model(x)
    lead = z[:, [label]] - z
    slopes = [torch.autograd.grad(lead[:, j].sum(), x, retain_graph=True)[0] for j in range(z.shape[1])]
    return torch.stack([slope.norm(dim=1) for slope in slopes], dim=1)


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
    for seed in range(4):
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
            for radius in (0.5 * float(found), float(found), 1.001 * float(found), 2 * float(found)):
                if math.isfinite(radius):
                    L = certificates.exact_cross_lipschitz(model, x, int(label), radius, low=-40.0, high=40.0)
                    reach = ((z[label] - z) / L)[torch.arange(3) != label].min()
                    values.append(min(radius, float(reach)))
            if values:
                assert max(values) == pytest.approx(float(found), rel=1e-9)
    assert beyond_edge >= 3


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
