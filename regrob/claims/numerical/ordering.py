"""The ordering of the penalties in numbers: Eqs. (41) to (43), the chains, and what replaces them."""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.claims import groups
from regrob.claims.check import Check
from regrob.claims.combinators import check_at, check_both, check_networks, check_random
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.instances import Instance, written_down
from regrob.claims.numerical.proposition_4_1 import TWO_PAIRS, middle_43, pair_sum
from regrob.claims.samplings import MISTAKES_TOO, THREE_OR_MORE, Sampling
from regrob.theory import derivatives

# --- the Loewner inequality ------------------------------------------------------------


def difference_from_rank_one(case: Instance, factor: float = 1.0) -> Tensor:
    """H − factor·(p/q)∇∇ᵀ: (T, n, n)."""
    ratio = factor * case.p / case.q
    return case.hessian - ratio[:, None, None] * case.gradient.unsqueeze(-1) * case.gradient.unsqueeze(-2)


def loewner_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """−λ_min(H − factor·(p/q)∇∇ᵀ) relative to ‖H‖₂: positive where the inequality fails."""
    least: Tensor = torch.linalg.eigvalsh(difference_from_rank_one(case, factor))[..., 0]
    return -least / case.curvature


def distance_from_rank_one(spread: float) -> Tensor:
    """K = 4 with rivals `spread` apart: H − (p/q)∇∇ᵀ relative to H."""
    case = written_down([[1.0, 0.0, spread, 0.0], [0.0, 2.0, 2.0, 2.0]], [0.5, 0.3, -0.2, 0.1])
    return difference_from_rank_one(case).abs().amax() / case.curvature


LOEWNER = (
    *check_both("least eigenvalue of H − (p/q)∇∇'", loewner_excess, 1.01, "one per cent more", MISTAKES_TOO),
    *check_both(
        "the norms",
        lambda c, factor=1.0: violation(factor * c.p / c.q * c.gradient_norm.square(), c.curvature),
        1.01,
        "one per cent more",
        MISTAKES_TOO,
    ),
    check_at("equality where the rivals coincide", distance_from_rank_one, 0.0, 0.1, "rivals that differ"),
)


def tight_direction_error(case: Instance, factor: float = 1.0) -> Tensor:
    """Solve C Vᵀr = C e_y by least squares; where that succeeds, compare the ratio with p/q.

    In units of the rounding to expect: rᵀHr = pq comes out of terms as large as ‖H‖‖r‖².
    """
    C = torch.eye(case.K, dtype=case.V.dtype, device=case.V.device) - 1.0 / case.K
    target = torch.nn.functional.one_hot(case.y, case.K).to(case.V)
    r = (torch.linalg.pinv((case.V @ C).mT) @ (target @ C).unsqueeze(-1)).squeeze(-1)
    a = (case.V.mT @ r.unsqueeze(-1)).squeeze(-1)
    solved = ((a - target) @ C).abs().amax(dim=-1) < 1e-9
    ratio = case.quadratic_form(r) / (case.gradient * r).sum(dim=-1).square()
    cancelled = case.curvature * r.square().sum(dim=-1) / (case.p * case.q)
    error = ratio_error(ratio, factor * case.p / case.q) / cancelled.clamp_min(1.0)
    return torch.where(solved & (case.q > 1e-3), error, torch.zeros_like(error))


def largest_ratio_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """How far ∇ᵀH⁺∇ exceeds q/p. Small eigenvalues, which are rounding, are left out: that only lowers it."""
    inverse = torch.linalg.pinv(case.hessian, rtol=1e-5, hermitian=True)
    form = (case.gradient.unsqueeze(-2) @ inverse @ case.gradient.unsqueeze(-1)).flatten()
    return violation(form, factor * case.q / case.p)


WIDE = Sampling(correct=False, inputs=12, high=3.0)  # n ≥ K, so that C Vᵀr = C e_y has a solution


