"""What all tests share: one thread, no display, reproducible examples, any order."""

from __future__ import annotations

import os
import random

import hypothesis
import pytest
import shape_checks
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["REGROB_LIVE_CELLS"] = "0"  # SymPy is packed for the browser by `make book`: a minute of work
torch.set_num_threads(1)  # two workers run side by side; a second thread each would slow both

shape_checks.install()  # before any test imports a room

hypothesis.settings.register_profile("regrob", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("regrob")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--shuffle N` runs the tests in the N-th order, so that none leans on another."""
    parser.addoption("--shuffle", type=int, metavar="N", help="the N-th shuffled order of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the files, and the tests in each; a file's fixtures are still made once."""
    seed = config.getoption("--shuffle")
    if seed is None:
        return
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    chance = random.Random(seed)
    order = sorted(files)
    chance.shuffle(order)
    for name in order:
        chance.shuffle(files[name])
    items[:] = [item for name in order for item in files[name]]
