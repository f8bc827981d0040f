"""A table of texts as a page shows it: with a caption, filters where it is long, rows that stack on a phone.

It is plain HTML. A script of the book (`book/_static/tables.js`) adds the filters, and its style sheet
(`tables.css`) stacks the cells of a row, each behind its column's name. Without them, in a notebook, it is
a table like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from regrob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class PageTable:
    """A table to be displayed as the last line of a cell.

    Attributes:
        frame: its cells, as texts; the index is not shown.
        caption: what it shows, as one sentence.
        filters: names of columns by whose values a reader can choose rows.
        rows: how many columns at the left name a row.
        fold: what the reader opens it by, "Every number of this figure"; if empty, it is open.

    Raises:
        InputError: no caption, or a filter that is no column.
    """

    frame: pd.DataFrame
    caption: str
    filters: Sequence[str] = ()
    rows: int = 1
    fold: str = ""

    def __post_init__(self) -> None:
        if not self.caption.strip():
            raise InputError("a table needs a caption: say in one sentence what it shows")
        unknown = [name for name in self.filters if name not in self.frame.columns]
        if unknown:
            names = ", ".join(map(str, self.frame))
            raise InputError(f"no column {unknown[0]!r} to filter by; there are {names}")

    def _repr_html_(self) -> str:
        names = map(escape, map(str, self.frame))
        heads = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in names)
        body = "".join(self._row(values) for values in self.frame.itertuples(index=False, name=None))
        places = " ".join(str(self.frame.columns.get_loc(name)) for name in self.filters)
        filters = f' data-filters="{places}"' if places else ""
        table = (
            f'<table class="stacked" role="table"{filters}><caption>{escape(self.caption)}</caption>'
            f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
            f'<tbody role="rowgroup">{body}</tbody></table>'
        )
        if not self.fold:
            return f'<div class="page-table">{table}</div>'
        return (
            f'<details class="page-table"><summary>{escape(self.fold)} ({len(self.frame)} rows)</summary>'
            f"{table}</details>"
        )

    def _row(self, values: tuple[object, ...]) -> str:
        cells = []
        for place, (name, value) in enumerate(zip(self.frame, values, strict=True)):
            label = f'data-label="{escape(str(name))}"'
            if place < self.rows:
                cells.append(f'<th scope="row" role="rowheader" {label}>{escape(str(value))}</th>')
            else:
                cells.append(f'<td role="cell" {label}>{escape(str(value))}</td>')
        return f'<tr role="row">{"".join(cells)}</tr>'

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.frame.to_string(index=False)}"
