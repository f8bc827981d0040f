r"""Links that are named after a heading with a formula: "ν²/2", where Sphinx would write \nu^2/2."""

from __future__ import annotations

from docutils import nodes
from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import clean_astext

from . import plain


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep how each heading with a formula reads in plain signs, where it can be said so."""
    spelt = titles(app.env)
    for title in doctree.findall(nodes.title):
        if any(title.findall(nodes.math)):
            parts = (
                f"${part.astext()}$" if isinstance(part, nodes.math) else part.astext() for part in title
            )
            text = plain.of_text("".join(parts))
            if text is not None:
                spelt[clean_astext(title)] = text


def titles(env: BuildEnvironment) -> dict[str, str]:
    """A heading as Sphinx names a link to it → the same without TeX."""
    kept: dict[str, str] = env.__dict__.setdefault("regrob_titles", {})
    return kept


def rename(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Name links anew."""
    spelt = titles(app.env)
    for link in doctree.findall(nodes.reference):
        if link.get("internal") and link.astext() in spelt:
            innermost: Element = link
            while len(innermost) == 1 and isinstance(innermost[0], Element):
                innermost = innermost[0]
            innermost.children = [nodes.Text(spelt[link.astext()])]


def setup(app: Sphinx) -> None:
    """Connect both."""
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", rename, priority=700)
