"""Tables of a page name their columns in every cell, have a caption, and filter by columns that exist."""

from __future__ import annotations

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from regrob.analysis.page_table import PageTable
from regrob.errors import InputError

FRAME = pd.DataFrame({"network": ["a < b", "c"], "λ": ["0.1", "1"], "PGD, %": ["1 [0, 2]", "–"]})


def soup(table: PageTable) -> BeautifulSoup:
    return BeautifulSoup(table._repr_html_(), "html.parser")


def test_every_cell_stands_behind_its_columns_name() -> None:
    page = soup(PageTable(FRAME, "What came out.", rows=2))
    assert page.caption.get_text() == "What came out."
    assert [head.get_text() for head in page.thead.find_all("th")] == list(FRAME)
    for row, values in zip(page.tbody.find_all("tr"), FRAME.to_numpy().tolist(), strict=True):
        cells = row.find_all(["th", "td"])
        assert [cell.get_text() for cell in cells] == values
        assert [cell["data-label"] for cell in cells] == list(FRAME)
        assert [cell.name for cell in cells] == ["th", "th", "td"]
    assert "a &lt; b" in str(page)


def test_filters_are_places_of_columns_and_a_folded_table_can_be_opened() -> None:
    page = soup(PageTable(FRAME, "What came out.", filters=["λ", "network"], fold="All numbers"))
    assert page.table["data-filters"] == "1 0"
    assert page.details.summary.get_text() == "All numbers (2 rows)"
    plain = soup(PageTable(FRAME, "What came out."))
    assert plain.details is None and not plain.table.has_attr("data-filters")
    assert repr(PageTable(FRAME, "What came out.")).startswith("What came out.")


def test_what_a_page_cannot_show_is_refused() -> None:
    with pytest.raises(InputError, match="a table needs a caption"):
        PageTable(FRAME, " ")
    with pytest.raises(InputError, match="no column 'seed' to filter by; there are network, λ"):
        PageTable(FRAME, "What came out.", filters=["seed"])
