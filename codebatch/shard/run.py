"""The one entry point that runs a shard, in this process or in any other that sees the store.

It is a top-level function of plain arguments, so that any scheduler can name it. It never
raises for what can go wrong with a shard: a Dask scheduler drops a whole graph at the first
exception, so failure is a value, committed as a state and said in the receipt.

A run of a shard has two halves, so that its results may also be computed where the store cannot
be seen, in between: `open_shard` claims it and finds out what is known of it, `finish_shard`
puts everything together and commits it.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence

from codebatch.model.clock import now, now_ns
from codebatch.model.digest import Document
from codebatch.model.errors import (
    ENVIRONMENT_ERRORS,
    TRANSIENT_ERRORS,
    BatchNotFoundError,
    CodeBatchError,
    NotReusedError,
    ShardFailedError,
    StoreWriteError,
    WorkerLostError,
)
from codebatch.model.keys import pipeline_fingerprints
from codebatch.model.messages import Receipt, RunLease, ShardCall
from codebatch.model.record_lines import FileLines
from codebatch.model.records import CLAIMED, DONE, Plan, PlannedTask
from codebatch.shard.commit import commit_failure, commit_shard
from codebatch.shard.compute import Computation, ShardContext, compute_shard
from codebatch.shard.memo_reader import MemoReader
from codebatch.shard.open import (
    Change,
    OpenShard,
    answered,
    check_listed,
    open_call,
    open_called,
)
from codebatch.shard.quarantine import Quarantine
from codebatch.shard.recheck import open_recheck
from codebatch.shard.splice import keep_unchanged
from codebatch.store import StoreDirectory
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import hold_lease
from codebatch.store.leases.pins import Pins
from codebatch.store.write_group import WriteGroup

_RETRYABLE = (
    *ENVIRONMENT_ERRORS,
    *TRANSIENT_ERRORS,
    BatchNotFoundError,
    MemoryError,
    NotReusedError,
)


def run_shard(call: ShardCall, change: Change = lambda context: context) -> Receipt:
    """Compute and commit one shard, or compute a part of it again, and say what was done.

    ``change`` is applied to the context in which the results are computed.
    """
    if not call.lease.lease_id and call.recheck is None:
        return answered(call, lambda: _run_leased(call, change))
    opened = open_shard(call)
    return opened if isinstance(opened, Receipt) else finish_shard(opened, change)


def open_shard(call: ShardCall) -> OpenShard | Receipt:
    """Claim a shard and find out what is to be done, or return a receipt where that is nothing."""
    part = call.recheck
    return answered(call, lambda: _open(call) if part is None else open_recheck(call, part))


def finish_shard(shard: OpenShard, change: Change) -> Receipt:
    """Compute what is to be done of a shard, commit it, and say so."""
    return answered(shard.call, lambda: shard.finish(change))


def _run_leased(call: ShardCall, change: Change) -> Receipt:
    """Run a shard that no run of ours has asked for, under a lease for it alone."""
    with hold_lease(open_called(call).layout, "run", call.batch_id) as lease:
        return run_shard(call._replace(lease=RunLease(lease.lease_id, lease.since_ns)), change)


def _open(call: ShardCall) -> OpenShard | Receipt:
    store, plan = open_call(call)
    claims = Claims(store.layout, call.batch_id, call.lease.lease_id)
    if claims.take(call.shard_id) is not None:
        return Receipt(call.shard_id, call.attempt, CLAIMED)
    with _released_if_gone(claims, call):
        check_listed(store, call)
        started, memo = now(), MemoReader(store, call)
        tasks = _tasks_to_run(store, plan, call)
        if not tasks:  # another run had it before this one claimed it
            return Receipt(call.shard_id, call.attempt, DONE)
        with _recording_failure(store, call, tasks):
            inputs = store.batches.load_inputs(call.batch_id, plan.shard(call.shard_id))
            closures = pipeline_fingerprints(plan.tasks)
            closures = {task.id: closures[task.id] for task in tasks}
            kept = keep_unchanged(store, call.reuse.base, closures, call.shard_id, inputs)
    files = [file for file in inputs if file.path not in kept.paths]

    def finish(change: Change) -> Receipt:
        with _released_if_gone(claims, call):
            with _lost_if_moved(), _recording_failure(store, call, tasks):
                with store.group(durable=False) as group:
                    context = change(_context(store, call, memo, group))
                    result = compute_shard(tasks, call.shard_id, files, context, kept)
                check_listed(store, call)
                commit_shard(
                    store, call.batch_id, call.shard_id, result.outputs, call.attempt, started
                )
            warning = memo.keep(result.computed, now_ns())
        return Receipt(call.shard_id, call.attempt, DONE, warning=warning)

    return OpenShard(call, store, tasks, files, memo, finish)


def _context(
    store: StoreDirectory, call: ShardCall, memo: MemoReader, group: WriteGroup
) -> ShardContext:
    """Return what the shard needs of the store; what it puts there belongs to ``group``."""
    pins = Pins(store.layout.door, lambda: call.lease.since_ns)

    def quarantine(work: Computation, code: str) -> FileLines:
        facts: Document = {"batch_id": call.batch_id, "task_id": work.task.id}
        facts |= {"path": work.file.path, "object": work.file.object}
        return Quarantine(store).add(work.key, code, facts)

    return ShardContext(
        store.objects.read,
        lambda data: store.objects.put(data, group, pins).digest,
        quarantine,
        memo.lookup,
        may_compute=not call.reuse.required,
    )


@contextlib.contextmanager
def _recording_failure(
    store: StoreDirectory, call: ShardCall, tasks: Sequence[PlannedTask]
) -> Iterator[None]:
    """Commit that the shard has failed where a block raises, unless it is not the shard's doing: it
    stays as it is then, to be computed where that is possible. If it is nowhere, the run says so.
    """
    try:
        yield
    except _RETRYABLE:
        raise
    except Exception as error:
        known = error if isinstance(error, CodeBatchError) else None
        failure = known or ShardFailedError(f"{type(error).__name__}: {error}")
        check_listed(store, call)
        task_ids = [task.id for task in tasks]
        commit_failure(store, call.batch_id, task_ids, call.shard_id, failure, call.attempt)
        raise failure from error


@contextlib.contextmanager
def _lost_if_moved() -> Iterator[None]:
    """Have the shard tried again if a folder is gone that a block writes into: `batch rm` sets a
    batch aside, and puts it back when it sees that it is being run.
    """
    try:
        yield
    except StoreWriteError as error:
        if error.details.get("errno") != errno.ENOENT:
            raise
        raise WorkerLostError(error.message) from error


@contextlib.contextmanager
def _released_if_gone(claims: Claims, call: ShardCall) -> Iterator[None]:
    """Release the claim where a block finds that this run may not compute the shard."""
    try:
        yield
    except (NotReusedError, BatchNotFoundError):
        claims.release(call.shard_id)  # another run may compute it
        raise


def _tasks_to_run(store: StoreDirectory, plan: Plan, call: ShardCall) -> tuple[PlannedTask, ...]:
    """The tasks that are not committed, and those they build on: their records are in keys."""
    wanted: set[str] = set()
    for task in reversed(plan.tasks):
        state = store.shards.load_verified_state(call.batch_id, task.id, call.shard_id, whole=True)
        if task.id in wanted or state is None or state.status != DONE:
            wanted |= {task.id, *task.needs}
    return tuple(task for task in plan.tasks if task.id in wanted)
