"""A caption and a number for every table and every interactive figure.

An author gives one: `{table} What it shows` around a table of Markdown; around what a cell shows, the
cell's metadata `"mystnb": {"figure": {"caption": …, "name": …}}`, as for a picture; or the HTML that it
shows brings its own `<caption>` or `<figcaption>`. A table without a caption gets the
bold line above it, or what its first header cell tells of it, or the heading that it stands under.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections import Counter
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from . import plain

FORMULA = re.compile(r"\$([^$]+)\$")
TABLE = re.compile(r"<table\b[^>]*>")
OWN = re.compile(r"<(figcaption|caption)\b[^>]*>(.*?)</\1>", re.DOTALL)
LIVING = ('<figure class="living"', '<div class="regrob-slider"')

BY_FIRST_HEADER = {
    "held?": "What held on this page, and what did not",
    "symbol": "Symbols of this page, and their names in the code",
    "quantity": "Symbols of this page, and their names in the code",
    "in the paper": "Symbols in the paper, here, and in the code",
    "in the text": "Symbols of this page, and their names in the code",
    "claim": "What the ledger says of these statements",
}


class Captioned(nodes.General, nodes.Element):
    """HTML that a cell shows: what precedes its caption, the caption, the rest."""


class CaptionedTable(Captioned):
    """One that is numbered among the tables."""


class CaptionedFigure(Captioned):
    """One that is numbered among the figures."""


class Caption(nodes.caption):
    """The caption in it; `html_tag` is `caption` in a table, `figcaption` in a figure."""


def give(app: Sphinx, doctree: nodes.document) -> None:
    """Caption what a page shows, before its tables and figures are numbered."""
    page = posixpath.basename(app.env.docname)
    for table in list(doctree.findall(nodes.table)):
        if not any(isinstance(child, nodes.title) for child in table.children):
            table.insert(0, nodes.title("", "", *caption_of(table)))
        table[0][:] = in_letters(list(table[0]))
    for raw in list(doctree.findall(nodes.raw)):
        if raw.get("format") != "html" or (made := captioned(raw)) is None:
            continue
        figure = _captioned_figure(raw)
        if figure is None:
            raw.replace_self(made)
        elif isinstance(made, CaptionedTable):  # numbered among the tables, under the name that it has
            made["names"], made["ids"] = figure["names"], figure["ids"]
            doctree.ids.update(dict.fromkeys(made["ids"], made))
            figure.replace_self(made)
    kinds = (nodes.table, CaptionedTable, CaptionedFigure)
    shown = [node for node in doctree.findall(nodes.Element) if isinstance(node, kinds)]
    for number, node in enumerate(shown, 1):
        if not node["ids"]:
            node["ids"] = [f"{page}-shown-{number}"]
    tell_apart([node for node in shown if isinstance(node, nodes.table)])


def tell_apart(tables: list[nodes.table]) -> None:
    """Where tables of a page are called the same, each heading instead, and then its columns too."""
    for step in (_copied_title, _columns):
        names = Counter(table[0].astext() for table in tables)
        for table in tables:
            if names[table[0].astext()] > 1:
                table[0] = nodes.title("", "", *in_letters(step(table)))


def caption_of(table: nodes.Element) -> list[nodes.Node]:
    """What a table of Markdown is about: the bold line above it, its first header cell, or its heading."""
    above = _before(table)
    if isinstance(above, nodes.paragraph) and [type(part) for part in above.children] == [nodes.strong]:
        above.parent.remove(above)
        return _copied(above.children[0])
    cell = next(iter(table.findall(nodes.entry)), None)
    heading = BY_FIRST_HEADER.get(cell.astext().strip().lower()) if cell is not None else None
    return [nodes.Text(heading)] if heading else _copied_title(table)


def captioned(raw: nodes.raw) -> Captioned | None:
    """A cell's HTML with its caption apart; None if it holds no table and no interactive figure."""
    text = raw.astext()
    living = any(mark in text for mark in LIVING)
    opening = TABLE.search(text)
    if "<article" in text or not (living or opening):  # a report is a page of its own
        return None
    own = OWN.search(text)
    given = _given(raw)
    if own:
        head, said, tail = text[: own.start()], [_raw(own[2])], text[own.end() :]
    elif living:
        head, said, tail = _around_figure(text)
    else:
        assert opening is not None
        head, said, tail = text[: opening.end()], _of_cell(raw, text), text[opening.end() :]
    node = (CaptionedFigure if living else CaptionedTable)("")
    if given:
        said = _spelt(given["caption"])
    said = said or _copied_title(raw)
    if not living:
        said = in_letters(said)
    inner = Caption("", "", *said, html_tag="figcaption" if living else "caption")
    node += [_raw(head), inner, _raw(tail)]
    return node


def in_letters(said: list[nodes.Node]) -> list[nodes.Node]:
    """A caption of a table, with letters for its formulas: the role of a table allows no formula in it."""
    letters = {part: plain.of_formula(part.astext()) for part in said if isinstance(part, nodes.math)}
    return [part if letters.get(part) is None else nodes.Text(letters[part]) for part in said]


