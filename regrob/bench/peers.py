"""Two estimators that others train with, as their authors' codes compute them.

They are here to be compared with: `penalties` has the exact quantities. Neither is used by
anything else in the package.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrob.checks import check_images, check_labels
from regrob.errors import InputError


def projected_jacobian(
    network: nn.Module,
    images: Tensor,
    *,
    projections: int = 1,
    generator: torch.Generator | None = None,
    create_graph: bool = True,
) -> Tensor:
    """Random-projection estimate of μ² = ‖V‖_F² (Hoffman et al. 2019), per example: (N,).

    (K/n) Σ ‖V c‖² over n directions c, uniform on the unit sphere of the K logits and drawn
    anew for each example: unbiased, one backward pass a direction. The authors'
    jacobian_regularizer returns half the batch's mean of this. Its relative standard
    deviation depends on V's spread; with equal singular values there is none.

    Args:
        network: maps (N, …) to logits (N, K).
        images: (N, …), floating point.
        projections: n ≥ 1.
        generator: of the directions; torch's global one if None.
        create_graph: keep the graph, to train with it.

    Raises:
        InputError: bad images, or fewer than one projection.
    """
    check_images(images)
    if projections < 1:
        raise InputError(f"projections must be at least 1, got {projections}")
    with torch.enable_grad():
        x = images.detach().requires_grad_(True)
        z = network(x)
        estimates = [one_projection(x, z, generator, create_graph=create_graph) for _ in range(projections)]
        estimate = torch.stack(estimates).mean(dim=0)
    return estimate if create_graph else estimate.detach()


def one_projection(
    images: Tensor, z: Tensor, generator: torch.Generator | None = None, *, create_graph: bool = True
) -> Tensor:
    """The estimate from one direction and a pass of the caller's own, z = network(images): (N,)."""
    c = functional.normalize(torch.randn(z.shape, generator=generator).to(z), dim=1)
    (along,) = torch.autograd.grad((c * z).sum(), images, create_graph=create_graph, retain_graph=True)
    estimate: Tensor = z.shape[1] * along.flatten(1).square().sum(dim=1)
    return estimate


def cure(
    network: nn.Module, images: Tensor, labels: Tensor, *, h: float = 3.0, create_graph: bool = True
) -> Tensor:
    """CURE's finite difference ‖∇L(x + h u) − ∇L(x)‖₂ (Moosavi-Dezfooli et al. 2019), per example: (N,).

    u is sign(∇L) scaled to length one. As in the authors' code the norm is neither squared
    nor divided by h (their paper has it squared), so that ‖h H u‖ is what it tends to where
    h stays within the polytope; with kinks between x and x + h u it measures those instead.
    Their code divides the batch's mean by the batch's size once more, which is left out.

    The gradients are those of the summed loss, so that no example's is scaled by the batch.
    The direction is a constant; where the gradient vanishes it is zero.

    Args:
        network: maps (N, …) to logits (N, K).
        images: (N, …), floating point.
        labels: (N,), int64.
        h: length of the step; the authors raise it to 3 on CIFAR-10 in [0, 1].
        create_graph: keep the graph, to train with it.

    Raises:
        InputError: bad images or labels; h not positive and finite.
    """
    check_images(images)
    if not 0 < h < math.inf:
        raise InputError(f"h must be positive and finite, got {h}")

    def gradient(at: Tensor) -> Tensor:
        x = at.detach().requires_grad_(True)
        z = network(x)
        check_labels(labels, z)
        loss = functional.cross_entropy(z, labels, reduction="sum")
        (g,) = torch.autograd.grad(loss, x, create_graph=create_graph)
        return g

    with torch.enable_grad():
        slope = gradient(images)
        u = functional.normalize(slope.detach().sign().flatten(1), dim=1).view_as(images)
        change = (gradient(images + h * u) - slope).flatten(1)
        size: Tensor = torch.linalg.vector_norm(change, dim=1)
    return size if create_graph else size.detach()
