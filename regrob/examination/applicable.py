"""Which statements of the ledger speak of a given network, and on which share of its images.

A statement's hypotheses are of three kinds: on the network (two classes, no biases), which it
meets or not; on the image (off the kinks, classified correctly), which some images meet; and the
rest, which is about the statement's own quantities and is repeated in its words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from regrob.claims import hypotheses as words
from regrob.claims.claim import Claim
from regrob.claims.ledger import CLAIMS

if TYPE_CHECKING:
    import pandas as pd

_NOT_ABOUT_ONE_NETWORK = (
    "trained",
    "minimiser",
    "one logit",
    "affine classifier",
    "single layer",
    "affine over",
)
"""Words of hypotheses on how a network came to be, or on models simpler than any network examined here."""

_ON_IMAGES = {
    "off the kinks": "off_kinks",
    "classified correctly": "correct",
    "correctly classified": "correct",
    "the one largest logit": "correct",
    "p_y > 1/2": "confident",
    "1/2 < p_y": "confident",
    "p_y ≥ 1/2": "confident",
}
"""Part of a hypothesis → the column that says on which images it holds."""


class Statement(NamedTuple):
    """A claim whose hypotheses on the network are met.

    Attributes:
        id, title, where: of the claim.
        verdict: the ledger's.
        share: of the images that meet its hypotheses.
        also: hypotheses that are neither about the network nor about an image.
    """

    id: str
    title: str
    where: str
    verdict: str
    share: float
    also: tuple[str, ...]


def statements(
    classes: int, piecewise_linear: bool, has_biases: bool, table: pd.DataFrame
) -> tuple[Statement, ...]:
    """The claims that speak of this network, in the paper's order; none if it is not piecewise linear."""
    if not piecewise_linear:
        return ()
    judged = (_statement(claim, classes, has_biases, table) for claim in CLAIMS.values())
    return tuple(statement for statement in judged if statement is not None)


def _statement(claim: Claim, classes: int, has_biases: bool, table: pd.DataFrame) -> Statement | None:
    holds = table["label"].notna()
    also = []
    about_a_network = False
    for hypothesis in claim.hypotheses:
        columns = {column for part, column in _ON_IMAGES.items() if part in hypothesis}
        if any(part in hypothesis for part in _NOT_ABOUT_ONE_NETWORK):
            return None
        if not _has_so_many_classes(hypothesis, classes):
            return None
        if hypothesis.startswith(words.NO_BIASES) and " or " not in hypothesis and has_biases:
            return None
        if columns and "only)" not in hypothesis:
            for column in columns:
                holds &= table[column].astype(bool)
            about_a_network = True
        elif hypothesis in (words.PIECEWISE, words.BINARY):
            about_a_network = True
        elif not hypothesis.startswith(words.ANY_LABEL):
            also.append(hypothesis)
    if not about_a_network:
        return None
    return Statement(
        claim.id, claim.title, claim.where, claim.expected.value, float(holds.mean()), tuple(also)
    )


def _has_so_many_classes(hypothesis: str, classes: int) -> bool:
    """Whether K is as "K = 2" or "K ≥ 3" at the start of a hypothesis asks."""
    demand = re.match(r"K (=|≥) (\d+)", hypothesis)
    if demand is None:
        return True
    wanted = int(demand[2])
    return classes == wanted if demand[1] == "=" else classes >= wanted
