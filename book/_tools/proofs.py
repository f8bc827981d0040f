"""Compile the formal proofs with Coq, ask it what each theorem says and assumes, and record the answers.

    python book/_tools/proofs.py [--jobs N]            write book/proofs/record.json
    python book/_tools/proofs.py --check [--jobs N]    compare with it, write nothing

The files of `book/proofs` are compiled in `_build/proofs`. Of each theorem that `pairs.toml` names,
Coq prints the statement and the axioms on which its proof rests. Each wrong variant is put to Coq in the
place of its theorem: its statement must be one that Coq understands, and its proof must fail.

What the record has of just these bytes, said by the same versions, is neither asked nor compiled again, but
where something new needs it; `--check` compiles and asks all.
Running this again on the same files changes no byte of the record.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from itertools import dropwhile
from pathlib import Path
from typing import Any

from regrob.claims.formal import PAIRS, RECORD, FormalProof, Proofs, Wrong, file_of, without_comments
from regrob.errors import RegrobError

ROOT = Path(__file__).resolve().parents[2]
INSTALL = """There is no Coq. On Debian or Ubuntu, as root:
    apt-get install --no-install-recommends coq libcoq-coquelicot libcoq-interval libcoq-mathcomp-ssreflect
Elsewhere, with opam and its repository coq-released:
    opam install coq coq-coquelicot coq-interval
