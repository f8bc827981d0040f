"""Where shards run: joblib's own processes, a Dask cluster, a Ray cluster.

The two clusters are asked for in their own ways: Dask by DASK_SCHEDULER_ADDRESS, Ray by
RAY_ADDRESS. Without an address each starts on this machine. Every machine needs this package
and must see the folder of results under the same path.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from joblib import parallel_config

from regrob.errors import InputError

BACKENDS = ("loky", "threading", "multiprocessing", "dask", "ray")


@contextmanager
def workers(backend: str, jobs: int) -> Iterator[None]:
    """Within this context joblib.Parallel runs so many jobs at a time on the backend.

    Raises:
        InputError: an unknown backend, or one whose package is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"no backend is called {backend!r}; there are {', '.join(BACKENDS)}")
    try:
        start = {"dask": _dask, "ray": _ray}.get(backend)
        stop = start(jobs) if start else None
    except ImportError as error:
        raise InputError(f"{backend} is not installed ({error}): pip install 'regrob[cluster]'") from error
    try:
        with parallel_config(backend=backend, n_jobs=jobs), warnings.catch_warnings():
            # loky replaces a worker that has grown, and says so as if something were wrong.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            yield
    finally:
        if stop is not None:
            stop()


def _dask(jobs: int) -> Callable[[], Any]:
    import dask
    from dask.distributed import Client

    address = dask.config.get("scheduler-address", None)
    local = {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    client = Client(address) if address else Client(**local)
    stop: Callable[[], Any] = client.close if address else client.shutdown  # others' cluster goes on
    return stop


def _ray(jobs: int) -> Callable[[], Any]:
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
    else:
        ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False)
    stop: Callable[[], Any] = ray.shutdown
    return stop
