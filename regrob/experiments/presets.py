"""How much to compute: quick for a laptop, standard for a GPU, paper for the paper's protocol.

Not on which data: a page's images come from REGROB_DATA if it is set, else they are the
embedded digits, whatever the preset (`data.default_source`). Sweeps have a protocol of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from regrob.errors import InputError

VARIABLE = "REGROB_PRESET"


@dataclass(frozen=True)
class Preset:
    """The sizes of an experiment.

    Attributes:
        name: as REGROB_PRESET and the results files spell it.
        iterations: of training a reference network from scratch.
        fine_tuning: iterations with a penalty that follow. The paper leaves this number out;
            we take as many as for the reference.
        images: held-out images attacked; None for all of them.
    """

    name: str
    iterations: int
    fine_tuning: int
    images: int | None


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("quick", 300, 300, 200),
        Preset("standard", 5_000, 5_000, 1_000),
        Preset("paper", 50_000, 50_000, None),
    )
}


def preset(name: str | None = None) -> Preset:
    """The preset of this name; if None, the one that REGROB_PRESET names, else quick.

    Raises:
        InputError: an unknown name.
    """
    wanted = name or os.environ.get(VARIABLE) or "quick"
    if wanted not in PRESETS:
        source = "" if name else f" (from {VARIABLE})"
        raise InputError(f"no preset is called {wanted!r}{source}; there are {', '.join(PRESETS)}")
    return PRESETS[wanted]
