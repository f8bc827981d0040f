"""The exact radius: brute force and SLSQP for meaning, mpmath for digits, autograd for slopes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import mpmath
import numpy as np
import oracles
import pytest
import torch
from oracles import mp
from scipy.optimize import minimize
from torch import Tensor

from regrob.errors import HypothesisError, InputError
from regrob.theory import bounds, derivatives, exact_radius, probability, taylor_radius
from regrob.theory.exact_radius import (
    exact_perturbation_l2,
    exact_radius_l2,
    exact_radius_linf_three_classes,
)

RAYS = oracles.directions(40_000)


def random(
    shape: tuple[int, ...], n: int, K: int, seed: int, size: float = 2.0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(*shape, n, K, generator=generator, dtype=torch.float64)
    z = size * torch.randn(*shape, K, generator=generator, dtype=torch.float64)
    return V, z, z.argmax(dim=-1)


def model(V: Tensor, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """∇, H and ξ by the definitions, sums written out with numpy in the tests' own words."""
    p = np.exp(z.numpy() - z.numpy().max())
    p /= p.sum()
    A = V.numpy()
    g = A @ p - A[:, int(y)]
    H = (A * p) @ A.T - np.outer(A @ p, A @ p)
    return (
        torch.tensor(g),
        torch.tensor(H),
        torch.tensor(math.log(len(p)) + math.log(p[int(y)]), dtype=torch.float64),
    )


def gain(V: Tensor, z: Tensor, y: Tensor, r: Tensor) -> Tensor:
    g, H, _ = model(V, z, y)
    return g @ r + 0.5 * r @ H @ r


