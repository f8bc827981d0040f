"""Every page of the built book, opened in a real Chromium.

Skipped, with the reason, where there is no built book or no browser; where the environment
says REGROB_REQUIRE_BROWSER=1, that is a failure.
"""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import re
import shutil
import subprocess
import sys
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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
    "--no-first-run",
    "--no-sandbox",
]
DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# In bytes as a server sends them, compressed.
LARGEST_PAGE = 250_000  # a page's own HTML and pictures
LARGEST_VISIT = 1_000_000  # everything that a first visit asks for

pytestmark = pytest.mark.browser
every_page = pytest.mark.parametrize("name", PAGES)


def chromium() -> str | None:
    """The browser's path: REGROB_CHROMIUM, or the first one installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("REGROB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def firefox() -> str | None:
    """The other browser's path: REGROB_FIREFOX, or the first one installed."""
    return os.environ.get("REGROB_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")


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


def missing(reason: str) -> None:
    """Skip, or fail where the environment demands the browsers."""
    if os.environ.get("REGROB_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module", autouse=True)
def _everything_is_here() -> None:
    reason = what_is_missing()
    if reason:
        missing(reason)


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


def launched(name: str) -> Iterator[Any]:
    """A running Chromium or Firefox."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        if name == "firefox":
            if firefox() is None:
                missing("no Firefox: install one, or name it in REGROB_FIREFOX")
            started = playwright.firefox.launch(channel="moz-firefox", executable_path=firefox())
        else:
            started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def browser(_everything_is_here: None) -> Iterator[Any]:
    yield from launched("chromium")


class Visit:
    """One page in a window of its own, and all that went wrong while it was open."""

    def __init__(self, browser: Any, allowed: str, **window: Any) -> None:
        self.wrong: list[str] = []
        self.context = browser.new_context(**window)
        self.page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        self.page.on("response", self._answered)
        self.context.on("request", functools.partial(self._asked, allowed))

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

    def resize(self, window: dict[str, Any]) -> None:
        """Give the window another size, and wait until the page fits it."""
        self.page.set_viewport_size(window["viewport"])
        self.page.wait_for_timeout(300)  # boxes glide to their new widths

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} for {response.url}")

    def _asked(self, allowed: str, request: Any) -> None:
        if not request.url.startswith((allowed, "data:", "blob:")):
            self.wrong.append(f"a request left the host: {request.url}")


Opener = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Opener]:
    """`visit(page)` opens a page on a desk; `visit(page, **PHONE)` on a telephone."""
    opened: list[Visit] = []

    def open_page(name: str, **window: Any) -> Visit:
        opened.append(Visit(browser, site, **(window or DESK)))
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


LEAST_LETTER = 11.0
LETTERS = """() => {
  const wrong = [];
  document.querySelectorAll(".drawing").forEach((drawing, number) => {
    if (drawing.closest("[hidden]")) return;
    const shown = [...drawing.querySelectorAll(":scope > svg[role=img]")]
      .filter((svg) => svg.getBoundingClientRect().width);
    if (shown.length !== 1) { wrong.push([number, "layouts", shown.length]); return; }
    /* Matplotlib draws a letter 100 units high and scales the word that it stands in. */
    const words = new Set([...shown[0].querySelectorAll("use")]
      .filter((use) => document.querySelector(`.alphabet [id="${use.getAttribute("href").slice(1)}"]`))
      .map((use) => use.parentElement));
    if (!words.size) { wrong.push([number, "words", 0]); return; }
    const height = (m) => 100 * Math.sqrt(Math.abs(m.a * m.d - m.b * m.c));
    const sizes = [...words].map((word) => height(word.getScreenCTM()));
    wrong.push([number, "letters", Math.min(...sizes)]);
  });
  return wrong;
}"""

COLOURS = """() => {
  const probe = document.createElement("i"), found = {};
  document.body.append(probe);
  const seen = (colour) => {
    probe.style.color = colour;
    return getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number).slice(0, 3);
  };
  const names = ["blue", "orange", "green", "vermilion", "purple", "sky", "grey", "ground", "pale", "faint"];
  for (const name of names) {
    found[name] = seen(`var(--drawing-${name})`);
  }
  found.text = seen(getComputedStyle(document.querySelector(".drawing svg[role=img]")).color);
  probe.remove();
  return found;
}"""

STOPS = """() => [...document.querySelectorAll("mjx-container[tabindex], mjx-container [tabindex]")]
  .filter((stop) => !stop.matches(".scrolls"))
  .slice(0, 3).map((stop) => "a formula is a stop of the tab key: " + stop.textContent.slice(0, 60))"""

DOUBLE_IDS = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return [...new Set(ids.filter((id, at) => ids.indexOf(id) !== at))].map((id) => "an id twice: " + id);
}"""

