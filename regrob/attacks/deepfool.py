"""DeepFool: step to the nearest boundary of the local affine classifier, until the class changes."""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.attacks._common import (
    AttackResult,
    Box,
    Goal,
    Network,
    conclude,
    gap_and_coefficients,
    inside,
    over_pixels,
    prepare,
    rival_logits,
    saturates,
)
from regrob.checks import ImageLabels, ImageLogits, Images, check_count, check_size
from regrob.ensembles.network_view import Pullback, ScaledPullback
from regrob.errors import InputError
from regrob.notebook import bar
from regrob.theory.margin import shortest_length

SMALLEST_STEP = 1e-4
"""Added to every distance, so that a point on a boundary still moves across it."""


def deepfool(
    network: Network,
    images: Images,
    labels: ImageLabels,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int | None = 10,
    box: Box = (0.0, 1.0),
    targets: ImageLabels | None = None,
) -> AttackResult:
    """The ℓ2 attack of Moosavi-Dezfooli et al. (2016).

    Each step goes to the exact boundary of the current polytope's affine classifier,
    d = min_j (z_y − z_j)/‖v_y − v_j‖; the sum of steps is stretched by `overshoot`. For a
    network that is affine everywhere one step is optimal. Examples that are fooled rest.

    Args:
        steps: at most this many, 50 in the original.
        overshoot: 0.02 in the original.
        candidates: how many classes count, 10 in the original: the label, and those that lead
            among the others at the image. A step costs a gradient for each. None for all K.
        targets: step to the boundary between the target and whichever class leads.

    Raises:
        InputError: see `prepare`; fewer than one step; a negative overshoot; fewer than two
            candidates.

    >>> from torch import nn
    >>> attacked = deepfool(nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]))
    >>> round(float(attacked.distance), 3)  # √2/10 and the overshoot
    0.144
    """
    check_count("steps", steps)
    check_size("overshoot", overshoot)
    if candidates is not None and candidates < 2:
        raise InputError(f"candidates must be at least 2, the label and a rival, got {candidates}")
    given = prepare(network, images, labels, targets=targets, box=box)
    x, goal = given.images, given.goal
    view: Pullback = ScaledPullback(given.view, given.z)
    rivals = _leading_rivals(given.z, labels, candidates)
    saturated = saturates(given.z, labels)
    perturbed = x.clone()
    # Of the examples that are not fooled yet (and, in an ensemble, of some that are):
    active = torch.arange(len(x), device=x.device)
    point, origin, total = x, x, torch.zeros_like(x)
    for _ in bar(range(steps), title="DeepFool"):
        wanted = goal.among(active)
        if targets is None:
            among = None if rivals is None else rivals[active]
            distance, normal, z = view.nearest(point, wanted.labels, among)
        else:
            distance, normal, z = _towards(view, point, wanted)
        going = ~wanted.reached(z)
        if not bool(going.any()):
            break
        size = torch.where(going, distance + SMALLEST_STEP, 0.0)
        total = total.addcmul(over_pixels(size, x), normal)  # those that are fooled stay where they are
        point = inside(torch.add(origin, total, alpha=1.0 + overshoot), given.box)
        perturbed[active] = point
        packed = view.pack(going)
        if packed is not None:
            kept, view = packed
            active, point, origin, total = active[kept], point[kept], origin[kept], total[kept]
    return conclude(given, perturbed, norm="l2", saturated=saturated)


def _leading_rivals(z: ImageLogits, labels: ImageLabels, candidates: int | None) -> Tensor | None:
    """The other classes that lead, one fewer than `candidates`: (N, candidates − 1); None if that is all."""
    if candidates is None or candidates >= z.shape[1]:
        return None
    return rival_logits(z, labels).topk(candidates - 1, dim=1).indices


def _towards(view: Pullback, point: Images, wanted: Goal) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the boundary between the target and the leading class, its normal, and the logits."""
    normal, z = view.gradient(point, lambda z: -gap_and_coefficients(z, wanted, 0.0)[1])
    gap, _ = gap_and_coefficients(z, wanted, 0.0)
    length = torch.linalg.vector_norm(normal.flatten(1), dim=1).maximum(shortest_length(z))
    return gap.abs() / length, normal / over_pixels(length, point), z
