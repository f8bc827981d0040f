"""The tensor operations that a network really runs, and which of its tensors depend on the input, and how.

A network is traced below autograd, where every function, method and module has become one of torch's
basic operations (torch.ops.aten). What depends on the input x is followed through them by storage, so
views and work in place are seen. An operation passes only if it stands on a list: those that are affine in
what depends on x, and those whose bends are known (`bends`). All others are *refused*, by name, if the logits
depend on what they return. What does not depend on x may be computed in any way: weights by a
parametrisation, say.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from regrob.affine.bends import CONSTANT_BETWEEN, Arguments, Bend, Units, units
from regrob.checks import ImageLogits, Images, check_logits
from regrob.errors import InputError


class Dependence(IntEnum):
    """How a tensor depends on the input as long as no unit switches: the later, the worse."""

    NONE = 0
    SIDES = 1  # only on which side of their edges the units are, so it stays the same
    AFFINE = 2
    REFUSED = 3


class Refusal(NamedTuple):
    """Where a network left what is known to be piecewise linear.

    Attributes:
        operation: a tensor operation, as torch.ops.aten calls it.
        module: the innermost module that ran it, as "GELU 'blocks.0.act'".
        reason: why it is refused.
        opaque: the trace could not look inside, so the network may be piecewise linear all the same.
    """

    operation: str
    module: str
    reason: str
    opaque: bool = False

    def __str__(self) -> str:
        return f"{self.operation}, run by {self.module}, {self.reason}"


class TracedStep(NamedTuple):
    """One operation that the network ran on something that depends on the input.

    Attributes:
        function: torch.ops' operation, called with `args` and `kwargs`; `returned` is what came out.
        operation, module: as in `Refusal`.
        affine, sides: the ids of those tensors among its arguments that depend so on the input.
        bends: whether it is one of the trace's bends.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: Arguments
    returned: Any
    operation: str
    module: str
    affine: frozenset[int]
    sides: frozenset[int]
    bends: bool


class Trace(NamedTuple):
    """What a network did with a batch of images.

    Attributes:
        images: the leaf that the logits, and the edges of the bends, are to be differentiated by.
        logits: (N, K); None if the network was not run.
        operations: how often each operation ran on something that depends on the input.
        bends: in their order.
        dtypes: of all that depends on the input.
        constants: what tensors from outside held: neither parameters, nor buffers, nor made by an operation.
        refusal: the first reason not to call the logits piecewise linear; None if they are.
        inside, steps: what the network was given, and what it ran in its order, if they were asked for.
    """

    images: Tensor
    logits: Tensor | None
    operations: Counter[str]
    bends: list[Bend]
    dtypes: set[torch.dtype]
    constants: list[Tensor]
    refusal: Refusal | None
    inside: Tensor | None = None
    steps: tuple[TracedStep, ...] = ()


def trace(network: nn.Module, images: Images, *, record: bool = False) -> Trace:
    """Run the network once, uncompiled and without backward hooks, and follow what depends on the images.

    Args:
        record: keep the steps, and with them every tensor.

    Raises:
        InputError: as `checked_logits`.

    >>> trace(nn.ReLU(), torch.ones(1, 2)).bends[0].operation
    'relu'
    >>> print(trace(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.ones(1, 2)).refusal)
    tanh, run by Tanh '1', is neither affine nor a known bend
    """
    x = images.detach().clone().requires_grad_(True)
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        refusal = Refusal("TorchScript", name_of(network), "hides its operations", opaque=True)
        return Trace(x, None, Counter(), [], set(), [], refusal)
    with torch.enable_grad():
        inside = x.clone()  # no leaf, so that it may be overwritten and has an edge in autograd's graph
    tracer = _Tracer(x, inside, [*network.parameters(), *network.buffers()], record=record)
    # Nothing is compiled before this part of torch is there, and to load it takes seconds.
    uncompiled = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    with (
        torch.enable_grad(),
        uncompiled,
        without_backward_hooks(network.modules()),
        _naming(network, tracer.running),
        tracer,
        _Exits(tracer),
    ):
        z = checked_logits(network, inside)
    summary = tracer.summary(z)
    return summary._replace(inside=inside.detach(), steps=tuple(tracer.steps)) if record else summary


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


def name_of(module: nn.Module, name: str = "") -> str:
    """How messages call a module.

    >>> name_of(nn.GELU(), "blocks.0.act")
    "GELU 'blocks.0.act'"
    """
    return f"{type(module).__name__} {name!r}" if name else type(module).__name__


