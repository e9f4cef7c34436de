"""The batches of a store: document, plan, inputs, tasks; then every shard.

Whatever of a batch is whole is used to check the rest. Nothing is read of a batch whose plan is
damaged but the documents themselves: the plan says what everything else should be.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from codebatch.maintenance.verify.findings import Findings, Found, path_of
from codebatch.maintenance.verify.shards import check_shard
from codebatch.model.checks import check_batch
from codebatch.model.digest import Document, canonical_json, digest_document, short_id
from codebatch.model.errors import CodeBatchError, StoreError
from codebatch.model.keys import fingerprint
from codebatch.model.records import DONE, InputFile, Plan, PlannedShard, path_key
from codebatch.model.result_tree import result_digest
from codebatch.store import BATCH_PREFIX, parse_plan
from codebatch.store.layout import is_name
from codebatch.store.path_kinds import (
    BATCH,
    BATCHES,
    INPUTS,
    OUTPUTS,
    PLAN,
    SNAPSHOT,
    STATE,
    TASK,
    Place,
    folders_in,
    walk_store,
)

_SUM = 2**256


@dataclass
class _Batch:
    """A batch whose plan is whole. State: ``nodes`` has the result nodes by task and shard of
    what is done and whole.
    """

    batch_id: str
    plan: Plan
    present: set[Place]
    result: object
    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    all_done: bool = True


def check_batches(findings: Findings) -> None:
    """Check every batch, and note which objects their results refer to."""
    door = findings.store.layout.door
    for entry in walk_store(door, BATCHES, depth=1):
        findings.add_stray(entry)
    for batch_id in folders_in(door, BATCHES):
        # Before the states: a result that stands there was written after all of them.
        found = findings.find(Place(BATCH, batch_id))
        entries = walk_store(door, f"{BATCHES}/{batch_id}")
        places = {entry.place for entry in entries if not findings.add_stray(entry)}
        before = len(findings.problems)
        _check_batch(findings, batch_id, {place for place in places if place}, found)
        if found.document is not None:
            findings.forget_since(before, Place(BATCH, batch_id))
    _check_snapshots(findings)


def _check_batch(findings: Findings, batch_id: str, present: set[Place], found: Found) -> None:
    place, plan_place = Place(BATCH, batch_id), Place(PLAN, batch_id)
    # A batch has a document before it has states. One that is there by now has come meanwhile.
    is_made = not found.is_missing or (
        not findings.is_there(place) and any(one.kind == STATE for one in present)
    )
    if not is_made:
        findings.notes.unfinished_batches += 1  # given up, or still being made
        if plan_place not in present:
            return
    findings.checked.batches += 1
    plan_found = findings.find(plan_place)
    plan = findings.judge(plan_place, plan_found, partial(_checked_plan, batch_id))
    document: Document | None = None
    if is_made:
        document = findings.judge(place, found, partial(_checked_batch, batch_id, plan))
    said = (found.document or {}).get("snapshot_id") if plan is None else plan.snapshot_id
    if isinstance(said, str):
        findings.batches_of.setdefault(said, set()).add(batch_id)
    if plan is None or plan_found.document is None:
        findings.is_complete = False
        return
    batch = _Batch(batch_id, plan, present, (document or {}).get("result"))
    _check_places(findings, batch)
    for task in cast("list[Document]", plan_found.document["tasks"]):
        task_place = Place(TASK, batch_id, str(task["id"]))
        findings.judge(task_place, findings.find(task_place), partial(_checked_task, task))
    _check_shards(findings, batch)


def _checked_plan(batch_id: str, document: Document) -> Plan:
    """The plan, if all of it follows from what the id of its batch covers."""
    plan = parse_plan(batch_id, document)
    tasks = cast("list[Document]", document["tasks"])
    described = [{key: task[key] for key in ("id", "task", "needs", "config")} for task in tasks]
    fingerprints = [task.fingerprint for task in plan.tasks]
    identity = [plan.snapshot_id, document["document"], fingerprints, document["detection"]]
    if short_id(BATCH_PREFIX, digest_document("batch", identity)) != batch_id:
        raise ValueError("it gives another batch id")
    if described != cast("Document", document["document"])["tasks"]:
        raise ValueError("its tasks are not those of its pipeline")
    if any(task.fingerprint != fingerprint(dict(task.components)) for task in plan.tasks):
        raise ValueError("a fingerprint does not follow from its components")
    return plan


def _checked_batch(batch_id: str, plan: Plan | None, document: Document) -> Document:
    check_batch(document, batch_id)
    said = (document["snapshot_id"], document["pipeline"])
    if plan is not None and said != (plan.snapshot_id, plan.pipeline):
        raise ValueError("it names another snapshot or pipeline than the plan")
    return document


def _checked_task(expected: Document, document: Document) -> None:
    if document != {**expected, "digest": document["digest"]}:
        raise ValueError("the plan says something else of the task")


def _check_snapshots(findings: Findings) -> None:
    """Note the snapshots that batches need and that are not there."""
    door = findings.store.layout.door
    for snapshot_id, batches in findings.batches_of.items():
        place = Place(SNAPSHOT, snapshot_id)
        if not is_name(snapshot_id) or findings.is_there(place):
            continue
        # Whoever removes a snapshot has removed its batches before.
        if any(door.is_folder(findings.store.layout.batches / batch_id) for batch_id in batches):
            message = f"the document of {snapshot_id} is missing, and a batch needs it"
            path = door.place(path_of(findings.store.layout, place))
            findings.add("SNAPSHOT_MISSING", message, path, place)


def _check_places(findings: Findings, batch: _Batch) -> None:
    """Note folders of tasks and shards that the plan does not have."""
    layout = findings.store.layout
    tasks = {task.id for task in batch.plan.tasks}
    shards = {shard.shard_id for shard in batch.plan.shards}
    for place in sorted(batch.present):
        if place.kind not in (TASK, STATE, OUTPUTS):
            continue
        if place.task_id not in tasks or (place.shard_id and place.shard_id not in shards):
            what = f"task {place.task_id}" if place.task_id not in tasks else place.shard_id
            message = f"the plan of {batch.batch_id} has no {what}"
            findings.add("FOREIGN_FILE", message, layout.door.place(path_of(layout, place)))


def _check_shards(findings: Findings, batch: _Batch) -> None:
    inputs = _Inputs(findings, batch.batch_id, batch.plan)
    for shard in batch.plan.shards:
        files = inputs.files_of(shard)
        for task in batch.plan.tasks:
            place = Place(STATE, batch.batch_id, task.id, shard.shard_id)
            if place not in batch.present:
                batch.all_done = False
                _note_missing(findings, batch, place)
                continue
            findings.checked.shards += 1
            state = check_shard(findings, place, task, files)
            if state is None or state.status != DONE:
                batch.all_done = False
            else:
                batch.nodes.setdefault(task.id, {})[shard.shard_id] = state.tree
    inputs.finish()
    if batch.result is not None and batch.all_done:
        nodes = {task.id: batch.nodes.get(task.id, {}) for task in batch.plan.tasks}
        if batch.result != result_digest(nodes):
            wrong = "the result does not follow from the states"
            findings.blame(Place(BATCH, batch.batch_id), wrong, code="RESULT_WRONG")


def _note_missing(findings: Findings, batch: _Batch, place: Place) -> None:
    if batch.result is None:
        findings.notes.pending_shards += 1
    else:
        wrong = "it is missing, and the batch is finished; resume computes it"
        findings.blame(place, wrong, code="STATE_MISSING")


class _Inputs:
    """The inputs of a batch: each shard's range against the plan, all of them against the snapshot.

    One shard is held at a time. That the inputs are the files of the manifest, in another order, is
    found by a sum over the digests of both, which does not depend on the order. State: ``_wrong``
    is the first thing that is wrong, ``_sum`` the sum over the files so far, ``_languages`` how
    many files each language has.
    """

    def __init__(self, findings: Findings, batch_id: str, plan: Plan) -> None:
        self._findings = findings
        self._store = findings.store
        self._place = Place(INPUTS, batch_id)
        self._plan = plan
        self._wrong: str | None = None
        self._sum = 0
        self._languages: Counter[str] = Counter()

    def files_of(self, shard: PlannedShard) -> list[InputFile] | None:
        """Return the files of a shard in path order; None where they are damaged."""
        try:
            files = self._store.batches.load_inputs(self._place.owner, shard)
        except StoreError as error:
            self._note(error.message)
            return None
        for file in files:
            self._sum += _number_of(file.path, file.object, file.size)
            self._languages[file.language] += 1
        return sorted(files, key=lambda file: path_key(file.path))

    def finish(self) -> None:
        """After all shards, note what is wrong; nothing may be left over."""
        path = path_of(self._store.layout, self._place)
        status = self._store.layout.door.status(path)
        end = sum(shard.length for shard in self._plan.shards)
        if status is None:
            self._note("it is missing")
        elif self._wrong is None:
            if status.st_size != end:
                self._note(f"{abs(status.st_size - end)} bytes belong to no shard")
            if dict(self._languages) != dict(self._plan.languages):
                self._note("their languages are not those of the plan")
            self._compare_with_snapshot()
        if self._wrong is not None:
            self._findings.blame(self._place, self._wrong)

    def _compare_with_snapshot(self) -> None:
        try:
            files = self._store.snapshots.load_manifest(self._plan.snapshot_id)
        except CodeBatchError:
            return  # the snapshot is damaged, which is said of the snapshot
        expected = sum(_number_of(file.path, file.object, file.size) for file in files)
        if expected % _SUM != self._sum % _SUM:
            self._note("they are not the files of the snapshot")

    def _note(self, wrong: str) -> None:
        self._wrong = self._wrong or wrong


def _number_of(path: str, digest: str, size: int) -> int:
    """A number for a file, to be summed."""
    return int(hashlib.sha256(canonical_json([path, digest, size])).hexdigest(), 16)
