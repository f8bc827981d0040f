"""Cells that run in the reader's browser: which they are, and what their pages are served with.

The scripts in `book/_live` are built with npm's packages, at the versions of its package-lock.json, once
for all builds with the same parts. A machine without Node, or without a registry, builds the book without
the buttons, and says so. REGROB_LIVE_CELLS=0 leaves them out.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from regrob.notebook import ANSWER

from . import live_analysis, proof_code
from .live_analysis import Package
from .readers import executed, is_notebook

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "book" / "_live"
FOLDER = "live"
PACKAGE = Package(ROOT / live_analysis.OURS)

PYTHON = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm")
"""Pyodide's files that a page needs as they are."""
ARCHIVE = "python.zip.zst"
LIBRARY = "python_stdlib.zip"
COUNTED = ("pyodide.asm.wasm", "pyodide-lock.json", LIBRARY, ARCHIVE)
"""What the worker counts while it fetches."""

LEFT_OUT = {
    *("antlr", "autolev", "benchmarks", "c", "fortran", "latex", "tests"),
    *("biomechanics", "continuum_mechanics", "control", "hep", "mechanics", "optics", "quantum"),
    *("categories", "crypto", "diffgeom", "holonomic", "liealgebras", "sandbox", "stats"),
}
"""Folders of SymPy and mpmath that no proof needs: tests, other languages' parsers, physics, other fields."""

LIVE = re.compile(r'class="(?:[^"]* )?(?:live-cell|live-ledger|live-claim)\b')
"""What a page has if it runs something."""
WITHOUT_SCRIPTS = "With scripts switched on, cells of this page run in your browser."


class CannotBuildError(Exception):
    """The machine lacks what the live cells are built with; says what."""


def packed() -> dict[str, Path]:
    """Name in the archive → file: SymPy, mpmath, our torch-free modules, what they read, and the driver."""
    files = {"driver.py": SCRIPTS / "driver.py"}
    for library in sorted(live_analysis.LIBRARIES):
        found = importlib.util.find_spec(library)
        if found is None or found.origin is None:
            raise CannotBuildError(f"{library} is not installed")
        folder = Path(found.origin).parent
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder.parent)
            if not LEFT_OUT & set(name.parts[:-1]):
                files[name.as_posix()] = path
    for module in PACKAGE.modules():
        path = PACKAGE.file(module)
        if path is not None:
            files[path.relative_to(ROOT).as_posix()] = path
    files |= {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "regrob").rglob("*.json"))}
    return files


def key(files: dict[str, Path]) -> str:
    """A name for what is built from these files and from the scripts beside this book."""
    digest = hashlib.sha256()
    for name, path in [*files.items(), *((path.name, path) for path in sorted(SCRIPTS.iterdir()))]:
        if path.is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def run(*command: str | Path, folder: Path, given: str = "") -> None:
    """Run a tool.

    Raises:
        CannotBuildError: there is no such tool, or it fails; says the last line that it wrote.
    """
    try:
        done = subprocess.run(command, check=False, cwd=folder, input=given, capture_output=True, text=True)
    except FileNotFoundError:
        raise CannotBuildError(f"there is no {command[0]}: install Node.js with npm") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no word why"]
        raise CannotBuildError(f"{command[0]} fails: {said[-1].strip()}")