# A table of words shows all its columns; one of numbers may scroll if its box says so.
HIDDEN_COLUMNS = """() => {
  const room = document.documentElement.clientWidth, found = [];
  for (const table of document.querySelectorAll(".bd-article table")) {
    const cells = [...table.querySelectorAll("td, th")].filter((cell) => cell.checkVisibility());
    const cut = cells.filter((cell) => cell.getBoundingClientRect().right > room + 1);
    if (!cut.length) continue;
    const box = table.closest(".scrolls");
    if (!box || !box.matches(".more-right")) found.push("a table is cut: " + table.textContent.slice(0, 60));
    const words = cells.some((cell) => cell.textContent.trim().length > 40);
    if (words && table.rows[0].cells.length > 2 && !table.querySelector("[colspan], [rowspan]")) {
      found.push("a column of words is hidden: " + cut[0].textContent.slice(0, 60));
    }
  }
  return found;
}"""


def small_letters(found: list[list[Any]]) -> list[list[Any]]:
    """Drawings that are not shown in one layout, hold no words, or hold letters that are too small."""
    return [[where, what, size] for where, what, size in found if what != "letters" or size < LEAST_LETTER]


def contrast(first: list[float], second: list[float]) -> float:
    """WCAG's ratio of two sRGB colours."""

    def luminance(colour: list[float]) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def is_a_path(text: str) -> bool:
    return bool(re.search(r"\.(png|jpe?g|svg|gif|webp)\b|_images/|^[\w./-]*/[\w./-]+$", text.strip()))


def test_the_book_is_built() -> None:
    assert PAGES


DRAWN = [name for name in PAGES if 'class="drawing' in (HTML / name).read_text("utf-8")]


@every_page
def test_page(name: str, visit: Opener) -> None:
    """On a telephone, then as wide as a desk: nothing sticks out, every formula is set, axe is content.

    Nothing in the console or from outside, a text for every picture, letters that can be read in every
    figure. One visit: loading takes longest.
    """
    opened = visit(name, **PHONE)
    page = opened.page
    wrong = page.evaluate(FORMULAS) + page.evaluate(STOPS) + page.evaluate(DOUBLE_IDS)
    for alt, source in page.evaluate(PICTURES):
        if not alt.strip() or is_a_path(alt):
            wrong.append(f"picture {source!r} has the text {alt!r}")
    wrong += [f"picture does not load: {source}" for source in page.evaluate(BROKEN)]
    wrong += page.evaluate(WIDE) + page.evaluate(HIDDEN_COLUMNS)
    wrong += letters(page) if name in DRAWN else []
    opened.resize(DESK)
    wrong += page.evaluate(WIDE)
    wrong += opened.wrong  # before axe asks for style sheets where there are none
    axe = Axe(page)
    wrong += axe.ask()
    opened.resize(PHONE)
    assert wrong + axe.ask() == []


def sent(content: bytes) -> int:
    """How many bytes a server that compresses sends."""
    return len(gzip.compress(content, 6))


def test_chapters_have_drawings() -> None:
    """Lest the tests of drawings pass because there is none."""
    assert len(DRAWN) > 15


