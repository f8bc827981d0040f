"""What the stored proofs say: how far mistakes are, at most and at least, and what that rests on.

Two files for each network and seed, NETWORK-SEED.csv with a row a digit and NETWORK-SEED.json with what
made them, as `experiments.proved` writes them. The true distance of a digit lies between the columns
`certified` and `found`; so over any digits the true median lies between the two medians, and the true share
of digits that withstand every perturbation of length ε between the two shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regrob.analysis import tables
from regrob.analysis.measures import Measure, NetworkResults, Setting
from regrob.errors import DataError, InputError

if TYPE_CHECKING:
    import pandas as pd

# --- the store ------------------------------------------------------------------------------

DIGITS = 5
"""Significant digits of a stored number."""

SETTING = ("penalty", "lambda", "seed")
"""The columns of a stored table that name a network."""

LENGTHS = ("certified", "found", "attacked", "linear", "margin", "radius")
"""The columns that hold a distance: proved, of the nearest mistake known, of the nearest mistake that attacks
found before any proof, proved by linear bounds alone, d, and ‖r*‖₂. 0 where the digit is misclassified;
`found` and `attacked` are infinite where no mistake is known."""

COLUMNS = (*SETTING, "image", "label", *LENGTHS, "slope", "unstable", "nodes", "seconds", "reason")
"""`image` counts the held-out images, the classes by turns; `slope` is ν at the image; the last four are
the certifier's own account of its search."""

COMMAND = "regrob proved --run --out DIR"


