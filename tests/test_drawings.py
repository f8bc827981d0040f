"""Figures as SVG: light, in the page's colours, and laid out anew for phones."""

from __future__ import annotations

import base64
import io
import itertools
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.text import Text
from PIL import Image

from regrob.figures import drawing, phone, theme

ROOT = Path(__file__).parents[1]
SVG = f"{{{drawing.SVG}}}"


@pytest.fixture(autouse=True)
def close_figures() -> Any:
    yield
    plt.close("all")


def two_panels() -> Any:
    with theme.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
        for axes in (left, right):
            axes.plot([0, 1], [0, 1], marker="o", label="a line")
            axes.set_xlabel("step")
        left.set_ylabel("loss")
        left.legend(fontsize=7)
    return figure


def boxes(figure: Any) -> list[Any]:
    figure.draw_without_rendering()
    return [axes.get_window_extent() for axes in figure.axes]


def layouts(text: str) -> tuple[ET.Element, ET.Element]:
    desk = ET.fromstring(text)
    carried = desk.find(f"{SVG}defs[@id='{drawing.PHONE}']")
    assert carried is not None
    desk.remove(carried)
    return desk, carried[0]


def test_a_phone_shows_one_panel_a_row() -> None:
    figure = two_panels()
    left, right = boxes(figure)
    assert left.y0 == pytest.approx(right.y0)
    phone.stack(figure)
    upper, lower = boxes(figure)
    assert upper.y0 > lower.y1
    assert upper.x0 == pytest.approx(lower.x0, abs=1)
    assert figure.get_size_inches()[0] == phone.WIDTH
    assert all(box.width / figure.dpi > 0.7 * phone.WIDTH for box in (upper, lower))


def test_no_letter_is_small_on_a_phone() -> None:
    figure = two_panels()
    assert min(text.get_fontsize() for text in figure.findobj(Text)) < phone.LEAST_FONT
    phone.stack(figure)
    assert min(text.get_fontsize() for text in figure.findobj(Text)) >= phone.LEAST_FONT


def test_each_panel_says_what_its_row_said_once() -> None:
    figure = two_panels()
    figure.draw_without_rendering()
    right = figure.axes[1]
    assert not right.get_ylabel()
    assert not any(label.get_visible() for label in right.get_yticklabels())
    phone.stack(figure)
    figure.draw_without_rendering()
    assert right.get_ylabel() == "loss"
    assert any(label.get_visible() and label.get_text() for label in right.get_yticklabels())


def test_a_panel_takes_no_words_from_a_neighbour_to_its_right() -> None:
    with theme.style():
        figure, (left, right) = plt.subplots(1, 2)
    right.set(ylabel="other", xlabel="x")
    phone.stack(figure)
    assert (left.get_ylabel(), left.get_xlabel()) == ("", "")


def test_a_panel_below_another_takes_its_title() -> None:
    with theme.style():
        figure, cells = plt.subplots(2, 2)
    for axes, title in zip(cells[0], ("DeepFool", "Carlini–Wagner"), strict=True):
        axes.set_title(title)
    phone.stack(figure)
    assert [axes.get_title() for axes in cells[1]] == ["DeepFool", "Carlini–Wagner"]


def test_small_pictures_stay_side_by_side() -> None:
    torch = pytest.importorskip("torch")
    with theme.style():
        figure = theme.digits(torch.zeros(6, 28, 28))
    phone.stack(figure)
    tops = [round(box.y1) for box in boxes(figure)]
    assert [tops.count(top) for top in sorted(set(tops))] == [3, 3]


def test_parts_of_a_figure_are_stacked_each_by_itself() -> None:
    with theme.style():
        figure = plt.figure(figsize=(6.4, 8), layout="constrained")
        for part in figure.subfigures(2, 1):
            part.subplots(1, 2)
            part.suptitle("a network")
    phone.stack(figure)
    places = boxes(figure)
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(places))


def test_a_legend_beside_a_panel_goes_below_it() -> None:
    with theme.style():
        figure, axes = plt.subplots()
        axes.plot([0, 1], label="a line with a rather long name")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    phone.stack(figure)
    (box,) = boxes(figure)
    assert axes.get_legend() is None
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 < box.y0
    assert box.width / figure.dpi > 0.7 * phone.WIDTH


def test_a_wide_legend_gets_fewer_columns() -> None:
    with theme.style():
        figure, axes = plt.subplots()
        for number in range(4):
            axes.plot([0, number], label=f"line {number} and some more words")
        figure.legend(loc="outside lower center", ncols=4)
    phone.stack(figure)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().width <= phone.WIDTH * figure.dpi


def test_a_drawing_carries_both_layouts_and_needs_no_ground() -> None:
    desk, stacked = layouts(drawing.drawing(two_panels()))
    assert float(desk.attrib["width"].removesuffix("pt")) > 500
    assert float(stacked.attrib["width"].removesuffix("pt")) <= 72 * phone.WIDTH + 15
    for root in (desk, stacked):
        styles = " ".join(element.get("style", "") for element in root.iter())
        assert "fill: #ffffff" not in styles
        assert not root.findall(f".//{SVG}style")
        assert not root.findall(f".//{SVG}metadata")


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert drawing.drawing(two_panels()) == drawing.drawing(two_panels())


