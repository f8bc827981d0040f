"""For notebooks: numbers for the prose, exercises, progress bars."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from regrob.errors import InputError

PROGRESS = "REGROB_PROGRESS"
"""Set to 1 by the first cell of a reader's notebook. Tests and the build leave it, so they print no bar."""

ANSWER = "answer-"
"""What the name of a glued value begins with if it is an exercise's; the name of its function follows."""

STORED_ANSWERS: dict[str, str] = {}
"""Name of a function → its value as text; a page of the book puts here what it cannot compute itself."""

PATIENCE = 1.0
"""Seconds that a bar waits before it appears; what ends sooner needs none."""


def glue(name: str, value: object, format: str = "") -> None:  # noqa: A002
    """Bind a value to a name, for the role `glue:text` in the prose; prints nothing.

    Needs IPython only, so that a notebook also runs where the book's tools are missing.

    Args:
        name: letters, digits, "-" and "_".
        value: a string or an integer; anything else needs a format.
        format: a format specification, ".3f", or "" to take the value as it is.

    Raises:
        InputError: a name with other characters, or a number with no format (its last
            digits differ from machine to machine).
    """
    from IPython.display import display

    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise InputError(f"a name has letters, digits, '-' and '_' only, got {name!r}")
    if not format and not isinstance(value, str | int):
        raise InputError(f"say how {value!r} reads: glue({name!r}, value, '.3f')")
    prefix = "application/papermill.record/"
    record = {prefix + "text/plain": repr(value if not format else f"{value:{format}}")}
    scrapbook = {"name": name, "mime_prefix": prefix}
    display(record, metadata={"scrapbook": scrapbook}, raw=True)  # type: ignore[no-untyped-call]


def glue_all(values: Mapping[str, object], prefix: str = "", format: str = "") -> None:  # noqa: A002
    """`glue` for each item of a mapping from names, which all get the prefix, to values."""
    for name, value in values.items():
        glue(f"{prefix}{name}", value, format)


def bar(
    steps: Iterable[Any] | None = None,
    *,
    title: str,
    total: int | None = None,
    unit: str = "it",
    show: bool = False,
) -> Any:
    """A progress bar: loop over it in place of `steps`, or call its `update`.

    Args:
        steps: what to count; None if the caller counts by `update`.
        title: a few words beside the bar.
        total: how many steps there are, where `steps` has no length.
        unit: what one step is called.
        show: show it, and leave it standing at the end. Otherwise it is shown only where the
            environment says REGROB_PROGRESS=1, and disappears when it is full.
    """
    asked = os.environ.get(PROGRESS) == "1"
    if steps is not None and not (show or asked):
        return steps
    from tqdm.auto import tqdm

    return tqdm(
        steps,
        total=total,
        desc=title,
        unit=unit,
        disable=not (show or asked),
        leave=show,
        delay=0.0 if show else PATIENCE,
    )


def check_answer(answer: object, expected: object, *, tolerance: float = 1e-6) -> None:
    """Print whether an exercise's answer is right, without giving the right one away.

    Args:
        answer: the reader's; None prints "not answered yet".
        expected: a number, text, SymPy expression, tensor or sequence of numbers, or a
            function without arguments that returns one (called only once there is an answer, and
            while the book is built, for pages that cannot call it).
        tolerance: largest error that counts as right, relative to max(1, |expected|).
    """
    if answer is None:
        if callable(expected) and os.environ.get("REGROB_STATIC") == "1":
            glue(f"{ANSWER}{_name(expected)}", answer_as_text(expected()))
        print("not answered yet")
        return
    wrong = _what_is_wrong(answer, _value(expected) if callable(expected) else expected, tolerance)
    print("right" if wrong is None else f"not yet: {wrong}")


def answer_as_text(value: Any) -> str:
    """The value of an exercise as JSON, with a SymPy expression as the code that makes it.

    Args:
        value: a number, text, SymPy expression, array, tensor or nested sequence of numbers.

    Raises:
        TypeError: the value is of another kind.

    Example:
        >>> answer_from_text(answer_as_text((0.5, 2)))
        [0.5, 2]
    """
    if _is_symbolic(value):
        import sympy as sp

        return json.dumps({"sympy": sp.srepr(value)})
    return json.dumps(value, default=_plain)


def answer_from_text(text: str) -> Any:
    """The value that `answer_as_text` wrote; arrays, tensors and tuples become lists.

    Example:
        >>> import sympy as sp
        >>> p = sp.Symbol("p", positive=True)
        >>> answer_from_text(answer_as_text(p * (1 - p))) - p * (1 - p)
        0
    """
    value = json.loads(text)
    if isinstance(value, dict):
        import sympy as sp

        return sp.sympify(value["sympy"])
    return value


def _plain(value: Any) -> Any:
    """What JSON cannot write itself: arrays and tensors as lists, entries from SymPy as numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if _is_symbolic(value):
        return float(value)
    raise TypeError(f"the value of an exercise is a number, text, expression or array, got {value!r}")


def _is_symbolic(value: object) -> bool:
    return type(value).__module__.startswith("sympy")


def _name(function: Callable[[], object]) -> str:
    return getattr(function, "__name__", "")


def _value(function: Callable[[], object]) -> Any:
    """What a function returns: the stored value if there is one under its name."""
    stored = STORED_ANSWERS.get(_name(function))
    return function() if stored is None else answer_from_text(stored)


def _what_is_wrong(answer: Any, expected: Any, tolerance: float) -> str | None:
    if isinstance(expected, str | bool):
        same = str(answer).strip().casefold() == str(expected).strip().casefold()
        return None if same else f"{answer!r} is not it"
    if _is_symbolic(expected) and not getattr(expected, "is_number", False):
        return _symbolic(answer, expected)
    return _numeric(answer, expected, tolerance)


def _symbolic(answer: Any, expected: Any) -> str | None:
    import sympy as sp

    try:
        difference = sp.simplify(sp.sympify(answer) - expected)
    except (sp.SympifyError, TypeError):
        return f"{answer!r} is no SymPy expression of the kind asked for"
    if difference == sp.zeros(*difference.shape) if hasattr(difference, "shape") else difference == 0:
        return None
    missing = expected.free_symbols - sp.sympify(answer).free_symbols
    hint = f"; it should depend on {', '.join(sorted(map(str, missing)))}" if missing else ""
    return f"{answer} is another expression{hint}"


def _numeric(answer: Any, expected: Any, tolerance: float) -> str | None:
    shape, right = _numbers(expected)
    try:
        given_shape, given = _numbers(answer)
    except (TypeError, ValueError):
        return f"{answer!r} is not a number, or not an array of numbers"
    if given_shape != shape:
        return f"the shape should be {shape}, yours is {given_shape}"
    close = [abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in zip(given, right, strict=True)]
    if all(close):
        return None
    if shape == ():
        return f"{given[0]:.6g} is too {'small' if given[0] < right[0] else 'large'}"
    return f"{close.count(False)} of {len(right)} numbers are off"


def _numbers(value: Any) -> tuple[tuple[int, ...], list[float]]:
    """Shape and entries of a number, array, tensor or nested sequence; without NumPy, which a page lacks."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (), [float(value)]
    parts = [_numbers(part) for part in value]
    shapes = {shape for shape, _ in parts}
    if len(shapes) > 1:
        raise ValueError(f"rows of different shapes: {sorted(shapes)}")
    inner = next(iter(shapes), ())
    return (len(parts), *inner), [number for _, entries in parts for number in entries]
