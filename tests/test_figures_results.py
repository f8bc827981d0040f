"""What the figures of results draw is what the tables say, on axes that can be compared."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

mpl.use("Agg")

import matplotlib.pyplot as plt

from regrob.affine import polytopes
from regrob.analysis import comparisons, dots, measures, paper_numbers, summary, tables
from regrob.analysis.comparisons import AtBest
from regrob.analysis.intervals import Interval, mean_interval, paired_difference
from regrob.errors import DataError, InputError
from regrob.figures import (
    certificates,
    compared,
    draw_all,
    predictions,
    results,
    step_cost,
    theme,
    true_distance,
)
from regrob.theory import penalties

GRID = (0.01, 0.1, 1.6)
SEEDS = 4
METRICS = [
    ("none", "accuracy"), ("none", "probability"), ("fgsm", "accuracy"), ("pgd", "accuracy"),
    ("deepfool", "distance"), ("deepfool", "success"),
    ("carlini-wagner", "distance"), ("carlini-wagner", "success"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    """Two networks, two penalties, random values; one seed and one whole setting diverged."""
    random = np.random.default_rng(5)
    rows = []
    for n, network in enumerate(("lenet-300-100", "lenet-5")):
        settings = [("reference", 0.0), ("none", 0.0)]
        settings += [(name, w) for name in ("jacobian", "curvature") for w in GRID]
        for penalty, weight in settings:
            for seed in range(SEEDS):
                gone = (penalty, weight) == ("jacobian", 1.6) and (network == "lenet-5" or seed == 2)
                for attack, metric in METRICS:
                    value = random.uniform(0.2, 0.6) + n * (metric == "distance")
                    value = math.nan if gone else value
                    rows.append(("f", "d", network, penalty, weight, seed, attack, metric, value))
    return pd.DataFrame(rows, columns=list(tables.COLUMNS))


def panels(figure):
    """Axes by (block, title), the success panels under their attack's name + " success"."""
    found = {}
    for number, block in enumerate(figure.subfigs):
        shown = [axes for axes in block.axes if axes.axison]
        titles = ["no attack", "FGSM", "PGD", "DeepFool", "Carlini–Wagner", "DF success", "CW success"]
        assert len(shown) == len(titles)
        assert [axes.get_title() for axes in shown[:5]] == titles[:5]
        found |= {(number, title): axes for title, axes in zip(titles, shown, strict=True)}
    return found


def line_of(axes, label):
    (line,) = (one for one in axes.lines if one.get_label() == label)
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def cell(table, network, penalty, weight, attack, metric):
    rows = table[(table["network"] == network) & (table["penalty"] == penalty)]
    rows = rows[(rows["lambda"] == weight) & (rows["attack"] == attack) & (rows["metric"] == metric)]
    return rows.sort_values("seed")["value"].to_numpy()


PLACES = {
    "no attack": ("none", "accuracy", 100), "FGSM": ("fgsm", "accuracy", 100),
    "PGD": ("pgd", "accuracy", 100), "DeepFool": ("deepfool", "distance", 1),
    "Carlini–Wagner": ("carlini-wagner", "distance", 1), "DF success": ("deepfool", "success", 100),
    "CW success": ("carlini-wagner", "success", 100),
}  # fmt: skip


def test_every_point_is_the_mean_of_its_seeds(table):
    found = panels(results.robustness(table))
    for (number, title), axes in found.items():
        network = ("lenet-300-100", "lenet-5")[number]
        attack, metric, factor = PLACES[title]
        for penalty in ("jacobian", "curvature"):
            x, y = line_of(axes, theme.LOOKS[penalty].label)
            assert tuple(x) == GRID
            seeds = [cell(table, network, penalty, w, attack, metric) for w in GRID]
            expected = [factor * np.nanmean(one) for one in seeds if not np.isnan(one).all()]
            assert y[~np.isnan(y)] == pytest.approx(expected)
        for penalty, label in (("none", "no penalty"), ("reference", "before fine-tuning")):
            _, y = line_of(axes, label)
            expected = factor * cell(table, network, penalty, 0.0, attack, metric).mean()
            assert list(y) == pytest.approx([expected, expected])


