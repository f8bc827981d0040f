"""Predictions and attacks on the networks that a sweep has trained, stored for the book.

    python -m regrob.stored_predictions SHARDS … --out book/results

SHARDS is a sweep's folder of shards.
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
from torch import nn

from regrob.analysis import tables
from regrob.data.tasks import TASKS
from regrob.ensembles.ensemble import Ensemble
from regrob.errors import DataError
from regrob.experiments import checkpoint
from regrob.experiments.predictions import measure, summary
from regrob.experiments.shard_attacks import balanced
from regrob.networks import NETWORKS
from regrob.theory.penalties import PENALTY_NAMES, check_name
from regrob.training.many import train_ensemble

if TYPE_CHECKING:
    import pandas as pd

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
    ensemble = Ensemble(blank, torch.zeros(len(blank), len(PENALTY_NAMES)))
    ensemble.load_state(saved[0])
    members = [ensemble.member(seed, network).eval() for seed, network in enumerate(blank)]
    return {**spec, "diverged_at": facts["diverged_at"]}, members


def _label(spec: dict[str, Any]) -> str:
    return "reference" if spec["budget"]["fine_tuning"] == 0 else spec["penalty"] or "none"


def fine_tuned(
    spec: dict[str, Any],
    references: list[nn.Sequential],
    penalties: Sequence[str | None],
    weight: float,
    iterations: int,
) -> Iterator[tuple[dict[str, Any], list[nn.Sequential]]]:
    """References fine-tuned here, with each of the penalties (None: without), as a sweep does it.

    Raises:
        InputError: no penalty has this name.
    """
    task = TASKS[spec["dataset"]]()
    orders = [seed + 10_000 for seed in range(len(references))]
    for penalty in penalties:
        weights = torch.zeros(len(references), len(PENALTY_NAMES))
        if penalty is not None:
            check_name(penalty)
            weights[:, PENALTY_NAMES.index(penalty)] = weight
        ensemble = Ensemble(references, weights)
        gone = [-1] * len(references)
        for now in train_ensemble(ensemble, task, orders, iterations=iterations):
            gone = now.diverged_at.tolist()
        tuned = [ensemble.member(i, copy.deepcopy(net)) for i, net in enumerate(references)]
        budget = {**spec["budget"], "fine_tuning": iterations, "seeds": len(references)}
        size = 0.0 if penalty is None else weight
        yield {**spec, "penalty": penalty, "weight": size, "budget": budget, "diverged_at": gone}, tuned


def from_shards(
    folders: Sequence[Path], *, weight: float, seeds: int, images: int, fine_tuning: int = 0
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each network's specification, with its seed, and its table.

    Args:
        folders: of shards, as a sweep leaves them.
        weight: λ of the penalised networks.
        seeds: at most so many of each.
        images: of the held-out images, classes by turns.
        fine_tuning: where a sweep has references and not yet the networks with a penalty,
            fine-tune them here, so many iterations; 0 leaves them out.

    Raises:
        DataError: the shards were trained on other images than those at hand.
    """
    places = sorted(path for parent in folders for path in parent.iterdir() if path.is_dir())
    done: set[tuple[str, str, str]] = set()  # what the sweep has, references last
    for folder in sorted(places, key=lambda path: "-reference-" in path.name):
        found = trained(folder)
        if found is None:
            continue
        spec, networks = found
        if spec["penalty"] is not None and spec["weight"] != weight:
            continue
        done.add((spec["dataset"], spec["network"], _label(spec)))
        task = TASKS[spec["dataset"]]()
        if task.digest != spec["digest"]:
            raise DataError(f"{folder.name} was trained on other images than {task.name} here")
        order = balanced(task.test_labels)[:images]
        groups = [(spec, networks[:seeds])]
        if fine_tuning and _label(spec) == "reference":
            here = (spec["dataset"], spec["network"])
            missing = [name for name in (None, *PENALTY_NAMES) if (*here, name or "none") not in done]
            groups += list(fine_tuned(spec, networks[:seeds], missing, weight, fine_tuning))
        for facts, members in groups:
            for seed, network in enumerate(members):
                if facts["diverged_at"][seed] < 0:
                    table = measure(network, task.test_images[order], task.test_labels[order])
                    yield {**facts, "seed": seed}, table


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
        "made_by": tables.provenance(),
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
        raise DataError(
            f"{' and '.join(missing)} not found; make them with python -m regrob.stored_predictions"
        )
    kept, every = (pd.read_csv(folder / name, keep_default_na=False, na_values=[""]) for name in names[:2])
    for name in ("prediction", "attack"):
        kept[name] = kept[name].fillna("")
    return kept, every, json.loads((folder / names[2]).read_text(encoding="utf-8"))


def main() -> None:
    """Measure the networks of finished shards, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m regrob.stored_predictions", description=main.__doc__)
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
    settings = {
        "weight": options.weight,
        "seeds": options.seeds,
        "images": options.images,
        "fine_tuning": options.fine_tune,
    }
    write(options.out, from_shards(options.shards, **settings), settings)


if __name__ == "__main__":
    main()
