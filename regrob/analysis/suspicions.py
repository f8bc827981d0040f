"""Why do our numbers differ from the paper's? The stored tests of `experiments.reproduction`, read as tables.

Each test changes one thing. Its numbers are read at a *place*: the test, the network, the variant
that it trained, and the iterations of training. Accuracies are in per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from regrob.analysis.intervals import Interval, mean_interval
from regrob.analysis.measures import LABELS
from regrob.analysis.paper_numbers import CONV, LENET, STATED, Stated
from regrob.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

TestVariant = tuple[str, str, str, int]
"""Test, network, variant, iterations of training."""

TRAINED: TestVariant = ("training", LENET, "as trained", 50_000)
"""Trained and attacked as the paper says, for as long."""

SHORT: TestVariant = ("training", LENET, "as trained", 5_000)

SUSPICIONS: dict[str, tuple[TestVariant, str, str]] = {
    "nothing": (SHORT, "fgsm", "pgd"),
    "training as long as the paper's": (TRAINED, "fgsm", "pgd"),
    "no weight decay": (("undecayed", LENET, "no weight decay", 50_000), "fgsm", "pgd"),
    "pixels divided by 256": (("protocol", LENET, "pixels / 256", 5_000), "fgsm", "pgd"),
    "PGD with 10 steps": (TRAINED, "", "pgd, 10 steps"),
    "PGD with 5 restarts": (TRAINED, "", "pgd, 5 restarts"),
    "APGD, no step size to choose": (TRAINED, "", "apgd"),
    "half the ε": (TRAINED, "fgsm, half ε", "pgd, half ε"),
    "pixels not clipped": (SHORT, "fgsm, no clipping", "pgd, no clipping"),
    "pixels not clipped, 50,000": (TRAINED, "fgsm, no clipping", "pgd, no clipping"),
}
"""What is changed → where it is stored, and the two attacks there; "" for an attack that is as it was."""


class UnderAttack(NamedTuple):
    """Accuracy under FGSM and under PGD, with intervals over seeds; None where nothing changed."""

    fgsm: Interval | None
    pgd: Interval


def means(tests: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: one row a place, one column a measure, in the tests' units."""
    return tests.pivot_table(
        index=["test", "network", "variant", "iteration"], columns="measure", values="value"
    )


def interval(tests: pd.DataFrame, place: TestVariant, measure: str) -> Interval:
    """The mean over seeds of an accuracy, with its interval, as a share of 1.

    Raises:
        DataError: nothing is stored there.
    """
    columns = ["test", "network", "variant", "iteration", "measure"]
    rows = tests[(tests[columns] == [*place, measure]).all(axis=1)]
    if rows.empty:
        raise DataError(f"no {measure} is stored of {', '.join(map(str, place))}; run the test {place[0]!r}")
    return mean_interval(rows["value"].to_numpy(), span=(0.0, 1.0))


def under_attack(tests: pd.DataFrame) -> dict[str, UnderAttack]:
    """What is changed → the accuracies then, for all `SUSPICIONS`."""
    return {
        changed: UnderAttack(
            interval(tests, place, fgsm).times(100) if fgsm else None, interval(tests, place, pgd).times(100)
        )
        for changed, (place, fgsm, pgd) in SUSPICIONS.items()
    }


def table(tests: pd.DataFrame) -> pd.DataFrame:
    """`under_attack` in words, one line a suspicion; the paper's own numbers in the last line."""
    import pandas as pd

    lines = {
        changed: (
            f"{SUSPICIONS[changed][0][-1]:,}",
            f"{accuracies.fgsm:.1f}" if accuracies.fgsm else "",
            f"{accuracies.pgd:.1f}",
        )
        for changed, accuracies in under_attack(tests).items()
    }
    _, fgsm, pgd = (f"{s.value:.2f} ± {s.spread:.2f}" for s in _stated(LENET))
    lines["the paper"] = ("50,000", fgsm, pgd)
    columns = ["iterations", "FGSM", "PGD"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("what is changed")


def activations(tests: pd.DataFrame) -> pd.DataFrame:
    """LeNet-5 with ReLU after its convolutions and without, in words; the paper's numbers last."""
    columns = {
        "accuracy": "accuracy",
        "fgsm": "FGSM",
        "fgsm, no clipping": "FGSM, not clipped",
        "pgd": "PGD",
        "pgd, no clipping": "PGD, not clipped",
    }
    ours = means(tests[tests["test"] == "convolutions"]).droplevel(["test", "network", "iteration"])[
        [*columns]
    ]
    shown = (100 * ours).map("{:.1f}".format).rename(columns=columns)
    accuracy, fgsm, pgd = (f"{s.value:.2f}" for s in _stated(CONV))
    shown.loc["the paper"] = [accuracy, fgsm, "", pgd, ""]
    return shown.rename_axis(index="LeNet-5", columns=None)


def _stated(network: str) -> list[Stated]:
    """The paper's accuracies of 1 against 7: without attack, under FGSM, under PGD."""
    return [stated for stated in STATED if stated.key[:2] == ("mnist-1-7", network)]


def breaking(large: pd.DataFrame, penalties: Sequence[str], weights: Sequence[float]) -> pd.DataFrame:
    """The accuracy after fine-tuning, or the step at which the loss was no longer finite.

    Args:
        large: rows of `means` by variant, "jacobian, λ = 1.6", with the columns "diverged at", −1
            for never, and "accuracy".
        penalties: the rows of the table.
        weights: λ, its columns.
    """
    import pandas as pd

    def outcome(variant: str) -> str:
        step, accuracy = (large[column][variant] for column in ("diverged at", "accuracy"))
        return f"NaN at step {step:.0f}" if step >= 0 else f"{100 * accuracy:.1f} %"

    outcomes = {
        f"λ = {weight:g}": [outcome(f"{penalty}, λ = {weight:g}") for penalty in penalties]
        for weight in weights
    }
    return pd.DataFrame(outcomes, index=pd.Index([LABELS[name] for name in penalties], name="penalty"))
