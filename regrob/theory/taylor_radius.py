"""How far is the decision boundary in the loss's quadratic model? The paper's Taylor radii.

The Taylor radius ‖r*‖ is the size of the smallest r with L + ∇ᵀr + rᵀHr/2 ≥ β: the boundary
of the loss's quadratic model. The exact distance to the boundary of the affine classifier is
in `margin`. Both look only inside the current polytope.

All functions raise InputError where V, z and y do not fit together, and the binary ones
where K ≠ 2. Lengths are in the units of x.
"""

from __future__ import annotations

import math

import torch

from regrob.checks import (
    Broadcast,
    Jacobian,
    Labels,
    Logits,
    Mask,
    PerExample,
    check_map,
    first_offender,
    require_binary,
)
from regrob.errors import HypothesisError, InputError
from regrob.theory import derivatives, probability


def has_taylor_radius(V: Jacobian, z: Logits, y: Labels) -> Mask:
    """Where the binary radii are defined: p_y > ½, 0 < ν < ∞, and √q has not underflowed.

    Underflow begins at a margin of 1400 in float64, of 170 in float32. p_y may round to one.

    >>> has_taylor_radius(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([1.0, 0.0]), torch.tensor(0))
    tensor(True)
    """
    check_map(V, z)
    m, nu = probability.logit_margin(z, y), derivatives.cross_lipschitz(V)
    representable = probability.root_rival_probability(m) > torch.finfo(z.dtype).tiny
    return (m > 0) & (nu > 0) & (nu < math.inf) & representable


def require_taylor_radius(V: Jacobian, z: Logits, y: Labels) -> None:
    """Raise HypothesisError, naming the first offender, unless every example is `has_taylor_radius`.

    >>> require_taylor_radius(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    Traceback (most recent call last):
    regrob.errors.HypothesisError: the example: it is not classified correctly ...
    """
    offender = first_offender(~has_taylor_radius(V, z, y))
    if offender is None:
        return
    m = float(probability.logit_margin(z, y)[offender.position]) + 0.0  # and −0 becomes 0
    nu = float(derivatives.cross_lipschitz(V)[offender.position])
    if math.isnan(m) or not math.isfinite(nu):
        reason = f"V or z holds NaN or infinity (margin {m:.3g}, ν {nu:.3g})"
    elif m <= 0:
        reason = f"it is not classified correctly (margin {m:.3g}; p_y must exceed 1/2)"
    elif nu == 0:
        reason = "ν = 0: the two logits move together, no perturbation reaches a boundary"
    else:
        reason = f"p_y equals 1 to working precision (margin {m:.3g}): the radius overflows"
    raise HypothesisError(
        f"{offender.name}: {reason}; select the examples where has_taylor_radius(V, z, y) holds"
    )


def positive_root(a: Broadcast, b: Broadcast, xi: Broadcast) -> Broadcast:
    """The positive root of a t + b t²/2 = ξ, as 2ξ / (a + √(a² + 2bξ)) (Eq. 40's form).

    For a, b, ξ ≥ 0 with a + bξ > 0. The schoolbook form (√(a² + 2bξ) − a)/b loses every digit as b → 0.

    >>> positive_root(torch.tensor(3.0), torch.tensor(0.0), torch.tensor(6.0))  # a line: ξ/a
    tensor(2.)
    >>> positive_root(torch.tensor(0.0), torch.tensor(2.0), torch.tensor(9.0))  # a parabola: √(2ξ/b)
    tensor(3.)
    """
    return 2 * xi / (a + torch.sqrt(a.square() + 2 * b * xi))


def taylor_reach(m: Broadcast, xi: Broadcast) -> Broadcast:
    """(√(1 + 2pξ/q) − 1) / p from the logit margin m = log(p/q), any sign, and ξ ≥ 0.

    The factor that Props. 3.1, 3.2 and their many-class forms share: the root t of
    q t + pq t²/2 = ξ, with √q taken out so that no product underflows.

    >>> taylor_reach(torch.tensor(4.0).log(), torch.tensor(1.25))  # p = 4/5: (√11 − 1) / (4/5)
    tensor(2.8958)
    """
    root_q = probability.root_rival_probability(m)
    return positive_root(root_q, torch.sigmoid(m), xi) / root_q


def taylor_margin(m: PerExample) -> PerExample:
    """τ(m) = ν‖r*‖₂, a function of the logit margin m ≥ 0 alone (Prop. 3.1 times ν).

    The exact distance in the same units is m itself; τ(m) > m for every m > 0.

    >>> taylor_margin(torch.tensor(4.0).log())  # p = 4/5: (√(1 + 8 log(8/5)) − 1) / (4/5)
    tensor(1.4772)
    """
    return taylor_reach(m, probability.binary_slack(m))


def radius_l2(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """‖r*‖₂ = (√(1 + 2p_yξ/(1 − p_y)) − 1) / (p_y ν), Prop. 3.1 with Eq. (8) mended.

    Raises:
        HypothesisError: an example outside `has_taylor_radius`.

    >>> radius_l2(torch.tensor([[1.0, 0.0]]), torch.tensor([4.0, 1.0]).log(), torch.tensor(0))  # ν = 1
    tensor(1.4772)
    """
    require_taylor_radius(V, z, y)
    return taylor_margin(probability.logit_margin(z, y)) / derivatives.cross_lipschitz(V)


def radius_linf(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """‖r̃*‖_∞, the same with ‖v₊ − v₋‖₁, the dual norm, in place of ν (Prop. 3.2, Eq. 9).

    Raises:
        HypothesisError: as `radius_l2`.

    >>> V = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # ‖v₊ − v₋‖₁ = 2 halves it
    >>> radius_linf(V, torch.tensor([4.0, 1.0]).log(), torch.tensor(0))
    tensor(0.7386)
    """
    require_taylor_radius(V, z, y)
    dual = (V[..., 0] - V[..., 1]).abs().sum(dim=-1)
    return taylor_margin(probability.logit_margin(z, y)) / dual


def worst_case_loss(V: Jacobian, z: Logits, y: Labels, epsilon: float) -> PerExample:
    """η* = max over ‖r‖_∞ ≤ ε of L + ∇ᵀr + rᵀHr/2 at K = 2 (Prop. 3.3, Eq. 10), in nats.

    The maximum of the quadratic model, which is not a bound on the true loss. Any y.

    Raises:
        InputError: a negative or infinite ε.

    >>> worst_case_loss(torch.tensor([[1.0, 0.0]]), torch.zeros(2), torch.tensor(0), 2.0)  # log 2 + 1 + 1/2
    tensor(2.1931)
    """
    check_map(V, z)
    require_binary(V)
    if not 0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be finite and at least 0, got {epsilon}")
    p, q = probability.label_probability(z, y), probability.rival_probability(z, y)
    rise = epsilon * (V[..., 0] - V[..., 1]).abs().sum(dim=-1)
    return probability.loss(z, y) + q * rise + 0.5 * p * q * rise.square()
