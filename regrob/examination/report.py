"""`examine`: what is known about a network of the reader's own, in one object."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from regrob import affine
from regrob.analysis.proved import withstanding
from regrob.attacks import AttackResult, boundary_projection, deepfool
from regrob.attacks._common import FunctionNetwork, require_logits
from regrob.certificates import certificate
from regrob.checks import check_budget, check_gradient
from regrob.errors import InputError, RegrobError
from regrob.examination import applicable, image_files
from regrob.examination.certification import certify, median_bracket
from regrob.examination.image_files import LabelledImages
from regrob.examination.measure import HYPOTHESES, QUANTITIES, images_at_once, measure
from regrob.examination.network_file import LogitsOf
from regrob.examination.on_kinks import kink_notice
from regrob.examination.ready import logits_of, ready
from regrob.theory import PENALTY_NAMES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MOST_RADII = 8
"""So many radii are shown with the share of images that withstand them."""

WORST = 10
"""So many images of a kind are shown."""

ProgressCallback = Callable[[str, float], None]
"""Called with what is being done and the share that is done."""


@dataclass(frozen=True)
class NetworkFacts:
    """What the network is.

    Attributes:
        name: its class.
        layers: kind of layer → how many.
        parameters: how many numbers it has learned.
        inputs, classes: n and K.
        obstacle: why it is not piecewise linear, in words; None if it is.
        dtype: in which it was examined.
    """

    name: str
    layers: dict[str, int]
    parameters: int
    inputs: int
    classes: int
    obstacle: str | None
    dtype: str

    @property
    def piecewise_linear(self) -> bool:
        """Whether the theory of the local map speaks of it."""
        return self.obstacle is None


class Distribution(NamedTuple):
    """Quartiles and extremes of a column, and how many images it is known for."""

    least: float
    lower: float
    median: float
    upper: float
    largest: float
    images: int


class PenaltyWeight(NamedTuple):
    """A penalty's mean on these images, and the λ that makes it a tenth of the mean loss."""

    mean: float
    tenth: float


