"""Run a figure's shards: train, attack, checkpoint, resume; then write its table.

What is on the disk decides what is left to do. Each shard keeps a folder: its spec, a
checkpoint of its training, one file of rows for each finished attack. A kill at any instant
costs at most the work since the last checkpoint, and the resumed run ends, on the CPU, with
the very bytes of an uninterrupted one. A damaged file is set aside, and its shard does that
part again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrob.analysis import tables
from regrob.analysis.tables import write_atomically
from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.graphs import exact_float32
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint, solo
from regrob.experiments.grid import ADVERSARIAL, Shard, shards, task_of
from regrob.experiments.shard_attacks import attack_all
from regrob.networks import NETWORKS, SOLO
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.adversarial import Adversary
from regrob.training.many import Progress, train_ensemble

SECONDS_BETWEEN_CHECKPOINTS = 20.0
THREADS = 1
"""Fixed, because a matrix product's last bits depend on the number of threads."""


def sweep(
    figure: str,
    out: Path,
    *,
    preset: str = "quick",
    networks: tuple[str, ...] = (),
    device: str = "cpu",
    jobs: int = 1,
    backend: str = "loky",
    progress: bool = True,
    when_finished: Callable[[str], None] | None = None,
) -> Path:
    """Run what is missing of a figure and write its table; return the csv's path.

    Args:
        figure: a key of `protocol.FIGURES`.
        out: folder of results; shards live in out/shards.
        preset: quick, standard or paper.
        networks: only these networks; all of the figure's if empty.
        device: where to train and attack.
        jobs: shards at a time, through joblib.
        backend: one of `backends.BACKENDS`.
        progress: show a bar.
        when_finished: called with the name of each shard that is finished, in this process, as
            soon as it is; at once for those that were finished before.

    Raises:
        InputError: an unknown figure, preset or network; fewer than one job.
        DataError: the folder cannot be written, or is too small.
    """
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    todo = shards(figure, preset, networks)
    check_folder(out, todo)
    started = time.perf_counter()
    references = [shard for shard in todo if shard.is_reference]
    others = [shard for shard in todo if not shard.is_reference]
    from tqdm import tqdm

    with tqdm(total=len(todo), desc=f"{figure} {preset}", unit="shard", disable=not progress) as bar:
        for stage in (references, others):
            for name in _run_all(stage, out, preset, device, jobs, backend):
                bar.set_postfix_str(name)
                bar.update()
                if when_finished is not None:
                    when_finished(name)
    return collect(figure, out, todo, preset, time.perf_counter() - started)


def _run_all(todo: list[Shard], out: Path, preset: str, device: str, jobs: int, backend: str) -> Any:
    """Names of the shards as they finish."""
    missing = [shard for shard in todo if checkpoint.read_json(finished(out, shard)) is None]
    yield from (shard.name for shard in todo if shard not in missing)
    for reference in dict.fromkeys(shard.reference for shard in missing if not shard.is_reference):
        train_again(reference, out, preset, device)
    if jobs == 1:
        yield from (run_shard(shard, out, preset, device) for shard in missing)
        return
    from joblib import Parallel, delayed

    from regrob.experiments.backends import workers

    with workers(backend, jobs):
        # Ray's backend hands its results back together, at the end.
        as_they_come = "list" if backend == "ray" else "generator_unordered"
        yield from Parallel(return_as=as_they_come, batch_size=1)(
            delayed(run_shard)(shard, out, preset, device) for shard in missing
        )


def _fix_arithmetic() -> None:
    """Whatever trains or attacks here does so with one thread and in full float32."""
    torch.set_num_threads(THREADS)
    exact_float32()


def train_again(reference: Shard, out: Path, preset: str, device: str) -> None:
    """Make sure that a finished reference still has its networks; its rows stay as they are.

    They are gone if its rows were restored without them, or if they were damaged. This comes
    before the shards that start from them: side by side, each of those would train them again
    in the same folder.
    """
    _fix_arithmetic()
    task = task_of(reference.dataset, preset)
    if reference.network not in SOLO:
        trained(reference, out, task, device)
        return
    for seed in range(reference.budget.seeds):
        every = SECONDS_BETWEEN_CHECKPOINTS
        solo.train_member(reference, seed, out / "shards", task, device, every=every)


