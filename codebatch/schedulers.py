"""Which scheduler a run uses: the choice, without importing dask.

Order: what was asked for, ``CODEBATCH_SCHEDULER``, the address in Dask's environment
(``DASK_SCHEDULER_ADDRESS``), else a local scheduler that suits the amount of work.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codebatch.errors import SchedulerInvalidError, UsageError
from codebatch.store.destination import check_writable

AUTO = "auto"
LOCAL = ("sync", "threads", "processes")
SHARED, SHIPPED = "shared", "shipped"
TRANSPORTS = (AUTO, SHARED, SHIPPED)

_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx|inproc)://\S+\Z")
_TINY_WORK_BYTES = 2**19
_SMALL_WORK_BYTES = 2 * 2**20


@dataclass(frozen=True)
class SchedulerChoice:
    """``name`` is a local scheduler, an address, or a path to a scheduler file."""

    name: str
    workers: int

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine alone."""
        return self.name in LOCAL


@dataclass(frozen=True)
class ClusterSettings:
    """How a run uses a cluster; without effect on a local scheduler.

    ``transport`` is one of `TRANSPORTS`. ``timeout`` is how many seconds to wait for a cluster that
    has lost its scheduler or all of its workers. Dask's report on the run is written to the file
    ``performance_report``. ``on_notice`` is told what a person may want to know, in one line.
    """

    transport: str = AUTO
    timeout: float | None = None
    performance_report: str | None = None
    on_notice: Callable[[str], None] = lambda _: None


def choose_cluster_settings(
    transport: str | None = None,
    timeout: float | None = None,
    performance_report: str | os.PathLike[str] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> ClusterSettings:
    """What was asked for, checked; `UsageError` where it makes no sense."""
    if transport not in (None, *TRANSPORTS):
        raise UsageError(
            f"unknown transport: {transport}", hints=[f"choose {', '.join(TRANSPORTS)}"]
        )
    if timeout is not None and not 0 <= timeout < float("inf"):
        raise UsageError(f"not a number of seconds: {timeout}")
    report = None if performance_report is None else os.fspath(performance_report)
    return ClusterSettings(transport or AUTO, timeout, report, on_notice or (lambda _: None))


def choose_scheduler(asked: str | None, workers: int | None, work_bytes: int) -> SchedulerChoice:
    """The scheduler for a run over ``work_bytes`` of source."""
    name = asked or os.environ.get("CODEBATCH_SCHEDULER")
    name = name or os.environ.get("DASK_SCHEDULER_ADDRESS") or AUTO
    if name == AUTO:
        name = _local_for(work_bytes)
    elif name not in LOCAL and not _ADDRESS.match(name) and not Path(name).is_file():
        raise SchedulerInvalidError(
            f"unknown scheduler: {name}",
            hints=[f"choose {', '.join((AUTO, *LOCAL))}, tcp://host:port, or a scheduler file"],
        )
    return SchedulerChoice(name, workers or usable_cpus())


def check_cluster(name: str) -> None:
    """Raise `SchedulerInvalidError` unless this is an address, or a scheduler file."""
    if not _ADDRESS.match(name) and not Path(name).is_file():
        raise SchedulerInvalidError(
            f"not the address of a cluster: {name}",
            hints=["give tcp://host:port, or a scheduler file"],
        )


def check_report(path: str | None, choice: SchedulerChoice, client: object = None) -> None:
    """Raise where Dask's report on a run is asked for and cannot be had: `UsageError` without a
    cluster, `OutputError` where the file cannot be written.
    """
    if path is None:
        return
    if client is None and choice.is_local:
        raise UsageError(
            f"only a cluster makes a performance report, and the scheduler is {choice.name}",
            hints=["give --scheduler tcp://host:port, or leave out --performance-report"],
        )
    check_writable(path)


def needs_processes(asked: str | None, workers: int | None, work_bytes: int) -> bool:
    """Whether a run over so much source would start worker processes."""
    return choose_scheduler(asked, workers, work_bytes).name == "processes"


def usable_cpus() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _local_for(work_bytes: int) -> str:
    """This thread where the rest would start later than it ends; threads where starting
    processes would cost more, or where no lock holds threads back.
    """
    if work_bytes < _TINY_WORK_BYTES:
        return "sync"
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return "threads" if free_threaded or work_bytes < _SMALL_WORK_BYTES else "processes"
