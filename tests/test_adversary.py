"""Adversarial training: inside the ball, harder than the images, solo = member, resumable to the bit."""

from __future__ import annotations

import pytest
import torch
from small_task import small_task
from test_ensemble import perceptron, worst
from torch.nn import functional

from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.network_view import AutogradPullback
from regrob.errors import InputError
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.adversarial import Adversary, starts
from regrob.training.many import train_ensemble
from regrob.training.policy import CaffePolicy
from regrob.training.single import Regime, train

ADVERSARY = Adversary(0.08, steps=3)


def test_perturbed_images_stay_in_ball_and_box_and_raise_the_loss() -> None:
    task, network = small_task(), perceptron(2, 0)
    x, y = task.train_images.double(), task.train_labels
    begin = starts(3, 14, x.shape).double()
    assert float(begin.abs().max()) <= 1 < 100 * float(begin.std())
    moved = ADVERSARY.perturb(AutogradPullback(network), x, y, begin)
    assert float((moved - x).abs().max()) <= 0.08 + 1e-15
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    at_start = (x + 0.08 * begin).clamp(0, 1)
    losses = [functional.cross_entropy(network(images), y, reduction="none") for images in (at_start, moved)]
    assert bool((losses[1] > losses[0]).all())


def test_one_step_is_the_signed_gradient_from_the_start() -> None:
    task, network = small_task(), perceptron(2, 0)
    x, y = task.train_images.double(), task.train_labels
    begin = (x + 0.01 * starts(0, 0, x.shape)).clamp(0, 1).requires_grad_()
    functional.cross_entropy(network(begin), y).backward()  # type: ignore[no-untyped-call]
    assert begin.grad is not None
    expected = (x + (begin + 0.02 * begin.grad.sign() - x).clamp(-0.01, 0.01)).clamp(0, 1)
    adversary = Adversary(0.01, steps=1, step_size=0.02)
    moved = adversary.perturb(AutogradPullback(network), x, y, starts(0, 0, x.shape).double())
    torch.testing.assert_close(moved, expected.detach(), rtol=0, atol=1e-15)


def test_members_equal_solo_runs_with_and_without_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regrob.training.many.CHUNK", 7)
    task, policy, seeds = small_task(), CaffePolicy(base=0.05, batch=8), [5, 5, 6]
    settings = [(None, 0.0), ("curvature", 0.2), (None, 0.0)]
    weights = torch.zeros(3, 4, dtype=torch.float64)
    weights[1, PENALTY_NAMES.index("curvature")] = 0.2
    ensemble = Ensemble([perceptron(2, m) for m in range(3)], weights)
    *_, last = train_ensemble(ensemble, task, seeds, iterations=17, policy=policy, adversary=ADVERSARY)
    for m, (kind, weight) in enumerate(settings):
        solo, plain = perceptron(2, m), perceptron(2, m)
        with_it = train(
            solo, task, iterations=17, penalty=kind, weight=weight, seed=seeds[m],
            regime=Regime(policy=policy, adversary=ADVERSARY),
        )  # fmt: skip
        train(
            plain,
            task,
            iterations=17,
            penalty=kind,
            weight=weight,
            seed=seeds[m],
            regime=Regime(policy=policy),
        )
        member = ensemble.member(m, perceptron(2, 9))
        assert worst(solo, member) < 1e-10 < 1e-4 < worst(plain, member)
        assert torch.allclose(last.loss[m].float(), with_it.loss[14:].mean(), atol=1e-5)


def test_resuming_is_bitwise_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regrob.training.many.CHUNK", 4)
    task = small_task()

    def fresh() -> Ensemble:
        return Ensemble([perceptron(2, m).float() for m in range(2)], torch.zeros(2, 4))

    whole, first, second = fresh(), fresh(), fresh()
    for _ in train_ensemble(whole, task, [0, 1], iterations=12, adversary=ADVERSARY):
        pass
    stop = next(train_ensemble(first, task, [0, 1], iterations=12, adversary=ADVERSARY))
    second.load_state(first.state())
    for _ in train_ensemble(second, task, [0, 1], iterations=12, start=stop, adversary=ADVERSARY):
        pass
    pairs = zip(whole.state().values(), second.state().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_starts_depend_on_seed_and_iteration_alone() -> None:
    assert torch.equal(starts(1, 2, (3, 4)), starts(1, 2, (3, 4)))
    assert not torch.equal(starts(1, 2, (3, 4)), starts(1, 3, (3, 4)))
    assert not torch.equal(starts(1, 2, (3, 4)), starts(2, 2, (3, 4)))


def test_bad_adversaries_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match="epsilon must be finite"):
        Adversary(-0.1)
    with pytest.raises(InputError, match="steps must be at least 1"):
        Adversary(0.1, steps=0)
    with pytest.raises(InputError, match="step_size must be finite"):
        Adversary(0.1, step_size=float("inf"))
    task = small_task()
    bytes_task = Task(
        task.name, task.classes, 255 * task.train_images, task.train_labels, task.test_images,
        task.test_labels, task.digest,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"pixels in \[0, 1\]"):
        train(perceptron(2, 0), bytes_task, iterations=1, regime=Regime(adversary=ADVERSARY))
