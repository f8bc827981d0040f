"""What is measured of a network, what it is called, and which rows of a table of results say it.

A *measure* is an attack with what is counted after it; a *setting* is a penalty with its λ. A
table has the columns of `tables.COLUMNS`: one value for each network, setting, seed and measure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regrob.analysis import phrases
from regrob.analysis.intervals import POSITIVE, SIGNED, Interval, Span, mean_interval, paired_difference
from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Setting = tuple[str, float]
"""Name of a penalty, and λ; ("none", 0.0) is without one."""

Key = tuple[str, str]
"""Attack and metric of a measure, as the tables spell them."""

ADVERSARIAL = "adversarial-training"
"""The name of adversarial training where a penalty is expected; its λ is then the adversary's ε."""

UNPENALISED: Setting = ("none", 0.0)
"""Fine-tuned as long as the others, without a penalty."""

LABELS = {
    "none": "no penalty",
    "input-gradient": "input gradient",
    "jacobian": "Jacobian",
    "curvature": "curvature",
    "cross-lipschitz": "cross-Lipschitz",
    "reference": "reference",
    "adversarial-training": "adversarial training",
}
"""How a penalty of the tables is written, in the order of all figures."""

NETWORK_NAMES = {
    "mlp-24-24": "MLP 24-24",
    "mlp-50-50": "MLP 50-50",
    "lenet-300-100": "LeNet-300-100",
    "lenet-5": "LeNet-5",
    "conv-bn": "Four layers, BatchNorm",
    "vgg": "VGG-like",
    "resnet-32": "ResNet-32, no BatchNorm",
}
"""How a network of the tables is written."""


NETWORK_PHRASES = {
    "conv-bn": "the four-layer network",
    "vgg": "the VGG-like network",
    "resnet-32": "ResNet-32",
}
"""How a network is written inside a sentence, where that is not its name."""

PENALTY_PHRASES = {
    "none": "no penalty",
    "input-gradient": "the input-gradient penalty",
    "jacobian": "the Jacobian penalty",
    "curvature": "the curvature penalty",
    "cross-lipschitz": "the cross-Lipschitz penalty",
    "reference": "the reference",
    "adversarial-training": "adversarial training",
}
"""How a penalty is written inside a sentence."""


def phrase_of(network: str) -> str:
    """How a network is written inside a sentence: "the VGG-like network"."""
    return NETWORK_PHRASES.get(network, name_of(network))


def setting_phrase(setting: Setting) -> str:
    """How a setting is written inside a sentence: "the Jacobian penalty at λ = 0.1"."""
    penalty, weight = setting
    return f"{PENALTY_PHRASES[penalty]} at {strength(setting)}" if weight else PENALTY_PHRASES[penalty]


def strength(setting: Setting) -> str:
    """How strong a setting is: "λ = 0.1", of adversarial training "ε = 0.1"."""
    penalty, weight = setting
    return f"{'ε' if penalty == ADVERSARIAL else 'λ'} = {weight:g}"


def name_of(network: str) -> str:
    """How a network is written; one that has no other name keeps its own."""
    return NETWORK_NAMES.get(network, network)


def setting_name(setting: Setting) -> str:
    """How a setting is written: "Jacobian, λ = 0.1"."""
    penalty, weight = setting
    return f"{LABELS[penalty]}, {strength(setting)}" if weight else LABELS[penalty]


SHARES = ("accuracy", "success", "probability")
"""The metrics whose values are shares of 1."""


def span_of(metric: str, factor: float = 1.0) -> Span:
    """What a metric can be, times `factor`: a share from none to all, a length or its square not below 0."""
    return (0.0, factor) if metric in SHARES else POSITIVE


def difference_span_of(metric: str, factor: float = 1.0) -> Span:
    """What a difference of two values of a metric can be, times `factor`."""
    return (-factor, factor) if metric in SHARES else SIGNED


class Measure(NamedTuple):
    """One number of a network: attack and metric as in the tables, its title, its unit.

    Values of a table times `factor` are in the unit.
    """

    attack: str
    metric: str
    title: str
    unit: str
    factor: float

    @property
    def key(self) -> Key:
        """Attack and metric."""
        return self.attack, self.metric

    @property
    def digits(self) -> str:
        """How its numbers are written: shares in tenths of a per cent, distances in hundredths."""
        return ".1f" if self.factor == 100 else ".2f"

    def interval(self, values: ArrayLike, level: float = 0.95) -> Interval:
        """The mean of a table's values in the measure's unit, and an interval that lies in its span."""
        return mean_interval(np.asarray(values) * self.factor, level, span_of(self.metric, self.factor))

    @property
    def difference_span(self) -> Span:
        """What a difference of two of its numbers can be."""
        return difference_span_of(self.metric, self.factor)


