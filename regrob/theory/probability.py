"""What follows from the logits and the label alone: probabilities, loss, slack, without cancellation.

The probability of the rivals, q = 1 − p_y, is never formed by subtraction: that would return
zero from a margin of 40 on in float64, and of 16 in float32. Labels that do not fit the logits
raise InputError.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from regrob.checks import Labels, Logits, Mask, PerExample, check_labels


def logit_margin(z: Logits, y: Labels) -> PerExample:
    """m = log(p_y / q) = −log Σ_{j≠y} exp(z_j − z_y); positive exactly where p_y > ½.

    Differences come first, so that a constant added to all logits costs no digits.

    >>> logit_margin(torch.tensor([1000.0, 1000.0, 1000.0]), torch.tensor(0))  # −log 2
    tensor(-0.6931)
    """
    check_labels(y, z)
    label = functional.one_hot(y, z.shape[-1]).bool()
    rivals = (z - z.gather(-1, y.unsqueeze(-1))).masked_fill(label, -math.inf)
    return -torch.logsumexp(rivals, dim=-1)


def label_probability(z: Logits, y: Labels) -> PerExample:
    """p_y, in [0, 1].

    >>> label_probability(torch.tensor([4.0, 1.0]).log(), torch.tensor(0))
    tensor(0.8000)
    """
    return torch.sigmoid(logit_margin(z, y))


def rival_probability(z: Logits, y: Labels) -> PerExample:
    """q = 1 − p_y = Σ_{j≠y} p_j, accurate where p_y rounds to one.

    >>> rival_probability(torch.tensor([80.0, 0.0]), torch.tensor(0))  # 1 − p_y would be 0
    tensor(1.8049e-35)
    """
    return torch.sigmoid(-logit_margin(z, y))


def root_rival_probability(m: PerExample) -> PerExample:
    """√q as a function of the logit margin m; at −m it is √p_y.

    Formed through the logarithm: the square root of an underflowed q would lose half of its range.

    >>> root_rival_probability(torch.tensor(3.0).log())  # q = 1/4
    tensor(0.5000)
    """
    return (0.5 * functional.logsigmoid(-m)).exp()


def loss(z: Logits, y: Labels) -> PerExample:
    """Cross-entropy L = −log p_y = log(1 + e^{−m}), in nats.

    >>> loss(torch.zeros(2), torch.tensor(0))  # log 2
    tensor(0.6931)
    """
    return -functional.logsigmoid(logit_margin(z, y))


def slack(z: Logits, y: Labels, *, threshold: float | None = None) -> PerExample:
    """ξ = β − L, the loss left before the threshold β, in nats; β = log K if None: ξ = log(K p_y).

    At log K it is −log1p(mean_j expm1(z_j − z_y)), counted from the largest logit so that nothing
    overflows: relative accuracy is kept next to uniform logits, where log K − L has no digits.

    >>> slack(torch.tensor([4.0, 1.0]).log(), torch.tensor(0))  # log(2 · 4/5)
    tensor(0.4700)
    >>> slack(torch.tensor([1e-20, 0.0, 0.0]), torch.tensor(0))  # 2/3 of the lead
    tensor(6.6667e-21)
    """
    check_labels(y, z)
    log_K = math.log(z.shape[-1])
    if threshold is not None and threshold != log_K:
        return binary_slack(logit_margin(z, y)) + (threshold - math.log(2.0))
    behind = z - z.detach().amax(dim=-1, keepdim=True)  # its gradient through the maximum cancels
    mean = torch.expm1(behind).mean(dim=-1)
    # Of a mean near −1 the logarithm would magnify the rounding K times.
    log_mean = torch.where(mean < -0.5, torch.logsumexp(behind, dim=-1) - log_K, torch.log1p(mean))
    return behind.gather(-1, y.unsqueeze(-1)).squeeze(-1) - log_mean


def binary_slack(m: PerExample) -> PerExample:
    """ξ = log(2p) at β = log 2, as a function of the logit margin m = log(p/(1 − p)).

    Computed as min(m, 0) − log1p((e^{−|m|} − 1)/2): it keeps its relative accuracy next to
    the boundary, where ξ ≈ m/2, and overflows for no m.

    >>> binary_slack(torch.tensor([0.0, 1e-8, 800.0, -800.0]))  # 0, m/2, log 2, m + log 2
    tensor([ 0.0000e+00,  5.0000e-09,  6.9315e-01, -7.9931e+02])
    """
    return torch.minimum(m, torch.zeros_like(m)) - torch.log1p(0.5 * torch.expm1(-m.abs()))


def correctly_classified(z: Logits, y: Labels) -> Mask:
    """Whether y is the one largest logit; a tie counts as wrong.

    >>> correctly_classified(torch.eye(2), torch.tensor([0, 0]))
    tensor([ True, False])
    """
    check_labels(y, z)
    label = functional.one_hot(y, z.shape[-1]).bool()
    own = z.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return own > z.masked_fill(label, -math.inf).amax(dim=-1)


def residual_probability(z: Logits, y: Labels) -> Logits:
    """p − e_y, which sums to zero; its y-th entry −q is formed from the rivals.

    >>> residual_probability(torch.zeros(2), torch.tensor(0))
    tensor([-0.5000,  0.5000])
    """
    p = torch.softmax(z, dim=-1)
    q = rival_probability(z, y)
    return p.scatter(-1, y.unsqueeze(-1), -q.unsqueeze(-1))
