"""regrob: regularization and robustness of piecewise-linear networks, derived, checked and extended.

Around a point a ReLU network is an affine map, so that all of the paper is a function of the
local Jacobian V, the logits z and the label y. The rooms say the same, from the ground up:

    errors, checks     what is refused, and in which words
    affine             network, x → (V, z) and the polytope on which the map holds
    theory             functions of (V, z, y): probability, penalties, radii, bounds
    certificates       lower bounds on the distance to a mistake
    ensembles          many small networks as one
    attacks, training  upper bounds on that distance; penalties and adversaries at work
    claims             every statement of the paper, judged
    experiments        sweeps, and what a page trains while it is built
    analysis, figures  from tables to intervals, sentences and pictures
    bench, cli         speed against peers; the command line

What most readers need stands here by name, and is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regrob.affine import LocalMap as LocalMap
    from regrob.affine import kinks as kinks
    from regrob.affine import local_map as local_map
    from regrob.certificates import certified_radius as certified_radius
    from regrob.claims import verdicts as verdicts
    from regrob.claims import verify as verify
    from regrob.ensembles import Ensemble as Ensemble
    from regrob.examination import certify as certify
    from regrob.examination import examine as examine
    from regrob.theory import PENALTIES as PENALTIES
    from regrob.training import CrossLipschitzPenalty as CrossLipschitzPenalty
    from regrob.training import CurvaturePenalty as CurvaturePenalty
    from regrob.training import InputGradientPenalty as InputGradientPenalty
    from regrob.training import JacobianPenalty as JacobianPenalty
    from regrob.training import accuracy as accuracy
    from regrob.training import network_penalty as network_penalty
    from regrob.training import train as train

__version__ = "0.1.0"

ROOM_OF = {
    "LocalMap": "affine",
    "kinks": "affine",
    "local_map": "affine",
    "PENALTIES": "theory",
    "certified_radius": "certificates",
    "Ensemble": "ensembles",
    "certify": "examination",
    "examine": "examination",
    "accuracy": "training",
    "train": "training",
    "network_penalty": "training",
    "InputGradientPenalty": "training",
    "JacobianPenalty": "training",
    "CurvaturePenalty": "training",
    "CrossLipschitzPenalty": "training",
    "verdicts": "claims",
    "verify": "claims",
}
"""Name → the room that holds it."""

__all__ = list(ROOM_OF)


def __getattr__(name: str) -> object:
    """Load a name's room when the name is first asked for (PEP 562)."""
    if name not in ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
