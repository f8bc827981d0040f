"""Every page of the built book, opened in a real Chromium.

Skipped, with the reason, where there is no built book or no browser; where the environment
says REGROB_REQUIRE_BROWSER=1, that is a failure.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
SKIPPED = {"_static", "_sources", "_images", "_downloads", "_modules", "mathjax", "reports"}
PAGES = sorted(
    str(path.relative_to(HTML))
    for path in HTML.rglob("*.html")
    if not SKIPPED & set(path.relative_to(HTML).parts) and path != HTML / "index.html"  # that one leads on
)
SLIDING = [name for name in PAGES if '<div class="regrob-slider">' in (HTML / name).read_text("utf-8")]
SOURCES = ("_config.yml", "_toc.yml", "references.bib", "book/**/*.*", "regrob/**/*.py")
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LARGEST_PAGE = 1_500_000

pytestmark = pytest.mark.browser
every_page = pytest.mark.parametrize("name", PAGES)


def chromium() -> str | None:
    """The browser's path: REGROB_CHROMIUM, or the first one installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("REGROB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def what_is_missing() -> str | None:
    """Why the pages cannot be tried, in words; None if they can."""
    if not (HTML / "index.html").exists():
        return "there is no built book: run make book"
    if os.environ.get("REGROB_REQUIRE_BROWSER") != "1":
        built = (HTML / "searchindex.js").stat().st_mtime
        newer = [path for glob in SOURCES for path in ROOT.glob(glob) if path.stat().st_mtime > built]
        if any("__pycache__" not in path.parts for path in newer):
            return "the built book is older than its sources: run make book"
    if chromium() is None:
        return "no Chromium: install one, or name it in REGROB_CHROMIUM"
    return None


