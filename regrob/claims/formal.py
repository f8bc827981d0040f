"""Formal proofs: what Coq's kernel has accepted, and whether the record of it is true of the files as they are.

`book/proofs` holds the proofs (`*.v`), the reviewed pairs of claims and theorems (`pairs.toml`), and what Coq
said of both (`record.json`, which `make proofs` writes). Nothing here runs Coq: the SHA-256 of each file
says whether Coq saw just these bytes. A wheel carries the folder too. Where it is missing, as in a browser's
Python, no claim is formally proved and none is broken.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from regrob.errors import DataError

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE.parent / "book" / "proofs", PACKAGE / "proofs")
"""In a checkout; in an installed package, whose wheel carries a copy."""
PAIRS, RECORD = "pairs.toml", "record.json"
MEND = "run `make proofs`"

AXIOMS = {
    "Coq.Reals.ClassicalDedekindReals.sig_forall_dec": "Of a property that can be decided for each natural "
    "number, either all numbers have it, or there is one without it.",
    "Coq.Reals.ClassicalDedekindReals.sig_not_dec": "Of each statement, it is decided whether it is false.",
    "Coq.Logic.FunctionalExtensionality.functional_extensionality_dep": "Two functions with the same value "
    "at each argument are equal.",
    "Coq.Logic.Classical_Prop.classic": "Each statement is true or false.",
}
"""The axioms that a proof may use, with what they say: Coq's real numbers rest on them."""

COMMENT = re.compile(r'\(\*|\*\)|"')
REQUIRE = re.compile(r"\bFrom\s+Regrob\s+Require(?:\s+(?:Import|Export))?\s+((?:\w+\s*)+)\.(?=\s|$)")
OTHER_REQUIRE = re.compile(r"\bRequire\b[^.]*\bRegrob\b|\b(?:Load|Declare\s+ML\s+Module)\b")
STATEMENT_END = re.compile(r"\.(?=\s)")
# A comment that ends on the line before.
ABOVE = re.compile(r"\(\*((?:(?!\*\)).)*)\*\)[ \t]*\n\Z", re.DOTALL)
DEFINITION = re.compile(r"^ *(?:Definition|Fixpoint|Inductive|Record)\s+([\w']+)", re.MULTILINE)


@dataclass(frozen=True)
class Wrong:
    """A small wrong that Coq must reject: a theorem in whose statement `replace` is written as `by`.

    Attributes:
        theorem: "File.name".
        replace: occurs once in the theorem, and there in its statement.
        by: what stands in its place.
        what: the mistake, in words.
    """

    theorem: str
    replace: str
    by: str
    what: str


