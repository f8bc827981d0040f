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

from typing import NamedTuple

import torch
from torch import nn

from regrob.affine.graph import checked_logits
from regrob.affine.piecewise_linear import require_frozen_statistics, require_piecewise_linear
from regrob.checks import Images, Jacobian, Logits, check_gradient, check_images


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
        check: `require_piecewise_linear`, some ten passes of two images.
            Training loops test once and then pass False.

    Raises:
        InputError: empty batch, wrong shape or dtype, NaN or infinity, logits not of shape
            (N, K) or without a gradient.
        NotPiecewiseLinearError: softmax attention, GELU, normalisation over the batch, detached
            parts, noise, …, each named.

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
        check_gradient(z)
        rows = [
            # A sum, never a mean: example i's row must not shrink with the batch.
            torch.autograd.grad(
                z[:, k].sum(), x, create_graph=create_graph, retain_graph=True, materialize_grads=True
            )[0]
            for k in range(z.shape[1])
        ]
        V = torch.stack([row.flatten(1) for row in rows], dim=2)  # (N, n, K)
    return LocalMap(V, z) if create_graph else LocalMap(V.detach(), z.detach())
