"""Living figures on the built pages: moved by mouse, finger and keys; their numbers against the package's."""

from __future__ import annotations

import copy
import functools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_browser import (  # noqa: F401
    HTML,
    PAGES,
    PHONE,
    WIDE,
    Opener,
    Visit,
    _everything_is_here,
    browser,
    site,
    visit,
)
from torch import Tensor

from regrob.affine import local_map, polytopes, relu_layers
from regrob.analysis import measures, results, tables
from regrob.analysis.summary import EXPLORED
from regrob.certificates import distance_to_mistake, linear_radius
from regrob.certificates.polytope import edge_distance
from regrob.experiments import in_memory
from regrob.experiments.checkerboard import trained_on_checkerboard
from regrob.experiments.closing_interval import history
from regrob.experiments.two_arcs import trained_on_arcs, tuned_on_arcs
from regrob.figures.living import frame
from regrob.figures.living.four_boundaries import measure
from regrob.figures.living.plane_network import CUT
from regrob.figures.living.stored_results import DIGITS
from regrob.figures.living.two_descents import mean_loss
from regrob.theory import PENALTIES, derivatives, margin_l2, taylor_radius

pytestmark = pytest.mark.browser

Values = dict[str, Any]

WHERE = {
    name: [page for page in PAGES if f'data-figure="{name}"' in (HTML / page).read_text("utf-8")]
    for name in frame.figures()
}
"""Name of a figure → the pages that show it."""

MOVED = (
    "four_boundaries",
    "growing_ball",
    "norm_ball",
    "penalty_pull",
    "plane_network",
    "predicted_lengths",
    "simplex",
    "stored_results",
    "taylor_ray",
    "two_descents",
)
DOTS = ("predicted_lengths", "stored_results")
"""Those whose point goes from one dot to another, so that several places lead to the same one."""

SHOWN = [(name, page) for name in MOVED for page in WHERE[name]]
every_figure = pytest.mark.parametrize(("name", "page"), SHOWN)


SIZES = """() => [...document.querySelectorAll(".living.alive svg text")].map((text) => {
  const panel = text.ownerSVGElement;
  const scale = panel.getBoundingClientRect().width / panel.viewBox.baseVal.width;
  return scale * parseFloat(getComputedStyle(text).fontSize);
})"""


def double(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Figure:
    """One living figure on an open page."""

    def __init__(self, opened: Visit, name: str) -> None:
        self.page = opened.page
        self.box = self.page.locator(f'figure[data-figure="{name}"]').first
        self.box.scroll_into_view_if_needed()
        self.stage = self.box.locator(".stage[data-values]")
        self.stage.wait_for()
        self.handles = self.box.locator(".handle")
        self.ranges = self.box.locator("input[type=range]")

    @property
    def values(self) -> Values:
        """The numbers that the figure shows, in full."""
        return json.loads(self.stage.get_attribute("data-values"))

    def control(self) -> Any:
        """What moves it first: a point to drag, else a range input."""
        return self.handles.first if self.handles.count() else self.ranges.first

    def press(self, key: str) -> None:
        self.control().press(key)

    def place(self, across: float, up: float) -> tuple[float, float]:
        """A point of the first panel (or of the range input) by its shares of the width and the height."""
        area = self.box.locator("svg.panel").first if self.handles.count() else self.ranges.first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        return box["x"] + across * box["width"], box["y"] + (1 - up) * box["height"]

    def start(self) -> tuple[float, float]:
        """The middle of the control."""
        control = self.handles.first.locator(".dot") if self.handles.count() else self.ranges.first
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, across: float, up: float) -> None:
        """By mouse, from the control to a place."""
        self.page.mouse.move(*self.start())
        self.page.mouse.down()
        self.page.mouse.move(*self.place(across, up), steps=4)
        self.page.mouse.up()

    def swipe(self, across: float, up: float) -> None:
        """By finger, from the control to a place."""
        session = self.page.context.new_cdp_session(self.page)
        (x, y), (to_x, to_y) = self.start(), self.place(across, up)
        x, y = self.start()  # the page may have scrolled
        to_x, to_y = self.place(across, up)
        for kind, share in (("touchStart", 0.0), ("touchMove", 0.5), ("touchMove", 1.0)):
            point = {"x": x + share * (to_x - x), "y": y + share * (to_y - y)}
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        session.detach()


