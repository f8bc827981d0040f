"""Every number that the paper states about its experiments, and how ours compares.

    python -m regrob.paper [TEST …] --out book/results

runs the tests of `hypotheses`. A test replaces its own rows in paper.csv and leaves the
others, so that tests may run one by one.

The paper writes its accuracies as a ± b over ten runs and does not say what b is. So there
are two readings of the interval for the mean of such runs: a narrow one, in which b is the
standard deviation of one run, and a wide one, in which b is the standard error of the mean.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from regrob.analysis import tables
from regrob.analysis.intervals import Interval, mean_interval
from regrob.errors import DataError, InputError
from regrob.experiments.reproduction import TESTS, Found

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("references-1-7", "references-10", "fig4", "fig5")
"""Results files that hold references."""

TRAINED_AS_STATED = (("training", "as trained"), ("convolutions", "ReLU after the convolutions"))
"""Tests, and their variants, that hold references too."""

SHORTEST = 2_000
"""Iterations; what trained for less is no reference."""

FEWEST = 3
"""Seeds; the interval of two is so long that everything is compatible with it."""

RUNS = 10
"""Networks behind each of the paper's averages."""

STUDENT = 2.262157
"""Student's t for 9 degrees of freedom, 95 %, two-sided."""


@dataclass(frozen=True)
class Stated:
    """A measured number that the paper prints.

    Attributes:
        where: its place in the paper.
        words: what it is.
        dataset, network, attack, metric: where the results files keep ours, as a share.
        value: as printed, in per cent.
        spread: what follows ±, in the same unit; None if nothing does.
    """

    where: str
    words: str
    dataset: str
    network: str
    attack: str
    metric: str
    value: float
    spread: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Dataset, network and attack."""
        return self.dataset, self.network, self.attack


LENET, CONV = "lenet-300-100", "lenet-5"
F = "Appendix F, Experimental Settings"
STATED = (
    Stated(F, "accuracy", "mnist-1-7", LENET, "none", "accuracy", 99.57, 0.05),
    Stated(F, "accuracy", "mnist-1-7", CONV, "none", "accuracy", 99.86, 0.03),
    Stated(F, "accuracy", "mnist-10", LENET, "none", "accuracy", 98.08, 0.08),
    Stated(F, "accuracy", "mnist-10", CONV, "none", "accuracy", 99.10, 0.05),
    Stated(F, "accuracy under FGSM", "mnist-1-7", LENET, "fgsm", "accuracy", 34.91, 0.81),
    Stated(F, "accuracy under FGSM", "mnist-1-7", CONV, "fgsm", "accuracy", 86.32, 4.86),
    Stated(F, "accuracy under PGD", "mnist-1-7", LENET, "pgd", "accuracy", 7.84, 0.50),
    Stated(F, "accuracy under PGD", "mnist-1-7", CONV, "pgd", "accuracy", 35.10, 1.97),
)
"""The reference networks of Appendix F. The percent sign is missing after 34.91 and 99.10."""

CARLINI_WAGNER_AT_6_4 = 2.0
"""Mean distance of Carlini and Wagner's attack after the curvature penalty at λ = 6.4, "nearly"."""

NU_GAMMA_MEAN = 0.001
"""νγ over the training points of the LeNet-300-100 references, "roughly" (Appendix G)."""


def readings(stated: Stated) -> tuple[float, float]:
    """Half-widths of the paper's mean: ± read as a standard deviation, and as a standard error."""
    if stated.spread is None:
        return (0.0, 0.0)
    return STUDENT * stated.spread / math.sqrt(RUNS), STUDENT * stated.spread


def verdict(stated: Stated, ours: Interval) -> str:
    """Whether the difference of the two means is compatible with zero, under both readings.

    "compatible" if it is in the narrow reading already, "differs" if not even in the wide one,
    "open" in between, or where we have fewer than `FEWEST` seeds.
    """
    half = 0.5 * (ours.high - ours.low)
    if math.isnan(half) or ours.count < FEWEST:
        return "open"
    narrow, wide = (math.hypot(half, theirs) for theirs in readings(stated))
    distance = abs(ours.mean - stated.value)
    if distance <= narrow:
        return "compatible"
    return "open" if distance <= wide else "differs"


