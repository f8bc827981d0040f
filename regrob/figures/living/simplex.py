"""Three classes: drag the probabilities; gradient and curvature are a mean and a covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regrob.errors import InputError
from regrob.figures.living.frame import Living, living

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


THRESHOLDS = (
    "For three classes the uniform guess has loss log 3. Is an answer right as soon as its loss is below "
    "log 3? And can it still be right above log 3?",
    "Below log 3 it may be wrong: one rival can be more likely although the label has more than a third. "
    "Below log 2 it is surely right, above log 3 surely wrong; the band between decides nothing.",
)
CURVATURE = (
    "The label grows ever more certain. Does ‖H‖₂ become all of tr H, as it is for two classes?",
    "Not by certainty. On the way to the label's corner with the rivals in fixed proportion, ‖H‖₂ / tr H "
    "tends to a limit below one. It reaches one at the sides of the triangle, where a class has left.",
)
"""Two questions to predict: what a loss decides, and what share of the trace the curvature is."""


def simplex(
    vectors: Tensor,
    start: Tensor,
    *,
    label: int = 0,
    still: Figure | None = None,
    predict: tuple[str, str] = THRESHOLDS,
) -> Living:
    """The triangle of three probabilities beside the triangle of three class vectors.

    Args:
        vectors: V, (2, 3), one column a class.
        start: the probabilities at first, (3,).
        label: y, 0 to 2.
        still: the picture for paper.
        predict: question and answer, THRESHOLDS or CURVATURE.

    Raises:
        InputError: other shapes, or probabilities that do not sum to one.
    """
    if tuple(vectors.shape) != (2, 3) or tuple(start.shape) != (3,) or label not in range(3):
        raise InputError(
            f"simplex draws V of shape (2, 3), three probabilities and a label from 0 to 2, got "
            f"{tuple(vectors.shape)}, {tuple(start.shape)} and {label}"
        )
    if bool((start <= 0).any()) or abs(float(start.sum()) - 1) > 1e-9:
        raise InputError(f"probabilities must be positive and sum to one, got {start.tolist()}")
    return living(
        "simplex",
        {"vectors": vectors.T, "start": start, "label": label},
        alt="Left, the triangle of three probabilities with one movable point. Next to the label's "
        "corner, where its probability is above one half, the loss is below log 2 and the answer "
        "right. Far from that corner, below one third, the loss is above log 3 and the answer wrong. "
        "Two areas between are wrong although the loss is below log 3. Right, the triangle of three "
        "class vectors: their weighted mean, an arrow from the label's vector to it, the gradient, "
        "and around it an ellipse, the covariance, which is the Hessian.",
        still=still,
        predict=predict,
    )
