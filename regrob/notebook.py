"""For notebooks: sliders that also move without a kernel, numbers for the prose, exercises, bars.

A slider redraws live where a kernel is at hand. Where the environment says
`REGROB_STATIC=1`, as it does while the book is built, all frames are drawn beforehand and
the published page moves them with a native range input and a few lines of script.
"""

from __future__ import annotations

import base64
import html
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regrob.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110
COLOURS = 64
LARGEST = 500_000
"""Bytes of HTML that one slider may add to a page."""

PROGRESS = "REGROB_PROGRESS"
"""Set to 1 by the first cell of a reader's notebook. Tests and the build leave it, so they print no bar."""

PATIENCE = 1.0
"""Seconds that a bar waits before it appears; what ends sooner needs none."""

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
    """One picture of a slider: its value in words, its bytes, its size in CSS pixels, its alt text."""

    value: str
    picture: bytes
    width: int
    height: int
    alt: str

    def image(self) -> str:
        """The picture as an `<img>` that carries its own data."""
        data = base64.b64encode(self.picture).decode()
        return (
            f'<img alt="{html.escape(self.alt)}" width="{self.width}" height="{self.height}"'
            f' src="data:image/png;base64,{data}">'
        )


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
        # Drawn here, not on display: IPython would swallow an error there.
        self._widget = None if os.environ.get("REGROB_STATIC") == "1" else self._live()
        if self._widget is None:
            self._check(self.html())

    def frame(self, index: int) -> Frame:
        """The picture for values[index]; drawn once."""
        if index not in self._frames:
            value = self.values[index]
            picture, width, height = _png(self._draw(value))
            alt = self._alt(value)
            if not isinstance(alt, str) or not alt.strip():
                raise InputError(f"alt({value!r}) must describe the picture in words, got {alt!r}")
            self._frames[index] = Frame(self._words(value), picture, width, height, alt)
        return self._frames[index]

    def html(self) -> str:
        """All frames, a native range input and its script, as one piece of HTML."""
        frames = [self.frame(i) for i in range(len(self.values))]
        printed = {0, self.start, len(frames) - 1}  # paper cannot slide: it gets these three
        pictures = "".join(
            f'<div class="frame{" printed" if i in printed else ""}"{"" if i == self.start else " hidden"}'
            f' data-value="{html.escape(frame.value)}">{frame.image()}'
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
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from PIL import Image

    if not isinstance(figure, Figure):
        raise InputError(f"draw must return a Matplotlib figure, got {type(figure).__name__}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    inches = figure.get_size_inches()
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(COLOURS).save(small, "png", optimize=True)
    return small.getvalue(), round(96 * float(inches[0])), round(96 * float(inches[1]))


def glue(name: str, value: object, format: str = "") -> None:  # noqa: A002
    """Bind a value to a name, for the role `glue:text` in the prose; prints nothing.

    Needs IPython only, so that a notebook also runs where the book's tools are missing.

    Args:
        name: letters, digits, "-" and "_".
        value: a string or an integer; anything else needs a format.
        format: a format specification, ".3f", or "" to take the value as it is.

    Raises:
        InputError: a name with other characters, or a number with no format (its last
            digits differ from machine to machine).
    """
    from IPython.display import display

    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise InputError(f"a name has letters, digits, '-' and '_' only, got {name!r}")
    if not format and not isinstance(value, str | int):
        raise InputError(f"say how {value!r} reads: glue({name!r}, value, '.3f')")
    prefix = "application/papermill.record/"
    record = {prefix + "text/plain": repr(value if not format else f"{value:{format}}")}
    scrapbook = {"name": name, "mime_prefix": prefix}
    display(record, metadata={"scrapbook": scrapbook}, raw=True)  # type: ignore[no-untyped-call]


def glue_all(values: Mapping[str, object], prefix: str = "", format: str = "") -> None:  # noqa: A002
    """`glue` for each item of a mapping from names, which all get the prefix, to values."""
    for name, value in values.items():
        glue(f"{prefix}{name}", value, format)


def bar(
    steps: Iterable[Any] | None = None,
    *,
    title: str,
    total: int | None = None,
    unit: str = "it",
    show: bool = False,
) -> Any:
    """A progress bar: loop over it in place of `steps`, or call its `update`.

    Args:
        steps: what to count; None if the caller counts by `update`.
        title: a few words beside the bar.
        total: how many steps there are, where `steps` has no length.
        unit: what one step is called.
        show: show it, and leave it standing at the end. Otherwise it is shown only where the
            environment says REGROB_PROGRESS=1, and disappears when it is full.
    """
    asked = os.environ.get(PROGRESS) == "1"
    if steps is not None and not (show or asked):
        return steps
    from tqdm.auto import tqdm

    return tqdm(
        steps,
        total=total,
        desc=title,
        unit=unit,
        disable=not (show or asked),
        leave=show,
        delay=0.0 if show else PATIENCE,
    )


def check_answer(answer: object, expected: object, *, tolerance: float = 1e-6) -> None:
    """Print whether an exercise's answer is right, without giving the right one away.

    Args:
        answer: the reader's; None prints "not answered yet".
        expected: a number, text, SymPy expression, tensor or sequence of numbers, or a
            function without arguments that returns one (called only once there is an answer).
        tolerance: largest error that counts as right, relative to max(1, |expected|).
    """
    if answer is None:
        print("not answered yet")
        return
    wrong = _what_is_wrong(answer, expected() if callable(expected) else expected, tolerance)
    print("right" if wrong is None else f"not yet: {wrong}")


def _what_is_wrong(answer: Any, expected: Any, tolerance: float) -> str | None:
    if isinstance(expected, str | bool):
        same = str(answer).strip().casefold() == str(expected).strip().casefold()
        return None if same else f"{answer!r} is not it"
    if type(expected).__module__.startswith("sympy") and not getattr(expected, "is_number", False):
        return _symbolic(answer, expected)
    return _numeric(answer, expected, tolerance)


def _symbolic(answer: Any, expected: Any) -> str | None:
    import sympy as sp

    try:
        difference = sp.simplify(sp.sympify(answer) - expected)
    except (sp.SympifyError, TypeError):
        return f"{answer!r} is no SymPy expression of the kind asked for"
    if difference == sp.zeros(*difference.shape) if hasattr(difference, "shape") else difference == 0:
        return None
    missing = expected.free_symbols - sp.sympify(answer).free_symbols
    hint = f"; it should depend on {', '.join(sorted(map(str, missing)))}" if missing else ""
    return f"{answer} is another expression{hint}"


def _numeric(answer: Any, expected: Any, tolerance: float) -> str | None:
    shape, right = _numbers(expected)
    try:
        given_shape, given = _numbers(answer)
    except (TypeError, ValueError):
        return f"{answer!r} is not a number, or not an array of numbers"
    if given_shape != shape:
        return f"the shape should be {shape}, yours is {given_shape}"
    close = [abs(a - b) <= tolerance * max(1.0, abs(b)) for a, b in zip(given, right, strict=True)]
    if all(close):
        return None
    if shape == ():
        return f"{given[0]:.6g} is too {'small' if given[0] < right[0] else 'large'}"
    return f"{close.count(False)} of {len(right)} numbers are off"


def _numbers(value: Any) -> tuple[tuple[int, ...], list[float]]:
    """Shape and entries of a number, array, tensor or nested sequence; without NumPy, which a page lacks."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (), [float(value)]
    parts = [_numbers(part) for part in value]
    shapes = {shape for shape, _ in parts}
    if len(shapes) > 1:
        raise ValueError(f"rows of different shapes: {sorted(shapes)}")
    inner = next(iter(shapes), ())
    return (len(parts), *inner), [number for _, entries in parts for number in entries]
