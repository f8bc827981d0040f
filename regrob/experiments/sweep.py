"""Run a figure's shards: train, attack, checkpoint, resume; then write its table.

What is on the disk decides what is left to do. Each shard keeps a folder: a checkpoint of its
training, and one file of rows for each finished attack. Networks that cannot be stacked train
and are attacked one after the other, each in a folder of its own within the shard's. A kill at
any instant costs at most the work since the last checkpoint, and the resumed run ends, on the
CPU, with the very bytes of an uninterrupted one. A damaged file is set aside, and its shard
does that part again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrob.analysis import tables
from regrob.analysis.tables import write_atomically
from regrob.attacks.evaluation import ROWS, AttackSettings, SingleNetwork, evaluate
from regrob.data.datasets import Task
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.ensembles.graphs import exact_float32
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint
from regrob.experiments.grid import Shard, shards, task_of
from regrob.experiments.provenance import provenance
from regrob.networks import SOLO, fresh
from regrob.notebook import bar
from regrob.training.many import Progress, train_ensemble
from regrob.training.single import Descent, fine_tuning_order

SECONDS_BETWEEN_CHECKPOINTS = 20.0
THREADS = 1
"""Fixed, because a matrix product's last bits depend on the number of threads."""


@dataclass(frozen=True)
class Workers:
    """What runs the shards.

    Attributes:
        device: where to train and attack.
        jobs: shards at a time, through joblib.
        backend: one of `backends.BACKENDS`.

    Raises:
        InputError: fewer than one job.
    """

    device: str = "cpu"
    jobs: int = 1
    backend: str = "loky"

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(f"jobs must be at least 1, got {self.jobs}")


ONE_AT_A_TIME = Workers()


def sweep(
    figure: str,
    out: Path,
    *,
    preset: str = "quick",
    networks: tuple[str, ...] = (),
    workers: Workers = ONE_AT_A_TIME,
    progress: bool = True,
    when_finished: Callable[[str], None] | None = None,
) -> Path:
    """Run what is missing of a figure and write its table; return the csv's path.

    Args:
        figure: a key of `grid.FIGURES`.
        out: folder of results; shards live in out/shards.
        preset: quick, standard or paper.
        networks: only these networks; all of the figure's if empty.
        workers: what runs the shards.
        progress: show a bar.
        when_finished: called with the name of each shard that is finished, in this process, as
            soon as it is; at once for those that were finished before.

    Raises:
        InputError: an unknown figure, preset, network or backend.
        DataError: the folder cannot be written, or is too small.
    """
    todo = shards(figure, preset, networks)
    check_folder(out, todo)
    started = time.perf_counter()
    references = [shard for shard in todo if shard.is_reference]
    others = [shard for shard in todo if not shard.is_reference]
    title = f"{figure} {preset}"
    with bar(title=title, total=len(todo), unit="shard", show=progress) as shown:
        for stage in (references, others):
            for name in _run_all(stage, out, preset, workers):
                shown.set_postfix_str(name)
                shown.update()
                if when_finished is not None:
                    when_finished(name)
    return collect(figure, out, todo, preset, time.perf_counter() - started)


def _run_all(todo: list[Shard], out: Path, preset: str, workers: Workers) -> Iterator[str]:
    """Names of the shards as they finish."""
    device = workers.device
    missing = [shard for shard in todo if checkpoint.read_json(finished(out, shard)) is None]
    yield from (shard.name for shard in todo if shard not in missing)
    for reference in dict.fromkeys(shard.reference for shard in missing if not shard.is_reference):
        ensure_networks(reference, out, preset, device)
    if workers.jobs == 1:
        yield from (run_shard(shard, out, preset, device) for shard in missing)
        return
    from joblib import Parallel, delayed

    from regrob.experiments import backends

    with backends.workers(workers.backend, workers.jobs):
        # Ray's backend hands its results back together, at the end.
        as_they_come = "list" if workers.backend == "ray" else "generator_unordered"
        yield from Parallel(return_as=as_they_come, batch_size=1)(
            delayed(run_shard)(shard, out, preset, device) for shard in missing
        )


