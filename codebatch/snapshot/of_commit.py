"""Which snapshots have just the files of a commit, wherever and however they were taken.

What a snapshot of the commit would be follows from the repository's objects, so no note has to be
kept of what a work tree was at when it was taken, and none can be wrong. A snapshot with a file
more is none of the commit, and one with a file less only if patterns have left that out, or its
size. What lies in submodules is not looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import cast

from codebatch.model.digest import Document
from codebatch.model.errors import StoreError
from codebatch.model.records import path_key
from codebatch.snapshot.git.history import History
from codebatch.snapshot.take_tree import Expected, expected_of, revision_source
from codebatch.snapshot.walk import EXCLUDED, NOT_INCLUDED, TOO_LARGE
from codebatch.store import StoreDirectory


class CommitMatch:
    """Compares snapshots of a store with a revision. State: ``_expected`` are what the snapshots of
    folders of it would be, ``_answers`` what was found out by snapshot.
    """

    def __init__(self, store: StoreDirectory, history: History, rev: str) -> None:
        self._store = store
        self._history = history
        self._source = revision_source(history, rev)
        self._expected: dict[bytes, Expected | None] = {}
        self._answers: dict[str, bool] = {}

    def has_files_of(self, snapshot_id: str) -> bool:
        """Return True if the files of a snapshot are those of the commit, or of that folder of it
        which the snapshot was taken of. `NotFetchedError` where the commit is not all there.
        """
        if snapshot_id not in self._answers:
            try:
                self._answers[snapshot_id] = self._is_equal(snapshot_id)
            except StoreError:  # of what is damaged or was removed, it cannot be said
                self._answers[snapshot_id] = False
        return self._answers[snapshot_id]

    def _is_equal(self, snapshot_id: str) -> bool:
        document = self._store.snapshots.load(snapshot_id)
        last = self._store.asking_of(snapshot_id).checkout.source
        sources = {str(document["source"]), *((last,) if last else ())}  # the same files elsewhere
        folders = sorted(map(self._folder, sources))
        return any(self._is_folder(snapshot_id, document, folder) for folder in folders)

    def _is_folder(self, snapshot_id: str, document: Document, folder: bytes) -> bool:
        expected = self._of_folder(folder)
        if expected is None or expected.snapshot_id == snapshot_id:
            return expected is not None and bool(expected.manifest)
        left_out = {
            path_key(file["path"])
            for file in cast("list[dict[str, str]]", document["skipped"])
            if file["reason"] in (EXCLUDED, NOT_INCLUDED) or file["reason"].startswith(TOO_LARGE)
        }
        if not left_out and not expected.submodules:
            return False
        found = _without(self._store.snapshots.read_manifest(snapshot_id), expected.submodules)
        return bool(found) and found == _without(expected.manifest, left_out)

    def _of_folder(self, folder: bytes) -> Expected | None:
        if folder not in self._expected:
            found = expected_of(self._store, self._history, self._source, folder)
            self._expected[folder] = found
        return self._expected[folder]

    def _folder(self, source: str) -> bytes:
        """Return where in the work tree a snapshot was taken."""
        place, top = os.path.realpath(os.fsencode(source)), self._history.top
        is_inside = top is not None and place.startswith(os.path.join(top, b""))
        return os.path.relpath(place, top) if is_inside else b""


def _without(manifest: bytes, left_out: Iterable[bytes]) -> bytes:
    """Return the manifest without the files of these paths, and those below them."""
    paths = set(left_out)
    lines = manifest.splitlines(keepends=True) if paths else [manifest]
    return b"".join(line for line in lines if not paths or not _is_below(line, paths))


def _is_below(line: bytes, paths: set[bytes]) -> bool:
    path = path_key(json.loads(line)["path"])
    while path:
        if path in paths:
            return True
        path = path.rpartition(b"/")[0]
    return False
