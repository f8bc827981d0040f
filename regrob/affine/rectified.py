"""A network as affine maps with bends between them, so that every bend can be given lines in its place.

Each bend known here is one of two: a function of one number, y = base t + gain clamp(t, low, high) (ReLU,
leaky ReLU, a clamp, the absolute value), or the largest of some entries (a max-pool, a maximum). Its
*operands* are what it bends in: the numbers t, or the entries.

A network is recorded once, operation by operation (`recorded`), and can then be run anew in two ways. `sweep`
carries several tensors through it side by side, each by its own rule: values as they are, or magnitudes, for
which every weight is replaced by its absolute value. `RelaxedPullback` differentiates a run in which each
bend is replaced by lines: a row of coefficients arrives at a bend, and goes on by the slope of its lower line
where it is positive, of its upper line where it is negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from regrob.affine.bends import POOLS, Arguments, pool_windows
from regrob.affine.graph import ADDITIVE, FACTORS, SHAPE_ONLY, TracedStep, arguments_of, signature, tensors_in
from regrob.affine.piecewise_linear import require_affine_operations
from regrob.checks import Images
from regrob.errors import InputError, UnsuitableNetworkError

VIEWS = frozenset(["alias", "squeeze", "unsqueeze", "view"])
"""What a pool over one axis does to the places of its maxima too: no use of them, which stay marked."""


class Clamped(NamedTuple):
    """y = base t + gain clamp(t, low, high), of each operand t by itself; all four are (M,)."""

    base: Tensor
    gain: Tensor
    low: Tensor
    high: Tensor

    def values(self, operands: Tensor) -> Tensor:
        """y at operands (…, M).

        >>> relu = Clamped(*torch.tensor([[0.0], [1.0], [0.0], [torch.inf]]))
        >>> relu.values(torch.tensor([[3.0], [-4.0]])).flatten()
        tensor([3., 0.])
        """
        inside: Tensor = operands.clamp(self.low, self.high)
        return self.base * operands + self.gain * inside


class Largest(NamedTuple):
    """y = sign · max sign t over each group of `entries` operands that follow each other; sign ±1."""

    entries: int
    sign: int

    def values(self, operands: Tensor) -> Tensor:
        """y (…, M / entries) at operands (…, M).

        >>> Largest(2, -1).values(torch.tensor([3.0, -4.0, 1.0, 2.0]))
        tensor([-4.,  1.])
        """
        groups: Tensor = (self.sign * operands).unflatten(-1, (-1, self.entries))
        return self.sign * groups.amax(dim=-1)


Kind: TypeAlias = Clamped | Largest


class Site(NamedTuple):
    """One bend of a recorded network.

    Attributes:
        operation, module: as in `Refusal`.
        kind: what its outputs are of its operands.
        shape: of its outputs, without the images' axis.
        operands: (N, M), from the tensors among its arguments that depend on the images: an affine map.
    """

    operation: str
    module: str
    kind: Kind
    shape: torch.Size
    operands: Callable[[Sequence[Tensor]], Tensor]


class Lines(NamedTuple):
    """Lines below and above each output y of a bend, as functions of its operands.

    Attributes:
        lower_slope, upper_slope: (N, M).
        lower_gap, upper_gap: (N, outputs), the line less y, both taken at the image.
    """

    lower_slope: Tensor
    upper_slope: Tensor
    lower_gap: Tensor
    upper_gap: Tensor

    def of(self, at: Tensor) -> Lines:
        """Those of the images `at`, (P,); (1, …) if it is one image."""
        if bool((at == at[0]).all()):
            at = at[:1]
        return Lines(*(part[at] for part in self))


class Recorded(NamedTuple):
    """What a network ran on a batch of images.

    Attributes:
        inside: (N, …), what the first operation was given.
        steps: the operations on what depends on it.
        sites: the bends, by the place of their step.
        logits: (N, K).
        roundings: at most so many lie on any way through the affine maps between two bends, to or fro.
    """

    inside: Tensor
    steps: tuple[TracedStep, ...]
    sites: dict[int, Site]
    logits: Tensor
    roundings: int

    def sweep(
        self,
        inputs: Sequence[Tensor],
        rules: Sequence[Rule],
        bend: Callable[[Site, list[Tensor]], list[Tensor]],
    ) -> list[Tensor]:
        """Run the operations on several inputs side by side; what the logits become, for each of them.

        Args:
            inputs: shaped like the images.
            rules: how an affine operation acts on each of them: `plain`, `magnitude` or `spread`.
            bend: from a bend and its operands (N, M), for each input, to its outputs (N, …).
        """
        tables = [_Table(self.inside, value) for value in inputs]
        for place, step in enumerate(self.steps):
            site = self.sites.get(place)
            if site is None:
                for table, rule in zip(tables, rules, strict=True):
                    table.write(step, rule(step, *table.arguments(step)))
                continue
            outputs = bend(site, [site.operands(table.operands(step)) for table in tables])
            for table, output in zip(tables, outputs, strict=True):
                table.bend(step, output.reshape(len(output), *site.shape))
        return [table.read(self.logits) for table in tables]


def recorded(network: nn.Module, images: Images) -> Recorded:
    """Run a network once and keep its operations and bends.

    Raises:
        InputError: as `checked_logits`; a network that computes in another precision than float64 inside.
        NotPiecewiseLinearError: an operation is neither affine nor a known bend, or hidden.
        UnsuitableNetworkError: a bend of another kind than `Clamped` and `Largest`, by name; values written
            into memory that did not depend on the images; a use of the places that a maximum was found at.

    >>> made = recorded(nn.ReLU(), torch.ones(1, 2, dtype=torch.float64))
    >>> [site.operation for site in made.sites.values()]
    ['relu']
    """
    traced = require_affine_operations(network, images, record=True)
    if traced.dtypes != {torch.float64}:
        inside = ", ".join(sorted(str(dtype) for dtype in traced.dtypes - {torch.float64}))
        raise InputError(
            f"the network computes in {inside} inside, too coarse for a certificate; call .double()"
        )
    assert traced.logits is not None  # what hides its operations is refused
    assert traced.inside is not None  # it was asked for
    # Autograd detaches what it saves: the same memory, and what the network would do with it is refused.
    skipped = {"detach", *SHAPE_ONLY}
    steps = tuple(
        step
        for step in traced.steps
        if step.operation not in skipped and not (step.sides and not step.affine and step.operation in VIEWS)
    )
    sites: dict[int, Site] = {}
    for place, step in enumerate(steps):
        if step.sides:
            raise _unsuitable(step, "reads on which side of their edges units are")
        if step.bends:
            sites[place] = _site(step)
        elif any(id(arguments_by_name(step)[name]) not in step.affine for name in _written(step)):
            raise _unsuitable(step, "writes into memory that did not depend on the images")
    affine = [step for place, step in enumerate(steps) if place not in sites]
    roundings = sum(map(_roundings, affine)) + 2 * len(steps) + 8
    return Recorded(traced.inside, steps, sites, traced.logits.detach(), roundings)


def arguments_by_name(step: TracedStep) -> Arguments:
    """Of a step, defaults included."""
    return arguments_of(step.function, step.args, step.kwargs)


def _unsuitable(step: TracedStep, why: str) -> UnsuitableNetworkError:
    return UnsuitableNetworkError(f"{step.operation}, run by {step.module}, {why}")


def _written(step: TracedStep) -> tuple[str, ...]:
    return signature(step.function).written


# --- the bends -------------------------------------------------------------------------


def _site(step: TracedStep) -> Site:
    arguments = arguments_by_name(step)
    varying = [t for t in tensors_in(list(arguments.values())) if id(t) in step.affine]
    operand = varying[0]
    operation = step.operation
    output = next(tensors_in(step.returned))
    if len(output) != len(operand):
        raise _unsuitable(step, "bends along the batch")
    made: tuple[Kind, Callable[[Sequence[Tensor]], Tensor]] | None = None
    if operation in POOLS:
        made = _windows(step, arguments)
    elif operation in ("maximum", "minimum", "fmax", "fmin") or (
        operation in ("max", "min") and arguments.get("other") is not None
    ):
        made = _pair(step, arguments, len(varying))
    elif operation in ("max", "amax", "min", "amin"):
        made = _along(operation, operand, arguments["dim"])
    elif operation in CLAMPS and len(varying) == 1:
        made = _clamped(step, operand, *CLAMPS[operation](arguments)), lambda given: given[0].flatten(1)
    if made is None:
        raise _unsuitable(
            step,
            "is a bend for which no lines are known; they are for "
            + ", ".join(sorted([*CLAMPS, *POOLS, "amax", "amin", "max", "maximum", "min", "minimum"])),
        )
    return Site(operation, step.module, made[0], output.shape[1:], made[1])


CLAMPS: dict[str, Callable[[Arguments], tuple[Any, Any, Any, Any]]] = {
    "relu": lambda a: (0.0, 1.0, 0.0, None),
    "leaky_relu": lambda a: (a["negative_slope"], 1.0 - a["negative_slope"], 0.0, None),
    "_prelu_kernel": lambda a: (a["weight"], 1.0 - a["weight"], 0.0, None),
    "abs": lambda a: (-1.0, 2.0, 0.0, None),
    "hardtanh": lambda a: (0.0, 1.0, a["min_val"], a["max_val"]),
    "clamp": lambda a: (0.0, 1.0, a["min"], a["max"]),
    "clamp_min": lambda a: (0.0, 1.0, a["min"], None),
    "clamp_max": lambda a: (0.0, 1.0, None, a["max"]),
}
"""base, gain, low and high of these functions of one number."""


def _clamped(step: TracedStep, operand: Tensor, base: Any, gain: Any, low: Any, high: Any) -> Clamped:
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    parts = [_spread_out(step, part, operand) for part in (base, gain, low, high)]
    parts[2] = torch.minimum(parts[2], parts[3])  # where they cross, the upper bound wins
    return Clamped(*parts)


def _spread_out(step: TracedStep, value: Any, operand: Tensor) -> Tensor:
    """A number, or a tensor that broadcasts to the operand, as (M,)."""
    if isinstance(value, Tensor):
        value = value.detach()
        if value.ndim > operand.ndim or (value.ndim == operand.ndim and len(value) not in (0, 1)):
            raise _unsuitable(step, "has an argument that differs from image to image")
    else:
        value = torch.tensor(float(value), dtype=torch.float64)
    spread_out: Tensor = value.to(operand).expand(operand.shape)[0]
    return spread_out.flatten()


def _pair(step: TracedStep, arguments: Arguments, varying: int) -> tuple[Kind, Callable[..., Tensor]]:
    """The larger, or the smaller, of two tensors, of which one may be constant."""
    sign = 1 if step.operation in ("max", "maximum", "fmax") else -1
    left, right = arguments["self"], arguments["other"]
    shape = torch.broadcast_shapes(left.shape, right.shape)
    if varying == 2:

        def both(given: Sequence[Tensor]) -> Tensor:
            return torch.stack([t.expand(shape) for t in given], dim=-1).flatten(1)

        return Largest(2, sign), both
    operand, constant = (left, right) if id(left) in step.affine else (right, left)
    bounds = (constant, None) if sign > 0 else (None, constant)
    kind = _clamped(step, operand.expand(shape), 0.0, 1.0, *bounds)
    return kind, lambda given: given[0].expand(shape).flatten(1)


def _along(
    operation: str, operand: Tensor, dims: int | Sequence[int] | None
) -> tuple[Kind, Callable[..., Tensor]] | None:
    """The largest, or the smallest, entry along some axes; None if the images' is among them."""
    sign = -1 if "min" in operation else 1
    axes = [dims] if isinstance(dims, int) else list(dims or [])
    axes = [axis % operand.ndim for axis in axes]
    if not axes or 0 in axes:
        return None

    def entries(given: Sequence[Tensor]) -> Tensor:
        return given[0].movedim(axes, list(range(-len(axes), 0))).flatten(1)

    return Largest(math.prod(operand.shape[axis] for axis in axes), sign), entries


