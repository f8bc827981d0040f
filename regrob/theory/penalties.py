"""The four penalties (Eq. 11): what each is, and how a training step gets its gradient.

**Definition.** Each penalty is a function of V (…, n, K), z (…, K) and y (…), one value an
example. A training loss adds λ times the mean over the batch. The mean is taken after the
penalty: a gradient of the mean loss would carry a hidden 1/N² (see the chapter on the
penalties). Pixels are in [0, 1]; with other units λ changes by their square.

**In Gram form**, for whole ensembles (`gram_penalty`). All four see V only through S = VᵀV.
With weights w in the order of `PENALTY_NAMES`, the weighted sum P has ∂P/∂V = 2VQ for a K×K
matrix Q, and Q has a factor F with few columns: Q = F Fᵀ. That is why a training step needs no
n×n object, no second differentiation, and at most K + 1 extra vectors an example.

Single networks of any kind train by columns of V C: `training.columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from regrob.checks import ClassMatrix, Jacobian, Labels, Logits, PerExample, check_map
from regrob.errors import InputError
from regrob.theory import derivatives

# --- definition ------------------------------------------------------------------------


def input_gradient_penalty(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """‖∇‖₂², which is (1 − p_y)² ν² at K = 2.

    >>> input_gradient_penalty(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor(6.2500)
    """
    return derivatives.input_gradient(V, z, y).square().sum(dim=-1)


def jacobian_penalty(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """μ² = ‖V‖_F². Neither the logits nor the label enter.

    >>> jacobian_penalty(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor(25.)
    """
    check_map(V, z)
    return derivatives.lipschitz_squared(V)


def curvature_penalty(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """‖H‖₂, which is p_y (1 − p_y) ν² at K = 2; exact for any K. The label drops out.

    >>> curvature_penalty(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor(6.2500)
    """
    return derivatives.curvature(V, z)


def cross_lipschitz_penalty(V: Jacobian, z: Logits, y: Labels) -> PerExample:
    """Σ_{i,j} ‖v_i − v_j‖² / K², which is ν²/2 at K = 2.

    >>> cross_lipschitz_penalty(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2), torch.tensor(0))
    tensor(12.5000)
    """
    check_map(V, z)
    return derivatives.cross_lipschitz_squared(V)


Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]

PENALTIES: dict[str, Penalty] = {
    "input-gradient": input_gradient_penalty,
    "jacobian": jacobian_penalty,
    "curvature": curvature_penalty,
    "cross-lipschitz": cross_lipschitz_penalty,
}
"""Name → penalty, as the command line and the results files spell them."""

PENALTY_NAMES = tuple(PENALTIES)
"""The order of the weights along their last axis."""

INPUT_GRADIENT_PEAK = 1.2784645427610737
"""νγ at which ‖∇‖₂² peaks at K = 2 (Appendix G): 1 + W(1/e), the root of (t − 1)eᵗ = 1."""

CURVATURE_PEAK = 2.3993572805154675
"""νγ at which ‖H‖₂ peaks at K = 2 (Appendix G): twice the root of x tanh x = 1."""


def check_name(name: str) -> None:
    """Raise InputError unless one of the four penalties has this name.

    >>> check_name("hessian")
    Traceback (most recent call last):
    regrob.errors.InputError: no penalty is called 'hessian'; there are input-gradient, jacobian, ...
    """
    if name not in PENALTIES:
        raise InputError(f"no penalty is called {name!r}; there are {', '.join(PENALTIES)}")


# --- what the other forms share --------------------------------------------------------


def zero_sum_basis(classes: int, like: Tensor) -> Tensor:
    """Helmert's orthonormal columns, which span the complement of (1, …, 1): (K, K − 1).

    >>> zero_sum_basis(2, torch.zeros(1))
    tensor([[ 0.7071], [-0.7071]])
    """
    lower = torch.tril(torch.ones(classes, classes, dtype=torch.float64, device=like.device), -1)
    helmert = lower - torch.diag(torch.arange(classes, device=like.device))
    rows: Tensor = functional.normalize(helmert[1:], dim=1)
    return rows.T.to(like)


def _centred(p: Tensor, values: Tensor) -> Tensor:
    """values − Σ_k p_k values_k, each (…, K)."""
    return values - (p * values).sum(dim=-1, keepdim=True)


# --- in Gram form ----------------------------------------------------------------------


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


def gram_penalty(
    S: ClassMatrix, z: Logits, y: Labels, weights: Tensor, kinds: Sequence[str] = PENALTY_NAMES
) -> GramPenalty:
    """The weighted sum of penalties with its derivatives, from S = VᵀV.

    Args:
        weights: broadcastable to (…, 4), in the order `PENALTY_NAMES`, nonnegative.
        kinds: the penalties to compute; the weights of the others are not read.

    Raises:
        InputError: no penalty has one of these names.

    >>> S, weights = torch.tensor([[9.0, 0.0], [0.0, 16.0]]), torch.tensor([0.0, 1.0, 0.0, 0.0])
    >>> gram_penalty(S, torch.zeros(2), torch.tensor(0), weights).value  # the Jacobian's, 9 + 16
    tensor(25.)
    """
    one_column = {"input-gradient": _gram_input_gradient, "curvature": _gram_curvature}
    linear_in_S = ("jacobian", "cross-lipschitz")
    for kind in kinds:
        check_name(kind)
        if kind not in one_column and kind not in linear_in_S:
            raise InputError(f"the penalty {kind!r} has no Gram form yet: write it in gram_penalty")

    def weight(kind: str) -> Tensor:
        return weights[..., PENALTY_NAMES.index(kind)]

    classes = z.shape[-1]
    p = torch.softmax(z, dim=-1)
    value = torch.zeros_like(z[..., 0])
    logits = torch.zeros_like(z)
    factor: list[Tensor] = []
    for kind, weighted_by in one_column.items():
        if kind in kinds:
            weighted = weighted_by(S, z, y, p, weight(kind))
            value = value + weighted.value
            logits = logits + weighted.logits
            factor.append(weighted.factor)
    if any(kind in kinds for kind in linear_in_S):
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
        root = inner + jacobian.sqrt()[..., None, None] * uniform
        factor.append(root.expand(*S.shape[:-1], classes))
    return GramPenalty(value, torch.cat(factor, dim=-1), logits)


def _gram_input_gradient(S: Tensor, z: Tensor, y: Tensor, p: Tensor, w: Tensor) -> GramPenalty:
    """w‖∇‖₂² with the one column √w (p − e_y)."""
    residual = p.scatter(-1, y[..., None], 0.0)
    residual = residual.scatter(-1, y[..., None], -residual.sum(dim=-1, keepdim=True))
    slope = (S @ residual[..., None]).squeeze(-1)  # Vᵀ∇
    tilt = 2 * w[..., None] * p * _centred(p, slope)
    return GramPenalty(w * (residual * slope).sum(dim=-1), _weighted_column(w, residual), tilt)


def _gram_curvature(S: Tensor, z: Tensor, y: Tensor, p: Tensor, w: Tensor) -> GramPenalty:
    """w‖H‖₂ with the one column √w t, where ‖H‖₂ = ‖Vt‖₂²."""
    if z.shape[-1] == 2:
        product = p.prod(dim=-1)
        curvature = product * (S[..., 0, 0] + S[..., 1, 1] - 2 * S[..., 0, 1])
        root = product.sqrt()
        t = torch.stack([root, -root], dim=-1)
        tilt = curvature[..., None] * (1 - 2 * p)
        return GramPenalty(w * curvature, _weighted_column(w, t), w[..., None] * tilt)
    root = torch.exp(0.5 * torch.log_softmax(z, dim=-1))
    mixing = torch.diag_embed(root) - p[..., :, None] * root[..., None, :]
    u = dominant_eigenvector(mixing.mT @ S @ mixing)
    t = (mixing @ u[..., None]).squeeze(-1)
    slope = (S @ t[..., None]).squeeze(-1)
    curvature = (t * slope).sum(dim=-1)
    safe = curvature.clamp_min(torch.finfo(S.dtype).tiny)[..., None]
    tilt = p * (_centred(p, slope).square() / safe - curvature[..., None])
    return GramPenalty(w * curvature, _weighted_column(w, t), w[..., None] * tilt)


def _weighted_column(w: Tensor, column: Tensor) -> Tensor:
    """√w · column, as a factor with one column: (…, K, 1)."""
    return (w.sqrt()[..., None] * column)[..., None]


def dominant_eigenvector(B: ClassMatrix, *, squarings: int = 14) -> Logits:
    """A unit top eigenvector of symmetric positive semidefinite B.

    B is squared again and again, so that B^(2^14) is a multiple of the projection onto the
    top eigenspace. Unlike `eigh` this runs inside a CUDA graph. Where two eigenvalues agree
    to four digits the result may mix their vectors; ‖B u‖ is then still right to eight.

    >>> dominant_eigenvector(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([0., 1.])
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
