"""The built book as one PDF: every page as Chromium prints it, joined, numbered and linked.

A link between pages becomes a link inside the file, a part of the table of contents a bookmark.
The title page, the contents and the page numbers are printed by the browser too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import yaml
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NullObject, NumberObject

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = "() => Promise.resolve(window.MathJax && MathJax.startup && MathJax.startup.promise).then(() => true)"
FONTS = "() => document.fonts.ready.then(() => true)"
A4 = "@page { size: A4; margin: 18mm 16mm 20mm } body { font: 10.5pt/1.4 'DejaVu Sans', Arial, sans-serif }"
COVER = """<!DOCTYPE html><title>Title</title><style>%s
h1 { font-size: 28pt; line-height: 1.25; margin: 60mm 0 12mm }
</style><h1>%s</h1><p>%s</p><p>Version %s, %s</p>"""
CONTENTS = """<!DOCTYPE html><title>Contents</title><style>%s
h1 { font-size: 20pt } h2 { font-size: 12pt; margin: 6mm 0 1mm; break-after: avoid }
p { display: flex; justify-content: space-between; margin: 0 0 1mm }
a { color: inherit; text-decoration: none }
</style><h1>Contents</h1>%s"""
NUMBERS = """<!DOCTYPE html><style>@page { size: A4; margin: 0 }
body { margin: 0; font: 9pt 'DejaVu Sans', Arial }
div { height: 296mm; padding-top: 283mm; box-sizing: border-box; text-align: center; break-after: page }
div:last-child { break-after: auto }</style>%s"""


@dataclass
class Chapter:
    """A page of the book, and what Chromium made of it."""

    name: str
    """As the table of contents names it: `book/lemma_3_1`."""
    part: str
    title: str = ""
    printed: bytes = b""
    pages: int = 0
    first: int = 0
    """The index of its first page in the whole."""


def chapters(contents: Path) -> list[Chapter]:
    """Every page in the order of the table of contents."""
    written = yaml.safe_load(contents.read_text(encoding="utf8"))
    found = [Chapter(written["root"], "")]
    for part in written["parts"]:
        for chapter in part["chapters"]:
            files = [chapter["file"], *(section["file"] for section in chapter.get("sections", ()))]
            found += [Chapter(file, part["caption"]) for file in files]
    return found


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a headless Chromium: the one in REGROB_CHROMIUM, or the first one installed."""
    path = os.environ.get("REGROB_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sys.exit("There is no Chromium: install one, or name it in REGROB_CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(color_scheme="light")
        browser.close()


def print_file(page: Page, address: str) -> bytes:
    """One page of the book, on paper."""
    page.goto(address)
    page.evaluate(READY)
    page.evaluate(FONTS)
    return page.pdf(prefer_css_page_size=True, print_background=True, tagged=True)


def print_text(page: Page, text: str, folder: Path) -> bytes:
    """A page that only the PDF has; it lies beside the others, so that its links can lead to them."""
    file = folder / "pdf-page.html"
    file.write_text(text, encoding="utf8")
    try:
        return print_file(page, file.as_uri())
    finally:
        file.unlink()


def contents_page(parts: list[Chapter], folder: Path) -> str:
    """The contents: parts, chapters, and the page on which each begins."""
    shown, part = "", ""
    for chapter in parts:
        if chapter.part != part:
            part = chapter.part
            shown += f"<h2>{escape(part)}</h2>"
        address = (folder / f"{chapter.name}.html").as_uri()
        shown += f'<p><a href="{address}">{escape(chapter.title)}</a><span>{chapter.first + 1}</span></p>'
    return CONTENTS % (A4, shown)


def cover(citation: Path) -> str:
    """The title page, from what the project says of itself."""
    said = yaml.safe_load(citation.read_text(encoding="utf8"))
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["title"]
    authors = ", ".join(author["name"] for author in said["authors"])
    return COVER % (A4, escape(title), escape(authors), escape(str(said["version"])), said["date-released"])


def number_pages(count: int) -> str:
    """Nothing but numbers, to be laid over the pages; the title page has none."""
    return NUMBERS % "".join(f"<div>{number if number > 1 else ''}</div>" for number in range(1, count + 1))


def destinations(chapter: Chapter, folder: Path) -> dict[str, tuple[int, float]]:
    """From an address in the book to a page of the whole, and a height on that page."""
    address = (folder / f"{chapter.name}.html").as_uri()
    reader = PdfReader(BytesIO(chapter.printed))
    top = float(reader.pages[0].mediabox.top)
    found = {address: (chapter.first, top)}
    for name, place in reader.named_destinations.items():
        number = reader.get_destination_page_number(place)
        if number is not None:
            found[f"{address}#{name.removeprefix('/')}"] = (chapter.first + number, float(place.top or top))
    return found


def target_of(link: DictionaryObject, own: str) -> str | None:
    """The address to which a link of the page `own` leads."""
    action = link.get("/A")
    if action is not None:
        action = action.get_object()
        if action.get("/S") == "/URI":
            return unquote(str(action["/URI"]))
    place = link.get("/Dest", action.get("/D") if action is not None else None)
    return (
        None if place is None or isinstance(place, ArrayObject) else f"{own}#{str(place).removeprefix('/')}"
    )


def relink(writer: PdfWriter, chapter: Chapter, known: dict[str, tuple[int, float]], folder: Path) -> None:
    """Lead a chapter's links to pages of this file; drop those to files that are not in it."""
    own = (folder / f"{chapter.name}.html").as_uri()
    for page in writer.pages[chapter.first : chapter.first + chapter.pages]:
        kept = ArrayObject()
        for reference in page.get("/Annots", ArrayObject()):
            link = reference.get_object()
            target = target_of(link, own) if link.get("/Subtype") == "/Link" else None
            if target is not None and (target.startswith("file:") or target in known):
                place = known.get(target) or known.get(urldefrag(target).url)
                if place is None:
                    continue
                link.pop("/A", None)
                goal = writer.pages[place[0]].indirect_reference or NullObject()
                height = [NameObject("/XYZ"), NullObject(), NumberObject(round(place[1])), NullObject()]
                link[NameObject("/Dest")] = ArrayObject([goal, *height])
            kept.append(reference)
        page[NameObject("/Annots")] = kept


def join(front: list[bytes], parts: list[Chapter], numbers: bytes, folder: Path) -> PdfWriter:
    """Title page and contents, then every chapter: linked, bookmarked and numbered."""
    writer = PdfWriter()
    for printed in (*front, *(chapter.printed for chapter in parts)):
        writer.append(BytesIO(printed), import_outline=False)
    known: dict[str, tuple[int, float]] = {}
    for chapter in parts:
        known |= destinations(chapter, folder)
    contents = Chapter("pdf-page", "", first=1, pages=len(PdfReader(BytesIO(front[1])).pages))
    for chapter in (contents, *parts):
        relink(writer, chapter, known, folder)
    bookmark: Any = None
    part = ""
    for chapter in parts:
        if chapter.part != part:
            part = chapter.part
            bookmark = writer.add_outline_item(title=part, page_number=chapter.first)
        writer.add_outline_item(title=chapter.title, page_number=chapter.first, parent=bookmark)
    for page, number in zip(writer.pages, PdfReader(BytesIO(numbers)).pages, strict=True):
        page.merge_page(number)
    writer.compress_identical_objects()
    return writer


def title_of(page: Page) -> str:
    """The heading of the page that is open, formulas in plain letters."""
    heading = page.locator(".bd-article h1").first
    text = heading.evaluate(
        """(head) => {
          const copy = head.cloneNode(true);
          copy.querySelectorAll(".headerlink, mjx-assistive-mml, script").forEach((e) => e.remove());
          const letters = head.querySelectorAll("mjx-c");
          copy.querySelectorAll("mjx-c").forEach((c, place) => {
            c.textContent = getComputedStyle(letters[place], "::before").content.slice(1, -1);
          });
          return copy.textContent;
        }"""
    )
    return re.sub(r"\s+", " ", str(text)).strip()


def make(html: Path, target: Path, only: list[str] | None = None) -> int:
    """Print the built pages below `html` into one file; returns its number of pages."""
    parts = [c for c in chapters(ROOT / "_toc.yml") if not only or c.name.removeprefix("book/") in only]
    with browser_page() as page:
        for chapter in parts:
            chapter.printed = print_file(page, (html / f"{chapter.name}.html").as_uri())
            chapter.title = title_of(page)
            chapter.pages = len(PdfReader(BytesIO(chapter.printed)).pages)
            print(f"{chapter.name}: {chapter.pages} pages", flush=True)
        title = print_text(page, cover(ROOT / "CITATION.cff"), html)
        contents = print_text(page, contents_page(parts, html), html)
        first = 1 + len(PdfReader(BytesIO(contents)).pages)
        for chapter in parts:
            chapter.first, first = first, first + chapter.pages
        contents = print_text(page, contents_page(parts, html), html)  # now that the numbers are known
        numbers = print_text(page, number_pages(first), html)
    target.parent.mkdir(parents=True, exist_ok=True)
    join([title, contents], parts, numbers, html).write(target)
    return first


def main() -> None:
    """Command line: the file to write, and chapters if not all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the PDF to write")
    parser.add_argument(
        "--only", nargs="*", metavar="CHAPTER", help="these chapters (lemma_3_2, …) and no other"
    )
    options = parser.parse_args()
    if not (HTML / "index.html").exists():
        sys.exit("There is no built book yet: run make book first.")
    count = make(HTML, options.target, options.only)
    print(f"{options.target}: {count} pages, {options.target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
