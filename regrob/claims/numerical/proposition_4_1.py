"""Proposition 4.1 in numbers: each bound against steps that reach ξ, and against the others."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check_at, check_both
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.instances import Instance, written_down
from regrob.claims.quadratic_model import overshoot, shortfall, within
from regrob.claims.samplings import MISTAKES_TOO, THREE_OR_MORE, TWO_CLASSES, Sampling, over_random
from regrob.theory import bounds, taylor_radius

TWO_PAIRS = [[0.5, -0.5, 0.0, 0.0], [0.0, 0.0, 0.3, -0.3]]
"""V of rank two: ‖VC‖₂ = √½ is the first pair's alone, while ‖VC‖_F knows of both."""

# --- sums over pairs of classes --------------------------------------------------------


def distances(V: Tensor) -> Tensor:
    """‖v_i − v_j‖² for all ordered pairs: (…, K, K)."""
    return (V.unsqueeze(-1) - V.unsqueeze(-2)).square().sum(dim=-3)


def total_distance(V: Tensor) -> Tensor:
    """D = Σ_{i<j} ‖v_i − v_j‖²: (…)."""
    return 0.5 * distances(V).sum(dim=(-2, -1))


def pair_sum(case: Instance) -> Tensor:
    """Σ_{i<j} p_i p_j ‖v_i − v_j‖², the right-hand side of Eq. (35), which is tr H: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    return 0.5 * (p.unsqueeze(-1) * p.unsqueeze(-2) * distances(case.V)).sum(dim=(-2, -1))


# --- ν in ‖∇‖₂ -------------------------------------------------------------------------


ABSENT = check_both(
    "‖∇‖² ≤ q·min(1, 2q)·Kν²/2",
    lambda c, factor=1.0: violation(
        c.gradient_norm.square(), factor * c.q * (2 * c.q).clamp_max(1.0) * total_distance(c.V) / c.K
    ),
    0.99,
    "one per cent less",
)

# --- Eq. (34) --------------------------------------------------------------------------


def distance_from_sharp_slope(second: float) -> Tensor:
    """‖∇‖ against √2·q‖V‖₂ at V = (1, second); equal for V = (1, −1)."""
    case = written_down([[1.0, second]], [0.7, 0.7 * second])
    return ratio_error(case.gradient_norm, 2**0.5 * case.q * case.spectral_norm)


EQ_34 = (
    *check_both(
        "‖∇‖ ≤ 2q‖V‖₂ ≤ 2q‖V‖_F",
        lambda c, factor=2.0: worst(
            violation(c.gradient_norm, factor * c.q * c.spectral_norm),
            violation(c.spectral_norm, c.lipschitz),
        ),
        1.4,
        "1.4 in place of 2, below the best constant √2",
        MISTAKES_TOO,
    ),
    check_at(
        "the best constant is √2: attained at V = (1, −1)",
        distance_from_sharp_slope,
        -1.0,
        0.0,
        "V = (1, 0), where it is not",
    ),
)

# --- Eq. (35) --------------------------------------------------------------------------


EQ_35 = check_both(
    "‖H‖ ≤ Σ_{i<j} p_i p_j ‖v_i − v_j‖² = tr H",
    lambda c, share=1.0: worst(
        violation(c.curvature, share * pair_sum(c)), violation(share * pair_sum(c), c.trace).abs()
    ),
    0.99,
    "one per cent less",
    MISTAKES_TOO,
)

# --- Eq. (36) --------------------------------------------------------------------------


def norm_sum(case: Instance) -> Tensor:
    """Σ_{i≠j} p_i p_j (‖v_i‖² + ‖v_j‖²) = 2 Σ p_i(1 − p_i)‖v_i‖²: (T,)."""
    p = torch.softmax(case.z, dim=-1)
    squares = case.V.square().sum(dim=-2)
    pairs = p.unsqueeze(-1) * p.unsqueeze(-2) * (squares.unsqueeze(-1) + squares.unsqueeze(-2))
    return (pairs - torch.diag_embed(pairs.diagonal(dim1=-2, dim2=-1))).sum(dim=(-2, -1))


EQ_36 = check_both(
    "both links of Eq. (36)",
    lambda c, factor=2.0: violation(c.curvature, norm_sum(c), factor * c.p * c.q * c.lipschitz.square()),
    1.98,
    "1.98 for the factor 2",
)

# --- the sharp forms -------------------------------------------------------------------


def sharp_slope(case: Instance, factor: float = 2.0) -> Tensor:
    """√(q·min(1, 2q))·‖VC‖₂: (T,)."""
    return (case.q * (factor * case.q).clamp_max(1.0)).sqrt() * case.centred_norm


def sharp_bend(case: Instance, factor: float = 2.0) -> Tensor:
    """p_y·min(1, 2q)·‖VC‖₂²: (T,)."""
    return case.p * (factor * case.q).clamp_max(1.0) * case.centred_norm.square()


def distance_from_sharp_norms(case: Instance) -> Tensor:
    """How far ‖∇‖ and ‖H‖ are from their sharp bounds: (T,)."""
    return worst(
        ratio_error(case.gradient_norm, sharp_slope(case)), ratio_error(case.curvature, sharp_bend(case))
    )


SHARP = (
    *check_both(
        "‖∇‖ and ‖H‖ against ‖VC‖₂",
        lambda c, factor=2.0: worst(
            violation(c.gradient_norm, sharp_slope(c, factor)),
            violation(c.curvature, sharp_bend(c, factor)),
        ),
        1.98,
        "1.98 in place of 2",
    ),
    *check_both(
        "equality at K = 2",
        distance_from_sharp_norms,
        lambda c: ratio_error(c.gradient_norm, sharp_slope(c, 1.999)),
        "1.999 in place of 2",
        TWO_CLASSES,
    ),
    check_at(
        "equality in a limit at K = 4, V of rank two",
        lambda tail: distance_from_sharp_norms(written_down(TWO_PAIRS, [2.0, -2.0, -tail, -tail])),
        40.0,
        3.0,
        "rivals that are not improbable",
    ),
)


def trace_bound(case: Instance, factor: float = 2.0) -> Tensor:
    """(2/K)p_y q D: (T,)."""
    return factor / case.K * case.p * case.q * total_distance(case.V)


def distance_from_trace_bound(tail: float) -> Tensor:
    """V = (½, −½, 0, 0): tr H → (2/K)p_y q D as the last two classes, with logits −tail, become improbable."""
    case = written_down([[0.5, -0.5, 0.0, 0.0]], [1.0, -1.0, -tail, -tail])
    return ratio_error(pair_sum(case), trace_bound(case))


TRACE = (
    *check_both(
        "tr H ≤ (2/K) p_y q D",
        lambda c, factor=2.0: violation(pair_sum(c), trace_bound(c, factor)),
        1.98,
        "1.98 in place of 2",
    ),
    check_at(
        "the constant is approached at K = 4",
        distance_from_trace_bound,
        40.0,
        2.0,
        "rivals that are not improbable",
    ),
)

# --- the two bounds --------------------------------------------------------------------


Normalisation = Literal["ordered", "unordered", "mean"]


def nu_squared(V: Tensor, normalisation: Normalisation) -> Tensor:
    """Three readings of the paper's Σ‖v_i − v_j‖²/K²: (…).

    Args:
        normalisation: "ordered": all ordered pairs over K², as in [10] and in this package;
            "unordered": pairs i < j over K²; "mean": the average over the K(K−1) ordered pairs.
    """
    K, D = V.shape[-1], total_distance(V)
    return {"ordered": 2 * D / K**2, "unordered": D / K**2, "mean": 2 * D / (K * (K - 1))}[normalisation]


def middle_43(case: Instance, normalisation: Normalisation = "ordered") -> Tensor:
    """½K(K−1)p_y qν², the third term of Eq. (43): (T,)."""
    return 0.5 * case.K * (case.K - 1) * case.p * case.q * nu_squared(case.V, normalisation)


def bound_16(case: Instance, normalisation: Normalisation = "ordered") -> Tensor:
    """Eq. (16) as printed, in the rationalised form: (T,)."""
    return taylor_radius.positive_root(2 * case.q * case.lipschitz, middle_43(case, normalisation), case.xi)


def bound_17(case: Instance, factor: float = 2.0) -> Tensor:
    """Eq. (17), in the rationalised form: (T,). The factor is that of Eqs. (34) and (36)."""
    return taylor_radius.positive_root(
        factor * case.q * case.lipschitz, factor * case.p * case.q * case.lipschitz.square(), case.xi
    )


# --- Eq. (16) under three readings -----------------------------------------------------


def best_factor(K: int, normalisation: Normalisation) -> float:
    """By which Eq. (16) could be multiplied and no more: from two live classes at large margins.

    There the model's curvature is 4p_y q‖v‖² and that of Eq. (16) is ½K(K−1)p_y qν², a multiple of K‖v‖².
    """
    share = {"ordered": (K - 1) / 2, "unordered": (K - 1) / 4, "mean": K / 2}[normalisation]
    return math.sqrt(share)


def reading_checks(normalisation: Normalisation, holds: tuple[int, ...]) -> tuple[Check, ...]:
    """Eq. (16) must be a lower bound for the K that `holds` lists, and must not be one at K = 2."""

    def distance_from_failing(case: Instance) -> Tensor:
        return 1e-3 - overshoot(case, bound_16(case, normalisation)).amax()

    return (
        *check_both(
            f"no step as short as Eq. (16) reaches ξ, K in {holds}",
            within(lambda c: bound_16(c, normalisation)),
            lambda c: overshoot(c, 1.05 * best_factor(c.K, normalisation) * bound_16(c, normalisation)),
            "five per cent more than the best factor",
            Sampling(classes=holds),
        ),
        Check(
            "Eq. (16) fails at K = 2",
            over_random(distance_from_failing, TWO_CLASSES),
            over_random(distance_from_failing, Sampling(classes=holds[:1])),
            f"K = {holds[0]}, where it does not",
        ),
    )


EQ_16 = reading_checks("ordered", (3, 4, 5, 10))

EQ_16_UNORDERED = reading_checks("unordered", (5, 10))

EQ_16_MEAN = check_both(
    "no step as short as Eq. (16) reaches ξ",
    within(lambda c: bound_16(c, "mean")),
    lambda c: overshoot(c, 1.05 * best_factor(c.K, "mean") * bound_16(c, "mean")),
    "five per cent more than the best factor",
)


def middle_38(case: Instance) -> Tensor:
    """Eq. (38)'s first line with the −1 outside the root: (T,)."""
    return taylor_radius.positive_root(2 * case.q * case.lipschitz, pair_sum(case), case.xi)


