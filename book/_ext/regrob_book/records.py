"""The ledger as the pages see it: judged once, by the tests or else by a build, as plain records."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regrob.claims.claim import Result

Record = dict[str, Any]

KEPT = Path(__file__).resolve().parents[3] / "_build" / "kept" / "ledger"
RUNS_ON = ("mpmath", "numpy", "python-flint", "scipy", "sympy", "torch")

TRIALS = 200  # per check; `python -m regrob verify` tries more
HOLDS, FAILS, PARTLY, OPEN, BROKEN = "holds", "fails as printed", "partly", "open", "broken"
AS_READ, FAILS_AS_READ, SETTLED = "as read", "fails as read", "settled here"
SYMBOL = {HOLDS: "✓", FAILS: "✗", PARTLY: "◐", OPEN: "?", BROKEN: "⚠"}


def judge_all(cache: Path) -> dict[str, Record]:
    """Every claim's record by id, in the paper's order.

    The cache file's name is the `fingerprint`, so that no verdict outlives a change. What a test judged
    in this state, and `keep` stored, is not judged again.
    """
    state = fingerprint()
    stored = cache / f"ledger-{state}.json"
    if not stored.exists():
        records = _judge(state)
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob("ledger-*.json"):
            old.unlink()
        stored.write_text(json.dumps(records, ensure_ascii=False), encoding="utf8")
    return {record["id"]: record for record in json.loads(stored.read_text(encoding="utf8"))}


def _judge(state: str) -> list[Record]:
    from regrob.claims import ledger
    from regrob.claims.claim import judge

    return [_kept(claim.id, state) or as_record(judge(claim, trials=TRIALS)) for claim in ledger.select()]


def as_record(result: Result) -> Record:
    """A judgement as the pages want it."""
    import sympy as sp

    from regrob.claims import ledger

    record = ledger.as_record(result)
    record["as_expected"] = result.as_expected
    record["grounds"] = ledger.evidence_in_words(result)
    record["ancestors"] = sorted(ledger.ancestors(result.claim))
    found = result.counterexample
    if found is not None:
        record["counterexample"] |= {"left_tex": sp.latex(found.left), "right_tex": sp.latex(found.right)}
    return record


def keep(result: Result, state: str) -> None:
    """Store a test's judgement by `TRIALS`, if REGROB_KEEP_OUTPUTS=1, for a build in the same state.

    Args:
        result: the judgement.
        state: the `fingerprint` when the code was loaded.
    """
    if os.environ.get("REGROB_KEEP_OUTPUTS") != "1":
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    unfinished = KEPT / f".{result.claim.id}.part"
    unfinished.write_text(json.dumps({"state": state, "record": as_record(result)}), encoding="utf8")
    unfinished.replace(KEPT / f"{result.claim.id}.json")


def _kept(name: str, state: str) -> Record | None:
    try:
        stored = json.loads((KEPT / f"{name}.json").read_text(encoding="utf8"))
    except FileNotFoundError:
        return None
    return stored["record"] if stored["state"] == state else None


def fingerprint() -> str:
    """A name for all that a verdict depends on: the package, the formal proofs, the versions."""
    import regrob
    from regrob.claims import formal

    versions = [(name, metadata.version(name)) for name in RUNS_ON]
    digest = hashlib.sha256(repr((sys.version_info[:3], platform.machine(), versions, TRIALS)).encode())
    package = Path(regrob.__file__).parent
    proofs = formal.stored()
    proved = sorted(path for path in proofs.folder.iterdir() if path.is_file()) if proofs else []
    sources = [path for path in sorted(package.rglob("*")) if path.suffix in (".py", ".json")]
    for source in (*sources, *proved, Path(__file__)):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def verdict_in_words(record: Record) -> str:
    """What a badge says: "holds", "holds, corrected", "fails as printed", "fails as read", "settled here"."""
    verdict, text = str(record["verdict"]), str(record["text"])
    if verdict == FAILS and text == AS_READ:
        return FAILS_AS_READ
    if verdict == HOLDS and text == AS_READ and record["corrected"]:
        return SETTLED
    return f"{verdict}, {text}" if verdict == HOLDS and text != "as printed" else verdict


REFUTED = ("exact counterexample", "negation")
"""What speaks against the printed text."""


def grounds_in_words(record: Record) -> str:
    """What the verdict rests on; where the printed letters are refuted, the rest supports the corrected."""
    grounds = str(record["grounds"]).split("; ")
    against = "; ".join(part for part in grounds if part.startswith(REFUTED))
    if not record["corrected"] or not against:
        return "; ".join(grounds)
    support = "; ".join(part for part in grounds if not part.startswith(REFUTED))
    return f"{against}; corrected form: {support}" if support else against


def errata(records: dict[str, Record]) -> dict[str, list[Record]]:
    """The statements of the paper that do not simply hold as printed, each in one of six groups."""
    groups: dict[str, list[Record]] = {name: [] for name in ERRATA}
    for record in records.values():
        group = _erratum(record)
        if group is not None:
            groups[group].append(record)
    return groups


ERRATA = ("false", "unsettled", "slips", "corrected", "read", "restated")
"""The groups of `errata`, in the page's order."""


