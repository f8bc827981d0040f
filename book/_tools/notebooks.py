"""Execute the notebooks, and keep what is stored of them in one normal form.

    python book/_tools/notebooks.py run   [--jobs N] [book/*.ipynb]   execute, normalise, write
    python book/_tools/notebooks.py check [book/*.ipynb]              fail unless in normal form
    python book/_tools/notebooks.py fill  [--jobs N] [book/*.ipynb]   execute for the build that follows

`fill` takes what the last test of a notebook put out (`book/conftest.py`) if nothing has changed since.
Running unchanged code again changes no byte. Stored are only the outputs that a test should
compare: text, LaTeX, HTML tables and glued values of cells without the tag
`nbval-ignore-output`. Pictures, widget state and times are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Notebook = dict[str, Any]

BOOK = Path(__file__).resolve().parent.parent
ROOT = BOOK.parent
EXECUTED = ROOT / "_build" / "executed"
KEPT = ROOT / "_build" / "kept"
IGNORE = "nbval-ignore-output"
TAGS = {
    IGNORE,
    "full-width",
    "hide-cell",
    "hide-input",
    "hide-output",
    "margin",
    "raises-exception",
    "remove-cell",
    "remove-input",
    "remove-output",
    "scroll-output",
}
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
GLUED = "application/papermill.record/"
STORED = ("text/plain", "text/latex", "text/html", "text/markdown")
# nbval passes over these, so they need no storing.
NOT_COMPARED = ("image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json")
LARGEST_OUTPUT = 20_000


def normal(notebook: Notebook) -> Notebook:
    """The notebook's normal form: what is kept of it, in one order and one spelling."""
    cells: list[Cell] = []
    for cell in notebook["cells"]:
        metadata = {key: cell["metadata"][key] for key in ("mystnb", "tags") if cell["metadata"].get(key)}
        kept: Cell = {
            "cell_type": cell["cell_type"],
            "id": cell.get("id", ""),
            "metadata": metadata,
            "source": _lines(_text(cell["source"]).rstrip("\n")),
        }
        if cell["cell_type"] == "code":
            kept["execution_count"] = cell.get("execution_count")
            kept["outputs"] = [] if IGNORE in metadata.get("tags", ()) else _outputs(cell["outputs"])
        elif cell.get("attachments"):
            kept["attachments"] = cell["attachments"]
        cells.append(kept)
    _name(cells)
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def written(notebook: Notebook) -> str:
    """The bytes of the normal form, as text."""
    return json.dumps(normal(notebook), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def problems(notebook: Notebook) -> list[str]:
    """What no normal form can mend: errors, warnings, gaps in the order, nothing to compare."""
    if all(cell.get("execution_count") is None for cell in notebook["cells"]):
        return ["stripped, or never run: run `make notebooks`"]
    found: list[str] = []
    count = 0
    for cell in notebook["cells"]:
        where = f"cell {cell.get('id', '?')!r}"
        unknown = set(cell["metadata"].get("tags", ())) - TAGS
        if unknown:
            found.append(f"{where}: unknown tag {sorted(unknown)}, known are {sorted(TAGS)}")
        if not _text(cell["source"]).strip():
            found.append(f"{where}: empty")
        if cell["cell_type"] != "code":
            continue
        if IGNORE not in cell["metadata"].get("tags", ()) and _text(cell["source"]).rstrip().endswith(";"):
            found.append(
                f"{where}: nbval shows what a closing semicolon hides: drop it, or tag the cell {IGNORE}"
            )
        count += 1
        if cell.get("execution_count") != count:
            found.append(
                f"{where}: execution count {cell.get('execution_count')}, expected {count}: "
                "stripped, or run out of order; run the notebook again"
            )
        found += [f"{where}: {problem}" for output in cell["outputs"] for problem in _output_problems(output)]
    if not any(compared(cell) for cell in notebook["cells"]):
        found.append("no cell has an output to compare, so a test of it would pass whatever it computes")
    return found


def compared(cell: Cell) -> bool:
    """Whether a test compares something that this cell computed."""
    if cell["cell_type"] != "code" or IGNORE in cell["metadata"].get("tags", ()):
        return False
    return any(text.strip() and not text.startswith("<Figure") for text in _texts(cell["outputs"]))


def picture_problems(cell: Cell) -> list[str]:
    """What is wrong with an executed cell's picture: no alt text, or the text but no picture."""
    alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "").strip()
    kinds = [key for output in cell.get("outputs", ()) for key in output.get("data", {})]
    shown = any(kind.startswith("image/") for kind in kinds)
    if shown and not alt:
        return [f"cell {cell.get('id')!r}: a picture without alt text (mystnb.image.alt)"]
    if alt and not shown:
        return [f"cell {cell.get('id')!r}: it has an alt text, but no picture came"]
    return []


