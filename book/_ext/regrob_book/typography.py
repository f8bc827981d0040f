"""Small things of type: a number keeps its sign on its line, and marks are letters in the page's colours.

A notebook writes ✅, ❌ and ❔, which every kernel shows; on the page they become the letters of the badges,
which need no font of emoji.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

BETWEEN = re.compile(r"(?<=\d) (?=%)")
MARKS = {"✅": ("✓", "holds"), "❌": ("✗", "fails"), "❔": ("?", "open")}
MARK = re.compile(f"({'|'.join(MARKS)})\N{VARIATION SELECTOR-16}?")


def set_type(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Replace the texts of a page, but those of code and formulas."""
    if app.builder.format != "html":
        return
    for text in list(doctree.findall(nodes.Text)):
        if not within(text, nodes.literal, nodes.FixedTextElement, nodes.math):
            parts = in_type(str(text))
            if parts != [text]:
                text.parent.replace(text, parts)


def in_type(text: str) -> list[nodes.Node]:
    """A text with what is set otherwise in its place."""
    parts: list[nodes.Node] = []
    for number, piece in enumerate(MARK.split(text)):
        if number % 2:
            letter, outcome = MARKS[piece]
            parts.append(nodes.inline("", letter, classes=["mark", outcome]))
        elif piece:
            parts.append(nodes.Text(BETWEEN.sub("\N{NO-BREAK SPACE}", piece)))
    return parts


def within(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    """Whether a node stands in one of these kinds."""
    above: Any = node.parent
    while above is not None:
        if isinstance(above, kinds):
            return True
        above = above.parent
    return False


def setup(app: Sphinx) -> None:
    """Connect it behind everything that writes texts."""
    app.connect("doctree-resolved", set_type, priority=950)
