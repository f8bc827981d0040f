"""A shard whose networks cannot be stacked: trained and attacked one after the other.

Each member keeps a folder of its own within the shard's: a checkpoint of its training, and
one file of rows for each finished attack. Resumed, it ends with the bytes of an
uninterrupted run, as a stacked shard does.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regrob.attacks.evaluation import ROWS, SingleNetwork
from regrob.data.datasets import Task
from regrob.experiments import checkpoint
from regrob.experiments.grid import ADVERSARIAL, Shard
from regrob.experiments.shard_attacks import attack_all
from regrob.networks import NETWORKS
from regrob.training.adversarial import Adversary
from regrob.training.single import Descent


def member_folder(folder: Path, seed: int) -> Path:
    """Where one network of a shard keeps its files."""
    return folder / f"member-{seed}"


def train_member(
    shard: Shard, seed: int, shards: Path, task: Task, device: str, *, every: float
) -> tuple[nn.Module, dict[str, Any]]:
    """One network at the end of its training, in eval mode, and the facts of its last checkpoint.

    Args:
        shard: whose member it is.
        seed: fixes initial weights and data order.
        shards: the folder of all shards' folders.
        task: supplies the training images.
        device: where to train.
        every: seconds between checkpoints.

    Returns:
        The network and {"iteration", "diverged_at" (−1: nowhere), "training_seconds"}.
    """
    folder = member_folder(shards / shard.name, seed)
    iterations = shard.iterations
    facts: dict[str, Any] = {"iteration": 0, "diverged_at": -1, "training_seconds": 0.0}
    saved = checkpoint.load(folder)
    network: nn.Module
    if saved is not None:
        network = NETWORKS[shard.network](len(task.classes))
    elif shard.is_reference:
        network = NETWORKS[shard.network](len(task.classes), generator=torch.Generator().manual_seed(seed))
    else:
        network, before = train_member(shard.reference, seed, shards, task, device, every=every)
        if before["diverged_at"] >= 0:
            facts["diverged_at"] = 0
    run = descent(shard, network.to(device), iterations)
    if saved is not None:
        load_state(run, saved[0])
        facts = saved[1]
    # A reference's seed orders its data; fine-tuning goes on with another order.
    order = seed if shard.is_reference else seed + 10_000
    adversary = Adversary(shard.weight) if shard.penalty == ADVERSARIAL else None
    images, labels = task.train_images.to(device), task.train_labels.to(device)

    if facts["diverged_at"] < 0 and facts["iteration"] < iterations:
        written = time.perf_counter()
        which = range(facts["iteration"], iterations)
        for done in run.steps(images, labels, which, seed=order, adversary=adversary):
            now = time.perf_counter()
            if now - written > every or done == iterations:
                spent = facts["training_seconds"] + now - written
                facts = {"iteration": done, "diverged_at": -1, "training_seconds": spent}
                checkpoint.save(folder, state(run), facts)
                written = time.perf_counter()
        if run.diverged_at is not None:
            facts = {**facts, "iteration": run.diverged_at, "diverged_at": run.diverged_at}
            checkpoint.save(folder, state(run), facts)
    network.eval()
    return network, facts


def descent(shard: Shard, network: nn.Module, iterations: int) -> Descent:
    """What trains a member of the shard for so many iterations in all."""
    penalty = shard.penalty if shard.penalty != ADVERSARIAL else None
    weight = shard.weight if penalty else 0.0
    return Descent(network, shard.budget.solver(iterations), penalty, weight)


def state(run: Descent) -> dict[str, Tensor]:
    """All that the next step depends on: weights, BatchNorm's statistics, velocities."""
    velocities = {f"velocity.{i}": v for i, v in enumerate(run.velocities)}
    return {f"network.{name}": value for name, value in run.network.state_dict().items()} | velocities


@torch.no_grad()
def load_state(run: Descent, tensors: dict[str, Tensor]) -> None:
    """Copy what `state` returned back in."""
    for name, value in state(run).items():
        value.copy_(tensors[name])


def run_shard(shard: Shard, out: Path, task: Task, device: str, *, every: float) -> dict[str, Any]:
    """Train and attack the members in turn, from wherever an earlier run stopped.

    Returns:
        {"rows", "diverged_at", "step_seconds"}, as a stacked shard reports them.
    """
    by_member: list[dict[tuple[str, str], float]] = []
    diverged: list[int] = []
    seconds, steps = 0.0, 0
    for seed in range(shard.budget.seeds):
        network, facts = train_member(shard, seed, out / "shards", task, device, every=every)
        diverged.append(facts["diverged_at"])
        seconds += facts["training_seconds"]
        steps += facts["iteration"]
        folder = member_folder(out / "shards" / shard.name, seed)
        rows: dict[tuple[str, str], float] = {}
        if facts["diverged_at"] < 0:
            for attack, metric, values in attack_all(SingleNetwork(network), folder, task, shard):
                (rows[attack, metric],) = values
        by_member.append(rows)
        checkpoint.tidy(folder)
    # Rows of before a metric was kept lack it; NaN would call such a member diverged.
    kept = [key for key in ROWS if all(key in rows for rows in by_member if rows)]
    return {
        "rows": [[*key, [rows.get(key, float("nan")) for rows in by_member]] for key in kept],
        "diverged_at": diverged,
        "step_seconds": seconds / steps if steps else None,
    }
