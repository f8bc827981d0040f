"""Does the theory predict the attack? Lengths that the local map knows, beside those that attacks find.

    python -m regrob.experiments.predictions SHARDS … --out book/results

measures the networks of finished shards, SHARDS being a sweep's folder of shards, and stores
what it finds for the book.

Four numbers are known at the image itself, before any attack: ‖r*‖₂, the distance to the
quadratic model's boundary; d, that to the affine classifier's; the distance to the nearest
kink, where both stop being the network; and the smaller of the last two, which no mistake
can undercut. An attack's distance is an upper bound on the distance to the nearest
mistake.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from regrob.affine.local_map import local_map
from regrob.analysis import tables
from regrob.attacks import boundary_projection, carlini_wagner, deepfool
from regrob.certificates.polytope import edge_distance
from regrob.checks import check_labels
from regrob.data.tasks import TASKS
from regrob.ensembles.ensemble import Ensemble, penalty_weights
from regrob.errors import DataError, InputError
from regrob.experiments import checkpoint
from regrob.experiments.grid import Budget, Shard
from regrob.experiments.provenance import provenance
from regrob.networks import fresh
from regrob.theory import derivatives, probability
from regrob.theory.exact_radius import exact_perturbation_l2
from regrob.theory.margin import margin_l2
from regrob.theory.penalties import PENALTY_NAMES
from regrob.training.many import train_many
from regrob.training.single import fine_tuning_order

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = ("radius", "margin", "edge", "certified")
"""Known at the image: ‖r*‖₂ at β = log K, d, the nearest kink, and min(d, the nearest kink)."""

ATTACKS = ("along", "deepfool", "carlini-wagner", "boundary-projection", "free", "found")
"""Found by trying: along r*; three attacks within the box of pixels; the last one without the
box; and the shortest of them all. NaN where nothing was found."""

INGREDIENTS = ("logit-margin", "cross-lipschitz")
"""What the two radii of two classes are made of: ‖r*‖₂ = τ(m)/ν and d = m/ν."""

RAY = 128
"""Points at which the ray along r* is tried, up to `FARTHEST` times d, before bisection."""

FARTHEST = 8.0


class PredictedAndFound(NamedTuple):
    """What is predicted of a network's images, and what attacks find.

    Attributes:
        table: one row a correctly classified image, as `measure` gives it.
        mistakes: (rows, …), the nearest mistake of the five attacks, in the images' precision: it is
            `found` away. The image itself where no attack found one.
    """

    table: pd.DataFrame
    mistakes: Tensor


def measure(
    network: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    search_steps: int = Budget.search_steps,
    iterations: int = Budget.attack_iterations,
    learning_rate: float = Budget.learning_rate,
) -> pd.DataFrame:
    """One row a correctly classified image: what is predicted, and what attacks find.

    The predictions are computed in float64, the attacks in the network's own precision.

    Args:
        network: piecewise linear, of modules, in eval mode.
        images: (N, …), pixels in [0, 1].
        labels: (N,), int64.
        search_steps, iterations, learning_rate: of Carlini and Wagner's attack.

    Returns:
        columns image, label, logit-margin, cross-lipschitz (its root, √ν² over ordered
        pairs), those of `PREDICTIONS` and `ATTACKS`, and about x + r*: stays (in the polytope
        of x), switched (share of units that changed sides), fools (is misclassified).

    Raises:
        InputError, NotPiecewiseLinearError: as `local_map` and `edge_distance`.
        HypothesisError: q = 1 − p_y underflows in float64.
    """
    budget = {"search_steps": search_steps, "iterations": iterations}
    return measure_and_keep(network, images, labels, **budget, learning_rate=learning_rate).table


def measure_and_keep(
    network: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    search_steps: int = Budget.search_steps,
    iterations: int = Budget.attack_iterations,
    learning_rate: float = Budget.learning_rate,
) -> PredictedAndFound:
    """What `measure` gives, and the nearest mistakes too; arguments and errors are the same."""
    import pandas as pd

    exact = copy.deepcopy(network).double()
    V, z = local_map(exact, images.double())
    check_labels(labels, z)
    kept = probability.correctly_classified(z, labels).nonzero().flatten()
    V, z, y, x = V[kept], z[kept], labels[kept], images[kept]
    if not len(kept):
        raise InputError("no image is classified correctly, so there is no distance to predict")
    r = exact_perturbation_l2(V, z, y).view(x.shape)
    moved = x.double() + r
    margin = margin_l2(V, z, y)
    edge = torch.cat([edge_distance(exact, part) for part in x.double().split(50)])
    switched = pattern(exact, moved) != pattern(exact, x.double())
    columns: dict[str, Tensor] = {
        "image": kept,
        "label": y,
        "logit-margin": probability.logit_margin(z, y),
        "cross-lipschitz": derivatives.cross_lipschitz_squared(V).sqrt(),
        "radius": r.flatten(1).norm(dim=1),
        "margin": margin,
        "edge": edge,
        "certified": torch.minimum(margin, edge),
        "stays": (~switched.any(dim=1)).to(torch.int64),
        "switched": switched.double().mean(dim=1).nan_to_num(0.0),
        "fools": (exact(moved).argmax(dim=1) != y).to(torch.int64),
        "along": _along(network, x, y, r, FARTHEST * margin),
    }
    runs = {
        "deepfool": deepfool(network, x, y),
        "carlini-wagner": carlini_wagner(
            network,
            x,
            y,
            binary_search_steps=search_steps,
            max_iterations=iterations,
            learning_rate=learning_rate,
        ),
        "boundary-projection": boundary_projection(network, x, y),
        "free": boundary_projection(network, x, y, box=None),
    }
    for name, run in runs.items():
        columns[name] = torch.where(run.counted, run.distance.double(), torch.nan)
    tried = torch.stack([columns[name] for name in ATTACKS[:-1]]).nan_to_num(torch.inf)
    columns["found"], winner = tried.min(dim=0)
    table = pd.DataFrame({name: value.detach().cpu().numpy() for name, value in columns.items()})
    share = (columns["along"] / columns["radius"]).view(-1, *(1,) * (x.ndim - 1))
    reached = torch.stack([(x + share * r).to(x), *(run.images for run in runs.values())])
    nearest = reached[winner, torch.arange(len(x))]
    missed = columns["found"].isinf().view(share.shape)
    return PredictedAndFound(table, torch.where(missed, x, nearest))


def steepening(network: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    """Median of ν at the mistake that `boundary_projection` finds without the box, over ν at the image.

    d is too long by the average slope on the way over ν at the image. Only images count that are
    correctly classified and fooled.

    Args:
        network, images, labels: as `measure` takes them.
    """
    exact = copy.deepcopy(network).double()
    V, z = local_map(exact, images.double())
    attack = boundary_projection(network, images, labels, box=None)
    there, _ = local_map(exact, attack.images.double())
    kept = probability.correctly_classified(z, labels) & attack.counted
    square = derivatives.cross_lipschitz_squared
    return float((square(there[kept]) / square(V[kept])).sqrt().median())


def pattern(network: nn.Module, images: Tensor) -> Tensor:
    """On which side every unit is, and which entry wins each pool: (N, M) int64, one row a polytope.

    Sees the modules ReLU, LeakyReLU, PReLU and MaxPool2d.
    """
    sides = [torch.zeros(len(images), 0, dtype=torch.int64, device=images.device)]

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.ReLU | nn.LeakyReLU | nn.PReLU):
            sides.append((inputs[0] > 0).flatten(1).to(torch.int64))
        elif isinstance(module, nn.MaxPool2d):
            _, winner = nn.functional.max_pool2d(
                inputs[0], module.kernel_size, module.stride, module.padding, return_indices=True
            )
            sides.append(winner.flatten(1))

    hooks = [module.register_forward_pre_hook(before) for module in network.modules()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(sides, dim=1)


@torch.no_grad()
def _along(network: nn.Module, x: Tensor, y: Tensor, r: Tensor, farthest: Tensor) -> Tensor:
    """How far along r the first mistake is, among `RAY` points up to `farthest`, bisected: (N,)."""
    shape = (-1, *(1,) * (x.ndim - 1))
    direction = r / r.flatten(1).norm(dim=1).view(shape)

    def fooled(t: Tensor) -> Tensor:
        wrong: Tensor = network(x + (t.view(shape) * direction).to(x)).argmax(dim=1) != y
        return wrong

    high = torch.full_like(farthest, torch.nan)
    for step in range(RAY, 0, -1):
        t = farthest * step / RAY
        high = torch.where(fooled(t), t, high)
    low = high - farthest / RAY
    for _ in range(16):
        middle = 0.5 * (low + high)
        wrong = fooled(middle.nan_to_num(0.0))
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return high


def summary(table: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    """(measure, prediction, attack, value) of one network's table.

    Measures: median (of a prediction or of an attack), mean (of what is a share), rank and
    linear (Spearman's and Pearson's correlation), ratio (median of prediction/attack), exceeds
    (share of images where the prediction is above what was found: no lower bound there).
    """
    rows = [("median", name, "", float(table[name].median())) for name in PREDICTIONS]
    rows += [("median", "", name, float(table[name].median())) for name in ATTACKS]
    rows += [("median", name, "", float(table[name].median())) for name in INGREDIENTS]
    rows += [("mean", name, "", float(table[name].mean())) for name in ("stays", "switched", "fools")]
    for name in PREDICTIONS:
        for attack in ATTACKS if name in ("radius", "margin") else ATTACKS[-1:]:
            pair = table[[name, attack]].dropna()
            first, second = pair[name], pair[attack]
            rows.append(("rank", name, attack, float(first.corr(second, method="spearman"))))
            rows.append(("linear", name, attack, float(first.corr(second))))
            rows.append(("ratio", name, attack, float((first / second).median())))
            rows.append(("exceeds", name, attack, float((first > second * (1 + 1e-4)).mean())))
    return rows


# --- the networks of a sweep ----------------------------------------------------------------

COLUMNS = ("dataset", "network", "penalty", "lambda", "seed", "measure", "prediction", "attack", "value")


@dataclass(frozen=True)
class Finished:
    """The trained networks of a shard, seed by seed.

    Attributes:
        shard: what was trained.
        networks: one a seed, in eval mode.
        diverged_at: of each, −1 where all went well.
    """

    shard: Shard
    networks: list[nn.Sequential]
    diverged_at: list[int]


def trained(folder: Path) -> Finished | None:
    """What a shard's folder holds; None if the shard is unfinished."""
    facts = checkpoint.read_json(folder / checkpoint.ROWS)
    saved = None if facts is None else checkpoint.load(folder)
    if facts is None or saved is None:
        return None
    shard = Shard.of(facts["spec"])
    blank = fresh(shard.network, len(TASKS[shard.dataset]().classes), range(shard.budget.seeds))
    ensemble = Ensemble(blank)
    ensemble.load_state(saved[0])
    networks = [network.eval() for network in ensemble.members_into(blank)]
    return Finished(shard, networks, facts["diverged_at"])


