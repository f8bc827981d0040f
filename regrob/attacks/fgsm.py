"""The fast gradient sign method: one step to a corner of the ℓ∞ ball."""

from __future__ import annotations

from torch import nn

from regrob.attacks._common import AttackResult, Box, ascent, conclude, inside, prepare
from regrob.checks import ImageLabels, Images, check_size
from regrob.ensembles.network_view import pullback


def fgsm(
    network: nn.Module,
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
    >>> fgsm(nn.Identity(), torch.tensor([[0.6, 0.4]]), torch.tensor([0]), epsilon=0.2).images
    tensor([[0.4000, 0.6000]])
    """
    check_size("epsilon", epsilon)
    x, goal, _ = prepare(network, images, labels, targets=targets, box=box)
    gradient, judged = ascent(pullback(network), x, goal)
    perturbed = inside(x + epsilon * gradient.sign(), box)
    return conclude(network, x, perturbed, goal, norm="linf", saturated=judged.saturated)
