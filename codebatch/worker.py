"""The one entry point that runs a shard, in this process or in any other that sees the store.

It is a top-level function of plain arguments, so that any scheduler can name it. It never
raises for what can go wrong with a shard: a Dask scheduler drops a whole graph at the first
exception, so failure is a value, committed as a state and said in the receipt.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from codebatch.clock import now, now_ns
from codebatch.collector import collector_held
from codebatch.commit import commit_failure, commit_shard
from codebatch.errors import (
    BatchNotFoundError,
    CodeBatchError,
    MemoryExhaustedError,
    NotReusedError,
    ShardFailedError,
    StoreFormatError,
    StoreWriteError,
    ToolchainMismatchError,
    WorkerLostError,
)
from codebatch.keys import pipeline_fingerprints
from codebatch.messages import Receipt, ShardCall
from codebatch.plan import components_here
from codebatch.recheck import committed, computed_again, in_sample, quarantined_objects
from codebatch.recollection import Recollection
from codebatch.records import CLAIMED, DONE, FAILED, Plan, PlannedTask
from codebatch.shard import Surroundings, compute_shard
from codebatch.splice import keep_unchanged
from codebatch.store import StoreDirectory, open_store
from codebatch.store.claims import Claims
from codebatch.store.files import file_stamp
from codebatch.store.leases import hold_lease
from codebatch.store.reliance import Reliance

Change = Callable[[Surroundings], Surroundings]

_LEFT_AS_IT_IS = (
    BatchNotFoundError,
    MemoryError,
    NotReusedError,
    StoreWriteError,
    WorkerLostError,
)


def run_shard(call: ShardCall, change: Change = lambda around: around) -> Receipt:
    """Compute and commit one shard, and say what was done.

    ``change`` is applied to the surroundings in which the results are computed.
    """
    try:
        store, plan = _opened(call)
        with collector_held():
            if call.recheck is not None:
                return _recheck(store, plan, call, call.recheck, change)
            return _run_unclaimed(store, plan, call, change)
    except CodeBatchError as error:
        return _receipt(call, error)
    except MemoryError:
        return _receipt(call, MemoryExhaustedError("the worker process is out of memory"))
    except Exception as error:  # noqa: BLE001 - a scheduler must never see an exception
        return _receipt(call, ShardFailedError(f"{type(error).__name__}: {error}"))


def _run_unclaimed(store: StoreDirectory, plan: Plan, call: ShardCall, change: Change) -> Receipt:
    """Run the shard, unless another run is at work on it."""
    if call.run is None:
        with hold_lease(store.layout, "run", call.batch_id) as lease:
            leased = call._replace(run=lease.lease_id, since_ns=lease.since_ns)
            return _run_unclaimed(store, plan, leased, change)
    claims = Claims(store.layout, call.batch_id, call.run)
    if claims.take(call.shard_id) is not None:
        return Receipt(call.shard_id, call.attempt, CLAIMED)
    try:
        _check_listed(store, call)
        return _run(store, plan, call, change)
    except (NotReusedError, BatchNotFoundError):
        claims.release(call.shard_id)  # another run may compute it
        raise


def _run(store: StoreDirectory, plan: Plan, call: ShardCall, change: Change) -> Receipt:
    started = now()
    tasks = _tasks_to_run(store, plan, call)
    task_ids = [task.id for task in tasks]
    if not tasks:  # another run had it before this one claimed it
        return Receipt(call.shard_id, call.attempt, DONE)
    recollection = Recollection(store, call)
    try:
        inputs = store.load_inputs(call.batch_id, plan.shard(call.shard_id))
        since = call.since_ns or 0
        reliance = Reliance(lambda: since)
        with store.group(durable=False) as group:
            around = Surroundings(
                store.objects.read,
                lambda data: store.objects.put(data, group, reliance).digest,
                recollection.recall,
                may_compute=not call.require_reused,
            )
            kept = keep_unchanged(store, call.near, _closures(plan, tasks), call.shard_id, inputs)
            result = compute_shard(tasks, call.shard_id, inputs, change(around), kept)
        _check_listed(store, call)
        commit_shard(store, call.batch_id, call.shard_id, result.outputs, call.attempt, started)
    except _LEFT_AS_IT_IS:
        raise  # not the shard has failed: it stays as it is, to be computed where that is possible
    except Exception as error:
        known = error if isinstance(error, CodeBatchError) else None
        failure = known or ShardFailedError(f"{type(error).__name__}: {error}")
        _check_listed(store, call)
        commit_failure(store, call.batch_id, task_ids, call.shard_id, failure, call.attempt)
        raise failure from error
    warning = recollection.keep(plan.shard(call.shard_id), result.learnt, now_ns())
    return Receipt(call.shard_id, call.attempt, DONE, warning=warning)


def _tasks_to_run(store: StoreDirectory, plan: Plan, call: ShardCall) -> list[PlannedTask]:
    """The tasks that are not committed, and those they build on: their records are in keys."""
    wanted: set[str] = set()
    for task in reversed(plan.tasks):
        state = store.load_verified_state(call.batch_id, task.id, call.shard_id, whole=True)
        if task.id in wanted or state is None or state.status != DONE:
            wanted |= {task.id, *task.needs}
    return [task for task in plan.tasks if task.id in wanted]


def _closures(plan: Plan, tasks: Sequence[PlannedTask]) -> dict[str, str]:
    """What some tasks of a plan build on, by their ids."""
    closures = pipeline_fingerprints(plan.tasks)
    return {task.id: closures[task.id] for task in tasks}


def _recheck(
    store: StoreDirectory, plan: Plan, call: ShardCall, part: int, change: Change
) -> Receipt:
    """Compute a part of a finished shard again, store nothing, and compare.

    What is quarantined is not tried: it would end the process.
    """
    inputs = store.load_inputs(call.batch_id, plan.shard(call.shard_id))
    there = committed(store, plan, call.batch_id, call.shard_id, inputs)
    given_up = quarantined_objects(there, inputs)
    chosen = [f for f in inputs if in_sample(f.object, part) and f.object not in given_up]
    here = computed_again(store, plan, chosen, change)
    differ = tuple(sorted(place for place, digest in here.items() if there[place] != digest))
    return Receipt(call.shard_id, call.attempt, DONE, checked=len(here), differ=differ)


def check_toolchain(tasks: tuple[PlannedTask, ...]) -> None:
    """Raise `ToolchainMismatchError` unless the tasks here are those the plan was made with:
    their tools, and they themselves. Results are remembered under the plan's fingerprints.
    """
    for planned in tasks:
        here = components_here(planned)
        for name, there in sorted(planned.components.items()):
            if here.get(name) != there:
                raise ToolchainMismatchError(
                    f"task {planned.id} was planned with {_words(name, there)}, "
                    f"here is {_words(name, here.get(name))}",
                    hints=["make a new batch with these tools: codebatch batch init"],
                    details={"component": name, "planned": there, "here": here.get(name)},
                )


def _opened(call: ShardCall) -> tuple[StoreDirectory, Plan]:
    store = _opened_store(call.store, call.store_id)
    _check_listed(store, call)
    # A batch that was removed and made again may have other shards.
    stamp = file_stamp(store.layout.plan_document(call.batch_id))
    return store, _loaded_plan(store, call.batch_id, stamp)


@functools.lru_cache(maxsize=8)
def _opened_store(root: str, store_id: str) -> StoreDirectory:
    """The store, once per process."""
    store = open_store(Path(root))
    if store.store_id != store_id:
        raise StoreFormatError(f"{root} is another store here than where the run was started")
    return store


@functools.lru_cache(maxsize=8)
def _loaded_plan(store: StoreDirectory, batch_id: str, stamp: object) -> Plan:
    """The plan, once per process; ``stamp`` tells it from that of a batch of the same id."""
    plan = store.load_plan(batch_id)
    check_toolchain(plan.tasks)
    return plan


def _check_listed(store: StoreDirectory, call: ShardCall) -> None:
    """Raise `BatchNotFoundError` where the batch was removed: nothing may be put into it."""
    if not store.lists_batch(call.batch_id):
        raise BatchNotFoundError(f"batch {call.batch_id} was removed meanwhile")


def _words(name: str, component: object) -> str:
    if name != "toolchain" or not isinstance(component, dict):
        return f"{name} {component}"
    return ", ".join(f"{tool} {version}" for tool, version in sorted(component.items()))


def _receipt(call: ShardCall, error: CodeBatchError) -> Receipt:
    failure = {"code": error.code, "message": error.message}
    return Receipt(call.shard_id, call.attempt, FAILED, failure)
