"""What every page is served with: our style and script, and buttons where they lead somewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

STATIC = Path(__file__).parents[2] / "_static"


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


def name_toggles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give the arrow that unfolds a chapter's pages a name: the theme leaves it to the eye."""
    generate = context.get("generate_toctree_html")
    if generate is None:
        return
    nameless = '<summary><span class="toctree-toggle"'

    def named(*args: Any, **options: Any) -> str:
        return str(generate(*args, **options)).replace(
            nameless, nameless.replace("<summary>", '<summary aria-label="The pages of this chapter">')
        )

    context["generate_toctree_html"] = named


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Jupyter Book always loads sphinx-thebe, whose scripts break a page that does not use it."""

    def foreign(asset: Any) -> bool:
        body = getattr(asset, "attributes", {}).get("body") or ""
        return "thebe" in body or "thebe" in str(getattr(asset, "filename", asset))

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context[kind] if not foreign(asset)]