@pytest.fixture(scope="module", autouse=True)
def _everything_is_here() -> None:
    reason = what_is_missing()
    if reason and os.environ.get("REGROB_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the book without a line per request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def site(_everything_is_here: None) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(_everything_is_here: None) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()


class Visit:
    """One page in a window of its own, and all that went wrong while it was open."""

    def __init__(self, browser: Any, allowed: str, **window: Any) -> None:
        self.wrong: list[str] = []
        self.context = browser.new_context(**window)
        self.page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        self.page.on("response", self._answered)
        self.context.route("**/*", functools.partial(self._asked, allowed))

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def open(self, address: str) -> Visit:
        self.page.goto(address)
        return self.settle()

    def settle(self) -> Visit:
        """Wait until everything is loaded and every formula is set."""
        self.page.wait_for_load_state("load")
        self.page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
        self.page.evaluate("() => document.fonts.ready.then(() => true)")
        return self

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} for {response.url}")

    def _asked(self, allowed: str, route: Any) -> None:
        if route.request.url.startswith((allowed, "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(f"a request left the host: {route.request.url}")
            route.abort()


Opener = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Opener]:
    """`visit(page)` opens a page on a desk; `visit(page, **PHONE)` on a telephone."""
    opened: list[Visit] = []

    def open_page(name: str, **window: Any) -> Visit:
        opened.append(Visit(browser, site, **(window or {"viewport": {"width": 1280, "height": 900}})))
        return opened[-1].open(site + name)

    yield open_page
    for one in opened:
        one.context.close()


FORMULAS = """() => {
  const found = [];
  for (const box of document.querySelectorAll(".math")) {
    if (!box.querySelector("mjx-container, math")) found.push("raw formula: " + box.textContent.slice(0, 80));
  }
  for (const error of document.querySelectorAll("mjx-merror, merror, [data-mjx-error]")) {
    found.push("formula with an error: " + error.textContent.slice(0, 80));
  }
  for (const part of document.querySelectorAll("mjx-container *")) {
    if (getComputedStyle(part).color === "rgb(255, 0, 0)") {
      found.push("red in a formula: " + part.closest("mjx-container").parentElement.textContent.slice(0, 80));
    }
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const mark = new RegExp(String.raw`\\$\\$|\\\\[([]|\\\\begin\\{|\\$\\\\[a-z]|`
    + String.raw`\\{(prf:)?(ref|eq|numref|cite|glue|verdict)[:a-z]*\\}`);
  while (walker.nextNode()) {
    const text = walker.currentNode, parent = text.parentElement;
    if (parent.closest("script, style, pre, code, textarea, mjx-container, .math, [hidden]")) continue;
    if (mark.test(text.data)) found.push("raw markup: " + text.data.trim().slice(0, 80));
  }
  return [...new Set(found)];
}"""

PICTURES = """() => [...document.querySelectorAll("img, [role=img]")]
  .filter((image) => !image.closest("[aria-hidden=true]"))
  .map((image) => [image.getAttribute("alt") ?? image.getAttribute("aria-label") ?? "",
                   (image.getAttribute("src") ?? "").slice(0, 80)])"""

BROKEN = """() => [...document.images].filter((image) => image.complete && !image.naturalWidth)
  .map((image) => image.src.slice(0, 80))"""

WIDE = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room + 1) return [];
  const scrolls = (box) => {
    for (let up = box.parentElement; up && up !== document.body; up = up.parentElement) {
      if (getComputedStyle(up).overflowX !== "visible") return true;
    }
    return false;
  };
  const wide = [...document.querySelectorAll("main *")]
    .filter((box) => box.getBoundingClientRect().right > room + 1 && !scrolls(box));
  const name = (box) => `${box.tagName}.${box.className}: ${box.textContent.slice(0, 40)}`;
  return [`${document.documentElement.scrollWidth} pixels wide`, ...wide.slice(0, 5).map(name)];
}"""


def is_a_path(text: str) -> bool:
    return bool(re.search(r"\.(png|jpe?g|svg|gif|webp)\b|_images/|^[\w./-]*/[\w./-]+$", text.strip()))


def test_the_book_is_built() -> None:
    assert PAGES


@every_page
def test_page(name: str, visit: Opener) -> None:
    """Nothing in the console, no request outside, every formula set, a text for every picture."""
    opened = visit(name)
    wrong = opened.wrong + opened.page.evaluate(FORMULAS)
    for alt, source in opened.page.evaluate(PICTURES):
        if not alt.strip() or is_a_path(alt):
            wrong.append(f"picture {source!r} has the text {alt!r}")
    wrong += [f"picture does not load: {source}" for source in opened.page.evaluate(BROKEN)]
    assert wrong == []


@every_page
def test_page_on_a_telephone(name: str, visit: Opener) -> None:
    """Nothing sticks out of a screen 390 pixels wide, and nothing is wrong there either."""
    opened = visit(name, **PHONE)
    assert opened.wrong + opened.page.evaluate(WIDE) == []


@every_page
def test_page_weight(name: str) -> None:
    page = HTML / name
    text = page.read_text(encoding="utf-8")
    sources = set(re.findall(r'<img[^>]*\ssrc="([^":]+)"', text))
    pictures = [path for source in sources if (path := (page.parent / source).resolve()).is_file()]
    size = page.stat().st_size + sum(path.stat().st_size for path in pictures)
    assert size <= LARGEST_PAGE, f"{size} bytes of HTML and pictures"


class Sliding:
    """One slider on an open page: its control, and the picture below it."""

    def __init__(self, page: Any, box: Any) -> None:
        self.page = page
        self.control = box.locator("input[type=range]")
        self.picture = box.locator("img:visible")

    def look(self) -> tuple[str, str, str]:
        """What is shown: the picture's pixels, its text, and the value in words."""
        pixels = self.picture.screenshot().hex()
        return pixels, self.picture.get_attribute("alt"), self.control.get_attribute("aria-valuetext")

    def moved_by(self, move: Callable[..., None], *where: Any) -> bool:
        """Whether a move changes all three: the picture, its text and the value in words."""
        before = self.look()
        move(*where)
        return all(old != new for old, new in zip(before, self.look(), strict=True))

    def press(self, key: str) -> None:
        self.control.press(key)

    def click(self, part: float) -> None:
        self.page.mouse.click(*self._at(part))

    def tap(self, part: float) -> None:
        self.page.touchscreen.tap(*self._at(part))

    def swipe(self, start: float, end: float) -> None:
        session = self.page.context.new_cdp_session(self.page)
        for kind, part in (("touchStart", start), ("touchMove", (start + end) / 2), ("touchMove", end)):
            x, y = self._at(part)
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        session.detach()

    def _at(self, part: float) -> tuple[float, float]:
        """A point on the control, as a fraction of its length from the left."""
        self.control.scroll_into_view_if_needed()
        box = self.control.bounding_box()
        return box["x"] + part * box["width"], box["y"] + box["height"] / 2


def sliders(page: Any) -> list[Sliding]:
    return [Sliding(page, box) for box in page.locator(".regrob-slider").all()]


def test_some_page_has_a_slider() -> None:
    """Lest the tests of sliders pass because there is none, or another kind of it."""
    assert SLIDING
    assert [name for name in PAGES if 'type="range"' in (HTML / name).read_text("utf-8")] == SLIDING


@pytest.mark.parametrize("name", SLIDING)
def test_sliders_move_on_a_desk(name: str, visit: Opener) -> None:
    """By keyboard and by mouse."""
    opened = visit(name)
    for slider in sliders(opened.page):
        slider.press("Home")
        assert slider.moved_by(slider.press, "ArrowRight")
        slider.press("End")  # a slider that runs full circle ends where it began
        assert slider.moved_by(slider.press, "ArrowLeft")
        assert slider.moved_by(slider.click, 0.3)
    assert opened.wrong == []