EQ_38 = (
    *check_both(
        "no step as short as the first line reaches ξ", within(middle_38), 1.05, "five per cent longer"
    ),
    *check_both(
        "the first line is at least Eq. (16)",
        lambda c: violation(bound_16(c), middle_38(c)),
        lambda c: violation(middle_38(c), bound_16(c)),
        "the two exchanged",
        THREE_OR_MORE,
    ),
)

# --- which bound is tighter ------------------------------------------------------------


def tighter_excess(case: Instance, always: bool = False) -> Tensor:
    """The tighter bound must be the one that the sign of ‖V‖_F² − K(K−1)ν²/4 names; or `always` Eq. (16)."""
    mean = case.V.mean(dim=-1).square().sum(dim=-1)
    square = case.lipschitz.square()
    sign = (square - 0.5 * (case.K - 1) * (square - case.K * mean)) / square
    if always:
        sign = torch.ones_like(sign)
    gap = (bound_16(case) - bound_17(case)) / bound_17(case)
    decided = sign.abs() > 1e-9
    return torch.where(decided, -sign.sign() * gap, torch.zeros_like(gap))


TIGHTER = check_both(
    "the identity's sign names the tighter bound",
    tighter_excess,
    True,
    "Eq. (16) always",
    THREE_OR_MORE,
    blunt={groups.of(3): "there the sign is never negative"},
)

