"""Status, totals and result of a batch, from the states of its shards alone.

No outputs are read: a state carries the counts and the Merkle node of its shard. States are read
when something needs one of them; totals that were kept (`status.totals`) spare that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

from codebatch.model.errors import BatchNotFoundError, TaskNotFoundError
from codebatch.model.records import DONE, FAILED, PARTIAL, PENDING, Counts, Plan, ShardState
from codebatch.model.result_tree import result_digest
from codebatch.status.totals import TaskTotals, Totals, keep_totals, load_totals
from codebatch.store import StoreDirectory

_MOST_READ, _MOST_LOOKED_AT = 1_024, 8_192  # about a quarter of a second each

States = Mapping[str, Mapping[str, "ShardState | None"]]


class BatchStatus:
    """The states of a batch: ``states[task_id][shard_id]``, None where pending.

    State: ``_given`` is the states, or a function that reads them when they are first needed.
    """

    def __init__(
        self,
        batch_id: str,
        plan: Plan,
        states: States | Callable[[], States],
        totals: Totals | None = None,
    ) -> None:
        self.batch_id = batch_id
        self.plan = plan
        self._given = states
        self._totals = totals

    def __repr__(self) -> str:
        return f"<codebatch.BatchStatus {self.batch_id}>"

    @cached_property
    def states(self) -> States:
        """The states by task and shard."""
        return self._given() if callable(self._given) else self._given

    @cached_property
    def totals(self) -> Totals:
        """The totals of the states."""
        return self._totals or total_states(self.plan, self.states)

    @property
    def of_files(self) -> BatchStatus:
        """The states of the tasks that run in a shard, which batch tasks do not."""
        plan = self.plan.of_files
        return BatchStatus(self.batch_id, plan, {t.id: self.states[t.id] for t in plan.tasks})

    @property
    def shard_ids(self) -> tuple[str, ...]:
        """Ids of the planned shards, in order."""
        return tuple(shard.shard_id for shard in self.plan.shards)

    def check_task(self, task_id: str | None) -> None:
        """Raise `TaskNotFoundError` where the batch has no task of that id; None is no task."""
        known = {task.id for task in self.plan.tasks}
        if task_id is not None and task_id not in known:
            hints = [f"tasks here: {', '.join(sorted(known))}"]
            raise TaskNotFoundError(f"unknown task: {task_id}", hints=hints)

    def shard_status(self, shard_id: str) -> str:
        """Status of a shard over all tasks."""
        return _shard_status(self.states, shard_id)

    def has_failed(self, shard_id: str, attempt: str) -> bool:
        """Return whether a shard has a state which says that it failed at this attempt."""
        states = (of_task[shard_id] for of_task in self.states.values())
        return any(s is not None and s.status == FAILED and s.attempt == attempt for s in states)

    def task_status(self, task_id: str) -> str:
        """Status of a task over all shards."""
        return _status(self.totals.tasks[task_id].shards)

    @property
    def status(self) -> str:
        """Status of the batch; one without files has nothing left to do."""
        return _combined([self.task_status(task.id) for task in self.plan.tasks])

    def shards(self) -> dict[str, int]:
        """Return how many shards there are, are done, failed, and still to do."""
        return dict(self.totals.shards)

    def files_done(self) -> int:
        """Return how many files are done with all tasks that run in a shard."""
        if self.status == DONE:
            return self.plan.files
        of_files = self.of_files
        shards = self.plan.shards
        return sum(s.files for s in shards if of_files.shard_status(s.shard_id) == DONE)

    def task_shards(self, task_id: str) -> dict[str, int]:
        """The same for one task."""
        return dict(self.totals.tasks[task_id].shards)

    def counts(self, task_id: str | None = None) -> Counts:
        """Counts of the records of one task or of all."""
        return self.totals.counts if task_id is None else self.totals.tasks[task_id].counts

    @property
    def output_bytes(self) -> int:
        """The size of the outputs that are committed so far."""
        return sum(task.size for task in self.totals.tasks.values())

    def present(self) -> Iterable[ShardState]:
        """Every state there is, over all tasks and shards."""
        return (state for states in self.states.values() for state in _present(states))

    @property
    def result(self) -> str | None:
        """The result digest; None until the batch is done."""
        return self.totals.result

    def errors(self) -> list[Mapping[str, object]]:
        """Return the errors of the failed shards, one entry a shard."""
        return list(self.totals.errors)


def load_batch_status(
    store: StoreDirectory,
    batch_id: str,
    *,
    verify: bool = False,
    listed: bool = True,
    totals: Totals | None = None,
) -> BatchStatus:
    """The states of a batch; with ``verify``, outputs must match their digests to count.

    With ``listed`` false, it need not be in the list: its document may be lost. ``totals`` are
    those of its states, where a run has just told them.
    """
    plan = store.batches.load_plan(batch_id)
    whole = verify and store.batches.is_unfinished(batch_id)
    load = (
        partial(store.shards.load_verified_state, whole=whole)
        if verify
        else store.shards.load_state
    )

    def read() -> States:
        states = {
            task.id: {s.shard_id: load(batch_id, task.id, s.shard_id) for s in plan.shards}
            for task in plan.tasks
        }
        pending = any(None in of_task.values() for of_task in states.values())
        if listed and pending and not store.batches.lists(batch_id):  # not pending, but removed
            raise BatchNotFoundError(f"no batch {batch_id} in {store.root}")
        return states

    def read_and_total() -> tuple[States, Totals]:
        states = read()
        return states, total_states(plan, states)

    if verify:
        return BatchStatus(batch_id, plan, read())
    totals = totals or load_totals(store, batch_id, plan)
    if totals is not None:
        return BatchStatus(batch_id, plan, read, totals)
    return BatchStatus(batch_id, plan, partial(keep_totals, store, batch_id, plan, read_and_total))


def peek_batch_status(store: StoreDirectory, batch_id: str, plan: Plan) -> BatchStatus | None:
    """Return the states of a batch without writing anything, for a glance at it; None where there
    are too many to be read, or looked at, for that.
    """
    number = len(plan.tasks) * len(plan.shards)
    totals = load_totals(store, batch_id, plan) if number <= _MOST_LOOKED_AT else None
    if totals is None and number > _MOST_READ:
        return None
    return BatchStatus(batch_id, plan, partial(_read_states, store, batch_id, plan), totals)


def _read_states(store: StoreDirectory, batch_id: str, plan: Plan) -> States:
    load = store.shards.load_state
    return {
        task.id: {one.shard_id: load(batch_id, task.id, one.shard_id) for one in plan.shards}
        for task in plan.tasks
    }


def total_states(plan: Plan, states: States) -> Totals:
    """Return the totals of states."""
    tasks = {task.id: _total_task(states[task.id]) for task in plan.tasks}
    shards = _tally(_shard_status(states, shard.shard_id) for shard in plan.shards)
    done = all(_status(task.shards) == DONE for task in tasks.values())
    nodes = {
        task_id: {shard: state.tree for shard, state in of_task.items() if state}
        for task_id, of_task in states.items()
    }
    return Totals(tasks, shards, result_digest(nodes) if done else None, tuple(_errors(states)))


def without_files(state: ShardState) -> ShardState:
    """The state without what it says of each file: a run keeps the states of all shards."""
    return replace(state, per_file=(), origins="")


def status_of(state: ShardState | None) -> str:
    """Status of one task on one shard."""
    return PENDING if state is None else state.status


def _total_task(states: Mapping[str, ShardState | None]) -> TaskTotals:
    present = list(_present(states))
    return TaskTotals(
        shards=_tally(map(status_of, states.values())),
        counts=Counts.total(state.counts for state in present),
        size=sum(state.size for state in present),
        outputs=tuple(
            state.digest if state is not None and state.status == DONE else None
            for state in states.values()
        ),
    )


def _errors(states: States) -> list[Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for of_task in states.values():
        for shard_id, state in of_task.items():
            if state is not None and state.error is not None:
                found[shard_id] = {"shard_id": shard_id, **state.error}
    return [found[shard_id] for shard_id in sorted(found)]


def _present(states: Mapping[str, ShardState | None]) -> Iterable[ShardState]:
    return (state for state in states.values() if state is not None)


def _shard_status(states: States, shard_id: str) -> str:
    return _combined([status_of(of_task[shard_id]) for of_task in states.values()])


def _tally(statuses: Iterable[str]) -> dict[str, int]:
    """Return how many there are, are done, failed, and still to do."""
    found = list(statuses)
    done, failed = found.count(DONE), found.count(FAILED)
    return {
        "total": len(found),
        "done": done,
        "failed": failed,
        "pending": len(found) - done - failed,
    }


def _status(shards: Mapping[str, int]) -> str:
    """One status for the shards of a task."""
    if shards["done"] == shards["total"]:
        return DONE
    if shards["failed"]:
        return FAILED
    return PENDING if shards["pending"] == shards["total"] else PARTIAL


def _combined(statuses: Sequence[str]) -> str:
    """One status for several: the failed and the unfinished show through."""
    if all(status == DONE for status in statuses):
        return DONE
    if FAILED in statuses:
        return FAILED
    return PENDING if all(status == PENDING for status in statuses) else PARTIAL
