"""A network in the precision that certificates need."""

from __future__ import annotations

import copy

import torch
from torch import nn

from regrob.errors import InputError


def in_float64(network: nn.Module) -> nn.Module:
    """The network itself if all its numbers are float64, else a copy in which they are.

    Raises:
        InputError: it cannot be copied.

    >>> in_float64(nn.Linear(2, 2)).weight.dtype
    torch.float64
    """
    state = [*network.parameters(), *network.buffers()]
    if all(t.dtype == torch.float64 for t in state if t.is_floating_point()):
        return network
    try:
        return copy.deepcopy(network).double()
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"the network cannot be copied to float64, which certificates need: {error}"
        ) from error
