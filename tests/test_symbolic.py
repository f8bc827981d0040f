"""The side of the ledger that needs no torch, where torch, numpy, pandas and matplotlib are missing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from regrob.claims import ledger
from regrob.claims.claim import Claim, Evidence, judge
from regrob.claims.enclosed import CHECKS

REFUSED = ("torch", "numpy", "pandas", "matplotlib")

WITHOUT = f"""
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED}:
            raise ModuleNotFoundError(f"{{name}} is refused", name=name)

sys.meta_path.insert(0, Refusal())
"""
"""The start of a program in which those cannot be imported."""


def without(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def verify_without(*arguments: str) -> subprocess.CompletedProcess[str]:
    return without("from regrob import cli; sys.exit(cli.main(sys.argv[1:]))", "verify", *arguments)


@pytest.mark.slow
def test_the_whole_symbolic_ledger_runs_and_agrees_with_a_run_beside_torch() -> None:
    outcome = verify_without("--symbolic", "--json")
    assert outcome.returncode == 0, outcome.stderr
    records = {record["id"]: record for record in json.loads(outcome.stdout)}
    assert list(records) == [name for name, claim in ledger.CLAIMS.items() if not claim.needs_torch]
    assert set(ledger.CLAIMS) - set(records) == set(ledger.needing_torch()) == {"remark-lenet-layers"}
    for result in ledger.verify(symbolic=True):
        record = records[result.claim.id]
        assert record == ledger.as_record(result) | {"seconds": record["seconds"]}
        assert record["verdict"] == result.claim.expected, "which is the verdict with numbers too"
        assert record["trials"] == 0
        assert Evidence.NUMERIC not in record["evidence"]
        assert record["evidence"] or record["counterexample"]
        assert (record["enclosed"] is None) == (Evidence.ENCLOSED not in record["evidence"])
    assert sum(record["enclosed"] is not None for record in records.values()) == len(CHECKS) > 30


def test_what_is_left_out_is_said() -> None:
    outcome = verify_without("--symbolic", "--only", "eq-5", "chain-binary")
    assert outcome.returncode == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("✓ eq-5          holds")
    assert "general derivation, any n and K; interval arithmetic" in lines[0]
    assert "interval arithmetic" in lines[1]
    assert "numeric" not in lines[0]
    assert "2 claims judged (holds: 1, partly: 1); every verdict as expected" in lines[-2]
    assert lines[-1].startswith("Left out: every check in float64")
    assert all(name in lines[-1] for name in ledger.needing_torch())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "remark-lenet-layers"), "'remark-lenet-layers' is judged by checks in float64 alone"),
        (("--only", "eq-999"), "no claim is called 'eq-999'"),
        (("--network", "a:b"), "--symbolic leaves out"),
    ],
)
def test_what_is_not_symbolic_is_refused(arguments: tuple[str, ...], message: str) -> None:
    outcome = verify_without("--symbolic", *arguments)
    assert outcome.returncode == 2
    assert message in outcome.stderr


def test_without_torch_there_are_no_numbers() -> None:
    outcome = verify_without("--only", "eq-5")
    assert outcome.returncode != 0
    assert "torch is refused" in outcome.stderr


FRONT_DOORS = """
import importlib, pkgutil
import regrob
from regrob import notebook, symbols
from regrob.claims import CLAIMS, Claim, enclosed, judge, statements, verdicts, verify
from regrob.notebook import bar, check_answer, glue, glue_all
from regrob.symbols import cross_entropy, differentiate, prove_equal, prove_sign, prove_zero, sum_over

assert set(regrob.__all__) <= set(dir(regrob))
for page in pkgutil.iter_modules(statements.__path__):
    importlib.import_module(f"{statements.__name__}.{page.name}")
t = symbols.sp.Symbol("t")
check_answer(2 * t, lambda: t + t)
print(verdicts("lemma-3.2-gradient", symbolic=True))
"""


def test_a_page_without_numbers_needs_no_torch() -> None:
    outcome = without(FRONT_DOORS)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == [
        "right",
        "claim               text judged  evidence                                                  verdict",
        "lemma-3.2-gradient  corrected    formally proved, general derivation, interval arithmetic  holds",
    ]


@pytest.mark.parametrize("library", REFUSED)
def test_the_refusal_refuses(library: str) -> None:
    assert f"{library} is refused" in without(f"import {library}").stderr


def test_a_claim_without_checks_is_judged_by_the_rest() -> None:
    bare = judge(ledger.CLAIMS["eq-5"])
    assert (bare.evidence, bare.numeric.trials) == ((Evidence.GENERAL, Evidence.ENCLOSED), 0)
    open_claim = Claim(id="x", where="new", title="t", printed="1 = 1", chapter="book/x")
    assert open_claim.needs_torch
