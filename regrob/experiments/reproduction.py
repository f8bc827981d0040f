"""Why do our numbers differ from the paper's? Each suspicion is a small experiment, run and stored.

    python -m regrob.experiments.reproduction [TEST …] --out book/results

runs them, on full MNIST where REGROB_DATA is set, and stores what they measure in paper.csv. The
paper names neither the clipping of its attacks, nor how long it fine-tuned, nor whether its
LeNet-5 has ReLUs after the convolutions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regrob.analysis import paper_numbers
from regrob.analysis.paper_numbers import TestRow
from regrob.attacks import AttackResult, apgd, fgsm, pgd
from regrob.attacks.evaluation import AttackSettings, evaluate
from regrob.data.datasets import Task, one_versus_seven, ten_classes
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.ensembles.network_view import StackedPullback
from regrob.errors import InputError
from regrob.experiments.grid import Budget
from regrob.experiments.provenance import provenance
from regrob.networks import fresh, lenet_5, lenet_300_100
from regrob.theory import probability
from regrob.theory.penalties import CURVATURE_PEAK, INPUT_GRADIENT_PEAK, PENALTIES, PENALTY_NAMES
from regrob.training.many import train_ensemble, train_many
from regrob.training.policy import CaffePolicy
from regrob.training.single import fine_tuning_order

if TYPE_CHECKING:
    import pandas as pd

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
CRITICAL = {"below 1.28": INPUT_GRADIENT_PEAK, "below 2.40": CURVATURE_PEAK}
"""Where the paper's two penalties turn, as functions of νγ (Appendix G)."""


# --- what is measured -------------------------------------------------------------------


def under_attack(ensemble: Ensemble, attack: Attack, images: Tensor, labels: Tensor) -> list[float]:
    """Each member's accuracy on what the attack makes of the images."""
    fooled = []
    members = StackedPullback(ensemble)
    for x, y in zip(images.split(250), labels.split(250), strict=True):
        every = x.repeat(ensemble.members, *(1,) * (x.ndim - 1))
        attacked = attack(members, every, y.repeat(ensemble.members))
        fooled.append(attacked.success.view(ensemble.members, -1))
    return (~torch.cat(fooled, dim=1)).double().mean(dim=1).tolist()


def confidence(ensemble: Ensemble, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """νγ, and what else might have been meant, over the images given, for each member; K = 2.

    ν = ‖s‖ and γ = |s·x|/ν with s = v₊ − v₋ (Appendix G), so νγ = |s·x|. Beside it qνγ, which
    is ‖∇‖₂γ, and the loss.
    """
    parts: dict[str, list[Tensor]] = {}
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
            parts.setdefault(name, []).append(value.double())
    whole = {name: torch.cat(part, dim=1) for name, part in parts.items()}  # (M, N)
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
) -> Iterator[TestRow]:
    for measure, values in measured.items():
        for seed, value in enumerate(values):
            yield task, network, variant, iteration, seed, measure, value


# --- the tests --------------------------------------------------------------------------


def _references(
    task: Task, seeds: int, iterations: int, build: Callable[..., nn.Sequential] = lenet_300_100
) -> Ensemble:
    """Networks trained from scratch without a penalty."""
    classes = len(task.classes)
    networks = [build(classes, generator=torch.Generator().manual_seed(seed)) for seed in range(seeds)]
    ensemble = Ensemble(networks)
    train_many(ensemble, task, range(seeds), iterations=iterations)
    return ensemble


def _under_sign_attacks(ensemble: Ensemble, task: Task) -> dict[str, list[float]]:
    """Accuracy without attack and under each of `SIGN_ATTACKS`."""
    images, labels = task.held_out(ATTACKED)
    measured = {name: under_attack(ensemble, a, images, labels) for name, a in SIGN_ATTACKS.items()}
    return measured | {"accuracy": _accuracy(ensemble, task)}


MILESTONES = (0, 250, 1_000, 5_000, 20_000, 50_000)