def _around_figure(text: str) -> tuple[str, list[nodes.Node], str]:
    """Where a caption goes that a living figure or a slider lacks: at its end, inside a figure."""
    end = text.rfind("</figure>")
    if end >= 0:
        return text[:end], [], text[end:]
    return f'<figure class="sliding">{text}', [], "</figure>"


def _of_cell(raw: nodes.Element, text: str) -> list[nodes.Node]:
    header = re.search(r"<th\b[^>]*>(.*?)</th>", text, re.DOTALL)
    first = html.unescape(re.sub(r"<[^>]+>", "", header[1])).strip().lower() if header else ""
    return [nodes.Text(BY_FIRST_HEADER[first])] if first in BY_FIRST_HEADER else []


def _given(raw: nodes.Element) -> dict[str, Any]:
    """The caption and name in the metadata of the cell that shows this."""
    at: nodes.Element | None = raw
    while at is not None and at.get("nb_element") != "cell_code":
        at = at.parent
    metadata: dict[str, Any] = at.get("cell_metadata", {}) if at is not None else {}
    figure: dict[str, Any] = metadata.get("mystnb", {}).get("figure", {})
    return figure if figure.get("caption") else {}


def _captioned_figure(raw: nodes.Element) -> nodes.figure | None:
    """The figure with a caption that a cell's metadata have put around its output."""
    at = raw.parent
    while at is not None and not isinstance(at, nodes.figure):
        at = at.parent
    return at if at is not None and any(isinstance(part, nodes.caption) for part in at.children) else None


def _spelt(text: str) -> list[nodes.Node]:
    """A caption's words and formulas."""
    parts = FORMULA.split(text)
    made: list[nodes.Node] = []
    for number, part in enumerate(parts):
        if part:
            made.append(nodes.math(part, part) if number % 2 else nodes.Text(part))
    return made


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _copied(node: nodes.Node) -> list[nodes.Node]:
    assert isinstance(node, nodes.Element)
    return [child.deepcopy() for child in node.children if not isinstance(child, nodes.target)]


def _copied_title(node: nodes.Node) -> list[nodes.Node]:
    """The heading that this stands under."""
    section = _section(node)
    title = (
        next((part for part in section.children if isinstance(part, nodes.title)), None) if section else None
    )
    return _copied(title) if title is not None else [nodes.Text("What this page shows")]


def _columns(table: nodes.Element) -> list[nodes.Node]:
    """The heading, and what the columns after the first are called."""
    _, *rest = next(iter(table.findall(nodes.row))).children
    made = _copied_title(table)
    for number, entry in enumerate(rest):
        made.append(nodes.Text(", " if number else ": "))
        made += [copy for part in entry.children for copy in _copied(part)]
    return made


def _section(node: nodes.Node) -> nodes.section | None:
    """The section of the page that a node stands in; a theorem box's own is passed over."""
    at = node.parent
    while at is not None and not (
        isinstance(at, nodes.section) and any(isinstance(child, nodes.title) for child in at.children)
    ):
        at = at.parent
    return at


def _before(node: nodes.Element) -> nodes.Node | None:
    """What stands right before a table, through the box that makes it scroll."""
    place = node.parent.index(node)
    return node.parent[place - 1] if place else None


def title_when_resolved(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """A caption for tables that other extensions write when a page is finished."""
    for number, table in enumerate(doctree.findall(nodes.table), 1):
        if not any(isinstance(child, nodes.title) for child in table.children):
            table.insert(0, nodes.title("", "", *in_letters(_copied_title(table))))
            table["ids"] = table["ids"] or [f"{posixpath.basename(page)}-written-{number}"]


def _open(translator: Any, node: Captioned) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="captioned"))


def _close(translator: Any, node: Captioned) -> None:
    translator.body.append("</div>")


def _open_caption(translator: Any, node: Caption) -> None:
    translator.body.append(f"<{node['html_tag']}>")
    translator.add_fignumber(node.parent)
    translator.body.append('<span class="caption-text">')


def _close_caption(translator: Any, node: Caption) -> None:
    translator.body.append("</span>")
    translator.add_permalink_ref(node.parent, "Link to this")
    translator.body.append(f"</{node['html_tag']}>")


def _pass(*_: Any) -> None:
    """Nothing to write."""


def setup(app: Sphinx) -> None:
    """Register the nodes and what makes them."""

    def words(node: nodes.Element) -> str:
        return next(iter(node.findall(Caption))).astext()

    for node, kind in ((CaptionedTable, "table"), (CaptionedFigure, "figure")):
        app.add_enumerable_node(
            node, kind, words, html=(_open, _close), latex=(_pass, _pass), text=(_pass, _pass)
        )
    app.add_node(Caption, html=(_open_caption, _close_caption), latex=(_pass, _pass), text=(_pass, _pass))
    app.connect("doctree-read", give, priority=300)
    app.connect("doctree-resolved", title_when_resolved, priority=900)
