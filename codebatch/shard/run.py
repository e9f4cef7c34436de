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
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from codebatch.model.clock import now
from codebatch.model.digest import Document
from codebatch.model.errors import (
    ENVIRONMENT_ERRORS,
    TRANSIENT_ERRORS,
    BatchNotFoundError,
    CodeBatchError,
    MemoryExhaustedError,
    NotReusedError,
    ShardFailedError,
    StoreFormatError,
    StoreWriteError,
    TaskFailedError,
    WorkerLostError,
)
from codebatch.model.keys import pipeline_fingerprints
from codebatch.model.messages import Receipt, RunLease, ShardCall, refusal
from codebatch.model.record_lines import FileLines
from codebatch.model.records import CLAIMED, DONE, FAILED, InputFile, Plan, PlannedTask
from codebatch.plan.plan import check_toolchain
from codebatch.runtime.gc_paused import collector_held
from codebatch.shard.commit import commit_failure, commit_shard
from codebatch.shard.compute import (
    Change,
    Computation,
    ShardContext,
    compute_files,
    quarantined_lines,
)
from codebatch.shard.events import log_end
from codebatch.shard.memo_reader import MemoReader
from codebatch.shard.outputs import keep_unchanged
from codebatch.shard.recheck import prepare_recheck
from codebatch.store import StoreDirectory, open_store
from codebatch.store.files import file_stamp
from codebatch.store.layout import Layout
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import Lease, Pins, cluster_process, hold_lease, keep_lease

T = TypeVar("T")


@dataclass(frozen=True)
class OpenShard:
    """A shard whose results may be computed anywhere: ``tasks`` are to be run on ``files``, which
    are ordered by object.

    ``memo`` finds what is known of these, None where all is to be computed. ``finish`` puts the
    shard together in a context, which its argument may change first.
    """

    call: ShardCall
    store: StoreDirectory
    tasks: tuple[PlannedTask, ...]
    files: Sequence[InputFile]
    memo: MemoReader | None
    finish: Callable[[Change], Receipt]


def run_shard(call: ShardCall, change: Change = lambda context: context) -> Receipt:
    """Compute and commit one shard, or compute a part of it again, and say what was done.

    ``change`` is applied to the context in which the results are computed.
    """

    def run() -> Receipt:
        with under_lease(call) as held:
            opened = open_shard(held)
            return opened if isinstance(opened, Receipt) else finish_shard(opened, change)

    return answered(call, run)


def open_shard(call: ShardCall) -> OpenShard | Receipt:
    """Claim a shard and find out what is to be done, or return a receipt where that is nothing."""
    return answered(call, lambda: _open(call))


def finish_shard(shard: OpenShard, change: Change) -> Receipt:
    """Compute what is to be done of a shard, commit it, and say so."""
    return answered(shard.call, lambda: shard.finish(change))


def log_receipt(call: ShardCall, receipt: Receipt) -> None:
    """Log how a call ended whose run no process is at; where that fails, they still count."""

    def log() -> None:
        log_end(opened_store(call.store, call.store_id), call.batch_id, receipt)

    answered(call, log)


def answered(call: ShardCall, act: Callable[[], T]) -> T | Receipt:
    """Return what ``act`` gives, else the receipt that says what went wrong."""
    try:
        with collector_held():
            return act()
    except CodeBatchError as error:
        return refusal(call, error)
    except MemoryError:
        return refusal(call, MemoryExhaustedError("the worker process is out of memory"))
    except Exception as error:  # noqa: BLE001 - a scheduler must never see an exception
        return refusal(call, ShardFailedError(f"{type(error).__name__}: {error}"))


@contextlib.contextmanager
def under_lease(call: ShardCall) -> Iterator[ShardCall]:
    """Give a call for a block in which a lease is held for it: that of its run, kept alive here
    where no process has it, or else one for this shard alone.
    """
    lease_id, since, address = call.lease
    if call.recheck is not None or (lease_id and not address):
        yield call
        return
    layout = opened_store(call.store, call.store_id).layout
    if lease_id:
        process = cluster_process(address)
        held = keep_lease(layout, Lease(lease_id, "run", call.batch_id, since, since, process))
    else:
        held = hold_lease(layout, "run", call.batch_id)
    with held as lease:
        yield call._replace(lease=RunLease(lease.lease_id, lease.since_ns))


