"""All claims together: select, judge, and print.

`CLAIMS` has all of them that needs no torch: derivations, exact counterexamples and enclosed checks. `select` and
whatever builds on it add the checks in float64, unless they are asked for the rest alone.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from regrob.claims import enclosed, formal, needed
from regrob.claims.claim import Claim, Evidence, Result, Text, Verdict, judge
from regrob.claims.measurement import Tally
from regrob.claims.statements import (
    certificates,
    exact_curvature,
    exact_radius,
    four_penalties,
    lemma_3_1,
    lemma_3_2,
    lemma_4_1,
    linf_many_classes,
    linf_two_classes,
    locally_affine,
    logistic_loss,
    ordering,
    proposition_3_1,
    proposition_3_4,
    proposition_4_1,
    true_distance,
)
from regrob.errors import InputError, RegrobError
from regrob.notebook import bar

_CHAPTERS = (
    lemma_3_1.SECTION_2,
    linf_two_classes.SECTION_2,
    locally_affine.CLAIMS,
    lemma_3_2.CLAIMS,
    lemma_3_1.CLAIMS,
    proposition_3_1.CLAIMS,
    certificates.AFTER_PROP_3_1,
    linf_two_classes.CLAIMS,
    four_penalties.CLAIMS,
    proposition_3_4.CLAIMS,
    lemma_4_1.CLAIMS,
    lemma_3_1.APPENDIX,
    proposition_4_1.CLAIMS,
    linf_many_classes.CLAIMS,
    ordering.CLAIMS,
    certificates.CLAIMS,
    proposition_3_1.APPENDIX,
    linf_two_classes.APPENDIX,
    proposition_3_4.APPENDIX,
    locally_affine.APPENDIX,
    four_penalties.APPENDIX,
    logistic_loss.CLAIMS,
    exact_curvature.CLAIMS,
    exact_radius.CLAIMS,
    true_distance.CLAIMS,
)

_NEEDED = needed.of_claims()

CLAIMS: dict[str, Claim] = {
    claim.id: replace(claim, enclosed=enclosed.CHECKS.get(claim.id, ()), needed=_NEEDED.get(claim.id))
    for claims in _CHAPTERS
    for claim in claims
}
"""Every claim by id, in the paper's order, without its checks in float64."""


def select(only: Iterable[str] = (), *, symbolic: bool = False) -> list[Claim]:
    """The claims with these ids, or all of them, each with its formal proof where that is at hand.

    Args:
        only: ids; none for all.
        symbolic: without their checks in float64, and only those that have something else.

    Raises:
        InputError: an unknown id (the message lists the known ones), or an id with nothing but
            checks in float64 where `symbolic` asks for the rest.
        DataError: the formal proofs' pairs cannot be read, or speak of a claim or theorem that is not there.
    """
    wanted = list(only)
    unknown = [name for name in wanted if name not in CLAIMS]
    if unknown:
        raise InputError(f"no claim is called {unknown[0]!r}; the ledger has {', '.join(CLAIMS)}")
    proofs = formal.of_claims(CLAIMS)
    claims = [replace(CLAIMS[name], formal=proofs.get(name)) for name in wanted or CLAIMS]
    if not symbolic:
        from regrob.claims.numbers import with_numbers  # torch is loaded here

        return [with_numbers(claim) for claim in claims]
    for claim in claims:
        if wanted and claim.needs_torch:
            raise InputError(f"{claim.id!r} is judged by checks in float64 alone, and these need torch")
    return [claim for claim in claims if not claim.needs_torch]


def needing_torch() -> list[str]:
    """Ids of the claims that nothing but checks in float64 can judge."""
    return [name for name, claim in CLAIMS.items() if claim.needs_torch]


def verify(
    only: Iterable[str] = (),
    *,
    symbolic: bool = False,
    trials: int = 1000,
    seed: int = 0,
    device: str = "cpu",
) -> Iterator[Result]:
    """Judge the claims one by one, yielding each judgement as it is ready; the arguments are as in `select`."""
    for claim in select(only, symbolic=symbolic):
        yield judge(claim, trials=trials, seed=seed, device=device)


def ancestors(claim: Claim) -> set[str]:
    """Ids of all claims that this one rests on, directly or not."""
    reached: set[str] = set()
    queue = list(claim.depends)
    while queue:
        name = queue.pop()
        if name not in reached:
            reached.add(name)
            queue += CLAIMS[name].depends
    return reached


def outcome(judgement: Result) -> str:
    """The verdict in words: what fails in our reading of a phrase does not fail as printed."""
    read = judgement.claim.text is Text.AS_READ and judgement.verdict is Verdict.FAILS
    return "fails as read" if read else judgement.verdict.value