def hard(c: float = 2.0, size: float = 1.0, n: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Two mirrored rivals: ∇ is along the first axis, H's top eigenvector is the second."""
    V = torch.zeros(n, 3, dtype=torch.float64)
    V[0, 0], V[1, 1], V[1, 2] = 1.0, c, -c
    return V, torch.tensor([size, 0.0, 0.0], dtype=torch.float64), torch.tensor(0)


# --- what it is --------------------------------------------------------------------------


@pytest.mark.parametrize("K", [2, 3, 4, 7])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_first_reach_in_any_direction(K: int, seed: int) -> None:
    V, z, y = random((), 2, K, seed)
    g, H, xi = model(V, z, y)
    brute = oracles.first_reach(g, H, float(xi), RAYS)
    assert float(exact_radius_l2(V, z, y)) == pytest.approx(brute, rel=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_slsqp_from_many_starts_finds_nothing_shorter(seed: int) -> None:
    V, z, y = random((), 6, 5, seed)
    g, H, xi = (t.numpy() for t in model(V, z, y))
    found = float(exact_radius_l2(V, z, y))
    condition = {
        "type": "ineq",
        "fun": lambda r: g @ r + r @ H @ r / 2 - xi,
        "jac": lambda r: g + H @ r,
    }
    starts = np.random.default_rng(seed).normal(size=(12, 6)) * 2 * found
    tries = [
        minimize(
            lambda r: r @ r / 2, start, jac=lambda r: r, constraints=[condition], options={"ftol": 1e-14}
        )
        for start in starts
    ]
    best = min(np.linalg.norm(t.x) for t in tries if t.success)
    assert found <= best * (1 + 1e-6)
    assert found == pytest.approx(best, rel=1e-5)


def test_two_classes_give_proposition_3_1() -> None:
    for m in (1e-8, 1e-4, 0.3, 5.0, 40.0, 300.0, 700.0):
        V, _, _ = random((4,), 5, 2, seed=3)
        z = torch.tensor([[m, 0.0], [0.0, m]] * 2, dtype=torch.float64)
        y = z.argmax(dim=-1)
        assert torch.allclose(exact_radius_l2(V, z, y), taylor_radius.radius_l2(V, z, y), rtol=1e-13, atol=0)


@pytest.mark.parametrize("K", [3, 4, 10])
def test_it_lies_within_the_bracket(K: int) -> None:
    V, z, y = random((300,), 6, K, seed=K)
    lower, upper = bounds.radius_l2_bracket(V, z, y)
    found = exact_radius_l2(V, z, y)
    assert bool((lower * (1 - 1e-12) <= found).all())
    assert bool((found <= upper * (1 + 1e-12)).all())
    assert bool((found / lower > 1.01).any())
    assert bool((found / upper < 0.99).any())


@pytest.mark.parametrize("K", [2, 3, 5])
def test_the_perturbation_is_feasible_and_as_long(K: int) -> None:
    V, z, y = random((), 4, K, seed=K, size=0.7)
    r = exact_perturbation_l2(V, z, y)
    xi = model(V, z, y)[2]
    assert float(torch.linalg.vector_norm(r)) == pytest.approx(float(exact_radius_l2(V, z, y)), rel=1e-13)
    assert float(gain(V, z, y, r)) == pytest.approx(float(xi), rel=1e-12)
    assert float(gain(V, z, y, 0.99 * r)) < 0.995 * float(xi)


# --- digits ------------------------------------------------------------------------------


def precise_radius(V: Tensor, z: Tensor, y: int, threshold: float | mpmath.mpf) -> mpmath.mpf:
    """The secular equation in the variable θ, as in a textbook, with hundreds of digits."""
    exact = oracles.Exact(V, z, y, threshold=threshold)
    n, K = exact.n, exact.K
    mean = [mp.fsum(exact.p[k] * exact.V[a, k] for k in range(K)) for a in range(n)]
    H = mp.matrix(n, n)
    for a, b in itertools.product(range(n), repeat=2):
        H[a, b] = mp.fsum(
            exact.p[k] * (exact.V[a, k] - mean[a]) * (exact.V[b, k] - mean[b]) for k in range(K)
        )
    g = mp.matrix([mean[a] - exact.V[a, y] for a in range(n)])
    values, vectors = mp.eigsy(H)
    parts = [(values[i], (vectors[:, i].T * g)[0]) for i in range(n)]
    largest = max(value for value, _ in parts)
    xi = mp.mpf(threshold) - exact.loss

    def excess(theta: mpmath.mpf) -> mpmath.mpf:
        return (
            mp.fsum(c * c * theta * (1 - theta * lam / 2) / (1 - theta * lam) ** 2 for lam, c in parts) - xi
        )

    low, high = mp.mpf(0), 1 / largest
    for _ in range(2200):  # θλ₁ is within 1e-152 of one at a margin of 700
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
        if high - low < mp.mpf(10) ** -400 / largest:
            break
    return mp.sqrt(mp.fsum((low * c / (1 - low * lam)) ** 2 for lam, c in parts))


@pytest.mark.parametrize("lead", [1e-3, 0.5, 8.0, 36.0, 150.0, 690.0])
@pytest.mark.parametrize("K", [3, 4])
def test_to_1e_12_at_any_confidence(lead: float, K: int) -> None:
    V, z, _ = random((), 3, K, seed=K, size=0.3)
    z = z - z.amax()
    y = int(z.argmin())
    z[y] = lead
    found = exact_radius_l2(V, z, torch.tensor(y))
    assert oracles.relative_error(found, precise_radius(V, z, y, math.log(K))) < 1e-12


@pytest.mark.parametrize("lead", [1e-16, 1e-15, 1e-12, 1e-8])
@pytest.mark.parametrize("K", [3, 4, 10])
def test_to_1e_12_next_to_uniform_logits(lead: float, K: int) -> None:
    V, _, _ = random((), 3, K, seed=K)
    z, y = torch.zeros(K, dtype=torch.float64), torch.tensor(0)
    z[0] = lead
    truth = precise_radius(V, z, 0, mp.log(K))
    assert oracles.relative_error(exact_radius_l2(V, z, y), truth) < 1e-12
    lower, upper = bounds.radius_l2_bracket(V, z, y)
    assert float(lower) * (1 - 1e-12) <= truth <= float(upper) * (1 + 1e-12)
    box = bounds.radius_linf_bracket(V, z, y)
    if K == 3:
        found = float(exact_radius_linf_three_classes(V, z, y))
        assert float(box.lower) * (1 - 1e-12) <= found <= float(box.upper) * (1 + 1e-12)
    # The model is its linear part here: both radii are ξ over the gradient's dual norm.
    gradient = derivatives.input_gradient(V, z, y)
    xi = float(lead * (K - 1) / K)
    assert float(exact_radius_l2(V, z, y)) == pytest.approx(xi / float(gradient.norm()), rel=1e-6)
    assert float(box.upper) == pytest.approx(xi / float(gradient.abs().sum()), rel=1e-6)


@pytest.mark.parametrize("below", [0.5, 30.0, 300.0])
def test_misclassified_with_a_high_threshold(below: float) -> None:
    V, _, _ = random((), 3, 4, seed=7)
    z = torch.tensor([-below, 0.3, 0.0, -0.2], dtype=torch.float64)
    beta = below + 4.0
    found = exact_radius_l2(V, z, torch.tensor(0), threshold=beta)
    assert oracles.relative_error(found, precise_radius(V, z, 0, beta)) < 1e-11  # ξ is a difference


@pytest.mark.parametrize("tail", [1.0, 30.0, 300.0])
def test_rivals_of_very_different_probability(tail: float) -> None:
    V, _, _ = random((), 3, 4, seed=9)
    z = torch.tensor([1.0, 0.3, -tail, -2 * tail], dtype=torch.float64)
    found = exact_radius_l2(V, z, torch.tensor(0))
    assert oracles.relative_error(found, precise_radius(V, z, 0, math.log(4))) < 1e-12


def test_scales_of_V_and_nearly_opposite_rivals() -> None:
    V, z, y = random((), 3, 3, seed=1)
    for scale in (1e-100, 1e-8, 1e8, 1e100):
        assert float(exact_radius_l2(scale * V, z, y) * scale) == pytest.approx(
            float(exact_radius_l2(V, z, y)), rel=1e-13
        )
    close = torch.tensor([[0.0, 1.0, -1.0], [0.0, 1e-9, 1e-9]], dtype=torch.float64)
    z = torch.tensor([0.4, 0.0, 0.0], dtype=torch.float64)
    found = exact_radius_l2(close, z, torch.tensor(0), threshold=1.0986)
    # Hard, but for one part in 1e9: the limit is √(2ξ/λ₁) with λ₁ = q.
    xi = probability.slack(z, torch.tensor(0), threshold=1.0986)
    q = probability.rival_probability(z, torch.tensor(0))
    assert float(found) == pytest.approx(float((2 * xi / q).sqrt()), rel=1e-12)


def test_float32_is_the_float64_answer_rounded() -> None:
    V, z, y = random((50,), 6, 4, seed=2, size=8.0)
    V, z = V.float(), z.float()
    found = exact_radius_l2(V, z, y)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), exact_radius_l2(V.double(), z.double(), y), rtol=1e-7, atol=0)


