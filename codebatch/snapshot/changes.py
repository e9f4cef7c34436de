"""What has changed in a tree since it was walked, found without another walk.

A walk notes what it looked at in order to decide. Where all of that is as it was, another walk
would find the same. Where only files are in another state, or folders that still list the same
names for the same kinds of things, it would find the same but for the content of those files.
In every other case only a walk can tell.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from codebatch.model.records import SkippedFile, path_key
from codebatch.snapshot.descriptors import Folders
from codebatch.snapshot.file_status import STATUS_BYTES, Status, changed_statuses
from codebatch.snapshot.git import GitReader
from codebatch.snapshot.tree_entry import GIT_METADATA, IGNORED, STORE, StoreMark

# Beyond that, a walk costs no more.
_MOST_CHANGES = 512
_ROOT = b"."


class WalkedTree(NamedTuple):
    """A tree as a walk found it.

    ``paths`` are those of the files that were taken, ``file_count`` of them, then those of
    everything else that was looked at; ``statuses``, packed, belong to them. ``absent`` was
    looked for and not there. ``answers`` are the digests of what git said of its repositories.
    ``skipped`` was not taken.
    """

    paths: Sequence[bytes]
    file_count: int
    statuses: bytes
    absent: Sequence[bytes]
    answers: Mapping[bytes, str]
    skipped: Iterable[SkippedFile]


def find_changes(
    folders: Folders, tree: WalkedTree, mark: StoreMark, git: GitReader, *, ignore: bool
) -> dict[int, Status] | None:
    """The states that are other ones by now, by place in ``paths``, folders before files.

    None where the tree has to be walked: another walk may take or skip something else.
    """
    if any(map(_leads_outside, tree.answers)) or ignore != (b"" in tree.answers):
        return None
    try:
        changed = _changed(folders, tree)
        root = folders.at(b"")
        if changed is None or any(root.status(path) is not None for path in tree.absent):
            return None
        others = {tree.paths[p]: status for p, status in changed.items() if p >= tree.file_count}
        memory = _Memory(folders, tree, mark) if others else None
        if memory and not all(memory.holds(path, status) for path, status in others.items()):
            return None
        said = (_said(folders, git, path) == was for path, was in tree.answers.items())
        return changed if all(said) else None
    except OSError:
        return None  # the walk says why


def _said(folders: Folders, git: GitReader, folder: bytes) -> str:
    answer = git.look_at(folders.at(folder)) if folder else git.look_around()
    return answer.digest if answer else ""


def _changed(folders: Folders, tree: WalkedTree) -> dict[int, Status] | None:
    changed: dict[int, Status] = {}
    root = folders.at(b"").descriptor
    # Folders first: most of what needs a walk shows in one.
    for first, last in ((tree.file_count, len(tree.paths)), (0, tree.file_count)):
        packed = tree.statuses[first * STATUS_BYTES : last * STATUS_BYTES]
        found = changed_statuses(root, tree.paths[first:last], packed, _MOST_CHANGES)
        if found is None:
            return None
        changed.update((first + place, status) for place, status in found.items())
    return changed


def _leads_outside(path: bytes) -> bool:
    return path[:1] == b"/" or b"\0" in path or b".." in path.split(b"/")


class _Memory:
    """What a walk made of a tree, to be compared with what a part of it looks like by now.

    State: ``_taken``, ``_watched`` and ``_skipped`` are the paths in the tree by what became of
    them, ``_marks`` those of which it is known whether they mark a store; ``_inside`` has all of
    them by folder, once that is asked for.
    """

    def __init__(self, folders: Folders, tree: WalkedTree, mark: StoreMark) -> None:
        self._folders = folders
        self._mark = mark
        self._taken = frozenset(tree.paths[: tree.file_count])
        self._watched = frozenset(tree.paths[tree.file_count :])
        self._skipped = {path_key(path): reason for path, reason in tree.skipped}
        self._marks = self._watched.union(tree.absent)

    def holds(self, path: bytes, status: Status) -> bool:
        """Whether the walk's decisions stand, though this is in another state than it was."""
        folder, _, name = path.rpartition(b"/")
        is_folder = stat.S_ISDIR(status[0])
        if folder and name == self._mark.name:
            if self._is_store(folder) != (self._skipped.get(folder) == STORE):
                return False
            if folder in self._skipped or not is_folder:
                return True
        if path in self._skipped:
            # Whatever else is in a store, it is one as long as the mark says so.
            return is_folder and self._skipped[path] == STORE and self._marked(path)
        return is_folder and self._lists_the_same(b"" if path == _ROOT else path)

    def _lists_the_same(self, folder: bytes) -> bool:
        start = folder + b"/" if folder else b""
        inside = self._inside.get(folder, set())
        if not all(self._is_decided_by_name(path) for path in self._skipped.keys() & inside):
            return False
        with os.scandir(self._folders.at(folder).descriptor) as entries:
            listed = {
                start + os.fsencode(entry.name): entry.is_dir(follow_symlinks=False)
                for entry in entries
            }
        return listed == {path: self._was_folder(path) for path in inside}

    def _is_store(self, folder: bytes) -> bool:
        parent, _, name = folder.rpartition(b"/")
        with self._folders.at(parent).open(name, search=True) as opened:
            return self._mark.is_in(opened)

    @cached_property
    def _inside(self) -> dict[bytes, set[bytes]]:
        """What was in each folder."""
        inside: dict[bytes, set[bytes]] = {}
        for path in chain(self._taken, self._watched, self._skipped):
            if path != _ROOT:
                inside.setdefault(path.rpartition(b"/")[0], set()).add(path)
        return inside

    def _is_decided_by_name(self, path: bytes) -> bool:
        """Whether that it was skipped follows from its name and its being a folder or not."""
        return self._skipped[path] in (IGNORED, GIT_METADATA, STORE)

    def _was_folder(self, path: bytes) -> bool:
        return self._marked(path) if path in self._skipped else path not in self._taken

    def _marked(self, path: bytes) -> bool:
        return os.path.join(path, self._mark.name) in self._marks
