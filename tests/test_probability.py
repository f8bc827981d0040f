"""Probabilities, loss and slack against mpmath, for margins from 1e-8 to 700."""

from __future__ import annotations

import math

import mpmath
import oracles
import pytest
import torch
from oracles import Exact
from torch import Tensor

from regrob.errors import InputError
from regrob.theory import probability

MARGINS = (1e-8, 1e-6, 1e-3, 0.1, 0.6931, 1.0, 3.0, 10.0, 36.0, 37.5, 40.0, 100.0, 400.0, 700.0)
BLANK = torch.zeros(1, 2, dtype=torch.float64)


def logits(m: float, classes: int = 2) -> Tensor:
    """Label 0 leads by m, exactly; further classes lie two below the first rival, and so on."""
    return torch.tensor([m, *(-2.0 * k for k in range(classes - 1))], dtype=torch.float64)


def exact(z: Tensor, y: int) -> Exact:
    return Exact(torch.zeros(1, len(z)), z, y)


@pytest.mark.parametrize("m", MARGINS)
@pytest.mark.parametrize("y", [0, 1])
def test_two_classes_to_1e_12(m: float, y: int) -> None:
    z, label = logits(m), torch.tensor(y)
    truth = exact(z, y)
    for found, value in [
        (probability.logit_margin(z, label), truth.m),
        (probability.label_probability(z, label), truth.p_y),
        (probability.rival_probability(z, label), truth.q),
        (probability.loss(z, label), truth.loss),
        (probability.slack(z, label), truth.xi),
        (probability.binary_slack(probability.logit_margin(z, label)), truth.xi),
    ]:
        assert found.shape == ()
        assert oracles.relative_error(found, value) < 1e-12


@pytest.mark.parametrize("m", [0.1, 1.0, 10.0, 40.0, 100.0, 700.0])
@pytest.mark.parametrize("classes", [3, 5, 10])
@pytest.mark.parametrize("y", [0, 1, 2])
def test_many_classes_to_1e_12(m: float, classes: int, y: int) -> None:
    z, label = logits(m, classes), torch.tensor(y)
    truth = exact(z, y)
    assert oracles.relative_error(probability.logit_margin(z, label), truth.m) < 1e-12
    assert oracles.relative_error(probability.rival_probability(z, label), truth.q) < 1e-12
    assert oracles.relative_error(probability.label_probability(z, label), truth.p_y) < 1e-12
    assert oracles.relative_error(probability.loss(z, label), truth.loss) < 1e-12
    beta = math.log(classes)
    truth = Exact(BLANK.expand(1, 2), z, y, threshold=beta)
    assert abs(float(probability.slack(z, label, threshold=beta)) - float(truth.xi)) < 1e-12 * max(1, m)


LEADS = (1e-16, 1e-15, 1e-12, 1e-8, 1e-4, 0.1, 1.0, 10.0, 40.0, 100.0, 700.0)


def nearly_uniform(lead: float, classes: int) -> Tensor:
    """Label 0 leads the first rival by `lead`, and the others by up to twice as much."""
    return torch.tensor([lead, *(-lead * k / classes for k in range(classes - 1))], dtype=torch.float64)


def slack_to_many_digits(z: Tensor, y: int) -> mpmath.mpf:
    weights = [oracles.mp.exp(oracles.mp.mpf(float(z_k))) for z_k in z]
    return oracles.mp.log(len(z) * weights[y] / oracles.mp.fsum(weights))


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("lead", LEADS)
def test_the_slack_keeps_its_digits_next_to_uniform_logits(lead: float, classes: int) -> None:
    z, y = nearly_uniform(lead, classes), torch.tensor(0)
    truth = slack_to_many_digits(z, 0)
    assert oracles.relative_error(probability.slack(z, y), truth) < 1e-12
    assert oracles.relative_error(probability.slack(z, y, threshold=math.log(classes)), truth) < 1e-12
    wrong = torch.tensor(classes - 1)  # the last class trails
    assert oracles.relative_error(probability.slack(z, wrong), slack_to_many_digits(z, classes - 1)) < 1e-12
    if lead < 1e-7:  # the schoolbook difference, which this test must be able to tell apart
        schoolbook = math.log(classes) - probability.loss(z, y)
        assert classes == 2 or oracles.relative_error(schoolbook, truth) > 1e-12
    if lead <= 80:
        single = z.float()
        found = probability.slack(single, y)
        assert found.dtype == torch.float32
        assert oracles.relative_error(found, slack_to_many_digits(single, 0)) < 1e-6


