"""Glued numbers and self-checks: what they show, and what they refuse."""

from __future__ import annotations

import pytest
import sympy as sp
import torch

from regrob.errors import InputError
from regrob.notebook import check_answer, glue, glue_all


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict, dict]]:
    shown: list[tuple[dict, dict]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: shown.append((data, metadata)))
    return shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("n", "0.485"), "'0.485'"),
        (("n", 7), "7"),
        (("n", 0.48531, ".3f"), "'0.485'"),
        (("n", torch.tensor(2.0), ".1f"), "'2.0'"),
    ],
)
def test_glue(displayed: list, arguments: tuple, text: str) -> None:
    glue(*arguments)
    [(data, metadata)] = displayed
    assert data == {"application/papermill.record/text/plain": text}
    assert metadata["scrapbook"] == {"name": "n", "mime_prefix": "application/papermill.record/"}


def test_glue_all_prefixes_every_name(displayed: list) -> None:
    glue_all({"a": 1.0, "b": 2.0}, "f4-", ".1f")
    assert [metadata["scrapbook"]["name"] for _, metadata in displayed] == ["f4-a", "f4-b"]
    assert [data["application/papermill.record/text/plain"] for data, _ in displayed] == ["'1.0'", "'2.0'"]


def test_glue_is_read_by_the_book(displayed: list) -> None:
    nbformat = pytest.importorskip("nbformat")
    reader = pytest.importorskip("myst_nb.ext.glue")
    glue("share", 0.25, ".0%")
    [(data, metadata)] = displayed
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell(outputs=[output])
    [(name, found)] = reader.extract_glue_data_cell(cell)
    assert name == "share"
    assert found["data"] == {"text/plain": "'25%'"}
    assert cell.outputs == []


def test_glue_refuses_a_bare_float_and_a_bad_name(displayed: list) -> None:
    with pytest.raises(InputError, match=r"say how 0\.1 reads"):
        glue("n", 0.1)
    with pytest.raises(InputError, match="letters, digits"):
        glue("a name", "1")
    assert displayed == []


x, y = sp.symbols("x y")


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (None, lambda: 1 / 0, "not answered yet"),
        (2, 2, "right"),
        (2.0000001, lambda: 2, "right"),
        (1.9, 2, "not yet: 1.9 is too small"),
        (2e6 + 1, 2e6, "right"),
        (float("nan"), 2, "not yet: nan is too large"),
        ("two", 2, "not yet: 'two' is not a number, or not an array of numbers"),
        ([1, 2], 2, r"not yet: the shape should be (), yours is (2,)"),
        (torch.tensor([1.0, 2.0]), [1, 2], "right"),
        ([1, 3], torch.tensor([1.0, 2.0]), "not yet: 1 of 2 numbers are off"),
        (sp.Rational(1, 3), sp.Rational(1, 3), "right"),
        (0.25, sp.Rational(1, 3), "not yet: 0.25 is too small"),
        ((x + 1) ** 2, x**2 + 2 * x + 1, "right"),
        (x, x * y, "not yet: x is another expression; it should depend on y"),
        ("(", x, "not yet: '(' is no SymPy expression of the kind asked for"),
        (sp.Matrix([x]), sp.Matrix([x]), "right"),
        (x, sp.Matrix([x]), "not yet: x is no SymPy expression of the kind asked for"),
        (" Fails ", "fails", "right"),
        (True, True, "right"),
        (False, True, "not yet: False is not it"),
    ],
)
def test_check_answer(answer: object, expected: object, said: str, capsys: pytest.CaptureFixture) -> None:
    assert check_answer(answer, expected) is None
    assert capsys.readouterr().out == said + "\n"


def test_the_value_of_an_exercise_is_stored_while_the_book_is_built(
    displayed: list, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half() -> torch.Tensor:
        return torch.tensor([0.5, 1.5])

    monkeypatch.delenv("REGROB_STATIC", raising=False)
    check_answer(None, half)
    assert displayed == []  # a stored notebook does not hold it
    monkeypatch.setenv("REGROB_STATIC", "1")
    check_answer(None, half)
    check_answer([0.5, 1.5], half)  # of a solution nothing is stored
    check_answer(None, 0.5)
    [(data, metadata)] = displayed
    assert data == {"application/papermill.record/text/plain": "'[0.5, 1.5]'"}
    assert metadata["scrapbook"]["name"] == "answer-half"
    assert capsys.readouterr().out.splitlines() == ["not answered yet"] * 2 + ["right", "not answered yet"]


def test_an_exercise_that_cannot_be_computed_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGROB_STATIC", "1")
    with pytest.raises(ZeroDivisionError):
        check_answer(None, lambda: 1 / 0)
