"""Shards that may end the process which runs them: known from what earlier runs left behind."""

from __future__ import annotations

from codebatch.model.records import DONE, PlannedTask
from codebatch.status.batch_status import BatchOverview
from codebatch.store import StoreDirectory
from codebatch.store.events import last_run_events
from codebatch.store.invalidate import drop_result
from codebatch.tasks.rules import QUARANTINED


def begun_and_lost(store: StoreDirectory, batch_id: str) -> set[str]:
    """The shards that the last run had begun in its own process when it ended without a word."""
    begun: set[str] = set()
    for event in last_run_events(store.layout, batch_id):
        name, shard_id = event.get("event"), str(event.get("shard_id"))
        if name == "run-finished":
            return set()
        if name == "shard-started":
            begun.add(shard_id)
        else:
            begun.discard(shard_id)
    return begun


def drop_quarantined(store: StoreDirectory, overview: BatchOverview) -> set[str]:
    """Have shards of tasks count as pending where something is quarantined, and those of the
    tasks that build on them; the ids of the shards.
    """
    dropped = [
        (task_id, shard_id)
        for shard_id in overview.shard_ids
        for task_id in _to_retry(overview, shard_id)
    ]
    if dropped:
        drop_result(store, overview.batch_id)
    for task_id, shard_id in dropped:
        store.drop_state(overview.batch_id, task_id, shard_id)
    return {shard_id for _, shard_id in dropped}


def _to_retry(overview: BatchOverview, shard_id: str) -> list[str]:
    """The tasks of a shard with something quarantined, and those after them."""
    found: list[str] = []
    for task in overview.plan.tasks:
        if _is_quarantined(overview, task, shard_id) or not set(task.needs).isdisjoint(found):
            found.append(task.id)
    return found


def _is_quarantined(overview: BatchOverview, task: PlannedTask, shard_id: str) -> bool:
    state = overview.states[task.id][shard_id]
    return (
        state is not None
        and state.status == DONE
        and not QUARANTINED.isdisjoint(state.counts.by_code)
    )
