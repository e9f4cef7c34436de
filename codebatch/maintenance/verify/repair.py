"""Repair what a check has found: drop what can be computed again, restore what is lost.

A file is looked at once more just before it is dropped or replaced, so that what a running
writer has put right meanwhile stays. Nothing is removed that something still needs and that
cannot be made again. Repairing one thing may bring to light another, so the store is checked
again for as long as that is so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from codebatch.maintenance.verify.check import Progress, check_store
from codebatch.maintenance.verify.findings import Findings, ObjectTrouble, find_document, path_of
from codebatch.maintenance.verify.indexes import is_whole_index
from codebatch.maintenance.verify.problems import DROPPED, NO_ACTION, RESTORED, REWRITTEN, Problem
from codebatch.maintenance.verify.repack import is_elsewhere, rebuild_index, rewrite_pack
from codebatch.maintenance.verify.selection import Selection
from codebatch.maintenance.verify.shards import check_shard
from codebatch.maintenance.verify.source import SourceTree
from codebatch.model.clock import moment_at, now
from codebatch.model.digest import Document
from codebatch.model.errors import StoreError
from codebatch.model.records import path_key
from codebatch.status.batch_status import load_batch_status
from codebatch.store import StoreDirectory, restore_identity, restore_ignore_file
from codebatch.store import path_kinds as kinds
from codebatch.store.askings import load_asking
from codebatch.store.files import file_status
from codebatch.store.layout import PACK_SUFFIX, SNAPSHOT_BYTES
from codebatch.store.objects.packs import Found, is_index, load_index
from codebatch.store.path_kinds import Place
from codebatch.store.removal import drop_file

UNKNOWN_SKIPPED = "unknown: the list of what was left out was lost"
_MAX_ROUNDS = 4
_REVEALING = {RESTORED, REWRITTEN}


def repair_store(
    store: StoreDirectory,
    selection: Selection,
    source: Path | None,
    progress: Progress | None = None,
) -> tuple[Findings, list[Problem]]:
    """Check and repair; the last check, and every problem with what was done about it."""
    tree = None if source is None else SourceTree(store, source)
    handled: dict[tuple[str, str, Place], Problem] = {}
    dropped: set[Place] = set()

    def is_known(problem: Problem) -> bool:
        """Return True if an earlier round saw to a problem, or left it by seeing to another."""
        if problem.code == "STATE_MISSING" and problem.place in dropped:
            return True
        before = handled.get((problem.code, problem.path, problem.place))
        return before is not None and before.action != NO_ACTION

    order = list(HANDLERS)
    for _ in range(_MAX_ROUNDS):
        findings = check_store(store, selection, progress)
        repair = _Repair(findings, tree, dropped)
        fresh = [problem for problem in findings.all_problems() if not is_known(problem)]
        fresh.sort(key=lambda problem: (order.index(problem.code), problem.path))
        done = [replace(one, action=HANDLERS[one.code](repair, one)) for one in fresh]
        handled.update({(one.code, one.path, one.place): one for one in done})
        repair.rewrite_packs()
        if not any(problem.action in _REVEALING for problem in done):
            break
    return findings, sorted(handled.values(), key=lambda problem: (problem.path, problem.code))


class _Repair:
    """One round. Each method named after a kind of damage does what can be done about a problem
    and says what that was. State: ``dropped`` has the places of the states that were dropped,
    ``packs`` what was done about each damaged object in a pack, by the path of the pack.
    """

    def __init__(self, findings: Findings, source: SourceTree | None, dropped: set[Place]) -> None:
        self.findings = findings
        self.store = findings.store
        self.source = source
        self.dropped = dropped
        self.packs: dict[str, list[str]] = {}

    def leave(self, _: Problem) -> str:
        """Leave what only a run can see to, or nothing can."""
        return NO_ACTION

    def foreign(self, problem: Problem) -> str:
        """Remove a link or the like below the indexes, as anything there may be; the rest is not
        ours to remove.
        """
        path = self.store.root / problem.path
        is_derived = problem.path.startswith(f"{kinds.INDEXES_FOLDER}/")
        if not is_derived or self.store.layout.door.is_folder(path):
            return NO_ACTION
        return self._drop(path)

    def store_document(self, _: Problem) -> str:
        """Write ``store.json`` anew."""
        return REWRITTEN if restore_identity(self.store) else NO_ACTION

    def ignore_file(self, _: Problem) -> str:
        """Write ``.gitignore`` anew."""
        restore_ignore_file(self.store)
        return REWRITTEN

    def manifest(self, problem: Problem) -> str:
        """Take the source again."""
        return RESTORED if self._retake(problem) else NO_ACTION

    def snapshot(self, problem: Problem) -> str:
        """Take the source again, else write the little that the manifest tells."""
        if self._retake(problem):
            return RESTORED
        return REWRITTEN if rebuild_snapshot(self.store, problem.place.owner) else NO_ACTION

    def _retake(self, problem: Problem) -> bool:
        return self.source is not None and self.source.restore_snapshot(problem.place.owner)

    def object(self, problem: Problem) -> str:
        """Drop a form beside one that is whole, restore what a snapshot needs, drop the rest."""
        digest, path = problem.place.digest, os.fspath(self.store.root / problem.path)
        trouble = self.findings.objects[digest]
        if path.endswith(PACK_SUFFIX):
            actions = self.packs.setdefault(path, [])
            actions.append(self._see_to(digest, trouble, path))
            return actions[-1]
        is_back = not trouble.forms and self.store.objects.is_intact(digest)
        if is_back or self._is_whole_object(path, digest):
            return RESTORED  # with its snapshot, or by someone else
        if trouble.forms and is_elsewhere(self.store, digest, path):
            return self._drop_object(path, digest)
        if trouble.snapshots:
            return self._restore_object(digest)
        return self._drop_derived(digest, trouble, lambda: self._drop_object(path, digest))

    def _see_to(self, digest: str, trouble: ObjectTrouble, pack: str) -> str:
        """Restore an object that is damaged in a pack, or give it up with what builds on it."""
        if is_elsewhere(self.store, digest, pack):
            return RESTORED
        if trouble.snapshots:
            return self._restore_object(digest)
        return self._drop_derived(digest, trouble, lambda: DROPPED)

    def rewrite_packs(self) -> None:
        """Write packs anew without the damaged objects that were seen to, where that is all."""
        for path, actions in self.packs.items():
            if NO_ACTION not in actions:
                rewrite_pack(self.store, Path(path).stem)

    def pack(self, problem: Problem) -> str:
        """See to every object that is damaged in a pack, and write it anew with the others."""
        path = os.fspath(self.store.root / problem.path)
        objects = self.findings.objects.items()
        damaged = [(one, trouble) for one, trouble in objects if problem.path in trouble.forms]
        if NO_ACTION in [self._see_to(one, trouble, path) for one, trouble in damaged]:
            return NO_ACTION
        return REWRITTEN if rewrite_pack(self.store, problem.place.owner) else DROPPED

    def pack_index(self, problem: Problem) -> str:
        """Make it from the pack."""
        index = load_index(self.store.layout, problem.place.owner)
        if index is not None and is_index(index.lines):
            return RESTORED  # by its writer
        return REWRITTEN if rebuild_index(self.store, problem.place.owner) else DROPPED

    def unreadable(self, problem: Problem) -> str:
        """Replace a source object alone: what cannot be read may be whole."""
        is_object = problem.place.kind == kinds.OBJECT
        return self._restore_object(problem.place.digest) if is_object else NO_ACTION

    def _restore_object(self, digest: str) -> str:
        is_back = self.source is not None and self.source.restore_object(digest)
        return RESTORED if is_back else NO_ACTION

    def _drop_derived(self, digest: str, trouble: ObjectTrouble, drop: Callable[[], str]) -> str:
        """Drop what only results refer to, and these; they are computed again together."""
        if not trouble.shards and not self.findings.is_complete:
            return NO_ACTION  # a snapshot that cannot be read may refer to it
        was_there = drop() == DROPPED
        if self.store.objects.is_intact(digest):
            return RESTORED  # by a run that is under way
        for shard in sorted(trouble.shards):
            self._drop_state(Place(kinds.STATE, *shard))
        return DROPPED if was_there or trouble.shards else NO_ACTION

    def _drop_object(self, path: str, digest: str) -> str:
        return self._drop(Path(path), lambda place: self._is_whole_object(place, digest))

    def _is_whole_object(self, path: str, digest: str) -> bool:
        """Return True if a file is the object, in the form that its ending says."""
        return self.store.objects.is_whole(Found(path), digest) is True

    def task(self, problem: Problem) -> str:
        """Write the document of a task as a whole plan has it."""
        place = problem.place
        try:
            plan = self.store.batches.load_plan(place.owner)
        except StoreError:
            return NO_ACTION
        (task,) = (task for task in plan.tasks if task.id == place.task_id)
        self.store.batches.save_task(place.owner, task.id, task.as_document())
        return REWRITTEN

    def batch(self, problem: Problem) -> str:
        """Write ``batch.json`` anew from plan and states."""
        return REWRITTEN if rebuild_batch(self.store, problem.place.owner) else NO_ACTION

    def shard(self, problem: Problem) -> str:
        """Drop the state and, where they are what is damaged, the outputs of a shard."""
        place = problem.place._replace(kind=kinds.STATE)
        if self._is_whole_shard(place):
            return RESTORED  # by a run that is under way
        self._drop_state(place)
        if problem.place.kind == kinds.OUTPUTS:
            self._drop(self.store.root / problem.path)
        return DROPPED

    def _is_whole_shard(self, place: Place) -> bool:
        """Return True if a shard, looked at again, is what its state says."""
        try:
            plan = self.store.batches.load_plan(place.owner)
            files = self.store.batches.load_inputs(place.owner, plan.shard(place.shard_id))
        except (StoreError, KeyError):
            return False
        (task,) = (task for task in plan.tasks if task.id == place.task_id)
        in_order = sorted(files, key=lambda file: path_key(file.path))
        return check_shard(Findings(self.store), place, task, in_order) is not None

    def _drop_state(self, place: Place) -> None:
        """Make a shard pending."""
        self._drop(path_of(self.store.layout, place))
        self.dropped.add(place)

    def asked(self, problem: Problem) -> str:
        """Drop it: what it is about counts as asked for when it was made."""
        place = problem.place
        if load_asking(self.store.layout, place.owner) is not None:
            return RESTORED  # asked for again meanwhile
        return self._drop(path_of(self.store.layout, place))

    def index(self, problem: Problem) -> str:
        """Drop it; to drop one that is written anew at this moment costs time alone."""
        path = self.store.root / problem.path
        return RESTORED if is_whole_index(self.store, path) else self._drop(path)

    def _drop(self, path: Path, is_whole: Callable[[str], bool] = lambda _: False) -> str:
        return DROPPED if drop_file(self.store.layout.door, path, is_whole) else NO_ACTION


# In the order in which they are seen to: what others build on comes first.
HANDLERS: Mapping[str, Callable[[_Repair, Problem], str]] = {
    "STORE_DOCUMENT_DAMAGED": _Repair.store_document,
    "IGNORE_FILE_DAMAGED": _Repair.ignore_file,
    "MANIFEST_DAMAGED": _Repair.manifest,
    "SNAPSHOT_MISSING": _Repair.snapshot,
    "SNAPSHOT_DAMAGED": _Repair.snapshot,
    "PACK_INDEX_DAMAGED": _Repair.pack_index,
    "OBJECT_DAMAGED": _Repair.object,
    "OBJECT_MISSING": _Repair.object,
    "PACK_DAMAGED": _Repair.pack,
    "PLAN_DAMAGED": _Repair.leave,
    "INPUTS_DAMAGED": _Repair.leave,
    "TASK_DAMAGED": _Repair.task,
    "STATE_DAMAGED": _Repair.shard,
    "OUTPUTS_DAMAGED": _Repair.shard,
    "BATCH_DAMAGED": _Repair.batch,
    "RESULT_WRONG": _Repair.leave,
    "ASKED_DAMAGED": _Repair.asked,
    "NAME_DAMAGED": _Repair.leave,
    "NAME_DANGLING": _Repair.leave,
    "STATE_MISSING": _Repair.leave,
    "FOREIGN_FILE": _Repair.foreign,
    "UNREADABLE": _Repair.unreadable,
    "MEMO_DAMAGED": _Repair.index,
    "INDEX_DAMAGED": _Repair.index,
}


def rebuild_snapshot(store: StoreDirectory, snapshot_id: str) -> bool:
    """Write ``snapshot.json`` anew from the manifest, with what cannot be known said to be
    unknown; False where the manifest is not whole.
    """
    try:
        files = store.snapshots.load_manifest(snapshot_id)
    except StoreError:
        return False
    document: Document = {
        "snapshot_id": snapshot_id,
        "file_count": len(files),
        "total_bytes": sum(file.size for file in files),
    }
    if not _says(store, Place(kinds.SNAPSHOT, snapshot_id), document):
        unknown: Document = {
            "source": "",
            "taken": _written(store, Place(kinds.MANIFEST, snapshot_id)),
            "skipped": [{"path": ".", "reason": UNKNOWN_SKIPPED}],
        }
        store.snapshots.restore_document(snapshot_id, {**document, **unknown})
    return True


def rebuild_batch(store: StoreDirectory, batch_id: str) -> bool:
    """Write ``batch.json`` anew from plan and states; False where the plan is not whole. Times
    are those of files that were written at that moment.
    """
    plan = find_document(store, store.layout.plan_document(batch_id)).document
    if plan is None:
        return False
    document: Document = {name: plan[name] for name in ("batch_id", "snapshot_id", "pipeline")}
    if not _says(store, Place(kinds.BATCH, batch_id), document):
        batch_status = load_batch_status(store, batch_id, verify=True, listed=False)
        document["created"] = _written(store, Place(kinds.PLAN, batch_id))
        document["result"] = batch_status.result
        times = [state.finished for state in batch_status.present()]
        if batch_status.result is not None and times:
            document["finished"] = max(times)
        store.batches.save_document(batch_id, document)
    return True


def _says(store: StoreDirectory, place: Place, known: Document) -> bool:
    """Return True if a document was put right meanwhile."""
    document = find_document(store, path_of(store.layout, place), SNAPSHOT_BYTES).document
    return document is not None and known.items() <= document.items()


def _written(store: StoreDirectory, place: Place) -> str:
    """Return when a file was last written."""
    status = file_status(store.layout.door, path_of(store.layout, place))
    return now() if status is None else moment_at(status.st_mtime_ns)
