"""A figure with a slider that also moves without a kernel.

A slider redraws live where a kernel is at hand. Where the environment says
`REGROB_STATIC=1`, as it does while the book is built, all frames are drawn beforehand and
the published page moves them with a native range input and a few lines of script.
"""

from __future__ import annotations

import base64
import gzip
import html
import io
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regrob.errors import InputError
from regrob.figures.drawing import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110
COLOURS = 64
LARGEST = 500_000
"""Bytes of HTML that one slider may add to a page."""

# One script per slider, so that a page saved or printed on its own still moves.
_SCRIPT = """\
{
  const box = document.currentScript.parentElement;
  const range = box.querySelector("input"), frames = box.querySelectorAll(".frame");
  const show = () => {
    frames.forEach((frame, i) => { frame.hidden = i !== +range.value; });
    const value = frames[range.value].dataset.value;
    box.querySelector("output").value = value;
    range.setAttribute("aria-valuetext", value);
  };
  range.addEventListener("input", show);
  box.querySelector(".control").hidden = false;
  show();
}"""


@dataclass(frozen=True)
class Frame:
    """One picture of a slider.

    Attributes:
        value: the slider's value, in words.
        picture: a PNG.
        width, height: its size in CSS pixels.
        alt: what it shows, in words.
        vector: the same as SVG, for the book's pages; empty where no page is made.
    """

    value: str
    picture: bytes
    width: int
    height: int
    alt: str
    vector: str

    def image(self) -> str:
        """The picture as an `<img>` that carries its own data."""
        data = base64.b64encode(self.picture).decode()
        return (
            f'<img alt="{html.escape(self.alt)}" width="{self.width}" height="{self.height}"'
            f' src="data:image/png;base64,{data}">'
        )

    def source(self) -> str:
        """The drawing, as a comment behind the picture that it replaces on the book's pages."""
        packed = gzip.compress(self.vector.encode(), mtime=0)
        return f"<!--svg:{base64.b64encode(packed).decode()}-->" if self.vector else ""


def slider(
    draw: Callable[[Any], Figure],
    values: Iterable[Any],
    *,
    label: str,
    alt: Callable[[Any], str],
    start: int = 0,
    format: str | Callable[[Any], str] = "{:.3g}",  # noqa: A002
) -> Slider:
    """A figure with a slider: live with a kernel, pre-rendered on the published page.

    Args:
        draw: makes a new Matplotlib figure for one value; the same size every time.
        values: what the slider runs over, 2 to 60 of them.
        label: a few plain words beside the slider, "cross-Lipschitz constant ν".
        alt: for one value, what the picture shows, as a sentence for who cannot see it.
        start: index of the value shown first, and the only one shown without JavaScript.
        format: how a value reads: a format string, or a function.

    Raises:
        InputError: too few or many values, an index outside them, a `draw` that returns no
            figure, no alt text, frames of different sizes, or more than 500 kB of frames.
    """
    return Slider(draw, list(values), label, alt, start, format)