def test_bands_are_the_intervals(table):
    axes = panels(results.robustness(table))[0, "PGD"]
    values = cell(table, "lenet-300-100", "curvature", 0.1, "pgd", "accuracy") * 100
    one = mean_interval(values, span=(0.0, 100.0))
    corners = np.concatenate([band.get_paths()[0].vertices for band in axes.collections])
    at = corners[np.isclose(corners[:, 0], 0.1)][:, 1]
    assert any(np.isclose(at, one.low)) and any(np.isclose(at, one.high))
    assert corners[:, 1].min() >= 0 and corners[:, 1].max() <= 100


def test_axes_are_shared_within_an_attack_and_between_networks(table):
    found = panels(results.robustness(table))
    for names in (("FGSM", "PGD"), ("DeepFool", "Carlini–Wagner"), ("no attack",)):
        limits = {found[number, name].get_ylim() for number in (0, 1) for name in names}
        assert len(limits) == 1, names
        (low, high) = next(iter(limits))
        for number in (0, 1):
            for name in names:
                inside = found[number, name].dataLim.intervaly
                assert low <= inside[0] and inside[1] <= high  # nothing is cut off
    assert found[0, "FGSM"].get_xscale() == "log"
    successes = {found[n, name].get_ylim() for n in (0, 1) for name in ("DF success", "CW success")}
    assert successes == {(0.0, 105.0)}  # a hundredth of a per cent must not look like a fall


def test_a_diverged_setting_is_a_cross_and_no_number(table):
    found = panels(results.robustness(table))
    for number in (0, 1):
        x, _ = line_of(found[number, "PGD"], "_diverged")
        assert list(x) == [1.6]
    _, y = line_of(found[1, "PGD"], "Jacobian")
    assert np.isnan(y[-1])
    legend = next(axes for axes in results.robustness(table).subfigs[0].axes if not axes.axison)
    assert "a seed diverged" in [text.get_text() for text in legend.get_legend().get_texts()]
    whole = table[(table["penalty"] != "jacobian")]
    axes = panels(results.robustness(whole))[0, "PGD"]
    assert "_diverged" not in [line.get_label() for line in axes.lines]


FIGURE_2 = ("jacobian", "cross-lipschitz")


def test_figure_2_draws_two_penalties_and_one_network_may_be_chosen(table):
    both = table.copy()
    twin = table[table["penalty"] == "jacobian"].assign(penalty="cross-lipschitz")
    both = pd.concat([both, twin])
    figure = results.robustness(both, FIGURE_2, ["lenet-5"])
    assert len(figure.subfigs) == 1
    assert figure.subfigs[0].get_suptitle() == "LeNet-5, 4 seeds"
    labels = {line.get_label() for line in figure.subfigs[0].axes[0].lines}
    assert {"Jacobian", "cross-Lipschitz"} <= labels
    assert "curvature" not in labels
    with pytest.raises(InputError, match="no penalty 'cross-lipschitz'"):
        results.robustness(table, FIGURE_2)
    with pytest.raises(InputError, match="no network 'vgg'"):
        results.robustness(table, networks=["vgg"])


def test_the_figure_fits_a_phone(table):
    # 390 CSS pixels for 6.4 inches: 12-point letters are ten pixels high.
    figure = results.robustness(table)
    width = figure.get_size_inches()[0]
    sizes = [text.get_fontsize() for block in figure.subfigs for text in block.findobj(mpl.text.Text)
             if text.get_text()]  # fmt: skip
    with theme.style():
        assert min(sizes) / 72 * 390 / width >= 8


