"""Living figures on the pages: their scripts beside the pages, a loader only where there is one."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from regrob.figures.living import frame

FOLDER = "living"
LARGE = 30_000
"""Characters of data from which on they lie in a file of their own, which a page loads with the figure."""

DATA = re.compile(r'(<figure class="living" [^>]*><script type="application/json")>(.*?)</script>', re.DOTALL)


def ask_for_loader(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """The loader and the style, on pages that show a living figure."""
    if 'class="living"' in context.get("body", ""):
        context["body"] = DATA.sub(lambda match: _light(app, match), context["body"])
        app.add_css_file(f"{FOLDER}/living.css", priority=900)
        app.add_js_file(f"{FOLDER}/loader.js", loading_method="defer")


def _light(app: Sphinx, match: re.Match[str]) -> str:
    """The figure with its data, or with the name of the file to which they were written."""
    head, data = match.groups()
    if len(data) < LARGE:
        return match[0]
    name = hashlib.sha256(data.encode()).hexdigest()[:16]
    target = Path(app.outdir) / "_static" / FOLDER / "data" / f"{name}.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        f'((window.regrobLiving ??= {{}}).data ??= {{}})["{name}"] = {data};\n', encoding="utf-8"
    )
    return f'{head} data-file="{name}"></script>'


def write_scripts(app: Sphinx, error: Exception | None) -> None:
    """Each figure as one classic script, the loader and the style, in `_static/living`."""
    if error is not None or app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name in ("loader.js", "living.css"):
        shutil.copy2(frame.FOLDER / name, target / name)
    for name in frame.figures():
        (target / f"{name}.js").write_text(frame.classic(name), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect both."""
    app.connect("html-page-context", ask_for_loader)
    app.connect("build-finished", write_scripts)
