"""From a resolved page back to plain Markdown, which Jupyter and Colab show without this book's tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from docutils import nodes

Piece = str | dict[str, Any]
"""A paragraph of Markdown, or a code cell."""

LEFT_OUT = (nodes.comment, nodes.target, nodes.Invisible, nodes.raw, nodes.system_message)
SPECIAL = re.compile(r"([\\`*_<$])")


@dataclass(frozen=True)
class Page:
    """What a page knows that its nodes do not say.

    Attributes:
        address: where a link of this page leads in the reader's copy; None if nowhere.
        number: of a node, "B3"; "" if it has none.
        filled: what stands in a place of the ledger: words for a sentence, or paragraphs.
        code: the cell that a node of the page shows, followed by its caption.
    """

    address: Callable[[nodes.Element], str | None]
    number: Callable[[nodes.Element, str], str]
    filled: Callable[[nodes.Element], list[str]]
    code: Callable[[nodes.Element], Iterable[Piece]]


def pieces(node: nodes.Node, page: Page, depth: int = 0) -> Iterator[Piece]:
    """Paragraphs and code cells of a block, in reading order; depth counts the sections around it."""
    match node:
        case _ if node.get("nb_element") == "cell_code":
            yield from page.code(node)
        case _ if node.tagname == "Generated":
            yield from page.filled(node)
        case _ if node.tagname == "dropdown_main":
            yield from folded(node, page)
        case _ if node.tagname == "proof_node":
            yield from quoted(proof(children(node, page)))
        case nodes.section() if "proof" not in node.parent.get("classes", ()):
            yield from children(node, page, depth + 1)
        case nodes.title() | nodes.subtitle():
            yield f"{'#' * max(1, depth)} {inline(node, page)}"
        case nodes.rubric():
            yield f"**{inline(node, page)}**"
        case nodes.math_block():
            yield display(node, page)
        case nodes.literal_block():
            yield f"```{node.get('language', '')}\n{node.astext()}\n```"
        case nodes.bullet_list() | nodes.enumerated_list():
            yield items(node, page)
        case nodes.definition_list_item():
            term, *rest = (list(children(part, page)) for part in node.children)
            yield f"**{' '.join(map(str, term))}**"
            yield from (piece for part in rest for piece in part)
        case nodes.table():
            yield table(node, page)
        case nodes.figure() | nodes.image():
            picture = next(node.findall(nodes.image))
            yield f"*Picture: {escaped(picture.get('alt', ''))}*"
            yield from (caption(part, page) for part in node.findall(nodes.caption))
        case nodes.block_quote():
            yield from quoted(children(node, page, depth))
        case _ if "proof" in node.get("classes", ()) and node.get("countertype"):
            yield from theorem(node, page)
        case nodes.Admonition():
            yield from admonition(node, page)
        case nodes.TextElement() if not isinstance(node, LEFT_OUT):
            yield inline(node, page)
        case _:
            yield from children(node, page, depth)


def children(node: nodes.Element, page: Page, depth: int = 0) -> Iterator[Piece]:
    """The pieces of all children; neighbours that are no blocks make one paragraph."""
    sentence: list[nodes.Node] = []
    for child in node.children:
        in_a_line = isinstance(child, nodes.Text | nodes.Inline) and child.tagname != "Generated"
        if in_a_line and not isinstance(child, (*LEFT_OUT, nodes.image)):
            sentence.append(child)
            continue
        if sentence:
            yield "".join(inline_node(part, page) for part in sentence)
            sentence = []
        if not isinstance(child, LEFT_OUT):
            yield from pieces(child, page, depth)
    if sentence:
        yield "".join(inline_node(part, page) for part in sentence)


def inline(node: nodes.Element, page: Page) -> str:
    """What a paragraph says, as one line."""
    return "".join(inline_node(child, page) for child in node.children)


def inline_node(node: nodes.Node, page: Page) -> str:
    """One piece of a sentence."""
    if isinstance(node, nodes.Text):
        return escaped(re.sub(r"\s+", " ", node.astext()))
    if isinstance(node, LEFT_OUT):
        return ""
    if node.tagname == "Generated":
        return " ".join(page.filled(node))
    words = inline(node, page)
    match node:
        case nodes.math():
            return f"${one_line(node.astext())}$"
        case nodes.literal():
            code = node.astext()
            return f"``{code}``" if "`" in code else f"`{code}`"
        case nodes.emphasis():
            return f"*{words}*"
        case nodes.strong():
            return f"**{words}**"
        case nodes.reference():
            address = page.address(node)
            return f"[{words}]({address})" if address else words
        case nodes.image():
            return escaped(node.get("alt", ""))
    return words


def escaped(text: str) -> str:
    """Words without a meaning in Markdown."""
    return SPECIAL.sub(r"\\\1", text)


def one_line(tex: str) -> str:
    """A formula on one line: the ">" of a quotation must not get into it."""
    return " ".join(line.partition(" %")[0].strip() for line in tex.strip().splitlines())


def display(node: nodes.math_block, page: Page) -> str:
    r"""A displayed formula, with the page's number as its \tag."""
    tex = one_line(node.astext())
    if r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{split}}{tex}\end{{split}}"
    number = page.number(node, "displaymath")
    tag = rf" \tag{{{number}}}" if number else ""
    return f"$$ {tex}{tag} $$"