def test_every_figure_is_on_a_page() -> None:
    assert WHERE and all(WHERE.values()), WHERE


@every_figure
def test_mouse_and_keys_move_it(name: str, page: str, visit: Opener) -> None:  # noqa: F811
    opened = visit(page)
    figure = Figure(opened, name)
    for move, where in (
        (figure.drag, (0.3, 0.4)),
        (figure.drag, (0.7, 0.55)),
        (figure.press, ("ArrowLeft",)),
    ):
        before = figure.values, figure.stage.inner_text(), figure.control().get_attribute("aria-valuetext")
        move(*where)
        after = figure.values, figure.stage.inner_text(), figure.control().get_attribute("aria-valuetext")
        assert all(old != new for old, new in zip(before, after, strict=True)), (move.__name__, before)
    assert opened.wrong == []


@every_figure
def test_a_finger_moves_it_and_nothing_sticks_out(name: str, page: str, visit: Opener) -> None:  # noqa: F811
    opened = visit(page, **PHONE)
    figure = Figure(opened, name)
    before = figure.values
    figure.swipe(0.35, 0.5)
    middle = figure.values
    assert middle != before
    figure.page.touchscreen.tap(*figure.place(0.65, 0.4))
    assert figure.values != middle
    assert opened.wrong + opened.page.evaluate(WIDE) == []
    assert min(opened.page.evaluate(SIZES)) >= 11


@every_figure
def test_the_still_is_there_without_a_script_and_on_paper(
    name: str,
    page: str,
    browser: Any,  # noqa: F811
    site: str,  # noqa: F811
) -> None:
    with Visit(browser, site, java_script_enabled=False) as opened:
        opened.page.goto(site + page)
        still = opened.page.locator(f'figure[data-figure="{name}"] .still').first
        assert still.is_visible() and still.bounding_box()["height"] > 100
        assert still.locator("img").first.get_attribute("alt").strip()
    with Visit(browser, site) as opened:
        figure = Figure(opened.open(site + page), name)
        assert not figure.box.locator(".still").is_visible()
        opened.page.emulate_media(media="print")
        assert figure.box.locator(".still").is_visible() and not figure.stage.is_visible()


@every_figure
def test_the_answer_waits_for_the_reader(name: str, page: str, visit: Opener) -> None:  # noqa: F811
    opened = visit(page)
    fold = Figure(opened, name).box.locator("details.predict")
    answer = fold.locator("p")
    assert not answer.is_visible()
    fold.locator("summary").press("Enter")
    assert answer.is_visible() and answer.inner_text().strip()


def test_figures_move_from_the_disk(browser: Any) -> None:  # noqa: F811
    name, page = SHOWN[0]
    with Visit(browser, HTML.as_uri()) as opened:
        figure = Figure(opened.open((HTML / page).as_uri()), name)
        before = figure.values
        figure.press("ArrowRight")
        assert figure.values != before
        assert opened.wrong == []


WIDGET = """async ([source, data]) => {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const state = { data, alt: "A figure.", predict: ["Up?", "Down."] };
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  (await import(address)).default.render({ model: { get: (key) => state[key] }, el });
  return [el.querySelector(".stage").dataset.values, el.querySelector("details p").textContent];
}"""


@every_figure
def test_the_widget_s_module_draws_the_same(name: str, page: str, visit: Opener) -> None:  # noqa: F811
    """As anywidget calls it in a live notebook, which has no policy against scripts."""
    opened = visit(page, viewport={"width": 1280, "height": 900}, bypass_csp=True)
    figure = Figure(opened, name)
    script = figure.box.locator("script").first
    file = script.get_attribute("data-file")  # of large data
    data = (
        opened.page.evaluate("(file) => window.regrobLiving.data[file]", file)
        if file
        else json.loads(script.text_content())
    )
    values, answer = opened.page.evaluate(WIDGET, [frame.bundle(name), data])
    assert json.loads(values) and answer == "Down."
    assert opened.wrong == []


# --- Their numbers ----------------------------------------------------------------------


def is_near(shown: Any, right: Any, *, rel: float = 1e-9, abs: float = 1e-12) -> None:  # noqa: A002
    assert shown == pytest.approx(right, rel=rel, abs=abs)


