"""The records of one shard, as a worker of Dask reads them: from the store, which it has to see."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from codebatch.model.errors import BatchUnfinishedError, StoreNotFoundError
from codebatch.model.records import DONE, Plan, Record
from codebatch.query.filters import RecordFilter
from codebatch.query.records import Records
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory, open_store

if TYPE_CHECKING:
    import pandas as pd


class Partition(NamedTuple):
    """The matching records of a shard: all that a process needs in order to read them."""

    store: str
    store_id: str
    batch_id: str
    shard_id: str
    filters: RecordFilter
    task_id: str | None = None


def read_records(partition: Partition, *_: object) -> list[Record]:
    """Return the records of a partition; what it waited for is given as well."""
    return _records(partition).to_list()


def read_frame(partition: Partition, *_: object) -> pd.DataFrame:
    """Return the records of a partition as a DataFrame, with the columns of `empty_frame`."""
    return _records(partition).to_pandas()


def empty_frame(store: StoreDirectory, plan: Plan, filters: RecordFilter) -> pd.DataFrame:
    """Return a DataFrame without rows: the columns of matching records, and their types."""
    nothing = BatchStatus("", plan, {})
    return Records(store, plan, lambda: nothing, filters).to_pandas()


def _records(partition: Partition) -> Records:
    store = _opened(partition.store, partition.store_id)
    batch_id, shard_id = partition.batch_id, partition.shard_id
    plan = store.batches.load_plan(batch_id)
    states = {
        task.id: {shard_id: store.shards.load_verified_state(batch_id, task.id, shard_id)}
        for task in plan.tasks
        if partition.task_id in (None, task.id)
    }
    if any(one is None or one.status != DONE for of in states.values() for one in of.values()):
        raise BatchUnfinishedError(
            f"shard {shard_id} of {batch_id} is not done: it has no records to read",
            hints=[f"finish it: codebatch resume --batch {batch_id}"],
        )
    found = BatchStatus(batch_id, plan, states)
    return Records(store, plan, lambda: found, partition.filters, partition.task_id)


@lru_cache(maxsize=8)
def _opened(path: str, store_id: str) -> StoreDirectory:
    """Return the store, once per process."""
    reason = f"another store is at {path}"
    try:
        store = open_store(Path(path))
        if store.store_id == store_id:
            return store
    except StoreNotFoundError as error:
        reason = error.message
    raise StoreNotFoundError(
        f"records are read from the store where Dask's workers run: {reason}",
        hints=["have workers see the store, or read them here: batch.outputs()"],
    )