class Slider:
    """What `slider` returns; display it as the last line of a cell."""

    def __init__(
        self,
        draw: Callable[[Any], Figure],
        values: list[Any],
        label: str,
        alt: Callable[[Any], str],
        start: int,
        words: str | Callable[[Any], str],
    ) -> None:
        if not 2 <= len(values) <= 60:
            raise InputError(f"a slider needs 2 to 60 values, got {len(values)}")
        if not 0 <= start < len(values):
            raise InputError(f"start must be an index from 0 to {len(values) - 1}, got {start}")
        if not callable(draw) or not callable(alt):
            raise InputError("draw and alt must be functions of one value: slider(draw, values, …, alt=alt)")
        self.values, self.label, self.start = values, label, start
        self._draw, self._alt, self._format = draw, alt, words
        self._frames: dict[int, Frame] = {}
        self._static = os.environ.get("REGROB_STATIC") == "1"
        # Drawn here, not on display: IPython would swallow an error there.
        self._widget = None if self._static else self._live()
        if self._widget is None:
            self._check(self.html())

    def again(self) -> Slider:
        """The same slider, made for where it now is: a page or a live notebook."""
        return Slider(self._draw, self.values, self.label, self._alt, self.start, self._format)

    def frame(self, index: int) -> Frame:
        """The picture for values[index]; drawn once."""
        import matplotlib.pyplot as plt

        if index not in self._frames:
            value = self.values[index]
            figure = self._draw(value)
            picture, width, height = _png(figure)
            vector = drawing(figure, tight=False) if self._static else ""
            plt.close(figure)
            alt = self._alt(value)
            if not isinstance(alt, str) or not alt.strip():
                raise InputError(f"alt({value!r}) must describe the picture in words, got {alt!r}")
            self._frames[index] = Frame(self._words(value), picture, width, height, alt, vector)
        return self._frames[index]

    def html(self) -> str:
        """All frames, a native range input and its script, as one piece of HTML."""
        frames = [self.frame(i) for i in range(len(self.values))]
        printed = {0, self.start, len(frames) - 1}  # paper cannot slide: it gets these three
        pictures = "".join(
            f'<div class="frame{" printed" if i in printed else ""}"{"" if i == self.start else " hidden"}'
            f' data-value="{html.escape(frame.value)}">{frame.image()}{frame.source()}'
            f'<p class="at">{html.escape(self.label)} = {html.escape(frame.value)}</p></div>'
            for i, frame in enumerate(frames)
        )
        first = html.escape(frames[self.start].value)
        return (
            f'<div class="regrob-slider">'
            f'<div class="control" hidden><label><span>{html.escape(self.label)}</span> '
            f'<input type="range" min="0" max="{len(frames) - 1}" step="1" value="{self.start}"'
            f' autocomplete="off" aria-valuetext="{first}"></label>'
            f' <output aria-live="off">{first}</output></div>'
            f"{pictures}<script>{_SCRIPT}</script></div>"
        )

    def _repr_mimebundle_(self, **options: Any) -> Mapping[str, Any]:
        """A live widget where there is a kernel's front end, else the frames."""
        if self._widget is not None:
            bundle: dict[str, Any] = dict(self._widget._repr_mimebundle_(**options) or {})
            return {**bundle, "text/plain": repr(self)}
        return {"text/plain": repr(self), "text/html": self.html()}

    def __repr__(self) -> str:
        first, last = self._words(self.values[0]), self._words(self.values[-1])
        return f"<slider over {self.label}: {len(self.values)} values, {first} … {last}>"

    def _words(self, value: Any) -> str:
        return self._format.format(value) if isinstance(self._format, str) else self._format(value)

    def _check(self, page: str) -> None:
        sizes = {(frame.width, frame.height) for frame in self._frames.values()}
        if len(sizes) > 1:
            raise InputError(f"draw must make figures of one size, got {sorted(sizes)} pixels")
        if len(page) > LARGEST:
            raise InputError(
                f"{len(self.values)} frames take {len(page) // 1000} kB, more than {LARGEST // 1000}: "
                "give fewer values, or a smaller or simpler figure"
            )

    def _live(self) -> Any:
        """A widget that redraws on each move; None where ipywidgets is missing."""
        try:
            import ipywidgets
        except ImportError:
            return None
        picture = ipywidgets.HTML(self.frame(self.start).image())
        control = ipywidgets.SelectionSlider(
            options=[(self._words(value), i) for i, value in enumerate(self.values)],
            value=self.start,
            description=self.label,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="min(100%, 32rem)"),
        )

        def redraw(change: Mapping[str, Any]) -> None:
            picture.value = self.frame(change["new"]).image()

        control.observe(redraw, names="value")
        return ipywidgets.VBox([control, picture])


def _png(figure: Any) -> tuple[bytes, int, int]:
    """The same bytes for the same figure: a small palette, no date, no software's name."""
    from matplotlib.figure import Figure
    from PIL import Image

    if not isinstance(figure, Figure):
        raise InputError(f"draw must return a Matplotlib figure, got {type(figure).__name__}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    inches = figure.get_size_inches()
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(COLOURS).save(small, "png", optimize=True)
    return small.getvalue(), round(96 * float(inches[0])), round(96 * float(inches[1]))
