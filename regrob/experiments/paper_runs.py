"""The paper's own scale, computed bit by bit: a queue of sweeps, and a store of what is finished.

The queue takes days on a processor, and the machine may be lost in between. So each finished
shard's facts, a few kilobytes, are kept in a folder that git tracks; its networks are not. On
a new machine the finished shards come back from there, and only the rest is computed.

Everywhere `out` is the folder of results, as `sweep.sweep` fills it; `stored` is that store, whose
shards count as finished; and `planned` comes from `plan`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrob.analysis import tables
from regrob.errors import DataError
from regrob.experiments import checkpoint
from regrob.experiments.grid import Shard, fingerprint, shards
from regrob.experiments.sweep import ONE_AT_A_TIME, Workers, finished, folder_of, sweep, tabulate

PRESET = "paper"


@dataclass(frozen=True)
class Run:
    """One sweep of the queue.

    Attributes:
        figure: a key of `grid.FIGURES`.
        network: the one network of the figure that is swept.
        on_gpu: whether a processor leaves it alone, because it would take weeks.
    """

    figure: str
    network: str
    on_gpu: bool = False

    @property
    def name(self) -> str:
        """What the files of its table are called."""
        return f"{self.figure}-{self.network}"


QUEUE = (
    Run("references-1-7", "lenet-300-100"),
    Run("references-10", "lenet-300-100"),
    Run("fig2", "lenet-300-100"),
    Run("fig4", "lenet-300-100"),
    Run("references-1-7", "lenet-5"),
    Run("references-10", "lenet-5"),
    Run("fig5", "lenet-300-100"),
    Run("fig4", "lenet-5", on_gpu=True),
)
"""What is computed, in this order."""


@dataclass(frozen=True)
class Planned:
    """A run with its shards.

    Attributes:
        run: of the queue.
        shards: all that its table needs.
        own: those of them that no earlier run of the queue needs. Over the whole queue each
            shard is one run's own.
    """

    run: Run
    shards: tuple[Shard, ...]
    own: tuple[Shard, ...]


@dataclass(frozen=True)
class Stored:
    """What `store` did.

    Attributes:
        added: names of the shards that are new in the store.
        tables: names of the runs whose table is written, because all their shards are finished.
        kept: a line for each stored shard that differs from the newly finished one of its name.
    """

    added: tuple[str, ...]
    tables: tuple[str, ...]
    kept: tuple[str, ...]


def plan() -> list[Planned]:
    """The queue with the shards of each run.

    Raises:
        DataError: the full data set, whose checksum is a part of the shards' names, is missing.
    """
    planned: list[Planned] = []
    for run in QUEUE:
        needed = tuple(shards(run.figure, PRESET, (run.network,)))
        earlier = {shard for before in planned for shard in before.shards}
        planned.append(Planned(run, needed, tuple(shard for shard in needed if shard not in earlier)))
    return planned


# --- the store ----------------------------------------------------------------------------


def stored_shard(stored: Path, name: str) -> Path:
    """The file in the store that holds a shard's facts."""
    return stored / "shards" / f"{name}.json"


def read_stored(stored: Path, name: str) -> dict[str, Any] | None:
    """A stored shard's facts, or None if it is not stored; the file is only read.

    Raises:
        DataError: the file cannot be read, is damaged, or holds another shard than it is named
            after.
    """
    path = stored_shard(stored, name)
    mend = "put back the committed file, or remove it and the shard is computed again"
    try:
        facts = checkpoint.unseal(path)
    except FileNotFoundError:
        return None
    except DataError as error:
        raise DataError(f"{error}; {mend}") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    hashed = fingerprint(facts["spec"]) if isinstance(facts, dict) and "spec" in facts else "no settings"
    if not name.endswith(f"-{hashed}"):
        raise DataError(
            f"{path} holds a shard whose settings hash to {hashed}, expected the end of its name; {mend}"
        )
    return dict(facts)


def restore(out: Path, stored: Path) -> list[str]:
    """Put the stored shards that a folder of results lacks back into it; return their names.

    Only their rows come back, not their networks. What the folder has stays.

    Raises:
        DataError: a stored shard is damaged, and then nothing is restored; or the folder
            cannot be written.
    """
    names = sorted(path.stem for path in (stored / "shards").glob("*.json"))
    facts_by_name = {name: read_stored(stored, name) for name in names}
    restored = []
    for name, facts in facts_by_name.items():
        target = out / "shards" / name / checkpoint.ROWS
        tables.make_folder(target.parent)
        if checkpoint.read_json(target) is None:
            checkpoint.write_json(target, facts)
            restored.append(name)
    return restored


def keep(out: Path, stored: Path, name: str) -> str | None:
    """Store one shard if it is finished and not stored; a stored shard is never replaced.

    Returns:
        A line about a stored shard that differs from the finished one, or None.

    Raises:
        DataError: the stored shard is damaged, or the store cannot be written.
    """
    path = stored_shard(stored, name)
    facts = whole(out / "shards" / name / checkpoint.ROWS)
    kept = read_stored(stored, name)
    if facts is None:
        return None
    if kept is None:
        tables.make_folder(path.parent)
        checkpoint.write_json(path, facts)
        return None
    # As text, because NaN, which marks a diverged member, differs from itself.
    differing = [key for key in sorted({*kept, *facts}) if _text(kept.get(key)) != _text(facts.get(key))]
    if not differing:
        return None
    return f"kept the stored {name}: the one in {out} differs in {', '.join(differing)}"


