"""Gradient and Hessian of the loss, Lipschitz and cross-Lipschitz constants of the logits.

Functions of the local map's V and z, and of the labels y; all raise InputError where these do
not fit together. Differences of columns are formed before anything is weighted by a
probability, so that nothing cancels at high confidence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from regrob.checks import (
    ClassMatrix,
    InputMatrix,
    InputVector,
    Jacobian,
    Labels,
    Logits,
    Mask,
    PerExample,
    check_labels,
    check_map,
    require_binary,
)


def column(V: Tensor, index: Tensor) -> Tensor:
    """v_index, the chosen class's column of V: (…, n, 1).

    >>> column(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor(1))
    tensor([[0.], [4.]])
    """
    shape = (*V.shape[:-1], 1)
    return V.gather(-1, index[..., None, None].expand(shape))


def input_gradient(V: Jacobian, z: Logits, y: Labels) -> InputVector:
    """∇ = V(p − e_y) = Σ_j p_j (v_j − v_y), the loss's gradient (Eqs. 7, 15).

    >>> input_gradient(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor([-1.5000,  2.0000])
    """
    check_map(V, z)
    check_labels(y, z)
    p = torch.softmax(z, dim=-1)
    return ((V - column(V, y)) @ p.unsqueeze(-1)).squeeze(-1)


def hessian_factor(V: Jacobian, z: Logits) -> Jacobian:
    """A with columns √p_k (v_k − v̄), v̄ = Vp, so that H = A Aᵀ (Eq. 42's first line).

    Columns are measured from the most likely class, so that v_k − v̄ keeps its accuracy when
    one probability is nearly one; √p comes from log-softmax, whose gradient never overflows.

    >>> hessian_factor(torch.tensor([[1.0, -1.0]]), torch.zeros(2))  # ±√½
    tensor([[ 0.7071, -0.7071]])
    """
    check_map(V, z)
    log_p = torch.log_softmax(z, dim=-1)
    relative = V - column(V, z.argmax(dim=-1))  # (…, n, K)
    mean = relative @ log_p.exp().unsqueeze(-1)  # (…, n, 1)
    return (relative - mean) * (0.5 * log_p).exp().unsqueeze(-2)


def hessian(V: Jacobian, z: Logits) -> InputMatrix:
    """H = V (diag p − p pᵀ) Vᵀ, the loss's Hessian inside the polytope (Eqs. 7, 15).

    It does not depend on the label. Curvature that sits on the kinks between polytopes is
    not in it: the paper's H, like autograd's, never sees a kink.

    >>> hessian(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2))  # p₊p₋ = 1/4 times (3, −4)ᵀ(3, −4)
    tensor([[ 2.2500, -3.0000], [-3.0000,  4.0000]])
    """
    A = hessian_factor(V, z)
    return A @ A.mT


def curvature(V: Jacobian, z: Logits) -> PerExample:
    """‖H‖₂, H's largest eigenvalue.

    H = A Aᵀ and Aᵀ A share their nonzero eigenvalues, so a K×K matrix is all that is ever
    decomposed. For K = 2 it is p₊p₋ν² (Eq. 11). NaN where H overflows or holds NaN: one
    diverging example must not stop the batch.

    >>> curvature(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2))  # ν²/4
    tensor(6.2500)
    """
    if V.shape[-1] == 2:
        check_map(V, z)
        p = torch.softmax(z, dim=-1)
        return p[..., 0] * p[..., 1] * (V[..., 0] - V[..., 1]).square().sum(dim=-1)
    gram, finite = curvature_gram(V, z)
    largest: Tensor = torch.linalg.eigvalsh(gram)[..., -1]
    return largest.masked_fill(~finite, math.nan)


def curvature_gram(V: Jacobian, z: Logits) -> tuple[ClassMatrix, Mask]:
    """AᵀA, which has H's nonzero eigenvalues, and where it is finite; zero elsewhere.

    The zeros stand in because `torch.linalg`'s eigenvalues raise on NaN.

    >>> curvature_gram(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2))[0]  # eigenvalues 0, 25/4
    tensor([[ 3.1250, -3.1250], [-3.1250,  3.1250]])
    """
    A = hessian_factor(V, z)
    gram = A.mT @ A
    finite = torch.isfinite(gram).flatten(-2).all(dim=-1)
    return gram.masked_fill(~finite[..., None, None], 0.0), finite


def lipschitz_squared(V: Jacobian) -> PerExample:
    """μ² = ‖V‖_F². The square, because the norm itself has no gradient at V = 0.

    >>> lipschitz_squared(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(25.)
    """
    return V.square().sum(dim=(-2, -1))


def lipschitz(V: Jacobian) -> PerExample:
    """μ = ‖V‖_F, a local Lipschitz constant of the logits.

    >>> lipschitz(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    return lipschitz_squared(V).sqrt()


def cross_lipschitz_squared(V: Jacobian) -> PerExample:
    """Σ_{i,j} ‖v_i − v_j‖² / K² over ordered pairs (Hein and Andriushchenko 2017).

    This book's one normalisation for many classes. At K = 2 it is ν²/2, the very term that
    the paper penalises. Equal to (2/K)‖V C‖_F², C = I − 11ᵀ/K, which is how it is computed.

    >>> cross_lipschitz_squared(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(12.5000)
    """
    centred = V - V.mean(dim=-1, keepdim=True)
    return (2.0 / V.shape[-1]) * centred.square().sum(dim=(-2, -1))


def cross_lipschitz(V: Jacobian) -> PerExample:
    """ν = ‖v₊ − v₋‖₂, the binary local cross-Lipschitz constant.

    Raises:
        InputError: K ≠ 2.

    >>> cross_lipschitz(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    require_binary(V)
    nu: Tensor = torch.linalg.vector_norm(V[..., 0] - V[..., 1], dim=-1)
    return nu