def test_the_difference_is_paired(table):
    figure = results.difference_figure(table, "jacobian", "curvature", "lenet-300-100")
    first = next(axes for axes in figure.axes if axes.get_title() == "PGD")
    points = next(line for line in first.lines if line.get_marker() == "s")
    pair = [cell(table, "lenet-300-100", p, 0.01, "pgd", "accuracy") for p in ("jacobian", "curvature")]
    one = paired_difference(*pair).times(100)
    assert points.get_ydata()[0] == pytest.approx(one.mean)
    (bar,) = first.collections
    assert bar.get_segments()[0][:, 1] == pytest.approx([one.low, one.high])


def test_exchange_leaves_out_what_diverged(table):
    robust = (measures.PGD, measures.DEEPFOOL)
    figure = results.exchange(table, "lenet-300-100", measures.CONFIDENCE, robust, ["jacobian"])
    x, y = line_of(figure.axes[0], "Jacobian")
    assert len(x) == 3  # none, and two of three weights
    assert x[0] == pytest.approx(cell(table, "lenet-300-100", "none", 0.0, "none", "probability").mean())
    assert y[2] == pytest.approx(
        100 * cell(table, "lenet-300-100", "jacobian", 0.1, "pgd", "accuracy").mean()
    )


def test_every_setting_has_a_row_in_words_and_says_who_diverged(table):
    rows = summary.in_words(measures.by_network(table))
    assert not rows.duplicated(["network", "penalty", "λ"]).any()
    row = rows[(rows["network"] == "LeNet-5") & (rows["penalty"] == "curvature") & (rows["λ"] == "0.1")].iloc[
        0
    ]
    values = cell(table, "lenet-5", "curvature", 0.1, "pgd", "accuracy")
    assert row["PGD, %"] == f"{mean_interval(100 * values, span=(0.0, 100.0)):.1f}"
    lost = rows[(rows["penalty"] == "Jacobian") & (rows["λ"] == "1.6")]
    seeds = {
        network: table[table["network"] == network]["seed"].nunique() for network in table["network"].unique()
    }
    first, other = seeds["lenet-300-100"], seeds["lenet-5"]
    assert list(lost["seeds"]) == [f"{first - 1} of {first}", f"{other - 4} of {other}"]


def test_the_tidy_table_says_the_same_in_numbers(table):
    tidy = summary.tidy(table)
    keys = ["network", "attack", "metric", "penalty", "lambda"]
    assert not tidy.duplicated(keys).any()
    row = tidy.set_index(keys).loc["lenet-5", "deepfool", "distance", "curvature", 0.1]
    one = mean_interval(
        cell(table, "lenet-5", "curvature", 0.1, "deepfool", "distance"), span=(0.0, math.inf)
    )
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((one.mean, *one.ends))
    assert (row["seeds"], row["diverged"]) == (one.count, 0)
    assert list(row["values"]) == pytest.approx(list(one.values))
    lost = tidy[tidy["diverged"] > 0]
    assert [int(np.isnan(values).sum()) for values in lost["values"]] == list(lost["diverged"])
    assert len(lost)
    shares = tidy[tidy["metric"] != "distance"].dropna()
    assert shares[["low", "high"]].to_numpy().min() >= 0 and shares[["low", "high"]].to_numpy().max() <= 100


def test_the_best_settings_are_whole_and_the_best(table):
    rows = summary.best_settings(measures.by_network(table), ["jacobian", "curvature"], measures.PGD)
    of_one = rows[rows["network"] == "LeNet-5"]
    assert list(of_one["penalty"]) == ["no penalty", "Jacobian", "curvature"]
    best = max(
        (cell(table, "lenet-5", "jacobian", w, "pgd", "accuracy").mean(), w)
        for w in GRID
        if not np.isnan(cell(table, "lenet-5", "jacobian", w, "none", "accuracy")).any()
    )
    assert of_one["λ"].iloc[1] == f"{best[1]:g}" and of_one["PGD, %"].iloc[1].startswith(
        f"{100 * best[0]:.1f} ["
    )