@contextmanager
def _naming(network: nn.Module, running: list[str]) -> Iterator[None]:
    """While open, `running` holds the names of the modules that are being called, the innermost last."""
    hooks = []
    for name, module in network.named_modules():
        called = name_of(module, name)
        hooks += [
            module.register_forward_pre_hook(lambda *_, called=called: running.append(called), prepend=True),
            module.register_forward_hook(lambda *_: running.pop() and None, always_call=True),
        ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def without_backward_hooks(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While open, no backward hook of these modules, nor of all modules, can change a gradient.

    >>> layer = nn.ReLU()
    >>> handle = layer.register_full_backward_hook(lambda module, inputs, outputs: (2 * inputs[0],))
    >>> x = torch.ones(1, requires_grad=True)
    >>> with without_backward_hooks([layer]):
    ...     torch.autograd.grad(layer(x), x)
    (tensor([1.]),)
    >>> torch.autograd.grad(layer(x), x)
    (tensor([2.]),)
    """
    kinds = ("_backward_hooks", "_backward_pre_hooks")
    own = [(module, kind, getattr(module, kind)) for module in hooked(modules) for kind in kinds]
    everywhere = hooked_everywhere()
    copies = [hooks.copy() for hooks in everywhere]
    for module, kind, hooks in own:
        setattr(module, kind, type(hooks)())
    for hooks in everywhere:
        hooks.clear()
    try:
        yield
    finally:
        for module, kind, hooks in own:
            setattr(module, kind, hooks)
        for hooks, copied in zip(everywhere, copies, strict=True):
            hooks.update(copied)


def hooked(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules with a backward hook.

    >>> layer = nn.ReLU()
    >>> handle = layer.register_full_backward_hook(lambda module, inputs, outputs: None)
    >>> hooked([nn.Flatten(), layer])
    [ReLU()]
    """
    return [module for module in modules if module._backward_hooks or module._backward_pre_hooks]


def hooked_everywhere() -> list[dict[int, Any]]:
    """The backward hooks of all modules at once, by kind; none if there are none.

    >>> hooked_everywhere()
    []
    """
    kinds = (nn.modules.module._global_backward_hooks, nn.modules.module._global_backward_pre_hooks)
    return [hooks for hooks in kinds if hooks]


# --- which operations are affine -------------------------------------------------------

# fmt: off
ADDITIVE = frozenset([
    # views and copies
    "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "as_strided", "clone", "contiguous", "copy",
    "detach", "diagonal", "expand", "lift_fresh", "narrow", "permute", "select", "slice", "split",
    "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "unsafe_split",
    "view",
    # entries picked and put, by places that do not depend on the input's values
    "cat", "channel_shuffle", "constant_pad_nd", "diag_embed", "diagonal_scatter", "fill", "flip",
    "block_diag", "gather", "im2col", "col2im", "index", "index_add", "index_copy", "index_fill", "index_put",
    "index_select", "masked_fill", "masked_scatter", "masked_select", "max_unpool2d", "max_unpool3d",
    "pixel_shuffle", "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "repeat",
    "replication_pad1d", "replication_pad2d", "replication_pad3d", "roll", "rot90", "scatter", "scatter_add",
    "select_scatter", "slice_scatter", "stack", "take", "tril", "triu", "where", "zero",
    # the identity, of finite numbers
    "nan_to_num",
    # sums and means
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d", "add", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "cumsum", "mean", "neg", "rsub", "sub", "sum", "trace",
    "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_bicubic2d",
    "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "upsample_trilinear3d",
])
"""Affine in all their floating-point tensors together."""

FACTORS = {
    "mul": ("self", "other"), "mm": ("self", "mat2"), "bmm": ("self", "mat2"), "mv": ("self", "vec"),
    "dot": ("self", "tensor"), "addmm": ("mat1", "mat2"), "addmv": ("mat", "vec"),
    "addbmm": ("batch1", "batch2"), "baddbmm": ("batch1", "batch2"), "addcmul": ("tensor1", "tensor2"),
    "addr": ("vec1", "vec2"), "linalg_cross": ("self", "other"),
    "convolution": ("input", "weight"), "linear": ("input", "weight"), "matmul": ("tensor1", "tensor2"),
}
"""Affine if at most one of these arguments depends on the input."""

COEFFICIENTS = {
    "div": ("other", "rounding_mode"), "addcdiv": ("tensor2",), "lerp": ("weight",),
    "grid_sampler_2d": ("grid",), "grid_sampler_3d": ("grid",),
    **dict.fromkeys(
        ["native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit",
         "_native_batch_norm_legit_no_training"],
        ("weight", "bias", "running_mean", "running_var", "training"),
    ),
}
"""Affine if none of these arguments depends on the input, and no option of these is on."""

SHAPE_ONLY = frozenset([
    "empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like",
    "isinf", "isnan", "isneginf", "isposinf",
])
"""Their result says nothing about a finite input but its shape."""

BLANK = frozenset(["empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"])
"""Their result has no values yet."""
# fmt: on


class Signature(NamedTuple):
    """What an operation's schema says.

    Attributes:
        defaults: of all its arguments by name, in their order.
        written: the arguments that it overwrites.
        view: whether what it returns shares an argument's memory.
    """

    defaults: Arguments
    written: tuple[str, ...]
    view: bool


@cache
def signature(func: Any) -> Signature:
    """Of one of torch.ops' operations; to read a schema takes longer than a small operation.

    >>> signature(torch.ops.aten.relu_.default)
    Signature(defaults={'self': None}, written=('self',), view=True)
    """
    arguments = func._schema.arguments
    return Signature(
        {a.name: a.default_value for a in arguments},
        tuple(a.name for a in arguments if a.alias_info and a.alias_info.is_write),
        any(part.alias_info for part in func._schema.returns),
    )


def arguments_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """An operation's arguments by name, defaults included."""
    defaults = signature(func).defaults
    return {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors in nested lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)


# fmt: off
IMPORTS = frozenset(["tensor", "as_tensor", "asarray", "new_tensor"])
"""Functions that may read a tensor's memory, and return a tensor made anew."""

PROPERTIES = frozenset([
    "shape", "size", "dtype", "device", "layout", "ndim", "dim", "ndimension", "numel", "nelement", "__len__",
    "stride", "storage_offset", "element_size", "itemsize", "nbytes", "type", "get_device", "_version",
    "requires_grad", "dim_order", "result_type", "can_cast", "broadcast_shapes", "__hash__", "name", "names",
    "output_nr",
])
"""Functions that say something of a tensor, but nothing of its values; so do those called `is_…`."""

READ_BELOW = frozenset([
    "item", "__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__", "equal",
    "allclose", "is_nonzero", "__iter__",
])
"""Functions that return no tensor, but whose reading of the values is an operation, or none."""
# fmt: on


class _Exits(TorchFunctionMode):
    """Sees the functions by which the network's values, or its gradients, leave what is traced.

    Whatever is given a tensor and returns something else might hold its values: a list, an array, bytes, an
    address in memory. So might the graph of gradients, which can be changed. Only what is known to hold none
    is let pass.
    """

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, and note an exit of something that depends on the input."""
        name = str(func.__name__)
        if name in ("__get__", "__set__", "__delete__"):  # of a property
            name = str(getattr(func.__self__, "__name__", name))
        returned = func(*args, **(kwargs or {}))
        stays = name in PROPERTIES or name in READ_BELOW or name.startswith("is_") or _only_tensors(returned)
        if name in IMPORTS or not stays:
            self.tracer.leave(name, [*args, *(kwargs or {}).values()])
        return returned


def _only_tensors(value: object) -> bool:
    """Whether a value is made of tensors alone, which the trace can follow."""
    if isinstance(value, list | tuple):
        return not isinstance(value, torch.Size) and all(map(_only_tensors, value))
    if isinstance(value, dict):
        return all(map(_only_tensors, value.values()))
    return value is None or isinstance(value, Tensor)


class _Tracer(TorchDispatchMode):
    """Sees every operation that runs while it is open.

    A tensor is known by its storage. All that ran is kept until the end, so that no storage is used twice.
    """

    def __init__(self, x: Tensor, inside: Tensor, weights: Iterable[Tensor], *, record: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.record = record
        self.steps: list[TracedStep] = []
        self.running: list[str] = []  # kept by `_naming`
        self.x = x
        self.kept: list[Tensor] = []
        self.dependences: dict[int, Dependence] = {}
        self.refusals: dict[int, Refusal] = {}  # of the storages that are REFUSED
        self.fatal: Refusal | None = None  # the program itself went on by a value that is REFUSED
        self.exit: Refusal | None = None  # what the program did with a value that left is not known
        self.operations: Counter[str] = Counter()
        self.bends: list[Bend] = []
        self.dtypes = {x.dtype}
        self.outside: list[Tensor] = []
        self.constants: list[Tensor] = []  # the values of those without a gradient, as they came
        self.blank: set[int] = set()  # storages that no operation wrote yet
        self.shared: set[int] = set()  # storages that others may read: a write there is an exit
        for weight in weights:
            self._mark(weight, Dependence.NONE)
            self.shared.add(_storage(weight))
        self._mark(inside, Dependence.AFFINE)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Judge the operation, run it, and mark what it wrote."""
        arguments = arguments_of(func, args, kwargs or {})
        operation = str(func.overloadpacket.__name__)
        if operation.endswith("_") and not operation.endswith("__"):
            operation = operation[:-1]  # in place or not
        before = len(self.bends)
        dependence, refusal = self._judge(func, operation, arguments)
        affine, sides = self._those(arguments) if self.record else (frozenset[int](), frozenset[int]())
        returned = func(*args, **(kwargs or {}))
        if affine or sides:
            bends, module = len(self.bends) > before, self._module()
            self.steps.append(
                TracedStep(func, tuple(args), kwargs or {}, returned, operation, module, affine, sides, bends)
            )
        written = [arguments[name] for name in signature(func).written]
        new = [t for t in tensors_in(returned) if _storage(t) not in self.dependences]  # no mere view
        self.blank -= set(map(_storage, tensors_in(written)))
        if operation in BLANK:
            self.blank |= set(map(_storage, new))
        if dependence > Dependence.SIDES and any(_storage(t) in self.shared for t in tensors_in(written)):
            self.exit = self.exit or Refusal(operation, self._module(), "writes to memory of others", True)
        for tensor in tensors_in([new, written]):
            place = dependence is Dependence.AFFINE and not tensor.is_floating_point()  # a winner's
            self._mark(tensor, Dependence.SIDES if place else dependence, refusal)
        read = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        if refusal and (read or isinstance(returned, bool | int | float)):
            self.fatal = self.fatal or refusal
        return returned

    def leave(self, name: str, values: list[Any]) -> None:
        """Tensors were given to a function of this name, whose doings are no operations."""
        if any(map(self._varies, tensors_in(values))):
            self.exit = self.exit or Refusal(name, self._module(), "hides its operations", opaque=True)
        self.shared |= {_storage(t) for t in tensors_in(values) if t.numel()}

    def summary(self, z: Tensor) -> Trace:
        """After the run: what the logits are."""
        self._dependence(z)
        refusal = self.fatal or self.refusals.get(_storage(z)) or self.exit or self._own_backward(z)
        for tensor in self.outside:
            if refusal is None and tensor.grad_fn is not None:  # made where the dispatcher does not see it
                (slope,) = torch.autograd.grad(tensor.sum(), self.x, retain_graph=True, allow_unused=True)
                if slope is not None:
                    refusal = Refusal(
                        tensor.grad_fn.name(), "the network", "hides its operations", opaque=True
                    )
        return Trace(self.x, z, self.operations, self.bends, self.dtypes, self.constants, refusal)

    def _own_backward(self, z: Tensor) -> Refusal | None:
        """A function with its own backward between the images and the logits, or the edge of a bend."""
        todo = [edge.node for bend in self.bends for edge in bend.edges]
        if z.grad_fn is not None:
            todo.append(z.grad_fn)
        users: dict[Node, list[Node]] = {node: [] for node in todo}
        while todo:
            node = todo.pop()
            for child, _ in node.next_functions:
                if child is not None and child not in users:
                    users[child] = []
                    todo.append(child)
                if child is not None:
                    users[child].append(node)
        todo = [get_gradient_edge(self.x).node]  # upwards, past what depends on the weights alone
        reached = set(todo)
        while todo:
            node = todo.pop()
            if isinstance(node, BackwardCFunction):
                return Refusal(node.name(), "the network", "has a backward function of its own", opaque=True)
            above = set(users.get(node, ())) - reached
            reached |= above
            todo += above
        return None

    def _those(self, arguments: Arguments) -> tuple[frozenset[int], frozenset[int]]:
        """The ids of the tensors that depend on the input affinely, and of those by the units' sides only."""
        operands = list(tensors_in(list(arguments.values())))
        affine, sides = (
            frozenset(id(t) for t in operands if self._dependence(t) is kind)
            for kind in (Dependence.AFFINE, Dependence.SIDES)
        )
        return affine, sides

    def _module(self) -> str:
        return self.running[-1] if self.running else "the network"

    def _dependence(self, tensor: Tensor) -> Dependence:
        if tensor.numel() == 0:
            return Dependence.NONE
        if _storage(tensor) not in self.dependences:
            self.outside.append(tensor)
            self.shared.add(_storage(tensor))
            if tensor.grad_fn is None:
                self.constants.append(tensor.detach().clone())
            self._mark(tensor, Dependence.NONE)
        return self.dependences[_storage(tensor)]

    def _mark(self, tensor: Tensor, dependence: Dependence, refusal: Refusal | None = None) -> None:
        if tensor.numel() == 0:
            return
        storage = _storage(tensor)
        self.kept.append(tensor)
        self.dependences[storage] = max(dependence, self.dependences.get(storage, Dependence.NONE))
        if refusal:
            self.refusals.setdefault(storage, refusal)
        if dependence is Dependence.AFFINE:
            self.dtypes.add(tensor.dtype)

    def _judge(self, func: Any, operation: str, arguments: Arguments) -> tuple[Dependence, Refusal | None]:
        """How what the operation returns depends on the input."""
        operands = list(tensors_in(list(arguments.values())))
        worst = max(map(self._dependence, operands), default=Dependence.NONE)
        module = self._module()

        def refuse(reason: str, *, opaque: bool = False) -> tuple[Dependence, Refusal]:
            return Dependence.REFUSED, Refusal(operation, module, reason, opaque)

        if worst is Dependence.REFUSED:
            first = next(t for t in operands if self._dependence(t) is Dependence.REFUSED)
            return Dependence.REFUSED, self.refusals[_storage(first)]
        if worst > Dependence.NONE:
            self.operations[operation] += 1
        if operation in SHAPE_ONLY:
            return Dependence.NONE, None
        random = torch.Tag.nondeterministic_seeded in func.tags and operation != "rrelu_with_noise"
        if random or arguments.get("training"):
            return refuse("is random or normalises over the batch")
        _, written, view = signature(func)
        read = tensors_in([value for name, value in arguments.items() if name not in written])
        if not view and any(_storage(t) in self.blank for t in read if t.numel()):
            return refuse("reads memory that no operation wrote", opaque=True)
        if worst < Dependence.AFFINE:
            return worst, None
        if func.namespace != "aten":
            return refuse("hides its operations", opaque=True)

        affine = [t for t in operands if self._dependence(t) is Dependence.AFFINE]
        bent = units(operation, arguments, self._varies)
        if bent is None:
            reason = self._not_affine(operation, arguments)
            if reason:
                return refuse(reason)
        within = Dependence.SIDES if operation in CONSTANT_BETWEEN else Dependence.AFFINE
        attached = all(t.requires_grad for t in affine)
        if not attached or (within is Dependence.AFFINE and not torch.is_grad_enabled()):
            return refuse("is hidden from autograd (by detach, no_grad or a function with its own backward)")
        if bent is not None:
            self._note(operation, module, bent)
        return within, None

    def _varies(self, tensor: Tensor) -> bool:
        return self._dependence(tensor) > Dependence.SIDES

    def _not_affine(self, operation: str, arguments: Arguments) -> str | None:
        """Why an operation is not affine in what depends on the input; None if it is."""
        exponent = arguments.get("exponent")
        if operation == "pow" and not isinstance(exponent, Tensor) and exponent == 1:
            return None
        known = operation in ADDITIVE or operation in FACTORS or operation in COEFFICIENTS
        if not known or arguments.get("reduce") is not None:
            return "is neither affine nor a known bend"
        dtype = arguments.get("dtype")
        if dtype is not None and not dtype.is_floating_point:
            return f"converts to {dtype}, which jumps"

        def varying(name: str) -> bool:
            return any(self._varies(t) for t in tensors_in(arguments.get(name)))

        if sum(map(varying, FACTORS.get(operation, ()))) > 1:
            return "multiplies two tensors that both depend on the input"
        for name in COEFFICIENTS.get(operation, ()):
            if varying(name) or (name == "rounding_mode" and arguments.get(name)):
                return f"has an argument {name!r} in which it is not affine"
        return None

    def _note(self, operation: str, module: str, bent: Units) -> None:
        edges = tuple(get_gradient_edge(operand) for operand in bent.operands)
        self.bends.append(Bend(operation, module, bent, edges))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
