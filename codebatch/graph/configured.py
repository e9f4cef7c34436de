"""The scheduler that Dask's configuration names: by ``dask.config.set(scheduler=, pool=,
num_workers=)``, or the variables ``DASK_SCHEDULER`` and ``DASK_NUM_WORKERS``.

It means here what it means to `dask.compute`: see `dask.base.get_scheduler`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.pool import Pool, ThreadPool
from typing import Any

import dask.config

from codebatch.model.errors import SchedulerInvalidError

_NAMES = {
    "sync": "sync",
    "synchronous": "sync",
    "single-threaded": "sync",
    "threads": "threads",
    "threading": "threads",
    "processes": "processes",
    "multiprocessing": "processes",
}
_CLUSTER = ("distributed", "dask.distributed")


@dataclass(frozen=True)
class Configured:
    """``name`` is the local scheduler, None for none; ``client`` is a connected one. ``pool`` and
    ``workers`` are of a local scheduler, ``get`` is one that is a function.
    """

    name: str | None = None
    client: Any = None
    workers: int | None = None
    pool: Any = None
    get: Callable[..., Any] | None = None


def configured_scheduler() -> Configured:
    """Return what is configured; `SchedulerInvalidError` where that is no scheduler."""
    scheduler = dask.config.get("scheduler", None)
    workers = dask.config.get("num_workers", None)
    pool = dask.config.get("pool", None)
    if isinstance(scheduler, (Executor, Pool)):
        scheduler, pool = None, scheduler
    if scheduler is None:
        if pool is None:
            return Configured(workers=workers)
        name = "threads" if isinstance(pool, (ThreadPoolExecutor, ThreadPool)) else "processes"
        return Configured(name, workers=workers or _size(pool), pool=pool)
    if isinstance(scheduler, str) and scheduler.lower() in _NAMES:
        name = _NAMES[scheduler.lower()]
        used = pool if name != "sync" else None
        return Configured(name, workers=workers or (used and _size(used)), pool=used)
    if isinstance(scheduler, str) and scheduler.lower() in _CLUSTER:
        return Configured()
    if "Client" in type(scheduler).__name__ and hasattr(scheduler, "get"):
        return Configured(client=scheduler)
    if callable(scheduler):
        return Configured("dask", get=scheduler)
    raise SchedulerInvalidError(f"unknown scheduler in Dask's configuration: {scheduler}")


def _size(pool: Any) -> int | None:
    """Return how many workers a pool has, as far as it says so."""
    size = getattr(pool, "_max_workers", None) or getattr(pool, "_processes", None)
    return size if isinstance(size, int) else None
