"""What the box of an ℓ∞ attack can show of ℓ2 distances.

A box of half-width ε reaches as far as ε√n. Of two classes around an image, with w = v₊ − v₋, the
nearest mistake in ℓ∞ is at d₂/(κ√n), κ = ‖w‖₁/(√n‖w‖₂), where d₂ is the distance in ℓ2. So images with d₂
below κε√n do not survive, whatever a penalty did.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from regrob.analysis import phrases
from regrob.analysis.measures import BENIGN, DEEPFOOL, PGD, UNPENALISED, NetworkResults, setting_phrase

if TYPE_CHECKING:
    import pandas as pd

KAPPA = math.sqrt(2 / math.pi)
"""κ of a w whose many entries are normal numbers."""

CHANCE = 1.3
"""Accuracy over that of guessing, below which a network has learnt nothing of use."""


def shares(networks: Iterable[NetworkResults], penalties: Iterable[str], corner: float) -> pd.DataFrame:
    """How far each setting's distances reach into the corner of the box, beside what survives in it.

    Args:
        networks: with the number of their classes.
        penalties: beside fine-tuning without a penalty.
        corner: ε√n, how far the box reaches.

    Returns:
        columns network, phrase, penalty, setting: a title, the same inside a sentence, a name, a phrase;
        share: DeepFool's mean distance / corner;
        kept: accuracy under PGD in %; guesses: whether a penalty made it guess. A row for each
        setting of which a seed is left.
    """
    import pandas as pd

    rows = []
    for results in networks:
        for setting in results.settings("none", *penalties):
            benign, distance, kept = (results.interval(setting, m).mean for m in (BENIGN, DEEPFOOL, PGD))
            guesses = setting != UNPENALISED and benign < 100 * CHANCE / (results.classes or 1)
            name = (results.title, results.phrase, setting[0], setting_phrase(setting))
            rows.append((*name, distance / corner, kept, guesses))
    columns = ["network", "phrase", "penalty", "setting", "share", "kept", "guesses"]
    table = pd.DataFrame(rows, columns=columns)
    return table[table["share"] > 0].reset_index(drop=True)


def facts(table: pd.DataFrame) -> dict[str, str]:
    """What `shares` shows, as short texts for the prose of a page; "low" is below KAPPA / 2."""
    low = table["share"] < KAPPA / 2
    far = table[table["penalty"] == "none"].nlargest(1, "share").iloc[0]
    collapsed = table[table["guesses"]]
    names = phrases.listed(collapsed["phrase"] + " under " + collapsed["setting"])
    return {
        "low-count": str(low.sum()),
        "low-top": f"{table['kept'][low].max():.1f}",
        "high-count": str((~low).sum()),
        "share-top": f"{table['share'].max():.2f}",
        "kappa": f"{KAPPA:.2f}",
        "collapsed": f"What guesses, or nearly so: {names}. There a distance measures nothing of use."
        if len(collapsed)
        else "No setting has fallen to guessing.",
        "off": far["phrase"],
        "off-share": f"{far['share']:.2f}",
        "off-pgd": f"{far['kept']:.0f}",
        "box-rank": f"{table['share'].rank().corr(table['kept'].rank()):.2f}",
    }


def blind(table: pd.DataFrame) -> bool:
    """Whether, of `shares`, nearly nothing survives below KAPPA / 2, and three times as much above it."""
    low = table["share"] < KAPPA / 2
    floor, top = (float(table["kept"][part].max()) for part in (low, ~low))
    return floor < 3 and top > 3 * floor
