"""Sentences and tables on proofs say what their tables hold, on either side of each decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_proved_tables import PENALTIES, SETTINGS, digit, save, usual_rows

from regrob.analysis import proved, proved_words, provenance
from regrob.analysis.measures import UNPENALISED
from regrob.analysis.proved import Proved
from regrob.analysis.words import FAILED, HELD, UNDECIDED


def read(folder: Path, rows: list[dict[str, Any]]) -> Proved:
    save(folder, 0, rows)
    return proved.read(folder)["net"]


@pytest.fixture
def usual(tmp_path: Path) -> Proved:
    return read(tmp_path, usual_rows(0))


def test_rankings_and_who_puts_whom_first(usual: Proved) -> None:
    facts = proved_words.lead_facts(usual, PENALTIES)
    assert facts["by-certified"] == "1.80 curvature, λ = 0.4; 1.40 Jacobian, λ = 0.4"
    # All linear bounds are equal, and the first penalty counts.
    assert facts["takeaway"] == (
        "On net attacks and proofs put the curvature penalty first "
        "and linear bounds put the Jacobian penalty first."
    )


def test_networks_that_are_lost_are_named(tmp_path: Path) -> None:
    assert proved_words.collapsed_words(read(tmp_path, usual_rows(0)).results) == ""
    lost = [
        row | {"certified": 0.0} if row["label"] and row["lambda"] == 0.4 else row for row in usual_rows(0)
    ]
    assert proved_words.collapsed_words(read(tmp_path, lost).results) == (
        "Two networks diverged, or collapsed to one and the same label for every digit (one seed of the "
        "curvature penalty at λ = 0.4 and one seed of the Jacobian penalty at λ = 0.4); no λ counts at "
        "which that happened."
    )


def test_the_hardest_network_has_the_most_parts(tmp_path: Path) -> None:
    rows = [
        row | {"nodes": 40 if (row["penalty"], row["lambda"]) == ("jacobian", 0.1) else 3}
        for row in usual_rows(0)
    ]
    assert proved_words.hardest(read(tmp_path, rows), PENALTIES) == {
        "none": "3.0",
        "most": "40.0",
        "setting": "the Jacobian penalty at λ = 0.1",
    }


def test_duel_and_linear_words_count(tmp_path: Path) -> None:
    one, two = ("jacobian", 0.4), ("curvature", 0.4)
    stored = read(tmp_path, usual_rows(0))
    assert proved_words.duel_words(stored, two, one) == (
        "of six digits, the curvature penalty at λ = 0.4 is proved to have the farther mistake on six and "
        "the Jacobian penalty at λ = 0.4 on none; on none neither is proved"
    )
    said = proved_words.linear_words(stored, [UNPENALISED, two])
    assert said == (
        "55 % of what is found after no penalty and "
        "30 % of what is found after the curvature penalty at λ = 0.4"
    )


def test_closeness_is_the_median_share_of_digits_that_are_right(tmp_path: Path) -> None:
    ends = [(1.0, 1.0), (1.0, 2.0), (3.0, 4.0), (0.0, 0.0)]
    rows = [digit(UNPENALISED, 0, i, certified=c, found=f) for i, (c, f) in enumerate(ends)]
    said = proved_words.closeness_words(read(tmp_path, rows), [UNPENALISED])
    assert said == "75 % of what is found after no penalty"


def test_reasons_are_told_by_their_side(tmp_path: Path) -> None:
    changes = {"jacobian": {"slope": 0.6, "unstable": 14}, "curvature": {"slope": 1.5, "unstable": 7}}
    rows = [row | changes.get(row["penalty"], {}) for row in usual_rows(0)]
    said = proved_words.reason_sentence(read(tmp_path, rows), PENALTIES)
    assert "by 0.50 with the curvature penalty and 0.20 with the Jacobian penalty" in said
    assert (
        "as many with the curvature penalty (times 1.00) and more with the Jacobian penalty (times 2.00)"
        in said
    )
    assert "fewer" not in said


def test_reasons_name_who_takes_away_most(tmp_path: Path) -> None:
    changes = {"jacobian": {"slope": 0.6, "unstable": 6}, "curvature": {"slope": 1.5, "unstable": 2}}
    rows = [row | changes.get(row["penalty"], {}) for row in usual_rows(0)]
    found = proved_words.reasons(read(tmp_path, rows), PENALTIES)
    assert found["slope"] == "the Jacobian penalty at λ = 0.4"
    assert found["units"] == "the curvature penalty at λ = 0.4"
    assert (found["slope-times"], found["units-times"]) == ("0.20", "0.29")
    assert (found["none-share"], found["units-share"], found["slope-share"]) == ("55", "30", "39")


def test_attacks_are_believed_or_not(tmp_path: Path) -> None:
    close = {"certified": 1.195, "found": 1.2}
    rows = [digit(UNPENALISED, 0, image, attacked=1.201, **close) for image in range(20)]
    facts = proved_words.attack_facts([read(tmp_path, rows)])
    assert facts["sentence"].startswith("So they were to be believed")
    assert (facts["settled"], facts["long"]) == ("20", "no digits, 0.0 %")
    rows[:2] = [row | {"attacked": 1.8} for row in rows[:2]]
    facts = proved_words.attack_facts([read(tmp_path, rows)])
    assert facts["sentence"].startswith("That is too often to overlook")
    assert (facts["long"], facts["worst"]) == ("two digits, 10.0 %", "1.50")


def test_tables_have_a_row_a_setting(usual: Proved) -> None:
    best = proved_words.overview([usual], PENALTIES)
    assert best["trained with"].tolist() == ["no penalty", "curvature, λ = 0.4", "Jacobian, λ = 0.4"]
    assert best["certified"].tolist() == ["1.00", "1.80", "1.40"]
    explained = proved_words.explanation_table([usual], PENALTIES)
    assert explained["certified"].tolist() == ["1.80", "1.40"]
    assert proved_words.takeaways([usual, usual], PENALTIES).count("On net attacks") == 2
    assert proved_words.takeaways([usual], (*PENALTIES, "input-gradient")) == ""
    said = proved_words.best_by_price(usual.results, PENALTIES)
    assert said.startswith(
        "without giving up accuracy the curvature penalty at λ = 0.4 (1.80), for at most 0.2"
    )
    equal = proved_words.at_equal_accuracy(usual.results, PENALTIES, [])
    assert len(equal) == len(PENALTIES) * len(proved_words.PRICES)
    assert equal["certified"].tolist()[:2] == ["1.40, λ = 0.4", "1.80, λ = 0.4"]


def test_marks_on_both_sides(tmp_path: Path) -> None:
    def marks(**changes: Any) -> dict[str, str]:
        """Four seeds of the usual rows; of settings with a penalty some values are others."""
        for seed in range(4):
            rows = [row | (changes if row["lambda"] else {}) for row in usual_rows(seed)]
            more = [row | {"penalty": "input-gradient"} for row in rows if row["penalty"] == "jacobian"]
            save(tmp_path, seed, rows + more)
        stored = proved.read(tmp_path)["net"]
        return proved_words.marks(stored, (*PENALTIES, "input-gradient"), [stored])

    usual = marks()
    assert usual["buys"] == HELD  # 1.4 and 1.8 are above 1.1
    assert usual["truth"] == HELD
    assert usual["linear"] == UNDECIDED  # all are equal
    assert usual["jacobian"] == FAILED
    assert usual["both"] == UNDECIDED
    assert usual["attacks"] == FAILED
    assert marks(found=9.0)["truth"] == UNDECIDED
    assert marks(certified=0.9, found=0.95)["buys"] == UNDECIDED  # the best λ is none
    assert marks(unstable=3)["both"] == HELD
    assert marks(unstable=30)["both"] == FAILED


def test_a_single_seed_marks_no_penalty(usual: Proved) -> None:
    marked = proved_words.marks(usual, PENALTIES, [usual])
    assert {marked[name] for name in ("buys", "truth", "linear", "jacobian", "both")} == {UNDECIDED}


def test_the_origin_counts_seeds_and_digits(tmp_path: Path) -> None:
    stored = read(tmp_path, usual_rows(0))
    stored.sidecars[0]["settings"] |= {"seconds": 2.0, "reference": 5000, "fine_tuning": 5000}
    stored.sidecars[0]["made_by"] = [{"device": "x86_64 CPU", "date": "2026-11-28", "commit": "abc"}]
    facts = proved_words.origin([stored])
    assert facts["networks"] == "Of net one seed, with six digits of each network"
    assert facts["budgets"] == "2 s a digit of net"
    assert facts["devices"] == "an x86-64 processor"
    assert len(SETTINGS) == 5


def test_provenance_has_a_row_for_each_maker(tmp_path: Path) -> None:
    stored = read(tmp_path, usual_rows(0))
    sidecar = stored.sidecars[0]
    sidecar["made_by"] = [{"commit": "abc"}, {"commit": "def"}]
    for place, item in enumerate(sidecar["items"].values()):
        item |= {"made_by": int(place == 0), "seconds": 1.5}
    first, second = sorted(provenance.proofs([stored]), key=lambda row: str(row["commit"]))
    assert first == {
        "file": "proved/net",
        "what": "24 distances, of one seed",
        "seconds": 6.0,
        "commit": "abc",
    }
    assert (second["what"], second["seconds"]) == ("six distances, of one seed", 1.5)