def evidence_in_words(judgement: Result) -> str:
    """What the verdict rests on: "formally proved; general derivation, any n and K; numeric, 6000 trials in float64"."""
    # What refutes a slip refutes its letters; judged is the statement that they stand for.
    slip = judgement.claim.transcription
    parts = []
    for kind in judgement.evidence:
        if kind is Evidence.NUMERIC:
            tally = judgement.numeric
            parts.append(f"{kind.value}, {tally.trials} trials in float64, worst {tally.worst:.1e}")
        elif kind is Evidence.ENCLOSED:
            tally = judgement.enclosed
            parts.append(f"{kind.value}, {tally.trials} comparisons, worst {tally.worst:.1e}")
        elif kind in (Evidence.GENERAL, Evidence.FINITE):
            parts.append(f"{kind.value}, {judgement.sizes}")
        else:
            parts.append(kind.value)
    if judgement.counterexample is not None:
        parts.append(f"exact counterexample{' to the letters' if slip else ''}")
    formal_proof = judgement.claim.formal if Evidence.FORMAL in judgement.evidence else None
    if formal_proof and formal_proof.pair.negation:
        parts.append(f"negation{' of the letters' if slip else ''} formally proved")
    return "; ".join(parts) or "none"


def as_record(judgement: Result) -> dict[str, Any]:
    """One JSON object a claim, with the fields that the command line promises.

    `derivation` says for which n and K it holds, and what each of its steps proves; None without one.
    `formal` is None without a formal proof, else: `theorems`, the names of those that say the claim
    ("File.name", in `book/proofs/File.v`); `instance`, one with concrete numbers; `negation`, the one that
    refutes the printed statement, or None; `axioms`, the full names of all on which these rest.
    `trials`, `worst` and `tolerance` are those of the checks in float64; `enclosed` has the same three of the checks
    by interval arithmetic, and is None for a claim without. `needed` has, for each hypothesis of a polynomial claim,
    numbers that refute it without.
    """
    claim, exact = judgement.claim, judgement.counterexample
    return {
        "id": claim.id,
        "where": claim.where,
        "title": claim.title,
        "printed": claim.printed,
        "reading": claim.reading or None,
        "corrected": claim.corrected,
        "text": claim.text.value,
        "verdict": judgement.verdict.value,
        "expected": claim.expected.value,
        "evidence": [kind.value for kind in judgement.evidence],
        "derivation": {"sizes": judgement.sizes, "steps": claim.derivation.in_words()}
        if claim.derivation and judgement.sizes
        else None,
        "formal": claim.formal.as_record() if claim.formal else None,
        **_as_numbers(judgement.numeric),
        "enclosed": _as_numbers(judgement.enclosed) if claim.enclosed else None,
        "hypotheses": list(claim.hypotheses),
        "needed": {
            words: {name: str(number) for name, number in instance.items()}
            for words, instance in (claim.needed.instances if claim.needed else {}).items()
        },
        "depends": list(claim.depends),
        "counterexample": None
        if exact is None
        else {
            "instance": exact.instance,
            "left": str(exact.left),
            "relation": exact.relation,
            "right": str(exact.right),
            "left_value": str(exact.left.evalf(6)),
            "right_value": str(exact.right.evalf(6)),
        },
        "transcription": claim.transcription,
        "failures": list(judgement.failures),
        "chapter": claim.chapter,
        "seconds": round(judgement.seconds, 3),
    }


def _as_numbers(tally: Tally) -> dict[str, Any]:
    return {
        "trials": tally.trials,
        "worst": tally.worst if math.isfinite(tally.worst) else None,
        "tolerance": tally.tolerance if math.isfinite(tally.tolerance) else None,
    }


class Verdicts:
    """Judged claims as a small table whose text is the same on every machine.

    Notebooks end a section with one; nbval compares it. Residuals and times, which differ
    from machine to machine, are left to `table` and the command line.
    """

    columns = ("claim", "text judged", "evidence", "verdict")

    def __init__(self, results: Iterable[Result]) -> None:
        self.results = list(results)

    def rows(self) -> list[tuple[str, ...]]:
        """One tuple of strings a claim."""
        return [
            (r.claim.id, r.claim.text.value, ", ".join(kind.value for kind in r.evidence), outcome(r))
            for r in self.results
        ]

    def __repr__(self) -> str:
        rows = [self.columns, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows()
        )
        return (
            f'<div class="table-wrap"><table class="verdicts"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


def verdicts(*ids: str, symbolic: bool = False, trials: int = 200) -> Verdicts:
    """Judge the named claims now and return their table; `symbolic` is as in `select`.

    Raises:
        InputError: an unknown id.
        RegrobError: a verdict that the ledger does not expect.
    """
    results = list(
        bar(
            verify(ids, symbolic=symbolic, trials=trials), title="judge", total=len(ids) or None, unit="claim"
        )
    )
    for judgement in results:
        if not judgement.as_expected:
            raise RegrobError(
                f"{judgement.claim.id}: {judgement.verdict.value}; {'; '.join(judgement.failures)}"
            )
    return Verdicts(results)


def table(results: Iterable[Result], *, width: int = 0) -> str:
    """A plain-text table, one line a claim, and one more for each failure.

    Args:
        width: of the column of ids at least, so that rows printed one by one line up.
    """
    rows = list(results)
    width = max([width, *(len(r.claim.id) for r in rows)])
    lines = []
    for r in rows:
        mark = "✓" if r.as_expected else "✗"
        head = f"{mark} {r.claim.id:<{width}}  {outcome(r):<16}"
        lines.append(f"{head}  {evidence_in_words(r)}  [{r.seconds:.1f} s]")
        lines += [f"    {failure}" for failure in r.failures]
    return "\n".join(lines)
