"""A sweep's state in a few files of bounded size, to carry from one machine to another.

The files:

    shards.json          what each finished shard measured
    state.json           names the parts below and their checksum
    state-DIGEST-0 …     an archive in parts: checkpoints of shards under way, and the references
                         that others start from, the finished ones without their velocities

Every file is written whole or not at all, and `state.json` last: whatever instant the writer is
killed at, what is there can be unpacked.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch

from regrob.analysis.tables import write_atomically
from regrob.errors import DataError
from regrob.experiments import checkpoint

PART = 15 * 2**20
"""Bytes in a part of the archive, at most."""

PARTS = 4
"""Parts at most. What does not fit is left out: first the shards under way."""

RESULTS, STATE = "shards.json", "state.json"
VELOCITY = "_velocity"


def count(sweep: Path) -> int:
    """How many shards of a sweep's folder are finished, without a look inside."""
    return len(_finished(sweep))


def _finished(sweep: Path) -> list[Path]:
    return sorted((sweep / "shards").glob(f"*/{checkpoint.ROWS}"))


def finished(sweep: Path) -> dict[str, Any]:
    """The results of the finished shards of a sweep's folder, by name."""
    results = {path.parent.name: checkpoint.read_json(path) for path in _finished(sweep)}
    return {name: facts for name, facts in results.items() if facts is not None}


def pack_results(sweep: Path, parcel: Path) -> int:
    """Write what the finished shards measured; return how many they are."""
    results = finished(sweep)
    checkpoint.write_json(parcel / RESULTS, results)
    return len(results)


def pack(sweep: Path, parcel: Path) -> int:
    """Write results and state; return how many shards are finished.

    Args:
        sweep: a folder that `regrob sweep` writes into; nobody else writes there now.
        parcel: an existing folder.

    Raises:
        DataError: the parcel cannot be written.
    """
    done = pack_results(sweep, parcel)
    folders = [path for path in sorted((sweep / "shards").glob("*")) if path.is_dir()]
    references = [path for path in folders if "-reference-" in path.name]
    under_way = [path for path in folders if not (path / checkpoint.ROWS).exists()]
    archive = b""
    for chosen in ([*references, *(p for p in under_way if p not in references)], references, []):
        archive = _archive(chosen)
        if len(archive) <= PART * PARTS:
            break
    digest = hashlib.sha256(archive).hexdigest()
    names = []
    for number, start in enumerate(range(0, len(archive), PART)):
        names.append(f"state-{digest[:8]}-{number}")
        write_atomically(parcel / names[-1], archive[start : start + PART])
    checkpoint.write_json(parcel / STATE, {"sha256": digest, "parts": names})
    for old in parcel.glob("state-*-*"):
        if old.name not in names:
            old.unlink()
    return done


def _archive(folders: list[Path]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        for folder in folders:
            if (folder / checkpoint.ROWS).exists():
                _add_weights(tar, folder)
                continue
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                if not path.name.startswith(".") and not path.name.endswith(".damaged"):
                    tar.add(path, f"{folder.name}/{path.relative_to(folder)}")
    return stream.getvalue()


def _add_weights(tar: tarfile.TarFile, folder: Path) -> None:
    """A finished reference without its velocities, which serve nobody any more."""
    saved = checkpoint.load(folder)
    if saved is None:
        return
    tensors, facts = saved
    with tempfile.TemporaryDirectory() as name:
        light = Path(name)
        checkpoint.save(light, {n: v for n, v in tensors.items() if not n.endswith(VELOCITY)}, facts)
        for path in sorted(light.iterdir()):
            tar.add(path, f"{folder.name}/{path.name}")


def unpack(parcel: Path, sweep: Path) -> int:
    """Lay a parcel out as a sweep's folder; return how many finished shards it held.

    What the folder has already is kept. A parcel without a whole state gives its results alone.

    Raises:
        DataError: the parcel names a file outside the folder, or the folder cannot be written.
    """
    results = checkpoint.read_json(parcel / RESULTS) or {}
    for name, facts in results.items():
        rows = _inside(sweep, f"{name}/{checkpoint.ROWS}")
        if not rows.exists():
            rows.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_json(rows, facts)
    state = checkpoint.read_json(parcel / STATE)
    parts = [parcel / name for name in state["parts"]] if state else []
    archive = b"".join(part.read_bytes() for part in parts if part.is_file())
    if not state or hashlib.sha256(archive).hexdigest() != state["sha256"]:
        return len(results)
    kept = {path.parent for path in (sweep / "shards").glob(f"*/{checkpoint.POINTER}")}
    filled = set()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            path, stream = _inside(sweep, entry.name), tar.extractfile(entry)
            if stream is not None and path.parent not in kept:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, stream.read())
                filled.add(path.parent)
    for folder in filled:
        _complete(folder)
    return len(results)


def _inside(sweep: Path, name: str) -> Path:
    shards = (sweep / "shards").resolve()
    path = (shards / name).resolve()
    if shards not in path.parents:
        raise DataError(f"the parcel names {name!r}, which lies outside the folder of shards")
    return path


def _complete(folder: Path) -> None:
    """Give a checkpoint that came without velocities zeros in their place."""
    saved = checkpoint.load(folder)
    if saved is None:
        return
    tensors, facts = saved
    if not any(name.endswith(VELOCITY) for name in tensors):
        tensors |= {name + VELOCITY: torch.zeros_like(value) for name, value in tensors.items()}
        checkpoint.save(folder, tensors, facts)
