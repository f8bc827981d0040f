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

from regrob.local import check_labels


def logit_margin(z: Tensor, y: Tensor) -> Tensor:
    """m = log(p_y / q) = z_y − log Σ_{j≠y} exp z_j; positive exactly where p_y > ½. Shape (…)."""
    check_labels(y, z)
    label = functional.one_hot(y, z.shape[-1]).bool()
    rivals = z.masked_fill(label, -math.inf)
    return z.gather(-1, y.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(rivals, dim=-1)


def label_probability(z: Tensor, y: Tensor) -> Tensor:
    """p_y, in [0, 1]. Shape (…)."""
    return torch.sigmoid(logit_margin(z, y))


def rival_probability(z: Tensor, y: Tensor) -> Tensor:
    """q = 1 − p_y = Σ_{j≠y} p_j, accurate where p_y rounds to one. Shape (…)."""
    return torch.sigmoid(-logit_margin(z, y))


def loss(z: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy L = −log p_y = log(1 + e^{−m}), in nats, per example. Shape (…)."""
    return -functional.logsigmoid(logit_margin(z, y))


def slack(z: Tensor, y: Tensor, *, threshold: float = math.log(2.0)) -> Tensor:
    """ξ = β − L: how much loss is left before the threshold β, in nats. Shape (…).

    With the binary threshold β = log 2 this is log(2p_y), computed as −log1p((e^{−m} − 1)/2)
    so that it keeps its relative accuracy next to the boundary, where ξ ≈ m/2.
    """
    m = logit_margin(z, y)
    binary = -torch.log1p(0.5 * torch.expm1(-m))
    return binary + (threshold - math.log(2.0))


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
