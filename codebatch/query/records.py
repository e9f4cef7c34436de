"""Read the records of a batch, shard by shard, skipping shards that hold no match unread."""

from __future__ import annotations

from collections.abc import Iterator

from codebatch.overview import BatchOverview
from codebatch.pipeline import find_pipeline_task
from codebatch.query.filters import RecordFilter
from codebatch.records import FAILED, Record, path_key
from codebatch.store import StoreDirectory

NO_FILTER = RecordFilter()


def iter_records(
    store: StoreDirectory,
    overview: BatchOverview,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> Iterator[Record]:
    """Matching records with ``task_id`` and ``shard_id`` added: by task, shard, path."""
    if task_id is not None:
        find_pipeline_task(overview.states, task_id)
    languages = _Languages(store, overview)
    for task, states in overview.states.items():
        if task_id not in (None, task):
            continue
        for shard_id, state in states.items():
            if state is None or state.status == FAILED or not filters.may_match(state):
                continue
            for record in store.iter_outputs(overview.batch_id, task, shard_id):
                if filters.matches(record) and (
                    filters.language is None
                    or languages.of(shard_id, str(record["path"])) == filters.language
                ):
                    yield {**record, "task_id": task, "shard_id": shard_id}


def sorted_records(
    store: StoreDirectory,
    overview: BatchOverview,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> list[Record]:
    """As `iter_records`, in an order that does not depend on the sharding: by path, then task,
    then as the task ordered them.
    """
    order = {task: index for index, task in enumerate(overview.states)}
    return sorted(
        iter_records(store, overview, filters, task_id),
        key=lambda record: (path_key(str(record["path"])), order[str(record["task_id"])]),
    )


class _Languages:
    """Languages by path, of one shard at a time."""

    def __init__(self, store: StoreDirectory, overview: BatchOverview) -> None:
        self._store = store
        self._overview = overview
        self._shard_id = ""
        self._by_path: dict[str, str] = {}

    def of(self, shard_id: str, path: str) -> str:
        if shard_id != self._shard_id:
            shard = self._overview.plan.shard(shard_id)
            inputs = self._store.load_inputs(self._overview.batch_id, shard)
            self._by_path = {file.path: file.language for file in inputs}
            self._shard_id = shard_id
        return self._by_path[path]
