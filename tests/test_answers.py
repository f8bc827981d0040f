"""A stored value judges answers as the value itself does: right is right, and nearly right is not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch

from regrob.notebook import STORED_ANSWERS, answer_as_text, answer_from_text, check_answer

p, c = sp.Symbol("p", positive=True), sp.Symbol("c")


@pytest.mark.parametrize(
    ("value", "right", "nearly"),
    [
        (0.1 + 0.2, 0.3, 0.30001),
        (7, 7, 8),
        (1e300, 1e300, 1.1e300),
        (-3.0, "-3", -3.001),
        ([0.5, 2.25], (0.5, 2.25), (0.5, 2.2501)),
        ((1, 22), [1, 22], [1, 22, 0]),
        ([[1.0, 2.0], [3.0, 4.0]], sp.Matrix([[1, 2], [3, 4]]), [1.0, 2.0, 3.0, 4.0]),
        (torch.tensor([[0.5], [0.25]]), [[0.5], [0.25]], [[0.5], [0.26]]),
        (torch.tensor(2.0, dtype=torch.float64, requires_grad=True), 2, 2.001),
        (np.float64(0.25), 0.25, 0.2501),
        (np.array([1, 2]), [1, 2], [1, 3]),
        ([torch.tensor(1.0), np.float32(0.5)], [1.0, 0.5], [0.5, 1.0]),
        (True, True, False),
        (np.bool_(False), "false", "true"),
        ("open", " Open ", "differs"),
        ("½ “quoted” \\", "½ “quoted” \\", "½ quoted"),
        (sp.Rational(1, 3), sp.Rational(1, 3), 0.3333),
        (2 * sp.sqrt(sp.log(2)), 1.6651092223153954, 1.66512),
        ([sp.Rational(1, 3), sp.pi], [1 / 3, sp.pi], [1 / 3, 3.14]),
        (p * (1 - p) * (1 - 2 * p), p - 3 * p**2 + 2 * p**3, p - 3 * p**2 + p**3),
        (sp.log(c) + p, p + sp.log(c), p + sp.log(2 * c)),
        (sp.Matrix([[p, 0], [1, c]]), sp.Matrix([[p, 0], [1, c]]), sp.Matrix([[p, 0], [1, -c]])),
    ],
    ids=str,
)
def test_a_stored_value_judges_as_the_value_does(
    value: object,
    right: object,
    nearly: object,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exercise() -> object:
        raise ModuleNotFoundError("a page has no torch")

    monkeypatch.setitem(STORED_ANSWERS, "exercise", answer_as_text(value))
    check_answer(right, exercise)
    check_answer(nearly, exercise)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "right"
    assert said[1].startswith("not yet: ")


def test_a_symbol_keeps_what_is_assumed_of_it() -> None:
    positive = answer_from_text(answer_as_text(p))
    assert positive == p
    assert positive != sp.Symbol("p")  # the tooth


def test_a_function_without_a_stored_value_is_called(capsys: pytest.CaptureFixture) -> None:
    check_answer(4, lambda: 4)
    check_answer(5, lambda: 4)
    assert capsys.readouterr().out == "right\nnot yet: 5 is too large\n"


@pytest.mark.parametrize("value", [{1, 2}, Fraction(1, 2), object(), [p]])
def test_what_cannot_be_stored_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        answer_as_text(value)
