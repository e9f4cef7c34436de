"""The documents of a batch, derived from what is whole: its id says whether they are right.

The id covers the snapshot, the pipeline, the fingerprints and how languages are found. Whatever
may have been the batch is tried: what is legible of the damaged plan, the pipelines of other
batches and of this program, the snapshots of the store. Only what gives the id is written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from codebatch.maintenance.verify.documents import find_bytes, find_document
from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import CodeBatchError, StoreError
from codebatch.model.records import Plan, PlannedTask
from codebatch.model.resources import list_pipelines
from codebatch.plan.pipeline import load_pipeline, parse_pipeline, pipeline_document
from codebatch.plan.plan import SHARD_COUNTS, BatchIdentity, make_plan, plan_document, plan_tasks
from codebatch.store import StoreDirectory
from codebatch.store.path_kinds import BATCHES, SNAPSHOTS, folders_in, shards_in
from codebatch.tasks.languages.detect import HEAD_BYTES

_UNFIT = (CodeBatchError, KeyError, TypeError, ValueError, AttributeError, RecursionError)


def restore_plan(store: StoreDirectory, batch_id: str) -> bool:
    """Write plan, inputs and tasks of a batch anew, if they can be derived with certainty."""
    layout = store.layout
    whole = find_document(store, layout.plan_document(batch_id)).document
    for identity in _identities(store, batch_id):
        if identity.batch_id != batch_id:
            continue
        try:
            files = store.load_manifest(identity.snapshot_id)
            resolved = make_plan(identity, files, _head_of(store), _shards(store, batch_id, whole))
        except StoreError:
            return False  # the snapshot, or an object that tells a language, is damaged
        plan = plan_document(resolved)
        if whole is not None and Plan.from_document(whole).shards != resolved.plan.shards:
            return False
        tasks = [(task.id, asdict(task)) for task in identity.tasks]
        store.restore_plan(batch_id, resolved.inputs, plan, tasks)
        return True
    return False


def cut_inputs(store: StoreDirectory, batch_id: str) -> bool:
    """Cut off what belongs to no shard, where all shards of a whole plan are whole."""
    try:
        plan = store.load_plan(batch_id)
        parts = [store.read_shard_inputs(batch_id, shard) for shard in plan.shards]
        document = store.load_plan_document(batch_id)
    except StoreError:
        return False
    store.restore_plan(batch_id, b"".join(parts), document, [])
    return True


def restore_tasks(store: StoreDirectory, batch_id: str) -> bool:
    """Write the documents of the tasks as a whole plan has them."""
    try:
        plan = store.load_plan(batch_id)
    except StoreError:
        return False
    store.restore_tasks(batch_id, [(task.id, asdict(task)) for task in plan.tasks])
    return True


def _head_of(store: StoreDirectory) -> Any:
    return lambda digest: store.objects.read_head(digest, HEAD_BYTES)


def _identities(store: StoreDirectory, batch_id: str) -> Iterator[BatchIdentity]:
    """What the batch may have been, the likeliest first."""
    damaged = _legible(store, batch_id)
    snapshots = _snapshots(store, batch_id, damaged)
    for document in _documents(store, damaged):
        for tasks in _tasks(store, batch_id, document):
            for snapshot_id in snapshots:
                yield BatchIdentity(snapshot_id, str(document["name"]), document, tasks)


def _legible(store: StoreDirectory, batch_id: str) -> dict[str, Any]:
    """What the plan says, damaged or not, as far as it is JSON."""
    data = find_bytes(store, store.layout.plan_document(batch_id)).data
    try:
        document = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _snapshots(store: StoreDirectory, batch_id: str, damaged: dict[str, Any]) -> list[str]:
    batch = find_document(store, store.layout.batch_document(batch_id)).document or {}
    named = [batch.get("snapshot_id"), damaged.get("snapshot_id")]
    known = folders_in(store.layout.door, SNAPSHOTS)
    likely = [snapshot_id for snapshot_id in named if snapshot_id in known]
    return list(dict.fromkeys([*map(str, likely), *known]))


def _documents(store: StoreDirectory, damaged: dict[str, Any]) -> Iterator[Document]:
    """Pipelines that the batch may be of, each once."""
    seen: set[bytes] = set()
    for document in _pipelines(store, damaged):
        with contextlib.suppress(*_UNFIT):
            text = canonical_json(document)
            if isinstance(document, dict) and "name" in document and text not in seen:
                seen.add(text)
                yield document


def _pipelines(store: StoreDirectory, damaged: dict[str, Any]) -> Iterator[object]:
    yield damaged.get("document")
    for other in folders_in(store.layout.door, BATCHES):
        plan = find_document(store, store.layout.plan_document(other)).document or {}
        yield plan.get("document")
    for name in list_pipelines():
        yield pipeline_document(load_pipeline(name))


def _tasks(
    store: StoreDirectory, batch_id: str, document: dict[str, Any]
) -> Iterator[tuple[PlannedTask, ...]]:
    """The tasks of a pipeline: as this batch has them, else as they would be planned now."""
    with contextlib.suppress(*_UNFIT):  # what is damaged or unknown here gives no candidate
        yield tuple(_stored_tasks(store, batch_id, [task["id"] for task in document["tasks"]]))
    with contextlib.suppress(*_UNFIT):
        yield plan_tasks(parse_pipeline(document))


def _stored_tasks(
    store: StoreDirectory, batch_id: str, task_ids: Iterable[str]
) -> Iterator[PlannedTask]:
    for task_id in task_ids:
        document = find_document(store, store.layout.task_document(batch_id, task_id)).document
        yield PlannedTask.from_document(document or {})


def _shards(store: StoreDirectory, batch_id: str, whole: Document | None) -> int | None:
    """How many shards at most the batch was planned with; None where nothing tells."""
    counts = {width: number for number, width in SHARD_COUNTS.items()}
    widths = {len(shard_id) for shard_id in _shard_ids(store, batch_id, whole)}
    return counts.get(widths.pop()) if len(widths) == 1 else None


def _shard_ids(store: StoreDirectory, batch_id: str, whole: Document | None) -> list[str]:
    """Some shards of the batch: planned ones, else those that are there, else legible ones."""
    if whole is not None:
        return [shard.shard_id for shard in Plan.from_document(whole).shards]
    there = shards_in(store.layout.door, batch_id)
    legible = _legible(store, batch_id).get("shards")
    if there or not isinstance(legible, list):
        return there
    return [str(shard["shard_id"]) for shard in legible if "shard_id" in shard]
