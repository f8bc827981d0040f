"""Cells that run in the browser: on built pages, in Chromium and in Firefox, against what the build showed.

Skipped where there is no built book or no browser, as `test_browser` says.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from test_browser import HTML, Opener, Visit, _everything_is_here, launched, missing, site, visit  # noqa: F401

LIVE = HTML / "_static" / "live"
PAGES = sorted(
    str(path.relative_to(LIVE / "pages").with_suffix(".html"))
    for path in LIVE.rglob("pages/**/*.json")
    if None in json.loads(path.read_text("utf-8"))["steps"]  # a cell; others have claims only
)
PROOF = "book/proposition_3_1.html"
MOST = 11_000_000
"""Bytes of a first run, as a server sends them."""
HEAVIEST_BINDING = 1_600
"""Bytes of script, as sent, on a page on which nobody runs anything."""
WARM = 3.0
PATIENCE = 120_000  # milliseconds; several browsers share the machine

pytestmark = pytest.mark.browser

# What a cell shows before MathJax sets it: the text of the built page, and of what ran here.
RECORD = """() => {
  window.came = [];
  document.addEventListener("live-done", (event) => {
    const cell = event.target;
    window.came.push([cells.indexOf(cell), event.detail.ok, cell.querySelector(".live-output").textContent]);
  });
  const cells = [...document.querySelectorAll(".live-cell")];
}"""
BUILT = """async () => {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  return [...page.querySelectorAll(".live-cell")].map((cell) =>
    cell.matches(".tag_nbval-ignore-output") ? null
      : [...cell.querySelectorAll(".cell_output")].map((part) => part.textContent).join(""));
}"""


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, _everything_is_here: None) -> Iterator[Any]:  # noqa: F811
    """What the pages are opened in."""
    yield from launched(request.param)


@pytest.fixture(autouse=True)
def _cells_are_live() -> None:
    if not PAGES:
        missing("the book was built without live cells")


class Cells:
    """The live cells of an opened page."""

    def __init__(self, opened: Visit) -> None:
        self.opened, self.page = opened, opened.page
        self.page.evaluate(RECORD)

    def count(self) -> int:
        return int(self.page.locator(".live-cell").count())

    def press(self, cell: int, button: str) -> None:
        """By script: a cell may lie in a fold."""
        self.page.locator(".live-cell").nth(cell).locator(f"button[aria-label^='{button}']").evaluate(
            "button => button.click()"
        )

    def note(self, cell: int) -> str:
        return str(self.page.locator(".live-cell").nth(cell).locator(".live-note").text_content())

    def wait(self, cell: int, words: str = "^(ran|failed|not run|stopped|Python)") -> str:
        self.page.wait_for_function(
            "([cell, words]) => new RegExp(words).test("
            "document.querySelectorAll('.live-cell')[cell].querySelector('.live-note')?.value)",
            arg=[cell, words],
            timeout=PATIENCE,
        )
        return self.note(cell)

    def run(self, cell: int) -> str:
        self.press(cell, "Run")
        return self.wait(cell)

    def output(self, cell: int) -> str:
        return str(self.page.locator(".live-cell").nth(cell).locator(".live-output").text_content())

    def write(self, cell: int, code: str) -> None:
        """Replace the code of a cell in its editor, by keyboard."""
        block = self.page.locator(".live-cell").nth(cell)
        block.evaluate("cell => cell.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        self.press(cell, "Edit")
        editor = block.locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Delete")  # else Firefox leaves an empty line before what is inserted
        self.page.keyboard.insert_text(code)

    def find(self, words: str) -> int:
        """The place of the first cell whose code has these words."""
        codes = self.page.locator(".live-cell").evaluate_all(
            "cells => cells.map((cell) => cell.querySelector('.cell_input').textContent)"
        )
        return next(place for place, code in enumerate(codes) if words in code)


def words(text: str) -> str:
    """Without the frames of formulas; Sphinx wraps those with several rows in one more."""
    text = text.replace(r"\begin{split}", "").replace(r"\end{split}", "")
    return " ".join(text.replace(r"\[", " ").replace(r"\]", " ").split())


@pytest.mark.parametrize("name", PAGES)
def test_cells_show_what_the_build_showed(name: str, visit: Opener) -> None:  # noqa: F811
    opened = visit(name)
    cells = Cells(opened)
    note = cells.run(cells.count() - 1)
    came = {place: (ok, text) for place, ok, text in opened.page.evaluate("window.came")}
    assert note.startswith("ran here in"), came
    assert sorted(came) == list(range(cells.count()))
    for place, built in enumerate(opened.page.evaluate(BUILT)):
        ok, text = came[place]
        assert ok
        assert built is None or words(text) == words(built), f"cell {place + 1}"
    assert opened.wrong == []


def test_nothing_is_fetched_before_the_first_click(visit: Opener) -> None:  # noqa: F811
    opened = visit(PROOF)
    asked = opened.page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    live = [name.partition("?")[0].rpartition("/")[2] for name in asked if "/live/" in name]
    assert live == ["live.js"]
    assert sum(len(gzip.compress((LIVE / name).read_bytes())) for name in live) < HEAVIEST_BINDING


def test_a_first_run_is_light_and_soon_done(visit: Opener) -> None:  # noqa: F811
    fetched = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "python.zip.zst")
    assert sum(len(gzip.compress((LIVE / name).read_bytes(), 9)) for name in fetched) < MOST
    cells = Cells(visit(PROOF))
    cells.run(0)
    cells.write(0, "while True: pass")
    cells.press(0, "Run")
    cells.wait(0, "^running")
    cells.press(0, "Stop")
    assert cells.note(0).startswith("stopped")
    start = time.monotonic()
    cells.press(0, "Reset")
    assert cells.run(0).startswith("ran")
    assert time.monotonic() - start < WARM * 3  # a busy machine; the page itself says seconds


def test_edited_code_runs_and_reset_brings_the_cell_back(visit: Opener) -> None:  # noqa: F811
    opened = visit(PROOF)
    cells = Cells(opened)
    shown = opened.page.locator(".live-cell").nth(1).locator(".cell_output").first
    cells.write(1, "print(6 * 7)")
    assert cells.run(1).startswith("ran")
    assert cells.output(1) == "42\n" and not shown.is_visible()
    opened.page.keyboard.press("Control+z")  # the editor kept the focus
    cells.press(1, "Reset")
    assert not opened.page.locator(".cm-editor").count()
    assert cells.run(1).startswith("ran")
    assert "42" not in cells.output(1)
    assert opened.wrong == []


def test_a_change_reaches_the_cells_after_it_and_none_before(visit: Opener) -> None:  # noqa: F811
    cells = Cells(visit(PROOF))
    cells.write(0, "marker = 1")
    cells.write(1, "print(marker)\nmarker = 2")
    cells.run(1)
    assert cells.output(1) == "1\n"
    cells.run(1)  # again, from what the cell before it left
    assert cells.output(1) == "1\n"
    cells.write(0, "marker = 5")
    cells.run(1)
    assert cells.output(1) == "5\n"


def test_a_broken_proof_fails_in_words(visit: Opener) -> None:  # noqa: F811
    opened = visit(PROOF)
    cells = Cells(opened)
    cells.write(
        0, "import sympy as sp\nfrom regrob.symbols import prove_zero\nx = sp.Symbol('x')\nprove_zero(x - 1)"
    )
    assert cells.run(0).startswith("failed")
    assert "The proof fails: not proved zero; what is left is x - 1." in cells.output(0)
    assert "line 4: prove_zero(x - 1)" in cells.output(0)
    cells.press(1, "Run")
    assert cells.wait(1, "^not run") == "not run, since cell 1 failed"
    assert opened.wrong == []


ERRORS = {
    "1 +": "Python cannot read line 1",
    "assert 1 == 2": "What is asserted is false.",
    "def f(): return f()\nf()": "A function calls itself without end.",
    "while True: print('again')": "printed more than",
    "import torch": "ModuleNotFoundError",
}


def test_errors_are_said_in_words(visit: Opener) -> None:  # noqa: F811
    cells = Cells(visit(PROOF))
    for code, said in ERRORS.items():
        cells.write(0, code)
        assert cells.run(0).startswith("failed")
        assert said in cells.output(0)


REACHES = [
    "from js import fetch",
    "from pyodide.http import open_url\nopen_url('{site}index.html')",
    "from pyodide.code import run_js\nrun_js('1 + 1')",
    "import urllib.request\nurllib.request.urlopen('{site}index.html').read()",
]


def test_a_cell_reaches_no_network(visit: Opener, site: str) -> None:  # noqa: F811
    opened = visit(PROOF)
    cells = Cells(opened)
    cells.run(0)
    asked: list[str] = []
    opened.page.on("request", lambda request: asked.append(request.url))
    for code in REACHES:
        cells.write(0, code.replace("{site}", site))
        assert cells.run(0).startswith("failed"), code
    assert not [address for address in asked if "live" not in address]


def test_an_exercise_is_judged_on_the_page(visit: Opener) -> None:  # noqa: F811
    cells = Cells(visit("book/lemma_3_2.html"))
    place = cells.find("check_answer(answer")
    cells.run(place)
    assert cells.output(place) == "not answered yet\n"
    cells.write(place, "p = sp.Symbol('p')\ncheck_answer([0.5, 2.2], expected)")
    cells.run(place)
    assert cells.output(place).startswith("not yet: ")
    cells.write(place, "check_answer([1 / 2, 2.25], expected)")
    cells.run(place)
    assert cells.output(place) == "right\n"


@pytest.mark.parametrize(
    ("page", "function", "right", "nearly"),
    [
        ("four_penalties", "chain_values", "[0.2, 4 / 5, 2.5]", "[0.2, 0.8, 2.501]"),  # defined in the cell
        ("lemma_4_1", "expected", "[-5 / 4, 27 / 16]", "[5 / 4, 27 / 16]"),  # in an earlier one
    ],
)
def test_an_exercise_computed_with_torch_is_judged_on_the_page(
    page: str,
    function: str,
    right: str,
    nearly: str,
    visit: Opener,  # noqa: F811
) -> None:
    opened = visit(f"book/{page}.html")
    cells = Cells(opened)
    place = cells.find(f"check_answer(answer, {function}")
    code = str(opened.page.locator(".live-cell").nth(place).locator(".cell_input pre").text_content())
    assert code.count("answer = None") == 1
    for answer, said in ((nearly, "not yet: 1 of "), (right, "right\n")):
        cells.write(place, code.replace("answer = None", f"answer = {answer}"))
        assert cells.run(place).startswith("ran")
        assert cells.output(place).startswith(said)
    assert opened.wrong == []


def test_the_ledger_is_verified_by_the_browser(visit: Opener) -> None:  # noqa: F811
    opened = visit("book/ledger.html")
    place = opened.page.locator(".live-ledger")
    if not place.count():
        pytest.skip("the ledger of this build cannot be read without torch")
    button = place.get_by_role("button", name="Let my browser verify it")
    rows_begin = opened.page.locator("ul.claims").bounding_box()["y"]
    assert button.bounding_box()["y"] < rows_begin, "above the rows, where a reader sees it"
    button.click()
    opened.page.wait_for_function(
        "() => / in \\d+ s/.test(document.querySelector('.live-ledger output')?.value) "
        "&& document.querySelector('.live-ledger output')?.value.includes('Left out')",
        timeout=2 * PATIENCE,
    )
    note = str(place.locator("output").evaluate("output => output.value"))
    good, judged, left_out = map(int, re.findall(r"(\d+) of (\d+) claims .* Left out: (\d+)", note)[0])
    records = json.loads((HTML / "claims.json").read_text("utf-8"))
    assert good == judged > 100 and judged + left_out == len(records)
    verdicts = {record["id"]: record["verdict"] for record in records}
    rows = opened.page.evaluate(
        "() => [...document.querySelectorAll('ul.claims > li')].map((row) => "
        "[row.querySelector('.claim').id, row.querySelector('.live-verified')?.textContent ?? ''])"
    )
    said = {name.removeprefix("claim-"): words for name, words in rows if words}
    assert len(said) == judged
    assert all(words.startswith(f"{verdicts[name]}: verified here") for name, words in said.items())
    assert opened.wrong == []


def judged(page: Any, place: Any) -> str:
    """What the note beside a claim's buttons says at the end."""
    page.wait_for_function(
        "note => /verified here|Python stopped|did not/.test(note.value)",
        arg=place.locator("output").first.element_handle(),
        timeout=PATIENCE,
    )
    return str(place.locator("output").first.evaluate("note => note.value"))


