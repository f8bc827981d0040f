"""What is read from a stored table of predictions: by setting, seed by seed, and against the attacks."""

from __future__ import annotations

from itertools import product

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

from regrob.analysis.intervals import mean_interval
from regrob.analysis.predictions import ATTACK_NAMES, REFERENCE, SIGNS, Predictions, by_dataset
from regrob.errors import InputError
from regrob.experiments import predictions
from regrob.figures import predictions as pictures
from regrob.figures import theme

SEEDS = 3
MEASURES = [
    *(("median", name, "") for name in SIGNS),
    *(("median", "", attack) for attack in ATTACK_NAMES),
    *(("mean", name, "") for name in ("stays", "switched")),
    *product(("rank", "linear"), ("margin", "radius"), ATTACK_NAMES),
]


@pytest.fixture
def table() -> pd.DataFrame:
    """Random values; the curvature has a λ that the Jacobian lacks; Jacobian's last seed diverged."""
    random = np.random.default_rng(0)
    settings = [REFERENCE, ("none", 0.0), ("jacobian", 0.1), ("jacobian", 0.4)]
    settings += [("curvature", weight) for weight in (0.1, 0.4, 1.6)]
    rows = []
    for dataset, setting in product(("two", "ten"), settings):
        for seed in reversed(range(SEEDS - (setting[0] == "jacobian"))):  # not in order
            for measure in MEASURES:
                rows.append((dataset, "net", *setting, seed, *measure, random.uniform(0.1, 0.9)))
    return pd.DataFrame(rows, columns=list(predictions.COLUMNS))


def of(table: pd.DataFrame, setting: tuple[str, float], *measure: str) -> list[float]:
    columns = ["dataset", "penalty", "lambda", "measure", "prediction", "attack"]
    rows = table.set_index([*columns, "seed"]).sort_index()["value"]
    return list(rows.loc[("two", *setting, *measure)])


def test_values_go_by_seed_and_the_largest_weight_is_common(table: pd.DataFrame) -> None:
    stored = by_dataset(table)["two"]
    key = ("rank", "margin", "found")
    assert list(stored.values(REFERENCE, *key)) == of(table, REFERENCE, *key)
    assert stored.interval(REFERENCE, *key) == mean_interval(of(table, REFERENCE, *key), span=(-1.0, 1.0))
    # Of a correlation the logit of its place in the span is twice Fisher's z.
    few = mean_interval([0.9, 0.8, 0.95], span=(-1.0, 1.0))
    plain = mean_interval([0.9, 0.8, 0.95])
    z, reach = np.arctanh(few.mean), (plain.high - plain.mean) / (1 - few.mean**2)
    assert (few.low, few.high) == pytest.approx((np.tanh(z - reach), np.tanh(z + reach)))
    assert list(stored.medians(REFERENCE, "found")) == of(table, REFERENCE, "median", "", "found")
    assert list(stored.medians(REFERENCE, "margin")) == of(table, REFERENCE, "median", "margin", "")
    assert stored.settings == [REFERENCE, ("none", 0.0), ("jacobian", 0.4), ("curvature", 0.4)]
    with pytest.raises(InputError, match="no median of edge is stored"):
        stored.medians(("curvature", 3.2), "edge")


def test_a_change_is_of_one_network_against_its_own_reference(table: pd.DataFrame) -> None:
    stored = by_dataset(table)["two"]
    after, before = (of(table, s, "median", "radius", "") for s in (("jacobian", 0.4), REFERENCE))
    ratios = [after[seed] / before[seed] for seed in range(SEEDS - 1)]
    change = stored.change(("jacobian", 0.4), "radius")
    assert change.mean == pytest.approx(np.mean(ratios))
    assert change.mean != pytest.approx(np.mean(after) / np.mean(before))  # a ratio of means is no pair


def test_tables_have_the_means_of_what_they_name(table: pd.DataFrame) -> None:
    stored = by_dataset(table)["two"]
    agreement = stored.agreement(REFERENCE)
    assert list(agreement.index) == list(ATTACK_NAMES.values())
    expected = np.mean(of(table, REFERENCE, "linear", "radius", "carlini-wagner"))
    assert agreement.loc["C&W", "‖r*‖₂: linear"] == pytest.approx(expected)
    by_setting = stored.by_setting()
    assert list(by_setting.index) == ["reference", "no penalty", "Jacobian", "curvature"]
    curvature = ("curvature", 0.4)
    for column, key, factor in (
        ("kink", ("median", "edge", ""), 1),
        ("rank r*", ("rank", "radius", "found"), 1),
        ("stays %", ("mean", "stays", ""), 100),
    ):
        expected = factor * np.mean(of(table, curvature, *key))
        assert by_setting.loc["curvature", column] == pytest.approx(expected)


def test_pictures_show_medians_and_lengths(table: pd.DataFrame) -> None:
    stored = {name: Predictions(rows) for name, rows in table.groupby("dataset")}
    figure = pictures.before_and_after(stored)
    assert [axes.get_title() for axes in figure.axes] == ["ten, λ = 0.4", "two, λ = 0.4"]
    (dots,) = (line for line in figure.axes[1].lines if line.get_label() == theme.LENGTHS["radius"].label)
    medians = [stored["two"].median(setting, "radius").mean for setting in stored["two"].settings]
    assert list(dots.get_xdata()) == medians
    lengths = {"edge": 0.001, "found": 1.5, "margin": 1.8, "radius": 20.0}
    _, panel = pictures.one_image(np.zeros((28, 28)), lengths).axes
    assert [float(line.get_xdata()[0]) for line in panel.lines] == sorted(lengths.values())
    assert panel.get_yticklabels()[2].get_text() == "affine boundary, d"
    examples = pd.DataFrame({"found": [0.5, 1.0], "radius": [5, 9], "margin": [0.6, 1.1], "edge": [0.1, 0.2]})
    figure = pictures.examples({"one": examples, "other": examples[:1]})
    assert [axes.get_title() for axes in figure.axes] == ["one", "other"]
    assert [len(axes.lines[0].get_xdata()) for axes in figure.axes] == [2, 1]
    plt.close("all")
