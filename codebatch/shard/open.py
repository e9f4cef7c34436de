"""A shard that is open: its store and plan, which are opened once per process and checked.

What goes wrong with a shard is a value, a receipt that says so: a Dask scheduler drops a whole
graph at the first exception.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from codebatch.model.errors import (
    BatchNotFoundError,
    CodeBatchError,
    MemoryExhaustedError,
    ShardFailedError,
    StoreFormatError,
    ToolchainMismatchError,
)
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import FAILED, InputFile, Plan, PlannedTask
from codebatch.plan.plan import components_here
from codebatch.runtime.gc_paused import collector_held
from codebatch.shard.compute import ShardContext
from codebatch.shard.memo_reader import MemoReader
from codebatch.store import StoreDirectory, open_store
from codebatch.store.files import file_stamp

Change = Callable[[ShardContext], ShardContext]
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


def refusal(call: ShardCall, error: CodeBatchError) -> Receipt:
    """Return the receipt of a call that failed."""
    failure = {"code": error.code, "message": error.message}
    return Receipt(call.shard_id, call.attempt, FAILED, failure)


def open_call(call: ShardCall) -> tuple[StoreDirectory, Plan]:
    """The store and the plan of a call; errors where they are not those that it means, or this
    process cannot run them.
    """
    store = open_called(call)
    check_listed(store, call)
    # A batch that was removed and made again may have other shards.
    stamp = file_stamp(store.layout.door, store.layout.plan_document(call.batch_id))
    return store, _loaded_plan(store, call.batch_id, stamp)


def open_called(call: ShardCall) -> StoreDirectory:
    """The store of a call."""
    return _opened_store(call.store, call.store_id)


def check_listed(store: StoreDirectory, call: ShardCall) -> None:
    """Raise `BatchNotFoundError` where the batch was removed: nothing may be put into it."""
    if not store.batches.lists(call.batch_id):
        raise BatchNotFoundError(f"batch {call.batch_id} was removed meanwhile")


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
    plan = store.batches.load_plan(batch_id)
    check_toolchain(plan.tasks)
    return plan


def _words(name: str, component: object) -> str:
    if name != "toolchain" or not isinstance(component, dict):
        return f"{name} {component}"
    return ", ".join(f"{tool} {version}" for tool, version in sorted(component.items()))
