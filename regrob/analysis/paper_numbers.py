"""Every number that the paper states about its experiments, and how ours compares.

`experiments.reproduction` runs tests of why some differ. Their results are in paper.csv, where
a test replaces its own rows and leaves the others, so that tests may run one by one.

The paper writes its accuracies as a ± b over ten runs and does not say what b is. So there
are two readings of the interval for the mean of such runs: a narrow one, in which b is the
standard deviation of one run, and a wide one, in which b is the standard error of the mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrob.analysis import tables
from regrob.analysis.intervals import Interval, mean_interval
from regrob.analysis.measures import name_of

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS = (1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.4, 0.8, 1.6)
"""The λ grid of Appendix F for MNIST."""

WEIGHTS_CIFAR = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)
"""The λ grid of Appendix F for CIFAR-10."""

TestRow = tuple[str, str, str, int, int, str, float]
"""Dataset, network, variant, iteration, seed, measure, value."""

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
    """An accuracy that the paper prints.

    Attributes:
        dataset, network, attack: where the results files keep ours, as a share.
        value: as printed, in per cent.
        spread: what follows ±, in the same unit; None if nothing does.
    """

    dataset: str
    network: str
    attack: str
    value: float
    spread: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Dataset, network and attack."""
        return self.dataset, self.network, self.attack

    @property
    def title(self) -> str:
        """Network, task and attack: "LeNet-5, ten, PGD"."""
        task = {"mnist-1-7": "1 vs 7", "mnist-10": "ten"}[self.dataset]
        attack = {"none": "", "fgsm": ", FGSM", "pgd": ", PGD"}[self.attack]
        return f"{name_of(self.network)}, {task}{attack}"


LENET, CONV = "lenet-300-100", "lenet-5"
STATED = (
    Stated("mnist-1-7", LENET, "none", 99.57, 0.05),
    Stated("mnist-1-7", CONV, "none", 99.86, 0.03),
    Stated("mnist-10", LENET, "none", 98.08, 0.08),
    Stated("mnist-10", CONV, "none", 99.10, 0.05),
    Stated("mnist-1-7", LENET, "fgsm", 34.91, 0.81),
    Stated("mnist-1-7", CONV, "fgsm", 86.32, 4.86),
    Stated("mnist-1-7", LENET, "pgd", 7.84, 0.50),
    Stated("mnist-1-7", CONV, "pgd", 35.10, 1.97),
)
"""The reference networks of Appendix F, Experimental Settings. A per cent sign is missing after two."""

CARLINI_WAGNER_AT_6_4 = 2.0
"""Mean distance of Carlini and Wagner's attack after the curvature penalty at λ = 6.4, "nearly"."""

NU_GAMMA_MEAN = 0.001
"""νγ over the training points of the LeNet-300-100 references, "roughly" (Appendix G)."""


def weights(dataset: str) -> tuple[float, ...]:
    """The paper's λ grid for a data set, a key of `tasks.TASKS`."""
    return WEIGHTS_CIFAR if dataset.startswith("cifar10") else WEIGHTS


def readings(stated: Stated) -> tuple[float, float]:
    """Half-widths of the paper's mean: ± read as a standard deviation, and as a standard error."""
    if stated.spread is None:
        return (0.0, 0.0)
    return STUDENT * stated.spread / math.sqrt(RUNS), STUDENT * stated.spread


def verdict(stated: Stated, measured: Interval) -> str:
    """Whether the difference of the two means is compatible with zero, under both readings.

    "compatible" if it is in the narrow reading already, "differs" if not even in the wide one,
    "open" in between, or where we have fewer than `FEWEST` seeds.
    """
    half = 0.5 * (measured.high - measured.low)
    if math.isnan(half) or measured.count < FEWEST:
        return "open"
    narrow, wide = (math.hypot(half, reading) for reading in readings(stated))
    distance = abs(measured.mean - stated.value)
    if distance <= narrow:
        return "compatible"
    return "open" if distance <= wide else "differs"


@dataclass(frozen=True)
class Reproduced:
    """What we measured in the place of a stated number.

    Attributes:
        value: over seeds, in per cent.
        iterations: of training.
        source: the results file, or the test in paper.csv.
    """

    value: Interval
    iterations: int
    source: str


