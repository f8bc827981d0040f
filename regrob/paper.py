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

from regrob import results
from regrob.errors import DataError, InputError
from regrob.hypotheses import TESTS, Found
from regrob.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

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
        dataset, network, penalty, weight, attack, metric: where the results files keep ours.
        value: as printed, in per cent where `percent`.
        spread: what follows ±, in the same unit; None if nothing does.
        percent: ours is a share and must be multiplied by 100.
    """

    where: str
    words: str
    dataset: str
    network: str
    attack: str
    metric: str
    value: float
    spread: float | None = None
    percent: bool = True
    penalty: str = "reference"
    weight: float = 0.0


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

NU_GAMMA_MEAN, NU_GAMMA_LARGEST = 0.001, 1.570
"""νγ over the training points of the LeNet-300-100 references, both "roughly" (Appendix G)."""

CRITICAL = (1.28, 2.40)
"""Where the two penalties turn, as functions of νγ (Appendix G)."""


def readings(stated: Stated) -> tuple[float, float]:
    """Half-widths of the paper's mean: ± read as a standard deviation, and as a standard error."""
    if stated.spread is None:
        return (0.0, 0.0)
    return STUDENT * stated.spread / math.sqrt(RUNS), STUDENT * stated.spread


def verdict(stated: Stated, ours: Interval) -> str:
    """Whether the difference of the two means is compatible with zero, under both readings.

    "agrees" if it is in the narrow reading already, "differs" if not even in the wide one,
    "open" in between, or where we have fewer than two seeds.
    """
    half = 0.5 * (ours.high - ours.low)
    if math.isnan(half):
        return "open"
    narrow, wide = (math.hypot(half, theirs) for theirs in readings(stated))
    distance = abs(ours.mean - stated.value)
    if distance <= narrow:
        return "agrees"
    return "open" if distance <= wide else "differs"


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
    facts[test] = {"seconds": round(seconds, 1), "made_by": results.provenance()}
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
