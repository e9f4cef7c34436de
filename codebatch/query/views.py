"""The views of batches and snapshots that documents, states and inputs answer, without outputs:
these are read to say what comments suppress, where they do.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from codebatch.model.digest import Document
from codebatch.model.errors import BatchNotFoundError, SnapshotNotFoundError, StoreError
from codebatch.model.records import path_key
from codebatch.runtime.lazy import lazily
from codebatch.snapshot.resolve import newest_asked
from codebatch.status.batch_status import BatchStatus, load_batch_status
from codebatch.store import Documents, StoreDirectory

if TYPE_CHECKING:
    from codebatch.query.filters import RecordFilter

with lazily():
    from codebatch.query import filters
    from codebatch.query import records as readers

_TAKEN = ("snapshot_id", "taken", "file_count", "total_bytes")
_ASKED = ("asked", "source", "branch", "commit", "names")
SNAPSHOT_FIELDS = (*_TAKEN, *_ASKED, "skipped_count")
BATCH_FIELDS = (
    *("batch_id", "snapshot_id", "pipeline", "created", *_ASKED, "status", "result", "shards"),
    *("file_count", "total_bytes", "records", "findings", "errors", "warnings", "output_bytes"),
)
# Those that say most, for a table that is no wider than a page.
SNAPSHOT_COLUMNS = ("snapshot_id", "file_count", "source", "branch", "names", "asked")
BATCH_COLUMNS = ("batch_id", "pipeline", "status", "file_count", "findings", "names", "asked")
TASK_COLUMNS = ("task_id", "type", "status", "needs", "records")
FILE_COLUMNS = ("path", "language", "size", "records", "diagnostics")


def status(batch_status: BatchStatus) -> Document:
    """Return how far the batch is: ``batch_id, status, shards, files, tasks, errors``."""
    return {
        "batch_id": batch_status.batch_id,
        "status": batch_status.status,
        "shards": batch_status.shards(),
        "files": {"total": batch_status.plan.files, "done": batch_status.files_done()},
        "tasks": [
            {
                "task_id": task.id,
                "status": batch_status.task_status(task.id),
                "shards": batch_status.task_shards(task.id),
            }
            for task in batch_status.plan.tasks
        ],
        "errors": batch_status.errors(),
    }


def summary(store: StoreDirectory, batch_status: BatchStatus) -> Document:
    """Return what the batch holds: files, records, diagnostics, skipped files, tasks, result.

    ``skipped.left_out`` is what the snapshot left out, null where its document is damaged.
    """
    counts = batch_status.counts()
    plan = batch_status.plan
    return {
        "batch_id": batch_status.batch_id,
        "snapshot_id": plan.snapshot_id,
        "pipeline": plan.pipeline,
        "status": batch_status.status,
        "result": batch_status.result,
        "files": {"total": plan.files, "by_language": dict(plan.languages)},
        "records": {"total": counts.records, "by_kind": dict(counts.by_kind)},
        "diagnostics": {
            "total": counts.diagnostics,
            "by_severity": dict(counts.by_severity),
            "by_code": dict(counts.by_code),
        },
        "suppressed": _suppressed(store, batch_status),
        "skipped": {
            "by_reason": dict(counts.by_skip_reason),
            "left_out": _left_out(store, plan.snapshot_id),
        },
        "tasks": task_rows(batch_status),
    }


def _suppressed(store: StoreDirectory, batch_status: BatchStatus) -> Document:
    """Return how many findings are suppressed, by code and by what does it; no outputs are read
    without any.
    """
    total = batch_status.counts().by_kind.get("suppression", 0)
    by: dict[str, Counter[str]] = {"code": Counter(), "how": Counter()}
    if total:
        chosen = filters.RecordFilter(kind="suppression")
        for record in readers.iter_records(store, batch_status, chosen):
            for field, counter in by.items():
                counter[str(record[field])] += 1
    counts = {f"by_{field}": dict(sorted(counter.items())) for field, counter in by.items()}
    return {"total": total, **counts}


def _left_out(store: StoreDirectory, snapshot_id: str) -> dict[str, int] | None:
    """Return how many paths a snapshot left out, by reason."""
    try:
        skipped = cast("list[dict[str, str]]", store.snapshots.load(snapshot_id)["skipped"])
    except StoreError:  # the batch is whole without, and `verify` reports it
        return None
    return dict(sorted(Counter(file["reason"] for file in skipped).items()))


def task_rows(batch_status: BatchStatus) -> list[Document]:
    """One row a task: ``task_id, type, status, needs, records``."""
    return [
        {
            "task_id": task.id,
            "type": task.task,
            "status": batch_status.task_status(task.id),
            "needs": list(task.needs),
            "records": batch_status.counts(task.id).records,
            "fingerprint": task.fingerprint,
        }
        for task in batch_status.plan.tasks
    ]


def shard_rows(batch_status: BatchStatus, task_id: str | None = None) -> list[Document]:
    """One row a shard, of one task or over all: ``shard_id, status, files, records``."""
    batch_status.check_task(task_id)
    task_ids = list(batch_status.states) if task_id is None else [task_id]
    rows: list[Document] = []
    for shard in batch_status.plan.shards:
        states = [batch_status.states[task][shard.shard_id] for task in task_ids]
        only = None if task_id is None else states[0]
        rows.append(
            {
                "shard_id": shard.shard_id,
                "status": batch_status.shard_status(shard.shard_id)
                if task_id is None
                else (only.status if only is not None else "pending"),
                "files": shard.files,
                "records": sum(state.counts.records for state in states if state is not None),
            }
        )
    return rows


def stats_rows(
    store: StoreDirectory, batch_status: BatchStatus, task_id: str | None = None
) -> list[Document]:
    """Return the numbers of records, ``[{by, name, count}]``: by task, kind, language, severity,
    code, in that order. Read from states and inputs; no outputs are.
    """
    batch_status.check_task(task_id)
    counts = batch_status.counts(task_id)
    languages: Counter[str] = Counter()
    for row in file_rows(store, batch_status, None, task_id):
        languages[str(row["language"])] += cast("int", row["records"])
    tasks = [task for task in batch_status.states if task_id in (None, task)]
    groups: dict[str, Mapping[str, int]] = {
        "task": {task: batch_status.counts(task).records for task in tasks},
        "kind": counts.by_kind,
        "language": dict(sorted(languages.items())),
        "severity": counts.by_severity,
        "code": counts.by_code,
    }
    return [
        {"by": by, "name": name, "count": number}
        for by, group in groups.items()
        for name, number in group.items()
    ]


def file_rows(
    store: StoreDirectory,
    batch_status: BatchStatus,
    filters: RecordFilter | None = None,
    task_id: str | None = None,
) -> list[Document]:
    """Return one row a file in path order: ``path, object, size, language, records, diagnostics``,
    counted over all tasks or over one.
    """
    batch_status.check_task(task_id)
    tasks = [states for task, states in batch_status.states.items() if task_id in (None, task)]
    rows: list[Document] = []
    for shard in batch_status.plan.shards:
        files = store.batches.load_inputs(batch_status.batch_id, shard)
        files.sort(key=lambda file: path_key(file.path))
        states = [states[shard.shard_id] for states in tasks]
        per_file = [state.per_file for state in states if state is not None and state.per_file]
        for index, file in enumerate(files):
            if filters is not None and not filters.matches_file(file.path, file.language):
                continue
            counts = [counts[index] for counts in per_file]
            rows.append(
                {
                    "path": file.path,
                    "object": file.object,
                    "size": file.size,
                    "language": file.language,
                    "records": sum(records for records, _ in counts),
                    "diagnostics": sum(diagnostics for _, diagnostics in counts),
                }
            )
    return sorted(rows, key=lambda row: path_key(str(row["path"])))


def snapshot_rows(store: StoreDirectory) -> list[Document]:
    """Return a row for each snapshot, the one last asked for last: `SNAPSHOT_FIELDS`."""
    names = _names_by_id(store)

    def row(snapshot_id: str) -> Document:
        document = store.snapshots.load(snapshot_id)
        skipped = document["skipped"]
        number = len(skipped) if isinstance(skipped, list) else 0
        asked = _asked_fields(store, snapshot_id, names)
        return {**{name: document[name] for name in _TAKEN}, **asked, "skipped_count": number}

    return _still_there(store.snapshots, row)


def batch_rows(store: StoreDirectory) -> list[Document]:
    """Return a row for each batch, the one last asked for last: `BATCH_FIELDS`.

    ``file_count`` and ``total_bytes`` are of its inputs, ``records``, ``findings`` and
    ``output_bytes`` of what is committed so far; ``result`` is null until the batch is done.
    """
    names = _names_by_id(store)
    return _still_there(store.batches, lambda one: _batch_row(store, one, names))


def _names_by_id(store: StoreDirectory) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name in store.names.readable():
        names.setdefault(name.id, []).append(name.name)
    return names


def _asked_fields(store: StoreDirectory, one: str, names: Mapping[str, list[str]]) -> Document:
    """Return when something was last asked for, over which tree, and what names it has."""
    asking = store.asking_of(one)
    return {"asked": asking.asked, **asking.checkout._asdict(), "names": names.get(one, [])}


def _still_there(kind: Documents, row: Callable[[str], Document]) -> list[Document]:
    """Return the rows of those that are not removed meanwhile, in the order of asking."""
    rows: list[Document] = []
    for one in reversed(newest_asked(kind)):
        with contextlib.suppress(BatchNotFoundError, SnapshotNotFoundError):
            rows.append(row(one))
    return rows


def _batch_row(store: StoreDirectory, batch_id: str, names: Mapping[str, list[str]]) -> Document:
    document = store.batches.load(batch_id)
    batch_status = load_batch_status(store, batch_id)
    counts = batch_status.counts()
    return {
        **{name: document[name] for name in ("batch_id", "snapshot_id", "pipeline", "created")},
        **_asked_fields(store, batch_id, names),
        "status": batch_status.status,
        "result": batch_status.result,
        "shards": batch_status.shards(),
        "file_count": batch_status.plan.files,
        "total_bytes": sum(shard.bytes for shard in batch_status.plan.shards),
        "records": counts.records,
        "findings": counts.diagnostics,
        "errors": counts.by_severity.get("error", 0),
        "warnings": counts.by_severity.get("warning", 0),
        "output_bytes": batch_status.output_bytes,
    }
