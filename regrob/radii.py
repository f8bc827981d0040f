"""How far is the decision boundary? The paper's Taylor radii beside the exact margin.

The Taylor radius ‖r*‖ is the size of the smallest r with L + ∇ᵀr + rᵀHr/2 ≥ β: the boundary
of the loss's quadratic model. The margin is the exact distance to the boundary of the
affine classifier that the network is around x. Both look only inside the current polytope.

V is (…, n, K), z is (…, K), y is (…); lengths are in the units of x.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from regrob import probability, properties
from regrob.errors import HypothesisError, InputError
from regrob.local import check_labels


def valid(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Where the binary radii are defined: (…) bool.

    Correctly classified (p_y > ½), ν > 0, and a rival whose √q has not underflowed, which in
    float64 happens beyond a margin of 1400, in float32 beyond 170. p_y may round to one.
    """
    properties.check_map(V, z)
    properties.require_binary(V)
    m = probability.logit_margin(z, y)
    root_q = (0.5 * functional.logsigmoid(-m)).exp()
    smallest = torch.finfo(z.dtype).tiny
    return (m > 0) & (properties.cross_lipschitz(V) > 0) & (root_q > smallest)


def require_valid(V: Tensor, z: Tensor, y: Tensor) -> None:
    """Raise HypothesisError, naming the first offender, unless every example is `valid`."""
    bad = ~valid(V, z, y)
    if not bool(bad.any()):
        return
    where = tuple(int(i) for i in bad.nonzero()[0])
    m = float(probability.logit_margin(z, y)[where])
    nu = float(properties.cross_lipschitz(V)[where])
    if not m > 0:
        reason = f"it is not classified correctly (margin {m:.3g}; p_y must exceed 1/2)"
    elif not nu > 0:
        reason = "ν = 0: the classifier is constant there, no perturbation reaches a boundary"
    else:
        reason = f"p_y equals 1 to working precision (margin {m:.3g}): the radius overflows"
    raise HypothesisError(
        f"example {where if len(where) != 1 else where[0]}: {reason}; "
        "select the examples where radii.valid(V, z, y) holds"
    )


def root(a: Tensor, b: Tensor, xi: Tensor) -> Tensor:
    """The positive root of a t + b t²/2 = ξ, as 2ξ / (a + √(a² + 2bξ)) (Eq. 40's form).

    The schoolbook form (√(a² + 2bξ) − a)/b loses every digit as b → 0; this one does not.

    Args:
        a, b, xi: nonnegative, a + b·ξ > 0.
    """
    return 2 * xi / (a + torch.sqrt(a.square() + 2 * b * xi))


def taylor_margin(m: Tensor) -> Tensor:
    """τ(m) = ν‖r*‖₂, a function of the logit margin m ≥ 0 alone (Prop. 3.1 times ν): (…).

    τ = 2ξ / (q + √(q² + 2pqξ)), with √q taken out so that no square underflows.
    The exact distance in the same units is m itself; τ(m) > m for every m > 0.
    """
    xi = -torch.log1p(0.5 * torch.expm1(-m))
    p = torch.sigmoid(m)
    root_q = (0.5 * functional.logsigmoid(-m)).exp()
    return 2 * xi / root_q / (root_q + torch.sqrt(root_q.square() + 2 * p * xi))


def radius_l2(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """‖r*‖₂ = (√(1 + 2p_yξ/(1 − p_y)) − 1) / (p_y ν), Prop. 3.1 with Eq. (8) mended: (…).

    Raises:
        HypothesisError: an example outside `valid`.
        InputError: K ≠ 2, or wrong shapes.
    """
    require_valid(V, z, y)
    return taylor_margin(probability.logit_margin(z, y)) / properties.cross_lipschitz(V)


def radius_linf(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """‖r̃*‖_∞, the same with ‖v₊ − v₋‖₁, the dual norm, in place of ν (Prop. 3.2, Eq. 9): (…).

    Raises:
        HypothesisError, InputError: as `radius_l2`.
    """
    require_valid(V, z, y)
    dual = (V[..., 0] - V[..., 1]).abs().sum(dim=-1)
    return taylor_margin(probability.logit_margin(z, y)) / dual


def worst_case_loss(V: Tensor, z: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """η* = max over ‖r‖_∞ ≤ ε of L + ∇ᵀr + rᵀHr/2 at K = 2 (Prop. 3.3, Eq. 10), in nats: (…).

    The maximum of the quadratic model, which is not a bound on the true loss. Any y.

    Raises:
        InputError: K ≠ 2, wrong shapes, or a negative ε.
    """
    properties.check_map(V, z)
    properties.require_binary(V)
    if not 0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be finite and at least 0, got {epsilon}")
    p, q = probability.label_probability(z, y), probability.rival_probability(z, y)
    reach = epsilon * (V[..., 0] - V[..., 1]).abs().sum(dim=-1)
    return probability.loss(z, y) + q * reach + 0.5 * p * q * reach.square()


def margin_l2(V: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """d = min_j (z_y − z_j) / ‖v_y − v_j‖₂: exact distance to the local classifier's boundary: (…).

    Any K. Infinite where no rival can be reached (all v_j = v_y). Within the polytope no
    smaller perturbation changes the class; beyond it the network may differ.

    Raises:
        HypothesisError: an example is not classified correctly.
    """
    properties.check_map(V, z)
    check_labels(y, z)
    correct = probability.correctly_classified(z, y)
    if not bool(correct.all()):
        where = tuple(int(i) for i in (~correct).nonzero()[0])
        raise HypothesisError(
            f"example {where if len(where) != 1 else where[0]} is not classified correctly, so it has "
            "no margin; select the examples where probability.correctly_classified(z, y) holds"
        )
    gap = z.gather(-1, y.unsqueeze(-1)) - z  # (…, K), zero at y
    distance = torch.linalg.vector_norm(V - properties.column(V, y), dim=-2)  # (…, K)
    label = functional.one_hot(y, z.shape[-1]).bool()
    return (gap / distance).masked_fill(label | (distance == 0), math.inf).amin(dim=-1)
