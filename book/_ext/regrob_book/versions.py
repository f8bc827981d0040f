"""The machine and the packages that made this copy of the book."""

from __future__ import annotations

import platform
from html import escape
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "torch",
    "numpy",
    "sympy",
    "matplotlib",
    "jupyter-book",
    "Sphinx",
    "myst-nb",
    "sphinx-proof",
    "regrob",
)


def table() -> str:
    """Name and version of what matters, as an HTML table."""
    rows = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            rows[name] = version(name)
        except PackageNotFoundError:
            rows[name] = "from the source tree, not installed"
    shown = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in rows.items())
    return (
        '<div class="table-wrap"><table class="table versions"><caption>What made this copy</caption>'
        '<thead><tr><th scope="col">What</th>'
        f'<th scope="col">Version</th></tr></thead><tbody>{shown}</tbody></table></div>'
    )
