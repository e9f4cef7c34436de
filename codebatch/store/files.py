"""Files of a store, one at a time: what is read is all of one, what is written appears at once."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from codebatch.model.errors import StoreError, StoreReadError
from codebatch.store.door import ABSENT, Door, StorePath, misplaced
from codebatch.store.layout import INDEX_BYTES
from codebatch.store.write_group import (
    WriteGroup,
    discard,
    reporting_read_errors,
    reporting_write_errors,
    temporary_name,
    write_all,
)


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


def write_file(door: Door, path: Path, data: bytes, *, durable: bool) -> None:
    """Put one file into place atomically; with ``durable``, it survives a power cut."""
    with WriteGroup(door, durable=durable) as group:
        group.add(path, data)


def link_file(door: Door, source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, atomically; a copy where that cannot be."""
    temporary = temporary_name()
    with reporting_write_errors(target.parent), door.folder(target.parent, make=True) as folder:
        try:
            with door.folder(source.parent) as there:
                os.close(there.open(source.name))  # of a link, the link itself would be linked
                there.link(source.name, temporary, folder)
        except OSError:  # another file system, no hard links, or too many of them
            _copy_file(door, source, target)
            return
        try:
            folder.rename(temporary, target.name)
        finally:
            # Renaming a file to another name of its own changes nothing.
            discard(folder, temporary)


def _copy_file(door: Door, source: Path, target: Path) -> None:
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
