"""APGD-CE: its schedule, its optimum on linear networks, and that it finds its own step size."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.attacks import apgd, pgd
from regrob.attacks.apgd import checkpoints
from regrob.data import datasets
from regrob.errors import InputError
from regrob.theory.probability import logit_margin, loss
from regrob.training.single import train


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    task = datasets.one_versus_seven("embedded")
    network = networks.lenet_300_100(2, generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=200)
    return network, task.test_images[:100], task.test_labels[:100]


def test_checkpoints_follow_the_paper() -> None:
    """p₁ = 0.22, p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06), each times the steps, rounded up."""
    for steps in (1, 7, 30, 100, 333):
        p = [0.0, 0.22]
        while p[-1] + max(p[-1] - p[-2] - 0.03, 0.06) < 1 + 1e-9:
            p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
        assert checkpoints(steps) == sorted({math.ceil(f * steps - 1e-9) for f in p[1:]})


def test_two_classes_and_a_linear_network() -> None:
    """max over ‖r‖∞ ≤ ε of the loss is softplus(ε‖s‖₁ − m)."""
    network = nn.Linear(12, 2).double()
    generator = torch.Generator().manual_seed(0)
    x = 0.3 + 0.4 * torch.rand(10, 12, generator=generator, dtype=torch.float64)
    z = network(x).detach()
    y = z.argmax(dim=1)
    s = (network.weight[y] - network.weight[1 - y]).detach()
    worst = torch.nn.functional.softplus(0.1 * s.abs().sum(dim=1) - logit_margin(z, y))
    result = apgd(network, x, y, epsilon=0.1, steps=10)
    torch.testing.assert_close(loss(network(result.images).detach(), y), worst)
    one = apgd(network, x, y, epsilon=0.1, steps=1, box=None)
    torch.testing.assert_close(loss(network(one.images).detach(), y), worst)


def test_the_step_is_halved_until_it_fits() -> None:
    """A peak 0.003 wide: steps of 2ε jump over it for ever, halved ones land on it."""
    network = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.copy_(torch.tensor([0.0, -0.537]))
        network[2].weight.copy_(torch.tensor([[0.0, 0.0], [10.0, -20.0]]))  # a tent with its top at 0.537
        network[2].bias.copy_(torch.tensor([0.0, -10 * 0.5355]))
    x, y = torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([0])
    assert not bool(pgd(network, x, y, epsilon=0.1, steps=200, step_size=0.2, random_start=False).success)
    assert bool(apgd(network, x, y, epsilon=0.1, steps=100, random_start=False).success)


def test_no_weaker_than_pgd_at_equal_cost(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = digits
    for epsilon in (0.1, 0.15):
        ours = apgd(network, x, y, epsilon=epsilon, steps=40)
        theirs = pgd(network, x, y, epsilon=epsilon, steps=40, step_size=0.01)
        assert ours.success_rate >= theirs.success_rate
        with torch.no_grad():
            a, b = loss(network(ours.images), y).mean(), loss(network(theirs.images), y).mean()
        assert float(a) >= 0.999 * float(b)
    assert 0.0 < ours.success_rate < 1.0


def test_restarts_and_seeds(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = digits
    one = apgd(network, x, y, epsilon=0.12, steps=5, seed=1)
    assert torch.equal(one.images, apgd(network, x, y, epsilon=0.12, steps=5, seed=1).images)
    assert not torch.equal(one.images, apgd(network, x, y, epsilon=0.12, steps=5, seed=2).images)
    three = apgd(network, x, y, epsilon=0.12, steps=5, seed=1, restarts=3)
    assert bool((three.success | ~one.success).all())
    with pytest.raises(InputError, match="would all be the same"):
        apgd(network, x, y, restarts=2, random_start=False)
    with pytest.raises(InputError, match="steps must be at least 1"):
        apgd(network, x, y, steps=0)
