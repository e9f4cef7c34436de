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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from codebatch.model.clock import now, now_ns
from codebatch.model.errors import (
    PASSING_TROUBLES,
    UNFIT_SURROUNDINGS,
    BatchNotFoundError,
    CodeBatchError,
    MemoryExhaustedError,
    NotReusedError,
    ShardFailedError,
    StoreWriteError,
    WorkerLostError,
)
from codebatch.model.keys import pipeline_fingerprints
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.record_lines import FileLines
from codebatch.model.records import CLAIMED, DONE, FAILED, InputFile, Plan, PlannedTask
from codebatch.runtime.gc_paused import collector_held
from codebatch.shard.commit import commit_failure, commit_shard
from codebatch.shard.compute import Computation, Surroundings, compute_shard
from codebatch.shard.memo_reader import Recollection
from codebatch.shard.open import check_listed, open_call, open_called
from codebatch.shard.outputs import NOTHING_KEPT, Kept
from codebatch.shard.quarantine import Quarantine
from codebatch.shard.recheck import Place, committed, computed_again, in_sample, quarantined_objects
from codebatch.shard.splice import keep_unchanged
from codebatch.store import StoreDirectory
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import hold_lease
from codebatch.store.leases.pins import Reliance

Change = Callable[[Surroundings], Surroundings]
T = TypeVar("T")

_LEFT_AS_IT_IS = (
    *UNFIT_SURROUNDINGS,
    *PASSING_TROUBLES,
    BatchNotFoundError,
    MemoryError,
    NotReusedError,
)


@dataclass(frozen=True)
class OpenShard:
    """A shard that this run has claimed: what is to be done of it, and what is known.

    ``tasks`` are to be run on ``inputs``, the files of the shard, but for those that are ``kept``.
    In a recheck, ``inputs`` are the files chosen, and ``there`` is what is committed of them all.
    """

    call: ShardCall
    store: StoreDirectory
    plan: Plan
    tasks: tuple[PlannedTask, ...]
    inputs: Sequence[InputFile]
    kept: Kept
    recollection: Recollection
    started: str
    there: Mapping[Place, str] = field(default_factory=dict)

    def files(self) -> list[InputFile]:
        """The files whose results are wanted, ordered by object."""
        return [file for file in self.inputs if file.path not in self.kept.paths]


def run_shard(call: ShardCall, change: Change = lambda around: around) -> Receipt:
    """Compute and commit one shard, and say what was done.

    ``change`` is applied to the surroundings in which the results are computed.
    """
    if call.run is None and call.recheck is None:
        return answered(call, lambda: _run_leased(call, change))
    opened = open_shard(call)
    return opened if isinstance(opened, Receipt) else finish_shard(opened, change)


def open_shard(call: ShardCall) -> OpenShard | Receipt:
    """Claim a shard, and find out what is to be done; a receipt where that is nothing, here."""
    return answered(call, lambda: _opened(call))


def finish_shard(shard: OpenShard, change: Change = lambda around: around) -> Receipt:
    """Compute what is to be done of a shard, commit it, and say so."""
    run = _run if shard.call.recheck is None else _recheck
    return answered(shard.call, lambda: run(shard, change))


def answered(call: ShardCall, act: Callable[[], T]) -> T | Receipt:
    """What ``act`` gives; else the receipt that says what went wrong."""
    try:
        with collector_held():
            return act()
    except CodeBatchError as error:
        return refusal(call, error)
    except MemoryError:
        return refusal(call, MemoryExhaustedError("the worker process is out of memory"))
    except Exception as error:  # noqa: BLE001 - a scheduler must never see an exception
        return refusal(call, ShardFailedError(f"{type(error).__name__}: {error}"))


def refusal(call: ShardCall, error: CodeBatchError) -> Receipt:
    """The receipt of a call that came to nothing."""
    failure = {"code": error.code, "message": error.message}
    return Receipt(call.shard_id, call.attempt, FAILED, failure)


def _run_leased(call: ShardCall, change: Change) -> Receipt:
    """Run a shard that no run of ours has asked for, under a lease for it alone."""
    with hold_lease(open_called(call).layout, "run", call.batch_id) as lease:
        return run_shard(call._replace(run=lease.lease_id, since_ns=lease.since_ns), change)


def _opened(call: ShardCall) -> OpenShard | Receipt:
    store, plan = open_call(call)
    if call.recheck is not None:
        return _opened_again(store, plan, call, call.recheck)
    claims = Claims(store.layout, call.batch_id, str(call.run))
    if claims.take(call.shard_id) is not None:
        return Receipt(call.shard_id, call.attempt, CLAIMED)
    with _given_up_if_gone(claims, call):
        check_listed(store, call)
        return _opened_here(store, plan, call)


