"""All that some minutes of one GPU can do for this project: checks, speed, and the paper's sweep.

    make gpu MINUTES=9 OUT=folder                 on the GPU
    make gpu MINUTES=2 OUT=folder DEVICE=cpu      the rehearsal, from end to end, on a processor

Each part runs in a process of its own, so that one that hangs or breaks its device ends alone.
The folder holds `report.json`, whole after every check and every row, a log, and the parcel
of the sweep (`parcels`); the next call with the same folder, or with FROM=folder, goes on with it.
At most eight files, none above 16 MB.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regrob.analysis.tables import write_atomically
from regrob.errors import DataError, InputError
from regrob.experiments import paper_runs, parcels

ROOT = Path(__file__).resolve().parents[2]
CHECKS, BENCH = 0.45, 0.2
"""Shares of the time that checks and bench may take at most; the sweep has the rest."""

PACKING = 12.0
"""Seconds kept at the end, to pack the sweep and to stop."""

LOG = 2**20
"""Bytes of the children's messages that are kept, the last ones."""

ON_CUDA = [("fig4", "paper", "lenet-5"), ("fig4", "paper", "lenet-300-100")]
REHEARSED = [("fig2", "quick", "lenet-5")]
"""What is swept: figure, preset, network. Figure 2 is a part of Figure 4."""

STORE = Path("book/results/paper")
"""What earlier runs have finished, in the repository."""


say = functools.partial(print, flush=True)


class StoppedError(Exception):
    """Somebody asked this process to end."""


