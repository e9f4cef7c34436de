"""A run on a cluster from its first contact to its end: connected, found fit, reported on.

It is apart from the schedulers of this machine, which need no `distributed`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from codebatch.cluster.cluster import Cluster, connected
from codebatch.cluster.connect.configuration import completed
from codebatch.cluster.performance_report import check_reporting, reporting
from codebatch.cluster.preflight.preflight import Work, examine, examine_workers
from codebatch.cluster.settings import AUTO, SHIPPED, ClusterSettings, UsageTally
from codebatch.cluster.shared import run_shared
from codebatch.cluster.shipped import run_shipped
from codebatch.model.messages import Receipt, ShardCall
from codebatch.runtime.interrupts import deferred

Run = Callable[[Sequence[ShardCall], Callable[[Receipt], None]], None]


@contextlib.contextmanager
def open_session(
    where: Any, settings: ClusterSettings, work: Work, usage: UsageTally
) -> Iterator[Run]:
    """Yield the function that runs calls; ``where`` is an address, a scheduler file, or a client.

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
        asked = settings.transport or AUTO
        found = examine(cluster.client, work, asked, settings.on_notice, settings.timeout)
        usage.transport = found.transport
        cluster.settle(
            found, lambda some: examine_workers(cluster.client, some, work, found.transport)
        )
        stack.enter_context(reporting(cluster, settings))
        run = run_shipped if usage.transport == SHIPPED else run_shared
        yield lambda calls, on_receipt: run(cluster, calls, on_receipt, usage)