def fine_tuned(
    references: Finished, penalties: Sequence[str | None], weight: float, iterations: int
) -> Iterator[Finished]:
    """References fine-tuned here, with each of the penalties (None: without), as a sweep does it.

    Raises:
        InputError: no penalty has this name.
    """
    task = TASKS[references.shard.dataset]()
    count = len(references.networks)
    orders = [fine_tuning_order(seed) for seed in range(count)]
    for penalty in penalties:
        size = 0.0 if penalty is None else weight
        budget = replace(references.shard.budget, fine_tuning=iterations, seeds=count)
        shard = replace(references.shard, penalty=penalty, weight=size, budget=budget)
        ensemble = Ensemble(references.networks, penalty_weights(shard.penalties, [size] * count))
        end = train_many(ensemble, task, orders, iterations=iterations)
        networks = ensemble.members_into(copy.deepcopy(references.networks))
        yield Finished(shard, networks, end.diverged_at.tolist())


@dataclass(frozen=True)
class Choice:
    """Which networks of the shards are measured, and on how many images.

    Attributes:
        weight: λ of the penalised networks.
        seeds: at most so many networks of each setting.
        images: held-out images of each network, the classes by turns.
        fine_tuning: where a sweep has references and not yet the networks with a penalty,
            fine-tune them here, so many iterations; 0 leaves them out.
    """

    weight: float = 0.1
    seeds: int = 10
    images: int = 200
    fine_tuning: int = 0


