"""What is computed: how much a preset spends, and each figure's list of shards.

A shard is one (data set, network, penalty, λ) with all its seeds: one ensemble. Shards are
named by what they compute, not by the figure, so figures that share a shard share its result.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from regrob.analysis.measures import ADVERSARIAL
from regrob.analysis.paper_numbers import WEIGHTS, WEIGHTS_CIFAR
from regrob.data.datasets import Task
from regrob.data.tasks import TASKS
from regrob.errors import InputError
from regrob.theory.penalties import PENALTY_NAMES, check_name
from regrob.training.adversarial import Adversary
from regrob.training.policy import CaffePolicy, StepPolicy

VARIABLE = "REGROB_PRESET"


# --- how much: budgets and presets --------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """How long a sweep trains a network of one architecture, and how hard it is attacked.

    Attributes:
        seeds: networks for each setting; seed s fixes initial weights and data order.
        reference: iterations of training from scratch, without a penalty.
        fine_tuning: iterations that follow with the penalty. The paper leaves this number out;
            at its own scale we take as many as for the reference.
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
    weights: tuple[float, ...] = ()
    images: int | None = None
    distance_images: int | None = 200
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


PAIR = "cifar10-airplane-automobile"

DIGITS = Budget(
    seeds=1,
    reference=250,
    fine_tuning=100,
    weights=(0.1,),
    images=100,
    distance_images=20,
    search_steps=2,
    attack_iterations=100,
)
GLANCE = Budget(
    seeds=1,
    reference=60,
    fine_tuning=5,
    weights=(0.01,),
    images=50,
    distance_images=5,
    search_steps=1,
    attack_iterations=20,
)
"""What the quick preset spends on a perceptron, and on a network with convolutions."""

FIVE_WEIGHTS = (1e-3, 1e-2, 0.1, 0.4, 1.6)
PHOTOGRAPHS = Budget(
    seeds=1,
    reference=1_500,
    fine_tuning=250,
    weights=(1e-2,),
    search_steps=2,
    attack_iterations=75,
    searched_images=500,
    policy="steps",
)
"""A processor's share of CIFAR-10: the shape of the curves, from few seeds and short training."""

# Carlini and Wagner's attack takes 5 000 steps an image: 200 held-out images, on every device, so
# that shards made on a processor and on a GPU belong to one table.
PAPER = Budget(
    seeds=10,
    reference=50_000,
    fine_tuning=50_000,
    weights=WEIGHTS,
    attack_iterations=1_000,
    learning_rate=5e-3,
)
PAPER_CIFAR = replace(PAPER, reference=100_000, fine_tuning=100_000, weights=WEIGHTS_CIFAR, policy="steps")


@dataclass(frozen=True)
class Preset:
    """How much is computed: on a page while it is built, and by the sweeps.

    A page's images come from REGROB_DATA if it is set, else they are the embedded digits,
    whatever the preset (`data.default_source`). A sweep's are the embedded digits for quick only.

    Attributes:
        name: as REGROB_PRESET and the results files spell it.
        iterations: of a page's training from scratch.
        fine_tuning: of a page's training with a penalty that follows.
        images: held-out images that a page attacks; None for all of them.
        budgets: what a sweep spends on (data set, network). The paper's own scale, which is the
            same for all networks of a data set, needs none.
    """

    name: str
    iterations: int
    fine_tuning: int
    images: int | None
    budgets: dict[tuple[str, str], Budget]


