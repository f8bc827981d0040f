"""Tables of results as files, written whole: a csv of numbers, and a json that says what made them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrob.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("figure", "dataset", "network", "penalty", "lambda", "seed", "attack", "metric", "value")


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a neighbour, flush it to the disk, then rename: the file is old or new, never half.

    Raises:
        DataError: the disk is full or the folder cannot be written; what was there stays.
    """
    neighbour = path.with_name(f".{path.name}.part")  # a killed writer's leftover is overwritten
    try:
        with neighbour.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        neighbour.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            neighbour.unlink(missing_ok=True)
        raise DataError(
            f"cannot write {path}: {error.strerror or error}; what was finished before is whole, "
            "mend that and run again to go on"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, if it is not there.

    Raises:
        DataError: that cannot be done.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make {path}: {error.strerror or error}; choose another folder") from error


def write_csv(path: Path, table: pd.DataFrame, *, digits: int) -> None:
    """Write a table with so many significant digits, whole or not at all.

    Raises:
        DataError: the file cannot be written; what was there stays.
    """
    text = table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
    write_atomically(path, text.encode())


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write what made a table, whole or not at all; raises as `write_csv`."""
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomically(path, (text + "\n").encode())


def read_csv(path: Path) -> pd.DataFrame:
    """What `write_csv` wrote; an empty field is NaN, and "none" is a word."""
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False, na_values=["nan", ""])


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote."""
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def require(folder: Path, names: Iterable[str], *, command: str) -> None:
    """Raise DataError, which names the command that makes them, if a file of results is missing."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{' and '.join(missing)} not found in {folder}; make them with: {command}")


def write(folder: Path, figure: str, rows: Iterable[dict[str, Any]], sidecar: dict[str, Any]) -> Path:
    """Write FIGURE.csv and FIGURE.json; the csv's rows are sorted, so equal results are equal files.

    Raises:
        DataError: a file cannot be written; what was there stays, and neither is ever half.
    """
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=list(COLUMNS)).sort_values(list(COLUMNS[:-1]))
    write_csv(folder / f"{figure}.csv", table, digits=8)
    write_json(folder / f"{figure}.json", sidecar)
    return folder / f"{figure}.csv"


def read(folder: Path, figure: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A figure's table and its provenance.

    Raises:
        DataError: one of the two files is missing, or the table lacks a column.
    """
    csv, sidecar = f"{figure}.csv", f"{figure}.json"
    require(folder, (csv, sidecar), command=f"regrob sweep {figure} --out {folder}")
    table = read_csv(folder / csv)
    if tuple(table.columns) != COLUMNS:
        raise DataError(f"{csv} must have the columns {', '.join(COLUMNS)}, got {', '.join(table.columns)}")
    return table, read_json(folder / sidecar)


def insist_on(*sidecars: dict[str, Any]) -> Callable[[bool], None]:
    """A check for pages: it stops one whose text states a fact that its tables do not show.

    Args:
        sidecars: the tables' provenance. Where one is quick, it is too small to show anything,
            and no fact is insisted on.

    Returns:
        A function of one fact, true or false, that raises DataError for a false one.
    """
    small = any(sidecar["preset"] == "quick" for sidecar in sidecars)
    figures = " and ".join(sidecar["figure"] for sidecar in sidecars)

    def insist(fact: bool) -> None:
        if not fact and not small:
            raise DataError(f"the result of {figures} does not show what the text here says; mend the text")

    return insist