def check_taylor_ray(values: Values) -> None:
    m = double(values["margin"])[0]
    z, y = torch.stack([m, 0 * m]), torch.tensor(0)
    is_near(values["tau"], float(taylor_radius.taylor_margin(m)))
    is_near(values["tau"], float(taylor_radius.radius_l2(double([1.0, 0.0]), z, y)))
    is_near(values["p"], float(torch.softmax(z, 0)[0]))


def check_plane_network(values: Values) -> None:
    network, _, _ = trained_on_arcs(seed=7)
    x = double(*values["x"])
    V, z = local_map(network, x[None])
    y = z.argmax(dim=1)
    near = {"rel": 1e-4, "abs": 1e-5}  # the pieces are rounded to six digits
    is_near(values["edge"], float(polytopes.distance_to_edge(network, x)), **near)
    is_near(values["margin"], float(margin_l2(V, z, y)), **near)
    is_near(values["taylor"], float(taylor_radius.radius_l2(V, z, y)), **near)
    is_near(values["truth"], float(distance_to_mistake(network, x, int(y), low=-CUT, high=CUT)), **near)


def check_growing_ball(values: Values) -> None:
    network = trained_on_checkerboard(seed=3)
    x = double(*values["x"])
    y = network(x[None]).argmax(dim=1)
    near = {"rel": 1e-4, "abs": 1e-5}  # the lattice's numbers are rounded to six digits
    is_near(values["edge"], float(polytopes.distance_to_edge(network, x)), **near)
    is_near(values["linear"], float(linear_radius(network, x[None], y, box=None)), **near)
    layers = relu_layers(network, x[None])
    known = [one for one in history(layers, x, int(y)) if one.nodes <= values["nodes"]][-1]
    is_near([values["certified"], values["found"]], list(known[1:]), **near)
    is_near(values["truth"], float(distance_to_mistake(network, x, int(y), low=-CUT, high=CUT)), **near)
    assert max(values["linear"], values["certified"]) <= values["truth"] * (1 + 1e-5)
    assert values["truth"] <= values["found"] * (1 + 1e-5)


def check_simplex(values: Values) -> None:
    p, y = double(*values["p"]), torch.tensor(0)
    V, z = double([0.0, 2.0, 1.4], [0.0, 0.3, 1.9]), double(*values["p"]).log()
    is_near(float(p.sum()), 1.0)
    is_near(values["loss"], float(torch.nn.functional.cross_entropy(z, y)))
    is_near(values["gradient"], derivatives.input_gradient(V, z, y).tolist())
    is_near(values["curvature"], float(derivatives.curvature(V, z)))
    is_near(values["trace"], float(derivatives.hessian(V, z).trace()))
    assert values["right"] == (int(z.argmax()) == 0)


def check_penalty_pull(values: Values) -> None:
    m, nu = (double(values[name])[0].requires_grad_() for name in ("margin", "nu"))
    V = torch.stack([nu / 2, -nu / 2])[None]
    z = torch.stack([m, 0 * m])
    for name, shown in values["values"].items():
        penalty = PENALTIES[name](V, z, torch.tensor(0))
        on_m, on_nu = torch.autograd.grad(penalty, (m, nu), retain_graph=True, materialize_grads=True)
        right = {"penalty": penalty, "m": -on_m, "nu": -on_nu, "ray": -(on_m * m + on_nu * nu)}
        is_near(shown, {key: value.item() for key, value in right.items()})


def check_two_descents(values: Values) -> None:
    """Both ends are stationary; the one descent keeps the sum of the weights, the other loses it."""
    for name, end in zip(("cross-lipschitz", "jacobian"), values["ends"], strict=True):
        weights = double(*end).requires_grad_()
        penalty = PENALTIES[name](weights[None], double(0.0, 0.0), torch.tensor(0))
        objective = mean_loss(weights[0] - weights[1], (2, 1)) + values["weight"] * penalty
        (slope,) = torch.autograd.grad(objective, weights)
        is_near(slope.tolist(), [0.0, 0.0])
    is_near(sum(values["ends"][0]), sum(values["start"]))
    is_near(sum(values["ends"][1]), 0.0)


