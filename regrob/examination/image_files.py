"""Labelled images from the reader's own files: arrays, a folder of pictures, torchvision's layout."""

from __future__ import annotations

import csv
import gzip
import hashlib
import pickle
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regrob.checks import check_dense
from regrob.data import datasets
from regrob.errors import DataError, InputError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""Suffixes of the files that a folder of pictures may hold."""

CHANNELS = (1, 3, 4)
"""Numbers of channels by which a layout is recognised."""

CIFAR_TEST_MD5 = "40351d587109b95175f43aff81a1287e"
"""Of torchvision's `cifar-10-batches-py/test_batch`: a pickle, opened only if it is that very file."""


@dataclass(frozen=True)
class LabelledImages:
    """Images as a network reads them, and what is known of them.

    Attributes:
        images: (N, …) floating point, channels first.
        labels: (N,) int64; None if unknown.
        names: what each image is called: its file, or its number.
        classes: names of labels 0 … K−1; empty if unknown.
        source: where they come from, in words.
        notices: what was converted on the way.
    """

    images: Tensor
    labels: Tensor | None
    names: tuple[str, ...]
    classes: tuple[str, ...]
    source: str
    notices: tuple[str, ...] = ()

    def first(self, limit: int | None) -> LabelledImages:
        """The first images only; all if None."""
        if limit is None or limit >= len(self.images):
            return self
        labels = None if self.labels is None else self.labels[:limit]
        return replace(self, images=self.images[:limit], labels=labels, names=self.names[:limit])


def read(source: str | Path, *, limit: int | None = None, layout: str = "nchw") -> LabelledImages:
    """Read images, and labels where there are any.

    Args:
        source: "mnist" or "cifar10" (their held-out part); a file .npz or .pt with "images", and
            "labels" if known; a file .npy with images; a folder of pictures with `labels.csv`
            (a line `file,label` each), or with one sub-folder a class; a folder in which
            torchvision keeps MNIST (`MNIST/raw`) or CIFAR-10 (`cifar-10-batches-py`).
        limit: read so many images; all if None.
        layout: "nchw", or "nhwc" for arrays whose last axis is the channel.

    Raises:
        InputError: a source of no such kind, labels or images of another shape or range.
        DataError: a file is missing, empty, truncated or no picture.
    """
    if layout not in ("nchw", "nhwc"):
        raise InputError(f"layout must be 'nchw' or 'nhwc', got {layout!r}")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, got {limit}")
    built_in: dict[str, Callable[[], datasets.Task]] = {
        "mnist": datasets.ten_classes,
        "cifar10": datasets.cifar10,
    }
    if str(source) in built_in:
        return _held_out(built_in[str(source)](), limit)
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(path, limit)
    if path.suffix not in _ARRAYS:
        kinds = "mnist, cifar10, a file .npz, .npy or .pt, or a folder"
        raise InputError(f"cannot read images from {str(source)!r}; expected {kinds}")
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    return from_arrays(*_ARRAYS[path.suffix](path), source=path.name, layout=layout).first(limit)


def from_arrays(
    images: Any, labels: Any = None, *, source: str = "arrays", layout: str = "nchw"
) -> LabelledImages:
    """Images and labels from tensors or NumPy arrays; bytes 0 … 255 are scaled to [0, 1].

    Raises:
        InputError: an axis of channels at the wrong end, no batch, NaN, or labels that do not fit.
    """
    pixels = _tensor("images", images)
    notices = []
    if pixels.ndim < 2 or len(pixels) == 0:
        raise InputError(f"images must have shape (N, …) with N ≥ 1, got {tuple(pixels.shape)}")
    if layout == "nhwc":
        if pixels.ndim != 4:
            raise InputError(
                f"layout nhwc needs images of shape (N, height, width, channels), got {tuple(pixels.shape)}"
            )
        pixels = pixels.permute(0, 3, 1, 2).contiguous()
    elif pixels.ndim == 4 and pixels.shape[1] not in CHANNELS and pixels.shape[3] in CHANNELS:
        raise InputError(
            f"images of shape {tuple(pixels.shape)} seem to have their channels last; "
            "say so with layout='nhwc' (--layout nhwc), or move them first"
        )
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
        notices.append("bytes 0 … 255 were scaled to [0, 1]")
    elif not pixels.is_floating_point():
        raise InputError(
            f"images must be bytes or floating point, got {pixels.dtype}: convert and scale them first"
        )
    if not bool(torch.isfinite(pixels).all()):
        raise InputError("images hold NaN or infinity; every pixel must be finite")
    return LabelledImages(
        pixels,
        None if labels is None else _labels(labels, len(pixels)),
        tuple(f"image {i}" for i in range(len(pixels))),
        (),
        source,
        tuple(notices),
    )


