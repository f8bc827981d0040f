"""The code of a claim's proof, as a reader opens it: it runs, and a changed one fails."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("myst_nb")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from regrob_book import proof_code  # noqa: E402

from regrob.claims import ledger  # noqa: E402
from regrob.errors import ProofError  # noqa: E402

CLAIMS = {claim.id: claim for claim in ledger.CLAIMS.values() if proof_code.has(claim)}


def run(before: str, code: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for step in (before, code):
        exec(compile(step, "a page", "exec"), names)


@pytest.mark.parametrize("name", CLAIMS)
def test_the_code_of_each_proof_runs(name: str) -> None:
    run(**proof_code.of(CLAIMS[name]))


@pytest.mark.parametrize("name", CLAIMS)
def test_no_function_of_a_proof_hides_another_of_its_name(name: str) -> None:
    defined = re.findall(r"^def (\w+)", proof_code.of(CLAIMS[name])["code"], re.MULTILINE)
    assert len(defined) == len(set(defined))


def test_a_changed_proof_fails() -> None:
    written = proof_code.of(CLAIMS["prop-3.1"])
    changed = written["code"].replace("q * nu * rho +", "q * nu * rho -")
    assert changed != written["code"]
    with pytest.raises(ProofError, match="quadratic model"):
        run(written["before"], changed)


def test_a_changed_counterexample_is_none() -> None:
    written = proof_code.of(CLAIMS["eq-8"])
    changed = written["code"].replace("        model,\n", "        xi,\n")
    assert changed != written["code"]
    with pytest.raises(AssertionError):
        run(written["before"], changed)


def test_a_proof_comes_with_the_functions_that_it_calls() -> None:
    code = proof_code.of(CLAIMS["prop-3.1"])["code"]
    order = [code.index(f"def {name}(") for name in ("prove_cauchy_schwarz", "prove_roots", "prove_radius")]
    assert order == sorted(order) and code.endswith("\n\nprove_radius()")
    assert "prove_zero(" in code and "def prove_zero(" not in code  # of another file: at hand, not shown
