"""What a claim is: a statement, the checks that judge it, and the verdict they lead to.

Three questions are kept apart. *Text*: is the statement judged as printed, corrected, or is it
a new one? *Evidence*: on what grounds? *Verdict*: what came out? Only the first answer is
written down; the other two are computed each time the ledger runs.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from regrob.claims.measurement import Measurement, Tally
from regrob.errors import ProofError, RegrobError
from regrob.symbols import watched

if TYPE_CHECKING:
    import sympy as sp

    from regrob.claims.check import Check
    from regrob.claims.enclosure import EnclosedCheck
    from regrob.claims.formal import FormalProof
    from regrob.claims.needed import Needed


CLASSES = re.compile(r"K = (\d+)")
"""A hypothesis that fixes the number of classes."""


class Text(StrEnum):
    """Whose words the claim's checks test."""

    AS_PRINTED = "as printed"
    AS_READ = "as read"
    CORRECTED = "corrected"
    RESTATED = "restated"
    NEW = "new"


class Evidence(StrEnum):
    """On what grounds the verdict stands, strongest first."""

    FORMAL = "formally proved"
    GENERAL = "general derivation"
    FINITE = "derivation at fixed K or n"
    ENCLOSED = "interval arithmetic"
    NUMERIC = "numeric"
    EXPERIMENT = "experiment"


class Verdict(StrEnum):
    """What came out. BROKEN means that the ledger itself is at fault: a check or tooth failed."""

    HOLDS = "holds"
    FAILS = "fails as printed"
    PARTLY = "partly"
    OPEN = "open"
    BROKEN = "broken"


@dataclass(frozen=True)
class Derivation:
    """A symbolic proof in steps: each runs, raises ProofError if it fails, and says in words what it proves.

    How general it is nobody writes down: while a step runs, the helpers of `regrob.symbols` note for which
    numbers of classes and inputs, and the weakest step decides.

    Attributes:
        steps: the proof, one function a step; the docstring says what the step proves.
        tooth: the same proof of a wrong statement, which must raise ProofError.
        wrong: what the wrong statement gets wrong, in words.
        experiment: a training stands in the place of a proof.
    """

    steps: tuple[Callable[[], object], ...]
    tooth: Callable[[], object]
    wrong: str
    experiment: bool = False

    def prove(self, classes: int | None = None) -> tuple[Evidence, str]:
        """Run all steps, for a statement about `classes` classes, or any number.

        Returns:
            How strong they are, and for which sizes they hold: "any n and K", "any n, K = 2", "K = 3, n = 1".

        Raises:
            ProofError: a step fails, or leaves open for how many classes it holds although the statement is
                about any number.
        """
        if self.experiment:
            for step in self.steps:
                step()
            return Evidence.EXPERIMENT, ""
        fixed: dict[str, int] = {}
        for step in self.steps:
            with watched() as sizes:
                step()
            fixed |= sizes.fixed
            if classes is None and not sizes.general and not sizes.fixed:
                raise ProofError(f"{step.__name__} does not show for how many classes it holds")
        if any((name, size) != ("K", classes) for name, size in fixed.items()):
            return Evidence.FINITE, ", ".join(f"{name} = {size}" for name, size in fixed.items())
        return Evidence.GENERAL, "any n and K" if classes is None else f"any n, K = {classes}"

    def in_words(self) -> list[str]:
        """What each step proves, as its docstring says."""
        return [" ".join((step.__doc__ or "").split()) for step in self.steps]


def proof(*steps: Callable[..., object], wrong: object, mistake: str) -> Derivation:
    """The derivation by these steps, with the first at a wrong choice as its tooth.

    A statement and its tooth differ in one choice, a sign, a factor or the number of classes: so the
    proof is written once, as a function of that choice, right by default.

    Args:
        steps: each runs a part of the proof and raises ProofError if it fails.
        wrong: the choice of the first step that must be caught.
        mistake: the wrong choice, in words.
    """
    return Derivation(steps, lambda: steps[0](wrong), mistake)


