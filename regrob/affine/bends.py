"""The operations that are affine on either side of an edge: where each of them bends, or jumps.

A *unit* is one place at which such an operation switches, and its *height* is a function of the
input that is affine as long as no unit switches, and zero where this one does: a pre-activation less its
threshold, the lead of a maximum over another entry. Inside the polytope Q(x) all heights keep their signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

Arguments = dict[str, Any]
"""An operation's arguments by name, defaults included."""


class Units(NamedTuple):
    """The units of one operation.

    Attributes:
        operands: the arguments that make the heights.
        heights: (M,), their values.
        rise: the heights' change, (M,), with a change of the operands: a linear map.
    """

    operands: tuple[Tensor, ...]
    heights: Tensor
    rise: Callable[..., Tensor]


class Bend(NamedTuple):
    """Units, and how to differentiate them.

    Attributes:
        operation, module: what made them, as in `Refusal`.
        units: the operands of which depend on the input.
        edges: where autograd's graph reaches each operand; it stays valid if the operand is overwritten.
    """

    operation: str
    module: str
    units: Units
    edges: tuple[GradientEdge, ...]


def units(operation: str, arguments: Arguments, varies: Callable[[Tensor], bool]) -> Units | None:
    """The units of an operation that bends; None for every other operation.

    Args:
        operation: a tensor operation's name, as in torch.ops.aten.
        arguments: of this call; the operands must still have the values from before the call.
        varies: whether a tensor depends on the input.

    >>> units("relu", {"self": torch.tensor([2.0, -1.0])}, lambda operand: True).heights
    tensor([ 2., -1.])
    >>> units("gelu", {"self": torch.tensor([2.0])}, lambda operand: True) is None
    True
    """
    if operation in THRESHOLDS:
        if arguments.get("training"):  # a random slope
            return None
        levels = [t for t in THRESHOLDS[operation](arguments) if isinstance(t, Tensor) or _finite(t)]
        if any(isinstance(t, Tensor) and varies(t) for t in (*levels, arguments.get("weight"))):
            return None
        return _above(arguments["self"], levels)
    if operation in COMPARISONS or operation in LARGER:
        if "other" in arguments:
            return _difference(arguments["self"], arguments["other"], varies)
        if "dim" not in arguments or arguments["self"].ndim == 0:  # over the whole batch
            return None
        return _lead(arguments["self"], arguments["dim"], LARGER[operation])
    if operation == "sort":
        dim = arguments["dim"]
        order = arguments["self"].argsort(dim=dim)
        return _linear(arguments["self"], lambda t: t.gather(dim, order).diff(dim=dim).flatten())
    if operation in POOLS:
        return _pool(arguments["self"], *POOLS[operation], arguments)
    return None


def _finite(threshold: float | None) -> bool:
    return threshold is not None and math.isfinite(threshold)


THRESHOLDS: dict[str, Callable[[Arguments], Sequence[Any]]] = {
    **dict.fromkeys(
        ["relu", "leaky_relu", "_prelu_kernel", "rrelu_with_noise", "abs", "sign", "sgn"], lambda a: [0.0]
    ),
    "hardtanh": lambda a: [a["min_val"], a["max_val"]],
    "clamp": lambda a: [a["min"], a["max"]],
    "clamp_min": lambda a: [a["min"]],
    "clamp_max": lambda a: [a["max"]],
    "threshold": lambda a: [a["threshold"]],
    "hardsigmoid": lambda a: [-3.0, 3.0],
    "hardshrink": lambda a: [-a["lambd"], a["lambd"]],
    "softshrink": lambda a: [-a["lambd"], a["lambd"]],
}
"""Where these functions of one number bend or jump."""

COMPARISONS = frozenset(["gt", "ge", "lt", "le", "eq", "ne"])
"""What these return stays the same until the two sides meet."""

CONSTANT_BETWEEN = COMPARISONS | {"sign", "sgn"}
"""Bends whose result does not change at all inside the polytope."""

LARGER = {
    **dict.fromkeys(["max", "amax", "maximum", "fmax"], True),
    **dict.fromkeys(["min", "amin", "minimum", "fmin"], False),
}
"""Of two tensors, or along some axes: whether the largest entry is taken."""


def _linear(operand: Tensor, rise: Callable[[Tensor], Tensor]) -> Units:
    return Units((operand,), rise(operand), rise)


