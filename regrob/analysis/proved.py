"""What the stored proofs say: how far mistakes are, at most and at least, and what that rests on.

Two files for each network and seed, NETWORK-SEED.csv with a row a digit and NETWORK-SEED.json with what
made them, as `experiments.proved` writes them. The true distance of a digit lies between the columns
`certified` and `found`; so over any digits the true median lies between the two medians, and the true share
of digits that withstand every perturbation of length ε between the two shares.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regrob.analysis import tables
from regrob.analysis.intervals import Interval
from regrob.analysis.measures import ADVERSARIAL, BENIGN, Measure, NetworkResults, Setting
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
NODES = Measure("proof", "nodes", "parts that a proof bounds", "mean count", 1.0)
TIGHTNESS = Measure("linear", "probability", "linear bounds over found", "median share, %", 100.0)
CLOSED = Measure("proof", "probability", "settled", "share of digits, %", 100.0)
EXPLANATIONS = (SLOPE, UNSTABLE)
"""What is the median over the digits that are classified correctly; of `NODES` the mean is taken."""

TOLERANCE = 0.01
"""A digit is settled where `certified` lies within this share of `found`, up to the digits stored of both."""

_CLOSE = 1 - TOLERANCE - 2 * 10.0 ** (1 - DIGITS)

RADII = (0.5, 1.0, 1.5, 2.0)
"""ε at which the shares of withstanding digits are read."""


def withstands(length: Measure, radius: float) -> Measure:
    """The share of digits at which a length is above ε."""
    return Measure(f"{length.attack} at {radius:g}", "accuracy", length.title, "accuracy, %", 100.0)


WITHSTANDING = (CERTIFIED, FOUND, ATTACKED)
"""The lengths of which the shares are read."""

MEASURED: tuple[Measure, ...] = (
    *(CERTIFIED, FOUND, ATTACKED, LINEAR, *EXPLANATIONS, NODES, TIGHTNESS, CLOSED),
    *(withstands(length, radius) for length in WITHSTANDING for radius in RADII),
)
"""What `summary` says of each network, beside its accuracy."""


def summary(rows: pd.DataFrame, facts: dict[str, Any]) -> pd.DataFrame:
    """One value a network and measure, in the columns of `tables.COLUMNS`.

    NaN of a network that diverged, and of one that collapsed: it has the digits of one class right and no
    others, so that their distances say nothing of what it learned.

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
            lost = accuracy is None or has_collapsed(of_network)
            values = dict.fromkeys(MEASURED, math.nan) if lost else _values(of_network)
            values[BENIGN] = math.nan if lost else accuracy
            made += [(*place, *measure.key, value) for measure, value in values.items()]
    return pd.DataFrame(made, columns=list(tables.COLUMNS))


def has_collapsed(rows: pd.DataFrame) -> bool:
    """Whether a network has all digits of one class right and all others wrong.

    Args:
        rows: its digits.
    """
    shares = sorted((rows["certified"] > 0).groupby(rows["label"]).mean())
    return len(shares) > 1 and shares[-1] == 1 and shares[-2] == 0


def _setting(item: dict[str, Any]) -> Setting:
    return item["penalty"], item["lambda"]


def _digits(facts: dict[str, Any]) -> dict[Setting, set[int]]:
    """Which digits of each setting are stored."""
    digits: dict[Setting, set[int]] = {}
    for item in facts["items"].values():
        digits.setdefault(_setting(item), set()).update(range(item["start"], item["start"] + item["count"]))
    return digits


class Whole(NamedTuple):
    """What of a network can be compared, seed by seed.

    Attributes:
        settings: of each seed that counts, by its place among all: every setting of every penalty, and of
            adversarial training, which takes longest, where the seed has all of them.
        digits: which each of these has.
    """

    settings: dict[int, frozenset[Setting]]
    digits: frozenset[int]


def whole(stored: Sequence[dict[Setting, set[int]]]) -> Whole:
    """The seeds that have the most settings, and the digits that all of these have.

    Args:
        stored: of each seed the digits of each setting.
    """
    shared = []
    for digits in stored:
        of_penalties = [own for (penalty, _), own in digits.items() if penalty != ADVERSARIAL]
        shared.append(set.intersection(*of_penalties) if of_penalties else set())
    had = [
        frozenset(setting for setting, own in digits.items() if common and own >= common)
        for digits, common in zip(stored, shared, strict=True)
    ]
    hardened = [frozenset(setting for setting in own if setting[0] == ADVERSARIAL) for own in had]
    penalised = [own - hard for own, hard in zip(had, hardened, strict=True)]
    most, hardest = max(penalised, key=len), max(hardened, key=len)
    seeds = [place for place, own in enumerate(penalised) if own >= most]
    settings = {place: most | (hardest if hardened[place] >= hardest else frozenset()) for place in seeds}
    return Whole(settings, frozenset(set.intersection(*(shared[place] for place in seeds))))


