"""Plan, inputs and tasks of a batch, derived from what is whole: its id says if they are right.

The id covers the snapshot, the pipeline, the fingerprints and how languages are found. A plan that
is lost is made again, with the tools of today, for each pipeline and snapshot that it may have
been of. Only what gives the id is written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import cast

from codebatch.maintenance.verify.documents import find_bytes, find_document
from codebatch.model.digest import Document
from codebatch.model.errors import CodeBatchError, StoreError
from codebatch.model.records import Plan
from codebatch.model.resources import list_pipelines
from codebatch.plan.pipeline import load_pipeline, parse_pipeline, pipeline_document
from codebatch.plan.plan import (
    SHARD_COUNTS,
    BatchIdentity,
    ResolvedPlan,
    identify,
    make_plan,
    plan_document,
)
from codebatch.store import StoreDirectory
from codebatch.store.path_kinds import BATCHES, SNAPSHOTS, folders_in, shards_in
from codebatch.tasks.languages.detect import HEAD_BYTES

_UNFIT = (CodeBatchError, KeyError, TypeError, ValueError, AttributeError, RecursionError)


def restore_plan(store: StoreDirectory, batch_id: str) -> bool:
    """Write plan, inputs and tasks of a batch anew, if planning it again gives its id."""
    said = _legible(store, batch_id)
    identity = next(_identities(store, batch_id, said), None)
    if identity is None:
        return False
    resolved = _planned(store, identity, _shard_count(store, batch_id, said))
    if resolved is None:
        return False
    tasks = [(task.id, asdict(task)) for task in resolved.identity.tasks]
    store.batches.restore(batch_id, resolved.inputs, tasks, plan_document(resolved))
    return True


def restore_inputs(store: StoreDirectory, batch_id: str) -> bool:
    """Write the inputs anew, if they are what a whole plan says."""
    try:
        plan = store.batches.load_plan(batch_id)
        document = store.batches.load_plan_document(batch_id)
    except StoreError:
        return False
    inputs = _cut_inputs(store, batch_id, plan)
    if inputs is None:
        pipeline = cast("Document", document["document"])
        identity = BatchIdentity(plan.snapshot_id, plan.pipeline, pipeline, plan.tasks)
        resolved = _planned(store, identity, _shard_count(store, batch_id, document))
        if resolved is None or resolved.plan.shards != plan.shards:
            return False
        inputs = resolved.inputs
    store.batches.restore(batch_id, inputs, plan=document)
    return True


def restore_tasks(store: StoreDirectory, batch_id: str) -> bool:
    """Write the documents of the tasks as a whole plan has them."""
    try:
        plan = store.batches.load_plan(batch_id)
    except StoreError:
        return False
    store.batches.restore(batch_id, tasks=[(task.id, asdict(task)) for task in plan.tasks])
    return True


def _cut_inputs(store: StoreDirectory, batch_id: str, plan: Plan) -> bytes | None:
    """Return the inputs without what belongs to no shard; None where a shard is damaged."""
    try:
        return b"".join(store.batches.read_shard_inputs(batch_id, shard) for shard in plan.shards)
    except StoreError:
        return None


def _planned(
    store: StoreDirectory, identity: BatchIdentity, shards: int | None
) -> ResolvedPlan | None:
    """Return the plan of a batch; None where its snapshot, or an object that tells a language, is
    damaged.
    """
    try:
        files = store.snapshots.load_manifest(identity.snapshot_id)
        return make_plan(
            identity, files, lambda digest: store.objects.read_head(digest, HEAD_BYTES), shards
        )
    except StoreError:
        return None


def _legible(store: StoreDirectory, batch_id: str) -> Document:
    """Return the plan, damaged or not, as far as it is JSON."""
    data = find_bytes(store, store.layout.plan_document(batch_id)).data
    try:
        document = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _identities(store: StoreDirectory, batch_id: str, said: Document) -> Iterator[BatchIdentity]:
    """Yield what a batch of that id may be; a pipeline that is damaged or unknown gives none."""
    for document in _pipelines(store, said):
        with contextlib.suppress(*_UNFIT):
            pipeline = parse_pipeline(document)
            for snapshot_id in folders_in(store.layout.door, SNAPSHOTS):
                identity = identify(snapshot_id, pipeline)
                if identity.batch_id == batch_id:
                    yield identity


def _pipelines(store: StoreDirectory, said: Document) -> Iterator[object]:
    yield said.get("document")
    for name in list_pipelines():
        yield pipeline_document(load_pipeline(name))
    for other in folders_in(store.layout.door, BATCHES):
        plan = find_document(store, store.layout.plan_document(other)).document or {}
        yield plan.get("document")


def _shard_count(store: StoreDirectory, batch_id: str, said: Document) -> int | None:
    """Return how many shards at most the batch was planned with; None where nothing tells."""
    counts = {width: number for number, width in SHARD_COUNTS.items()}
    planned: list[str] = []
    with contextlib.suppress(*_UNFIT):
        planned = [shard["shard_id"] for shard in cast("list[dict[str, str]]", said["shards"])]
    for ids in (planned, shards_in(store.layout.door, batch_id)):
        widths = set(map(len, ids))
        if len(widths) == 1:
            return counts.get(widths.pop())
    return None
