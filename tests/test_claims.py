"""The ledger: every verdict as expected, every tooth bites, and the judge cannot be fooled."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import json
import math
import pkgutil
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor

import regrob.claims
from regrob import networks
from regrob.affine.kinks import kinks
from regrob.claims import hypotheses, ledger, numerical
from regrob.claims import instances as drawing
from regrob.claims.check import Check
from regrob.claims.claim import (
    Claim,
    Counterexample,
    Derivation,
    Evidence,
    Text,
    Verdict,
    judge,
)
from regrob.claims.combinators import check, on_instances, on_networks
from regrob.claims.instances import Draw, Instance, Sample
from regrob.claims.ledger import CLAIMS
from regrob.claims.numbers import CHECKS, EXPERIMENTS
from regrob.claims.numerical.locally_affine import bias_free
from regrob.claims.numerical.proposition_3_4 import both_trainings
from regrob.claims.oracle import autograd_derivatives
from regrob.claims.statements.four_penalties import critical_points
from regrob.errors import HypothesisError, InputError, ProofError, RegrobError
from regrob.symbols import (
    SYMBOLIC,
    at_size,
    cross_entropy,
    for_every_size,
    prove_equal,
    prove_sign,
    prove_zero,
    sum_over,
    watched,
)
from regrob.theory.penalties import CURVATURE_PEAK, INPUT_GRADIENT_PEAK

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "_ext"))
from regrob_book import records

STATE = records.fingerprint()  # now: the code may change while tests run
WHOLE = {claim.id: claim for claim in ledger.select()}
"""Every claim with its checks."""

# --- the real claims ----------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
def test_every_verdict_is_the_expected_one(name: str) -> None:
    result = judge(WHOLE[name], trials=records.TRIALS)
    assert result.failures == ()
    assert result.verdict is WHOLE[name].expected
    assert result.as_expected
    records.keep(result, STATE)  # the book's ledger need not judge it once more


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", CHECKS)
def test_no_check_hangs_on_the_seed(name: str, seed: int) -> None:
    checks_only = dataclasses.replace(WHOLE[name], derivation=None, enclosed=())
    assert judge(checks_only, trials=100, seed=seed).failures == ()


@pytest.mark.parametrize("name", WHOLE)
def test_a_claim_is_complete(name: str) -> None:
    claim = WHOLE[name]
    assert claim.id == name
    assert claim.id == claim.id.lower()
    assert " " not in claim.id
    assert all((claim.where, claim.title, claim.printed, claim.chapter))
    assert claim.chapter.startswith("book/")
    assert claim.derivation or claim.checks or claim.counterexample or claim.expected is Verdict.OPEN
    assert claim.text is Text.AS_READ or (claim.text in (Text.CORRECTED, Text.RESTATED)) == bool(
        claim.corrected
    )
    assert claim.corrected or not (claim.restated or claim.transcription)
    assert not (claim.reading and (claim.restated or claim.transcription))
    if claim.expected in (Verdict.FAILS, Verdict.PARTLY):
        assert claim.counterexample is not None


def test_every_check_belongs_to_a_claim_and_is_added_once() -> None:
    assert set(CHECKS) | set(EXPERIMENTS) <= set(CLAIMS)
    folder = Path(numerical.__file__).parent
    files = [
        importlib.import_module(f"{numerical.__name__}.{path.stem}")
        for path in folder.glob("*.py")
        if path.stem != "__init__"
    ]
    assert sum(len(file.CHECKS) for file in files) == len(CHECKS), "an id in two files, or a file left out"
    for file in files:  # a claim's checks stand in the file with its statement's name
        statements = vars(importlib.import_module(file.__name__.replace(".numerical.", ".statements.")))
        ids = {value.id for value in statements.values() if isinstance(value, Claim)}
        assert set(file.CHECKS) <= ids
    assert all(not claim.checks for claim in CLAIMS.values())
    assert all(WHOLE[name].checks == checks for name, checks in CHECKS.items())
    others = set(CLAIMS) - set(EXPERIMENTS)
    assert all(WHOLE[name].derivation is CLAIMS[name].derivation for name in others)


def test_claims_rest_on_known_claims_without_circles() -> None:
    for claim in CLAIMS.values():
        assert set(claim.depends) <= set(CLAIMS)
        assert claim.id not in ledger.ancestors(claim)


def test_ancestors_are_transitive() -> None:
    assert ledger.ancestors(CLAIMS["prop-3.1"]) >= {
        "lemma-3.2-gradient",
        "lemma-3.2-hessian",
        "lemma-3.2-jacobian",
        "eq-5",
    }
    assert ledger.ancestors(CLAIMS["eq-5"]) >= set(CLAIMS["eq-5"].depends)


def test_the_ledger_holds_every_modules_claims_once() -> None:
    written: dict[str, Claim] = {}
    for module in pkgutil.walk_packages(regrob.claims.__path__, "regrob.claims."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Claim):
                assert written.setdefault(value.id, value) is value, "two claims with one id"
    assert set(written) == set(CLAIMS)
    assert len(CLAIMS) == sum(len(chapter) for chapter in ledger._CHAPTERS)


# --- the judge ------------------------------------------------------------------------------


def values(*numbers: float) -> Callable[[Draw], Tensor]:
    return lambda draw: torch.tensor(numbers, dtype=torch.float64)


def refuse(draw: Draw) -> Tensor:
    raise HypothesisError("no such instance")


def unproved() -> None:
    raise ProofError("it is false")


def proved() -> None:
    for_every_size("it is true of numbers")


def proved_at_three() -> None:
    at_size(K=3)


def proved_of_something() -> None: ...


def claim(**fields: object) -> Claim:
    return Claim(id="x", where="new", title="t", printed="1 = 1", chapter="book/x", **fields)  # type: ignore[arg-type]


GOOD = Check("good", values(1e-15, -3.0), values(1.0), "off by one")
TRUE = Derivation((proved,), unproved, "the wrong sign")
ONE, TWO = sp.Integer(1), sp.Integer(2)


def test_evidence_is_what_went_through() -> None:
    assert judge(claim()).verdict is Verdict.OPEN
    numeric = judge(claim(checks=(GOOD,)))
    assert (numeric.verdict, numeric.evidence) == (Verdict.HOLDS, (Evidence.NUMERIC,))
    assert (numeric.numeric.trials, numeric.numeric.worst) == (2, 1e-15)
    both = judge(claim(checks=(GOOD, GOOD), derivation=TRUE))
    assert both.evidence == (Evidence.GENERAL, Evidence.NUMERIC)
    assert both.numeric.trials == 4
    finite = judge(claim(derivation=dataclasses.replace(TRUE, steps=(proved, proved_at_three))))
    assert (finite.evidence, finite.sizes) == ((Evidence.FINITE,), "K = 3"), "the weakest step decides"
    assert math.isnan(finite.numeric.worst)
    three = judge(
        claim(derivation=dataclasses.replace(TRUE, steps=(proved_at_three,)), hypotheses=("K = 3",))
    )
    assert (three.evidence, three.sizes) == ((Evidence.GENERAL,), "any n, K = 3"), (
        "all that the statement names"
    )


def test_a_derivation_that_does_not_show_its_sizes_counts_for_nothing() -> None:
    silent = dataclasses.replace(TRUE, steps=(proved, proved_of_something))
    result = judge(claim(derivation=silent))
    assert result.verdict is Verdict.BROKEN
    assert "proved_of_something does not show for how many classes it holds" in result.failures[0]
    assert judge(claim(derivation=silent, hypotheses=("K = 2",))).evidence == (Evidence.GENERAL,)


def test_the_helpers_note_the_sizes_of_a_proof() -> None:
    p, a, K = sp.Symbol("p"), sp.Symbol("a"), sp.Symbol("K", positive=True)
    steps: dict[str, Callable[[], object]] = {
        "a sum over the classes": lambda: sum_over(p * a, lambda i, j: sp.Symbol(f"S{i}{j}"), p, a),
        "a symbolic number of them": lambda: prove_equal(K, K),
        "the indexed loss": lambda: cross_entropy().gradient(),
        "a sign": lambda: prove_sign(K, "positive"),
    }
    for name, step in steps.items():
        with watched() as sizes:
            step()
        assert sizes.general == [SYMBOLIC], name
    with watched() as sizes:
        prove_zero(p - p)
        with watched() as inner:
            at_size(n=2)
    assert (sizes.general, sizes.fixed, inner.fixed) == ([], {}, {"n": 2})
    at_size(K=9)  # outside of a watched proof there is nothing to note


@pytest.mark.parametrize("name", [name for name, claim in CLAIMS.items() if claim.derivation])
def test_a_derivation_says_what_each_step_proves(name: str) -> None:
    derivation = CLAIMS[name].derivation
    assert derivation is not None
    assert all(len(words) > 20 for words in derivation.in_words())


def test_no_general_claim_rests_on_a_fixed_number_of_classes() -> None:
    weak = {
        name
        for name, claim in CLAIMS.items()
        if claim.derivation and claim.derivation.prove(claim.classes)[0] is not Evidence.GENERAL
    }
    # Both are instances, and say so.
    assert weak == {"thm-many-classes-either-side", "thm-beyond-the-polytope"}


def test_the_number_of_classes_is_read_off_the_hypotheses() -> None:
    assert CLAIMS["prop-3.1"].classes == 2
    assert CLAIMS["thm-curvature-three-classes"].classes == 3
    assert CLAIMS["prop-4.1-eq-16"].classes is None, "K ≥ 3 fixes nothing"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"checks": (dataclasses.replace(GOOD, excess=values(0.0, 1e-9)),)}, "good: 1.00e-09 exceeds 1e-10"),
        ({"checks": (dataclasses.replace(GOOD, excess=values(0.0, math.nan)),)}, "good: nan exceeds"),
        ({"checks": (dataclasses.replace(GOOD, excess=values()),)}, "good: nan exceeds"),
        ({"checks": (dataclasses.replace(GOOD, excess=refuse),)}, "good: no such instance"),
        (
            {"checks": (dataclasses.replace(GOOD, tooth=values(1e-11)),)},
            "the tooth does not bite (off by one)",
        ),
        ({"checks": (dataclasses.replace(GOOD, tooth=values(GOOD.tolerance)),)}, "the tooth does not bite"),
        ({"checks": (dataclasses.replace(GOOD, tooth=values(math.nan)),)}, "the tooth does not bite"),
        ({"checks": (dataclasses.replace(GOOD, tooth=values()),)}, "the tooth does not bite"),
        ({"checks": (GOOD, dataclasses.replace(GOOD, tooth=GOOD.excess))}, "the tooth does not bite"),
        ({"derivation": Derivation((unproved,), unproved, "w")}, "the derivation fails: it is false"),
        ({"derivation": Derivation((proved,), proved, "w")}, "proves a wrong statement too: w"),
        ({"counterexample": lambda: Counterexample("i", ONE, "=", ONE)}, "does not refute: i"),
        ({"counterexample": lambda: Counterexample("i", ONE, "<=", TWO)}, "does not refute: i"),
        ({"counterexample": lambda: Counterexample("i", sp.Float(1.5), "=", TWO)}, "proves nothing"),
    ],
)
def test_a_wrong_claim_is_broken(fields: dict[str, object], message: str) -> None:
    result = judge(claim(**fields))
    assert result.verdict is Verdict.BROKEN
    assert any(message in failure for failure in result.failures)
    # Not even a claim that expects to be broken is as expected.
    assert not judge(claim(**fields, expected=Verdict.BROKEN)).as_expected


def test_a_true_claim_with_its_derivation_broken_does_not_hide_behind_its_check() -> None:
    result = judge(claim(checks=(GOOD,), derivation=Derivation((unproved,), unproved, "w")))
    assert result.verdict is Verdict.BROKEN


def test_a_wrong_proof_that_cannot_even_run_is_no_tooth() -> None:
    def not_written_to_the_end() -> None:
        raise ZeroDivisionError

    for broken in (
        Derivation((proved,), not_written_to_the_end, "w"),
        Derivation((not_written_to_the_end,), proved, "w"),
    ):
        with pytest.raises(ZeroDivisionError):
            judge(claim(derivation=broken))


def test_every_number_of_a_check_counts() -> None:
    last = values(*[0.0] * 99, 1.0)
    late = Check("late", values(*[0.0] * 100), last, "bites once in a hundred")
    assert judge(claim(checks=(late,))).failures == ()
    failures = judge(claim(checks=(dataclasses.replace(late, excess=last),))).failures
    assert failures == ("late: 1.00e+00 exceeds 1e-10",)


def groups(**numbers: float) -> Callable[[Draw], dict[str, Tensor]]:
    return lambda draw: {name.replace("_", ", "): torch.tensor([value]) for name, value in numbers.items()}


TRUE_IN_BOTH = groups(K2_MLP=0.0, K3_MLP=0.0)


@pytest.mark.parametrize(
    ("tooth", "blunt", "faults"),
    [
        (groups(K2_MLP=1.0, K3_MLP=1.0), {}, []),
        (groups(K2_MLP=1.0, K3_MLP=0.0), {}, ["the tooth does not bite for K3, MLP"]),
        (groups(K2_MLP=1.0, K3_MLP=math.nan), {}, ["the tooth does not bite for K3, MLP"]),
        (groups(K2_MLP=1.0), {}, ["the tooth does not bite for K3, MLP"]),
        (groups(K2_MLP=1.0, K3_MLP=0.0), {"K3, MLP": "why"}, []),
        (groups(K2_MLP=1.0, K3_MLP=0.0), {"K3": "why"}, []),
        (groups(K2_MLP=0.0, K3_MLP=0.0), {"MLP": "why"}, ["the tooth does not bite"]),
        (groups(K2_MLP=0.0, K3_MLP=0.0), {}, ["the tooth does not bite"]),
        (groups(K2_MLP=1.0, K3_MLP=0.0), {"K2": "why"}, [
            "the tooth does not bite for K3, MLP",
            "the tooth bites for K2, MLP, where it was said that it cannot",
        ]),
        (groups(K2_MLP=1.0, K3_MLP=1.0), {"K4": "why"}, ["there is no group K4 that the tooth"]),
        (groups(K4_MLP=1.0), {}, []),  # a hypothesis dropped: other instances altogether
        (groups(K4_MLP=1.0, K5_MLP=0.0), {}, ["the tooth does not bite for K5, MLP"]),
        (lambda draw: {}, {}, ["the tooth does not bite"]),
    ],
)  # fmt: skip
def test_a_tooth_bites_in_every_group(
    tooth: Callable[[Draw], dict[str, Tensor]], blunt: dict[str, str], faults: list[str]
) -> None:
    pooled = Check("pooled", TRUE_IN_BOTH, tooth, "w", blunt=blunt)
    result = judge(claim(checks=(pooled,)))
    assert result.numeric.trials == 2
    assert len(result.failures) == len(faults), result.failures
    for failure, fault in zip(result.failures, faults, strict=True):
        assert failure.startswith(f"pooled: {fault}")
        assert failure.endswith("(w)")


def test_an_excess_in_one_group_fails_the_check() -> None:
    pooled = Check("pooled", groups(K2=0.0, K3=1.0), groups(K2=1.0, K3=1.0), "w")
    assert judge(claim(checks=(pooled,))).failures == ("pooled: 1.00e+00 exceeds 1e-10",)


def test_a_counterexample_decides_the_verdict() -> None:
    def false() -> Counterexample:
        return Counterexample("i", ONE, "=", TWO)

    assert judge(claim(checks=(GOOD,), counterexample=false)).verdict is Verdict.FAILS
    assert (
        judge(claim(checks=(GOOD,), counterexample=false, expected=Verdict.PARTLY)).verdict is Verdict.PARTLY
    )
    assert not judge(claim(counterexample=false, expected=Verdict.HOLDS)).as_expected


def test_a_slip_is_judged_as_mended() -> None:
    def false() -> Counterexample:
        return Counterexample("i", ONE, "=", TWO)

    slip = claim(checks=(GOOD,), counterexample=false, transcription=True)
    judged = judge(slip)
    assert (judged.verdict, judged.as_expected) == (Verdict.HOLDS, True)
    assert "exact counterexample to the letters" in ledger.evidence_in_words(judged)
    true = dataclasses.replace(slip, counterexample=lambda: Counterexample("i", ONE, "=", ONE))
    assert judge(true).verdict is Verdict.BROKEN, "letters that can stand are no slip"


def test_what_fails_in_our_reading_does_not_fail_as_printed() -> None:
    def false() -> Counterexample:
        return Counterexample("i", ONE, "=", TWO)

    fields = {"checks": (GOOD,), "counterexample": false, "expected": Verdict.FAILS}
    read = dataclasses.replace(claim(**fields), where="Section 9", reading="r")
    assert read.text is Text.AS_READ
    assert ledger.outcome(judge(read)) == "fails as read"
    assert ledger.outcome(judge(dataclasses.replace(read, reading=""))) == "fails as printed"


def test_no_slip_and_no_reading_is_called_false() -> None:
    for claim in CLAIMS.values():
        if claim.transcription:
            assert claim.expected is Verdict.HOLDS, claim.id
        if claim.text is Text.AS_READ and claim.expected is Verdict.HOLDS:
            assert claim.counterexample is None, claim.id


def test_the_worst_is_the_closest_to_its_own_tolerance() -> None:
    strict = Check("strict", values(9e-13), values(1.0), "w", tolerance=1e-12)
    loose = Check("loose", values(1e-7), values(1.0), "w", tolerance=1e-6)
    for checks in ((strict, loose), (loose, strict)):
        result = judge(claim(checks=checks))
        assert (result.numeric.worst, result.numeric.tolerance) == (9e-13, 1e-12)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_must_be_positive(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance must be positive"):
        dataclasses.replace(GOOD, tolerance=tolerance)


def test_a_checks_instances_do_not_hang_on_its_neighbours() -> None:
    def seen(into: list[int]) -> Check:
        def excess(draw: Draw) -> Tensor:
            into.append(draw.seed)
            return torch.zeros(1)

        return dataclasses.replace(GOOD, excess=excess)

    alone: list[int] = []
    beside: list[int] = []
    judge(claim(checks=(seen(alone),)))
    judge(claim(checks=(dataclasses.replace(GOOD, name="other"), seen(beside))))
    assert alone == beside
    other_seed: list[int] = []
    judge(claim(checks=(seen(other_seed),)), seed=1)
    assert other_seed != alone
    other_name: list[int] = []
    judge(claim(checks=(dataclasses.replace(seen(other_name), name="other"),)))
    assert other_name != alone
    other_claim: list[int] = []
    judge(dataclasses.replace(claim(checks=(seen(other_claim),)), id="y"))
    assert other_claim != alone


def wrong_p(instance: Instance, factor: float = 1.0) -> Tensor:
    return factor * instance.p - instance.p


def wrong_jacobian(sample: Sample, factor: float = 1.0) -> Tensor:
    return sample.jacobian_error(factor * sample.map.V)


@pytest.mark.parametrize("wrong", [2.0, 1.0])
def test_a_check_is_one_excess_at_a_right_and_a_wrong_choice(wrong: float) -> None:
    """Where the wrong choice is not wrong, the tooth must not bite."""
    p, J = on_instances(wrong_p, 3), on_networks(wrong_jacobian, 3)
    checks = (check("p", p, wrong=wrong, mistake="m"), check("J", J, wrong=wrong, mistake="m"))
    for built in checks:
        failures = judge(claim(checks=(built,)), trials=20).failures
        assert failures == (() if wrong > 1 else (f"{built.name}: the tooth does not bite (m)",))


# --- exact counterexamples ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "relation", "right", "refuted"),
    [
        (TWO, "<=", ONE, True),
        (ONE, "<=", TWO, False),
        (ONE, "<=", ONE, False),
        (ONE, ">=", TWO, True),
        (TWO, ">=", ONE, False),
        (ONE, ">=", ONE, False),
        (ONE, "=", TWO, True),
        (TWO, "=", ONE, True),
        (ONE, "=", ONE, False),
        (sp.sqrt(2) + sp.sqrt(3), "=", sp.sqrt(5 + 2 * sp.sqrt(6)), False),  # equal, in disguise
        (sp.sqrt(2) + sp.sqrt(3), "<=", sp.sqrt(5 + 2 * sp.sqrt(6)), False),
        (sp.log(2), ">=", sp.log(2) + sp.Rational(1, 10**60), True),  # far below float64's reach
        (sp.log(2), "<=", sp.log(2) + sp.Rational(1, 10**60), False),
        (sp.exp(sp.pi * sp.sqrt(163)), "=", sp.Integer(640320**3 + 744), True),  # equal to 12 decimals
        (sp.exp(sp.pi * sp.sqrt(163)), ">=", sp.Integer(640320**3 + 744), True),
    ],
)
def test_refutes_decides_by_exact_arithmetic(
    left: sp.Expr, relation: str, right: sp.Expr, refuted: bool
) -> None:
    assert Counterexample("i", left, relation, right).refutes() is refuted


@pytest.mark.parametrize(
    ("left", "relation", "right", "message"),
    [
        (sp.Float(0.5), "=", ONE, "must be exact SymPy numbers, got 0.5"),
        (ONE, "=", sp.sqrt(sp.Float(2)), "must be exact"),
        (sp.log(sp.Float("1.5")) + sp.pi, "<=", ONE, "must be exact"),
        (0.5, "=", ONE, "must be exact SymPy numbers, got 0.5"),
        (1, "=", ONE, "must be exact SymPy numbers, got 1"),
        (ONE, "<", TWO, "relation must be '=', '<=' or '>=', got '<'"),
        (sp.Symbol("p"), "<=", ONE, "cannot decide the sign"),
        (sp.I, "<=", ONE, "cannot decide the sign"),
        (sp.nan, "=", ONE, "cannot decide the sign"),
    ],
)
def test_refutes_refuses_floats_and_what_it_cannot_decide(
    left: sp.Expr, relation: str, right: sp.Expr, message: str
) -> None:
    with pytest.raises(ProofError, match=message):
        Counterexample("i", left, relation, right).refutes()


# --- the instances -------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_instances_are_repeatable_and_of_every_kind(classes: int) -> None:
    V, z, y = Draw(400, 7).instances(classes)
    again = Draw(400, 7).instances(classes)
    assert torch.equal(V, again.V)
    assert torch.equal(z, again.z)
    assert not torch.equal(V, Draw(400, 8).instances(classes).V)
    assert (V.shape, z.shape, y.shape) == ((400, 5, classes), (400, classes), (400,))
    assert {V.dtype, z.dtype} == {torch.float64}
    assert torch.equal(y, z.argmax(dim=-1))
    size = V.abs().amax(dim=(1, 2))
    assert float(size.max() / size.min()) > 1e4
    assert int((V.sum(dim=-1).abs().amax(dim=1) < 1e-12 * size).sum()) > 10  # zero-sum columns
    assert int(((V[..., 0] == -V[..., 1]) & (V[..., 2:] == 0).all(dim=-1)).all(dim=1).sum()) > 60
    assert int((V[..., 1:] == V[..., 1:2]).all(dim=(1, 2)).sum()) > 60  # coinciding rivals
    assert int((V[:, :1, :] == V).all(dim=(1, 2)).sum()) > 10  # parallel gradients
    if classes == 2:
        assert float((V[..., 0] - V[..., 1]).norm(dim=1).min()) > 0
    else:
        assert int((V[..., 0] == V[..., -1]).all(dim=1).sum()) > 10  # two classes move together


def test_labels_are_random_if_asked() -> None:
    _, z, y = Draw(400, 7).instances(3, correct=False)
    wrong = float((y != z.argmax(dim=-1)).double().mean())
    assert 0.5 < wrong < 0.8


@pytest.mark.parametrize("classes", [2, 3])
def test_samples_are_many_architectures_off_their_kinks(classes: int) -> None:
    samples = Draw(1, 5).samples(classes)
    assert len({(sample.name, sample.head) for sample in samples}) == len(samples)
    assert sum(len(sample.y) for sample in samples) == 126
    again = Draw(99, 1).samples(classes)
    assert all(a is b for a, b in zip(samples, again, strict=True))  # built once for each seed modulo four
    for sample in samples:
        assert not bool(kinks(sample.network, sample.images).any())
        right = sample.y == sample.map.z.argmax(dim=-1)
        assert right.tolist() == [True] * 5 + [False]
        assert sample.images.dtype == torch.float64
    groups = Draw(1, 5).over_samples(lambda sample: sample.y, classes)
    kinds = ["MLP", "leaky MLP", "skip connection", "max-pool", "average pool"]
    assert list(groups) == [f"K = {classes}, {kind}" for kind in kinds]
    for kind in kinds:
        own = torch.cat([sample.y for sample in samples if sample.kind == kind])
        assert torch.equal(groups[f"K = {classes}, {kind}"], own)
        assert {bias_free(sample) for sample in samples if sample.kind == kind} == {True, False}
    with pytest.raises(drawing.NoInstanceError, match=f"K = {classes} is one that the check"):
        Draw(1, 5).over_samples(lambda sample: sample.y, classes, only=lambda sample: False)


def test_more_trials_draw_more_networks() -> None:
    few, many = Draw(1000, 5).samples(2), Draw(6000, 5).samples(2)
    assert len(many) == 6 * len(few)
    assert len({id(sample) for sample in many}) == len(many)


def only_head(classes: int, head: str) -> list[Sample]:
    return [sample for sample in Draw(1, 5).samples(classes) if sample.head == head]


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_heads_come_next_to_equality(classes: int) -> None:
    """Of two live classes in ‖H‖ ≤ p·2q‖VC‖², of coinciding rivals in (p/q)‖∇‖² ≤ ‖H‖; others by far not."""

    def apart(case: Instance) -> tuple[Tensor, Tensor]:
        above = case.p * (2 * case.q).clamp_max(1.0) * case.centred_norm.square()
        below = case.p / case.q * case.gradient_norm.square()
        return above / case.curvature - 1, 1 - below / case.curvature

    pairs, twins = only_head(classes, "two live classes"), only_head(classes, "coinciding rivals")
    assert len(pairs) == len(twins) == 5
    for pair, twin in zip(pairs, twins, strict=True):
        assert float(apart(pair.instance)[0][:5].abs().max()) < 1e-8
        assert float(apart(twin.instance)[1].abs().max()) < 1e-8
        margins = pair.instance.m[:5]
        assert float(margins.min()) == pytest.approx(drawing.TIE)
        assert float(margins.max()) == pytest.approx(drawing.LARGE)
        lead = twin.map.z[:, 0] - twin.map.z[:, 1]
        assert float(lead[-1]) < -1
        assert float(lead[:5].min()) == pytest.approx(drawing.TIE)
    if classes > 2:
        drawn = [float(apart(sample.instance)[0][:5].min()) for sample in only_head(classes, "")]
        assert min(drawn) > 0.01


def test_random_numbers_are_repeatable_and_streams_differ() -> None:
    draw = Draw(1, 5)
    for numbers in (draw.normal, draw.uniform):
        assert torch.equal(numbers(4, 3), numbers(4, 3))
        assert not torch.equal(numbers(4, 3), numbers(4, 3, stream=1))
    assert float(draw.uniform(1000).min()) >= 0 > float(draw.normal(1000).min())


def test_the_trained_sample_has_learnt() -> None:
    """A trained network is in the draw because random ones have no large margins."""
    trained = next(s for s in Draw(1, 0).samples(2) if s.name == "trained MLP")
    assert float((trained.map.z[:, 0] - trained.map.z[:, 1]).abs().max()) > 2


def test_autograd_oracle_differentiates_x_squared() -> None:
    class Square(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.square().sum(dim=1), 0 * x[:, 0]], dim=1)

    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    found = autograd_derivatives(Square(), x, torch.tensor([0]))
    q = float(torch.sigmoid(-x.square().sum()))
    two_x = 2 * x[0]
    torch.testing.assert_close(found.jacobian[0, :, 0], two_x)
    torch.testing.assert_close(found.gradient[0], -q * two_x)
    expected = q * (1 - q) * torch.outer(two_x, two_x) - 2 * q * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(found.hessian[0], expected)
    assert float(found.loss[0]) == pytest.approx(-math.log(1 - q), rel=1e-14)


def test_residuals_are_relative_and_survive_a_zero_reference() -> None:
    reference = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    error = drawing.relative(reference - reference + 0.1 * reference, reference, axes=1)
    torch.testing.assert_close(error, torch.tensor([0.1, 0.0], dtype=torch.float64))
    assert float(drawing.relative(torch.ones(1, 2), torch.zeros(1, 2), axes=1)) > 1e30


def test_labels_get_the_papers_signs() -> None:
    assert drawing.signed(torch.tensor([0, 1])).tolist() == [1.0, -1.0]


# --- what the ledger prints ------------------------------------------------------------------------

PROMISED = {
    "id", "where", "text", "verdict", "evidence", "trials", "worst",
    "tolerance", "enclosed", "hypotheses", "depends", "counterexample", "formal",
}  # fmt: skip


def test_records_are_json_with_the_promised_fields() -> None:
    results = list(ledger.verify(["prop-3.1", "eq-8", "prop-3.4"], trials=50))
    records = json.loads(json.dumps([ledger.as_record(r) for r in results], allow_nan=False))
    assert all(set(record) >= PROMISED for record in records)
    holds, slip, fails = records
    assert (holds["id"], holds["verdict"], holds["counterexample"]) == ("prop-3.1", "holds", None)
    assert holds["evidence"] == ["formally proved", "general derivation", "interval arithmetic", "numeric"]
    assert set(holds["formal"]) == {"theorems", "instance", "negation", "axioms"}
    assert holds["enclosed"]["trials"] > 8
    assert 0 < holds["enclosed"]["worst"] < holds["enclosed"]["tolerance"] < 1e-29
    assert holds["trials"] == 100
    assert 0 <= holds["worst"] < holds["tolerance"]
    assert (fails["verdict"], fails["text"]) == ("fails as printed", "corrected")
    assert (slip["verdict"], slip["text"], slip["transcription"]) == ("holds", "corrected", True)
    exact = slip["counterexample"]
    assert exact["relation"] == "="
    assert float(exact["left_value"]) - float(exact["right_value"]) == pytest.approx(0.4848, abs=1e-4)


def test_a_broken_claim_is_json_too() -> None:
    bad = dataclasses.replace(GOOD, excess=values(math.nan))
    record = json.loads(json.dumps(ledger.as_record(judge(claim(checks=(bad,)))), allow_nan=False))
    assert record["verdict"] == "broken"
    assert record["worst"] is None
    assert record["failures"]


def test_unknown_ids_are_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"no claim is called 'eq-99'; the ledger has eq-5, lemma-3.2-jacobian|eq-"
    ):
        list(ledger.verify(["eq-99"]))
    assert [c.id for c in ledger.select(["eq-8", "eq-5"])] == ["eq-8", "eq-5"]
    assert [c.id for c in ledger.select()] == list(CLAIMS)


def test_what_only_float64_can_judge_is_refused_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ledger.CLAIMS, "x", claim())
    assert "x" in ledger.needing_torch()
    assert "x" not in {c.id for c in ledger.select(symbolic=True)}
    with pytest.raises(InputError, match="'x' is judged by checks in float64 alone, and these need torch"):
        ledger.select(["x"], symbolic=True)


def test_the_table_has_a_line_a_claim_and_one_a_failure() -> None:
    good = judge(WHOLE["prop-3.4"], trials=20)
    broken = judge(claim(checks=(dataclasses.replace(GOOD, tooth=values(0.0)),)))
    lines = ledger.table([good, broken]).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("✓ prop-3.4  fails as printed")
    assert "trials in float64" in lines[0]
    assert "exact counterexample" in lines[0]
    assert lines[1].startswith("✗ x         broken")
    assert lines[2] == "    good: the tooth does not bite (off by one)"
    assert ledger.table([]) == ""


def test_verdicts_print_the_same_on_every_machine() -> None:
    table = ledger.verdicts("lemma-3.2-gradient", "eq-8", trials=20)
    lines = repr(table).splitlines()
    proved = "formally proved, general derivation, interval arithmetic, numeric"
    assert [re.split(" {2,}", line) for line in lines] == [
        ["claim", "text judged", "evidence", "verdict"],
        ["lemma-3.2-gradient", "corrected", proved, "holds"],
        ["eq-8", "corrected", proved, "holds"],
    ]
    ends = ("verdict", "holds", "holds")
    assert len({line.index(end) for line, end in zip(lines, ends, strict=True)}) == 1, "in columns"
    html = table._repr_html_()
    assert html.count("<tr>") == 3
    assert '<th scope="col">verdict</th>' in html


def test_verdicts_refuse_to_print_a_broken_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = claim(checks=(dataclasses.replace(GOOD, excess=values(1.0)),))
    monkeypatch.setitem(ledger.CLAIMS, "x", bad)
    with pytest.raises(RegrobError, match=r"x: broken; good: 1\.00e"):
        ledger.verdicts("x")


def test_html_is_escaped() -> None:
    nasty = dataclasses.replace(claim(checks=(GOOD,)), id="<b>")
    assert "<b>" not in ledger.Verdicts([judge(nasty)])._repr_html_()


def test_evidence_in_words() -> None:
    assert ledger.evidence_in_words(judge(claim())) == "none"
    words = ledger.evidence_in_words(judge(claim(checks=(GOOD,), derivation=TRUE)))
    assert words == "general derivation, any n and K; numeric, 2 trials in float64, worst 1.0e-15"


def test_ancestors_survive_a_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    first = dataclasses.replace(claim(), id="a", depends=("b",))
    second = dataclasses.replace(claim(), id="b", depends=("a",))
    monkeypatch.setitem(ledger.CLAIMS, "a", first)
    monkeypatch.setitem(ledger.CLAIMS, "b", second)
    assert ledger.ancestors(first) == {"a", "b"}


def test_a_shared_hypothesis_is_typed_once() -> None:
    shared = {words for name, words in vars(hypotheses).items() if name.isupper()}
    folder = Path(hypotheses.__file__).parent
    retyped = [
        f"{path.name}:{node.lineno}: {node.value}"
        for path in folder.rglob("*.py")
        if path.name != "hypotheses.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in shared
    ]
    assert "any label" in shared
    assert not retyped


def test_the_stored_critical_points_are_the_roots() -> None:
    roots = [float(root.evalf(20)) for root in critical_points()]
    assert roots == pytest.approx([INPUT_GRADIENT_PEAK, CURVATURE_PEAK], rel=0, abs=1e-15)
    assert roots[0] != pytest.approx(INPUT_GRADIENT_PEAK + 2e-15, rel=0, abs=1e-15)


def test_both_trainings_of_the_last_layer_agree_but_for_a_common_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    network = networks.mlp((5, 6, 3), generator=generator).double()
    images = torch.rand(8, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (8,), generator=generator)
    with torch.no_grad():
        network[-1].weight += 0.1  # the columns do not add to zero
    before = [weight.clone() for weight in network.parameters()]
    descent = functools.partial(torch.optim.SGD, lr=0.1)
    J, C = both_trainings(network, images, y, descent, steps=4, weight=0.5, last_layer_only=True)
    assert J.shape == C.shape == (4, 18)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert float((J - C).abs().max()) > 1e-3
    J, C = (path.unflatten(-1, (3, 6)) for path in (J, C))
    centred = [path - path.mean(dim=1, keepdim=True) for path in (J, C)]
    assert torch.allclose(*centred, rtol=1e-12, atol=1e-13)
