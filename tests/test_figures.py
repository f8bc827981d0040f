"""The figures show what the formulas say, and leave matplotlib's settings as they found them."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("Agg")

import matplotlib.pyplot as plt

from regrob.affine import polytopes
from regrob.errors import InputError
from regrob.figures import departure, paper, planes, theme


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_importing_the_module_does_not_load_matplotlib():
    code = "import sys, regrob.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_style_is_undone():
    before = mpl.rcParams.copy()
    with theme.style():
        assert mpl.rcParams["svg.hashsalt"] == "regrob"
        assert mpl.rcParams["figure.facecolor"] == "white"
    assert mpl.rcParams == before


def test_style_keeps_a_notebook_interactive():
    # The inline backend turns this on at the first figure; were it undone, no later one would show.
    with mpl.rc_context():
        with theme.style():
            mpl.interactive(True)
        assert mpl.is_interactive()


@pytest.mark.parametrize("nu", [0.5, 1.0, 2**0.5])
def test_figure_1_right_panel_is_the_closed_form(nu):
    with theme.style():
        right = paper.figure_1(nu).axes[1]
    bold = [line for line in right.lines if line.get_label() == f"ν = {nu:.3g}"]
    p, radius = (torch.as_tensor(values) for values in bold[0].get_data())
    assert radius[0] == 0
    assert bool((radius.diff() > 0).all())
    p, radius = p[1:], radius[1:]
    xi = torch.log(2 * p)
    naive = (torch.sqrt(1 + 2 * p * xi / (1 - p)) - 1) / (p * nu)
    assert torch.allclose(radius, naive, rtol=1e-9)


def test_figure_1_left_dots_lie_on_their_parabolas_at_log_2():
    with theme.style():
        left = paper.figure_1(2.0, probabilities=(0.6, 0.9)).axes[0]
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert len(dots) == 2
    for p, dot in zip((0.6, 0.9), dots, strict=True):
        (t,), (height,) = dot.get_data()
        q = 1 - p
        model = -torch.log(torch.tensor(p, dtype=torch.float64)) + q * 2 * t + 0.5 * p * q * (2 * t) ** 2
        assert float(model) == pytest.approx(height, rel=1e-6)
        assert height == pytest.approx(float(torch.log(torch.tensor(2.0))))


@pytest.mark.parametrize(
    "bad", [{"nu": 0.0}, {"nu": -1.0}, {"probabilities": (0.4,)}, {"probabilities": (1.0,)}]
)
def test_figure_1_refuses_what_has_no_radius(bad):
    with pytest.raises(InputError):
        paper.figure_1(**bad)


def test_the_same_figure_is_the_same_svg():
    def drawn() -> bytes:
        out = io.BytesIO()
        with theme.style():
            paper.figure_1().savefig(out, format="svg", metadata={"Date": None})
        return out.getvalue()

    assert drawn() == drawn()


def test_digits_takes_both_shapes_and_titles():
    images = torch.rand(3, 1, 28, 28)
    for given in (images, images[:, 0]):
        figure = theme.digits(given, ["a", "b", "c"])
        shown = [torch.as_tensor(axes.images[0].get_array().data) for axes in figure.axes]
        assert torch.equal(torch.stack(shown), images[:, 0])
        assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]


def test_digits_names_what_is_wrong():
    with pytest.raises(InputError, match="shape"):
        theme.digits(torch.rand(2, 3, 28, 28))
    with pytest.raises(InputError, match="titles"):
        theme.digits(torch.rand(2, 28, 28), ["one"])


def triangle() -> polytopes.Region:
    """z₀ − z₁ = x₁ − ½ on a triangle, so that the boundary is the vertical x₁ = ½."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    V = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    return polytopes.Region(corners, V, torch.tensor([-0.5, 0.0], dtype=torch.float64))


def test_a_piece_has_a_straight_boundary_or_none():
    piece = triangle()
    ends = planes.boundary(piece)
    assert torch.allclose(ends.sort(dim=0).values, torch.tensor([[0.5, 0.0], [0.5, 0.5]]).double())
    assert planes.boundary(piece._replace(c=torch.tensor([2.0, 0.0]))) is None
    _, axes = plt.subplots()
    planes.draw_boundary(axes, [piece, piece._replace(c=torch.tensor([2.0, 0.0]))], color="black")
    (line,) = axes.lines
    assert sorted(line.get_ydata()) == [0.0, 0.5]


def test_pieces_are_filled_in_the_colour_of_their_direction():
    _, axes = plt.subplots()
    turned = triangle()._replace(V=torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double())
    planes.fill_pieces(axes, [triangle(), turned])
    first, _, second, edge = axes.patches
    assert first.get_facecolor() != second.get_facecolor()
    assert not edge.get_fill()
    planes.frame(axes, ticks=False)
    assert axes.get_xlim() == (-1.0, 1.0) and len(axes.get_xticks()) == 0


def test_an_ellipse_is_where_the_quadratic_form_is_one():
    centre = torch.tensor([1.0, -2.0], dtype=torch.float64)
    matrix = torch.tensor([[4.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    points = planes.ellipse(centre, matrix, points=50) - centre[:, None]
    form = (points * torch.linalg.solve(matrix, points)).sum(dim=0)
    assert torch.allclose(form, torch.ones(50, dtype=torch.float64))
    assert torch.allclose(points[:, 0], points[:, -1])


def test_a_departure_that_bends_is_solid_and_the_affine_ones_are_dotted():
    steps = np.array([1e-3, 1e-2])
    flat, bent = np.array([0.0, 1e-3]), steps**2
    (axes,) = departure.departure_figure(steps, {"frozen": flat}, bent, "training").axes
    assert [(line.get_label(), line.get_linestyle()) for line in axes.lines] == [
        ("frozen", ":"),
        ("training", "-"),
    ]
    assert list(axes.lines[0].get_ydata()) == [departure.LEAST, 1e-3]  # zero has no logarithm
    assert list(axes.lines[1].get_ydata()) == list(bent)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
