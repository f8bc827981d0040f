"""HTML pieces made from records: pure functions of records and of a function that links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from html import escape

from .records import (
    BROKEN,
    FAILS,
    HOLDS,
    OPEN,
    PARTLY,
    SYMBOL,
    Record,
    brief,
    errata,
    grounds_in_words,
    verdict_in_words,
)

Link = Callable[[str], str | None]
"""The address of a claim's statement seen from the current page, or None if it has none yet."""

SPACE = re.compile(r"\\q?quad(?![a-zA-Z])\s*|\\ ")
DISPLAY = r"\displaystyle "  # fractions at their full size
COLON = re.compile(r"(?<=[^\s\\]): *(?=\\|\s|$)")  # that ends a phrase; TeX would put a space before it
# Of a symbol, not of a name in the code.
SUBSCRIPT = re.compile(r"(?<![A-Za-z0-9]{2})_(?:\{([^}]*)\}|([A-Za-z0-9]+|[∞*]))")
WORD = re.compile(r"[a-z]{2}|a ")  # not a symbol
LARGEST_DENOMINATOR = 20

CSS_CLASS = {HOLDS: "holds", FAILS: "fails", PARTLY: "partly", OPEN: "open", BROKEN: "broken"}


def math(tex: str) -> str:
    """A formula that MathJax renders."""
    return f'<span class="math notranslate nohighlight">\\({escape(tex)}\\)</span>'


def badge(record: Record) -> str:
    """Symbol, words and colour together."""
    verdict = record["verdict"]
    return (
        f'<span class="verdict {CSS_CLASS[verdict]}"><span aria-hidden="true">{SYMBOL[verdict]}</span>'
        f" {escape(verdict_in_words(record))}</span>"
    )


def anchor(text: str, address: str | None) -> str:
    """A link, or the bare text where there is nothing to link to."""
    return f'<a href="{escape(address)}">{text}</a>' if address else text


def inline(record: Record, link: Link) -> str:
    """The badge inside a sentence, linked to the statement."""
    name = f'<span class="visually-hidden">{escape(record["title"])}: </span>'
    return anchor(name + badge(record), link(record["id"]))


def strip(records: Sequence[Record], link: Link, ran: str, learnt: str) -> str:
    """What opens a chapter: its verdicts and its run in one line, which unfolds to the list."""
    items = "".join(
        f"<li>{anchor(subscripted(place_and_title(r)), link(r['id']))} {badge(r)}</li>" for r in records
    )
    line = " · ".join(filter(None, (brief(records), ran)))
    run = "Verdicts computed at this build." + (f" {learnt}." if learnt else "")
    return (
        f'<details class="claim-strip"><summary>{escape(line)}</summary>'
        f'<ul aria-label="Claims of this chapter">{items}</ul><p class="run">{escape(run)}</p></details>'
    )


def place_and_title(record: Record) -> str:
    """ "Proposition 3.1, Eqs. (8) and (20): the Taylor radius in closed form"."""
    return f"{capital(record['where'])}: {record['title']}"


def capital(words: str) -> str:
    """Words with a sentence's capital, unless it begins with a symbol."""
    return words[:1].upper() + words[1:] if WORD.match(words) else words


def subscripted(words: str) -> str:
    """Escaped words in which p_y and Σ_{i<j} have true subscripts."""
    return SUBSCRIPT.sub(lambda index: f"<sub>{index[1] or index[2]}</sub>", escape(words))


def foot(record: Record, ledger: str | None, proof: str | None = None) -> str:
    """The line under a theorem box: verdict, grounds, and the ways to the ledger and to the formal proof."""
    more = anchor("in the ledger", f"{ledger}#claim-{record['id']}" if ledger is not None else None)
    if proof is not None:
        more += f" · {anchor('formal proof', proof)}"
    return f'<p class="claim-foot">{badge(record)} <span>{escape(grounds_in_words(record))}</span> {more}</p>'


NAMES = {"restated": "Restated", "as read": "We find"}
"""What the corrected statement is called, by whose text was judged."""


def statement(record: Record) -> str:
    """As printed, then what is true where they differ; ours if the claim is new."""
    rows = [("Ours" if record["text"] == "new" else "As printed", record["printed"])]
    if record["reading"]:
        rows.append(("As we read it", record["reading"]))
    if record["corrected"]:
        rows.append((NAMES.get(record["text"], "Corrected"), record["corrected"]))
    shown = "".join(
        f'<div><dt>{name}</dt><dd class="formula">{sentence(tex)}</dd></div>' for name, tex in rows
    )
    if record["hypotheses"]:
        shown += f"<div><dt>Needs</dt><dd>{subscripted('; '.join(record['hypotheses']))}</dd></div>"
    return f'<dl class="statement">{shown}</dl>'


