"""The training loop of an ensemble: batches, learning rate, divergence, CUDA graphs, resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.graphs import captured
from regrob.ensembles.layers import BIAS_RATE
from regrob.ensembles.network_view import StackedPullback
from regrob.errors import InputError
from regrob.notebook import bar
from regrob.training.adversarial import Adversary, check_box, starts
from regrob.training.policy import CAFFE, CaffePolicy
from regrob.training.single import batches

CHUNK = 250
"""Iterations between two looks at the losses; a checkpoint can be written after each."""


@dataclass
class Progress:
    """Where an ensemble's training stands.

    Attributes:
        iteration: how many steps are done.
        diverged_at: (M,) int64, the first iteration with a loss or penalty that is not
            finite, −1 where there is none. Such a member is frozen: it keeps the weights
            from the last chunk that it began and ended well.
        loss, penalty: (M,), means over the last chunk.
    """

    iteration: int
    diverged_at: Tensor
    loss: Tensor
    penalty: Tensor


def train_ensemble(
    ensemble: Ensemble,
    task: Task,
    seeds: Sequence[int],
    *,
    iterations: int,
    policy: CaffePolicy = CAFFE,
    start: Progress | None = None,
    adversary: Adversary | None = None,
) -> Iterator[Progress]:
    """Train every member on its own batches; yield after each chunk of `CHUNK` iterations.

    Member m sees the batches that `training.train` would show it with seeds[m], so that it
    ends where a solo run ends. Stop consuming at any yield and go on later with `start` and
    the ensemble's `state`: the result is the same.

    Args:
        ensemble: changed in place; runs on the device it is on.
        task: supplies the training images.
        seeds: M seeds of the data order; equal seeds share their batches.
        iterations: total, counted from zero, including those of `start`.
        start: where an earlier run stopped.
        adversary: perturbs each batch before the step; penalties then act at the perturbed
            images. Its random starts depend on a member's seed and the iteration.

    Raises:
        InputError: not one seed a member; a policy with another bias rate than the ensemble's;
            with an adversary, pixels outside [0, 1].
    """
    if len(seeds) != ensemble.members:
        raise InputError(f"{ensemble.members} members need as many seeds, got {len(seeds)}")
    if policy.bias_rate != BIAS_RATE:
        raise InputError(
            f"an ensemble's biases learn {BIAS_RATE} times as fast as weights, got a policy with bias_rate "
            f"{policy.bias_rate:g}; train such networks alone, with regrob.training.train"
        )
    device = ensemble.weights.device
    images = task.train_images.to(ensemble.weights)
    labels = task.train_labels.to(device)
    distinct = sorted(set(seeds))
    row_of_member = torch.tensor([distinct.index(seed) for seed in seeds], device=device)
    orders = [batches(len(labels), policy.batch, seed=seed) for seed in distinct]
    progress = start or _at_zero(ensemble)
    for _ in range(progress.iteration):  # fast-forward: the order is cheap to replay
        for order in orders:
            next(order)
    buffers = _Buffers.empty(ensemble, len(distinct), policy.batch)
    if adversary is not None:
        check_box(images)
        shape = (len(distinct), policy.batch, *images.shape[1:])
        buffers.starts = images.new_zeros(shape)
    done = progress.iteration
    step: Callable[[], object] = _one_step(
        ensemble, images, labels, row_of_member, buffers, policy, adversary
    )
    if ensemble.recorded and done < iterations:
        written = [*ensemble.state().values(), buffers.loss, buffers.penalty, buffers.cursor]
        step = captured(step, written)
    while done < iterations:
        count = min(CHUNK, iterations - done)
        index = torch.stack([torch.stack([next(order) for _ in range(count)]) for order in orders], dim=1)
        buffers.index[:count] = index.to(device)
        rates = [policy.learning_rate(t) for t in range(done, done + count)]
        buffers.rates[:count] = torch.tensor(rates, dtype=torch.float64, device="cpu").to(buffers.rates)
        buffers.cursor.zero_()
        before = {name: value.clone() for name, value in ensemble.state().items()}
        for iteration in range(done, done + count):
            for row, seed in zip(buffers.starts, distinct, strict=False):  # none without an adversary
                row.copy_(starts(seed, iteration, row.shape))
            step()
        done += count
        progress = _summarise(progress, ensemble, buffers, done, count)
        diverged = (progress.diverged_at >= 0).to(device)
        for name, value in ensemble.state().items():
            value[diverged] = before[name][diverged]
        yield progress


def train_many(
    ensemble: Ensemble,
    task: Task,
    seeds: Sequence[int],
    *,
    iterations: int,
    policy: CaffePolicy = CAFFE,
    adversary: Adversary | None = None,
    title: str = "",
) -> Progress:
    """Train every member to the end, as `train_ensemble`, and return where they then stand.

    Args:
        title: of a progress bar that is always shown; "" leaves it to the environment. The other
            arguments are those of `train_ensemble`.
    """
    progress = _at_zero(ensemble)
    steps = train_ensemble(ensemble, task, seeds, iterations=iterations, policy=policy, adversary=adversary)
    words = title or f"train {ensemble.members} networks"
    with bar(title=words, total=iterations, show=bool(title)) as shown:
        for progress in steps:
            shown.update(progress.iteration - shown.n)
    return progress


def _at_zero(ensemble: Ensemble) -> Progress:
    unknown = torch.full((ensemble.members,), float("nan"), device="cpu")
    return Progress(0, torch.full((ensemble.members,), -1, device="cpu"), unknown, unknown)


def _summarise(before: Progress, ensemble: Ensemble, buffers: _Buffers, done: int, count: int) -> Progress:
    finite = torch.isfinite(buffers.loss[:count]) & torch.isfinite(buffers.penalty[:count])  # (T, M)
    # The last step's damage would show in the next step's loss.
    values = ensemble.state().values()
    whole = torch.stack([torch.isfinite(value.flatten(1)).all(dim=1) for value in values]).all(dim=0)
    finite = torch.cat([finite, whole[None]]).cpu()
    first = (~finite).to(torch.int64).argmax(dim=0) + (done - count)
    newly = (before.diverged_at < 0) & ~finite.all(dim=0)
    return Progress(
        done,
        torch.where(newly, first, before.diverged_at),
        buffers.loss[:count].mean(dim=0).cpu(),
        buffers.penalty[:count].mean(dim=0).cpu(),
    )


@dataclass
class _Buffers:
    """What a step reads and writes at fixed addresses, so that it can be replayed as a graph."""

    index: Tensor  # (CHUNK, distinct seeds, batch)
    rates: Tensor  # (CHUNK,)
    cursor: Tensor  # (1,), the row that the next step reads
    loss: Tensor  # (CHUNK, M)
    penalty: Tensor  # (CHUNK, M)
    starts: Tensor  # (distinct seeds, batch, …), where the adversary begins; empty without one

    @classmethod
    def empty(cls, ensemble: Ensemble, rows: int, batch: int) -> _Buffers:
        like = ensemble.weights
        return cls(
            torch.zeros(CHUNK, rows, batch, dtype=torch.int64, device=like.device),
            torch.zeros(CHUNK, dtype=like.dtype, device=like.device),
            torch.zeros(1, dtype=torch.int64, device=like.device),
            torch.zeros(CHUNK, ensemble.members, dtype=like.dtype, device=like.device),
            torch.zeros(CHUNK, ensemble.members, dtype=like.dtype, device=like.device),
            torch.empty(0, dtype=like.dtype, device=like.device),
        )


def _one_step(
    ensemble: Ensemble,
    images: Tensor,
    labels: Tensor,
    row_of_member: Tensor,
    buffers: _Buffers,
    policy: CaffePolicy,
    adversary: Adversary | None,
) -> Callable[[], None]:
    """A function that takes the next step. It stays on the device, so that a graph can record it."""
    view = StackedPullback(ensemble)

    def step() -> None:
        index = buffers.index.index_select(0, buffers.cursor)[0].index_select(0, row_of_member)  # (M, N)
        rate = buffers.rates.index_select(0, buffers.cursor)[0]
        x, y = images[index], labels[index]
        if adversary is not None:
            begin = buffers.starts.index_select(0, row_of_member)
            moved = adversary.perturb(view, x.flatten(0, 1), y.flatten(), begin.flatten(0, 1))
            x = moved.view_as(x)
        taken = ensemble.step(x, y, rate, momentum=policy.momentum, weight_decay=policy.weight_decay)
        buffers.loss.index_copy_(0, buffers.cursor, taken.loss[None])
        buffers.penalty.index_copy_(0, buffers.cursor, taken.penalty[None])
        buffers.cursor.add_(1)

    return step
