"""The benchmark's rows, chosen by name and measured one after the other."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from regrob.bench import attacks, certificates, examination, training
from regrob.bench import device as on_device
from regrob.bench.harness import Benchmark, machine
from regrob.errors import InputError


def rows(device: str | None = None) -> list[Benchmark]:
    """All rows, in the order of the table: the processor's, or those about a device."""
    if device is not None:
        return on_device.rows(device)
    return [*training.rows(), on_device.on_cuda(), *attacks.rows(), *examination.rows(), *certificates.rows()]


def select(only: Sequence[str], device: str | None = None) -> list[Benchmark]:
    """The rows named, all if none is.

    Raises:
        InputError: an unknown name.
    """
    known = {row.id: row for row in rows(device)}
    for name in only:
        if name not in known:
            raise InputError(f"no row is called {name!r}; there are {', '.join(known)}")
    return [row for row in known.values() if not only or row.id in only]


def measure(
    only: Sequence[str] = (), *, quick: bool = False, threads: int = 1, device: str | None = None
) -> Iterator[dict[str, Any]]:
    """Measure rows one by one; yields the table's objects as they are done.

    Args:
        only: ids of rows; all if empty.
        quick: fewer rounds and digits, to see that everything works.
        threads: of torch on the CPU. One is steady, also beside busy neighbours.
        device: the rows about this device; None for the processor's table.
    """
    chosen = select(only, device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for row in chosen:
            where = {"machine": machine(), "threads": threads, "date": _today(), "load": _load()}
            yield row.judge(quick) | {"quick": quick} | where
    finally:
        torch.set_num_threads(before)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _load() -> float | None:
    """How many processes waited for a core when the row began, ourselves included."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows, one line of JSON each. Whether a target is met is said there."""
    parser = argparse.ArgumentParser(prog="regrob.bench.run", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    for outcome in measure(quick=options.quick, device=options.device):
        print(json.dumps(outcome), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