def folder_of(out: Path, shard: Shard) -> Path:
    """Where a shard keeps its files."""
    return out / "shards" / shard.name


def finished(out: Path, shard: Shard) -> Path:
    """The file that exists once a shard is done."""
    return folder_of(out, shard) / "rows.json"


def run_shard(shard: Shard, out: Path, preset: str, device: str) -> str:
    """Train and attack one shard, from wherever an earlier run stopped; return its name."""
    _fix_arithmetic()
    folder = folder_of(out, shard)
    folder.mkdir(parents=True, exist_ok=True)
    task = task_of(shard.dataset, preset)
    started = time.perf_counter()
    if shard.network in SOLO:
        found = solo.run_shard(shard, out, task, device, every=SECONDS_BETWEEN_CHECKPOINTS)
    else:
        ensemble, facts = trained(shard, out, task, device)
        found = {
            "rows": attack_all(ensemble, folder, task, shard),
            "diverged_at": facts["diverged_at"],
            "step_seconds": step_seconds(facts),
        }
    facts = {
        **found,
        "spec": shard.settings(),
        "seconds": round(time.perf_counter() - started, 1),
        "provenance": tables.provenance(),
    }
    checkpoint.tidy(folder)
    checkpoint.write_json(finished(out, shard), facts)
    return shard.name


def step_seconds(facts: dict[str, Any]) -> float | None:
    """Mean wall time of a training step of the whole shard; None in checkpoints from before it was kept."""
    spent = facts.get("training_seconds")
    return None if spent is None else spent / facts["iteration"]


def trained(shard: Shard, out: Path, task: Task, device: str) -> tuple[Ensemble, dict[str, Any]]:
    """The shard's ensemble at the end of its training, and the facts of its last checkpoint.

    Those are "iteration", "diverged_at" (for each member, −1: nowhere), "training_seconds".
    """
    seeds = list(range(shard.budget.seeds))
    iterations = shard.iterations
    folder = folder_of(out, shard)
    ensemble = Ensemble(starting_networks(shard, out, task, device), _weights(shard)).to(device)
    start = None
    facts: dict[str, Any] = {"iteration": 0, "diverged_at": [-1 for _ in seeds], "training_seconds": 0.0}
    saved = checkpoint.load(folder)
    if saved is not None:
        tensors, facts = saved
        ensemble.load_state({name: value.to(device) for name, value in tensors.items()})
        nothing = torch.full((len(seeds),), float("nan"))
        start = Progress(facts["iteration"], torch.tensor(facts["diverged_at"]), nothing, nothing)
    written = time.perf_counter()
    # A reference's seed orders its data; fine-tuning goes on with another order.
    orders = seeds if shard.is_reference else [seed + 10_000 for seed in seeds]
    adversary = Adversary(shard.weight) if shard.penalty == ADVERSARIAL else None
    steps = train_ensemble(ensemble, task, orders, iterations=iterations, adversary=adversary, start=start)
    for last in steps:
        now = time.perf_counter()
        if now - written > SECONDS_BETWEEN_CHECKPOINTS or last.iteration == iterations:
            before = facts.get("training_seconds")
            facts = {
                "iteration": last.iteration,
                "diverged_at": last.diverged_at.tolist(),
                "training_seconds": None if before is None else before + now - written,
            }
            checkpoint.save(folder, ensemble.state(), facts)
            written = time.perf_counter()
    return ensemble, facts