Readers need none of it: `make test` holds the recorded proofs against the files without Coq."""
PACKAGES = {"coquelicot": "libcoq-coquelicot", "interval": "libcoq-interval"}
"""The libraries by their name in the record, which is opam's after `coq-`, and Debian's."""
LONGEST = 600
"""Seconds that Coq may take for one file."""
QUIET = ("-q", "-w", "-ambiguous-paths")
"""No settings of the user's own; Coquelicot's coercions are known to be ambiguous."""

HEAD = re.compile(
    r"^[ \t]*((?:From\s+\w+\s+)?(?:Require|Import|Open Scope)\b.*?)\.(?=\s)", re.MULTILINE | re.DOTALL
)
LENGTH_OF_ERROR = 160
"""Characters of an error that are recorded."""
WEAK = ("No product even after head-reduction", "Not an inductive product", "No such hypothesis")
"""Errors of a script that names a hypothesis which the variant has dropped."""
VARIABLE = re.compile(r"[\w', ]+ :=?(?: |$)")
"""The first line of a variable, of those that stand before the message proper."""
REJECTED = "The command has indeed failed with message:\n"
AXIOM = re.compile(r"^(\S+)\s*:", re.MULTILINE)
CLOSED = "Closed under the global context"
TRIAL, STATED, PROVED = "@ trial ", "@ stated", "@ proved"

Trial = tuple[str, Wrong]
"""A claim and one of its wrong variants."""


class NotProvedError(RegrobError):
    """Coq refuses a file, accepts a wrong variant, or says what this program cannot read."""


class Coq:
    """Coq in a folder of its own, with the proofs that it compiles there.

    Args:
        proofs: the files and the pairs.
        folder: where compiled files and questions go; it is emptied.
        jobs: how many processes run side by side.

    Raises:
        NotProvedError: there is no Coq.
    """

    def __init__(self, proofs: Proofs, folder: Path, jobs: int = 1) -> None:
        if shutil.which("coqc") is None:
            raise NotProvedError(INSTALL)
        self.proofs, self.folder, self.jobs = proofs, folder, jobs
        self.version = _output("coqc", "--print-version").split()[0]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def say(self, line: str) -> None:
        """Show how far it is."""
        print(line, flush=True)

    def run(self, name: str, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Coq on a file of this name and text.

        Raises:
            NotProvedError: it takes too long.
        """
        (self.folder / f"{name}.v").write_text(text, encoding="utf-8")
        command = ["coqc", *QUIET, *options, "-Q", ".", "Regrob", f"{name}.v"]
        try:
            return subprocess.run(
                command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            raise NotProvedError(f"Coq does not end within {LONGEST} s on {name}.v") from None

    def compile(self, file: str) -> None:
        """Compile one file, whose requirements are compiled.

        Raises:
            NotProvedError: Coq refuses it.
        """
        began = time.perf_counter()
        done = self.run(file, self.proofs.files[file])
        if done.returncode:
            raise NotProvedError(f"{file}.v does not compile\n{done.stderr.strip()}")
        self.say(f"compiled {file}.v, {time.perf_counter() - began:.1f} s")

    def compile_all(self, files: set[str]) -> None:
        """Compile these files and what they require, each after that, several side by side."""
        needed = {name for file in files for name in self.proofs.closure(file)}
        order = TopologicalSorter({name: self.proofs.requires[name] for name in sorted(needed)})
        order.prepare()
        with ThreadPoolExecutor(self.jobs) as pool:
            running: dict[Future[None], str] = {}
            while order.is_active():
                running |= {pool.submit(self.compile, file): file for file in order.get_ready()}
                for finished in wait(running, return_when=FIRST_COMPLETED).done:
                    finished.result()
                    order.done(running.pop(finished))

    def ask(self, file: str, theorems: list[str], recorded: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Statement, axioms and hash of theorems of one file.

        The question opens what the file opens, so Coq prints as the file is written. Coq reads all libraries
        again for every list of axioms, so theorems of which the record has the same are asked for together:
        none of them can then assume more than the record says.

        Args:
            file: name of the file.
            theorems: their full names.
            recorded: theorem → its entry, as a record has it.

        Raises:
            NotProvedError: Coq's answer cannot be read.
        """
        opening = [f"{sentence}." for sentence in HEAD.findall(without_comments(self.proofs.files[file]))]
        question = [*opening, f"From Regrob Require Import {file}.", "Set Printing Width 76."]
        for name in theorems:
            question += [_marker(f"@@ {name}"), f"Check {name}."]
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in theorems:
            key = tuple(recorded[name]["axioms"]) if name in recorded else (name,)
            groups.setdefault(key, []).append(name)
        for number, group in enumerate(groups.values()):
            question += [f"Definition together_{number} := ({', '.join(group)})."]
            question += [_marker(f"@@ {number}"), f"Print Assumptions together_{number}."]
        answers = [
            answer.partition("\n")[2] for answer in self._answer(f"Ask_{file}", question).split("@@ ")[1:]
        ]
        statements = map(_statement, answers[: len(theorems)])
        axioms = [_axioms(answer) for answer in answers[len(theorems) :]]
        whole = self._locate(file, opening, sorted({name for names in axioms for name in names}))
        assumed = {
            theorem: sorted(whole[name] for name in names)
            for group, names in zip(groups.values(), axioms, strict=True)
            for theorem in group
        }
        entries = {
            name: {"statement": statement, "axioms": assumed[name], "sha256": self.proofs.sha256(file)}
            for name, statement in zip(theorems, statements, strict=True)
        }
        self.say(f"asked for {len(theorems)} theorem{'s' * (len(theorems) != 1)} of {file}.v")
        return entries

    def _locate(self, file: str, opening: list[str], axioms: list[str]) -> dict[str, str]:
        """Axiom as printed → its full name, which tells Coq's own from one of the same name elsewhere."""
        question = [*opening, f"From Regrob Require Import {file}."]
        for axiom in axioms:
            question += [_marker(f"@@ {axiom}"), f"Locate {axiom}."]
        answers = self._answer(f"Locate_{file}", question).split("@@ ")[1:] if axioms else []
        found = {}
        for axiom, answer in zip(axioms, answers, strict=True):
            constant = re.search(r"^Constant\s+(\S+)", answer, re.MULTILINE)
            if constant is None:
                raise NotProvedError(f"Coq does not say where the axiom {axiom} stands:\n{answer}")
            found[axiom] = constant[1]
        return found

    def _answer(self, name: str, question: list[str]) -> str:
        done = self.run(name, "\n".join(question) + "\n")
        if done.returncode:
            raise NotProvedError(f"Coq does not answer {name}.v\n{done.stderr.strip()}")
        return done.stdout

    def refuse(self, file: str, trials: list[Trial]) -> list[dict[str, Any]]:
        """Put wrong variants in the places of their theorems of one file; what Coq says against each.

        The file is read once: `Fail Load` tries a variant where its theorem stands and takes it back. First
        comes a variant's statement without a proof, so that one which Coq does not understand is not taken
        for one that it cannot prove; last what always fails, so that Coq goes on after one that it accepts.

        Raises:
            NotProvedError: Coq does not understand a variant, or proves it.
        """
        places: dict[int, str] = {}
        for number, (_, wrong) in enumerate(trials):
            name = f"Wrong_{file}_{number}"
            statement, proof = self.proofs.variant(wrong)
            lines = [
                statement,
                "Abort.",
                _marker(STATED),
                statement + proof,
                _marker(PROVED),
                "Fail Check nat.",
            ]
            (self.folder / f"{name}.v").write_text("\n".join(lines) + "\n", encoding="utf-8")
            start, _ = self.proofs.span(wrong.theorem)
            places[start] = places.get(start, "") + f'{_marker(f"{TRIAL}{number}")}\nFail Load "{name}".\n'
        text, end = "", 0
        for start in sorted(places):
            text += self.proofs.files[file][end:start] + places[start]
            end = start
        done = self.run(f"Tried_{file}", text, "-test-mode")
        answers = done.stdout.split(TRIAL)[1:]
        if len(answers) != len(trials):  # its status says nothing: sections stand open at the end
            raise NotProvedError(f"Coq does not end the trials of {file}.v\n{done.stderr.strip()}")
        by_number = {int(number): said for number, _, said in (answer.partition("\n") for answer in answers)}
        refusals, failures = [], []
        for number, (claim, wrong) in enumerate(trials):
            said = by_number[number]
            name = f"[{claim}], the wrong variant of {wrong.theorem} with {wrong.what}"
            error = said.partition(REJECTED)[2].partition("\n\n")[0].strip()
            if PROVED in said:
                failures.append(f"{name}: Coq accepts it, so it is no wrong one, or the theorem is not sharp")
            elif STATED not in said:
                failures.append(f"{name}: its statement is none that Coq understands\n{error}")
            elif not error:
                failures.append(f"{name}: Coq ends without saying why")
            else:
                self.say(f"rejected, as it must be: {wrong.theorem} with {wrong.what}")
                refusals.append(
                    {
                        "theorem": wrong.theorem,
                        "what": wrong.what,
                        "rejected": True,
                        "error": _in_short(error),
                        "sha256": self.proofs.variant_sha256(wrong),
                    }
                )
        if failures:
            raise NotProvedError("\n".join(failures))
        return refusals


def _in_short(error: str) -> str:
    """The beginning of an error, on one line, without the variables at that place."""
    lines = error.strip().splitlines()
    if lines[0] == "In environment":
        last = max((number for number, line in enumerate(lines) if VARIABLE.match(line)), default=0)
        lines = list(dropwhile(lambda line: line[:1].isspace(), lines[last + 1 :])) or lines
    return textwrap.shorten(" ".join(lines), LENGTH_OF_ERROR, placeholder=" …")


def _marker(text: str) -> str:
    """A line of Coq that prints the text."""
    return f'Goal True. idtac "{text}". Abort.'


def _statement(answer: str) -> str:
    """What `Check` prints, without the name and the margin."""
    lines = re.sub(r"\A\S+\s*?(?:\n\s*)?: ", "", answer.strip("\n")).rstrip().splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return "\n".join([lines[0].strip(), *(line[margin:].rstrip() for line in lines[1:])])


def _axioms(answer: str) -> list[str]:
    """The names that `Print Assumptions` prints.

    Raises:
        NotProvedError: it prints anything but a list of axioms; also what Coq was told not to check.
    """
    if answer.strip() == CLOSED:
        return []
    title, _, rest = answer.strip().partition("\n")
    names = AXIOM.findall(rest)
    known = [line for line in rest.splitlines() if line.startswith((" ", *names))]
    if title != "Axioms:" or not names or known != rest.splitlines():
        raise NotProvedError(f"Coq's answer is no list of axioms:\n{answer.strip()}")
    return sorted(names)


def _seconds_of_coq() -> float:
    """The processor's time that Coq has taken, which hangs little on what else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _output(*command: str) -> str:
    """What a tool prints; "" where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    except FileNotFoundError:
        return ""


def library_version(name: str) -> str:
    """The version of a library of Coq's, from the manager that has installed it; "unknown" without one."""
    debian = _output("dpkg-query", "-W", "-f", "${Version}", PACKAGES[name]).rpartition("-")
    opam = _output("opam", "list", "--installed", "--short", "--columns=version", f"coq-{name}")
    return re.sub(r"\+dfsg.*", "", debian[0]) or opam or "unknown"


Said = dict[tuple[str, str], dict[str, Any]]
"""(theorem or wrong variant, hash of what Coq read) → what the record has of it."""


def said_before(record: dict[str, Any] | None, versions: dict[str, str]) -> Said:
    """What a record has, if the same versions said it."""
    if record is None or any(record.get(name) != version for name, version in versions.items()):
        return {}
    said: Said = {(name, entry["sha256"]): entry for name, entry in record["theorems"].items()}
    for entries in record["wrong"].values():
        said |= {(entry["what"], entry["sha256"]): entry for entry in entries}
    return said


def make_record(coq: Coq, *, afresh: bool) -> dict[str, Any]:
    """Compile, ask, and try every wrong variant.

    Args:
        coq: with the proofs.
        afresh: ask also what the record has already.

    Raises:
        NotProvedError: Coq is not content; the message has all that it says.
        DataError: the pairs do not fit the files.
    """
    proofs = coq.proofs
    versions = {"coq": coq.version, **{name: library_version(name) for name in PACKAGES}}
    said = {} if afresh else said_before(proofs.record, versions)
    named = dict.fromkeys(name for pair in proofs.pairs.values() for name in pair.named)
    theorems: dict[str, Any] = {}
    by_file: dict[str, list[str]] = {}
    for name in named:
        file = file_of(name)
        if entry := said.get((name, proofs.sha256(file))):
            theorems[name] = entry
        else:
            by_file.setdefault(file, []).append(name)
    trials = [(claim, variant) for claim, pair in proofs.pairs.items() for variant in pair.wrong]
    # A slip in the pairs is told here, before Coq has worked for minutes.
    known = [said.get((variant.what, proofs.variant_sha256(variant))) for _, variant in trials]
    unknown: dict[str, list[Trial]] = {}
    for trial, entry in zip(trials, known, strict=True):
        if not entry:
            unknown.setdefault(file_of(trial[1].theorem), []).append(trial)
    accepted = {file for name in theorems for file in proofs.closure(file_of(name))}
    coq.compile_all({*by_file, *unknown, *(set(proofs.files) - accepted)})
    with ThreadPoolExecutor(coq.jobs) as pool:
        tried = {file: pool.submit(coq.refuse, file, variants) for file, variants in unknown.items()}
        recorded = proofs.record["theorems"] if afresh and proofs.record else {}
        asked = [pool.submit(coq.ask, *question, recorded) for question in by_file.items()]
    finished: list[Future[Any]] = [*asked, *tried.values()]
    failures = [error for future in finished if (error := future.exception())]
    if failures:
        raise NotProvedError("\n".join(map(str, failures)))
    for answer in asked:
        theorems |= answer.result()
    wrong: dict[str, list[Any]] = {claim: [] for claim in proofs.pairs}
    refusals = {file: iter(answer.result()) for file, answer in tried.items()}
    for (claim, variant), entry in zip(trials, known, strict=True):
        wrong[claim].append(entry or next(refusals[file_of(variant.theorem)]))
    return {
        **versions,
        # Of the last run that asked everything.
        "seconds": proofs.record["seconds"] if said and proofs.record else round(_seconds_of_coq()),
        "theorems": {name: theorems[name] for name in named},
        "wrong": wrong,
    }


def weak(record: dict[str, Any]) -> list[str]:
    """The wrong variants that fail for their script's sake alone, before any mathematics."""
    return [
        f"[{claim}]: Coq rejects {entry['what']!r} since the script names a hypothesis that is gone; write "
        "True in its place, and the proof fails where it needs it"
        for claim, entries in record["wrong"].items()
        for entry in entries
        if entry["error"].startswith(WEAK)
    ]


def differences(stored: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """In what two records differ, but for the time that they took.

    Another version of Coq may print a statement or an error in other words: these are compared only where the
    versions are the same.
    """
    versions = ("coq", *PACKAGES)
    in_words = all(stored.get(name) == made[name] for name in versions)
    found = []
    for name in dict.fromkeys([*stored["theorems"], *made["theorems"]]):
        before, now = stored["theorems"].get(name, {}), made["theorems"].get(name, {})
        keys = ("statement", "axioms", "sha256") if in_words else ("axioms", "sha256")
        found += [f"{name}: its {key} differs" for key in keys if before.get(key) != now.get(key)]
    for claim in dict.fromkeys([*stored["wrong"], *made["wrong"]]):
        keys = ("theorem", "what", "rejected", "sha256", *(("error",) if in_words else ()))
        before, now = (
            [{key: entry.get(key) for key in keys} for entry in record["wrong"].get(claim, [])]
            for record in (stored, made)
        )
        if before != now:
            found.append(f"[{claim}]: its wrong variants differ")
    return found


def faults(record: dict[str, Any], proofs: Proofs) -> list[str]:
    """What keeps a pair from counting as proved, but for what only the ledger knows."""
    fresh = Proofs(proofs.folder)
    fresh.record = record
    proved = [FormalProof(pair, fresh) for pair in fresh.pairs.values()]
    return [f"[{p.pair.claim}]: {fault}" for p in proved for fault in p.faults(refuted=False)]


def written(record: dict[str, Any]) -> str:
    """The record as its file has it."""
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Make the record, or compare with it; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compile the formal proofs and record what Coq says of them."
    )
    parser.add_argument("--check", action="store_true", help="compare with the record, write nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="run N at a time")
    parser.add_argument("--proofs", type=Path, default=ROOT / "book" / "proofs", metavar="FOLDER")
    parser.add_argument("--build", type=Path, default=ROOT / "_build" / "proofs", metavar="FOLDER")
    options = parser.parse_args(arguments)
    proofs = Proofs(options.proofs)
    try:
        made = make_record(Coq(proofs, options.build, options.jobs), afresh=options.check)
    except RegrobError as error:
        print(error, file=sys.stderr)
        return 1
    found = faults(made, proofs)
    if options.check:
        found += differences(proofs.record, made) if proofs.record else [f"there is no {RECORD}"]
    for fault in (*found, *weak(made)):
        print(fault, file=sys.stderr)
    if found:
        print("Mend the proofs or the pairs, then run `make proofs`.", file=sys.stderr)
        return 1
    says = f"{len(made['theorems'])} theorems for {len(proofs.pairs)} claims"
    if options.check:
        print(f"{says}: Coq {made['coq']} accepts them, and {RECORD} says what it said.")
        return 0
    if proofs.record and written(proofs.record | {"seconds": 0}) == written(made | {"seconds": 0}):
        print(f"{says}: {RECORD} is as it was.")
        return 0
    (options.proofs / RECORD).write_text(written(made), encoding="utf-8")
    print(f"{says}: written to {RECORD}. Commit it with the proofs and {PAIRS}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