def test_every_penalty_and_reference_has_a_look_of_its_own():
    looks = theme.LOOKS
    assert set(looks) == {"none", "reference", "adversarial-training", *penalties.PENALTIES}
    for part in ("label", "colour", "linestyle", "marker"):
        values = [str(getattr(look, part)) for look in looks.values()]
        assert len(set(values)) == len(values), part


def test_the_table_of_verdicts_shows_each_verdict_in_its_place():
    rows = [
        ("net", w, *m, 0.0, 0.0, 0.0, 3, 0, "jacobian", v)
        for w, v in ((0.1, "higher"), (1.6, "undecided"))
        for m in (("pgd", "accuracy"), ("deepfool", "distance"))
    ]
    names = [
        "network",
        "lambda",
        "attack",
        "metric",
        "mean",
        "low",
        "high",
        "count",
        "dropped",
        "rival",
        "verdict",
    ]
    found = pd.DataFrame(rows, columns=names)
    found.loc[3, "verdict"] = "lower"
    figure = compared.verdict_grid({"net": found})
    signs = {
        (axes.get_title(), int(line.get_xdata()[0]), int(line.get_ydata()[0])): line.get_marker()
        for axes in figure.axes
        for line in axes.lines
        if len(line.get_xdata())
    }
    title = f"against {measures.LABELS[str(found['rival'][0])]}"
    assert signs == {(title, 0, 0): "^", (title, 1, 0): "^", (title, 0, 1): ".", (title, 1, 1): "v"}
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["PGD", "DeepFool"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0.1", "1.6"]


def at_best(price, key, penalty, difference):
    return AtBest(price, key, penalty, Interval(0.9, 0.8, 1.0, 3), (0.4, 1.6, 0.4), difference)


def test_leads_at_the_best_are_dots_in_the_measures_unit():
    none, behind = Interval(0.0, 0.0, 0.0, 3), Interval(-0.1, -0.2, -0.05, 3)
    pgd, deepfool = ("pgd", "accuracy"), ("deepfool", "distance")
    ends = [
        at_best(0.005, pgd, "curvature", none),
        at_best(0.005, pgd, "jacobian", behind),
        at_best(math.inf, deepfool, "curvature", none),
        at_best(math.inf, deepfool, "jacobian", Interval(0.1, -0.1, 0.3, 3)),
    ]
    panels = dots.of_best({"net": ends}, {0.005: "for half a point", math.inf: "at any price"})
    assert list(panels) == ["PGD, points,\nfor half a point", "DeepFool, distance,\nat any price"]
    assert panels["PGD, points,\nfor half a point"] == [dots.Dot("net", "jacobian", behind.times(100))]
    decided, undecided = compared.dot_panels(panels).axes[:2]
    (bar,), (point, *_) = decided.collections, [line for line in decided.lines if line.get_marker() == "s"]
    assert bar.get_segments()[0][:, 0].tolist() == pytest.approx([-20, -5])
    assert point.get_markerfacecolor() == theme.LOOKS["jacobian"].colour
    (hollow, *_) = [line for line in undecided.lines if line.get_marker() == "s"]
    assert hollow.get_markerfacecolor() == "white"


def test_two_seeds_are_joined_and_one_has_no_bar(table):
    two = mean_interval([10.0, 30.0], span=(0.0, 100.0))
    axes = compared.dot_panels(
        {"PGD": [dots.Dot("a", "none", two), dots.Dot("b", "none", mean_interval([20.0]))]}, zero=False
    ).axes[0]
    ends = [bars.get_segments()[0][:, 0].tolist() for bars in axes.collections]
    assert ends == [[10.0, 30.0], [20.0, 20.0]]  # 95 % of two seeds would reach from 0 to 100


def test_dots_leave_out_what_is_not_reached():
    columns = ["target", "attack", "metric", "method", "mean", "low", "high", "count", "verdict"]
    nan = math.nan
    rows = [
        (0.9, "none", "accuracy", "jacobian", -0.01, -0.02, 0.0, 5, "undecided"),
        (0.9, "none", "accuracy", "curvature", nan, nan, nan, 0, "not reached"),
    ]
    panels = dots.of_differences(pd.DataFrame(rows, columns=columns), measures.PGD)
    ((title, (dot,)),) = panels.items()
    assert (title, dot.row, dot.penalty) == ("no attack, points", "PGD at 90 %", "jacobian")
    assert dot.interval.low == -2


def test_gains_and_best_settings_become_panels(table):
    networks = list(measures.by_network(table))
    chosen = [measures.PGD, measures.DEEPFOOL]
    panels = dots.of_best_settings(networks, ["jacobian", "curvature"], chosen)
    assert list(panels) == ["PGD, %", "DeepFool, distance"]
    first = panels["PGD, %"][0]
    assert (first.row, first.penalty) == ("LeNet-300-100", "none")
    assert first.interval == networks[0].interval(measures.UNPENALISED, measures.PGD)
    gains = comparisons.gains(networks[0], ["curvature"], chosen)
    assert dots.of_gains(gains)["PGD, points"] == [dots.Dot("LeNet-300-100", "curvature", gains[0].gap)]


def test_a_folder_of_results_becomes_pictures_and_words(table, tmp_path, capsys):
    tables.write(tmp_path, "fig4", table.to_dict("records"), {"preset": "quick"})
    (path,) = draw_all.draw_all(tmp_path)
    assert path == tmp_path / "fig4.svg"
    drawn = path.read_text(encoding="utf-8")
    assert drawn.lstrip().startswith("<?xml") and len(drawn) > 20_000
    best = summary.best_settings(measures.by_network(table), measures.lines_of(table), measures.PGD)
    assert best.to_string(index=False) in capsys.readouterr().out
    assert not plt.get_fignums()


def test_a_folder_without_results_says_so(tmp_path):
    with pytest.raises(DataError, match=r"no fig\?.csv; make one with regrob sweep fig4"):
        draw_all.draw_all(tmp_path)


def test_dots_stand_at_means_and_bars_at_intervals():
    _, axes = plt.subplots()
    intervals = [Interval(1.0, 0.5, 1.5, 3), Interval(2.0, 1.0, 3.0, 3)]
    results.dots(axes, ["a", "b"], {"found": (theme.BLUE, "o", intervals)})
    *bars, means = axes.lines
    assert list(means.get_xdata()) == [1.0, 2.0] and means.get_label() == "found"
    assert [list(bar.get_xdata()) for bar in bars] == [[0.5, 1.5], [1.0, 3.0]]
    assert axes.yaxis_inverted() and [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]


def test_dots_beside_the_box_tell_networks_and_penalties_apart():
    rows = [("one", "none", 0.1, 1.0), ("one", "jacobian", 0.2, 2.0), ("two", "jacobian", 0.3, 3.0)]
    (axes,) = results.box_figure(pd.DataFrame(rows, columns=["network", "penalty", "share", "kept"])).axes
    *drawn, kappa = [line for line in axes.lines if len(line.get_xdata())]
    assert [(line.get_xdata()[0], line.get_ydata()[0], line.get_marker()) for line in drawn] == [
        (0.1, 1.0, "o"),
        (0.2, 2.0, "o"),
        (0.3, 3.0, "s"),
    ]
    assert [line.get_color() for line in drawn[1:]] == [theme.LOOKS["jacobian"].colour] * 2
    assert kappa.get_xdata()[0] == pytest.approx(math.sqrt(2 / math.pi))
    labels = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert labels == ["one", "two", "no penalty", "Jacobian"]


def test_unpenalised_networks_have_a_row_each_and_no_other_setting(table):
    networks = list(measures.by_network(table, classes=2))
    (axes,) = results.unpenalised_figure(networks).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "LeNet-300-100\n2 classes",
        "LeNet-5\n2 classes",
    ]
    for line, measure in zip(axes.lines, (measures.BENIGN, measures.FGSM, measures.PGD), strict=True):
        own = [results_.interval(measures.UNPENALISED, measure).mean for results_ in networks]
        assert list(line.get_xdata()) == pytest.approx(own) and line.get_label() == measure.title


