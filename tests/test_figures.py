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
from regrob.figures import (
    along_line,
    brackets,
    clouds,
    departure,
    paper,
    planes,
    secular,
    steps,
    theme,
    valley,
)


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


def test_threshold_region_is_where_the_model_reaches_xi():
    gradient = torch.tensor([1.0, 0.5], dtype=torch.float64)
    hessian = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
    _, axes = plt.subplots()
    steps.threshold_region(axes, gradient, hessian, 1.0, limit=2.0)
    line = axes.collections[-1].get_paths()[0].vertices
    r = torch.as_tensor(line)
    assert len(r) > 50
    model = r @ gradient + 0.5 * ((r @ hessian) * r).sum(dim=1)
    assert float((model - 1).abs().max()) < 1e-3  # linear interpolation on the grid
    without_half = r @ gradient + ((r @ hessian) * r).sum(dim=1)
    assert float((without_half - 1).abs().max()) > 0.1


def test_disc_and_square_have_the_asked_size():
    assert torch.allclose(steps.disc(2.0).norm(dim=0), torch.tensor(2.0))
    outline = steps.square(0.5)
    assert torch.equal(outline[:, 0], outline[:, -1])
    assert bool((outline.abs() == 0.5).all())


def test_shortest_steps_end_where_they_say():
    along, step = torch.tensor([-1.5, 0.0]), torch.tensor([-0.6, 0.8])
    axes = steps.shortest_steps(steps.disc(2.0), along, (step, -step)).axes[0]
    ends = [[float(x[-1]), float(y[-1])] for x, y in (line.get_data() for line in axes.lines[2:])]
    assert torch.allclose(torch.tensor(ends), torch.stack([along, step, -step]))
    assert axes.patches[0].radius == pytest.approx(1.0)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["model = log 3", "along ∇: 1.50", "shortest: 1.00"]


def test_class_cloud_states_gradient_and_curvature_by_autograd():
    V = torch.tensor([[1.5, -1.2, 0.2], [0.4, 0.9, -1.3]], dtype=torch.float64)
    z = torch.tensor([1.0, 0.2, -0.5], dtype=torch.float64)

    def loss(x):
        return -torch.log_softmax(z + V.mT @ x, dim=0)[0]

    origin = torch.zeros(2, dtype=torch.float64)
    gradient = torch.func.grad(loss)(origin).norm()
    curvature = torch.linalg.eigvalsh(torch.func.hessian(loss)(origin))[-1]
    axes = clouds.class_cloud(V, z).axes[0]
    assert axes.get_title() == f"gradient {float(gradient):.2f}, curvature {float(curvature):.2f}"
    assert abs(float(gradient - curvature)) > 0.02  # exchanged, they would show


def test_triangle_and_curvature_draws_norm_below_trace():
    V = torch.tensor([[0.0, 2.0, 1.4], [0.0, 0.3, 1.9]], dtype=torch.float64)
    path = torch.tensor([[0.2, 0.5, 0.3], [0.5, 0.3, 0.2], [0.8, 0.1, 0.1]], dtype=torch.float64)
    right = clouds.triangle_and_curvature(V, path[1], path).axes[1]
    trace, norm, dot = (torch.as_tensor(line.get_ydata()) for line in right.lines)
    covariances = torch.stack([V @ (torch.diag(p) - p.outer(p)) @ V.mT for p in path])
    assert torch.allclose(trace, covariances.diagonal(dim1=1, dim2=2).sum(dim=1))
    assert torch.allclose(norm, torch.linalg.matrix_norm(covariances, ord=2))
    assert float(dot[0]) == pytest.approx(float(norm[1]))


def test_bracket_by_digit_sorts_all_bounds_by_the_upper_end():
    low, high = torch.tensor([1.0, 0.5, 2.0]), torch.tensor([3.0, 1.0, 2.5])
    other = torch.tensor([0.9, 0.4, 1.9])
    _, axes = plt.subplots()
    brackets.bracket_by_digit(axes, low, high, {"Eq. (17)": (other, "s", theme.VERMILION)})
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    order = [1, 2, 0]
    assert drawn == {
        "upper end": high[order].tolist(),
        "lower end": low[order].tolist(),
        "Eq. (17)": other[order].tolist(),
    }


def test_bounds_over_exact_counts_ratios():
    exact = torch.tensor([1.0, 2.0, 4.0])
    _, axes = plt.subplots()
    brackets.bounds_over_exact(axes, exact, {"half": (exact / 2, theme.BLUE, "-")})
    corners = axes.patches[0].get_xy()
    assert corners[:, 1].max() == 3
    at_top = corners[corners[:, 1] == 3][:, 0]
    assert at_top.min() <= 0.5 <= at_top.max() < 1


def test_stand_on_piece_draws_the_pieces_own_boundary():
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    V = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    piece = polytopes.Region(corners, V, torch.tensor([-0.5, 0.3], dtype=torch.float64))
    x = torch.tensor([0.2, 0.7], dtype=torch.float64)
    axes = planes.stand_on_piece([piece], piece, x, "title").axes[0]
    (dashed,) = (line for line in axes.lines if line.get_linestyle() == "--")
    points = torch.as_tensor(dashed.get_xydata())
    z = points @ V + piece.c
    assert torch.allclose(z[:, 0], z[:, 1])
    assert float((points[0] - points[1]).norm()) > 2


def test_margin_along_line_shows_the_difference_and_the_switches():
    t = torch.linspace(0, 2, 5)
    margin, tangent = 1 - t / 2, 1 - t
    upper, lower = along_line.margin_along_line(t, margin, tangent, torch.tensor([0.5, 1.5])).axes
    gap, switches = lower.lines
    assert torch.allclose(torch.as_tensor(gap.get_ydata()), margin - tangent)
    assert list(switches.get_xdata()) == [0.5, 1.5]
    assert max(switches.get_ydata()) < 0  # below the whole curve
    assert [line.get_linestyle() for line in upper.lines[:2]] == ["-", "--"]


def test_secular_curves_diverge_but_in_the_hard_case():
    g_2, limit = 0.5, 15 / 98
    axes = secular.secular_curves(g_2, (0.3, 0.0), (2.0, 0.25), 0.4, limit).axes[0]
    curves = {line.get_label(): torch.as_tensor(line.get_ydata()) for line in axes.lines}
    assert float(curves["$g_1=0.3$"].max()) > 1e3
    assert float(curves["$g_1=0$"].max()) == pytest.approx(limit, rel=1e-4)
    assert float(curves["$g_1=0$"][-1]) == 0  # θ = 0


def test_valley_and_bowl_marks_the_minimisers():
    grid = torch.linspace(-2, 2, 41, dtype=torch.float64)
    plus, minus = torch.meshgrid(grid, grid, indexing="xy")
    flat, round_ = (plus - minus - 1) ** 2, (plus - 0.5) ** 2 + (minus + 0.3) ** 2
    left, right = valley.valley_and_bowl(grid, flat, round_).axes
    v = torch.as_tensor(left.lines[-1].get_xydata())
    assert torch.allclose(v[:, 0] - v[:, 1], torch.tensor(1.0, dtype=torch.float64))
    assert right.lines[-1].get_xydata().tolist() == [[pytest.approx(0.5), pytest.approx(-0.3)]]


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
