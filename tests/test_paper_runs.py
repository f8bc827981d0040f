"""The queue at the paper's own scale: finished shards are stored, come back, and are never replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import killable_sweep
import pytest

from regrob import cli
from regrob.analysis import tables
from regrob.data import download
from regrob.errors import DataError
from regrob.experiments import checkpoint, grid, paper_runs, parcels, sweep
from regrob.experiments.paper_runs import Planned, Run


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Planned]]:
    """A queue of three tiny sweeps that share shards, as the paper's do: 1, 2 and 2 shards of their own."""
    with killable_sweep.shrunk():
        grid.FIGURES["references"] = grid.Figure("tiny", ("tiny",), (), fine_tuned=False)
        grid.FIGURES["few"] = grid.Figure("tiny", ("tiny",), ("jacobian",))
        monkeypatch.setattr(paper_runs, "PRESET", "quick")
        queue = (Run("references", "tiny"), Run("few", "tiny"), Run("tiny", "tiny"))
        monkeypatch.setattr(paper_runs, "QUEUE", queue)
        yield paper_runs.plan()


class Killed(BaseException):
    """What nothing in the package catches, as a kill."""


def stop_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int) -> list[None]:
    """Let a function work so many times, then kill instead; return a list that grows by one a call."""
    usual, done = getattr(owner, name), []

    def counted(*arguments: Any, **more: Any) -> Any:
        done.append(None)
        if len(done) > calls:
            raise Killed
        return usual(*arguments, **more)

    monkeypatch.setattr(owner, name, counted)
    return done


def stored_bytes(stored: Path) -> dict[str, bytes]:
    """Every file of the store that git would track."""
    return {str(p.relative_to(stored)): p.read_bytes() for p in stored.rglob("*") if p.is_file()}


def csv_bytes(stored: Path) -> dict[str, bytes]:
    return {name: content for name, content in stored_bytes(stored).items() if name.endswith(".csv")}


def alter(path: Path, **facts: Any) -> None:
    """Another result, whole and sealed, in the place of the one that is there."""
    checkpoint.write_json(path, {**checkpoint.unseal(path), **facts})


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def rows_of(out: Path, queue: list[Planned], kind: str) -> Path:
    """rows.json of the one shard with this in its name."""
    (shard,) = [s for each in queue for s in each.own if kind in s.name]
    return sweep.finished(out, shard)


# --- what the queue is --------------------------------------------------------------------


def test_every_shard_is_one_runs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = grid.task_of
    monkeypatch.setattr(grid, "task_of", lambda dataset, preset: embedded(dataset, "quick"))
    planned = paper_runs.plan()
    counts = {each.run.name: (len(each.own), len(each.shards)) for each in planned}
    assert counts == {
        "references-1-7-lenet-300-100": (1, 1),
        "references-10-lenet-300-100": (1, 1),
        "fig2-lenet-300-100": (17, 18),
        "fig4-lenet-300-100": (17, 35),
        "references-1-7-lenet-5": (1, 1),
        "references-10-lenet-5": (1, 1),
        "fig5-lenet-300-100": (33, 34),
        "fig4-lenet-5": (34, 35),
    }
    assert {shard.budget.reference for shard in paper_runs.distinct(planned)} == {50_000}