BENIGN = Measure("none", "accuracy", "no attack", "accuracy, %", 100.0)
FGSM = Measure("fgsm", "accuracy", "FGSM", "accuracy, %", 100.0)
PGD = Measure("pgd", "accuracy", "PGD", "accuracy, %", 100.0)
DEEPFOOL = Measure("deepfool", "distance", "DeepFool", r"mean $\ell_2$ distance", 1.0)
CARLINI = Measure("carlini-wagner", "distance", "Carlini–Wagner", r"mean $\ell_2$ distance", 1.0)
ROBUST = (FGSM, PGD, DEEPFOOL, CARLINI)
ATTACKS = [measure.key for measure in ROBUST]
MEASURES = {measure.key: measure for measure in (BENIGN, *ROBUST)}
CONFIDENCE = Measure("none", "probability", "confidence", "mean $p_y$", 1.0)
SLOPE = Measure("none", "cross-lipschitz", "slope", r"mean $\nu^2$", 1.0)


def success(attack: Measure) -> Measure:
    """How often a minimal attack fools the network; its mean distance leaves the other images out."""
    return Measure(attack.attack, "success", "", "fooled, %", 100.0)


def values(
    table: pd.DataFrame, network: str, penalty: str, weight: float, attack: str, metric: str
) -> NDArray[np.float64]:
    """The values of one setting, in the order of the seeds.

    Raises:
        InputError: the table has no such setting, or has a seed twice.
    """
    rows = table[
        (table["network"] == network)
        & (table["penalty"] == penalty)
        & np.isclose(table["lambda"], weight, rtol=1e-9, atol=0)
        & (table["attack"] == attack)
        & (table["metric"] == metric)
    ].sort_values("seed")
    if rows.empty or rows["seed"].duplicated().any():
        raise InputError(
            f"need one value a seed of {attack} {metric} for {network}, {penalty}, λ = {weight:g}; "
            f"got {len(rows)} rows with {rows['seed'].nunique()} seeds"
        )
    return rows["value"].to_numpy(dtype=np.float64)


def weights_of(table: pd.DataFrame, network: str, penalty: str) -> list[float]:
    """The λ at which a penalty was run, in ascending order."""
    rows = table[(table["network"] == network) & (table["penalty"] == penalty)]
    return sorted(float(weight) for weight in rows["lambda"].unique())


def means(table: pd.DataFrame) -> pd.Series[Any]:
    """Means over the seeds that did not diverge, by network, attack, metric, penalty and λ."""
    keys = ["network", "attack", "metric", "penalty", "lambda"]
    return table.groupby(keys, sort=True)["value"].mean()


def interval_by_setting(
    table: pd.DataFrame, network: str, measure: Measure, level: float = 0.95
) -> dict[Setting, Interval]:
    """(penalty, λ) → mean and interval over seeds of one measure, in the measure's unit."""
    of_network = (table["network"] == network) & (table["attack"] == measure.attack)
    rows = table[of_network & (table["metric"] == measure.metric)]
    return {
        (str(penalty), float(str(weight))): measure.interval(part["value"].to_numpy(), level)
        for (penalty, weight), part in rows.groupby(["penalty", "lambda"])
    }


def known(table: pd.DataFrame, column: str, wanted: Sequence[str] = ()) -> list[str]:
    """The networks or penalties to show, in the order of all figures.

    Args:
        table: as `tables.read` gives it.
        column: network or penalty.
        wanted: only these, in this order.

    Raises:
        InputError: the table lacks one that was wanted.
    """
    stored = list(table[column].unique())
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise InputError(f"the table has no {column} {missing[0]!r}; it has {', '.join(stored)}")
    if wanted:
        return list(wanted)
    order = [*LABELS] if column == "penalty" else sorted(stored)
    return [name for name in order if name in stored]


def lines_of(table: pd.DataFrame, wanted: Sequence[str] = ()) -> list[str]:
    """The penalties that have a line of their own: all but fine-tuning without one, and references."""
    return [name for name in known(table, "penalty", wanted) if name not in ("none", "reference")]