def over_common_seeds(results: NetworkResults, *penalties: str) -> NetworkResults:
    """The results of the seeds that each of these penalties has: adversarial training may lack some.

    Args:
        results: of one network.
        penalties: names.
    """
    table = results.table
    seeds = [set(table.loc[table["penalty"] == penalty, "seed"]) for penalty in penalties]
    if all(own == seeds[0] for own in seeds):
        return results
    return NetworkResults(table[table["seed"].isin(set.intersection(*seeds))], results.network)


def _values(rows: pd.DataFrame) -> dict[Measure, float]:
    """Each measure of one network's digits, in the table's unit."""
    names = (*LENGTHS[:4], "slope", "unstable", "nodes")
    column = {name: rows[name].to_numpy(dtype=np.float64) for name in names}
    values = {length: _median(column[length.attack]) for length in (CERTIFIED, FOUND, ATTACKED, LINEAR)}
    for length in WITHSTANDING:
        for radius in RADII:
            values[withstands(length, radius)] = float((column[length.attack] > radius).mean())
    right = {name: numbers[column["certified"] > 0] for name, numbers in column.items()}
    values |= {measure: _median(right[measure.metric]) for measure in EXPLANATIONS}
    values[NODES] = float(right["nodes"].mean()) if len(right["nodes"]) else math.nan
    values[TIGHTNESS] = _median(right["linear"] / right["found"])
    settled = right["certified"] >= _CLOSE * right["found"]
    values[CLOSED] = float(settled.mean()) if len(settled) else math.nan
    return values


def _median(numbers: NDArray[np.float64]) -> float:
    return float(np.median(numbers)) if len(numbers) else math.nan


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
        results: its measures, by setting and seed; only seeds that have every setting of every penalty, not
            all of which have adversarial training.
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

    A seed that lacks a penalty's setting which another seed has is left out, and so is a digit that some
    seed lacks: all comparisons are paired.

    Args:
        folder: of the files.
        networks: only these; all that are there if empty.

    Raises:
        DataError: nothing is stored of one of them, or a file is damaged.
    """
    names = sorted(path.stem for path in folder.glob("*-[0-9]*.json"))
    known = dict.fromkeys(name.rpartition("-")[0] for name in names)
    wanted = [*networks] or [*known]
    missing = [network for network in networks if network not in known]
    if missing or not known:
        raise DataError(f"no proofs of {(*missing, 'any network')[0]} in {folder}; make them with: {COMMAND}")
    return {
        network: _read(folder, [n for n in names if n.rpartition("-")[0] == network]) for network in wanted
    }


def _read(folder: Path, names: Sequence[str]) -> Proved:
    """The proofs of one network, of which every name is a seed's."""
    import pandas as pd

    stages = [stage for stage in (read_stage(folder, name) for name in names) if stage is not None]
    stages.sort(key=lambda stage: int(stage[1]["settings"]["seed"]))
    every = whole([_digits(facts) for _, facts in stages])
    kept, summaries = [], []
    for place, settings in every.settings.items():
        rows, facts = stages[place]
        named = rows.set_index(["penalty", "lambda"]).index.isin(settings)
        counting = _with_linear(rows[named & rows["image"].isin(every.digits)])
        items = {name: item for name, item in facts["items"].items() if _setting(item) in settings}
        kept.append(counting)
        summaries.append(summary(counting, {**facts, "items": items}))
    return Proved(
        NetworkResults(pd.concat(summaries, ignore_index=True), stages[0][1]["settings"]["network"]),
        pd.concat(kept, ignore_index=True),
        [stages[place][1] for place in every.settings],
        tuple(
            facts["settings"]["seed"]
            for place, (_, facts) in enumerate(stages)
            if place not in every.settings
        ),
    )


def _with_linear(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the better of both proofs as certified: a search that ends early may be behind."""
    right = rows["certified"] > 0
    return rows.assign(certified=rows["certified"].mask(right, rows[["certified", "linear"]].max(axis=1)))


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


def is_settled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of correctly classified digits whose distance is known to `TOLERANCE`."""
    return rows[(rows["certified"] > 0) & (rows["certified"] >= _CLOSE * rows["found"])]
