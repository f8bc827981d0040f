"""Figures stand in the page itself, as SVG in the page's colours, with a second layout for phones.

A notebook's kernel draws them (`regrob.figures.drawing`). Here black becomes the page's text colour and
each of the book's colours a variable, to which `drawings.css` gives a value for light pages and one for dark.
"""

from __future__ import annotations

import base64
import gzip
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from regrob.figures import drawing, theme

SVG = f"{{{drawing.SVG}}}"
PIXELS = 1.4
"""Pixels a point where there is room: letters of 11 points then are as high as those around the figure."""

NAMES = {
    theme.BLUE: "blue",
    theme.ORANGE: "orange",
    theme.GREEN: "green",
    theme.VERMILION: "vermilion",
    theme.PURPLE: "purple",
    theme.SKY: "sky",
    theme.GREY: "grey",
    "#ffffff": "ground",
}
"""A colour of the book → the name of its variable in `drawings.css`."""

# Greys that are none of these, by their lightness: lines of a grid, edges, and what is nearly a text.
GREYS = ((0xD0, "var(--drawing-faint)"), (0xA0, "var(--drawing-pale)"), (0x30, "var(--drawing-grey)"))

FRAME = re.compile(r'<img alt="(?P<alt>[^"]*)"[^>]*><!--svg:(?P<svg>[A-Za-z0-9+/=]+)-->')

Glyphs = dict[str, ET.Element]


def put_into_page(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Replace the images of a page's figures by the drawings themselves; letters are defined once a page."""
    if app.builder.format != "html":
        return
    images = [image for image in doctree.findall(nodes.image) if is_drawing(image)]
    glyphs: Glyphs = {}
    for number, image in enumerate(images, 1):
        text = (Path(app.srcdir) / image["uri"]).read_text(encoding="utf-8")
        image.replace_self(
            nodes.raw("", inline(text, image.get("alt", ""), f"d{number}", glyphs), format="html")
        )
    sliders = [node for node in doctree.findall(nodes.raw) if "<!--svg:" in node.astext()]
    for number, slider in enumerate(sliders, 1):
        slider.children = [nodes.Text(with_drawings(slider.astext(), f"s{number}", glyphs))]
    if glyphs:
        first = next(node for node in doctree.findall(nodes.raw) if 'class="drawing"' in node.astext())
        first.insert(0, nodes.Text(alphabet(glyphs)))


def with_drawings(text: str, name: str, glyphs: Glyphs) -> str:
    """A slider's HTML (`regrob.figures.slider`) with drawings in place of its pictures."""

    def drawn(match: re.Match[str]) -> str:
        svg = gzip.decompress(base64.b64decode(match["svg"])).decode()
        return inline(svg, unescape(match["alt"]), f"{name}-{match.start()}", glyphs)

    return FRAME.sub(drawn, text)


def is_drawing(image: nodes.image) -> bool:
    """Whether an image is an SVG that a cell put out, here or, if it is a repeated picture, elsewhere."""
    above, inside = image.parent, False
    while above is not None and not inside:
        inside = not {"cell_output", "picture"}.isdisjoint(above.get("classes", ()))
        above = above.parent
    return inside and image["uri"].endswith(".svg")


def inline(text: str, alt: str, name: str, glyphs: Glyphs) -> str:
    """HTML of one figure: both its layouts, of which `drawings.css` shows the one that fits.

    Args:
        text: what `regrob.figures.drawing.drawing` made.
        alt: what the figure shows, in words.
        name: goes before the figure's ids, so that no two figures of a page share one.
        glyphs: the letters' outlines by id; those of this figure are added.
    """
    desk = ET.fromstring(text)
    layouts = [("desk", desk)]
    carried = desk.find(f"{SVG}defs[@id='{drawing.PHONE}']")
    if carried is not None:
        desk.remove(carried)
        layouts.append(("phone", carried[0]))
    shown = "".join(_svg(root, alt, kind, f"{name}-{kind}", glyphs) for kind, root in layouts)
    alone = "" if carried is not None else " alone"
    return f'<div class="drawing{alone}">{shown}</div>'


def alphabet(glyphs: Glyphs) -> str:
    """The letters' outlines, to which all drawings of the page refer."""
    outlines = "".join(_serialised(glyph) for glyph in glyphs.values())
    return f'<svg class="alphabet" width="0" height="0" aria-hidden="true"><defs>{outlines}</defs></svg>'


def themed(style: str) -> str:
    """A style in which every colour is the page's own."""
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: variable(match.group()), style)


def variable(colour: str) -> str:
    """The variable that stands for a colour; a colour of a colour map stays as it is."""
    if colour in NAMES:
        return f"var(--drawing-{NAMES[colour]})"
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    if max(red, green, blue) - min(red, green, blue) > 4:
        return colour
    return next((name for least, name in GREYS if green >= least), "currentColor")


def _svg(root: ET.Element, alt: str, kind: str, name: str, glyphs: Glyphs) -> str:
    _take_glyphs(root, glyphs)
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", f"{name}-{element.attrib['id']}")
        for key, value in element.attrib.items():
            if key == "style":
                element.set(key, themed(value))
            elif key == "href" and value.startswith("#") and value[1:] not in glyphs:
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    width, height = (float(root.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    inside = "".join(map(_serialised, root))
    return (
        f'<svg class="{kind}" role="img" aria-label="{escape(alt)}" viewBox="{root.attrib["viewBox"]}"'
        f' width="{PIXELS * width:.0f}" height="{PIXELS * height:.0f}">{inside}</svg>'
    )


def _take_glyphs(root: ET.Element, glyphs: Glyphs) -> None:
    """Move outlines of letters from a drawing into `glyphs`; Matplotlib names them FONT-HEXADECIMAL."""
    for parent in [*root.iter()]:
        for defs in [child for child in parent if child.tag == f"{SVG}defs"]:
            for glyph in [*defs]:
                if re.fullmatch(r"[A-Z]\w+(-\w+)*-[0-9a-f]+", glyph.get("id", "")):
                    glyphs.setdefault(glyph.attrib["id"], glyph)
                    defs.remove(glyph)
            if not len(defs):
                parent.remove(defs)


def _serialised(element: ET.Element) -> str:
    ET.register_namespace("", drawing.SVG)
    return ET.tostring(element, encoding="unicode").replace(f' xmlns="{drawing.SVG}"', "")


def colours() -> Iterator[str]:
    """The variables that `drawings.css` must give a value."""
    yield from (f"--drawing-{name}" for name in (*NAMES.values(), "faint", "pale"))