# --- arrays ----------------------------------------------------------------------------


def _tensor(name: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        check_dense(name, values)
        return values.detach()
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} must be numbers, got an array of {array.dtype}")
    return torch.from_numpy(array.copy())


def _labels(values: Any, count: int) -> Tensor:
    labels = _tensor("labels", values)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and bool(((labels == 0) | (labels == 1)).all()):
        raise InputError(
            f"labels of shape {tuple(labels.shape)} are one-hot; expected class numbers: take argmax(1)"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"labels must be whole numbers 0 … K−1, got {labels.dtype}")
    if labels.shape != (count,):
        raise InputError(f"labels must be one for each of the {count} images, got {tuple(labels.shape)}")
    if bool((labels < 0).any()):
        raise InputError(f"labels must be 0 … K−1, got {int(labels.min())}")
    return labels.long()


def _npz(path: Path) -> tuple[Any, Any]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _named(path, {name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _npy(path: Path) -> tuple[Any, Any]:
    try:
        return np.load(path, allow_pickle=False), None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _pt(path: Path) -> tuple[Any, Any]:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"cannot read {path} as tensors alone: {str(error).splitlines()[0]}") from error
    return _named(path, stored if isinstance(stored, dict) else {"images": stored})


_ARRAYS: dict[str, Callable[[Path], tuple[Any, Any]]] = {".npz": _npz, ".npy": _npy, ".pt": _pt, ".pth": _pt}


def _named(path: Path, arrays: dict[str, Any]) -> tuple[Any, Any]:
    if "images" not in arrays:
        raise InputError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; expected 'images', and 'labels' if known"
        )
    return arrays["images"], arrays.get("labels")


# --- data sets and folders -------------------------------------------------------------


def _held_out(task: datasets.Task, limit: int | None) -> LabelledImages:
    images, labels = task.held_out(limit)
    names = tuple(f"image {i}" for i in range(len(images)))
    return LabelledImages(images, labels, names, task.classes, f"{task.name}, held out")


def _folder(folder: Path, limit: int | None) -> LabelledImages:
    for inside in (folder, folder / "MNIST"):
        if (inside / "raw").is_dir():
            return _idx_pair(inside / "raw", limit)
    for inside in (folder, folder / "cifar-10-batches-py"):
        if (inside / "test_batch").is_file():
            return _cifar_pickle(inside / "test_batch", limit)
    table = folder / "labels.csv"
    if table.is_file():
        return _pictures(folder, *_label_table(folder, table), limit=limit)
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    pictures = [(path, k) for k, name in enumerate(classes) for path in _pictures_in(folder / name)]
    if pictures:
        by_turns = _by_turns([k for _, k in pictures])
        chosen = [pictures[i] for i in by_turns]
        return _pictures(folder, [p for p, _ in chosen], [k for _, k in chosen], classes, limit=limit)
    alone = _pictures_in(folder)
    if not alone:
        raise DataError(
            f"{folder} holds no pictures; expected pictures with labels.csv, or one sub-folder a class"
        )
    return _pictures(folder, alone, None, (), limit=limit)


