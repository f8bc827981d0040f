"""What a penalty buys in proof: networks fine-tuned with each penalty, and the true distance of their digits.

The work is a list of items, `BLOCK` digits of one network: train it, attack its digits, then let the
certifier close in on the distance to the nearest mistake of each. Networks of one seed and one penalty
train together, all λ at once; each is then proved by itself. The first digits of all networks come first.

A kill at any instant costs at most the work since the last checkpoint of a training, or the proofs
of `CHUNK` digits. Finished items, a few kilobytes each, go into a store that git tracks: two files for
each network and seed, NETWORK-SEED.csv with a row a digit, and NETWORK-SEED.json with what made them.
On another machine the items that the store has count as finished.

Everywhere `out` is the folder of the computation, `stored` that store, and `stages` come from `plan`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from regrob.affine.float64 import in_float64
from regrob.affine.local_map import local_map
from regrob.analysis import tables
from regrob.analysis.measures import ADVERSARIAL
from regrob.analysis.paper_numbers import WEIGHTS
from regrob.analysis.proved import COLUMNS, DIGITS, NEAR, SETTING, checksum, read_stage
from regrob.attacks import AttackResult, boundary_projection, deepfool
from regrob.certificates.linear_bounds import OperandBounds, operand_bounds
from regrob.certificates.radius_search import linear_radius
from regrob.data.datasets import Task
from regrob.data.tasks import TASKS
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint, sweep
from regrob.experiments.grid import fingerprint
from regrob.experiments.provenance import provenance
from regrob.experiments.sweep import ONE_AT_A_TIME, Workers
from regrob.networks import fresh
from regrob.notebook import bar
from regrob.theory import derivatives, probability
from regrob.theory.exact_radius import exact_radius_l2
from regrob.theory.margin import margin_l2
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.adversarial import Adversary
from regrob.training.many import Progress, train_ensemble
from regrob.training.single import accuracy, fine_tuning_order

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 10
"""Digits of an item."""

CHUNK = 5
"""Digits that are proved between two looks at the disk."""

ATTACKS: tuple[Callable[..., AttackResult], ...] = (deepfool, boundary_projection)
"""What is tried before any proof, within the box of pixels."""


MISCLASSIFIED = (0.0, 0.0, 0.0, 0.0, math.nan, 0.0)
"""What stands in the place of what is known of a digit that is misclassified."""


# --- what is computed -----------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What is proved of one architecture.

    Attributes:
        network: a key of `networks.NETWORKS` that an ensemble can stack.
        dataset: a key of `tasks.TASKS`.
        weights: λ of each penalty, the most wanted first.
        adversaries: ε of adversarial training.
        images: held-out images of each network, the classes by turns.
        seconds: of processor time that the certifier may spend on an image, whatever else the machine does.
        reference, fine_tuning: iterations without, and then with the penalty.
    """

    network: str
    dataset: str
    weights: tuple[float, ...]
    adversaries: tuple[float, ...]
    images: int
    seconds: float
    reference: int = 5_000
    fine_tuning: int = 5_000


WORKS = {
    work.network: work
    for work in (
        Work("mlp-24-24", "mnist-1-7", WEIGHTS, (0.025, 0.05, 0.1, 0.2), images=50, seconds=2.0),
        Work("lenet-300-100", "mnist-1-7", (0.1, 0.4, 1.6, 0.01), (0.1,), images=20, seconds=15.0),
        Work("mlp-50-50", "mnist-10", (0.1, 0.4, 0.01, 1e-3, 1.6), (0.05, 0.1), images=50, seconds=4.0),
        Work("lenet-5", "mnist-1-7", (0.1, 0.4), (0.1,), 10, 15.0, reference=2_000, fine_tuning=2_000),
    )
}
"""By network. The schedules of training are those of the sweeps' preset "standard"."""

SEEDS = 10


class RunStep(NamedTuple):
    """A part of the computation: one block of digits, of all networks of one seed.

    Attributes:
        network: a key of `WORKS`.
        seed: of its networks.
        block: which digits.
        hardened: only adversarial training, which takes longest; else all but that.
    """

    network: str
    seed: int
    block: int
    hardened: bool = False