def starting_networks(shard: Shard, out: Path, task: Task, device: str) -> list[nn.Sequential]:
    """Fresh networks for a reference, the trained references for everything else."""
    build = NETWORKS[shard.network]

    def fresh(seed: int) -> nn.Sequential:
        return build(len(task.classes), generator=torch.Generator().manual_seed(seed))

    blank = [fresh(seed) for seed in range(shard.budget.seeds)]
    if shard.is_reference:
        return blank
    references, _ = trained(shard.reference, out, task, device)
    references.to("cpu")
    return [references.member(index, network) for index, network in enumerate(blank)]


def _weights(shard: Shard) -> torch.Tensor:
    weights = torch.zeros(shard.budget.seeds, len(PENALTY_NAMES))
    if shard.penalty in PENALTY_NAMES:
        weights[:, PENALTY_NAMES.index(shard.penalty)] = shard.weight
    return weights


def collect(figure: str, out: Path, todo: list[Shard], preset: str, seconds: float) -> Path:
    """Gather the finished shards into FIGURE.csv and FIGURE.json.

    Raises:
        DataError: a shard is not finished, or the files cannot be written.
    """
    finished_facts = []
    for shard in todo:
        facts = checkpoint.read_json(finished(out, shard))
        if facts is None:
            raise DataError(f"shard {shard.name} has no whole result; run the sweep again")
        finished_facts.append((shard, facts))
    return tabulate(figure, finished_facts, preset, out, last_run_seconds=round(seconds, 1))


def tabulate(
    figure: str,
    finished_facts: list[tuple[Shard, dict[str, Any]]],
    preset: str,
    folder: Path,
    name: str | None = None,
    **more: Any,
) -> Path:
    """Write a figure's table from the facts of all its shards; return the csv's path.

    Args:
        figure: stands in the table's first column.
        finished_facts: each shard with what its rows.json holds.
        preset: which the shards are of.
        folder: where to write.
        name: of the two files, NAME.csv and NAME.json; the figure's if None.
        more: goes into the json beside the provenance.

    Raises:
        DataError: the files cannot be written.
    """
    rows = []
    for shard, facts in finished_facts:
        label = "reference" if shard.is_reference else shard.penalty or "none"
        for attack, metric, values in facts["rows"]:
            for seed, value in enumerate(values):
                gone = facts["diverged_at"][seed] >= 0
                rows.append(
                    {
                        "figure": figure,
                        "dataset": shard.dataset,
                        "network": shard.network,
                        "penalty": label,
                        "lambda": shard.weight,
                        "seed": seed,
                        "attack": attack,
                        "metric": metric,
                        "value": float("nan") if gone else value,
                    }
                )
    first, _ = finished_facts[0]
    sidecar = {
        "figure": figure,
        "preset": preset,
        "networks": {shard.network: asdict(shard.budget) for shard, _ in finished_facts},
        "dataset": first.dataset,
        "digest": first.digest,
        "epsilon": first.epsilon,
        "shards": len(finished_facts),
        "diverged": {s.name: f["diverged_at"] for s, f in finished_facts if max(f["diverged_at"]) >= 0},
        "seconds": round(sum(f["seconds"] for _, f in finished_facts), 1),
        "step_seconds": {s.name: f.get("step_seconds") for s, f in finished_facts},
        "made_by": _distinct([f["provenance"] for _, f in finished_facts]),
        **more,
    }
    return tables.write(folder, name or figure, rows, sidecar)


def _distinct(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [value for i, value in enumerate(values) if value not in values[:i]]


def check_folder(out: Path, todo: list[Shard]) -> None:
    """Raise DataError, before any work, if results could not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make {out}: {error.strerror or error}; choose another --out") from error
    write_atomically(out / ".writable", b"yes")
    (out / ".writable").unlink()
    # Parameters and velocities in float32, one old and one new checkpoint a shard.
    needed = 2**26 + sum(16 * _parameters(shard.network) * shard.budget.seeds for shard in todo)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise DataError(
            f"{out} has {free / 2**20:.0f} MiB free and the sweep needs {needed / 2**20:.0f} MiB; "
            "make room or choose another --out"
        )


def _parameters(network: str) -> int:
    return sum(p.numel() for p in NETWORKS[network]().parameters())
