"""A results table of one network, for the tests of what is computed from such tables."""

from __future__ import annotations

import pandas as pd

from regrob.analysis import tables


def table(rows):
    """From rows (penalty, λ, seed, attack, metric, value)."""
    full = [("f", "d", "net", *row) for row in rows]
    return pd.DataFrame(full, columns=list(tables.COLUMNS))
