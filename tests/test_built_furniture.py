"""On the built pages: captions, titles, descriptions, links to works cited, the index, strips, the foot."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("myst_nb")
bs4 = pytest.importorskip("bs4")

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "tests")]
from regrob_book import head_and_foot  # noqa: E402
from test_browser import (  # noqa: E402, F401
    HTML,
    PAGES,
    _everything_is_here,
    browser,
    every_page,
    site,
    visit,
)

pytestmark = pytest.mark.browser
EMPTY_TITLE = re.compile(r"^(Table|Fig\.) B\d+\s*#?$")
TEX = re.compile(r"\\[a-zA-Z]+|\$[^$]+\$|\\\(")


def soup(name: str) -> Any:
    return bs4.BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")


def without_caption(page: Any) -> list[str]:
    """The tables and figures that a reader moves which no caption names."""
    found = []
    for table in page.select(".bd-article table"):
        caption = table.find("caption")
        if "genindextable" in table.get("class", []) or table.find_parent(class_="genindex-jumpbox"):
            continue  # columns of a list
        if caption is None or not caption.get_text().strip() or EMPTY_TITLE.match(caption.get_text().strip()):
            found.append(f"table: {table.get_text(' ', strip=True)[:60]}")
    for figure in page.select(".bd-article figure.living, .bd-article .regrob-slider"):
        boxes = [figure, *figure.find_parents("figure")]
        caption = next(filter(None, (box.find("figcaption") for box in boxes)), None)
        if caption is None or not caption.get_text().strip() or EMPTY_TITLE.match(caption.get_text().strip()):
            found.append(f"figure: {figure.get('data-figure') or figure.get_text(' ', strip=True)[:60]}")
    return found


def tex_in_words(page: Any) -> list[str]:
    """TeX where no formula can be set: the title, and what attributes say."""
    said = [page.title.get_text()] if page.title else []
    for name in ("title", "aria-label", "alt", "content"):
        said += [element[name] for element in page.select(f"[{name}]")]
    said += [heading.get_text() for heading in page.select("#jb-print-docs-body h1")]
    return [words for words in said if TEX.search(words)]


@every_page
def test_a_page_is_captioned_titled_described_and_signed(name: str) -> None:
    page = soup(name)
    assert without_caption(page) == []
    assert tex_in_words(page) == []
    assert len(page.select('meta[name="description"]')) == 1
    assert len(page.select('meta[name="description"]')[0]["content"]) >= 40
    for tag in ("og:title", "og:description", "og:site_name"):
        assert page.select(f'meta[property="{tag}"]'), tag
    foot = page.select(".page-foot")
    assert len(foot) == 1
    edition = head_and_foot.edition()
    for words in (str(edition["version"]), str(edition["date-released"]), "CC BY 4.0", "@incollection"):
        assert words in foot[0].get_text(), words
    assert "Report an error" in foot[0].get_text()


def test_descriptions_tell_pages_apart() -> None:
    said = [soup(name).select('meta[name="description"]')[0]["content"] for name in PAGES]
    chapters = [words for name, words in zip(PAGES, said, strict=True) if "reference/" not in name]
    assert len(set(chapters)) == len(chapters)


def test_every_work_with_an_address_is_linked() -> None:
    """As many links as references.bib has fields, each to the right place."""
    bibliography = (ROOT / "references.bib").read_text(encoding="utf-8")
    wanted = {f"https://doi.org/{doi}" for doi in re.findall(r"\bdoi = \{([^}]+)\}", bibliography)}
    wanted |= {
        f"https://arxiv.org/abs/{number}" for number in re.findall(r"eprint = \{([^}]+)\}", bibliography)
    }
    assert len(wanted) > 40
    assert wanted <= {link["href"] for link in soup("book/references.html").select("a[href]")}


def test_the_index_leads_somewhere() -> None:
    page = soup("genindex.html")
    text = page.get_text()
    for words in ("penalties", "attacks", "statements", "DeepFool", "local linear map", "Off the kinks"):
        assert words in text, words
    for link in page.select(".genindextable a[href*='#']"):
        target = link["href"].partition("#")[0]
        assert (HTML / target).is_file(), link["href"]
    assert "genindex.html" in {Path(link["href"]).name for link in soup(PAGES[0]).select("nav a[href]")}


def test_chapters_are_numbered_and_statements_are_ours() -> None:
    entries = [
        link.get_text(strip=True) for link in soup(PAGES[0]).select(".bd-sidebar-primary li.toctree-l1 > a")
    ]
    numbers = [int(match[1]) for entry in entries if (match := re.match(r"(\d+)\. ", entry))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 20
    shown = [number.get_text() for name in PAGES for number in soup(name).select(".caption-number")]
    assert shown
    assert [words for words in shown if not re.match(r"[A-Z][a-z.]+ B\d+ $", words)] == []


STRIPS = [name for name in PAGES if 'class="claim-strip"' in (HTML / name).read_text("utf-8")]


@pytest.mark.parametrize("name", STRIPS)
def test_a_strip_is_one_line_that_unfolds(name: str, visit: Any) -> None:  # noqa: F811
    page = visit(name, viewport={"width": 1440, "height": 900}).page
    strip = page.locator("details.claim-strip").first
    summary = strip.locator("summary")
    height = summary.evaluate(
        "(box) => box.getBoundingClientRect().height / parseFloat(getComputedStyle(box).lineHeight)"
    )
    assert height < 1.5
    assert not strip.locator("ul").is_visible()
    summary.click()
    assert strip.locator("ul").is_visible()
    assert strip.locator("li").count() > 0


def test_the_checks_see_what_is_missing() -> None:
    spoilt = """<title>Penalising \\(\\nu^2\\)</title><a title="$\\mu$">x</a><main class="bd-article">
      <table><tr><td>1</td></tr></table><table><caption><span>Table B3 </span></caption></table>
      <figure class="living" data-figure="plane"></figure><div class="regrob-slider">λ</div></main>"""
    page = bs4.BeautifulSoup(spoilt, "html.parser")
    assert len(without_caption(page)) == 4
    assert len(tex_in_words(page)) == 2
