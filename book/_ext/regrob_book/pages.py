"""What every page is served with: MathJax out of an installed package, our style and script."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

STATIC = Path(__file__).parents[2] / "_static"
# Of the package's 24 MB, what a page may ask for.
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions", "a11y", "sre")


def add_static(app: Sphinx, config: Config) -> None:
    """Our folder of styles; buttons to a repository only where the builder names one."""
    config.html_static_path.append(str(STATIC))
    address = os.environ.get("REGROB_REPOSITORY_URL")
    if address:
        config.html_theme_options |= {
            "repository_url": address.rstrip("/"),
            "repository_branch": os.environ.get("REGROB_REPOSITORY_BRANCH", "main"),
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "use_edit_page_button": True,
        }
        if "github.com" in address and os.environ.get("REGROB_NOTEBOOKS_BRANCH"):
            buttons = config.html_theme_options.setdefault("launch_buttons", {})
            buttons["colab_url"] = "https://colab.research.google.com"
            buttons["binderhub_url"] = "https://mybinder.org"


def take_executed(app: Sphinx, config: Config) -> None:
    """Show the notebooks that `make book` has just executed, several at a time, where it has."""
    executed = os.environ.get("REGROB_EXECUTED")
    if executed:
        config.nb_execution_mode = "cache"
        config.nb_execution_cache_path = executed


def number_apart(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """Write our own numbers as B1, B2, …: a bare Eq. (8) or Figure 1 is always the paper's."""
    for kinds in env.toc_fignumbers.values():
        for numbers in kinds.values():
            for place, number in numbers.items():
                if not str(number[0]).startswith("B"):
                    numbers[place] = (f"B{number[0]}", *number[1:])  # type: ignore[assignment]
    return []


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Jupyter Book always loads sphinx-thebe, whose scripts break a page that does not use it."""

    def foreign(asset: Any) -> bool:
        body = getattr(asset, "attributes", {}).get("body") or ""
        return "thebe" in body or "thebe" in str(getattr(asset, "filename", asset))

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context[kind] if not foreign(asset)]


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Serve MathJax and its fonts from the book itself."""
    if error is not None or app.builder.format != "html":
        return
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        raise ExtensionError("MathJax is missing: install sphinx-mathjax-offline (the extra `book` has it)")
    source, target = (
        Path(found.origin).parent / "static" / "mathjax",
        Path(app.outdir) / "_static" / "mathjax",
    )
    for name in MATHJAX:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)
