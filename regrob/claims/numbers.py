"""The side of the ledger that needs torch: each claim's checks in float64, found by the claim's id.

The files of `numerical` hold them. Only whoever asks for numbers imports this file, and torch with it.
"""

from __future__ import annotations

from dataclasses import replace

from regrob.claims.check import Check
from regrob.claims.claim import Claim
from regrob.claims.numerical import (
    certificates,
    exact_curvature,
    exact_radius,
    four_penalties,
    lemma_3_1,
    lemma_3_2,
    lemma_4_1,
    linf_many_classes,
    linf_two_classes,
    locally_affine,
    logistic_loss,
    ordering,
    proposition_3_1,
    proposition_3_4,
    proposition_4_1,
    true_distance,
)

CHECKS: dict[str, tuple[Check, ...]] = {
    **certificates.CHECKS,
    **exact_curvature.CHECKS,
    **exact_radius.CHECKS,
    **four_penalties.CHECKS,
    **lemma_3_1.CHECKS,
    **lemma_3_2.CHECKS,
    **lemma_4_1.CHECKS,
    **linf_many_classes.CHECKS,
    **linf_two_classes.CHECKS,
    **locally_affine.CHECKS,
    **logistic_loss.CHECKS,
    **ordering.CHECKS,
    **proposition_3_1.CHECKS,
    **proposition_3_4.CHECKS,
    **proposition_4_1.CHECKS,
    **true_distance.CHECKS,
}
"""The checks in float64 of every claim that has some, by its id."""

EXPERIMENTS = four_penalties.EXPERIMENTS
"""Trainings that stand in the place of a derivation, by the claim's id."""


def with_numbers(claim: Claim) -> Claim:
    """The claim with its checks in float64, and with its experiment if it has one."""
    checks = claim.checks + CHECKS.get(claim.id, ())
    return replace(claim, checks=checks, derivation=EXPERIMENTS.get(claim.id, claim.derivation))
