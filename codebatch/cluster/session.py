"""A run on a cluster from its first contact to its end: connected, found fit, reported on.

It is apart from the schedulers of this machine, which need no `distributed`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codebatch.cluster.cluster import Cluster, connected
from codebatch.cluster.connect.configuration import completed
from codebatch.cluster.performance_report import check_reporting, reporting
from codebatch.cluster.preflight.preflight import examine, examine_workers
from codebatch.cluster.settings import AUTO, SHIPPED, ClusterSettings
from codebatch.cluster.shared import run_shared
from codebatch.cluster.shipped.transport import run_shipped
from codebatch.cluster.usage import UsageTally
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import PlannedTask
from codebatch.runtime.interrupts import deferred


@dataclass(frozen=True)
class Work:
    """The work for a cluster: the tasks of a plan, and their store."""

    tasks: tuple[PlannedTask, ...]
    store: str
    store_id: str


class Session:
    """A cluster that is ready for calls, by a transport that fits it."""

    def __init__(self, cluster: Cluster, usage: UsageTally) -> None:
        self._cluster = cluster
        self._usage = usage

    def run(self, calls: Sequence[ShardCall], on_receipt: Callable[[Receipt], None]) -> None:
        """Run the calls; receipts arrive as they come."""
        run = run_shipped if self._usage.transport == SHIPPED else run_shared
        run(self._cluster, calls, on_receipt, self._usage)


@contextlib.contextmanager
def open_session(
    where: Any, settings: ClusterSettings, work: Work, usage: UsageTally
) -> Iterator[Session]:
    """Yield a session; ``where`` is an address, a scheduler file, or a client.

    Nothing is sent unless the cluster is fit for the work: see `cluster.preflight.preflight`. An
    interrupt takes effect between answers of the cluster, a second one where it comes.
    """
    settings = completed(settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(deferred())
        if isinstance(where, str):
            cluster = stack.enter_context(connected(where, settings))
        else:
            cluster = Cluster(where, settings)
        check_reporting(cluster.client, settings)
        usage.transport = _settle(cluster, settings, work)
        stack.enter_context(reporting(cluster, settings))
        yield Session(cluster, usage)


def _settle(cluster: Cluster, settings: ClusterSettings, work: Work) -> str:
    """Check the cluster, and return the transport that it is fit for."""
    place = work.tasks, work.store, work.store_id
    found = examine(
        cluster.client, *place, settings.transport or AUTO, settings.on_notice, settings.timeout
    )
    cluster.settle(
        found, lambda some: examine_workers(cluster.client, some, *place, found.transport)
    )
    return found.transport
