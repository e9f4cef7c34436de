"""The store and the plan that a shard call is about, opened once per process and checked."""

from __future__ import annotations

import functools
from pathlib import Path

from codebatch.model.errors import BatchNotFoundError, StoreFormatError, ToolchainMismatchError
from codebatch.model.messages import ShardCall
from codebatch.model.records import Plan, PlannedTask
from codebatch.plan.plan import components_here
from codebatch.store import StoreDirectory, open_store
from codebatch.store.files import file_stamp


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
    if not store.lists_batch(call.batch_id):
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
    plan = store.load_plan(batch_id)
    check_toolchain(plan.tasks)
    return plan


def _words(name: str, component: object) -> str:
    if name != "toolchain" or not isinstance(component, dict):
        return f"{name} {component}"
    return ", ".join(f"{tool} {version}" for tool, version in sorted(component.items()))