# --- the hard case -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.2, 1.0, 3.0])
def test_hard_case_by_hand_and_by_brute_force(size: float) -> None:
    V, z, y = hard(size=size)
    p = math.exp(size) / (math.exp(size) + 2)
    q = 1 - p
    top, other, slope = 4 * q, p * q, q  # H = diag(pq, c²q) with c = 2; ∇ = (−q, 0)
    xi = math.log(3 * p)
    along = slope / (top - other)  # |r*₁| = θ|∇|/(1 − θ·other) at θ = 1/top
    reached = slope * along + 0.5 * other * along**2
    g, H, _ = model(V, z, y)
    brute = oracles.first_reach(g, H, xi, RAYS)
    found = float(exact_radius_l2(V, z, y))
    assert found == pytest.approx(brute, rel=1e-7)
    if xi > reached:
        assert found == pytest.approx(math.sqrt(along**2 + 2 * (xi - reached) / top), rel=1e-13)
        r = exact_perturbation_l2(V, z, y)
        assert float(gain(V, z, y, r)) == pytest.approx(xi, rel=1e-12)
        assert abs(float(r[1])) > 1e-3
        mirrored = r * torch.tensor([1.0, -1.0])
        assert float(gain(V, z, y, mirrored)) == pytest.approx(xi, rel=1e-12)
    else:  # not hard yet: straight along the gradient
        assert found == pytest.approx((math.sqrt(1 + 2 * p * xi / q) - 1) / p, rel=1e-13)


def test_hard_and_easy_are_both_among_the_hard_tests() -> None:
    def sideways(size: float) -> float:
        return abs(float(exact_perturbation_l2(*hard(size=size))[1]))

    assert sideways(0.2) < 1e-12 < sideways(1.0) < sideways(3.0)


