"""Why do our numbers differ from the paper's? Each suspicion is a small experiment, run and stored.

    python -m regrob.experiments.reproduction [TEST …] --out book/results

runs them, on full MNIST where REGROB_DATA is set, and stores what they say in paper.csv. The paper names
neither the clipping of its attacks, nor how long it fine-tuned, nor whether its LeNet-5 has
ReLUs after the convolutions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regrob.analysis import paper_numbers
from regrob.attacks import AttackResult, apgd, carlini_wagner, deepfool, fgsm, pgd
from regrob.data.datasets import Task, one_versus_seven, ten_classes
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.network_view import StackedPullback
from regrob.errors import InputError
from regrob.experiments.shard_attacks import balanced
from regrob.networks import lenet_5, lenet_300_100
from regrob.theory import probability
from regrob.theory.penalties import PENALTIES, PENALTY_NAMES
from regrob.training.many import train_ensemble

Found = tuple[str, str, str, int, int, str, float]
"""Dataset, network, variant, iteration, seed, measure, value."""

Attack = Callable[[nn.Module, Tensor, Tensor], AttackResult]

EPSILON = 0.1
ATTACKED = 1000
"""Held-out images under attack, the classes in turn."""

SIGN_ATTACKS: dict[str, Attack] = {
    "fgsm": lambda f, x, y: fgsm(f, x, y, epsilon=EPSILON),
    "fgsm, no clipping": lambda f, x, y: fgsm(f, x, y, epsilon=EPSILON, box=None),
    "pgd": lambda f, x, y: pgd(f, x, y, epsilon=EPSILON),
    "pgd, no clipping": lambda f, x, y: pgd(f, x, y, epsilon=EPSILON, box=None),
}
STRONGER: dict[str, Attack] = {
    "pgd, 10 steps": lambda f, x, y: pgd(f, x, y, epsilon=EPSILON, steps=10, step_size=0.025),
    "pgd, 5 restarts": lambda f, x, y: pgd(f, x, y, epsilon=EPSILON, restarts=5),
    "apgd": lambda f, x, y: apgd(f, x, y, epsilon=EPSILON),
    "fgsm, half ε": lambda f, x, y: fgsm(f, x, y, epsilon=EPSILON / 2),
    "pgd, half ε": lambda f, x, y: pgd(f, x, y, epsilon=EPSILON / 2),
}
CRITICAL = {"below 1.28": 1.2784645, "below 2.40": 2.3993573}
"""Where the paper's two penalties turn, as functions of νγ (Appendix G)."""


# --- what is measured -------------------------------------------------------------------


def under_attack(ensemble: Ensemble, attack: Attack, images: Tensor, labels: Tensor) -> list[float]:
    """Each member's accuracy on what the attack makes of the images."""
    fooled = []
    members = StackedPullback(ensemble)
    for x, y in zip(images.split(250), labels.split(250), strict=True):
        every = x.repeat(ensemble.members, *(1,) * (x.ndim - 1))
        result = attack(members, every, y.repeat(ensemble.members))
        fooled.append(result.success.view(ensemble.members, -1))
    return (~torch.cat(fooled, dim=1)).double().mean(dim=1).tolist()


