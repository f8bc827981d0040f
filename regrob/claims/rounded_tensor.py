"""Tensors of `rounding.Rounded` numbers: torch's functions, called on them, say how far their results are off.

So the package's own code is what is bounded, not a copy of its formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from flint import ctx
from numpy.typing import NDArray
from torch import Tensor

from regrob.claims.rounding import Arithmetic, Rounded
from regrob.errors import InputError

RoundedArray = NDArray[np.object_]
"""An array of `Rounded`."""

BITS = 128
"""How many the midpoints of the balls have."""


class UndecidedError(InputError):
    """The balls do not decide a question on which the code's next step depends."""


class RoundedTensor(torch.Tensor):
    """A tensor whose entries are `Rounded` numbers of one format.

    A comparison that the balls do not decide is good for `torch.where` only, between two forms of one quantity.

    Args:
        numbers: the entries.
        arithmetic: the format's.

    Raises:
        InputError: a function of torch of whose errors nothing is known.
        UndecidedError: a question that the balls do not decide.
    """

    numbers: RoundedArray
    arithmetic: Arithmetic

    @staticmethod
    def __new__(cls, numbers: RoundedArray, arithmetic: Arithmetic) -> RoundedTensor:
        """Wrap the numbers in a tensor of their shape and of the format's dtype."""
        blank = torch.zeros((), dtype=arithmetic.dtype).expand(numbers.shape)
        tensor = blank.as_subclass(cls)
        tensor.numbers, tensor.arithmetic = numbers, arithmetic
        return tensor

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"RoundedTensor of shape {tuple(self.shape)}, {self.dtype}"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """What one call of torch gives."""
        name = _name_of(func)
        settings = kwargs or {}
        if name in _ABOUT:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **settings)
        arithmetic = next(_rounded_tensors(args)).arithmetic
        with ctx.workprec(BITS):
            if name in _MOVING:
                return RoundedTensor(_moved(func, args, settings), arithmetic)
            if name not in _OPERATIONS:
                raise InputError(
                    f"nothing is known of the rounding errors of torch's {name}: say it in {__name__}"
                )
            value = _OPERATIONS[name](arithmetic, *args, **settings)
        return RoundedTensor(value, arithmetic) if isinstance(value, np.ndarray) else value


def _refuse(*_: object) -> NoReturn:
    raise UndecidedError("the balls do not decide a comparison: make them smaller")


class Undecided:
    """Answers to a comparison, each True, False, or None where the balls do not decide."""

    def __init__(self, answers: RoundedArray) -> None:
        self.answers = answers

    __bool__ = __and__ = __rand__ = __or__ = __ror__ = __invert__ = _refuse

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Leaves the answer to the tensors among the arguments."""
        return NotImplemented


def _name_of(func: Callable[..., Any]) -> str:
    """One name for torch.add, Tensor.add, Tensor.__add__ and Tensor.__radd__; a property's own name."""
    owner = getattr(func, "__self__", None)
    name: str = owner.__name__ if func.__name__ == "__get__" else func.__name__  # type: ignore[union-attr]
    name = name.removeprefix("linalg_").strip("_")
    return {"radd": "add", "rmul": "mul", "truediv": "div", "rtruediv": "rdiv"}.get(name, name)