def _erratum(record: Record) -> str | None:
    """The group of a record, or None if it holds as it stands, or is ours."""
    text, verdict = record["text"], record["verdict"]
    if text == "new":
        return None
    if verdict in (OPEN, BROKEN):
        return "unsettled"
    if text == AS_READ:
        return "read" if record["corrected"] or verdict != HOLDS else None
    if verdict in (FAILS, PARTLY):
        return "false"
    if record["transcription"]:
        return "slips"
    return str(text) if text in ERRATA else None


PARTS = ("all", "paper", "new", "false")
"""What a tally counts: all claims, the paper's statements, or ours; or how many of the paper's are false."""


def tally(records: dict[str, Record], part: str) -> str:
    """The summary of a part of the ledger; of "false" the number alone."""
    if part == "false":
        return str(len(errata(records)["false"]))
    new = {"paper": (False,), "new": (True,)}.get(part, (False, True))
    return summary([r for r in records.values() if (r["text"] == "new") in new])


OUTCOMES = {
    "holds": ("holds as printed", "hold as printed"),
    "holds, restated": ("holds as restated", "hold as restated"),
    "holds, as read": ("holds as we read it", "hold as we read them"),
    "holds, corrected": ("holds once corrected", "hold once corrected"),
    SETTLED: ("asks what is settled here", "ask what is settled here"),
    "holds, new": ("holds", "hold"),
    PARTLY: ("holds in part", "hold in part"),
    FAILS_AS_READ: ("fails as we read it", "fail as we read them"),
    FAILS: ("fails as printed", "fail as printed"),
    OPEN: ("is open", "are open"),
    BROKEN: ("has a broken check", "have a broken check"),
}
"""What became of one claim, and of several, in the order in which a sentence tells it."""


def summary(records: list[Record]) -> str:
    """ "8 claims, of which 4 hold as printed, 3 hold once corrected and 1 fails as printed"."""
    count = Counter(verdict_in_words(record) for record in records)
    numbers = [(count[words], phrases) for words, phrases in OUTCOMES.items() if count[words]]
    parts = [f"{number} {several if number > 1 else single}" for number, (single, several) in numbers]
    claims = f"{len(records)} claim{'s' * (len(records) != 1)}"
    if len(parts) == 1:
        return f"{claims}, {'all of which' if len(records) > 1 else 'which'} {parts[0].partition(' ')[2]}"
    return f"{claims}, of which {', '.join(parts[:-1])} and {parts[-1]}"


def brief(records: Sequence[Record]) -> str:
    """ "8 statements: 6 hold (4 as printed, 2 new), 1 partly, 1 fails": short enough for one line."""
    held = Counter(str(record["text"]) for record in records if record["verdict"] == HOLDS)
    others = Counter(str(record["verdict"]) for record in records if record["verdict"] != HOLDS)
    parts = []
    if held:
        kinds = [f"{n} {words}" if len(held) > 1 else words for words, n in held.items()]
        if len(held) > 3:  # the list below the line has the rest
            kinds = [f"{held['as printed']} as printed"]
        parts.append(f"{held.total()} {_plural(HOLDS, held.total())} ({', '.join(kinds)})")
    parts += [f"{n} {_plural(words.removesuffix(' as printed'), n)}" for words, n in others.items()]
    return f"{len(records)} statement{'s' * (len(records) != 1)}: {', '.join(parts)}"


def _plural(words: str, count: int) -> str:
    return words if count == 1 else words.replace("holds", "hold").replace("fails", "fail")
