"""Pieces of the formal proofs' pages, made from files, pairs and record.

A file of Coq's has one page: a section for each claim whose first theorem stands in it, with the claim beside
the theorem, and below these the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from docutils import nodes
from sphinx.builders import Builder

from regrob.claims.formal import AXIOMS, FormalProof, Proofs, Term, file_of

from .markup import SUBSCRIPT, Link, anchor, badge, capital, math, place_and_title, statement, subscripted
from .records import Record

PAGES = "book/formal/"
"""Where the pages lie, each under the name of its file."""
EXPLAINED = "book/how_proofs_are_checked"
"""The page that says what the axioms are."""
PHRASE = re.compile(r"\$([^$]+)\$|`([^`]+)`")
Highlight = Callable[[str], str]
"""From Coq's code to HTML."""


def claims_of(proofs: Proofs, file: str) -> list[str]:
    """The claims whose first theorem stands in the file."""
    return [
        claim for claim, pair in proofs.pairs.items() if pair.theorems and file_of(pair.theorems[0]) == file
    ]


def opening(text: str) -> str:
    """What the comment at the head of a file says of it."""
    comment = re.match(r"\s*\(\*(.*?)\*\)", text, re.DOTALL)
    return " ".join(comment[1].split()) if comment else ""


def with_subscripts(words: str) -> list[nodes.Node]:
    """Words in which p_y has a true subscript."""
    made: list[nodes.Node] = []
    end = 0
    for index in SUBSCRIPT.finditer(words):
        below = index[1] or index[2]
        made += [nodes.Text(words[end : index.start()]), nodes.subscript("", below)]
        end = index.end()
    return [*made, nodes.Text(words[end:])]


def source(proofs: Proofs, file: str) -> list[nodes.Node]:
    """A file in blocks, so that a link can lead to each definition, and to each theorem that a pair names."""
    named = {name for pair in proofs.pairs.values() for name in pair.named if file_of(name) == file}
    places = [(*proofs.span(name), (name,)) for name in named]
    places += [
        (term.start, term.start + len(term.code), tuple(f"{file}.{name}" for name in term.names))
        for term in proofs.definitions(file)
    ]
    text, at = proofs.files[file], 0
    blocks: list[nodes.Node] = []
    for start, end, names in sorted(places):
        blocks += [_block(text[at:start]), _block(text[start:end], names)]
        at = end
    return [block for block in (*blocks, _block(text[at:])) if block.astext()]


def _block(code: str, names: tuple[str, ...] = ()) -> nodes.literal_block:
    lines = code.strip("\n")
    return nodes.literal_block(lines, lines, language="coq", ids=list(names))


def linker(builder: Builder, page: str) -> Link:
    """From a claim's id to the address of its formal proof, seen from a page."""
    env = builder.env
    ledger: dict[str, Record] = env.app.regrob_records  # type: ignore[attr-defined]

    def link(claim: str) -> str | None:
        proof = ledger[claim]["formal"]
        document = PAGES + file_of(proof["theorems"][0]) if proof else ""
        return (
            f"{builder.get_relative_uri(page, document)}#proof-{claim}"
            if document in env.found_docs
            else None
        )

    return link


def theorem_linker(builder: Builder, page: str) -> Link:
    """From a theorem's name to the address of its text, seen from a page."""

    def link(theorem: str) -> str | None:
        document = PAGES + file_of(theorem)
        if document not in builder.env.found_docs:
            return None
        return f"{builder.get_relative_uri(page, document) if document != page else ''}#{theorem}"

    return link


def axioms_address(builder: Builder, page: str) -> str | None:
    """Where the axioms are told in words, seen from a page."""
    known = EXPLAINED in builder.env.found_docs
    return f"{builder.get_relative_uri(page, EXPLAINED)}#axioms" if known else None


def highlighted(builder: Builder, code: str) -> str:
    """Coq's code in colours, as Sphinx writes a block of code."""
    block = builder.highlighter.highlight_block(code, "coq")  # type: ignore[attr-defined]
    return f'<div class="highlight-coq notranslate">{block}</div>'


def prose(text: str) -> str:
    """Escaped words with their formulas in $…$ and their names in `…`."""
    shown, end = "", 0
    for match in PHRASE.finditer(text):
        shown += escape(text[end : match.start()])
        shown += math(match[1]) if match[1] else f"<code>{escape(match[2])}</code>"
        end = match.end()
    return shown + escape(text[end:])


