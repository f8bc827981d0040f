"""∇, H, ‖H‖, μ and ν against autograd, against mpmath, and against sums written out."""

from __future__ import annotations

import math

import mpmath
import oracles
import pytest
import torch
from cases import NAMES, case
from oracles import Exact
from torch import Tensor

from regrob.affine import local_map
from regrob.errors import InputError
from regrob.theory import PENALTIES, derivatives, probability

MARGINS = (1e-8, 1e-3, 0.5, 3.0, 12.0, 40.0, 120.0, 400.0, 700.0)


def random_map(classes: int, n: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=generator, dtype=torch.float64)


def confident(m: float, classes: int) -> Tensor:
    return torch.tensor([m, *(-0.5 * k for k in range(classes - 1))], dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_hessian_and_curvature_are_autograds(name: str) -> None:
    c = case(name)
    V, z = local_map(c.network, c.images)
    gradient, hessian = derivatives.input_gradient(V, z, c.y), derivatives.hessian(V, z)
    curvature = derivatives.curvature(V, z)
    noise = 1 / probability.rival_probability(z, z.argmax(dim=-1))  # of autograd's softmax
    for i, (image, label) in enumerate(zip(c.images, c.y, strict=True)):
        tolerance = 1e-14 * float(noise[i])
        truth = oracles.gradient(c.network, image, label)
        assert float((gradient[i] - truth).norm() / truth.norm()) < tolerance
        truth = oracles.hessian(c.network, image, label)
        assert float((hessian[i] - truth).norm() / truth.norm()) < tolerance
        top = float(torch.linalg.eigvalsh(truth)[-1])
        assert abs(float(curvature[i]) / top - 1) < tolerance


@pytest.mark.parametrize("m", MARGINS)
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("y", [0, 1])
def test_closed_forms_to_1e_12_at_any_confidence(m: float, classes: int, y: int) -> None:
    V, z, label = random_map(classes), confident(m, classes), torch.tensor(y)
    truth = Exact(V, z, y)
    gradient = derivatives.input_gradient(V, z, label)
    exact_gradient = truth.gradient()
    size = mpmath.sqrt(sum(g * g for g in exact_gradient))
    assert all(abs(float(gradient[a]) - g) <= 1e-12 * size for a, g in enumerate(exact_gradient))
    curvature = truth.curvature()
    assert oracles.relative_error(derivatives.curvature(V, z), curvature) < 1e-12
    hessian, exact_hessian = derivatives.hessian(V, z), truth.hessian()
    assert all(
        abs(float(hessian[a, b]) - exact_hessian[a, b]) <= 1e-12 * curvature
        for a in range(2)
        for b in range(2)
    )


@pytest.mark.parametrize("classes", [2, 3, 5, 10])
def test_lipschitz_constants_are_the_sums_written_out(classes: int) -> None:
    V = random_map(classes, n=4, seed=classes)
    assert float(derivatives.lipschitz_squared(V)) == pytest.approx(oracles.frobenius_squared(V), rel=1e-13)
    assert float(derivatives.lipschitz(V)) == pytest.approx(
        math.sqrt(oracles.frobenius_squared(V)), rel=1e-13
    )
    assert float(derivatives.cross_lipschitz_squared(V)) == pytest.approx(
        oracles.cross_lipschitz_sum(V), rel=1e-13
    )


def test_binary_cross_lipschitz_constant_by_hand() -> None:
    V = torch.tensor([[1.0, -2.0], [0.0, 4.0]], dtype=torch.float64)  # v₊ − v₋ = (3, −4)
    assert float(derivatives.cross_lipschitz(V)) == 5.0
    assert float(derivatives.cross_lipschitz_squared(V)) == 12.5
    assert float(derivatives.lipschitz(V)) == pytest.approx(math.sqrt(21), rel=1e-15)


def test_binary_curvature_by_hand() -> None:
    V = torch.tensor([[1.0, -2.0], [0.0, 4.0]], dtype=torch.float64)
    z = torch.tensor([math.log(4.0), 0.0], dtype=torch.float64)  # p = 4/5
    assert float(derivatives.curvature(V, z)) == pytest.approx(4.0, rel=1e-14)
    torch.testing.assert_close(
        derivatives.hessian(V, z), torch.tensor([[1.44, -1.92], [-1.92, 2.56]], dtype=torch.float64)
    )
    expected = -0.2 * torch.tensor([3.0, -4.0], dtype=torch.float64)
    torch.testing.assert_close(derivatives.input_gradient(V, z, torch.tensor(0)), expected)


def test_the_binary_shortcut_equals_the_general_route() -> None:
    V, z = random_map(2, n=6), confident(1.3, 2)
    padded = torch.cat([V, V[:, :1]], dim=-1)  # a third class that is never predicted
    far = torch.cat([z, torch.tensor([-800.0], dtype=torch.float64)])
    assert float(derivatives.curvature(padded, far)) == pytest.approx(
        float(derivatives.curvature(V, z)), rel=1e-13
    )


def test_hessian_factor_is_a_factor_with_a_null_vector() -> None:
    V, z = random_map(5, n=7), confident(0.7, 5)
    A = derivatives.hessian_factor(V, z)
    assert A.shape == (7, 5)
    torch.testing.assert_close(A @ A.T, derivatives.hessian(V, z))
    root_p = torch.softmax(z, dim=-1).sqrt()
    assert float((A @ root_p).norm()) < 1e-14 * float(A.norm())


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_vector_common_to_all_gradients_costs_no_digits(classes: int) -> None:
    V, z = (64 * random_map(classes)).round() / 64, confident(2.0, classes)
    moved, label = V + 2.0**36, torch.tensor(0)  # still exact
    for function in (
        lambda v: derivatives.curvature(v, z),
        lambda v: derivatives.hessian(v, z),
        lambda v: derivatives.input_gradient(v, z, label),
    ):
        assert float((function(moved) - function(V)).abs().max() / function(V).abs().max()) < 1e-13


def test_column_picks_each_examples_own() -> None:
    V = torch.arange(24.0).reshape(2, 3, 4)
    picked = derivatives.column(V, torch.tensor([1, 3]))
    assert picked.shape == (2, 3, 1)
    assert torch.equal(picked[0, :, 0], V[0, :, 1])
    assert torch.equal(picked[1, :, 0], V[1, :, 3])


def test_leading_axes_are_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    V = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    z = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    y = torch.arange(6).reshape(2, 3) % 5
    for function, trailing in [
        (derivatives.input_gradient, (4,)),
        (lambda v, s, k: derivatives.hessian(v, s), (4, 4)),
        (lambda v, s, k: derivatives.curvature(v, s), ()),
        (lambda v, s, k: derivatives.lipschitz(v), ()),
        (lambda v, s, k: derivatives.cross_lipschitz_squared(v), ()),
    ]:
        whole = function(V, z, y)
        assert whole.shape == (2, 3, *trailing)
        torch.testing.assert_close(whole[1, 2], function(V[1, 2], z[1, 2], y[1, 2]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_float32_to_margin_80_stays_finite_with_finite_gradients(classes: int, penalty: str) -> None:
    generator = torch.Generator().manual_seed(0)
    m = torch.linspace(-80, 80, 161)
    z = torch.randn(161, classes, generator=generator)
    z[:, 0] = z[:, 1:].amax(dim=1) + m
    V = torch.randn(161, 6, classes, generator=generator).requires_grad_(True)
    z.requires_grad_(True)
    y = torch.zeros(161, dtype=torch.int64)
    value = PENALTIES[penalty](V, z, y)
    assert value.dtype == torch.float32
    assert bool(torch.isfinite(value).all())
    slopes = torch.autograd.grad(value.sum(), (V, z), materialize_grads=True)
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes)
    exact = PENALTIES[penalty](V.double(), z.double(), y)
    torch.testing.assert_close(value.double(), exact, rtol=3e-5, atol=1e-37)  # q² underflows


@pytest.mark.parametrize(
    ("V", "z", "message"),
    [
        (
            torch.zeros(2, 4, 3),
            torch.zeros(2, 2),
            r"V must have shape \(…, n, K\).*got \(2, 4, 3\) and \(2, 2\)",
        ),
        (torch.zeros(2, 4, 3), torch.zeros(3, 3), r"got \(2, 4, 3\) and \(3, 3\)"),
        (torch.zeros(4), torch.zeros(4), r"got \(4,\) and \(4,\)"),
        (torch.zeros(2, 4, 1), torch.zeros(2, 1), "K ≥ 2"),
        (
            torch.zeros(2, 4, 3),
            torch.zeros(2, 3, dtype=torch.float64),
            r"one floating-point dtype, got torch.float32",
        ),
        (
            torch.zeros(2, 4, 3, dtype=torch.int64),
            torch.zeros(2, 3, dtype=torch.int64),
            "floating-point dtype",
        ),
    ],
)
def test_maps_that_do_not_fit_are_refused(V: Tensor, z: Tensor, message: str) -> None:
    y = torch.zeros(2, dtype=torch.int64)
    for function in (
        lambda: derivatives.input_gradient(V, z, y),
        lambda: derivatives.hessian_factor(V, z),
        lambda: derivatives.hessian(V, z),
        lambda: derivatives.curvature(V, z),
    ):
        with pytest.raises(InputError, match=message):
            function()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_diverging_example_leaves_its_neighbours_curvature_alone(classes: int, bad: float) -> None:
    V = torch.randn(3, 4, classes, generator=torch.Generator().manual_seed(0))
    z = torch.zeros(3, classes)
    alone = derivatives.curvature(V[[0, 2]], z[[0, 2]])
    V[1, 0, 0] = bad
    found = derivatives.curvature(V, z)
    assert not math.isfinite(float(found[1]))
    torch.testing.assert_close(found[[0, 2]], alone, rtol=1e-6, atol=0)


@pytest.mark.parametrize("classes", [3, 10])
def test_the_binary_constant_refuses_other_class_counts(classes: int) -> None:
    with pytest.raises(InputError, match=f"K = 2 classes only, got K = {classes}"):
        derivatives.cross_lipschitz(torch.zeros(1, 4, classes))


def test_bad_labels_are_refused() -> None:
    with pytest.raises(InputError, match="outside 0 … 2"):
        derivatives.input_gradient(torch.zeros(1, 4, 3), torch.zeros(1, 3), torch.tensor([3]))
