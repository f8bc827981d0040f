"""Which cells a browser can run: found by reading the code, with a wrong variant beside each right one."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("myst_nb")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from regrob_book import live_analysis, live_cells  # noqa: E402
from regrob_book.live_analysis import Package, Step  # noqa: E402

FILES = {
    "__init__": "",
    "pure": "import sympy\nfrom regrob.helper import half\n\ndef quarter(x):\n    return half(half(x))\n",
    "helper": "import math\n\ndef half(x):\n    return x / 2\n",
    "heavy": "import torch\n\ndef norm(x):\n    return torch.norm(x)\n",
    "above": "from regrob.heavy import norm\n\nONE = 1\n",
    "lazy": (
        "def trained():\n    import torch\n    return torch\n\n"
        "def through():\n    return trained()\n\n"
        "def light():\n    return 1\n\n"
        "class Model:\n    def fit(self):\n        return through()\n"
    ),
    "typed": (
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from torch import Tensor\n\n"
        "def shape(x: Tensor) -> Tensor:\n    return x.shape\n"
    ),
    "hidden": "def __getattr__(name):\n    import torch\n    return torch\n",
    "room/__init__": "from regrob.heavy import norm\n",
    "room/light": "ONE = 1\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    for name, content in FILES.items():
        path = tmp_path / "regrob" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content)
    return Package(tmp_path / "regrob")


def test_modules_that_load_without_torch(package: Package) -> None:
    modules = {"helper", "hidden", "lazy", "pure", "typed"}
    assert set(package.modules()) == {"regrob", *(f"regrob.{name}" for name in modules)}
    assert package.why_not_imported("regrob.above") == "torch"
    assert package.why_not_imported("regrob.room.light") == "torch"  # its room's door is loaded first


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        ("pure", "quarter", ""),
        ("typed", "shape", ""),  # annotations are text
        ("lazy", "light", ""),
        ("lazy", "trained", "torch"),
        ("lazy", "through", "torch"),
        ("lazy", "Model", "torch"),
        ("heavy", "norm", "torch"),
        ("hidden", "anything", "regrob.hidden.anything"),
        ("pure", "absent", "regrob.pure.absent"),
    ],
)
def test_what_using_a_name_loads(package: Package, module: str, name: str, reason: str) -> None:
    assert package.why_not_used(f"regrob.{module}", name) == reason


def steps(package: Package, *sources: str, tags: dict[int, str] | None = None) -> list[Step]:
    of_cell = [{(tags or {}).get(place, "")} for place in range(len(sources))]
    return live_analysis.plan(list(sources), of_cell, package).steps


SET_UP = "import math\nimport sympy as sp\nimport torch\nfrom regrob.lazy import light, trained\ntorch.set()"
SET_UP_LIGHT = "import math\nimport sympy as sp\nfrom regrob.lazy import light"


@pytest.mark.parametrize(
    "cell",
    [
        "x = sp.Symbol('x')\nsp.expand((x + 1)**2)",
        "light()",
        "def f(t):\n    return g(t)\ndef g(t):\n    return math.sin(t)\nf(1)",  # g is looked up when f runs
        "for sign in (1, -1):\n    print([sign * k for k in range(3)])",
        "import statistics\nstatistics.mean([1, 2])",
    ],
)
def test_a_cell_that_needs_no_torch_is_live(package: Package, cell: str) -> None:
    assert steps(package, SET_UP, cell) == [SET_UP_LIGHT, 1]


@pytest.mark.parametrize(
    "cell",
    [
        "torch.ones(3)",
        "trained()",
        "def f():\n    return torch.ones(3)",  # it would fail when it is called
        "sorted([1], key=lambda t: torch.sin(t))",
        "from regrob.lazy import Model",
        "import numpy as np\nnp.ones(3)",
        "from pathlib import Path\nPath('results').read_text()",
        "open('results').read()",
        "undefined + 1",
        "%matplotlib inline",
        "import subprocess",
        "from regrob import heavy\nheavy.norm(1)",
        "from regrob import lazy\nlazy.trained()",
    ],
)
def test_a_cell_that_needs_more_is_not(package: Package, cell: str) -> None:
    assert steps(package, SET_UP, cell) == []


def test_of_a_module_of_ours_the_light_part_is_live(package: Package) -> None:
    cell = "from regrob import lazy\nlazy.light()"
    assert steps(package, SET_UP, cell) == [SET_UP_LIGHT, 1]


def test_what_a_cell_needs_of_earlier_cells_goes_with_it(package: Package) -> None:
    mixed = "a = 2\nb = 3\ndef twice(t):\n    return a * t\nW = torch.ones(a)\nprint(b)"
    assert steps(package, SET_UP, mixed, "twice(5)") == [
        SET_UP_LIGHT,
        "a = 2\ndef twice(t):\n    return a * t",
        2,
    ]
    assert steps(package, SET_UP, mixed, "twice(W)") == []


def test_a_name_that_torch_has_touched_is_lost(package: Package) -> None:
    later = "sum(found)"
    assert steps(package, SET_UP, "found = [1]", later) == [SET_UP_LIGHT, 1, 2]
    for touched in (
        "found.append(float(torch.ones(1)))",
        "found[0] = torch.ones(1)",
        "found = torch.ones(1)",
    ):
        assert steps(package, SET_UP, "found = [1]", touched, later) == [SET_UP_LIGHT, 1]
    assert steps(package, SET_UP, "def f():\n    return a", "a = 1", "f()") == [
        SET_UP_LIGHT,
        "def f():\n    return a",  # alone it could not be called yet
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("cell", "live"),
    [
        ("for k in (1, 2):\n    W = k\n    print(W)", True),  # bound afresh before it is looked up
        ("for k in (1, 2):\n    print(W)\n    W = k", False),
        ("W = 1\nW += 1", True),
        ("W += 1", False),
        ("def f(n):\n    n += 1\n    return n\nf(1)", True),
        ("if light():\n    W = 1\nelse:\n    print(W)", False),
    ],
)
def test_a_name_bound_afresh_is_usable(package: Package, cell: str, live: bool) -> None:
    assert steps(package, SET_UP, "W = torch.ones(1)", cell) == ([SET_UP_LIGHT, 2] if live else [])


def test_a_function_whose_helper_becomes_heavy_is_lost(package: Package) -> None:
    define = "def helper():\n    return 1\ndef f():\n    return helper()"
    assert steps(package, SET_UP, define, "f()") == [SET_UP_LIGHT, 1, 2]
    heavier = "def helper():\n    return torch.ones(1)"
    assert steps(package, SET_UP, define, heavier, "f()") == [SET_UP_LIGHT, 1]


def test_code_that_is_not_shown_cannot_be_run_but_gives_what_is_needed(package: Package) -> None:
    assert steps(package, "a = 1", "a + 1", tags={0: "remove-input"}) == ["a = 1", 1]
    assert steps(package, "a = 1", tags={0: "remove-cell"}) == []


HEAVY = "def f():\n    return torch.ones(k)"
JUDGE = "from regrob.helper import half as check_answer\nk = 1"


@pytest.mark.parametrize(
    "cell",
    [
        f"{HEAVY}\ncheck_answer(None, f)",
        f"answer = None\n{HEAVY}\ncheck_answer(answer, f, tolerance=1e-3)",
        "def f():\n    return trained()\ncheck_answer(None, f)",
        "def f():\n    return np.ones(3)\ncheck_answer(None, f)",  # never imported on the page
    ],
)
def test_an_exercise_may_be_computed_with_torch(package: Package, cell: str) -> None:
    found = live_analysis.plan([SET_UP, JUDGE, cell], [set()] * 3, package)
    assert found == live_analysis.Plan([SET_UP_LIGHT, 1, 2], {"f"})


@pytest.mark.parametrize(
    "cell",
    [
        f"{HEAVY}\ncheck_answer(None, f)\nassert f() == 1",  # called here too
        f"{HEAVY}\ncheck_answer(f(), f)",
        f"{HEAVY}\ncheck_answer(None, f())",
        f"{HEAVY}\ncheck_answer(None, f, tolerance=torch.ones(1))",
        f"{HEAVY}\ncheck_answer(torch.ones(1), f)",
        f"{HEAVY}\nprint(None, f)",
        "W = torch.ones(1)\ncheck_answer(None, W)",  # a value that no function gives
        "check_answer(None, nowhere)",
    ],
)
def test_only_what_an_answer_is_compared_with_may(package: Package, cell: str) -> None:
    found = live_analysis.plan([SET_UP, JUDGE, cell], [set()] * 3, package)
    assert found.steps == [SET_UP_LIGHT, 1]
    assert not found.stored


def test_a_function_whose_value_is_stored_keeps_its_name_alone(package: Package) -> None:
    heavy = "helper = 2\ndef f():\n    return torch.ones(helper)\nassert f() == 1"
    found = live_analysis.plan([SET_UP, JUDGE, heavy, "check_answer(None, f)"], [set()] * 4, package)
    assert found == live_analysis.Plan([SET_UP_LIGHT, 1, "def f():\n    ...", 3], {"f"})


def test_a_function_that_the_page_can_call_is_called(package: Package) -> None:
    cells = [SET_UP, JUDGE, "def f():\n    return k", "check_answer(None, f)"]
    found = live_analysis.plan(cells, [set()] * 4, package)
    assert found == live_analysis.Plan([SET_UP_LIGHT, 1, 2, 3], set())
    touched = "k = torch.ones(1)"  # the page would compute with the old k
    found = live_analysis.plan([*cells[:3], touched, cells[3]], [set()] * 5, package)
    assert found == live_analysis.Plan([SET_UP_LIGHT, 1, 2, 4], {"f"})


def of_the_book(path: Path) -> tuple[list[str], list[set[str]]]:
    """Code and tags of a chapter's cells of code."""
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells], [set(c["metadata"].get("tags", ())) for c in cells]


