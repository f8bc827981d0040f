"""The index: every statement, every term of the notation, where each penalty and attack is spoken of.

The names of the package come by themselves, from the pages of reference.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

NOTATION = "book/notation"
NAMES = {
    "penalties": ("curvature", "input gradient", "Jacobian", "cross-Lipschitz"),
    "attacks": ("FGSM", "PGD", "APGD", "DeepFool", "Carlini–Wagner"),
}
UNINDEXED = (
    "book/formal/",
    "book/reference/",
    "book/references",
    "book/ledger",
    "book/errata",
    "book/cover",
    "book/changes",
)
ARTICLE = re.compile(r"^(an?|the) ", re.IGNORECASE)


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Add this page's entries to those that Sphinx has found."""
    page = app.env.docname
    entries = app.env.get_domain("index").entries.setdefault(page, [])  # type: ignore[attr-defined]
    found = statements(app, doctree)
    if page == NOTATION:
        found += terms(doctree)
    if not page.startswith(UNINDEXED):
        found += mentions(doctree)
    entries += [("single", words, place, "", None) for words, place in found]


def list_it(app: Sphinx, doctree: nodes.document) -> None:
    """The index as the last entry of the table of contents; Sphinx writes its page after all others."""
    if app.env.docname == app.config.root_doc:
        last = list(doctree.findall(addnodes.toctree))[-1:]
        for tree in last:
            tree["entries"].append((None, "genindex"))


def statements(app: Sphinx, doctree: nodes.document) -> list[tuple[str, str]]:
    """The claims whose boxes stand on this page: by title, and under "statements" by place in the paper."""
    found = []
    for box in doctree.findall(nodes.Element):
        record = app.regrob_records.get(box.get("label", ""))  # type: ignore[attr-defined]
        if record is not None and "proof" in box["classes"]:
            title = _safe(record["title"])
            where = "new" if record["where"] == "new" else record["where"]
            found += [(title, box["ids"][0]), (f"statements; {_safe(where)}: {title}", box["ids"][0])]
    return found


def terms(doctree: nodes.document) -> list[tuple[str, str]]:
    """What each row of the notation's tables names, and each word explained there."""
    found = []
    for number, row in enumerate(doctree.findall(nodes.row)):
        cells = [entry.astext() for entry in row.children]
        meaning = row.children[2] if len(cells) > 2 and isinstance(row.parent, nodes.tbody) else None
        name = _first_words(meaning) if isinstance(meaning, nodes.Element) else ""
        if name:
            row["ids"] = [f"term-{number}"]
            found.append((name, row["ids"][0]))
    for word in doctree.findall(nodes.emphasis):
        paragraph = word.parent
        if isinstance(paragraph.parent, nodes.section) and _opens_a_line(paragraph, word):
            found.append((_safe(word.astext()), paragraph.parent["ids"][0]))
    return found


def mentions(doctree: nodes.document) -> list[tuple[str, str]]:
    """For each penalty and attack the first section of this chapter that speaks of it."""
    found = []
    sections = [part for part in doctree.findall(nodes.section) if part["ids"] and not _in_proof(part)]
    for kind, names in NAMES.items():
        for name in names:
            word = re.compile(rf"\b{re.escape(name)}", re.IGNORECASE)
            place = next(
                (part for part in sections if any(word.search(text) for text in _own_text(part))), None
            )
            if place is not None:
                found.append((f"{kind}; {name}", place["ids"][0]))
    return found


def _opens_a_line(paragraph: nodes.Element, word: nodes.Element) -> bool:
    """Whether a paragraph, or a sentence in it, begins with this word."""
    place = paragraph.index(word)
    return place == 0 or paragraph[place - 1].astext().rstrip(" ").endswith("\n")


def _own_text(section: nodes.section) -> list[str]:
    return [child.astext() for child in section.children if isinstance(child, nodes.title | nodes.paragraph)]


def _in_proof(section: nodes.section) -> bool:
    return section["ids"][0].startswith("proof")


def _first_words(meaning: nodes.Element) -> str:
    """ "local linear map" of "the local linear map: column v_k is …"; "" where it opens with a formula."""
    text = ""
    for part in meaning.findall(nodes.Text):
        if isinstance(part.parent, nodes.math):
            break
        text += part.astext()
    name = ARTICLE.sub("", re.split(r"[,;:(]", text)[0].strip())
    return name if len(name) > 3 and not name.endswith((" of", " the", " by")) else ""


def _safe(words: str) -> str:
    """Words without what an index reads as a division, and without TeX."""
    return re.sub(r"\s*;\s*", ", ", words).replace("!", "").replace("$", "")


def setup(app: Sphinx) -> None:
    """Connect it, before the ids of boxes are mended."""
    app.connect("doctree-read", collect, priority=600)
    app.connect("doctree-read", list_it, priority=600)  # after the table of contents was read
