"""A run on a cluster from its first contact to its end: connected, found fit, reported on.

It is apart from the schedulers of this machine, which need no `distributed`. The scheduler makes
Dask's own report on a run, and needs bokeh for it; this process writes the file. A report that
fails is a notice, and no reason to lose a run.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import distributed

from codebatch.cluster.cluster import Cluster, connected
from codebatch.cluster.connect.configuration import completed
from codebatch.cluster.preflight.preflight import Work, examine, examine_workers
from codebatch.cluster.settings import AUTO, SHIPPED, ClusterSettings
from codebatch.cluster.shared import leave_shared, run_nodes_shared, run_shared
from codebatch.cluster.shipped import run_shipped
from codebatch.cluster.usage import UsageTally
from codebatch.model.errors import ClusterError, MissingExtraError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.reduction.messages import NodeCall, NodeReceipt
from codebatch.runtime.interrupts import deferred
from codebatch.store.destination import writing_file

_MAKE_SECONDS = 120

Finish = Callable[..., object]


class Session:
    """A cluster that was found fit for the work of a run, and the code of users' tasks for it."""

    def __init__(self, cluster: Cluster, usage: UsageTally, code: bytes) -> None:
        self._cluster = cluster
        self._usage = usage
        self._code = code

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return self._cluster.address

    def run(self, calls: Sequence[ShardCall], on_receipt: Callable[[Receipt], None]) -> None:
        """Run the calls; receipts arrive as they come."""
        run = run_shipped if self._usage.transport == SHIPPED else run_shared
        run(self._cluster, calls, on_receipt, self._usage, self._code)

    def run_nodes(self, calls: Sequence[NodeCall]) -> NodeReceipt | None:
        """Run the nodes of a batch task on workers, and return the receipt of the last; None where
        they do not open the store, or it was lost.
        """
        if self._usage.transport == SHIPPED:
            return None
        return run_nodes_shared(self._cluster, calls, self._code)

    def leave(
        self,
        calls: Sequence[ShardCall],
        nodes: Sequence[NodeCall],
        finish: Finish,
        of_end: ShardCall,
    ) -> bool:
        """Submit the calls and the nodes of batch tasks, and ``finish`` of ``of_end`` and all
        receipts, as one graph that the cluster works on when this process ends; false where it is
        at that already.
        """
        return leave_shared(self._cluster, (calls, nodes), finish, of_end, self._code)


@contextlib.contextmanager
def open_session(
    where: Any, settings: ClusterSettings, work: Work, usage: UsageTally
) -> Iterator[Session]:
    """Yield the session; ``where`` is an address, a scheduler file, or a client.

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
        yield Session(cluster, usage, work.code)


@contextlib.contextmanager
def reporting(cluster: Cluster, settings: ClusterSettings) -> Iterator[None]:
    """Write Dask's report on a block where the settings ask for one."""
    if settings.performance_report is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        # Under a name of ours: Dask would take a part of some names for a protocol or a filter.
        made = os.path.join(folder, "report.html")
        report: Any = distributed.performance_report(  # type: ignore[no-untyped-call]
            made,
            mode="inline",  # to be read offline
        )
        with cluster.client.as_current():
            cluster.client.sync(report.__aenter__)
        try:
            yield
        finally:
            try:
                if cluster.client.status != "running":
                    raise ClusterError("the scheduler is lost")
                end = {"code": "codebatch", "callback_timeout": _MAKE_SECONDS}
                with cluster.client.as_current():
                    cluster.client.sync(report.__aexit__, None, None, None, **end)
                with open(made, "rb") as source, writing_file(settings.performance_report) as to:
                    shutil.copyfileobj(source, to)
            except Exception as error:  # noqa: BLE001 - whatever a scheduler may answer
                settings.on_notice(f"no performance report: {type(error).__name__}: {error}")


def can_import(name: str) -> bool:
    """Return true if this process can import a module; runs on the scheduler."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def check_reporting(client: Any, settings: ClusterSettings) -> None:
    """Raise `MissingExtraError` where a report is asked for and the scheduler cannot make one."""
    if settings.performance_report is None:
        return
    if not client.run_on_scheduler(can_import, "bokeh"):
        raise MissingExtraError(
            "a performance report needs bokeh, which the scheduler does not have",
            hints=["where the scheduler is: pip install 'codebatch[dashboard]'"],
        )