def order() -> list[RunStep]:
    """A first answer for each network, then the same of further seeds, then more digits of all.

    Each time adversarial training comes last, which takes longest.
    """
    steps = [RunStep(name, 0, 0, hardened) for hardened in (False, True) for name in WORKS]
    for block in range(max(-(-work.images // BLOCK) for work in WORKS.values())):
        for hardened in (False, True):
            for seed in range(SEEDS):
                for name, work in WORKS.items():
                    if block * BLOCK < work.images:
                        steps.append(RunStep(name, seed, block, hardened))
    return list(dict.fromkeys(steps))


@dataclass(frozen=True)
class Group:
    """Networks of one seed that train together: one penalty at all its λ.

    Attributes:
        work: of their architecture.
        seed: of the initial weights and of the order of data.
        penalty: one of the four, `ADVERSARIAL`, "none", or "reference": what the others start from.
        weights: λ of each; ε for `ADVERSARIAL`, of which there is one.
        digest: of the task's images and labels.
    """

    work: Work
    seed: int
    penalty: str
    weights: tuple[float, ...]
    digest: str

    @property
    def is_reference(self) -> bool:
        """Whether the others start from it."""
        return self.penalty == "reference"

    @property
    def reference(self) -> Group:
        """What this group starts from."""
        return Group(self.work, self.seed, "reference", (0.0,), self.digest)

    @property
    def iterations(self) -> int:
        """How long the group itself trains."""
        return self.work.reference if self.is_reference else self.work.fine_tuning

    @property
    def adversary(self) -> Adversary | None:
        """Who perturbs the batches."""
        return Adversary(self.weights[0]) if self.penalty == ADVERSARIAL else None

    @property
    def name(self) -> str:
        """A readable name that ends in a hash of what decides the weights."""
        work = self.work
        settings = [work.network, work.dataset, work.reference, self.seed, self.penalty, self.digest]
        settings += [] if self.is_reference else [work.fine_tuning, *self.weights]
        kind = f"{self.penalty}-{self.weights[0]:g}" if self.adversary else self.penalty
        return f"{work.network}-{self.seed}-{kind}-{fingerprint({'all': settings})}"


@dataclass(frozen=True)
class Item:
    """Some digits of one network of a group, to be proved: everything that decides its numbers.

    Attributes:
        group: with which it trains.
        weight: its λ, or ε.
        start, count: which of the held-out images.
    """

    group: Group
    weight: float
    start: int
    count: int

    @property
    def name(self) -> str:
        """A readable name that ends in a hash of all settings; other λ and other digits do not enter it."""
        group = self.group
        kind = f"{group.penalty}-{self.weight:g}" if self.weight else group.penalty
        return f"{group.work.network}-{group.seed}-{kind}-from-{self.start}-{fingerprint(self.settings())}"

    def settings(self) -> dict[str, Any]:
        """Everything that decides the item's numbers, as JSON can say it."""
        group, work = self.group, asdict(self.group.work)
        for several in ("weights", "adversaries", "images"):
            del work[several]
        return {
            **work,
            "penalty": group.penalty,
            "lambda": self.weight,
            "seed": group.seed,
            "digest": group.digest,
            "start": self.start,
            "count": self.count,
        }


@dataclass(frozen=True)
class Stage:
    """A step of the computation with its items."""

    step: RunStep
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """What the files of the store are called that hold it, beside other digits of the same networks."""
        return f"{self.step.network}-{self.step.seed}"


def plan(only: Sequence[str] = ()) -> list[Stage]:
    """The stages in the order of the computation.

    Args:
        only: these networks; all if empty.

    Raises:
        InputError: none of the queue is called so.
        DataError: the full data set, whose checksum is a part of the items' names, is missing.
    """
    unknown = [name for name in only if name not in WORKS]
    if unknown:
        raise InputError(f"no network {unknown[0]!r} is in the queue; there are {', '.join(WORKS)}")
    steps = [step for step in order() if step.network in (only or WORKS)]
    digests = {name: task_of(name).digest for name in {WORKS[step.network].dataset for step in steps}}
    return [Stage(step, tuple(_items(step, digests[WORKS[step.network].dataset]))) for step in steps]


def _items(step: RunStep, digest: str) -> Iterator[Item]:
    """The network without a penalty, then every penalty at the most wanted λ, and so on."""
    work = WORKS[step.network]
    start = step.block * BLOCK
    place = start, min(BLOCK, work.images - start)
    if step.hardened:
        for epsilon in work.adversaries:
            yield Item(Group(work, step.seed, ADVERSARIAL, (epsilon,), digest), epsilon, *place)
        return
    yield Item(Group(work, step.seed, "none", (0.0,), digest), 0.0, *place)
    for weight in work.weights:
        for penalty in PENALTY_NAMES:
            yield Item(Group(work, step.seed, penalty, work.weights, digest), weight, *place)


def task_of(dataset: str) -> Task:
    """The images: the full data set, whose folder the environment names."""
    return TASKS[dataset]("full")


# --- training -------------------------------------------------------------------------------


def trained(group: Group, out: Path, task: Task) -> tuple[list[nn.Sequential], list[int]]:
    """The group's networks, from wherever an earlier run stopped, and where each diverged: −1 for nowhere.

    Args:
        group: what to train; its reference too, if that is missing.
        out: folder of the computation.
        task: supplies the training images.
    """
    folder = out / "networks" / group.name
    count = len(group.weights)
    networks = fresh(group.work.network, len(task.classes), [group.seed] * count)
    facts: dict[str, Any] = {"iteration": 0, "diverged_at": [-1] * count}
    saved = checkpoint.load(folder)
    if saved is None and not group.is_reference:
        (start,), _ = trained(group.reference, out, task)
        networks = [copy.deepcopy(start) for _ in group.weights]
    penalties = [group.penalty] if group.penalty in PENALTY_NAMES else []
    ensemble = Ensemble(networks, penalty_weights(penalties, group.weights))
    if saved is not None:
        tensors, facts = saved
        ensemble.load_state(tensors)
    order = group.seed if group.is_reference else fine_tuning_order(group.seed)
    unknown = torch.full((count,), math.nan)
    steps = train_ensemble(
        ensemble,
        task,
        [order] * count,
        iterations=group.iterations,
        start=Progress(facts["iteration"], torch.tensor(facts["diverged_at"]), unknown, unknown),
        adversary=group.adversary,
    )
    written = time.perf_counter()
    for progress in steps:
        ended = progress.iteration == group.iterations
        if ended or time.perf_counter() - written > sweep.SECONDS_BETWEEN_CHECKPOINTS:
            facts = {"iteration": progress.iteration, "diverged_at": progress.diverged_at.tolist()}
            checkpoint.save(folder, ensemble.state(), facts)
            written = time.perf_counter()
    members = [network.eval() for network in ensemble.members_into(networks)]
    return members, list(facts["diverged_at"])


def _train(group: Group, out: Path) -> str:
    """Train a group to its end, as a worker does it; return its name."""
    sweep.fix_arithmetic()
    trained(group, out, task_of(group.work.dataset))
    return group.name


# --- proving --------------------------------------------------------------------------------


class Certified(Protocol):
    """What a certifier returns, one entry an image; see `regrob.certify`."""

    @property
    def certified(self) -> Tensor:
        """No mistake is nearer."""

    @property
    def found(self) -> Tensor:
        """A mistake is so near."""

    @property
    def nodes(self) -> Tensor:
        """How many parts of the input space were bounded."""

    @property
    def seconds(self) -> Tensor:
        """Spent on each."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each search ended."""


Certifier: TypeAlias = Callable[..., Certified]
"""What closes in on the distance from both sides: `regrob.certify`, called with network, images, labels,
seconds=… and clock=…; a function of a module where several items work at a time."""


def rounded(value: float, *, up: bool) -> float:
    """A distance in `DIGITS` significant digits, never above (below, if `up`) what it was.

    >>> rounded(0.123456789, up=False), rounded(0.123456789, up=True)
    (0.12345, 0.12346)
    """
    if not math.isfinite(value):
        return value
    context = Context(prec=DIGITS, rounding=ROUND_CEILING if up else ROUND_FLOOR)
    return float(context.create_decimal_from_float(value))


def prove_item(item: Item, out: Path, certify: Certifier) -> str:
    """Train, attack and prove one network, from wherever an earlier run stopped; return its name.

    Args:
        item: the network.
        out: folder of the computation.
        certify: what proves.
    """
    sweep.fix_arithmetic()
    group, folder = item.group, out / "items" / item.name
    folder.mkdir(parents=True, exist_ok=True)
    task = task_of(group.work.dataset)
    members, diverged = trained(group, out, task)
    place = group.weights.index(item.weight)
    network = members[place]
    images, labels = (part[item.start :] for part in task.held_out(item.start + item.count))
    rows: list[list[Any]] = []
    started = time.perf_counter()
    if diverged[place] < 0:
        known = _kept(folder / "known.json", partial(_known, network, images, labels))
        for start in range(0, len(images), CHUNK):
            part = slice(start, start + CHUNK)
            x, y = images[part], labels[part]
            compute = partial(_proved, network, x, y, known[part], certify, group.work.seconds)
            rows += _kept(folder / f"proved-{start}.json", compute)
    facts = {
        "settings": item.settings(),
        "accuracy": accuracy(network, task.test_images, task.test_labels) if rows else None,
        "diverged_at": diverged[place],
        "rows": rows,
        "seconds": round(time.perf_counter() - started, 1),
        "provenance": provenance(),
    }
    checkpoint.write_json(folder / checkpoint.ROWS, facts)
    return item.name


def _kept(path: Path, compute: Callable[[], Any]) -> Any:
    """What the file holds, or else what is computed and written there."""
    value = checkpoint.read_json(path)
    if value is None:
        value = compute()
        checkpoint.write_json(path, value)
    return value


def _known(network: nn.Sequential, images: Tensor, labels: Tensor) -> list[list[float]]:
    """What is known of each image without a search: attacked, linear, margin, radius, slope, unstable."""
    V, z = local_map(in_float64(network), images.double())
    kept = probability.correctly_classified(z, labels).nonzero().flatten()
    rows = [[*MISCLASSIFIED] for _ in labels]
    if not len(kept):
        return rows
    V, z, x, y = V[kept], z[kept], images[kept], labels[kept]
    runs = [attack(network, x, y) for attack in ATTACKS]
    reached = torch.stack([torch.where(run.counted, run.distance.double(), math.inf) for run in runs])
    K = z.shape[1]
    columns = (
        reached.amin(dim=0),
        linear_radius(network, x, y),
        margin_l2(V, z, y),
        exact_radius_l2(V, z, y),
        (K / (K - 1) * derivatives.cross_lipschitz_squared(V)).sqrt(),
        torch.stack([_unstable(bend) for bend in operand_bounds(network, x, NEAR)]).sum(dim=0).double(),
    )
    for image, row in zip(kept.tolist(), torch.stack(columns, dim=1).tolist(), strict=True):
        rows[image] = row
    return rows


def _unstable(bend: OperandBounds) -> Tensor:
    """How many units of a layer may switch, (N,)."""
    return ((bend.lower < 0) & (bend.upper > 0)).flatten(1).sum(dim=1)


def _proved(
    network: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    known: list[list[float]],
    certify: Certifier,
    seconds: float,
) -> list[list[Any]]:
    """The rows of some images, the columns of `COLUMNS` from "label" on."""
    outcome = certify(network, images, labels, seconds=seconds, clock=time.thread_time)
    rows = []
    for number, (label, of_image) in enumerate(zip(labels.tolist(), known, strict=True)):
        attacked, linear, *local, unstable = of_image
        rows.append(
            [
                label,
                rounded(float(outcome.certified[number]), up=False),
                rounded(float(outcome.found[number]), up=True),
                rounded(attacked, up=True),
                rounded(linear, up=False),
                *(float(f"{value:.{DIGITS}g}") for value in local),
                int(unstable),
                int(outcome.nodes[number]),
                float(f"{float(outcome.seconds[number]):.{DIGITS}g}"),
                outcome.reasons[number],
            ]
        )
    return rows


# --- the store ------------------------------------------------------------------------------


def facts_of(item: Item, out: Path) -> dict[str, Any] | None:
    """What a finished item's file holds, or None; the file is only read."""
    try:
        facts: dict[str, Any] = checkpoint.unseal(out / "items" / item.name / checkpoint.ROWS)
    except (FileNotFoundError, DataError):
        return None
    return facts


def frame(item: Item, facts: dict[str, Any]) -> pd.DataFrame:
    """An item's rows as they are stored."""
    import pandas as pd

    setting = [item.group.penalty, item.weight, item.group.seed]
    rows = [[*setting, image, *row] for image, row in enumerate(facts["rows"], start=item.start)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def stored_items(stored: Path, stage: Stage) -> frozenset[str]:
    """Names of the stage's items that the store has.

    Raises:
        DataError: the store is damaged.
    """
    kept = read_stage(stored, stage.name)
    return frozenset(kept[1]["items"]) if kept else frozenset()


def store(out: Path, stored: Path, stages: Iterable[Stage]) -> list[str]:
    """Add what is finished to the store; return the names of the new items.

    A stored item is never replaced, and storing again what has not changed changes no byte. `out` is
    only read. A kill at any instant leaves the store readable.

    Raises:
        DataError: the store is damaged or cannot be written.
    """
    import pandas as pd

    added: list[str] = []
    for stage in stages:
        kept = read_stage(stored, stage.name)
        sidecar: dict[str, Any] = {"items": {}, "made_by": []} if kept is None else kept[1]
        parts = [kept[0]] if kept is not None and len(kept[0]) else []
        new = []
        for item in stage.items:
            facts = None if item.name in sidecar["items"] else facts_of(item, out)
            if facts is None:
                continue
            rows = frame(item, facts)
            if facts["provenance"] not in sidecar["made_by"]:
                sidecar["made_by"].append(facts["provenance"])
            sidecar["items"][item.name] = {
                "penalty": item.group.penalty,
                "lambda": item.weight,
                "start": item.start,
                "count": item.count,
                "accuracy": facts["accuracy"],
                "diverged_at": facts["diverged_at"],
                "seconds": facts["seconds"],
                "made_by": sidecar["made_by"].index(facts["provenance"]),
                "rows": checksum(rows),
            }
            parts += [rows] if len(rows) else []  # pandas gives an empty frame's columns no type
            new.append(item)
        if not new:
            continue
        of_stage = {key for key in new[0].settings() if key not in ("penalty", "lambda", "start", "count")}
        sidecar["settings"] = {key: new[0].settings()[key] for key in of_stage}
        tables.make_folder(stored)
        table = pd.concat(parts or [rows]).sort_values([*SETTING, "image"], kind="stable")
        tables.write_csv(stored / f"{stage.name}.csv", table, digits=DIGITS)
        tables.write_json(stored / f"{stage.name}.json", sidecar)  # last: it says what counts
        added += [item.name for item in new]
    return added


def go_on(
    out: Path,
    stored: Path,
    stages: Iterable[Stage],
    certify: Certifier,
    *,
    workers: Workers = ONE_AT_A_TIME,
    progress: bool = False,
) -> None:
    """Compute what is missing, stage by stage, and store each item as soon as it is finished.

    It may be killed at any instant; the same call goes on where it stopped.

    Args:
        certify: what proves.
        workers: how many items at a time.
        progress: show a bar for each stage.

    Raises:
        DataError: the store is damaged, or a folder cannot be written.
    """
    for stage in stages:
        store(out, stored, [stage])
        done = stored_items(stored, stage)
        missing = [item for item in stage.items if item.name not in done]
        groups = dict.fromkeys(item.group for item in missing)
        digits = f"digits from {stage.items[0].start}"
        with bar(
            title=f"{stage.name}, {digits}", total=len(stage.items), unit="network", show=progress
        ) as shown:
            shown.update(len(stage.items) - len(missing))
            for reference in dict.fromkeys(group.reference for group in groups):
                _train(reference, out)  # before those that start from it, side by side
            for name in _all(_train, [(group, out) for group in groups], workers):
                shown.set_postfix_str(f"trained {name}")
            for name in _all(prove_item, [(item, out, certify) for item in missing], workers):
                shown.set_postfix_str(name)
                shown.update()
                store(out, stored, [stage])


def _all(work: Any, arguments: list[tuple[Any, ...]], workers: Workers) -> Iterator[str]:
    """What each call returns, as they finish, so many at a time."""
    if workers.jobs == 1 or len(arguments) < 2:
        yield from (work(*each) for each in arguments)
        return
    from joblib import Parallel, delayed

    from regrob.experiments import backends

    with backends.workers(workers.backend, workers.jobs):
        yield from Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(work)(*each) for each in arguments
        )


# --- how far it is --------------------------------------------------------------------------


def status(out: Path, stored: Path, stages: Sequence[Stage]) -> str:
    """How far each network is, as text: a line a network, a line an item under way, and the total.

    Reads only, and may be asked while the computation runs.

    Raises:
        DataError: the store is damaged.
    """
    width = max(len(stage.step.network) for stage in stages)
    lines = [f"{'network':<{width}}  finished  s/item  hours left"]
    total = 0.0
    unknown = ""
    for network in dict.fromkeys(stage.step.network for stage in stages):
        of_network = [stage for stage in stages if stage.step.network == network]
        spent: list[float] = []
        under_way = []
        for stage in of_network:
            kept = read_stage(stored, stage.name)
            items = kept[1]["items"] if kept else {}
            for item in stage.items:
                facts = items.get(item.name) or facts_of(item, out)
                if facts is not None:
                    spent.append(facts["seconds"])
                    continue
                parts = len(list((out / "items" / item.name).glob("proved-*.json")))
                if parts:
                    under_way.append(f"  {item.name}: {parts * CHUNK} of {item.count} digits")
        count = sum(len(stage.items) for stage in of_network)
        mean = sum(spent) / len(spent) if spent else math.nan
        hours = mean * (count - len(spent)) / 3600 if spent else math.nan
        unknown, total = (unknown, total + hours) if spent else (" + ?", total)
        seconds, left = (f"{mean:.0f}", f"{hours:.1f}") if spent else ("?", "?")
        lines.append(f"{network:<{width}}  {len(spent):>3} / {count:<3} {seconds:>6}  {left:>10}")
        lines += under_way
    lines.append(f"{'in all':<{width}}  {'':>17}  {total:>9.1f}{unknown}")
    return "\n".join(lines)
