"""While tests run, the public functions of the mathematical rooms check the shapes in their signatures.

An import hook wraps the functions as their modules are loaded. The package itself never checks
its annotations: they cost nothing at run time.
"""

from __future__ import annotations

import functools
import importlib.machinery
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import jaxtyped

from regrob.errors import RegrobError

ROOMS = ("regrob.affine", "regrob.theory", "regrob.certificates", "regrob.attacks")


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, refusing arguments and results that break its annotations.

    Where the function itself refuses the arguments by an error of the package, that error comes through.
    """
    strict = jaxtyped(typechecker=None)(beartype(conf=BeartypeConf(is_pep484_tower=True))(function))

    @functools.wraps(function)
    def wrapper(*arguments: Any, **settings: Any) -> Any:
        try:
            return strict(*arguments, **settings)
        except BeartypeCallHintViolation as violation:
            try:
                function(*arguments, **settings)
            except RegrobError:
                raise
            except Exception:
                raise violation from None
            raise

    return wrapper


def check_module(module: ModuleType) -> None:
    """Wrap every public function that the module defines."""
    for name, value in list(vars(module).items()):
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            setattr(module, name, checked(value))


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        check_module(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(ROOMS):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Check all rooms that are loaded from now on."""
    sys.meta_path.insert(0, _Finder())