@dataclass(frozen=True)
class Examination:
    """Everything `examine` found out; `print` it, `.to_dict()`, `.to_html()`, or display it in a notebook.

    Attributes:
        network: what it is.
        data: the images that were looked at.
        table: one row an image: the columns of `QUANTITIES` and `HYPOTHESES`, label, prediction, loss.
        notices: what a reader should know before trusting a number.
        claims: what the ledger says of networks like this one.
        seconds: wall time.
    """

    network: NetworkFacts
    data: LabelledImages
    table: pd.DataFrame
    notices: tuple[str, ...]
    claims: tuple[applicable.Statement, ...]
    seconds: float
    labelled: bool = True
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of the images classified correctly; NaN without labels."""
        return float(self.table["correct"].mean()) if self.labelled else math.nan

    @property
    def hypotheses(self) -> dict[str, float]:
        """Hypothesis of the theory → on which share of the images it holds."""
        return {name: float(self.table[name].mean()) for name in HYPOTHESES if name in self.table}

    @property
    def distributions(self) -> dict[str, Distribution]:
        """Quantity → its quartiles, over the images for which it is defined."""
        distributions = {}
        for name in QUANTITIES:
            values = self.table[name].to_numpy(float) if name in self.table else np.empty(0)
            values = values[~np.isnan(values)]
            if len(values):
                # Not by interpolation: a length may be infinite.
                ends = np.quantile(values, [0, 0.25, 0.5, 0.75, 1], method="closest_observation")
                least, lower, median, upper, largest = map(float, ends)
                distributions[name] = Distribution(least, lower, median, upper, largest, len(values))
        return distributions

    @property
    def penalties(self) -> dict[str, PenaltyWeight]:
        """Penalty → its mean, and the λ that makes it a tenth of the mean loss."""
        loss = float(self.table["loss"].mean())
        columns = {
            "input-gradient": self.table["gradient"] ** 2,
            "jacobian": self.table["lipschitz"] ** 2,
            "curvature": self.table["curvature"],
            "cross-lipschitz": self.table["cross_lipschitz_squared"],
        }
        means = {name: float(columns[name].mean()) for name in PENALTY_NAMES}
        return {
            name: PenaltyWeight(mean, loss / (10 * mean) if mean > 0 else math.inf)
            for name, mean in means.items()
            if not math.isnan(mean)
        }

    @property
    def prediction(self) -> dict[str, float]:
        """Margin of the local map against the attack's distance: rank correlation, median ratio, count."""
        if "attacked" not in self.table:
            return {}
        both = self.table[["margin", "attacked"]].dropna().query("0 < margin < inf")
        if len(both) < 2:
            return {}
        ratio = both["attacked"] / both["margin"]
        return {
            "rank_correlation": float(both["margin"].rank().corr(both["attacked"].rank())),
            "median_ratio": float(ratio.median()),
            "images": len(both),
        }

    @property
    def proof(self) -> dict[str, Any]:
        """What is proved of the sampled images; empty if nothing is.

        `images`: how many; `ended`: why a proof ended → how often; `median`: between what the median true
        distance lies; `withstanding`: a list of radii, each with the share of images of which no mistake is
        nearer (`proved`), and that of which none is known (`known`).
        """
        if "certified" not in self.table:
            return {}
        rows = self.table.dropna(subset=["certified"])
        certified, found = rows["certified"].to_numpy(float), rows["found"].to_numpy(float)
        radii = _round_radii(certified, found)
        shares = zip(radii, withstanding(certified, radii), withstanding(found, radii), strict=True)
        return {
            "images": len(rows),
            "ended": dict(Counter(rows["ended"]).most_common()),
            "median": list(median_bracket(certified.tolist(), found.tolist())),
            "withstanding": [
                {"radius": float(radius), "proved": float(proved), "known": float(known)}
                for radius, proved, known in shares
            ],
        }

    @property
    def main_quantity(self) -> str:
        """What the worst images are sorted by if nothing is said: the margin, or p_y where there is none."""
        return "margin" if "margin" in self.distributions else "probability"

    def worst(self, quantity: str | None = None) -> pd.DataFrame:
        """The ten images with the worst value of a quantity, among those for which it is defined.

        Worst is smallest, or largest where `QUANTITIES` says so: of ν, μ, the gradient, the curvature.

        Args:
            quantity: a key of `QUANTITIES`; `main_quantity` if None.

        Raises:
            InputError: there is no such quantity.
        """
        quantity = quantity or self.main_quantity
        if quantity not in QUANTITIES:
            raise InputError(f"no quantity is called {quantity!r}; there are {', '.join(QUANTITIES)}")
        if quantity not in self.table:
            return self.table.head(0)
        rows = self.table.loc[self.table[quantity].notna()]
        ordered = rows.sort_values(quantity, ascending=not QUANTITIES[quantity].large_is_worse, kind="stable")
        return ordered.head(WORST)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain numbers and words, for JSON; NaN and infinity become None and "inf"."""
        rows = self.table.to_dict(orient="records")
        plain = {
            "network": asdict(self.network) | {"piecewise_linear": self.network.piecewise_linear},
            "data": {
                "source": self.data.source,
                "images": len(self.table),
                "shape": list(self.data.images.shape[1:]),
            },
            "accuracy": self.accuracy,
            "notices": list(self.notices),
            "hypotheses": self.hypotheses,
            "distributions": {name: d._asdict() for name, d in self.distributions.items()},
            "prediction": self.prediction,
            "proof": self.proof,
            "penalties": {name: weight._asdict() for name, weight in self.penalties.items()},
            "worst": {name: self.worst(name).index.tolist() for name in self.distributions},
            "claims": [statement._asdict() for statement in self.claims],
            "settings": self.settings,
            "seconds": self.seconds,
            "images": rows,
        }
        converted: dict[str, Any] = _plain(plain)
        return converted

    def to_html(self) -> str:
        """One self-contained page."""
        from regrob.examination.page import page

        return page(self)

    def _repr_html_(self) -> str:
        from regrob.examination.page import fragment

        return fragment(self)

    def __str__(self) -> str:
        from regrob.examination.terminal import text

        return text(self)


def _round_radii(certified: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round numbers, 1, 2 and 5 times powers of ten, from the least that is proved to the farthest known."""
    lengths = np.concatenate([certified, found])
    lengths = lengths[np.isfinite(lengths) & (lengths > 0)]
    if not len(lengths):
        return np.empty(0)
    least, most = lengths.min(), lengths.max()
    first = math.floor(math.log10(least))
    steps = [m * 10.0**k for k in range(first, math.floor(math.log10(most)) + 1) for m in (1, 2, 5)]
    inside = [step for step in steps if least / 2.5 < step < most]
    return np.array(inside[-MOST_RADII:])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(value) if math.isfinite(value) else str(float(value))
    return value