def test_the_slack_s_gradient_is_the_residual_next_to_uniform_logits_too() -> None:
    z = torch.stack([nearly_uniform(lead, 5) for lead in (*LEADS, 0.0)]).requires_grad_(True)
    for label in (0, 4):
        y = torch.full((len(z),), label)
        (slope,) = torch.autograd.grad(probability.slack(z, y).sum(), z)
        torch.testing.assert_close(slope, -probability.residual_probability(z, y), rtol=1e-12, atol=1e-15)


def test_the_margin_pools_the_rivals() -> None:
    z = torch.tensor([math.log(4.0), math.log(5.0), 0.0], dtype=torch.float64)  # p = (.4, .5, .1)
    for y, p in enumerate((0.4, 0.5, 0.1)):
        m = probability.logit_margin(z, torch.tensor(y))
        assert float(m) == pytest.approx(math.log(p / (1 - p)), rel=1e-14)


def test_a_constant_added_to_the_logits_costs_no_digits() -> None:
    z, y = torch.tensor([1.0, 0.5, -0.25], dtype=torch.float64), torch.tensor(0)
    shifted = probability.logit_margin(z + 2.0**40, y)
    assert float(shifted) == float(probability.logit_margin(z, y))


def test_residual_probability_sums_to_zero_and_is_p_minus_one_hot() -> None:
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(50) % 4
    residual = probability.residual_probability(z, y)
    plain = torch.softmax(z, dim=-1) - torch.nn.functional.one_hot(y, 4)
    torch.testing.assert_close(residual, plain, rtol=1e-12, atol=1e-15)
    confident = probability.residual_probability(logits(100.0), torch.tensor(0))
    assert oracles.relative_error(confident[0], -mpmath.exp(-100)) < 1e-12


@pytest.mark.parametrize("m", [-700.0, -100.0, -3.0, -1e-8, 0.0, *MARGINS])
def test_the_slack_has_a_finite_gradient_everywhere(m: float) -> None:
    margin = torch.tensor(m, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(probability.binary_slack(margin), margin)
    # d log p / dm = q
    assert float(slope) == pytest.approx(
        float(torch.sigmoid(torch.tensor(-m, dtype=torch.float64))), rel=1e-12
    )


@pytest.mark.parametrize("name", ["logit_margin", "label_probability", "rival_probability", "loss", "slack"])
def test_float32_to_margin_80_stays_finite_with_finite_gradients(name: str) -> None:
    m = torch.linspace(-80, 80, 321)
    z = torch.stack([m, torch.zeros_like(m), torch.full_like(m, -1.0)], dim=-1).requires_grad_(True)
    y = torch.zeros(321, dtype=torch.int64)
    value = getattr(probability, name)(z, y)
    assert value.dtype == torch.float32
    assert bool(torch.isfinite(value).all())
    (slope,) = torch.autograd.grad(value.sum(), z)
    assert bool(torch.isfinite(slope).all())


def test_rival_probability_never_underflows_within_the_range() -> None:
    assert float(probability.rival_probability(torch.tensor([80.0, 0.0]), torch.tensor(0))) > 0
    assert float(probability.rival_probability(logits(700.0), torch.tensor(0))) > 0


def test_correctly_classified_counts_a_tie_as_wrong() -> None:
    z = torch.tensor([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 2.0], [float("nan"), 0.0, 1.0]])
    assert probability.correctly_classified(z, torch.tensor([0, 0, 0, 0])).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert probability.correctly_classified(z, torch.tensor([1, 1, 2, 2])).tolist() == [
        False,
        False,
        True,
        False,
    ]


def test_leading_axes_are_kept() -> None:
    z = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(6).reshape(2, 3) % 4
    for name in (
        "logit_margin",
        "label_probability",
        "rival_probability",
        "loss",
        "slack",
        "correctly_classified",
    ):
        function = getattr(probability, name)
        whole = function(z, y)
        assert whole.shape == (2, 3)
        assert all(torch.equal(whole[i, j], function(z[i, j], y[i, j])) for i in range(2) for j in range(3))


@pytest.mark.parametrize(
    "name",
    [
        "logit_margin",
        "label_probability",
        "rival_probability",
        "loss",
        "slack",
        "correctly_classified",
        "residual_probability",
    ],
)
def test_bad_labels_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="outside 0 … 2"):
        getattr(probability, name)(torch.zeros(1, 3), torch.tensor([3]))
    with pytest.raises(InputError, match="int64"):
        getattr(probability, name)(torch.zeros(1, 3), torch.tensor([1.0]))
