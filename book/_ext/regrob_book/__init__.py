"""The book's own Sphinx extension: pages that say what the ledger computed, at this build.

In a page: {status} opens a chapter, {verdict}`id` is a badge in a sentence, {tally}`paper`
a count of verdicts. {ledger}, {errata} and {claim-map} draw the pages of that name, {versions}
names the machine, {formal-file} Taylor makes the page of Taylor.v. A theorem box whose label is a claim's id
gets that claim's verdict. A verdict the ledger does not expect, or an unknown id, is a warning; the book is
built with warnings as errors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from regrob.claims.formal import PAIRS, RECORD, FormalProof, stored

from . import (
    book_index,
    captions,
    claim_map,
    drawings,
    facts,
    formal,
    head_and_foot,
    icons,
    link_titles,
    live_cells,
    living,
    markup,
    mathjax,
    pages,
    policy,
    proofs,
    readers,
    records,
    reference,
    typography,
    versions,
)
from .records import Record

logger = logging.getLogger(__name__)
LEDGER_PAGE = "book/ledger"
FILES = ("claims.json", "errata.json")


class Generated(nodes.General, nodes.Inline, nodes.Element):
    """A place to be filled when all pages are known; `kind` says with what."""


def known(env: BuildEnvironment, ids: list[str], location: Any) -> list[str]:
    """The ids that the ledger has; a warning for each of the others."""
    ledger: dict[str, Record] = env.app.regrob_records  # type: ignore[attr-defined]
    for name in ids:
        if name not in ledger:
            logger.warning("the ledger has no claim %r", name, location=location, type="regrob")
    return [name for name in ids if name in ledger]


class Status(SphinxDirective):
    """The strip of badges that opens a chapter: {status} and some ids."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"no-run": directives.flag}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Leave a place for the strip."""
        ids = known(self.env, self.arguments[0].split(), self.get_location())
        return [Generated(kind="strip", claims=ids, run="no-run" not in self.options)]


class Whole(SphinxDirective):
    """A whole table or drawing: {ledger}, {errata}, {claim-map}, {versions}, {formal-claims}, {axioms}."""

    def run(self) -> list[nodes.Node]:
        """Leave a place for it."""
        return [Generated(kind=self.name, claims=[])]


class FormalFile(SphinxDirective):
    """The page of one file of formal proofs: {formal-file} Taylor."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A section for each claim that it proves, with a place for the proof, and the file."""
        file, proofs = self.arguments[0], stored()
        if proofs is None or file not in proofs.files:
            logger.warning("there is no %s.v", file, location=self.get_location(), type="regrob")
            return []
        for name in (PAIRS, RECORD, f"{file}.v"):
            self.env.note_dependency(str(proofs.folder / name))
        sections = []
        for claim in known(self.env, formal.claims_of(proofs, file), self.get_location()):
            record: Record = self.env.app.regrob_records[claim]  # type: ignore[attr-defined]
            section = self._section(f"proof-{claim}", markup.place_and_title(record))
            section += Generated(kind="formal", claims=[claim])
            sections.append(section)
        whole = self._section(f"file-{file}", f"The file {file}.v")
        whole += nodes.container("", *formal.source(proofs, file), classes=["coq-file"])
        return [nodes.paragraph("", formal.opening(proofs.files[file])), *sections, whole]

    def _section(self, identifier: str, title: str) -> nodes.section:
        return nodes.section("", nodes.title("", "", *formal.with_subscripts(title)), ids=[identifier])


class FileRole(SphinxRole):
    """A link to claims.json or errata.json: {download-claims}`claims.json`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave a place for the link, since only a finished page knows its depth."""
        if self.text not in FILES:
            logger.warning(
                "no file %r, only %s", self.text, FILES, location=self.get_location(), type="regrob"
            )
        return [Generated(kind="file", name=self.text, claims=[])], []


class VerdictRole(SphinxRole):
    """A badge in a sentence: {verdict}`id`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave a place for the badge."""
        ids = known(self.env, [self.text.strip()], self.get_location())
        return [Generated(kind="inline", claims=ids)], []


