"""Settings of a run on a cluster, and what use it made of each worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from codebatch.model.errors import UsageError

AUTO = "auto"  # what its workers can do
SHARED = "shared"  # they open the store
SHIPPED = "shipped"  # they never see it
TRANSPORTS = (AUTO, SHARED, SHIPPED)


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of a run on a cluster; without effect on a local scheduler.

    ``transport`` is one of `TRANSPORTS`, ``timeout`` how many seconds to wait for a scheduler or
    for workers that are not there, yet or any more; Dask's configuration may fill in either where
    it is None. Dask's report on the run is written to the file ``performance_report``.
    ``on_notice`` is told what a person may want to know, in one line.
    """

    transport: str | None = None
    timeout: float | None = None
    performance_report: str | None = None
    on_notice: Callable[[str], None] = lambda _: None


def choose_cluster_settings(
    transport: str | None = None,
    timeout: float | None = None,
    performance_report: str | os.PathLike[str] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> ClusterSettings:
    """Return the settings, checked; `UsageError` where one is not valid."""
    if transport not in (None, *TRANSPORTS):
        raise UsageError(
            f"unknown transport: {transport}", hints=[f"choose {', '.join(TRANSPORTS)}"]
        )
    if timeout is not None and not 0 <= timeout < float("inf"):
        raise UsageError(f"not a number of seconds: {timeout}")
    report = None if performance_report is None else os.fspath(performance_report)
    return ClusterSettings(transport, timeout, report, on_notice or (lambda _: None))


@dataclass(frozen=True)
class WorkerUsage:
    """One worker: how many calls it answered, how many bytes it was sent and sent back.

    Where workers open the store, what is sent is next to nothing, and not counted.
    """

    name: str
    address: str
    calls: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True)
class ClusterUsage:
    """The transport, and the workers that answered, by name."""

    transport: str
    workers: tuple[WorkerUsage, ...]


class UsageTally:
    """Adds up. State: ``transport`` is None until a cluster is used, ``_workers`` is by name."""

    def __init__(self) -> None:
        self.transport: str | None = None
        self._workers: dict[str, WorkerUsage] = {}

    def count(self, name: str, address: str, sent: int = 0, received: int = 0) -> None:
        """Add a call that a worker has answered."""
        one = self._workers.get(name, WorkerUsage(name, address))
        total = one.calls + 1, one.sent_bytes + sent, one.received_bytes + received
        self._workers[name] = WorkerUsage(name, address, *total)

    def usage(self) -> ClusterUsage | None:
        """Return the use so far; None where there was no cluster."""
        if self.transport is None:
            return None
        return ClusterUsage(self.transport, tuple(self._workers[n] for n in sorted(self._workers)))
