"""Attacks: against linear networks, where the best step is known, and against Foolbox."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regrob import networks
from regrob.attacks import AttackResult, apgd, fgsm, pgd
from regrob.data import datasets
from regrob.errors import InputError, NotPiecewiseLinearError
from regrob.theory import probability
from regrob.training.single import train

ATTACKS = [fgsm, pgd, apgd]
Attack = Callable[..., AttackResult]


def linear(classes: int = 2, *, inputs: int = 12, scale: float = 1.0, seed: int = 0) -> nn.Linear:
    network = nn.Linear(inputs, classes).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return network


def points(network: nn.Module, *, count: int = 40, inputs: int = 12) -> tuple[Tensor, Tensor]:
    """Images away from the box's walls, with the labels that the network gives them."""
    generator = torch.Generator().manual_seed(1)
    images = 0.3 + 0.4 * torch.rand(count, inputs, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        return images, network(images).argmax(dim=1)


def loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return probability.loss(network(images), labels)


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    task = datasets.ten_classes("embedded")
    network = networks.lenet_300_100(10, generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=400)
    return network, task.test_images, task.test_labels


# --- the linear oracle ------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"restarts": 3}, {"random_start": False}])
def test_both_reach_the_worst_loss_of_a_binary_linear_network(settings: dict[str, object]) -> None:
    """max over ‖r‖∞ ≤ ε is log(1 + exp(ε‖s‖₁ − m)), at the corner −ε sign(s)."""
    network = linear()
    x, y = points(network)
    s = network.weight[y] - network.weight[1 - y]
    m = probability.logit_margin(network(x), y)
    worst = torch.nn.functional.softplus(0.1 * s.abs().sum(dim=1) - m).detach()
    torch.testing.assert_close(loss(network, fgsm(network, x, y, epsilon=0.1).images, y), worst)
    result = pgd(network, x, y, epsilon=0.1, **settings)  # type: ignore[arg-type]
    torch.testing.assert_close(loss(network, result.images, y), worst)
    torch.testing.assert_close(result.distance, torch.full((40,), 0.1, dtype=torch.float64))
    assert not torch.allclose(loss(network, fgsm(network, x, y, epsilon=0.09).images, y), worst)


def test_success_begins_exactly_at_the_closed_form_radius() -> None:
    network = linear()
    x, y = points(network, count=1)
    s = network.weight[y] - network.weight[1 - y]
    radius = float((probability.logit_margin(network(x), y) / s.abs().sum()).detach())
    for attack in ATTACKS:
        assert not bool(attack(network, x, y, epsilon=0.999 * radius, box=None).success)
        assert bool(attack(network, x, y, epsilon=1.001 * radius, box=None).success)


def test_targeted_steps_down_to_the_target() -> None:
    network = linear(4)
    x, y = points(network)
    targets = (y + 1) % 4
    for attack in ATTACKS:
        result = attack(network, x, y, epsilon=0.1, targets=targets)
        assert bool((loss(network, result.images, targets) < loss(network, x, targets)).all())
        with torch.no_grad():
            assert torch.equal(result.success, network(result.images).argmax(dim=1) == targets)
    far = pgd(network, x, y, epsilon=1.0, step_size=0.1, box=None, targets=targets)
    assert far.success_rate > 0.9


# --- what every attack promises ---------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_ball_box_and_bookkeeping(attack: Attack, digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = digits
    network.zero_grad()  # Foolbox, in another test, leaves gradients behind
    kept = x.clone()
    result = attack(network, x, y, epsilon=0.07)
    assert torch.equal(x, kept)
    assert float(result.images.min()) >= 0.0
    assert float(result.images.max()) <= 1.0
    assert float((result.images - x).abs().max()) <= 0.07 * (1 + 1e-5)
    with torch.no_grad():
        assert torch.equal(result.success, network(result.images).argmax(dim=1) != y)
    torch.testing.assert_close(result.distance, (result.images - x).flatten(1).abs().amax(dim=1))
    assert result.norm == "linf"
    assert 0.0 < result.success_rate < 1.0
    assert result.mean_distance == pytest.approx(
        float(result.distance[result.success & result.correct].mean())
    )
    assert all(p.grad is None for p in network.parameters())
    assert not result.images.requires_grad
    free = attack(network, x, y, epsilon=0.07, box=None)
    assert float(free.images.min()) < 0.0


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_example_is_attacked_by_itself(attack: Attack, digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = digits
    network = copy.deepcopy(network).double()
    x = x[:12].double()
    settings = {} if attack is fgsm else {"random_start": False}
    together = attack(network, x, y[:12], epsilon=0.05, **settings)
    alone = [attack(network, x[i : i + 1], y[i : i + 1], epsilon=0.05, **settings).images for i in range(12)]
    torch.testing.assert_close(together.images, torch.cat(alone))


def test_no_radius_no_change(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = digits
    for attack in ATTACKS:
        result = attack(network, x, y, epsilon=0.0)
        assert torch.equal(result.images, x)
        with torch.no_grad():
            assert torch.equal(result.success, network(x).argmax(dim=1) != y)


def test_mean_distance_of_no_success_is_nan() -> None:
    network = linear()
    x, y = points(network)
    result = fgsm(network, x, y, epsilon=0.0)
    assert result.success_rate == 0.0
    assert torch.tensor(result.mean_distance).isnan()


# --- PGD alone --------------------------------------------------------------------------


def test_pgd_is_never_weaker_with_more_restarts_or_than_its_start(
    digits: tuple[nn.Module, Tensor, Tensor],
) -> None:
    network, x, y = digits
    x, y = x[:300], y[:300]
    one = pgd(network, x, y, epsilon=0.05, steps=5, seed=3)
    three = pgd(network, x, y, epsilon=0.05, steps=5, restarts=3, seed=3)
    assert bool((three.success | ~one.success).all())
    both = one.success & three.success
    assert bool((loss(network, three.images, y) >= loss(network, one.images, y) - 1e-5)[both].all())
    assert one.success_rate > fgsm(network, x, y, epsilon=0.02).success_rate


def test_pgd_keeps_a_success_that_later_steps_leave() -> None:
    """Logit 1 climbs to a narrow peak, then falls into a deep valley whose floor still climbs."""
    network = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.copy_(torch.tensor([0.0, -0.52, -0.53]))
        network[2].weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [15.0, -525.0, 511.0]]))
        network[2].bias.copy_(torch.tensor([0.0, -0.2 - 15 * 0.5]))
    x, y = torch.tensor([[0.499]], dtype=torch.float64), torch.tensor([0])
    for steps in range(1, 6):
        result = pgd(network, x, y, epsilon=0.2, steps=steps, step_size=0.02, random_start=False)
        assert bool(result.success)
        assert float(result.images) == pytest.approx(0.519)
        with torch.no_grad():
            assert bool(network(x + 0.02 * steps).argmax() == 1) == (steps == 1)


