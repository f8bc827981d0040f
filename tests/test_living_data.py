"""What holds a living figure: its data, its HTML, its scripts; no browser needed."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from regrob.affine import relu_layers
from regrob.analysis import measures, results, summary, tables
from regrob.certificates import distance_to_mistake
from regrob.data import one_versus_seven
from regrob.errors import InputError
from regrob.experiments import predictions
from regrob.experiments.checkerboard import trained_on_checkerboard
from regrob.experiments.closing_interval import history, lattice
from regrob.experiments.two_arcs import trained_on_arcs
from regrob.figures.living import frame, living
from regrob.figures.living.four_boundaries import four_boundaries, measure
from regrob.figures.living.norm_ball import norm_ball
from regrob.figures.living.penalty_pull import penalty_pull
from regrob.figures.living.plane_network import CUT, SEEN, plane_network
from regrob.figures.living.predicted_lengths import COLUMNS, pack, predicted_lengths
from regrob.figures.living.simplex import simplex
from regrob.figures.living.stored_results import ATTACKS, DIGITS, stored_results
from regrob.figures.living.taylor_ray import taylor_ray
from regrob.figures.living.two_descents import two_descents
from regrob.networks import mlp
from regrob.training import train

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


def test_a_still_shows_a_label_that_sticks_out_of_the_figure() -> None:
    import matplotlib.pyplot as plt

    heights = {}
    for label in ("", "x\nbelow\nthe\nedge"):
        drawing, axes = plt.subplots(figsize=(3, 2))
        drawing.subplots_adjust(bottom=0)
        axes.set_xlabel(label)
        still = living(NAME, {}, alt="A line.", still=drawing).still
        heights[label] = int(re.search(r'height="(\d+)"', still)[1])  # type: ignore[index]
    assert max(heights.values()) > heights[""] + 40


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


def test_the_interval_of_the_ball_holds_and_closes() -> None:
    """At three places of the checkerboard's lattice; a hair more than is certified would be too much."""
    network = trained_on_checkerboard(seed=3)
    places = lattice()[[10, 40, 57]]
    labels = network(places).argmax(dim=1)
    layers = relu_layers(network, places[:1])
    for x, label in zip(places, labels.tolist(), strict=True):
        true = float(distance_to_mistake(network, x, label, low=-CUT, high=CUT))
        known = history(layers, x, label)
        assert all(one.certified <= true <= one.found for one in known)
        for earlier, later in itertools.pairwise(known):
            assert earlier.nodes < later.nodes
            assert earlier.certified <= later.certified and later.found <= earlier.found
        assert known[-1].certified >= 0.99 * known[-1].found
        assert 1.02 * known[-1].certified > true


def test_measured_distance_is_the_complete_method_s() -> None:
    network, points, labels = trained_on_arcs(seed=7)
    few = points[:5]
    sides = network(few).argmax(dim=1).tolist()
    pairs = zip(few, sides, strict=True)
    exact = [float(distance_to_mistake(network, x, y, low=-CUT, high=CUT)) for x, y in pairs]
    measured = measure(network, few, labels[:5])
    assert measured.distance == pytest.approx(sorted(exact)[2], rel=1e-9)
    assert measured.accuracy == 1.0


@pytest.fixture(scope="module")
def stored() -> dict[str, object]:
    """Data of the explorer: sweeps with ten, three, two and one seed, and with diverged ones."""
    folder = results.folder()
    sweeps = {name: tables.read(folder, name)[0] for name in ("fig4", "fig6", "cost")}
    figure = stored_results(
        sweeps, network="lenet-300-100", measure=("pgd", "accuracy"), start=("jacobian", 0.01)
    )
    assert len(gzip.compress(figure._text.encode())) < 60_000
    return {"data": figure.data, "sweeps": sweeps, "predict": figure.predict}


class Dot(NamedTuple):
    """A dot of the explorer, and where its numbers come from."""

    results: measures.NetworkResults
    measure: measures.Measure
    setting: measures.Setting
    shown: dict[str, object]

    @property
    def wrong(self) -> bool:
        """Whether its numbers read otherwise than the package's interval does in a table."""
        interval = self.results.interval(self.setting, self.measure)
        ends = interval.ends if interval.count > 1 else (math.nan, math.nan)
        right = [interval.mean, *ends, *self.results.values(self.setting, self.measure)]
        shown = [self.shown["mean"], self.shown["low"], self.shown["high"], *self.shown["values"]]
        shown = [math.nan if value is None else value for value in shown]
        if self.measure.metric not in DIGITS:  # in no table: six digits
            return shown != pytest.approx(right, rel=5e-6, nan_ok=True)
        texts = [[f"{value:{self.measure.digits}}" for value in values] for values in (right, shown)]
        return texts[0] != texts[1]


def dots(stored: dict[str, object]) -> list[Dot]:
    entries = iter(stored["data"]["networks"])
    every = []
    for table in stored["sweeps"].values():
        for network in measures.by_network(table):
            entry = next(entries)
            for known in summary.EXPLORED:
                columns = entry["measures"][" ".join(known.key)]
                for i, setting in enumerate(entry["settings"]):
                    shown = {name: column[i] for name, column in columns.items()}
                    every.append(Dot(network, known, tuple(setting), shown))
    return every


