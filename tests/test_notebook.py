"""Sliders, glued numbers and self-checks: what they show, and what they refuse."""

from __future__ import annotations

import io
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
import sympy as sp
import torch
from PIL import Image

from regrob.errors import InputError
from regrob.notebook import Slider, check_answer, glue, glue_all, slider

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


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict, dict]]:
    shown: list[tuple[dict, dict]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: shown.append((data, metadata)))
    return shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("n", "0.485"), "'0.485'"),
        (("n", 7), "7"),
        (("n", 0.48531, ".3f"), "'0.485'"),
        (("n", torch.tensor(2.0), ".1f"), "'2.0'"),
    ],
)
def test_glue(displayed: list, arguments: tuple, text: str) -> None:
    glue(*arguments)
    [(data, metadata)] = displayed
    assert data == {"application/papermill.record/text/plain": text}
    assert metadata["scrapbook"] == {"name": "n", "mime_prefix": "application/papermill.record/"}


def test_glue_all_prefixes_every_name(displayed: list) -> None:
    glue_all({"a": 1.0, "b": 2.0}, "f4-", ".1f")
    assert [metadata["scrapbook"]["name"] for _, metadata in displayed] == ["f4-a", "f4-b"]
    assert [data["application/papermill.record/text/plain"] for data, _ in displayed] == ["'1.0'", "'2.0'"]


def test_glue_is_read_by_the_book(displayed: list) -> None:
    nbformat = pytest.importorskip("nbformat")
    reader = pytest.importorskip("myst_nb.ext.glue")
    glue("share", 0.25, ".0%")
    [(data, metadata)] = displayed
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell(outputs=[output])
    [(name, found)] = reader.extract_glue_data_cell(cell)
    assert name == "share"
    assert found["data"] == {"text/plain": "'25%'"}
    assert cell.outputs == []


def test_glue_refuses_a_bare_float_and_a_bad_name(displayed: list) -> None:
    with pytest.raises(InputError, match=r"say how 0\.1 reads"):
        glue("n", 0.1)
    with pytest.raises(InputError, match="letters, digits"):
        glue("a name", "1")
    assert displayed == []


x, y = sp.symbols("x y")


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (None, lambda: 1 / 0, "not answered yet"),
        (2, 2, "right"),
        (2.0000001, lambda: 2, "right"),
        (1.9, 2, "not yet: 1.9 is too small"),
        (2e6 + 1, 2e6, "right"),
        (float("nan"), 2, "not yet: nan is too large"),
        ("two", 2, "not yet: 'two' is not a number, or not an array of numbers"),
        ([1, 2], 2, r"not yet: the shape should be (), yours is (2,)"),
        (torch.tensor([1.0, 2.0]), [1, 2], "right"),
        ([1, 3], torch.tensor([1.0, 2.0]), "not yet: 1 of 2 numbers are off"),
        (sp.Rational(1, 3), sp.Rational(1, 3), "right"),
        (0.25, sp.Rational(1, 3), "not yet: 0.25 is too small"),
        ((x + 1) ** 2, x**2 + 2 * x + 1, "right"),
        (x, x * y, "not yet: x is another expression; it should depend on y"),
        ("(", x, "not yet: '(' is no SymPy expression of the kind asked for"),
        (sp.Matrix([x]), sp.Matrix([x]), "right"),
        (x, sp.Matrix([x]), "not yet: x is no SymPy expression of the kind asked for"),
        (" Fails ", "fails", "right"),
        (True, True, "right"),
        (False, True, "not yet: False is not it"),
    ],
)
def test_check_answer(answer: object, expected: object, said: str, capsys: pytest.CaptureFixture) -> None:
    assert check_answer(answer, expected) is None
    assert capsys.readouterr().out == said + "\n"
