"""Tables of robustness: accuracy and distances of an ensemble's members under four attacks.

One row an attack and a metric, with one value a member. Accuracy counts all images given; a
distance counts those that the member classifies correctly and the attack then fools, and is
never reported without the attack's success rate. Beside each of them stands the share of
examples that saturated: at p_y = 1 in working precision many an attack stands still, and what
it then reports is not to be trusted. A member that diverged gets NaN everywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regrob.affine.local_map import LocalMap, local_map
from regrob.attacks._common import AttackResult
from regrob.attacks.carlini_wagner import carlini_wagner
from regrob.attacks.deepfool import deepfool
from regrob.attacks.fgsm import fgsm
from regrob.attacks.pgd import pgd
from regrob.checks import ImageLabels, Images
from regrob.ensembles.ensemble import Ensemble
from regrob.ensembles.network_view import StackedPullback
from regrob.errors import VanishingGradientWarning
from regrob.theory import PENALTIES, PENALTY_NAMES, probability


@dataclass(frozen=True)
class AttackSettings:
    """How hard the attacks try.

    Attributes:
        epsilon: ε of FGSM and PGD, in pixels' units.
        images: how many held-out images FGSM, PGD and DeepFool see; None for all.
        searched_images: how many PGD and DeepFool see, if not 0.
        distance_images: how many Carlini and Wagner's attack sees; None for all.
        carlini_wagner: its settings, by the names of its arguments.
        at_once: images of one member in memory at a time.
    """

    epsilon: float = 0.1
    images: int | None = None
    distance_images: int | None = 200
    carlini_wagner: dict[str, Any] = field(default_factory=dict)
    at_once: int = 250
    searched_images: int = 0


Row = tuple[str, str, list[float]]
"""Attack, metric, and one value a member."""

PROPERTIES = ("accuracy", "loss", "probability", "logit-margin", *PENALTY_NAMES)
ROWS = (
    *(("none", metric) for metric in PROPERTIES),
    *((attack, metric) for attack in ("fgsm", "pgd") for metric in ("accuracy", "saturated")),
    *(
        (attack, metric)
        for attack in ("deepfool", "carlini-wagner")
        for metric in ("distance", "success", "saturated")
    ),
)
"""The attacks and metrics of all rows, in their order; "none" is no attack.

Tables from before "saturated" was kept lack its rows.
"""


class SingleNetwork:
    """One network, of any kind, with the methods of an ensemble of one that `evaluate` needs.

    The network is in eval mode, on the images' device.
    """

    members = 1

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.weights = next(network.parameters())

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """(1, N, …) → (1, N, K)."""
        z: Tensor = self.network(images[0])
        return z[None]

    def local_maps(self, images: Tensor) -> LocalMap:
        """V (1, N, n, K) and z (1, N, K)."""
        V, z = local_map(self.network, images[0], check=False)
        return LocalMap(V[None], z[None])


def evaluate(
    ensemble: Ensemble | SingleNetwork,
    images: Images,
    labels: ImageLabels,
    settings: AttackSettings,
    *,
    skip: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, list[Row]]]:
    """Attack every member with the same images; yield each attack's rows as they are ready.

    `skip` names the attacks whose rows are known already.

    >>> others = frozenset({"none", "pgd", "deepfool", "carlini-wagner"})
    >>> x, y = torch.tensor([[0.6, 0.4]]), torch.tensor([0])
    >>> list(evaluate(SingleNetwork(nn.PReLU()), x, y, AttackSettings(epsilon=0.2), skip=others))
    [('fgsm', [('fgsm', 'accuracy', [0.0]), ('fgsm', 'saturated', [0.0])])]
    """
    members = ensemble.network if isinstance(ensemble, SingleNetwork) else StackedPullback(ensemble)
    one_step = slice(settings.images)
    searched = slice(settings.searched_images or settings.images)
    distances = slice(settings.distance_images)
    epsilon = settings.epsilon
    if "none" not in skip:
        yield "none", _properties(ensemble, images[one_step], labels[one_step], settings.at_once)
    attacks: dict[str, tuple[slice, Callable[[Tensor, Tensor], AttackResult]]] = {
        "fgsm": (one_step, lambda x, y: fgsm(members, x, y, epsilon=epsilon)),
        "pgd": (searched, lambda x, y: pgd(members, x, y, epsilon=epsilon, stop_at_success=True)),
        "deepfool": (searched, lambda x, y: deepfool(members, x, y)),
        "carlini-wagner": (distances, lambda x, y: carlini_wagner(members, x, y, **settings.carlini_wagner)),
    }
    for name, (part, attack) in attacks.items():
        if name not in skip:
            yield name, _attacked(ensemble, images[part], labels[part], name, attack, settings.at_once)


def _attacked(
    ensemble: Ensemble | SingleNetwork,
    images: Tensor,
    labels: Tensor,
    name: str,
    attack: Callable[[Tensor, Tensor], AttackResult],
    at_once: int,
) -> list[Row]:
    """The rows of one attack."""
    M = ensemble.members
    success, distance, correct, counted, saturated = [], [], [], [], []
    for x, y in zip(images.split(at_once), labels.split(at_once), strict=True):
        repeated_x, repeated_y = x.repeat(M, *(1,) * (x.ndim - 1)), y.repeat(M)  # member by member
        with warnings.catch_warnings():  # the rows say how many examples saturated
            warnings.simplefilter("ignore", VanishingGradientWarning)
            attacked = attack(repeated_x, repeated_y)
        correct.append(attacked.correct.view(M, -1))
        counted.append(attacked.counted.view(M, -1))
        success.append(attacked.success.view(M, -1))
        distance.append(attacked.distance.view(M, -1))
        saturated.append(attacked.saturated_mask.view(M, -1))
    saturated_row: Row = (name, "saturated", torch.cat(saturated, 1).double().mean(dim=1).tolist())
    if name in ("fgsm", "pgd"):
        return [(name, "accuracy", (~torch.cat(success, 1)).double().mean(dim=1).tolist()), saturated_row]
    weight, size = torch.cat(counted, 1).double(), torch.cat(distance, 1).double()
    mean = (size * weight).nan_to_num().sum(dim=1) / weight.sum(dim=1)
    rate = weight.sum(dim=1) / torch.cat(correct, 1).double().sum(dim=1)
    return [(name, "distance", mean.tolist()), (name, "success", rate.tolist()), saturated_row]


def _properties(
    ensemble: Ensemble | SingleNetwork, images: Tensor, labels: Tensor, at_once: int
) -> list[Row]:
    """Accuracy, mean loss and p_y, and the means of the four penalties and of the margin."""
    sums: dict[str, Tensor] = {}
    for x, y in zip(images.split(at_once), labels.split(at_once), strict=True):
        V, z = ensemble.local_maps(x.expand(ensemble.members, *x.shape))
        member_labels = y.expand(z.shape[:-1])
        values = {
            "accuracy": (z.argmax(dim=-1) == y).to(z),
            "loss": probability.loss(z, member_labels),
            "probability": probability.label_probability(z, member_labels),
            "logit-margin": probability.logit_margin(z, member_labels),
            **{name: penalty(V, z, member_labels) for name, penalty in PENALTIES.items()},
        }
        for metric, value in values.items():
            sums[metric] = sums.get(metric, torch.zeros((), device="cpu")) + value.double().sum(dim=1).cpu()
    return [("none", metric, (value / len(labels)).tolist()) for metric, value in sums.items()]