@dataclass(frozen=True, eq=False)
class NetworkResults:
    """The rows of one network in a table of results, read by setting and measure.

    Attributes:
        table: those rows, as `tables.read` gives them.
        network: its name in the table.
        classes: of its task, if titles shall say so.

    Every number is in the unit of its measure. Each method raises InputError for a setting that
    the table lacks.
    """

    table: pd.DataFrame
    network: str
    classes: int | None = None

    @property
    def title(self) -> str:
        """How the network is written."""
        return name_of(self.network) + (f", {self.classes} classes" if self.classes else "")

    @property
    def phrase(self) -> str:
        """How the network is written inside a sentence: "the VGG-like network with ten classes"."""
        return phrase_of(self.network) + (
            f" with {phrases.number(self.classes)} classes" if self.classes else ""
        )

    @property
    def seeds(self) -> int:
        """How many networks a setting has."""
        return int(self.table["seed"].nunique())

    def values(self, setting: Setting, measure: Measure) -> NDArray[np.float64]:
        """One value a seed, in the order of the seeds; NaN for a run that diverged."""
        return measure.factor * values(self.table, self.network, *setting, *measure.key)

    def penalty(self, setting: Setting, name: str) -> NDArray[np.float64]:
        """The mean of a penalty's own term over the images, one value a seed."""
        return values(self.table, self.network, *setting, "none", name)

    def class_sum_share(self, setting: Setting, classes: int) -> Interval:
        """How much of μ² is ‖V1‖²/K, which the Jacobian penalty sees and cross-Lipschitz does not, in %.

        The rest of μ² is (K/2)·ν², with ν² as `theory.cross_lipschitz_squared` counts it.
        """
        mu2, nu2 = (self.penalty(setting, name) for name in ("jacobian", "cross-lipschitz"))
        share = np.clip(1 - classes / 2 * nu2 / mu2, 0.0, 1.0)  # the stored digits are rounded
        return mean_interval(100 * share, span=(0.0, 100.0))

    def interval(self, setting: Setting, measure: Measure, level: float = 0.95) -> Interval:
        """The mean over seeds, and its interval."""
        return measure.interval(self.values(setting, measure) / measure.factor, level)

    def difference(self, first: Setting, second: Setting, measure: Measure, level: float = 0.95) -> Interval:
        """First − second, paired over seeds."""
        gap = paired_difference(self.values(first, measure), self.values(second, measure), level)
        return gap.cut(measure.difference_span)

    def weights(self, penalty: str) -> list[float]:
        """The λ at which a penalty was run, in ascending order."""
        return weights_of(self.table, self.network, penalty)

    def settings(self, *penalties: str) -> list[Setting]:
        """Every setting of these penalties, λ ascending for each."""
        return [(name, weight) for name in penalties for weight in self.weights(name)]

    def diverged(self) -> dict[Setting, int]:
        """Each setting's number of seeds that ended in NaN, without benign accuracy, where there are some."""
        return dict(self._diverged)

    @cached_property
    def _diverged(self) -> dict[Setting, int]:
        intervals = interval_by_setting(self.table, self.network, BENIGN)
        return {setting: interval.dropped for setting, interval in intervals.items() if interval.dropped}

    def whole(self, *penalties: str) -> list[Setting]:
        """The settings of these penalties at which no seed diverged."""
        diverged_seeds = self.diverged()
        return [setting for setting in self.settings(*penalties) if setting not in diverged_seeds]

    def highest(self, measure: Measure, *penalties: str) -> float:
        """The largest mean over the settings of these penalties, also those at which some seeds diverged."""
        return float(np.nanmax([self.interval(s, measure).mean for s in self.settings(*penalties)]))

    def worth_of_an_image(self, *penalties: str) -> float:
        """Points of accuracy that one test image is worth: the smallest step between two accuracies."""
        every = np.concatenate([self.values(setting, BENIGN) for setting in self.settings(*penalties)])
        return float(np.diff(np.unique(every[~np.isnan(every)].round(4))).min())

    def best(self, penalty: str, measure: Measure) -> Setting:
        """A penalty's setting with the largest mean: the same seeds choose and are shown."""
        return max(self.whole(penalty), key=lambda setting: self.interval(setting, measure).mean)


def by_network(table: pd.DataFrame, classes: int | None = None) -> Iterator[NetworkResults]:
    """The results of each network, in the table's order."""
    for network in table["network"].unique():
        yield NetworkResults(table[table["network"] == network], network, classes)


def most_complete(networks: Iterable[NetworkResults]) -> NetworkResults:
    """The network with the most seeds; of equals, that with the most settings."""
    return max(networks, key=lambda n: (n.seeds, len(n.table[["penalty", "lambda"]].drop_duplicates())))
