"""All claims together: select, judge, and print."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from typing import Any

from regrob.claims.claim import Claim, Evidence, Result, judge
from regrob.claims.statements import (
    affine,
    appendix_d,
    binary,
    certificates,
    comparison,
    confidence,
    equivalence,
    equivalence_theorem,
    equivalence_training,
    exact_curvature,
    exact_radius,
    figure_3,
    lemma_3_1,
    lemma_4_1,
    linf,
    linf_many_classes,
    logistic,
    ordering,
    piecewise,
    proposition_4_1,
    setting,
    trained,
    worst_case,
)
from regrob.errors import InputError, RegrobError

_CHAPTERS = (
    setting.CLAIMS,
    piecewise.CLAIMS,
    affine.CLAIMS,
    setting.AFTER_LEMMA,
    lemma_3_1.CLAIMS,
    binary.CLAIMS,
    certificates.AFTER_PROP_3_1,
    linf.CLAIMS,
    worst_case.CLAIMS,
    comparison.CLAIMS,
    figure_3.CLAIMS,
    equivalence.CLAIMS,
    equivalence_theorem.CLAIMS,
    equivalence_training.CLAIMS,
    lemma_4_1.CLAIMS,
    lemma_3_1.APPENDIX,
    proposition_4_1.CLAIMS,
    linf_many_classes.CLAIMS,
    ordering.CLAIMS,
    certificates.CLAIMS,
    linf.APPENDIX,
    worst_case.APPENDIX,
    appendix_d.CLAIMS,
    confidence.CLAIMS,
    trained.CLAIMS,
    logistic.CLAIMS,
    exact_curvature.CLAIMS,
    exact_radius.CLAIMS,
)

CLAIMS: dict[str, Claim] = {claim.id: claim for claims in _CHAPTERS for claim in claims}
"""Every claim by id, in the paper's order."""


def select(only: Iterable[str] = ()) -> list[Claim]:
    """The claims with these ids, or all of them.

    Raises:
        InputError: an unknown id; the message lists the known ones.
    """
    wanted = list(only)
    unknown = [name for name in wanted if name not in CLAIMS]
    if unknown:
        raise InputError(f"no claim is called {unknown[0]!r}; the ledger has {', '.join(CLAIMS)}")
    return [CLAIMS[name] for name in wanted] if wanted else list(CLAIMS.values())


def verify(
    only: Iterable[str] = (), *, trials: int = 1000, seed: int = 0, device: str = "cpu"
) -> Iterator[Result]:
    """Judge the claims one by one, yielding each result as it is ready."""
    for claim in select(only):
        yield judge(claim, trials=trials, seed=seed, device=device)


def ancestors(claim: Claim) -> set[str]:
    """Ids of all claims that this one rests on, directly or not."""
    found: set[str] = set()
    queue = list(claim.depends)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += CLAIMS[name].depends
    return found


def evidence_in_words(result: Result) -> str:
    """What the verdict rests on: "general derivation; numeric, 6000 trials, worst 2e-16"."""
    parts = []
    for kind in result.evidence:
        if kind is Evidence.NUMERIC:
            parts.append(f"{kind.value}, {result.trials} trials in float64, worst {result.worst:.1e}")
        else:
            parts.append(kind.value)
    if result.counterexample is not None:
        parts.append("exact counterexample")
    return "; ".join(parts) or "none"


def as_record(result: Result) -> dict[str, Any]:
    """One JSON object a claim, with the fields that the command line promises."""
    claim, found = result.claim, result.counterexample
    return {
        "id": claim.id,
        "where": claim.where,
        "title": claim.title,
        "printed": claim.printed,
        "corrected": claim.corrected,
        "text": claim.text.value,
        "verdict": result.verdict.value,
        "expected": claim.expected.value,
        "evidence": [kind.value for kind in result.evidence],
        "trials": result.trials,
        "worst": result.worst if math.isfinite(result.worst) else None,
        "tolerance": result.tolerance if math.isfinite(result.tolerance) else None,
        "hypotheses": list(claim.hypotheses),
        "depends": list(claim.depends),
        "counterexample": None
        if found is None
        else {
            "instance": found.instance,
            "left": str(found.left),
            "relation": found.relation,
            "right": str(found.right),
            "left_value": str(found.left.evalf(6)),
            "right_value": str(found.right.evalf(6)),
        },
        "transcription": claim.transcription,
        "failures": list(result.failures),
        "chapter": claim.chapter,
        "seconds": round(result.seconds, 3),
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
            (r.claim.id, r.claim.text.value, ", ".join(kind.value for kind in r.evidence), r.verdict.value)
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


def verdicts(*ids: str, trials: int = 200) -> Verdicts:
    """Judge the named claims now and return their table.

    Raises:
        InputError: an unknown id.
        RegrobError: a verdict that the ledger does not expect.
    """
    results = list(verify(ids, trials=trials))
    for result in results:
        if not result.as_expected:
            raise RegrobError(f"{result.claim.id}: {result.verdict.value}; {'; '.join(result.failures)}")
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
        head = f"{mark} {r.claim.id:<{width}}  {r.verdict.value:<16}"
        lines.append(f"{head}  {evidence_in_words(r)}  [{r.seconds:.1f} s]")
        lines += [f"    {failure}" for failure in r.failures]
    return "\n".join(lines)
