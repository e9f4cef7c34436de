"""What lies in a store, file by file, as it is on disk: for those who clean up and count.

Nothing is parsed and nothing is believed: a file that disappears meanwhile is left out.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from codebatch.store.files import TEMPORARY_PREFIX, read_file
from codebatch.store.layout import BATCH_PREFIX, COMPRESSED_SUFFIX, SNAPSHOT_PREFIX, Layout

REMOVED_PREFIX = f"{TEMPORARY_PREFIX}removed-"
ASIDE_PREFIX = f"{TEMPORARY_PREFIX}aside-"
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
        """Whether nothing that counts is in it."""
        return not (self.objects or self.aside or self.temporaries)


def object_folders(layout: Layout, prefix: str) -> Iterator[ObjectFolder]:
    """The folders of the objects whose digests start with these two digits."""
    for folder in sorted(_names(f"{layout.objects}/{prefix}")):
        path = f"{layout.objects}/{prefix}/{folder}"
        try:
            modified = os.stat(path).st_mtime_ns
        except OSError:
            continue
        found = ObjectFolder(path, modified, [], [], [])
        for name, file in _files(path):
            plain = name.removeprefix(ASIDE_PREFIX)
            if match := _OBJECT.match(plain):
                digest = bytes.fromhex(match[1])
                (found.objects if plain == name else found.aside).append((digest, file))
            elif name.startswith(TEMPORARY_PREFIX):
                found.temporaries.append(file)
        yield found


def snapshot_folders(layout: Layout) -> list[Path]:
    """The folder of each snapshot, complete or not."""
    return _folders(layout.snapshots, f"{SNAPSHOT_PREFIX}-")


def batch_folders(layout: Layout) -> list[Path]:
    """The folder of each batch, complete or not."""
    return _folders(layout.batches, f"{BATCH_PREFIX}-")


def is_begun(layout: Layout, folder: Path) -> bool:
    """Whether a batch has a document, or states, which are written after it."""
    _, document = layout.batch_documents_in(folder)
    return os.path.lexists(document) or any(True for _ in layout.states_in(folder))


def users_of(layout: Layout, snapshot_ids: Iterable[str]) -> dict[str, list[str]]:
    """The batches, listed or not, whose plan or document names each of these snapshots.

    `StoreReadError` where one cannot be read: what it names is not known.
    """
    users: dict[str, list[str]] = {snapshot_id: [] for snapshot_id in snapshot_ids}
    for folder in batch_folders(layout) if users else ():
        documents = b"".join(read_file(path) or b"" for path in layout.batch_documents_in(folder))
        for snapshot_id, batches in users.items():
            if f'"{snapshot_id}"'.encode() in documents:
                batches.append(folder.name)
    return users


def removed_folders(layout: Layout) -> list[Path]:
    """What snapshots and batches were that have been removed and are still on disk."""
    return [
        path
        for folder in (layout.snapshots, layout.batches)
        for path in _folders(folder, REMOVED_PREFIX)
    ]


def files_below(folder: str | Path, *, skip: str | None = None) -> Iterator[FoundFile]:
    """Every regular file in a folder and below, in order; nothing of a folder called ``skip``."""
    for path, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if f"{path}/{name}" != skip)
        for _, file in sorted(_files(path)):
            yield file


def find_file(path: Path) -> FoundFile | None:
    """One regular file; None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return _found(os.fspath(path), status) if stat.S_ISREG(status.st_mode) else None


def is_temporary(path: str) -> bool:
    """Whether it is the name of a file that is being written."""
    return os.path.basename(path).startswith(TEMPORARY_PREFIX)


def is_removed(place: str) -> bool:
    """Whether it is the name of a file of a snapshot or a batch that was removed."""
    return f"/{REMOVED_PREFIX}" in place


def _folders(folder: Path, prefix: str) -> list[Path]:
    return [
        folder / name
        for name in sorted(_names(folder))
        if name.startswith(prefix) and (folder / name).is_dir()
    ]


def _names(folder: str | Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: str) -> Iterator[tuple[str, FoundFile]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    try:
                        yield entry.name, _found(entry.path, entry.stat(follow_symlinks=False))
                    except FileNotFoundError:
                        continue
    except (FileNotFoundError, NotADirectoryError):
        return


def _found(path: str, status: os.stat_result) -> FoundFile:
    return FoundFile(
        path,
        status.st_size,
        status.st_blocks * 512,
        status.st_mtime_ns,
        (status.st_dev, status.st_ino),
        status.st_nlink,
    )
