"""The loss along the ray through the boundary: drag p_y, and its quadratic model leaves the loss behind."""

from __future__ import annotations

import math

from regrob.errors import InputError
from regrob.figures.living.frame import Living, living
from regrob.figures.taylor_radius import loss_and_model

MARKS = (0.6, 0.9, 0.99, 0.999, 0.9999)


def taylor_ray(probability: float = 0.9) -> Living:
    """Loss and quadratic model along ∇, and both distances to log 2 over the probability.

    Args:
        probability: p_y at the start, between 0.55 and 0.9999.

    Raises:
        InputError: another probability.
    """
    low, high = math.log(0.55 / 0.45), math.log(0.9999 / 0.0001)
    start = math.log(probability / (1 - probability)) if 0 < probability < 1 else math.nan
    if not low <= start <= high:
        raise InputError(f"probability must lie between 0.55 and 0.9999, got {probability}")
    data = {
        "low": low,
        "high": high,
        "start": start,
        "marks": [[str(p), math.log(p / (1 - p))] for p in MARKS],
    }
    return living(
        "taylor_ray",
        data,
        alt="Left, over the predicted probability, two rising curves on a logarithmic axis: the margin m "
        "and the Taylor distance τ, which runs away from it. Right, the loss along a straight line, and a "
        "parabola that touches it at the start; the loss reaches log 2 at m, the parabola only at τ.",
        still=loss_and_model(probability),
        predict=(
            "The classifier grows more certain. Its boundary moves away from the input. Does the "
            "parabola's boundary keep up, fall behind, or run ahead?",
            "It runs ahead. The true distance grows like the logarithm of the odds. The parabola was "
            "fitted where the loss is almost flat, and its distance grows like their square root.",
        ),
    )
