"""The claims in intervals, one file for each page of the book, named like the file of `statements`.

A file holds comparisons at rational instances and the enclosed checks built of them, under the name that the claim
has in `statements`; its table `CHECKS` says by id which claim they belong to. Nothing in it needs torch. Most speak
of two classes, where the closed forms are short enough to be written out beside the paper's.
"""

from __future__ import annotations

from regrob.claims.enclosed import (
    four_penalties,
    lemma_3_1,
    lemma_3_2,
    lemma_4_1,
    linf_two_classes,
    locally_affine,
    logistic_loss,
    proposition_3_1,
    true_distance,
)
from regrob.claims.enclosure import EnclosedCheck

CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {
    **four_penalties.CHECKS,
    **lemma_3_1.CHECKS,
    **lemma_3_2.CHECKS,
    **lemma_4_1.CHECKS,
    **linf_two_classes.CHECKS,
    **locally_affine.CHECKS,
    **logistic_loss.CHECKS,
    **proposition_3_1.CHECKS,
    **true_distance.CHECKS,
}
"""The enclosed checks of every claim that has some, by its id."""