def checksum(rows: pd.DataFrame) -> str:
    """Of a network's rows as the csv spells them."""
    text = rows.to_csv(index=False, header=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_stage(stored: Path, name: str) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """The rows of a network and seed, and what made them, or None if nothing is stored.

    Rows that the json does not know are left out: a kill between the two files leaves some.

    Args:
        stored: the folder.
        name: NETWORK-SEED.

    Raises:
        DataError: the rows of an item are not those that were stored.
    """
    import pandas as pd

    csv, sidecar = stored / f"{name}.csv", stored / f"{name}.json"
    if not (csv.is_file() and sidecar.is_file()):
        return None
    table, facts = tables.read_csv(csv), tables.read_json(sidecar)
    parts = []
    for item, of_item in facts["items"].items():
        rows = table[(table["penalty"] == of_item["penalty"]) & (table["lambda"] == of_item["lambda"])]
        if checksum(rows) != of_item["rows"]:
            raise DataError(
                f"{csv} holds other rows of {item} than were stored; put back the committed file, or remove "
                f"{item} from {sidecar.name} and it is computed again"
            )
        parts += [rows] if len(rows) else []
    return (pd.concat(parts) if parts else table.iloc[:0]), facts


# --- the measures ---------------------------------------------------------------------------

MEDIAN = r"median $\ell_2$ distance"
CERTIFIED = Measure("certified", "distance", "certified", MEDIAN, 1.0)
FOUND = Measure("found", "distance", "found", MEDIAN, 1.0)
ATTACKED = Measure("attacked", "distance", "attacked", MEDIAN, 1.0)
LINEAR = Measure("linear", "distance", "linear bounds", MEDIAN, 1.0)
SLOPE = Measure("proof", "slope", "slope at the digit", r"median $\nu$", 1.0)
UNSTABLE = Measure("proof", "unstable", "units that may switch", "median count", 1.0)
NODES = Measure("proof", "nodes", "nodes of the search", "median count", 1.0)
TIGHTNESS = Measure("linear", "probability", "linear bounds over found", "median share, %", 100.0)
CLOSED = Measure("proof", "probability", "settled", "share of digits, %", 100.0)
EXPLANATIONS = (SLOPE, UNSTABLE, NODES)

TOLERANCE = 0.01
"""A digit is settled where `certified` lies within this share of `found`."""

RADII = (0.5, 1.0, 1.5, 2.0)
"""ε at which the shares of withstanding digits are read."""


def withstands(length: Measure, radius: float) -> Measure:
    """The share of digits at which a length is above ε."""
    return Measure(f"{length.attack} at {radius:g}", "accuracy", length.title, "accuracy, %", 100.0)


def summary(name: str, rows: pd.DataFrame, facts: dict[str, Any]) -> pd.DataFrame:
    """One value a network and measure, in the columns of `tables.COLUMNS`; NaN of one that diverged.

    Args:
        name: what the first column says.
        rows, facts: of a network and seed, as `read_stage` gives them.
    """
    import pandas as pd

    made: list[tuple[Any, ...]] = []
    spent = facts["settings"]
    for of_item in facts["items"].values():
        place = (
            name,
            spent["dataset"],
            spent["network"],
            of_item["penalty"],
            of_item["lambda"],
            spent["seed"],
        )
        of_network = rows[(rows["penalty"] == of_item["penalty"]) & (rows["lambda"] == of_item["lambda"])]
        benign = np.nan if of_item["accuracy"] is None else of_item["accuracy"]
        made.append((*place, "none", "accuracy", benign))
        made += [(*place, *measure.key, value) for measure, value in _values(of_network).items()]
    return pd.DataFrame(made, columns=list(tables.COLUMNS))


def _values(rows: pd.DataFrame) -> dict[Measure, float]:
    """Each measure of one network's digits, in the table's unit."""
    lengths = (CERTIFIED, FOUND, ATTACKED, LINEAR)
    values = {length: float(rows[length.attack].median()) for length in lengths}
    for length in lengths[:3]:
        for radius in RADII:
            share = float((rows[length.attack] > radius).mean()) if len(rows) else np.nan
            values[withstands(length, radius)] = share
    right = rows[rows["certified"] > 0]
    values |= {measure: float(right[measure.metric].median()) for measure in EXPLANATIONS}
    values[TIGHTNESS] = float((right["linear"] / right["found"]).median())
    values[CLOSED] = float((right["certified"] >= (1 - TOLERANCE) * right["found"]).mean())
    return values


# --- one network ----------------------------------------------------------------------------


class Order(NamedTuple):
    """On how many digits the order of two networks' true distances is proved.

    Attributes:
        farther: the first network's mistake is farther; its proof reaches beyond a mistake of the second.
        nearer: the other way round.
        open: neither is proved.
    """

    farther: int
    nearer: int
    open: int


@dataclass(frozen=True, eq=False)
class Proved:
    """The proofs of one architecture.

    Attributes:
        results: its measures, by setting and seed; only seeds that have every setting.
        digits: the rows of those seeds, one a digit.
        sidecars: what made them, one a seed.
        partial: (seed, finished settings) of seeds that lack some and are left out.
    """

    results: NetworkResults
    digits: pd.DataFrame
    sidecars: list[dict[str, Any]]
    partial: tuple[tuple[int, int], ...] = ()

    def of(self, setting: Setting) -> pd.DataFrame:
        """The rows of a setting, by seed and image.

        Raises:
            InputError: there are none.
        """
        penalty, weight = setting
        rows = self.digits[(self.digits["penalty"] == penalty) & np.isclose(self.digits["lambda"], weight)]
        if rows.empty:
            raise InputError(f"no proof of {penalty} at λ = {weight:g} is stored for {self.results.network}")
        return rows.set_index(["seed", "image"]).sort_index()

    def order(self, first: Setting, second: Setting) -> Order:
        """What is proved of the order of two settings' true distances, digit by digit, seed by seed."""
        suffixes = (" of one", " of two")
        pair = self.of(first).merge(self.of(second), left_index=True, right_index=True, suffixes=suffixes)
        farther = int((pair["certified of one"] > pair["found of two"]).sum())
        nearer = int((pair["found of one"] < pair["certified of two"]).sum())
        return Order(farther, nearer, len(pair) - farther - nearer)

    @property
    def shortened(self) -> pd.DataFrame:
        """The digits at which the proof found a mistake nearer than attacks did, by more than `TOLERANCE`."""
        return self.digits[self.digits["found"] < (1 - TOLERANCE) * self.digits["attacked"]]

    @property
    def proved(self) -> pd.DataFrame:
        """The rows of correctly classified digits."""
        return self.digits[self.digits["certified"] > 0]

    @property
    def settled(self) -> float:
        """The share of correctly classified digits whose distance is known to `TOLERANCE`."""
        rows = self.proved
        return float((rows["certified"] >= (1 - TOLERANCE) * rows["found"]).mean())

    def least(self, measure: Measure, *penalties: str) -> float:
        """The smallest mean over the settings of these penalties."""
        return float(
            np.nanmin([self.results.interval(s, measure).mean for s in self.results.settings(*penalties)])
        )


def read(folder: Path, networks: Sequence[str] = ()) -> dict[str, Proved]:
    """The proofs of each architecture in a folder.

    A seed of which settings are missing is left out where another seed has them, so that all comparisons
    are paired; if no seed is whole, the one with the most settings is taken.

    Args:
        folder: of the files.
        networks: only these; all that are there if empty.

    Raises:
        DataError: nothing is stored of one of them, or a file is damaged.
    """
    import pandas as pd

    names = sorted(path.stem for path in folder.glob("*-[0-9]*.json"))
    known = dict.fromkeys(name.rpartition("-")[0] for name in names)
    missing = [network for network in networks if network not in known]
    if missing or not known:
        raise DataError(f"no proofs of {(*missing, 'any network')[0]} in {folder}; make them with: {COMMAND}")
    found = {}
    for network in networks or known:
        stages = [read_stage(folder, name) for name in names if name.rpartition("-")[0] == network]
        whole = [stage for stage in stages if stage is not None]
        counts = [len(facts["items"]) for _, facts in whole]
        kept = [stage for stage, count in zip(whole, counts, strict=True) if count == max(counts)]
        rest = [
            (int(facts["settings"]["seed"]), count)
            for (_, facts), count in zip(whole, counts, strict=True)
            if count < max(counts)
        ]
        table = pd.concat([summary("proved", rows, facts) for rows, facts in kept], ignore_index=True)
        digits = pd.concat([rows for rows, _ in kept], ignore_index=True)
        found[network] = Proved(
            NetworkResults(table, network), digits, [facts for _, facts in kept], tuple(rest)
        )
    return found


def withstanding(lengths: Iterable[float], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of lengths above each ε: the accuracy that is left when an adversary may move so far.

    >>> withstanding([0.0, 1.0, 3.0, 3.0], np.array([0.5, 2.0])).tolist()
    [0.75, 0.5]
    """
    sorted_lengths = np.sort(np.asarray(list(lengths), dtype=np.float64))
    return 1.0 - np.searchsorted(sorted_lengths, radii, side="right") / len(sorted_lengths)