def training(
    seeds: int = 3,
    milestones: Sequence[int] = MILESTONES,
    variant: str = "as trained",
    weight_decay: float = 5e-4,
) -> Iterator[TestRow]:
    """Does the length of training explain it? νγ, accuracy and attacks along a run of 50 000."""
    task = one_versus_seven()
    images, labels = task.held_out(ATTACKED)
    ensemble = Ensemble(fresh("lenet-300-100", 2, range(seeds)))

    def look(iteration: int) -> Iterator[TestRow]:
        measured = confidence(ensemble, task.train_images, task.train_labels)
        measured["accuracy"] = _accuracy(ensemble, task)
        attacks = SIGN_ATTACKS if iteration else {}
        if iteration in (5_000, milestones[-1]):  # as the sweep trains, and as the paper does
            attacks = attacks | STRONGER
        for name, attack in attacks.items():
            measured[name] = under_attack(ensemble, attack, images, labels)
        return _rows("mnist-1-7", "lenet-300-100", variant, iteration, measured)

    yield from look(0)
    policy = CaffePolicy(weight_decay=weight_decay)
    for progress in train_ensemble(ensemble, task, range(seeds), iterations=milestones[-1], policy=policy):
        if progress.iteration in milestones:
            yield from look(progress.iteration)


def undecayed(seeds: int = 3, milestones: Sequence[int] = (0, 5_000, 50_000)) -> Iterator[TestRow]:
    """Does weight decay, at the paper's length of training? The same run without any."""
    return training(seeds, milestones, "no weight decay", 0.0)


def protocol(seeds: int = 3, iterations: int = 5_000) -> Iterator[TestRow]:
    """Does the scale of the pixels? Divided by 256, as in Caffe's own recipe."""
    task, scale = one_versus_seven(), 255 / 256
    scaled = replace(task, train_images=scale * task.train_images, test_images=scale * task.test_images)
    measured = _under_sign_attacks(_references(scaled, seeds, iterations), scaled)
    yield from _rows("mnist-1-7", "lenet-300-100", "pixels / 256", iterations, measured)


def convolutions(seeds: int = 2, iterations: int = 2_000) -> Iterator[TestRow]:
    """Does LeNet-5's activation? With ReLU after the convolutions, and as in Caffe's own file."""
    task = one_versus_seven()
    for variant, relu in (("ReLU after the convolutions", True), ("no ReLU there", False)):
        build = partial(lenet_5, relu_after_convolution=relu)
        measured = _under_sign_attacks(_references(task, seeds, iterations, build), task)
        yield from _rows("mnist-1-7", "lenet-5", variant, iterations, measured)


def curvature(seeds: int = 3, reference: int = 5_000, iterations: int = 5_000) -> Iterator[TestRow]:
    """Is Carlini and Wagner's distance near 2.0 after the curvature penalty at λ = 6.4?"""
    task = one_versus_seven()
    ensemble = _references(task, seeds, reference)
    images, labels = task.held_out(min(200, ATTACKED))
    settings = AttackSettings(
        carlini_wagner={"learning_rate": Budget.learning_rate, "max_iterations": Budget.attack_iterations}
    )
    others = frozenset({"none", "fgsm", "pgd"})
    for weight in (0.0, 6.4):
        if weight:
            networks = ensemble.members_into(fresh("lenet-300-100", 2, range(seeds)))
            ensemble = Ensemble(networks, penalty_weights(["curvature"], [weight] * seeds))
            orders = [fine_tuning_order(seed) for seed in range(seeds)]
            train_many(ensemble, task, orders, iterations=iterations)
        measured = {"accuracy": _accuracy(ensemble, task)}
        for attack, rows in evaluate(ensemble, images, labels, settings, skip=others):
            measured |= {f"{attack}, {metric}": values for _, metric, values in rows if metric != "saturated"}
        yield from _rows("mnist-1-7", "lenet-300-100", f"curvature, λ = {weight:g}", iterations, measured)


