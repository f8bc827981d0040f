"""Figures with a slider: frames beforehand, live with a kernel, drawings on the book's pages."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from regrob.errors import InputError
from regrob.figures.slider import Slider, slider

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(value: float) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1], [0, value])
    axes.set_ylim(0, 4)
    return figure


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REGROB_STATIC", "1")
    yield
    assert not plt.get_fignums(), "a figure was left open"


def make(**changes: object) -> Slider:
    settings = {"label": "slope <k>", "alt": lambda v: f'a "line" of slope {v}', **changes}
    return slider(settings.pop("draw", draw), settings.pop("values", [1, 2, 3]), **settings)


@pytest.mark.usefixtures("static")
class TestStatic:
    def test_all_frames_and_a_native_control(self) -> None:
        bundle = make(start=1)._repr_mimebundle_()
        page = bundle["text/html"]
        assert set(bundle) == {"text/plain", "text/html"}
        assert page.count("<img ") == 3
        assert '<input type="range" min="0" max="2"' in page
        assert page.count('class="frame') == 3
        assert page.count(" hidden data-value") == 2
        assert 'data-value="2"><img alt="a &quot;line&quot; of slope 2"' in page, "the start is shown"
        assert "slope &lt;k&gt;" in page
        assert "<k>" not in page
        assert bundle["text/plain"] == "<slider over slope <k>: 3 values, 1 … 3>"

    def test_pictures_are_small_palettes_and_the_same_every_time(self) -> None:
        one, two = make(), make()
        assert one.html() == two.html()
        assert one.frame(0).picture != one.frame(2).picture
        with Image.open(io.BytesIO(one.frame(0).picture)) as picture:
            assert picture.mode == "P"
            assert len(picture.getcolors()) <= 64
            assert not picture.info.keys() & {"Software", "date:create"}

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"values": [1]}, "2 to 60 values, got 1"),
            ({"start": 3}, "from 0 to 2, got 3"),
            ({"alt": "a line"}, "must be functions"),
            ({"alt": lambda v: " "}, "must describe the picture"),
            ({"draw": lambda v: None}, "must return a Matplotlib figure, got NoneType"),
            ({"draw": lambda v: plt.figure(figsize=(v, 1))}, "figures of one size"),
        ],
    )
    def test_refuses(self, changes: dict[str, object], complaint: str) -> None:
        with pytest.raises(InputError, match=complaint):
            make(**changes)
        plt.close("all")

    def test_refuses_too_heavy_a_figure(self) -> None:
        def noise(value: int) -> plt.Figure:
            figure = plt.figure(figsize=(6, 4))
            figure.figimage(np.random.default_rng(value).random((440, 660)))
            return figure

        with pytest.raises(InputError, match="more than 500: give fewer values"):
            make(draw=noise)


class TestLive:
    @pytest.fixture(autouse=True)
    def _kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REGROB_STATIC", raising=False)

    def test_redraws_when_moved_and_draws_nothing_beforehand(self) -> None:
        drawn: list[float] = []

        def counted(value: float) -> plt.Figure:
            drawn.append(value)
            return draw(value)

        live = make(draw=counted)
        control, picture = live._widget.children
        before = picture.value
        assert drawn == [1]
        control.value = 2
        assert drawn == [1, 3]
        assert picture.value != before
        assert "slope 3" in picture.value
        control.value = 0
        assert drawn == [1, 3] and picture.value == before, "a frame is drawn once"

    def test_shows_a_widget(self) -> None:
        assert "application/vnd.jupyter.widget-view+json" in make()._repr_mimebundle_()

    def test_falls_back_to_frames_without_ipywidgets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
        assert "text/html" in make()._repr_mimebundle_()


@pytest.mark.usefixtures("static")
def test_on_a_page_each_picture_is_a_drawing_of_one_size() -> None:
    pytest.importorskip("myst_nb")
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book" / "_ext"))
    from regrob_book import drawings

    def lengthening(value: int) -> plt.Figure:
        figure, axes = plt.subplots(figsize=(2, 1))
        axes.set_ylabel("m" * value)
        return figure

    glyphs: drawings.Glyphs = {}
    page = drawings.with_drawings(make(draw=lengthening).html(), "s1", glyphs)
    assert "<img" not in page and "<!--" not in page
    assert page.count('<svg class="desk"') == page.count('<svg class="phone"') == 3
    assert page.count("a &quot;line&quot; of slope 2") == 2, "each layout says what it shows"
    assert glyphs
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert len(set(re.findall(r'<svg class="desk"[^>]* viewBox="([^"]+)"', page))) == 1
