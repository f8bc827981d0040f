"""Does the theory predict the attack? Lengths that the local map knows, beside those that attacks find.

Four numbers are known at the image itself, before any attack: ‖r*‖₂, the distance to the
quadratic model's boundary; d, that to the affine classifier's; the distance to the nearest
kink, where both stop being the network; and the smaller of the last two, which no mistake
can undercut. An attack's distance is an upper bound of the same quantity from the far side.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regrob.affine.kinks import watch_bends
from regrob.affine.local_map import local_map
from regrob.attacks import boundary_projection, carlini_wagner, deepfool
from regrob.certificates.polytope import edge_distance
from regrob.checks import check_labels
from regrob.errors import InputError
from regrob.theory import derivatives, probability
from regrob.theory.exact_radius import exact_perturbation_l2
from regrob.theory.margin import margin_l2

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = ("radius", "margin", "edge", "certified")
"""Known at the image: ‖r*‖₂ at β = log K, d, the nearest kink, and min(d, the nearest kink)."""

ATTACKS = ("along", "deepfool", "carlini-wagner", "boundary-projection", "free", "found")
"""Found by trying: along r*; three attacks within the box of pixels; the last one without the
box; and the shortest of them all. NaN where nothing was found."""

INGREDIENTS = ("logit-margin", "cross-lipschitz")
"""What the two radii of two classes are made of: ‖r*‖₂ = τ(m)/ν and d = m/ν."""

RAY = 128
"""Points at which the ray along r* is tried, up to `FARTHEST` times d, before bisection."""

FARTHEST = 8.0


def measure(
    network: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    search_steps: int = 5,
    iterations: int = 200,
    learning_rate: float = 0.05,
) -> pd.DataFrame:
    """One row a correctly classified image: what is predicted, and what attacks find.

    The predictions are computed in float64, the attacks in the network's own precision.

    Args:
        network: piecewise linear, of modules, in eval mode.
        images: (N, …), pixels in [0, 1].
        labels: (N,), int64.
        search_steps, iterations, learning_rate: of Carlini and Wagner's attack.

    Returns:
        columns image, label, logit-margin, cross-lipschitz (its root, √ν² over ordered
        pairs), those of `PREDICTIONS` and `ATTACKS`, and about x + r*: stays (in the polytope
        of x), switched (share of units that changed sides), fools (is misclassified).

    Raises:
        InputError, NotPiecewiseLinearError: as `local_map` and `edge_distance`.
        HypothesisError: q = 1 − p_y underflows in float64.
    """
    import pandas as pd

    exact = copy.deepcopy(network).double()
    V, z = local_map(exact, images.double())
    check_labels(labels, z)
    kept = probability.correctly_classified(z, labels).nonzero().flatten()
    V, z, y, x = V[kept], z[kept], labels[kept], images[kept]
    if not len(kept):
        raise InputError("no image is classified correctly, so there is no distance to predict")
    r = exact_perturbation_l2(V, z, y).view(x.shape)
    there = x.double() + r
    margin = margin_l2(V, z, y)
    edge = torch.cat([edge_distance(exact, part) for part in x.double().split(50)])
    moved = pattern(exact, there) != pattern(exact, x.double())
    columns: dict[str, Tensor] = {
        "image": kept,
        "label": y,
        "logit-margin": probability.logit_margin(z, y),
        "cross-lipschitz": derivatives.cross_lipschitz_squared(V).sqrt(),
        "radius": r.flatten(1).norm(dim=1),
        "margin": margin,
        "edge": edge,
        "certified": torch.minimum(margin, edge),
        "stays": (~moved.any(dim=1)).to(torch.int64),
        "switched": moved.double().mean(dim=1).nan_to_num(0.0),
        "fools": (exact(there).argmax(dim=1) != y).to(torch.int64),
        "along": _along(network, x, y, r, FARTHEST * margin),
    }
    settings = {
        "binary_search_steps": search_steps,
        "max_iterations": iterations,
        "learning_rate": learning_rate,
    }
    runs = {
        "deepfool": deepfool(network, x, y),
        "carlini-wagner": carlini_wagner(network, x, y, **settings),  # type: ignore[arg-type]
        "boundary-projection": boundary_projection(network, x, y),
        "free": boundary_projection(network, x, y, box=None),
    }
    for name, run in runs.items():
        columns[name] = torch.where(run.success, run.distance.double(), torch.nan)
    tried = torch.stack([columns[name] for name in ATTACKS[:-1]])
    columns["found"] = tried.nan_to_num(torch.inf).amin(dim=0)
    return pd.DataFrame({name: value.detach().cpu().numpy() for name, value in columns.items()})


def pattern(network: nn.Module, images: Tensor) -> Tensor:
    """On which side every unit is, and which entry wins each pool: (N, M) int64, one row a polytope.

    Sees the modules ReLU, LeakyReLU, PReLU and MaxPool2d.
    """
    sides = [torch.zeros(len(images), 0, dtype=torch.int64, device=images.device)]

    def before(module: nn.Module, h: Tensor) -> None:
        if isinstance(module, nn.MaxPool2d):
            _, winner = nn.functional.max_pool2d(
                h, module.kernel_size, module.stride, module.padding, return_indices=True
            )
            sides.append(winner.flatten(1))
        else:
            sides.append((h > 0).flatten(1).to(torch.int64))

    with torch.no_grad(), watch_bends(network, before):
        network(images)
    return torch.cat(sides, dim=1)


@torch.no_grad()
def _along(network: nn.Module, x: Tensor, y: Tensor, r: Tensor, farthest: Tensor) -> Tensor:
    """How far along r the first mistake is, among `RAY` points up to `farthest`, bisected: (N,)."""
    shape = (-1, *(1,) * (x.ndim - 1))
    direction = r / r.flatten(1).norm(dim=1).view(shape)

    def fooled(t: Tensor) -> Tensor:
        wrong: Tensor = network(x + (t.view(shape) * direction).to(x)).argmax(dim=1) != y
        return wrong

    high = torch.full_like(farthest, torch.nan)
    for step in range(RAY, 0, -1):
        t = farthest * step / RAY
        high = torch.where(fooled(t), t, high)
    low = high - farthest / RAY
    for _ in range(16):
        middle = 0.5 * (low + high)
        wrong = fooled(middle.nan_to_num(0.0))
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return high


def summary(table: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    """(measure, prediction, attack, value) of one network's table.

    Measures: median (of a prediction or of an attack), mean (of what is a share), rank and
    linear (Spearman's and Pearson's correlation), ratio (median of prediction/attack), exceeds
    (share of images where the prediction is above what was found: no lower bound there).
    """
    rows = [("median", name, "", float(table[name].median())) for name in PREDICTIONS]
    rows += [("median", "", name, float(table[name].median())) for name in ATTACKS]
    rows += [("median", name, "", float(table[name].median())) for name in INGREDIENTS]
    rows += [("mean", name, "", float(table[name].mean())) for name in ("stays", "switched", "fools")]
    for name in PREDICTIONS:
        for attack in ATTACKS if name in ("radius", "margin") else ATTACKS[-1:]:
            pair = table[[name, attack]].dropna()
            first, second = pair[name], pair[attack]
            rows.append(("rank", name, attack, float(first.corr(second, method="spearman"))))
            rows.append(("linear", name, attack, float(first.corr(second))))
            rows.append(("ratio", name, attack, float((first / second).median())))
            rows.append(("exceeds", name, attack, float((first > second * (1 + 1e-4)).mean())))
    return rows
