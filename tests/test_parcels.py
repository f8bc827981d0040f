"""A sweep packed into a few small files, carried away, unpacked, and gone on with."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import killable_sweep
import pytest
import torch

from regrob.errors import DataError
from regrob.experiments import checkpoint, grid, parcels, sweep


@pytest.fixture
def tiny() -> Iterator[None]:
    with killable_sweep.shrunk():
        yield


@pytest.fixture
def cut(tmp_path: Path, tiny: None) -> Path:
    """A sweep of which the references and one shard are finished, and one is half trained."""
    out = tmp_path / "cut"
    todo = grid.shards("tiny", "quick")
    for shard in todo[:2]:
        sweep.run_shard(shard, out, "quick", "cpu")
    half = todo[2]
    original = sweep.train_ensemble

    def stops_halfway(*arguments: object, **settings: object) -> Iterator[object]:
        for progress in original(*arguments, **settings):  # type: ignore[arg-type]
            yield progress
            if progress.iteration == 20 and settings["iterations"] == half.budget.fine_tuning:
                raise KeyboardInterrupt

    sweep.train_ensemble = stops_halfway  # type: ignore[assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            sweep.run_shard(half, out, "quick", "cpu")
    finally:
        sweep.train_ensemble = original
    return out


def table(out: Path) -> bytes:
    return sweep.sweep("tiny", out, progress=False).read_bytes()


def parcel_of(folder: Path, tmp_path: Path) -> Path:
    parcel = tmp_path / "parcel"
    parcel.mkdir(exist_ok=True)
    assert parcels.pack(folder, parcel) == 2
    return parcel


def test_a_carried_sweep_ends_with_the_same_table(
    tmp_path: Path, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel = parcel_of(cut, tmp_path)
    assert parcels.unpack(parcel, tmp_path / "far away") == 2
    begun: list[int] = []
    original = sweep.train_ensemble

    def watched(*arguments: object, **settings: object) -> Iterator[object]:
        begun.append(settings["start"].iteration if settings["start"] else 0)  # type: ignore[attr-defined]
        return original(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "train_ensemble", watched)
    carried = table(tmp_path / "far away")
    assert 20 in begun or 15 in begun, "the half-trained shard began again from nothing"
    assert begun.count(0) == len(grid.shards("tiny", "quick")) - 3
    assert carried == table(tmp_path / "undisturbed")


def test_a_finished_reference_travels_without_velocities_and_an_unfinished_shard_with_all(
    tmp_path: Path, cut: Path
) -> None:
    parcels.unpack(parcel_of(cut, tmp_path), tmp_path / "far away")
    reference, _, half = grid.shards("tiny", "quick")[:3]
    for shard, whole in ((reference, False), (half, True)):
        before = checkpoint.load(sweep.folder_of(cut, shard))
        after = checkpoint.load(sweep.folder_of(tmp_path / "far away", shard))
        assert before is not None
        assert after is not None
        assert before[1] == after[1]
        assert before[0].keys() == after[0].keys()
        for name, value in before[0].items():
            lost = name.endswith(parcels.VELOCITY) and not whole
            assert torch.equal(after[0][name], torch.zeros_like(value) if lost else value)


def test_parts_are_small_and_old_ones_go(tmp_path: Path, cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parcel = parcel_of(cut, tmp_path)
    whole = {p.name: p.stat().st_size for p in parcel.iterdir()}
    size = sum(n for name, n in whole.items() if name.startswith("state-"))
    monkeypatch.setattr(parcels, "PART", size // 3 + 1)
    sweep.sweep("tiny", tmp_path / "other", progress=False)
    parcels.pack(tmp_path / "other", parcel)
    parts = list(parcel.glob("state-*-*"))
    assert parts
    assert not {p.name for p in parts} & whole.keys()
    assert max(p.stat().st_size for p in parts) <= size // 3 + 1
    # What does not fit goes, the shards under way first, the results never.
    monkeypatch.setattr(parcels, "PART", 10)
    parcels.pack(cut, parcel)
    assert len(list(parcel.glob("state-*-*"))) > 0
    (tmp_path / "results alone").mkdir()
    assert parcels.unpack(parcel, tmp_path / "results alone") == 2
    assert not list((tmp_path / "results alone").rglob("state-*"))


@pytest.mark.parametrize("damage", ["flipped", "missing", "manifest"])
def test_a_damaged_state_is_not_believed_and_the_results_are_kept(
    tmp_path: Path, cut: Path, damage: str
) -> None:
    parcel = parcel_of(cut, tmp_path)
    (part,) = parcel.glob("state-*-0")
    if damage == "flipped":
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(bytes(content))
    elif damage == "missing":
        part.unlink()
    else:
        (parcel / parcels.STATE).write_text("{")
    assert parcels.unpack(parcel, tmp_path / "far away") == 2
    assert not list((tmp_path / "far away").rglob("*.safetensors"))


def test_what_the_folder_has_is_kept(tmp_path: Path, cut: Path) -> None:
    parcel = parcel_of(cut, tmp_path)
    before = {p: p.read_bytes() for p in cut.rglob("*") if p.is_file()}
    parcels.unpack(parcel, cut)
    assert {p: p.read_bytes() for p in cut.rglob("*") if p.is_file()} == before


def test_an_empty_folder_makes_an_empty_parcel(tmp_path: Path) -> None:
    assert parcels.pack(tmp_path / "nothing", tmp_path) == 0
    assert parcels.unpack(tmp_path, tmp_path / "far away") == 0
    assert parcels.unpack(tmp_path / "no parcel", tmp_path / "far away") == 0


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    checkpoint.write_json(tmp_path / parcels.RESULTS, {"../../elsewhere": {}})
    with pytest.raises(DataError, match="outside the folder of shards"):
        parcels.unpack(tmp_path, tmp_path / "far away")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        entry = tarfile.TarInfo("../../elsewhere/file")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    checkpoint.write_json(tmp_path / parcels.RESULTS, {})
    (tmp_path / "state-x-0").write_bytes(stream.getvalue())
    import hashlib

    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    checkpoint.write_json(tmp_path / parcels.STATE, {"sha256": digest, "parts": ["state-x-0"]})
    with pytest.raises(DataError, match="outside the folder of shards"):
        parcels.unpack(tmp_path, tmp_path / "far away")
    assert not (tmp_path.parent / "elsewhere").exists()
