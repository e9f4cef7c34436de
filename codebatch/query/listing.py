"""The snapshots and batches of a store, one row each, from their documents and states alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from codebatch.model.digest import Document
from codebatch.model.errors import BatchNotFoundError, SnapshotNotFoundError
from codebatch.status.batch_status import load_batch_status
from codebatch.store import StoreDirectory

_NAMES = ("snapshot_id", "taken", "source", "file_count", "total_bytes")


def snapshot_rows(store: StoreDirectory) -> list[Document]:
    """Return a row for each snapshot, oldest first: id, when, from where, how many files, bytes,
    skipped.
    """

    def row(snapshot_id: str) -> Document:
        document = store.snapshots.load(snapshot_id)
        skipped = document["skipped"]
        number = len(skipped) if isinstance(skipped, list) else 0
        return {**{name: document[name] for name in _NAMES}, "skipped_count": number}

    rows = _still_there(store.snapshots.ids(), row)
    return sorted(rows, key=lambda row: (str(row["taken"]), str(row["snapshot_id"])))


def batch_rows(store: StoreDirectory) -> list[Document]:
    """Return a row for each batch, oldest first: what it is, how far it is, and its size.

    ``file_count`` and ``total_bytes`` are of its inputs, ``records`` and ``output_bytes`` of what
    is committed so far; ``result`` is null until the batch is done.
    """
    rows = _still_there(store.batches.ids(), lambda one: _batch_row(store, one))
    return sorted(rows, key=lambda row: (str(row["created"]), str(row["batch_id"])))


def _still_there(ids: Iterable[str], row: Callable[[str], Document]) -> Iterator[Document]:
    """Yield the rows of those that are not removed meanwhile."""
    for one in ids:
        with contextlib.suppress(BatchNotFoundError, SnapshotNotFoundError):
            yield row(one)


def _batch_row(store: StoreDirectory, batch_id: str) -> Document:
    document = store.batches.load(batch_id)
    batch_status = load_batch_status(store, batch_id)
    names = ("batch_id", "snapshot_id", "pipeline", "created")
    return {
        **{name: document[name] for name in names},
        "status": batch_status.status,
        "result": batch_status.result,
        "shards": batch_status.shards(),
        "file_count": batch_status.plan.files,
        "total_bytes": sum(shard.bytes for shard in batch_status.plan.shards),
        "records": batch_status.counts().records,
        "output_bytes": batch_status.output_bytes,
    }
