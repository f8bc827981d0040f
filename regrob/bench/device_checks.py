"""Does a device compute what a processor computes? Each check runs the engine on both and compares.

The processor's side is float64. A device is held to it twice: in float64 to rounding, in
float32 to what single precision allows. Every check can be asked for its *tooth*: the
processor's side is then slightly wrong, and the check must fail.

    python -m regrob.bench.device_checks --device cuda      one line of JSON a check
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regrob import attacks
from regrob.bench.step_cost import peak_bytes
from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.ensembles.graphs import exact_float32
from regrob.ensembles.network_view import StackedPullback
from regrob.errors import InputError
from regrob.experiments import checkpoint, sweep
from regrob.experiments.grid import Budget, Shard
from regrob.networks import fresh
from regrob.theory.penalties import PENALTY_NAMES, dominant_eigenvector
from regrob.training import many
from regrob.training.adversarial import Adversary
from regrob.training.many import Progress, train_many
from regrob.training.policy import CaffePolicy

DOUBLE, SINGLE = torch.float64, torch.float32
STACKABLE = ("lenet-300-100", "lenet-5")
SLIGHTLY = 1.01
"""By what factor one number of a tooth is wrong."""


@dataclass(frozen=True)
class Difference:
    """One comparison: how far apart the two sides are, and how far they may be."""

    name: str
    value: float
    limit: float

    @property
    def passes(self) -> bool:
        """Whether the difference is within its limit; NaN is not."""
        return self.value <= self.limit


@dataclass(frozen=True)
class DeviceCheck:
    """One question to a device.

    Attributes:
        id: short name.
        compare: takes the device and whether the processor's side shall be slightly wrong.
    """

    id: str
    compare: Callable[[str, bool], list[Difference]]


# --- what is computed on ----------------------------------------------------------------


def clouds(classes: int, *, count: int = 96, dtype: torch.dtype = DOUBLE) -> Task:
    """28×28 pictures around K random centres: as large as digits, made in a millisecond."""
    generator = torch.Generator().manual_seed(11)
    centres = torch.rand(classes, 1, 28, 28, generator=generator, dtype=DOUBLE)
    labels = torch.arange(count) % classes
    noise = torch.randn(count, 1, 28, 28, generator=generator, dtype=DOUBLE)
    images = (0.5 + 0.6 * (centres[labels] - 0.5) + 0.15 * noise).clamp(0, 1).to(dtype)
    half = count // 2
    names = tuple(str(k) for k in range(classes))
    return Task("clouds", names, images[:half], labels[:half], images[half:], labels[half:], "clouds")


def networks(name: str, classes: int, members: int, dtype: torch.dtype = DOUBLE) -> list[nn.Sequential]:
    """Fresh networks, member m with seed m."""
    return [network.to(dtype) for network in fresh(name, classes, range(members))]


def halved_weights(kinds: Sequence[str], members: int, size: float) -> Tensor:
    """(M, 4): `size` for these penalties, halved from one member to the next."""
    return penalty_weights(kinds, [size / 2**m for m in range(members)])


def distance(ours: dict[str, Tensor], theirs: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """The largest difference of two states' tensors, over how far training has moved them."""
    return max(
        float((ours[k].cpu().double() - theirs[k].cpu().double()).norm())
        / max(float((theirs[k].cpu().double() - start[k].cpu().double()).norm()), 1e-300)
        for k in theirs
        if theirs[k].numel()
    )


def copied(ensemble: Ensemble) -> dict[str, Tensor]:
    """The ensemble's state as it is now."""
    return {name: value.clone() for name, value in ensemble.state().items()}


# --- steps ------------------------------------------------------------------------------


