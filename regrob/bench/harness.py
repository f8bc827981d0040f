"""Speed, measured as ratios: each row runs its contenders by turns and compares pair by pair.

A ratio taken within one run survives what absolute times do not: another machine, a busy
neighbour, a processor that slows down as it warms up. The spread tells how well it does.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from regrob.analysis.words import FAILED, HELD
from regrob.errors import RegrobError
from regrob.notebook import bar

if TYPE_CHECKING:
    import pandas as pd


class SkippedError(RegrobError):
    """A row that cannot be measured here; the message says why."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What one row found.

    Attributes:
        ratios: one number for each round.
        sound: whether what must hold beside the speed did hold: equal success, say.
        facts: further numbers by name, for the table's last column.
    """

    ratios: Sequence[float]
    sound: bool = True
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """One line of the table.

    Attributes:
        id: short name for `--only`.
        title: what is divided by what.
        measure: called with quick, which asks for fewer rounds and digits.
        at_most, at_least: the target, if there is one.
    """

    id: str
    title: str
    measure: Callable[[bool], BenchmarkResult]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:.3g}"
        return "stated" if self.at_least is None else f"≥ {self.at_least:.3g}"

    def judge(self, quick: bool) -> dict[str, Any]:
        """Measure, and compare with the target: one object of the table."""
        outcome: dict[str, Any] = {"row": self.title, "id": self.id, "median": None, "spread": None}
        outcome |= {"target": self.target, "met": None, "rounds": 0, "facts": {}, "skipped": None}
        try:
            measurement = self.measure(quick)
        except SkippedError as reason:
            return outcome | {"skipped": str(reason)}
        middle = statistics.median(measurement.ratios)
        met = None if measurement.sound else False
        if self.at_most is not None:
            met = middle <= self.at_most and measurement.sound
        if self.at_least is not None:
            met = middle >= self.at_least and measurement.sound
        facts = {name: significant(value) for name, value in measurement.facts.items()}
        spread = [significant(value) for value in quartiles(measurement.ratios)]
        return outcome | {
            "median": significant(middle),
            "spread": spread,
            "met": met,
            "rounds": len(measurement.ratios),
            "facts": facts,
        }


def significant(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile; of fewer than four values, the least and the largest.

    >>> quartiles([3.0, 1.0, 2.0])
    (1.0, 3.0)
    """
    if len(values) < 4:
        return min(values), max(values)
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def by_turns(
    contenders: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one round that does not count.

    `time.process_time` as the clock leaves out what neighbours take of a processor's time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in bar(range(rounds + 1), title="measure", unit="round"):
        for name, run in contenders.items():
            taken = seconds_of(run, clock)
            if turn:
                seconds[name].append(taken)
    return seconds


def seconds_of(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Time of one call, wall time unless told otherwise; waits for CUDA where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = clock()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def ratios(seconds: dict[str, list[float]], over: str, under: str) -> list[float]:
    """One contender's seconds over another's, round by round."""
    return [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]


def median_ratio(seconds: dict[str, list[float]], over: str, under: str) -> float:
    """The median of `ratios`."""
    return statistics.median(ratios(seconds, over, under))


def machine() -> str:
    """Processor, number of cores, GPU if any, and torch's version."""
    name = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        lines = [line for line in listing.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {cores} cores{gpu}, torch {torch.__version__}"


def line(outcome: dict[str, Any]) -> str:
    """One object of the table as text."""
    if outcome["skipped"]:
        return f"– {outcome['id']}: skipped: {outcome['skipped']}"
    mark = {True: "✓", False: "✗", None: "·"}[outcome["met"]]
    low, high = outcome["spread"]
    facts = "".join(f"\n    {name}: {value:g}" for name, value in outcome["facts"].items())
    measured = f"{outcome['median']:g} [{low:g} … {high:g}], target {outcome['target']}"
    return f"{mark} {outcome['id']}: {outcome['row']}\n    {measured}{facts}"


def table(outcomes: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The outcomes as texts, a row each; what stands beside a ratio has a line of its own."""
    import pandas as pd

    marks = {True: HELD, False: FAILED, None: "–"}
    rows = []
    for outcome in outcomes:
        median, spread, beside = "–", "–", outcome["skipped"]
        if not outcome["skipped"]:
            low, high = outcome["spread"]
            median, spread = f"{outcome['median']:.3g}", f"{low:.3g} … {high:.3g}"
            beside = "\n".join(f"{name}: {value:.3g}" for name, value in outcome["facts"].items())
        rows.append((outcome["row"], median, spread, outcome["target"], marks[outcome["met"]], beside))
    return pd.DataFrame(rows, columns=["row", "median", "middle half", "target", "met", "beside it"])
