"""Shards on a real Dask and a real Ray, each on this machine, give what one process gives."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from regrob.errors import InputError
from regrob.experiments import backends, sweep

PACKAGES = {"dask": "distributed", "ray": "ray"}
FIGURE, NETWORKS = "cost", ("lenet-300-100",)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table that one process computes."""
    folder = tmp_path_factory.mktemp("alone")
    return sweep.sweep(FIGURE, folder, networks=NETWORKS, progress=False).read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # two clusters' own
@pytest.mark.parametrize(
    "backend",
    ["loky", pytest.param("dask", marks=pytest.mark.extra), pytest.param("ray", marks=pytest.mark.extra)],
)
def test_a_cluster_gives_the_same_table(
    backend: str, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = PACKAGES.get(backend, "joblib")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'regrob[cluster]'")
    for variable in ("DASK_SCHEDULER_ADDRESS", "RAY_ADDRESS", "REGROB_DATA"):
        monkeypatch.delenv(variable, raising=False)
    here = Path(backends.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]))
    table = sweep.sweep(
        FIGURE, tmp_path, networks=NETWORKS, workers=sweep.Workers(jobs=2, backend=backend), progress=False
    )
    assert table.read_bytes() == alone
    folders = list((tmp_path / "shards").iterdir())
    assert len(folders) == 3, "each shard once, and nothing beside them"


def test_an_unknown_backend_is_told_with_the_known_ones(tmp_path: Path) -> None:
    slurm = sweep.Workers(jobs=2, backend="slurm")
    with pytest.raises(InputError, match=r"no backend is called 'slurm'; there are loky, .*dask, ray"):
        sweep.sweep(FIGURE, tmp_path, networks=NETWORKS, workers=slurm, progress=False)
    assert not list(tmp_path.glob("shards/*"))


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_without_its_package_a_backend_says_what_to_install(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, backend, None)
    context = backends.workers(backend, 2)
    with pytest.raises(InputError, match=r"is not installed .*pip install 'regrob\[cluster\]'"):
        context.__enter__()