def fix_arithmetic() -> None:
    """Whatever trains or attacks here does so with one thread and in full float32."""
    torch.set_num_threads(THREADS)
    exact_float32()


# --- where a shard keeps its files ----------------------------------------------------------


def folder_of(out: Path, shard: Shard) -> Path:
    """Where a shard keeps its files."""
    return out / "shards" / shard.name


def member_folder(folder: Path, seed: int | None) -> Path:
    """Where one network of a shard keeps its files; the shard's own folder, if all train as one (None)."""
    return folder if seed is None else folder / f"member-{seed}"


def finished(out: Path, shard: Shard) -> Path:
    """The file that exists once a shard is done."""
    return folder_of(out, shard) / checkpoint.ROWS


def _parts(shard: Shard) -> Sequence[int | None]:
    """What trains at once: all members, or, where they cannot be stacked, the member of one seed."""
    return range(shard.budget.seeds) if shard.network in SOLO else (None,)


# --- training -------------------------------------------------------------------------------


def ensure_networks(reference: Shard, out: Path, preset: str, device: str) -> None:
    """Train a finished reference again if its networks are missing; its rows stay as they are.

    They are gone if its rows were restored without them, or if they were damaged. This comes
    before the shards that start from them: side by side, each of those would train them again
    in the same folder.
    """
    fix_arithmetic()
    for seed in _parts(reference):
        trained(reference, out, task_of(reference.dataset, preset), device, seed)


def trained(
    shard: Shard, out: Path, task: Task, device: str, seed: int | None = None
) -> tuple[Ensemble | Descent, dict[str, Any]]:
    """The shard's networks at the end of their training, and the facts of the last checkpoint.

    Args:
        shard: what to train, from wherever an earlier run stopped.
        out: folder of results.
        task: supplies the training images.
        device: where to train.
        seed: of the one member to train; None for all of them, as one ensemble.

    Returns:
        What was trained, and {"iteration", "diverged_at", "training_seconds"}. Where training
        diverged is −1 for nowhere, and a list of all members' if they train as one.
    """
    folder = member_folder(folder_of(out, shard), seed)
    seeds = range(shard.budget.seeds) if seed is None else (seed,)
    nowhere: Any = [-1 for _ in seeds] if seed is None else -1
    facts: dict[str, Any] = {"iteration": 0, "diverged_at": nowhere, "training_seconds": 0.0}
    networks = fresh(shard.network, len(task.classes), seeds)
    saved = checkpoint.load(folder)
    if saved is None and not shard.is_reference:
        references, before = trained(shard.reference, out, task, device, seed)
        networks = _networks(references, networks)
        if seed is not None and before["diverged_at"] >= 0:
            facts["diverged_at"] = 0
    training = _begin(shard, networks, device, alone=seed is not None)
    if saved is not None:
        tensors, facts = saved
        training.load_state(tensors)
    orders = [seed if shard.is_reference else fine_tuning_order(seed) for seed in seeds]
    written = time.perf_counter()
    for iteration, diverged_at in _steps(training, shard, task, orders, facts):
        now = time.perf_counter()
        ended = iteration == shard.iterations or (seed is not None and diverged_at >= 0)
        if ended or now - written > SECONDS_BETWEEN_CHECKPOINTS:
            spent = facts.get("training_seconds")  # checkpoints from before it was kept lack it
            facts = {
                "iteration": iteration,
                "diverged_at": diverged_at,
                "training_seconds": None if spent is None else spent + now - written,
            }
            checkpoint.save(folder, training.state(), facts)
            written = time.perf_counter()
    if isinstance(training, Descent):
        training.network.eval()
    return training, facts


def _networks(training: Ensemble | Descent, blank: list[nn.Sequential]) -> list[nn.Sequential]:
    """The trained networks; an ensemble writes its members into the blank ones."""
    if isinstance(training, Descent):
        assert isinstance(training.network, nn.Sequential)
        return [training.network]
    training.to("cpu")
    return training.members_into(blank)