@dataclass(frozen=True)
class Pair:
    """A claim and the theorems that say it, as somebody has compared them.

    Attributes:
        claim: its id.
        theorems: "File.name"; together they say the whole claim.
        instance: a theorem with concrete numbers that meet the hypotheses of the first; "" if there is none.
        negation: the proved negation of the printed statement; "" if it holds as printed.
        reading: how the terms of the theorem are the claim's, with formulas in $…$.
        omits: what the theorem does not say of the claim; "" if nothing.
        wrong: the variants that Coq must reject.
    """

    claim: str
    theorems: tuple[str, ...]
    instance: str
    negation: str
    reading: str
    omits: str
    wrong: tuple[Wrong, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """Every theorem of the pair: those that say the claim, the instance and the negation."""
        return tuple(name for name in (*self.theorems, self.instance, self.negation) if name)


@dataclass(frozen=True)
class Term:
    """Definitions of ours that stand together.

    Attributes:
        file: the name of the file that has them.
        names: theirs.
        meaning: what they say in mathematics, as the comment above them has it; "" without one.
        code: as Coq reads them.
        start: where this begins in the file.
    """

    file: str
    names: tuple[str, ...]
    meaning: str
    code: str
    start: int


class Proofs:
    """A folder of proofs.

    Args:
        folder: with `*.v`, `pairs.toml`, and `record.json` once `make proofs` has run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def files(self) -> dict[str, str]:
        """The text of each file of proofs by its name, `Taylor` for `Taylor.v`."""
        return {path.stem: path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.v"))}

    @cached_property
    def pairs(self) -> dict[str, Pair]:
        """The pairs by the claim's id.

        Raises:
            DataError: the file is no TOML, an entry is missing, unknown or of the wrong type, or it names
                a theorem that its file does not have.
        """
        path = self.folder / PAIRS
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise DataError(f"{PAIRS} is no TOML: {error}") from None
        pairs = {claim: _pair(claim, table) for claim, table in tables.items()}
        for pair in pairs.values():
            for name in (*pair.named, *(wrong.theorem for wrong in pair.wrong)):
                try:
                    self.theorem(name)
                except DataError as error:
                    raise DataError(f"{PAIRS}, [{pair.claim}]: {error}") from None
        return pairs

    @cached_property
    def record(self) -> dict[str, Any] | None:
        """What `make proofs` has written; None if it has not run.

        Raises:
            DataError: the file is no JSON.
        """
        path = self.folder / RECORD
        if not path.is_file():
            return None
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise DataError(f"{RECORD} is no JSON ({error}); {MEND}") from None
        return stored

    @cached_property
    def requires(self) -> dict[str, tuple[str, ...]]:
        """File → the files of ours that it requires, directly.

        Raises:
            DataError: it requires one that is not there, or in a way that cannot be read off its text.
        """
        found = {}
        for name, text in self.files.items():
            code = without_comments(text)
            needed = [file for group in REQUIRE.findall(code) for file in group.split()]
            if OTHER_REQUIRE.search(REQUIRE.sub("", code)):
                raise DataError(
                    f"{name}.v: write `From Regrob Require Import FILE.`, and load nothing otherwise"
                )
            missing = [file for file in needed if file not in self.files]
            if missing:
                raise DataError(
                    f"{name}.v requires {missing[0]}, but there is no {missing[0]}.v in {self.folder.name}"
                )
            found[name] = tuple(needed)
        return found

    def closure(self, file: str) -> list[str]:
        """The file and all files of ours that it requires, directly or not, by name."""
        reached, queue = {file}, [file]
        while queue:
            new = set(self.requires[queue.pop()]) - reached
            reached |= new
            queue += sorted(new)
        return sorted(reached)

    def sha256(self, file: str, text: str | None = None) -> str:
        """The hash of a file and of all files of ours that it requires.

        Args:
            file: its name.
            text: taken in the place of the file's own.
        """
        digest = hashlib.sha256()
        for name in self.closure(file):
            content = text if text is not None and name == file else self.files[name]
            digest.update(f"{name}.v\0{content}\0".encode())
        return digest.hexdigest()

    def span(self, name: str) -> tuple[int, int]:
        """Where a theorem stands in its file, its proof with it.

        Raises:
            DataError: there is no such file or theorem.
        """
        file, _, theorem = name.partition(".")
        if file not in self.files:
            raise DataError(f"there is no {file}.v, so no theorem {name!r}")
        code = without_comments(self.files[file])
        opening = re.search(
            rf"^ *(?:Theorem|Lemma|Corollary|Proposition)\s+{re.escape(theorem)}(?![\w'])", code, re.MULTILINE
        )
        closing = re.compile(r"\bQed\.(?=\s|$)").search(code, opening.end()) if opening and theorem else None
        if not opening or not closing:
            raise DataError(f"{file}.v has no theorem {theorem!r} that ends with Qed")
        return opening.start(), closing.end()

    def theorem(self, name: str) -> str:
        """A theorem with its proof, as its file has it."""
        start, end = self.span(name)
        return self.files[file_of(name)][start:end]

    def variant(self, wrong: Wrong) -> tuple[str, str]:
        """The statement and the proof of a wrong variant of a theorem.

        Raises:
            DataError: what is replaced does not occur just once in the theorem, or not in its statement.
        """
        text = self.theorem(wrong.theorem)
        if (count := text.count(wrong.replace)) != 1:
            raise DataError(
                f"{wrong.theorem}: {wrong.replace!r} occurs {count} times in it, and must occur once"
            )
        end = STATEMENT_END.search(without_comments(text))
        assert end is not None, "a theorem ends with Qed"
        place = text.index(wrong.replace)
        if place + len(wrong.replace) > end.end():
            raise DataError(f"{wrong.theorem}: {wrong.replace!r} stands in its proof; change its statement")
        changed = text[:place] + wrong.by + text[place + len(wrong.replace) :]
        cut = end.end() + len(wrong.by) - len(wrong.replace)
        return changed[:cut], changed[cut:]

    def variant_sha256(self, wrong: Wrong) -> str:
        """The hash of a wrong variant's file, and of what it requires."""
        file = file_of(wrong.theorem)
        start, end = self.span(wrong.theorem)
        text = self.files[file]
        return self.sha256(file, text[:start] + "".join(self.variant(wrong)) + text[end:])

    def recorded(self, name: str) -> dict[str, Any]:
        """What the record has of a theorem: its statement, axioms and hash; empty if it has nothing."""
        entry: dict[str, Any] = (self.record or {}).get("theorems", {}).get(name, {})
        return entry

    def recorded_wrong(self, wrong: Wrong, claim: str) -> dict[str, Any]:
        """What the record has of a wrong variant; empty if it has nothing."""
        entries: list[dict[str, Any]] = (self.record or {}).get("wrong", {}).get(claim, [])
        same = [e for e in entries if (e["theorem"], e["what"]) == (wrong.theorem, wrong.what)]
        return same[0] if same else {}

    def definitions(self, file: str) -> list[Term]:
        """The definitions of a file; those without a blank line between them are one, under the comment above."""
        text = self.files[file]
        code = without_comments(text) + "\n"
        groups: list[tuple[list[str], int, int]] = []
        for match in DEFINITION.finditer(code):
            sentence = STATEMENT_END.search(code, match.end())
            assert sentence is not None, "Coq has compiled it"
            line_end = code.index("\n", sentence.start())
            names, start, end = groups[-1] if groups else ([], 0, 0)
            if names and re.fullmatch(r"[ \t]*\n", text[end : match.start()]):
                groups[-1] = ([*names, match[1]], start, line_end)
            else:
                groups.append(([match[1]], match.start(), line_end))
        found = []
        for names, start, end in groups:
            above = ABOVE.search(text[:start])
            meaning = " ".join(above[1].split()) if above else ""
            found.append(Term(file, tuple(names), meaning, text[start:end].rstrip(), start))
        return found

    def glossary(self, names: tuple[str, ...]) -> list[Term]:
        """What these theorems' statements say in words of ours, directly or in definitions of such words."""
        files = {file for name in names for file in self.closure(file_of(name))}
        terms = [term for file in sorted(files) for term in self.definitions(file)]
        of_word = {word: number for number, term in enumerate(terms) for word in term.names}
        used: set[int] = set()
        queue = [self.recorded(name).get("statement", "") for name in names]
        while queue:
            words = re.findall(r"[A-Za-z_][\w']*", without_comments(queue.pop()))
            new = {of_word[word] for word in words if word in of_word} - used
            used |= new
            queue += [terms[number].code for number in sorted(new)]
        return [terms[number] for number in sorted(used)]


@dataclass(frozen=True)
class FormalProof:
    """One claim's pair, in the folder that has its theorems."""

    pair: Pair
    proofs: Proofs

    @property
    def axioms(self) -> list[str]:
        """Every axiom that one of its theorems uses."""
        return sorted({a for name in self.pair.named for a in self.proofs.recorded(name).get("axioms", ())})

    def faults(self, *, refuted: bool) -> list[str]:
        """Why the claim is not formally proved; empty if it is.

        Args:
            refuted: the printed statement is false, wholly or in part, so its negation must be proved.
        """
        if self.proofs.record is None:
            return [f"the formal proof has no record; {MEND}"]
        found = [fault for name in self.pair.named for fault in self._faults_of_theorem(name)]
        if not self.pair.theorems:
            found.append(f"{PAIRS} names no theorem for it")
        if not self.pair.instance:
            found.append(f"{PAIRS} names no instance with concrete numbers")
        if refuted and not self.pair.negation:
            found.append(f"the printed statement fails, and {PAIRS} names no proof of its negation")
        if not self.pair.wrong:
            found.append(f"{PAIRS} has no wrong variant of its theorem")
        found += [fault for wrong in self.pair.wrong for fault in self._faults_of_wrong(wrong)]
        return found

    def _faults_of_theorem(self, name: str) -> Iterator[str]:
        entry, file = self.proofs.recorded(name), file_of(name)
        if not entry.get("statement"):
            yield f"the record has no statement of {name}; {MEND}"
            return
        if entry.get("sha256") != self.proofs.sha256(file):
            yield f"the record of {name} is stale, {file}.v or a file that it requires has changed; {MEND}"
        for axiom in entry.get("axioms", ["an unknown axiom"]):
            if axiom not in AXIOMS:
                yield f"{name} assumes {axiom}, which is none of the axioms that a proof may use"

    def _faults_of_wrong(self, wrong: Wrong) -> Iterator[str]:
        entry = self.proofs.recorded_wrong(wrong, self.pair.claim)
        if wrong.theorem not in self.pair.theorems:
            yield f"{PAIRS} has a wrong variant of {wrong.theorem}, which is none of the claim's theorems"
        elif not entry:
            yield f"the record has no wrong variant of {wrong.theorem} with {wrong.what}; {MEND}"
        elif entry.get("rejected") is not True:
            yield f"Coq accepts a wrong variant of {wrong.theorem}: {wrong.what}"
        elif entry.get("sha256") != self._hash_of_variant(wrong):
            yield f"the record of the wrong variant ({wrong.what}) of {wrong.theorem} is stale; {MEND}"

    def _hash_of_variant(self, wrong: Wrong) -> str:
        """Its hash; "" where the theorem has changed so that there is no such variant."""
        try:
            return self.proofs.variant_sha256(wrong)
        except DataError:
            return ""

    def as_record(self) -> dict[str, Any]:
        """For JSON: names of theorems, instance and negation (None without one), and the axioms of all."""
        return {
            "theorems": list(self.pair.theorems),
            "instance": self.pair.instance,
            "negation": self.pair.negation or None,
            "axioms": self.axioms,
        }


@cache
def stored() -> Proofs | None:
    """The book's proofs; None where they are not at hand."""
    for place in PLACES:
        if (place / PAIRS).is_file():
            return Proofs(place)
    return None


def of_claims(known: Container[str]) -> dict[str, FormalProof]:
    """Claim → its formal proof, for every claim that has one; empty where the proofs are not at hand.

    Args:
        known: the ids of the ledger's claims.

    Raises:
        DataError: the pairs cannot be read, or speak of a claim or theorem that is not there.
    """
    proofs = stored()
    if proofs is None:
        return {}
    for claim in proofs.pairs:
        if claim not in known:
            raise DataError(f"{PAIRS} has a table [{claim}], but the ledger has no claim of that name")
    return {claim: FormalProof(pair, proofs) for claim, pair in proofs.pairs.items()}


def _pair(claim: str, table: dict[str, Any]) -> Pair:
    """One table of `pairs.toml`, its types checked."""
    texts = ("instance", "negation", "reading", "omits")
    table = {"wrong": [], **table}
    _check_entries(f"[{claim}]", table, {"theorems": list, "wrong": list, **dict.fromkeys(texts, str)})
    for entry in table["wrong"]:
        _check_entries(f"[[{claim}.wrong]]", entry, dict.fromkeys(("theorem", "replace", "by", "what"), str))
    return Pair(
        claim,
        theorems=tuple(table["theorems"]),
        wrong=tuple(Wrong(**entry) for entry in table["wrong"]),
        **{name: table[name].strip() for name in texts},
    )


def _check_entries(where: str, table: dict[str, Any], wanted: Mapping[str, type]) -> None:
    for name in table:
        if name not in wanted:
            raise DataError(
                f"{PAIRS}, {where}: no entry is called {name!r}; there are {', '.join(wanted)} "
                "(and an id with a dot needs quotation marks)"
            )
    for name, kind in wanted.items():
        if name not in table:
            raise DataError(f"{PAIRS}, {where}: {name!r} is missing")
        if not isinstance(table[name], kind):
            raise DataError(f"{PAIRS}, {where}: {name!r} must be a {kind.__name__}, got {table[name]!r}")


def file_of(theorem: str) -> str:
    """The file of a theorem, by its full name.

    >>> file_of("Taylor.overshoots")
    'Taylor'
    """
    return theorem.partition(".")[0]


def without_comments(text: str) -> str:
    """Coq's code with blanks for its comments and strings, each character in its place."""
    kept = list(text)
    depth, start, in_string = 0, 0, False
    for match in COMMENT.finditer(text):
        mark = match[0]
        if mark == '"':
            if not in_string and depth == 0:
                start = match.start()
            in_string = not in_string
        elif in_string:
            continue
        else:
            if mark == "(*" and depth == 0:
                start = match.start()
            depth = max(0, depth + (1 if mark == "(*" else -1))
        if depth == 0 and not in_string:
            for at in range(start, match.end()):
                kept[at] = " " if kept[at] != "\n" else "\n"
            start = match.end()
    return "".join(kept)
