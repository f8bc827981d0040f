"""What a stored table of predictions says: each setting's lengths, and how they agree with the attacks'.

The columns are those of `experiments.predictions.COLUMNS`: one value for each network, measure,
prediction and attack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regrob.analysis.intervals import POSITIVE, Interval, Span, mean_interval
from regrob.analysis.measures import LABELS, UNPENALISED, Setting, lines_of
from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

REFERENCE: Setting = ("reference", 0.0)
"""Before any fine-tuning."""

ATTACK_NAMES = {
    "along": "along r*",
    "deepfool": "DeepFool",
    "carlini-wagner": "C&W",
    "boundary-projection": "projection",
    "free": "projection, no box",
    "found": "found",
}
"""How the attacks of a table of predictions are written."""

SIGNS = {"margin": "d", "radius": "‖r*‖₂", "edge": "kink", "logit-margin": "m"}
"""How the predictions are written."""


SPANS: dict[str, Span] = {
    "median": POSITIVE,
    "ratio": POSITIVE,
    "mean": (0.0, 1.0),
    "exceeds": (0.0, 1.0),
    "rank": (-1.0, 1.0),
    "linear": (-1.0, 1.0),
}
"""What each measure can be; the logit of a correlation's place in its span is Fisher's z, twice."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The summaries of one data set, read by setting.

    Attributes:
        table: their rows, as `experiments.predictions.read` gives them.

    Every method raises InputError for what the table lacks.
    """

    table: pd.DataFrame

    def values(
        self, setting: Setting, measure: str, prediction: str = "", attack: str = ""
    ) -> NDArray[np.float64]:
        """One value a network, in the order of the seeds."""
        rows = self.table
        keys = {"penalty": setting[0], "lambda": setting[1], "measure": measure}
        for column, wanted in (keys | {"prediction": prediction, "attack": attack}).items():
            rows = rows[rows[column] == wanted]
        if rows.empty:
            raise InputError(f"no {measure} of {prediction or attack} is stored for {setting}")
        return rows.sort_values("seed")["value"].to_numpy(dtype=np.float64)

    def interval(self, setting: Setting, measure: str, prediction: str = "", attack: str = "") -> Interval:
        """The mean over networks, and its interval."""
        return mean_interval(self.values(setting, measure, prediction, attack), span=SPANS[measure])

    def medians(self, setting: Setting, name: str) -> NDArray[np.float64]:
        """Of a prediction, or of an attack's length, over the digits: one value a network."""
        return self.values(setting, "median", **{"attack" if name in ATTACK_NAMES else "prediction": name})

    def median(self, setting: Setting, name: str) -> Interval:
        """The mean of `medians`, and its interval."""
        return mean_interval(self.medians(setting, name), span=POSITIVE)

    def change(self, setting: Setting, name: str) -> Interval:
        """A network's median over that of the reference it started from, seed by seed."""
        after = self.medians(setting, name)
        return mean_interval(after / self.medians(REFERENCE, name)[: len(after)], span=POSITIVE)

    @property
    def settings(self) -> list[Setting]:
        """References, fine-tuned without a penalty, and each penalty at the largest λ that all have."""
        penalties = lines_of(self.table)
        tried = self.table[self.table["penalty"].isin(penalties)].groupby("lambda")["penalty"].nunique()
        largest = float(tried.index[tried == len(penalties)].max())
        return [REFERENCE, UNPENALISED, *((penalty, largest) for penalty in penalties)]

    def agreement(self, setting: Setting) -> pd.DataFrame:
        """A row an attack: its median, and d's and ‖r*‖₂'s correlations with it; means over networks."""
        import pandas as pd

        rows = {}
        for attack, title in ATTACK_NAMES.items():
            rows[title] = {"median": self.median(setting, attack).mean}
            for name in ("margin", "radius"):
                for kind in ("rank", "linear"):
                    correlation = self.interval(setting, kind, name, attack).mean
                    rows[title][f"{SIGNS[name]}: {kind}"] = correlation
        return pd.DataFrame.from_dict(rows, orient="index")

    def by_setting(self) -> pd.DataFrame:
        """A row a setting: medians, rank correlations with what is found, r* in its polytope; means."""
        import pandas as pd

        rows = {}
        for setting in self.settings:
            row = {"found": self.median(setting, "found").mean}
            row |= {sign: self.median(setting, name).mean for name, sign in SIGNS.items()}
            for sign, name in (("d", "margin"), ("r*", "radius")):
                row[f"rank {sign}"] = self.interval(setting, "rank", name, "found").mean
            for name in ("stays", "switched"):
                row[f"{name} %"] = 100 * self.interval(setting, "mean", name).mean
            rows[LABELS[setting[0]]] = row
        return pd.DataFrame.from_dict(rows, orient="index")


def by_dataset(table: pd.DataFrame) -> dict[str, Predictions]:
    """The summaries of each data set."""
    return {str(dataset): Predictions(rows) for dataset, rows in table.groupby("dataset")}
