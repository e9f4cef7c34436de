"""What a check of a store finds: problems, each with what it touches, and what was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codebatch.store.path_kinds import Place

CODES: Mapping[str, str] = {
    "STORE_DOCUMENT_DAMAGED": "the document that makes a directory a store is missing or damaged",
    "IGNORE_FILE_DAMAGED": "the file that keeps a store out of git holds something else",
    "FOREIGN_FILE": "something that the format has no place for",
    "UNREADABLE": "the file system does not let it be read",
    "OBJECT_DAMAGED": "an object whose stored bytes are not what its name or checksum says",
    "OBJECT_MISSING": "an object that a snapshot or a result refers to is not there",
    "SNAPSHOT_DAMAGED": "the document of a snapshot is damaged, or not that of its manifest",
    "SNAPSHOT_MISSING": "the snapshot of a batch is not there",
    "MANIFEST_DAMAGED": "a manifest is missing, or does not give the id of its snapshot",
    "BATCH_DAMAGED": "the document of a batch is missing, damaged, or not that of its plan",
    "PLAN_DAMAGED": "a plan is missing, damaged, or does not give the id of its batch",
    "INPUTS_DAMAGED": "the inputs of a batch are not what its plan and snapshot say",
    "TASK_DAMAGED": "the document of a task is missing, damaged, or not what the plan says",
    "STATE_DAMAGED": "a state is damaged, or does not describe its outputs",
    "STATE_MISSING": "a shard of a finished batch has no state",
    "OUTPUTS_DAMAGED": "outputs are missing, or not what their state says",
    "RESULT_WRONG": "the result of a batch does not follow from its states",
    "MEMO_DAMAGED": "a segment of the memo is not what its name says; derived, never used",
    "INDEX_DAMAGED": "an index does not match its checksum; derived, never used",
}
_DERIVED = frozenset(
    {"STATE_DAMAGED", "STATE_MISSING", "OUTPUTS_DAMAGED", "MEMO_DAMAGED", "INDEX_DAMAGED"}
)

DROPPED = "dropped"
RESTORED = "restored"
REWRITTEN = "rewritten"
NO_ACTION = "none"


@dataclass(frozen=True)
class Problem:
    """One damage: ``path`` is relative to the store, ``place`` what lies there. ``batches`` and
    ``snapshots`` are the ids of those it touches, ``action`` is what a repair has done about it.
    """

    code: str
    message: str
    path: str
    place: Place
    batches: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    action: str | None = None

    @property
    def is_derived(self) -> bool:
        """Return True if what is damaged can be computed again."""
        return self.code in _DERIVED


@dataclass
class Checked:
    """What was looked at; ``bytes`` are the raw bytes of the objects that were ``read``."""

    objects: int = 0
    bytes: int = 0
    shards: int = 0
    snapshots: int = 0
    batches: int = 0
    read: int = 0


@dataclass
class Notes:
    """What is no damage: files of killed or running writers, shards that are not done, and objects
    whose compressed form has no checksum.
    """

    temporary_files: int = 0
    unfinished_snapshots: int = 0
    unfinished_batches: int = 0
    pending_shards: int = 0
    objects_without_checksum: int = 0


@dataclass(frozen=True)
class VerifyReport:
    """What a check found; after a repair, what was done about each problem as well."""

    checked: Checked
    notes: Notes
    problems: tuple[Problem, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Return True if nothing is damaged, or all of it was seen to."""
        return all(problem.action not in (None, NO_ACTION) for problem in self.problems)