def sentence(tex: str) -> str:
    r"""A formula with words in it: its outer \text{…} become words, so that the line can wrap."""
    pieces = [(piece if words else COLON.sub(r"\\colon", piece), words) for piece, words in _pieces(tex)]
    formulas = [piece for piece, words in pieces if not words]
    if any(
        f.count(r"\left") != f.count(r"\right") or f.count(r"\begin") != f.count(r"\end") for f in formulas
    ):
        return math(DISPLAY + tex)  # the words stand inside a bracket
    shown = ""
    for piece, words in pieces:
        if words:
            if shown.endswith(">") and piece[:1].isalnum():
                shown += " "  # the space that TeX leaves around a relation
            shown += escape(piece.replace("~", " ").replace(r"\ ", " ").replace("``", "“").replace("''", "”"))
        elif piece.strip(" \\") in {".", ",", ";", ":"}:
            shown = shown.rstrip() + piece.strip(" \\") + " "
        elif piece.strip(" \\"):
            shown += math(DISPLAY + piece.strip())
    return shown


def _pieces(tex: str) -> list[tuple[str, bool]]:
    r"""Cut at every \text{…} and \quad outside braces; the flag says whether a piece is words."""
    found: list[tuple[str, bool]] = []
    depth = start = at = 0
    while at < len(tex):
        cut = None
        if depth == 0 and (match := SPACE.match(tex, at)):
            cut = (match.end(), " ")
        elif depth == 0 and tex.startswith(r"\text{", at) and tex[:at].rstrip()[-1:] not in {"_", "^"}:
            end = _closing(tex, at + 5)
            cut = (end + 1, tex[at + 6 : end])
        if cut and not (set(cut[1]) & set("$\\{")):
            found += [(tex[start:at], False), (cut[1], True)]
            start = at = cut[0]
            continue
        if tex[at] == "\\":
            at += 1  # the next character is escaped, or begins a command's name
        elif tex[at] in "{}":
            depth += 1 if tex[at] == "{" else -1
        at += 1
    return [*found, (tex[start:], False)]


def _closing(tex: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(tex)):
        depth += (tex[at] == "{") - (tex[at] == "}")
        if depth == 0:
            return at
    raise ValueError(f"unbalanced braces in {tex!r}")


def _controls(records: list[Record]) -> str:
    def choice(name: str, options: Iterable[str]) -> str:
        shown = "".join(f"<option>{escape(o)}</option>" for o in dict.fromkeys(options))
        return (
            f'<label>{name.capitalize()} <select data-filter="{name}">'
            f'<option value="">any</option>{shown}</select></label>'
        )

    return (
        '<form class="claim-filter" hidden>'
        '<label>Find <input type="search" data-filter="words" autocomplete="off"></label>'
        + choice("verdict", (r["verdict"] for r in records))
        + choice("evidence", (e for r in records for e in r["evidence"]))
        + choice("text", (r["text"] for r in records))
        + f'<output aria-live="polite">{len(records)} of {len(records)}</output></form>'
    )


def nowhere(name: str) -> None:
    """The link to something that no page has."""


def ledger(records: list[Record], link: Link, download: str, proof: Link = nowhere) -> str:
    """The whole ledger: a line for each claim, opened for what it says and what judges it.

    Args:
        records: of all claims.
        link: leads to a claim's statement.
        download: the address of the same as data.
        proof: leads to a claim's formal proof.
    """
    lines = "".join(_ledger_line(record, link, proof) for record in records)
    return (
        f"{_download(download, 'claims.json')}{_controls(records)}"
        f'<ul class="claims" aria-label="All claims">{lines}</ul>'
    )


def _ledger_line(record: Record, link: Link, proof: Link) -> str:
    words = " ".join([record["id"], record["where"], record["title"], *record["hypotheses"]]).lower()
    data = {
        "words": words,
        "verdict": record["verdict"],
        "evidence": "|".join(record["evidence"]),
        "text": record["text"],
    }
    attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    identifier, title = escape(record["id"]), subscripted(capital(record["title"]))
    strongest = record["evidence"][0] if record["evidence"] else "none yet"
    more = anchor("Read it in its chapter", link(record["id"]))
    if address := proof(record["id"]):
        more += f" · {anchor('Read its formal proof', address)}"
    # A link to #claim-ID opens the fold by itself, since it leads to what is inside.
    return (
        f'<li{attributes}><details><summary><span class="title">{title}</span>'
        f'<span class="name"><code>{identifier}</code> '
        f'<span class="where">{escape(capital(record["where"]))}</span></span> '
        f'{badge(record)} <span class="evidence">{escape(strongest)}</span></summary>'
        f'<div class="claim" id="claim-{identifier}">{statement(record)}'
        f'<p><span class="heading">Evidence</span> {escape(grounds_in_words(record))}{_slip(record)}</p>'
        f"{_derivation(record)}<p>{more} · <code>{identifier}</code></p></div></details></li>"
    )


