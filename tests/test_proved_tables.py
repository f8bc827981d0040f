"""What the stored proofs say: intervals, the order of distances, and the figures drawn of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from regrob.analysis import proved, tables
from regrob.analysis.measures import ADVERSARIAL, BENIGN, UNPENALISED
from regrob.errors import DataError, InputError
from regrob.figures import proved as pictures

PENALTIES = ("jacobian", "curvature")
GRID = (0.1, 0.4)


def digit(setting: tuple[str, float], seed: int, image: int, **values: Any) -> dict[str, Any]:
    """A row: certified 1, found 1.2, …, unless said otherwise."""
    usual = {
        "certified": 1.0,
        "found": 1.2,
        "attacked": 1.25,
        "linear": 0.6,
        "margin": 1.5,
        "radius": 4.0,
        "slope": 3.0,
        "unstable": 7,
        "nodes": 11,
        "seconds": 0.5,
        "reason": "time",
    }
    named = dict(zip(proved.SETTING, (*setting, seed), strict=True))
    return {**named, "image": image, "label": image % 2, **usual, **values}


def save(folder: Path, seed: int, rows: list[dict[str, Any]], diverged: tuple[Any, ...] = ()) -> None:
    """A stage as `experiments.proved` stores it."""
    table = pd.DataFrame(rows, columns=list(proved.COLUMNS))
    items = {}
    for (penalty, weight), part in table.groupby(["penalty", "lambda"]):
        items[f"{penalty}-{weight}"] = {
            "penalty": penalty,
            "lambda": weight,
            "start": int(part["image"].min()),
            "count": len(part),
            "accuracy": 0.99,
            "rows": proved.checksum(part),
        }
    for penalty, weight in diverged:
        empty = proved.checksum(table.iloc[:0])
        place = {"penalty": penalty, "lambda": weight, "start": 0, "count": 6}
        items[f"{penalty}-{weight}"] = {**place, "accuracy": None, "rows": empty}
    settings = {"network": "net", "dataset": "mnist-1-7", "seed": seed}
    tables.write_csv(folder / f"net-{seed}.csv", table, digits=proved.DIGITS)
    tables.write_json(folder / f"net-{seed}.json", {"items": items, "settings": settings, "made_by": []})


SETTINGS = [UNPENALISED, *((penalty, weight) for penalty in PENALTIES for weight in GRID)]


def usual_rows(seed: int) -> list[dict[str, Any]]:
    rows = []
    for step, setting in enumerate(SETTINGS):
        size = 1 + 0.2 * step + 0.01 * seed
        for image in range(6):
            lengths = {"certified": size, "found": 1.1 * size, "attacked": 1.2 * size}
            rows.append(digit(setting, seed, image, **lengths))
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        save(tmp_path, seed, usual_rows(seed))
    return tmp_path


def test_medians_and_shares_are_those_of_the_digits(tmp_path: Path) -> None:
    rows = [digit(UNPENALISED, 0, image, certified=c, found=f) for image, (c, f) in enumerate(CASES)]
    save(tmp_path, 0, rows)
    results = proved.read(tmp_path)["net"].results
    assert results.interval(UNPENALISED, proved.CERTIFIED).mean == 0.9
    assert results.interval(UNPENALISED, proved.FOUND).mean == 1.2
    assert results.interval(UNPENALISED, BENIGN).mean == 99
    # Above ε = 1 are two of five by proof, four of five by what was found; equality does not count.
    assert results.interval(UNPENALISED, proved.withstands(proved.CERTIFIED, 1.0)).mean == pytest.approx(40)
    assert results.interval(UNPENALISED, proved.withstands(proved.FOUND, 1.0)).mean == pytest.approx(80)
    # Settled to 1 % is one of the four that are correctly classified.
    assert results.interval(UNPENALISED, proved.CLOSED).mean == pytest.approx(25)


CASES = ((0.0, 0.0), (0.9, 1.2), (2.0, 2.01), (0.5, 1.05), (1.5, math.inf))


def test_an_order_is_proved_only_where_the_intervals_are_apart(tmp_path: Path) -> None:
    one, two = ("jacobian", 0.1), ("curvature", 0.1)
    ends = [((2.0, 2.1), (1.0, 1.5)), ((1.0, 1.5), (2.0, 2.1)), ((1.0, 2.0), (1.5, 2.5)), ((0, 0), (1, 2))]
    rows = [
        digit(setting, 0, image, certified=low, found=high)
        for image, pair in enumerate(ends)
        for setting, (low, high) in zip((one, two), pair, strict=True)
    ]
    save(tmp_path, 0, rows)
    stored = proved.read(tmp_path)["net"]
    order = stored.order(one, two)
    assert (order.farther, order.nearer, order.open) == (1, 2, 1)
    assert stored.order(two, one) == (2, 1, 1)
    with pytest.raises(InputError, match=r"no proof of curvature at λ = 0\.4"):
        stored.order(one, ("curvature", 0.4))


def test_seeds_that_lack_settings_are_left_out_and_named(folder: Path) -> None:
    part = [row for row in usual_rows(3) if row["penalty"] != "curvature"]
    save(folder, 3, part)
    stored = proved.read(folder)["net"]
    assert stored.results.seeds == 3
    assert stored.partial == (3,)
    assert set(stored.digits["seed"]) == {0, 1, 2}


def test_only_digits_that_every_penalty_has_are_compared(tmp_path: Path) -> None:
    rows = [row for row in usual_rows(0) if row["penalty"] != "curvature" or row["image"] < 4]
    rows += [digit((ADVERSARIAL, 0.1), 0, image) for image in range(6)]
    rows += [digit((ADVERSARIAL, 0.2), 0, image) for image in range(2)]
    save(tmp_path, 0, rows)
    stored = proved.read(tmp_path)["net"]
    assert set(stored.digits["image"]) == {0, 1, 2, 3}
    assert stored.results.weights("curvature") == [0.1, 0.4]
    assert stored.results.weights(ADVERSARIAL) == [0.1]  # the other has too few
    assert len(stored.digits) == 4 * (len(SETTINGS) + 1)


def test_a_diverged_network_counts_as_diverged(folder: Path) -> None:
    lost = ("curvature", 0.4)
    rows = [row for row in usual_rows(1) if (row["penalty"], row["lambda"]) != lost]
    save(folder, 1, rows, diverged=(lost,))
    results = proved.read(folder)["net"].results
    assert results.seeds == 3
    assert results.diverged() == {lost: 1}
    assert results.interval(lost, proved.CERTIFIED).count == 2


def test_each_penalty_is_shown_at_its_best_weight(folder: Path) -> None:
    stored = proved.read(folder)["net"]
    best = [setting for setting, _ in proved.champions(stored.results, proved.CERTIFIED, PENALTIES)]
    assert best == [("curvature", 0.4), ("jacobian", 0.4)]
    assert len(stored.sidecars) == 3


def test_a_network_with_one_answer_has_collapsed_and_counts_as_diverged(folder: Path) -> None:
    lost = ("curvature", 0.4)
    rows = usual_rows(1)
    for row in rows:
        if (row["penalty"], row["lambda"]) == lost and row["label"] == 1:
            row |= {"certified": 0.0, "found": 0.0, "attacked": 0.0}
    save(folder, 1, rows)
    results = proved.read(folder)["net"].results
    assert results.diverged() == {lost: 1}
    assert results.whole("curvature") == [("curvature", 0.1)]
    rows[-2] |= {
        "certified": 0.0
    }  # a digit of the other class is wrong too: a bad network, not a constant one
    save(folder, 1, rows)
    assert proved.read(folder)["net"].results.diverged() == {}


def test_further_digits_of_one_seed_wait_for_the_others(folder: Path) -> None:
    further = [row | {"image": row["image"] + 6} for row in usual_rows(0)]
    save(folder, 0, usual_rows(0) + further)
    stored = proved.read(folder)["net"]
    assert stored.results.seeds == 3
    assert set(stored.digits["image"]) == set(range(6))


def test_a_seed_may_lack_adversarial_training(folder: Path) -> None:
    for seed in range(2):
        save(folder, seed, usual_rows(seed) + [digit((ADVERSARIAL, 0.1), seed, image) for image in range(6)])
    results = proved.read(folder)["net"].results
    assert results.seeds == 3
    assert results.interval((ADVERSARIAL, 0.1), proved.CERTIFIED).count == 2
    common = proved.over_common_seeds(results, ADVERSARIAL, "jacobian")
    assert common.values(("jacobian", 0.1), proved.CERTIFIED).tolist() == [1.2, 1.21]
    assert proved.over_common_seeds(results, "curvature", "jacobian") is results
    # Some of its ε are not enough.
    extra = [digit((ADVERSARIAL, epsilon), 2, image) for epsilon in (0.1, 0.2) for image in range(6)]
    save(folder, 2, usual_rows(2) + extra)
    assert proved.read(folder)["net"].results.values((ADVERSARIAL, 0.1), proved.CERTIFIED).tolist() == [1.0]


def test_certified_is_the_better_of_both_proofs(tmp_path: Path) -> None:
    ends = [(0.5, 0.8), (0.9, 0.8), (0.0, 0.8)]  # the last is misclassified
    save(tmp_path, 0, [digit(UNPENALISED, 0, i, certified=c, linear=at) for i, (c, at) in enumerate(ends)])
    assert proved.read(tmp_path)["net"].digits["certified"].tolist() == [0.8, 0.9, 0.0]


def test_settled_digits_are_those_whose_ends_meet(tmp_path: Path) -> None:
    # The third closed to one per cent before both ends were rounded outwards; the fourth did not.
    ends = [(1.0, 1.001), (2.0, 2.002), (0.98991, 1.0), (0.9895, 1.0), (0.0, 0.0)]
    rows = [digit(UNPENALISED, 0, i, certified=c, found=f, margin=2 * f) for i, (c, f) in enumerate(ends)]
    save(tmp_path, 0, rows)
    stored = proved.read(tmp_path)["net"]
    assert proved.is_settled(stored.digits)["image"].tolist() == [0, 1, 2]
    assert stored.settled == pytest.approx(3 / 4)
    assert stored.results.interval(UNPENALISED, proved.CLOSED).mean == pytest.approx(75)
    assert len(stored.proved) == 4


def test_what_the_proof_shortened_is_listed(tmp_path: Path) -> None:
    rows = [digit(UNPENALISED, 0, 0, found=1.2, attacked=1.205), digit(UNPENALISED, 0, 1, attacked=1.7)]
    save(tmp_path, 0, rows)
    assert proved.read(tmp_path)["net"].shortened["image"].tolist() == [1]


def test_a_row_that_was_altered_is_refused(folder: Path) -> None:
    csv = folder / "net-1.csv"
    csv.write_text(csv.read_text().replace("1.01,", "1.11,", 1))
    with pytest.raises(DataError, match="put back the committed file"):
        proved.read(folder)


def test_rows_that_the_json_does_not_know_are_left_out(folder: Path) -> None:
    """As after a kill between the two files."""
    facts = tables.read_json(folder / "net-0.json")
    del facts["items"]["curvature-0.4"]
    tables.write_json(folder / "net-0.json", facts)
    table, _ = proved.read_stage(folder, "net-0") or (pd.DataFrame(), {})
    assert len(table) == 6 * 4
    assert proved.read_stage(folder, "net-7") is None


def test_nothing_stored_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make them with: regrob proved"):
        proved.read(tmp_path)
    save(tmp_path, 0, usual_rows(0))
    with pytest.raises(DataError, match="no proofs of vgg"):
        proved.read(tmp_path, ["vgg"])


def test_the_share_above_epsilon_never_rises() -> None:
    lengths = np.random.default_rng(0).exponential(size=50)
    radii = np.linspace(0, 3, 40)
    shares = proved.withstanding(lengths, radii)
    assert (np.diff(shares) <= 0).all()
    assert shares[0] == 1.0
    expected = [(lengths > radius).mean() for radius in radii]
    assert np.allclose(shares, expected)


def heights(axes: Any) -> set[float]:
    """Every height of a curve in a panel."""
    return {round(float(y), 6) for line in axes.lines for y in np.atleast_1d(line.get_ydata())}


def test_a_band_runs_from_what_is_proved_to_what_is_found(folder: Path) -> None:
    stored = proved.read(folder)["net"]
    figure = pictures.against_strength(stored, PENALTIES, (1.0, 2.0))
    results = stored.results
    for setting in SETTINGS:
        assert round(results.interval(setting, proved.CERTIFIED).mean, 6) in heights(figure.axes[0])
    reached = [path.vertices[:, 1] for band in figure.axes[0].collections for path in band.get_paths()]
    for setting in SETTINGS[1:]:
        low, high = (
            results.interval(setting, m).ends[i] for i, m in enumerate((proved.CERTIFIED, proved.FOUND))
        )
        assert any(
            np.isclose(heights_of, low).any() and np.isclose(heights_of, high).any() for heights_of in reached
        )
    assert round(results.interval(SETTINGS[1], proved.ATTACKED).mean, 6) not in heights(figure.axes[0])
    plt.close(figure)


def test_brackets_have_a_row_a_setting_and_linear_bounds_before_attacks(folder: Path) -> None:
    stored = proved.read(folder)["net"]
    figure = pictures.brackets(stored, SETTINGS)
    (axes,) = figure.axes
    assert next(tick.get_text() for tick in axes.get_yticklabels()) == "no penalty"
    by_label = {line.get_label(): line.get_xdata() for line in axes.lines}
    linear, attacked = by_label["proved by linear bounds alone"], by_label["found by attacks alone"]
    assert (np.asarray(linear) < np.asarray(attacked)).all()
    assert np.allclose(attacked, [stored.results.interval(s, proved.ATTACKED).mean for s in SETTINGS])
    plt.close(figure)


def test_other_figures_show_their_table(folder: Path) -> None:
    stored = proved.read(folder)["net"]
    shown = pictures.withstanding_figure(stored, SETTINGS[:2])
    assert [line.get_ydata()[0] for line in shown.axes[0].lines] == [100.0, 100.0]
    assert shown.axes[0].lines[0].get_ydata()[-1] == 0.0
    explained = pictures.explanation(stored, PENALTIES)
    shown_measures = (proved.CERTIFIED, *proved.EXPLANATIONS, proved.TIGHTNESS, proved.NODES)
    assert {axes.get_title() for axes in explained.axes} - {""} == {each.title for each in shown_measures}
    assert 50.0 not in heights(explained.axes[3])
    traded = pictures.at_equal_accuracy(stored, PENALTIES, BENIGN)
    assert [axes.get_title() for axes in traded.axes] == ["certified", "attacked"]
    plt.close("all")


def test_lengths_stand_against_the_truth_of_settled_digits(tmp_path: Path) -> None:
    ends = [(1.0, 1.001), (2.0, 2.002), (1.0, 4.0)]
    rows = [
        digit(UNPENALISED, 0, i, certified=c, found=f, margin=3 * f, radius=7.0)
        for i, (c, f) in enumerate(ends)
    ]
    save(tmp_path, 0, rows)
    figure = pictures.against_truth(proved.read(tmp_path)["net"], [UNPENALISED])
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    assert np.allclose(drawn["d"].get_xdata(), [1.001, 2.002])
    assert np.allclose(drawn["d"].get_ydata(), [3.003, 6.006])
    assert np.allclose(drawn["‖r*‖₂"].get_ydata(), 7.0)
    plt.close(figure)