def test_exchanges_have_a_row_a_network_and_start_without_a_penalty(table):
    networks = list(measures.by_network(table))
    across, up = measures.BENIGN, (measures.PGD, measures.DEEPFOOL)
    axes = results.exchanges(networks, across, up, ["jacobian", "curvature"]).axes
    assert [a.get_title(loc="left") for a in axes] == ["LeNet-300-100", "", "LeNet-5", ""]
    for place, panel in enumerate(axes):
        network, measure = networks[place // 2], up[place % 2]
        start = [network.interval(measures.UNPENALISED, m).mean for m in (across, measure)]
        assert [*panel.lines[-1].get_xdata(), *panel.lines[-1].get_ydata()] == pytest.approx(start)
        assert len(panel.lines) == 3
        assert np.ptp(panel.get_xlim()) >= 6.0


def test_an_axis_is_widened_to_a_least_span_only():
    _, axes = plt.subplots()
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 10.0))
    results.widen(axes, 4.0, 4.0)
    assert axes.get_xlim() == (-1.5, 2.5) and axes.get_ylim() == (0.0, 10.0)


def test_prices_that_are_not_reached_are_not_drawn():
    rows = [("jacobian", 0.6, 4, 4, 0.01, 0.0, 0.02), ("jacobian", 0.8, 3, 4, math.nan, math.nan, math.nan)]
    prices = pd.DataFrame(rows, columns=["method", "target", "reached", "seeds", "mean", "low", "high"])
    (axes,) = results.price_figure(prices).axes
    points = axes.lines[0]
    assert list(points.get_ydata()) == [1.0]
    assert list(axes.get_xticks()) == [60.0, 80.0]


