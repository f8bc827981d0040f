"""What nbval executed is kept for the pages: as an execution for the pages gives it, if all is well."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

pytest.importorskip("nbval")

BOOK = Path(__file__).resolve().parent.parent / "book"
IGNORED = "nbval-ignore-output"
SLIDER = """\
import os
import matplotlib.pyplot as plt
_ = "a chapter may call something so"
from regrob.figures.slider import slider

def draw(value):
    {first}
    figure, axes = plt.subplots(figsize=(1, 1))
    axes.plot([0, value])
    return figure

slider(draw, [1, 2], label="slope", alt=str)"""
NOT_ANSWERED = [nbformat.v4.new_output("stream", name="stdout", text="not answered yet\n")]


def result(text: str) -> list[Any]:
    return [nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=1)]


CELLS: dict[str, list[tuple[str, list[Any], list[str]]]] = {
    "good": [
        (SLIDER.format(first="pass"), [], [IGNORED]),
        ("from regrob.notebook import check_answer, glue\ndef two():\n    return 2", [], []),
        ("check_answer(None, two)", NOT_ANSWERED, []),
        ("print('before')\nglue('share', 12)\nprint('after')", [], [IGNORED]),
        ("1 / 0", [], ["raises-exception", IGNORED]),
        ("1 + 1", result("2"), []),
    ],
    "differs": [("1 + 1", result("3"), [])],
    "dead": [(SLIDER.format(first="1 / (os.environ.get('REGROB_STATIC') == '1')"), [], [IGNORED])],
    "takes-back": [("from IPython.display import clear_output\nclear_output()\n1 + 1", result("2"), [])],
}
"""Notebook → source, stored outputs and tags of its cells."""


def load(folder: Path) -> ModuleType:
    """The tool of a book."""
    spec = importlib.util.spec_from_file_location("notebooks", folder / "_tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a small book whose notebooks were tested, and what the tests said."""
    folder = tmp_path_factory.mktemp("small") / "book"
    (folder / "_tools").mkdir(parents=True)
    for name in ("conftest.py", "_tools/notebooks.py"):
        shutil.copy2(BOOK / name, folder / name)
    (folder.parent / "requirements.lock").write_text("", encoding="utf-8")
    (folder.parent / "regrob").mkdir()
    for name, cells in CELLS.items():
        made = [
            nbformat.v4.new_code_cell(
                source, id=f"c{number}", outputs=outputs, metadata={"tags": tags}, execution_count=number
            )
            for number, (source, outputs, tags) in enumerate(cells, 1)
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=kernel), folder / f"{name}.ipynb")
    pytest_with = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env")
    ran = subprocess.run(
        [sys.executable, *pytest_with, folder],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
        | {"REGROB_KEEP_OUTPUTS": "1", "PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_ADDOPTS": ""},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return folder, ran.stdout + ran.stderr


def test_only_what_passed_and_can_be_kept_is_kept(book: tuple[Path, str]) -> None:
    folder, said = book
    assert [path.name for path in (folder.parent / "_build" / "kept").iterdir()] == ["good.ipynb"], said
    assert "2 failed, 7 passed" in said


def test_a_widget_that_fails_in_a_live_notebook_fails_its_cell(book: tuple[Path, str]) -> None:
    assert "in a live notebook" in book[1]
    assert "ZeroDivisionError" in book[1].partition("in a live notebook")[2]


def test_what_is_kept_is_what_an_execution_for_the_pages_gives(
    book: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, path = load(book[0]), book[0] / "good.ipynb"
    found = tool.kept(path)
    assert found is not None
    monkeypatch.setenv("REGROB_STATIC", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    executed, _, faults = tool._execute(path)
    assert faults == tool.faults(found[0]) == []
    kept, made = (json.loads(json.dumps(notebook)) for notebook in (found[0], executed))
    assert kept == made
    assert "regrob-slider" in kept["cells"][0]["outputs"][0]["data"]["text/html"]
    assert [output["output_type"] for output in kept["cells"][3]["outputs"]] == [
        *("stream", "display_data", "stream")
    ], "in the order in which they were shown"
    assert kept["cells"][2]["outputs"][0]["metadata"]["scrapbook"]["name"] == "answer-two"


def test_after_any_change_nothing_is_taken(
    book: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, path = book[0], book[0] / "good.ipynb"
    tool = load(folder)
    tool.empty_executed()
    assert tool.fill(path) == []
    assert "when it was tested" in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n", encoding="utf-8")
    assert tool.kept(path) is None
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("REGROB_PRESET", "paper")
    assert load(folder).kept(path) is None
    monkeypatch.delenv("REGROB_PRESET")
    assert load(folder).kept(path) is not None
    for file in ("regrob/new.py", "book/results/new.csv"):
        new = folder.parent / file
        new.parent.mkdir(exist_ok=True)
        new.write_text("", encoding="utf-8")
        assert load(folder).kept(path) is None
        new.unlink()