def _begin(shard: Shard, networks: list[nn.Sequential], device: str, *, alone: bool) -> Ensemble | Descent:
    """What trains these networks as the shard asks for, before its first step."""
    if not alone:
        weights = penalty_weights(shard.penalties, [shard.weight] * len(networks))
        return Ensemble(networks, weights).to(device)
    policy = shard.budget.solver(shard.iterations)
    penalty = shard.penalties[0] if shard.penalties else None
    return Descent(networks[0].to(device), policy, penalty, shard.weight if penalty else 0.0)


def _steps(
    training: Ensemble | Descent, shard: Shard, task: Task, orders: list[int], facts: dict[str, Any]
) -> Iterator[tuple[int, Any]]:
    """Go on from `facts` to the end; yield how many iterations are done and where training diverged."""
    done, diverged_at = facts["iteration"], facts["diverged_at"]
    if isinstance(training, Ensemble):
        unknown = torch.full((training.members,), float("nan"))
        for progress in train_ensemble(
            training,
            task,
            orders,
            iterations=shard.iterations,
            policy=shard.budget.solver(shard.iterations),
            start=Progress(done, torch.tensor(diverged_at), unknown, unknown),
            adversary=shard.adversary,
        ):
            yield progress.iteration, progress.diverged_at.tolist()
    elif diverged_at < 0 and done < shard.iterations:
        device = training.parameters[0].device
        images, labels = task.train_images.to(device), task.train_labels.to(device)
        which = range(done, shard.iterations)
        for iteration in training.steps(images, labels, which, seed=orders[0], adversary=shard.adversary):
            yield iteration, -1
        if training.diverged_at is not None:
            yield training.diverged_at, training.diverged_at


# --- attacks --------------------------------------------------------------------------------