def test_predictions_are_drawn_against_what_was_found():
    _, axes = plt.subplots()
    lengths = pd.DataFrame(
        {"found": [0.5, 1.0], "radius": [5.0, 9.0], "margin": [0.6, 1.1], "edge": [0.01, 0.02]}
    )
    predictions.predicted_against_found(axes, lengths, "title")
    assert list(line_of(axes, "d")[1]) == [0.6, 1.1]
    x, y = line_of(axes, "equal")
    assert list(x) == list(y) == [0.5, 1.0]


def test_stated_numbers_stand_beside_ours():
    stated = paper_numbers.STATED[:2]
    (axes,) = results.stated_and_measured(stated, [Interval(99.0, 98.0, 100.0, 3), None]).axes
    assert list(line_of(axes, "paper")[0]) == [stated[0].value]
    assert list(line_of(axes, "ours")[0]) == [99.0]
    wide = max(np.ptp(line.get_xdata()) for line in axes.lines if line.get_color() == theme.VERMILION)
    assert wide == pytest.approx(2 * paper_numbers.readings(stated[0])[1])
    assert [text.get_text() for text in axes.get_yticklabels()] == [number.title for number in stated]


def test_each_seed_has_a_line_of_its_own(table):
    network = measures.NetworkResults(table[table["network"] == "lenet-5"], "lenet-5")
    first, second = results.seeds_figure(network, ["curvature"], [measures.BENIGN, measures.PGD]).axes
    lines = [line for line in second.lines if len(line.get_xdata())]
    assert len(lines) == SEEDS
    expected = [cell(table, "lenet-5", "none", 0.0, "pgd", "accuracy")[2]]
    expected += [cell(table, "lenet-5", "curvature", w, "pgd", "accuracy")[2] for w in GRID]
    assert lines[2].get_ydata() == pytest.approx([100 * value for value in expected])
    assert [text.get_text() for text in first.get_xticklabels()] == ["none", "0.01", "0.1", "1.6"]
    assert [text.get_text() for text in first.figure.legends[0].get_texts()] == ["curvature"]


