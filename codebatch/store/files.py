"""Files of a store, one at a time: what is read is all of one, what is written appears at once.

Files that are derived from others come with a checksum beside them, in the format of
``sha256sum``: anyone may delete them, nobody may be misled by them. One whose bytes do not give
that checksum counts as absent, whatever happened to it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codebatch.model.errors import StoreError, StoreReadError
from codebatch.store.door import ABSENT, Door, Folder, StorePath, misplaced
from codebatch.store.layout import DOCUMENT_BYTES, INDEX_BYTES, SMALL_BYTES, Layout
from codebatch.store.write_group import (
    WriteGroup,
    discard,
    put_file,
    reporting_read_errors,
    reporting_write_errors,
    temporary_name,
    write_all,
)

_CHECKSUM_SUFFIX = ".sha256"
_PORTION = 2**20


def read_file(door: Door, path: StorePath, limit: int) -> bytes | None:
    """All bytes of the file, or None where there is none; `StoreDamagedError` where they are more
    than so many, or it is no file.
    """
    try:
        with reporting_read_errors(path):
            return door.read(path, limit)
    except ABSENT:
        return None


def file_status(door: Door, path: StorePath) -> os.stat_result | None:
    """Return the status of a file, or of what is in its place; None where nothing is."""
    with reporting_read_errors(path):
        return door.status(path)


def file_stamp(door: Door, path: Path) -> tuple[int, int, int] | None:
    """Return numbers that tell a file from another one in its place; None where there is none."""
    status = file_status(door, path)
    return None if status is None else (status.st_ino, status.st_mtime_ns, status.st_size)


def has_bytes(door: Door, path: Path, data: bytes) -> bool:
    """Return True if the file is there and has these bytes."""
    try:
        return read_file(door, path, len(data)) == data
    except StoreError:
        return False


def write_file(
    door: Door, path: StorePath, data: bytes, *, durable: bool, make: bool = True
) -> None:
    """Put one file into place atomically; with ``durable``, it survives a power cut. Its folder is
    made where ``make`` says so and it is not there.
    """
    if durable:
        with WriteGroup(door, durable=True) as group:
            group.add(path, data, make=make)
        return
    parent, name = os.path.split(path)
    with reporting_write_errors(Path(door.root)), door.folder(parent, make=make) as folder:
        put_file(folder, name, data)


def link_file(door: Door, source: StorePath, target: StorePath) -> None:
    """Make ``target`` the same file as ``source``, atomically; a copy where that cannot be."""
    (above, name), (parent, last) = os.path.split(source), os.path.split(target)
    with reporting_write_errors(Path(parent)), door.folder(parent, make=True) as folder:
        temporary = ""
        try:
            with door.folder(above) as there:
                os.close(there.open(name))  # of a link, the link itself would be linked
                try:
                    there.link(name, last, folder)
                except FileExistsError:
                    there.link(name, temporary := temporary_name(), folder)
        except OSError:  # another file system, no hard links, or too many of them
            _copy_file(door, source, target)
            return
        if temporary:
            try:
                folder.rename(temporary, last)
            finally:
                # Renaming a file to another name of its own changes nothing.
                discard(folder, temporary)


def _copy_file(door: Door, source: StorePath, target: StorePath) -> None:
    data = read_file(door, source, INDEX_BYTES)
    if data is None:
        raise StoreReadError(f"cannot read {source}: it is gone")
    write_file(door, target, data, durable=False)


def remove_file(door: Door, path: Path) -> None:
    """Delete a file, if it is still there."""
    with contextlib.suppress(*ABSENT), reporting_write_errors(path.parent, ABSENT):
        folder, name = door.above(path)
        with folder:
            folder.unlink(name)


def create_file(door: Door, path: Path, data: bytes = b"") -> int | None:
    """Make a new file of a few bytes and say when that was; None where there is one already."""
    with reporting_write_errors(path.parent), door.folder(path.parent, make=True) as folder:
        try:
            descriptor = folder.create(path.name)
        except FileExistsError:
            return None
        try:
            write_all(descriptor, data)
            return os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)


def append_line(door: Door, path: Path, line: bytes) -> None:
    """Append one line in a single write, so that concurrent writers never mix.

    Where a full disk takes a part of the line only, that is an error; what is there of it stays,
    since another writer may have gone on behind it.
    """
    data = line + b"\n"
    with reporting_write_errors(path.parent), door.folder(path.parent, make=True) as folder:
        descriptor = folder.open(path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            if os.fstat(descriptor).st_nlink > 1:
                # Its other name may be outside of the store, or in a copy made of hard links.
                raise misplaced(folder.at(path.name), "file with a second name")
            if os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class NewIndex:
    """A file to be filled: by `write`, or by what opens it by its path and never makes a file, as
    nobody can know its name before it is there. ``made_ns`` is when it was made.
    """

    folder: Folder
    path: Path
    made_ns: int

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with reporting_write_errors(self.path.parent):
            descriptor = self.folder.open(self.path.name, os.O_WRONLY | os.O_APPEND)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)


@contextlib.contextmanager
def replacing(layout: Layout, path: Path) -> Iterator[NewIndex]:
    """A new empty file beside ``path``, to be filled; it is put into place at the end of the
    block with its checksum, and removed where the block raises.
    """
    with reporting_write_errors(path.parent):
        folder = layout.door.folder(path.parent, make=True)
    with folder:
        temporary = temporary_name()
        try:
            with reporting_write_errors(path.parent):
                made = os.fstat(descriptor := folder.create(temporary)).st_mtime_ns
                os.close(descriptor)
            yield NewIndex(folder, path.with_name(temporary), made)
            with reporting_write_errors(path.parent):
                line = f"{_checksum(folder, temporary)}  {path.name}\n"
                # Killed from here on, it leaves a file without a checksum, never one that differs.
                with contextlib.suppress(FileNotFoundError):
                    folder.unlink(_checksum_path(path).name)
                folder.rename(temporary, path.name)
            write_file(layout.door, _checksum_path(path), line.encode(), durable=False)
        finally:
            with contextlib.suppress(OSError):
                folder.unlink(temporary)


def is_intact(layout: Layout, path: Path, limit: int = DOCUMENT_BYTES) -> bool:
    """Return True if the file is there and its bytes, at most so many, are those put into
    place.
    """
    try:
        with layout.door.folder(path.parent) as folder:
            if folder.status(path.name).st_size > limit:
                return False
            said = folder.read(_checksum_path(path).name, SMALL_BYTES)
            return said == f"{_checksum(folder, path.name)}  {path.name}\n".encode()
    except (OSError, StoreError):
        return False


def read_intact(layout: Layout, path: Path, limit: int) -> bytes | None:
    """Return the bytes of a file, at most so many, where they are those put into place."""
    try:
        with layout.door.folder(path.parent) as folder:
            said = folder.read(_checksum_path(path).name, SMALL_BYTES)
            data = folder.read(path.name, limit)
    except (OSError, StoreError):
        return None
    return data if said == f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode() else None


def lacks_checksum(layout: Layout, path: Path) -> bool:
    """Return True if the file is there without a checksum: no reader takes it for anything."""
    return not layout.door.is_there(_checksum_path(path))


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + _CHECKSUM_SUFFIX)


def _checksum(folder: Folder, name: str) -> str:
    hasher = hashlib.sha256()
    with os.fdopen(folder.open(name), "rb", buffering=0) as stream:
        while portion := stream.read(_PORTION):
            hasher.update(portion)
    return hasher.hexdigest()
