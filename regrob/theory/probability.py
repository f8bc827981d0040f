"""The predicted probability and what follows from the logits alone, without cancellation.

All functions take logits z of shape (…, K) and labels y of shape (…), and return (…).
The probability of the rivals, q = 1 − p_y, is never formed by subtraction: at a margin
of 40 that would return zero in float64, and 16 in float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from regrob.checks import check_labels


def logit_margin(z: Tensor, y: Tensor) -> Tensor:
    """m = log(p_y / q) = −log Σ_{j≠y} exp(z_j − z_y); positive exactly where p_y > ½. Shape (…).

    Differences come first, so that a constant added to all logits costs no digits.

    >>> logit_margin(torch.tensor([1000.0, 1000.0, 1000.0]), torch.tensor(0))  # −log 2
    tensor(-0.6931)
    """
    check_labels(y, z)
    label = functional.one_hot(y, z.shape[-1]).bool()
    rivals = (z - z.gather(-1, y.unsqueeze(-1))).masked_fill(label, -math.inf)
    return -torch.logsumexp(rivals, dim=-1)


def label_probability(z: Tensor, y: Tensor) -> Tensor:
    """p_y, in [0, 1]. Shape (…)."""
    return torch.sigmoid(logit_margin(z, y))


def rival_probability(z: Tensor, y: Tensor) -> Tensor:
    """q = 1 − p_y = Σ_{j≠y} p_j, accurate where p_y rounds to one. Shape (…).

    >>> rival_probability(torch.tensor([80.0, 0.0]), torch.tensor(0))  # 1 − p_y would be 0
    tensor(1.8049e-35)
    """
    return torch.sigmoid(-logit_margin(z, y))


def loss(z: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy L = −log p_y = log(1 + e^{−m}), in nats, per example. Shape (…)."""
    return -functional.logsigmoid(logit_margin(z, y))


def slack(z: Tensor, y: Tensor, *, threshold: float = math.log(2.0)) -> Tensor:
    """ξ = β − L: how much loss is left before the threshold β, in nats. Shape (…).

    Negative where the loss exceeds β; β = log 2, the binary threshold, gives `binary_slack`.
    """
    return binary_slack(logit_margin(z, y)) + (threshold - math.log(2.0))


def binary_slack(m: Tensor) -> Tensor:
    """ξ = log(2p) at β = log 2, as a function of the logit margin m = log(p/(1 − p)): (…).

    Computed as min(m, 0) − log1p((e^{−|m|} − 1)/2): it keeps its relative accuracy next to
    the boundary, where ξ ≈ m/2, and overflows for no m.

    >>> binary_slack(torch.tensor([0.0, 1e-8, 800.0, -800.0]))  # 0, m/2, log 2, m + log 2
    tensor([ 0.0000e+00,  5.0000e-09,  6.9315e-01, -7.9931e+02])
    """
    return torch.minimum(m, torch.zeros_like(m)) - torch.log1p(0.5 * torch.expm1(-m.abs()))


def correctly_classified(z: Tensor, y: Tensor) -> Tensor:
    """Whether y is the one largest logit (a tie counts as wrong): (…) bool."""
    check_labels(y, z)
    label = functional.one_hot(y, z.shape[-1]).bool()
    own = z.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return own > z.masked_fill(label, -math.inf).amax(dim=-1)


def residual_probability(z: Tensor, y: Tensor) -> Tensor:
    """p − e_y, its y-th entry −q formed from the rivals. Shape (…, K), summing to zero."""
    p = torch.softmax(z, dim=-1)
    q = rival_probability(z, y)
    return p.scatter(-1, y.unsqueeze(-1), -q.unsqueeze(-1))
