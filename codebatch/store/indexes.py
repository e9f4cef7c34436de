"""Derived files below ``indexes/``: anyone may delete them, nobody may be misled by them.

A file comes with a checksum beside it, in the format of ``sha256sum``. One whose bytes do not
give that checksum counts as absent, whatever happened to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from codebatch.errors import StoreError
from codebatch.store.files import read_file, reporting_write_errors, temporary_name, write_file

_CHECKSUM_SUFFIX = ".sha256"
_PORTION = 2**20


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new empty file beside ``path``, to be filled; it is put into place at the end of the
    block with its checksum, and removed where the block raises.
    """
    temporary = path.with_name(temporary_name())
    try:
        with reporting_write_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
        yield temporary
        with reporting_write_errors(path.parent):
            line = f"{_checksum(temporary)}  {path.name}\n"
            # Killed from here on, it leaves a file without a checksum, never one that differs.
            _checksum_path(path).unlink(missing_ok=True)
            os.replace(temporary, path)
        write_file(_checksum_path(path), line.encode(), durable=False)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def is_intact(path: Path) -> bool:
    """Whether the file is there and its bytes are those that were put into place."""
    try:
        said = read_file(_checksum_path(path))
        return said == f"{_checksum(path)}  {path.name}\n".encode()
    except (OSError, StoreError):
        return False


def is_unfinished(path: Path) -> bool:
    """Whether the file is there without a checksum: nobody takes it for anything."""
    return not os.path.lexists(_checksum_path(path))


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + _CHECKSUM_SUFFIX)


def _checksum(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while portion := stream.read(_PORTION):
            hasher.update(portion)
    return hasher.hexdigest()