def build(folder: Path) -> Path:
    """The folder of all that pages are served with, built if it is not there yet.

    Raises:
        CannotBuildError: something is missing.
    """
    files = packed()
    target = folder / key(files)
    if target.is_dir():
        return target
    logger.info("live cells: packing SymPy for the browser, a minute the first time")
    packages = folder / "npm"
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "editor.js"):
        shutil.copy2(SCRIPTS / name, packages / name)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=packages)
    modules = packages / "node_modules"

    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for name in PYTHON:
        shutil.copy2(modules / "pyodide" / name, unfinished / name)
    # Pyodide's list of packages to fetch from elsewhere is emptied: pages load nothing from outside.
    lock = json.loads((modules / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    (unfinished / "pyodide-lock.json").write_text(json.dumps({**lock, "packages": {}}), encoding="utf-8")
    for name in ("cells.css", "cells.js", "live.js", "verify.js", "worker.js"):
        shutil.copy2(SCRIPTS / name, unfinished / name)
    wanted = {
        "files": {name: str(path) for name, path in files.items()},
        "imports": ["sympy", *(module for module in PACKAGE.modules() if not module.endswith("__main__"))],
    }
    run(
        *("node", SCRIPTS / "pack.mjs", modules / "pyodide", unfinished / ARCHIVE, unfinished / LIBRARY),
        folder=packages,
        given=json.dumps(wanted),
    )
    esbuild = modules / ".bin" / "esbuild"
    bundle = ("--bundle", "--minify", "--format=esm", "--log-level=error", "--legal-comments=linked")
    run(esbuild, "editor.js", *bundle, f"--outfile={unfinished / 'editor.js'}", folder=packages)
    (unfinished / "licences.txt").write_text(licences(modules), encoding="utf-8")
    return unfinished.rename(target)


def licences(modules: Path) -> str:
    """Name, version and licence of each package that is served, and the texts that came with them."""
    described = []
    for path in sorted(modules.rglob("package.json")):
        package = json.loads(path.read_text(encoding="utf-8"))
        if "version" in package and not {"esbuild", "@esbuild"} & set(path.parts):
            text = path.with_name("LICENSE")
            words = text.read_text(encoding="utf-8") if text.is_file() else ""
            described.append(f"{package['name']} {package['version']}: {package.get('license')}\n\n{words}")
    for library in sorted(live_analysis.LIBRARIES):
        from importlib.metadata import distribution

        installed = distribution(library)
        described.append(f"{library} {installed.version}: {installed.metadata['License']}\n")
    return "\n\n".join(described)


@cache
def built(folder: Path) -> Path | None:
    """What `build` gives; None, and one line that says why, where it cannot."""
    if os.environ.get("REGROB_LIVE_CELLS") == "0":
        return None
    try:
        return build(folder)
    except CannotBuildError as error:
        logger.info("live cells: left out, since %s", error)
        return None


def mark(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give a chapter's live cells their class, and claims and the ledger their places for buttons."""
    if app.builder.name != "html":
        return
    steps, live = _steps(app, page) if is_notebook(app, page) else ([], set())
    places = _of_claims(doctree) if not PACKAGE.why_not_imported("regrob.claims.ledger") else []
    folder = _served(app) if live or places else None
    if folder is None:
        return
    for node, html in places:
        _put(html, node, before=node["kind"] == "ledger")
    shown = [node for node in doctree.findall(nodes.container) if node.get("cell_index") in live]
    for node in shown:
        node["classes"].append("live-cell")
    if shown:
        _put(f'<noscript><p class="live-why">{WITHOUT_SCRIPTS}</p></noscript>', shown[0], before=True)
    _write_plan(app, page, folder, steps)


def _of_claims(doctree: nodes.document) -> list[tuple[nodes.Element, str]]:
    """The ledger, and the lines under boxes of claims that need no torch; each with the place for buttons."""
    from regrob.claims import ledger

    claims = {claim.id: claim for claim in ledger.select(symbolic=True)}
    proofs = [name for name, claim in claims.items() if proof_code.has(claim)]
    places = []
    for node in doctree.findall(lambda node: isinstance(node, nodes.Element) and "claims" in node):
        if node["kind"] == "ledger":
            data = f'data-claims="{" ".join(claims)}" data-proofs="{" ".join(proofs)}"'
            places.append((node, f'<div class="live-ledger" {data}></div>'))
        elif node["kind"] == "foot" and (name := node["claims"][0]) in claims:
            data = f'data-claim="{name}"' + (" data-proof" if name in proofs else "")
            places.append((node, f'<div class="live-claim" {data}></div>'))
    return places


def _steps(app: Sphinx, page: str) -> tuple[list[live_analysis.Step], set[int]]:
    """What a chapter's page runs, and the places of its live cells."""
    cells = nbformat.read(app.env.doc2path(page), as_version=4).cells
    of_code = [place for place, cell in enumerate(cells) if cell.cell_type == "code"]
    sources = [cells[place].source for place in of_code]
    tags = [set(cells[place].metadata.get("tags", ())) for place in of_code]
    plan = live_analysis.plan(sources, tags, PACKAGE)
    live = {of_code[step] for step in plan.steps if isinstance(step, int)}
    if not plan.stored:
        return plan.steps, live
    values = expected_values(executed(app, page).cells)
    for name in sorted(plan.stored - values.keys()):
        logger.warning("the value of %s, with which an exercise is checked, was not stored", name)
    stored = {name: values[name] for name in sorted(plan.stored & values.keys())}
    return [f"import regrob.notebook\nregrob.notebook.STORED_ANSWERS.update({stored})", *plan.steps], live


def expected_values(cells: list[Any]) -> dict[str, str]:
    """Function → its value as text, as `check_answer` glued it while this build ran the cells."""
    glued = [
        (output.metadata.scrapbook.name, output.data)
        for cell in cells
        for output in cell.get("outputs", ())
        if "scrapbook" in output.get("metadata", {})
    ]
    return {
        name.removeprefix(ANSWER): ast.literal_eval(data["application/papermill.record/text/plain"])
        for name, data in glued
        if name.startswith(ANSWER)
    }


def _served(app: Sphinx) -> Path | None:
    return built(Path(app.confdir, "_build", FOLDER))


def _put(html: str, node: nodes.Node, *, before: bool) -> None:
    """Beside a node: before or after it."""
    node.parent.insert(node.parent.index(node) + (not before), nodes.raw("", html, format="html"))


def _write_plan(app: Sphinx, page: str, folder: Path, steps: list[live_analysis.Step]) -> None:
    """What the page's script reads at the first run; a live cell, whose code is on the page, is null."""
    target = Path(app.outdir, "_static", FOLDER, "pages", f"{page}.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    plan = {
        "steps": [None if isinstance(step, int) else step for step in steps],
        "bytes": sum((folder / name).stat().st_size for name in COUNTED),
    }
    target.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")


def ask_for_script(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """The buttons' script, on pages that run something."""
    if LIVE.search(context.get("body", "")):
        app.add_js_file(f"{FOLDER}/live.js", loading_method="defer")


def copy(app: Sphinx, error: Exception | None) -> None:
    """Put what was built beside the pages."""
    if error is not None or app.builder.name != "html" or not Path(app.outdir, "_static", FOLDER).is_dir():
        return
    folder = _served(app)
    if folder is None:
        return
    target = Path(app.outdir, "_static", FOLDER)
    shutil.copytree(folder, target, dirs_exist_ok=True)
    if not PACKAGE.why_not_imported("regrob.claims.ledger"):
        from regrob.claims import ledger

        (target / "claims").mkdir(exist_ok=True)
        for claim in filter(proof_code.has, ledger.select(symbolic=True)):
            code = json.dumps(proof_code.of(claim), ensure_ascii=False)
            (target / "claims" / f"{claim.id}.json").write_text(code, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect all of it."""
    app.connect("doctree-resolved", mark, priority=450)
    app.connect("html-page-context", ask_for_script)
    app.connect("build-finished", copy)
