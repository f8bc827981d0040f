"""Where the stored results lie, from whatever folder a program or a notebook runs."""

from __future__ import annotations

from pathlib import Path

from regrob.errors import DataError

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE.parent / "book" / "results", PACKAGE / "results")
"""In a checkout; in an installed package, whose wheel carries a copy."""


def folder() -> Path:
    """The folder of the results that the book shows, for `tables.read`.

    Raises:
        DataError: neither the checkout nor the installed package has one.
    """
    for place in PLACES:
        if (place / "fig4.json").is_file():
            return place
    raise DataError(
        f"no stored results in {' or '.join(map(str, PLACES))}; install the package from its wheel or "
        "repository, or give a folder that `regrob sweep` has written"
    )