# --- Eqs. (17) and (37) ----------------------------------------------------------------


def distance_from_17(second: float) -> Tensor:
    """Eq. (17) against the exact radius at V = (1 + second, second), K = 2 and a margin of 60."""
    case = written_down([[1.0 + second, second]], [30.0, -30.0])
    return (
        1 - bound_17(case) / taylor_radius.positive_root(case.gradient_norm, case.curvature, case.xi)
    ).abs()


EQ_17 = (
    *check_both(
        "no step as short as Eq. (17) reaches ξ",
        lambda c, factor=2.0: overshoot(c, bound_17(c, factor)),
        1.98,
        "1.98 for 2 in Eqs. (34) and (36)",
    ),
    check_at(
        "the constant cannot be raised: ratio → 1 at V = (½, −½)",
        distance_from_17,
        -0.5,
        0.0,
        "V = (1, 0)",
        tolerance=1e-6,
    ),
)

# --- the bound that replaces both ------------------------------------------------------


def bracket(case: Instance) -> bounds.Bracket:
    """Both ends of Theorem `thm-two-sided`: (T,) each."""
    return bounds.radius_l2_bracket(case.V, case.z, case.y)


def distance_between_ends(tail: float) -> Tensor:
    """K = 4: both ends meet as the last two classes, which differ in another input, become improbable."""
    case = written_down(TWO_PAIRS, [2.0, -2.0, -tail, -tail])
    return bracket(case).upper / bracket(case).lower - 1