@dataclass(frozen=True)
class Ours:
    """What we measured in the place of a stated number.

    Attributes:
        value: over seeds, in per cent.
        iterations: of training.
        source: the results file, or the test in paper.csv.
    """

    value: Interval
    iterations: int
    source: str


def ours(folder: Path) -> dict[tuple[str, str, str], list[Ours]]:
    """For each of `STATED`, by its key, our values: the longest training first, none if none was run.

    Raises:
        DataError: a results file is damaged.
    """
    import pandas as pd

    figures = [name for name in FIGURES if (folder / f"{name}.csv").is_file()]
    stored = [tables.read(folder, name) for name in figures]
    tests = read(folder)[0] if (folder / "paper.csv").is_file() else pd.DataFrame(columns=list(COLUMNS))
    found = {}
    for stated in STATED:
        dataset, network, attack = stated.key
        here: list[Ours] = []
        for name, (table, sidecar) in zip(figures, stored, strict=True):
            mine = _only(table, dataset=dataset, network=network, attack=attack, metric="accuracy")
            mine = _only(mine, penalty="reference")
            if len(mine):
                length = int(sidecar["networks"][network]["reference"])
                here.append(Ours(_per_cent(mine), length, name))
        for test, variant in TRAINED_AS_STATED:
            measure = "accuracy" if attack == "none" else attack
            mine = _only(tests, test=test, variant=variant, dataset=dataset, network=network, measure=measure)
            for length in sorted(set(mine["iteration"])):
                if length >= SHORTEST:
                    value = _per_cent(mine[mine["iteration"] == length])
                    here.append(Ours(value, int(length), f"test {test}"))
        found[stated.key] = sorted(here, key=lambda one: -one.iterations)
    return found


def _only(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def _per_cent(rows: pd.DataFrame) -> Interval:
    return mean_interval(rows["value"].to_numpy()).times(100)


# --- storing ----------------------------------------------------------------------------

COLUMNS = ("test", "dataset", "network", "variant", "iteration", "seed", "measure", "value")


def store(folder: Path, test: str, found: Sequence[Found], seconds: float) -> None:
    """Put a test's rows in the place of its earlier ones in paper.csv, and its facts into paper.json."""
    import pandas as pd

    table, facts = read(folder) if (folder / "paper.csv").is_file() else (None, {})
    new = pd.DataFrame([(test, *row) for row in found], columns=list(COLUMNS))
    if table is not None:
        new = pd.concat([table[table["test"] != test], new])
    new = new.sort_values(list(COLUMNS[:-1]), kind="stable")
    new.to_csv(folder / "paper.csv", index=False, float_format="%.6g", lineterminator="\n")
    facts[test] = {"seconds": round(seconds, 1), "made_by": tables.provenance()}
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "paper.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of all tests, and the provenance of each.

    Raises:
        DataError: a file is missing.
    """
    import pandas as pd

    csv, sidecar = folder / "paper.csv", folder / "paper.json"
    if not (csv.is_file() and sidecar.is_file()):
        raise DataError("paper.csv and paper.json not found; make them with python -m regrob.paper")
    return pd.read_csv(csv), json.loads(sidecar.read_text(encoding="utf-8"))


def main() -> None:
    """Run tests and store what they find."""
    parser = argparse.ArgumentParser(prog="python -m regrob.paper", description=main.__doc__)
    parser.add_argument("tests", nargs="*", metavar="TEST", help=f"of {', '.join(TESTS)} (all)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    options = parser.parse_args()
    unknown = [name for name in options.tests if name not in TESTS]
    if unknown:
        raise InputError(f"no test is called {unknown[0]!r}; there are {', '.join(TESTS)}")
    torch.set_num_threads(1)
    for name in options.tests or TESTS:
        started = time.perf_counter()
        found = []
        for row in TESTS[name]():
            found.append(row)
            print(name, *row, flush=True)
        store(options.out, name, found, time.perf_counter() - started)


if __name__ == "__main__":
    main()
