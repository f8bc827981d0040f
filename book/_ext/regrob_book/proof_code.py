"""The code of a claim's proof, cut out of its file: a reader opens it on the page, changes it and runs it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from regrob.claims.claim import Claim


def has(claim: Claim) -> bool:
    """Whether symbols prove or refute the claim, and not numbers alone."""
    return claim.derivation is not None or claim.counterexample is not None


def of(claim: Claim) -> dict[str, str]:
    """The code that proves or refutes a claim that has some.

    Returns:
        `code`, the functions of the claim's own file that are run, and the lines that run them; `before`,
        code that brings the other names of that file.
    """
    runs: list[Callable[..., Any]] = []
    lines = []
    if claim.derivation is not None:
        runs += claim.derivation.steps
        lines += [f"{step.__name__}()" for step in claim.derivation.steps]
    if claim.counterexample is not None:
        runs.append(claim.counterexample)
        lines.append(f"assert {claim.counterexample.__name__}().refutes()")
    files = list(dict.fromkeys(function.__module__ for function in runs))
    functions = sorted(_reached(runs), key=lambda f: (files.index(f.__module__), f.__code__.co_firstlineno))
    sources = [inspect.getsource(function).rstrip() for function in functions]
    before = [
        "def _names_of(module):",
        "    import importlib",
        "    names = vars(importlib.import_module(module))",
        "    return {name: names[name] for name in names if not name.startswith('__')}",
        *(f"globals().update(_names_of({name!r}))" for name in reversed(files)),
    ]
    return {"before": "\n".join(before), "code": "\n\n".join([*sources, "\n".join(lines)])}


def _reached(functions: list[Callable[..., Any]]) -> set[FunctionType]:
    """These functions, and those of the same file that they call, directly or not."""
    reached = set[FunctionType]()
    waiting: list[Any] = list(functions)
    while waiting:
        function = waiting.pop()
        if function in reached:
            continue
        reached.add(function)
        names = vars(sys.modules[function.__module__])
        called = (names.get(name) for name in function.__code__.co_names)
        waiting += [f for f in called if inspect.isfunction(f) and f.__module__ == function.__module__]
    return reached