def confidence(ensemble: Ensemble, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """νγ, and what else might have been meant, over the images given, for each member; K = 2.

    ν = ‖s‖ and γ = |s·x|/ν with s = v₊ − v₋ (Appendix G), so νγ = |s·x|. Beside it qνγ, which
    is ‖∇‖₂γ, and the loss.
    """
    found: dict[str, list[Tensor]] = {}
    for x, y in zip(images.split(1000), labels.split(1000), strict=True):
        V, z = ensemble.local_maps(x.expand(ensemble.members, *x.shape))
        y = y.expand(z.shape[:-1])
        s = V[..., 0] - V[..., 1]
        along = (s * x.flatten(1)).sum(dim=-1).abs()
        values = {
            "νγ": along,
            "ν": s.norm(dim=-1),
            "qνγ": probability.rival_probability(z, y) * along,
            "loss": probability.loss(z, y),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value.double())
    whole = {name: torch.cat(parts, dim=1) for name, parts in found.items()}  # (M, N)
    summary = {f"{name}, mean": value.mean(dim=1).tolist() for name, value in whole.items()}
    summary |= {f"{name}, largest": value.amax(dim=1).tolist() for name, value in whole.items()}
    for name, bound in CRITICAL.items():
        summary[f"νγ {name}"] = (whole["νγ"] <= bound).double().mean(dim=1).tolist()
    return summary


def _accuracy(ensemble: Ensemble, task: Task) -> list[float]:
    x, y = task.test_images, task.test_labels
    right = [
        ensemble.logits(part.expand(ensemble.members, *part.shape)).argmax(dim=-1) == label
        for part, label in zip(x.split(500), y.split(500), strict=True)
    ]
    return torch.cat(right, dim=1).double().mean(dim=1).tolist()


def _rows(
    task: str, network: str, variant: str, iteration: int, measured: dict[str, list[float]]
) -> Iterator[Found]:
    for measure, values in measured.items():
        for seed, value in enumerate(values):
            yield task, network, variant, iteration, seed, measure, value


# --- the tests --------------------------------------------------------------------------


def _fresh(build: Callable[..., nn.Sequential], classes: int, seeds: int, **settings: Any) -> Ensemble:
    networks = [build(classes, generator=torch.Generator().manual_seed(seed)) for seed in range(seeds)]
    return Ensemble(networks, torch.zeros(seeds, len(PENALTY_NAMES)), **settings)


def _train(ensemble: Ensemble, task: Task, orders: Sequence[int], iterations: int) -> Tensor:
    """Train to the end; the iteration at which each member diverged (−1: none)."""
    diverged = torch.full((ensemble.members,), -1)
    for now in train_ensemble(ensemble, task, list(orders), iterations=iterations):
        diverged = now.diverged_at
    return diverged


def _trained_first(build: Callable[..., nn.Sequential], task: Task, iterations: int) -> nn.Sequential:
    """Seed 0's reference, for a test of many λ on one network."""
    ensemble = _fresh(build, len(task.classes), 1)
    _train(ensemble, task, [0], iterations)
    return ensemble.member(0, build(len(task.classes)))


def _under_sign_attacks(ensemble: Ensemble, task: Task) -> dict[str, list[float]]:
    """Accuracy without attack and under each of `SIGN_ATTACKS`."""
    images, labels = _held_out(task)
    measured = {name: under_attack(ensemble, a, images, labels) for name, a in SIGN_ATTACKS.items()}
    return measured | {"accuracy": _accuracy(ensemble, task)}


def _held_out(task: Task) -> tuple[Tensor, Tensor]:
    order = balanced(task.test_labels)[:ATTACKED]
    return task.test_images[order], task.test_labels[order]


MILESTONES = (0, 250, 1_000, 5_000, 20_000, 50_000)


def training(
    seeds: int = 3,
    milestones: Sequence[int] = MILESTONES,
    variant: str = "as trained",
    weight_decay: float = 5e-4,
) -> Iterator[Found]:
    """Does the length of training explain it? νγ, accuracy and attacks along a run of 50 000."""
    task = one_versus_seven()
    images, labels = _held_out(task)
    ensemble = _fresh(lenet_300_100, 2, seeds, weight_decay=weight_decay)

    def look(iteration: int) -> Iterator[Found]:
        measured = confidence(ensemble, task.train_images, task.train_labels)
        measured["accuracy"] = _accuracy(ensemble, task)
        attacks = SIGN_ATTACKS if iteration else {}
        if iteration in (5_000, milestones[-1]):  # as the sweep trains, and as the paper does
            attacks = attacks | STRONGER
        for name, attack in attacks.items():
            measured[name] = under_attack(ensemble, attack, images, labels)
        return _rows("mnist-1-7", "lenet-300-100", variant, iteration, measured)

    yield from look(0)
    for now in train_ensemble(ensemble, task, list(range(seeds)), iterations=milestones[-1]):
        if now.iteration in milestones:
            yield from look(now.iteration)


def undecayed(seeds: int = 3, milestones: Sequence[int] = (0, 5_000, 50_000)) -> Iterator[Found]:
    """Does weight decay, at the paper's length of training? The same run without any."""
    return training(seeds, milestones, "no weight decay", 0.0)


def protocol(seeds: int = 3, iterations: int = 5_000) -> Iterator[Found]:
    """Does the scale of the pixels? Divided by 256, as in Caffe's own recipe."""
    whole = one_versus_seven()
    scale = 255 / 256
    task = Task(
        whole.name,
        whole.classes,
        scale * whole.train_images,
        whole.train_labels,
        scale * whole.test_images,
        whole.test_labels,
        whole.digest,
    )
    ensemble = _fresh(lenet_300_100, 2, seeds)
    _train(ensemble, task, range(seeds), iterations)
    measured = _under_sign_attacks(ensemble, task)
    yield from _rows("mnist-1-7", "lenet-300-100", "pixels / 256", iterations, measured)


def convolutions(seeds: int = 2, iterations: int = 2_000) -> Iterator[Found]:
    """Does LeNet-5's activation? With ReLU after the convolutions, and as in Caffe's own file."""
    task = one_versus_seven()
    for variant, relu in (("ReLU after the convolutions", True), ("no ReLU there", False)):

        def build(classes: int, *, relu: bool = relu, generator: torch.Generator) -> nn.Sequential:
            return lenet_5(classes, relu_after_convolution=relu, generator=generator)

        ensemble = _fresh(build, 2, seeds)
        _train(ensemble, task, range(seeds), iterations)
        measured = _under_sign_attacks(ensemble, task)
        yield from _rows("mnist-1-7", "lenet-5", variant, iterations, measured)


def curvature(seeds: int = 3, reference: int = 5_000, iterations: int = 5_000) -> Iterator[Found]:
    """Is Carlini and Wagner's distance near 2.0 after the curvature penalty at λ = 6.4?"""
    task = one_versus_seven()
    ensemble = _fresh(lenet_300_100, 2, seeds)
    _train(ensemble, task, range(seeds), reference)
    images, labels = (part[:200] for part in _held_out(task))
    for weight in (0.0, 6.4):
        if weight:
            blank = [lenet_300_100(2) for _ in range(seeds)]
            weights = torch.zeros(seeds, len(PENALTY_NAMES))
            weights[:, PENALTY_NAMES.index("curvature")] = weight
            ensemble = Ensemble([ensemble.member(i, net) for i, net in enumerate(blank)], weights)
            _train(ensemble, task, range(10_000, 10_000 + seeds), iterations)
        measured = {"accuracy": _accuracy(ensemble, task)}
        x = images.repeat(seeds, *(1,) * (images.ndim - 1))
        attacks: dict[str, AttackResult] = {
            "deepfool": deepfool(StackedPullback(ensemble), x, labels.repeat(seeds)),
            "carlini-wagner": carlini_wagner(
                StackedPullback(ensemble), x, labels.repeat(seeds), learning_rate=0.05, max_iterations=200
            ),
        }
        right = ensemble.logits(images.expand(seeds, *images.shape)).argmax(dim=-1) == labels
        for name, result in attacks.items():
            counted = result.success.view(seeds, -1) & right
            distance = result.distance.view(seeds, -1) * counted
            measured[f"{name}, distance"] = (distance.sum(dim=1) / counted.sum(dim=1)).tolist()
            measured[f"{name}, success"] = (counted.sum(dim=1) / right.sum(dim=1)).tolist()
        yield from _rows("mnist-1-7", "lenet-300-100", f"curvature, λ = {weight:g}", iterations, measured)


def large(
    weights: Sequence[float] = (1.6, 6.4, 25.6, 102.4), reference: int = 1_000, iterations: int = 500
) -> Iterator[Found]:
    """At which λ does training break, and how small are the penalised terms at 1.6?"""
    task = one_versus_seven()
    first = _trained_first(lenet_300_100, task, reference)
    alone = Ensemble([first], torch.zeros(1, len(PENALTY_NAMES)))
    few, labels = task.train_images[:2000], task.train_labels[:2000]
    before = _terms(alone, few, labels) | confidence(alone, few, labels)
    yield from _rows("mnist-1-7", "lenet-300-100", "reference", 0, before)
    for penalty in PENALTY_NAMES:
        lambdas = torch.zeros(len(weights), len(PENALTY_NAMES))
        lambdas[:, PENALTY_NAMES.index(penalty)] = torch.tensor(weights)
        ensemble = Ensemble([first] * len(weights), lambdas)
        diverged = _train(ensemble, task, [10_000] * len(weights), iterations)
        after = _terms(ensemble, few, labels) | confidence(ensemble, few, labels)
        after["accuracy"] = _accuracy(ensemble, task)
        for member, weight in enumerate(weights):
            one = {"diverged at": [float(diverged[member])]}
            if diverged[member] < 0:
                one |= {name: [values[member]] for name, values in after.items()}
            yield from _rows("mnist-1-7", "lenet-300-100", f"{penalty}, λ = {weight:g}", iterations, one)


def _terms(ensemble: Ensemble, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Median of each penalty's own term over the images, for each member."""
    V, z = ensemble.local_maps(images.expand(ensemble.members, *images.shape))
    y = labels.expand(z.shape[:-1])
    return {
        f"{name}, median": term(V, z, y).median(dim=1).values.tolist() for name, term in PENALTIES.items()
    }


def large_lenet_5(
    weights: Sequence[float] = (1.6, 6.4, 25.6), reference: int = 500, iterations: int = 100
) -> Iterator[Found]:
    """Does the Jacobian penalty break ten-class LeNet-5 beyond λ = 1.6, as Section 4 reports?"""
    task = ten_classes()
    first = _trained_first(lenet_5, task, reference)
    lambdas = torch.zeros(len(weights), len(PENALTY_NAMES))
    lambdas[:, PENALTY_NAMES.index("jacobian")] = torch.tensor(weights)
    ensemble = Ensemble([first] * len(weights), lambdas)
    diverged = _train(ensemble, task, [10_000] * len(weights), iterations)
    accuracy = _accuracy(ensemble, task)
    for member, weight in enumerate(weights):
        measured = {"diverged at": [float(diverged[member])], "accuracy": [accuracy[member]]}
        yield from _rows("mnist-10", "lenet-5", f"jacobian, λ = {weight:g}", iterations, measured)


TESTS: dict[str, Callable[[], Iterator[Found]]] = {
    "training": training,
    "undecayed": undecayed,
    "protocol": protocol,
    "convolutions": convolutions,
    "curvature": curvature,
    "large": large,
    "large-lenet-5": large_lenet_5,
}


def main() -> None:
    """Run tests and store what they measure."""
    parser = argparse.ArgumentParser(
        prog="python -m regrob.experiments.reproduction", description=main.__doc__
    )
    parser.add_argument("tests", nargs="*", metavar="TEST", help=f"of {', '.join(TESTS)} (all)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    options = parser.parse_args()
    unknown = [name for name in options.tests if name not in TESTS]
    if unknown:
        raise InputError(f"no test is called {unknown[0]!r}; there are {', '.join(TESTS)}")
    torch.set_num_threads(1)
    for name in options.tests or TESTS:
        started = time.perf_counter()
        rows = []
        for row in TESTS[name]():
            rows.append(row)
            print(name, *row, flush=True)
        paper_numbers.store(options.out, name, rows, time.perf_counter() - started)


if __name__ == "__main__":
    main()
