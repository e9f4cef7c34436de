"""Documents that say when and from where: rebuilt from what is whole, unknown parts named so.

What a damaged document still says is believed only if it gives the digest in it. Else times are
those of files that were written at that moment, and what cannot be known is said to be unknown.
"""

from __future__ import annotations

import json
from pathlib import Path

from codebatch.maintenance.verify.documents import find_bytes, find_document
from codebatch.model.clock import moment_at, now
from codebatch.model.digest import Document, seal
from codebatch.model.errors import StoreError
from codebatch.snapshot.writer import SnapshotResult
from codebatch.status.batch_status import load_batch_status
from codebatch.store import StoreDirectory
from codebatch.store.files import file_status
from codebatch.store.layout import SNAPSHOT_BYTES

UNKNOWN_SKIPPED = "unknown: the list of what was left out was lost"
_ENOUGH_DIGITS = len("sha256:") + 56


def rebuild_snapshot(
    store: StoreDirectory, snapshot_id: str, *, only_certain: bool = False
) -> bool:
    """Write ``snapshot.json`` anew from the manifest; False where that is not whole, or with
    ``only_certain``, where the document would not say all that it said.
    """
    try:
        files = store.snapshots.load_manifest(snapshot_id)
    except StoreError:
        return False
    counted: Document = {
        "snapshot_id": snapshot_id,
        "file_count": len(files),
        "total_bytes": sum(file.size for file in files),
    }
    path = store.layout.snapshot_document(snapshot_id)
    if _says(find_document(store, path, SNAPSHOT_BYTES).document, counted):
        return True  # it was put right meanwhile
    document = _confirmed(find_bytes(store, path, SNAPSHOT_BYTES).data, counted)
    if document is None and not only_certain:
        document = {
            **counted,
            "source": "",
            "taken": _written(store, store.layout.manifest(snapshot_id)),
            "skipped": [{"path": ".", "reason": UNKNOWN_SKIPPED}],
        }
    if document is None:
        return False
    store.snapshots.restore_document(snapshot_id, document)
    return True


def describe_snapshot(store: StoreDirectory, taken: SnapshotResult, source: str) -> None:
    """Write ``snapshot.json`` anew of a snapshot that was just taken again, unless it is whole."""
    path = store.layout.snapshot_document(taken.snapshot_id)
    if find_document(store, path, SNAPSHOT_BYTES).document is None:
        document: Document = {
            "file_count": taken.file_count,
            "total_bytes": taken.total_bytes,
            "source": source,
            "taken": now(),
            "skipped": [file._asdict() for file in taken.skipped],
        }
        store.snapshots.restore_document(taken.snapshot_id, document)


def rebuild_batch(store: StoreDirectory, batch_id: str) -> bool:
    """Write ``batch.json`` anew from plan and states; False where the plan is not whole."""
    plan_path = store.layout.plan_document(batch_id)
    plan = find_document(store, plan_path).document
    if plan is None:
        return False
    known: Document = {name: plan[name] for name in ("batch_id", "snapshot_id", "pipeline")}
    path = store.layout.batch_document(batch_id)
    if _says(find_document(store, path, SNAPSHOT_BYTES).document, known):
        return True  # it was put right meanwhile
    data = find_bytes(store, path, SNAPSHOT_BYTES).data
    overview = load_batch_status(store, batch_id, verify=True, listed=False)
    document = _confirmed(data, known)
    if document is None:
        created = min(_written(store, one) for one in (plan_path, store.layout.inputs(batch_id)))
        document = {**known, "created": created, "result": overview.result}
        times = [state.finished for state in overview.present()]
        if overview.result is not None and times:
            document["finished"] = max(times)
    store.batches.save_document(batch_id, document)
    return True


def _written(store: StoreDirectory, path: Path) -> str:
    """Return when a file was last written."""
    status = file_status(store.layout.door, path)
    return now() if status is None else moment_at(status.st_mtime_ns)


def _says(document: Document | None, known: Document) -> bool:
    return document is not None and known.items() <= document.items()


def _confirmed(data: bytes | None, known: Document) -> Document | None:
    """Return a damaged document with the parts that are known put right, if that gives the
    digest in it. A digest of which few digits differ is itself what was damaged: that of another
    content would differ in nearly all.
    """
    try:
        said = json.loads(data or b"")
        document = {**said, **known}
        sealed = seal(document)
        stated = str(said["digest"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    equal = sum(a == b for a, b in zip(str(sealed["digest"]), stated, strict=False))
    return document if equal >= _ENOUGH_DIGITS else None
