"""Radii, worst-case loss and margin: mpmath for digits, brute force for meaning."""

from __future__ import annotations

import math

import mpmath
import oracles
import pytest
import torch
from oracles import Exact
from torch import Tensor

from regrob.errors import HypothesisError, InputError
from regrob.theory import derivatives, margin_l2, probability, taylor_radius

MARGINS = (1e-8, 1e-6, 1e-4, 0.01, 0.3, 1.0, 5.0, 20.0, 36.7, 40.0, 90.0, 300.0, 700.0)
RAYS = oracles.directions(20_000)


def pair(m: float, seed: int, y: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A random V (2, 2) with label y leading by m, exactly."""
    V = torch.randn(2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = torch.zeros(2, dtype=torch.float64)
    z[y] = m
    return V, z, torch.tensor(y)


@pytest.mark.parametrize("m", MARGINS)
@pytest.mark.parametrize("y", [0, 1])
def test_closed_forms_to_1e_12_at_any_confidence(m: float, y: int) -> None:
    V, z, label = pair(m, seed=y, y=y)
    truth = Exact(V, z, y)
    s = truth.difference()
    nu, dual = mpmath.sqrt(sum(a * a for a in s)), sum(abs(a) for a in s)
    assert oracles.relative_error(taylor_radius.radius_l2(V, z, label), truth.taylor_radius(nu)) < 1e-12
    assert oracles.relative_error(taylor_radius.radius_linf(V, z, label), truth.taylor_radius(dual)) < 1e-12
    assert oracles.relative_error(margin_l2(V, z, label), truth.m / nu) < 1e-12
    assert (
        oracles.relative_error(
            taylor_radius.taylor_margin(torch.tensor(m, dtype=torch.float64)), nu * truth.taylor_radius(nu)
        )
        < 1e-12
    )
    for epsilon in (0.0, 1e-6, 0.1, 3.0):
        reach = epsilon * dual
        worst = truth.loss + truth.q * reach + truth.p_y * truth.q * reach**2 / 2
        assert oracles.relative_error(taylor_radius.worst_case_loss(V, z, label, epsilon), worst) < 1e-12


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("m", [0.05, 1.5, 4.0])
def test_radii_are_the_first_reach_in_any_direction(seed: int, m: float) -> None:
    V, z, y = pair(m, seed)
    g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    xi = float(probability.slack(z, y))
    # The rays miss the best direction by at most π/20000: the minimum is flat, hence 1e-7.
    found = float(taylor_radius.radius_l2(V, z, y))
    brute = oracles.first_reach(g, H, xi, RAYS)
    assert brute == pytest.approx(found, rel=1e-7)
    assert brute >= found * (1 - 1e-12)
    corners = oracles.sign_vectors(2)
    assert oracles.first_reach(g, H, xi, corners) == pytest.approx(
        float(taylor_radius.radius_linf(V, z, y)), rel=1e-12
    )
    everywhere = RAYS / RAYS.abs().amax(dim=1, keepdim=True)
    assert oracles.first_reach(g, H, xi, everywhere) >= float(taylor_radius.radius_linf(V, z, y)) * (
        1 - 1e-12
    )


@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("m", [-2.0, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 2.0])
def test_worst_case_loss_is_the_worst_corner(n: int, m: float, epsilon: float) -> None:
    generator = torch.Generator().manual_seed(n)
    V = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    z, y = torch.tensor([0.0, m], dtype=torch.float64), torch.tensor(1)
    g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    brute = oracles.worst_corner(float(probability.loss(z, y)), g, H, epsilon)
    assert float(taylor_radius.worst_case_loss(V, z, y, epsilon)) == pytest.approx(brute, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_margin_is_the_nearest_mistake_in_any_direction(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(2, classes, generator=generator, dtype=torch.float64)
    z = torch.randn(classes, generator=generator, dtype=torch.float64)
    y = z.argmax()
    found = float(margin_l2(V, z, y))
    brute = oracles.nearest_mistake(V, z, int(y), RAYS)
    assert brute == pytest.approx(found, rel=1e-6)
    assert brute >= found * (1 - 1e-12)


def test_the_radius_by_hand() -> None:
    """p = 4/5 and ν = 5: (√(1 + 8 log(8/5)) − 1)/4; the misprinted Eq. (8) is far from it."""
    V = torch.tensor([[1.0, -2.0], [0.0, 4.0]], dtype=torch.float64)
    z, y = torch.tensor([math.log(4.0), 0.0], dtype=torch.float64), torch.tensor(0)
    expected = (math.sqrt(1 + 8 * math.log(1.6)) - 1) / 4
    assert float(taylor_radius.radius_l2(V, z, y)) == pytest.approx(expected, rel=1e-14)
    assert float(taylor_radius.radius_linf(V, z, y)) == pytest.approx(expected * 5 / 7, rel=1e-14)
    assert float(margin_l2(V, z, y)) == pytest.approx(math.log(4) / 5, rel=1e-14)


@pytest.mark.parametrize("m", [-30.0, -1.0, 0.0, 2.0, 40.0, 700.0])
@pytest.mark.parametrize("xi", [1e-6, 0.5, 2.3])
def test_reach_is_the_schoolbook_factor_for_any_margin_and_slack(m: float, xi: float) -> None:
    truth = Exact(torch.zeros(1, 2), torch.tensor([m, 0.0], dtype=torch.float64), 0)
    p, q = truth.p_y, truth.q
    factor = (oracles.mp.sqrt(1 + 2 * p * oracles.mp.mpf(xi) / q) - 1) / p
    found = taylor_radius.taylor_reach(*torch.tensor([m, xi], dtype=torch.float64))
    assert oracles.relative_error(found, factor) < 1e-12


def test_root_is_the_positive_root_down_to_a_vanishing_curvature() -> None:
    b = torch.tensor([0.0, 1e-300, 1e-12, 1.0, 1e12], dtype=torch.float64)
    t = taylor_radius.positive_root(torch.full_like(b, 2.0), b, torch.full_like(b, 3.0))
    torch.testing.assert_close(2 * t + b * t * t / 2, torch.full_like(b, 3.0), rtol=1e-14, atol=0)
    assert float(t[0]) == 1.5


def test_leading_axes_are_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    V = torch.randn(2, 3, 4, 2, generator=generator, dtype=torch.float64)
    z = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    y = z.argmax(dim=-1)
    for function in (
        taylor_radius.radius_l2,
        taylor_radius.radius_linf,
        margin_l2,
        taylor_radius.has_taylor_radius,
        lambda *a: taylor_radius.worst_case_loss(*a, 0.1),
    ):
        whole = function(V, z, y)
        assert whole.shape == (2, 3)
        torch.testing.assert_close(whole[1, 2], function(V[1, 2], z[1, 2], y[1, 2]))


# --- outside the hypotheses -----------------------------------------------------------------


def test_a_radius_of_a_mistake_is_refused() -> None:
    V, z = torch.eye(2).expand(3, 2, 2), torch.tensor([[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    y = torch.zeros(3, dtype=torch.int64)
    assert taylor_radius.has_taylor_radius(V, z, y).tolist() == [True, False, False]
    for radius in (taylor_radius.radius_l2, taylor_radius.radius_linf):
        with pytest.raises(
            HypothesisError,
            match=r"example 1: it is not classified correctly \(margin -1;.*has_taylor_radius",
        ):
            radius(V, z, y)
        with pytest.raises(HypothesisError, match=r"example 0: it is not classified correctly \(margin 0;"):
            radius(V[2:], z[2:], y[2:])
        with pytest.raises(HypothesisError, match="the example: it is not"):
            radius(V[1], z[1], y[1])
        with pytest.raises(HypothesisError, match="example 0, 1: it is not"):
            radius(V[None], z[None], y[None])
    with pytest.raises(HypothesisError, match=r"example 1 is not classified correctly.*correctly_classified"):
        margin_l2(V, z, y)


def test_a_constant_classifier_is_refused() -> None:
    V = torch.ones(1, 3, 2)
    z, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    assert taylor_radius.has_taylor_radius(V, z, y).tolist() == [False]
    with pytest.raises(HypothesisError, match=r"example 0: ν = 0: the two logits move together"):
        taylor_radius.radius_l2(V, z, y)
    assert margin_l2(V, z, y).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("dtype", "inside", "outside"), [(torch.float64, 1400.0, 1420.0), (torch.float32, 174.0, 176.0)]
)
def test_p_equal_to_one_is_computed_while_the_rival_can_be_seen(
    dtype: torch.dtype, inside: float, outside: float
) -> None:
    V, y = torch.eye(2, dtype=dtype), torch.tensor(0)
    z = torch.tensor([inside, 0.0], dtype=dtype)
    assert float(probability.label_probability(z, y)) == 1.0
    assert bool(taylor_radius.has_taylor_radius(V, z, y))
    assert math.isfinite(float(taylor_radius.radius_l2(V, z, y)))
    for m in (outside, math.inf):
        beyond = torch.tensor([m, 0.0], dtype=dtype)
        assert not bool(taylor_radius.has_taylor_radius(V, beyond, y))
        with pytest.raises(HypothesisError, match=r"p_y equals 1 to working precision.*overflows"):
            taylor_radius.radius_l2(V, beyond, y)


def test_float32_to_margin_80_is_right_to_five_digits() -> None:
    m = torch.cat([torch.logspace(-6, 0, 50), torch.linspace(1, 80, 200)])
    z = torch.stack([m, torch.zeros_like(m)], dim=-1)
    V = torch.randn(len(m), 5, 2, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(len(m), dtype=torch.int64)
    assert bool(taylor_radius.has_taylor_radius(V, z, y).all())
    for function in (
        taylor_radius.radius_l2,
        taylor_radius.radius_linf,
        margin_l2,
        lambda *a: taylor_radius.worst_case_loss(*a, 0.1),
    ):
        found = function(V, z, y)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), function(V.double(), z.double(), y), rtol=2e-5, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_in_the_map_are_named(bad: float) -> None:
    V, z, y = torch.eye(2)[None].clone(), torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    V[0, 0, 0] = bad
    assert taylor_radius.has_taylor_radius(V, z, y).tolist() == [False]
    with pytest.raises(HypothesisError, match="example 0: V or z holds NaN or infinity"):
        taylor_radius.radius_l2(V, z, y)
    with pytest.raises(InputError, match="V of example 0 holds NaN or infinity"):
        margin_l2(V, z, y)
    with pytest.raises(HypothesisError, match="V or z holds NaN or infinity"):
        taylor_radius.radius_linf(torch.eye(2)[None], torch.tensor([[math.nan, 0.0]]), y)
    with pytest.raises(HypothesisError, match="not classified correctly"):
        margin_l2(torch.eye(2)[None], torch.tensor([[math.nan, 0.0]]), y)


def test_binary_forms_refuse_three_classes() -> None:
    V, z, y = torch.zeros(1, 4, 3), torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])
    for function in (
        taylor_radius.has_taylor_radius,
        taylor_radius.radius_l2,
        taylor_radius.radius_linf,
        lambda *a: taylor_radius.worst_case_loss(*a, 0.1),
    ):
        with pytest.raises(InputError, match="K = 2 classes only, got K = 3"):
            function(V, z, y)


@pytest.mark.parametrize("epsilon", [-0.1, math.inf, math.nan])
def test_worst_case_loss_refuses_a_bad_epsilon(epsilon: float) -> None:
    V, z, y = pair(1.0, seed=0)
    with pytest.raises(InputError, match="epsilon must be finite and at least 0"):
        taylor_radius.worst_case_loss(V, z, y, epsilon)


def test_maps_that_do_not_fit_are_refused() -> None:
    y = torch.tensor([0])
    for function in (
        taylor_radius.has_taylor_radius,
        taylor_radius.radius_l2,
        margin_l2,
        lambda *a: taylor_radius.worst_case_loss(*a, 0.1),
    ):
        with pytest.raises(InputError, match="V must have shape"):
            function(torch.zeros(1, 4, 2), torch.zeros(1, 3), y)
        with pytest.raises(InputError, match="labels must have shape"):
            function(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]), torch.tensor([0, 0]))


def test_a_rival_out_of_reach_does_not_count() -> None:
    V = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    z = torch.tensor([2.0, 1.9, 0.0], dtype=torch.float64)
    assert float(margin_l2(V, z, torch.tensor(0))) == 2.0