@dataclass(frozen=True)
class Counterexample:
    """Exact numbers at which the printed statement `left relation right` is false.

    Attributes:
        instance: the numbers, in LaTeX, small enough to check by hand.
        left, right: both sides, as exact SymPy numbers (no floats, no free symbols).
        relation: what the paper prints between them: "=", "<=" or ">=".
    """

    instance: str
    left: sp.Expr
    relation: str
    right: sp.Expr

    def refutes(self) -> bool:
        """Evaluate the relation in exact arithmetic; True if the printed statement is false.

        Raises:
            ProofError: a float got in, the relation is none of the three, or the sign of
                left − right cannot be decided.
        """
        import sympy as sp

        if self.relation not in ("=", "<=", ">="):
            raise ProofError(f"the relation must be '=', '<=' or '>=', got {self.relation!r}")
        for side in (self.left, self.right):
            if not isinstance(side, sp.Expr) or side.has(sp.Float):
                raise ProofError(f"a counterexample must be exact SymPy numbers, got {side!r}")
        difference = self.left - self.right
        # evalf raises its own precision until the leading digits are certain; a zero has none.
        value = difference.evalf(30)
        if not value.is_comparable or value.is_zero:
            if difference.equals(0):  # a slow search for a proof, so only where it can succeed
                return False
            raise ProofError(f"cannot decide the sign of {difference}")
        return bool({"=": value != 0, "<=": value > 0, ">=": value < 0}[self.relation])


@dataclass(frozen=True)
class Claim:
    """One statement of the paper, or one new theorem of this book.

    Attributes:
        id: stable name, "lemma-3.2-gradient".
        where: its place in the paper, "Section 3.1, Eq. (7)"; it begins with "new" where the paper has none.
        title: a few words.
        printed: the statement as printed, in LaTeX; ours, if the text is new.
        hypotheses: every one, explicit.
        corrected: the statement that the checks test, where it differs from the printed one.
        restated: the corrected statement says the same in a form that can be tested; nothing was wrong.
        reading: what we take the paper's words to state, where they are no formula; `printed` then quotes them.
            A question that the paper leaves open is read as one, and `corrected` answers it.
        transcription: True if the fault is a slip of the print, or of the text's recovery, which the paper's own
            formulas mend: then `corrected` is judged, and the counterexample shows only that the letters cannot stand.
        depends: ids of the claims that its proof uses.
        derivation, counterexample: what judges it symbolically.
        formal: its proof in Coq; none in `statements`, as `ledger.select` adds it.
        needed: what shows that its hypotheses are; none in `statements`, as the ledger adds it.
        enclosed: what judges it by interval arithmetic; none in `statements`, as the ledger adds them.
        checks: what judges it in float64; none in `statements`, as `numbers.with_numbers` adds them.
        expected: the verdict that the ledger must reach; PARTLY says that the counterexample
            refutes only a part.
        chapter: document name of the page that treats it, "book/lemma_3_2".
    """

    id: str
    where: str
    title: str
    printed: str
    chapter: str
    hypotheses: tuple[str, ...] = ()
    corrected: str | None = None
    restated: bool = False
    reading: str = ""
    transcription: bool = False
    depends: tuple[str, ...] = ()
    derivation: Derivation | None = None
    needed: Needed | None = None
    enclosed: tuple[EnclosedCheck, ...] = ()
    checks: tuple[Check, ...] = ()
    counterexample: Callable[[], Counterexample] | None = None
    formal: FormalProof | None = None
    expected: Verdict = Verdict.HOLDS

    @property
    def needs_torch(self) -> bool:
        """Whether nothing but checks in float64 could judge it; a slip's counterexample judges the letters alone."""
        refuted = self.counterexample is not None and not self.transcription
        return self.derivation is None and not refuted and not self.enclosed

    @property
    def classes(self) -> int | None:
        """The number of classes that the hypotheses fix, "K = 2"; None if the statement is about any number."""
        fixed = [int(words[1]) for words in map(CLASSES.fullmatch, self.hypotheses) if words]
        return fixed[0] if fixed else None

    @property
    def text(self) -> Text:
        """Whose words the checks test."""
        if self.where.startswith("new"):
            return Text.NEW
        if self.reading:
            return Text.AS_READ
        if self.corrected is None:
            return Text.AS_PRINTED
        return Text.RESTATED if self.restated else Text.CORRECTED