@dataclass
class Session:
    """One run: where it writes, until when, and what it has found so far.

    Attributes:
        out: the folder of the report.
        device: cpu, cuda, cuda:1, …
        deadline: on the clock of `time.monotonic`.
        only: beginnings of the ids of the checks to run; all if empty.
        report: what `report.json` says.
    """

    out: Path
    device: str
    deadline: float
    only: Sequence[str] = ()
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def on_cuda(self) -> bool:
        """Whether this is the real run and no rehearsal."""
        return self.device.startswith("cuda")

    def save(self) -> None:
        """Write the report, whole."""
        text = json.dumps(self.report, indent=1, ensure_ascii=False)
        write_atomically(self.out / "report.json", text.encode())

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def child(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python process of this interpreter in the repository; what it complains of goes to the log."""
        with (self.out / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )


def lines(child: subprocess.Popen[bytes], until: float) -> Iterator[str]:
    """What a child prints, line by line, until it ends or the clock reaches `until`; then it is killed."""
    assert child.stdout is not None
    unfinished = b""
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(child.stdout, selectors.EVENT_READ)
            while waiting.select(timeout=max(0.0, until - time.monotonic())):
                block = os.read(child.stdout.fileno(), 2**16)
                if not block:
                    return
                *whole, unfinished = (unfinished + block).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
    finally:
        end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that still runs, and wait for it."""
    if child.poll() is None:
        try:
            child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def check(session: Session, seconds: float) -> None:
    """Run the checks. One that ends its process is noted, and the next one begins in a new process."""
    until = time.monotonic() + seconds
    outcomes: list[dict[str, Any]] = session.report.setdefault("checks", [])
    first = session.child("-m", "regrob.bench.device_checks", "--device", session.device, "--list")
    names = [n for n in lines(first, until) if not session.only or n.startswith(tuple(session.only))]
    session.report["not reached"] = names
    session.save()
    if not names:
        return
    while names and time.monotonic() < until:
        child = session.child(
            "-m", "regrob.bench.device_checks", "--device", session.device, "--only", *names
        )
        outcome: dict[str, Any] = {}
        for line in lines(child, until):
            outcome = json.loads(line)
            outcomes.append(outcome)
            names.remove(outcome["id"])
            say(f"{'✓' if outcome['passed'] else '✗'} {outcome['id']} ({outcome['seconds']} s)")
            session.report["not reached"] = names
            session.save()
        # After an error the process ends by itself, because its device may be broken for good.
        if names and not outcome.get("error") and time.monotonic() < until:
            broken = names.pop(0)
            error = f"the process ended with status {child.returncode}; see log.txt"
            outcomes.append({"id": broken, "passed": False, "seconds": None, "error": error})
            session.save()
            say(f"✗ {broken}: {error}")


def bench(session: Session, seconds: float) -> None:
    """Measure the rows about the device."""
    size = () if session.on_cuda else ("--quick",)
    child = session.child("-m", "regrob.bench.run", "--device", session.device, *size)
    outcomes: list[dict[str, Any]] = session.report.setdefault("bench", [])
    for line in lines(child, time.monotonic() + seconds):
        outcomes.append(json.loads(line))
        session.save()
        say(f"· {outcomes[-1]['row']}: {outcomes[-1]['median']}")
    session.report["bench status"] = child.returncode


def sweep(session: Session, folder: Path) -> None:
    """Go on with the sweeps until `PACKING` seconds before the deadline, then pack what there is."""
    until = session.deadline - PACKING
    statuses: dict[str, Any] = {}
    packed = parcels.count(folder)
    said: list[str] = []
    for figure, preset, network in ON_CUDA if session.on_cuda else REHEARSED:
        if time.monotonic() >= until:
            break
        words = ("sweep", figure, "--preset", preset, "--networks", network)
        child = session.child("-m", "regrob", *words, "--device", session.device, "--out", str(folder))
        try:
            while child.poll() is None and time.monotonic() < until:
                time.sleep(0.2)
                if parcels.count(folder) > packed:
                    packed = parcels.pack_results(folder, session.out)
                    say(f"· {packed} shards are finished")
        finally:
            cut = child.poll() is None
            end(child)
        statuses[f"{figure} {network}"] = "time ran out" if cut else child.returncode
        if not cut and child.returncode:
            said.append(last_words(session))
    finished = parcels.pack(folder, session.out)
    session.report["sweep"] = {"finished shards": finished, "statuses": statuses, "said": said}
    session.save()


def tail(path: Path, size: int = 2000) -> str:
    """The end of a text file; empty if there is none."""
    content = path.read_bytes()[-size:] if path.exists() else b""
    return content.decode(errors="replace")


def last_words(session: Session) -> str:
    """The last line that a child complained in."""
    return "".join(tail(session.out / "log.txt").strip().splitlines()[-1:])


def passed(report: dict[str, Any]) -> bool:
    """Whether checks were made and all passed, no row missed its target, and the sweep did not fail."""
    statuses = report.get("sweep", {}).get("statuses", {})
    return (
        bool(report.get("checks"))
        and all(outcome["passed"] for outcome in report["checks"])
        and bool(report.get("bench"))
        and report.get("bench status") in (0, -signal.SIGKILL)
        and all(row["met"] is not False for row in report["bench"])
        and bool(statuses)
        and all(status in (0, "time ran out") for status in statuses.values())
    )


def run(out: Path, *, device: str, minutes: float, start: Path | None, only: Sequence[str] = ()) -> bool:
    """Everything; whether all of it went well.

    Args:
        out: folder of the report, made if missing; a parcel that lies there is gone on with.
        device: cpu, cuda, cuda:1, …
        minutes: how long it may take, at least one.
        start: folder of an earlier run to go on with, if it is not `out`.
        only: beginnings of the ids of the checks to run; all if empty.

    Raises:
        InputError: less than a minute; a device that cannot be used here.
        DataError: the folder cannot be written.
    """
    if not minutes >= 1:
        raise InputError(f"minutes must be at least 1, got {minutes}")
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    session = Session(out, device, began + 60 * minutes, only)
    (out / "log.txt").write_bytes(b"")
    parts: list[tuple[str, Callable[[float], None], float]] = [
        ("Checks", lambda seconds: check(session, seconds), CHECKS),
        ("Speed", lambda seconds: bench(session, seconds), BENCH),
    ]
    with tempfile.TemporaryDirectory(prefix="regrob-") as name:
        folder = Path(name)
        parcels.unpack(out, folder)
        if start is not None:
            parcels.unpack(start, folder)
        if session.on_cuda:
            paper_runs.restore(folder, ROOT / STORE)
        carried = parcels.count(folder)
        session.report |= {"device": device, "minutes": minutes, "shards carried over": carried}
        try:
            session.report["made by"] = provenance(session)
            session.save()
            for title, part, share in parts:
                say(f"== {title}")
                part(min(60 * minutes * share, session.left() - PACKING))
            say("== The sweep")
            sweep(session, folder)
        except StoppedError:
            say("asked to stop; packing what there is")
            parcels.pack(folder, out)
    log = tail(out / "log.txt", LOG).encode()
    write_atomically(out / "log.txt", log)
    session.report["seconds"] = round(time.monotonic() - began, 1)
    session.report["passed"] = passed(session.report)
    session.save()
    return bool(session.report["passed"])


def provenance(session: Session) -> dict[str, Any]:
    """Versions, device, commit and date, as a child sees them: this process never opens the device."""
    code = "import json; from regrob import cli; from regrob.experiments.provenance import provenance; "
    code += "from regrob.bench import harness; "
    code += f"cli.check_device({session.device!r}); "
    code += "print(json.dumps(provenance() | {'machine': harness.machine()}))"
    printed = list(lines(session.child("-c", code), session.deadline))
    if not printed:
        raise InputError(last_words(session).removeprefix("regrob.errors.InputError: "))
    made: dict[str, Any] = json.loads(printed[-1])
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run; 0 if everything went well, 1 if not, 2 if it could not begin."""
    parser = argparse.ArgumentParser(prog="regrob.bench.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=9.0, metavar="M", help="of wall time (9)")
    parser.add_argument("--device", default="cuda", metavar="D", help="cpu for a rehearsal (cuda)")
    parser.add_argument("--from", type=Path, dest="start", metavar="DIR", help="go on from what is there")
    parser.add_argument("--checks", nargs="*", default=[], metavar="ID", help="only checks that begin so")
    options = parser.parse_args(arguments)

    def stop(*_: object) -> None:
        raise StoppedError

    signal.signal(signal.SIGTERM, stop)
    try:
        good = run(
            options.out,
            device=options.device,
            minutes=options.minutes,
            start=options.start,
            only=options.checks,
        )
    except (InputError, DataError) as error:
        print(f"regrob.gpu: {error}", file=sys.stderr)
        return 2
    say(
        "All that was reached went well." if good else f"Not all went well: see {options.out / 'report.json'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
