"""The pages' policy: scripts lie in files, and a browser runs no other."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("myst_nb")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from regrob_book import policy  # noqa: E402
from test_browser import HTML, PAGES, Opener, _everything_is_here, browser, site, visit  # noqa: E402, F401

PAGE = """<head><meta charset="utf-8" /></head><body><script>let a = 1;</script>
<script type="application/json">{"a": 1}</script><script src="b.js"></script><script></script>
<button onclick="window.print()">print</button><p>A letter like onclick="this" stays.</p></body>"""


def test_scripts_move_to_files_and_data_stay(tmp_path: Path) -> None:
    page, unknown = policy.without_inline(PAGE, "../_static", tmp_path / "scripts")
    (moved,) = (tmp_path / "scripts").iterdir()
    assert moved.read_text() == "let a = 1;"
    assert f'<script src="../_static/{policy.FOLDER}/{moved.name}"></script>' in page
    for kept in ('<script type="application/json">{"a": 1}</script>', '<script src="b.js"></script>'):
        assert kept in page
    assert '<button data-press="print">' in page and 'A letter like onclick="this" stays.' in page
    assert unknown == []


def test_the_same_script_lies_in_one_file(tmp_path: Path) -> None:
    for _ in range(2):
        policy.without_inline(PAGE, "_static", tmp_path)
    policy.without_inline(PAGE.replace("a = 1", "a = 2"), "_static", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_line_of_script_without_a_file_is_named(tmp_path: Path) -> None:
    page = '<a class="b" onclick="unheard()">x</a>'
    assert policy.without_inline(page, "_static", tmp_path) == (page, ["unheard()"])


@pytest.mark.browser
def test_no_built_page_holds_a_script() -> None:
    for name in PAGES:
        page = (HTML / name).read_text("utf-8")
        assert policy.META in page, name
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
        inline = [
            code for attributes, code in scripts if code.strip() and not policy.NO_SCRIPT.search(attributes)
        ]
        assert inline == [] and not policy.EVENT.search(page), name


# Code as text in a timer is what a browser's own tools do not exempt from the policy.
INJECT = """async () => {
  const script = document.createElement("script");
  script.textContent = "window.injected = true";
  document.body.append(script);
  setTimeout("window.evaluated = true", 0);
  await new Promise((done) => setTimeout(done, 100));
  return [window.injected === true, window.evaluated === true];
}"""


@pytest.mark.browser
def test_a_browser_runs_nothing_else(visit: Opener) -> None:  # noqa: F811
    opened = visit("book/lemma_3_1.html")
    assert opened.page.evaluate(INJECT) == [False, False]


@pytest.mark.browser
def test_the_themes_buttons_work_all_the_same(visit: Opener) -> None:  # noqa: F811
    opened = visit("book/lemma_3_1.html")
    opened.page.evaluate("() => { window.print = () => { window.pressed = 'print'; }; }")
    opened.page.locator("[data-press=print]").evaluate("button => button.click()")
    assert opened.page.evaluate("window.pressed") == "print"
    opened.page.evaluate("() => { window.toggleFullScreen = () => { window.pressed = 'full screen'; }; }")
    opened.page.locator("[data-press=full-screen]").first.evaluate("button => button.click()")
    assert opened.page.evaluate("window.pressed") == "full screen"
    assert opened.wrong == []