@dataclass
class Result:
    """A claim's verdict and what it rests on.

    Attributes:
        claim: what was judged.
        verdict, evidence: computed.
        sizes: for which n and K the derivation holds, in words; empty without one.
        numeric: what the checks in float64 say together.
        enclosed: what those by interval arithmetic say together.
        counterexample: the exact instance, if the printed statement fails.
        failures: what went wrong, if the verdict is BROKEN; empty otherwise.
        seconds: wall time.
    """

    claim: Claim
    verdict: Verdict = Verdict.OPEN
    evidence: tuple[Evidence, ...] = ()
    sizes: str = ""
    numeric: Tally = field(default_factory=Tally)
    enclosed: Tally = field(default_factory=Tally)
    counterexample: Counterexample | None = None
    failures: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one the ledger expects, with every tooth biting."""
        return self.verdict == self.claim.expected and not self.failures

    def _fail(self, message: str) -> None:
        self.failures += (message,)

    def _prove(self, formal: FormalProof) -> None:
        slip = self.claim.transcription and self.claim.counterexample is not None
        refuted = self.claim.expected in (Verdict.FAILS, Verdict.PARTLY) or slip
        faults = formal.faults(refuted=refuted)
        for fault in faults:
            self._fail(fault)
        if not faults:
            self.evidence += (Evidence.FORMAL,)

    def _derive(self, derivation: Derivation) -> None:
        try:
            kind, self.sizes = derivation.prove(self.claim.classes)
            self.evidence += (kind,)
        except ProofError as error:
            self._fail(f"the derivation fails: {error}")
        try:
            derivation.tooth()
        except ProofError:
            return
        self._fail(f"the derivation proves a wrong statement too: {derivation.wrong}")

    def _measure(
        self, check: Check | EnclosedCheck, measure: Callable[[], Measurement], kind: Evidence, tally: Tally
    ) -> None:
        try:
            measured = measure()
        except RegrobError as error:
            self._fail(f"{check.name}: {error}")
            return
        tally.add(measured, check.tolerance)
        if not measured.worst <= check.tolerance:  # true of NaN too
            self._fail(f"{check.name}: {measured.worst:.2e} exceeds {check.tolerance:.0e}")
        elif kind not in self.evidence:
            self.evidence += (kind,)
        for fault in measured.faults_of_the_tooth(check.tolerance):
            self._fail(f"{check.name}: {fault} ({check.wrong})")

    def _refute(self, counterexample: Counterexample) -> None:
        self.counterexample = counterexample
        try:
            if not counterexample.refutes():
                self._fail(f"the counterexample does not refute: {counterexample.instance}")
        except ProofError as error:
            self._fail(f"the counterexample proves nothing: {error}")

    def _conclude(self) -> Verdict:
        if self.failures:
            return Verdict.BROKEN
        if self.counterexample is not None and not self.claim.transcription:
            return Verdict.PARTLY if self.claim.expected is Verdict.PARTLY else Verdict.FAILS
        return Verdict.HOLDS if self.evidence else Verdict.OPEN


def judge(claim: Claim, *, trials: int = 1000, seed: int = 0, device: str = "cpu") -> Result:
    """Run a claim's derivation, checks, teeth and exact instances, look up its formal proof; compute the verdict.

    Args:
        claim: what to judge, by all that it has: a claim without checks is judged by the rest.
        trials: random instances that a check in float64 draws.
        seed: in float64, a check's instances depend on it and on the names of claim and check alone.
        device: where the instances live.
    """
    started = time.perf_counter()
    judgement = Result(claim)
    if claim.formal is not None:
        judgement._prove(claim.formal)
    if claim.derivation is not None:
        judgement._derive(claim.derivation)
    if claim.needed is not None:
        for fault in claim.needed.faults():
            judgement._fail(f"hypotheses: {fault}")
    for enclosed in claim.enclosed:
        judgement._measure(enclosed, enclosed.measure, Evidence.ENCLOSED, judgement.enclosed)
    for check in claim.checks:
        check_seed = zlib.crc32(f"{claim.id}/{check.name}/{seed}".encode())
        measure = partial(check.measure, trials=trials, seed=check_seed, device=device)
        judgement._measure(check, measure, Evidence.NUMERIC, judgement.numeric)
    if claim.counterexample is not None:
        judgement._refute(claim.counterexample())
    judgement.verdict = judgement._conclude()
    judgement.seconds = time.perf_counter() - started
    return judgement