@pytest.mark.parametrize("name", SLIDING)
def test_sliders_move_on_a_telephone(name: str, visit: Opener) -> None:
    """By tap and by swipe."""
    opened = visit(name, **PHONE)
    for slider in sliders(opened.page):
        slider.tap(0.02)
        assert slider.moved_by(slider.tap, 0.9)
        assert slider.moved_by(slider.swipe, 0.9, 0.1)
    assert opened.wrong == []


def test_the_first_page_opens_from_the_disk(browser: Any) -> None:
    """As the end of `make book` says: open index.html, without a server. It leads to the first page."""
    with Visit(browser, HTML.as_uri()) as opened:
        opened.page.goto((HTML / "index.html").as_uri())
        opened.page.wait_for_url("**/book/*.html")
        opened.settle()
        assert opened.wrong + opened.page.evaluate(FORMULAS) == []


@pytest.mark.parametrize("name", SLIDING[:1])
def test_a_slider_moves_from_the_disk(name: str, browser: Any) -> None:
    with Visit(browser, HTML.as_uri()) as opened:
        opened.open((HTML / name).as_uri())
        assert opened.wrong + opened.page.evaluate(FORMULAS) == []
        assert all(slider.moved_by(slider.press, "ArrowRight") for slider in sliders(opened.page))


SPOILT = """<!DOCTYPE html><title>spoilt</title>
<script>console.error("no"); null.x;</script>
<img alt="../_images/figure.png" src="data:,"><img src="https://example.org/outside.png" alt="A line">
<p>Raw $$x^2$$.</p><p>A lost {prf:ref}`lemma`.</p>
<p><span class="math">x^2</span></p>
<p class="math"><mjx-container><b style="color: red">x</b></mjx-container></p>
<p><mjx-merror>x</mjx-merror></p><main><div style="width: 900px">wide</div></main>"""


def test_the_checks_see_what_is_wrong(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "spoilt.html").write_text(SPOILT, encoding="utf-8")
    viewport = {"width": 390, "height": 800}
    with Visit(browser, tmp_path.as_uri(), viewport=viewport) as opened:
        opened.open((tmp_path / "spoilt.html").as_uri())
        heard = " ".join(opened.wrong)
        assert "console: no" in heard
        assert "script error" in heard
        assert "left the host: https://example.org/outside.png" in heard
        formulas = " ".join(opened.page.evaluate(FORMULAS))
        for kind in ("raw formula", "with an error", "red in", "raw markup: Raw", "raw markup: A lost"):
            assert kind in formulas, kind
        assert [is_a_path(alt) for alt, _ in opened.page.evaluate(PICTURES)] == [True, False]
        assert opened.page.evaluate(BROKEN)
        assert opened.page.evaluate(WIDE)


def test_a_table_of_results_is_filtered_and_says_how_many_rows_are_left(visit: Opener) -> None:
    page = visit("book/stored_results.html").page
    table = page.locator("table[data-filters]").first
    filters = page.locator(".table-filters").first
    rows = table.locator("tbody tr")
    every, shown = rows.count(), table.locator("tbody tr:not([hidden])")
    assert 0 < shown.count() < every  # a long table begins with its first group
    sweep, network, penalty = filters.locator("select").all()
    sweep.select_option("")
    assert shown.count() == every
    penalty.select_option("curvature")
    texts = shown.locator('[data-label="penalty"]').all_text_contents()
    assert texts and set(texts) == {"curvature"} and len(texts) < every
    assert filters.locator("output").text_content() == f"{len(texts)} of {every} rows"
    network.select_option("LeNet-5")
    assert set(shown.locator('[data-label="network"]').all_text_contents()) == {"LeNet-5"}
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.count() == every


def test_rows_of_results_are_cards_on_a_phone_and_rows_on_a_desk(visit: Opener) -> None:
    def look(page: Any) -> Any:
        return page.evaluate(
            """() => [...document.querySelectorAll("table.stacked")].map((table) => {
              const row = table.querySelector("tbody tr:not([hidden])"), [first, second] = row.cells;
              return {
                below: second.getBoundingClientRect().top >= first.getBoundingClientRect().bottom - 1,
                named: getComputedStyle(second, "::before").content.includes(second.dataset.label),
                wide: table.getBoundingClientRect().right > innerWidth + 1,
                caption: table.caption.getBoundingClientRect().height > 0,
              };
            })"""
        )

    phone = look(visit("book/stored_results.html", **PHONE).page)
    assert phone and all(t["below"] and t["named"] and not t["wide"] and t["caption"] for t in phone)
    desk = look(visit("book/stored_results.html").page)
    assert all(not t["below"] and t["caption"] for t in desk)


def test_a_number_in_the_prose_is_no_heavier_than_its_sentence(visit: Opener) -> None:
    page = visit("book/confidence.html").page
    weights = page.evaluate(
        """() => [...document.querySelectorAll("p > span.pasted-text")].map(
          (part) => [getComputedStyle(part).fontWeight, getComputedStyle(part.parentElement).fontWeight])"""
    )
    assert weights and all(own == around for own, around in weights)
