"""The groups of instances that teeth are judged by: each K, and each kind of network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Groups = dict[str, Tensor]
"""What a check says of each group, by the group's name: "K = 3, leaky MLP", or "K = 3"."""

Values = Tensor | Groups
"""What an excess returns: numbers of one group, or of several."""


def of(classes: int, kind: str = "") -> str:
    """The name of the group of these networks, or of the bare instances if no kind is given.

    >>> of(3), of(3, "leaky MLP")
    ('K = 3', 'K = 3, leaky MLP')
    """
    return f"K = {classes}, {kind}" if kind else f"K = {classes}"


def grouped(values: Values) -> Groups:
    """The same by group; numbers of one group have an empty name."""
    return dict(values) if isinstance(values, Mapping) else {"": values}


def flat(values: Values) -> Tensor:
    """All numbers, one group after the other."""
    return torch.cat([part.flatten() for part in grouped(values).values()])


def joined(parts: list[tuple[str, Tensor]]) -> Groups:
    """Numbers with the names of their groups, those of one group put together."""
    names = dict.fromkeys(name for name, _ in parts)
    return {name: torch.cat([values.flatten() for own, values in parts if own == name]) for name in names}
