"""The one entry point that runs a shard, in this process or in any other that sees the store.

It is a top-level function of plain arguments, so that any scheduler can name it. It never
raises for what can go wrong with a shard: a Dask scheduler drops a whole graph at the first
exception, so failure is a value, committed as a state and said in the receipt.
"""

from __future__ import annotations

import functools
from pathlib import Path

from codebatch.clock import now
from codebatch.commit import commit_failure, commit_shard
from codebatch.errors import (
    CodeBatchError,
    ShardFailedError,
    StoreFormatError,
    ToolchainMismatchError,
)
from codebatch.records import DONE, FAILED, Plan, PlannedTask, Receipt, ShardCall
from codebatch.shard import compute_shard
from codebatch.store import StoreDirectory, open_store
from codebatch.tasks.registry import find_task


def run_shard(call: ShardCall) -> Receipt:
    """Compute and commit one shard, and say what was done."""
    try:
        store, plan = _opened(call.store, call.store_id, call.batch_id)
        return _run(store, plan, call)
    except CodeBatchError as error:
        return _receipt(call, error)
    except Exception as error:  # noqa: BLE001 - a scheduler must never see an exception
        return _receipt(call, ShardFailedError(f"{type(error).__name__}: {error}"))


def _run(store: StoreDirectory, plan: Plan, call: ShardCall) -> Receipt:
    started = now()
    task_ids = [task.id for task in plan.tasks]
    try:
        inputs = store.load_inputs(call.batch_id, plan.shard(call.shard_id))
        with store.group(durable=False) as group:
            outputs = compute_shard(
                plan.tasks,
                call.shard_id,
                inputs,
                store.objects.read,
                lambda data: store.objects.put(data, group),
            )
        commit_shard(store, call.batch_id, call.shard_id, outputs, call.attempt, started)
    except Exception as error:
        known = error if isinstance(error, CodeBatchError) else None
        failure = known or ShardFailedError(f"{type(error).__name__}: {error}")
        commit_failure(store, call.batch_id, task_ids, call.shard_id, failure, call.attempt)
        raise failure from error
    return Receipt(call.shard_id, call.attempt, DONE)


def check_toolchain(tasks: tuple[PlannedTask, ...]) -> None:
    """Raise `ToolchainMismatchError` unless the tools here are those the plan was made with."""
    for planned in tasks:
        here = dict(find_task(planned.task).toolchain())
        there = planned.components["toolchain"]
        if here != there:
            raise ToolchainMismatchError(
                f"task {planned.id} was planned with {_words(there)}, here is {_words(here)}",
                hints=["make a new batch with these tools: codebatch batch init"],
                details={"planned": there, "here": here},
            )


@functools.lru_cache(maxsize=8)
def _opened(root: str, store_id: str, batch_id: str) -> tuple[StoreDirectory, Plan]:
    """The store and the plan, once per process; a batch's plan never changes."""
    store = open_store(Path(root))
    if store.store_id != store_id:
        raise StoreFormatError(f"{root} is another store here than where the run was started")
    plan = store.load_plan(batch_id)
    check_toolchain(plan.tasks)
    return store, plan


def _words(toolchain: object) -> str:
    if not isinstance(toolchain, dict):
        return "nothing"
    return ", ".join(f"{name} {version}" for name, version in sorted(toolchain.items()))


def _receipt(call: ShardCall, error: CodeBatchError) -> Receipt:
    failure = {"code": error.code, "message": error.message}
    return Receipt(call.shard_id, call.attempt, FAILED, failure)