def test_every_dot_of_the_explorer_reads_as_in_the_tables(stored: dict[str, object]) -> None:
    every = dots(stored)
    assert len(every) > 700
    assert [dot[1:] for dot in every[::13] if dot.wrong] == []
    counts = {sum(value is not None for value in dot.shown["values"]) for dot in every}
    assert {1, 2, 3, 9, 10} <= counts  # one seed, two, intervals, and diverged ones
    shares = [dot.shown for dot in every if dot.measure.factor == 100 and dot.shown["low"] is not None]
    assert shares and all(0 <= dot["low"] <= dot["mean"] <= dot["high"] <= 100 for dot in shares)


def test_a_dot_that_is_a_little_off_is_caught(stored: dict[str, object]) -> None:
    """The tooth: an end that is a tenth off, seeds in another order, an end of a single seed."""
    dot = next(dot for dot in dots(stored) if dot.measure is measures.PGD)
    single = next(dot for dot in dots(stored) if dot.shown["low"] is None)
    assert not dot.wrong and not single.wrong
    for good, change in (
        (dot, {"low": dot.shown["low"] - 0.1}),
        (dot, {"values": dot.shown["values"][::-1]}),
        (single, {"low": single.shown["mean"]}),
    ):
        assert good._replace(shown={**good.shown, **change}).wrong


def test_the_explorer_offers_what_is_stored(stored: dict[str, object]) -> None:
    data = stored["data"]
    assert [entry["sign"] for entry in data["networks"]] == ["λ"] * 5 + ["ε"]
    titles = {m["key"]: m["title"] for m in data["measures"]}
    assert titles["deepfool success"] == "fooled by DeepFool, %"
    assert titles["pgd accuracy"] == "accuracy, PGD, %" and dict(data["attacks"]) == ATTACKS
    best = summary.best_settings(
        [next(measures.by_network(stored["sweeps"]["fig4"]))],
        ["jacobian", "curvature"],
        measures.PGD,
        [measures.PGD],
    )
    for text in best["PGD, %"].iloc[1:]:
        assert text in stored["predict"][1]


@pytest.fixture(scope="module")
def measured() -> tuple[predictions.PredictedAndFound, torch.nn.Sequential, torch.Tensor]:
    task = one_versus_seven("embedded")
    network = mlp((784, 20, 2), generator=torch.Generator().manual_seed(0))
    train(network, task, iterations=60)
    images, labels = task.test_images[:14], task.test_labels[:14]
    return predictions.measure_and_keep(network, images, labels, iterations=30), network, images


def test_dots_are_the_table_s_and_mistakes_fool_the_network(
    measured: tuple[predictions.PredictedAndFound, torch.nn.Sequential, torch.Tensor],
) -> None:
    (table, mistakes), network, images = measured
    assert len(table) >= 10
    start = int(table["image"].iloc[3])
    figure = predicted_lengths({"reference": (table, mistakes)}, images, ("1", "7"), start=start)
    (entry,) = figure.data["networks"]
    for column in COLUMNS:
        assert entry[column] == pytest.approx(table[column].tolist(), rel=1e-5), column
    originals, changes = images[entry["image"]].flatten(1), _unpacked(entry["changes"]) - 8
    added = changes * torch.tensor(entry["reach"])[:, None] / 7
    digits = _unpacked(figure.data["digits"])[entry["image"]] / 15
    assert float((digits - originals).abs().max()) <= 0.5001 / 15
    read = network((originals + added).view_as(mistakes)).argmax(dim=1)
    assert float((read.numpy() != np.array(entry["label"])).mean()) > 0.7  # some change back by rounding
    sizes, found = added.norm(dim=1), torch.tensor(entry["found"])
    assert bool(((sizes / found - 1).abs() < 0.1).all())
    assert not bool(((2 * sizes / found - 1).abs() < 0.1).any())  # the tooth


def _unpacked(texts: list[str]) -> torch.Tensor:
    packed = torch.tensor([list(base64.b64decode(text)) for text in texts])
    return torch.stack([packed // 16, packed % 16], dim=-1).flatten(1)


def test_levels_survive_packing() -> None:
    levels = torch.arange(784) % 16
    assert torch.equal(_unpacked([pack(levels)])[0], levels)
    assert not torch.equal(_unpacked([pack(levels.flip(0))])[0], levels)


def test_mistakes_and_explorer_refuse_what_does_not_fit(
    measured: tuple[predictions.PredictedAndFound, torch.nn.Sequential, torch.Tensor],
    stored: dict[str, object],
) -> None:
    (table, mistakes), _, images = measured
    cases = [
        (images[:, 0, :9], ("1", "7"), mistakes, 0, "28×28"),
        (images, ("1", "7", "9"), mistakes, 0, "two classes"),
        (images, ("1", "7"), mistakes[1:], 0, "a mistake for each"),
        (images, ("1", "7"), mistakes, 999, "start must be"),
    ]
    for pictures, classes, changed, start, words in cases:
        with pytest.raises(InputError, match=words):
            predicted_lengths({"reference": (table, changed)}, pictures, classes, start=start)
    for network, start in (("vgg", ("jacobian", 0.01)), ("lenet-5", ("jacobian", 0.5))):
        with pytest.raises(InputError, match="need one value a seed"):
            stored_results(stored["sweeps"], network=network, measure=("pgd", "accuracy"), start=start)
    with pytest.raises(InputError, match="no measure has the key"):
        stored_results(stored["sweeps"], network="lenet-5", measure=("pgd", "loss"), start=("jacobian", 0.1))


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
