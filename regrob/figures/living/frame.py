"""What holds a living figure: its data, its still, its question; HTML on a page, a widget with a kernel."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrob.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent
DIGITS = 6
STILL_DPI = 150
LARGEST = 600_000
"""Bytes of HTML that one figure may add to a page."""

SHARED = ("common", "loader")
_IMPORT = re.compile(r'^import\s*\{\s*\w+(?:\s*,\s*\w+)*\s*,?\s*\}\s*from\s*"\./common\.js";\n', re.MULTILINE)


def figures() -> list[str]:
    """The names of all figures: each has a module of JavaScript in this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.js") if path.stem not in SHARED)


def living(
    name: str,
    data: Mapping[str, Any],
    *,
    alt: str,
    still: Figure | str | None = None,
    caption: str | None = None,
    predict: tuple[str, str] | None = None,
) -> Living:
    """A figure that the reader moves; display it as the last line of a cell.

    Args:
        name: of its module NAME.js beside this file.
        data: what the module draws: plain numbers, strings, lists and dictionaries, computed by the
            package. Floats are rounded to 6 significant digits.
        alt: what the figure shows, for who cannot see it; the still's alt text too.
        still: a Matplotlib figure with the same message, or a piece of HTML; it is shown on paper and
            where there is no JavaScript, and closed here.
        caption: HTML below the figure, where the cell's metadata give it no numbered caption.
        predict: a question, and the answer that a button reveals; HTML, with no TeX.

    Raises:
        InputError: no such module, no alt text, data that JSON cannot hold (NaN and infinity among them),
            or more than 600 kB of HTML.
    """
    if name not in figures():
        raise InputError(f"no living figure is called {name!r}; there are {', '.join(figures()) or 'none'}")
    if not alt.strip():
        raise InputError("alt must say in words what the figure shows, got an empty text")
    try:
        text = json.dumps(_rounded(dict(data)), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"data of a living figure must be plain and finite: {error}") from error
    figure = Living(name, text, alt, _still(still, alt), caption, predict)
    size = len(figure.html().encode())
    if size > LARGEST:
        raise InputError(
            f"{name} takes {size // 1000} kB, more than {LARGEST // 1000}: give it fewer numbers"
        )
    return figure


class Living:
    """What `living` returns; `data` is what the module draws, as it was rounded."""

    def __init__(
        self,
        name: str,
        text: str,
        alt: str,
        still: str,
        caption: str | None,
        predict: tuple[str, str] | None,
    ) -> None:
        self.name, self.alt, self.still, self.caption, self.predict = name, alt, still, caption, predict
        self._text = text

    @property
    def data(self) -> dict[str, Any]:
        """The numbers that the module gets."""
        data: dict[str, Any] = json.loads(self._text)
        return data

    def html(self) -> str:
        """The figure of a page: data, question, still and caption. The page's loader does the rest."""
        question = ""
        if self.predict:
            question = '<details class="predict"><summary><span>{}</span></summary><p>{}</p></details>'
            question = question.format(*self.predict)
        data = self._text.replace("</", "<\\/")  # no text may close the script
        caption = f"<figcaption>{self.caption}</figcaption>" if self.caption else ""
        return (
            f'<figure class="living" data-figure="{self.name}" data-alt="{html.escape(self.alt)}">'
            f'<script type="application/json">{data}</script>{question}'
            f'<div class="still">{self.still}</div>{caption}</figure>'
        )

    def widget(self) -> Any:
        """An anywidget with the same module; None where anywidget is missing."""
        try:
            import anywidget
            import traitlets
        except ImportError:
            return None
        members = {
            "_esm": bundle(self.name),
            "_css": style_sheet(),
            "data": traitlets.Dict().tag(sync=True),
            "alt": traitlets.Unicode().tag(sync=True),
            "predict": traitlets.List().tag(sync=True),
        }
        kind = type("LivingFigure", (anywidget.AnyWidget,), members)
        return kind(data=self.data, alt=self.alt, predict=list(self.predict or ()))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """A widget where there is a kernel's front end, else the page's HTML."""
        plain = {"text/plain": repr(self), "text/html": self.html()}
        if os.environ.get("REGROB_STATIC") == "1":
            return plain
        widget = self.widget()
        if widget is None:
            return plain
        shown = widget._repr_mimebundle_(**options)
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return {**data, "text/plain": repr(self)}, metadata

    def __repr__(self) -> str:
        return f"<living figure {self.name}: {self.alt}>"


def bundle(name: str) -> str:
    """The figure's module and the shared helpers as one module, for a widget."""
    return f"{_joined(name)}export default {{ render: (context) => mountWidget(figure, context) }};\n"


def classic(name: str) -> str:
    """The same as a classic script, for a page: it adds the figure to `regrobLiving` by name."""
    return (
        f'(() => {{\n"use strict";\n{_joined(name)}'
        f'(window.regrobLiving ??= {{}})["{name}"] = (model, el) => mount(figure, model, el);\n}})();\n'
    )


def style_sheet() -> str:
    """The style of all living figures."""
    return (FOLDER / "living.css").read_text(encoding="utf-8")


def _joined(name: str) -> str:
    common = re.sub(r"^export ", "", (FOLDER / "common.js").read_text(encoding="utf-8"), flags=re.MULTILINE)
    own, imports = _IMPORT.subn("", (FOLDER / f"{name}.js").read_text(encoding="utf-8"))
    own, exports = re.subn(r"^export default ", "return ", own, flags=re.MULTILINE)
    if imports > 1 or exports != 1 or re.search(r"^(import|export)\b", own, re.MULTILINE):
        raise InputError(f'{name}.js must import from "./common.js" once at most and export one default')
    return f"{common}\nconst figure = (() => {{\n{own}}})();\n"


def _rounded(value: Any) -> Any:
    """Floats to 6 significant digits, in lists and dictionaries too; NumPy's numbers become plain."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy, torch
        return _rounded(value.tolist())
    if isinstance(value, float) and math.isfinite(value):
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    return value


def _still(still: Figure | str | None, alt: str) -> str:
    """HTML of the picture: few colours, no date, so that the same figure gives the same bytes."""
    if still is None or isinstance(still, str):
        return still or f"<p>{html.escape(alt)}</p>"
    import matplotlib.pyplot as plt
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    still.savefig(
        drawn,
        format="png",
        dpi=STILL_DPI,
        facecolor="white",
        metadata={"Software": None},
        bbox_inches="tight",  # no label is cut at the edge
    )
    plt.close(still)
    picture = Image.open(drawn)
    picture.convert("RGB").quantize(64).save(small, "png", optimize=True)
    width, height = (round(96 * pixels / STILL_DPI) for pixels in picture.size)
    data = base64.b64encode(small.getvalue()).decode()
    return (
        f'<img alt="{html.escape(alt)}" width="{width}" height="{height}" src="data:image/png;base64,{data}">'
    )