def measured(folder: Path) -> dict[tuple[str, str, str], list[Reproduced]]:
    """For each of `STATED`, by its key, our values: the longest training first, none if none was run.

    Raises:
        DataError: a results file is damaged.
    """
    import pandas as pd

    figures = [name for name in FIGURES if (folder / f"{name}.csv").is_file()]
    stored = {name: tables.read(folder, name) for name in figures}
    tests = read(folder)[0] if (folder / "paper.csv").is_file() else pd.DataFrame(columns=list(COLUMNS))
    by_key = {}
    for stated in STATED:
        dataset, network, attack = stated.key
        place = {"dataset": dataset, "network": network}
        values: list[Reproduced] = []
        for name, (table, sidecar) in stored.items():
            rows = _only(table, **place, attack=attack, metric="accuracy", penalty="reference")
            if len(rows):
                length = int(sidecar["networks"][network]["reference"])
                values.append(Reproduced(_per_cent(rows), length, name))
        for test, variant in TRAINED_AS_STATED:
            measure = "accuracy" if attack == "none" else attack
            rows = _only(tests, **place, test=test, variant=variant, measure=measure)
            for length in sorted(set(rows["iteration"])):
                if length >= SHORTEST:
                    value = _per_cent(rows[rows["iteration"] == length])
                    values.append(Reproduced(value, int(length), f"test {test}"))
        by_key[stated.key] = sorted(values, key=lambda value: -value.iterations)
    return by_key


SOURCES = {f"fig{number}": f"sweep of Figure {number}" for number in (2, 4, 5, 6, 7)}
"""How the file that a number comes from is written; a test keeps its own name."""


def beside(values_by_key: Mapping[tuple[str, str, str], Sequence[Reproduced]]) -> pd.DataFrame:
    """The paper's numbers and ours side by side, in words: one row for each of ours.

    Args:
        values_by_key: as the function `measured` gives it.

    Returns:
        columns paper, ours, verdict, iterations, seeds, from; the index says which network.
    """
    import pandas as pd

    rows = []
    for stated in STATED:
        row: dict[str, Any] = {
            "network": stated.title, "paper": f"{stated.value:g} ± {stated.spread:g}", "ours": "not run",
            "verdict": "", "iterations": "", "seeds": "", "from": "",
        }  # fmt: skip
        values = [
            {
                "ours": f"{value.value:.2f}",
                "verdict": verdict(stated, value.value),
                "iterations": f"{value.iterations:,}",
                "seeds": value.value.count,
                "from": SOURCES.get(value.source, value.source),
            }
            for value in values_by_key[stated.key]
        ]
        rows += [row | value for value in values or [{}]]
    return pd.DataFrame(rows).set_index("network")


def _only(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def _per_cent(rows: pd.DataFrame) -> Interval:
    return mean_interval(rows["value"].to_numpy(), span=(0.0, 1.0)).times(100)


# --- storing ----------------------------------------------------------------------------

COLUMNS = ("test", "dataset", "network", "variant", "iteration", "seed", "measure", "value")


def store(folder: Path, test: str, rows: Sequence[TestRow], made_by: dict[str, Any]) -> None:
    """Put a test's rows in the place of its earlier ones in paper.csv, and what made them into paper.json."""
    import pandas as pd

    table, facts = read(folder) if (folder / "paper.csv").is_file() else (None, {})
    new = pd.DataFrame([(test, *row) for row in rows], columns=list(COLUMNS))
    if table is not None:
        new = pd.concat([table[table["test"] != test], new])
    new = new.sort_values(list(COLUMNS[:-1]), kind="stable")
    tables.write_csv(folder / "paper.csv", new, digits=6)
    facts[test] = made_by
    tables.write_json(folder / "paper.json", facts)


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of all tests, and the provenance of each.

    Raises:
        DataError: a file is missing.
    """
    files = ("paper.csv", "paper.json")
    tables.require(folder, files, command="python -m regrob.experiments.reproduction")
    return tables.read_csv(folder / files[0]), tables.read_json(folder / files[1])
