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
    critical_nu,
    departure,
    digit_vectors,
    eigenvalue_tie,
    finite_differences,
    lost_digits,
    paper,
    planes,
    secular,
    steps,
    taylor_radius,
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
    axes = brackets.bounds_over_exact(exact, {"half": exact / 2}).axes[0]
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


def ydata(line):
    return torch.as_tensor(line.get_ydata(), dtype=torch.float64)


def test_figure_3_marks_the_top_of_the_curvature_slope():
    _, right = paper.figure_3((3 + 3**0.5) / 6).axes
    curves = {line.get_label(): line for line in right.lines}
    slope = curves[theme.LOOKS["curvature"].label]
    steepest = slope.get_xdata()[int(ydata(slope).argmin())]  # it pulls m upwards: a negative slope
    (mark,) = [line for line in right.lines if line.get_linestyle() == ":" and len(line.get_xdata()) == 2]
    assert mark.get_xdata()[0] == pytest.approx(float(steepest), abs=0.03)


def test_figure_3_shows_penalties_and_their_derivatives():
    left, right = paper.figure_3(0.8).axes
    for over_p, over_m in list(zip(left.lines, right.lines, strict=False))[:3]:
        m = torch.as_tensor(over_m.get_xdata(), dtype=torch.float64)
        p = torch.as_tensor(over_p.get_xdata(), dtype=torch.float64)
        penalty = torch.as_tensor(np.interp(torch.sigmoid(m), p, over_p.get_ydata()))
        (numerical,) = torch.gradient(penalty, spacing=(m,))
        assert torch.allclose(numerical[5:-5], ydata(over_m)[5:-5], atol=5e-3)


def test_penalties_over_nu_mark_their_tops():
    tops = {"input-gradient": 1.278464542761074, "curvature": 2.39935728052}
    for gamma in (0.3, 1.0):
        lines = critical_nu.penalties_over_nu(gamma, tops).axes[0].lines
        curves = [line for line in lines if len(line.get_xdata()) > 1]
        dots = [line for line in lines if len(line.get_xdata()) == 1]
        assert len(dots) == (1 if gamma == 0.3 else 2)  # the curvature's top lies beyond ν = 6
        for curve, dot in zip(curves, dots, strict=False):
            top = curve.get_xdata()[int(ydata(curve).argmax())]
            assert float(dot.get_xdata()[0]) == pytest.approx(float(top), abs=0.025)


def test_nu_gamma_histograms_count_every_point_and_mark_both_limits():
    before, after = torch.linspace(0, 9, 50), torch.linspace(0, 3, 50)
    axes = critical_nu.nu_gamma_before_and_after(before, after, (1.5, 2.5)).axes[0]
    counts = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert counts == [50, 50]
    assert [line.get_xdata()[0] for line in axes.lines] == [1.5, 2.5]


def test_loss_and_model_meet_log_2_at_their_dots():
    lines = taylor_radius.loss_and_model(0.9).axes[0].lines
    true_loss, model, _, at_margin, at_tau = lines
    for curve, dot in ((true_loss, at_margin), (model, at_tau)):
        height = np.interp(dot.get_xdata()[0], curve.get_xdata(), curve.get_ydata())
        assert height == pytest.approx(float(np.log(2)), abs=1e-3)
    assert at_margin.get_xdata()[0] == pytest.approx(float(np.log(9)))
    assert at_tau.get_xdata()[0] > at_margin.get_xdata()[0]


def test_taylor_against_margin_states_the_median_ratio():
    margin = torch.tensor([1.0, 1.0, 2.0])
    left, right = taylor_radius.taylor_against_margin(margin * torch.tensor([2.0, 5.0, 40.0]), margin).axes
    assert left.get_legend_handles_labels()[1] == ["median 5"]
    assert left.lines[0].get_xdata()[0] == 5
    assert right.lines[0].get_xdata()[0] == 784**0.5


def test_lost_digits_stand_on_the_floor_where_nothing_is_lost():
    margins = torch.linspace(1, 4, 4, dtype=torch.float64)
    axes = lost_digits.lost_digits(margins, {"poor": [1e-10] * 4, "exact": [0.0] * 4}).axes[0]
    poor, exact, rounding = axes.lines
    assert list(poor.get_ydata()) == [1e-10] * 4
    assert list(exact.get_ydata()) == [lost_digits.LOWEST] * 4
    assert torch.allclose(ydata(rounding), 2.0**-52 * margins.exp(), rtol=1e-12)


def test_a_vector_is_white_where_it_is_zero():
    vector = torch.zeros(784)
    vector[0], vector[1] = 2.0, -0.5
    first, second = digit_vectors.digit_and_vectors(torch.rand(1, 28, 28), {"s": vector}).axes
    assert (first.get_title(), second.get_title()) == ("the digit", "s")
    assert second.images[0].get_clim() == (-2.0, 2.0)


def test_finite_differences_are_drawn_by_their_medians():
    steps = torch.tensor([0.1, 1.0])
    ratios = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]])
    axes = finite_differences.over_curvature(steps, ratios).axes[0]
    assert list(axes.lines[0].get_ydata()) == [2.0, 4.0]
    crossed = torch.tensor([0.0, 0.5])
    upper, lower = finite_differences.network_and_affine(steps, ratios, 2 * ratios, crossed).axes
    assert [list(line.get_ydata()) for line in upper.lines] == [[2.0, 4.0], [4.0, 8.0]]
    assert list(lower.lines[0].get_ydata()) == [0.0, 50.0]


def test_eigenvalues_meet_at_the_tie_and_the_tangent_goes_through_it():
    V = torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.75**0.5, -(0.75**0.5)]], dtype=torch.float64)
    push = torch.zeros_like(V)
    push[0, 0] = 1.0
    first, second, tangent = map(ydata, eigenvalue_tie.eigenvalues_at_a_tie(V, push, 0.3).axes[0].lines)
    assert float(first[40] - second[40]) == pytest.approx(0, abs=1e-12)
    assert float(tangent[40]) == pytest.approx(float(first[40]))
    assert float(tangent[-1] - tangent[0]) == pytest.approx(0.3)
    assert bool((first >= second).all()) and float(first[-1] - second[-1]) > 0.1


def test_patchwork_shows_both_classes_and_a_panel_counts_its_pieces():
    piece = triangle()
    points, labels = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), torch.tensor([0, 1, 1])
    axes = planes.patchwork([piece], points, labels).axes[0]
    assert [len(dots.get_offsets()) for dots in axes.collections] == [1, 2]
    panels = planes.side_by_side({"one": [piece], "two": [piece, piece]}).axes
    assert [panel.get_title() for panel in panels] == ["one: 1", "two: 2"]


def test_the_model_is_xi_on_its_boundary():
    gradient = torch.tensor([-0.5, 0.2], dtype=torch.float64)
    hessian = torch.tensor([[1.0, 0.3], [0.3, 2.0]], dtype=torch.float64)
    r = steps.model_boundary(gradient, hessian, 0.7)
    model = gradient @ r + 0.5 * (r * (hessian @ r)).sum(dim=0)
    assert torch.allclose(model, torch.tensor(0.7, dtype=torch.float64))
