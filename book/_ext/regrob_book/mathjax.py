"""MathJax as the book serves it: its parts for TeX on a page, in one file, out of an installed package."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

BUNDLE = "mathjax/tex-on-pages.js"
# `tex-chtml.js` also carries a menu, which makes every formula a stop of the tab key and
# weighs a third of the whole. `startup` comes first: the others sign up with it.
PARTS = ("startup", "core", "input/tex", "output/chtml", "output/chtml/fonts/tex", "a11y/assistive-mml")
# What MathJax fetches only when a formula asks for it.
ON_DEMAND = ("output/chtml/fonts/woff-v2", "input/tex/extensions")
KNOWN = "MathJax.loader.preLoad({});\n"


def configure(app: Sphinx, config: Config) -> None:
    """Name the bundle and keep MathJax from fetching its parts one by one."""
    config.mathjax_path = BUNDLE
    # Assistive MathML stays: it is what a screen reader reads.
    config.mathjax3_config = {"loader": {"load": []}}


def installed() -> Path:
    """The folder of MathJax in the package that brings it."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        raise ExtensionError("MathJax is missing: install sphinx-mathjax-offline (the extra `book` has it)")
    return Path(found.origin).parent / "static" / "mathjax"


def bundle(source: Path) -> str:
    """The text of the one file. MathJax starts when the file has run to its end."""
    parts = [(source / f"{name}.js").read_text(encoding="utf8") for name in PARTS]
    names = ", ".join(f'"{name}"' for name in PARTS if name != "startup")
    return ";\n".join([*parts, KNOWN.format(names)])


def copy(app: Sphinx, error: Exception | None) -> None:
    """Serve MathJax and its fonts from the book itself."""
    if error is not None or app.builder.format != "html":
        return
    source, target = installed(), Path(app.outdir) / "_static" / "mathjax"
    shutil.rmtree(target, ignore_errors=True)
    for name in ON_DEMAND:
        shutil.copytree(source / name, target / name)
    (target / Path(BUNDLE).name).write_text(bundle(source), encoding="utf8")
