"""The calls of a run, one for each shard that is to be done, and the executor that runs them.

Shards that run in this process are logged before they start: a task that crashes takes this
process along, and the next run finds in the events which shards had begun (`batch.journal`).
Suspects run in child processes, whatever the scheduler.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.batch.options import RunOptions
from codebatch.batch.scheduler import (
    AUTO,
    SchedulerChoice,
    check_report,
    choose_scheduler,
    current_client,
)
from codebatch.cluster.settings import ClusterSettings
from codebatch.cluster.usage import UsageTally
from codebatch.model.errors import WorkerLostError
from codebatch.model.limits import choose_limits
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import DONE, FAILED, PlannedTask
from codebatch.runtime.interrupts import allowed
from codebatch.runtime.lazy import lazy
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

if TYPE_CHECKING:
    from codebatch.cluster import session
    from codebatch.cluster.preflight import preflight
    from codebatch.cluster.session import Run
    from codebatch.graph import local
    from codebatch.processes import isolation, pool
    from codebatch.shard import run as worker
else:
    local = lazy("codebatch.graph.local")
    isolation = lazy("codebatch.processes.isolation")
    pool = lazy("codebatch.processes.pool")
    preflight = lazy("codebatch.cluster.preflight.preflight")
    session = lazy("codebatch.cluster.session")  # imports distributed
    worker = lazy("codebatch.shard.run")  # the tasks, which only work needs

CLUSTER = "cluster"

OnReceipt = Callable[[Receipt], None]
OnStart = Callable[[ShardCall], None]


def pending_calls(store: StoreDirectory, overview: BatchStatus) -> list[ShardCall]:
    """Return a call for each shard that is not done.

    Where there are some, the batch has no result until they are done: it vouches for all states.
    """
    done = {s for s in overview.shard_ids if overview.shard_status(s) == DONE}
    calls = all_calls(store, overview, done)
    if calls:
        store.batches.drop_result(overview.batch_id)
    return calls


def all_calls(store: StoreDirectory, overview: BatchStatus, done: set[str]) -> list[ShardCall]:
    """Return a call for each shard not in ``done``, largest first, under a fresh attempt."""
    attempt = os.urandom(8).hex()
    shards = sorted(overview.plan.shards, key=lambda shard: (-shard.bytes, shard.shard_id))
    root = str(store.root.resolve())
    limits = choose_limits()
    return [
        ShardCall(root, store.store_id, overview.batch_id, shard.shard_id, attempt, limits=limits)
        for shard in shards
        if shard.shard_id not in done
    ]


def is_final(receipt: Receipt) -> bool:
    """Return whether the shard itself failed; a lost worker is the scheduler's failure."""
    error = receipt.error or {}
    return receipt.status == FAILED and error.get("code") != WorkerLostError.code


class Executor(NamedTuple):
    """The executor of shards: a local scheduler, or a cluster by its address or a client.

    A cluster has to be able to run ``tasks``, those of the plan; ``session`` is the connection to
    it while it is open.
    """

    choice: SchedulerChoice
    client: Any
    cluster: ClusterSettings
    usage: UsageTally
    tasks: tuple[PlannedTask, ...]
    session: Run | None = None

    @property
    def is_this_process(self) -> bool:
        """Return whether tasks run in this process."""
        return self.client is None and self.choice.name in ("sync", "threads")

    @property
    def kind(self) -> str:
        """The kind of scheduler: a local one by its name, or ``cluster``."""
        return self.choice.name if self.client is None and self.choice.is_local else CLUSTER


def choose_executor(
    options: RunOptions, tasks: tuple[PlannedTask, ...], usage: UsageTally, work_bytes: int
) -> Executor:
    """Return the executor for ``work_bytes`` of source; raise where the options cannot be met."""
    client = options.client or current_client(options.scheduler)
    scheduler = options.scheduler if client is None else AUTO
    choice = choose_scheduler(scheduler, options.workers, work_bytes)
    check_report(options.cluster.performance_report, choice, client)
    return Executor(choice, client, options.cluster, usage, tasks)


@contextlib.contextmanager
def open_executor(executor: Executor, store: StoreDirectory) -> Iterator[Executor]:
    """Connect to the cluster, if it is one, for a block, and check that it can run the tasks;
    Dask's report is on all of the block.
    """
    if executor.kind != CLUSTER:
        yield executor
        return
    work = preflight.Work(executor.tasks, str(store.root.resolve()), store.store_id)
    where = executor.choice.name if executor.client is None else executor.client
    with session.open_session(where, executor.cluster, work, executor.usage) as opened:
        yield executor._replace(session=opened)


def run_calls(
    calls: Sequence[ShardCall],
    executor: Executor,
    on_receipt: OnReceipt,
    on_start: OnStart = lambda _: None,
    suspects: Container[str] = (),
) -> None:
    """Run the calls on an executor that is open; receipts arrive as they come."""
    workers = min(executor.choice.workers, len(calls))
    if executor.session is not None:
        executor.session(calls, on_receipt)
        return
    if not executor.is_this_process:
        local.run_in_processes(calls, workers, on_receipt)
        return
    run_suspects([call for call in calls if call.shard_id in suspects], on_receipt, on_start)
    others = [call for call in calls if call.shard_id not in suspects]
    if executor.choice.name == "threads" and others:
        local.run_in_threads(others, workers, on_receipt, on_start)
        return
    for call in others:
        on_start(call)
        on_receipt(worker.run_shard(call))


def run_suspects(calls: Sequence[ShardCall], on_receipt: OnReceipt, on_start: OnStart) -> None:
    """Run the calls one after the other in a child process; an interrupt ends it."""
    children = pool.Children()
    try:
        with allowed():  # the session of a cluster puts them off
            for call in calls:
                on_start(call)
                on_receipt(isolation.run_guarded(call, children))
    finally:
        children.close()
