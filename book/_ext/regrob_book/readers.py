"""A reader's notebook of each chapter: what Jupyter and Colab can show, and what runs from any folder.

The stored notebooks speak this book's own Markdown, which other programs show as raw code. A
reader's notebook has the numbers of this build filled in, boxes and references as plain Markdown,
and a first cell that installs the package. The download button of a page gives it; all of them
lie in one zip, together with the package's wheel where `make book` has built one.
"""

from __future__ import annotations

import base64
import io
import os
import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from . import as_markdown, markup, records
from .as_markdown import Piece

FOLDER = "notebooks"
ZIP = f"{FOLDER}/regrob-notebooks.zip"
LARGEST = 120_000
"""Bytes that one output may take; a picture that is larger loses colours first, and then is left out."""
COLOURS = 64
KEPT = ("text/plain", "text/latex", "text/markdown", "text/html", "image/png", "image/svg+xml")
STILL = re.compile(r'<div class="(?:frame[^"]*" data-value="[^"]*|still)"><img [^>]*base64,([^"]+)"')

SET_UP = """\
# Set-up: installs the book's package where it is missing.
# A torch that is here stays as it is. Where there is none, this one is small:
# pip install torch --index-url https://download.pytorch.org/whl/cpu
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

if find_spec("regrob") is None:
    wheels = sorted(map(str, Path().glob("regrob-*.whl")))
    source = wheels[-1] if wheels else {source!r}
    if not source:
        raise ModuleNotFoundError(
            "the package regrob is missing. Put its wheel, which lies in the "
            "zip of all notebooks, beside this one, or install a copy of its "
            "repository: pip install path/to/the/copy"
        )
    torch = [f"torch=={{version('torch')}}"] if find_spec("torch") else []
    pip = [sys.executable, "-m", "pip", "install", "-q", source, *torch]
    subprocess.run(pip, check=True)

os.environ["REGROB_PROGRESS"] = "1"  # bars for what takes a while"""


class NotebooksRole(SphinxRole):
    """A link to the zip of all reader's notebooks: {all-notebooks}`words`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The link, as seen from this page."""
        address = "../" * self.env.docname.count("/") + ZIP
        return [nodes.reference("", self.text, refuri=address)], []


def wheel(app: Sphinx) -> Path | None:
    """The package's wheel, where `make book` has built one."""
    found = sorted(Path(app.confdir, "_build", "wheel").glob("regrob-*.whl"))
    return found[-1] if found else None


def pages_address() -> str:
    """Where the pages will be published, if the builder says so; ends with a slash."""
    address = os.environ.get("REGROB_PAGES_URL", "")
    return f"{address.rstrip('/')}/" if address else ""


def source_of_package(app: Sphinx) -> str:
    """What pip installs where no wheel lies beside the notebook; "" if no address is known."""
    repository = os.environ.get("REGROB_REPOSITORY_URL", "").rstrip("/")
    package = wheel(app)
    if pages_address() and package:
        return f"{pages_address()}{FOLDER}/{package.name}"
    branch = os.environ.get("REGROB_REPOSITORY_BRANCH", "main")
    return f"git+{repository}@{branch}" if repository else ""


def is_notebook(app: Sphinx, page: str) -> bool:
    """Whether a page is a notebook of this book."""
    return page in app.env.found_docs and str(app.env.doc2path(page)).endswith(".ipynb")


def notebook_name(page: str) -> str:
    """ "book/lemma_3_2" becomes "lemma_3_2.ipynb"."""
    return f"{posixpath.basename(page)}.ipynb"


def executed(app: Sphinx, page: str) -> Any:
    """The chapter's notebook with the outputs of this build."""
    if app.config.nb_execution_mode == "cache":
        from jupyter_cache import get_cache

        stored = nbformat.read(app.env.doc2path(page), as_version=4)
        return get_cache(app.config.nb_execution_cache_path).merge_match_into_notebook(stored)[1]
    return nbformat.read(Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb", as_version=4)


def write(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write the reader's notebook of a page that is one."""
    if app.builder.name == "html" and is_notebook(app, page):
        path = Path(app.outdir, FOLDER, notebook_name(page))
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook(app, doctree, page), path)


def notebook(app: Sphinx, doctree: nodes.document, page: str) -> Any:
    """The reader's notebook: set-up first, a new cell at each heading and around each cell of code."""
    stored = executed(app, page)
    seen = Seen(app, page, stored.cells)
    cells, text = [code_cell(SET_UP.format(source=source_of_package(app)))], list[str]()
    cells[0]["metadata"] = folded()
    for piece in [*as_markdown.children(doctree, seen), {}]:
        if text and (not isinstance(piece, str) or piece.startswith("#")):
            cells.append(nbformat.v4.new_markdown_cell("\n\n".join(text)))
            text = []
        if isinstance(piece, str):
            text.append(piece)
        elif piece:
            cells.append(piece)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # the same build, the same bytes
    made = nbformat.v4.new_notebook(cells=cells, metadata=stored.metadata)
    nbformat.validate(made)
    return made


class Seen:
    """What `as_markdown` asks of a page: its numbers, links, verdicts and cells."""

    def __init__(self, app: Sphinx, page: str, cells: list[Any]) -> None:
        self.app, self.page, self.cells = app, page, cells
        self.ledger: dict[str, records.Record] = app.regrob_records  # type: ignore[attr-defined]

    def address(self, node: nodes.Element) -> str | None:
        """A published page; without an address of these, the chapter's notebook beside this one."""
        target = node.get("refuri", "")
        if "://" in target or target.startswith("mailto:"):
            return str(target)
        name, _, anchor = target.partition("#")
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(self.page), name))
        document = whole.removesuffix(".html")
        if not name or document == self.page:
            return None
        if pages_address():
            return pages_address() + whole + (f"#{anchor}" if anchor else "")
        return notebook_name(document) if is_notebook(self.app, document) else None

    def number(self, node: nodes.Element, kind: str) -> str:
        """The number that the page shows: "B3"."""
        numbers = self.app.env.toc_fignumbers.get(self.page, {}).get(kind, {})
        found = [numbers[name] for name in node["ids"] if name in numbers]
        return ".".join(map(str, found[0])) if found else ""

    def filled(self, place: nodes.Element) -> list[str]:
        """What the ledger says there, in plain words; drawings and lists of the back matter are left out."""
        mine = [self.ledger[name] for name in place["claims"]]
        match place["kind"]:
            case "strip":
                lines = [f"* {as_markdown.escaped(markup.place_and_title(r))}: {badge(r)}" for r in mine]
                return [
                    f"*Judged when the book was built: {records.summary(mine)}.*",
                    "\n".join(lines),
                ]
            case "inline":
                return [badge(record) for record in mine]
            case "foot":
                return [
                    f"*{badge(record)}: {as_markdown.escaped(records.grounds_in_words(record))}*"
                    for record in mine
                ]
            case "tally":
                return [records.tally(self.ledger, place["part"])]
        return [str(place.get("name", ""))]

    def code(self, node: nodes.Element) -> Iterator[Piece]:
        """The cell that this node shows, its code folded where the page folds it, and its caption."""
        stored = self.cells[node["cell_index"]]
        tags = stored.metadata.get("tags", [])
        hidden = {tag.partition("-")[2] for tag in tags if tag.startswith(("hide-", "remove-"))}
        cell = code_cell(stored.source, stored.outputs)
        source, outputs = ({part, "cell"} & hidden for part in ("input", "output"))
        cell["metadata"] = folded(bool(source), bool(outputs))
        yield cell
        for caption in node.findall(nodes.caption):
            yield as_markdown.caption(caption, self)


