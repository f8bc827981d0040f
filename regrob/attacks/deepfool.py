"""DeepFool: step to the nearest boundary of the local affine classifier, until the class changes."""

from __future__ import annotations

import torch
from torch import nn

from regrob.attacks._common import AttackResult, Box, conclude, inside, over_pixels, prepare, saturates
from regrob.checks import ImageLabels, Images, check_count, check_size
from regrob.ensembles.network_view import pullback

SMALLEST_STEP = 1e-4
"""Added to every distance, so that a point on a boundary still moves across it."""


def deepfool(
    network: nn.Module,
    images: Images,
    labels: ImageLabels,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    box: Box = (0.0, 1.0),
) -> AttackResult:
    """The ℓ2 attack of Moosavi-Dezfooli et al. (2016), over all K classes.

    Each step goes to the exact boundary of the current polytope's affine classifier,
    d = min_j (z_y − z_j)/‖v_y − v_j‖; the sum of steps is stretched by `overshoot`. For a
    network that is affine everywhere one step is optimal. Examples that are fooled rest.

    Args:
        steps: at most this many, 50 in the original.
        overshoot: 0.02 in the original.

    Raises:
        InputError: see `prepare`; fewer than one step; a negative overshoot.

    >>> attacked = deepfool(nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]))
    >>> round(float(attacked.distance), 3)  # √2/10 and the overshoot
    0.144
    """
    check_count("steps", steps)
    check_size("overshoot", overshoot)
    x, goal, z = prepare(network, images, labels, targets=None, box=box)
    view = pullback(network)
    saturated = saturates(z, labels)
    perturbed = x.clone()
    # Of the examples that are not fooled yet (and, in an ensemble, of some that are):
    active = torch.arange(len(x), device=x.device)
    point, origin, total = x, x, torch.zeros_like(x)
    for _ in range(steps):
        distance, normal, z = view.nearest(point, labels[active])
        correct = z.argmax(dim=1) == labels[active]
        if not bool(correct.any()):
            break
        size = torch.where(correct, distance + SMALLEST_STEP, 0.0)
        total = total.addcmul(over_pixels(size, x), normal)  # those that are fooled stay where they are
        point = inside(torch.add(origin, total, alpha=1.0 + overshoot), box)
        perturbed[active] = point
        packed = view.pack(correct)
        if packed is not None:
            kept, view = packed
            active, point, origin, total = active[kept], point[kept], origin[kept], total[kept]
    return conclude(network, x, perturbed, goal, norm="l2", saturated=saturated)
