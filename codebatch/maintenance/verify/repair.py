"""Repair what a check has found: drop what can be computed again, restore what is lost.

A file is looked at once more just before it is dropped or replaced, so that what a running
writer has put right meanwhile stays. Nothing is removed that something still needs and that
cannot be made again. Repairing one thing may bring to light another, so the store is checked
again for as long as that is so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from codebatch.maintenance.verify.check import check_store
from codebatch.maintenance.verify.derived import is_whole_index, is_whole_segment
from codebatch.maintenance.verify.findings import Findings, ObjectTrouble
from codebatch.maintenance.verify.objects import Progress
from codebatch.maintenance.verify.problems import DROPPED, NO_ACTION, RESTORED, REWRITTEN, Problem
from codebatch.maintenance.verify.rebuild import describe_snapshot, rebuild_batch, rebuild_snapshot
from codebatch.maintenance.verify.replan import restore_inputs, restore_plan, restore_tasks
from codebatch.maintenance.verify.selection import Selection
from codebatch.maintenance.verify.shards import check_shard
from codebatch.maintenance.verify.source import SourceTree
from codebatch.model.errors import StoreError
from codebatch.model.records import path_key
from codebatch.snapshot.writer import SnapshotResult
from codebatch.store import StoreDirectory
from codebatch.store.objects.cas import check_object
from codebatch.store.objects.zstd_frames import FrameDamagedError
from codebatch.store.path_kinds import INDEXES_FOLDER, OBJECT, STATE, Place
from codebatch.store.removal import drop_file
from codebatch.store.store import restore_identity, restore_ignore_file

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
    handled: dict[tuple[str, str], Problem] = {}
    dropped: set[Place] = set()
    for _ in range(_MAX_ROUNDS):
        findings = check_store(store, selection, progress)
        repair = _Repair(findings, tree)
        fresh = [p for p in findings.all_problems() if not _is_known(p, handled, dropped)]
        done = [repair.handle(problem) for problem in sorted(fresh, key=_order)]
        handled.update({(problem.code, problem.path): problem for problem in done})
        dropped |= repair.dropped
        if not any(problem.action in _REVEALING for problem in done):
            break
    return findings, sorted(handled.values(), key=lambda problem: (problem.path, problem.code))


def _is_known(
    problem: Problem, handled: Mapping[tuple[str, str], Problem], dropped: set[Place]
) -> bool:
    """Return True if an earlier round saw to the problem, or left it by seeing to another."""
    if problem.code == "STATE_MISSING" and problem.place in dropped:
        return True
    before = handled.get((problem.code, problem.path))
    return before is not None and before.action != NO_ACTION


def _order(problem: Problem) -> tuple[int, str]:
    """Return a key by which what others build on comes first."""
    return list(_HANDLERS).index(problem.code), problem.path


class _Repair:
    """One round. State: ``dropped`` has the places of the states that were dropped."""

    def __init__(self, findings: Findings, source: SourceTree | None) -> None:
        self.findings = findings
        self.store = findings.store
        self.source = source
        self.dropped: set[Place] = set()

    def handle(self, problem: Problem) -> Problem:
        """Do what can be done about one problem."""
        return problem.done(_HANDLERS[problem.code](self, problem))

    def path(self, problem: Problem) -> Path:
        """Return the path of the problem."""
        return self.store.root / problem.path

    @property
    def source_name(self) -> str:
        """The folder in which lost files are looked for."""
        return "" if self.source is None else self.source.name

    def retake(self, snapshot_id: str) -> SnapshotResult | None:
        """Take the source again, if that gives the snapshot; with its manifest and objects."""
        return None if self.source is None else self.source.restore_snapshot(snapshot_id)

    def drop_state(self, owner: str, task_id: str, shard_id: str) -> None:
        """Make a shard pending."""
        path = self.store.layout.state(owner, task_id, shard_id)
        drop_file(self.store.layout.door, path, lambda _: False)
        self.dropped.add(Place(STATE, owner, task_id, shard_id))


def _leave(repair: _Repair, problem: Problem) -> str:
    return NO_ACTION


def _repair_foreign(repair: _Repair, problem: Problem) -> str:
    """A link or the like below the indexes is removed as anything there may be; the rest is not
    ours to remove.
    """
    path = repair.path(problem)
    is_derived = problem.path.startswith(f"{INDEXES_FOLDER}/")
    if not is_derived or repair.store.layout.door.is_folder(path):
        return NO_ACTION
    return DROPPED if drop_file(repair.store.layout.door, path, lambda _: False) else NO_ACTION


def _repair_store_document(repair: _Repair, problem: Problem) -> str:
    return REWRITTEN if restore_identity(repair.store) else NO_ACTION


def _repair_ignore_file(repair: _Repair, problem: Problem) -> str:
    restore_ignore_file(repair.store)
    return REWRITTEN


def _repair_manifest(repair: _Repair, problem: Problem) -> str:
    (snapshot_id,) = problem.snapshots
    return NO_ACTION if repair.retake(snapshot_id) is None else RESTORED


def _repair_snapshot(repair: _Repair, problem: Problem) -> str:
    """Prefer what the document said to what taking the tree again says, and that to the little that
    the manifest tells.
    """
    (snapshot_id,) = problem.snapshots
    if rebuild_snapshot(repair.store, snapshot_id, only_certain=True):
        return REWRITTEN
    taken = repair.retake(snapshot_id)
    if taken is not None:
        describe_snapshot(repair.store, taken, repair.source_name)
        return RESTORED
    return REWRITTEN if rebuild_snapshot(repair.store, snapshot_id) else NO_ACTION


def _repair_object(repair: _Repair, problem: Problem) -> str:
    assert problem.place is not None  # noqa: S101 - every object has one
    digest = problem.place.digest
    trouble = repair.findings.objects[digest]
    path = repair.path(problem)
    is_back = repair.store.objects.is_intact(digest) if not trouble.forms else False
    if is_back or _is_whole_object(repair, digest)(os.fspath(path)):
        return RESTORED  # with its snapshot, or by someone else
    if trouble.forms and _other_form_is_whole(repair, digest, path):
        return _drop_object(repair, digest, path)
    if trouble.snapshots:
        return _restore_source(repair, digest, trouble)
    return _drop_derived(repair, digest, trouble, path)


def _repair_unreadable(repair: _Repair, problem: Problem) -> str:
    """It may be whole, so nothing is dropped; a source object can be replaced all the same."""
    if problem.place is None or problem.place.kind != OBJECT:
        return NO_ACTION
    return _restore_source(
        repair, problem.place.digest, repair.findings.objects[problem.place.digest]
    )


def _other_form_is_whole(repair: _Repair, digest: str, path: Path) -> bool:
    layout = repair.store.layout
    forms = {layout.object(digest), layout.compressed_object(digest)} - {os.fspath(path)}
    return any(map(_is_whole_object(repair, digest), forms))


def _restore_source(repair: _Repair, digest: str, trouble: ObjectTrouble) -> str:
    if repair.source is None:
        return NO_ACTION
    if repair.source.restore_object(digest, trouble.size, trouble.files):
        return RESTORED
    return NO_ACTION


def _drop_derived(repair: _Repair, digest: str, trouble: ObjectTrouble, path: Path) -> str:
    """Drop what only results refer to, and these; they are computed again together."""
    if not trouble.shards and not repair.findings.is_complete:
        return NO_ACTION  # a snapshot that cannot be read may refer to it
    was_there = _drop_object(repair, digest, path) == DROPPED
    if repair.store.objects.is_intact(digest):
        return RESTORED  # by a run that is under way
    for owner, task_id, shard_id in sorted(trouble.shards):
        repair.drop_state(owner, task_id, shard_id)
    return DROPPED if was_there or trouble.shards else NO_ACTION


def _drop_object(repair: _Repair, digest: str, path: Path) -> str:
    was_dropped = drop_file(repair.store.layout.door, path, _is_whole_object(repair, digest))
    return DROPPED if was_dropped else NO_ACTION


def _is_whole_object(repair: _Repair, digest: str) -> Callable[[str], bool]:
    """Return a function that is true of a file that is the object, in the form its ending says."""

    def is_whole(path: str) -> bool:
        try:
            return check_object(repair.store.layout.door, path, digest) is not None
        except (StoreError, FrameDamagedError, OSError):
            return False

    return is_whole


def _repair_plan(repair: _Repair, problem: Problem) -> str:
    (batch_id,) = problem.batches
    return REWRITTEN if restore_plan(repair.store, batch_id) else NO_ACTION


def _repair_inputs(repair: _Repair, problem: Problem) -> str:
    (batch_id,) = problem.batches
    return REWRITTEN if restore_inputs(repair.store, batch_id) else NO_ACTION


def _repair_task(repair: _Repair, problem: Problem) -> str:
    (batch_id,) = problem.batches
    return REWRITTEN if restore_tasks(repair.store, batch_id) else NO_ACTION


def _repair_batch(repair: _Repair, problem: Problem) -> str:
    (batch_id,) = problem.batches
    return REWRITTEN if rebuild_batch(repair.store, batch_id) else NO_ACTION


def _drop_shard(repair: _Repair, problem: Problem) -> str:
    """Drop the state and, where they are what is damaged, the outputs of a shard."""
    assert problem.place is not None  # noqa: S101 - every shard has one
    _, owner, task_id, shard_id, _ = problem.place
    if _is_whole_shard(repair.store, problem.place):
        return RESTORED  # by a run that is under way
    repair.drop_state(owner, task_id, shard_id)
    if problem.code == "OUTPUTS_DAMAGED":
        path = repair.store.layout.outputs(owner, task_id, shard_id)
        drop_file(repair.store.layout.door, path, lambda _: False)
    return DROPPED


def _is_whole_shard(store: StoreDirectory, place: Place) -> bool:
    """Return True if a shard, looked at again, is what its state says."""
    try:
        plan = store.batches.load_plan(place.owner)
        files = store.batches.load_inputs(place.owner, plan.shard(place.shard_id))
    except (StoreError, KeyError):
        return False
    task = next(task for task in plan.tasks if task.id == place.task_id)
    in_order = sorted(files, key=lambda file: path_key(file.path))
    again = Findings(store)
    return check_shard(again, place._replace(kind=STATE), task, in_order) is not None


def _drop_segment(repair: _Repair, problem: Problem) -> str:
    is_whole = partial(is_whole_segment, repair.store)
    return _drop_index_file(repair, repair.path(problem), is_whole)


def _drop_index(repair: _Repair, problem: Problem) -> str:
    is_whole = partial(is_whole_index, repair.store)
    return _drop_index_file(repair, repair.path(problem), is_whole)


def _drop_index_file(repair: _Repair, path: Path, is_whole: Callable[[Path], bool]) -> str:
    """It costs time alone to drop one that is written anew at this moment."""
    if is_whole(path):
        return RESTORED
    return DROPPED if drop_file(repair.store.layout.door, path, lambda _: False) else NO_ACTION


# In the order in which they are seen to.
_HANDLERS: Mapping[str, Callable[[_Repair, Problem], str]] = {
    "STORE_DOCUMENT_DAMAGED": _repair_store_document,
    "IGNORE_FILE_DAMAGED": _repair_ignore_file,
    "MANIFEST_DAMAGED": _repair_manifest,
    "SNAPSHOT_MISSING": _repair_snapshot,
    "SNAPSHOT_DAMAGED": _repair_snapshot,
    "OBJECT_DAMAGED": _repair_object,
    "OBJECT_MISSING": _repair_object,
    "PLAN_DAMAGED": _repair_plan,
    "INPUTS_DAMAGED": _repair_inputs,
    "TASK_DAMAGED": _repair_task,
    "STATE_DAMAGED": _drop_shard,
    "OUTPUTS_DAMAGED": _drop_shard,
    "BATCH_DAMAGED": _repair_batch,
    "RESULT_WRONG": _leave,
    "STATE_MISSING": _leave,
    "FOREIGN_FILE": _repair_foreign,
    "UNREADABLE": _repair_unreadable,
    "MEMO_DAMAGED": _drop_segment,
    "INDEX_DAMAGED": _drop_index,
}
