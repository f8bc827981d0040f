"""Attack what a shard has trained; each attack's rows are kept on the disk as they are ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from regrob.attacks.evaluation import ROWS, AttackSettings, SingleNetwork, evaluate
from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble
from regrob.experiments import checkpoint
from regrob.experiments.grid import Shard


def attack_all(ensemble: Ensemble | SingleNetwork, folder: Path, task: Task, shard: Shard) -> list[list[Any]]:
    """The rows [attack, metric, one value a member] of all attacks; what the folder has is not redone.

    Args:
        ensemble: the trained networks.
        folder: of the rows; a damaged file there is set aside and its attack run again.
        task: supplies the held-out images.
        shard: how hard to attack.
    """
    spent = shard.budget
    settings = AttackSettings(
        epsilon=shard.epsilon,
        images=spent.images,
        searched_images=spent.searched_images,
        distance_images=spent.distance_images,
        carlini_wagner={
            "binary_search_steps": spent.search_steps,
            "max_iterations": spent.attack_iterations,
            "learning_rate": spent.learning_rate,
        },
    )
    known = {}
    for attack in dict.fromkeys(attack for attack, _ in ROWS):
        rows = checkpoint.read_json(folder / f"rows-{attack}.json")
        if rows is not None:
            known[attack] = rows
    # Held-out images alternate between the classes, so that any first part is balanced.
    order = balanced(task.test_labels)
    device = ensemble.weights.device
    images, labels = task.test_images[order].to(device), task.test_labels[order].to(device)
    for attack, found in evaluate(ensemble, images, labels, settings, skip=frozenset(known)):
        known[attack] = [list(row) for row in found]
        checkpoint.write_json(folder / f"rows-{attack}.json", known[attack])
    return [row for rows in known.values() for row in rows]


def balanced(labels: torch.Tensor) -> torch.Tensor:
    """An order in which the classes take turns as long as all of them last."""
    turn = torch.zeros_like(labels)
    for k in labels.unique():
        mine = labels == k
        turn[mine] = torch.arange(int(mine.sum()))
    return torch.argsort(turn * (int(labels.max()) + 1) + labels)
