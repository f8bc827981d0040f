"""Two-sided bounds for any number of classes, in place of Proposition 4.1 and Eq. (40).

Write p = p_y, q = 1 − p_y, W = ‖V C‖₂ with C = I − 11ᵀ/K, and u for the rivals'
average Σ_{j≠y} p_j v_j / q. With two classes both ends of every bracket meet. All functions
raise InputError where V, z and y do not fit together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from regrob.checks import (
    InputVector,
    Jacobian,
    Labels,
    Logits,
    Mask,
    PerExample,
    check_labels,
    check_map,
    first_offender,
)
from regrob.errors import HypothesisError
from regrob.theory import derivatives, probability, taylor_radius


class Bracket(NamedTuple):
    """lower ≤ the quantity ≤ upper."""

    lower: PerExample
    upper: PerExample


def centred_norm(V: Jacobian) -> PerExample:
    """W = ‖V C‖₂, the largest singular value of V with its columns' mean taken away.

    No difference of two logits changes faster than √2 W; and W ≤ ‖V‖₂ ≤ ‖V‖_F.

    >>> round(float(centred_norm(torch.tensor([[4.0, 0.0], [4.0, 0.0]]))), 4)  # centred: ±2 everywhere
    4.0
    """
    centred = V - V.mean(dim=-1, keepdim=True)
    largest: Tensor = torch.linalg.matrix_norm(centred, ord=2)
    return largest


def rival_gap(V: Jacobian, z: Logits, y: Labels) -> InputVector:
    """u − v_y, so that ∇ = q (u − v_y). Keeps its accuracy when q underflows.

    >>> rival_gap(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor([-3.,  4.])
    """
    check_map(V, z)
    check_labels(y, z)
    label = functional.one_hot(y, z.shape[-1]).bool()
    weights = torch.softmax(z.masked_fill(label, -math.inf), dim=-1)
    return ((V - derivatives.column(V, y)) @ weights.unsqueeze(-1)).squeeze(-1)


def gradient_norm(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """‖∇‖₂ = q‖u − v_y‖₂. The length of ∇ itself is zero as soon as q² underflows, from a margin of 372 on.

    >>> gradient_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor(2.5000)
    """
    length: Tensor = torch.linalg.vector_norm(rival_gap(V, z, y), dim=-1)
    return probability.rival_probability(z, y) * length


def has_bracket(V: Jacobian, z: Logits, y: Labels) -> Mask:
    """Where the radius has a bracket: y is the one argmax, u ≠ v_y, and √q has not underflowed.

    >>> has_bracket(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([1.0, 0.0]), torch.tensor(0))
    tensor(True)
    """
    root_q = probability.root_rival_probability(probability.logit_margin(z, y))
    sloped = (rival_gap(V, z, y) != 0).any(dim=-1)
    return probability.correctly_classified(z, y) & sloped & (root_q > torch.finfo(z.dtype).tiny)


def require_bracket(V: Jacobian, z: Logits, y: Labels) -> None:
    """Raise HypothesisError, naming the first offender, unless every example is `has_bracket`.

    >>> require_bracket(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    Traceback (most recent call last):
    regrob.errors.HypothesisError: the example: it is not classified correctly ...
    """
    offender = first_offender(~has_bracket(V, z, y))
    if offender is None:
        return
    if not bool(probability.correctly_classified(z, y)[offender.position]):
        reason = "it is not classified correctly (y must be the one largest logit)"
    elif not bool((rival_gap(V, z, y)[offender.position] != 0).any()):
        reason = "∇ = 0: to first order no direction raises the loss"
    else:
        reason = "p_y equals 1 to working precision: the radius overflows"
    raise HypothesisError(f"{offender.name}: {reason}; select the examples where has_bracket(V, z, y) holds")


def curvature_bracket(V: Jacobian, z: Logits, y: Labels) -> Bracket:
    """(p/q)‖∇‖² ≤ ‖H‖₂ ≤ min(p·min(1, 2q), ½) W².

    Any y: where y is not the argmax, ‖H‖₂ ≤ W²/2 still holds and is what is returned.

    >>> curvature_bracket(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))  # ν²/4
    Bracket(lower=tensor(6.2500), upper=tensor(6.2500))
    """
    p, q = probability.label_probability(z, y), probability.rival_probability(z, y)
    lower = p * q * rival_gap(V, z, y).square().sum(dim=-1)
    factor = torch.where(
        probability.correctly_classified(z, y),
        p * (2 * q).clamp_max(1.0),
        torch.full_like(p, 0.5),
    )
    return Bracket(lower, factor.clamp_max(0.5) * centred_norm(V).square())


def radius_l2_bracket(V: Jacobian, z: Logits, y: Labels) -> Bracket:
    """max(√½, √q)·B/(pW) ≤ ‖r*‖₂ ≤ B/(p‖v_y − u‖₂), B = √(1 + 2pξ/q) − 1.

    r* is the shortest step at which the loss's quadratic model reaches log K. At K = 2 both ends are
    Eq. (8). The lower end is never below Eq. (17), nor below Eq. (16) where that holds.

    Raises:
        HypothesisError: an example outside `has_bracket`.

    >>> radius_l2_bracket(torch.tensor([[1.0, 0.0]]), torch.tensor([4.0, 1.0]).log(), torch.tensor(0))
    Bracket(lower=tensor(1.4772), upper=tensor(1.4772))
    """
    require_bracket(V, z, y)
    reach = taylor_radius.taylor_reach(probability.logit_margin(z, y), probability.slack(z, y))
    factor = probability.rival_probability(z, y).clamp_min(0.5).sqrt()
    return Bracket(
        factor * reach / centred_norm(V), reach / torch.linalg.vector_norm(rival_gap(V, z, y), dim=-1)
    )


def radius_linf_bracket(V: Jacobian, z: Logits, y: Labels) -> Bracket:
    """2ξ/(‖∇‖₁ + √(‖∇‖₁² + 2hξ)) ≤ ‖r̃*‖_∞ ≤ B/(p‖v_y − u‖₁), h = Σ_{kl}|H_{kl}|.

    Eq. (40) with n‖H‖₁ replaced by the sum h of all entries, which is never larger; at K = 2
    both ends are Eq. (9). Forms the n×n Hessian.

    Raises:
        HypothesisError: an example outside `has_bracket`.

    >>> radius_linf_bracket(torch.tensor([[1.0, 0.0]]), torch.tensor([4.0, 1.0]).log(), torch.tensor(0))
    Bracket(lower=tensor(1.4772), upper=tensor(1.4772))
    """
    require_bracket(V, z, y)
    slope = rival_gap(V, z, y).abs().sum(dim=-1)
    q, xi = probability.rival_probability(z, y), probability.slack(z, y)
    entries = derivatives.hessian(V, z).abs().sum(dim=(-2, -1))
    reach = taylor_radius.taylor_reach(probability.logit_margin(z, y), xi)
    return Bracket(taylor_radius.positive_root(q * slope, entries, xi), reach / slope)