FEW_CLASSES = Sampling(classes=(2, 3, 4), correct=False)

CONSTANT = (
    check_random(
        "a direction in which rᵀHr = (p/q)(∇ᵀr)² (random instances)",
        tight_direction_error,
        1.01,
        "one per cent more",
        WIDE,
    ),
    check_networks(
        "the same (networks, autograd)", tight_direction_error, 1.01, "one per cent more", FEW_CLASSES
    ),
    check_random("∇'H⁺∇ ≤ q/p_y (random instances)", largest_ratio_excess, 0.99, "one per cent less", WIDE),
    check_networks(
        "∇'H⁺∇ ≤ q/p_y (networks, autograd)", largest_ratio_excess, 0.99, "one per cent less", FEW_CLASSES
    ),
)

# --- what follows from it --------------------------------------------------------------


def distance_between_ends(x: float) -> Tensor:
    """K = 4: V = (1, 0, 0, 0) as x → 0 for the left end; two pairs, p → (½, ½, 0, 0), for the right."""
    left = written_down([[1.0, 0.0, 0.0, 0.0]], [x, 0.0, 0.0, 0.0])
    right = written_down(TWO_PAIRS, [x, -x, -1 / x**0.5, -1 / x**0.5])
    return worst(
        ratio_error(left.curvature * 3, left.gradient_norm.square()),
        ratio_error(right.curvature, 0.5 * right.centred_norm.square()),
    )


ORDERING = (
    *check_both(
        "‖∇‖²/(K−1) ≤ ‖H‖ ≤ ½‖VC‖²",
        lambda c, half=0.5: violation(
            c.gradient_norm.square() / (c.K - 1.0), c.curvature, half * c.centred_norm.square()
        ),
        0.495,
        "0.495 for a half",
    ),
    check_at(
        "both ends are approached at K = 4",
        distance_between_ends,
        1e-6,
        0.5,
        "far from the limit",
        tolerance=1e-5,
    ),
)


def half_gradient_excess(case: Instance, least: float = 1 / 3) -> Tensor:
    """The violation of ½‖∇‖² ≤ ‖H‖ where p_y ≥ `least`; −1 elsewhere."""
    return torch.where(case.p >= least, violation(0.5 * case.gradient_norm.square(), case.curvature), -1.0)


HALF = check_both("½‖∇‖² ≤ ‖H‖ where p_y ≥ 1/3", half_gradient_excess, 0.0, "any p_y", MISTAKES_TOO)

# --- Eqs. (41) and (42) ----------------------------------------------------------------


EQ_41 = (
    *check_both(
        "both links",
        lambda c, factor=2.0: worst(
            violation(c.curvature, factor * c.p * c.q * c.lipschitz.square()), c.p * c.q - 0.25
        ),
        1.98,
        "1.98 for the factor 2",
    ),
    *check_both(
        "‖H‖₂ ≤ ½‖V‖_F² for any label",
        lambda c: violation(c.curvature, 0.5 * c.lipschitz.square()),
        lambda c: violation(c.curvature, 2 * c.p * c.q * c.lipschitz.square()),
        "the first link for any label",
        MISTAKES_TOO,
        blunt={groups.of(2): "p_y q is the same for both labels"},
    ),
)

EQ_42 = (
    *check_both(
        "‖H‖ ≥ p_y‖∇‖², any label",
        lambda c: violation(c.p * c.gradient_norm.square(), c.curvature),
        lambda c: violation(c.gradient_norm.square(), c.curvature),
        "‖∇‖² itself",
        MISTAKES_TOO,
    ),
    *check_both(
        "‖H‖ ≥ ½‖∇‖² where p_y ≥ ½",
        lambda c, least=0.5: half_gradient_excess(c, least),
        0.0,
        "any p_y and any label",
        MISTAKES_TOO,
    ),
)

# --- the chains and Eq. (43) -----------------------------------------------------------