def test_partners_are_divided_by_the_factor_in_the_right_column_only(table):
    network = measures.NetworkResults(table[table["network"] == "lenet-300-100"], "lenet-300-100")
    figure = results.partners(network, ("curvature", "jacobian"), 5.0, [measures.PGD, measures.DEEPFOOL])
    for axes, factor in zip(figure.axes, (1.0, 5.0) * 2, strict=True):
        assert line_of(axes, "curvature")[0] == pytest.approx(GRID)
        assert line_of(axes, "Jacobian")[0] == pytest.approx([weight / factor for weight in GRID])
    expected = [np.nanmean(cell(table, network.network, "jacobian", w, "pgd", "accuracy")) for w in GRID]
    assert line_of(figure.axes[1], "Jacobian")[1] == pytest.approx([100 * value for value in expected])


def test_a_reading_is_drawn_at_every_weight_and_without_a_penalty(table):
    def reading(network, setting):
        return network.interval(setting, measures.PGD)

    networks = list(measures.by_network(table))
    figure = results.against_weight(networks, ["curvature"], reading)
    assert [axes.get_title() for axes in figure.axes] == ["LeNet-300-100", "LeNet-5"]
    for axes, network in zip(figure.axes, networks, strict=True):
        x, y = line_of(axes, "curvature")
        assert list(x) == list(GRID)
        assert list(y) == [reading(network, ("curvature", weight)).mean for weight in GRID]
        assert set(line_of(axes, "no penalty")[1]) == {reading(network, ("none", 0.0)).mean}


def test_lines_differ_in_colour_dashes_and_marker():
    _, axes = plt.subplots()
    results.lines(axes, range(2), {"a": [1, 2], "b": [3, 4]})
    assert list(line_of(axes, "b")[1]) == [3, 4]
    for look in ("color", "linestyle", "marker"):
        assert len({plt.getp(line, look) for line in axes.lines}) == 2


def test_circles_have_the_lengths_and_mistakes_are_grey():
    point = torch.tensor([0.5, 0.2], dtype=torch.float64)
    lengths = {"Taylor radius": 0.7, "certificate": 0.1}
    pieces = polytopes.regions(
        torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), low=-1.0, high=1.0
    )
    # Mistakes are where x₁ < 0; x₁ and x₂ swapped would leave the lower half grey.
    figure = certificates.lengths_around(point, lengths, lambda x: x[:, 0], pieces, limit=1.0)
    (axes,) = figure.axes
    circles = {patch.get_label(): patch for patch in axes.patches if hasattr(patch, "get_radius")}
    assert {name: circle.get_radius() for name, circle in circles.items()} == lengths
    assert circles["certificate"].center == (0.5, 0.2)
    (shades,) = axes.collections
    grey, white = shades.get_paths()
    assert grey.contains_point((-0.5, 0.7)) and not grey.contains_point((0.5, -0.7))
    assert white.contains_point((0.5, -0.7))


def test_lengths_stand_in_the_order_given():
    lengths = {"margin $d$": torch.tensor([3.0, 1.0, 2.0]), "certificate": [0.3, 0.1, 0.2]}
    (axes,) = certificates.lengths_in_order(lengths, torch.tensor([1, 2, 0]), 28).axes
    assert list(line_of(axes, "margin $d$")[1]) == [1.0, 2.0, 3.0]
    assert list(line_of(axes, "certificate")[1]) == [0.1, 0.2, 0.3]
    assert set(line_of(axes, "box diameter")[1]) == {28}