def test_no_slope_at_all() -> None:
    # z = (2, x, −x) at x = 0: ∇ = 0 and r* = √(2ξ/H).
    V = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64)
    z, y = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64), torch.tensor(0)
    q = probability.rival_probability(z, y)
    expected = float((2 * probability.slack(z, y, threshold=math.log(3)) / q).sqrt())
    assert expected == pytest.approx(2.840, abs=5e-4)
    assert float(exact_radius_l2(V, z, y)) == pytest.approx(expected, rel=1e-13)
    # The same with a top eigenvalue that is multiple: any direction of a plane.
    simplex = torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.75**0.5, -(0.75**0.5)]], dtype=torch.float64)
    V4 = torch.cat([torch.zeros(2, 1, dtype=torch.float64), simplex], dim=1)
    z4 = torch.tensor([2.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    q4, xi4 = probability.rival_probability(z4, y), probability.slack(z4, y)
    assert float(exact_radius_l2(V4, z4, y)) == pytest.approx(float((2 * xi4 / (q4 / 2)).sqrt()), rel=1e-12)


# --- edges of the domain -----------------------------------------------------------------


def test_loss_at_or_above_the_threshold_is_radius_zero() -> None:
    V, _, _ = random((3,), 4, 3, seed=0)
    z = torch.tensor([[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 0, 0])
    assert (exact_radius_l2(V, z, y) > 1e-14).tolist() == [False, False, True]
    assert exact_perturbation_l2(V, z, y)[1].abs().sum() == 0
    assert (exact_radius_linf_three_classes(V, z, y) > 1e-14).tolist() == [False, False, True]
    below = exact_radius_l2(V, z, y, threshold=0.3)  # L is 1.10, 5.01 and 0.55
    assert below.tolist() == [0.0, 0.0, 0.0]
    with_more = exact_radius_l2(V, z, y, threshold=6.0)  # misclassified, but below β: defined
    assert bool((with_more > 0).all())
    g, H, _ = model(V[1, :2], z[1], y[1])
    loss = float(probability.loss(z[1], y[1]))
    brute = oracles.first_reach(g, H, 6.0 - loss, RAYS)
    assert float(exact_radius_l2(V[1, :2], z[1], y[1], threshold=6.0)) == pytest.approx(brute, rel=1e-7)


@pytest.mark.parametrize("radius", [exact_radius_l2, exact_radius_linf_three_classes])
def test_at_or_above_the_threshold_the_radius_is_flat(radius: Callable[..., Tensor]) -> None:
    """As documented: from inside, where the radius falls to zero, it has another slope."""
    V, _, _ = random((2,), 4, 3, seed=0)
    z = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)  # L above log 3, and below
    V.requires_grad_()
    z.requires_grad_()
    radius(V, z, torch.tensor([0, 0])).sum().backward()
    assert V.grad is not None and z.grad is not None
    assert not bool(V.grad[0].any()) and not bool(z.grad[0].any())
    assert bool(V.grad[1].any()) and bool(z.grad[1].any())


def test_equal_columns_are_out_of_reach() -> None:
    V, z, y = random((2,), 4, 3, seed=5)
    V[1] = V[1, :, :1]
    assert torch.isinf(exact_radius_l2(V, z, y)).tolist() == [False, True]
    assert torch.isinf(exact_radius_linf_three_classes(V, z, y)).tolist() == [False, True]
    with pytest.raises(HypothesisError, match="example 1: the columns of V coincide"):
        exact_perturbation_l2(V, z, y)
    V.requires_grad_()
    exact_radius_l2(V, z, y)[0].backward()
    assert V.grad is not None
    assert bool(torch.isfinite(V.grad).all())


def test_errors_name_the_example() -> None:
    V, z, y = random((2,), 4, 3, seed=5)
    with pytest.raises(InputError, match="threshold must be a finite loss"):
        exact_radius_l2(V, z, y, threshold=math.nan)
    with pytest.raises(InputError, match="V or z of example 1 holds NaN"):
        exact_radius_l2(torch.stack([V[0], V[1] * math.nan]), z, y)
    with pytest.raises(InputError, match="shape"):
        exact_radius_l2(V, z[:, :2], y)
    z[0, 0], y[0] = 2000.0, 0
    with pytest.raises(HypothesisError, match="example 0: p_y equals 1"):
        exact_radius_l2(V, z, y)
    with pytest.raises(InputError, match="K = 3"):
        exact_radius_linf_three_classes(*random((), 4, 2, seed=0))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3)])
def test_leading_axes(shape: tuple[int, ...]) -> None:
    V, z, y = random(shape, 5, 3, seed=4)
    found, r = exact_radius_l2(V, z, y), exact_perturbation_l2(V, z, y)
    sup = exact_radius_linf_three_classes(V, z, y)
    assert found.shape == sup.shape == shape
    assert r.shape == (*shape, 5)
    for where in itertools.product(*map(range, shape)):
        one = exact_radius_l2(V[where], z[where], y[where])
        assert float(found[where]) == pytest.approx(float(one), rel=1e-13)
        one = exact_radius_linf_three_classes(V[where], z[where], y[where])
        assert float(sup[where]) == pytest.approx(float(one), rel=1e-13)


# --- its slope ---------------------------------------------------------------------------


