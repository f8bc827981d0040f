"""Hypotheses of polynomial claims: each is needed, by numbers that the ledger checks and Z3 finds."""

from __future__ import annotations

import dataclasses
import importlib.util
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from regrob.claims import ledger, needed
from regrob.claims.claim import Claim, Verdict, judge
from regrob.claims.needed import Needed, Polynomial
from regrob.errors import InputError, ProofError

OF_CLAIMS = needed.of_claims()

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)


@pytest.mark.parametrize("claim", OF_CLAIMS)
def test_without_any_of_its_hypotheses_the_claim_is_false(claim: str) -> None:
    assert ledger.CLAIMS[claim].needed == OF_CLAIMS[claim]
    assert list(OF_CLAIMS[claim].faults()) == []
    assert OF_CLAIMS[claim].polynomial.needed, "nothing but superfluous hypotheses"


def test_the_ledger_tells_the_numbers() -> None:
    record = ledger.as_record(judge(ledger.CLAIMS["chain-binary"]))
    assert record["needed"] == {"p_y ≥ 1/2": {"p": "1/4", "nu": "1"}}
    assert ledger.as_record(judge(ledger.CLAIMS["eq-12"]))["needed"] == {}


SQUARE = Polynomial(
    "square",
    ("x", "y"),
    lambda s: [s.y == 2 * s.x],
    {"x > 0": lambda s: [s.x > 0], "x > −9": lambda s: [s.x > -9], "y < 9": lambda s: [s.y < 9]},
    lambda s: [s.x * s.x + s.x > 0, s.y < 9],
    superfluous={"x > −9": "a habit"},
)
"""x² + x > 0 and y = 2x < 9 for 0 < x < 9/2."""

KEPT = {"x > 0": {"x": -HALF, "y": -2 * HALF}, "y < 9": {"x": Fraction(5), "y": Fraction(10)}}


def test_right_numbers_pass() -> None:
    assert list(Needed(SQUARE, KEPT).faults()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x > 0": {"x": HALF, "y": 2 * HALF}}, "the statement holds at x = 1/2, y = 1"),
        ({"x > 0": {"x": -HALF, "y": HALF}}, "the setting does not hold at x = -1/2, y = 1/2"),
        ({"x > 0": {"x": Fraction(-9), "y": Fraction(-18)}}, "x > −9 does not hold"),
        ({"x > 0": {"x": Fraction(5), "y": Fraction(10)}}, "y < 9 does not hold"),
        ({"x > 0": {"x": -0.5, "y": -1.0}}, "x must be an exact fraction, got -0.5"),
        ({"x > 0": {"x": -HALF, "y": -1}}, "y must be an exact fraction, got -1"),
        ({"x > 0": {"x": -HALF}}, "the instance must give x, y, got x"),
        ({"x > −9": KEPT["x > 0"]}, "without 'x > −9', which is not needed"),
        ({"x > 1": KEPT["x > 0"]}, "without 'x > 1', which is not needed"),
    ],
)
def test_wrong_numbers_break_the_claim(change: dict[str, dict[str, Fraction]], message: str) -> None:
    claim = Claim(
        id="x", where="new", title="t", printed="1", chapter="book/x", needed=Needed(SQUARE, KEPT | change)
    )
    result = judge(claim)
    assert result.verdict is Verdict.BROKEN
    (failure,) = result.failures
    assert failure.startswith("hypotheses: ")
    assert message in failure


def test_missing_numbers_break_the_claim() -> None:
    (fault,) = Needed(SQUARE, {"x > 0": KEPT["x > 0"]}).faults()
    assert fault == "nothing is stored that refutes the statement without 'y < 9'"


def test_what_is_superfluous_must_be_a_hypothesis() -> None:
    with pytest.raises(InputError, match="no hypothesis 'x > 1' to be superfluous"):
        dataclasses.replace(SQUARE, superfluous={"x > 1": "why"})


# --- Z3 ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    pytest.importorskip("z3")
    path = Path(__file__).parent.parent / "book" / "_tools" / "hypotheses.py"
    spec = importlib.util.spec_from_file_location("hypotheses_tool", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("claim", OF_CLAIMS)
def test_z3_proves_the_claim_and_agrees_on_what_it_needs(tool: ModuleType, claim: str) -> None:
    polynomial, instances = OF_CLAIMS[claim]
    assert tool.examine(polynomial, instances) == instances


def test_z3_finds_numbers_where_none_or_wrong_ones_are_stored(tool: ModuleType) -> None:
    for stored in ({}, {"x > 0": {"x": HALF, "y": 2 * HALF}}):
        found = tool.examine(SQUARE, stored)
        assert set(found) == {"x > 0", "y < 9"}
        assert list(Needed(SQUARE, found).faults()) == []
    assert tool.examine(SQUARE, KEPT) == KEPT, "what refutes already stays"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"superfluous": {}}, "square: 'x > −9' is superfluous"),
        ({"superfluous": {"x > −9": "a habit", "x > 0": "w"}}, "square: 'x > 0' is needed, as at x = "),
        ({"statement": lambda s: [s.x > 1]}, "square does not follow from all hypotheses: x = "),
        (
            {"setting": lambda s: [s.y * s.y == 2], "statement": lambda s: [s.y > 2]},
            "y is no fraction",  # √2 is all that there is
        ),
    ],
)
def test_what_z3_contradicts_is_refused(tool: ModuleType, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ProofError) as error:
        tool.examine(dataclasses.replace(SQUARE, **fields), {})
    assert message in str(error.value)


def test_the_tool_writes_what_the_ledger_reads(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "needed.json"
    monkeypatch.setattr(tool, "TARGET", target)
    assert tool.main() == 0
    assert target.read_bytes() == Path(needed.__file__).with_name("needed.json").read_bytes()
    assert "✓ chain-binary is false without p_y ≥ 1/2: p = 1/4, nu = 1" in capsys.readouterr().out
