"""Run a tiny sweep in forked children and kill them; started by test_sweep as a program of its own.

Usage: killable_sweep.py OUT KILLS FIGURE. Prints how many of the kills came before the sweep was done.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from small_task import small_task
from torch import nn

from regrob import networks
from regrob.experiments import grid, sweep
from regrob.training import many


def tiny(classes: int = 2, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """A network small enough to train in milliseconds."""
    return networks.mlp((36, 8, classes), generator=generator)


def lone(classes: int = 2, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """A small network with BatchNorm, which cannot be stacked."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(36, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, classes)
    )
    networks.initialise_caffe(network, generator)
    return network


def shrink() -> None:
    """Swap the real protocol for one that takes a second: sweeps "tiny" and "lone"."""
    spent = grid.Budget(
        seeds=2,
        reference=40,
        fine_tuning=40,
        weights=(0.1,),
        images=8,
        distance_images=4,
        search_steps=1,
        attack_iterations=20,
    )
    budgets = grid.PRESETS["quick"].budgets
    grid.TASKS["tiny"] = lambda source: small_task()
    networks.NETWORKS["tiny"] = tiny
    grid.FIGURES["tiny"] = grid.Figure(
        "tiny", ("tiny",), ("curvature", "jacobian"), adversaries=(0.1, 0.2, 0.3)
    )
    budgets["tiny", "tiny"] = spent
    networks.NETWORKS["lone"] = lone
    networks.SOLO.add("lone")
    grid.FIGURES["lone"] = grid.Figure("tiny", ("lone",), ("curvature",), adversaries=(0, 0, 0.3))
    budgets["tiny", "lone"] = replace(spent, fine_tuning=30, policy="steps", batch=16, searched_images=6)
    many.CHUNK = 5
    sweep.SECONDS_BETWEEN_CHECKPOINTS = 0.0


@contextlib.contextmanager
def shrunk() -> Iterator[None]:
    """`shrink`, and afterwards everything as it was, for the tests that follow in this process."""
    tables: list[Any] = [grid.TASKS, grid.FIGURES, grid.PRESETS["quick"].budgets, networks.NETWORKS]
    before = [dict(table) for table in tables]
    chunk, seconds = many.CHUNK, sweep.SECONDS_BETWEEN_CHECKPOINTS
    shrink()
    try:
        yield
    finally:
        for table, kept in zip(tables, before, strict=True):
            table.clear()
            table.update(kept)
        networks.SOLO.discard("lone")
        many.CHUNK, sweep.SECONDS_BETWEEN_CHECKPOINTS = chunk, seconds


def whole(out: Path, figure: str = "tiny") -> float:
    """Run a sweep to its end; return the seconds it took."""
    started = time.perf_counter()
    sweep.sweep(figure, out, progress=False)
    return time.perf_counter() - started


def main() -> None:
    """Kill, resume, kill, …, and let the last one finish."""
    out, kills, figure = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    shrink()
    usual = whole(out / "undisturbed", figure)
    chance = random.Random(0)
    struck = 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            whole(out / "disturbed", figure)
            os._exit(0)
        time.sleep(chance.uniform(0.0, 0.1 * usual))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        struck += os.WIFSIGNALED(status)
    whole(out / "disturbed", figure)
    print(f"struck {struck}")


if __name__ == "__main__":
    main()
