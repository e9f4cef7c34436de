"""The forecast of a run: what it would compute or reuse, and why. Reads only.

Where a task upstream is to be computed, whether its records will differ is not known yet: the
tasks after it count as computed, with the reason ``upstream``, though a run may find that they
are cut off. So ``compute`` is what a run computes at most.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from codebatch.batch.create import identity_of, store_head
from codebatch.batch.forecast_nodes import (
    FORGOTTEN,
    NODES,
    UPSTREAM,
    ShardRecords,
    TaskForecast,
    forecast_nodes,
)
from codebatch.batch.reuse import Reuse, Where
from codebatch.display.displayed import Displayed, card
from codebatch.model.digest import digest_bytes
from codebatch.model.errors import StoreError
from codebatch.model.keys import changed_components
from codebatch.model.record_lines import FileLines, fill_path
from codebatch.model.records import DONE, InputFile, Plan, PlannedShard, PlannedTask, ShardState
from codebatch.plan.pipeline import Pipeline
from codebatch.plan.plan import make_plan
from codebatch.reduction.sources import count_nodes
from codebatch.shard.files import groups_of_equals, memo_hits
from codebatch.shard.memo_reader import lookup_quarantined
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import Memo, MemoStore
from codebatch.store.indexes.quarantine import QuarantineIndex

CONTENT = "content"
FIRST = "first"

LoadInputs = Callable[[PlannedShard], Sequence[InputFile]]
_Seen = frozenset[tuple[object, ...]]


@dataclass(frozen=True, repr=False)
class Forecast(Displayed):
    """The forecast for each task, and the batch that it compares with, if there is one."""

    batch_id: str
    against: str | None
    tasks: tuple[TaskForecast, ...]

    def _card(self) -> card.Card:
        rows = [
            {
                "task": task.task_id,
                "compute": task.compute,
                "reuse": task.reuse,
                "of": task.unit,
                "because of": card.Counts(task.reasons),
            }
            for task in self.tasks
        ]
        facts = {"compared with": self.against or "nothing: there is no earlier batch"}
        return card.Card("Forecast of", self.batch_id, "", facts, [card.table_of(rows)])


def forecast_batch(store: StoreDirectory, batch_id: str) -> Forecast:
    """Return what a run of a batch would compute."""
    return _forecast(
        store,
        batch_id,
        store.batches.load_plan(batch_id),
        partial(store.batches.load_inputs, batch_id),
    )


def forecast_snapshot(
    store: StoreDirectory, snapshot_id: str, pipeline: Pipeline, shards: int | None = None
) -> Forecast:
    """Return what a run of a pipeline over a snapshot would compute; the batch is not made."""
    identity = identity_of(store, snapshot_id, pipeline)
    if store.batches.is_whole(identity.batch_id):
        return forecast_batch(store, identity.batch_id)
    resolved = make_plan(
        identity, store.snapshots.load_manifest(snapshot_id), store_head(store), shards
    )

    def load_inputs(shard: PlannedShard) -> list[InputFile]:
        lines = resolved.inputs[shard.offset : shard.offset + shard.length].splitlines()
        return [InputFile.from_document(json.loads(line)) for line in lines]

    return _forecast(store, identity.batch_id, resolved.plan, load_inputs)


def _forecast(
    store: StoreDirectory, batch_id: str, plan: Plan, load_inputs: LoadInputs
) -> Forecast:
    forecaster = _Forecaster(store, batch_id, plan)
    for shard in plan.shards:
        forecaster.add(shard, load_inputs)
    for task in plan.batch_tasks:
        forecaster.add_nodes(task)
    earlier = forecaster.earlier
    tasks = tuple(forecaster.tasks[task.id] for task in plan.tasks)
    return Forecast(batch_id, earlier[0] if earlier else None, tasks)


class _Forecaster:
    """Adds up the forecasts of shards in ``tasks``; ``earlier`` is the batch to compare with.

    State: ``_records`` is what is known of the records of shards, for batch tasks.
    """

    def __init__(self, store: StoreDirectory, batch_id: str, plan: Plan) -> None:
        self._store = store
        self._batch_id = batch_id
        self._plan = plan.of_files
        self._needed = {need for task in plan.batch_tasks for need in task.needs}
        self._records: list[ShardRecords] = []
        self._reuse = Reuse(store, batch_id, plan)
        self._memos = MemoStore(store.layout)
        self._quarantine = QuarantineIndex(store.layout)
        self.earlier = self._reuse.predecessor()
        self.tasks = {task.id: TaskForecast(task.id) for task in plan.of_files.tasks}
        self._changed = {task.id: _changed(task, self.earlier) for task in plan.tasks}

    def add(self, shard: PlannedShard, load_inputs: LoadInputs) -> None:
        """Add a shard: tasks that have it, or can link it, need none of its files."""
        there = self._there(shard)
        for task_id in there:
            self.tasks[task_id].reuse += shard.files
        digests: dict[str, dict[str, str]] = {need: {} for need in self._needed - there.keys()}
        if self._needed:
            self._records.append(ShardRecords(shard, partial(load_inputs, shard), there, digests))
        if len(there) == len(self._plan.tasks):
            return
        memo = self._memos.open(shard.shard_id)
        seen = _seen(self._store, self.earlier, shard)
        inputs = load_inputs(shard)
        task_ids = [task.id for task in self._plan.tasks if task.id not in there]
        kept, outputs = self._reuse.kept(shard, inputs, task_ids)
        for need, known_of in digests.items():
            known_of.update(outputs[need].digests())
        for files in groups_of_equals(inputs):
            if files[0].path in kept:
                known = set(self.tasks)
            else:
                found = self._known(files[0], memo)
                known = set(found)
                for need in digests.keys() & found:
                    digests[need].update(_digests(found[need], files))
            self._add_files(files, set(there), known | there.keys(), seen)

    def add_nodes(self, task: PlannedTask) -> None:
        """Add a batch task, when all shards are there."""
        shards = [records.shard.shard_id for records in self._records]
        states = (self._store.shards.load_state(self._batch_id, task.id, one) for one in shards)
        if all(state is not None and state.status == DONE for state in states):
            total = count_nodes(self._store, self._batch_id, self._plan)
            self.tasks[task.id] = TaskForecast(task.id, reuse=total, unit=NODES)
        else:
            changed = _changed(task, self.earlier)
            self.tasks[task.id] = forecast_nodes(self._store, task, self._records, changed)

    def _there(self, shard: PlannedShard) -> dict[str, tuple[Where, ShardState]]:
        """The tasks that have a shard, or can link it: where, and the state."""
        there = self._reuse.linkable(shard)
        for task_id in self.tasks:
            state = self._store.shards.load_state(self._batch_id, task_id, shard.shard_id)
            if state is not None and state.status == DONE:
                there[task_id] = (self._batch_id, task_id, shard.shard_id), state
        return there

    def _known(self, file: InputFile, memo: Memo) -> dict[str, FileLines]:
        """The results on a file that are in the memo, by task."""
        found = memo_hits(
            self._plan.tasks,
            file,
            lambda key: memo.lookup(key) or lookup_quarantined(self._quarantine, key),
        )
        return {task_id: lines for task_id, lines in found.items() if lines is not None}

    def _add_files(
        self, files: Sequence[InputFile], there: set[str], known: set[str], seen: _Seen
    ) -> None:
        for task in self._plan.tasks:
            if task.id in there:
                continue
            one = self.tasks[task.id]
            computed = 0 if task.id in known else 1
            one.compute += computed
            one.reuse += len(files) - computed
            if computed:
                one.reasons.update(_reasons(task, files[0], known, self._changed[task.id], seen))


def _digests(found: FileLines, files: Sequence[InputFile]) -> dict[str, str]:
    """Return the digests of the lines of equal files, by path."""
    return {file.path: digest_bytes(fill_path(found.lines, file.path)) for file in files}


def _changed(task: PlannedTask, earlier: tuple[str, Plan] | None) -> list[str]:
    """The components in which a task differs from the one of that id in an earlier batch."""
    if earlier is None:
        return [FIRST]
    before = next((one for one in earlier[1].tasks if one.id == task.id), None)
    if before is None or before.task != task.task:
        return [FIRST]
    return list(changed_components(before.components, task.components))


def _reasons(
    task: PlannedTask,
    file: InputFile,
    known: set[str],
    changed: Sequence[str],
    seen: _Seen,
) -> Iterator[str]:
    if changed:
        yield from changed
    elif _identity(file) not in seen:
        yield CONTENT
    elif not known.issuperset(task.needs):
        yield UPSTREAM
    else:
        yield FORGOTTEN


def _seen(store: StoreDirectory, earlier: tuple[str, Plan] | None, shard: PlannedShard) -> _Seen:
    """The files of an earlier batch that can be equal to one of a shard."""
    if earlier is None:
        return frozenset()
    batch_id, plan = earlier
    overlapping = (
        other
        for other in plan.shards
        if other.shard_id.startswith(shard.shard_id) or shard.shard_id.startswith(other.shard_id)
    )
    seen: set[tuple[object, ...]] = set()
    for other in overlapping:
        with contextlib.suppress(StoreError):  # what cannot be read of it was not seen
            seen.update(map(_identity, store.batches.load_inputs(batch_id, other)))
    return frozenset(seen)


def _identity(file: InputFile) -> tuple[object, ...]:
    return file.object, file.language, *sorted(file.facets.items())