def test_one_claim_is_verified_beside_its_badge(visit: Opener) -> None:  # noqa: F811
    for page, name, verdict in (
        (PROOF, "prop-3.1", "holds"),
        ("book/four_penalties.html", "chain-binary", "partly"),
    ):
        opened = visit(page)
        place = opened.page.locator(f".live-claim[data-claim='{name}']")
        place.get_by_role("button", name="Verify it here").click()
        assert judged(opened.page, place).startswith(f"{verdict}: verified here, ")
        assert opened.wrong == []


def test_a_claims_proof_is_opened_and_broken(visit: Opener) -> None:  # noqa: F811
    opened = visit("book/ledger.html#claim-prop-3.1")
    place = opened.page.locator("#claim-prop-3\\.1 .live-bar").first
    place.get_by_role("button", name="Open its proof").click()
    cells = Cells(opened)
    opened.page.wait_for_selector(".cm-content")
    assert cells.run(0).startswith("ran here in")
    code = json.loads((LIVE / "claims" / "prop-3.1.json").read_text("utf-8"))["code"]
    cells.write(0, code.replace("q * nu * rho +", "q * nu * rho -"))
    assert cells.run(0).startswith("failed")
    assert "The proof fails: not proved zero: the quadratic model reaches β" in cells.output(0)
    cells.press(0, "Reset")
    assert cells.run(0).startswith("ran here in")
    place.get_by_role("button", name="Verify it here").click()
    assert judged(opened.page, place).startswith("holds: verified here")
    assert opened.wrong == []