def from_shards(folders: Sequence[Path], choice: Choice) -> Iterator[tuple[Shard, int, pd.DataFrame]]:
    """Each chosen network's shard and seed, and its table, from folders as sweeps leave them.

    Raises:
        DataError: the shards were trained on other images than those at hand.
    """
    places = sorted(path for parent in folders for path in parent.iterdir() if path.is_dir())
    known: set[tuple[str, str, str]] = set()  # what the sweep has, references last
    for folder in sorted(places, key=lambda path: "-reference-" in path.name):
        finished = trained(folder)
        if finished is None:
            continue
        shard = finished.shard
        if shard.penalty is not None and shard.weight != choice.weight:
            continue
        known.add((shard.dataset, shard.network, shard.label))
        task = TASKS[shard.dataset]()
        if task.digest != shard.digest:
            raise DataError(f"{folder.name} was trained on other images than {task.name} here")
        images, labels = task.held_out(choice.images)
        groups = [replace(finished, networks=finished.networks[: choice.seeds])]
        if choice.fine_tuning and shard.is_reference:
            place = (shard.dataset, shard.network)
            missing = [name for name in (None, *PENALTY_NAMES) if (*place, name or "none") not in known]
            groups += list(fine_tuned(groups[0], missing, choice.weight, choice.fine_tuning))
        for group in groups:
            for seed, network in enumerate(group.networks):
                if group.diverged_at[seed] < 0:
                    yield group.shard, seed, measure(network, images, labels)