def _rounded_tensors(values: Any) -> Iterator[RoundedTensor]:
    for value in values:
        if isinstance(value, RoundedTensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _rounded_tensors(value)


def _numbers(value: Any, arithmetic: Arithmetic) -> RoundedArray:
    """The entries of a tensor; a plain number as a constant."""
    if isinstance(value, RoundedTensor):
        return value.numbers
    if isinstance(value, Tensor):
        value = value.numpy()
    return np.asarray(np.frompyfunc(lambda x: arithmetic.constant(float(x)), 1, 1)(value), dtype=object)


# --- what only asks for the shape, or moves entries ---------------------------------------------

_ABOUT = {"shape", "dtype", "layout", "ndim", "device", "is_floating_point", "size", "dim", "len"}

_MOVING = {
    "cat", "detach", "expand", "flatten", "gather", "getitem", "mT", "scatter", "squeeze", "stack", "unsqueeze",
}  # fmt: skip


def _moved(func: Callable[..., Any], args: Any, settings: dict[str, Any]) -> RoundedArray:
    """Let torch move the places of the entries, and put the entries there."""
    entries: list[Rounded] = []

    def places(value: Any) -> Any:
        if isinstance(value, RoundedTensor):
            start = len(entries)
            entries.extend(value.numbers.ravel())
            return torch.arange(start, len(entries)).reshape(value.numbers.shape)
        return type(value)(map(places, value)) if isinstance(value, list | tuple) else value

    moved = func(*places(args), **settings)
    return np.asarray(np.array(entries, dtype=object)[moved.numpy()], dtype=object)


# --- what computes -------------------------------------------------------------------------------


def _entrywise(method: Callable[..., Rounded]) -> Callable[..., RoundedArray]:
    """A method of `Arithmetic` for each entry, with torch's broadcasting."""

    def operation(arithmetic: Arithmetic, *values: Any) -> RoundedArray:
        entry = np.frompyfunc(partial(method, arithmetic), len(values), 1)
        return np.asarray(entry(*(_numbers(value, arithmetic) for value in values)), dtype=object)

    return operation


def _reduced(method: Callable[..., Any]) -> Callable[..., RoundedArray]:
    """A method of `Arithmetic` that makes one number of all along some axes."""

    def operation(arithmetic: Arithmetic, x: Any, dim: Any, keepdim: bool = False) -> RoundedArray:
        axes = (dim,) if isinstance(dim, int) else tuple(dim)
        last = np.moveaxis(_numbers(x, arithmetic), axes, range(-len(axes), 0))
        rows = last.reshape(*last.shape[: -len(axes)], -1)
        reduced = np.empty(rows.shape[:-1], dtype=object)
        for place in np.ndindex(reduced.shape):
            reduced[place] = method(arithmetic, list(rows[place]))
        return np.expand_dims(reduced, axes) if keepdim else reduced

    return operation


def _along(method: Callable[..., list[Rounded]]) -> Callable[..., RoundedArray]:
    """A method of `Arithmetic` that makes as many numbers as there are along one axis."""

    def operation(arithmetic: Arithmetic, x: RoundedTensor, dim: int) -> RoundedArray:
        rows = np.moveaxis(x.numbers, dim, -1)
        changed = np.empty(rows.shape, dtype=object)
        for place in np.ndindex(rows.shape[:-1]):
            changed[place] = method(arithmetic, list(rows[place]))
        return np.moveaxis(changed, -1, dim)

    return operation


def _matmul(arithmetic: Arithmetic, a: Any, b: Any) -> RoundedArray:
    left, right = _numbers(a, arithmetic), _numbers(b, arithmetic)
    products = np.frompyfunc(arithmetic.mul, 2, 1)(left[..., :, :, None], right[..., None, :, :])
    return _reduced(Arithmetic.sum)(
        arithmetic, RoundedTensor(np.asarray(products, dtype=object), arithmetic), -2
    )


def _matrix_norm(arithmetic: Arithmetic, x: RoundedTensor, ord: int) -> RoundedArray:  # noqa: A002
    if ord != 2 or x.shape[-2] != 1:
        raise InputError(
            f"of matrix norms only the spectral norm of one row is known, got {tuple(x.shape)}, {ord}"
        )
    return _reduced(Arithmetic.singular_value)(arithmetic, x, (-2, -1))


def _compared(
    answer: Callable[[Arithmetic, Rounded, Rounded], bool | None],
) -> Callable[..., Tensor | Undecided]:
    def operation(arithmetic: Arithmetic, a: Any, b: Any) -> Tensor | Undecided:
        method = np.frompyfunc(lambda x, y: answer(arithmetic, x, y), 2, 1)
        answers = np.asarray(method(_numbers(a, arithmetic), _numbers(b, arithmetic)), dtype=object)
        if any(known is None for known in answers.flat):
            return Undecided(answers)
        return torch.from_numpy(answers.astype(bool))

    return operation


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _isfinite(arithmetic: Arithmetic, x: RoundedTensor) -> Tensor:
    """Where the computed numbers are finite; an unknown error is an overflow."""
    finite = np.frompyfunc(lambda number: bool(number.computed.is_finite()), 1, 1)(x.numbers)
    return torch.from_numpy(np.asarray(finite, dtype=bool))


def _argmax(arithmetic: Arithmetic, x: RoundedTensor, dim: int) -> Tensor:
    places = _reduced(Arithmetic.argmax)(arithmetic, x, dim)
    return torch.from_numpy(places.astype(np.int64))


def _where(arithmetic: Arithmetic, condition: Tensor | Undecided, a: Any, b: Any) -> RoundedArray:
    def chosen(answer: bool | None, x: Rounded, y: Rounded) -> Rounded:
        if answer is None:
            return arithmetic.either(x, y)
        return x if answer else y

    answers = condition.answers if isinstance(condition, Undecided) else condition.numpy()
    choice = np.frompyfunc(chosen, 3, 1)
    return np.asarray(choice(answers, _numbers(a, arithmetic), _numbers(b, arithmetic)), dtype=object)


def _full_like(arithmetic: Arithmetic, x: RoundedTensor, value: float) -> RoundedArray:
    return np.full(x.numbers.shape, arithmetic.constant(value), dtype=object)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: _entrywise(getattr(Arithmetic, name))
        for name in (
            *("neg", "abs", "square", "sqrt", "exp", "expm1", "log", "log1p", "sigmoid"),
            *("add", "sub", "mul", "div", "maximum", "minimum"),
        )
    },
    "log_sigmoid": _entrywise(Arithmetic.log_sigmoid),
    "rsub": lambda arithmetic, x, other: _entrywise(Arithmetic.sub)(arithmetic, other, x),
    "rdiv": lambda arithmetic, x, other: _entrywise(Arithmetic.div)(arithmetic, other, x),
    "clamp_min": _entrywise(Arithmetic.maximum),
    "clamp_max": _entrywise(Arithmetic.minimum),
    **{
        name: _reduced(getattr(Arithmetic, name))
        for name in ("sum", "mean", "amax", "amin", "logsumexp", "vector_norm")
    },
    **{name: _along(getattr(Arithmetic, name)) for name in ("softmax", "log_softmax")},
    "matmul": _matmul,
    "matrix_norm": _matrix_norm,
    "gt": _compared(lambda arithmetic, a, b: arithmetic.gt(a, b)),
    "lt": _compared(lambda arithmetic, a, b: arithmetic.gt(b, a)),
    "ge": _compared(lambda arithmetic, a, b: _not(arithmetic.gt(b, a))),
    "le": _compared(lambda arithmetic, a, b: _not(arithmetic.gt(a, b))),
    "ne": _compared(lambda arithmetic, a, b: arithmetic.differ(a, b)),
    "isfinite": _isfinite,
    "argmax": _argmax,
    "where": _where,
    "masked_fill": lambda arithmetic, x, mask, value: _where(arithmetic, mask, value, x),
    "zeros_like": lambda arithmetic, x: _full_like(arithmetic, x, 0.0),
    "full_like": _full_like,
}
"""Name of a function of torch → the same for `RoundedTensor`."""
