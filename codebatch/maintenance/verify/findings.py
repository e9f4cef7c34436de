"""A check in progress: what was found so far, and who refers to which damaged object."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from codebatch.maintenance.verify.problems import Checked, Notes, Problem
from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.store import StoreDirectory
from codebatch.store.path_kinds import (
    DERIVED,
    EVENTS,
    FILE,
    HOLDER,
    LEASE,
    LOCK,
    OBJECT,
    TEMPORARY,
    UNREADABLE,
    Entry,
    Place,
)

EMPTY = digest_bytes(b"")
_MAX_FILES = 32
# What is in them is nobody's concern here, as long as they are files.
_UNCHECKED = frozenset({DERIVED, EVENTS, HOLDER, LEASE, LOCK})

Shard = tuple[str, str, str]


@dataclass
class ObjectTrouble:
    """An object that is missing (no ``forms``), or damaged in the forms at these paths.

    What refers to it: snapshots, with some of the paths it has in them and its size, and shards
    as (batch, task, shard).
    """

    forms: dict[str, Problem] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    size: int | None = None
    shards: set[Shard] = field(default_factory=set)


class Findings:
    """State: ``problems`` but those of objects, which are in ``objects`` by digest;
    ``batches_of`` the batches of each snapshot; ``is_complete`` says that all snapshots could be
    read, so that what no snapshot refers to is referred to by none.
    """

    def __init__(self, store: StoreDirectory) -> None:
        self.store = store
        self.checked = Checked()
        self.notes = Notes()
        self.problems: list[Problem] = []
        self.objects: dict[str, ObjectTrouble] = {}
        self.batches_of: dict[str, set[str]] = {}
        self.is_complete = True
        self.missing_snapshots: set[str] = set()

    def add(
        self,
        code: str,
        message: str,
        path: str | Path,
        place: Place | None = None,
        *,
        batches: tuple[str, ...] = (),
        snapshots: tuple[str, ...] = (),
    ) -> None:
        """Note a problem; a path is made relative to the store."""
        relative = os.path.relpath(path, self.store.root) if isinstance(path, Path) else path
        self.problems.append(Problem(code, message, relative, batches, snapshots, place))

    def add_stray(self, entry: Entry, batch_id: str = "", snapshot_id: str = "") -> bool:
        """Note an entry that is no file in its place; whether it was one of these."""
        owners = (batch_id,) if batch_id else (), (snapshot_id,) if snapshot_id else ()

        def add(code: str, message: str) -> None:
            self.add(code, message, entry.path, batches=owners[0], snapshots=owners[1])

        if entry.form == TEMPORARY:
            self.notes.temporary_files += 1
        elif entry.form == UNREADABLE:
            self.is_complete = False
            add("UNREADABLE", entry.reason)
        elif entry.is_folder:
            add("FOREIGN_FILE", f"a {entry.form} stands in the place of a folder")
        elif entry.place is None:
            add(
                "FOREIGN_FILE",
                f"the format has no place for this {entry.form}: move it away or delete it",
            )
        elif entry.place.kind in _UNCHECKED and entry.form != FILE:
            add("FOREIGN_FILE", f"a {entry.form} stands in its place")
        else:
            return False
        return True

    def add_form(self, digest: str, code: str, message: str, path: str) -> None:
        """Note that a stored form of an object is damaged, or cannot be read."""
        problem = Problem(code, message, path, place=Place(OBJECT, digest=digest))
        self.objects.setdefault(digest, ObjectTrouble()).forms[path] = problem

    def trouble_with(self, digest: str) -> ObjectTrouble | None:
        """Return what is wrong with an object that is referred to; None where nothing is known."""
        known = self.objects.get(digest)
        if known is None and not self._is_there(digest):
            known = self.objects[digest] = ObjectTrouble()
        return known

    def is_there(self, path: Path) -> bool:
        """Return True if there is anything, that is reached without a link."""
        return self.store.layout.door.is_there(path)

    def _is_there(self, digest: str) -> bool:
        return self.store.objects.has(digest) or (
            digest == EMPTY and self.store.objects.location(digest) is not None
        )

    def refer_from_snapshot(self, digest: str, snapshot_id: str, path: str, size: int) -> None:
        """A snapshot has a file with that object."""
        trouble = self.trouble_with(digest)
        if trouble is not None:
            trouble.snapshots.add(snapshot_id)
            trouble.size = size
            if len(trouble.files) < _MAX_FILES:
                trouble.files.add(path)

    def refer_from_shard(self, digest: str, shard: Shard) -> bool:
        """The outputs of a shard refer to that object; whether it is whole, as far as is known."""
        trouble = self.trouble_with(digest)
        if trouble is not None:
            trouble.shards.add(shard)
        return trouble is None

    def all_problems(self) -> list[Problem]:
        """Every problem with what it touches, in order of path."""
        found = [self._completed(problem) for problem in self.problems]
        for digest, trouble in self.objects.items():
            self._forget_removed(trouble)
            if trouble.forms or trouble.snapshots or trouble.shards:
                found += self._of_object(digest, trouble)
        return sorted(found, key=lambda problem: (problem.path, problem.code))

    def forget_since(self, number: int, document: Path) -> None:
        """Forget the problems after the first so many, if the document of what they are about is
        gone: it was removed, rightly, while it was checked.
        """
        if not self.is_there(document):
            del self.problems[number:]

    def _forget_removed(self, trouble: ObjectTrouble) -> None:
        """Forget what referred to an object and is gone by now."""
        layout = self.store.layout
        trouble.snapshots = {s for s in trouble.snapshots if self.is_there(layout.manifest(s))}
        trouble.shards = {s for s in trouble.shards if self.is_there(layout.state(*s))}

    def _completed(self, problem: Problem) -> Problem:
        """Return the problem with the batches of the snapshots that it touches."""
        touched = set(problem.batches)
        for snapshot_id in problem.snapshots if problem.code != "FOREIGN_FILE" else ():
            touched |= self.batches_of.get(snapshot_id, set())
        return replace(problem, batches=tuple(sorted(touched)))

    def _of_object(self, digest: str, trouble: ObjectTrouble) -> list[Problem]:
        batches = {batch_id for batch_id, _, _ in trouble.shards}
        for snapshot_id in trouble.snapshots:
            batches |= self.batches_of.get(snapshot_id, set())
        place = Place(OBJECT, digest=digest)
        path = os.path.relpath(self.store.layout.object(digest), self.store.root)
        missing = Problem("OBJECT_MISSING", "it is missing", path, place=place)
        what = f"object {digest[len(DIGEST_PREFIX) :][:12]}"
        if trouble.files:
            what += f", the content of {min(trouble.files)}"
        return [
            replace(
                problem,
                message=f"{what}: {problem.message}",
                batches=tuple(sorted(batches)),
                snapshots=tuple(sorted(trouble.snapshots)),
            )
            for problem in trouble.forms.values() or [missing]
        ]
