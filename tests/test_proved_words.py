"""Sentences and tables on proofs say what their tables hold, on either side of each decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_proved_tables import PENALTIES, SETTINGS, digit, save, usual_rows

from regrob.analysis import proved, proved_words
from regrob.analysis.measures import UNPENALISED
from regrob.analysis.proved import Proved
from regrob.analysis.words import FAILED, HELD, UNDECIDED


def read(folder: Path, rows: list[dict[str, Any]]) -> Proved:
    save(folder, 0, rows)
    return proved.read(folder)["net"]


@pytest.fixture
def usual(tmp_path: Path) -> Proved:
    return read(tmp_path, usual_rows(0))


def test_a_proved_lead_and_its_side(usual: Proved) -> None:
    facts = proved_words.lead_facts(usual, PENALTIES)
    assert facts["by-certified"] == (
        "the curvature penalty at λ = 0.4 (1.80) and the Jacobian penalty at λ = 0.4 (1.40)"
    )
    assert facts["verdict"].startswith("The curvature penalty is proved to be ahead")
    assert "both put" not in facts["verdict"]  # all linear bounds are equal, and the first one counts
    assert "the truth sides with attacks." in facts["verdict"]


def test_an_open_lead_names_those_that_may_be_ahead(tmp_path: Path) -> None:
    rows = [row | {"found": 9.0} if row["penalty"] == "jacobian" else row for row in usual_rows(0)]
    facts = proved_words.lead_facts(read(tmp_path, rows), PENALTIES)
    assert "open between the Jacobian penalty and the curvature penalty" in facts["verdict"]


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
    assert proved_words.takeaways([usual, usual], PENALTIES).count("On net attacks rank") == 2
    theory = proved_words.theory_table(usual, PENALTIES)
    assert len(theory) == 3
    said = proved_words.best_by_price(usual.results, PENALTIES)
    assert said.startswith("for at most 0 points the curvature penalty at λ = 0.4 (1.80), for at most 0.2")
    equal = proved_words.at_equal_accuracy(usual.results, PENALTIES)
    assert len(equal) == len(PENALTIES) * len(proved_words.PRICES)
    assert equal["certified"].tolist()[:2] == ["1.40, λ = 0.4", "1.80, λ = 0.4"]


def test_marks_on_both_sides(tmp_path: Path, usual: Proved) -> None:
    marks = proved_words.marks(usual, PENALTIES, [usual])
    assert marks["buys"] == HELD  # 1.4 and 1.8 are above 1.1
    assert marks["truth"] == HELD
    assert marks["jacobian"] == FAILED
    assert marks["both"] == FAILED
    rows = [row | {"found": 9.0, "unstable": 3} if row["lambda"] else row for row in usual_rows(0)]
    other = proved_words.marks(read(tmp_path, rows), PENALTIES, [usual])
    assert (other["truth"], other["both"]) == (UNDECIDED, HELD)
    low = [row | {"certified": 0.9} for row in usual_rows(0)]
    assert proved_words.marks(read(tmp_path, low), PENALTIES, [usual])["buys"] == FAILED


def test_the_origin_counts_seeds_and_digits(tmp_path: Path) -> None:
    stored = read(tmp_path, usual_rows(0))
    stored.sidecars[0]["settings"] |= {"seconds": 2.0, "reference": 5000, "fine_tuning": 5000}
    stored.sidecars[0]["made_by"] = [{"device": "x86_64 CPU", "date": "2026-11-28", "commit": "abc"}]
    facts = proved_words.origin([stored])
    assert facts["networks"] == "Of net one seed, with six digits of each network"
    assert facts["budgets"] == "2 s a digit of net"
    assert facts["devices"] == "an x86-64 processor"
    assert len(SETTINGS) == 5
