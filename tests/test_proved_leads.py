"""Comparisons of proved distances over seeds hold wherever the truth lies, and say so in words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_proved_tables import digit, save

from regrob.analysis import proved, proved_theory, proved_words
from regrob.analysis.measures import UNPENALISED, NetworkResults
from regrob.analysis.proved import Proved
from regrob.analysis.proved_leads import BY_LINEAR, BY_TRUTH, between, leads

SEEDS = 5
TRUTH = {UNPENALISED: 1.0, ("jacobian", 0.1): 2.0, ("jacobian", 0.4): 3.0, ("curvature", 0.1): 2.5}


def stored(folder: Path, slack: float) -> Proved:
    """True medians as in `TRUTH`, a little different from seed to seed; found is so much beyond certified."""
    noise = np.random.default_rng(0).normal(scale=0.02, size=(SEEDS, len(TRUTH)))
    for seed in range(SEEDS):
        rows = []
        for (setting, truth), off in zip(TRUTH.items(), noise[seed], strict=True):
            size = truth + off
            linear = 2.45 if setting[0] == "curvature" else 0.8 * size
            lengths = {"certified": size, "found": size + slack, "attacked": size + slack, "linear": linear}
            rows += [
                digit(setting, seed, image, margin=2 * size, radius=9.0, **lengths) for image in range(4)
            ]
        save(folder, seed, rows)
    return proved.read(folder)["net"]


def test_between_holds_every_difference_that_the_ends_allow() -> None:
    generator = np.random.default_rng(1)
    for _ in range(200):
        low = generator.uniform(1, 3, size=(2, 6))
        high = low + generator.uniform(0, 0.5, size=(2, 6))
        truth = generator.uniform(low, high)
        whole = between((low[0], high[0]), (low[1], high[1]))
        least, most = low[0] - high[1], high[0] - low[1]
        assert (least <= truth[0] - truth[1]).all()
        assert (truth[0] - truth[1] <= most).all()
        assert whole.low <= (truth[0] - truth[1]).mean() <= whole.high
        # The tooth: an interval of the middles alone is shorter on either side.
        middles = between(((low + high)[0] / 2,) * 2, ((low + high)[1] / 2,) * 2)
        assert whole.low <= least.mean() < most.mean() <= whole.high
        assert middles.low > whole.low or middles.high < whole.high


def test_a_lead_counts_only_where_the_proofs_reach(tmp_path: Path) -> None:
    def verdicts(results: NetworkResults) -> dict[str, str]:
        found = leads(results, "jacobian", ["curvature"], [BY_LINEAR, BY_TRUTH])
        return {lead.ranking.words: lead.difference.verdict for lead in found}

    assert verdicts(stored(tmp_path, 0.01).results) == {BY_LINEAR.words: "lower", BY_TRUTH.words: "higher"}
    assert verdicts(stored(tmp_path, 0.9).results)[BY_TRUTH.words] == "undecided"


def test_a_price_leaves_out_what_costs_more(tmp_path: Path) -> None:
    results = stored(tmp_path, 0.01).results
    table = results.table.copy()
    costly = (table["penalty"] == "jacobian") & (table["lambda"] == 0.4) & (table["metric"] == "accuracy")
    table.loc[costly & (table["attack"] == "none"), "value"] = 0.95
    dear = NetworkResults(table, results.network)
    gaps = {
        lead.price: lead.difference
        for lead in leads(dear, "jacobian", ["curvature"], [BY_TRUTH], [0.01, math.inf])
    }
    assert gaps[0.01].mean == pytest.approx(-0.5, abs=0.05)
    assert gaps[math.inf].mean == pytest.approx(0.5, abs=0.05)
    (bought,) = leads(results, "curvature", ["none"], [BY_TRUTH])
    assert bought.difference.mean == pytest.approx(1.5, abs=0.05)


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    save(tmp_path, 0, [digit(setting, 0, image) for setting in TRUTH for image in range(4)])
    results = proved.read(tmp_path)["net"].results
    compared = leads(results, "jacobian", ["curvature"])
    assert all(math.isnan(lead.difference.mean) for lead in compared)
    assert "With one seed" in proved_words.finding(compared, "jacobian", results.seeds)
    assert proved_words.lead_table(compared).empty
    assert proved_words.standing_by_price(compared, "jacobian", results.seeds) == ""


def test_words_follow_the_verdicts(tmp_path: Path) -> None:
    results = stored(tmp_path, 0.01).results
    compared = leads(results, "jacobian", ["curvature", "none"], [BY_LINEAR, BY_TRUTH])
    assert proved_words.finding(compared, "jacobian", SEEDS) == (
        "Over five seeds the Jacobian penalty is by linear bounds alone ahead of no penalty, and behind the "
        "curvature penalty; in truth ahead of the curvature penalty and no penalty."
    )
    assert proved_words.settled(compared, BY_LINEAR, ["curvature"]) == "refuted"
    assert proved_words.settled(compared, BY_TRUTH, ["curvature"]) == "confirmed"
    unclear = leads(stored(tmp_path, 0.9).results, "jacobian", ["curvature", "none"], [BY_TRUTH])
    assert proved_words.settled(unclear, BY_TRUTH, ["curvature"]) == "open"
    table: pd.DataFrame = proved_words.lead_table(compared)
    assert table["in truth"].str.endswith("ahead").all()
    assert table["by linear bounds alone"].tolist()[0].endswith("behind")
    (ahead,) = leads(results, "jacobian", ["curvature"], [BY_TRUTH])
    (reverse,) = leads(results, "curvature", ["jacobian"], [BY_TRUTH])
    behind = [reverse._replace(price=price, rival="curvature") for price in (0.002, 0.01)]
    assert proved_words.standing_by_price([*behind, ahead], "jacobian", SEEDS) == (
        "Seed by seed, the Jacobian penalty is for at most 0.2 and 1 points behind the curvature penalty; "
        "at any price ahead of the curvature penalty."
    )
    by_price = leads(results, "jacobian", ["curvature"], [BY_TRUTH], [0.0, 0.005, math.inf])
    assert proved_words.standing_by_price(by_price, "jacobian", SEEDS) == (
        "Seed by seed, the Jacobian penalty is without giving up accuracy, for at most 0.5 points and at any "
        "price ahead of the curvature penalty."
    )


def test_theory_is_set_beside_the_truth(tmp_path: Path) -> None:
    proofs = stored(tmp_path, 0.005)
    known = proved_theory.agreement(proofs, ("jacobian", 0.4), "margin")
    assert known.ratio.mean == pytest.approx(2.0, abs=0.02)
    assert known.ratio.count == SEEDS
    radius = proved_theory.agreement(proofs, ("jacobian", 0.4), "radius")
    assert radius.ratio.mean == pytest.approx(3.0, abs=0.05)
    shown = proved_theory.table(proofs, [UNPENALISED, ("jacobian", 0.4)])
    assert shown["settled digits"].tolist() == [str(4 * SEEDS)] * 2
    assert shown["d / ρ"].str.startswith(("1.9", "2.0")).all()
