"""Training: the policy's arithmetic, the penalised gradient against a dense oracle, what each λ does."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob import networks
from regrob.affine.local_map import local_map
from regrob.data.datasets import Task
from regrob.errors import InputError, NotPiecewiseLinearError
from regrob.experiments import grid
from regrob.theory.penalties import PENALTIES, Penalty
from regrob.training import single
from regrob.training.policy import CaffePolicy, StepPolicy
from regrob.training.single import Descent, Regime, batches, objective, train


def clouds(classes: int, *, count: int = 96, inputs: int = 6, seed: int = 0) -> Task:
    """Gaussian clouds around K random centres, as a task."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(classes, inputs, generator=generator)

    def part() -> tuple[Tensor, Tensor]:
        y = torch.arange(count) % classes
        return (centres[y] + 0.1 * torch.randn(count, inputs, generator=generator)).clamp(0, 1), y

    return Task("clouds", tuple(map(str, range(classes))), *part(), *part(), "made up")


def small(classes: int = 2, *, seed: int = 0) -> nn.Sequential:
    return networks.mlp((6, 10, 8, classes), generator=torch.Generator().manual_seed(seed))


# --- the gradient of the loss -----------------------------------------------------------


def dense_penalty(kind: str, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """One example's penalty from dense Jacobians and Hessians of autograd, by definition."""

    def logits(point: Tensor) -> Tensor:
        return network(point[None])[0]

    def loss(point: Tensor) -> Tensor:
        return functional.cross_entropy(network(point[None]), y[None])

    J = torch.autograd.functional.jacobian(logits, x, create_graph=True)  # (K, n)
    if kind == "jacobian":
        return J.square().sum()
    if kind == "input-gradient":
        point = x.clone().requires_grad_(True)
        (g,) = torch.autograd.grad(loss(point), point, create_graph=True)
        return g.square().sum()
    if kind == "cross-lipschitz":
        pairs = itertools.product(range(len(J)), repeat=2)
        return sum(((J[i] - J[j]).square().sum() for i, j in pairs), x.new_zeros(())) / len(J) ** 2
    H = torch.autograd.functional.hessian(loss, x, create_graph=True)
    return torch.linalg.eigvalsh(H)[-1]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", PENALTIES)
def test_the_training_gradient_is_the_mean_of_the_examples_gradients(kind: str, classes: int) -> None:
    network = small(classes).double()
    task = clouds(classes)
    x, y = task.train_images[:5].double(), task.train_labels[:5]
    parameters = list(network.parameters())
    loss, penalty = objective(network, x, y, PENALTIES[kind])
    ours = torch.autograd.grad(loss + 0.3 * penalty, parameters, allow_unused=True)

    def oracle(scale: float) -> list[Tensor]:
        total = [torch.zeros_like(p) for p in parameters]
        for one, label in zip(x, y, strict=True):
            value = functional.cross_entropy(network(one[None]), label[None])
            value = value + scale * dense_penalty(kind, network, one, label)
            for t, g in zip(total, torch.autograd.grad(value, parameters, allow_unused=True), strict=True):
                if g is not None:
                    t += g / len(x)
        return total

    def distance(expected: list[Tensor]) -> float:
        return max(
            float(((torch.zeros_like(e) if g is None else g) - e).abs().max())
            for g, e in zip(ours, expected, strict=True)
        )

    assert distance(oracle(0.3)) < 1e-12
    assert distance(oracle(0.3 / len(x))) > 1e-4  # a mean taken before the square would do this


def test_batch_norm_is_frozen_for_the_penalty_and_live_for_the_loss() -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    task = clouds(2)
    x, y = task.train_images[:16], task.train_labels[:16]
    twin = copy.deepcopy(network).train()
    live = functional.cross_entropy(twin(x), y)  # moves the twin's statistics as the step will
    twin.eval()
    for penalty in (PENALTIES["curvature"], "curvature"):
        mine = copy.deepcopy(network)
        loss, mean = objective(mine, x, y, penalty)
        torch.testing.assert_close(loss, live)
        V, z = local_map(twin, x, create_graph=True)
        expected = PENALTIES["curvature"](V, z, y).mean()
        torch.testing.assert_close(mean, expected)
        ours, theirs = (
            torch.autograd.grad(value, list(f.parameters()), allow_unused=True)
            for value, f in ((mean, mine), (expected, twin))
        )
        # Statistics that move under the penalty's graph spoil this by a hundredth.
        for g, e in zip(ours, theirs, strict=True):
            torch.testing.assert_close(g, e, rtol=1e-4, atol=1e-7)
        assert torch.autograd.grad(loss, list(mine.parameters()), allow_unused=True)[0].abs().max() > 0
    network.eval()
    before = network[1].running_mean.clone()
    history = train(network, task, iterations=20, penalty="jacobian", weight=0.01)
    assert history.diverged_at is None
    assert not network.training
    assert not torch.equal(before, network[1].running_mean)


class Noisy(nn.Module):
    """A layer from elsewhere whose behaviour in training nobody has announced."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if self.training else x


@pytest.mark.parametrize("penalty", [None, "curvature", PENALTIES["jacobian"]])
@pytest.mark.parametrize("layer", [nn.BatchNorm1d(8), nn.Dropout(0.3), nn.RReLU(), Noisy()])
def test_the_objective_takes_the_cross_entropy_of_the_network_as_it_is_found(
    layer: nn.Module, penalty: str | Penalty | None
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), copy.deepcopy(layer), nn.LeakyReLU(0.5), nn.Linear(8, 2))
        x, y = torch.rand(16, 6), torch.arange(16) % 2
    for training in (True, False):
        network.train(training)
        twin = copy.deepcopy(network)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            expected = functional.cross_entropy(twin(x), y)
            torch.manual_seed(1)
            loss, mean = objective(network, x, y, penalty)
        torch.testing.assert_close(loss, expected)
        assert all(module.training == training for module in network.modules())
        for ours, theirs in zip(network.buffers(), twin.buffers(), strict=True):
            assert torch.equal(ours, theirs)  # the statistics moved once, or in eval mode not at all
        if penalty is not None:
            twin.eval()
            kind = PENALTIES[penalty] if isinstance(penalty, str) else penalty
            torch.testing.assert_close(mean, kind(*local_map(twin, x), y).mean())
    network.train()
    other = functional.cross_entropy(copy.deepcopy(network).eval()(x), y)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        assert not torch.allclose(objective(network, x, y, penalty)[0], other, rtol=1e-6)


def test_a_frozen_batch_norm_stays_frozen_in_the_objective_and_a_descent_trains_it() -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    x, y = clouds(2).train_images[:16], clouds(2).train_labels[:16]
    network[1].eval()
    before = network[1].running_mean.clone()
    objective(network, x, y, "jacobian")
    assert torch.equal(network[1].running_mean, before)
    assert not network[1].training and network[3].training
    network.eval()
    assert Descent(network, CaffePolicy(), "jacobian", 0.1).step(x, y, 0.01)
    assert network[1].training
    assert not torch.equal(network[1].running_mean, before)


# --- the policy -------------------------------------------------------------------------


def test_caffe_learning_rate() -> None:
    policy = CaffePolicy()
    assert policy.learning_rate(0) == 0.01
    assert policy.learning_rate(10_000) == pytest.approx(0.01 * 2**-0.75, rel=1e-12)
    assert policy.learning_rate(50_000) == pytest.approx(0.01 * 6**-0.75, rel=1e-12)


def test_step_learning_rate() -> None:
    policy = StepPolicy(base=0.1)
    rates = [policy.learning_rate(t) for t in (0, 59_999, 60_000, 80_000)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001], rel=1e-12)


def test_updates_follow_caffe_by_hand() -> None:
    """Three iterations of momentum, decay on weights and biases, biases at twice the rate."""
    task = clouds(2, count=32)
    policy = CaffePolicy(base=0.3, gamma=0.5, batch=8)
    network, twin = small().double(), small().double()
    doubled = Task(
        task.name,
        task.classes,
        task.train_images.double(),
        task.train_labels,
        task.test_images,
        task.test_labels,
        task.digest,
    )
    history = train(network, doubled, iterations=3, seed=4, regime=Regime(policy=policy))
    order = batches(32, 8, seed=4)
    velocity = {name: torch.zeros_like(p) for name, p in twin.named_parameters()}
    for t in range(3):
        index = next(order)
        loss = functional.cross_entropy(twin(doubled.train_images[index]), doubled.train_labels[index])
        assert history.loss[t] == pytest.approx(loss.item(), rel=1e-6)
        names, parameters = zip(*twin.named_parameters(), strict=True)
        rate = 0.3 * (1 + 0.5 * t) ** -0.75
        assert history.learning_rate[t] == pytest.approx(rate, rel=1e-6)
        for name, p, g in zip(names, parameters, torch.autograd.grad(loss, parameters), strict=True):
            own = rate * (2.0 if "bias" in name else 1.0)
            velocity[name] = 0.9 * velocity[name] + own * (g + 5e-4 * p.detach())
            p.data -= velocity[name]
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_initial_weights_are_caffes() -> None:
    network = networks.lenet_300_100(2, generator=torch.Generator().manual_seed(0))
    first = network[1]
    assert isinstance(first, nn.Linear)
    bound = (3 / 784) ** 0.5
    assert 0.99 * bound < float(first.weight.detach().abs().max()) <= bound
    assert float(first.bias.detach().abs().max()) == 0.0


def test_batches_pass_over_everything_before_anything_comes_twice() -> None:
    order = batches(10, 4, seed=0)
    seen = torch.cat([next(order) for _ in range(5)])
    assert seen[:10].sort().values.tolist() == list(range(10))
    assert seen[10:].sort().values.tolist() == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()


def test_batches_may_be_larger_than_the_task() -> None:
    assert next(batches(3, 8, seed=0)).bincount().sum() == 8


# --- training ---------------------------------------------------------------------------


def test_training_learns_and_reports_it() -> None:
    task, network = clouds(3), small(3)
    before = single.accuracy(network, task.test_images, task.test_labels)
    history = train(network, task, iterations=300)
    assert single.accuracy(network, task.test_images, task.test_labels) > max(0.95, before)
    assert history.loss.shape == history.penalty.shape == history.learning_rate.shape == (300,)
    assert history.loss[-20:].mean() < 0.5 * history.loss[:5].mean()
    assert history.diverged_at is None
    assert history.seconds > 0


def test_the_seed_alone_decides() -> None:
    def weights(seed: int, disturb: int) -> Tensor:
        torch.manual_seed(disturb)
        network = small()
        train(network, clouds(2), iterations=20, penalty="curvature", weight=0.1, seed=seed)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    torch.testing.assert_close(weights(0, 1), weights(0, 2), rtol=0, atol=0)
    assert not torch.equal(weights(0, 1), weights(1, 1))


def test_training_leaves_torchs_own_generator_alone() -> None:
    network = small()
    before = torch.get_rng_state()
    train(network, clouds(2), iterations=3, penalty="jacobian", weight=0.1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", PENALTIES)
def test_each_penalty_decreases_its_own_quantity(kind: str, classes: int) -> None:
    task = clouds(classes)

    def measured(weight: float) -> tuple[float, float]:
        network = small(classes)
        history = train(network, task, iterations=200, penalty=kind, weight=weight)
        V, z = local_map(network, task.test_images)
        return float(PENALTIES[kind](V, z, task.test_labels).mean()), float(history.penalty[-20:].mean())

    free, penalised = measured(0.0), measured(1.0 if kind == "input-gradient" else 0.1)
    assert penalised[0] < 0.7 * free[0]
    assert penalised[1] < 0.7 * free[1]


def test_a_weight_of_zero_changes_nothing() -> None:
    plain, watched = small(), small()
    a = train(plain, clouds(2), iterations=30)
    b = train(watched, clouds(2), iterations=30, penalty="curvature", weight=0.0)
    for p, q in zip(plain.parameters(), watched.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    torch.testing.assert_close(a.loss, b.loss)
    assert float(a.penalty.max()) == 0.0 < float(b.penalty.min())


def test_a_penalty_may_be_a_function() -> None:
    named, given = small(), small()
    train(named, clouds(2), iterations=5, penalty="jacobian", weight=0.1)
    train(given, clouds(2), iterations=5, penalty=PENALTIES["jacobian"], weight=0.1)
    assert torch.equal(named[1].weight, given[1].weight)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", PENALTIES)
def test_a_name_takes_the_route_of_few_columns_to_the_same_weights(
    kind: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, steps = single.penalty_by_columns, []

    def watched(*arguments: Any) -> tuple[Tensor, Tensor]:
        steps.append(arguments[-1])
        return usual(*arguments)

    monkeypatch.setattr(single, "penalty_by_columns", watched)
    task = clouds(classes)
    doubled = replace(task, train_images=task.train_images.double())
    named, given = small(classes).double(), small(classes).double()
    by_name = train(named, doubled, iterations=12, penalty=kind, weight=0.3)
    assert steps == [kind] * 12
    by_function = train(given, doubled, iterations=12, penalty=PENALTIES[kind], weight=0.3)
    assert len(steps) == 12
    assert float(by_name.penalty.min()) > 0
    torch.testing.assert_close(by_name.penalty, by_function.penalty)
    for ours, theirs in zip(named.parameters(), given.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("penalty", [None, "jacobian", PENALTIES["jacobian"]])
def test_an_image_with_a_hole_is_named_before_training(penalty: str | Penalty | None) -> None:
    task = clouds(2)
    task.train_images[70, 3] = torch.nan
    with pytest.raises(InputError, match="image 70 holds NaN"):
        train(small(), task, iterations=1, penalty=penalty)


def test_fine_tuning_goes_on_from_the_weights_given() -> None:
    network, task = small(), clouds(2)
    train(network, task, iterations=200)
    history = train(network, task, iterations=5, penalty="jacobian", weight=0.01)
    assert history.loss[0] < 0.3


def test_divergence_stops_training_and_is_marked() -> None:
    network = small()
    history = train(network, clouds(2), iterations=50, regime=Regime(policy=CaffePolicy(base=1e12)))
    assert history.diverged_at is not None
    assert 0 < history.diverged_at < 50
    assert len(history.loss) == len(history.learning_rate) == history.diverged_at + 1
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_frozen_parameters_stay() -> None:
    network = small()
    network[1].weight.requires_grad_(False)
    before = network[1].weight.clone()
    train(network, clouds(2), iterations=3, penalty="curvature", weight=0.1)
    assert torch.equal(before, network[1].weight)


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    train(small(), clouds(2), iterations=3, regime=Regime(progress=True))
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": "curvatur", "weight": 0.1}, "no penalty is called 'curvatur'; there are input-gradient"),
        ({"penalty": "curvature", "weight": -0.1}, "weight must be finite and at least 0"),
        ({"penalty": "curvature", "weight": float("nan")}, "weight must be finite and at least 0"),
        ({"weight": 0.1}, "no penalty is named"),
        ({"iterations": 0}, "iterations must be at least 1"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(small(), clouds(2), **{"iterations": 1, **settings})  # type: ignore[arg-type]


def test_the_number_of_classes_must_agree() -> None:
    with pytest.raises(InputError, match="the network has 3 classes, the task 2"):
        train(small(3), clouds(2), iterations=1)


def test_a_penalty_on_a_network_that_bends() -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 2))
    train(network, clouds(2), iterations=1)  # no penalty, no matter
    with pytest.raises(NotPiecewiseLinearError, match="GELU"):
        train(network, clouds(2), iterations=1, penalty="curvature", weight=0.1)


# --- accuracy, devices, presets ---------------------------------------------------------


def test_accuracy_counts() -> None:
    network = nn.Linear(2, 2, bias=False)
    network.weight.data = torch.eye(2)
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.8, 0.0]])
    labels = torch.tensor([0, 1, 1, 0])
    assert single.accuracy(network, images, labels) == 0.75
    assert single.accuracy(network, images, labels, batch=3) == 0.75
    with pytest.raises(InputError, match="4 images and 3 labels"):
        single.accuracy(network, images, labels[:3])
    with pytest.raises(InputError, match="label 2"):
        single.accuracy(network, images, labels + 1)


def test_best_device_prefers_cuda_then_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert single.best_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert single.best_device().type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert single.best_device().type == "cpu"


def test_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGROB_PRESET", raising=False)
    assert grid.preset().name == "quick"
    monkeypatch.setenv("REGROB_PRESET", "paper")
    assert grid.preset().iterations == 50_000
    assert grid.preset("standard").name == "standard"
    monkeypatch.setenv("REGROB_PRESET", "papier")
    with pytest.raises(
        InputError, match=r"'papier' \(from REGROB_PRESET\); there are quick, standard, paper"
    ):
        grid.preset()
