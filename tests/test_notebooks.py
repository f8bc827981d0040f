"""The stored notebooks: in normal form, with something to compare, with a text for every picture."""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
DRAWS = {"subplots", "figure", "imshow", "plot", "digits", "figure_1"}

_spec = importlib.util.spec_from_file_location("notebooks", ROOT / "book" / "_tools" / "notebooks.py")
assert _spec is not None
assert _spec.loader is not None
notebooks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(notebooks)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@every_notebook
def test_stored_in_normal_form(path: Path) -> None:
    assert notebooks.check(path) == []


@every_notebook
def test_every_picture_has_a_text(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    missing = [cell["id"] for cell in cells if cell["cell_type"] == "code" and lacks_text(cell)]
    missing += [cell["id"] for cell in cells if cell["cell_type"] == "markdown" and has_mute_image(cell)]
    assert missing == []


def lacks_text(cell: dict[str, Any]) -> bool:
    """Whether a cell draws a figure at its top level without alt text in its metadata."""
    source = "".join(line for line in cell["source"] if not line.lstrip().startswith(("%", "!")))
    called = {call for statement in ast.parse(source).body for call in calls(statement)}
    if "slider" in called or not called & DRAWS:
        return False  # a slider's texts are an argument that it insists on
    return not cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "").strip()


def calls(node: ast.AST) -> Iterator[str]:
    """Names of what is called in a statement, the bodies of functions left out."""
    if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
        return
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            yield node.func.attr
        elif isinstance(node.func, ast.Name):
            yield node.func.id
    for child in ast.iter_child_nodes(node):
        yield from calls(child)


def has_mute_image(cell: dict[str, Any]) -> bool:
    text = "".join(cell["source"])
    figures = re.findall(r"```\{(?:figure|image)\}.*?```", text, flags=re.DOTALL)
    return "![](" in text or any(":alt:" not in figure for figure in figures)


# The teeth: a good notebook, and each way to spoil it.


def good() -> dict[str, Any]:
    def code(name: str, count: int, source: str, outputs: list[dict[str, Any]], *tags: str) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "id": name,
            "metadata": {"tags": list(tags)} if tags else {},
            "source": [source],
            "execution_count": count,
            "outputs": outputs,
        }

    printed = {"name": "stdout", "output_type": "stream", "text": ["q = 1 - p\n"]}
    return {
        "cells": [
            {"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# Title"]},
            code("proof", 1, "print('q = 1 - p')", [printed]),
            code("trained", 2, "print(loss)", [], "nbval-ignore-output"),
        ],
        "metadata": copy.deepcopy(notebooks.METADATA),
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def spoilt(change: str) -> dict[str, Any]:
    notebook = good()
    proof, trained = notebook["cells"][1:]
    match change:
        case "stripped":
            for cell in (proof, trained):
                cell.update(execution_count=None, outputs=[])
        case "nothing compared":
            proof["metadata"] = {"tags": ["nbval-ignore-output"]}
            proof["outputs"] = []
        case "out of order":
            proof["execution_count"], trained["execution_count"] = 2, 1
        case "error":
            error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
            proof["outputs"].append(error)
        case "warning":
            proof["outputs"].append({"name": "stderr", "output_type": "stream", "text": ["UserWarning\n"]})
        case "unknown tag":
            trained["metadata"]["tags"].append("nbval-ignore-outputs")
        case "address":
            proof["outputs"][0]["text"] = ["<object at 0x7f3a5c0d2e10>\n"]
        case "path":
            proof["outputs"][0]["text"] = ["/ho" + "me/someone/regrob\n"]
        case "long output":
            proof["outputs"][0]["text"] = ["x" * 30_000]
        case "semicolon":
            proof["source"] = ["axes.plot(x);"]
        case "empty cell":
            trained["source"] = []
    return notebook


def test_a_good_notebook_passes(tmp_path: Path) -> None:
    path = tmp_path / "page.ipynb"
    path.write_text(notebooks.written(good()), encoding="utf-8")
    assert notebooks.check(path) == []