def test_on_a_telephone(visit: Opener) -> None:  # noqa: F811
    opened = visit(PROOF, viewport={"width": 390, "height": 844}, has_touch=True)
    cells = Cells(opened)
    assert cells.run(1).startswith("ran")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.page.evaluate(wide) <= 1
    cells.write(1, "print('x' * 500)")
    cells.run(1)
    assert opened.page.evaluate(wide) <= 1
    heights = opened.page.locator(".live-bar button:visible").evaluate_all(
        "buttons => buttons.map((button) => button.getBoundingClientRect().height)"
    )
    assert min(heights) >= 43
    assert opened.wrong == []


def test_pages_without_scripts_or_a_server_say_why(browser: Any, site: str) -> None:  # noqa: F811
    if browser.browser_type.name == "chromium":  # Firefox cannot be told to leave scripts out
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(site + PROOF)
        assert page.locator(".live-why").first.text_content().startswith("With scripts switched on")
        assert not page.locator(".live-bar").count()
        context.close()
    page = browser.new_page()
    page.goto((HTML / PROOF).as_uri())
    assert "opened from a file" in page.locator("p.live-why:visible").text_content()
    assert not page.locator(".live-bar").count()
    page.close()


def test_pages_name_what_a_browser_runs() -> None:
    for path in (LIVE / "pages").rglob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        page = (HTML / path.relative_to(LIVE / "pages").with_suffix(".html")).read_text("utf-8")
        assert content["steps"].count(None) == len(re.findall(r'<div class="cell[^"]*\blive-cell\b', page))
        assert "torch" not in "".join(filter(None, content["steps"]))
