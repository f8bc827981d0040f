"""The reference: docstrings as pages, and names in any chapter's code that lead to them."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

SINGLE_BACKTICKS = re.compile(r"(?<![`:\w])`([^`\n]+)`(?![`_])")


def as_restructured_text(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """Spell a docstring as reStructuredText wants it.

    `names` get two backticks, |bars| are no substitutions, and an indented block after a
    colon and an empty line keeps its lines.
    """
    spelt = [SINGLE_BACKTICKS.sub(r"``\1``", line) for line in lines]
    for number, line in enumerate(spelt):
        if not line.lstrip().startswith((">>>", "...")):
            spelt[number] = line.replace("|", "\\|")
        indent = line[: len(line) - len(line.lstrip())]
        following = [*lines[number + 1 : number + 3], "", ""]
        if line.endswith(":") and not following[0].strip() and following[1].startswith(f"{indent}    "):
            spelt[number] += ":"
    lines[:] = spelt


def skip_fields(app: Sphinx, what: str, name: str, item: Any, skip: bool, options: Any) -> bool | None:
    """Leave a named tuple's fields to its docstring, which says more than "Alias for field number 0"."""
    return True if type(item).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Connect both to autodoc, the first before napoleon reads the docstring."""
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)
    app.connect("autodoc-skip-member", skip_fields)