def _steps(name: str, classes: int, kinds: Sequence[str], device: str, wrong: bool) -> list[Difference]:
    """Three training steps of two members."""
    task = clouds(classes, count=8 if name == "lenet-5" else 32)
    x, y = task.train_images.expand(2, -1, -1, -1, -1), task.train_labels.expand(2, -1)

    def run(where: str, dtype: torch.dtype, factor: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        weights = halved_weights(kinds, 2, 0.05 * factor)
        ensemble = Ensemble(networks(name, classes, 2, dtype), weights).to(where)
        start = copied(ensemble)
        rate = torch.tensor(0.01 * (1.0 if kinds else factor), dtype=dtype, device=where)
        for _ in range(3):
            ensemble.step(x.to(where, dtype), y.to(where), rate)
        return ensemble.state(), start

    expected, start = run("cpu", DOUBLE, SLIGHTLY if wrong else 1.0)
    return [
        Difference("float64", distance(run(device, DOUBLE, 1.0)[0], expected, start), 1e-9),
        Difference("float32", distance(run(device, SINGLE, 1.0)[0], expected, start), 2e-2),
    ]


def _trained(
    device: str,
    *,
    weights: Tensor,
    name: str = "lenet-300-100",
    dtype: torch.dtype = DOUBLE,
    iterations: int = 40,
    graphs: bool = True,
    adversary: Adversary | None = None,
    base: float = 0.01,
) -> tuple[Ensemble, dict[str, Tensor], Progress]:
    """An ensemble trained on clouds of two classes, its state before, and how it ended."""
    ensemble = Ensemble(networks(name, 2, len(weights), dtype), weights).to(device)
    ensemble.recorded = graphs
    start = copied(ensemble)
    progress = train_many(
        ensemble,
        clouds(2, dtype=dtype),
        range(len(weights)),
        iterations=iterations,
        policy=CaffePolicy(base=base, batch=16),
        adversary=adversary,
    )
    return ensemble, start, progress


def _graph(name: str, adversary: Adversary | None, device: str, wrong: bool) -> list[Difference]:
    """A recorded step replayed, against the same step launched kernel by kernel."""
    weights = halved_weights(PENALTY_NAMES, 3, 0.02)
    settings: dict[str, Any] = {"weights": weights, "name": name, "adversary": adversary, "iterations": 8}
    base = 0.01 * (SLIGHTLY if wrong else 1.0)
    eager, start, _ = _trained(device, graphs=False, base=base, **settings)
    replayed, _, _ = _trained(device, **settings)
    return [Difference("float64", distance(replayed.state(), eager.state(), start), 1e-9)]


def _divergence(device: str, wrong: bool) -> list[Difference]:
    """A member that diverges is marked and stays finite, and its neighbours never notice."""
    weights = halved_weights(["jacobian"], 3, 0.1)
    weights[1, PENALTY_NAMES.index("jacobian")] = 1e9
    ensemble, start, progress = _trained(device, weights=weights)
    sane = weights.clone()
    sane[1] = 0.0
    sane[0] *= SLIGHTLY if wrong else 1.0
    neighbours, _, _ = _trained(device, weights=sane)
    others = [0, 2]
    ours, theirs, before = (
        {name: value[others] for name, value in state.items()}
        for state in (ensemble.state(), neighbours.state(), start)
    )
    marks = [bool(mark) for mark in progress.diverged_at >= 0]
    broken = sum(int((~torch.isfinite(value)).sum()) for value in ensemble.state().values())
    return [
        Difference("neighbours", distance(ours, theirs, before), 1e-9),
        Difference("wrong marks of divergence", float(marks != [False, True, False]), 0),
        Difference("numbers that are not finite", broken, 0),
    ]


def _eigenvector(classes: int, device: str, wrong: bool) -> list[Difference]:
    """The top eigenvector by repeated squaring, against the processor's eigenvalues."""
    generator = torch.Generator().manual_seed(5)
    A = torch.randn(500, classes, classes, generator=generator, dtype=DOUBLE)
    B = A @ A.mT
    largest = torch.linalg.eigvalsh(B)[:, -1]

    def worst(dtype: torch.dtype) -> float:
        # One squaring is far too few.
        u = dominant_eigenvector(B.to(device, dtype), squarings=1 if wrong else 14).cpu().double()
        reached = torch.linalg.vector_norm((B @ u[..., None]).squeeze(-1), dim=-1)
        return float((1 - reached / largest).abs().max())

    return [Difference("float64", worst(DOUBLE), 1e-7), Difference("float32", worst(SINGLE), 1e-4)]


def _memory(device: str, wrong: bool) -> list[Difference]:
    """A step of many members takes the memory it was given, and no more."""
    on_cuda = device.startswith("cuda")
    members = 320 if on_cuda else 12
    task = clouds(10, count=128, dtype=SINGLE)
    x = task.train_images.to(device).expand(members, -1, -1, -1, -1)
    y = task.train_labels.to(device).expand(members, -1)
    nets = networks("lenet-300-100", 10, 2, SINGLE)
    ensemble = Ensemble([nets[m % 2] for m in range(members)], halved_weights(PENALTY_NAMES, members, 1e-3))
    ensemble.to(device)
    allowed = (members // 6) * ensemble.bytes_per_member(x)
    ensemble.memory = 2**60 if wrong else allowed
    rate = torch.tensor(0.01, device=device)
    if on_cuda:
        ensemble.step(x, y, rate)  # libraries take their workspaces
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        ensemble.step(x, y, rate)
        taken = torch.cuda.max_memory_allocated(device) - held
    else:
        taken = peak_bytes(lambda: ensemble.step(x, y, rate))
    return [Difference("bytes taken / bytes allowed", taken / allowed, 1.3)]


# --- attacks ----------------------------------------------------------------------------

ATTACKS: dict[str, tuple[Callable[..., attacks.AttackResult], dict[str, Any], dict[str, Any]]] = {
    "fgsm": (attacks.fgsm, {"epsilon": 0.1}, {"epsilon": 0.1 * SLIGHTLY}),
    "pgd": (attacks.pgd, {"epsilon": 0.1, "steps": 10}, {"epsilon": 0.1 * SLIGHTLY, "steps": 10}),
    "apgd": (attacks.apgd, {"epsilon": 0.1, "steps": 10}, {"epsilon": 0.1 * SLIGHTLY, "steps": 10}),
    "deepfool": (attacks.deepfool, {"steps": 20}, {"steps": 20, "overshoot": 0.03}),
    "carlini-wagner": (
        attacks.carlini_wagner,
        {"binary_search_steps": 2, "max_iterations": 25, "learning_rate": 0.1},
        {"binary_search_steps": 2, "max_iterations": 25, "learning_rate": 0.1 * SLIGHTLY},
    ),
    "boundary-projection": (attacks.boundary_projection, {"steps": 12}, {"steps": 6}),
}
"""Each attack with its settings, and with those of its tooth."""


class Veiled(nn.Module):
    """A network that does not show its layers, so that attacks go through autograd."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The network's own logits."""
        z: Tensor = self.network(images)
        return z


def _attack(attack: str, name: str, classes: int, device: str, wrong: bool) -> list[Difference]:
    """Two members at once through stacked layers, and one of them through autograd."""
    task = clouds(classes, count=32)
    nets = networks(name, classes, 2)
    ensemble = Ensemble(nets)
    train_many(ensemble, task, [0, 1], iterations=12, policy=CaffePolicy(batch=16))
    ensemble.members_into(nets)
    x = task.test_images[: 4 if name == "lenet-5" else 8]
    function, right, tooth = ATTACKS[attack]

    def run(where: str, dtype: torch.dtype, settings: dict[str, Any], alone: bool) -> attacks.AttackResult:
        # Copies, because `to` changes a network in place.
        moved = networks(name, classes, 2, dtype)
        for copy, network in zip(moved, nets, strict=True):
            copy.load_state_dict(network.state_dict())
            copy.to(where)
        images = x.to(where, dtype)
        if alone:
            target: nn.Module = Veiled(moved[0]).eval()
        else:
            target = StackedPullback(Ensemble(moved))
            images = images.repeat(2, 1, 1, 1)
        with torch.no_grad():
            labels = target(images).argmax(dim=1)
        return function(target, images, labels, **settings)

    differences = []
    for alone, way in ((False, "stacked"), (True, "autograd")):
        theirs = run("cpu", DOUBLE, tooth if wrong else right, alone)
        for dtype, limit, share in ((DOUBLE, 1e-6, 0.0), (SINGLE, 0.02, 0.2)):
            ours = run(device, dtype, right, alone)
            counted = torch.ones_like(theirs.success)
            if ours.norm == "l2":
                counted = ours.success.cpu() & theirs.success
            apart = (ours.distance.cpu().double() - theirs.distance).abs() / theirs.distance.clamp_min(1e-12)
            middle = float(apart[counted].median()) if bool(counted.any()) else math.nan
            disagreeing = float((ours.success.cpu() != theirs.success).double().mean())
            kind = f"{way}, {str(dtype).removeprefix('torch.')}"
            differences.append(Difference(f"{kind}: distance", middle, limit))
            differences.append(Difference(f"{kind}: successes that differ", disagreeing, share))
    return differences


# --- a kill, and the ledger -------------------------------------------------------------


def _shard(weight: float = 0.1) -> Shard:
    spent = Budget(seeds=2, reference=20, fine_tuning=40, distance_images=None)
    return Shard("clouds", "lenet-300-100", "curvature", weight, 0.1, spent, "clouds")


def _train_shard(out: Path, device: str, shard: Shard) -> dict[str, Tensor]:
    """Train a shard on clouds with a checkpoint after every fourth iteration."""
    before = many.CHUNK, sweep.SECONDS_BETWEEN_CHECKPOINTS
    many.CHUNK, sweep.SECONDS_BETWEEN_CHECKPOINTS = 4, 0.0
    try:
        ensemble, _ = sweep.trained(shard, out, clouds(2, dtype=SINGLE), device)
    finally:
        many.CHUNK, sweep.SECONDS_BETWEEN_CHECKPOINTS = before
    return ensemble.state()


def _kill(device: str, wrong: bool) -> list[Difference]:
    """A training killed at a checkpoint and gone on with, against one left alone."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        shard = _shard()
        pointer = sweep.folder_of(out / "killed", shard) / checkpoint.POINTER
        words = ["--device", device, "--train", str(out / "killed")]
        child = subprocess.Popen(
            [sys.executable, "-m", "regrob.bench.device_checks", *words],
            cwd=Path(__file__).resolve().parents[2],
        )
        while child.poll() is None and not pointer.exists():
            time.sleep(0.01)
        child.kill()
        child.wait()
        reached = checkpoint.read_json(pointer)["facts"]["iteration"]
        resumed = _train_shard(out / "killed", device, shard)
        undisturbed = _train_shard(out / "left alone", device, _shard(0.1 * SLIGHTLY) if wrong else shard)
        nothing = {key: torch.zeros_like(value) for key, value in resumed.items()}
        # The same bits on a processor; a GPU may add up in another order.
        limit = 0.0 if device == "cpu" else 1e-5
        done = shard.budget.fine_tuning
        return [
            Difference("weights", distance(resumed, undisturbed, nothing), limit),
            Difference("iterations done at the kill, of all", reached / done, 1 - 1 / done),
        ]


def _ledger(device: str, wrong: bool) -> list[Difference]:
    """Every claim's checks in float64 and their teeth on the device; nothing else has one."""
    from regrob.claims import ledger
    from regrob.claims.claim import judge

    claims = ledger.select([])
    if wrong:  # one claim whose check is its own tooth
        broken = next(claim for claim in claims if claim.id == "eq-8")
        check = broken.checks[0]
        checks = (dataclasses.replace(check, excess=check.tooth), *broken.checks[1:])
        claims = [dataclasses.replace(broken, checks=checks)]
    numerical = [
        dataclasses.replace(claim, derivation=None, counterexample=None, enclosed=())
        for claim in claims
        if claim.checks
    ]
    failures = [f for claim in numerical for f in judge(claim, trials=200, seed=0, device=device).failures]
    return [Difference("checks that fail or teeth that do not bite", len(failures), 0)]


# --- all of them ------------------------------------------------------------------------


def checks() -> list[DeviceCheck]:
    """All checks, those that would explain the most first."""
    kinds = {"none": (), **{kind: (kind,) for kind in PENALTY_NAMES}, "all": PENALTY_NAMES}
    listed = [
        DeviceCheck(f"step {name} K={classes} {label}", partial(_steps, name, classes, chosen))
        for name in STACKABLE
        for classes in (2, 10)
        for label, chosen in kinds.items()
    ]
    listed += [DeviceCheck(f"graph {name}", partial(_graph, name, None)) for name in STACKABLE]
    listed += [DeviceCheck("graph adversarial", partial(_graph, "lenet-300-100", Adversary(0.1, steps=3)))]
    listed += [DeviceCheck("divergence", _divergence), DeviceCheck("memory", _memory)]
    listed += [DeviceCheck(f"eigenvector K={classes}", partial(_eigenvector, classes)) for classes in (3, 10)]
    listed += [DeviceCheck("kill and resume", _kill), DeviceCheck("ledger", _ledger)]
    listed += [
        DeviceCheck(f"{attack} {name} K={classes}", partial(_attack, attack, name, classes))
        for attack in ATTACKS
        for name in STACKABLE
        for classes in (2, 10)
    ]
    return listed


def run(device: str, only: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Each check's outcome as it is ready: {"id", "passed", "seconds", "differences", "error"}.

    Args:
        device: cpu, cuda, cuda:1, …
        only: ids of the checks to make; all if empty.
    """
    for check in checks():
        if only and check.id not in only:
            continue
        started = time.perf_counter()
        error, differences = None, []
        try:
            differences = check.compare(device, False)
        except Exception:  # whatever a device does wrong is the question
            error = traceback.format_exc(limit=-6)
        passed = error is None and all(d.passes for d in differences)
        yield {
            "id": check.id,
            "passed": passed,
            "seconds": round(time.perf_counter() - started, 2),
            "differences": [{**dataclasses.asdict(d), "value": float(f"{d.value:.3g}")} for d in differences],
            "error": error,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks, one line of JSON each; 0 if all pass."""
    parser = argparse.ArgumentParser(prog="regrob.bench.device_checks", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="*", default=[], metavar="ID")
    parser.add_argument("--list", action="store_true", help="print the checks' ids")
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="train one small shard there instead")
    options = parser.parse_args(arguments)
    if options.list:
        print(*(check.id for check in checks()), sep="\n")
        return 0
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {options.device!r} needs a torch with CUDA and a GPU; there is none here")
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    exact_float32()
    if options.train is not None:
        _train_shard(options.train, options.device, _shard())
        return 0
    status = 0
    for outcome in run(options.device, options.only):
        print(json.dumps(outcome), flush=True)
        status |= not outcome["passed"]
        if outcome["error"] and options.device != "cpu":
            break  # the rest would fail for the same reason; whoever asked begins anew with them
    return status


if __name__ == "__main__":
    sys.exit(main())
