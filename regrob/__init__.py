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

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regrob.affine import LocalMap, kinks, local_map
    from regrob.certificates import certified_radius
    from regrob.claims import verdicts, verify
    from regrob.ensembles import Ensemble
    from regrob.examination import examine
    from regrob.theory import PENALTIES
    from regrob.training import accuracy, train

__version__ = "0.1.0"

__all__ = [
    "LocalMap", "kinks", "local_map", "PENALTIES", "train", "accuracy", "certified_radius", "Ensemble",
    "verdicts", "verify", "examine",
]  # fmt: skip


def lazily(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """A package's `__getattr__` (PEP 562) that loads a name when it is first asked for.

    Args:
        package: the package's `__name__`.
        homes: module of the package → the names that it lends.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home_of[name]}"), name)

    return load


__getattr__ = lazily(
    __name__,
    {
        "affine": ("LocalMap", "kinks", "local_map"),
        "theory": ("PENALTIES",),
        "certificates": ("certified_radius",),
        "ensembles": ("Ensemble",),
        "training": ("accuracy", "train"),
        "claims": ("verdicts", "verify"),
        "examination": ("examine",),
    },
)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
