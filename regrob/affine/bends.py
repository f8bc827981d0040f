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
    operand: Any = arguments.get("self")
    if operation in THRESHOLDS:
        if arguments.get("training"):  # a random slope
            return None
        if isinstance(arguments.get("weight"), Tensor) and varies(arguments["weight"]):  # a varying slope
            return None
        return _thresholds(operand, THRESHOLDS[operation](arguments), varies)
    if "other" in arguments and (operation in COMPARISONS or operation in TAKEN):
        return _difference(operand, arguments["other"], varies)
    if operation in NORMS:
        order = arguments[NORMS[operation]]
        return _norm(operand, 2.0 if order is None else float(order), arguments.get("dim"))
    if operation in POOLS:
        return _pool(operation, arguments)
    if arguments.get("dim") is None or operand is None or operand.ndim == 0:  # over the whole batch
        return None
    dim = arguments["dim"]
    if operation in TAKEN:
        take = TAKEN[operation]
        return _lead(operand, dim, lambda entries: take(entries, arguments))
    if operation == "aminmax":
        return _joined(
            [_lead(operand, dim, lambda t: t.argmin(-1)), _lead(operand, dim, lambda t: t.argmax(-1))]
        )
    if operation == "topk" and arguments["sorted"]:
        return _leaders(operand, dim, max(arguments["k"], 1), largest=arguments["largest"])
    if operation in ("sort", "topk"):  # the places of an unsorted topk may depend on every entry's rank
        return _leaders(operand, dim, operand.shape[dim], largest=True)
    if operation in ("cummax", "cummin"):
        return _records(operand, dim, getattr(operand, operation)(dim).indices)
    return None


def _finite(threshold: float | None) -> bool:
    return threshold is not None and math.isfinite(threshold)


