"""A sweep small enough to run while a chapter is read: in memory, on the embedded digits.

All settings of one penalty, λ × seeds, are the members of one ensemble, because a step computes,
for all members, every penalty that one of them has. Each starts from a copy of its seed's
reference, which is trained once. Networks that cannot be stacked go one after the other. The
numbers are those that `sweep` finds for the same settings.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from regrob.analysis import tables
from regrob.analysis.measures import ADVERSARIAL, Setting
from regrob.attacks.evaluation import AttackSettings, SingleNetwork, evaluate
from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.errors import InputError
from regrob.experiments.grid import task_of
from regrob.networks import SOLO, fresh
from regrob.notebook import bar
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.adversarial import Adversary
from regrob.training.many import train_many
from regrob.training.single import Regime, fine_tuning_order, train

if TYPE_CHECKING:
    import pandas as pd

ATTACKS = ("fgsm", "pgd", "deepfool", "carlini-wagner")
KNOWN = ("none", *PENALTY_NAMES, ADVERSARIAL)
CARLINI_WAGNER = {"binary_search_steps": 2, "max_iterations": 100, "learning_rate": 0.1}
"""Fewer steps than a stored result takes: its distances here are a little too long."""


@dataclass(frozen=True)
class FineTuned:
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

    @property
    def names(self) -> list[tuple[Setting, int]]:
        """Setting and seed of each member, in the members' order."""
        return [(setting, seed) for setting in self.settings for seed in self.seeds]


class Member(NamedTuple):
    """One fine-tuned network: its setting, its reference's seed, and when it diverged, −1 for never."""

    setting: Setting
    seed: int
    diverged_at: int
    network: nn.Module


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
    tuned: tuple[FineTuned, ...] = ()

    def members(self) -> Iterator[Member]:
        """Every fine-tuned network by itself, group by group; each is a copy of its own."""
        for group in self.tuned:
            for number, (setting, seed) in enumerate(group.names):
                if isinstance(group.ensemble, SingleNetwork):
                    network = copy.deepcopy(group.ensemble.network)
                else:
                    network = group.ensemble.member(number, copy.deepcopy(self.references[0]))
                yield Member(setting, seed, group.diverged_at[number], network)


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
    if min(seeds, iterations) < 1:
        raise InputError(f"need at least one seed and one iteration, got {seeds} and {iterations}")
    task = task_of(dataset, "quick")
    built = fresh(network, len(task.classes), range(seeds))
    start = Trained(dataset, network, task, tuple(range(seeds)), built)
    if network in SOLO:
        for seed, member in enumerate(built):
            train(member, task, iterations=iterations, seed=seed, regime=Regime(progress=progress))
        return start
    ensemble = Ensemble(built)
    title = f"references {network}" if progress else ""
    train_many(ensemble, task, start.seeds, iterations=iterations, title=title)
    ensemble.members_into(built)
    return start


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


def _tuned_together(
    start: Trained, settings: Sequence[Setting], iterations: int, progress: bool
) -> Iterator[FineTuned]:
    """One ensemble a penalty; adversarial training has one ε an ensemble, so one for each ε."""
    together: dict[tuple[str, Adversary | None], list[float]] = {}
    for penalty, weight in settings:
        together.setdefault((penalty, _adversary(penalty, weight)), []).append(weight)
    for (penalty, adversary), grid in together.items():
        members = [(weight, seed) for weight in grid for seed in range(len(start.seeds))]
        copies = [copy.deepcopy(start.references[seed]) for _, seed in members]
        penalties = [penalty] if penalty in PENALTY_NAMES else []
        ensemble = Ensemble(copies, penalty_weights(penalties, [weight for weight, _ in members]))
        progress_at_end = train_many(
            ensemble,
            start.task,
            [fine_tuning_order(start.seeds[seed]) for _, seed in members],
            iterations=iterations,
            adversary=adversary,
            title=f"{start.network}, {penalty}" if progress else "",
        )
        named = tuple((penalty, weight) for weight in grid)
        yield FineTuned(named, ensemble, progress_at_end.diverged_at.tolist(), start.seeds)


def _tuned_alone(
    start: Trained, settings: Sequence[Setting], iterations: int, progress: bool
) -> Iterator[FineTuned]:
    """One network after the other, for each setting and seed."""
    for penalty, weight in settings:
        name = penalty if penalty in PENALTY_NAMES else None
        regime = Regime(adversary=_adversary(penalty, weight), progress=progress)
        for seed, reference in zip(start.seeds, start.references, strict=True):
            network = copy.deepcopy(reference)
            history = train(
                network,
                start.task,
                iterations=iterations,
                penalty=name,
                weight=weight if name else 0.0,
                seed=fine_tuning_order(seed),
                regime=regime,
            )
            diverged_at = -1 if history.diverged_at is None else history.diverged_at
            yield FineTuned(((penalty, weight),), SingleNetwork(network), [diverged_at], (seed,))


def _adversary(penalty: str, weight: float) -> Adversary | None:
    return Adversary(weight) if penalty == ADVERSARIAL else None


def attacked(
    trained: Trained,
    *,
    images: int = 100,
    distance_images: int = 20,
    attacks: Sequence[str] = ATTACKS,
    epsilon: float = 0.1,
    carlini_wagner: dict[str, Any] = CARLINI_WAGNER,
) -> pd.DataFrame:
    """Attack references and fine-tuned networks; a table like that of `tables.read`.

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
        rounds = evaluate(group.ensemble, task.test_images, task.test_labels, settings, skip=skip)
        title = f"attack {group.ensemble.members} networks"
        for attack, measured in bar(rounds, title=title, total=len(attacks) + 1, unit="attack"):
            for _, metric, values in measured:
                members = zip(group.names, values, group.diverged_at, strict=True)
                for (setting, seed), value, diverged_at in members:
                    kept = value if diverged_at < 0 else float("nan")
                    name = ("live", trained.dataset, trained.network, *setting, seed)
                    rows.append((*name, attack, metric, kept))
    table = pd.DataFrame(rows, columns=list(tables.COLUMNS))
    return table.sort_values(list(tables.COLUMNS[:-1]), ignore_index=True)


def _as_groups(trained: Trained) -> list[FineTuned]:
    """The references, ready to be attacked."""
    setting = (("reference", 0.0),)
    if trained.network in SOLO:
        pairs = zip(trained.seeds, trained.references, strict=True)
        return [FineTuned(setting, SingleNetwork(network), [-1], (seed,)) for seed, network in pairs]
    diverged_at = [-1 for _ in trained.seeds]
    return [FineTuned(setting, Ensemble(trained.references), diverged_at, trained.seeds)]