def check_norm_ball(values: Values) -> None:
    s = double(*values["s"])
    V, z, y = torch.stack([s, 0 * s], dim=1), double(1.5, 0.0), torch.tensor(0)
    tau = float(taylor_radius.taylor_margin(double(1.5)))
    radii = {
        "1": tau / float(s.abs().max()),
        "2": float(taylor_radius.radius_l2(V, z, y)),
        "inf": float(taylor_radius.radius_linf(V, z, y)),
    }
    own = values["norm"]
    is_near(values["own"], radii[own], rel=1e-5)  # τ is rounded to six digits
    for other, shown in values["borrowed"].items():
        worst = min(_norm(own, t) / _norm(other, t) for t in torch.linspace(0, 2 * math.pi, 721).tolist())
        is_near(shown, worst * radii[other], rel=1e-4)
        assert shown <= values["own"] * (1 + 1e-9)


def _norm(name: str, turn: float) -> float:
    return float(torch.linalg.vector_norm(double(math.cos(turn), math.sin(turn)), float(name)))


def check_four_boundaries(values: Values) -> None:
    if values["weight"] not in (0.01, 1):
        return  # each costs a training
    little, points, labels = trained_on_arcs(seed=7, steps=40)
    for name in ("curvature", "jacobian"):
        tuned = tuned_on_arcs(little, points, labels, penalty=name, weight=values["weight"])
        found, shown = measure(tuned, points, labels), values["values"][name]
        is_near([shown[key] for key in ("accuracy", "distance", "nu")], list(found[1:]), rel=1e-4)


@functools.cache
def sweep(title: str) -> pd.DataFrame:
    """The stored table that a page calls "Figure 4" or "cost"."""
    return tables.read(results.folder(), title.lower().replace("figure ", "fig"))[0]


def check_stored_results(values: Values) -> None:
    title, _, name = values["network"].partition(", ")
    network = next(one for one in measures.by_network(sweep(title)) if one.title == name)
    measure = next(one for one in EXPLORED if one.key == (values["attack"], values["metric"]))
    setting = (values["penalty"], values["weight"])
    interval = network.interval(setting, measure)
    assert (values["seeds"], values["diverged"]) == (interval.count, interval.dropped)
    near = {"rel": 5e-6, "abs": 0.51 * 10.0 ** -DIGITS[measure.metric] if measure.metric in DIGITS else 0.0}
    is_near(values["mean"], interval.mean, **near)
    by_seed = network.values(setting, measure)
    assert [value is None for value in values["values"]] == list(np.isnan(by_seed))
    is_near([v for v in values["values"] if v is not None], list(by_seed[~np.isnan(by_seed)]), **near)
    if interval.count == 1:
        assert values["low"] is values["high"] is None
    else:
        is_near([values["low"], values["high"]], list(interval.ends), **near)


def check_predicted_lengths(values: Values) -> None:
    """The network of the page again: what is predicted is measured afresh; attacks find what they found."""
    found = values["found"]
    is_near(values["ratios"], {name: values[name] / found for name in ("margin", "radius", "edge")})
    is_near(values["certified"], min(values["margin"], values["edge"]))
    assert values["certified"] <= found and values["margin"] < values["radius"]
    is_near(values["size"], found, rel=0.1)  # the change is rounded to fifteen steps
    m = double(values["logitMargin"])[0]
    is_near(values["radius"], float(taylor_radius.taylor_margin(m)) / values["nu"], rel=2e-5)
    if values["network"] != "reference":
        return  # each costs a training
    start = reference()
    row = slice(values["image"], values["image"] + 1)
    images, labels = start.task.test_images[row].double(), start.task.test_labels[row]
    network = copy.deepcopy(start.references[0]).double()
    V, z = local_map(network, images)
    is_near(values["label"], int(labels))
    is_near(values["margin"], float(margin_l2(V, z, labels)), rel=1e-4)
    is_near(values["radius"], float(taylor_radius.radius_l2(V, z, labels)), rel=1e-4)
    is_near(values["edge"], float(edge_distance(network, images)), rel=1e-3)
    is_near(values["nu"], float(derivatives.cross_lipschitz(V)), rel=1e-4)


@functools.cache
def reference() -> in_memory.Trained:
    """The network of the page on theory and attacks."""
    return in_memory.references("mnist-1-7", "lenet-300-100", seeds=1, iterations=300)


