"""Derived files below ``indexes/``: anyone may delete them, nobody may be misled by them.

A file comes with a checksum beside it, in the format of ``sha256sum``. One whose bytes do not
give that checksum counts as absent, whatever happened to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codebatch.model.errors import StoreError
from codebatch.store.door import Folder
from codebatch.store.files import write_file
from codebatch.store.layout import DOCUMENT_BYTES, SMALL_BYTES, Layout
from codebatch.store.write_group import reporting_write_errors, temporary_name

_CHECKSUM_SUFFIX = ".sha256"
_PORTION = 2**20


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