def chain_excess(case: Instance, divisor: float) -> Tensor:
    """‖∇‖²/divisor ≤ ‖H‖ ≤ ½‖VC‖² ≤ ½‖V‖_F²."""
    return violation(
        case.gradient_norm.square() / divisor,
        case.curvature,
        0.5 * case.centred_norm.square(),
        0.5 * case.lipschitz.square(),
    )


WITH_SQUARES = check_both(
    "the left link where p_y ≥ 1/3, the right one always",
    lambda c, least=1 / 3: worst(
        half_gradient_excess(c, least), violation(c.curvature, 0.5 * c.lipschitz.square())
    ),
    0.0,
    "the left link for any p_y",
    MISTAKES_TOO,
)

CHAIN_MAIN = (
    *WITH_SQUARES,
    *check_both(
        "the chain for every K",
        lambda c, share=1.0: chain_excess(c, share * (c.K - 1.0)),
        0.95,
        "0.95(K − 1) for K − 1",
    ),
)

CHAIN_APPENDIX = (
    *WITH_SQUARES,
    check_random(
        "both links for K = 2 and 3, correctly classified (random instances)",
        lambda c, divisor=2.0: chain_excess(c, divisor),
        1.9,
        "‖∇‖²/1.9 for ‖∇‖²/2",
        Sampling(classes=(2, 3)),
        blunt={groups.of(2): "there ‖∇‖² itself is below ‖H‖"},
    ),
)


def top_43(case: Instance) -> Tensor:
    """K(K−1)ν²/8, the last term of Eq. (43): (T,)."""
    return 0.125 * case.K * (case.K - 1) * derivatives.cross_lipschitz_squared(case.V)


EQ_43 = (
    *check_both(
        "all three links, K ≥ 3",
        lambda c, factor=1.0: violation(factor * c.curvature, pair_sum(c), middle_43(c), top_43(c)),
        1.01,
        "one per cent more curvature",
        THREE_OR_MORE,
    ),
    *check_both(
        "the second link, which is the best at K = 3",
        lambda c, factor=1.0: violation(pair_sum(c), factor * middle_43(c)),
        0.99,
        "one per cent less of the second sum",
        Sampling(classes=(3,)),
    ),
    *check_both(
        "tr H ≤ K p_y q ν², every K",
        lambda c, factor=1.0: violation(
            pair_sum(c), factor * c.K * c.p * c.q * derivatives.cross_lipschitz_squared(c.V)
        ),
        0.99,
        "one per cent less",
    ),
)


def cross_chain_excess(case: Instance, factor: float = 1.0) -> Tensor:
    """‖∇‖²/(K−1) ≤ ‖H‖ ≤ Kν²/4, ν² times `factor`, and ≤ K(K−1)ν²/8 too from K = 3 on."""
    nu2 = factor * derivatives.cross_lipschitz_squared(case.V)
    chain = violation(case.gradient_norm.square() / (case.K - 1), case.curvature, 0.25 * case.K * nu2)
    return worst(chain, violation(case.curvature, top_43(case))) if case.K >= 3 else chain


CHAIN_CROSS = check_both(
    "‖∇‖²/(K−1) ≤ ‖H‖ ≤ Kν²/4 for every K, ≤ K(K−1)ν²/8 for K ≥ 3",
    cross_chain_excess,
    0.99,
    "one per cent less of ν²",
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "thm-loewner": LOEWNER,
    "thm-loewner-constant": CONSTANT,
    "cor-ordering": ORDERING,
    "cor-half": HALF,
    "eq-41": EQ_41,
    "eq-42": EQ_42,
    "chain-section-4": CHAIN_MAIN,
    "chain-appendix-e": CHAIN_APPENDIX,
    "eq-43": EQ_43,
    "chain-cross-lipschitz": CHAIN_CROSS,
}
"""The checks of each claim, by its id."""
