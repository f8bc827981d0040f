"""ℓ_∞ with many classes in numbers: the bounds against the exact radius, corner by corner."""

from __future__ import annotations

import torch
from torch import Tensor

from regrob.claims.check import Check
from regrob.claims.combinators import check_at, check_both, check_random
from regrob.claims.comparisons import ratio_error, violation, worst
from regrob.claims.instances import Instance, written_down
from regrob.claims.quadratic_model import corner_radius, overshoot, shortfall, within
from regrob.claims.samplings import MISTAKES_TOO, TWO_CLASSES
from regrob.theory import bounds, taylor_radius


def one_norm(case: Instance) -> Tensor:
    """‖∇‖₁: (T,)."""
    return case.gradient.abs().sum(dim=-1)


def column_norm(matrix: Tensor) -> Tensor:
    """The norm induced by ℓ₁, the largest column sum ‖·‖₁: (…)."""
    return matrix.abs().sum(dim=-2).amax(dim=-1)


def row_norm(matrix: Tensor) -> Tensor:
    """The norm induced by ℓ_∞, the largest row sum ‖·‖_∞: (…)."""
    return matrix.abs().sum(dim=-1).amax(dim=-1)


def bound_40(case: Instance, *, inputs: bool = True) -> Tensor:
    """Eq. (40): (T,). `inputs=False` forgets the factor n."""
    n = case.gradient.shape[-1] if inputs else 1
    return taylor_radius.positive_root(one_norm(case), n * column_norm(case.hessian), case.xi)


# --- Eqs. (39) and (40) ----------------------------------------------------------------


def holder_excess(case: Instance, share: float = 1.0) -> Tensor:
    """Eq. (39)'s left side at the exact ‖r̃*‖_∞, which must not be negative; relative to ξ."""
    t = corner_radius(case)
    n = case.gradient.shape[-1] * share
    left = one_norm(case) * t + 0.5 * n * column_norm(case.hessian) * t.square()
    return (case.xi - left) / case.xi


def random_steps_excess(case: Instance) -> Tensor:
    """∇ᵀr and rᵀHr at random steps against Hölder's bounds."""
    generator = torch.Generator().manual_seed(1)
    r = torch.randn(case.gradient.shape, generator=generator, dtype=torch.float64).to(case.z)
    size = r.abs().amax(dim=-1)
    return worst(
        violation((case.gradient * r).sum(dim=-1), one_norm(case) * size),
        violation(
            case.quadratic_form(r), case.gradient.shape[-1] * column_norm(case.hessian) * size.square()
        ),
    )


EQ_39 = (
    *check_both(
        "∇'r and r'Hr on a box",
        random_steps_excess,
        lambda c: violation((c.gradient * c.gradient.sign()).sum(dim=-1), 0.99 * one_norm(c)),
        "one per cent off ‖∇‖₁",
    ),
    check_random(
        "the left side at the exact ‖r̃*‖_∞",
        holder_excess,
        0.2,  # n = 5
        "the factor n forgotten",
    ),
)

EQ_40 = check_both(
    "no step as short as Eq. (40) reaches ξ",
    lambda c, inputs=True: overshoot(c, bound_40(c, inputs=inputs), box=True),
    False,
    "the factor n forgotten",
)

# --- the two induced norms -------------------------------------------------------------


def gradient_bound(case: Instance, factor: float = 2.0) -> Tensor:
    """2q‖V‖₁: (T,)."""
    return factor * case.q * column_norm(case.V)


def hessian_bound(case: Instance, factor: float = 2.0) -> Tensor:
    """2p_y q‖V‖₁‖V‖_∞: (T,)."""
    return factor * case.p * case.q * column_norm(case.V) * row_norm(case.V)


def distance_from_bounds(second: float) -> Tensor:
    """Both bounds at once at V = (1, second): the larger distance from equality."""
    case = written_down([[1.0, second]], [0.6, -0.6])
    return worst(
        ratio_error(one_norm(case), gradient_bound(case)),
        ratio_error(column_norm(case.hessian), hessian_bound(case)),
    )


ATTAINED = check_at("attained at V = (1, −1)", distance_from_bounds, -1.0, 0.0, "V = (1, 0)")

INDUCED_GRADIENT = (
    *check_both(
        "‖∇‖₁ ≤ 2q‖V‖₁",
        lambda c, factor=2.0: violation(one_norm(c), gradient_bound(c, factor)),
        1.98,
        "1.98 q for 2q",
        MISTAKES_TOO,
    ),
    ATTAINED,
)

INDUCED_HESSIAN = (
    *check_both(
        "‖H‖₁ ≤ 2p_y q‖V‖₁‖V‖_∞",
        lambda c, factor=2.0: violation(column_norm(c.hessian), hessian_bound(c, factor)),
        1.98,
        "1.98 p_y q for 2p_y q",
    ),
    ATTAINED,
)

# --- the bracket -----------------------------------------------------------------------


def bracket(case: Instance) -> bounds.Bracket:
    """Both ends of Theorem `thm-linf-two-sided`: (T,) each."""
    return bounds.radius_linf_bracket(case.V, case.z, case.y)


LINF = (
    *check_both(
        "no step as short as the lower end reaches ξ",
        within(lambda c: bracket(c).lower, box=True),
        1.01,
        "one per cent longer",
    ),
    *check_both(
        "the corner sign ∇ at the upper end does",
        lambda c, stretch=1.0: shortfall(c, stretch * bracket(c).upper.unsqueeze(-1) * c.gradient.sign()),
        0.99,
        "one per cent shorter",
    ),
    *check_both(
        "the lower end is at least Eq. (40)",
        lambda c: violation(bound_40(c), bracket(c).lower),
        lambda c: violation(bracket(c).lower, bound_40(c)),
        "the two exchanged",
    ),
    *check_both(
        "the ends meet at K = 2",
        lambda c: ratio_error(bracket(c).upper, bracket(c).lower),
        lambda c: ratio_error(bracket(c).upper, bound_40(c)),
        "Eq. (40) for the lower end",
        TWO_CLASSES,
    ),
    check_random(
        "the exact radius, by every corner, lies between",
        lambda c, share=1.0: violation(bracket(c).lower, corner_radius(c), share * bracket(c).upper),
        0.99,
        "an upper end one per cent shorter",
    ),
)


CHECKS: dict[str, tuple[Check, ...]] = {
    "eq-39": EQ_39,
    "eq-40": EQ_40,
    "remark-gradient-1-norm": INDUCED_GRADIENT,
    "remark-hessian-1-norm": INDUCED_HESSIAN,
    "thm-linf-two-sided": LINF,
}
"""The checks of each claim, by its id."""