TWO_SIDED = (
    *check_both(
        "no step as short as the lower end reaches ξ",
        within(lambda c: bracket(c).lower),
        1.01,
        "one per cent longer",
    ),
    *check_both(
        "a step of the upper end along ∇ does",
        lambda c, stretch=1.0: shortfall(c, (stretch * bracket(c).upper).unsqueeze(-1) * c.uphill),
        0.99,
        "one per cent shorter",
    ),
    *check_both(
        "equal ends at K = 2",
        lambda c, factor=1.0: ratio_error(bracket(c).upper, factor * bracket(c).lower),
        1.001,
        "one per mille more",
        TWO_CLASSES,
    ),
    check_at(
        "the ends meet in a limit at K = 4 too",
        distance_between_ends,
        40.0,
        3.0,
        "rivals that are not improbable",
    ),
)

DOMINATES = (
    *check_both(
        "Eq. (17) against the lower end",
        lambda c, factor=1.0: violation(factor * bound_17(c), bracket(c).lower),
        1.01,
        "Eq. (17) raised by one per cent",
        TWO_CLASSES,
    ),
    *check_both(
        "Eqs. (16) and (17) against the lower end, K ≥ 3",
        lambda c, share=1.0: worst(
            *(violation(bound(c), share * bracket(c).lower) for bound in (bound_16, bound_17))
        ),
        0.99,
        "a lower end one per cent shorter",
        THREE_OR_MORE,
    ),
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "remark-cross-lipschitz-absent": ABSENT,
    "eq-34": EQ_34,
    "eq-35": EQ_35,
    "eq-36": EQ_36,
    "thm-sharp-norms": SHARP,
    "thm-trace-bound": TRACE,
    "prop-4.1-eq-16": EQ_16,
    "prop-4.1-eq-16-unordered": EQ_16_UNORDERED,
    "prop-4.1-eq-16-mean": EQ_16_MEAN,
    "eq-38": EQ_38,
    "remark-which-bound": TIGHTER,
    "prop-4.1-eq-17": EQ_17,
    "thm-two-sided": TWO_SIDED,
    "cor-dominates": DOMINATES,
}
"""The checks of each claim, by its id."""
