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
from regrob.analysis.intervals import Interval
from regrob.analysis.measures import ADVERSARIAL, Measure, NetworkResults, Setting
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
`found` and `attacked` are infinite where no mistake is known, d and ‖r*‖₂ where the local map is constant."""

COLUMNS = (*SETTING, "image", "label", *LENGTHS, "slope", "unstable", "nodes", "seconds", "reason")
"""`image` counts the held-out images, the classes by turns; `slope` is ν at the image, with K classes the
root of the mean ‖v_i − v_j‖² over i ≠ j; `unstable` counts the units that may switch in the ball of radius
`NEAR`, by linear bounds; the last three are the search's own. Nodes compare only between items that one
commit made: a better bound needs fewer."""

NEAR = 1.0
"""The radius within which unstable units are counted: the same for all networks."""

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
        rows = rows[rows["image"].between(of_item["start"], of_item["start"] + of_item["count"] - 1)]
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
UNSTABLE = Measure("proof", "unstable", f"units that may switch within {NEAR:g}", "median count", 1.0)
TIGHTNESS = Measure("linear", "probability", "linear bounds over found", "median share, %", 100.0)
CLOSED = Measure("proof", "probability", "settled", "share of digits, %", 100.0)
EXPLANATIONS = (SLOPE, UNSTABLE)

TOLERANCE = 0.01
"""A digit is settled where `certified` lies within this share of `found`."""

RADII = (0.5, 1.0, 1.5, 2.0)
"""ε at which the shares of withstanding digits are read."""


def withstands(length: Measure, radius: float) -> Measure:
    """The share of digits at which a length is above ε."""
    return Measure(f"{length.attack} at {radius:g}", "accuracy", length.title, "accuracy, %", 100.0)


def summary(rows: pd.DataFrame, facts: dict[str, Any]) -> pd.DataFrame:
    """One value a network and measure, in the columns of `tables.COLUMNS`; NaN of one that diverged.

    Args:
        rows: those of a network and seed that count.
        facts: as `read_stage` gives them.
    """
    import pandas as pd

    made: list[tuple[Any, ...]] = []
    spent = facts["settings"]
    benign = {_setting(item): item["accuracy"] for item in facts["items"].values()}
    for (penalty, weight), accuracy in benign.items():
        place = ("proved", spent["dataset"], spent["network"], penalty, weight, spent["seed"])
        of_network = rows[(rows["penalty"] == penalty) & (rows["lambda"] == weight)]
        if len(of_network) or accuracy is None:
            made.append((*place, "none", "accuracy", np.nan if accuracy is None else accuracy))
            made += [(*place, *measure.key, value) for measure, value in _values(of_network).items()]
    return pd.DataFrame(made, columns=list(tables.COLUMNS))


def _setting(item: dict[str, Any]) -> Setting:
    return item["penalty"], item["lambda"]


def counting(rows: pd.DataFrame, facts: dict[str, Any]) -> tuple[pd.DataFrame, int]:
    """The rows of a network and seed that can be compared, and how many digits of each setting they are.

    These are the digits that every penalty has at every λ; what has not all of them, as adversarial
    training may, is left out.
    """
    digits: dict[Setting, set[int]] = {}
    for item in facts["items"].values():
        digits.setdefault(_setting(item), set()).update(range(item["start"], item["start"] + item["count"]))
    of_penalties = [own for (penalty, _), own in digits.items() if penalty != ADVERSARIAL]
    common = set.intersection(*of_penalties) if of_penalties else set()
    whole = [setting for setting, own in digits.items() if own >= common]
    named = rows.set_index(["penalty", "lambda"]).index.isin(whole)
    return rows[named & rows["image"].isin(common)], len(common)


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
        results: its measures, by setting and seed; only seeds that have every setting and digit.
        digits: the rows of those seeds, one a digit.
        sidecars: what made them, one a seed.
        partial: seeds that lack something and are left out.
    """

    results: NetworkResults
    digits: pd.DataFrame
    sidecars: list[dict[str, Any]]
    partial: tuple[int, ...] = ()

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
        return len(is_settled(self.digits)) / max(1, len(self.proved))


def read(folder: Path, networks: Sequence[str] = ()) -> dict[str, Proved]:
    """The proofs of each architecture in a folder.

    A seed that lacks settings or digits which another seed has is left out, so that all comparisons are
    paired.

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
        stages = []
        for name in names:
            stage = read_stage(folder, name) if name.rpartition("-")[0] == network else None
            if stage is not None:
                rows, facts = stage
                settings = {_setting(item) for item in facts["items"].values()}
                kept, count = counting(rows, facts)
                extent = len({s for s in settings if s[0] != ADVERSARIAL}), count
                stages.append((extent, kept, facts))
        largest = max(extent for extent, _, _ in stages)
        whole = [(rows, facts) for extent, rows, facts in stages if extent == largest]
        table = pd.concat([summary(rows, facts) for rows, facts in whole], ignore_index=True)
        found[network] = Proved(
            NetworkResults(table, network),
            pd.concat([rows for rows, _ in whole], ignore_index=True),
            [facts for _, facts in whole],
            tuple(facts["settings"]["seed"] for extent, _, facts in stages if extent != largest),
        )
    return found


def withstanding(lengths: Iterable[float], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of lengths above each ε: the accuracy that is left when an adversary may move so far.

    >>> withstanding([0.0, 1.0, 3.0, 3.0], np.array([0.5, 2.0])).tolist()
    [0.75, 0.5]
    """
    sorted_lengths = np.sort(np.asarray(list(lengths), dtype=np.float64))
    return 1.0 - np.searchsorted(sorted_lengths, radii, side="right") / len(sorted_lengths)


# --- who leads ------------------------------------------------------------------------------


def champions(
    results: NetworkResults, measure: Measure, penalties: Iterable[str]
) -> list[tuple[Setting, Interval]]:
    """Each penalty at its λ with the largest mean, and that mean; the largest first.

    The same seeds choose and are shown: a description. Settings of which a seed diverged are left out.
    """
    best = [results.best(penalty, measure) for penalty in penalties if results.whole(penalty)]
    shown = [(setting, results.interval(setting, measure)) for setting in best]
    return sorted(shown, key=lambda pair: -pair[1].mean)


def proved_leader(results: NetworkResults, penalties: Sequence[str]) -> str | None:
    """The penalty that has a λ whose proved median no setting of another penalty can reach; None if open."""
    for setting, proven in champions(results, CERTIFIED, penalties)[:1]:
        others = [penalty for penalty in penalties if penalty != setting[0]]
        if all(proven.mean > reached.mean for _, reached in champions(results, FOUND, others)):
            return setting[0]
    return None


def agreement(rows: pd.DataFrame, prediction: str) -> dict[str, float]:
    """How a predicted length agrees with the truth, over the digits on which that is known.

    Args:
        rows: of settled digits, so that `found` is the true distance to `TOLERANCE`.
        prediction: margin or radius.

    Returns:
        rank (Spearman's correlation) and ratio (the median of prediction over truth).
    """
    rank = rows[prediction].rank().corr(rows["found"].rank())
    return {"rank": float(rank), "ratio": float((rows[prediction] / rows["found"]).median())}


def is_settled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of correctly classified digits whose distance is known to `TOLERANCE`."""
    return rows[(rows["certified"] > 0) & (rows["certified"] >= (1 - TOLERANCE) * rows["found"])]
