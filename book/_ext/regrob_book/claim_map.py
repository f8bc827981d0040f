"""The dependency map: a layered drawing as inline SVG, and the same as a table."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from .markup import CSS_CLASS, Link, anchor, badge
from .records import BROKEN, FAILS, HOLDS, OPEN, PARTLY, SYMBOL, Record

HEIGHT, DOWN, EDGE, GAP = 30, 42, 12, 44


def layers(records: dict[str, Record]) -> list[list[str]]:
    """Ids by the length of the longest chain they rest on; those without any relation left out.

    Within a layer, an id stands near the mean height of what it rests on, so that arrows
    cross little.
    """
    depth: dict[str, int] = {}

    def measure(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((measure(d) for d in records[name]["depends"]), default=-1)
        return depth[name]

    used = {d for r in records.values() for d in r["depends"]}
    drawn = [name for name, r in records.items() if r["depends"] or name in used]
    columns: list[list[str]] = [[] for _ in range(1 + max(map(measure, drawn), default=-1))]
    for name in drawn:
        columns[depth[name]].append(name)
    for _ in range(4):
        _settle(columns, {name: records[name]["depends"] for name in drawn})
        _settle(columns[::-1], {n: [m for m in drawn if n in records[m]["depends"]] for n in drawn})
    return columns


def _settle(columns: list[list[str]], neighbours: dict[str, list[str]]) -> None:
    for column in columns:
        height = {name: row - len(c) / 2 for c in columns for row, name in enumerate(c)}
        wish = {
            name: sum(height[m] for m in neighbours[name]) / len(neighbours[name])
            if neighbours[name]
            else height[name]
            for name in column
        }
        column.sort(key=lambda name: wish[name])


def shape(verdict: str, x: float, y: float, width: float, height: float = HEIGHT) -> str:
    """One outline for each verdict: round, cut, slanted, dashed, square."""
    css = f'class="{CSS_CLASS[verdict]}"'
    if verdict == FAILS:  # corners cut off
        c = height / 3
        points = [(c, 0), (width - c, 0), (width, c), (width, height - c)]
        points += [(width - c, height), (c, height), (0, height - c), (0, c)]
    elif verdict == PARTLY:  # a parallelogram
        c = height / 3
        points = [(c, 0), (width, 0), (width - c, height), (0, height)]
    else:
        radius = {HOLDS: height / 2, OPEN: 4, BROKEN: 0}[verdict]
        return f'<rect {css} x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'
    return f'<polygon {css} points="{" ".join(f"{x + a:g},{y + b:g}" for a, b in points)}"/>'


def drawing(records: dict[str, Record], link: Link) -> str:
    """The map: an arrow runs from a claim to each claim whose proof uses it."""
    columns = layers(records)
    rows = max((len(column) for column in columns), default=0)
    boxes: dict[str, Box] = {}
    x = float(EDGE)
    for column in columns:
        width = 34 + 8 * max(map(len, column))  # a letter takes less than 8 of 14 pixels
        top = EDGE + (rows - len(column)) / 2 * DOWN
        boxes |= {name: Box(x, top + i * DOWN, width) for i, name in enumerate(column)}
        x += width + GAP
    arrows = "".join(_arrow(boxes[d], box) for name, box in boxes.items() for d in records[name]["depends"])
    nodes = "".join(_node(records[name], box, link) for name, box in boxes.items())
    width, height = x - GAP + EDGE, 2 * EDGE + (rows - 1) * DOWN + HEIGHT
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" style="min-width:{0.8 * width:g}px"'
    name = "Which claim rests on which; the table below says the same in words"
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    )
    return (
        f'<div class="table-wrap"><svg class="claim-map whole" role="group" aria-label="{name}" {size}>'
        f'<defs>{tip}<path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<g class="arrows" aria-hidden="true">{arrows}</g>{nodes}</svg></div>'
    )


class Box(NamedTuple):
    """A node's top left corner and width, in pixels."""

    x: float
    y: float
    width: float


def _arrow(start: Box, end: Box) -> str:
    x0, y0, x1, y1 = start.x + start.width, start.y + HEIGHT / 2, end.x - 1, end.y + HEIGHT / 2
    bend = min(60, (x1 - x0) / 2)
    curve = f"M{x0:g} {y0:g}C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"
    return f'<path marker-end="url(#tip)" d="{curve}"/>'


def _node(record: Record, box: Box, link: Link) -> str:
    inside = (
        f"{shape(record['verdict'], *box)}"
        f'<text x="{box.x + box.width / 2:g}" y="{box.y + HEIGHT / 2 + 5:g}">'
        f"{SYMBOL[record['verdict']]} {escape(record['id'])}</text>"
        f"<title>{escape(record['title'])}: {escape(record['verdict'])}</title>"
    )
    address = link(record["id"])
    name = escape(f"{record['id']}: {record['verdict']}")
    return f'<a href="{escape(address)}" aria-label="{name}">{inside}</a>' if address else f"<g>{inside}</g>"


def legend(records: dict[str, Record]) -> str:
    """The outline and badge of each verdict that occurs."""
    shown = ""
    for verdict in SYMBOL:
        if any(r["verdict"] == verdict for r in records.values()):
            outline = shape(verdict, 2, 2, 44, 18)
            shown += (
                '<li><svg class="claim-map" width="48" height="22" aria-hidden="true">'
                f"{outline}</svg> {SYMBOL[verdict]} {verdict}</li>"
            )
    return f'<ul class="map-legend">{shown}</ul>'


def table(records: dict[str, Record], link: Link) -> str:
    """The same relations in words: what each claim rests on, and what rests on it."""

    def names(ids: list[str]) -> str:
        return ", ".join(anchor(f"<code>{escape(i)}</code>", link(i)) for i in ids) or "nothing here"

    rows = ""
    for name, record in records.items():
        users = [other for other, r in records.items() if name in r["depends"]]
        shaky = [a for a in record["ancestors"] if records[a]["verdict"] != HOLDS]
        all_hold = "yes" if not shaky else f"no: {names(shaky)}"
        rows += (
            f'<tr role="row"><th role="rowheader" scope="row">{names([name])}</th>'
            f'<td role="cell">{badge(record)}</td><td role="cell">{names(record["depends"])}</td>'
            f'<td role="cell">{names(users)}</td><td role="cell">{all_hold}</td></tr>'
        )
    columns = ("Claim", "Verdict", "Rests on", "Used by", "All below it hold")
    head = "".join(f'<th role="columnheader" scope="col">{c}</th>' for c in columns)
    return (
        '<div class="table-wrap">'
        '<table class="relations" role="table" aria-label="Which claim rests on which">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{rows}</tbody>'
        "</table></div>"
    )


def whole(records: dict[str, Record], link: Link) -> str:
    """Legend, drawing, and table."""
    return legend(records) + drawing(records, link) + table(records, link)