# --- the stored tables ----------------------------------------------------------------------


def write(
    folder: Path, measured: Iterator[tuple[Shard, int, pd.DataFrame]], settings: dict[str, Any]
) -> None:
    """Write predictions.csv (summaries), predictions-examples.csv (seed 0 alone) and predictions.json.

    Raises:
        DataError: nothing was measured, or a file cannot be written.
    """
    import pandas as pd

    started = time.perf_counter()
    rows, examples, budgets = [], [], {}
    for shard, seed, table in measured:
        key: tuple[Any, ...] = (shard.dataset, shard.network, shard.label, shard.weight)
        rows += [(*key, seed, *row) for row in summary(table)]
        if seed == 0:
            examples.append(table.assign(**dict(zip(COLUMNS, key, strict=False))))
        budgets[f"{shard.dataset} {shard.label}"] = shard.settings()["budget"]
        print(*key, seed, f"{time.perf_counter() - started:.0f} s", flush=True)
    if not rows:
        raise DataError("no finished shard fits; run the sweep first")
    first = list(COLUMNS[:4])
    by_image = pd.concat(examples).sort_values([*first, "image"]).set_index(first).reset_index()
    summaries = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(COLUMNS[:-1]))
    facts = {
        **settings,
        "budgets": budgets,
        "seconds": round(time.perf_counter() - started, 1),
        "made_by": provenance(),
    }
    tables.write_csv(folder / "predictions.csv", summaries, digits=5)
    tables.write_csv(folder / "predictions-examples.csv", by_image, digits=5)
    tables.write_json(folder / "predictions.json", facts)


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The summaries, the examples of seed 0, and the provenance.

    Raises:
        DataError: a file is missing.
    """
    names = ("predictions.csv", "predictions-examples.csv", "predictions.json")
    tables.require(folder, names, command="python -m regrob.experiments.predictions")
    summaries, by_image = (tables.read_csv(folder / name) for name in names[:2])
    for name in ("prediction", "attack"):
        summaries[name] = summaries[name].fillna("")
    return summaries, by_image, tables.read_json(folder / names[2])


def main() -> None:
    """Measure the networks of finished shards, and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m regrob.experiments.predictions", description=main.__doc__
    )
    parser.add_argument("shards", nargs="+", type=Path, help="folders of shards that sweeps have finished")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--weight", type=float, default=0.1, help="λ (0.1)")
    parser.add_argument("--seeds", type=int, default=10, help="at most so many networks a setting (10)")
    parser.add_argument("--images", type=int, default=200, help="held-out images a network (200)")
    parser.add_argument(
        "--fine-tune",
        type=int,
        default=0,
        metavar="N",
        help="N iterations here, where the sweep has none (0)",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    choice = Choice(options.weight, options.seeds, options.images, options.fine_tune)
    write(options.out, from_shards(options.shards, choice), asdict(choice))


if __name__ == "__main__":
    main()
