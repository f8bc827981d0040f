"""What a page says of a stored result's origin is what its sidecar says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from regrob.analysis import paper_numbers, provenance, tables
from regrob.errors import DataError

SIDECAR = {
    "preset": "standard",
    "dataset": "mnist-1-7",
    "seconds": 5400.0,
    "networks": {
        "net": {
            "seeds": 10,
            "reference": 5000,
            "fine_tuning": 3000,
            "batch": 64,
            "images": None,
            "searched_images": 0,
            "distance_images": 200,
        }
    },
    "made_by": [
        {"device": "x86_64 CPU", "date": "2026-01-02", "commit": "abc"},
        {"device": "x86_64 CPU", "date": "2026-01-01", "commit": None},
    ],
}


def test_a_page_insists_on_what_its_text_says():
    stored, quick = ({"figure": "fig4", "preset": preset} for preset in ("standard", "quick"))
    tables.insist_on(stored)(True)
    with pytest.raises(DataError, match="result of fig4 and fig4 does not show"):
        tables.insist_on(stored, stored)(False)
    tables.insist_on(quick)(False)
    tables.insist_on(stored, quick)(False)


def test_words_of_a_sidecar():
    table = pd.DataFrame({"network": ["net", "net", "net", "other"], "lambda": [0.0, 6.4, 0.1, 9.0]})
    found = provenance.origin(table, SIDECAR, "net")
    assert found == {
        "preset": "standard",
        "seeds": "ten seeds",
        "reference": "5 000",
        "fine-tuning": "3 000",
        "weights": "0.1, 6.4",
        "missing": "0.0001, 0.001, 0.01, 0.2, 0.4, 0.8 and 1.6",
        "grid": "Of the paper's λ this leaves out 0.0001, 0.001, 0.01, 0.2, 0.4, 0.8 and 1.6.",
        "batch": "64",
        "images": "the whole test set",
        "searched-images": "the whole test set",
        "distance-images": "200 test images",
        "device": "an x86-64 processor",
        "date": "2026-01-01 and 2026-01-02",
        "commit": "abc",
        "hours": "1.5",
    }
    (row,) = provenance.protocol(table[table["network"] == "net"], SIDECAR).to_dict("records")
    assert (row["network"], row["seeds"], row["images in a batch"]) == ("net", "10", "64")
    assert (row["steps without a penalty"], row["steps with one"], row["λ"]) == ("5 000", "3 000", "0.1, 6.4")
    assert row["Carlini–Wagner sees"] == "200 test images"
    with pytest.raises(DataError, match="no result of lenet-5"):
        provenance.origin(table, SIDECAR, "lenet-5")


def test_a_grid_that_is_the_papers_is_said_to_be_all_of_it():
    own = {"network": "net", "lambda": [0.0, *paper_numbers.weights(SIDECAR["dataset"])]}
    found = provenance.origin(pd.DataFrame(own), SIDECAR, "net")
    assert (found["missing"], found["grid"]) == ("none", "These are all the λ of the paper.")


def test_words_of_photographs_know_their_own_grid_and_who_saw_fewer_images():
    table = pd.DataFrame({"network": ["net", "net"], "lambda": [0.0, 1e-2]})
    spent = {**SIDECAR["networks"]["net"], "searched_images": 500}
    sidecar = {**SIDECAR, "dataset": "cifar10-airplane-automobile", "networks": {"net": spent}}
    found = provenance.origin(table, sidecar, "net")
    assert found["missing"] == "1e-06, 1e-05, 0.0001, 0.001 and 0.1"
    assert (found["images"], found["searched-images"]) == ("the whole test set", "500 test images")


def test_tables_are_read_and_written_without_torch(tmp_path):
    """Who only looks at a stored table does not wait for what computes one."""
    row = dict(zip(tables.COLUMNS, ("f", "d", "net", "none", 0.0, 0, "pgd", "accuracy", 0.5), strict=True))
    program = f"""
import sys
from pathlib import Path
from regrob.analysis import tables
folder = Path(sys.argv[1])
tables.write(folder, "f", [{row!r}], {{"preset": "quick"}})
table, sidecar = tables.read(folder, "f")
assert table["value"].item() == 0.5 and sidecar == {{"preset": "quick"}}
tables.insist_on({{"preset": "quick", "figure": "f"}})(False)
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("torch", "regrob")))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    names = ["", ".intervals", ".measures", ".phrases", ".tables"]
    expected = ["regrob", *(f"regrob.analysis{name}" for name in names), "regrob.errors"]
    assert ran.stdout.split() == expected
    assert json.loads((tmp_path / "f.json").read_text()) == {"preset": "quick"}
