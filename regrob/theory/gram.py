"""Penalties of the Gram matrix: value and gradient in closed form, for whole ensembles.

All four penalties see V only through S = VᵀV. With weights w = (input gradient, Jacobian,
curvature, cross-Lipschitz), the weighted sum P has ∂P/∂V = 2VQ for a K×K matrix Q, and Q
has a factor F with few columns: Q = F Fᵀ. That is why a training step needs no n×n object,
no second differentiation, and at most K + 1 extra vectors an example.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ORDER = ("input-gradient", "jacobian", "curvature", "cross-lipschitz")
"""The order of the weights along their last axis."""


class GramPenalty(NamedTuple):
    """A weighted sum of penalties and its derivatives.

    Attributes:
        value: (…), the weighted sum P.
        factor: (…, K, f), F with ∂P/∂S = F Fᵀ, hence ∂P/∂V = 2 V F Fᵀ.
        logits: (…, K), ∂P/∂z at fixed V.
    """

    value: Tensor
    factor: Tensor
    logits: Tensor


def dominant_eigenvector(B: Tensor, *, squarings: int = 14) -> Tensor:
    """A unit top eigenvector of symmetric positive semidefinite B (…, K, K): (…, K).

    B is squared again and again, so that B^(2^14) is a multiple of the projection onto the
    top eigenspace. Unlike `eigh` this runs inside a CUDA graph. Where two eigenvalues agree
    to four digits the result may mix their vectors; ‖B u‖ is then still right to eight.
    """
    power = B.reshape(-1, *B.shape[-2:])
    for squaring in range(squarings):
        if squaring % 3 == 0:  # the top eigenvalue is then between 1 and K, its 8th power in range
            size = power.amax(dim=(-2, -1), keepdim=True)
            power = power / size.clamp_min(torch.finfo(B.dtype).tiny)
        power = torch.bmm(power, power)
    power = power.view_as(B)
    best = power.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    index = best[..., None, None].expand(*power.shape[:-1], 1)
    vector = power.gather(-1, index).squeeze(-1)
    size = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    unit: Tensor = vector / size.clamp_min(torch.finfo(B.dtype).tiny)
    return unit


def gram_penalty(
    S: Tensor, z: Tensor, y: Tensor, weights: Tensor, kinds: tuple[str, ...] = ORDER
) -> GramPenalty:
    """The weighted sum of penalties with its derivatives.

    Args:
        S: (…, K, K), VᵀV.
        z: (…, K), logits.
        y: (…), labels.
        weights: broadcastable to (…, 4), in the order `ORDER`, nonnegative.
        kinds: the penalties to compute; the weights of the others are not read.
    """
    classes = z.shape[-1]
    p = torch.softmax(z, dim=-1)
    value = torch.zeros_like(z[..., 0])
    logits = torch.zeros_like(z)
    columns: list[Tensor] = []

    def weight(kind: str) -> Tensor:
        return weights[..., ORDER.index(kind)]

    if "input-gradient" in kinds:
        w = weight("input-gradient")
        # p − e_y, its y-th entry formed from the rivals.
        rho = p.scatter(-1, y[..., None], 0.0)
        rho = rho.scatter(-1, y[..., None], -rho.sum(dim=-1, keepdim=True))
        slope = (S @ rho[..., None]).squeeze(-1)  # Vᵀ∇
        value = value + w * (rho * slope).sum(dim=-1)
        centred = slope - (p * slope).sum(dim=-1, keepdim=True)
        logits = logits + 2 * w[..., None] * p * centred
        columns.append((w.sqrt()[..., None] * rho)[..., None])
    if "curvature" in kinds:
        w = weight("curvature")
        if classes == 2:
            pq = p.prod(dim=-1)
            nu_squared = S[..., 0, 0] + S[..., 1, 1] - 2 * S[..., 0, 1]
            curvature = pq * nu_squared
            root = pq.sqrt()
            t = torch.stack([root, -root], dim=-1)
            tilt = curvature[..., None] * (1 - 2 * p)
        else:
            root = torch.exp(0.5 * torch.log_softmax(z, dim=-1))
            mixing = torch.diag_embed(root) - p[..., :, None] * root[..., None, :]
            u = dominant_eigenvector(mixing.mT @ S @ mixing)
            t = (mixing @ u[..., None]).squeeze(-1)
            along = (S @ t[..., None]).squeeze(-1)
            curvature = (t * along).sum(dim=-1)
            centred = along - (p * along).sum(dim=-1, keepdim=True)
            safe = curvature.clamp_min(torch.finfo(S.dtype).tiny)[..., None]
            tilt = p * (centred.square() / safe - curvature[..., None])
        value = value + w * curvature
        logits = logits + w[..., None] * tilt
        columns.append((w.sqrt()[..., None] * t)[..., None])
    if "jacobian" in kinds or "cross-lipschitz" in kinds:
        identity = torch.eye(classes, dtype=S.dtype, device=S.device)
        uniform = torch.full_like(identity, 1.0 / classes)
        trace = S.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        total = S.sum(dim=(-2, -1)) / classes
        jacobian = weight("jacobian") if "jacobian" in kinds else torch.zeros_like(weights[..., 0])
        cross = weight("cross-lipschitz") if "cross-lipschitz" in kinds else torch.zeros_like(jacobian)
        cross = cross * 2 / classes
        value = value + jacobian * trace + cross * (trace - total)
        # Q = w_J I + w_C (I − 11ᵀ/K) has the square root below.
        inner = (jacobian + cross).sqrt()[..., None, None] * (identity - uniform)
        factor = inner + jacobian.sqrt()[..., None, None] * uniform
        columns.append(factor.expand(*S.shape[:-1], classes))
    return GramPenalty(value, torch.cat(columns, dim=-1), logits)