class TallyRole(SphinxRole):
    """The count of verdicts in a sentence: {tally}`paper`, {tally}`new` or {tally}`all`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave a place for the count."""
        if self.text not in records.PARTS:
            logger.warning(
                "no tally of %r, only of %s",
                *(self.text, ", ".join(records.PARTS)),
                location=self.get_location(),
                type="regrob",
            )
        return [Generated(kind="tally", part=self.text, claims=[])], []


def judge(app: Sphinx) -> None:
    """Run the ledger before any page is read."""
    app.regrob_records = records.judge_all(Path(app.doctreedir))  # type: ignore[attr-defined]
    for record in app.regrob_records.values():  # type: ignore[attr-defined]
        if not record["as_expected"]:
            reasons = "; ".join(record["failures"]) or "see the claim's checks"
            logger.warning(
                "the ledger expects %s to be %r, found %r: %s",
                *(record["id"], record["expected"], record["verdict"], reasons),
                type="regrob",
            )


def rewrite_if_judged_anew(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """All pages, if any verdict differs from the one that they were written with."""
    now = json.dumps(app.regrob_records, sort_keys=True)  # type: ignore[attr-defined]
    before, env.regrob_written = getattr(env, "regrob_written", None), now  # type: ignore[attr-defined]
    return [] if before == now else sorted(env.found_docs)


def mark_boxes(app: Sphinx, doctree: nodes.document) -> None:
    """Append a claim's verdict to the theorem box that carries its id as label."""
    for box in list(doctree.findall(nodes.Element)):
        if box.get("label") in app.regrob_records and "proof" in box["classes"]:  # type: ignore[attr-defined]
            box += Generated(kind="foot", claims=[box["label"]])
    for name in ("proof", "proof-content"):  # every box without a label has these, which is invalid HTML
        boxes = [box for box in doctree.findall(nodes.Element) if box.get("ids") == [name]]
        # A heading of that name keeps its own: the list of contents leads to it.
        boxes = [
            box for box in boxes if not (isinstance(box, nodes.section) and isinstance(box[0], nodes.title))
        ]
        for count, box in enumerate(boxes, 1):
            box["ids"] = [f"{name}-{count}"]


def linker(builder: Builder, page: str) -> Callable[[str], str | None]:
    """From a claim's id to the address of its statement, seen from a page."""
    env = builder.env
    labels = env.get_domain("std").anonlabels  # type: ignore[attr-defined]
    boxes: dict[str, dict[str, Any]] = getattr(env, "proof_list", {})
    ledger: dict[str, Record] = env.app.regrob_records  # type: ignore[attr-defined]

    def link(name: str) -> str | None:
        if name in boxes:
            document, place = boxes[name]["docname"], boxes[name]["ids"][0]
        elif name in labels:
            document, place = labels[name]
        else:
            document, place = ledger[name]["chapter"], ""
        if document not in env.found_docs:
            return None  # the chapter is not in this book yet
        address = builder.get_relative_uri(page, document)
        return f"{address}#{place}" if place else address

    return link


def where_it_ran(env: BuildEnvironment, page: str) -> tuple[str, str]:
    """ "ran in 12 s, preset quick, on cpu", and from which data it learnt; empty where nothing ran."""
    data = NbMetadataCollector.get_exec_data(env, page)
    if not data or not data["runtime"]:
        return "", ""
    import torch

    from regrob.data.datasets import default_source

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    preset = os.environ.get("REGROB_PRESET") or "quick"
    # The preset says how much is computed; the data are chosen apart from it.
    images = {
        "embedded": "the embedded digits",
        "full": "the full data sets, in live sweeps from the embedded digits",
    }[default_source()]
    seconds = max(1, round(data["runtime"]))
    return (
        f"ran in {seconds} s, preset {preset}, on {device}",
        f"Networks trained on this page learn from {images}",
    )


def fill(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Replace every place by what the ledger says."""
    ledger: dict[str, Record] = app.regrob_records  # type: ignore[attr-defined]
    link = linker(app.builder, page)
    proof = formal.linker(app.builder, page)
    root = "../" * app.builder.get_target_uri(page).count("/")
    shown = LEDGER_PAGE if LEDGER_PAGE in app.env.found_docs else None
    ledger_page = app.builder.get_relative_uri(page, shown) if shown else None
    for place in list(doctree.findall(Generated)):
        mine = [ledger[name] for name in place["claims"]]
        match place["kind"]:
            case "strip":
                ran, learnt = where_it_ran(app.env, page) if place["run"] else ("", "")
                html = markup.strip(mine, link, ran, learnt)
            case "inline":
                html = "".join(markup.inline(record, link) for record in mine)
            case "foot":
                html = markup.foot(mine[0], ledger_page, proof(mine[0]["id"]))
            case "ledger":
                html = markup.ledger(list(ledger.values()), link, root + "claims.json", proof)
            case "errata":
                html = markup.errata_page(ledger, link, root + "errata.json", proof)
            case "formal":
                html = formal_proof(app.builder, page, mine[0], link)
            case "formal-claims":
                html = formal.claims_html(ledger, proof)
            case "axioms":
                html = formal.axioms_html()
            case "tally":
                html = records.tally(ledger, place["part"])
            case "versions":
                html = versions.table()
            case "file":
                html = f'<a href="{root}{place["name"]}" download>{place["name"]}</a>'
            case _:
                html = claim_map.whole(ledger, link)
        place.replace_self(nodes.raw("", html, format="html"))


def formal_proof(builder: Builder, page: str, record: Record, link: markup.Link) -> str:
    """A claim and its formal proof, on the page of the file that has its theorem."""
    proofs = stored()
    if proofs is None or builder.format != "html":
        return ""
    html = formal.claim_html(
        record,
        FormalProof(proofs.pairs[record["id"]], proofs),
        link,
        theorem=formal.theorem_linker(builder, page),
        axioms=formal.axioms_address(builder, page),
        highlight=lambda code: formal.highlighted(builder, code),
    )
    return f'<div class="formal">{html}</div>'


def write_json(app: Sphinx, error: Exception | None) -> None:
    """The same data for programs: claims.json and errata.json beside the pages."""
    if error is not None or app.builder.format != "html":
        return
    ledger: dict[str, Record] = app.regrob_records  # type: ignore[attr-defined]
    slips = [record for group in records.errata(ledger).values() for record in group]
    for name, content in zip(FILES, (list(ledger.values()), slips), strict=True):
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (Path(app.outdir) / name).write_text(text, encoding="utf8")


def _skip(*_: object) -> None:
    raise nodes.SkipNode  # a badge inside a heading's copy in the table of contents


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything; the kernels that run the notebooks inherit REGROB_STATIC."""
    os.environ["REGROB_STATIC"] = "1"
    app.add_node(Generated, html=(_skip, None), latex=(_skip, None), text=(_skip, None))
    app.add_directive("status", Status)
    for name in ("ledger", "errata", "claim-map", "versions", "formal-claims", "axioms"):
        app.add_directive(name, Whole)
    app.add_directive("formal-file", FormalFile)
    app.add_role("verdict", VerdictRole())
    app.add_role("tally", TallyRole())
    app.add_role("download-claims", FileRole())
    app.set_html_assets_policy("always")  # MathJax too: any page lists chapters with formulas in their names
    for topic in ("regrob", "drawings", "ledger", "formal", "scrolling", "tables", "print"):
        app.add_css_file(f"{topic}.css", priority=900)
    for topic in ("regrob", "ledger", "scrolling", "tables"):
        app.add_js_file(f"{topic}.js", loading_method="defer")
    reference.setup(app)
    living.setup(app)
    live_cells.setup(app)
    facts.setup(app)
    readers.setup(app)
    proofs.setup(app)
    captions.setup(app)
    book_index.setup(app)
    head_and_foot.setup(app)
    typography.setup(app)
    link_titles.setup(app)
    policy.setup(app)
    app.connect("config-inited", pages.add_static)
    app.connect("config-inited", mathjax.configure)
    app.connect("config-inited", pages.take_executed)
    app.connect("builder-inited", judge)
    app.connect("env-updated", rewrite_if_judged_anew)
    app.connect("env-get-updated", pages.number_apart, priority=900)  # after the numbers are given
    app.connect("doctree-read", mark_boxes)
    app.connect("doctree-resolved", fill)
    app.connect("doctree-resolved", drawings.put_into_page)
    app.connect("html-page-context", pages.drop_thebe, priority=900)
    app.connect("html-page-context", pages.name_toggles, priority=900)
    app.connect("build-finished", mathjax.copy)
    app.connect("build-finished", icons.cut)
    app.connect("build-finished", write_json)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
