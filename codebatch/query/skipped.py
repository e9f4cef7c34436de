"""What a batch says nothing of, and why: what its snapshot left out, and what its tasks skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import cast

from codebatch.model.digest import Document
from codebatch.model.errors import FilterInvalidError
from codebatch.model.records import path_key
from codebatch.query.filters import RecordFilter
from codebatch.query.records import iter_records
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

# Where something was left out.
SNAPSHOT, TASK = "snapshot", "task"
FIELDS = ("path", "reason", "where", "tasks")


def skipped_rows(
    store: StoreDirectory, batch_status: BatchStatus, reason: str | None = None
) -> list[Document]:
    """Return a row for each path and reason, by path: ``path, reason, where, tasks``.

    ``where`` is ``snapshot``, or ``task`` with the ``tasks`` that skipped it. ``reason`` is a glob;
    `FilterInvalidError` where nothing was left out for such a one.
    """
    rows = [*_by_snapshot(store, batch_status), *_by_tasks(store, batch_status)]
    rows.sort(key=lambda row: (path_key(str(row["path"])), str(row["where"]), str(row["reason"])))
    if reason is None:
        return rows
    chosen = [row for row in rows if fnmatchcase(str(row["reason"]), reason)]
    if not chosen:
        reasons = sorted({str(row["reason"]) for row in rows})
        raise FilterInvalidError(
            f"nothing was left out as {reason}",
            hints=[f"reasons here: {', '.join(reasons) or 'none, as nothing was left out'}"],
        )
    return chosen


def reason_counts(rows: Iterable[Mapping[str, object]]) -> list[Document]:
    """Return how many paths there are of each reason, ``count, reason, where``, most first."""
    counts = Counter((str(row["reason"]), str(row["where"])) for row in rows)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [{"count": n, "reason": reason, "where": where} for (reason, where), n in ordered]


def _by_snapshot(store: StoreDirectory, batch_status: BatchStatus) -> Iterator[Document]:
    document = store.snapshots.load(batch_status.plan.snapshot_id)
    for file in cast("Sequence[Mapping[str, str]]", document["skipped"]):
        yield {"path": file["path"], "reason": file["reason"], "where": SNAPSHOT, "tasks": []}


def _by_tasks(store: StoreDirectory, batch_status: BatchStatus) -> Iterator[Document]:
    tasks: dict[tuple[str, str], list[str]] = {}
    for record in iter_records(store, batch_status, RecordFilter(kind="skip")):
        found = tasks.setdefault((str(record["path"]), str(record["reason"])), [])
        found.append(str(record["task_id"]))
    for (path, reason), names in tasks.items():
        yield {"path": path, "reason": reason, "where": TASK, "tasks": names}