THRESHOLDS: dict[str, Callable[[Arguments], Sequence[Any]]] = {
    **dict.fromkeys(
        [
            "relu",
            "leaky_relu",
            "_prelu_kernel",
            "rrelu_with_noise",
            "abs",
            "sign",
            "sgn",
            "signbit",
        ],
        lambda a: [0.0],
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
"""Where these functions of one number bend or jump; a lower level comes before an upper one."""

COMPARISONS = frozenset(["gt", "ge", "lt", "le", "eq", "ne"])
"""What these return stays the same until the two sides meet."""

CONSTANT_BETWEEN = COMPARISONS | {"sign", "sgn", "signbit", "argmax", "argmin"}
"""Bends whose result does not change at all inside the polytope."""

TAKEN: dict[str, Callable[[Tensor, Arguments], Tensor]] = {
    **dict.fromkeys(["max", "amax", "maximum", "fmax", "argmax"], lambda t, a: t.argmax(-1)),
    **dict.fromkeys(["min", "amin", "minimum", "fmin", "argmin"], lambda t, a: t.argmin(-1)),
    **dict.fromkeys(["median", "nanmedian"], lambda t, a: t.median(-1).indices),
    "kthvalue": lambda t, a: t.kthvalue(a["k"]).indices,
}
"""Which entry along the last axis these take. It stays the same until another one has its value."""


def _linear(operand: Tensor, rise: Callable[[Tensor], Tensor]) -> Units:
    return Units((operand,), rise(operand), rise)


def _joined(parts: Sequence[Units]) -> Units:
    """The units of several together."""
    if len(parts) == 1:
        return parts[0]

    def rise(*operands: Tensor) -> Tensor:
        rest = list(operands)
        return torch.cat([part.rise(*[rest.pop(0) for _ in part.operands]) for part in parts])

    return Units(
        tuple(operand for part in parts for operand in part.operands),
        torch.cat([part.heights for part in parts]),
        rise,
    )


def _thresholds(operand: Tensor, levels: Sequence[Any], varies: Callable[[Tensor], bool]) -> Units:
    """The operand less each level; and the lower level less the upper one, if they may meet."""
    levels = [level for level in levels if isinstance(level, Tensor) or _finite(level)]
    pairs = [(operand, level) for level in levels]
    if len(levels) == 2:
        low, high = levels
        pairs.append((low, high) if isinstance(low, Tensor) else (high, low))

    def may_meet(*sides: Any) -> bool:
        return any(isinstance(side, Tensor) and varies(side) for side in sides)

    parts = [_difference(*pair, varies) for pair in pairs if may_meet(*pair)]
    return _joined(parts) if parts else _linear(operand, lambda t: t.flatten()[:0])


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


def _entries(operand: Tensor, dims: int | Sequence[int]) -> Callable[[Tensor], Tensor]:
    """What lays the entries along some axes of a tensor like the operand along a last one."""
    dims = [dims] if isinstance(dims, int) else list(dims) or list(range(operand.ndim))
    return lambda t: t.movedim(dims, list(range(-len(dims), 0))).flatten(-len(dims))


def _lead(operand: Tensor, dims: int | Sequence[int], take: Callable[[Tensor], Tensor]) -> Units:
    """The entry that is taken along some axes, less every entry."""
    entries = _entries(operand, dims)
    chosen = take(entries(operand))[..., None]
    return _linear(operand, lambda t: (entries(t).gather(-1, chosen) - entries(t)).flatten())


def _leaders(operand: Tensor, dim: int, count: int, *, largest: bool) -> Units:
    """Of the first `count` entries by rank, each less the next; and the last of them less every other one."""
    order = operand.argsort(dim=dim, descending=largest)

    def rise(t: Tensor) -> Tensor:
        ranked = t.gather(dim, order).movedim(dim, -1)
        leaders, others = ranked[..., :count], ranked[..., count:]
        return torch.cat([leaders.diff(dim=-1).flatten(), (leaders[..., -1:] - others).flatten()])

    return _linear(operand, rise)


def _records(operand: Tensor, dim: int, chosen: Tensor) -> Units:
    """The record so far less the next entry, which may break it."""

    def rise(t: Tensor) -> Tensor:
        records, entries = t.gather(dim, chosen).movedim(dim, -1), t.movedim(dim, -1)
        return (records[..., :-1] - entries[..., 1:]).flatten()

    return _linear(operand, rise)


NORMS = {"linalg_vector_norm": "ord", "norm": "p"}
"""What these call their order."""


def _norm(operand: Tensor, order: float, dims: Sequence[int] | None) -> Units | None:
    """Of the norms that are piecewise linear: Σ|x_i| (order 1), max|x_i| (∞) and min|x_i| (−∞).

    The sign of an entry s, |a| > |b| as long as s_a a − b and s_a a + b are positive, for b = a too.
    """
    if order == 1:
        return _linear(operand, Tensor.flatten)
    if not math.isinf(order) or dims is None:
        return None
    entries = _entries(operand, dims)
    sizes, sign = entries(operand).abs(), torch.where(entries(operand) < 0, -1.0, 1.0).to(operand)
    chosen = (sizes.argmax(-1) if order > 0 else sizes.argmin(-1))[..., None]

    def rise(t: Tensor) -> Tensor:
        absolute, plain = entries(t) * sign, entries(t)  # of the larger, and of the smaller
        larger, smaller = (
            (absolute.gather(-1, chosen), plain) if order > 0 else (absolute, plain.gather(-1, chosen))
        )
        return torch.cat([(larger - smaller).flatten(), (larger + smaller).flatten()])

    return _linear(operand, rise)


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


def pool_windows(operation: str, arguments: Arguments) -> tuple[Tensor, Tensor]:
    """A max-pool's windows, as places in the flattened last axes, (windows, entries), and which are inside.

    >>> arguments = {"kernel_size": 2, "stride": [], "padding": 0, "dilation": 1, "ceil_mode": False}
    >>> pool_windows("max_pool1d", {"self": torch.ones(1, 1, 4), **arguments})[0].tolist()
    [[0, 1], [2, 3]]
    """
    operand: Tensor = arguments["self"]
    axes, ranges = POOLS[operation]
    index = torch.zeros(1, 1, dtype=torch.int64)
    inside = torch.ones(1, 1, dtype=torch.bool)
    for axis, size in enumerate(operand.shape[-axes:]):
        windows = ranges(arguments, axis, size)
        longest = max(len(window) for window in windows)
        at = torch.tensor([[*window, *[-1] * (longest - len(window))] for window in windows])
        index = (size * index[:, None, :, None] + at[None, :, None, :]).flatten(2).flatten(0, 1)
        within = (at >= 0) & (at < size)
        inside = (inside[:, None, :, None] & within[None, :, None, :]).flatten(2).flatten(0, 1)
    return index.where(inside, 0).to(operand.device), inside.to(operand.device)


def _pool(operation: str, arguments: Arguments) -> Units:
    """The largest entry of each window less every entry; the padding never wins."""
    operand: Tensor = arguments["self"]
    axes, _ = POOLS[operation]
    index, inside = pool_windows(operation, arguments)

    def entries(t: Tensor) -> Tensor:
        return t.flatten(-axes)[..., index]

    chosen = entries(operand).masked_fill(~inside, -torch.inf).argmax(dim=-1, keepdim=True)

    def rise(t: Tensor) -> Tensor:
        lead: Tensor = entries(t).gather(-1, chosen) - entries(t)
        return lead.masked_fill(~inside, 0.0).flatten()

    return _linear(operand, rise)