def test_pgd_depends_on_its_seed_only(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, y = digits
    x, y = x[:20], y[:20]
    torch.manual_seed(1)
    a = pgd(network, x, y, steps=2, seed=5).images
    torch.manual_seed(2)
    assert torch.equal(a, pgd(network, x, y, steps=2, seed=5).images)
    assert not torch.equal(a, pgd(network, x, y, steps=2, seed=6).images)


# --- saturation -------------------------------------------------------------------------


def saturated_network() -> tuple[nn.Linear, Tensor, Tensor]:
    """Float32 logits so large that softmax rounds p_y to one: cross-entropy's gradient is lost."""
    network = linear(2, scale=300.0).float()
    x, y = points(linear(2, scale=300.0))
    return network, x.float(), y


def test_saturated_examples_are_counted_and_still_attacked() -> None:
    network, x, y = saturated_network()
    z = network(x).detach()
    p = torch.softmax(z, dim=1)
    expected = int((p.gather(1, y[:, None]) == 1).sum())
    assert expected > 30
    x_grad = x.clone().requires_grad_(True)
    torch.nn.functional.cross_entropy(network(x_grad), y, reduction="sum").backward()
    assert int((x_grad.grad == 0).all(dim=1).sum()) > 20  # what the usual attack would see
    for attack in ATTACKS:
        result = attack(network, x, y, epsilon=0.4, box=None)
        assert result.saturated >= expected
        assert result.success_rate == 1.0
    assert fgsm(linear(), *points(linear()), epsilon=0.1).saturated == 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_tiny_logits_saturate_nowhere_and_huge_ones_everywhere(attack: Attack) -> None:
    """Of two classes the loss climbs along one and the same direction, however large the logits are."""
    x, y = points(linear())
    x = x.float()
    reference = attack(linear().float(), x, y, epsilon=0.02)
    assert reference.success_rate < 1.0
    for scale, saturated in ((1e-20, 0), (1e-12, 0), (1e12, len(x)), (1e20, len(x))):
        result = attack(linear(scale=scale).float(), x, y, epsilon=0.02)
        assert result.saturated == saturated, scale
        assert torch.equal(result.success, reference.success), scale
        torch.testing.assert_close(result.images, reference.images)


# --- bad input --------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_bad_input(attack: Attack) -> None:
    network = linear(3)
    x, y = points(network)
    with pytest.raises(InputError, match="epsilon must be finite and at least 0"):
        attack(network, x, y, epsilon=-0.1)
    with pytest.raises(InputError, match=r"pixels must lie in the box \[0.0, 1.0\]"):
        attack(network, 3 * x, y)
    with pytest.raises(InputError, match="box must be"):
        attack(network, x, y, box=(1.0, 0.0))
    with pytest.raises(InputError, match="label 3 is outside"):
        attack(network, x, y + 1 + (2 - y.max()))
    with pytest.raises(InputError, match="int64"):
        attack(network, x, y.int())
    with pytest.raises(InputError, match="shape"):
        attack(network, x, y[:3])
    with pytest.raises(InputError, match="batch is not empty"):
        attack(network, x[:0], y[:0])
    with pytest.raises(InputError, match="NaN"):
        attack(network, x * torch.nan, y)
    with pytest.raises(InputError, match="a target must differ"):
        attack(network, x, y, targets=y)
    with pytest.raises(InputError, match="logits of shape"):
        attack(nn.Linear(12, 1).double(), x, y)
    with pytest.raises(NotPiecewiseLinearError, match=r"network\.eval"):
        attack(nn.Sequential(nn.Linear(12, 3), nn.BatchNorm1d(3)).double(), x, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"restarts": 0}, "restarts must be at least 1"),
        ({"step_size": float("inf")}, "step_size must be finite"),
        ({"restarts": 2, "random_start": False}, "would all be the same"),
    ],
)
def test_bad_settings_of_pgd(settings: dict[str, object], message: str) -> None:
    network = linear()
    with pytest.raises(InputError, match=message):
        pgd(network, *points(network), **settings)  # type: ignore[arg-type]


# --- Foolbox ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_as_strong_as_foolbox_at_identical_settings(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    foolbox = pytest.importorskip("foolbox")
    network, x, y = digits
    model = foolbox.PyTorchModel(copy.deepcopy(network), bounds=(0, 1), device="cpu")
    for epsilon in (0.03, 0.06):
        _, _, theirs = foolbox.attacks.FGSM()(model, x, y, epsilons=epsilon)
        ours = fgsm(network, x, y, epsilon=epsilon)
        assert abs(ours.success_rate - float(theirs.float().mean())) <= 0.005
        peer = foolbox.attacks.LinfPGD(abs_stepsize=0.01, steps=10, random_start=False)
        _, _, theirs = peer(model, x, y, epsilons=epsilon)
        ours = pgd(network, x, y, epsilon=epsilon, steps=10, random_start=False)
        assert abs(ours.success_rate - float(theirs.float().mean())) <= 0.005
