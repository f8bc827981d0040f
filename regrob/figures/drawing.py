"""A figure as SVG for the book's pages: light, without a ground, and with a second layout for phones.

While the book is built (`REGROB_STATIC=1`), `style` registers `bundle` with the notebook's kernel: a
figure then comes as PNG, as ever, and as SVG. The page's own colours are put in when the page is
made (`book/_ext/regrob_book/drawings.py`); opened alone, the SVG shows the figure as it was drawn.
"""

from __future__ import annotations

import gzip
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from regrob.figures import phone

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
PHONE = "phone"
"""The id of what holds the layout for phones, in the SVG of the layout for desks."""

HEAVIEST = 60_000
"""Bytes after compression; a drawing that stays heavier is left to the PNG."""

MANY = 1_500
"""Points from which on a cloud in a heavy drawing becomes pixels."""

RASTER_DPI = 200

LEAST_FONT = 9.0
"""Points on a desk, where a point is 1.4 pixels or a little less; phones have `phone.LEAST_FONT`."""


def show_as_drawings() -> None:
    """Let this notebook's kernel put out figures as `bundle` gives them; nothing without a kernel."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.mimebundle_formatter
        formatter.for_type_by_name("matplotlib.figure", "Figure", bundle)


def bundle(figure: Figure, include: object = None, exclude: object = None) -> Mapping[str, Any]:
    """What IPython puts out for a figure: its SVG, unless that is too heavy, beside the PNG."""
    from IPython.core.pylabtools import print_figure

    withdraw_other_pictures()
    # Before the figure is laid out for phones.
    picture = print_figure(figure, "png", base64=True)  # type: ignore[no-untyped-call]
    text = drawing(figure)
    if len(gzip.compress(text.encode(), mtime=0)) > HEAVIEST:
        return {"image/png": picture}
    return {"image/png": picture, "image/svg+xml": text}


def withdraw_other_pictures() -> None:
    """Let a bundle's PNG stand: IPython prefers the backend's, drawn once it is laid out for phones."""
    from IPython.core.getipython import get_ipython
    from matplotlib.figure import Figure

    shell: Any = get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["image/png"].pop(Figure, None)


def drawing(figure: Figure, tight: bool = True) -> str:
    """The figure as SVG for desks, which carries the one for phones; the figure is laid out anew for it.

    Args:
        figure: what is drawn.
        tight: cut off the margins; without it, figures of one size give drawings of one size.
    """
    phone.enlarge_letters(figure, LEAST_FONT)
    desk = _shrunk(_saved(figure, tight))
    if len(gzip.compress(ET.tostring(desk), mtime=0)) > HEAVIEST / 3 and make_pixels(figure):
        desk = _shrunk(_saved(figure, tight))
    phone.stack(figure)
    carried = ET.SubElement(desk, f"{{{SVG}}}defs", {"id": PHONE})
    carried.append(_shrunk(_saved(figure, tight)))
    ET.register_namespace("", SVG)
    return ET.tostring(desk, encoding="unicode")


def make_pixels(figure: Figure) -> int:
    """Clouds of many points, and surfaces of many tiles, become pixels inside the drawing: how many do."""
    from matplotlib.collections import Collection, PathCollection, QuadMesh
    from matplotlib.lines import Line2D

    heavy = []
    for artist in figure.findobj(lambda a: isinstance(a, (Collection, Line2D))):
        if isinstance(artist, PathCollection):
            count = np.ma.size(artist.get_offsets(), 0)
        elif isinstance(artist, QuadMesh):
            count = MANY
        elif isinstance(artist, Line2D):
            marked = artist.get_marker() not in (None, "None", "none", "", " ")
            count = np.size(artist.get_xdata()) if marked else 0
        else:
            count = 0
        if count >= MANY:
            artist.set_rasterized(True)
            heavy.append(artist)
    return len(heavy)


def _saved(figure: Figure, tight: bool) -> ET.Element:
    import matplotlib as mpl

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": "regrob", "svg.fonttype": "path"}):
        figure.savefig(
            buffer,
            format="svg",
            bbox_inches="tight" if tight else None,
            transparent=True,
            dpi=RASTER_DPI,
            metadata=nothing,
        )
    return ET.fromstring(buffer.getvalue())


def _shrunk(root: ET.Element) -> ET.Element:
    """The same picture in fewer bytes: two decimals, and only those ids that are used."""
    text = ET.tostring(root, encoding="unicode")
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
        if parent.get("id") not in used:
            parent.attrib.pop("id", None)
        if f"{{{XLINK}}}href" in parent.attrib:
            parent.set("href", parent.attrib.pop(f"{{{XLINK}}}href"))
        for name in ("d", "x", "y", "width", "height", "points", "transform"):
            if name in parent.attrib:
                parent.set(name, _rounded(parent.attrib[name]))
        if parent.text and not parent.text.strip():
            parent.text = None
        parent.tail = None
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag == f"{{{SVG}}}defs" and not len(child):
                parent.remove(child)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")  # what Matplotlib says for all
    return root


def _rounded(numbers: str) -> str:
    """Coordinates with two decimals, a scale with four significant digits."""
    if "matrix" in numbers:
        return numbers

    def short(match: re.Match[str]) -> str:
        value = float(match.group())
        text = f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    return re.sub(r"-?\d+\.\d{3,}(?:e-?\d+)?", short, " ".join(numbers.split()))
