"""Only the icons that the pages show, out of the 2 000 that the theme brings.

The theme draws an icon twice over: by a script of 1.5 MB, and by a font with a rule of style for
each icon. The font alone is enough. Both it and its rules are cut down to what occurs on a page.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

THEME = "theme/pydata_sphinx_theme/static"
STYLE = "styles/pydata-sphinx-theme.css"
FONTS = "vendor/fontawesome/webfonts"
NAME = re.compile(r"\bfa-[a-z0-9-]+")
# `.fa-list-squares:before,.fa-list:before{content:"\f03a"}`
RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')
CONTENT = re.compile(r'"\\([ef][0-9a-f]{3})"')  # a rule's content, or a variable that one names
PRIVATE = re.compile("[\ue000-\uf8ff]")  # icons that a variable of the style names as they are
SOURCE = re.compile(r"src:url\(\.\./vendor/fontawesome/webfonts/(fa-\w+-\d+)\.woff2\)[^}]*")
SCRIPT = r'\s*<script[^>]* src="[^"]*{}\.js[^"]*"></script>'
ICONS = re.compile(SCRIPT.format("scripts/fontawesome"))
# A search as one types would need these; ours has a page of its own.
SEARCH = re.compile(SCRIPT.format("(?:searchtools|language_data|searchindex)"))


def spare_scripts(page: str, *, searches: bool = False) -> str:
    """A page without the scripts that it never uses; the page that searches keeps those that search."""
    page = ICONS.sub("", page)
    return page if searches else SEARCH.sub("", page)


def used_names(texts: Iterable[str]) -> set[str]:
    """The names of icons that occur in pages and scripts."""
    return {name for text in texts for name in NAME.findall(text)}


def cut_style(style: str, names: set[str]) -> str:
    """The theme's style without the rules of icons that no page shows, and with our fonts."""

    def kept(rule: re.Match[str]) -> str:
        shown = [s for s in rule[1].split(",") if s.removeprefix(".").removesuffix(":before") in names]
        return f'{",".join(shown)}{{content:"\\{rule[2]}"}}' if shown else ""

    style = RULE.sub(kept, style)
    return SOURCE.sub(r'src:url(../vendor/fontawesome/webfonts/\1.woff) format("woff")', style)


def cut_font(file: Path, codes: set[int]) -> bytes | None:
    """The font with these characters only, as WOFF; None if it has none of them."""
    font = TTFont(file)
    kept = codes & set(font.getBestCmap())
    if not kept:
        return None
    cutter = subset.Subsetter(subset.Options(layout_features=[], notdef_outline=True))
    cutter.populate(unicodes=kept)
    cutter.subset(font)
    font.flavor = "woff"
    written = BytesIO()
    font.save(written)
    return written.getvalue()


def installed() -> Path:
    """The folder of the theme's static files."""
    found = importlib.util.find_spec("pydata_sphinx_theme")
    if found is None or found.origin is None:
        raise ExtensionError("the theme is missing: install pydata-sphinx-theme (the extra `book` has it)")
    return Path(found.origin).parent / THEME


def cut(app: Sphinx, error: Exception | None) -> None:
    """Take the scripts out of the pages, and leave what is used of the style and the fonts."""
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    if not (out / "_static" / STYLE).exists():
        return  # another theme
    texts = []
    for page in out.rglob("*.html"):
        before = page.read_text(encoding="utf8")
        after = spare_scripts(before, searches=page.name == "search.html")
        if after != before:
            page.write_text(after, encoding="utf8")
        texts.append(after)
    static, theme = out / "_static", installed()
    script = static / "scripts" / "pydata-sphinx-theme.js"
    style = cut_style(
        (theme / STYLE).read_text(encoding="utf8"), used_names([*texts, script.read_text("utf8")])
    )
    (static / STYLE).write_text(style, encoding="utf8")
    ours = [style, *(sheet.read_text(encoding="utf8") for sheet in static.rglob("*.css"))]
    codes = {int(code, 16) for sheet in ours for code in CONTENT.findall(sheet)}
    codes |= {ord(letter) for sheet in ours for letter in PRIVATE.findall(sheet)}
    for old in (static / FONTS).iterdir():
        old.unlink()
    for file in (theme / FONTS).glob("*.ttf"):
        font = cut_font(file, codes)
        if font is not None:
            (static / FONTS / f"{file.stem}.woff").write_bytes(font)
    for needless in (*(static / "scripts").glob("fontawesome.js*"), *static.rglob("*.map")):
        needless.unlink(missing_ok=True)
