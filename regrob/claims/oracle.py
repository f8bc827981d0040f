"""The oracle: Jacobian, gradient and Hessian by autograd alone, dense, naive and slow.

Nothing here uses a formula of the paper, nor `regrob.affine`: the closed forms are held
against these. Use float64 and small inputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional

AT_ONCE = 2**14
"""Numbers of Hessians that are formed at once: n² an example."""


class Derivatives(NamedTuple):
    """What autograd says at N examples with n inputs and K classes.

    Attributes:
        loss: (N,), nats.
        jacobian: (N, n, K), ∂z_k/∂x_a.
        gradient: (N, n), ∂L/∂x_a.
        hessian: (N, n, n), ∂²L/∂x_a∂x_b.
    """

    loss: Tensor
    jacobian: Tensor
    gradient: Tensor
    hessian: Tensor


def autograd_derivatives(network: nn.Module, images: Tensor, y: Tensor) -> Derivatives:
    """Differentiate logits and cross-entropy at each image, twice where it takes two."""
    shape = images.shape[1:]
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}

    def logits(flat: Tensor) -> Tensor:
        z: Tensor = functional_call(network, state, (flat.reshape(1, *shape),))
        return z[0]

    def loss(flat: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(logits(flat)[None], label[None])

    flat = images.detach().flatten(1)
    with torch.enable_grad():
        jacobian = vmap(jacrev(logits))(flat).mT
        gradient = vmap(jacrev(loss))(flat, y)
        some = max(1, AT_ONCE // flat.shape[1] ** 2)
        curved = vmap(jacrev(jacrev(loss)), chunk_size=some)(flat, y)
        value = vmap(loss)(flat, y)
    return Derivatives(value.detach(), jacobian.detach(), gradient.detach(), curved.detach())