def letters(page: Any) -> list[str]:
    """Figures with letters less than 11 pixels high on a phone, a tablet or a desk, or not in one layout."""
    found = []
    for width in (PHONE["viewport"]["width"], 600, 768, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for number, what, size in small_letters(page.evaluate(LETTERS)):
            found.append(f"figure {number}, {width} pixels wide: {what} {size}")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_figures_stand_out(scheme: str, visit: Opener) -> None:
    """Every colour of a line or dot at least 3 to 1 against the page's ground, text 7 to 1."""
    colours = visit(DRAWN[0], color_scheme=scheme).page.evaluate(COLOURS)
    ground = colours.pop("ground")
    assert (sum(ground) < 150) == (scheme == "dark")
    faint = {name: contrast(colours.pop(name), ground) for name in ("faint", "pale")}
    assert 1.1 < faint["faint"] < faint["pale"]
    assert contrast(colours.pop("text"), ground) >= 7
    assert {
        name: contrast(colour, ground) for name, colour in colours.items() if contrast(colour, ground) < 3
    } == {}


def test_the_checks_of_figures_see_what_is_wrong(browser: Any, tmp_path: Path) -> None:
    word = '<g transform="scale({})"><use href="#A-1"/></g>'
    drawing = '<div class="drawing"><svg role="img" width="50" height="50">{}</svg></div>'
    alphabet = (
        '<svg class="alphabet" width="0" height="0"><defs><path id="A-1" d="M0 0H70V70Z"/></defs></svg>'
    )
    bad = [drawing.format(word.format(0.12)), drawing.format(word.format(0.1)), drawing.format("")]
    bad.append(drawing.replace("<svg", '<svg style="display: none"').format(word.format(0.2)))
    (tmp_path / "page.html").write_text("<!DOCTYPE html>" + alphabet + "".join(bad), encoding="utf-8")
    with Visit(browser, tmp_path.as_uri()) as opened:
        opened.open((tmp_path / "page.html").as_uri())
        found = letters(opened.page)
    assert len(found) == 3 * 5
    kinds = {line.split(",")[0]: line.split(": ")[1].split()[0] for line in found}
    assert kinds == {"figure 1": "letters", "figure 2": "words", "figure 3": "layouts"}
    assert contrast([255, 255, 255], [0x56, 0xB4, 0xE9]) < 3 < contrast([255, 255, 255], [0xD5, 0x5E, 0])


@every_page
def test_page_weight(name: str) -> None:
    page = HTML / name
    text = page.read_text(encoding="utf-8")
    sources = set(re.findall(r'<img[^>]*\ssrc="([^":]+)"', text))
    pictures = [path for source in sources if (path := (page.parent / source).resolve()).is_file()]
    size = sum(sent(path.read_bytes()) for path in (page, *pictures))
    assert size <= LARGEST_PAGE, f"{size} bytes of HTML and pictures"


HEAVIEST = sorted(PAGES, key=lambda name: -(HTML / name).stat().st_size)[:6]


@pytest.mark.parametrize("name", HEAVIEST)
def test_first_visit_weight(name: str, browser: Any, site: str) -> None:
    with Visit(browser, site, **DESK) as opened:
        answers: list[Any] = []
        opened.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108
        opened.open(site + name)
        weights = {answer.url.removeprefix(site): sent(answer.body()) for answer in answers}
    assert len(weights) > 10
    total = sum(weights.values())
    heavy = sorted(weights.items(), key=lambda item: -item[1])[:8]
    assert total <= LARGEST_VISIT, f"{total} bytes, most of them in {heavy}"


class Compressing(Quiet):
    """A server that compresses, as those on the web do."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return super().do_GET()
        content = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None


FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
SLOW_LINE = {"offline": False, "latency": 40, "downloadThroughput": 200_000, "uploadThroughput": 200_000}


def first_paint(browser: Any, address: str, line: dict[str, Any]) -> float:
    """Seconds until something is seen on a first visit over this line."""
    with Visit(browser, address.rpartition("/book/")[0], **DESK) as opened:
        opened.context.new_cdp_session(opened.page).send("Network.emulateNetworkConditions", line)
        opened.open(address)
        opened.page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        return float(opened.page.evaluate(FIRST_PAINT)) / 1000


@pytest.mark.parametrize("name", ["book/start_here.html", "book/ledger.html"])
def test_first_paint_on_a_slow_line(name: str, browser: Any) -> None:
    """Something is seen within three seconds at 1.6 Mbit/s; the best of three, since machines are busy."""
    handler = functools.partial(Compressing, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/{name}"
        seconds = min(first_paint(browser, address, SLOW_LINE) for _ in range(3))
        server.shutdown()
        thread.join()
    assert seconds < 3


# --- Access -------------------------------------------------------------------------------

# Every rule of axe-core is asked, those it calls experimental and those of the highest level too, but:
NOT_ASKED = {
    "color-contrast-enhanced": "level AAA asks for 7:1, which muted words and coloured code do not have",
    "identical-links-same-purpose": "level AAA; 'in the ledger' stands under each box, for its entry",
    "hidden-content": "experimental; it finds nothing wrong, only that something is folded",
    "focus-order-semantics": "experimental; a box that scrolls must be a stop, whatever its role",
    "p-as-heading": "experimental; the name of a theorem is no heading of a section",
}
# What axe looks at takes its time: the parts of a picture and the letters of a formula, which a reading
# machine is told not to see, are none of its business, and contrast is asked once for each colour on a ground
# in a size, in either scheme and of either width; the other rules know no colours.
EMPTIED = """() => {
  for (const picture of document.querySelectorAll(".drawing svg, svg.alphabet")) picture.replaceChildren();
  const formulas = [...document.querySelectorAll("mjx-container > mjx-math[aria-hidden=true]")];
  const sizes = formulas.map((formula) => formula.getBoundingClientRect());
  formulas.forEach((formula, at) => {
    const {width, height} = sizes[at];
    formula.replaceChildren();
    Object.assign(formula.style, {display: "inline-block", width: `${width}px`, height: `${height}px`});
  });
}"""
ASK_ALL_BUT_CONTRAST = """async (left_out) => {
  const names = axe.getRules().map((rule) => rule.ruleId).filter((name) => name !== "color-contrast");
  const rules = Object.fromEntries(names.map((name) => [name, {enabled: !left_out.includes(name)}]));
  rules["color-contrast"] = {enabled: false};
  const asked = await axe.run(document, {rules, resultTypes: ["violations"]});
  return asked.violations.map((wrong) =>
    `${wrong.id}, ${wrong.nodes.length} times: ${wrong.nodes[0].html.slice(0, 120)}`);
}"""
ASK_CONTRAST = """async () => {
  const ground = (box) => {
    const colour = getComputedStyle(box).backgroundColor;
    return colour !== "rgba(0, 0, 0, 0)" || !box.parentElement ? colour : ground(box.parentElement);
  };
  const known = (window.looks ??= new Set()), looks = new Map();
  for (const box of document.querySelectorAll("body *")) {
    const speaks = [...box.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!speaks || !box.checkVisibility() || box.closest("mjx-container")) continue;
    const style = getComputedStyle(box);
    const look = [style.color, ground(box), style.fontSize, style.fontWeight, style.opacity].join();
    if (!known.has(look) && !looks.has(look)) looks.set(look, box);
  }
  if (!looks.size) return [];
  for (const look of looks.keys()) known.add(look);
  const only = {runOnly: ["color-contrast"], resultTypes: ["violations"]};
  const asked = await axe.run({include: [...looks.values()]}, only);
  return asked.violations.map((wrong) =>
    `${wrong.id}, ${wrong.nodes.length} times: ${wrong.nodes[0].html.slice(0, 120)}`);
}"""


def axe_script() -> str:
    """The text of axe-core, as a package from PyPI carries it."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


class Axe:
    """axe-core in an open page, which it leaves without pictures and drawn formulas."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.evaluate(axe_script())
        page.evaluate(EMPTIED)
        page.add_style_tag(content="* { transition: none !important; }")  # colours half-way are nobody's

    def ask(self) -> list[str]:
        """What it finds wrong at this width; contrasts not asked for yet, in the light and in the dark."""
        violations = self.page.evaluate(ASK_ALL_BUT_CONTRAST, list(NOT_ASKED))
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_function(
                "scheme => document.documentElement.dataset.theme === scheme", arg=scheme
            )
            violations += [f"{scheme}: {violation}" for violation in self.page.evaluate(ASK_CONTRAST)]
        return violations


HARD_TO_READ = """<!DOCTYPE html><html lang="en" data-theme="light"><title>Hard</title><main><h1>Hard</h1>
<p>Black.</p><p style="color: #aaa">Pale.</p><button></button></main></html>"""


def test_axe_sees_what_is_wrong(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(HARD_TO_READ)
    page.evaluate(axe_script())
    found = page.evaluate(ASK_ALL_BUT_CONTRAST, list(NOT_ASKED)) + page.evaluate(ASK_CONTRAST)
    assert [wrong.partition(",")[0] for wrong in found] == ["button-name", "color-contrast"]
    assert page.evaluate("axe.getRules().length") > 100
    page.close()


RINGLESS = """() => {
  const now = document.activeElement, look = getComputedStyle(now);
  const ringed = (e) => { const s = getComputedStyle(e);
    return (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none"; };
  if (now === document.body) return null;
  return ringed(now) || (now.parentElement && ringed(now.parentElement)) ? "" : now.outerHTML.slice(0, 100);
}"""


@pytest.mark.parametrize("name", ["book/start_here.html", "book/ledger.html"])
def test_each_stop_of_the_tab_key_shows_a_ring(name: str, visit: Opener) -> None:
    opened = visit(name)
    stops = []
    for _ in range(90):
        opened.page.keyboard.press("Tab")
        stops.append(opened.page.evaluate(RINGLESS))
    assert sum(stop is not None for stop in stops) > 60
    assert [stop for stop in stops if stop] == []


# --- The ledger ---------------------------------------------------------------------------


def test_the_ledger_is_short_on_a_telephone(visit: Opener) -> None:
    page = visit("book/ledger.html", **PHONE).page
    assert page.evaluate("document.documentElement.scrollHeight") < 12_000
    lines = page.locator("ul.claims > li")
    assert lines.count() > 100
    assert page.locator("ul.claims details[open]").count() == 0
    shown = lines.nth(10).locator("summary")
    for part in (".title", "code", ".verdict", ".evidence"):
        assert shown.locator(part).is_visible(), part
    assert not shown.locator(".where").is_visible()
    shown.click()
    assert shown.locator(".where").is_visible()


def test_the_ledger_is_filtered(visit: Opener) -> None:
    page = visit("book/ledger.html").page
    lines = page.locator("ul.claims > li")
    page.locator("[data-filter=verdict]").select_option("fails as printed")
    left = lines.locator("visible=true").count()
    assert 0 < left < lines.count()
    assert page.locator(".claim-filter output").text_content() == f"{left} of {lines.count()}"
    page.goto(page.url.partition("#")[0] + "#claim-prop-3.1")
    claim = page.locator("[id='claim-prop-3.1']")
    claim.wait_for(state="visible")
    assert page.locator(".claim-filter output").text_content() == f"{lines.count()} of {lines.count()}"


def test_the_ledger_opens_without_a_script(visit: Opener) -> None:
    opened = visit("book/ledger.html", java_script_enabled=False, **PHONE)
    first = opened.page.locator("ul.claims > li").first
    assert not first.locator(".claim").is_visible()
    first.locator("summary").click()
    assert first.locator(".claim").is_visible()
    opened.page.goto(opened.page.url + "#claim-eq-43")
    assert opened.page.locator("#claim-eq-43").is_visible(), "a link opens what it leads to"


# --- Paper --------------------------------------------------------------------------------

LONGEST_ON_PAPER = {"proposition_3_1": 17, "confidence": 20, "notation": 4}
"""Pages of A4. When every fold was opened for paper, the first two had 24 and 38."""
EMPTY_BOXES = """<!DOCTYPE html><title>boxes</title><style>@page {size: A4}
div {border: 1px solid; height: 240mm; background: #f3f4f5; break-after: page}</style>
<p>A line.</p><div></div><p>A line.</p><div></div><p>The end.</p>"""


def written(printed: bytes) -> list[float]:
    """For each page, the share of its rows in which something is written; borders do not count."""
    import numpy as np
    import pypdfium2

    shares = []
    for page in pypdfium2.PdfDocument(printed):
        grey = np.asarray(page.render(scale=0.75, grayscale=True).to_pil(), dtype=float)[40:-50]
        changes = np.abs(np.diff(grey, axis=1)) > 40
        rows = changes.sum(axis=1) > 6  # a box has two borders in a row, each of two changes
        # Rows between lines of text count as well: a gap is what is taller than a formula's.
        gap = np.convolve(rows, np.ones(61), mode="same") == 0
        shares.append(1 - float(gap.mean()))
    return shares


@pytest.mark.parametrize("name", LONGEST_ON_PAPER)
def test_a_chapter_on_paper(name: str, visit: Opener) -> None:
    opened = visit(f"book/{name}.html")
    shares = written(opened.page.pdf(prefer_css_page_size=True, print_background=True))
    assert len(shares) <= LONGEST_ON_PAPER[name]
    assert [share for share in shares[:-1] if share < 0.4] == []
    assert opened.wrong == []


def test_solutions_are_open_on_paper_and_folded_code_is_not(visit: Opener) -> None:
    page = visit("book/proposition_3_1.html").page
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.hide").count() > 0
    assert page.locator("details.hide").locator("visible=true").count() == 0
    solutions = page.locator(".bd-article details.sd-dropdown")
    assert solutions.count() > 0
    assert solutions.locator("visible=true").count() == solutions.count()
    assert all(box.get_attribute("open") is not None for box in solutions.all())


def test_an_empty_box_on_paper_is_seen(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "boxes.html").write_text(EMPTY_BOXES, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "boxes.html").as_uri())
    shares = written(page.pdf(prefer_css_page_size=True, print_background=True))
    page.close()
    assert min(shares) < 0.2


def test_the_book_as_one_pdf(tmp_path: Path) -> None:
    """Two chapters: numbered, bookmarked, and a link between them leads into the file."""
    from pypdf import PdfReader

    made, tool = tmp_path / "book.pdf", ROOT / "book" / "_tools" / "pdf.py"
    subprocess.run([sys.executable, tool, made, "--only", "lemma_3_2", "notation"], check=True)
    reader = PdfReader(made)
    count = len(reader.pages)
    assert count > 5
    assert reader.pages[3].extract_text().strip().endswith("4"), "its number stands at its foot"
    titles = [item.title for part in reader.outline if isinstance(part, list) for item in part]
    assert titles == ["Notation", "2. Lemma 3.2: one vector, three derivatives"], "in the book's order"
    links = [a.get_object() for page in reader.pages for a in page.get("/Annots", [])]
    within = [link for link in links if "/Dest" in link]
    assert len(within) > 10
    assert not [link for link in links if "file:" in str(link.get("/A", ""))], "no link to this machine"
    goals = {reader.get_page_number(link["/Dest"][0].get_object()) for link in within}
    assert goals <= set(range(count))
    assert max(goals) > 3


class Sliding:
    """One slider on an open page: its control, and the picture below it."""

    def __init__(self, page: Any, box: Any) -> None:
        self.page = page
        self.control = box.locator("input[type=range]")
        self.picture = box.locator(".frame svg[role=img]").locator("visible=true")

    def look(self) -> tuple[str, str, str]:
        """What is shown: the picture's pixels, its text, and the value in words."""
        pixels = self.picture.screenshot().hex()
        return pixels, self.picture.get_attribute("aria-label"), self.control.get_attribute("aria-valuetext")

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
<p id="twice" class="math"><mjx-container tabindex="0"><b style="color: red">x</b></mjx-container></p>
<p id="twice"><mjx-merror>x</mjx-merror></p>
<div class="bd-article"><table style="width: 900px"><tr><td>1<td>2
<td>A meaning told in more than forty characters.
</table></div><main><div style="width: 900px">wide</div></main>"""


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
        assert opened.page.evaluate(DOUBLE_IDS) == ["an id twice: twice"]
        assert len(opened.page.evaluate(STOPS)) == 1
        assert [wrong.partition(":")[0] for wrong in opened.page.evaluate(HIDDEN_COLUMNS)] == [
            "a table is cut",
            "a column of words is hidden",
        ]
        assert opened.page.evaluate(WIDE)


def test_a_table_of_results_is_filtered_and_says_how_many_rows_are_left(visit: Opener) -> None:
    page = visit("book/stored_results.html").page
    table = page.locator("table[data-filters]").first
    page.locator("details.page-table:has(table[data-filters]) summary").first.click()
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
        for fold in page.locator("details.page-table summary").all():
            fold.click()
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


def test_a_narrow_table_of_results_stays_one_on_a_phone(visit: Opener) -> None:
    page = visit("book/paper_and_ours.html", **PHONE).page
    for name, beside in ((".narrow", True), (":not(.narrow)", False)):
        first, second = (
            page.locator(f"table.stacked{name}").first.locator("tbody tr").first.locator("> *").all()[:2]
        )
        assert (first.bounding_box()["y"] == second.bounding_box()["y"]) is beside


def test_a_formula_of_the_errata_that_is_cut_shows_that_it_scrolls(visit: Opener) -> None:
    page = visit("book/errata.html", **PHONE).page
    cut = """(formula) => [...formula.querySelectorAll("mjx-math")].some(
      (part) => part.getBoundingClientRect().right > formula.getBoundingClientRect().right + 1)"""
    formulas = [
        (f.evaluate(cut), f.evaluate("(f) => f.matches('.more-right')"))
        for f in page.locator(".formula").all()
    ]
    assert any(is_cut for is_cut, _ in formulas) and not all(is_cut for is_cut, _ in formulas)
    assert all(fades or not is_cut for is_cut, fades in formulas)


def test_a_number_in_the_prose_is_no_heavier_than_its_sentence(visit: Opener) -> None:
    page = visit("book/confidence.html").page
    weights = page.evaluate(
        """() => [...document.querySelectorAll("p > span.pasted-text")].map(
          (part) => [getComputedStyle(part).fontWeight, getComputedStyle(part.parentElement).fontWeight])"""
    )
    assert weights and all(own == around for own, around in weights)
