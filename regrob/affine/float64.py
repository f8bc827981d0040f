"""A network in the precision that certificates need."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from regrob.affine.piecewise_linear import require_known_bends
from regrob.errors import InputError


def is_in_float64(network: nn.Module) -> bool:
    """Whether all numbers of the network are float64.

    >>> is_in_float64(nn.Linear(2, 2))
    False
    """
    state = [*network.parameters(), *network.buffers()]
    return all(t.dtype == torch.float64 for t in state if t.is_floating_point())


def in_float64(network: nn.Module) -> nn.Module:
    """The network itself if all its numbers are float64, else a copy in which they are.

    Raises:
        InputError: it cannot be copied.

    >>> in_float64(nn.Linear(2, 2)).weight.dtype
    torch.float64
    """
    if is_in_float64(network):
        return network
    try:
        return copy.deepcopy(network).double()
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"the network cannot be copied to float64, which certificates need: {error}"
        ) from error


def checked_in_float64(network: nn.Module, images: Tensor, *, check: bool = True) -> tuple[nn.Module, Tensor]:
    """The network and the images in float64; the trials of `require_known_bends` come first, unless skipped.

    They come before a copy is made, since some of the networks that they refuse do not bear one.

    Raises:
        InputError: as `in_float64`.
        NotPiecewiseLinearError: as `require_known_bends`.

    >>> checked_in_float64(nn.ReLU(), torch.ones(1, 2))[1].dtype
    torch.float64
    """
    images = images.detach()
    if check:
        require_known_bends(network, images.double() if is_in_float64(network) else images)
    return in_float64(network), images.double()