def test_every_exercise_is_answered_on_its_page() -> None:
    package = Package(ROOT / "regrob")
    exercises = stored = 0
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        sources, tags = of_the_book(path)
        plan = live_analysis.plan(sources, tags, package)
        asked = [place for place, source in enumerate(sources) if "check_answer(answer" in source]
        assert set(asked) <= set(plan.steps), f"{path.name}: {sources[min(set(asked) - set(plan.steps))]}"
        defined = [
            statement.name
            for source in sources
            if not source.startswith("%")
            for statement in ast.parse(source).body
            if isinstance(statement, ast.FunctionDef)
        ]
        ours = [re.search(r"check_answer\(answer, (\w+)", sources[place])[1] for place in asked]
        assert all(defined.count(name) == 1 for name in ours), f"{path.name}: names of exercises: {ours}"
        assert plan.stored <= set(ours), f"{path.name}: only an unanswered exercise stores its value"
        exercises += len(asked)
        stored += len(plan.stored)
    assert exercises >= 48
    assert 30 < stored < exercises, "some are computed on the page"


def test_the_cells_of_the_book() -> None:
    package = Package(ROOT / "regrob")
    live = 0
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        sources, tags = of_the_book(path)
        plan = live_analysis.plan(sources, tags, package)
        places = [step for step in plan.steps if isinstance(step, int)]
        for place in places:
            run = [
                part
                for part in ast.parse(sources[place]).body
                if getattr(part, "name", "") not in plan.stored
            ]
            code = ast.unparse(ast.Module(run, []))
            assert "torch." not in code and "plt." not in code
        live += len(places)
        proofs = [
            p for p, source in enumerate(sources) if "prove_" in source and "import torch" not in source
        ]
        if package.why_not_imported("regrob.claims.class_sums"):
            proofs = [p for p in proofs if "weighted_moments" not in sources[p]]
        missed = [p for p in proofs if p not in places and "torch" not in sources[p]]
        assert not missed, f"{path.name}: {sources[missed[0]]}"
    assert live > 100


