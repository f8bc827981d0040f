"""How far the queue of `paper_runs` is, for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regrob.experiments import checkpoint
from regrob.experiments.paper_runs import Planned, Run, distinct, read_stored, whole
from regrob.experiments.sweep import finished, folder_of


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

    Args:
        out: folder of results.
        stored: the store; its shards count as finished.
        planned: from `plan`.

    Raises:
        DataError: a stored shard is damaged.
    """
    facts = {s: read_stored(stored, s.name) or whole(finished(out, s)) for s in distinct(planned)}
    standings = []
    for each in planned:
        alike = [s for s in each.shards if not s.is_reference] or each.shards
        spent = [done["seconds"] for s in alike if (done := facts[s]) is not None]
        seconds = sum(spent) / len(spent) if spent else None
        left = [shard for shard in each.own if facts[shard] is None]
        hours = 0.0 if not left else None if seconds is None else seconds * len(left) / 3600
        under_way = []
        for shard in each.own:
            pointer = whole(folder_of(out, shard) / checkpoint.POINTER)
            iteration = pointer["facts"]["iteration"] if pointer is not None else None
            if iteration is not None and (shard in left or iteration < shard.iterations):
                under_way.append((shard.name, iteration, shard.iterations))
        count = len(each.own) - len(left)
        standings.append(Standing(each.run, count, len(each.own), tuple(under_way), seconds, hours))
    return standings


def table(standings: list[Standing]) -> str:
    """What `status` returns, as text: a line a run, a line a shard under way, and the totals."""
    width = max(len(standing.run.name) for standing in standings)
    lines = [f"{'run':<{width}}  finished  s/shard  hours left"]

    def line(title: str, done: int, count: int, seconds: str, hours: str) -> str:
        return f"{title:<{width}}  {done:>3} / {count:<2}  {seconds:>7}  {hours:>10}"

    for each in standings:
        seconds = "?" if each.seconds is None else f"{each.seconds:.0f}"
        hours = "?" if each.hours_left is None else f"{each.hours_left:.1f}"
        lines.append(line(each.run.name, each.finished, each.own, seconds, hours))
        lines += [f"  {name}: {done} of {count}" for name, done, count in each.under_way]
    known = sum(each.hours_left for each in standings if each.hours_left is not None)
    more = " + ?" if any(each.hours_left is None for each in standings) else ""
    done, count = sum(each.finished for each in standings), sum(each.own for each in standings)
    lines.append(line("in all", done, count, "", f"{known:.1f}{more}"))
    return "\n".join(lines)
