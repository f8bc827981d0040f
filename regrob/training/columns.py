"""The penalties by columns: how a training step differentiates a network of any kind as rarely as possible.

Each penalty is ‖V C‖_F² for a matrix C (K, c) that the logits alone decide, or nearly so:

    input gradient    C = p − e_y                           one column
    curvature         C = (diag p − p pᵀ)^{1/2} u            one column
    cross-Lipschitz   C = √(2/K) · (a basis of 1's complement)    K − 1 columns
    Jacobian          C = I                                 K columns

Column c of V C is the gradient of the combination Σ_k C_kc z_k, so a training step
differentiates twice as often as C has columns, and not K times. In the curvature u is the top
eigenvector of a K×K matrix, held fixed: to first order a largest eigenvalue does not see its
eigenvector move. At K = 2 there is one direction for u and nothing to look for. Otherwise K − 1
gradients without a graph find it: no fewer do, since of V along a direction of class space that
none of them has seen nothing is known. From K = 20 on a Krylov space finds it sooner.

The Jacobian and the cross-Lipschitz penalty can be estimated without bias from n < c random columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from regrob.checks import ImageLabels, ImageLogits, Images, PerImage, check_gradient, check_logits
from regrob.errors import InputError
from regrob.theory import derivatives
from regrob.theory.penalties import check_name, zero_sum_basis
from regrob.theory.probability import residual_probability

PROJECTED = ("jacobian", "cross-lipschitz")
"""The penalties with several columns, which random projections estimate."""

FEW_CLASSES = 20
"""Up to here K − 1 gradients find the top eigenvector; beyond, a Krylov space needs fewer passes."""


def penalty_by_columns(
    network: nn.Module,
    images: Images,
    y: ImageLabels,
    kind: str,
    *,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[PerImage, ImageLogits]:
    """`PENALTIES[kind]` at each image, and the logits, both with a graph to the weights.

    Args:
        network: in eval mode; maps images (N, …) to logits (N, K).
        probes: how many random orthonormal projections estimate it; None for the exact penalty.
        generator: of the projections; torch's global one if None.

    Raises:
        InputError: no penalty has this name; probes for a penalty with a single column, fewer
            than one, or more than the penalty has columns.

    >>> value, z = penalty_by_columns(nn.ReLU(), torch.tensor([[3.0, -4.0]]), torch.tensor([0]), "jacobian")
    >>> value.tolist()  # one of two units is on
    [1.0]
    """
    check_name(kind)
    x = images.detach().requires_grad_(True)
    # The other penalties' columns depend on z, whose gradient runs back through the network anyway.
    with _ReluWithoutZeros() if kind in PROJECTED else nullcontext():
        z = network(x)
    check_logits(z, x)
    check_gradient(z)
    return penalty_of_pass(x, z, y, kind, probes=probes, generator=generator), z


def penalty_of_pass(
    x: Images,
    z: ImageLogits,
    y: ImageLabels,
    kind: str,
    *,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> PerImage:
    """‖V C‖_F² at each image, from the graph between the images x and their logits z.

    Raises:
        InputError: z does not depend on x; see `penalty_by_columns`.

    >>> x = torch.tensor([[3.0, -4.0]], requires_grad=True)
    >>> penalty_of_pass(x, x.relu(), torch.tensor([0]), "jacobian").tolist()
    [1.0]
    """
    C = penalty_columns(kind, x, z, y)
    if probes is not None:
        check_probes(kind, probes)
        C = C @ random_frame(C, probes, generator)
    squares = []
    for c in range(C.shape[-1]):
        (along,) = torch.autograd.grad(z, x, C[..., c], create_graph=True, allow_unused=True)
        if along is None:
            raise InputError(
                "these logits do not depend on these images: pass the very tensor that they came from"
            )
        squares.append(along.square().sum(dim=tuple(range(1, x.ndim))))
    return torch.stack(squares).sum(dim=0)


def penalty_columns(kind: str, x: Images, z: ImageLogits, y: ImageLabels) -> Tensor:
    """C (N, K, c) of a penalty, with a graph to the logits z.

    The graph from z to the images x is read only for the curvature of three classes and more.

    Raises:
        InputError: no penalty has this name.

    >>> z, y = torch.zeros(1, 2), torch.tensor([0])
    >>> penalty_columns("input-gradient", z, z, y)
    tensor([[[-0.5000], [ 0.5000]]])
    """
    check_name(kind)
    classes = z.shape[-1]
    identity = torch.eye(classes, dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
    if kind == "input-gradient":
        return residual_probability(z, y).unsqueeze(-1)
    if kind == "cross-lipschitz":
        return (math.sqrt(2.0 / classes) * zero_sum_basis(classes, z)).expand(len(z), -1, -1)
    if kind == "jacobian":
        return identity
    if kind != "curvature":
        raise InputError(f"the penalty {kind!r} has no form by columns yet: write it in penalty_columns")
    if classes == 2:
        root: Tensor = (0.5 * torch.log_softmax(z, dim=-1).sum(dim=-1)).exp()  # √(p₊p₋)
        antisymmetric: Tensor = root[:, None, None] * z.new_tensor([[1.0], [-1.0]])
        return antisymmetric
    find = _top_by_rows if classes <= FEW_CLASSES else _top_by_products
    C: Tensor = derivatives.hessian_factor(identity, z) @ find(x, z).detach()
    return C


def check_probes(kind: str, probes: int | None) -> None:
    """Raise InputError unless this penalty can be estimated from that many random projections.

    >>> check_probes("curvature", 1)
    Traceback (most recent call last):
    regrob.errors.InputError: the curvature penalty is exact at the cost of one projection: leave probes out
    """
    if probes is None:
        return
    if kind not in PROJECTED:
        raise InputError(f"the {kind} penalty is exact at the cost of one projection: leave probes out")
    if probes < 1:
        raise InputError(f"probes must be at least 1, or None for the exact penalty, got {probes}")


def random_frame(C: Tensor, probes: int, generator: torch.Generator | None = None) -> Tensor:
    """F (N, c, n) with E[F Fᵀ] = I: n random orthonormal columns times √(c/n), drawn for each example.

    ‖V C F‖² is then an unbiased estimate of ‖V C‖²; with n = c it is exact, whatever is drawn.

    >>> F = random_frame(torch.eye(3).expand(5, 3, 3), 2)
    >>> bool((F.mT @ F).allclose(1.5 * torch.eye(2), atol=1e-5))
    True
    """
    columns = C.shape[-1]
    if probes > columns:
        raise InputError(f"probes is {probes}, but {columns} are exact: leave probes out")
    noise = torch.randn(len(C), columns, probes, generator=generator, dtype=C.dtype, device=C.device)
    frame: Tensor = functional.normalize(noise, dim=1) if probes == 1 else torch.linalg.qr(noise).Q
    return math.sqrt(columns / probes) * frame


# --- the curvature's direction ---------------------------------------------------------


def _top_by_rows(x: Tensor, z: Tensor) -> Tensor:
    """The top eigenvector of AᵀA, H = A Aᵀ, from K − 1 gradients: (N, K, 1)."""
    basis = zero_sum_basis(z.shape[-1], z)
    rows = [
        torch.autograd.grad(z, x, direction.expand_as(z), retain_graph=True, materialize_grads=True)[0]
        for direction in basis.T
    ]
    with torch.no_grad():
        centred = torch.stack([row.flatten(1) for row in rows], dim=2) @ basis.T  # V less its columns' mean
        gram, finite = derivatives.curvature_gram(centred, z)
        u: Tensor = torch.linalg.eigh(gram).eigenvectors[..., -1:]
        return u.masked_fill(~finite[:, None, None], torch.nan)


def _top_by_products(x: Tensor, z: Tensor) -> Tensor:
    """The same by Lanczos' method on u ↦ AᵀA u, until the residual says that the eigenvalue is right.

    An eigenvalue's error is the square of its vector's, so that a residual of √ε leaves it right to ε.
    A product is one gradient, and one differentiation of that gradient, which is linear in what it weighs.
    """
    root, p = torch.exp(0.5 * torch.log_softmax(z.detach(), dim=-1)), torch.softmax(z.detach(), dim=-1)
    weights = torch.zeros_like(z, requires_grad=True)
    (pulled,) = torch.autograd.grad(z, x, weights, create_graph=True, materialize_grads=True)

    def product(u: Tensor) -> Tensor:
        t = root * u - p * (root * u).sum(dim=-1, keepdim=True)
        (along,) = torch.autograd.grad(z, x, t, retain_graph=True, materialize_grads=True)
        (slope,) = torch.autograd.grad(pulled, weights, along, retain_graph=True, materialize_grads=True)
        return root * (slope - (p * slope).sum(dim=-1, keepdim=True))

    enough = torch.finfo(z.dtype).eps ** 0.5
    # Off AᵀA's kernel, √p, and without a symmetry of the classes to be stuck in.
    start = torch.linspace(1, 2, z.shape[-1], device=z.device, dtype=z.dtype)
    basis = [functional.normalize(start - root * (root * start).sum(dim=-1, keepdim=True), dim=-1)]
    images_of = []
    while True:
        images_of.append(product(basis[-1]))
        Q, BQ = torch.stack(basis, dim=-1), torch.stack(images_of, dim=-1)
        small = Q.mT @ BQ
        finite = torch.isfinite(small).flatten(1).all(dim=1)
        values, vectors = torch.linalg.eigh(small.masked_fill(~finite[:, None, None], 0.0))
        best = vectors[..., -1:]
        residual = (BQ @ best - values[:, -1, None, None] * (Q @ best)).squeeze(-1)
        settled = torch.linalg.vector_norm(residual, dim=-1) <= enough * values[:, -1]
        if len(basis) == z.shape[-1] - 1 or bool((settled | ~finite).all()):
            top: Tensor = Q @ best
            return top.masked_fill(~finite[:, None, None], torch.nan)
        fresh = functional.normalize(images_of[-1], dim=-1, eps=torch.finfo(z.dtype).tiny)
        for _ in range(2):  # once more, against rounding
            fresh = fresh - (Q @ (Q.mT @ fresh[..., None])).squeeze(-1)
        basis.append(functional.normalize(fresh, dim=-1))


# --- autograd's zeros ------------------------------------------------------------------


class _ReluWithoutZeros(TorchFunctionMode):
    """Each ReLU by a mask, with the same values, slopes and NaN.

    The derivative of PyTorch's ReLU by its input is a tensor of zeros in the second differentiation,
    which then runs back through the whole network. A mask has no derivative.
    """

    RELUS = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        settings = kwargs or {}
        if function not in self.RELUS:
            return function(*args, **settings)
        x = args[0] if args else settings["input"]
        in_place = function in (torch.relu_, Tensor.relu_) or settings.get("inplace", args[1:2] == (True,))
        off = x.detach() <= 0
        return x.masked_fill_(off, 0.0) if in_place else x.masked_fill(off, 0.0)
