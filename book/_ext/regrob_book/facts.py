"""What the cover and the tour need: counts of the book itself, and pictures of other chapters.

{count}`tests` is a number in a sentence. {picture} and a figure's name show that figure again, with a link
to where it stands.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from regrob.claims.formal import Proofs, stored
from regrob.errors import DataError

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[3]
WORDS_A_MINUTE = 130  # mathematics is read slowly


class Picture(nodes.General, nodes.Element):
    """A place for a figure of another page; `name` is its label."""


def notebooks() -> list[Path]:
    """The notebooks of the book, numbered chapters or not."""
    return sorted((ROOT / "book").glob("*.ipynb"))


def numbered_chapters() -> str:
    """How many chapters the table of contents numbers."""
    contents: dict[str, Any] = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return str(sum(len(part["chapters"]) for part in contents["parts"] if part.get("numbered")))


def hours() -> str:
    """How long the chapters' prose takes to read."""
    words = 0
    for path in notebooks():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                words += len(re.findall(r"\w+", "".join(cell["source"])))
    return str(round(words / WORDS_A_MINUTE / 60))


def tests() -> str:
    """How many functions test the package and the pages; many of them run with dozens of inputs."""
    functions = 0
    for path in (ROOT / "tests").glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions += sum(
            isinstance(n, ast.FunctionDef) and n.name.startswith("test_") for n in ast.walk(tree)
        )
    return str(functions)


def cells() -> str:
    """How many cells of notebooks run in the tests."""
    of_all = (json.loads(path.read_text(encoding="utf-8"))["cells"] for path in notebooks())
    return str(sum(cell["cell_type"] == "code" for cells in of_all for cell in cells))


def trained() -> str:
    """How many networks the stored experiments trained and attacked."""
    setting = ("dataset", "network", "penalty", "lambda", "seed")
    networks = set()
    for path in (ROOT / "book" / "results").glob("fig*.csv"):
        with path.open(encoding="utf-8", newline="") as table:
            networks |= {tuple(row[name] for name in setting) for row in csv.DictReader(table)}
    return f"{len(networks):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def proofs() -> tuple[Proofs, dict[str, Any]]:
    """The formal proofs and their record.

    Raises:
        DataError: there is no record.
    """
    found = stored()
    if found is None or found.record is None:
        raise DataError("the formal proofs have no record; run `make proofs`")
    return found, found.record


def theorems() -> str:
    """How many theorems the claims' formal proofs name, instances and negations among them."""
    return str(len(proofs()[1]["theorems"]))


def formal_claims() -> str:
    """How many claims are formally proved."""
    return str(len(proofs()[0].pairs))


def rejected() -> str:
    """How many wrong variants Coq has rejected."""
    return str(sum(len(variants) for variants in proofs()[1]["wrong"].values()))


def coq_lines() -> str:
    """How many lines the formal proofs have."""
    lines = sum(len(text.splitlines()) for text in proofs()[0].files.values())
    return f"{lines:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def coq_seconds() -> str:
    """How long Coq took for all of it, where the record was made."""
    return str(proofs()[1]["seconds"])


def coq_versions() -> str:
    """Coq and its two libraries, with the versions of the record."""
    record = proofs()[1]
    return f"Coq {record['coq']} with Coquelicot {record['coquelicot']} and Interval {record['interval']}"


COUNTS: dict[str, Callable[[], str]] = {
    "chapters": numbered_chapters,
    "hours": hours,
    "tests": tests,
    "cells": cells,
    "networks": trained,
    "theorems": theorems,
    "formal claims": formal_claims,
    "rejected variants": rejected,
    "lines of Coq": coq_lines,
    "seconds of Coq": coq_seconds,
    "versions of Coq": coq_versions,
}


class CountRole(SphinxRole):
    """A number about the book: {count}`tests`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The number as text, counted at this build."""
        count = COUNTS.get(self.text)
        if count is None:
            logger.warning(
                "no count of %r, only of %s",
                *(self.text, ", ".join(COUNTS)),
                location=self.get_location(),
                type="regrob",
            )
            return [nodes.Text("?")], []
        return [nodes.Text(count())], []


class PictureDirective(SphinxDirective):
    """A figure of another page: {picture} fig-adversarial."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Leave a place for it."""
        place = Picture(name=self.arguments[0])
        self.set_source_info(place)
        return [place]


def show(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put a copy of each picture in its place, as a link to the original."""
    labels: dict[str, tuple[str, str]] = app.env.get_domain("std").anonlabels  # type: ignore[attr-defined]
    for place in list(doctree.findall(Picture)):
        document, identifier = labels.get(place["name"], ("", ""))
        image = _image(app.env, document, identifier) if document else None
        if image is None:
            logger.warning("no picture is called %r", place["name"], location=place, type="regrob")
            place.parent.remove(place)
            continue
        address = f"{app.builder.get_relative_uri(page, document)}#{identifier}"
        link = (nodes.raw("", text, format="html") for text in (f'<a href="{escape(address)}">', "</a>"))
        place.replace_self(nodes.container("", next(link), image.deepcopy(), next(link), classes=["picture"]))


def _image(env: BuildEnvironment, document: str, identifier: str) -> nodes.image | None:
    """A figure's image; of several formats, the drawing."""
    for figure in env.get_doctree(document).findall(nodes.figure):
        if identifier in figure["ids"]:
            images = sorted(figure.findall(nodes.image), key=lambda image: not image["uri"].endswith(".svg"))
            return next(iter(images), None)
    return None


def setup(app: Sphinx) -> None:
    """Register the role, the directive and what fills it."""

    def skip(*_: Any) -> None:
        raise nodes.SkipNode

    app.add_node(Picture, html=(skip, None), latex=(skip, None), text=(skip, None))
    app.add_role("count", CountRole())
    app.add_directive("picture", PictureDirective)
    app.connect("doctree-resolved", show, priority=400)  # before drawings are put into the page