def attack_all(ensemble: Ensemble | SingleNetwork, folder: Path, task: Task, shard: Shard) -> list[list[Any]]:
    """The rows [attack, metric, one value a member] of all attacks; what the folder has is not redone.

    A damaged file there is set aside and its attack run again. The shard says how hard to attack.
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
    device = ensemble.weights.device
    images, labels = (part.to(device) for part in task.held_out())
    for attack, rows in evaluate(ensemble, images, labels, settings, skip=frozenset(known)):
        known[attack] = [list(row) for row in rows]
        checkpoint.write_json(folder / f"rows-{attack}.json", known[attack])
    return [row for rows in known.values() for row in rows]


def run_shard(shard: Shard, out: Path, preset: str, device: str) -> str:
    """Train and attack one shard, from wherever an earlier run stopped; return its name."""
    fix_arithmetic()
    folder = folder_of(out, shard)
    folder.mkdir(parents=True, exist_ok=True)
    task = task_of(shard.dataset, preset)
    started = time.perf_counter()
    facts = {
        **_measured(shard, out, task, device),
        "spec": shard.settings(),
        "seconds": round(time.perf_counter() - started, 1),
        "provenance": provenance(),
    }
    checkpoint.write_json(finished(out, shard), facts)
    return shard.name


def _measured(shard: Shard, out: Path, task: Task, device: str) -> dict[str, Any]:
    """{"rows", "diverged_at", "step_seconds"} of all members, trained and attacked part by part."""
    rows_by_part: list[dict[tuple[str, str], list[float]]] = []
    diverged_at: list[int] = []
    seconds: list[float | None] = []
    steps = 0
    for seed in _parts(shard):
        training, facts = trained(shard, out, task, device, seed)
        folder = member_folder(folder_of(out, shard), seed)
        rows: dict[tuple[str, str], list[float]] = {}
        if seed is None or facts["diverged_at"] < 0:
            ensemble = training if isinstance(training, Ensemble) else SingleNetwork(training.network)
            rows = {(attack, metric): v for attack, metric, v in attack_all(ensemble, folder, task, shard)}
        rows_by_part.append(rows)
        diverged_at += facts["diverged_at"] if seed is None else [facts["diverged_at"]]
        seconds.append(facts.get("training_seconds"))
        steps += facts["iteration"]
        checkpoint.tidy(folder)
    # Rows of before a metric was kept lack it; NaN would call such a member diverged.
    kept = [key for key in ROWS if all(key in rows for rows in rows_by_part if rows)]
    lost = [float("nan")]
    spent = [value for value in seconds if value is not None]
    return {
        "rows": [[*key, [v for rows in rows_by_part for v in rows.get(key, lost)]] for key in kept],
        "diverged_at": diverged_at,
        "step_seconds": sum(spent) / steps if steps and len(spent) == len(seconds) else None,
    }


# --- the table ------------------------------------------------------------------------------


def collect(figure: str, out: Path, todo: list[Shard], preset: str, seconds: float) -> Path:
    """Gather the finished shards into FIGURE.csv and FIGURE.json.

    Raises:
        DataError: a shard is not finished, or the files cannot be written.
    """
    facts_by_shard = []
    for shard in todo:
        facts = checkpoint.read_json(finished(out, shard))
        if facts is None:
            raise DataError(f"shard {shard.name} has no whole result; run the sweep again")
        facts_by_shard.append((shard, facts))
    return tabulate(figure, facts_by_shard, preset, out, last_run_seconds=round(seconds, 1))


def tabulate(
    figure: str,
    facts_by_shard: list[tuple[Shard, dict[str, Any]]],
    preset: str,
    folder: Path,
    name: str | None = None,
    **more: Any,
) -> Path:
    """Write a figure's table from the facts of all its shards; return the csv's path.

    Args:
        figure: stands in the table's first column.
        facts_by_shard: each shard with what its rows.json holds.
        preset: which the shards are of.
        folder: where to write.
        name: of the two files, NAME.csv and NAME.json; the figure's if None.
        more: goes into the json beside the provenance.

    Raises:
        DataError: the files cannot be written.
    """
    rows = []
    for shard, facts in facts_by_shard:
        place = (figure, shard.dataset, shard.network, shard.label, shard.weight)
        for attack, metric, values in facts["rows"]:
            for seed, value in enumerate(values):
                kept = value if facts["diverged_at"][seed] < 0 else float("nan")
                row = (*place, seed, attack, metric, kept)
                rows.append(dict(zip(tables.COLUMNS, row, strict=True)))
    first, _ = facts_by_shard[0]
    made_by = [facts["provenance"] for _, facts in facts_by_shard]
    sidecar = {
        "figure": figure,
        "preset": preset,
        "networks": {shard.network: asdict(shard.budget) for shard, _ in facts_by_shard},
        "dataset": first.dataset,
        "digest": first.digest,
        "epsilon": first.epsilon,
        "shards": len(facts_by_shard),
        "diverged": {s.name: f["diverged_at"] for s, f in facts_by_shard if max(f["diverged_at"]) >= 0},
        "seconds": round(sum(f["seconds"] for _, f in facts_by_shard), 1),
        "step_seconds": {s.name: f.get("step_seconds") for s, f in facts_by_shard},
        "made_by": [facts for i, facts in enumerate(made_by) if facts not in made_by[:i]],
        **more,
    }
    return tables.write(folder, name or figure, rows, sidecar)


def check_folder(out: Path, todo: list[Shard]) -> None:
    """Raise DataError, before any work, if results could not be written."""
    tables.make_folder(out)
    write_atomically(out / ".writable", b"yes")
    (out / ".writable").unlink()
    # Parameters and velocities in float32, one old and one new checkpoint a shard.
    parameters = {
        name: sum(p.numel() for p in fresh(name, 10, [0])[0].parameters())
        for name in dict.fromkeys(shard.network for shard in todo)
    }
    needed = 2**26 + sum(16 * parameters[shard.network] * shard.budget.seeds for shard in todo)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise DataError(
            f"{out} has {free / 2**20:.0f} MiB free and the sweep needs {needed / 2**20:.0f} MiB; "
            "make room or choose another --out"
        )
