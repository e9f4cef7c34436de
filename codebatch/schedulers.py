"""Which scheduler a run uses: the choice, without importing dask.

Order: what was asked for, ``CODEBATCH_SCHEDULER``, the address in Dask's environment
(``DASK_SCHEDULER_ADDRESS``), else a local scheduler that suits the amount of work.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from codebatch.errors import SchedulerInvalidError

AUTO = "auto"
LOCAL = ("sync", "threads", "processes")

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
