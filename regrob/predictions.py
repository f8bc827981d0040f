"""Does the theory predict the attack? Lengths that the local map knows, beside those that attacks find.

Four numbers are known at the image itself, before any attack: ‖r*‖₂, the distance to the
quadratic model's boundary; d, that to the affine classifier's; the distance to the nearest
kink, where both stop being the network; and the smaller of the last two, which no mistake
can undercut. An attack's distance is an upper bound of the same quantity from the far side.

    python -m regrob.predictions SHARDS … --out book/results

measures the networks that a sweep has trained (SHARDS is its folder of shards).
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regrob import checkpoint, probability, properties, radii, results
from regrob.attacks import boundary_projection, carlini_wagner, deepfool
from regrob.certificates import edge_distance
from regrob.ensemble import Ensemble
from regrob.errors import DataError, InputError
from regrob.exact_radius import exact_perturbation_l2
from regrob.gram import ORDER
from regrob.local import ACTIVATIONS, check_labels, local_map
from regrob.networks import NETWORKS
from regrob.protocol import TASKS
from regrob.sweep import balanced

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


def measure(
    network: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    search_steps: int = 5,
    iterations: int = 200,
    learning_rate: float = 0.05,
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
    import pandas as pd

    exact = copy.deepcopy(network).double()
    V, z = local_map(exact, images.double())
    check_labels(labels, z)
    kept = probability.correctly_classified(z, labels).nonzero().flatten()
    V, z, y, x = V[kept], z[kept], labels[kept], images[kept]
    if not len(kept):
        raise InputError("no image is classified correctly, so there is no distance to predict")
    r = exact_perturbation_l2(V, z, y).view(x.shape)
    there = x.double() + r
    margin = radii.margin_l2(V, z, y)
    edge = torch.cat([edge_distance(exact, part) for part in x.double().split(50)])
    moved = pattern(exact, there) != pattern(exact, x.double())
    columns: dict[str, Tensor] = {
        "image": kept,
        "label": y,
        "logit-margin": probability.logit_margin(z, y),
        "cross-lipschitz": properties.cross_lipschitz_squared(V).sqrt(),
        "radius": r.flatten(1).norm(dim=1),
        "margin": margin,
        "edge": edge,
        "certified": torch.minimum(margin, edge),
        "stays": (~moved.any(dim=1)).to(torch.int64),
        "switched": moved.double().mean(dim=1).nan_to_num(0.0),
        "fools": (exact(there).argmax(dim=1) != y).to(torch.int64),
        "along": _along(network, x, y, r, FARTHEST * margin),
    }
    settings = {
        "binary_search_steps": search_steps,
        "max_iterations": iterations,
        "learning_rate": learning_rate,
    }
    runs = {
        "deepfool": deepfool(network, x, y),
        "carlini-wagner": carlini_wagner(network, x, y, **settings),  # type: ignore[arg-type]
        "boundary-projection": boundary_projection(network, x, y),
        "free": boundary_projection(network, x, y, box=None),
    }
    for name, run in runs.items():
        columns[name] = torch.where(run.success, run.distance.double(), torch.nan)
    tried = torch.stack([columns[name] for name in ATTACKS[:-1]])
    columns["found"] = tried.nan_to_num(torch.inf).amin(dim=0)
    return pd.DataFrame({name: value.detach().cpu().numpy() for name, value in columns.items()})


def pattern(network: nn.Module, images: Tensor) -> Tensor:
    """On which side every unit is, and which entry wins each pool: (N, M) int64, one row a polytope.

    Sees the modules ReLU, LeakyReLU, PReLU and MaxPool2d.
    """
    found = [torch.zeros(len(images), 0, dtype=torch.int64, device=images.device)]

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, ACTIVATIONS):
            found.append((inputs[0] > 0).flatten(1).to(torch.int64))
        elif isinstance(module, nn.MaxPool2d):
            _, winner = nn.functional.max_pool2d(
                inputs[0], module.kernel_size, module.stride, module.padding, return_indices=True
            )
            found.append(winner.flatten(1))

    hooks = [module.register_forward_pre_hook(before) for module in network.modules()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found, dim=1)


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
        for attack in ATTACKS:
            pair = table[[name, attack]].dropna()
            first, second = pair[name], pair[attack]
            rows.append(("rank", name, attack, float(first.corr(second, method="spearman"))))
            rows.append(("linear", name, attack, float(first.corr(second))))
            rows.append(("ratio", name, attack, float((first / second).median())))
            rows.append(("exceeds", name, attack, float((first > second * (1 + 1e-4)).mean())))
    return rows


COLUMNS = ("dataset", "network", "penalty", "lambda", "seed", "measure", "prediction", "attack", "value")


def trained(folder: Path) -> tuple[dict[str, Any], list[nn.Sequential]] | None:
    """A finished shard's specification and its networks that did not diverge; None if unfinished."""
    facts = checkpoint.read_json(folder / "rows.json")
    saved = None if facts is None else checkpoint.load(folder)
    if facts is None or saved is None:
        return None
    spec = facts["spec"]
    classes = len(TASKS[spec["dataset"]]().classes)
    blank = [NETWORKS[spec["network"]](classes) for _ in range(spec["budget"]["seeds"])]
    ensemble = Ensemble(blank, torch.zeros(len(blank), len(ORDER)))
    ensemble.load_state(saved[0])
    members = [ensemble.member(seed, network).eval() for seed, network in enumerate(blank)]
    return {**spec, "diverged_at": facts["diverged_at"]}, members


