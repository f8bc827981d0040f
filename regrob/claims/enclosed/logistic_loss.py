"""The logistic loss in intervals: ∇ and H of one-logit networks by forward-mode differentiation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from regrob.claims import forward_mode
from regrob.claims.enclosure import EnclosedCheck, Sides, enclosed, interval
from regrob.claims.rational_networks import AffineLayer, NetworkAtPoint, all_points


def one_logit(point: NetworkAtPoint) -> NetworkAtPoint:
    """The network whose one logit is the difference of the two."""
    last = point.layers[-1]
    (plus, minus), (b_plus, b_minus) = last
    difference = tuple(a - b for a, b in zip(plus, minus, strict=True))
    return replace(point, layers=(*point.layers[:-1], AffineLayer((difference,), (b_plus - b_minus,))))


@enclosed("∇ and H of one-logit networks", over=all_points, wrong=-1, mistake="the sign reversed")
def lemma(two: NetworkAtPoint, factor: int = 1) -> Iterator[Sides]:
    """Lemma 3.2 with v for v₊ − v₋ against the derivatives of log(1 + exp(−y vᵀx))."""
    point = one_logit(two)
    (logit,) = point.logits(forward_mode.variables(point.x))
    loss = forward_mode.log(forward_mode.exp(forward_mode.enclose(-point.sign * logit)) + 1)
    (v,) = point.V
    for a, v_a in enumerate(v):
        yield two.q * interval(-factor * point.sign * v_a), loss.gradient[a]
        for b, v_b in enumerate(v):
            yield two.p * two.q * interval(v_a * v_b), loss.hessian[a][b]


CHECKS: dict[str, tuple[EnclosedCheck, ...]] = {"remark-logistic-transfer": (lemma,)}
"""The enclosed checks of each claim, by its id."""