def examine(
    network: nn.Module | Callable[[Tensor], Tensor],
    images: Tensor | LabelledImages,
    labels: Tensor | None = None,
    *,
    sample: int = 20,
    seconds: float = 0.5,
    box: tuple[float, float] | str | None = "auto",
    classes: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> Examination:
    """What is known about a network at some images: the theory's quantities, certificates, attacks.

    The network is looked at in eval mode and left as it was. A network in half precision is
    copied to float32; one that returns a tuple or an object is reduced to its logits.

    Args:
        network: maps images (N, …) to logits (N, K).
        images: (N, …) tensor or array, or what `image_files.read` gives.
        labels: (N,) whole numbers; the predicted classes if None.
        sample: how many correctly classified images are attacked, and get a certificate and a proof.
        seconds: for the proof of each of these, at most: `certify` closes in on the true distance. 0: none.
        box: range of a pixel that the attacks keep to; "auto": [0, 1] if all pixels lie in it,
            else none; None for no constraint.
        classes: names of the labels.
        progress: called with a few words and the share done.

    Raises:
        InputError: images, labels or logits that do not fit together.
        NotPiecewiseLinearError: the network couples its examples, or is random in training mode.

    >>> from regrob.networks import mlp
    >>> torch.manual_seed(0); network = mlp((6, 8, 3))
    <torch._C.Generator object at ...>
    >>> examination = examine(network, torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1]))
    >>> examination.network.piecewise_linear, len(examination.table)
    (True, 5)
    """
    started = time.perf_counter()
    if sample < 0:
        raise InputError(f"sample must be at least 0, got {sample}")
    check_budget(seconds)
    data = images if isinstance(images, LabelledImages) else image_files.from_arrays(images, labels)
    if classes:
        data = replace(data, classes=tuple(classes))
    notify: ProgressCallback = progress or (lambda words, share: None)
    with torch.inference_mode(mode=False):
        notices = list(data.notices)
        model, x, y, pixels, labelled = ready(network, data, box, notices)
        facts = _facts(model, x, notices)
        budget = seconds * min(sample, len(x)) if facts.piecewise_linear else 0.0
        notify(_estimate(model, x, facts.classes, budget), 0.0)
        table = _table(model, x, y, facts, notify)
        table.insert(0, "image", list(data.names))
        if facts.piecewise_linear and not table["off_kinks"].all():
            on_kinks = torch.tensor(~table["off_kinks"].to_numpy(bool))
            notices.append(kink_notice(model, x, on_kinks.to(x.device), facts.classes))
        chosen, attacked = _sampled(table, model, x, y, facts, pixels, sample, notices, notify)
        if facts.piecewise_linear and len(chosen) and seconds > 0:
            _prove(table, model, x, y, chosen, attacked, pixels, seconds, notices, notify)
    return Examination(
        facts,
        data,
        table,
        tuple(notices),
        applicable.statements(facts.classes, facts.piecewise_linear, _has_biases(model), table),
        time.perf_counter() - started,
        labelled,
        {"sample": sample, "seconds": seconds, "box": None if pixels is None else list(pixels)},
    )


# --- before anything runs --------------------------------------------------------------


def _facts(model: nn.Module, x: Tensor, notices: list[str]) -> NetworkFacts:
    affine.require_frozen_statistics(model)
    z = logits_of(model, x[:4])
    with torch.no_grad():
        require_logits(model, x[:4], z)
    report, refusal = affine.verdict(model, x)
    if refusal is not None:
        notices.append("the network is not piecewise linear: curvature, radii and certificates are left out")
    return NetworkFacts(
        _name(model),
        dict(Counter(report.layers).most_common()),
        report.parameters,
        x[0].numel(),
        z.shape[1],
        None if refusal is None else str(refusal),
        str(x.dtype).removeprefix("torch."),
    )


def _name(model: nn.Module) -> str:
    inner: Any = model
    if isinstance(model, FunctionNetwork):
        inner = model.function
    elif isinstance(model, LogitsOf):
        inner = model.network
    return str(getattr(inner, "__name__", type(inner).__name__))


def _has_biases(model: nn.Module) -> bool:
    return any(getattr(module, "bias", None) is not None for module in model.modules())


def _estimate(model: nn.Module, x: Tensor, classes: int, budget: float) -> str:
    """What is about to run, with time and memory from one image's backward pass, and the proofs' budget."""
    image = x[:1].clone().requires_grad_(True)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        with torch.enable_grad():
            z = model(image)
            check_gradient(z)
            torch.autograd.grad(z[:, 0].sum(), image, allow_unused=True)
        seconds.append(time.perf_counter() - started)
    total = min(seconds) * classes * len(x)
    memory = 2 * images_at_once(x[0], classes) * x[0].numel() * classes * x.element_size()
    return (
        f"{len(x)} images, {classes} classes: at most about {_duration(total)} for the local maps, "
        f"{memory / 2**20:,.0f} MiB for the Jacobians"
        + (f"; at most {_duration(budget)} for the proofs" if budget else "")
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


# --- what runs -------------------------------------------------------------------------


def _table(
    model: nn.Module, x: Tensor, y: Tensor, facts: NetworkFacts, notify: ProgressCallback
) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for part in measure(model, x, y, piecewise_linear=facts.piecewise_linear):
        parts.append(part)
        notify("local maps", sum(map(len, parts)) / len(x))
    return pd.concat(parts, ignore_index=True)


def _sampled(
    table: pd.DataFrame,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    facts: NetworkFacts,
    box: tuple[float, float] | None,
    sample: int,
    notices: list[str],
    notify: ProgressCallback,
) -> tuple[NDArray[np.int64], Tensor]:
    """Add the columns that cost more than a local map, for the first so many correct images.

    Returns:
        Which images these are, and where the attack left them.
    """
    chosen = np.flatnonzero(table["correct"].to_numpy(bool))[:sample]
    if len(chosen) == 0:
        return chosen, x[:0]
    if facts.piecewise_linear:
        try:
            certified = []
            for count, i in enumerate(chosen.tolist(), start=1):
                certified.append(certificate(model, x[i : i + 1], y[i : i + 1], check=False))
                notify("certificates", count / len(chosen))
            table.loc[chosen, "edge"] = [float(of_image.edge) for of_image in certified]
            table.loc[chosen, "certificate"] = [float(of_image.radius) for of_image in certified]
        except RegrobError as error:
            notices.append(f"no certificate: {error}")
    attacked, name = _attack(model, x[chosen], y[chosen], box, facts.piecewise_linear)
    success = attacked.counted.cpu().numpy()
    distance = np.where(success, attacked.distance.double().cpu().numpy(), np.nan)
    table.loc[chosen, "attacked"] = distance
    notify("attacks", 1.0)
    if not success.all():
        notices.append(f"{name} failed on {int((~success).sum())} of {len(chosen)} images")
    if attacked.saturated:
        notices.append(
            f"p_y rounds to one on {attacked.saturated} of the attacked images; "
            "attacks that differentiate the loss lose their way there"
        )
    return chosen, attacked.images


def _prove(
    table: pd.DataFrame,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    chosen: NDArray[np.int64],
    attacked: Tensor,
    box: tuple[float, float] | None,
    seconds: float,
    notices: list[str],
    notify: ProgressCallback,
) -> None:
    """Add the interval in which the true distance lies, and why it is not shorter."""
    try:
        known = certify(
            model, x[chosen], y[chosen], seconds=seconds, box=box, starts=attacked, progress=notify
        )
    except RegrobError as error:
        notices.append(f"no proof but the certificate: {error}")
        return
    found = known.found.cpu().numpy()
    proved = np.fmax(known.certified.cpu().numpy(), table.loc[chosen].get("certificate", math.nan))
    table.loc[chosen, "certified"] = np.minimum(proved, found)
    table.loc[chosen, "found"] = found
    table.loc[chosen, "ended"] = list(known.reasons)


def _attack(
    model: nn.Module, x: Tensor, y: Tensor, box: tuple[float, float] | None, piecewise_linear: bool
) -> tuple[AttackResult, str]:
    if piecewise_linear:
        return boundary_projection(model, x, y, box=box), "boundary projection"
    return deepfool(model, x, y, box=box), "DeepFool"