def test_proved_lengths_stand_below_the_line_and_no_leader_crosses_a_word():
    lengths = {"edge": 0.01, "linear": 1.1, "certified": 1.9, "found": 1.91, "margin": 2.4, "radius": 20.0}
    _, axes = true_distance.on_one_line(torch.rand(28, 28), lengths).axes
    heights = {text.get_text(): text.xy for text in axes.texts}
    for name, look in {**true_distance.PROVED, **true_distance.OTHERS}.items():
        if name in lengths:
            length, height = heights[f"{look.label} {lengths[name]:.2g}"]
            assert length == lengths[name] and (height < 0) == (name in true_distance.PROVED)
    depths = [
        -heights[f"{true_distance.PROVED[name].label} {lengths[name]:.2g}"][1]
        for name in ("edge", "linear", "certified")
    ]
    assert depths == sorted(depths)  # words run to the left, away from the deeper leaders


def test_shares_are_of_the_nearest_mistake_in_its_order():
    table = pd.DataFrame({"found": [2.0, 1.0, 4.0], "linear": [1.0, 0.4, 1.0], "radius": [20.0, 10.0, 80.0]})
    (axes,) = true_distance.shares(table).axes
    assert list(line_of(axes, "linear")[1]) == [0.4, 0.5, 0.25]
    assert list(line_of(axes, "‖r*‖₂")[1]) == [10.0, 10.0, 20.0]
    assert "attacks" not in {line.get_label() for line in axes.lines}


def test_each_line_below_a_margin_has_its_own_look():
    inputs = torch.linspace(-1, 1, 5)
    lines = {"one": ((-1, 1), (0, 0.5)), "two": ((-1, 0, 1), (0.5, 0.4, 0.2))}
    (axes,) = true_distance.lines_below(inputs, inputs.abs() + 1, lines, (0.0, 1.0)).axes
    assert list(line_of(axes, "two")[1]) == [0.5, 0.4, 0.2]
    drawn = [line for line in axes.lines if line.get_label() in lines]
    for look in ("color", "linestyle", "marker"):
        assert len({plt.getp(line, look) for line in drawn}) == 2


def test_the_simplex_is_parted_by_what_the_loss_knows():
    (axes,) = certificates.simplex([0.4, 0.5, 0.1]).axes
    corners = np.array([[0, 0, 1], [1, 0, 1], [0.5, math.sqrt(0.75), 1]])
    p = np.random.default_rng(0).dirichlet([1, 1, 1], size=2000)
    places = p @ corners[:, :2]
    inside: dict[str, np.ndarray] = {}
    for area in axes.patches:
        within = area.get_path().contains_points(places, area.get_patch_transform())
        name = area.get_label().removeprefix("_")
        inside[name] = inside.get(name, 0) + within.astype(int)
    certified, correct, hidden, wrong = inside.values()
    right, low = p.argmax(axis=1) == 0, p[:, 0] > 1 / 3
    assert (certified == (p[:, 0] > 0.5)).all()
    assert (correct == (right & (p[:, 0] <= 0.5))).all()
    assert (hidden == (low & ~right)).all()
    assert (wrong == ~low).all()
    assert (sum(inside.values()) == 1).all()  # every probability lies in one area
    assert hidden.any() and correct.any()
    (star,) = axes.lines
    assert star.get_xydata()[0] == pytest.approx(np.array([0.4, 0.5, 0.1]) @ corners[:, :2])


def test_a_steps_time_stands_over_its_count_ours_filled_and_autograds_open():
    counted = {k: {"none": 1.0, "jacobian": 3.0 + k} for k in (2, 10)}
    sides = {"ours": {"none": 1.0, "jacobian": 2.0}, "autograd": {"none": 1.0, "jacobian": 9.0}}
    slower = dict.fromkeys(counted, sides)
    for axes, k in zip(step_cost.step_cost_figure(counted, slower).axes, counted, strict=True):
        *_, ours, theirs = axes.lines
        assert (ours.get_xdata()[0], ours.get_ydata()[0]) == (3.0 + k, 2.0)
        assert (theirs.get_xdata()[0], theirs.get_ydata()[0]) == (3.0 + k, 9.0)
        assert ours.get_markerfacecolor() == theme.LOOKS["jacobian"].colour
        assert theirs.get_markerfacecolor() == "none"
        assert axes.get_title() == f"{k} classes"
