"""Lemma 3.2 in numbers: V, ∇ and H of two classes against autograd's."""

from __future__ import annotations

from torch import Tensor

from regrob.claims.check import Check
from regrob.claims.combinators import check, checked, on_networks
from regrob.claims.instances import Sample, signed
from regrob.claims.numerical.locally_affine import masked_product_error


def jacobian_error(sample: Sample, reverse: bool = False) -> Tensor:
    """J = V, or V with its classes in reverse order."""
    V = sample.map.V
    return sample.jacobian_error(V.flip(-1) if reverse else V)


@checked("Eq. (7) against autograd's gradient", wrong=1.01, mistake="one per cent too much")
@on_networks
def gradient_error(sample: Sample, factor: float = 1.0) -> Tensor:
    """∇ = y(p_y − 1)(v₊ − v₋), literally Eq. (7) with y = ±1."""
    gradient = (-signed(sample.y) * sample.instance.q).unsqueeze(-1) * sample.instance.s
    return sample.gradient_error(factor * gradient)


@checked("Eq. (7) against autograd's Hessian", wrong=1.01, mistake="one per cent too much curvature")
@on_networks
def hessian_error(sample: Sample, factor: float = 1.0) -> Tensor:
    """H = p_y(1 − p_y)(v₊ − v₋)(v₊ − v₋)ᵀ, literally Eq. (7)."""
    p, q, s = sample.instance.p, sample.instance.q, sample.instance.s
    hessian = (p * q)[..., None, None] * s.unsqueeze(-1) * s.unsqueeze(-2)
    return sample.hessian_error(factor * hessian)


LEMMA_JACOBIAN = (
    masked_product_error,
    check(
        "V, as this package finds it in any network, against autograd's Jacobian",
        on_networks(jacobian_error),
        wrong=True,
        mistake="the two classes exchanged",
    ),
)

LEMMA_GRADIENT = (gradient_error,)

LEMMA_HESSIAN = (hessian_error,)


CHECKS: dict[str, tuple[Check, ...]] = {
    "lemma-3.2-jacobian": LEMMA_JACOBIAN,
    "lemma-3.2-gradient": LEMMA_GRADIENT,
    "lemma-3.2-hessian": LEMMA_HESSIAN,
}
"""The checks of each claim, by its id."""