def items(node: nodes.Element, page: Page) -> str:
    """A list; what follows an item's first line is indented under it."""
    shown = []
    for number, item in enumerate(node.children, node.get("start", 1)):
        mark = "* " if isinstance(node, nodes.bullet_list) else f"{number}. "
        text = "\n\n".join(str(piece) for piece in children(item, page))
        shown.append(mark + text.replace("\n", "\n" + " " * len(mark)))
    return "\n".join(shown)


def table(node: nodes.table, page: Page) -> str:
    """A table with its caption; a bar inside a formula would end the column."""
    rows = [[cell(entry, page) for entry in row.children] for row in node.findall(nodes.row)]
    if not any(node.findall(nodes.thead)):
        rows.insert(0, [""] * len(rows[0]))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    titles = [title for title in node.children if isinstance(title, nodes.title)]
    return "\n".join([*(caption(title, page) + "\n" for title in titles), *lines])


def cell(entry: nodes.entry, page: Page) -> str:
    """One entry of a table, without line ends and bars."""
    text = " ".join(str(piece) for piece in children(entry, page))
    formulas = re.compile(r"\$[^$]+\$")

    def spelt(match: re.Match[str]) -> str:
        return match[0].replace(r"\|", r"\Vert ").replace("|", r"\vert ")

    return re.sub(r"(?<!\\)\|", r"\|", formulas.sub(spelt, text)).replace("\n", " ")


def caption(node: nodes.Element, page: Page) -> str:
    """ "**Figure B2.** What it shows"."""
    tabular = isinstance(node, nodes.title) or node.parent.tagname == "CaptionedTable"
    kind = "Table" if tabular else "Figure"
    number = page.number(node.parent, kind.lower())
    return f"**{kind} {number}.** {inline(node, page)}" if number else inline(node, page)


def theorem(node: nodes.Element, page: Page) -> Iterator[Piece]:
    """A statement's box: name and number in bold, then the statement, set off as a quotation."""
    number = page.number(node, node["countertype"])
    name = f"{node.get('realtype', node['countertype']).capitalize()} {number}".strip()
    titles, said = parts(node, nodes.title, page)
    yield from quoted([f"**{' '.join([name, *''.join(titles).split()])}.**", *said])


def admonition(node: nodes.Element, page: Page) -> Iterator[Piece]:
    """A box as a quotation with its title in bold; one that the page folds is folded."""
    if "dropdown" in node.get("classes", ()):
        yield from folded(node, page)
        return
    titles, said = parts(node, nodes.title, page)
    if not titles and isinstance(node, nodes.admonition):  # a proof, which opens with its own word
        yield from said
        return
    yield from quoted([f"**{titles[0] if titles else node.tagname.capitalize()}**", *said])


def folded(node: nodes.Element, page: Page) -> Iterator[Piece]:
    """What opens at a click on its title."""
    titles, said = parts(node, (nodes.title, nodes.rubric), page)
    yield f"<details><summary>{titles[0] if titles else 'More'}</summary>"
    yield from said
    yield "</details>"


def parts(node: nodes.Element, kinds: Any, page: Page) -> tuple[list[str], list[Piece]]:
    """The titles of a box, and what it says beside them."""
    titles = [child for child in node.children if isinstance(child, kinds) or "title" in child.tagname]
    said = [child for child in node.children if child not in titles and not isinstance(child, LEFT_OUT)]
    return [inline(title, page) for title in titles], [p for child in said for p in pieces(child, page)]


def proof(said: Iterable[Piece]) -> list[Piece]:
    """A proof from its word to its box."""
    shown = list(said)
    if isinstance(shown[0], str):
        shown[0] = re.sub(r"^Proof\.", "**Proof.**", shown[0])
    last = shown[-1]
    if isinstance(last, str) and not last.endswith(("$$", "|", "□")):
        return [*shown[:-1], f"{last} □"]
    return shown if str(last).endswith("□") else [*shown, "□"]


def quoted(said: Iterable[Piece]) -> Iterator[Piece]:
    """One quotation; where cells of code stand inside, a quotation before and after them."""
    text: list[str] = []
    for piece in [*said, {}]:
        if isinstance(piece, str):
            text.append(piece)
            continue
        if text:
            yield "\n".join(f"> {line}".rstrip() for line in "\n\n".join(text).splitlines())
            text = []
        if piece:
            yield piece