def _open(call: ShardCall) -> OpenShard | Receipt:
    store = opened_store(call.store, call.store_id)
    check_listed(store, call)
    # A batch that was removed and made again may have other shards.
    stamp = file_stamp(store.layout.door, store.layout.plan_document(call.batch_id))
    plan = loaded_plan(store, call.batch_id, stamp).of_files
    if call.recheck is not None:
        files, compare = prepare_recheck(store, plan, call, call.recheck)
        return OpenShard(call, store, plan.tasks, files, None, compare)
    claims = Claims(store.layout, call.batch_id, call.lease.lease_id)
    if claims.take(call.shard_id) is not None:
        return Receipt(call.shard_id, call.attempt, CLAIMED)
    started, memo, width = now(), MemoReader(store, call), len(call.shard_id)
    with _recording_failure(store, plan, call, claims):
        check_listed(store, call)
        tasks = _tasks_to_run(store, plan, call)
        if not tasks:  # another run had it before this one claimed it
            return Receipt(call.shard_id, call.attempt, DONE)
        inputs = store.batches.load_inputs(call.batch_id, plan.shard(call.shard_id))
        closures = pipeline_fingerprints(plan.tasks)
        closures = {task.id: closures[task.id] for task in tasks}
        kept, outputs = keep_unchanged(store, call.reuse.base, closures, call.shard_id, inputs)
    files = [file for file in inputs if file.path not in kept]

    def finish(change: Change) -> Receipt:
        computed: dict[str, FileLines] = {}
        failed: dict[str, TaskFailedError] = {}
        with _recording_failure(store, plan, call, claims):
            with _writing(store, call, memo) as context:
                for task_id, equal_files, lines, origin in compute_files(
                    tasks, files, change(context), computed, failed
                ):
                    outputs[task_id].add(equal_files, lines, origin)
            check_listed(store, call)
            whole = [task.id for task in tasks if task.id not in failed]
            done = {task_id: outputs.pop(task_id).finish(width) for task_id in whole}
            commit_shard(store, call.batch_id, call.shard_id, done, call.attempt, started)
            for task_id, error in failed.items():
                commit_failure(store, call.batch_id, [task_id], call.shard_id, error, call.attempt)
        receipt = Receipt(call.shard_id, call.attempt, DONE, warning=memo.keep(computed))
        for error in failed.values():
            return receipt._replace(status=FAILED, error=error.in_short())
        return receipt

    return OpenShard(call, store, tasks, files, memo, finish)


def opened_store(root: str, store_id: str) -> StoreDirectory:
    """The store, once per process as long as its document is the same."""
    layout = _layout_of(root)
    return _opened_store(root, store_id, file_stamp(layout.door, layout.store_document))


@functools.lru_cache(maxsize=8)
def _layout_of(root: str) -> Layout:
    return Layout(Path(root))


@functools.lru_cache(maxsize=8)
def _opened_store(root: str, store_id: str, _: object) -> StoreDirectory:
    store = open_store(Path(root))
    if store.store_id != store_id:
        raise StoreFormatError(f"{root} is another store here than where the run was started")
    return store


@functools.lru_cache(maxsize=8)
def loaded_plan(store: StoreDirectory, batch_id: str, stamp: object) -> Plan:
    """The plan, once per process; ``stamp`` tells it from that of a batch of the same id."""
    plan = store.batches.load_plan(batch_id)
    check_toolchain(plan.tasks)
    return plan


def check_listed(store: StoreDirectory, call: ShardCall) -> None:
    """Raise `BatchNotFoundError` where the batch was removed: nothing may be put into it."""
    if not store.batches.lists(call.batch_id):
        raise BatchNotFoundError(f"batch {call.batch_id} was removed meanwhile")


def _tasks_to_run(store: StoreDirectory, plan: Plan, call: ShardCall) -> tuple[PlannedTask, ...]:
    """The tasks that are not committed, and those they build on: their records are in keys."""
    wanted: set[str] = set()
    for task in reversed(plan.tasks):
        state = store.shards.load_verified_state(call.batch_id, task.id, call.shard_id, whole=True)
        if task.id in wanted or state is None or state.status != DONE:
            wanted |= {task.id, *task.needs}
    return tuple(task for task in plan.tasks if task.id in wanted)


@contextlib.contextmanager
def _writing(store: StoreDirectory, call: ShardCall, memo: MemoReader) -> Iterator[ShardContext]:
    """Give the context to compute the shard in; what is put into the store by then is in place when
    the block ends.
    """
    pins = Pins(store.layout.door, lambda: call.lease.since_ns)

    def quarantine(work: Computation, code: str) -> FileLines:
        facts: Document = {"batch_id": call.batch_id, "task_id": work.task.id}
        facts |= {"path": work.file.path, "object": work.file.object}
        memo.quarantine.add(work.key, code, facts)
        return quarantined_lines(code)

    with store.group(durable=False) as group:
        yield ShardContext(
            store.objects.read,
            lambda data: store.objects.put(data, group, pins).digest,
            quarantine,
            memo.lookup,
            may_compute=not call.reuse.required,
        )


@contextlib.contextmanager
def _recording_failure(
    store: StoreDirectory, plan: Plan, call: ShardCall, claims: Claims
) -> Iterator[None]:
    """Commit that the shard has failed where a block raises, unless it is not the shard's doing: it
    stays as it is then, to be computed where that is possible. If it is nowhere, the run says so.
    """
    try:
        yield
    except StoreWriteError as error:
        # `batch rm` sets a batch aside, and puts it back when it sees that it is being run.
        if error.details.get("errno") == errno.ENOENT:
            raise WorkerLostError(error.message) from error
        raise
    except (NotReusedError, BatchNotFoundError):
        claims.release(call.shard_id)  # another run may compute it
        raise
    except (*ENVIRONMENT_ERRORS, *TRANSIENT_ERRORS, MemoryError):
        raise
    except Exception as error:
        known = error if isinstance(error, CodeBatchError) else None
        failure = known or ShardFailedError(f"{type(error).__name__}: {error}")
        if not store.batches.lists(call.batch_id):
            claims.release(call.shard_id)
        check_listed(store, call)
        task_ids = [task.id for task in plan.tasks]
        commit_failure(store, call.batch_id, task_ids, call.shard_id, failure, call.attempt)
        raise failure from error