def folded(source: bool = True, outputs: bool = False) -> dict[str, dict[str, bool]]:
    """What tells JupyterLab to fold a cell."""
    parts = {"source_hidden": source, "outputs_hidden": outputs}
    shown = {name: True for name, folded in parts.items() if folded}
    return {"jupyter": shown} if shown else {}


def badge(record: records.Record) -> str:
    """ "✓ holds"."""
    return f"{records.SYMBOL[record['verdict']]} {records.verdict_in_words(record)}"


def code_cell(source: str, outputs: Any = ()) -> Any:
    """A cell of code with those of its outputs that any program shows."""
    kept = [small for output in outputs if (small := shown(output))]
    return nbformat.v4.new_code_cell(source, outputs=kept)


def shown(output: Any) -> Any:
    """An output for readers; None for one that only the book's tools read."""
    if "data" not in output:
        return output
    data = {kind: value for kind, value in output["data"].items() if kind in KEPT}
    if "image/png" in data:  # the same picture twice
        data.pop("image/svg+xml", None)
    page = data.get("text/html", "")
    if "<script" in page:  # no program runs the scripts of a notebook from elsewhere
        del data["text/html"]
        if still := STILL.search(page):
            data["image/png"] = still[1]
    if len(data.get("image/png", "")) > LARGEST:
        data["image/png"] = with_few_colours(data["image/png"])
    data = {kind: value for kind, value in data.items() if len(value) <= LARGEST}
    return nbformat.from_dict({**output, "data": data, "metadata": {}}) if data else None


def with_few_colours(picture: str) -> str:
    """A PNG, base64 before and after, in a palette."""
    from PIL import Image

    small = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize(COLOURS).save(small, "png")
    return base64.b64encode(small.getvalue()).decode()


def lead_buttons(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """The buttons of a chapter give its reader's notebook."""
    if not is_notebook(app, page):
        return
    name = notebook_name(page)
    branch = os.environ.get("REGROB_REPOSITORY_BRANCH", "main")
    published = os.environ.get("REGROB_NOTEBOOKS_BRANCH", "")
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "download-source-button":
                button["url"] = "../" * page.count("/") + f"{FOLDER}/{name}"
            elif button.get("text") in ("Colab", "Binder"):
                place = rf"/{re.escape(branch)}(/|\?urlpath=[a-z/]*/){re.escape(page)}\.ipynb$"
                button["url"] = re.sub(place, rf"/{published}\1{name}", button["url"])


def pack(app: Sphinx, error: Exception | None) -> None:
    """All reader's notebooks in one zip, with the wheel; and what a Binder of the folder needs."""
    folder = Path(app.outdir, FOLDER)
    if error is not None or app.builder.name != "html" or not folder.is_dir():
        return
    package = wheel(app)
    for old in folder.glob("*.whl"):
        old.unlink()
    if package:
        (folder / package.name).write_bytes(package.read_bytes())
    source = source_of_package(app)
    if source:
        small_torch = "--extra-index-url https://download.pytorch.org/whl/cpu"
        (folder / "requirements.txt").write_text(f"{small_torch}\n{source}\n", encoding="utf8")
    with zipfile.ZipFile(Path(app.outdir, ZIP), "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted([*folder.glob("*.ipynb"), *folder.glob("*.whl")]):
            entry = zipfile.ZipInfo(f"regrob-notebooks/{path.name}")  # without the time: the same bytes
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def setup(app: Sphinx) -> None:
    """Connect everything; `write` comes before the ledger's places become HTML."""
    app.add_role("all-notebooks", NotebooksRole())
    app.connect("doctree-resolved", write, priority=400)
    app.connect("html-page-context", lead_buttons, priority=900)
    app.connect("build-finished", pack)
