"""A measurement that is one file of plain data among the results: a command writes it, pages read it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from regrob.analysis import results, tables


class StoredMeasurement(NamedTuple):
    """What is measured, and the name of its file.

    Attributes:
        file: NAME.json.
        measure: with its defaults it makes all that is stored.
    """

    file: str
    measure: Callable[[], dict[str, Any]]

    def load(self) -> dict[str, Any]:
        """What is stored, wherever the package is used."""
        return tables.read_json(results.folder() / self.file)

    def command(self) -> None:
        """Measure, and write the file into the folder that the command line names, or over the book's."""
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else results.folder()
        tables.write_json(folder / self.file, self.measure())
