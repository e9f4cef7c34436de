"""Status, totals and result of a batch, from the states of its shards alone.

No outputs are read: a state carries the counts and the Merkle node of its shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codebatch.records import (
    DONE,
    FAILED,
    PARTIAL,
    PENDING,
    Counts,
    Plan,
    ShardState,
)
from codebatch.result import result_digest
from codebatch.store import StoreDirectory

States = Mapping[str, Mapping[str, "ShardState | None"]]


@dataclass(frozen=True)
class BatchOverview:
    """The states of a batch: ``states[task_id][shard_id]``, None where pending."""

    batch_id: str
    plan: Plan
    states: States

    @property
    def shard_ids(self) -> tuple[str, ...]:
        """Ids of the planned shards, in order."""
        return tuple(shard.shard_id for shard in self.plan.shards)

    def shard_status(self, shard_id: str) -> str:
        """Status of a shard over all tasks."""
        return _combined([status_of(self.states[task.id][shard_id]) for task in self.plan.tasks])

    def task_status(self, task_id: str) -> str:
        """Status of a task over all shards."""
        return _combined([status_of(state) for state in self.states[task_id].values()])

    @property
    def status(self) -> str:
        """Status of the batch; one without files has nothing left to do."""
        return _combined([self.task_status(task.id) for task in self.plan.tasks])

    def shards(self) -> dict[str, int]:
        """How many shards there are, are done, failed, and still to do."""
        statuses = [self.shard_status(shard_id) for shard_id in self.shard_ids]
        done, failed = statuses.count(DONE), statuses.count(FAILED)
        total = len(statuses)
        return {"total": total, "done": done, "failed": failed, "pending": total - done - failed}

    def counts(self, task_id: str | None = None) -> Counts:
        """Counts of the records of one task or of all."""
        tasks = self.states if task_id is None else {task_id: self.states[task_id]}
        return Counts.total(state.counts for state in _present(tasks))

    def present(self) -> Iterable[ShardState]:
        """Every state there is, over all tasks and shards."""
        return _present(self.states)

    @property
    def result(self) -> str | None:
        """The result digest; None until the batch is done."""
        if self.status != DONE:
            return None
        return result_digest(
            {
                task_id: {shard: state.tree for shard, state in states.items() if state}
                for task_id, states in self.states.items()
            }
        )

    def errors(self) -> list[Mapping[str, object]]:
        """What the failed shards say, one entry a shard."""
        found: dict[str, Mapping[str, object]] = {}
        for states in self.states.values():
            for shard_id, state in states.items():
                if state is not None and state.error is not None:
                    found[shard_id] = {"shard_id": shard_id, **state.error}
        return [found[shard_id] for shard_id in sorted(found)]


def load_overview(store: StoreDirectory, batch_id: str, *, verify: bool = False) -> BatchOverview:
    """Read the states of a batch; with ``verify``, outputs must match their digests to count."""
    plan = store.load_plan(batch_id)
    load = store.load_verified_state if verify else store.load_state
    states = {
        task.id: {s.shard_id: load(batch_id, task.id, s.shard_id) for s in plan.shards}
        for task in plan.tasks
    }
    return BatchOverview(batch_id, plan, states)


def status_of(state: ShardState | None) -> str:
    """Status of one task on one shard."""
    return PENDING if state is None else state.status


def _present(states: States) -> Iterable[ShardState]:
    return (state for shards in states.values() for state in shards.values() if state is not None)


def _combined(statuses: Sequence[str]) -> str:
    """One status for several: the failed and the unfinished show through."""
    if all(status == DONE for status in statuses):
        return DONE
    if FAILED in statuses:
        return FAILED
    return PENDING if all(status == PENDING for status in statuses) else PARTIAL