def large(
    weights: Sequence[float] = (1.6, 6.4, 25.6, 102.4), reference: int = 1_000, iterations: int = 500
) -> Iterator[TestRow]:
    """At which λ does training break, and how small are the penalised terms at 1.6?"""
    task = one_versus_seven()
    trained = _references(task, 1, reference)
    few, labels = task.train_images[:2000], task.train_labels[:2000]
    before = _terms(trained, few, labels) | confidence(trained, few, labels)
    network = trained.member(0, lenet_300_100(2))
    yield from _rows("mnist-1-7", "lenet-300-100", "reference", 0, before)
    for penalty in PENALTY_NAMES:
        ensemble, diverged_at = _fine_tuned(network, task, penalty, weights, iterations)
        after = _terms(ensemble, few, labels) | confidence(ensemble, few, labels)
        after["accuracy"] = _accuracy(ensemble, task)
        for member, weight in enumerate(weights):
            measured = {"diverged at": [float(diverged_at[member])]}
            if diverged_at[member] < 0:
                measured |= {name: [values[member]] for name, values in after.items()}
            variant = f"{penalty}, λ = {weight:g}"
            yield from _rows("mnist-1-7", "lenet-300-100", variant, iterations, measured)


def _fine_tuned(
    network: nn.Sequential, task: Task, penalty: str, weights: Sequence[float], iterations: int
) -> tuple[Ensemble, Tensor]:
    """Copies of one reference, each trained with its own λ, and where each diverged (−1: nowhere)."""
    ensemble = Ensemble([network] * len(weights), penalty_weights([penalty], weights))
    orders = [fine_tuning_order(0)] * len(weights)
    return ensemble, train_many(ensemble, task, orders, iterations=iterations).diverged_at


def _terms(ensemble: Ensemble, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Median of each penalty's own term over the images, for each member."""
    V, z = ensemble.local_maps(images.expand(ensemble.members, *images.shape))
    y = labels.expand(z.shape[:-1])
    return {
        f"{name}, median": term(V, z, y).median(dim=1).values.tolist() for name, term in PENALTIES.items()
    }


def large_lenet_5(
    weights: Sequence[float] = (1.6, 6.4, 25.6), reference: int = 500, iterations: int = 100
) -> Iterator[TestRow]:
    """Does the Jacobian penalty break ten-class LeNet-5 beyond λ = 1.6, as Section 4 reports?"""
    task = ten_classes()
    network = _references(task, 1, reference, lenet_5).member(0, lenet_5(10))
    ensemble, diverged_at = _fine_tuned(network, task, "jacobian", weights, iterations)
    accuracy = _accuracy(ensemble, task)
    for member, weight in enumerate(weights):
        measured = {"diverged at": [float(diverged_at[member])], "accuracy": [accuracy[member]]}
        yield from _rows("mnist-10", "lenet-5", f"jacobian, λ = {weight:g}", iterations, measured)


TESTS: dict[str, Callable[[], Iterator[TestRow]]] = {
    "training": training,
    "undecayed": undecayed,
    "protocol": protocol,
    "convolutions": convolutions,
    "curvature": curvature,
    "large": large,
    "large-lenet-5": large_lenet_5,
}


def asked(facts: dict[str, Any]) -> pd.DataFrame:
    """What each stored test asks, the seconds that it took, and what made it; by the test's name.

    Args:
        facts: as `paper_numbers.read` gives them.
    """
    import pandas as pd

    rows = {
        name: {
            "asks": str(TESTS[name].__doc__).split("?")[0] + "?",
            "seconds": fact["seconds"],
            **{key: fact["made_by"][key] for key in ("device", "date", "commit")},
        }
        for name, fact in sorted(facts.items())
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("test")


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
        seconds = round(time.perf_counter() - started, 1)
        made_by = {"seconds": seconds, "made_by": provenance()}
        paper_numbers.store(options.out, name, rows, made_by)


if __name__ == "__main__":
    main()