def _above(operand: Tensor, thresholds: Sequence[Tensor | float]) -> Units:
    """The operand less each threshold."""
    if not thresholds:
        return Units((operand,), operand.new_zeros(0), lambda t: t.flatten()[:0])
    heights = torch.cat([(operand - level).flatten() for level in thresholds])
    shape = torch.broadcast_shapes(operand.shape, *(getattr(level, "shape", ()) for level in thresholds))
    return Units((operand,), heights, lambda t: t.expand(shape).flatten().repeat(len(thresholds)))


def _difference(left: Tensor, right: Any, varies: Callable[[Tensor], bool]) -> Units:
    """left − right, of which one may be constant."""
    heights = (left - right).flatten()
    if not isinstance(right, Tensor):
        return Units((left,), heights, Tensor.flatten)
    shape = torch.broadcast_shapes(left.shape, right.shape)
    if not varies(right):
        return Units((left,), heights, lambda t: t.expand(shape).flatten())
    if not varies(left):
        return Units((right,), heights, lambda t: -t.expand(shape).flatten())
    return Units((left, right), heights, lambda t, u: (t - u).flatten())


def _lead(operand: Tensor, dims: int | Sequence[int], largest: bool) -> Units:
    """The largest (or smallest) entry along some axes less every entry."""
    dims = [dims] if isinstance(dims, int) else list(dims) or list(range(operand.ndim))

    def along(t: Tensor) -> Tensor:
        return t.movedim(dims, list(range(-len(dims), 0))).flatten(-len(dims))

    entries = along(operand)
    chosen = (entries.argmax(dim=-1) if largest else entries.argmin(dim=-1))[..., None]
    return _linear(operand, lambda t: (along(t).gather(-1, chosen) - along(t)).flatten())


# --- max-pools -------------------------------------------------------------------------

Ranges = list[range]
"""The positions that each window covers along one axis."""


def _sliding(arguments: Arguments, axis: int, size: int) -> Ranges:
    def along(name: str) -> int:
        value = arguments[name]
        return int(value if isinstance(value, int) else value[min(axis, len(value) - 1)])

    width, gap, padding = along("kernel_size"), along("dilation"), along("padding")
    stride = along("stride") if arguments["stride"] else width
    room = size + 2 * padding - gap * (width - 1) - 1
    count = (room + (stride - 1 if arguments["ceil_mode"] else 0)) // stride + 1
    if (count - 1) * stride >= size + padding:  # no window starts in the padding on the right
        count -= 1
    return [range(i * stride - padding, i * stride - padding + gap * width, gap) for i in range(count)]


def _adaptive(arguments: Arguments, axis: int, size: int) -> Ranges:
    count = arguments["output_size"][axis]
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


POOLS: dict[str, tuple[int, Callable[[Arguments, int, int], Ranges]]] = {
    "max_pool1d": (1, _sliding),
    "max_pool2d": (2, _sliding),
    "max_pool2d_with_indices": (2, _sliding),
    "max_pool3d": (3, _sliding),
    "max_pool3d_with_indices": (3, _sliding),
    "adaptive_max_pool2d": (2, _adaptive),
    "adaptive_max_pool3d": (3, _adaptive),
}
"""Max-pools: how many of the last axes they go over, and their windows."""


def _pool(
    operand: Tensor, axes: int, ranges: Callable[[Arguments, int, int], Ranges], arguments: Arguments
) -> Units:
    """The largest entry of each window less every entry; the padding never wins."""
    index = torch.zeros(1, 1, dtype=torch.int64)  # (windows, entries) into the flattened last axes
    inside = torch.ones(1, 1, dtype=torch.bool)
    for axis, size in enumerate(operand.shape[-axes:]):
        windows = ranges(arguments, axis, size)
        longest = max(len(window) for window in windows)
        at = torch.tensor([[*window, *[-1] * (longest - len(window))] for window in windows])
        index = (size * index[:, None, :, None] + at[None, :, None, :]).flatten(2).flatten(0, 1)
        within = (at >= 0) & (at < size)
        inside = (inside[:, None, :, None] & within[None, :, None, :]).flatten(2).flatten(0, 1)
    index, inside = index.where(inside, 0).to(operand.device), inside.to(operand.device)

    def entries(t: Tensor) -> Tensor:
        return t.flatten(-axes)[..., index]

    chosen = entries(operand).masked_fill(~inside, -torch.inf).argmax(dim=-1, keepdim=True)

    def rise(t: Tensor) -> Tensor:
        lead: Tensor = entries(t).gather(-1, chosen) - entries(t)
        return lead.masked_fill(~inside, 0.0).flatten()

    return _linear(operand, rise)
