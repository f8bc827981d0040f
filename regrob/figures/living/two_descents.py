"""Proposition 3.4 in the plane of two weights: drop a start, and watch two descents from it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from regrob.errors import InputError
from regrob.figures.living.frame import Living, living
from regrob.figures.theme import style
from regrob.figures.valley import valley_and_bowl

RATE, STEPS, REACH = 0.2, 3000, 2.0


def mean_loss(difference: Tensor, labels: tuple[int, int]) -> Tensor:
    """The mean loss over images x = 1, so many with label + and so many with −, given v₊ − v₋."""
    right, wrong = labels
    total = right * functional.softplus(-difference) + wrong * functional.softplus(difference)
    return total / (right + wrong)


def two_descents(labels: tuple[int, int] = (2, 1), *, weight: float = 0.1) -> Living:
    """Contours of both penalised losses over (v₊, v₋), and gradient descent on each from one start.

    Args:
        labels: how many images x = 1 have the label +, and how many −.
        weight: λ at the start, from 0.02 to 1.

    Raises:
        InputError: no image, or another weight.
    """
    if min(labels) < 0 or sum(labels) < 1 or not 0.02 <= weight <= 1:
        raise InputError(
            f"labels must count some image and weight lie in [0.02, 1], got {labels} and {weight}"
        )
    grid = torch.linspace(-REACH, REACH, 161, dtype=torch.float64)
    plus, minus = torch.meshgrid(grid, grid, indexing="xy")
    loss = mean_loss(plus - minus, labels)
    with style():
        still = valley_and_bowl(
            grid, loss + weight * (plus - minus) ** 2 / 2, loss + weight * (plus**2 + minus**2)
        )
    return living(
        "two_descents",
        {
            "labels": list(labels),
            "weight": weight,
            "rate": RATE,
            "steps": STEPS,
            "reach": REACH,
            "start": [0.2, 1.7],
        },
        alt="Two planes of the weights v₊ and v₋ with contours of a penalised loss. Left, cross- "
        "Lipschitz: a straight valley along the diagonal; its whole floor is optimal. Right, "
        "Jacobian: a bowl with one lowest point, where the valley meets the line v₋ = −v₊. From one "
        "movable start a path of gradient descent runs in each plane: to the nearest point of the "
        "valley, and to the one lowest point.",
        still=still,
        predict=(
            "Both descents begin at the same weights. From which starts do they end at the same weights?",
            "From the dotted line v₋ = −v₊, and only from there: then they agree step by step. From "
            "elsewhere both reach the same v₊ − v₋, but the cross-Lipschitz descent never moves the sum "
            "v₊ + v₋.",
        ),
    )
