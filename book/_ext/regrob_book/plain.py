"""Text without TeX, for what no formula can be set in: a page's title, tooltips, descriptions."""

from __future__ import annotations

import html
import re
import unicodedata

COMMAND = re.compile(r"\\([a-zA-Z]+|.)\s*")
NUMBER = re.compile(r'<span class="section-number">.*?</span>')
RAISED = str.maketrans("0123456789+-n*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ*")
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SIGNS = {
    "ell": "ℓ",
    "infty": "∞",
    "log": "log ",
    "le": " ≤ ",
    "ge": " ≥ ",
    "lt": " < ",
    "ne": " ≠ ",
    "times": " × ",
    "cdot": "·",
    "to": " → ",
    "in": " ∈ ",
    "lVert": "‖",
    "rVert": "‖",
    "|": "‖",
    "nabla": "∇",
    "mathbf": "",
    "mathcal": "",
    "tilde": "",
    "text": "",
    "left": "",
    "right": "",
    ",": " ",
    ";": " ",
    " ": " ",
    "%": "%",
    "{": "{",
    "}": "}",
}
FORMULA = re.compile(r"\\\((.*?)\\\)|\$([^$]+)\$", re.DOTALL)


def of_formula(tex: str) -> str | None:
    r"""A short formula in plain signs, "ν²/2" for \nu^2/2; None where it has a command unknown here."""
    unknown = False

    def spelt(match: re.Match[str]) -> str:
        nonlocal unknown
        name = match[1]
        if name in SIGNS:
            return SIGNS[name]
        size = "CAPITAL" if name[0].isupper() else "SMALL"
        try:
            return unicodedata.lookup(
                f"GREEK {size} LETTER {'LAMDA' if name.lower() == 'lambda' else name.upper()}"
            )
        except KeyError:
            unknown = True
            return ""

    text = COMMAND.sub(spelt, tex)
    text = re.sub(r"\^\{?([0-9+\-n*]+)\}?", lambda match: match[1].translate(RAISED), text)
    text = re.sub(r"_\{?([0-9]+)\}?", lambda match: match[1].translate(LOWERED), text)
    text = re.sub(r"_\{?∞\}?", "∞", text).replace("{", "").replace("}", "")
    return None if unknown or {"^", "_"} & set(text) else " ".join(text.split())


def of_html(title: str) -> str:
    """A title's words: its number and its tags dropped, its formulas in plain signs."""
    text = html.unescape(re.sub(r"<[^>]+>", "", NUMBER.sub("", title)))
    return of_text(text) or text


def of_text(text: str) -> str | None:
    r"""Text whose formulas stand in \(…\) or $…$; None where one of them has no plain spelling."""
    pieces: list[str] = []
    end = 0
    for match in FORMULA.finditer(text):
        spelt = of_formula(match[1] or match[2])
        if spelt is None:
            return None
        pieces += [text[end : match.start()], spelt]
        end = match.end()
    return " ".join("".join([*pieces, text[end:]]).split())