@pytest.mark.parametrize("K", [2, 3, 5])
def test_the_envelope_derivative_is_the_derivative(K: int) -> None:
    V, z, y = random((3,), 4, K, seed=K, size=1.0)
    V.requires_grad_()
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda V, z: exact_radius_l2(V, z, y), (V, z))
    assert torch.autograd.gradcheck(lambda V, z: exact_radius_l2(V, z, y, threshold=3.0), (V, z))


def test_a_wrong_derivative_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    V, z, y = random((3,), 4, 3, seed=3, size=1.0)
    right = exact_radius._model_derivatives
    monkeypatch.setattr(
        exact_radius, "_model_derivatives", lambda *a: (right(*a)[0], right(*a)[0])
    )  # the variance's part forgotten
    V.requires_grad_()
    z.requires_grad_()
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda V, z: exact_radius_l2(V, z, y), (V, z))


def test_the_slope_in_the_hard_case_is_one_sided_and_finite() -> None:
    V, z, y = hard(size=1.0)
    V.requires_grad_()
    z.requires_grad_()
    exact_radius_l2(V, z, y).backward()
    assert V.grad is not None and z.grad is not None
    step = 1e-6
    ahead = exact_radius_l2((1 + step) * V.detach(), z.detach(), y)
    behind = exact_radius_l2((1 - step) * V.detach(), z.detach(), y)
    slope = float((V.grad * V.detach()).sum())  # along V the hard case stays hard: no kink
    assert slope == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-7)
    assert slope == pytest.approx(-float(exact_radius_l2(V.detach(), z.detach(), y)), rel=1e-12)


def test_second_derivatives_are_refused() -> None:
    V, z, y = random((), 4, 3, seed=0)
    V.requires_grad_()
    with pytest.raises(InputError, match="differentiable once"):
        torch.autograd.grad(exact_radius_l2(V, z, y), V, create_graph=True)


def test_gradients_are_finite_at_high_confidence_in_float32() -> None:
    V, _, _ = random((2,), 6, 4, seed=2)
    z = torch.zeros(2, 4)
    z[:, 0] = torch.tensor([40.0, 80.0])
    V32 = V.float().requires_grad_()
    z.requires_grad_()
    exact_radius_l2(V32, z, torch.zeros(2, dtype=torch.int64)).log().sum().backward()
    assert V32.grad is not None and z.grad is not None
    assert bool(torch.isfinite(V32.grad).all() and torch.isfinite(z.grad).all())
    assert bool((V32.grad.flatten(1).norm(dim=1) > 0).all())


# --- the box -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_linf_is_the_best_of_all_corners(n: int) -> None:
    V, z, y = random((20,), n, 3, seed=n)
    V[0, 0] *= float(n == 1)  # an input that nothing depends on
    V[1, :, 2] = V[1, :, 1]  # two classes that move together
    found = exact_radius_linf_three_classes(V, z, y)
    for i in range(20):
        g, H, xi = model(V[i], z[i], y[i])
        corners = oracles.sign_vectors(n)
        a, b = corners @ g, ((corners @ H) * corners).sum(dim=-1)
        best = float(((torch.sqrt(a * a + 2 * b * xi) - a) / b.clamp_min(1e-300))[b > 1e-14].min())
        assert float(found[i]) == pytest.approx(best, rel=1e-9)


def test_linf_lies_within_its_bracket_and_has_the_right_slope() -> None:
    V, z, y = random((50,), 7, 3, seed=0)
    lower, upper = bounds.radius_linf_bracket(V, z, y)
    found = exact_radius_linf_three_classes(V, z, y)
    assert bool((lower * (1 - 1e-12) <= found).all() and (found <= upper * (1 + 1e-12)).all())
    assert bool((found <= exact_radius_l2(V, z, y) * (1 + 1e-12)).all())
    V, z = V[:3].requires_grad_(), z[:3].requires_grad_()
    assert torch.autograd.gradcheck(lambda V, z: exact_radius_linf_three_classes(V, z, y[:3]), (V, z))


def test_the_factor_is_the_hessians() -> None:
    V, z, y = random((5,), 6, 4, seed=8)
    p, q = probability.label_probability(z, y), probability.rival_probability(z, y)
    A, toward = exact_radius._factor(V, z, y, q, p.sqrt(), q.sqrt())
    assert torch.allclose(q[:, None, None] * A @ A.mT, derivatives.hessian(V, z), rtol=1e-12, atol=1e-14)
    gradient = q[:, None] * toward.squeeze(-1)
    assert torch.allclose(gradient, derivatives.input_gradient(V, z, y), rtol=1e-12, atol=1e-14)