def _windows(step: TracedStep, arguments: Arguments) -> tuple[Kind, Callable[..., Tensor]]:
    """The windows of a max-pool; a place in the padding is that of another entry of its window."""
    axes, operand = POOLS[step.operation][0], arguments["self"]
    if operand.ndim <= axes:
        raise _unsuitable(step, "pools along the batch")
    index, inside = pool_windows(step.operation, arguments)
    some = index.gather(1, inside.int().argmax(dim=1, keepdim=True))
    index = torch.where(inside, index, some)

    def entries(given: Sequence[Tensor]) -> Tensor:
        return given[0].flatten(-axes).index_select(-1, index.flatten()).flatten(1)

    return Largest(index.shape[1], 1), entries


# --- running anew ----------------------------------------------------------------------

TensorKey: TypeAlias = tuple[Any, ...]


def _key(tensor: Tensor) -> TensorKey:
    """Where a tensor lies in memory. All that was recorded is kept, so that no memory is used twice."""
    storage = tensor.untyped_storage().data_ptr()
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


class _Table:
    """What stands for each recorded tensor in another run."""

    def __init__(self, inside: Tensor, value: Tensor) -> None:
        self.values: dict[TensorKey, Tensor] = {_key(inside): value}

    def read(self, tensor: Tensor) -> Tensor:
        """What stands for a tensor that depends on the images."""
        return self.values[_key(tensor)]

    def operands(self, step: TracedStep) -> list[Tensor]:
        """Of the arguments that depend on the images, in their order."""
        given = tensors_in(list(arguments_by_name(step).values()))
        return [self._read(step, t) for t in given if id(t) in step.affine]

    def arguments(self, step: TracedStep) -> tuple[list[Any], dict[str, Any]]:
        """Those of the step, with what stands for them."""
        args = [self._translated(step, value) for value in step.args]
        return args, {name: self._translated(step, value) for name, value in step.kwargs.items()}

    def write(self, step: TracedStep, returned: Any) -> None:
        """What the step returned here."""
        for old, new in zip(tensors_in(step.returned), tensors_in(returned), strict=True):
            self.values[_key(old)] = new

    def bend(self, step: TracedStep, output: Tensor) -> None:
        """What a bend returned here, in place or not."""
        first = next(tensors_in(step.returned))
        if _written(step):
            output = self.read(first).copy_(output)
        self.values[_key(first)] = output

    def _translated(self, step: TracedStep, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._read(step, value) if id(value) in step.affine else value
        if isinstance(value, list | tuple):
            return [self._translated(step, part) for part in value]
        return value

    def _read(self, step: TracedStep, tensor: Tensor) -> Tensor:
        if _key(tensor) not in self.values:
            raise _unsuitable(step, "reads memory that was written in parts")
        return self.values[_key(tensor)]


Rule: TypeAlias = Callable[[TracedStep, list[Any], dict[str, Any]], Any]


def plain(step: TracedStep, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The operation as it is."""
    return step.function(*args, **kwargs)


def magnitude(step: TracedStep, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """With the absolute values of all weights and constants: at least |result| if the arguments were."""
    return _absolute(step, args, kwargs, constants=True)


def spread(step: TracedStep, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """With the absolute values of all weights, without constants: how far a result may move."""
    return _absolute(step, args, kwargs, constants=False)


SIGNED = frozenset([
    "_upsample_bicubic2d_aa", "upsample_bicubic2d", "linalg_cross", "channel_shuffle_backward",
])  # fmt: skip
"""Affine operations with coefficients of both signs, which no absolute value of an argument shows."""

CONSTANTS = {
    **dict.fromkeys(["add", "sub", "rsub"], ("other",)),
    **dict.fromkeys(["fill", "masked_fill", "constant_pad_nd", "index_fill", "scatter"], ("value",)),
    "where": ("self", "other"),
}
"""Their arguments that are added or put in if they are numbers."""

COEFFICIENTS = {"add": ("alpha",), "div": ("other",), "addcmul": ("value",)} | dict.fromkeys(
    ["addmm", "addmv", "addbmm", "baddbmm", "addr"], ("alpha", "beta")
)
"""Their further arguments that multiply."""

BATCH_NORMS = frozenset([
    "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
])  # fmt: skip


def _absolute(step: TracedStep, args: list[Any], kwargs: dict[str, Any], *, constants: bool) -> Any:
    operation, given = step.operation, arguments_by_name(step)
    values = arguments_of(step.function, tuple(args), kwargs)
    if operation in BATCH_NORMS:
        return _absolute_batch_norm(values, constants=constants)
    if operation in ("neg", "sub", "rsub"):
        return _absolute_difference(step, given, values, constants=constants)
    known = operation in ADDITIVE or operation in FACTORS or operation in ("div", "pow")
    if not known or operation in SIGNED:
        raise _unsuitable(
            step, "has coefficients whose sizes are not known; lines cannot be drawn through it"
        )
    factors = (*FACTORS.get(operation, ()), *COEFFICIENTS.get(operation, ()))

    def taken(name: str) -> Any:
        return _sizes(
            values[name],
            step,
            given[name],
            keep=constants or name in factors,
            number=name in factors or name in CONSTANTS.get(operation, ()),
        )

    names = list(values)[: len(args)]
    return step.function(*[taken(name) for name in names], **{name: taken(name) for name in kwargs})


def _sizes(value: Any, step: TracedStep, given: Any, *, keep: bool, number: bool) -> Any:
    """An argument with absolute values; zeros if it is a constant that is not to be kept."""
    if isinstance(value, list | tuple) and any(True for _ in tensors_in(value)):
        return [_sizes(v, step, g, keep=keep, number=number) for v, g in zip(value, given, strict=True)]
    if isinstance(value, Tensor):
        if id(given) in step.affine or not value.is_floating_point():
            return value
        return value.detach().abs() if keep else torch.zeros_like(value)
    if number and isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) if keep else type(value)(0)
    return value


def _absolute_difference(step: TracedStep, given: Arguments, values: Arguments, *, constants: bool) -> Tensor:
    left: Tensor = _sizes(values["self"], step, given["self"], keep=constants, number=True)
    total = left.clone()
    if step.operation != "neg":
        right = _sizes(values["other"], step, given["other"], keep=constants, number=True)
        weight = abs(values["alpha"])
        total = left + weight * right if step.operation == "sub" else weight * left + right
    return left.copy_(total) if _written(step) else total


def _absolute_batch_norm(values: Arguments, *, constants: bool) -> tuple[Tensor, ...]:
    x, mean, variance = values["input"], values["running_mean"], values["running_var"]
    shape = [1, -1] + [1] * (x.ndim - 2)
    scale = (variance + values.get("eps", values.get("epsilon"))).rsqrt()
    if values["weight"] is not None:
        scale = scale * values["weight"].detach().abs()
    result = x * scale.view(shape)
    if constants:
        shift = mean.abs() * scale
        if values["bias"] is not None:
            shift = shift + values["bias"].detach().abs()
        result = result + shift.view(shape)
    return result, mean, variance  # the statistics that it returns too are read by nobody


def _roundings(step: TracedStep) -> int:
    """How many roundings one way through an affine operation passes at most, forwards or backwards."""
    output = next(tensors_in(step.returned), None)
    varying = [t for t in tensors_in([step.args, list(step.kwargs.values())]) if id(t) in step.affine]
    if output is None or not varying:
        return 0
    if step.operation in FACTORS:
        arguments = arguments_by_name(step)
        factors = [arguments[name] for name in FACTORS[step.operation]]
        weights = [t for t in factors if isinstance(t, Tensor) and id(t) not in step.affine]
        sums = [t.numel() // size for t in weights for size in t.shape[:2] if size]
        return sum(sums) + sum(sum(t.shape) for t in weights) + 4
    if all(t.shape == output.shape for t in varying):
        return 8
    if signature(step.function).view and step.operation != "expand":
        return 0
    return output[0].numel() + sum(t[0].numel() for t in varying if t.ndim) + 4


# --- pulling rows back -----------------------------------------------------------------


class _Bent(torch.autograd.Function):
    """The values of a bend going forwards; its lines going backwards."""

    @staticmethod
    def forward(ctx: Any, operands: Tensor, values: Tensor, pull: Callable[[Tensor], Tensor]) -> Tensor:
        """(C, M) → (C, outputs)."""
        ctx.pull = pull
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *rows: Tensor) -> tuple[Tensor | None, ...]:
        """(C, outputs) → (C, M)."""
        return ctx.pull(rows[0]), None, None


class RelaxedPullback:
    """Rows of coefficients, pulled back from a bend's operands or the logits to the images through lines.

    Attributes:
        rows: so many in one pass.
        sizes: how many operands each bend has, and how many logits there are.
        gathered: whether all that the network makes of an image goes through its first bend. Rows from
            behind it are then pulled back to that bend's operands only.
    """

    def __init__(self, network: nn.Module, images: Images, rows: int) -> None:
        made = recorded(network, images[:1].detach().expand(rows, *images.shape[1:]).contiguous())
        self.rows = rows
        self._edges: list[GradientEdge] = []
        self._kinds: list[Kind] = []
        self.sizes: list[int] = []
        self._lines: Sequence[Lines] = ()
        self._at = torch.zeros(0, dtype=torch.int64)
        self._constants: Tensor | float = 0.0
        self._leaf = made.inside.clone().requires_grad_(True)
        self._ends = [self._leaf]  # what each bend's rows, and the logits', are pulled back to
        self.gathered = False
        self._run(made, gathered=True)
        behind = [edge.node for edge in self._edges[1:]]
        self.gathered = bool(behind) and not _reaches(behind, get_gradient_edge(self._leaf).node)
        if not self.gathered:
            self._run(made, gathered=False)

    def _run(self, made: Recorded, *, gathered: bool) -> None:
        """Build the graph; if it is to be gathered, cut at the first bend."""
        self._edges, self._kinds, self.sizes, self._ends = [], [], [], [self._leaf]

        def bend(site: Site, operands: list[Tensor]) -> list[Tensor]:
            place = len(self._kinds)
            self._kinds.append(site.kind)
            self._note(operands[0])
            if gathered and place == 0:
                operands = [operands[0].detach().requires_grad_(True)]
                self._ends.append(operands[0])
            values = site.kind.values(operands[0].detach())
            pull = partial(self._through, place)
            return [_Bent.apply(operands[0], values, pull)]  # type: ignore[no-untyped-call]

        with torch.enable_grad():
            (z,) = made.sweep([self._leaf.clone()], [plain], bend)
        self._note(z)

    def _note(self, operands: Tensor) -> None:
        if not operands.requires_grad:
            raise InputError("the logits do not depend on the images; is the last layer zero?")
        self._edges.append(get_gradient_edge(operands))
        self.sizes.append(operands.shape[1])

    def __call__(
        self, place: int, rows: Tensor, at: Tensor, lines: Sequence[Lines], *, create_graph: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Σ row · operands ≥ Σ slope · (x' − x) + constant + what the operands are at x.

        Args:
            place: of the bend, or −1 for the logits.
            rows: (P, M), P ≤ `rows`.
            at: (P,), of which image each is.
            lines: of each bend before.
            create_graph: so that the result can be differentiated by the lines.

        Returns:
            slopes (P, n) and constants (P,). If the network is gathered, for a place behind its first bend:
            coefficients (P, M) of that bend's operands instead of the slopes.
        """
        spare = self.rows - len(rows)
        padded = torch.cat([rows, rows.new_zeros(spare, rows.shape[1])]) if spare else rows
        self._at = torch.cat([at, at[:1].expand(spare)]) if spare else at
        self._lines, self._constants = lines, rows.new_zeros(self.rows)
        (slopes,) = torch.autograd.grad(
            [self._edges[place]],
            self._ends[0 if place == 0 else -1],
            [padded],
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )
        constants = self._constants
        self._lines, self._constants = (), 0.0
        return slopes.flatten(1)[: len(rows)], constants[: len(rows)]

    def _through(self, place: int, row: Tensor) -> Tensor:
        lines, kind = self._lines[place].of(self._at), self._kinds[place]
        negative = row < 0
        self._constants = self._constants + (row * torch.where(negative, *_upper_first(lines, "gap"))).sum(1)
        if isinstance(kind, Largest):
            row, negative = (t.repeat_interleave(kind.entries, dim=1) for t in (row, negative))
        return row * torch.where(negative, *_upper_first(lines, "slope"))


def _reaches(nodes: Sequence[Node], end: Node) -> bool:
    """Whether a way leads from one of the nodes of autograd's graph down to another node."""
    seen, todo = set(nodes), list(nodes)
    while todo:
        below = {node for node, _ in todo.pop().next_functions if node is not None} - seen
        seen |= below
        todo += below
    return end in seen


def _upper_first(lines: Lines, what: str) -> tuple[Tensor, Tensor]:
    if what == "gap":
        return lines.upper_gap, lines.lower_gap
    return lines.upper_slope, lines.lower_slope
