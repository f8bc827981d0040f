"""What a page says of itself: title and description for machines, version and licence at its foot.

At the foot a reader finds how to cite the page, and a form to report an error. Addresses appear only
where the builder gives them: REGROB_PAGES_URL, where the pages will lie; REGROB_REPOSITORY_URL, which
takes reports.
"""

from __future__ import annotations

import os
import posixpath
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from . import plain
from .readers import pages_address

CITATION = Path(__file__).parents[3] / "CITATION.cff"
CARD = "card.png"
SHORTEST, LONGEST = 60, 200
"""Characters of a description: shorter it says little, longer it is cut by those who show it."""
MADE_BY_SPHINX = {"genindex": "Index", "search": "Search"}
LICENCE = "Text and figures: CC BY 4.0. Code: MIT."


@cache
def edition() -> dict[str, Any]:
    """Version, date, authors and abstract, as CITATION.cff gives them."""
    found: dict[str, Any] = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    return found


def name_address(app: Sphinx, config: Config) -> None:
    """Each page names its canonical address where the builder gives one."""
    if pages_address():
        config.html_baseurl = pages_address()


def description(doctree: nodes.document | None, title: str) -> str:
    """The page's first sentences that need no formula; else what the book is."""
    for paragraph in doctree.findall(nodes.paragraph) if doctree is not None else ():
        if not isinstance(paragraph.parent, nodes.section) or "proof" in str(paragraph.parent["ids"]):
            continue
        said = ""
        for sentence in re.split(r"(?<=[.!?:])(?<!al\.)\s+", _words(paragraph)):
            spelt = plain.of_text(sentence)
            if spelt is None or spelt.endswith(":") or len(said) + len(spelt) > LONGEST:
                break
            said = f"{said} {spelt}".strip()
        if len(said) >= SHORTEST:
            return said
    about = " ".join(str(edition()["abstract"]).split())
    return f"{title}. {about}"[:LONGEST].rpartition(" ")[0] + " …"


def _words(paragraph: nodes.Element) -> str:
    """A paragraph's text, its formulas between dollars; what the build fills in is left out."""
    pieces = []
    for part in paragraph.findall(lambda node: isinstance(node, nodes.Text | nodes.math)):
        if isinstance(part, nodes.math):
            pieces.append(f"${part.astext()}$")
        elif not isinstance(part.parent, nodes.math | nodes.raw):
            pieces.append(part.astext())
    return " ".join("".join(pieces).split())


def head(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Titles without TeX, a description, and what a shared link shows."""
    title = plain.of_html(context.get("title") or MADE_BY_SPHINX.get(page, app.config.html_title))
    context["title"] = context["pagetitle"] = escape(title)  # the second heads the printed page
    for neighbour in ("prev", "next"):
        if context.get(neighbour):
            context[neighbour] = {
                **context[neighbour],
                "title": escape(plain.of_html(context[neighbour]["title"])),
            }
    said = description(doctree, title)
    tags = {
        "og:title": title,
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:description": said,
    }
    if pages_address():
        tags |= {
            "og:url": pages_address() + app.builder.get_target_uri(page),
            "og:image": f"{pages_address()}_static/{CARD}",
            "og:image:alt": "The Taylor radius against the margin, and the book's name",
        }
    shown = [f'<meta name="description" content="{escape(said)}">']
    shown += [f'<meta property="{name}" content="{escape(value)}">' for name, value in tags.items()]
    shown.append('<meta name="twitter:card" content="summary_large_image">')
    context["metatags"] = context.get("metatags", "") + "\n".join(shown)
    context["theme_extra_footer"] = foot(app, page, title)


def foot(app: Sphinx, page: str, title: str) -> str:
    """Version, date and licence; how to cite this page; how to report an error on it."""
    version, date = edition()["version"], edition()["date-released"]
    return (
        f'<div class="page-foot"><p>Version {escape(str(version))}, {escape(str(date))}. {LICENCE}</p>'
        f"{citation(app, page, title)}{report(page, title)}</div>"
    )


def citation(app: Sphinx, page: str, title: str) -> str:
    """The page's entry for a list of references, in words and in BibTeX."""
    book = app.config.html_title
    authors = ", ".join(author["name"] for author in edition()["authors"])
    year, version = str(edition()["date-released"])[:4], edition()["version"]
    address = pages_address() + app.builder.get_target_uri(page) if pages_address() else ""
    words = f"{authors} ({year}). {title}. In {book}, version {version}."
    key = f"regrob-{posixpath.basename(page)}".replace("_", "-")
    fields = {
        "author": f"{{{authors}}}",
        "title": title,
        "booktitle": book,
        "year": year,
        "note": f"Version {version}",
    }
    if address:
        words, fields["url"] = f"{words} {address}", address
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return (
        f'<details class="cite"><summary>Cite this page</summary><p>{escape(words)}</p>'
        f"<pre>{escape(f'@incollection{{{key},{chr(10)}{lines}{chr(10)}}}')}</pre></details>"
    )


TEMPLATE = """\
Page: {title} ({page}, version {version})
Where on it (heading, equation or claim):
What it says:
What it should say:
How one sees it (an instance with small numbers, if you can):"""


def report(page: str, title: str) -> str:
    """A form for an error on this page: a link where the builder names a repository, else to be copied."""
    text = TEMPLATE.format(title=title, page=page, version=edition()["version"])
    repository = os.environ.get("REGROB_REPOSITORY_URL", "").rstrip("/")
    way = "Copy this form, fill it in and send it to whoever gave you this copy of the book."
    if repository:
        address = f"{repository}/issues/new?title={quote(f'Error: {title}')}&body={quote(text)}"
        way = f'<a href="{escape(address)}">Open the form with the page filled in</a>, or copy it:'
    return (
        f'<details class="report"><summary>Report an error on this page</summary><p>{way}</p>'
        f"<pre>{escape(text)}</pre></details>"
    )


def draw_card(app: Sphinx, error: Exception | None) -> None:
    """The picture that a shared link shows: the book's name beside one of its curves."""
    if error is not None or app.builder.format != "html":
        return
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from regrob.theory.taylor_radius import taylor_margin

    margin = torch.linspace(0, 8, 200, dtype=torch.float64)
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    name, _, rest = app.config.html_title.partition(":")
    figure.text(0.05, 0.62, name, fontsize=34, weight="bold", wrap=True)
    figure.text(0.05, 0.5, rest.strip().capitalize(), fontsize=21)
    axes = figure.add_axes((0.6, 0.14, 0.34, 0.72))
    axes.plot(margin, taylor_margin(margin), linewidth=4, color="#0d4fb8")
    axes.plot(margin, margin, linewidth=3, linestyle="--", color="#a63c00")
    axes.set_xlabel("logit margin m", fontsize=18)
    axes.set_ylabel("the paper's radius, in logits", fontsize=18)
    axes.spines[["top", "right"]].set_visible(False)
    target = Path(app.outdir, "_static", CARD)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, metadata={"Software": None})


def setup(app: Sphinx) -> None:
    """Connect all of it."""
    app.add_css_file("furniture.css", priority=900)
    app.connect("config-inited", name_address)
    app.connect("html-page-context", head, priority=800)
    app.connect("build-finished", draw_card)