def _derivation(record: Record) -> str:
    """What SymPy derives, step by step, in the words of the code."""
    derivation = record["derivation"]
    if not derivation:
        return ""
    steps = "".join(f"<li>{subscripted(words)}</li>" for words in derivation["steps"])
    return f'<p><span class="heading">Derived</span> for {escape(derivation["sizes"])}:</p><ul>{steps}</ul>'


def _slip(record: Record) -> str:
    if not record["transcription"]:
        return ""
    return ' <span class="slip">a slip of the print or of the text’s recovery</span>'


def _download(address: str, name: str) -> str:
    return f'<p class="download"><a href="{escape(address)}" download>{name}</a>: the same as data.</p>'


GROUPS = {
    "false": (
        "False as printed, wholly or in part",
        "A counterexample with exact numbers refutes each of these, or the part that we name.",
    ),
    "unsettled": ("Not settled here", "We have neither a proof nor a counterexample."),
    "slips": (
        "Slips of the print or of our text",
        "A sign, a bracket, an exponent or an index is not what the formulas around it need. None of these "
        "is an error of the paper’s mathematics, and the authors’ own copy may well be right. The ledger "
        "checks the corrected statement.",
    ),
    "corrected": (
        "True once corrected",
        "Each lacks a hypothesis, or says a little too much. The ledger checks the corrected statement.",
    ),
    "read": (
        "Words that we read as a statement",
        "The paper says these in words, or asks. The reading is ours, stands beside the words, "
        "and may ask for more than the authors meant; so none of them is counted among the false statements.",
    ),
    "restated": (
        "True, and restated",
        "What is meant is true. The ledger checks the statement with all its conditions written out.",
    ),
}


def errata_page(records: dict[str, Record], link: Link, download: str, proof: Link = nowhere) -> str:
    """One entry for each statement that does not simply hold as printed; the arguments are as in `ledger`."""
    shown = _download(download, "errata.json")
    for key, found in errata(records).items():
        if key == "unsettled" and not found:
            continue
        title, says = GROUPS[key]
        entries = "".join(_erratum(r, link, proof) for r in found) or "<p>None.</p>"
        shown += f'<section class="errata"><h2>{title} ({len(found)})</h2><p>{says}</p>{entries}</section>'
    return shown


def _erratum(record: Record, link: Link, proof: Link) -> str:
    title = anchor(subscripted(place_and_title(record)), link(record["id"]))
    return (
        f'<article class="erratum" id="erratum-{escape(record["id"])}"><h3>{title}</h3>'
        f"<p>{badge(record)}{_slip(record)} <code>{escape(record['id'])}</code></p>"
        f"{statement(record)}{_counterexample(record)}{_formally(record, proof(record['id']))}</article>"
    )


def _formally(record: Record, address: str | None) -> str:
    """The way to the formal proof, with what it proves of the printed statement."""
    if not address:
        return ""
    refuted = bool(record["formal"]["negation"])
    words = "that the printed statement is false, and what is true" if refuted else "what is true"
    return f"<p>Formally proved: {anchor(words, address)}.</p>"


def _counterexample(record: Record) -> str:
    found = record["counterexample"]
    if not found:
        return ""
    printed = {
        "=": "they would be equal",
        "<=": "the left side would be at most the right",
        ">=": "the left side would be at least the right",
    }[found["relation"]]
    truth = {"=": r"\ne", "<=": ">", ">=": "<"}[found["relation"]]
    left, right = found["left_tex"], found["right_tex"]
    if _is_simple(found["left"]) and _is_simple(found["right"]):
        fact = rf"{left} {truth} {right}"
    else:
        fact = rf"{_decimal(found['left_value'])} {truth} {_decimal(found['right_value'])}"
    return (
        '<div class="counterexample"><p><strong>Counterexample.</strong> Take</p>'
        f'<p class="formula">{sentence(found["instance"] + ".")}</p>'
        f'<p class="formula">Left side: {math(left + ";")}</p>'
        f'<p class="formula">right side: {math(right + ".")}</p>'
        f'<p class="formula">As printed, {printed}; here {math(fact + ".")}</p></div>'
    )


def _is_simple(number: str) -> bool:
    """Whether it is an integer or a fraction that says as much as its decimals."""
    try:
        return Fraction(number).denominator <= LARGEST_DENOMINATOR
    except ValueError:
        return False


def _decimal(number: str) -> str:
    """Without the zeros at its end."""
    return number.rstrip("0").rstrip(".") if "." in number else number
