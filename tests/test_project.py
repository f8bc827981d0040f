"""The project as a whole: what importing loads, and what its files must not hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

import regrob

ROOT = Path(__file__).resolve().parent.parent
TEXT = {".bib", ".cff", ".css", ".ipynb", ".js", ".lock", ".md", ".py", ".toml", ".v", ".yml", ""}
# Written in pieces, so that this file does not hold what it forbids.
FOLDERS = "|".join(["ho" + "me", "ro" + "ot", "Us" + "ers", "wo" + "rk", "m" + "nt"])
MACHINE = re.compile(rf"(?<![\w.}}/-])/({FOLDERS})/\w|\.\./sha" + "red")
HEAVY = ("matplotlib", "sympy", "pandas", "mlxtend", "ipywidgets", "scipy")


ROOMS = ("affine", "theory", "certificates", "ensembles", "attacks", "training", "networks", "data", "cli")
"""What a reader's own code imports: nothing that draws, and no algebra."""


def files() -> list[Path]:
    """Every text file that git tracks or would track."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in found if path.suffix in TEXT and path.is_file()]


def python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout


BESIDE_TORCH = """
import os, sys, torch
for code in sys.argv[1:]:
    if os.fork() == 0:
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"this fails: {code}")
"""


def beside_torch(*programs: str) -> list[str]:
    """What each program prints, a line each, in a process of its own that has only imported torch."""
    command = [sys.executable, "-c", BESIDE_TORCH, *programs]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    lines = ran.stdout.splitlines()
    assert len(lines) == len(programs)
    return lines


def test_importing_loads_only_what_is_needed() -> None:
    code = f"import sys, regrob; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code).strip() == "[]"


def test_each_part_loads_without_pictures_and_algebra() -> None:
    code = f"import {{}}; print(*(name for name in {HEAVY} if name in sys.modules))"
    parts = [f"regrob.{room}" for room in ROOMS]
    *found, tooth = beside_torch(*map(code.format, [*parts, "pandas"]))
    assert {part: heavy for part, heavy in zip(parts, found, strict=True) if heavy} == {}
    assert tooth == "pandas"


def test_what_a_reader_needs_stands_at_the_door() -> None:
    code = (
        "import sys, regrob; print('torch' in sys.modules, *sorted(set(regrob.__all__) - set(dir(regrob))))"
    )
    assert python(code).split() == ["False"]
    for name in regrob.__all__:
        assert getattr(regrob, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'lokal_map'"):
        regrob.lokal_map  # noqa: B018


def test_the_door_opens_without_delay() -> None:
    clock = "import time; begin = time.process_time(); import regrob; print(time.process_time() - begin)"
    assert min(float(python(clock)) for _ in range(3)) < 0.3


def test_importing_costs_little_more_than_torch() -> None:
    # Processor time, the best of three: a busy machine must not fail this.
    clock = "import time; began = time.process_time(); import regrob.affine.local_map; "
    clock += "print(time.process_time() - began)"
    assert min(map(float, beside_torch(clock, clock, clock))) < 0.5


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert found == []


def test_such_a_path_would_be_seen() -> None:
    assert MACHINE.search("open('/ho" + "me/me/data')")
    assert MACHINE.search("see ../sha" + "red/notes.md")
    assert not MACHINE.search("https://example.org/ho" + "me/page")


def test_no_third_party_script_or_font_is_in_the_tree() -> None:
    large = [path for path in files() if path.suffix in {".js", ".css"} and path.stat().st_size > 50_000]
    fonts = [path for path in ROOT.glob("book/**/*") if path.suffix in {".woff", ".woff2", ".ttf", ".otf"}]
    assert large + fonts == []


def test_the_lock_holds_versions_only_and_covers_what_is_asked_for() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lock if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", pin)] == []
    locked = {normal(pin.partition("==")[0]) for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {normal(re.split(r"[\[<>=!~ ;]", requirement)[0]) for requirement in wanted} - {"regrob"}
    assert names - locked == set()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def defined(path: Path) -> list[tuple[str, str]]:
    """(name, "" or ".") of what a module defines at its top, and of its classes' own attributes."""
    found = []

    def names(body: list[ast.stmt]) -> list[str]:
        several = [one.targets for one in body if isinstance(one, ast.Assign)]
        targets = [part for one in chain(*several) for part in ast.walk(one)]
        targets += [one.target for one in body if isinstance(one, ast.AnnAssign)]
        functions = [one.name for one in body if isinstance(one, ast.FunctionDef | ast.ClassDef)]
        return functions + [one.id for one in targets if isinstance(one, ast.Name)]

    body = ast.parse(path.read_text(encoding="utf-8")).body
    found += [(name, "") for name in names(body)]
    classes = [one for one in body if isinstance(one, ast.ClassDef)]
    found += [(name, ".") for name in chain(*(names(one.body) for one in classes))]
    return [(name, dot) for name, dot in found if not name.startswith("__")]


def test_nothing_is_defined_that_nothing_uses() -> None:
    """By name alone: what shares its name with something in use is not found."""
    texts = [path.read_text(encoding="utf-8") for path in files() if path.suffix in (".py", ".ipynb", "")]
    words = Counter(chain(*(re.findall(r"\w+", text) for text in texts)))
    attributes = Counter(chain(*(re.findall(r"\.(\w+)", text) for text in texts)))
    unused = [
        f"{path.name}: {name}"
        for path in (ROOT / "regrob").rglob("*.py")
        for name, dot in defined(path)
        if (not attributes[name] if dot else words[name] < 2)
    ]
    assert unused == []