def _opened_here(store: StoreDirectory, plan: Plan, call: ShardCall) -> OpenShard | Receipt:
    """As `open_shard`, where the shard is claimed."""
    started, memory = now(), Recollection(store, call)
    tasks = _tasks_to_run(store, plan, call)
    if not tasks:  # another run had it before this one claimed it
        return Receipt(call.shard_id, call.attempt, DONE)
    with _recording_failure(store, call, tasks):
        inputs = store.load_inputs(call.batch_id, plan.shard(call.shard_id))
        kept = keep_unchanged(store, call.near, _closures(plan, tasks), call.shard_id, inputs)
    return OpenShard(call, store, plan, tasks, inputs, kept, memory, started)


def _opened_again(store: StoreDirectory, plan: Plan, call: ShardCall, part: int) -> OpenShard:
    """As `open_shard`, to compute a part of a finished shard again; what is quarantined is not
    tried: it would end the process.
    """
    inputs = store.load_inputs(call.batch_id, plan.shard(call.shard_id))
    there = committed(store, plan, call.batch_id, call.shard_id, inputs)
    given_up = quarantined_objects(there, inputs)
    chosen = [f for f in inputs if in_sample(f.object, part) and f.object not in given_up]
    memory = Recollection(store, call)
    return OpenShard(call, store, plan, plan.tasks, chosen, NOTHING_KEPT, memory, now(), there)


def _run(shard: OpenShard, change: Change) -> Receipt:
    store, call = shard.store, shard.call
    since = call.since_ns or 0
    reliance = Reliance(store.layout.door, lambda: since)
    with _given_up_if_gone(Claims(store.layout, call.batch_id, str(call.run)), call):
        with _lost_if_moved(), _recording_failure(store, call, shard.tasks):
            with store.group(durable=False) as group:
                around = Surroundings(
                    store.objects.read,
                    lambda data: store.objects.put(data, group, reliance).digest,
                    partial(give_up, Quarantine(store), call),
                    shard.recollection.recall,
                    may_compute=not call.require_reused,
                )
                result = compute_shard(
                    shard.tasks, call.shard_id, shard.inputs, change(around), shard.kept
                )
            check_listed(store, call)
            commit_shard(
                store, call.batch_id, call.shard_id, result.outputs, call.attempt, shard.started
            )
        planned = shard.plan.shard(call.shard_id)
        warning = shard.recollection.keep(planned, result.learnt, now_ns())
    return Receipt(call.shard_id, call.attempt, DONE, warning=warning)


def give_up(quarantine: Quarantine, call: ShardCall, work: Computation, code: str) -> FileLines:
    """Give up the result of a computation; the lines that stand for it."""
    return quarantine.give_up(call, work.task.id, work.file, work.key, code)


@contextlib.contextmanager
def _recording_failure(
    store: StoreDirectory, call: ShardCall, tasks: Sequence[PlannedTask]
) -> Iterator[None]:
    """Commit that the shard has failed where a block raises, unless it is not the shard's doing: it
    stays as it is then, to be computed where that is possible. If it is nowhere, the run says so.
    """
    try:
        yield
    except _LEFT_AS_IT_IS:
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
    """Where a folder is gone that a block writes into, have the shard tried again: `batch rm` sets
    a batch aside, and puts it back when it sees that it is being run.
    """
    try:
        yield
    except StoreWriteError as error:
        if error.details.get("errno") != errno.ENOENT:
            raise
        raise WorkerLostError(error.message) from error


@contextlib.contextmanager
def _given_up_if_gone(claims: Claims, call: ShardCall) -> Iterator[None]:
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
        state = store.load_verified_state(call.batch_id, task.id, call.shard_id, whole=True)
        if task.id in wanted or state is None or state.status != DONE:
            wanted |= {task.id, *task.needs}
    return tuple(task for task in plan.tasks if task.id in wanted)


def _closures(plan: Plan, tasks: Sequence[PlannedTask]) -> dict[str, str]:
    """What some tasks of a plan build on, by their ids."""
    closures = pipeline_fingerprints(plan.tasks)
    return {task.id: closures[task.id] for task in tasks}


def _recheck(shard: OpenShard, change: Change) -> Receipt:
    """Compute results of a finished shard again, store nothing, and compare."""
    call, there = shard.call, shard.there
    here = computed_again(shard.store, shard.plan, shard.inputs, change)
    differ = tuple(sorted(place for place, digest in here.items() if there[place] != digest))
    return Receipt(call.shard_id, call.attempt, DONE, checked=len(here), differ=differ)
