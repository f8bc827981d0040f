"""The reference: docstrings as pages, and names in any chapter's code that lead to them."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx_codeautolink.extension import resolve

CODE = re.compile(r"(?<!`)`[^`\n]+`(?!`)")


STAR = re.compile(r"(?<![\w*])\*(?=\w)(?![^*\n]*\w\*)")


def _spelt(line: str) -> str:
    """A line whose `code` has two backticks, and whose |bars| and *stars outside of code are plain."""
    prose = [STAR.sub(r"\\*", part.replace("|", "\\|")) for part in CODE.split(line)]
    code = [f"`{name}`" for name in CODE.findall(line)] + [""]
    return "".join(part for pair in zip(prose, code, strict=True) for part in pair)


def as_restructured_text(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """Spell a docstring as reStructuredText wants it; an indented block after a colon keeps its lines."""
    if what in ("data", "attribute", "property"):
        lines[:0] = ["..", ""]  # napoleon would read what precedes a colon as a type
    block: str | None = None  # the indentation of a block whose lines are kept
    for number, line in enumerate(lines):
        indent = line[: len(line) - len(line.lstrip())]
        if block is not None and line.strip() and not line.startswith(block):
            block = None
        if block is None and not line.lstrip().startswith((">>>", "...")):
            lines[number] = _spelt(line)
        blank, after = [*lines[number + 1 : number + 3], "", ""][:2]
        if block is None and line.endswith(":") and not blank.strip() and after.startswith(f"{indent}    "):
            lines[number] += ":"
            block = f"{indent}    "


def skip_fields(app: Sphinx, what: str, name: str, item: Any, skip: bool, options: Any) -> bool | None:
    """Leave a named tuple's fields to its docstring, which says more than "Alias for field number 0"."""
    return True if type(item).__name__ == "_tuplegetter" else None


def import_own(name: str) -> ModuleType:
    """Import a module of this package or of Python's own; names of all others have no page to lead to.

    A chapter shows code of packages that may be absent, or fail to load.
    """
    if name.partition(".")[0] not in ("regrob", "builtins"):
        raise ImportError(f"{name} has no page here")
    return import_module(name)


def setup(app: Sphinx) -> None:
    """Connect both to autodoc, the first before napoleon reads the docstring."""
    resolve.import_module = import_own
    for extension in ("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_codeautolink"):
        app.setup_extension(extension)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)
    app.connect("autodoc-skip-member", skip_fields)
