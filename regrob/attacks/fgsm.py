"""The fast gradient sign method: one step to a corner of the ℓ∞ ball."""

from __future__ import annotations

from regrob.attacks._common import AttackResult, Box, Network, ascent, conclude, inside, prepare
from regrob.checks import ImageLabels, Images, check_size


def fgsm(
    network: Network,
    images: Images,
    labels: ImageLabels,
    *,
    epsilon: float = 0.1,
    box: Box = (0.0, 1.0),
    targets: ImageLabels | None = None,
) -> AttackResult:
    """x + ε sign ∇L(x, y), clipped to the box (Goodfellow et al. 2015).

    It maximises the loss over ‖r‖∞ ≤ ε exactly if the network is linear with two classes,
    box aside; Eq. (2) of the paper asks for that maximum in general.

    Args:
        epsilon: ε ≥ 0, in pixels' units.

    Raises:
        InputError: see `prepare`; a negative or infinite ε.

    >>> import torch
    >>> from torch import nn
    >>> fgsm(nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]), epsilon=0.2).images
    tensor([[0.4000, 0.6000]])
    """
    check_size("epsilon", epsilon)
    given = prepare(network, images, labels, targets=targets, box=box)
    gradient, judged = ascent(given.view, given.images, given.goal)
    perturbed = inside(given.images + epsilon * gradient.sign(), given.box)
    return conclude(given, perturbed, norm="linf", saturated=judged.saturated, gradient=gradient)
