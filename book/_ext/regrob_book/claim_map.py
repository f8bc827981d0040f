"""The dependency map: claims in a column joined by arcs, as inline SVG, and the same as a table."""

from __future__ import annotations

from html import escape

from .markup import CSS_CLASS, Link, anchor, badge
from .records import BROKEN, FAILS, HOLDS, OPEN, PARTLY, SYMBOL, Record, verdict_in_words

HEIGHT, DOWN, EDGE = 26, 34, 6
WIDEST = 170  # how far the longest arc swings out


def order(records: dict[str, Record]) -> list[str]:
    """The claims that rest on others or bear them, each after all that it rests on.

    Otherwise in the ledger's order, which is the paper's.
    """
    used = {d for r in records.values() for d in r["depends"]}
    waiting = [name for name, r in records.items() if r["depends"] or name in used]
    placed: list[str] = []
    while waiting:
        ready = next((n for n in waiting if set(records[n]["depends"]) <= set(placed)), None)
        if ready is None:
            raise ValueError(f"these claims rest on one another in a circle: {', '.join(waiting)}")
        waiting.remove(ready)
        placed.append(ready)
    return placed


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
    """The map: an arrow runs down from a claim to each claim whose proof uses it."""
    row = {name: i for i, name in enumerate(order(records))}
    longest = max((row[n] - row[d] for n in row for d in records[n]["depends"]), default=1)
    left = EDGE + WIDEST
    width = 34 + 8 * max(map(len, row), default=0)  # a letter takes less than 8 of 14 pixels
    arcs = "".join(
        _arc(row[d], row[name], left, WIDEST * ((row[name] - row[d]) / longest) ** 0.5, (d, name))
        for name in row
        for d in records[name]["depends"]
    )
    nodes = "".join(_node(records[name], left, EDGE + i * DOWN, width, link) for name, i in row.items())
    across, down = left + width + EDGE, 2 * EDGE + max(0, len(row) - 1) * DOWN + HEIGHT
    says = "Which claim rests on which; the table below says the same in words"
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    )
    return (
        f'<svg class="claim-map whole" role="group" aria-label="{says}" viewBox="0 0 {across} {down}"'
        f' width="{across}"><defs>{tip}<path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<g class="arrows" aria-hidden="true">{arcs}</g>{nodes}</svg>'
    )


def _arc(start: int, end: int, x: float, swing: float, ends: tuple[str, str]) -> str:
    y0, y1 = EDGE + start * DOWN + HEIGHT * 0.7, EDGE + end * DOWN + HEIGHT * 0.35
    # A cubic's middle lies at three quarters of its handles.
    curve = f"M{x} {y0:g}C{x - swing / 0.75:.0f} {y0:g} {x - swing / 0.75:.0f} {y1:g} {x - 1} {y1:g}"
    data = f'data-from="{escape(ends[0])}" data-to="{escape(ends[1])}"'
    return f'<path {data} marker-end="url(#tip)" d="{curve}"/>'


def _node(record: Record, x: float, y: float, width: float, link: Link) -> str:
    words = f"{SYMBOL[record['verdict']]} {escape(record['id'])}"
    inside = (
        f"{shape(record['verdict'], x, y, width)}"
        f'<text x="{x + 14:g}" y="{y + HEIGHT / 2 + 5:g}">{words}</text>'
        f"<title>{escape(record['title'])}: {escape(verdict_in_words(record))}</title>"
    )
    data = f'data-claim="{escape(record["id"])}"'
    address = link(record["id"])
    name = escape(f"{record['id']}: {verdict_in_words(record)}")
    if address:
        return f'<a {data} href="{escape(address)}" aria-label="{name}">{inside}</a>'
    return f"<g {data}>{inside}</g>"


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
        '<details><summary>The same in a table</summary><div class="table-wrap">'
        '<table class="relations" role="table"><caption>Which claim rests on which</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{rows}</tbody>'
        "</table></div></details>"
    )


def whole(records: dict[str, Record], link: Link) -> str:
    """Legend, drawing, and table."""
    return legend(records) + drawing(records, link) + table(records, link)
