"""The brackets of `regrob.bounds` against brute force, two classes, and their own limits."""

import itertools
import math

import pytest
import torch

from regrob.errors import HypothesisError, InputError
from regrob.theory import bounds, derivatives, probability, taylor_radius

CLASSES = (2, 3, 4, 5, 10)


def instances(classes: int, *, inputs: int = 2, count: int = 60, scale: float = 2.0):
    generator = torch.Generator().manual_seed(100 * classes + inputs)
    V = torch.randn(count, inputs, classes, generator=generator, dtype=torch.float64)
    z = scale * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    return V, z, z.argmax(dim=-1)


def model_root(a, b, xi):
    """The positive root of a t + b t²/2 = ξ for any sign of a."""
    return (-a + (a.square() + 2 * b * xi).sqrt()) / b


def brute_force_l2(V, z, y, angles: int = 4000):
    """‖r*‖₂ for n = 2: the shortest step to the threshold over a fan of directions."""
    t = torch.linspace(0, 2 * math.pi, angles, dtype=torch.float64)
    d = torch.stack([t.cos(), t.sin()])  # (2, angles)
    g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    bend = torch.einsum("at,nab,bt->nt", d, H, d)
    return model_root(g @ d, bend, probability.slack(z, y)[:, None]).nan_to_num(nan=math.inf).amin(dim=-1)


def brute_force_linf(V, z, y):
    """‖r̃*‖_∞: a convex model is largest on a box at a corner, so every corner is tried."""
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=V.shape[1])), dtype=torch.float64).T
    g, H = derivatives.input_gradient(V, z, y), derivatives.hessian(V, z)
    bend = torch.einsum("at,nab,bt->nt", signs, H, signs)
    return taylor_radius.positive_root((g @ signs).abs(), bend, probability.slack(z, y)[:, None]).amin(dim=-1)


@pytest.mark.parametrize("classes", CLASSES)
def test_l2_bracket_holds_the_brute_force_radius(classes):
    V, z, y = instances(classes)
    bracket = bounds.radius_l2_bracket(V, z, y)
    radius = brute_force_l2(V, z, y)
    assert (bracket.lower <= radius * (1 + 1e-9)).all()
    # The fan misses the best direction by up to π/4000, which lengthens it by at most 1e-6.
    assert (radius <= bracket.upper * (1 + 1e-6)).all()


@pytest.mark.parametrize("classes", CLASSES)
def test_linf_bracket_holds_the_brute_force_radius(classes):
    V, z, y = instances(classes, inputs=5)
    bracket = bounds.radius_linf_bracket(V, z, y)
    radius = brute_force_linf(V, z, y)
    assert (bracket.lower <= radius * (1 + 1e-12)).all()
    assert (radius <= bracket.upper * (1 + 1e-12)).all()


def test_the_centred_norm_is_the_largest_singular_value():
    V, _, _ = instances(4, inputs=3)
    centred = V @ (torch.eye(4, dtype=torch.float64) - 0.25)
    largest = torch.linalg.eigvalsh(centred.mT @ centred)[:, -1].sqrt()
    torch.testing.assert_close(bounds.centred_norm(V), largest, rtol=1e-12, atol=0)
    assert (bounds.centred_norm(V) < 0.99 * centred.square().sum(dim=(1, 2)).sqrt()).all()


def test_two_classes_close_both_brackets():
    V, z, y = instances(2, inputs=6, scale=10.0)
    for bracket, exact in (
        (bounds.radius_l2_bracket(V, z, y), taylor_radius.radius_l2(V, z, y)),
        (bounds.radius_linf_bracket(V, z, y), taylor_radius.radius_linf(V, z, y)),
    ):
        torch.testing.assert_close(bracket.lower, exact, rtol=1e-12, atol=0)
        torch.testing.assert_close(bracket.upper, exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("correct", [True, False])
def test_curvature_bracket(classes, correct):
    V, z, y = instances(classes, inputs=4)
    y = y if correct else (y + 1) % classes
    bracket, curvature = bounds.curvature_bracket(V, z, y), derivatives.curvature(V, z)
    assert (bracket.lower <= curvature * (1 + 1e-12)).all()
    assert (curvature <= bracket.upper * (1 + 1e-12)).all()


@pytest.mark.parametrize("classes", CLASSES)
def test_the_gap_is_the_gradient_over_q(classes):
    V, z, y = instances(classes, inputs=4)
    gap = bounds.rival_gap(V, z, y) * probability.rival_probability(z, y)[:, None]
    torch.testing.assert_close(gap, derivatives.input_gradient(V, z, y), rtol=1e-12, atol=1e-15)


def test_extreme_margins_stay_finite():
    V = torch.tensor([[1.0, -1.0, 0.5], [0.0, 1.0, 2.0]])
    for dtype, margin in ((torch.float64, 700.0), (torch.float32, 80.0)):
        z = torch.tensor([margin, 0.0, -1.0], dtype=dtype)
        y = torch.tensor(0)
        for bracket in (
            bounds.radius_l2_bracket(V.to(dtype), z, y),
            bounds.radius_linf_bracket(V.to(dtype), z, y),
        ):
            assert torch.isfinite(bracket.lower)
            assert torch.isfinite(bracket.upper)
            assert 0 < bracket.lower <= bracket.upper * (1 + 1e-5)


def test_leading_axes_are_kept():
    V, z, y = instances(3, count=6)
    flat = bounds.radius_l2_bracket(V, z, y)
    folded = bounds.radius_l2_bracket(V.unflatten(0, (2, 3)), z.unflatten(0, (2, 3)), y.unflatten(0, (2, 3)))
    torch.testing.assert_close(folded.lower.flatten(), flat.lower)
    torch.testing.assert_close(folded.upper.flatten(), flat.upper)


@pytest.mark.parametrize(
    ("V", "z", "reason"),
    [
        ([[1.0, 0.0, 0.0]], [0.0, 1.0, 0.0], "example 0: it is not classified correctly"),
        ([[1.0, 1.0, 1.0]], [1.0, 0.0, 0.0], "∇ = 0"),
        ([[1.0, 0.0, 0.0]], [2000.0, 0.0, 0.0], "to working precision"),
    ],
)
def test_outside_the_hypotheses(V, z, reason):
    V, z = torch.tensor([V], dtype=torch.float64), torch.tensor([z], dtype=torch.float64)
    y = torch.tensor([0])
    assert not bounds.has_bracket(V, z, y)
    with pytest.raises(HypothesisError, match=reason):
        bounds.radius_l2_bracket(V, z, y)


def test_shapes_are_checked():
    with pytest.raises(InputError, match="V must have shape"):
        bounds.radius_l2_bracket(torch.zeros(1, 2, 3), torch.zeros(1, 2), torch.tensor([0]))
