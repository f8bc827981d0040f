"""Have Z3 look for numbers that refute a claim without one of its hypotheses, and store them.

For each claim in polynomials (`regrob.claims.needed`) and each of its hypotheses: either there are numbers
at which all holds but this hypothesis and the statement, and `needed.json` keeps them, or Z3 proves that
there are none. Then the hypothesis is superfluous: it goes, or the claim says why it stays. That the
statement follows from all hypotheses is put to Z3 as well. The ledger needs no Z3 to check what is stored.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import z3

from regrob.claims import needed
from regrob.claims.needed import Assignment, Polynomial, Relations
from regrob.errors import ProofError

TARGET = Path(needed.__file__).with_name("needed.json")

MILLISECONDS = 20_000
"""For one question."""


def ask(polynomial: Polynomial, assumed: Iterable[Relations]) -> dict[str, Fraction] | None:
    """Numbers at which all that is assumed holds and the statement does not; None if there are none.

    Raises:
        ProofError: Z3 does not know, or knows none but irrational numbers.
    """
    symbols = SimpleNamespace(**{name: z3.Real(name) for name in polynomial.symbols})
    solver = z3.Solver()
    solver.set("timeout", MILLISECONDS)
    for relations in (polynomial.setting, *assumed):
        solver.add(*relations(symbols))
    solver.add(z3.Not(z3.And(*polynomial.statement(symbols))))
    answer = solver.check()
    if answer == z3.unsat:
        return None
    if answer != z3.sat:
        raise ProofError(f"{polynomial.claim}: Z3 does not know: {solver.reason_unknown()}")
    model = solver.model()
    return {name: _fraction(model.eval(getattr(symbols, name), True), name) for name in polynomial.symbols}


def _fraction(number: Any, name: str) -> Fraction:
    if not z3.is_rational_value(number):
        raise ProofError(f"{name} is no fraction: {number}")
    return Fraction(number.numerator_as_long(), number.denominator_as_long())


def examine(polynomial: Polynomial, kept: Mapping[str, Assignment]) -> dict[str, Assignment]:
    """Instances without each needed hypothesis; those of `kept` that still refute stay as they are.

    Raises:
        ProofError: the statement does not follow from all hypotheses, a hypothesis said to be superfluous is
            needed, or the other way round.
    """
    hypotheses = polynomial.hypotheses
    if wrong := ask(polynomial, hypotheses.values()):
        raise ProofError(f"{polynomial.claim} does not follow from all hypotheses: {needed.in_words(wrong)}")
    instances: dict[str, Assignment] = {}
    for dropped in hypotheses:
        others = [relations for words, relations in hypotheses.items() if words != dropped]
        found: Assignment | None = ask(polynomial, others)
        if (found is None) != (dropped in polynomial.superfluous):
            verdict = "is superfluous" if found is None else f"is needed, as at {needed.in_words(found)}"
            raise ProofError(f"{polynomial.claim}: {dropped!r} {verdict}")
        if found is None:
            continue
        try:
            polynomial.refute_without(dropped, kept.get(dropped, {}))
            found = kept[dropped]
        except ProofError:
            polynomial.refute_without(dropped, found)
        instances[dropped] = found
    return instances


def main() -> int:
    """Examine every claim, write what was found, and say so; 1 if Z3 leaves a question open."""
    instances: dict[str, dict[str, dict[str, str]]] = {}
    open_questions = 0
    for claim, (polynomial, kept) in needed.of_claims().items():
        try:
            found = examine(polynomial, kept)
        except ProofError as error:
            print(f"✗ {error}")
            open_questions += 1
            found = dict(kept)
        instances[claim] = {}
        for words, instance in found.items():
            instances[claim][words] = {name: str(number) for name, number in instance.items()}
            print(f"✓ {claim} is false without {words}: {needed.in_words(instance)}")
        for words, why in polynomial.superfluous.items():
            print(f"✓ {claim} follows without {words}; it stays, as {why}")
    TARGET.write_text(json.dumps(instances, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 1 if open_questions else 0


if __name__ == "__main__":
    sys.exit(main())
