"""Which snapshots have just the files of a commit: by their content, wherever they were taken.

The hash that git has for a file follows from its bytes, so no note has to be kept of what a work
tree was at when a snapshot was taken, and none can be wrong. A snapshot with a file more or less is
none of the commit. Files that git stores in another form than they have in the work tree (line ends
that it converts, filters) are other files to this. What lies in submodules is not looked at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from codebatch.model.errors import NotFetchedError, RepositoryNotFoundError, StoreError
from codebatch.model.records import FileRecord, path_key
from codebatch.snapshot.git.history import History, open_history
from codebatch.snapshot.git.objects import entries_of_tree
from codebatch.store import StoreDirectory

FOLDER, SUBMODULE = b"40000", b"160000"

_SHA1_DIGITS = 40
_MOST_FILES = 2**20
_LONGEST_PATH = 2**12
_MODES = {b"100664": b"100644"}  # of very old repositories


class Commit(NamedTuple):
    """A commit of the work tree at ``top``: its hash, and mode and hash of each file by path."""

    top: bytes
    hash: str
    files: dict[bytes, tuple[bytes, bytes]]


def find_commit(text: str, here: bytes) -> Commit | None:
    """Return the commit that a revision names in the repository of a work tree in or above a
    folder; None where there is none, or not all of it.
    """
    with (
        suppress(OSError, ValueError, RepositoryNotFoundError, NotFetchedError),
        open_history(here) as history,
    ):
        found = history.resolve(text)
        if found is not None:
            tree = bytes.fromhex(history.commit_info(found).tree)
            return Commit(history.top or b"", found, dict(_files(history, tree)))
    return None


def _files(history: History, tree: bytes) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
    """Yield all files below a tree; ValueError where a part is not there."""
    pending, count = [(b"", tree)], 0
    while pending:
        folder, name = pending.pop()
        read = history.objects.read(name)
        if read is None or read.type != b"tree":
            raise ValueError("a tree is not there")
        for entry, (mode, inner) in entries_of_tree(
            read.data, history.repository.hash_size
        ).items():
            count += 1
            if mode == FOLDER:
                pending.append((folder + entry + b"/", inner))
            else:
                yield folder + entry, (mode, inner)
        if count > _MOST_FILES or len(folder) > _LONGEST_PATH:  # trees may hold each other
            raise ValueError("more files than anyone has")


class CommitMatch:
    """Compares snapshots of a store with a commit. State: ``_hashes`` are those that git has for
    objects, ``_answers`` what was found out by snapshot.
    """

    def __init__(self, store: StoreDirectory, commit: Commit) -> None:
        self._store = store
        self._commit = commit
        self._algorithm = "sha1" if len(commit.hash) == _SHA1_DIGITS else "sha256"
        self._hashes: dict[str, bytes] = {}
        self._answers: dict[str, bool] = {}

    def has_files_of(self, snapshot_id: str) -> bool:
        """Return True if the files of a snapshot are those of the commit, or of that folder of it
        which the snapshot was taken of.
        """
        if snapshot_id not in self._answers:
            try:
                self._answers[snapshot_id] = self._is_equal(snapshot_id)
            except StoreError:  # of what is damaged or was removed, it cannot be said
                self._answers[snapshot_id] = False
        return self._answers[snapshot_id]

    def _is_equal(self, snapshot_id: str) -> bool:
        files, modules = self._files_in(self._folder(snapshot_id))
        found: dict[bytes, FileRecord] = {
            path: file
            for file in self._store.snapshots.load_manifest(snapshot_id)
            if not (path := path_key(file.path)).startswith(modules)
        }
        if found.keys() != files.keys() or not found:
            return False
        return all(
            file.mode.encode() == files[path][0] and self._hash_of(file) == files[path][1]
            for path, file in found.items()
        )

    def _folder(self, snapshot_id: str) -> bytes:
        """Return where in the work tree a snapshot was taken, as a path that ends with a slash."""
        source = os.path.realpath(
            os.fsencode(str(self._store.snapshots.load(snapshot_id)["source"]))
        )
        start = os.path.join(self._commit.top, b"")
        return os.path.join(source, b"")[len(start) :] if source.startswith(start) else b""

    def _files_in(
        self, folder: bytes
    ) -> tuple[Mapping[bytes, tuple[bytes, bytes]], tuple[bytes, ...]]:
        """Return the files of the commit in a folder, and the folders there of submodules."""
        files: dict[bytes, tuple[bytes, bytes]] = {}
        modules = []
        for path, (mode, name) in self._commit.files.items():
            if path.startswith(folder):
                inner = path[len(folder) :]
                if mode == SUBMODULE:
                    modules.append(inner + b"/")
                else:
                    files[inner] = _MODES.get(mode, mode), name
        return files, tuple(modules)

    def _hash_of(self, file: FileRecord) -> bytes:
        """Return the hash that git has for the content of a file."""
        if file.object not in self._hashes:
            data = self._store.objects.read(file.object, file.size)
            name = hashlib.new(self._algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
            name.update(data)
            self._hashes[file.object] = name.digest()
        return self._hashes[file.object]