@pytest.mark.parametrize(
    "change",
    [
        "stripped",
        "nothing compared",
        "out of order",
        "error",
        "warning",
        "unknown tag",
        "address",
        "path",
        "long output",
        "semicolon",
        "empty cell",
    ],
)
def test_a_spoilt_notebook_is_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "page.ipynb"
    path.write_text(notebooks.written(spoilt(change)), encoding="utf-8")
    assert notebooks.check(path) != []


def test_a_picture_is_not_stored() -> None:
    notebook = good()
    data = {"image/png": "iVBOR", "text/plain": ["<Figure size 640x480 with 1 Axes>"]}
    notebook["cells"][1]["outputs"].append({"output_type": "display_data", "metadata": {}, "data": data})
    stored = notebooks.written(notebook)
    assert "image/png" not in stored
    assert "<Figure size" in stored


def test_normal_form_is_stable_and_names_cells() -> None:
    notebook = good()
    notebook["cells"][0]["id"] = "3f2a9b1c"
    notebook["cells"][1]["metadata"] = {"collapsed": True, "execution": {"started": "now"}}
    notebook["metadata"]["widgets"] = {"state": {}}
    first = notebooks.written(notebook)
    assert notebooks.written(json.loads(first)) == first
    assert json.loads(first)["cells"][0]["id"] == "title"
    assert "collapsed" not in first
    assert "widgets" not in first


def test_pieces_of_a_stream_are_joined() -> None:
    notebook = good()
    more = {"name": "stdout", "output_type": "stream", "text": "and p\n"}
    notebook["cells"][1]["outputs"].append(more)
    (output,) = notebooks.normal(notebook)["cells"][1]["outputs"]
    assert output["text"] == ["q = 1 - p\n", "and p\n"]


def test_a_picture_without_a_text_is_seen() -> None:
    drawing = {"source": ["fig, ax = plt.subplots()"], "metadata": {}}
    described = {**drawing, "metadata": {"mystnb": {"image": {"alt": "A line that rises."}}}}
    defined = {"source": ["def draw(nu):\n", "    return plt.subplots()[0]"], "metadata": {}}
    assert lacks_text(drawing)
    assert not lacks_text(described)
    assert not lacks_text(defined)
    assert has_mute_image({"source": ["![](figure.png)"]})


def test_running_writes_the_normal_form_and_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.ipynb"
    notebook = good()
    notebook["cells"].pop()
    notebook["cells"][1].update(execution_count=None, outputs=[])
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert notebooks.run(path) == []
    first = path.read_text(encoding="utf-8")
    assert "q = 1 - p\\n" in first
    assert notebooks.run(path) == []
    assert path.read_text(encoding="utf-8") == first


def test_a_warning_in_a_cell_that_is_not_compared_stops_the_run(tmp_path: Path) -> None:
    path = tmp_path / "loud.ipynb"
    notebook = good()
    notebook["cells"].pop()
    loud = copy.deepcopy(notebook["cells"][1])
    source = ["import warnings\n", 'warnings.warn("mind this", stacklevel=1)']
    loud.update(id="loud", metadata={"tags": ["nbval-ignore-output"]}, outputs=[], source=source)
    notebook["cells"].append(loud)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (problem,) = notebooks.run(path)
    assert problem.startswith("loud: writes to stderr") and "mind this" in problem


def test_a_picture_and_its_text_come_together() -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR"}, "metadata": {}}
    text = {"mystnb": {"image": {"alt": "A line that rises."}}}
    assert notebooks.picture_problems({"metadata": text, "outputs": [picture]}) == []
    assert notebooks.picture_problems({"metadata": {}, "outputs": []}) == []
    assert notebooks.picture_problems({"metadata": {}, "outputs": [picture]})
    assert notebooks.picture_problems({"metadata": text, "outputs": []})
