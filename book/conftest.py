"""Tests of the notebooks by nbval; with REGROB_KEEP_OUTPUTS=1 what they put out is kept for the pages.

Kernels then draw for the pages (REGROB_STATIC=1). What nbval compares is the same; and what a cell shows in
another form in a live notebook, a slider or a living figure, is made in that form too. `make book` takes a
notebook that was kept as it is now (`_tools/notebooks.py`), so that a run of both executes it once.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from regrob.notebook import ANSWER

QUIET = {"status", "execute_input"}
"""Messages of a kernel that show nothing."""
SHOWN = {"display_data", "execute_result", "stream", "error"}
"""Messages that are outputs as they are; after any other, a notebook is not kept."""
STILL = ('<div class="regrob-slider">', '<figure class="living"')
"""What a page has in the place of a widget."""
LIVE = """
import os as _os
from regrob.figures.slider import Slider as _Slider
_results = get_ipython().user_ns["_oh"]
_shown = _results[max(_results)]
del _os.environ["REGROB_STATIC"]
try:
    if isinstance(_shown, _Slider):
        _shown = _shown.again()
    _bundle = _shown._repr_mimebundle_()
    _data = _bundle[0] if isinstance(_bundle, tuple) else _bundle
    assert "application/vnd.jupyter.widget-view+json" in _data, "no widget in a live notebook"
finally:
    _os.environ["REGROB_STATIC"] = "1"
"""
"""What a live notebook shows of the last thing shown here."""


class Run:
    """One notebook on its way through its tests."""

    def __init__(self, file: IPyNbFile) -> None:
        self.path = Path(file.path)
        self.state = tool().state(self.path)
        self.outputs: list[list[Any]] = []
        self.seconds = 0.0
        self.whole = True
        """Whether each cell so far passed, and showed nothing but what can be kept."""


@functools.cache
def tool() -> ModuleType:
    """`_tools/notebooks.py`."""
    place = Path(__file__).with_name("_tools") / "notebooks.py"
    spec = importlib.util.spec_from_file_location("notebooks", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keeping() -> bool:
    """Whether outputs are kept."""
    return os.environ.get("REGROB_KEEP_OUTPUTS") == "1"


def pytest_configure() -> None:
    """Have kernels draw for the pages."""
    if keeping():
        os.environ["REGROB_STATIC"] = "1"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave the answers of exercises, which are glued for pages alone, out of what nbval compares."""
    if keeping() and isinstance(item, IPyNbCell):
        compare = item.compare_outputs
        item.compare_outputs = lambda test, ref: compare([o for o in test if not is_answer(o)], ref)


def is_answer(output: Any) -> bool:
    """Whether an output is the value of an exercise."""
    return str(output.get("metadata", {}).get("scrapbook", {}).get("name", "")).startswith(ANSWER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Listen to what a cell shows, and show it as in a live notebook too."""
    if not keeping() or not isinstance(item, IPyNbCell):
        return (yield)
    file, heard = item.parent, []
    if not hasattr(file, "run"):
        file.run = Run(file)
        # nbval's own way leaves cells uncounted.
        file.kernel.execute_cell_input = functools.partial(file.kernel.kc.execute, stop_on_error=False)
    run = file.run
    whole, run.whole = run.whole, False  # until it has passed
    ask, began = file.get_kernel_message, time.perf_counter()

    def listen(**settings: Any) -> Any:
        heard.append(ask(**settings))
        return heard[-1]

    file.get_kernel_message = listen
    try:
        result = yield
    finally:
        del file.get_kernel_message
    run.seconds += time.perf_counter() - began
    last = heard[-1]["parent_header"]["msg_id"]
    own = [message for message in heard if message["parent_header"].get("msg_id") == last]
    shown = [message for message in own if message["msg_type"] not in QUIET]
    outputs = [nbformat.v4.output_from_msg(message) for message in shown if message["msg_type"] in SHOWN]
    pages = [output.get("data", {}).get("text/html", "") for output in outputs]
    if any(still in page for page in pages for still in STILL):
        show_live(item)
    run.outputs.append(outputs)
    run.whole = whole and len(outputs) == len(shown)
    return result


def show_live(item: IPyNbCell) -> None:
    """Make what was shown last in its live form; an error there is the cell's."""
    kernel = item.parent.kernel
    asked = kernel.kc.execute(LIVE, store_history=False, stop_on_error=False)
    reply = kernel.kc.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != asked:
        reply = kernel.kc.get_shell_msg(timeout=60)
    kernel.await_idle(asked, 60)
    if reply["content"]["status"] != "ok":
        item.raise_cell_error("in a live notebook", "\n".join(reply["content"]["traceback"]))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Keep a notebook after its last cell."""
    file = item.parent
    run: Run | None = getattr(file, "run", None)
    if run is None or (nextitem is not None and nextitem.parent is file):
        return
    notebook = nbformat.read(run.path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not run.whole or len(cells) != len(run.outputs):
        return
    for cell, outputs in zip(cells, run.outputs, strict=True):
        cell.outputs = outputs
    told = file.kernel.kc.kernel_info(reply=True, timeout=60)
    notebook.metadata.language_info = told["content"]["language_info"]
    tool().keep(run.path, run.state, notebook, run.seconds)
