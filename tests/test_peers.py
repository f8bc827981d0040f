"""The peers' estimators: what they tend to, and what they do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.bench.peers import cure, projected_jacobian
from regrob.errors import InputError
from regrob.theory import derivatives


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    network = networks.mlp((8, 16, 4), generator=torch.Generator().manual_seed(0)).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(6, 8, generator=generator, dtype=torch.float64)
    return network, x, torch.randint(4, (6,), generator=generator)


def test_projections_converge_to_the_squared_lipschitz_constant(
    case: tuple[nn.Module, Tensor, Tensor],
) -> None:
    network, x, _ = case
    exact = derivatives.lipschitz_squared(local_map(network, x).V)
    errors = []
    for count in (10, 1000):
        generator = torch.Generator().manual_seed(2)
        estimate = projected_jacobian(network, x, projections=count, generator=generator, create_graph=False)
        errors.append(float((estimate / exact - 1).abs().max()))
    assert errors[1] < 0.08 < errors[0]  # a standard error of 1/√n; a factor K left out would be 0.75
    assert errors[1] < 0.4 * errors[0]


def test_one_projection_is_exact_for_equal_singular_values() -> None:
    network = nn.Linear(5, 3, bias=False).double()
    with torch.no_grad():
        network.weight.copy_(2 * torch.eye(3, 5))
    estimate = projected_jacobian(network, torch.rand(4, 5, dtype=torch.float64))
    torch.testing.assert_close(estimate.detach(), torch.full((4,), 12.0, dtype=torch.float64))


def test_cure_tends_to_the_hessian_along_the_sign_direction(case: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = case
    local = local_map(network, x)
    g = derivatives.input_gradient(local.V, local.z, y)
    u = torch.nn.functional.normalize(g.sign(), dim=1)
    along = (derivatives.hessian(local.V, local.z) @ u[:, :, None]).squeeze(2).norm(dim=1)
    for h, tolerance in ((1e-4, 1e-3), (1e-6, 1e-5)):
        torch.testing.assert_close(
            cure(network, x, y, h=h, create_graph=False) / h, along, rtol=tolerance, atol=1e-8
        )
    assert bool((along <= derivatives.curvature(local.V, local.z) + 1e-12).all())  # never more than ‖H‖₂
    assert not torch.allclose(along, derivatives.curvature(local.V, local.z), rtol=0.05)
    assert not torch.allclose(cure(network, x, y, h=3.0) / 3, along, rtol=0.05)  # kinks in between


def test_each_example_by_itself_and_differentiable(case: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = case
    together = cure(network, x, y, h=0.1)
    alone = torch.cat([cure(network, x[i : i + 1], y[i : i + 1], h=0.1) for i in range(len(x))])
    torch.testing.assert_close(together, alone)
    for value in (together.sum(), projected_jacobian(network, x).sum()):
        (gradient,) = torch.autograd.grad(value, next(network.parameters()))
        assert float(gradient.norm()) > 0
    assert not cure(network, x, y, create_graph=False).requires_grad


def test_bad_settings(case: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = case
    with pytest.raises(InputError, match="projections must be at least 1"):
        projected_jacobian(network, x, projections=0)
    with pytest.raises(InputError, match="h must be positive"):
        cure(network, x, y, h=0.0)
