"""The four penalties with few differentiations: for networks that cannot be stacked.

Each penalty is ‖V C‖_F² for a matrix C (K, c) that the logits alone decide, or nearly so:

    input gradient    C = p − e_y                           one column
    curvature         C = (diag p − p pᵀ)^{1/2} u            one column
    cross-Lipschitz   C = √(2/K) · (a basis of 1's complement)    K − 1 columns
    Jacobian          C = I                                 K columns

Column c of V C is the gradient of the combination Σ_k C_kc z_k, so a training step
differentiates twice as often as C has columns, and not K times. In the curvature u is the top
eigenvector of a K×K matrix, held fixed: to first order a largest eigenvalue does not see its
eigenvector move. At K = 2 there is one direction for u and nothing to look for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from regrob.affine.local_map import local_map
from regrob.theory import derivatives
from regrob.theory.penalties import check_name
from regrob.theory.probability import residual_probability


def basis(classes: int, like: Tensor) -> Tensor:
    """Orthonormal columns that span the complement of (1, …, 1): (K, K − 1)."""
    lower = torch.tril(torch.ones(classes, classes, dtype=torch.float64), -1)
    helmert = lower - torch.diag(torch.arange(classes, dtype=torch.float64))
    rows: Tensor = nn.functional.normalize(helmert[1:], dim=1)
    return rows.T.to(like)


def columns(kind: str, network: nn.Module, images: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """C (N, K, c) of a penalty, with a graph to the logits.

    Args:
        kind: a key of `penalties.PENALTIES`.
        network: read for the curvature of three classes and more only, in eval mode.
        images: (N, …).
        z: (N, K), the network's logits, with their graph.
        y: (N,), labels.

    Raises:
        InputError: no penalty has this name.
    """
    check_name(kind)
    classes = z.shape[-1]
    identity = torch.eye(classes, dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
    if kind == "input-gradient":
        return residual_probability(z, y).unsqueeze(-1)
    if kind == "curvature":
        if classes == 2:
            root: Tensor = (0.5 * torch.log_softmax(z, dim=-1).sum(dim=-1)).exp()  # √(p₊p₋)
            both: Tensor = root[:, None, None] * z.new_tensor([[1.0], [-1.0]])
            return both
        V, _ = local_map(network, images, check=False)
        u: Tensor
        with torch.no_grad():
            A = derivatives.hessian_factor(V, z)
            gram = A.mT @ A
            finite = torch.isfinite(gram).flatten(-2).all(dim=-1)
            gram = gram.masked_fill(~finite[:, None, None], 0.0)  # `eigh` raises on NaN
            u = torch.linalg.eigh(gram).eigenvectors[..., -1:]
            u = u.masked_fill(~finite[:, None, None], torch.nan)
        C: Tensor = derivatives.hessian_factor(identity, z) @ u
        return C
    if kind == "cross-lipschitz":
        return (math.sqrt(2.0 / classes) * basis(classes, z)).expand(len(z), -1, -1)
    return identity


def penalty_by_columns(network: nn.Module, images: Tensor, y: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """A penalty's value at each image (N,), and the logits (N, K), both with a graph.

    The value and its gradient in the weights are those of `penalties.PENALTIES[kind]`.

    Raises:
        InputError: no penalty has this name.
    """
    x = images.detach().requires_grad_(True)
    z = network(x)
    C = columns(kind, network, images, z, y)
    rows = [
        torch.autograd.grad(z, x, C[..., c], create_graph=True)[0].flatten(1).square().sum(dim=1)
        for c in range(C.shape[-1])
    ]
    return torch.stack(rows).sum(dim=0), z
