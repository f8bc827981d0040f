"""Checkpoints that survive a kill at any instant, and that know when they are damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrob.analysis.tables import write_atomically
from regrob.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

POINTER = "checkpoint.json"
ROWS = "rows.json"
"""The file that a shard's folder has once the shard is finished."""


def write_json(path: Path, value: Any) -> None:
    """As `write_atomically`, with a checksum of the value inside the file."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    sealed = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "value": value}
    write_atomically(path, json.dumps(sealed, sort_keys=True, ensure_ascii=False, indent=1).encode())


def unseal(path: Path) -> Any:
    """The value inside a file of `write_json`; the file stays where it is, whole or damaged.

    Raises:
        FileNotFoundError: there is no file.
        DataError: the file does not hold what was written.
    """
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(sealed["value"], sort_keys=True, ensure_ascii=False)
        if hashlib.sha256(text.encode()).hexdigest() == sealed["sha256"]:
            return sealed["value"]
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{path} is damaged: its checksum is not that of its content")


def read_json(path: Path) -> Any:
    """The value, or None if the file is missing or damaged; a damaged file is set aside."""
    try:
        return unseal(path)
    except FileNotFoundError:
        return None
    except DataError:
        set_aside(path)
        return None


def set_aside(path: Path) -> None:
    """Rename a damaged file to NAME.damaged, so that nothing reads it and nobody loses it."""
    if path.exists():
        path.replace(path.with_name(path.name + ".damaged"))


def save(folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and facts; a reader finds the pair before or the pair after, nothing between.

    Args:
        folder: one folder a checkpoint; made if missing.
        tensors: what `load` gives back, on the CPU.
        facts: must hold "iteration", an int; anything JSON can say.
    """
    from safetensors.torch import save as serialise

    folder.mkdir(parents=True, exist_ok=True)
    content = serialise({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    name = f"state-{facts['iteration']}.safetensors"
    write_atomically(folder / name, content)
    write_json(
        folder / POINTER, {"file": name, "tensors": hashlib.sha256(content).hexdigest(), "facts": facts}
    )
    tidy(folder, name)


def tidy(folder: Path, kept: str | None = None) -> None:
    """Remove the states but the one kept: the pointer's, if None. A kill in `save` leaves an old one."""
    if kept is None:
        pointer = read_json(folder / POINTER)
        if pointer is None:
            return
        kept = pointer["file"]
    for old in folder.glob("state-*.safetensors"):
        if old.name != kept:
            old.unlink(missing_ok=True)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `save` wrote last, or None if there is nothing whole; damaged files are set aside."""
    from safetensors.torch import load as deserialise

    pointer = read_json(folder / POINTER)
    if pointer is None:
        return None
    path = folder / pointer["file"]
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != pointer["tensors"]:
        set_aside(path)
        set_aside(folder / POINTER)
        return None
    return deserialise(content), pointer["facts"]
