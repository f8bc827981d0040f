"""What a figure needs: networks × penalties × λ × seeds, as a list of shards.

A shard is one (data set, network, penalty, λ) with all its seeds: one ensemble. Shards are
named by what they compute, not by the figure, so figures that share a shard share its result.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from regrob.analysis.paper_numbers import WEIGHTS, WEIGHTS_CIFAR
from regrob.data.datasets import Task
from regrob.data.tasks import TASKS
from regrob.errors import InputError
from regrob.theory.penalties import PENALTY_NAMES, check_name
from regrob.training.single import CaffePolicy, StepPolicy

ADVERSARIAL = "adversarial-training"
"""Stands among the penalties: training on PGD's examples, with λ read as its ε."""


@dataclass(frozen=True)
class Budget:
    """How long a network of one architecture trains, and how hard it is attacked.

    Attributes:
        seeds: networks for each setting; seed s fixes initial weights and data order.
        reference: iterations of training from scratch, without a penalty.
        fine_tuning: iterations that follow with the penalty. The paper leaves this number out.
        weights: the λ grid.
        images: held-out images for FGSM, PGD and DeepFool; None for all.
        distance_images: held-out images for Carlini and Wagner's attack; None for all.
        search_steps, attack_iterations, learning_rate: of Carlini and Wagner's attack.
        searched_images: held-out images for PGD and DeepFool where they are fewer than
            `images`; 0 for as many.
        policy: "caffe", or "steps": the rate falls tenfold after 60 % and 80 % of the iterations.
        batch: images in a step.
    """

    seeds: int
    reference: int
    fine_tuning: int
    weights: tuple[float, ...]
    images: int | None
    distance_images: int | None
    search_steps: int = 5
    attack_iterations: int = 200
    learning_rate: float = 0.05
    searched_images: int = field(default=0, metadata={"later": True})
    policy: str = field(default="caffe", metadata={"later": True})
    batch: int = field(default=64, metadata={"later": True})

    def solver(self, iterations: int) -> CaffePolicy:
        """The policy of a training of so many iterations."""
        if self.policy == "steps":
            milestones = (round(0.6 * iterations), round(0.8 * iterations))
            return StepPolicy(batch=self.batch, milestones=milestones)
        return CaffePolicy(batch=self.batch)


@dataclass(frozen=True)
class Shard:
    """One ensemble: everything that decides its numbers.

    Attributes:
        dataset: a key of `tasks.TASKS`.
        network: a key of `networks.NETWORKS`.
        penalty: one of the four, `ADVERSARIAL`, or None: fine-tuned without one. A shard of
            references has penalty None and no fine-tuning.
        weight: λ; the training's ε for `ADVERSARIAL`.
        epsilon: ε of the ℓ∞ attacks.
        budget: see `Budget`; its weights are left empty here.
        digest: of the task's images and labels.

    Raises:
        InputError: no penalty has this name.
    """

    dataset: str
    network: str
    penalty: str | None
    weight: float
    epsilon: float
    budget: Budget
    digest: str

    def __post_init__(self) -> None:
        if self.penalty is not None and self.penalty != ADVERSARIAL:
            check_name(self.penalty)

    @property
    def is_reference(self) -> bool:
        """Whether the shard trains the references that the others start from."""
        return self.budget.fine_tuning == 0

    @property
    def iterations(self) -> int:
        """How long the shard itself trains; a reference's training before it is not counted."""
        return self.budget.reference if self.is_reference else self.budget.fine_tuning

    @property
    def reference(self) -> Shard:
        """The shard whose networks this one starts from."""
        return replace(self, penalty=None, weight=0.0, budget=replace(self.budget, fine_tuning=0))

    @property
    def name(self) -> str:
        """A readable name that ends in a hash of all settings."""
        kind = "reference" if self.is_reference else f"{self.penalty or 'none'}-{self.weight:g}"
        return f"{self.dataset}-{self.network}-{kind}-{fingerprint(self.settings())}"

    def settings(self) -> dict[str, Any]:
        """Everything that decides the shard's numbers, as JSON can say it.

        Fields that came later are left out where they have their default, so that results
        from before stay valid.
        """
        found = asdict(self)
        for one in fields(Budget):
            if "later" in one.metadata and found["budget"][one.name] == one.default:
                del found["budget"][one.name]
        return found