QUICK = Preset(
    name="quick",
    iterations=300,
    fine_tuning=300,
    images=200,
    budgets={
        ("mnist-1-7", "lenet-300-100"): replace(
            DIGITS, seeds=2, fine_tuning=250, weights=(1e-2, 0.4), learning_rate=0.1
        ),
        ("mnist-1-7", "lenet-5"): replace(
            GLANCE,
            reference=50,
            fine_tuning=50,
            weights=(0.4,),
            distance_images=10,
            attack_iterations=50,
        ),
        ("mnist-10", "lenet-300-100"): DIGITS,
        ("mnist-10", "lenet-5"): replace(
            GLANCE, reference=30, fine_tuning=10, weights=(0.1,), images=30, attack_iterations=30
        ),
        ("colour-digits-1-7", "conv-bn"): replace(
            GLANCE, reference=40, fine_tuning=20, attack_iterations=30, searched_images=20
        ),
        ("colour-digits-1-7", "vgg"): replace(GLANCE, searched_images=10),
        ("colour-digits-1-7", "resnet-32"): replace(GLANCE, images=20, searched_images=5),
        ("colour-digits-10", "conv-bn"): replace(GLANCE, searched_images=20),
        ("colour-digits-10", "vgg"): replace(
            GLANCE, fine_tuning=2, images=20, attack_iterations=10, searched_images=5
        ),
    },
)
STANDARD = Preset(
    name="standard",
    iterations=5_000,
    fine_tuning=5_000,
    images=1_000,
    budgets={
        ("mnist-1-7", "lenet-300-100"): Budget(seeds=10, reference=5_000, fine_tuning=5_000, weights=WEIGHTS),
        ("mnist-1-7", "lenet-5"): Budget(seeds=3, reference=2_000, fine_tuning=2_000, weights=FIVE_WEIGHTS),
        ("mnist-10", "lenet-300-100"): Budget(
            seeds=3, reference=5_000, fine_tuning=3_000, weights=FIVE_WEIGHTS
        ),
        ("mnist-10", "lenet-5"): Budget(seeds=2, reference=2_000, fine_tuning=800, weights=(1e-2, 0.1, 0.4)),
        (PAIR, "conv-bn"): replace(PHOTOGRAPHS, seeds=2, reference=600, weights=(1e-3, 1e-2, 0.1)),
        (PAIR, "resnet-32"): replace(
            PHOTOGRAPHS,
            fine_tuning=120,
            weights=(1e-3, 1e-2, 0.1),
            searched_images=200,
            attack_iterations=50,
            batch=32,
        ),
        (PAIR, "vgg"): replace(PHOTOGRAPHS, reference=1_200, fine_tuning=200, batch=32),
        ("cifar10", "conv-bn"): replace(PHOTOGRAPHS, fine_tuning=150, weights=(1e-3, 1e-2)),
        ("cifar10", "vgg"): replace(
            PHOTOGRAPHS,
            fine_tuning=40,
            images=2_000,
            searched_images=300,
            attack_iterations=50,
            batch=32,
        ),
    },
)
AS_THE_PAPER = Preset(name="paper", iterations=50_000, fine_tuning=50_000, images=None, budgets={})
PRESETS = {preset.name: preset for preset in (QUICK, STANDARD, AS_THE_PAPER)}
"""quick for a laptop, standard for a GPU or a patient processor, paper for the paper's protocol."""


def preset(name: str | None = None) -> Preset:
    """The preset of this name; if None, the one that REGROB_PRESET names, else quick.

    Raises:
        InputError: an unknown name.
    """
    wanted = name or os.environ.get(VARIABLE) or "quick"
    if wanted not in PRESETS:
        source = "" if name else f" (from {VARIABLE})"
        raise InputError(f"no preset is called {wanted!r}{source}; there are {', '.join(PRESETS)}")
    return PRESETS[wanted]


def budget(preset: str, dataset: str, network: str) -> Budget:
    """What a preset spends on one network of one data set; the same on every device.

    Raises:
        InputError: an unknown preset, or one that has nothing for this network.
    """
    if preset == "paper":
        return PAPER_CIFAR if dataset.startswith("cifar10") else PAPER
    if preset not in PRESETS or (dataset, network) not in PRESETS[preset].budgets:
        raise InputError(f"no preset is called {preset!r} for {network}; there are {', '.join(PRESETS)}")
    return PRESETS[preset].budgets[dataset, network]


# --- what: shards and figures -------------------------------------------------------------


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
    def label(self) -> str:
        """How tables spell what the shard is trained with: "reference", a penalty, or "none"."""
        return "reference" if self.is_reference else self.penalty or "none"

    @property
    def penalties(self) -> tuple[str, ...]:
        """The penalties of its loss: the one, or none."""
        return () if self.penalty in (None, ADVERSARIAL) else (str(self.penalty),)

    @property
    def adversary(self) -> Adversary | None:
        """Who perturbs the batches."""
        return Adversary(self.weight) if self.penalty == ADVERSARIAL else None

    @property
    def name(self) -> str:
        """A readable name that ends in a hash of all settings."""
        kind = self.label if self.is_reference else f"{self.label}-{self.weight:g}"
        return f"{self.dataset}-{self.network}-{kind}-{fingerprint(self.settings())}"

    def settings(self) -> dict[str, Any]:
        """Everything that decides the shard's numbers, as JSON can say it.

        Fields that came later are left out where they have their default, so that results
        from before stay valid.
        """
        settings = asdict(self)
        for setting in fields(Budget):
            if "later" in setting.metadata and settings["budget"][setting.name] == setting.default:
                del settings["budget"][setting.name]
        return settings

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Shard:
        """The shard with these `settings`, as they are or as JSON gives them back."""
        spent = {**settings["budget"], "weights": tuple(settings["budget"]["weights"])}
        return cls(**{**settings, "budget": Budget(**spent)})


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
    quick = preset == "quick"
    listed = []
    for network in networks or grid.networks:
        spent = budget(preset, dataset, network)
        plain = replace(spent, weights=())
        base = Shard(dataset, network, None, 0.0, grid.epsilon, plain, digest)
        listed.append(base.reference)
        if grid.fine_tuned:
            settings = [(penalty, weight) for weight in spent.weights for penalty in grid.penalties]
            settings += () if quick else grid.extra
            adversaries = grid.adversaries[2:3] if quick else grid.adversaries
            settings += [(ADVERSARIAL, epsilon) for epsilon in adversaries]
            listed.append(base)
            listed += [replace(base, penalty=penalty, weight=weight) for penalty, weight in settings]
    return sorted(listed, key=lambda shard: not shard.is_reference)
