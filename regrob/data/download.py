"""Files with a known checksum: find them, check them, fetch them from mirrors.

A file is looked for in the folder that REGROB_DATA names, then in this user's cache, and is fetched
into the first of the two that can be written to. It is used only if its sha256 is the expected one;
anything else is reported by name.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regrob.errors import DataError

VARIABLE = "REGROB_DATA"
CHUNK = 1 << 16  # bytes; what a broken connection can lose
PATIENCE = 30.0  # seconds without a byte before a mirror is given up


@dataclass(frozen=True)
class File:
    """A file that is fully determined by its checksum.

    Attributes:
        name: path below a data folder, with forward slashes.
        sha256: of the whole file, in hexadecimal.
        urls: where it can be fetched, tried in turn; empty if it comes inside an archive.
    """

    name: str
    sha256: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """What is known of one file on this machine."""

    file: File
    path: Path
    state: Literal["present", "absent", "altered", "unreadable"]


def cache_folder() -> Path:
    """This user's cache, by the habits of the operating system."""
    try:
        import pooch
    except ImportError as error:
        raise DataError(f"pooch is not installed: pip install pooch, or set {VARIABLE}") from error
    return Path(pooch.os_cache("regrob"))


def folders() -> list[Path]:
    """Where files are looked for, in this order: REGROB_DATA if it is set, the user's cache."""
    named = os.environ.get(VARIABLE)
    if not named:
        return [cache_folder()]
    try:
        return [Path(named).expanduser(), cache_folder()]
    except DataError:  # a machine with the data but without pooch
        return [Path(named).expanduser()]


def writable_folder() -> Path:
    """Where downloads go: the first of `folders` that can be written to, made if it is not there.

    Raises:
        DataError: none can; the message says why, and how to name another.
    """
    troubles = []
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            troubles.append(f"{folder}: {error.strerror}")
            continue
        if os.access(folder, os.W_OK):
            return folder
        troubles.append(f"{folder}: it may not be written to")
    raise DataError(f"there is no folder to download into ({'; '.join(troubles)}): {_name_another()}")


def _name_another() -> str:
    return f"set {VARIABLE} to a folder that you may read and write"


def _exists(path: Path) -> bool:
    """DataError where this user may not even look."""
    try:
        return path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): {_name_another()}") from error


def sha256(path: Path) -> str:
    """The file's checksum, in hexadecimal.

    Raises:
        DataError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): {_name_another()}") from error
    return digest.hexdigest()


def require(path: Path, file: File) -> Path:
    """Return the path if the file there has the expected checksum.

    Raises:
        DataError: it is missing, unreadable, or truncated or altered; the message has both checksums.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing")
    digest = sha256(path)
    if digest != file.sha256:
        raise DataError(
            f"{path} is truncated or altered ({path.stat().st_size} bytes): expected sha256 {file.sha256}, "
            f"found {digest}; delete it and fetch it again"
        )
    return path


def locate(file: File) -> Path:
    """Where the file lies, its checksum verified.

    Raises:
        DataError: nowhere to be found, or the one found is unreadable, truncated or altered. A bad
            file in the first folder is never passed over for a good one in the second.
    """
    candidates = [folder / file.name for folder in folders()]
    for path in candidates:
        if _exists(path):
            return require(path, file)
    dataset = file.name.split("/")[0]
    raise DataError(
        f"{file.name} was not found (looked for {', '.join(map(str, candidates))}): "
        f"run `regrob data download {dataset}`, or set {VARIABLE} to a folder that holds it"
    )


def status(file: File) -> Status:
    """Whether the file is present, absent, altered or unreadable, without raising."""
    paths = [folder / file.name for folder in folders()]
    path = paths[-1]
    try:
        path = next((p for p in paths if _exists(p)), path)
        if not path.is_file():
            return Status(file, path, "absent")
        return Status(file, path, "present" if sha256(path) == file.sha256 else "altered")
    except DataError:
        return Status(file, path, "unreadable")


def fetch(file: File, folder: Path, *, progress: bool = False) -> Path:
    """Download a file into `folder`, trying its mirrors in turn; return its path.

    What arrives is accepted only with the expected checksum, and takes its name in one
    step: an interrupted download leaves `NAME.part`, which the next attempt continues.
    A good copy that is already there is kept; a bad one is replaced.

    Raises:
        DataError: no mirror gave the right bytes; the message says what each one did. Or the folder
            cannot be written to.
    """
    import requests

    target = folder / file.name
    part = target.with_name(target.name + ".part")
    if target.is_file() and sha256(target) == file.sha256:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{target.parent} cannot be written to ({error.strerror}): {_name_another()}"
        ) from error
    troubles = []
    for url in file.urls:
        for _ in range(2 if part.exists() else 1):  # an old part may be the bad one: once more without it
            try:
                _transfer(url, part, progress=progress)
            except (requests.RequestException, OSError) as error:
                troubles.append(f"{url}: {type(error).__name__}: {error}")
                break
            if sha256(part) == file.sha256:
                part.replace(target)
                return target
            part.unlink()
        else:
            troubles.append(f"{url}: what came is not the file of sha256 {file.sha256}")
    raise DataError(f"could not download {file.name}; " + "; ".join(troubles or ["it has no address"]))


def _transfer(url: str, part: Path, *, progress: bool) -> None:
    """Append to `part` whatever of the file is not in it yet."""
    import requests
    from tqdm import tqdm

    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
        if start and answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # longer than the file: not a part of it
            _transfer(url, part, progress=progress)
            return
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            start = 0  # the mirror knows no ranges and sends everything
        total = start + int(answer.headers.get("Content-Length", 0))
        with (
            part.open("ab" if start else "wb") as stream,
            tqdm(
                total=total or None,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=part.name.removesuffix(".part"),
                disable=not progress,
            ) as bar,
        ):
            for block in answer.iter_content(CHUNK):
                stream.write(block)
                bar.update(len(block))