CHECKS: dict[str, Callable[[Values], None]] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
PLACES = [(0.12 + 0.77 * (k * 0.618 % 1), 0.15 + 0.07 * k) for k in range(10)]
"""Ten places of a panel, spread over both its directions."""


@every_figure
def test_its_numbers_are_the_package_s(name: str, page: str, visit: Opener) -> None:  # noqa: F811
    figure = Figure(visit(page), name)
    seen = []
    for place in PLACES:
        figure.drag(*place)
        seen.append(figure.values)
        CHECKS[name](figure.values)
    for radio in figure.box.locator("input[type=radio]").all():
        radio.check()
        CHECKS[name](figure.values)
    least = 10 if figure.handles.count() and name not in DOTS else 5
    assert len({json.dumps(values) for values in seen}) >= least


@pytest.mark.parametrize("name", DOTS)
def test_hovering_goes_to_a_dot_and_a_check_sees_a_wrong_number(name: str, visit: Opener) -> None:  # noqa: F811
    """The teeth of the two checks above: a tenth more at one place is seen."""
    figure = Figure(visit(WHERE[name][0]), name)
    before = figure.values
    dots = figure.box.locator("svg.panel").first.locator("circle:not(.handle circle)")
    for k in range(0, dots.count(), 7):
        box = dots.nth(k).bounding_box()
        figure.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        CHECKS[name](figure.values)
    assert figure.values != before
    for key in ("mean", "values", "found", "margin", "radius"):
        if (right := figure.values.get(key)) is not None:
            wrong = [*right[:-1], 1.1 * right[-1]] if isinstance(right, list) else 1.1 * right
            with pytest.raises(AssertionError):
                CHECKS[name]({**figure.values, key: wrong})


def test_every_measure_of_every_network_is_explored(visit: Opener) -> None:  # noqa: F811
    opened = visit(WHERE["stored_results"][0])
    figure = Figure(opened, "stored_results")
    network, quantity, attack = figure.box.locator("select").all()
    assert network.locator("option").count() >= 10
    seen = set()
    for i in range(network.locator("option").count()):
        network.select_option(index=i)
        for j in range(quantity.locator("option").count()):
            quantity.select_option(index=j)
            for k in range(attack.locator("option").count()):
                attack.select_option(index=k)
                values = figure.values
                seen.add((values["network"], values["attack"], values["metric"]))
                if (i + j + k) % 3 == 0:
                    CHECKS["stored_results"](values)
    assert len(seen) == network.locator("option").count() * len(EXPLORED)
    assert opened.wrong == []


@every_figure
def test_the_table_shows_those_numbers(name: str, page: str, visit: Opener) -> None:  # noqa: F811
    """Each number of the table is a number of `data-values`, rounded, perhaps in per cent."""
    figure = Figure(visit(page), name)
    figure.drag(*PLACES[3])
    exposed = [float(v) for v in re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", json.dumps(figure.values))]
    known = [*exposed, *(100 * value for value in exposed), *_derived(figure.values)]
    for cell in figure.box.locator(".numbers td").all_inner_texts():
        for mantissa, exponent in re.findall(r"(−?\d+(?:\.\d+)?) × 10([⁻⁰-⁹¹²³]+)", cell):
            power = 10.0 ** int(exponent.translate(RAISED))
            step = power * 10.0 ** -len(mantissa.partition(".")[2])
            value = power * float(mantissa.replace("−", "-"))
            assert any(abs(value - other) <= 0.51 * step for other in known), (cell, known)
        cell = re.sub(r"\S+ × 10[⁻⁰-⁹¹²³]+", "", cell)
        for text in re.findall(r"−?\d+(?:\.\d+)?(?![\d⁰-⁹ ]*×)", cell):
            value = float(text.replace("−", "-"))
            step = 10.0 ** -len(text.partition(".")[2])
            assert any(abs(value - other) <= 0.51 * step for other in known), (text, known)


RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _derived(values: Values) -> list[float]:
    """What a table says beside the exposed numbers: sums, differences, ratios, lengths."""
    derived = []
    if "tau" in values:
        derived.append(values["tau"] / values["margin"])
    if "trace" in values:
        derived += [values["curvature"] / values["trace"], math.hypot(*values["gradient"])]
    if "ends" in values:
        derived += [a - b for a, b in values["ends"]] + [a + b for a, b in values["ends"]]
    return derived
