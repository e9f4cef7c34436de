"""What stores, snapshots and batches show of themselves.

They are looked at as they are now. What is read for it is bounded, and nothing is written: of a
store the documents of a few batches, of a batch its plan and so many states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, cast

from codebatch.display.card import Card, Counts, by_severity, state_bar, table_of
from codebatch.display.words import counted, moment, revision, size
from codebatch.model.digest import Document
from codebatch.model.errors import CodeBatchError
from codebatch.model.records import DONE, PENDING, Plan
from codebatch.snapshot.resolve import newest_asked
from codebatch.status.batch_status import BatchStatus, peek_batch_status
from codebatch.store import Asking, Checkout, StoreDirectory
from codebatch.store.inventory import files_below

if TYPE_CHECKING:
    from codebatch.batch import RunReport

_MOST_LANGUAGES = 6
_NEWEST = 5
_MOST_ASKED = 500  # batches, whose documents are read to know which was asked for last
_MOST_MEASURED = 1_000  # files, whose sizes are added up
_MOST_ERRORS = 3


def store_card(store: StoreDirectory) -> Card:
    """Return the card of a store."""
    if not store.root.is_dir():
        return Card("Store", str(store.root), "not there", notes=["it was removed meanwhile"])
    batches, snapshots = store.batches.ids(), store.snapshots.ids()
    facts = {
        "snapshots": len(snapshots),
        "batches": len(batches),
        "names": ", ".join(islice(store.names.listed(), _NEWEST)) or None,
        "size": _size_of(store),
    }
    newest = newest_asked(store.batches)[:_NEWEST] if len(batches) <= _MOST_ASKED else []
    rows = [_batch_row(store, batch_id) for batch_id in newest]
    tables = [table_of(rows, len(batches), "the latest batches")] if rows else []
    notes = [] if snapshots else ["nothing is in it yet: store.snapshot(DIR) takes a tree"]
    return Card("Store", str(store.root), facts=facts, tables=tables, notes=notes)


def snapshot_card(store: StoreDirectory, snapshot_id: str) -> Card:
    """Return the card of a snapshot."""
    document = store.snapshots.load(snapshot_id)
    skipped = cast("list[dict[str, str]]", document["skipped"])
    facts = {
        "files": document["file_count"],
        "size": size(cast("int", document["total_bytes"])),
        "skipped": _largest(Counter(file["reason"] for file in skipped), len(skipped)),
        **_origin(store.asking_of(snapshot_id)),
    }
    return Card("Snapshot", snapshot_id, facts=facts)


def batch_card(store: StoreDirectory, batch_id: str) -> Card:
    """Return the card of a batch."""
    document = store.batches.load(batch_id)
    plan = store.batches.load_plan(batch_id)
    origin = _origin(store.asking_of(batch_id))
    facts = {
        "pipeline": plan.pipeline,
        "snapshot": plan.snapshot_id,
        "files": plan.files,
        "languages": _largest(plan.languages),
    }
    found = peek_batch_status(store, batch_id, plan)
    if found is None:
        number = counted(len(plan.tasks) * len(plan.shards), "state")
        status = DONE if document["result"] is not None else ""
        notes = [f"how far it is, batch.status() reads from {number}"]
        facts |= {"shards": len(plan.shards), **origin, "result": document["result"]}
        return Card("Batch", batch_id, status, facts, notes=notes)
    counts = found.counts()
    facts |= {
        "shards": state_bar(found.shards()),
        "records": counts.records,
        "findings": by_severity(counts.by_severity),
        **origin,
        "result": found.result,
    }
    tables = [table_of(_task_rows(plan, found))]
    return Card("Batch", batch_id, found.status, facts, tables, notes=[*_notes(found)])


def scan_card(store: StoreDirectory, report: RunReport) -> Card:
    """Return the card of a scan: that of its batch, and what its run has come to."""
    shown = batch_card(store, report.batch_id)
    of_run = {"results": Counts(report.files), "seconds": report.seconds}
    return replace(shown, title="Scan", facts={**(shown.facts or {}), **of_run})


def _task_rows(plan: Plan, found: BatchStatus) -> list[Document]:
    return [
        {
            "task": task.id,
            "shards": state_bar(found.task_shards(task.id)),
            "records": found.counts(task.id).records,
        }
        for task in plan.tasks
    ]


def _notes(found: BatchStatus) -> Iterator[str]:
    """Yield what to do about a batch that is not done, and why its shards failed."""
    errors = found.errors()
    for error in errors[:_MOST_ERRORS]:
        yield f"shard {error['shard_id']} failed: {error.get('message')}"
    if len(errors) > _MOST_ERRORS:
        yield f"and {counted(len(errors) - _MOST_ERRORS, 'other shard')} failed"
    if found.status == PENDING:
        yield "nothing of it is done yet: batch.run() does"
    elif found.status != DONE:
        yield "batch.run() goes on from here"


def _origin(asking: Asking) -> Document:
    """Return which tree something is of, and when it was asked for, as far as that is known."""
    checkout = asking.checkout
    return {"source": _tree(checkout), "asked": moment(asking.asked) or None}


def _tree(checkout: Checkout) -> str | None:
    at = revision(checkout.branch, checkout.commit)
    return " ".join(filter(None, (checkout.source, at and f"({at})"))) or None


def _batch_row(store: StoreDirectory, batch_id: str) -> Document:
    """Return the row of a batch; of one that cannot be read, the error."""
    try:
        document = store.batches.load(batch_id)
        asking = store.asking_of(batch_id)
    except CodeBatchError as error:
        return {"batch": batch_id, "status": error.code.lower().replace("_", " ")}
    return {
        "batch": batch_id,
        "pipeline": document["pipeline"],
        "status": DONE if document["result"] is not None else "not done",
        "source": _tree(asking.checkout),
        "asked": asking.asked,
    }


def _size_of(store: StoreDirectory) -> str:
    """Return what the files of a store take; of one with many, those looked at are a part."""
    layout = store.layout
    files = islice(files_below(layout.door, layout.root), _MOST_MEASURED + 1)
    sizes = [file.size for file in files]
    if len(sizes) > _MOST_MEASURED:
        return f"more than {size(sum(sizes))} (store.stats() adds up all)"
    return f"{size(sum(sizes))} in {counted(len(sizes), 'file')}"


def _largest(numbers: Mapping[str, int], total: int | None = None) -> Counts | None:
    """Return the largest numbers, the others as one; None for none."""
    ordered = sorted(numbers.items(), key=lambda entry: (-entry[1], entry[0]))
    found = dict(ordered[:_MOST_LANGUAGES])
    if others := sum(number for _, number in ordered[_MOST_LANGUAGES:]):
        found["others"] = found.get("others", 0) + others
    return Counts(found, with_total=total is not None) if found else None