def test_coordinates_are_short_but_scales_keep_their_digits() -> None:
    assert drawing._rounded("M 12.345678 -0.123456 L 3 4.500001") == "M 12.35 -0.1235 L 3 4.5"
    assert drawing._rounded("translate(0 1.5) scale(0.015625 -0.015625)").endswith("scale(0.0156 -0.0156)")
    assert drawing._rounded("matrix(0.0000123 0 0 1 0 0)") == "matrix(0.0000123 0 0 1 0 0)"


def test_a_heavy_cloud_becomes_pixels_inside_the_drawing() -> None:
    generator = np.random.default_rng(0)

    def cloud(count: int) -> ET.Element:
        with theme.style():
            figure, axes = plt.subplots()
            axes.plot(*generator.normal(size=(2, count)), "o")
            axes.set_xlabel("x")
        return layouts(drawing.drawing(figure))[0]

    few, many = cloud(100), cloud(20_000)
    assert len(few.findall(f".//{SVG}image")) == 0
    assert len(many.findall(f".//{SVG}image")) == 1
    assert many.findall(f".//{SVG}use")  # axes and letters are still lines


def test_what_stays_too_heavy_is_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    assert set(drawing.bundle(two_panels())) == {"image/png", "image/svg+xml"}
    monkeypatch.setattr(drawing, "HEAVIEST", 1_000)
    assert set(drawing.bundle(two_panels())) == {"image/png"}


def test_only_a_static_book_gets_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere, in a live notebook or a test of one, figures are what they were."""
    called: list[bool] = []
    monkeypatch.setattr(drawing, "show_as_drawings", lambda: called.append(True))
    monkeypatch.delenv("REGROB_STATIC", raising=False)
    with theme.style():
        assert called == []
    monkeypatch.setenv("REGROB_STATIC", "1")
    with theme.style():
        assert called == [True]


def test_a_kernel_shows_drawings_after_its_backend_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    from IPython.core import pylabtools

    shell = interactive.InteractiveShell()
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    drawn: list[str] = []
    print_figure = pylabtools.print_figure

    def counted(figure: Any, fmt: str = "png", **settings: Any) -> Any:
        drawn.append(fmt)
        return print_figure(figure, fmt, **settings)

    monkeypatch.setattr(pylabtools, "print_figure", counted)
    try:
        shell.display_formatter.active_types = ["text/plain", "image/png", "image/svg+xml"]
        drawing.show_as_drawings()
        pylabtools.select_figure_formats(shell, {"png"})
        data, _ = shell.display_formatter.format(two_panels())
    finally:
        shell.history_manager.end_session() if shell.history_manager else None
    assert data["image/svg+xml"].startswith("<svg")
    assert drawn == ["png"], "drawn for desks, and not again when the figure is laid out for phones"
    width, height = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size
    assert width > 2 * height


# --- On the page -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_drawings() -> Any:
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_nb")
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    from regrob_book import drawings

    return drawings


def ids_and_references(html: str) -> tuple[list[str], set[str]]:
    ids = re.findall(r'\bid="([^"]+)"', html)
    return ids, set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html))


def test_two_figures_on_a_page_share_letters_but_no_ids(page_drawings: Any) -> None:
    glyphs: dict[str, ET.Element] = {}
    text = drawing.drawing(two_panels())
    html = "".join(page_drawings.inline(text, 'A "line" & more', name, glyphs) for name in ("d1", "d2"))
    whole = page_drawings.alphabet(glyphs) + html
    ids, references = ids_and_references(whole)
    assert len(ids) == len(set(ids))
    assert {one or other for one, other in references} <= set(ids)
    assert len(glyphs) > 10
    assert 'aria-label="A &quot;line&quot; &amp; more"' in html
    assert html.count('role="img"') == 4
    ET.parse(io.StringIO(f"<div>{whole}</div>"))


def test_every_colour_of_the_book_follows_the_page(page_drawings: Any) -> None:
    assert (
        page_drawings.themed("fill: #0072b2; stroke: #000000")
        == "fill: var(--drawing-blue); stroke: currentColor"
    )
    assert page_drawings.variable("#ffffff") == "var(--drawing-ground)"
    assert page_drawings.variable("#dddddd") == "var(--drawing-faint)"
    assert page_drawings.variable("#b0b0b0") == "var(--drawing-pale)"
    assert page_drawings.variable("#a23d71") == "#a23d71"  # of a colour map
    for colour in (*theme.COLOURS, theme.GREY):
        assert page_drawings.variable(colour) != colour


def test_the_style_sheet_gives_each_colour_two_values(page_drawings: Any) -> None:
    css = (ROOT / "book" / "_static" / "drawings.css").read_text(encoding="utf-8")
    light, dark = css.split('html[data-theme="dark"]', 1)
    for name in page_drawings.colours():
        assert f"{name}:" in light
        assert f"{name}:" in dark or name == "--drawing-ground"