def test_a_machine_without_node_builds_without_the_buttons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(live_cells.logger, "info", lambda words, *values: said.append(words % values))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REGROB_LIVE_CELLS")
    assert live_cells.built(tmp_path / "without") is None
    assert said[-1] == "live cells: left out, since there is no npm: install Node.js with npm"
    monkeypatch.setenv("REGROB_LIVE_CELLS", "0")
    assert live_cells.built(tmp_path / "not wanted") is None
    assert len(said) == 2


def test_what_is_built_is_named_by_its_parts(tmp_path: Path) -> None:
    part = tmp_path / "part.py"
    part.write_text("a = 1")
    before = live_cells.key({"part.py": part})
    assert live_cells.key({"part.py": part}) == before
    part.write_text("a = 2")
    assert live_cells.key({"part.py": part}) != before


def test_what_npm_brings_is_pinned_by_hash_and_names_no_registry() -> None:
    lock = json.loads((live_cells.SCRIPTS / "package-lock.json").read_text("utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not [name for name, package in packages.items() if "resolved" in package]


def test_expected_values_are_read_from_what_the_build_glued() -> None:
    nbformat = pytest.importorskip("nbformat")

    def glued(name: str, text: str) -> object:
        prefix = "application/papermill.record/"
        scrapbook = {"name": name, "mime_prefix": prefix}
        return nbformat.v4.new_output(
            "display_data", {prefix + "text/plain": text}, metadata={"scrapbook": scrapbook}
        )

    printed = nbformat.v4.new_output("stream", text="not answered yet\n")
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("1", outputs=[glued("answer-f", "'[0.5]'"), printed]),
        nbformat.v4.new_code_cell("2", outputs=[glued("share", "'12'"), glued("answer-g", repr('"a\'b"'))]),
    ]
    assert live_cells.expected_values(cells) == {"f": "[0.5]", "g": '"a\'b"'}
