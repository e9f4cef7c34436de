"""Leave a run to a cluster whose workers open the store: it goes on when this process ends.

What is pending becomes one graph: a task for each shard and each node of a batch task, and a last
one that finishes the batch as a run does. The run has a lease that no process holds; workers keep
it alive and log what they do, so that ``status`` shows it from anywhere. What the cluster loses for
good stays pending: another run takes it over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codebatch.batch.coordination import coordinated
from codebatch.batch.create import ask_again
from codebatch.batch.dispatch import CLUSTER, all_calls, choose_executor, open_executor
from codebatch.batch.options import RunOptions
from codebatch.batch.run import Run
from codebatch.cluster.settings import SHARED
from codebatch.display.displayed import Displayed
from codebatch.model.errors import ClusterMismatchError, UsageError
from codebatch.model.messages import Receipt, RunLease, ShardCall
from codebatch.model.records import PENDING
from codebatch.reduction.messages import NodeReceipt
from codebatch.store import StoreDirectory, open_store
from codebatch.store.leases.leases import drop_lease, leave_lease
from codebatch.tasks.code.carry import NOTHING, be_told

_HINT = "without --detach, this command stays, and sends workers what they need"


@dataclass(frozen=True, repr=False)
class Submission(Displayed):
    """A run that was left to a cluster, now or before: the address of its scheduler, and how many
    shards are to be done. Without any, the batch was finished here, and has that ``status``.
    """

    batch_id: str
    snapshot_id: str
    status: str
    shards: int
    scheduler: str | None


def submit_batch(store: StoreDirectory, batch_id: str, options: RunOptions) -> Submission:
    """Leave what is not done of a batch to a cluster. `ClusterMismatchError` where its workers do
    not see the store.
    """
    began = time.monotonic()
    cluster = replace(options.cluster, transport=SHARED)
    run = Run(store, batch_id, replace(options, cluster=cluster))
    if choose_executor(run.options, run.plan.tasks, run.usage, 0).kind != CLUSTER:
        raise UsageError(
            "only a cluster goes on with a run that is left to it, and the scheduler is local",
            hints=["give --scheduler tcp://host:port, or leave out --detach"],
        )
    run.prepare()
    ask_again(store, batch_id)
    submitted = None
    if not run.is_settled():
        with coordinated(store, batch_id, run.batch_status) as run.coordination:
            submitted = _submit(run)
    if submitted is not None:
        return submitted
    report = run.finish(began, interrupted=False)
    return Submission(batch_id, report.snapshot_id, report.status, 0, None)


def finish_submitted(
    call: ShardCall, receipts: Sequence[Receipt | NodeReceipt], code: bytes = NOTHING
) -> str:
    """Finish the batch whose shards and batch tasks gave these receipts, on a worker; return its
    status. ``call`` is one for any shard of it, and ``code`` that of users' tasks. What is not done
    yet is done here, in child processes.
    """
    be_told(code)
    began = time.monotonic()
    store = open_store(Path(call.store))
    options = RunOptions("processes", 1, limits=call.limits)
    run = Run(store, call.batch_id, options)
    with coordinated(store, call.batch_id, run.batch_status) as run.coordination:
        drop_lease(store.layout, call.lease.lease_id)  # its claims are free, where work was lost
        for receipt in receipts:
            run.attempts.add(receipt.attempt)
            if isinstance(receipt, Receipt):
                run.keep(receipt)  # which its worker has logged
            else:
                run.reductions.take(receipt)
        executor = choose_executor(options, run.plan.tasks, run.usage, 0)
        run.run_rounds(executor._replace(carried=code))
    return run.finish(began, interrupted=False).status


def _submit(run: Run) -> Submission | None:
    """Submit what is pending; None where that is nothing."""
    executor = run.link(run.coordination.before)
    if executor is None:
        return None
    try:
        with open_executor(executor, run.store) as opened:
            if opened.session is None:
                raise UsageError("the scheduler is local")
            address = opened.session.address
            lease = leave_lease(run.store.layout, "run", run.batch_id, address)
            held = RunLease(lease.lease_id, lease.since_ns, address)
            calls = [call._replace(lease=held) for call in run.next_calls()]
            (any_call,) = all_calls(run.store, run.batch_status(), set())[:1]
            any_call = any_call._replace(lease=held, limits=run.options.limits)
            nodes = [
                node._replace(call=node.call._replace(lease=held))
                for node in run.nodes_beside(calls)
            ]
            if not opened.session.leave(calls, nodes, finish_submitted, any_call):
                drop_lease(run.store.layout, lease.lease_id)
    except ClusterMismatchError as error:
        error.hints = (*error.hints, _HINT)
        raise
    return Submission(run.batch_id, run.plan.snapshot_id, PENDING, len(calls), address)
