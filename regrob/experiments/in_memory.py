"""A sweep small enough to run while a chapter is read: in memory, on the embedded digits.

All settings of one penalty, λ × seeds, are the members of one ensemble, because members pay
for the costliest penalty among them. Each starts from a copy of its seed's reference, which
is trained once. Networks that cannot be stacked go one after the other. The numbers are those
that `sweep` finds for the same settings.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from regrob.analysis import tables
from regrob.attacks.evaluation import AttackSettings, SingleNetwork, evaluate
from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble
from regrob.errors import InputError
from regrob.experiments.grid import ADVERSARIAL, task_of
from regrob.networks import NETWORKS, SOLO
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.adversarial import Adversary
from regrob.training.many import train_ensemble
from regrob.training.single import CaffePolicy, Descent

if TYPE_CHECKING:
    import pandas as pd

ATTACKS = ("fgsm", "pgd", "deepfool", "carlini-wagner")
KNOWN = ("none", *PENALTY_NAMES, ADVERSARIAL)
Setting = tuple[str, float]
"""Name of a penalty and λ; ("none", 0.0) is fine-tuning without one."""

CARLINI_WAGNER = {"binary_search_steps": 2, "max_iterations": 100, "learning_rate": 0.1}
"""Fewer steps than a stored result takes: its distances here are a little too long."""


@dataclass(frozen=True)
class Group:
    """Settings that were trained as one ensemble; or one setting of one seed, trained alone.

    Attributes:
        settings: setting by setting, and within it seed by seed, go the members.
        ensemble: len(settings) · len(seeds) members.
        diverged_at: one entry a member, −1 where all went well.
        seeds: of the references that the members started from.
    """

    settings: tuple[Setting, ...]
    ensemble: Ensemble | SingleNetwork
    diverged_at: list[int]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Trained:
    """What `references` and `fine_tuned` leave behind.

    Attributes:
        dataset, network: names, as the results files spell them.
        task: the images.
        seeds: of the references.
        references: one network a seed.
        tuned: one group a penalty, or one a network where they train alone; empty before
            fine-tuning.
    """

    dataset: str
    network: str
    task: Task
    seeds: tuple[int, ...]
    references: list[nn.Sequential]
    tuned: tuple[Group, ...] = ()


def references(dataset: str, network: str, *, seeds: int, iterations: int, progress: bool = False) -> Trained:
    """Train one network a seed, without a penalty.

    Args:
        dataset: a key of `tasks.TASKS` with an embedded part.
        network: a key of `networks.NETWORKS`.
        seeds: how many; seed s fixes initial weights and the order of the data.
        iterations: of Caffe's policy.
        progress: show a bar.

    Raises:
        InputError: an unknown network, or fewer than one seed or iteration.
    """
    if network not in NETWORKS:
        raise InputError(f"no network is called {network!r}; there are {', '.join(NETWORKS)}")
    if min(seeds, iterations) < 1:
        raise InputError(f"need at least one seed and one iteration, got {seeds} and {iterations}")
    task = task_of(dataset, "quick")
    numbers = tuple(range(seeds))
    networks = [
        NETWORKS[network](len(task.classes), generator=torch.Generator().manual_seed(seed))
        for seed in numbers
    ]
    title = f"references {network}"
    if network in SOLO:
        for seed, member in enumerate(networks):
            _train_alone(member, task, seed, iterations, title, progress)
        return Trained(dataset, network, task, numbers, networks)
    ensemble = Ensemble(networks, torch.zeros(seeds, len(PENALTY_NAMES)))
    _train(ensemble, task, list(numbers), iterations, title, progress)
    for seed, member in enumerate(networks):
        ensemble.member(seed, member)
    return Trained(dataset, network, task, numbers, networks)


def fine_tuned(
    start: Trained, settings: Sequence[Setting], *, iterations: int, progress: bool = False
) -> Trained:
    """Copy each reference once for every setting, and train the copies.

    Args:
        start: references; they stay as they are.
        settings: (penalty, λ) pairs; ("none", 0.0) for none, ("adversarial-training", ε)
            for training on PGD's examples.
        iterations: with the penalty.
        progress: show a bar.

    Raises:
        InputError: no settings, an unknown penalty, λ that does not fit it, or no iterations.
    """
    if not settings or iterations < 1:
        raise InputError(f"need a setting and an iteration, got {len(settings)} and {iterations}")
    for penalty, weight in settings:
        if penalty not in KNOWN:
            raise InputError(f"no penalty is called {penalty!r}; there are {', '.join(KNOWN)}")
        if (weight > 0) == (penalty == "none") or not 0 <= weight < float("inf"):
            raise InputError(f"λ must be 0 for none, else finite and positive; got {weight} for {penalty}")
    tune = _tuned_alone if start.network in SOLO else _tuned_together
    return replace(start, tuned=tuple(tune(start, settings, iterations, progress)))


def attacked(
    trained: Trained,
    *,
    images: int = 100,
    distance_images: int = 20,
    attacks: Sequence[str] = ATTACKS,
    epsilon: float = 0.1,
    carlini_wagner: dict[str, Any] = CARLINI_WAGNER,
) -> pd.DataFrame:
    """Attack references and fine-tuned networks; a table like that of `results.read`.

    Args:
        trained: what `references` or `fine_tuned` returned.
        images: held-out images for all but Carlini and Wagner's attack, the classes in turn.
        distance_images: held-out images for that one.
        attacks: some of `ATTACKS`.
        epsilon: ε of the ℓ∞ attacks.
        carlini_wagner: settings of that attack.

    Raises:
        InputError: an unknown attack.
    """
    import pandas as pd

    unknown = [name for name in attacks if name not in ATTACKS]
    if unknown:
        raise InputError(f"no attack is called {unknown[0]!r} here; there are {', '.join(ATTACKS)}")
    task = trained.task
    settings = AttackSettings(epsilon, images, distance_images, dict(carlini_wagner))
    skip = frozenset(ATTACKS) - frozenset(attacks)
    rows = []
    for group in (*_as_groups(trained), *trained.tuned):
        count = len(group.seeds)
        for attack, found in evaluate(
            group.ensemble, task.test_images, task.test_labels, settings, skip=skip
        ):
            for _, metric, values in found:
                for member, value in enumerate(values):
                    penalty, weight = group.settings[member // count]
                    seed = group.seeds[member % count]
                    kept = value if group.diverged_at[member] < 0 else float("nan")
                    where = ("live", trained.dataset, trained.network, penalty, weight, seed)
                    rows.append((*where, attack, metric, kept))
    table = pd.DataFrame(rows, columns=list(tables.COLUMNS))
    return table.sort_values(list(tables.COLUMNS[:-1]), ignore_index=True)


def experiment(
    dataset: str,
    network: str,
    settings: Sequence[Setting],
    *,
    seeds: int = 3,
    reference: int = 300,
    fine_tuning: int = 300,
    images: int = 100,
    distance_images: int = 20,
    attacks: Sequence[str] = ATTACKS,
    epsilon: float = 0.1,
    carlini_wagner: dict[str, Any] = CARLINI_WAGNER,
    progress: bool = False,
) -> pd.DataFrame:
    """References, fine-tuning, attacks: a figure's table in one call.

    The table has the columns of `results.read`, the rows of the references and of
    fine-tuning without a penalty included. The parts, `references`, `fine_tuned` and
    `attacked`, say what the arguments mean and what they raise.
    """
    start = references(dataset, network, seeds=seeds, iterations=reference, progress=progress)
    none = () if ("none", 0.0) in settings else (("none", 0.0),)
    tuned = fine_tuned(start, (*none, *settings), iterations=fine_tuning, progress=progress)
    return attacked(
        tuned,
        images=images,
        distance_images=distance_images,
        attacks=attacks,
        epsilon=epsilon,
        carlini_wagner=carlini_wagner,
    )


def _as_groups(trained: Trained) -> list[Group]:
    """The references, ready to be attacked."""
    count, setting = len(trained.seeds), (("reference", 0.0),)
    if trained.network in SOLO:
        pairs = zip(trained.seeds, trained.references, strict=True)
        return [Group(setting, SingleNetwork(network), [-1], (seed,)) for seed, network in pairs]
    ensemble = Ensemble(trained.references, torch.zeros(count, len(PENALTY_NAMES)))
    return [Group(setting, ensemble, [-1] * count, trained.seeds)]


def _tuned_together(
    start: Trained, settings: Sequence[Setting], iterations: int, progress: bool
) -> Iterator[Group]:
    """One ensemble a penalty; adversarial training has one ε an ensemble, so one for each ε."""
    together: dict[tuple[str, float], list[float]] = {}
    for penalty, weight in settings:
        together.setdefault((penalty, weight if penalty == ADVERSARIAL else 0.0), []).append(weight)
    for (penalty, epsilon), grid in together.items():
        adversary = Adversary(epsilon) if penalty == ADVERSARIAL else None
        weights = torch.zeros(len(grid), len(PENALTY_NAMES))
        if penalty in PENALTY_NAMES:
            weights[:, PENALTY_NAMES.index(penalty)] = torch.tensor(grid)
        copies = [copy.deepcopy(network) for _ in grid for network in start.references]
        ensemble = Ensemble(copies, weights.repeat_interleave(len(start.seeds), dim=0))
        orders = [seed + 10_000 for _ in grid for seed in start.seeds]  # another order than before
        title = f"{start.network}, {penalty}"
        gone = _train(ensemble, start.task, orders, iterations, title, progress, adversary)
        yield Group(tuple((penalty, weight) for weight in grid), ensemble, gone, start.seeds)


def _tuned_alone(
    start: Trained, settings: Sequence[Setting], iterations: int, progress: bool
) -> Iterator[Group]:
    """One network after the other, for each setting and seed."""
    for setting in settings:
        title = f"{start.network}, {setting[0]}"
        for seed, network in zip(start.seeds, start.references, strict=True):
            copied = copy.deepcopy(network)
            lost = _train_alone(copied, start.task, seed + 10_000, iterations, title, progress, setting)
            yield Group((setting,), SingleNetwork(copied), [lost], (seed,))


def _train(
    ensemble: Ensemble,
    task: Task,
    orders: list[int],
    iterations: int,
    title: str,
    progress: bool,
    adversary: Adversary | None = None,
) -> list[int]:
    """Train to the end; where members diverged (−1: nowhere)."""
    from tqdm import tqdm

    gone = [-1] * ensemble.members
    with tqdm(total=iterations, desc=title, unit="it", disable=not progress) as bar:
        for now in train_ensemble(ensemble, task, orders, iterations=iterations, adversary=adversary):
            bar.update(now.iteration - bar.n)
            gone = now.diverged_at.tolist()
    return gone


def _train_alone(
    network: nn.Module,
    task: Task,
    order: int,
    iterations: int,
    title: str,
    progress: bool,
    setting: Setting = ("none", 0.0),
) -> int:
    """Train one network in place to the end, and leave it in eval mode; where it diverged (−1: nowhere)."""
    from tqdm import tqdm

    penalty, weight = setting
    adversary = Adversary(weight) if penalty == ADVERSARIAL else None
    named = penalty if penalty in PENALTY_NAMES else None
    run = Descent(network, CaffePolicy(), named, weight if named else 0.0)
    images, labels = task.train_images, task.train_labels
    done = run.steps(images, labels, range(iterations), seed=order, adversary=adversary)
    for _ in tqdm(done, total=iterations, desc=title, unit="it", disable=not progress):
        pass
    network.eval()
    return -1 if run.diverged_at is None else run.diverged_at
