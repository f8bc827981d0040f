"""What holds a living figure: its data, its HTML, its scripts; no browser needed."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from regrob.certificates import distance_to_mistake
from regrob.errors import InputError
from regrob.experiments.two_arcs import trained_on_arcs
from regrob.figures.living import frame, living
from regrob.figures.living.four_boundaries import four_boundaries, measure
from regrob.figures.living.norm_ball import norm_ball
from regrob.figures.living.penalty_pull import penalty_pull
from regrob.figures.living.plane_network import CUT, SEEN, plane_network
from regrob.figures.living.simplex import simplex
from regrob.figures.living.taylor_ray import taylor_ray
from regrob.figures.living.two_descents import two_descents

NAME = "taylor_ray"


def test_data_are_rounded_and_plain() -> None:
    data = {
        "a": 0.123456789,
        "b": [np.float64(2.0), np.int64(3)],
        "c": torch.tensor([1 / 3], dtype=torch.float64),
    }
    assert living(NAME, data, alt="A line.").data == {"a": 0.123457, "b": [2, 3], "c": [0.333333]}


def test_html_has_data_question_and_still() -> None:
    figure = living(
        NAME, {"text": "</script><b>"}, alt='A "line".', predict=("Up?", "Down."), caption="Below"
    )
    text = figure.html()
    payload = re.search(r'<script type="application/json">(.*?)</script>', text)
    assert payload and json.loads(payload[1]) == figure.data == {"text": "</script><b>"}
    assert 'data-figure="taylor_ray" data-alt="A &quot;line&quot;."' in text
    assert re.search(r"<details .*Up\?.*<p>Down\.</p></details>", text)
    assert '<div class="still"><p>A &quot;line&quot;.</p></div><figcaption>Below' in text


def test_a_matplotlib_still_is_the_same_picture_each_time() -> None:
    stills = {taylor_ray(0.9).still for _ in range(2)}
    assert len(stills) == 1 and '<img alt="Left' in stills.pop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "no_such"}, "no living figure is called 'no_such'"),
        ({"alt": "  "}, "alt must say"),
        ({"data": {"x": float("nan")}}, "plain and finite"),
        ({"data": {"x": object()}}, "plain and finite"),
        ({"data": {"x": "-" * frame.LARGEST}}, "kB, more than"),
    ],
)
def test_bad_input_is_refused(arguments: dict[str, object], words: str) -> None:
    whole = {"name": NAME, "data": {}, "alt": "A line."} | arguments
    with pytest.raises(InputError, match=words):
        living(whole.pop("name"), whole.pop("data"), **whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", frame.figures())
def test_scripts_are_whole(name: str) -> None:
    """One module for a widget, one classic script for a page; neither imports anything."""
    module, script = frame.bundle(name), frame.classic(name)
    assert not re.search(r"^import\b", module + script, re.MULTILINE)
    assert re.findall(r"^export .*", module, re.MULTILINE) == [
        "export default { render: (context) => mountWidget(figure, context) };"
    ]
    assert "\nexport " not in script and f'regrobLiving ??= {{}})["{name}"]' in script


@pytest.mark.parametrize(
    "source",
    [
        'import { svg as s } from "./common.js";\nexport default {};\n',
        'import { svg } from "./other.js";\nexport default {};\n',
        "const x = 1;\n",
        "export default {};\nexport const x = 1;\n",
    ],
)
def test_a_module_that_cannot_be_joined_is_refused(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "common.js").write_text("export const svg = 1;\n")
    (tmp_path / "other.js").write_text(source)
    monkeypatch.setattr(frame, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"other\.js must import"):
        frame.classic("other")


def test_static_is_html_and_live_is_a_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = taylor_ray()
    monkeypatch.setenv("REGROB_STATIC", "1")
    assert set(figure._repr_mimebundle_()) == {"text/plain", "text/html"}
    monkeypatch.delenv("REGROB_STATIC")
    pytest.importorskip("anywidget")
    data, _ = figure._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    widget = figure.widget()
    assert widget.data == figure.data and widget._esm == frame.bundle(NAME)


def test_without_anywidget_a_live_notebook_shows_the_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGROB_STATIC", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    assert "text/html" in taylor_ray()._repr_mimebundle_()


def test_the_cut_square_holds_every_nearest_boundary() -> None:
    """Of the points that the plane shows: no nearer one lies outside, so the page's distances are true."""
    network, points, labels = trained_on_arcs(seed=7)
    figure = plane_network(network, points[:9], labels[:9], torch.tensor([-0.07, 0.28]).double())
    assert figure.data["limit"] == SEEN and len(figure.data["pieces"]) > 100
    for x in torch.cartesian_prod(*[torch.linspace(-SEEN, SEEN, 3, dtype=torch.float64)] * 2):
        label = int(network(x[None]).argmax())
        assert float(distance_to_mistake(network, x, label, low=-CUT, high=CUT)) < CUT - SEEN


def test_measured_distance_is_the_complete_method_s() -> None:
    network, points, labels = trained_on_arcs(seed=7)
    few = points[:5]
    sides = network(few).argmax(dim=1).tolist()
    pairs = zip(few, sides, strict=True)
    exact = [float(distance_to_mistake(network, x, y, low=-CUT, high=CUT)) for x, y in pairs]
    measured = measure(network, few, labels[:5])
    assert measured.distance == pytest.approx(sorted(exact)[2], rel=1e-9)
    assert measured.accuracy == 1.0


def test_figures_refuse_what_they_cannot_draw() -> None:
    network, points, labels = trained_on_arcs(seed=7, steps=1)
    cases = [
        (lambda: taylor_ray(1.0), "probability must lie"),
        (lambda: norm_ball(0.0), "margin must be positive"),
        (lambda: penalty_pull({"curvature": 1.0}), "critical names"),
        (lambda: two_descents(weight=0.0), "weight lie in"),
        (lambda: simplex(torch.eye(2), torch.ones(3) / 3), "of shape"),
        (lambda: simplex(torch.ones(2, 3), torch.tensor([0.5, 0.5, 0.5])), "sum to one"),
        (
            lambda: four_boundaries({"jacobian": [network]}, [0.0, 1.0], points, labels),
            "one network for each",
        ),
    ]
    for make, words in cases:
        with pytest.raises(InputError, match=words):
            make()
