"""The batches of a store: document, plan, inputs, tasks; then every shard.

Whatever of a batch is whole is used to check the rest. Nothing is read of a batch whose plan is
damaged but the documents themselves: the plan says what everything else should be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import cast

from codebatch.maintenance.verify.documents import Found, find_document
from codebatch.maintenance.verify.findings import Findings
from codebatch.maintenance.verify.inputs import InputsCheck
from codebatch.maintenance.verify.shards import check_shard
from codebatch.model.digest import Document, digest_document, short_id
from codebatch.model.errors import CodeBatchError
from codebatch.model.keys import fingerprint
from codebatch.model.records import DONE, Plan
from codebatch.model.result_tree import result_digest
from codebatch.store import BATCH_PREFIX
from codebatch.store.path_kinds import (
    BATCH,
    BATCHES,
    OUTPUTS,
    PLAN,
    SNAPSHOT,
    STATE,
    TASK,
    Place,
    folders_in,
    walk_store,
)


@dataclass
class _Batch:
    """One batch being checked. State: ``present`` has the places of its files, ``nodes`` the
    result nodes by task and shard of what is done and whole.
    """

    batch_id: str
    present: set[Place] = field(default_factory=set)
    document: Document | None = None
    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    all_done: bool = True

    @property
    def is_finished(self) -> bool:
        """Return True if its document says that it is done."""
        return self.document is not None and self.document.get("result") is not None


def check_batches(findings: Findings) -> None:
    """Check every batch, and note which objects their results refer to."""
    door = findings.store.layout.door
    for entry in walk_store(door, BATCHES, depth=1):
        findings.add_stray(entry)
    for batch_id in folders_in(door, BATCHES):
        batch = _Batch(batch_id)
        # Before the states: a result that stands there was written after all of them.
        found = find_document(findings.store, findings.store.layout.batch_document(batch_id))
        for entry in walk_store(door, f"{BATCHES}/{batch_id}"):
            if not findings.add_stray(entry, batch_id=batch_id) and entry.place is not None:
                batch.present.add(entry.place)
        before = len(findings.problems)
        _check_batch(findings, batch, found)
        if found.document is not None:
            document = findings.store.layout.batch_document(batch_id)
            findings.forget_since(before, document)


def _check_batch(findings: Findings, batch: _Batch, found: Found) -> None:
    layout = findings.store.layout
    if not _should_have_document(findings, batch, found):
        findings.notes.unfinished_batches += 1  # given up, or still being made
        if Place(PLAN, batch.batch_id) not in batch.present:
            return
    findings.checked.batches += 1
    plan_found = find_document(findings.store, layout.plan_document(batch.batch_id))
    plan, wrong = _checked_plan(batch.batch_id, plan_found)
    if plan is None:
        findings.is_complete = False
        _add(findings, "PLAN_DAMAGED", "the plan", wrong, plan_found, Place(PLAN, batch.batch_id))
    _check_document(findings, batch, found, plan)
    snapshot_id = plan.snapshot_id if plan is not None else _snapshot_of(found)
    if snapshot_id is not None:
        _check_snapshot(findings, batch.batch_id, snapshot_id)
    if plan is not None and plan_found.document is not None:
        _check_places(findings, batch, plan)
        _check_tasks(findings, batch, plan, plan_found.document)
        _check_shards(findings, batch, plan)


def _should_have_document(findings: Findings, batch: _Batch, found: Found) -> bool:
    """Return True if there was a document, or are states, which are written after it."""
    if not found.is_missing:
        return True
    if findings.is_there(findings.store.layout.batch_document(batch.batch_id)):
        return False  # it has come meanwhile
    return any(place.kind == STATE for place in batch.present)


def _checked_plan(batch_id: str, found: Found) -> tuple[Plan | None, str | None]:
    """The plan, or what is wrong with it."""
    if found.document is None:
        return None, found.wrong
    document = found.document
    try:
        plan = Plan.from_document(document)
        tasks = cast("list[Document]", document["tasks"])
        described = [
            {key: task[key] for key in ("id", "task", "needs", "config")} for task in tasks
        ]
        given = cast("Document", document["document"])["tasks"]
    except (KeyError, TypeError, ValueError, CodeBatchError) as error:
        return None, f"it is not what the format says: {error}"
    if identity_of(document, plan) != batch_id or document.get("batch_id") != batch_id:
        return None, "it gives another batch id"
    if described != given:
        return None, "its tasks are not those of its pipeline"
    if any(task.fingerprint != fingerprint(dict(task.components)) for task in plan.tasks):
        return None, "a fingerprint does not follow from its components"
    return plan, None


def identity_of(document: Document, plan: Plan) -> str:
    """The id of the batch that a plan describes."""
    fingerprints = [task.fingerprint for task in plan.tasks]
    identity = [plan.snapshot_id, document.get("document"), fingerprints, document.get("detection")]
    return short_id(BATCH_PREFIX, digest_document("batch", identity))


def _check_document(findings: Findings, batch: _Batch, found: Found, plan: Plan | None) -> None:
    if not _should_have_document(findings, batch, found):
        return
    wrong = found.wrong
    if found.document is not None:
        document = found.document
        batch.document = document
        if document.get("batch_id") != batch.batch_id:
            wrong = "it is that of another batch"
        elif plan is not None and (document.get("snapshot_id"), document.get("pipeline")) != (
            plan.snapshot_id,
            plan.pipeline,
        ):
            wrong = "it names another snapshot or pipeline than the plan"
    if wrong is not None:
        place = Place(BATCH, batch.batch_id)
        _add(findings, "BATCH_DAMAGED", "the document", wrong, found, place)


def _snapshot_of(found: Found) -> str | None:
    value = (found.document or {}).get("snapshot_id")
    return value if isinstance(value, str) else None


def _check_snapshot(findings: Findings, batch_id: str, snapshot_id: str) -> None:
    findings.batches_of.setdefault(snapshot_id, set()).add(batch_id)
    try:
        path = findings.store.layout.snapshot_document(snapshot_id)
    except CodeBatchError:
        return  # no id at all: the document that names it is damaged
    if not findings.is_there(path) and snapshot_id not in findings.missing_snapshots:
        findings.missing_snapshots.add(snapshot_id)
        findings.add(
            "SNAPSHOT_MISSING",
            f"the document of {snapshot_id} is missing, and a batch needs it",
            path,
            Place(SNAPSHOT, snapshot_id),
            snapshots=(snapshot_id,),
        )


def _check_places(findings: Findings, batch: _Batch, plan: Plan) -> None:
    """Folders of tasks and shards that the plan does not have."""
    tasks = {task.id for task in plan.tasks}
    shards = {shard.shard_id for shard in plan.shards}
    for place in sorted(batch.present):
        if place.kind not in (TASK, STATE, OUTPUTS):
            continue
        if place.task_id not in tasks or (place.shard_id and place.shard_id not in shards):
            what = f"task {place.task_id}" if place.task_id not in tasks else place.shard_id
            path = path_of(findings, place)
            message = f"the plan of {batch.batch_id} has no {what}"
            findings.add("FOREIGN_FILE", message, path, batches=(batch.batch_id,))


def path_of(findings: Findings, place: Place) -> str:
    """Return the path of something of a task or a shard, relative to the store."""
    layout = findings.store.layout
    if place.kind == TASK:
        path = layout.task_document(place.owner, place.task_id)
    elif place.kind == STATE:
        path = layout.state(place.owner, place.task_id, place.shard_id)
    else:
        path = layout.outputs(place.owner, place.task_id, place.shard_id)
    return os.path.relpath(path, findings.store.root)


def _check_tasks(findings: Findings, batch: _Batch, plan: Plan, document: Document) -> None:
    described = cast("list[Document]", document["tasks"])
    for task, expected in zip(plan.tasks, described, strict=True):
        place = Place(TASK, batch.batch_id, task.id)
        path = findings.store.layout.task_document(batch.batch_id, task.id)
        found = find_document(findings.store, path)
        wrong = found.wrong
        if found.document is not None and found.document != {
            **expected,
            "digest": found.document["digest"],
        }:
            wrong = "it is not what the plan says of the task"
        if wrong is not None:
            _add(findings, "TASK_DAMAGED", f"the document of task {task.id}", wrong, found, place)


def _check_shards(findings: Findings, batch: _Batch, plan: Plan) -> None:
    inputs = InputsCheck(findings, batch.batch_id, plan)
    for shard, files in inputs.shards():
        for task in plan.tasks:
            place = Place(STATE, batch.batch_id, task.id, shard.shard_id)
            if place not in batch.present:
                _note_missing(findings, batch, place)
                continue
            findings.checked.shards += 1
            state = check_shard(findings, place, task, files)
            if state is None or state.status != DONE:
                batch.all_done = False
            else:
                batch.nodes.setdefault(task.id, {})[shard.shard_id] = state.tree
    inputs.finish()
    _check_result(findings, batch, plan)


def _note_missing(findings: Findings, batch: _Batch, place: Place) -> None:
    batch.all_done = False
    if not batch.is_finished:
        findings.notes.pending_shards += 1
        return
    findings.add(
        "STATE_MISSING",
        f"{batch.batch_id} is finished, but task {place.task_id} has no state of shard "
        f"{place.shard_id}; resume computes it",
        path_of(findings, place),
        place,
        batches=(batch.batch_id,),
    )


def _check_result(findings: Findings, batch: _Batch, plan: Plan) -> None:
    if not batch.is_finished or not batch.all_done or batch.document is None:
        return
    result = result_digest({task.id: batch.nodes.get(task.id, {}) for task in plan.tasks})
    if batch.document["result"] != result:
        place = Place(BATCH, batch.batch_id)
        message = "the result does not follow from the states"
        findings.add(
            "RESULT_WRONG",
            f"{batch.batch_id}: {message}",
            findings.store.layout.batch_document(batch.batch_id),
            place,
            batches=(batch.batch_id,),
        )


def _add(
    findings: Findings, code: str, what: str, wrong: str | None, found: Found, place: Place
) -> None:
    layout = findings.store.layout
    if place.kind == TASK:
        path = layout.task_document(place.owner, place.task_id)
    else:
        documents = {BATCH: layout.batch_document, PLAN: layout.plan_document}
        path = documents[place.kind](place.owner)
    findings.add(
        "UNREADABLE" if found.is_unreadable else code,
        f"{what} of {place.owner}: {wrong}",
        path,
        place,
        batches=(place.owner,),
    )