def check(path: Path) -> list[str]:
    """Every reason why a stored notebook is not as it should be; none if it is."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    found = problems(notebook)
    if text != written(notebook):
        found.append("not in normal form: run `make notebooks` and commit the result")
    return found


def run(path: Path) -> list[str]:
    """Execute a notebook where it lies, and write its normal form if nothing is wrong with it."""
    notebook, seconds, found = _execute(path)
    if found:
        return found
    text = written(notebook)
    result = json.loads(text)
    found = problems(result)
    if not found:
        changed = path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        number = sum(map(compared, result["cells"]))
        change = "rewritten" if changed else "unchanged"
        print(f"{path.name}: {seconds:.1f} s, {number} cells compared, {change}", flush=True)
    return found


def fill(path: Path) -> list[str]:
    """Execute a notebook for the pages, with all its pictures, and keep the result in EXECUTED."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    tested = kept(path)
    notebook, seconds, found = (*tested, faults(tested[0])) if tested else _execute(path)
    if not found:
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        with _one_at_a_time():
            get_cache(EXECUTED).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        print(f"{path.name}: {seconds:.1f} s{', when it was tested' if tested else ''}", flush=True)
    return found


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two processes that write EXECUTED at once would find each other's records without their files."""
    import fcntl

    with (EXECUTED.parent / ".executed.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def state(path: Path) -> str:
    """A name for all that a notebook's outputs depend on: its text, the package, the book, the versions."""
    return hashlib.sha256(_surroundings() + path.read_bytes()).hexdigest()


@cache
def _surroundings() -> bytes:
    settings = sys.version, os.environ.get("REGROB_PRESET"), os.environ.get("REGROB_DATA")
    digest = hashlib.sha256(repr(settings).encode() + (ROOT / "requirements.lock").read_bytes())
    for folder in (ROOT / "regrob", BOOK):
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(ROOT)
            passing = any(part.startswith((".", "__pycache__")) for part in name.parts)
            if file.is_file() and file.suffix != ".ipynb" and not passing:
                digest.update(name.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.digest()


def keep(path: Path, before: str, notebook: Notebook, seconds: float) -> None:
    """Store what a notebook put out, drawn for the pages, for a `fill` that finds the same state.

    Args:
        path: the notebook.
        before: its state when it began to run.
        notebook: with its outputs.
        seconds: how long it took.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    unfinished = KEPT / f".{path.name}.part"
    unfinished.write_text(json.dumps({"state": before, "seconds": seconds, "notebook": notebook}), "utf-8")
    unfinished.replace(KEPT / path.name)


def kept(path: Path) -> tuple[Notebook, float] | None:
    """What `keep` stored and how long that took; None if there is nothing, or if something has changed."""
    import nbformat

    try:
        stored = json.loads((KEPT / path.name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if stored["state"] != state(path):
        return None
    return nbformat.from_dict(stored["notebook"]), stored["seconds"]  # type: ignore[no-untyped-call]


def _execute(path: Path) -> tuple[Notebook, float, list[str]]:
    """The notebook with what its cells put out, the time that took, and what went wrong."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],  # errors only: what the kernel logs is not the page's output
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    started = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError as error:
        return notebook, 0.0, [str(error)]
    return notebook, time.perf_counter() - started, faults(notebook)


def faults(notebook: Notebook) -> list[str]:
    """What is wrong with an executed notebook's pictures, and what it writes to stderr.

    What is not stored is on the page all the same, so a warning there counts too.
    """
    found = [problem for cell in notebook["cells"] for problem in picture_problems(cell)]
    found += [
        f"{cell['id']}: {problem}"
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for problem in _stderr_problems(output)
    ]
    return found


def _outputs(outputs: Iterable[Cell]) -> list[Cell]:
    """Adjacent pieces of a stream joined, pictures and widget views dropped."""
    kept: list[Cell] = []
    for output in outputs:
        if output["output_type"] == "stream":
            text = _text(output["text"])
            if kept and kept[-1].get("name") == output["name"]:
                text = _text(kept.pop()["text"]) + text
            kept.append({"name": output["name"], "output_type": "stream", "text": _lines(text)})
        elif "data" in output:
            data = {
                key: _lines(_text(value)) if isinstance(value, str | list) else value
                for key, value in output["data"].items()
                if key not in NOT_COMPARED
            }
            kept.append({**output, "data": data})
        else:
            kept.append(output)
    return kept


def _output_problems(output: Cell) -> list[str]:
    if output["output_type"] == "error":
        return [f"stored error {output['ename']}: {output['evalue']}"]
    found = _stderr_problems(output)
    if found:
        return found
    for key in output.get("data", {}):
        if key not in (*STORED, *NOT_COMPARED) and not key.startswith(GLUED):
            found.append(f"output of type {key} cannot be compared: tag the cell {IGNORE}")
    for text in _texts([output]):
        if len(text) > LARGEST_OUTPUT:
            found.append(f"output of {len(text)} characters: shorten it, or tag the cell {IGNORE}")
        if re.search(r"\bat 0x[0-9a-f]{6,}", text):
            found.append("output holds a memory address, which changes from run to run")
        if re.search(r"/(home|root|Users|tmp|work)/\w", text):
            found.append("output holds a path of one machine")
    return found


def _stderr_problems(output: Cell) -> list[str]:
    if output.get("name") != "stderr":
        return []
    return [f"writes to stderr, warnings included: {_text(output['text'])[:100]!r}"]


def _texts(outputs: Iterable[Cell]) -> list[str]:
    texts = []
    for output in outputs:
        if "text" in output:
            texts.append(_text(output["text"]))
        texts += [_text(value) for value in output.get("data", {}).values() if isinstance(value, str | list)]
    return texts


def _name(cells: list[Cell]) -> None:
    """Give cells that an editor named at random a readable name, and each a name of its own."""
    names: set[str] = set()
    for cell in cells:
        name = cell["id"]
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or re.fullmatch(r"[0-9a-f]{6,}", name):
            name = _slug(_text(cell["source"])) or cell["cell_type"]
        stem, number = name, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.add(name)
        cell["id"] = name


def _slug(source: str) -> str:
    """The first words of a cell, as a name: its heading, or its first line of code."""
    lines = [
        line for line in source.splitlines() if line.strip() and not line.startswith(("(", "```", ":", "%"))
    ]
    words = re.findall(r"[a-z][a-z0-9]*", lines[0].lower()) if lines else []
    return "-".join(words[:5])[:50].strip("-")


def _text(source: str | Sequence[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, check or fill; return 1 if anything is wrong with a notebook."""
    parser = argparse.ArgumentParser(description="Execute the notebooks, or check their stored form.")
    parser.add_argument("what", choices=("run", "check", "fill"))
    parser.add_argument("--jobs", type=int, default=1, help="notebooks that run at the same time")
    parser.add_argument("paths", nargs="*", type=Path)
    chosen = parser.parse_intermixed_args(arguments)
    paths = [path.resolve() for path in chosen.paths] or sorted(BOOK.glob("*.ipynb"))
    work: Callable[[Path], list[str]] = {"run": run, "check": check, "fill": fill}[chosen.what]
    if chosen.what == "fill":
        empty_executed()
    if chosen.what != "check" and chosen.jobs > 1:
        with ProcessPoolExecutor(chosen.jobs) as pool:
            results = list(pool.map(work, paths))
    else:
        results = list(map(work, paths))
    for path, found in zip(paths, results, strict=True):
        for problem in found:
            print(f"{path.name}: {problem}", file=sys.stderr)
    wrong = sum(map(bool, results))
    print(f"{len(paths) - wrong} of {len(paths)} notebooks are in order")
    return 1 if wrong else 0


def empty_executed() -> None:
    """Make EXECUTED anew before two processes do; tell the kernels that their pages are static."""
    from jupyter_cache import get_cache

    shutil.rmtree(EXECUTED, ignore_errors=True)
    get_cache(EXECUTED).list_cache_records()
    os.environ["REGROB_STATIC"] = "1"


if __name__ == "__main__":
    sys.exit(main())