def store(out: Path, stored: Path, planned: list[Planned]) -> Stored:
    """Store every finished shard of the queue, and the table of every run that is complete.

    Storing again what has not changed changes no byte. A kill at any instant leaves whole
    files, and storing again goes on. Tables are made from the store. `out` is only read.

    Raises:
        DataError: a stored shard is damaged, or the store cannot be written.
    """
    added, notices, complete = [], [], []
    for shard in distinct(planned):
        new = not stored_shard(stored, shard.name).exists()
        notice = keep(out, stored, shard.name)
        if notice is not None:
            notices.append(notice)
        if new and stored_shard(stored, shard.name).exists():
            added.append(shard.name)
    for entry in planned:
        facts = [(shard, read_stored(stored, shard.name)) for shard in entry.shards]
        present = [(shard, kept) for shard, kept in facts if kept is not None]
        if len(present) == len(entry.shards):
            tabulate(entry.run.figure, present, PRESET, stored, entry.run.name)
            complete.append(entry.run.name)
    return Stored(tuple(added), tuple(complete), tuple(notices))


def go_on(
    out: Path,
    stored: Path,
    planned: list[Planned],
    *,
    workers: Workers = ONE_AT_A_TIME,
    progress: bool = False,
) -> None:
    """Run what is missing of the queue, and store each shard as soon as it is finished.

    It may be killed at any instant; the same call goes on where it stopped.

    Args:
        workers: what runs the shards; on a processor, runs for a GPU are left out.
        progress: show a bar for each run.

    Raises:
        DataError: a stored shard is damaged, or a folder cannot be written or is too small.
    """

    def store_it(name: str) -> None:
        keep(out, stored, name)  # what it has to say, the next `store` says again

    restore(out, stored)
    for entry in planned:
        if entry.run.on_gpu and workers.device == "cpu":
            continue
        sweep(
            entry.run.figure,
            out,
            preset=PRESET,
            networks=(entry.run.network,),
            workers=workers,
            progress=progress,
            when_finished=store_it,
        )
        store(out, stored, planned)


# --- how far the queue is -----------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        run: of the queue.
        finished: how many of its own shards are finished; see `Planned`.
        own: how many shards are its own.
        under_way: (shard's name, iterations done, iterations in all) of those that have a
            checkpoint and are not finished, or whose networks are being trained again.
        seconds: mean over the finished shards of its table, without the references unless it
            has nothing else; None if there are none. A shard that was resumed counts with the
            time of its last part.
        hours_left: `seconds` for each of its own shards that is left, one at a time; None if
            that is not known.
    """

    run: Run
    finished: int
    own: int
    under_way: tuple[tuple[str, int, int], ...]
    seconds: float | None
    hours_left: float | None


def status(out: Path, stored: Path, planned: list[Planned]) -> list[Standing]:
    """How far each run of the queue is; reads only, and may be asked while the queue runs.

    Raises:
        DataError: a stored shard is damaged.
    """
    facts = {s: read_stored(stored, s.name) or whole(finished(out, s)) for s in distinct(planned)}
    standings = []
    for entry in planned:
        alike = [s for s in entry.shards if not s.is_reference] or entry.shards
        spent = [done["seconds"] for s in alike if (done := facts[s]) is not None]
        seconds = sum(spent) / len(spent) if spent else None
        left = [shard for shard in entry.own if facts[shard] is None]
        hours = 0.0 if not left else None if seconds is None else seconds * len(left) / 3600
        under_way = []
        for shard in entry.own:
            pointer = whole(folder_of(out, shard) / checkpoint.POINTER)
            iteration = pointer["facts"]["iteration"] if pointer is not None else None
            if iteration is not None and (shard in left or iteration < shard.iterations):
                under_way.append((shard.name, iteration, shard.iterations))
        count = len(entry.own) - len(left)
        standings.append(Standing(entry.run, count, len(entry.own), tuple(under_way), seconds, hours))
    return standings


def table(standings: list[Standing]) -> str:
    """What `status` returns, as text: a line a run, a line a shard under way, and the totals."""
    width = max(len(standing.run.name) for standing in standings)
    lines = [f"{'run':<{width}}  finished  s/shard  hours left"]

    def line(title: str, done: int, count: int, seconds: str, hours: str) -> str:
        return f"{title:<{width}}  {done:>3} / {count:<2}  {seconds:>7}  {hours:>10}"

    for standing in standings:
        seconds = "?" if standing.seconds is None else f"{standing.seconds:.0f}"
        hours = "?" if standing.hours_left is None else f"{standing.hours_left:.1f}"
        lines.append(line(standing.run.name, standing.finished, standing.own, seconds, hours))
        lines += [f"  {name}: {done} of {count}" for name, done, count in standing.under_way]
    known = sum(standing.hours_left for standing in standings if standing.hours_left is not None)
    more = " + ?" if any(standing.hours_left is None for standing in standings) else ""
    done, count = sum(s.finished for s in standings), sum(s.own for s in standings)
    lines.append(line("in all", done, count, "", f"{known:.1f}{more}"))
    return "\n".join(lines)


# --- small parts --------------------------------------------------------------------------


def distinct(planned: list[Planned]) -> list[Shard]:
    """Every shard of the queue, once."""
    return [shard for entry in planned for shard in entry.own]


def whole(path: Path) -> Any:
    """The sealed value, or None if the file is missing or damaged; the file stays as it is.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return checkpoint.unseal(path)
    except (FileNotFoundError, DataError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read {path}: {error.strerror or error}; mend that or choose another folder")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
