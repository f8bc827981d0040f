"""The rooms of the package: imports run one way, and the drawings agree with what the code does."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import regrob

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "regrob"
REFERENCE = ROOT / "book" / "reference"


def rooms() -> set[str]:
    """Every folder and file directly below `regrob/`."""
    return {name for _, name, _ in pkgutil.iter_modules([str(PACKAGE)])} | {"__main__"}


def floors() -> list[set[str]]:
    """The contract's layers, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [{room.strip() for room in re.split("[|:]", layer)} for layer in layers]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_the_house_is_small() -> None:
    assert len(rooms()) <= 20
    assert len(floors()) <= 10


def test_every_room_has_its_floor() -> None:
    assert set().union(*floors()) == rooms()
    assert sum(map(len, floors())) == len(rooms())


def test_contributing_draws_the_contract() -> None:
    drawing = re.search(r"```\n(cli .*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert drawing is not None
    floor_of = {room: number for number, floor in enumerate(floors()) for room in floor}
    drawn: list[str] = []
    for line in drawing[1].splitlines():
        drawn += [word for word in (line[:16].strip(), line[70:84].strip()) if word in floor_of]
    assert sorted(drawn) == sorted(rooms())
    assert [floor_of[room] for room in drawn] == sorted(floor_of[room] for room in drawn)


@pytest.mark.parametrize(
    ("place", "line", "contract"),
    [
        ("theory/probability.py", "import regrob.attacks.fgsm", "A room stands only on the rooms below it"),
        ("attacks/fgsm.py", "import regrob.training.single", "A room stands only on the rooms below it"),
        ("affine/graph.py", "import regrob.affine.kinks", "No circle between the files of a room"),
        ("analysis/tables.py", "import torch", "Tables are read without torch"),
        ("theory/margin.py", "import pandas", "The mathematics needs no tables and no pictures"),
        (
            "claims/statements/lemma_3_2.py",
            "import regrob.theory.margin",
            "The symbolic side of a claim needs no torch",
        ),
        (
            "claims/rational_networks.py",
            "import numpy",
            "The symbolic side of a claim needs no torch",
        ),
        (None, None, None),
    ],
)
def test_an_import_in_the_wrong_direction_is_caught(tmp_path, place, line, contract) -> None:
    shutil.copytree(PACKAGE, tmp_path / "regrob", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if place is None:
        assert lint(tmp_path).returncode == 0
        return
    with (tmp_path / "regrob" / place).open("a") as file:
        file.write(f"\n{line}\n")
    outcome = lint(tmp_path)
    assert outcome.returncode == 1
    assert f"{contract} BROKEN" in outcome.stdout


def without_example(room: object) -> set[str]:
    """Exported functions without a doctest, and exported classes without a docstring."""
    exported = {name: getattr(room, name) for name in room.__all__}
    return {
        name
        for name, member in exported.items()
        if (inspect.isfunction(member) and ">>> " not in (member.__doc__ or ""))
        or (inspect.isclass(member) and not member.__doc__)
    }


@pytest.mark.parametrize("room", ["affine", "theory", "certificates", "attacks"])
def test_every_public_function_has_an_example(room: str) -> None:
    assert without_example(importlib.import_module(f"regrob.{room}")) == set()


def test_a_function_without_an_example_is_found() -> None:
    def square(x: float) -> float:
        """x times x."""
        return x * x

    class Silent:
        pass

    room = SimpleNamespace(
        __all__=["square", "Silent", "silent"], square=square, Silent=Silent, silent=lambda: 0
    )
    assert without_example(room) == {"square", "Silent", "silent"}
    square.__doc__ = "x times x.\n\n>>> square(3.0)\n9.0"
    assert without_example(room) == {"Silent", "silent"}


def packages() -> list[str]:
    return sorted(name for _, name, is_package in pkgutil.iter_modules([str(PACKAGE)]) if is_package)


@pytest.mark.parametrize("room", packages())
def test_a_room_says_what_it_is_for_and_exports_its_names(room: str) -> None:
    module = importlib.import_module(f"regrob.{room}")
    assert inspect.getdoc(module)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for name in exported:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("room", packages())
def test_the_reference_has_every_file_of_a_room(room: str) -> None:
    page = (REFERENCE / f"{room}.md").read_text(encoding="utf-8")
    named = set(re.findall(rf"automodule:: regrob\.{room}\.([\w.]+)", page))
    files = {name for _, name, is_package in pkgutil.iter_modules([str(PACKAGE / room)]) if not is_package}
    for _, inner, is_package in pkgutil.iter_modules([str(PACKAGE / room)]):
        if is_package and inner in named:  # a room inside a room: with all its files, or not at all
            within = pkgutil.iter_modules([str(PACKAGE / room / inner)])
            files |= {inner, *(f"{inner}.{name}" for _, name, _ in within)}
    assert named == files
    assert f"book/reference/{room}\n" in (ROOT / "_toc.yml").read_text(encoding="utf-8")


def test_the_reference_has_the_single_files_too() -> None:
    page = (REFERENCE / "modules.md").read_text(encoding="utf-8")
    files = rooms() - set(packages()) - {"__main__", "cli"}
    assert set(re.findall(r"automodule:: regrob\.(\w+)", page)) == files


def public_types(folder: Path) -> dict[str, list[str]]:
    """Class or named type without a leading underscore → the files that define it."""
    files_of: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            targets: list[ast.expr] = []
            if isinstance(statement, ast.ClassDef):
                targets = [ast.Name(statement.name)]
            elif isinstance(statement, ast.Assign):
                targets = statement.targets
            elif isinstance(statement, ast.AnnAssign):
                targets = [statement.target]
            for name in (target.id for target in targets if isinstance(target, ast.Name)):
                if re.fullmatch("[A-Z][A-Za-z]*[a-z][A-Za-z]*", name):
                    files_of.setdefault(name, []).append(str(path.relative_to(folder)))
    return files_of


def ambiguous(folder: Path) -> dict[str, list[str]]:
    """Types of one name in several files: a reader cannot know which is meant, and neither can the pages."""
    return {name: files for name, files in public_types(folder).items() if len(files) > 1}


def test_no_two_public_types_share_a_name() -> None:
    assert ambiguous(PACKAGE) == {}


def test_two_public_types_of_one_name_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Step: ...\nclass _Run: ...\nBounds = tuple[float, float]\nN = 1\n")
    (tmp_path / "b.py").write_text("class Step: ...\nclass _Run: ...\nBounds: TypeAlias = float\nN = 2\n")
    assert ambiguous(tmp_path) == {"Step": ["a.py", "b.py"], "Bounds": ["a.py", "b.py"]}


def modules() -> dict[str, list[str]]:
    """Last name → full names of the package's modules."""
    full = [
        name for _, name, _ in pkgutil.walk_packages(regrob.__path__, "regrob.") if "__main__" not in name
    ]
    return {
        leaf: [name for name in full if name.endswith(f".{leaf}")]
        for leaf in {n.split(".")[-1] for n in full}
    }


def unknown(text: str, known: dict[str, list[str]]) -> set[str]:
    """Names like `module.name` in a text whose module is ours and does not have the name."""
    named = re.findall(r"`(?:regrob\.)?(?:\w+\.)*(\w+)\.(?!json|csv|py`)(\w+)(?:\([^`]*\))?`", text)

    def has(full: str, name: str) -> bool:
        """Also a module that nobody has imported yet."""
        return f"{full}.{name}" in known.get(name, []) or hasattr(importlib.import_module(full), name)

    return {
        f"{module}.{name}"
        for module, name in named
        if module in known and not any(has(full, name) for full in known[module])
    }


def test_names_in_the_prose_exist() -> None:
    known = modules()
    assert unknown("`local_map.kniks(x)` `theory.curvature`", known) == {"local_map.kniks"}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
    for notebook in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert unknown(prose, known) == set(), notebook.name
    for page in pages:
        assert unknown(page.read_text(encoding="utf-8"), known) == set(), page.name
