"""What surrounds a chapter, piece by piece: captions, plain formulas, the index, the report of an error."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

pytest.importorskip("myst_nb")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book" / "_ext"))
from regrob_book import book_index, captions, head_and_foot, link_titles, plain, typography


@pytest.mark.parametrize(
    ("tex", "words"),
    [
        (r"\nu^2/2", "ν²/2"),
        (r"\ell_\infty", "ℓ∞"),
        (r"\lVert\mathbf r^*\rVert_2", "‖r*‖₂"),
        (r"\lambda", "λ"),
        (r"\frac12", None),
        (r"V_{ij}", None),
    ],
)
def test_a_short_formula_in_plain_signs(tex: str, words: str | None) -> None:
    assert plain.of_formula(tex) == words


def table(header: list[str]) -> nodes.table:
    row = nodes.row("", *(nodes.entry("", nodes.paragraph("", word)) for word in header))
    return nodes.table("", nodes.tgroup("", nodes.thead("", row), nodes.tbody(), cols=len(header)))


def said(made: list[nodes.Node]) -> str:
    return "".join(node.astext() for node in made)


def test_a_table_is_captioned_by_what_stands_above_it() -> None:
    section = nodes.section("", nodes.title("", "A heading"))
    bold = nodes.paragraph("", "", nodes.strong("", "Notation used here"))
    first, second, third = table(["symbol"]), table(["held?", "statement"]), table(["network", "share"])
    section += [bold, first, nodes.paragraph("", "Text."), second, third]
    assert said(captions.caption_of(first)) == "Notation used here"
    assert bold not in section.children
    assert said(captions.caption_of(second)) == captions.BY_FIRST_HEADER["held?"]
    assert said(captions.caption_of(third)) == "A heading"


def test_tables_called_the_same_are_told_apart_by_their_columns() -> None:
    section = nodes.section("", nodes.title("", "Races"))
    tables = [table(["", "accuracy"]), table(["", "distance"])]
    for each in tables:
        section += each
        each.insert(0, nodes.title("", "", *captions.caption_of(each)))
    captions.tell_apart(tables)
    assert [each[0].astext() for each in tables] == ["Races: accuracy", "Races: distance"]


@pytest.mark.parametrize(
    ("html", "kind", "words"),
    [
        (
            "<table><tr><th>Claim</th></tr></table>",
            captions.CaptionedTable,
            captions.BY_FIRST_HEADER["claim"],
        ),
        ("<table><caption>Its own</caption><tr><td>1</td></tr></table>", captions.CaptionedTable, "Its own"),
        ('<figure class="living"><script></script></figure>', captions.CaptionedFigure, "Given"),
        ('<div class="regrob-slider"></div>', captions.CaptionedFigure, "Given"),
    ],
)
def test_what_a_cell_shows_is_captioned(html: str, kind: type, words: str) -> None:
    metadata = {"mystnb": {"figure": {"caption": "Given"}}} if words == "Given" else {}
    raw = nodes.raw("", html, format="html")
    nodes.container("", raw, nb_element="cell_code", cell_metadata=metadata)
    made = captions.captioned(raw)
    assert type(made) is kind
    assert made.children[1].astext() == words
    whole = made.children[0].astext() + made.children[2].astext()
    assert whole.count("<table") == html.count("<table")
    assert "caption" not in whole


def test_other_html_is_left_alone() -> None:
    assert captions.captioned(nodes.raw("", "<p>No table.</p>", format="html")) is None


def test_the_index_takes_the_first_words_of_a_meaning() -> None:
    entry = nodes.entry(
        "", nodes.paragraph("", "", nodes.Text("the local linear map: column "), nodes.math("", "v"))
    )
    assert book_index._first_words(entry) == "local linear map"


@pytest.mark.parametrize("address", ["", "https://git.example.org/a/"])
def test_reports_lead_to_a_repository_only_where_the_builder_names_one(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROB_REPOSITORY_URL", address)
    form = head_and_foot.report("book/lemma_3_2", "Lemma 3.2")
    assert "Lemma 3.2 (book/lemma_3_2, version" in form
    assert ('href="https://git.example.org/a/issues/new?' in form) == bool(address)
    assert "//" not in form.replace(address.rstrip("/"), "") or address


def test_marks_are_letters_of_the_page_and_a_number_keeps_its_sign() -> None:
    first, text, last = typography.in_type("✅ of 95 % and 5 percent ❔\N{VARIATION SELECTOR-16}")
    assert [(part.astext(), part["classes"]) for part in (first, last)] == [
        ("✓", ["mark", "holds"]),
        ("?", ["mark", "open"]),
    ]
    assert text == " of 95\N{NO-BREAK SPACE}% and 5 percent "
    assert typography.in_type("nothing to set") == ["nothing to set"]


def test_code_and_formulas_are_set_as_they_are() -> None:
    paragraph = nodes.paragraph(
        "",
        "",
        nodes.literal("", "5 % ✅"),
        nodes.doctest_block("", "5 % ✅"),
        nodes.math("5 %", "5 %"),
        nodes.Text("5 %"),
    )
    document = nodes.document(None, None, "", paragraph)
    app = SimpleNamespace(builder=SimpleNamespace(format="html"))
    typography.set_type(app, document, "page")
    assert [part.astext() for part in paragraph.children] == [
        "5 % ✅",
        "5 % ✅",
        "5 %",
        "5\N{NO-BREAK SPACE}%",
    ]


def test_a_caption_of_a_table_has_letters_for_formulas_and_one_of_a_figure_the_formulas() -> None:
    metadata = {"mystnb": {"figure": {"caption": r"What $\lambda$ does"}}}
    for opening, kind in (("<table>", nodes.Text), ('<figure class="living">', nodes.math)):
        cell = nodes.container(nb_element="cell_code", cell_metadata=metadata)
        cell += nodes.raw("", f"{opening}<tr><td>1</td></tr>", format="html")
        made = captions.captioned(cell[0])
        assert isinstance(made[1][1], kind)
        assert ("λ" in made[1].astext()) == (kind is nodes.Text)
    unsayable = [nodes.math("", r"\widehat x")]
    assert captions.in_letters(unsayable) == unsayable
    authored = nodes.table("", nodes.title("", "", nodes.Text("At the best "), nodes.math("", r"\lambda")))
    page = nodes.document(None, None, "", authored)
    captions.give(SimpleNamespace(env=SimpleNamespace(docname="book/page")), page)
    assert authored[0].astext() == "At the best λ"
    assert not list(authored[0].findall(nodes.math))


def test_a_link_to_a_heading_with_a_formula_is_named_without_tex() -> None:
    title = nodes.title("", "", nodes.Text("Is "), nodes.math("", r"\nu^2"), nodes.Text(" less?"))
    unsayable = nodes.title("", "", nodes.math("", r"\widehat x"))
    env = SimpleNamespace()
    app = SimpleNamespace(env=env)
    link_titles.collect(
        app, nodes.document(None, None, "", nodes.section("", title), nodes.section("", unsayable))
    )
    assert link_titles.titles(env) == {r"Is \nu^2 less?": "Is ν² less?"}
    named = nodes.reference("", "", nodes.inline("", r"Is \nu^2 less?"), internal=True)
    outside = nodes.reference("", r"Is \nu^2 less?", refuri="")
    page = nodes.document(None, None, "", nodes.paragraph("", "", named, outside))
    link_titles.rename(app, page, "page")
    assert [link.astext() for link in (named, outside)] == ["Is ν² less?", r"Is \nu^2 less?"]
