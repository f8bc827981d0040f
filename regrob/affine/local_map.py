"""The local linear map: network, x → (V, z).

Around almost every x a ReLU network is affine (Eqs. 5 and 14): z(x') = Vᵀx' + c for all x'
in the polytope Q(x).

Shapes. N examples, n input coordinates (an image is flattened), K classes:
V is (N, n, K), so that V[i, :, k] is the paper's column v_k at example i; z is (N, K).

At a kink (a pre-activation of exactly zero, a tie in a max-pool) several linear maps meet.
V is then the map of autograd's fixed choice: slope 0 (or the leaky slope) at zero, and the
first of the tied positions in row-major order. `kinks` tells which examples are affected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regrob.checks import ImageLogits, Images, Jacobian, Logits, check_images, check_logits
from regrob.errors import InputError, NotPiecewiseLinearError

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU)


class LocalMap(NamedTuple):
    """The affine map that the network is around each example.

    Attributes:
        V: input axis then class axis: V[i, :, k] is the gradient of logit k.
        z: the logits.
    """

    V: Jacobian
    z: Logits


def local_map(
    network: nn.Module, images: Images, *, create_graph: bool = False, check: bool = True
) -> LocalMap:
    """V and z of a piecewise-linear network at each image (Eqs. 5, 14; J = V in Eqs. 7, 15).

    Args:
        network: maps images (N, …) to logits (N, K), K ≥ 2, each example by itself.
        create_graph: keep the graph, so that functions of V can be differentiated with
            respect to the weights (a training step with a penalty).
        check: test that the network is piecewise linear (one extra double backward).
            Training loops test once and then pass False.

    Raises:
        InputError: empty batch, wrong shape or dtype, NaN or infinity, logits not of shape
            (N, K) or without a gradient.
        NotPiecewiseLinearError: softmax attention, GELU, normalisation over the batch, ….

    >>> local_map(nn.ReLU(), torch.tensor([[3.0, -4.0]]))  # the second unit is off
    LocalMap(V=tensor([[[1., 0.], [0., 0.]]]), z=tensor([[3., 0.]]))
    """
    check_images(images)
    require_frozen_statistics(network)
    if check:
        require_piecewise_linear(network, images)
    with torch.enable_grad():
        x = images.detach().requires_grad_(True)
        z = checked_logits(network, x)
        if not z.requires_grad:
            raise InputError("the logits carry no gradient; is there a no_grad(), detach() or argmax inside?")
        rows = [
            # A sum, never a mean: example i's row must not shrink with the batch.
            torch.autograd.grad(
                z[:, k].sum(), x, create_graph=create_graph, retain_graph=True, materialize_grads=True
            )[0]
            for k in range(z.shape[1])
        ]
        V = torch.stack([row.flatten(1) for row in rows], dim=2)  # (N, n, K)
    return LocalMap(V, z) if create_graph else LocalMap(V.detach(), z.detach())


def checked_logits(network: nn.Module, images: Images) -> ImageLogits:
    """network(images); InputError where the network cannot read them, or returns no (N, K) logits.

    >>> checked_logits(nn.ReLU(), torch.tensor([[3.0, -4.0]]))
    tensor([[3., 0.]])
    """
    try:
        z: Tensor = network(images)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(
            f"the network cannot read images of shape {tuple(images.shape)}, {images.dtype}: {error}"
        ) from error
    check_logits(z, images)
    return z


def require_frozen_statistics(network: nn.Module) -> None:
    """Raise NotPiecewiseLinearError where batch statistics or dropout tie the examples together.

    >>> require_frozen_statistics(nn.Dropout())
    Traceback (most recent call last):
    regrob.errors.NotPiecewiseLinearError: Dropout '' is random in training mode: call network.eval()
    """
    for name, module in network.named_modules():
        batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if batch_norm and (module.training or module.running_mean is None):
            raise NotPiecewiseLinearError(
                f"{type(module).__name__} {name!r} normalises over the batch, so the examples have "
                "no linear map of their own: call network.eval(), with track_running_stats=True"
            )
        dropout = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if module.training and (dropout or isinstance(module, nn.RReLU)):
            raise NotPiecewiseLinearError(
                f"{type(module).__name__} {name!r} is random in training mode: call network.eval()"
            )


def require_piecewise_linear(network: nn.Module, images: Images) -> None:
    """Raise NotPiecewiseLinearError unless the logits' second derivative vanishes at and near the images.

    Autograd differentiates a piecewise-linear network to a Hessian of exact zeros; attention,
    GELU, tanh and layer normalisation leave something else. Two random directions, two points
    for every image (itself and a jittered one, since tanh'' vanishes at zero).

    >>> require_piecewise_linear(nn.Tanh(), torch.ones(1, 2))
    Traceback (most recent call last):
    regrob.errors.NotPiecewiseLinearError: the network is not piecewise linear: ... (look at Tanh); ...
    """
    generator = torch.Generator().manual_seed(0)

    def noise(shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(images)

    for near in (images, images + 0.1 * noise(images.shape)):
        bend = _second_derivative(network, near.detach(), noise)
        if bool((bend != 0).any()):
            curved = sorted({type(m).__name__ for m in network.modules() if _may_bend(m)})
            hint = f" (look at {', '.join(curved)})" if curved else ""
            raise NotPiecewiseLinearError(
                "the network is not piecewise linear: its logits have a second derivative of "
                f"{float(bend.abs().max()):.1e}{hint}; ReLU, leaky ReLU, max-pooling, convolutions, "
                "skip connections and BatchNorm in eval mode are"
            )


def _second_derivative(network: nn.Module, images: Tensor, noise: Callable[[torch.Size], Tensor]) -> Tensor:
    """Of a random combination of logits, along a random direction: like `images`."""
    with torch.enable_grad():
        x = images.requires_grad_(True)
        z = checked_logits(network, x)
        if not bool(torch.isfinite(z).all()):
            raise InputError("the logits hold NaN or infinity; did the weights diverge in training?")
        combination = (z * noise(z.shape)).sum()
        if not combination.requires_grad:
            return torch.zeros_like(images)
        (slope,) = torch.autograd.grad(combination, x, create_graph=True, materialize_grads=True)
        if not slope.requires_grad:
            return torch.zeros_like(images)
        (bend,) = torch.autograd.grad((slope * noise(x.shape)).sum(), x, materialize_grads=True)
    return bend


def _may_bend(module: nn.Module) -> bool:
    known = (
        nn.Linear,
        nn.modules.conv._ConvNd,
        nn.modules.batchnorm._BatchNorm,
        nn.modules.pooling._MaxPoolNd,
        nn.modules.pooling._AvgPoolNd,
        nn.Flatten,
        nn.Identity,
        nn.modules.dropout._DropoutNd,
        *ACTIVATIONS,
    )
    return not any(module.children()) and not isinstance(module, known)
