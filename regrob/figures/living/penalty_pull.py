"""One example under four penalties: drag its margin and ν, and see which way each penalty pulls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regrob.analysis.measures import LABELS
from regrob.errors import InputError
from regrob.figures.living.frame import Living, living

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def penalty_pull(critical: Mapping[str, float], *, still: Figure | None = None) -> Living:
    """The plane of logit margin and ν, and the pull of four penalties on one point of it.

    Args:
        critical: for "input-gradient" and "curvature" the margin beyond which scaling the classifier up
            lowers the penalty.
        still: the picture for paper.

    Raises:
        InputError: another set of names.
    """
    if set(critical) != {"input-gradient", "curvature"}:
        raise InputError(f"critical names input-gradient and curvature, got {sorted(critical)}")
    names = ("input-gradient", "curvature", "jacobian", "cross-lipschitz")
    return living(
        "penalty_pull",
        {"critical": dict(critical), "start": [1.8, 1.5], "names": {name: LABELS[name] for name in names}},
        alt="A plane, logit margin across and ν upwards, with one movable point and an arrow for each "
        "penalty: the way in which it pulls the example. Cross-Lipschitz and Jacobian pull straight "
        "down. The other two also pull sideways, the input-gradient penalty always to the right, the "
        "curvature penalty away from margin zero. Beside it the sideways pull over the margin.",
        still=still,
        predict=(
            "A correct example grows ever more certain, at fixed ν. Which penalties lose their grip on "
            "it? And which way does the curvature penalty pull an example that is wrong?",
            "Input-gradient and curvature lose theirs, since q² and p<sub>y</sub>q go to zero; the other "
            "two pull on. Curvature pulls a wrong example to the left, so that it becomes more wrong.",
        ),
    )
