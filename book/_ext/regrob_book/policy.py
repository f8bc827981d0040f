"""A strict policy on every page: scripts come from the book's own files, and nothing else runs.

The theme, MathJax's configuration and our sliders write scripts into the pages. Once all pages are
written, each such script moves to a file of its own, named by its content, which a page loads at the same
place. Two buttons of the theme carry a line of script; `regrob.js` presses them instead.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",  # MathJax and drawings write styles
        "img-src 'self' data:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",  # a worker in a blob keeps to this policy, one in a file does not
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
FOLDER = "scripts-of-pages"

INLINE = re.compile(r"<script(?P<attributes>[^>]*)>(?P<code>.*?)</script>", re.DOTALL)
NO_SCRIPT = re.compile(r'\bsrc=|type="(?!module|text/javascript)')
"""Attributes of a script that has a file already, or that holds data."""

PRESSED = {"window.print()": "print", "toggleFullScreen()": "full-screen"}
"""What the theme's buttons run → the name by which `regrob.js` knows it."""
EVENT = re.compile(r'(?P<before><[a-z][^<>]*)\son[a-z]+="(?P<code>[^"]*)"')


def without_inline(page: str, place: str, target: Path) -> tuple[str, list[str]]:
    """A page whose scripts lie in files, and the lines of script for which there is no file.

    Args:
        page: the page as the theme wrote it.
        place: the way from the page to the book's folder of static files, "../_static".
        target: where the files go.
    """
    unknown = []

    def moved(match: re.Match[str]) -> str:
        attributes, code = match["attributes"], match["code"]
        if NO_SCRIPT.search(attributes) or not code.strip():
            return match[0]
        name = f"{hashlib.sha256(code.encode()).hexdigest()[:16]}.js"
        target.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(code, encoding="utf-8")
        return f'<script{attributes} src="{place}/{FOLDER}/{name}"></script>'

    def pressed(match: re.Match[str]) -> str:
        if match["code"] not in PRESSED:
            unknown.append(match["code"])
            return match[0]
        return f'{match["before"]} data-press="{PRESSED[match["code"]]}"'

    return EVENT.sub(pressed, INLINE.sub(moved, page)), unknown


def apply(app: Sphinx, error: Exception | None) -> None:
    """Give every page the policy, and move its scripts to files."""
    if error is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    target = folder / "_static" / FOLDER
    for path in sorted(folder.rglob("*.html")):
        page = path.read_text(encoding="utf-8")
        if "_static" in path.relative_to(folder).parts or META in page or "<head>" not in page:
            continue
        place = "../" * (len(path.relative_to(folder).parts) - 1) + "_static"
        page, unknown = without_inline(page, place, target)
        for code in unknown:
            logger.warning("%s runs a line of script: %r", path.name, code, type="regrob")
        # After the encoding, which must stand at the very beginning.
        page = re.sub(r"<head>\s*(<meta charset=[^>]*>)?", lambda head: head[0] + META, page, count=1)
        path.write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect it, after all that writes pages."""
    app.connect("build-finished", apply, priority=950)
