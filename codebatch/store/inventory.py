"""What lies in a store, file by file, as it is on disk: for those who clean up and count.

Nothing is parsed and nothing is believed: a file that disappears meanwhile is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from codebatch.model.errors import StoreDamagedError
from codebatch.store.door import ABSENT, TEMPORARY_PREFIX, Door, Folder, misplaced
from codebatch.store.files import read_file
from codebatch.store.layout import (
    BATCH,
    BATCH_PREFIX,
    COMPRESSED_SUFFIX,
    DOCUMENT_BYTES,
    PLAN,
    SNAPSHOT_PREFIX,
    STATE,
    Layout,
)

REMOVED_PREFIX = f"{TEMPORARY_PREFIX}removed-"
ASIDE_PREFIX = f"{TEMPORARY_PREFIX}aside-"
_MOST_FOLDERS = 16
OBJECT_PREFIXES = tuple(f"{number:02x}" for number in range(256))

_OBJECT = re.compile(rf"([0-9a-f]{{64}})(?:{re.escape(COMPRESSED_SUFFIX)})?\Z")


class FoundFile(NamedTuple):
    """A file with its size, what it takes on disk, when it was modified, and what names it has."""

    path: str
    size: int
    disk: int
    modified_ns: int
    inode: tuple[int, int]
    links: int


class ObjectFolder(NamedTuple):
    """A folder of objects: the objects by their 32 bytes, those that `gc` has set aside, others."""

    path: str
    modified_ns: int
    objects: list[tuple[bytes, FoundFile]]
    aside: list[tuple[bytes, FoundFile]]
    temporaries: list[FoundFile]

    @property
    def is_empty(self) -> bool:
        """Return True if nothing that counts is in it."""
        return not (self.objects or self.aside or self.temporaries)


def object_folders(layout: Layout, prefix: str) -> Iterator[ObjectFolder]:
    """The folders of the objects whose digests start with these two digits."""
    try:
        with layout.door.folder(f"{layout.objects}/{prefix}") as above:
            for name in sorted(above.names()):
                path = f"{layout.objects}/{prefix}/{name}"
                with contextlib.suppress(*ABSENT), above.enter(name) as folder:
                    yield _object_folder(path, folder)
    except ABSENT:
        return


def _object_folder(path: str, folder: Folder) -> ObjectFolder:
    found = ObjectFolder(path, os.fstat(folder.descriptor).st_mtime_ns, [], [], [])
    for name, file in _files(path, folder):
        plain = name.removeprefix(ASIDE_PREFIX)
        if match := _OBJECT.match(plain):
            digest = bytes.fromhex(match[1])
            (found.objects if plain == name else found.aside).append((digest, file))
        elif name.startswith(TEMPORARY_PREFIX):
            found.temporaries.append(file)
    return found


def snapshot_folders(layout: Layout) -> list[Path]:
    """The folder of each snapshot, complete or not."""
    return _folders(layout.door, layout.snapshots, f"{SNAPSHOT_PREFIX}-")


def batch_folders(layout: Layout) -> list[Path]:
    """The folder of each batch, complete or not."""
    return _folders(layout.door, layout.batches, f"{BATCH_PREFIX}-")


def is_begun(layout: Layout, folder: Path) -> bool:
    """Return True if a batch has a document, or states, which are written after it."""
    paths = chain([folder / BATCH], layout.in_shards(folder, STATE))
    return any(map(layout.door.is_there, paths))


def users_of(layout: Layout, snapshot_ids: Iterable[str]) -> dict[str, list[str]]:
    """The batches, listed or not, whose plan or document names each of these snapshots.

    `StoreReadError` where one cannot be read: what it names is not known.
    """
    users: dict[str, list[str]] = {snapshot_id: [] for snapshot_id in snapshot_ids}
    for folder in batch_folders(layout) if users else ():
        paths = (folder / PLAN, folder / BATCH)
        documents = b"".join(read_file(layout.door, p, DOCUMENT_BYTES) or b"" for p in paths)
        for snapshot_id, batches in users.items():
            if f'"{snapshot_id}"'.encode() in documents:
                batches.append(folder.name)
    return users


def removed_folders(layout: Layout) -> list[Path]:
    """Return the folders of removed snapshots and batches that are still on disk."""
    return [
        path
        for folder in (layout.snapshots, layout.batches)
        for path in _folders(layout.door, folder, REMOVED_PREFIX)
    ]


def files_below(door: Door, folder: str | Path, *, skip: str | None = None) -> Iterator[FoundFile]:
    """Every regular file in a folder and below, in order; nothing of a folder called ``skip``, nor
    of what a link leads to, nor deeper than anything in a store is.
    """
    pending = [os.fspath(folder)]
    deepest = pending[0].count("/") + _MOST_FOLDERS
    while pending:
        path = pending.pop()
        try:
            with door.folder(path) as opened:
                files = sorted(_files(path, opened))
                below = [f"{path}/{name}" for name in sorted(_folder_names(opened), reverse=True)]
        except (*ABSENT, StoreDamagedError):
            continue
        yield from (file for _, file in files)
        if path.count("/") < deepest:
            pending += (one for one in below if one != skip)


def find_file(door: Door, path: Path) -> FoundFile | None:
    """One regular file; None where there is none."""
    try:
        status = door.status(path)
    except (OSError, StoreDamagedError):
        return None
    is_file = status is not None and stat.S_ISREG(status.st_mode)
    return _found(os.fspath(path), status) if status is not None and is_file else None


def is_temporary(path: str) -> bool:
    """Return True if it is the name of a file that is being written."""
    return os.path.basename(path).startswith(TEMPORARY_PREFIX)


def is_removed(place: str) -> bool:
    """Return True if it is the name of a file of a snapshot or a batch that was removed."""
    return f"/{REMOVED_PREFIX}" in place


def _folders(door: Door, folder: Path, prefix: str) -> list[Path]:
    """The folders of that prefix. A link in the place of one is an error: what would be lost if
    it counted as none, nobody can tell.
    """
    paths = [folder / name for name in door.names(folder) if name.startswith(prefix)]
    for path in paths:
        status = door.status(path)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise misplaced(door.place(path), "symbolic link")
    return [path for path in paths if door.is_folder(path)]


def _folder_names(folder: Folder) -> list[str]:
    with folder.entries() as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _files(path: str, folder: Folder) -> Iterator[tuple[str, FoundFile]]:
    with folder.entries() as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield entry.name, _found(f"{path}/{entry.name}", status)


def _found(path: str, status: os.stat_result) -> FoundFile:
    return FoundFile(
        path,
        status.st_size,
        status.st_blocks * 512,
        status.st_mtime_ns,
        (status.st_dev, status.st_ino),
        status.st_nlink,
    )