def claim_html(
    record: Record,
    proof: FormalProof,
    link: Link,
    *,
    theorem: Link,
    axioms: str | None,
    highlight: Highlight,
) -> str:
    """A claim and its formal proof.

    Args:
        record: the claim's.
        proof: its theorems, and what Coq says of them.
        link: leads to the claim's statement in its chapter.
        theorem: leads to a theorem's text.
        axioms: the address of what they say in words.
        highlight: colours Coq's code.
    """
    pair, proofs = proof.pair, proof.proofs

    def shown(names: tuple[str, ...]) -> str:
        return "".join(
            f'<div class="coq-theorem"><p>{anchor(f"<code>{escape(name)}</code>", theorem(name))}</p>'
            f"{highlight(proofs.recorded(name).get('statement', ''))}</div>"
            for name in names
        )

    chapter = anchor("in its chapter", link(record["id"]))
    html = (
        f'<p class="claim-foot">{badge(record)} <code>{escape(record["id"])}</code> {chapter}</p>'
        f"<h3>The claim</h3>{statement(record)}"
        f"<h3>What Coq has proved</h3>{shown(pair.theorems)}"
        f"<h3>How the theorem is the claim</h3><p>{prose(pair.reading)}</p>"
        f"{_words(proofs.glossary((*pair.theorems, *filter(None, [pair.negation]))), theorem, highlight)}"
        f"<h3>What it does not say</h3><p>{prose(pair.omits) or 'Nothing of the claim is left out.'}</p>"
    )
    if pair.negation:
        html += f"<h3>The printed statement is refuted</h3>{shown((pair.negation,))}"
    if pair.instance:
        html += f"<h3>Its hypotheses can be met</h3>{shown((pair.instance,))}"
    rejected = "".join(
        f"<li>{escape(capital(wrong.what))}: <code>{escape(wrong.by)}</code> in the place of "
        f"<code>{escape(wrong.replace)}</code>. Coq: <q>{escape(said)}</q></li>"
        for wrong in pair.wrong
        if (said := proofs.recorded_wrong(wrong, pair.claim).get("error"))
    )
    return html + (
        f"<h3>Wrong variants that Coq rejects</h3><ul>{rejected}</ul>"
        f"<h3>What it assumes</h3><p>{_assumptions(proof.axioms, axioms)}</p>"
    )


def _words(terms: list[Term], place: Link, highlight: Highlight) -> str:
    """The glossary of a theorem, folded: many theorems use the same words."""
    entries = ""
    for term in terms:
        names = [anchor(f"<code>{escape(n)}</code>", place(f"{term.file}.{n}")) for n in term.names]
        meaning = subscripted(capital(term.meaning)) if term.meaning else highlight(term.code)
        entries += f"<dt>{', '.join(names)}</dt><dd>{meaning}</dd>"
    return (
        f'<details class="glossary"><summary>The words of the theorem</summary><dl>{entries}</dl></details>'
    )


def _assumptions(axioms: list[str], address: str | None) -> str:
    if not axioms:
        return "Nothing: Coq proves it without any axiom."
    names = ", ".join(anchor(f"<code>{escape(axiom.rpartition('.')[2])}</code>", address) for axiom in axioms)
    return f"{names}, on which Coq’s real numbers rest, and no other axiom."


def claims_html(ledger: dict[str, Record], proof: Link) -> str:
    """Every formally proved claim with its theorems, in the ledger's order."""
    rows = "".join(
        f'<tr><th scope="row">{anchor(subscripted(place_and_title(r)), proof(r["id"]))}</th>'
        f"<td>{badge(r)}</td>"
        f"<td>{', '.join(f'<code>{escape(name)}</code>' for name in r['formal']['theorems'])}</td></tr>"
        for r in ledger.values()
        if r["formal"]
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Claim", "Verdict", "Theorems"))
    return (
        '<div class="table-wrap"><table class="table stacked formal-claims">'
        "<caption>The claims that are formally proved</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def axioms_html() -> str:
    """The axioms that a proof may use, in words."""
    entries = "".join(
        f"<dt><code>{escape(name.rpartition('.')[2])}</code></dt><dd>{escape(says)}</dd>"
        for name, says in AXIOMS.items()
    )
    return f'<dl id="axioms">{entries}</dl>'