def _label(spec: dict[str, Any]) -> str:
    return "reference" if spec["budget"]["fine_tuning"] == 0 else spec["penalty"] or "none"


def from_shards(
    folders: Sequence[Path], *, weights: Sequence[float], seeds: int, images: int
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each network's specification, with its seed, and its table.

    Args:
        folders: of shards, as a sweep leaves them.
        weights: λ of the penalised networks to take.
        seeds: at most so many of each.
        images: of the held-out images, classes by turns.
    """
    for folder in sorted(path for parent in folders for path in parent.iterdir() if path.is_dir()):
        spec_and_networks = trained(folder)
        if spec_and_networks is None:
            continue
        spec, networks = spec_and_networks
        if spec["penalty"] is not None and spec["weight"] not in weights:
            continue
        task = TASKS[spec["dataset"]]()
        if task.digest != spec["digest"]:
            raise DataError(f"{folder.name} was trained on other images than {task.name} here")
        order = balanced(task.test_labels)[:images]
        for seed, network in enumerate(networks[:seeds]):
            if spec["diverged_at"][seed] < 0:
                table = measure(network, task.test_images[order], task.test_labels[order])
                yield {**spec, "seed": seed}, table


def write(
    folder: Path, measured: Iterator[tuple[dict[str, Any], pd.DataFrame]], facts: dict[str, Any]
) -> None:
    """Write predictions.csv (summaries), predictions-examples.csv (seed 0 alone) and predictions.json.

    Raises:
        DataError: nothing was measured.
    """
    import pandas as pd

    started = time.perf_counter()
    rows, examples, budgets = [], [], {}
    for spec, table in measured:
        key = (spec["dataset"], spec["network"], _label(spec), spec["weight"])
        rows += [(*key, spec["seed"], *found) for found in summary(table)]
        if spec["seed"] == 0:
            examples.append(table.assign(**dict(zip(COLUMNS, key, strict=False))))
        budgets[f"{spec['dataset']} {_label(spec)}"] = spec["budget"]
        print(*key, spec["seed"], f"{time.perf_counter() - started:.0f} s", flush=True)
    if not rows:
        raise DataError("no finished shard fits; run the sweep first")
    first = list(COLUMNS[:4])
    every = pd.concat(examples).sort_values([*first, "image"]).set_index(first).reset_index()
    kept = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(COLUMNS[:-1]))
    for name, frame in (("predictions", kept), ("predictions-examples", every)):
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")
    sidecar = {
        **facts,
        "budgets": budgets,
        "seconds": round(time.perf_counter() - started, 1),
        "made_by": results.provenance(),
    }
    text = json.dumps(sidecar, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "predictions.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The summaries, the examples of seed 0, and the provenance.

    Raises:
        DataError: a file is missing.
    """
    import pandas as pd

    names = ("predictions.csv", "predictions-examples.csv", "predictions.json")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{' and '.join(missing)} not found; make them with python -m regrob.predictions")
    kept, every = (pd.read_csv(folder / name, keep_default_na=False, na_values=[""]) for name in names[:2])
    for name in ("prediction", "attack"):
        kept[name] = kept[name].fillna("")
    return kept, every, json.loads((folder / names[2]).read_text(encoding="utf-8"))


def main() -> None:
    """Measure the networks of finished shards, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m regrob.predictions", description=main.__doc__)
    parser.add_argument("shards", nargs="+", type=Path, help="folders of shards that sweeps have finished")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.1], help="λ (0.1)")
    parser.add_argument("--seeds", type=int, default=10, help="at most so many networks a setting (10)")
    parser.add_argument("--images", type=int, default=200, help="held-out images a network (200)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured = from_shards(
        options.shards, weights=options.weights, seeds=options.seeds, images=options.images
    )
    write(options.out, measured, {"images": options.images, "weights": sorted(options.weights)})


if __name__ == "__main__":
    main()