def _by_turns(labels: Sequence[int]) -> list[int]:
    """Positions such that every prefix is balanced over the classes."""
    turn: dict[int, int] = {}
    keys = []
    for position, label in enumerate(labels):
        turn[label] = turn.get(label, -1) + 1
        keys.append((turn[label], label, position))
    return [position for _, _, position in sorted(keys)]


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _label_table(folder: Path, table: Path) -> tuple[list[Path], list[int], Sequence[str]]:
    """Files, class numbers, and names of the classes (those of the table, if they are words)."""
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if any(row)]
    if rows and not (folder / rows[0][0]).is_file():
        rows = rows[1:]  # a line of headings
    for line in rows:
        if len(line) != 2:
            raise DataError(f"{table}: each line must be file,label; got {','.join(line)!r}")
        if not (folder / line[0]).is_file():
            raise DataError(f"{table} names {line[0]!r}, which is not in {folder}")
    if not rows:
        raise DataError(f"{table} names no picture of {folder}; each line must be file,label")
    files, words = [folder / name for name, _ in rows], [label for _, label in rows]
    if all(word.isdigit() for word in words):
        return files, [int(word) for word in words], ()
    classes = sorted(set(words))
    return files, [classes.index(word) for word in words], classes


def _pictures(
    folder: Path,
    files: Sequence[Path],
    labels: Sequence[int] | None,
    classes: Sequence[str],
    *,
    limit: int | None,
) -> LabelledImages:
    files, labels = files[:limit], None if labels is None else labels[:limit]
    arrays = [_picture(path) for path in files]
    colour = any(array.ndim == 3 for array in arrays)
    if colour:
        arrays = [array if array.ndim == 3 else np.stack([array] * 3, axis=2) for array in arrays]
    for path, array in zip(files, arrays, strict=True):
        if array.shape[:2] != arrays[0].shape[:2]:
            (h, w), (first_h, first_w) = array.shape[:2], arrays[0].shape[:2]
            raise DataError(
                f"{path} is {w}×{h} pixels, {files[0].name} is {first_w}×{first_h}; make all of one size"
            )
    pixels = torch.from_numpy(np.stack(arrays))
    pixels = pixels.permute(0, 3, 1, 2) if colour else pixels[:, None]
    return LabelledImages(
        pixels.float().div(255).contiguous(),
        None if labels is None else torch.tensor(labels),
        tuple(str(path.relative_to(folder)) for path in files),
        tuple(classes),
        folder.name,
        ("bytes 0 … 255 were scaled to [0, 1]",),
    )


def _picture(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(H, W) if it is grey, (H, W, 3) else."""
    from PIL import Image, UnidentifiedImageError

    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    try:
        with Image.open(path) as picture:
            grey = picture.mode in ("1", "L", "LA", "I;16")
            return np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is truncated, or no picture: {error}") from error


def _idx_pair(raw: Path, limit: int | None) -> LabelledImages:
    """torchvision's MNIST, FashionMNIST, …: the test part."""

    def part(name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        for path in (raw / name, raw / f"{name}.gz"):
            if path.is_file():
                try:
                    stored = path.read_bytes()
                    content = gzip.decompress(stored) if path.suffix == ".gz" else stored
                    return datasets.parse_idx(content)
                except (OSError, EOFError, ValueError, IndexError) as error:
                    raise DataError(f"{path} is truncated, or no IDX file: {error}") from error
        raise DataError(f"{raw} holds no {name}")

    images, labels = part("t10k-images-idx3-ubyte"), part("t10k-labels-idx1-ubyte")
    read_images = from_arrays(images[:, None], labels, source=f"{raw.parent.name}, test part")
    return read_images.first(limit)


def _cifar_pickle(path: Path, limit: int | None) -> LabelledImages:
    stored = path.read_bytes()
    digest = hashlib.md5(stored, usedforsecurity=False).hexdigest()
    if digest != CIFAR_TEST_MD5:
        raise DataError(
            f"{path} is a pickle, which is opened only if it is CIFAR-10's own file; "
            f"expected md5 {CIFAR_TEST_MD5}, got {digest}"
        )
    batch = pickle.loads(stored, encoding="latin1")
    images = np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
    read_images = from_arrays(images, batch["labels"], source="CIFAR-10, test part")
    return replace(read_images, classes=datasets.CIFAR10_CLASSES).first(limit)