def fingerprint(settings: dict[str, Any]) -> str:
    """The hash that a shard's name ends in, from `Shard.settings` or from what JSON made of them."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Figure:
    """A figure of the paper, as a grid.

    Attributes:
        dataset: a key of `tasks.TASKS`.
        networks: keys of `networks.NETWORKS`.
        penalties: names of penalties.
        extra: (penalty, λ) pairs outside the grid.
        adversaries: ε of adversarial training, one shard each; quick takes the third alone.
        epsilon: ε of the ℓ∞ attacks.
        fine_tuned: whether there is more than the references.
        stand_in: for quick, the data set that takes the place of one that is not embedded.
    """

    dataset: str
    networks: tuple[str, ...]
    penalties: tuple[str, ...]
    extra: tuple[tuple[str, float], ...] = ()
    adversaries: tuple[float, ...] = ()
    epsilon: float = 0.1
    fine_tuned: bool = True
    stand_in: str | None = None

    def dataset_of(self, preset: str) -> str:
        """What a preset trains on: a key of `tasks.TASKS`."""
        return self.stand_in if preset == "quick" and self.stand_in else self.dataset


PAIR = "cifar10-airplane-automobile"
BOTH = ("lenet-300-100", "lenet-5")
FIGURES = {
    "fig2": Figure("mnist-1-7", BOTH, ("jacobian", "cross-lipschitz")),
    "fig4": Figure("mnist-1-7", BOTH, PENALTY_NAMES, extra=(("curvature", 6.4),)),
    "fig5": Figure("mnist-10", BOTH, PENALTY_NAMES),
    "fig6": Figure(
        PAIR,
        ("conv-bn", "vgg", "resnet-32"),
        PENALTY_NAMES,
        epsilon=0.05,
        stand_in="colour-digits-1-7",
    ),
    "fig7": Figure("cifar10", ("conv-bn", "vgg"), PENALTY_NAMES, epsilon=0.05, stand_in="colour-digits-10"),
    "cost": Figure("mnist-1-7", BOTH, (), adversaries=(0.025, 0.05, 0.1, 0.2)),
    "references-1-7": Figure("mnist-1-7", BOTH, (), fine_tuned=False),
    "references-10": Figure("mnist-10", BOTH, (), fine_tuned=False),
}
"""What `regrob sweep` can run. In one folder, `cost` goes on from the references of fig4."""

PHOTOGRAPHS = Budget(1, 600, 250, (1e-2,), None, 200, 2, 75, searched_images=500, policy="steps")
FIVE = (1e-3, 1e-2, 0.1, 0.4, 1.6)
BUDGETS: dict[tuple[str, str, str], Budget] = {
    ("quick", "mnist-1-7", "lenet-300-100"): Budget(2, 250, 250, (1e-2, 0.4), 100, 20, 2, 100, 0.1),
    ("quick", "mnist-1-7", "lenet-5"): Budget(1, 50, 50, (0.4,), 50, 10, 1, 50),
    ("quick", "mnist-10", "lenet-300-100"): Budget(1, 250, 100, (0.1,), 100, 20, 2, 100),
    ("quick", "mnist-10", "lenet-5"): Budget(1, 30, 10, (0.1,), 30, 5, 1, 30),
    ("quick", "colour-digits-1-7", "conv-bn"): Budget(1, 40, 20, (0.01,), 50, 5, 1, 30, searched_images=20),
    ("quick", "colour-digits-1-7", "vgg"): Budget(1, 60, 5, (0.01,), 50, 5, 1, 20, searched_images=10),
    ("quick", "colour-digits-1-7", "resnet-32"): Budget(1, 60, 5, (0.01,), 20, 5, 1, 20, searched_images=5),
    ("quick", "colour-digits-10", "conv-bn"): Budget(1, 60, 5, (0.01,), 50, 5, 1, 20, searched_images=20),
    ("quick", "colour-digits-10", "vgg"): Budget(1, 60, 2, (0.01,), 20, 5, 1, 10, searched_images=5),
    ("standard", "mnist-1-7", "lenet-300-100"): Budget(10, 5_000, 5_000, WEIGHTS, None, 200),
    ("standard", "mnist-1-7", "lenet-5"): Budget(3, 2_000, 2_000, FIVE, None, 200),
    ("standard", "mnist-10", "lenet-300-100"): Budget(3, 5_000, 3_000, FIVE, None, 200),
    ("standard", "mnist-10", "lenet-5"): Budget(2, 2_000, 800, (1e-2, 0.1, 0.4), None, 200),
    # A processor's share of CIFAR-10: the shape of the curves, from few seeds and short training.
    ("standard", PAIR, "conv-bn"): replace(PHOTOGRAPHS, seeds=2, weights=(1e-3, 1e-2, 0.1)),
    ("standard", PAIR, "resnet-32"): replace(
        PHOTOGRAPHS,
        reference=1_500,
        fine_tuning=120,
        weights=(1e-3, 1e-2, 0.1),
        searched_images=200,
        attack_iterations=50,
        batch=32,
    ),
    ("standard", PAIR, "vgg"): replace(PHOTOGRAPHS, reference=1_200, fine_tuning=200, batch=32),
    ("standard", "cifar10", "conv-bn"): replace(
        PHOTOGRAPHS, reference=1_500, fine_tuning=150, weights=(1e-3, 1e-2)
    ),
    ("standard", "cifar10", "vgg"): replace(
        PHOTOGRAPHS,
        reference=1_500,
        fine_tuning=40,
        images=2_000,
        searched_images=300,
        attack_iterations=50,
        batch=32,
    ),
}
# Carlini and Wagner's attack takes 5 000 steps an image: 200 held-out images, on every device, so
# that shards made on a processor and on a GPU belong to one table.
PAPER = Budget(10, 50_000, 50_000, WEIGHTS, None, 200, 5, 1_000, 5e-3)
PAPER_CIFAR = replace(PAPER, reference=100_000, fine_tuning=100_000, weights=WEIGHTS_CIFAR, policy="steps")


def budget(preset: str, dataset: str, network: str) -> Budget:
    """What a preset spends on one network of one data set; the same on every device.

    Raises:
        InputError: an unknown preset.
    """
    if preset == "paper":
        return PAPER_CIFAR if dataset.startswith("cifar10") else PAPER
    found = BUDGETS.get((preset, dataset, network))
    if found is None:
        raise InputError(f"no preset is called {preset!r} for {network}; there are quick, standard, paper")
    return found


def task_of(dataset: str, preset: str) -> Task:
    """The images: the embedded digits for quick, the full data set otherwise."""
    return TASKS[dataset]("embedded" if preset == "quick" else "full")


def shards(figure: str, preset: str, networks: tuple[str, ...] = ()) -> list[Shard]:
    """All shards of a figure, references first.

    Args:
        figure: a key of `FIGURES`.
        preset: quick, standard or paper.
        networks: only these; all of the figure's if empty.

    Raises:
        InputError: an unknown figure, preset or network.
    """
    if figure not in FIGURES:
        raise InputError(f"no sweep is called {figure!r}; there are {', '.join(FIGURES)}")
    grid = FIGURES[figure]
    unknown = [name for name in networks if name not in grid.networks]
    if unknown:
        raise InputError(f"{figure} has no network {unknown[0]!r}; it has {', '.join(grid.networks)}")
    dataset = grid.dataset_of(preset)
    digest = task_of(dataset, preset).digest
    found = []
    for network in networks or grid.networks:
        spent = budget(preset, dataset, network)
        plain = replace(spent, weights=())
        base = Shard(dataset, network, None, 0.0, grid.epsilon, plain, digest)
        found.append(base.reference)
        if not grid.fine_tuned:
            continue
        found.append(base)
        adversaries = grid.adversaries if preset != "quick" else grid.adversaries[2:3]
        settings = [(penalty, weight) for weight in spent.weights for penalty in grid.penalties]
        settings += grid.extra if preset != "quick" else ()
        settings += [(ADVERSARIAL, epsilon) for epsilon in adversaries]
        found += [replace(base, penalty=penalty, weight=weight) for penalty, weight in settings]
    return sorted(found, key=lambda shard: not shard.is_reference)