def test_what_is_for_a_gpu_is_left_alone_on_a_processor(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[str] = []
    monkeypatch.setattr(paper_runs, "sweep", lambda figure, out, **_: swept.append(figure))
    for_gpu = [replace(each, run=replace(each.run, on_gpu=True)) for each in queue]
    paper_runs.go_on(tmp_path / "out", tmp_path / "stored", for_gpu)
    assert swept == []
    paper_runs.go_on(tmp_path / "out", tmp_path / "stored", for_gpu, workers=sweep.Workers(device="cuda"))
    assert len(swept) == len(queue)


def test_a_gpus_parcel_is_stored(tmp_path: Path, queue: list[Planned]) -> None:
    """What a GPU has finished counts as if it had been computed here."""
    shard = queue[0].shards[0]
    folder = tmp_path / "swept" / "shards" / shard.name
    folder.mkdir(parents=True)
    facts = {"rows": [], "diverged_at": [-1], "seconds": 1.0, "spec": shard.settings(), "provenance": {}}
    checkpoint.write_json(folder / "rows.json", facts)
    (tmp_path / "parcel").mkdir()
    parcels.pack(tmp_path / "swept", tmp_path / "parcel")
    words = ["--out", str(tmp_path / "out"), "--results", str(tmp_path / "stored")]
    assert cli.main(["paper", *words, "--parcel", str(tmp_path / "parcel")]) == 0
    assert paper_runs.read_stored(tmp_path / "stored", shard.name) == checkpoint.unseal(folder / "rows.json")


def test_without_the_full_data_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REGROB_DATA", raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    assert cli.main(["paper", "--out", str(tmp_path / "out")]) == cli.NONSENSE
    error = capsys.readouterr().err
    assert "regrob data download mnist" in error
    assert "REGROB_DATA" in error
    assert not (tmp_path / "out").exists()


# --- going on -----------------------------------------------------------------------------


def test_killed_lost_restored_and_gone_on_it_gives_the_same_tables(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of the queue runs on a machine of its own; only the store passes on."""
    killable_sweep.whole(tmp_path / "undisturbed")
    usual = (tmp_path / "undisturbed" / "tiny.csv").read_bytes()
    stored = tmp_path / "stored"
    for machine in range(4):  # each finishes one shard and is lost in the next
        out = tmp_path / f"machine-{machine}"
        with monkeypatch.context() as patch:
            stop_after(patch, sweep, "run_shard", 1)
            with pytest.raises(Killed):
                paper_runs.go_on(out, stored, queue)
        assert len(list((stored / "shards").glob("*.json"))) == machine + 1
        shutil.rmtree(out)
    paper_runs.go_on(tmp_path / "last", stored, queue)
    assert (stored / "tiny-tiny.csv").read_bytes() == usual
    assert {path.name for path in stored.glob("*.csv")} == {f"{each.run.name}.csv" for each in queue}
    table, sidecar = tables.read(stored, "few-tiny")
    assert set(table["penalty"]) == {"reference", "none", "jacobian"}
    assert sidecar["shards"] == 3
    assert sidecar["made_by"][0]["torch"]


def test_a_lost_reference_is_trained_again_once_and_its_rows_stay(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, first, second = tmp_path / "stored", tmp_path / "first", tmp_path / "second"
    sweep.sweep("references", first, progress=False)
    paper_runs.store(first, stored, queue)
    rows = rows_of(second, queue, "reference")
    assert paper_runs.restore(second, stored) == [rows.parent.name]
    assert [path.name for path in rows.parent.iterdir()] == ["rows.json"]
    restored = rows.read_bytes(), rows.stat().st_mtime_ns
    usual, ends = checkpoint.save, []

    def counted(folder: Path, tensors: Any, facts: dict[str, Any]) -> None:
        if folder == rows.parent and facts["iteration"] == 40:
            ends.append(folder)
        usual(folder, tensors, facts)

    monkeypatch.setattr(checkpoint, "save", counted)
    sweep.sweep("tiny", second, workers=sweep.Workers(jobs=4, backend="threading"), progress=False)
    assert len(ends) == 1, "shards side by side each trained the reference"
    assert (rows.read_bytes(), rows.stat().st_mtime_ns) == restored
    one, two = (next((out / "shards" / rows.parent.name).glob("state-*")) for out in (first, second))
    assert one.read_bytes() == two.read_bytes()


def test_a_lost_reference_of_networks_that_train_alone(tmp_path: Path) -> None:
    with killable_sweep.shrunk():
        killable_sweep.whole(tmp_path, "lone")
        before = (tmp_path / "lone.csv").read_bytes()
        for folder in (tmp_path / "shards").iterdir():
            for member in folder.glob("member-*"):
                shutil.rmtree(member)
            if "reference" not in folder.name:
                (folder / "rows.json").unlink()
        killable_sweep.whole(tmp_path, "lone")
        assert (tmp_path / "lone.csv").read_bytes() == before


def test_what_is_stored_is_not_computed_again(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    paper_runs.go_on(tmp_path / "one", tmp_path / "stored", queue)
    stop_after(monkeypatch, sweep, "trained", 0)
    paper_runs.go_on(tmp_path / "two", tmp_path / "stored", queue)


# --- restoring ----------------------------------------------------------------------------


def test_restoring_overwrites_nothing_that_is_whole(tmp_path: Path, queue: list[Planned]) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    paper_runs.go_on(out, stored, queue)
    kept, damaged, lost = (rows_of(out, queue, kind) for kind in ("reference", "none", "jacobian"))
    alter(kept, seconds=-1.0)
    altered, usual = kept.read_bytes(), damaged.read_bytes()
    damage(damaged)
    lost.unlink()
    assert paper_runs.restore(out, stored) == sorted([damaged.parent.name, lost.parent.name])
    assert kept.read_bytes() == altered
    assert damaged.read_bytes() == usual
    assert damaged.with_name("rows.json.damaged").exists()


@pytest.mark.parametrize("how", ["a bit", "half", "another shard"])
def test_a_damaged_store_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, queue: list[Planned], how: str
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    paper_runs.go_on(out, stored, queue)
    name = rows_of(out, queue, "jacobian").parent.name
    victim = stored / "shards" / f"{name}.json"
    if how == "a bit":
        damage(victim)
    elif how == "half":
        victim.write_bytes(victim.read_bytes()[:100])
    else:
        other = rows_of(out, queue, "curvature").parent.name
        victim.write_bytes((stored / "shards" / f"{other}.json").read_bytes())
    before = stored_bytes(stored)
    message = f"{name}\\.json .*put back the committed file"
    with pytest.raises(DataError, match=message):
        paper_runs.restore(tmp_path / "empty", stored)
    assert not (tmp_path / "empty").exists()
    with pytest.raises(DataError, match=message):
        paper_runs.store(out, stored, queue)
    with pytest.raises(DataError, match=message):
        paper_runs.status(out, stored, queue)
    assert stored_bytes(stored) == before


# --- storing ------------------------------------------------------------------------------


def test_storing_again_changes_no_byte_and_never_the_folder_of_results(
    tmp_path: Path, queue: list[Planned]
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    killable_sweep.whole(out)
    results_before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    first = paper_runs.store(out, stored, queue)
    assert set(first.added) == {shard.name for shard in paper_runs.distinct(queue)}
    assert first.tables == ("references-tiny", "few-tiny", "tiny-tiny")
    before = stored_bytes(stored)
    again = paper_runs.store(out, stored, queue)
    assert (again.added, again.kept) == ((), ())
    assert stored_bytes(stored) == before
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == results_before
    assert set(before) == {
        *(f"shards/{shard.name}.json" for shard in paper_runs.distinct(queue)),
        *(f"{each.run.name}.{kind}" for each in queue for kind in ("csv", "json")),
    }


def test_the_store_keeps_what_it_has_and_says_so(
    tmp_path: Path, queue: list[Planned], capsys: pytest.CaptureFixture[str]
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    paper_runs.go_on(out, stored, queue)
    before = stored_bytes(stored)
    rows = rows_of(out, queue, "jacobian")
    facts = checkpoint.unseal(rows)
    changed = [[*row[:2], [value + 1 for value in row[2]]] for row in facts["rows"]]
    alter(rows, rows=changed)
    notices = paper_runs.store(out, stored, queue).kept
    assert notices == (f"kept the stored {rows.parent.name}: the one in {out} differs in rows",)
    assert cli.main(["paper", "--out", str(out), "--results", str(stored)]) == cli.UNEXPECTED
    assert f"regrob: {notices[0]}\n" == capsys.readouterr().err
    paper_runs.go_on(out, stored, queue)
    assert stored_bytes(stored) == before


def test_a_diverged_member_does_not_make_a_shard_differ_from_itself(
    tmp_path: Path, queue: list[Planned]
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    killable_sweep.whole(out)
    rows = rows_of(out, queue, "jacobian")
    facts = checkpoint.unseal(rows)
    alter(rows, rows=[[*row[:2], [float("nan"), row[2][1]]] for row in facts["rows"]], diverged_at=[3, -1])
    assert paper_runs.store(out, stored, queue).kept == ()
    assert paper_runs.store(out, stored, queue).kept == ()


def test_what_is_not_whole_is_not_stored(tmp_path: Path, queue: list[Planned]) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    killable_sweep.whole(out)
    rows = rows_of(out, queue, "jacobian")
    damage(rows)
    assert rows.parent.name not in paper_runs.store(out, stored, queue).added
    assert [path.name for path in stored.glob("*.csv")] == ["references-tiny.csv"]
    assert rows.exists(), "the folder of results may be in use"
    assert paper_runs.store(tmp_path / "none", tmp_path / "new", queue).added == ()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("instant", ["fsync", "rename"])
def test_a_kill_in_the_middle_of_storing_leaves_whole_files(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    killable_sweep.whole(out)
    owner, name = (os, "fsync") if instant == "fsync" else (Path, "replace")
    with monkeypatch.context() as patch:
        instants = stop_after(patch, owner, name, 1_000)
        paper_runs.store(out, tmp_path / "undisturbed", queue)
    whole = stored_bytes(tmp_path / "undisturbed")
    assert len(instants) == len(whole), "a file is written in another way, which a kill may leave half done"
    kills = 0
    for calls in (0, 1, 2, 4, 0, 3, 5, 6):
        with monkeypatch.context() as patch:
            stop_after(patch, owner, name, calls)
            try:
                paper_runs.store(out, stored, queue)
            except Killed:
                kills += 1
        left = stored_bytes(stored)
        assert {name for name in left if not name.endswith(".part")} <= set(whole)
        assert all(left[name] == whole[name] for name in left if not name.endswith(".part"))
    assert kills >= 5
    paper_runs.store(out, stored, queue)
    assert stored_bytes(stored) == whole


def test_folders_that_cannot_be_used_are_one_clear_error(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, stored, file = tmp_path / "out", tmp_path / "stored", tmp_path / "file"
    sweep.sweep("references", out, progress=False)
    file.write_text("not a folder")
    with pytest.raises(DataError, match=r"cannot read .*file.*choose another folder"):
        paper_runs.store(out, file, queue)
    with pytest.raises(DataError, match=r"cannot read .*file.*choose another folder"):
        paper_runs.status(file, stored, queue)
    paper_runs.store(out, stored, queue)
    with pytest.raises(DataError, match=r"cannot make .*file.*choose another folder"):
        paper_runs.restore(file, stored)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(DataError, match=r"cannot make .*new.*Permission denied"):
        paper_runs.store(out, tmp_path / "new", queue)


# --- how far it is ------------------------------------------------------------------------


def test_the_status_counts_right(
    tmp_path: Path, queue: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    fresh = paper_runs.status(out, stored, queue)
    assert [(each.finished, each.own) for each in fresh] == [(0, 1), (0, 2), (0, 2)]
    assert all(each.hours_left is None and each.seconds is None and not each.under_way for each in fresh)
    assert paper_runs.table(fresh).splitlines()[-1].split() == ["in", "all", "0", "/", "5", "0.0", "+", "?"]
    with monkeypatch.context() as patch:
        stop_after(patch, checkpoint, "save", 20)  # 8 checkpoints a training
        with pytest.raises(Killed):
            paper_runs.go_on(out, stored, queue)
    for kind, seconds in (("reference", 100.0), ("none", 3600.0)):
        alter(rows_of(out, queue, kind), seconds=seconds)
    shutil.rmtree(stored)
    references, few, tiny = paper_runs.status(out, stored, queue)
    assert (references.finished, references.seconds, references.hours_left) == (1, 100.0, 0.0)
    assert (few.finished, few.seconds, few.hours_left) == (1, 3600.0, 1.0)
    assert few.under_way == ((rows_of(out, queue, "jacobian").parent.name, 20, 40),)
    assert (tiny.finished, tiny.seconds, tiny.hours_left) == (0, 3600.0, 2.0)
    text = paper_runs.table([references, few, tiny])
    assert text.splitlines() == [
        "run              finished  s/shard  hours left",
        "references-tiny    1 / 1       100         0.0",
        "few-tiny           1 / 2      3600         1.0",
        f"  {few.under_way[0][0]}: 20 of 40",
        "tiny-tiny          0 / 2      3600         2.0",
        "in all             2 / 5                   3.0",
    ]


def test_stored_shards_count_as_finished_where_the_results_are_lost(
    tmp_path: Path, queue: list[Planned]
) -> None:
    out, stored = tmp_path / "out", tmp_path / "stored"
    paper_runs.go_on(out, stored, queue)
    before = paper_runs.status(out, stored, queue)
    assert [each.hours_left for each in before] == [0.0, 0.0, 0.0]
    assert paper_runs.status(tmp_path / "lost", stored, queue) == before
    assert not (tmp_path / "lost").exists()


# --- the command line ---------------------------------------------------------------------


@pytest.mark.usefixtures("queue")
def test_the_command_line_runs_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["paper", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "stored")]
    with monkeypatch.context() as patch:
        stop_after(patch, sweep, "run_shard", 0)
        stop_after(patch, paper_runs, "go_on", 0)
        assert cli.main(where) == cli.AS_EXPECTED
    assert list(tmp_path.iterdir()) == [], "the status alone writes nothing"
    assert capsys.readouterr().out.splitlines()[-1] == "0 shards newly stored; 0 complete tables"
    assert cli.main([*where, "--run"]) == cli.AS_EXPECTED
    out = capsys.readouterr().out
    assert "in all             5 / 5                   0.0\n" in out
    assert out.splitlines()[-1] == "0 shards newly stored; 3 complete tables"
    assert (tmp_path / "stored" / "tiny-tiny.json").exists()
