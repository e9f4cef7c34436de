"""A part of a snapshot, as a snapshot of its own: what a selection takes of it below a folder.

Objects are those of the whole. The ignore rules that hold are those by which it was taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from codebatch.model.errors import SnapshotNotFoundError, SourceNotFoundError, UsageError
from codebatch.model.records import FileRecord, SkippedFile, path_key
from codebatch.snapshot.selection import ROOT, Selection
from codebatch.snapshot.walk import EXCLUDED, NOT_INCLUDED
from codebatch.snapshot.writer import ObjectsGoneError, SnapshotResult, TakenFile, writing_snapshot
from codebatch.store import StoreDirectory

_MOST_NAMED = 3


def take_part(
    store: StoreDirectory,
    snapshot_id: str,
    source: str | None,
    root: Path,
    *,
    selection: Selection,
    max_file_bytes: int | None,
    beside: Iterable[FileRecord],
) -> SnapshotResult:
    """Snapshot what a selection of the directory ``root`` is in a snapshot: of the folder that this
    is in its tree, which was at ``source``, or of all of a tree that was elsewhere.

    `UsageError` where it is of a folder in ``root``, or where patterns had it leave out some of the
    files ``beside`` that it is to be compared with. `SourceNotFoundError` where it has no such
    folder.
    """
    folder = _folder(source, root)
    _check_left_out(store, snapshot_id, folder, beside)
    files = list(_files(store, snapshot_id, folder))
    if folder and not files:
        raise SourceNotFoundError(f"there is no folder {os.fsdecode(folder)} in {snapshot_id}")
    kept = [
        file
        for file in files
        if selection.takes(file.path) and not (max_file_bytes and file.size > max_file_bytes)
    ]
    size = sum(file.size for file in kept)
    manifest = b"".join(file.line() for file in kept)
    try:
        with writing_snapshot(store, os.fsencode(root)) as writer:
            if not writer.base_on(snapshot_id):
                raise ObjectsGoneError
            result = writer.save(manifest, len(kept), size, ())
    except ObjectsGoneError:
        raise SnapshotNotFoundError(f"{snapshot_id} was removed meanwhile") from None
    return SnapshotResult(**{**vars(result), "source": os.path.abspath(root)})


def patterns_left_out(skipped: Iterable[SkippedFile]) -> list[str]:
    """Return the paths that include and exclude have left out."""
    return [file.path for file in skipped if file.reason in (EXCLUDED, NOT_INCLUDED)]


def _folder(source: str | None, root: Path) -> bytes:
    """Return which folder of a tree ``root`` is, with a slash at the end; none of one elsewhere."""
    here, there = os.path.realpath(os.fsencode(root)), os.path.realpath(os.fsencode(source or "/"))
    if source is None or here == there:
        return ROOT
    if there.startswith(os.path.join(here, b"")):
        part = os.fsdecode(os.path.relpath(there, here))
        raise UsageError(
            f"the base is of {part} alone, a part of what is checked",
            hints=[f"check that part: codebatch check {part}", "or take a base of all"],
        )
    is_inside = here.startswith(os.path.join(there, b""))
    return os.path.relpath(here, there) + b"/" if is_inside else ROOT


def _check_left_out(
    store: StoreDirectory, snapshot_id: str, folder: bytes, beside: Iterable[FileRecord]
) -> None:
    document = store.snapshots.load(snapshot_id)
    skipped = (SkippedFile(**file) for file in cast("list[dict[str, str]]", document["skipped"]))
    left_out = set(map(path_key, patterns_left_out(skipped)))
    if not left_out:
        return
    paths = (folder + path_key(file.path) for file in beside)
    lacking = [path for path in paths if not left_out.isdisjoint((*_folders(path), path))]
    if lacking:
        named = ", ".join(os.fsdecode(path[len(folder) :]) for path in lacking[:_MOST_NAMED])
        more = ", ..." if len(lacking) > _MOST_NAMED else ""
        raise UsageError(
            f"include and exclude had the base leave out {len(lacking):,} of the files to check: "
            f"{named}{more}",
            hints=["check the same files, or scan the base again with these"],
        )


def _files(store: StoreDirectory, snapshot_id: str, folder: bytes) -> Iterator[TakenFile]:
    for file in store.snapshots.load_manifest(snapshot_id):
        path = path_key(file.path)
        if path.startswith(folder):
            yield TakenFile(path[len(folder) :], file.object, file.size, file.mode, b"", b"")


def _folders(path: bytes) -> Iterator[bytes]:
    """Yield the folders that a path is in, the root not among them."""
    names = path.split(b"/")[:-1]
    return (b"/".join(names[:end]) for end in range(1, len(names) + 1))
