"""Durable file primitives: the only code that writes, renames or syncs below a store.

A file comes into being under a unique temporary name in its own folder and is renamed into
place, so that a reader sees all of it or nothing. A `WriteGroup` writes many files and pays
for durability once: all data reaches the disk before the first rename, all renames before it
returns. Temporary names start with ``.tmp-``; readers never look at them.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from codebatch.errors import StoreReadError, StoreWriteError

TEMPORARY_PREFIX = ".tmp-"
_GROUP_FILES = 4096
_GROUP_BYTES = 256 * 2**20


@contextlib.contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one `StoreWriteError` that names the place."""
    try:
        yield
    except OSError as error:
        raise StoreWriteError(
            f"cannot write below {path}: {error.strerror or error}",
            hints=["free space or restore the permission, then run the same command again"],
            details={"errno": error.errno},
        ) from error


@contextlib.contextmanager
def reporting_read_errors(path: str | Path) -> Iterator[None]:
    """Turn what the file system refuses to read into one `StoreReadError`; absence passes."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StoreReadError(
            f"cannot read {os.fspath(path)}: {error.strerror or error}",
            hints=["restore the permission to read the store"],
            details={"errno": error.errno},
        ) from error


def read_file(path: str | Path) -> bytes | None:
    """All bytes of the file, or None where there is none."""
    try:
        with reporting_read_errors(path), open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_file(path: Path, data: bytes, *, durable: bool) -> None:
    """Put one file into place atomically; with ``durable``, it survives a power cut."""
    with WriteGroup(path.parent, durable=durable) as group:
        group.add(path, data)


def append_line(path: Path, line: bytes) -> None:
    """Append one line in a single write, so that concurrent writers never mix."""
    with reporting_write_errors(path.parent):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line + b"\n")
        finally:
            os.close(descriptor)


class WriteGroup:
    """Files that appear together at the end of a ``with`` block, or earlier in large portions.

    State: ``_pending`` holds (temporary, final) paths whose data is written but not renamed,
    ``_bytes`` their size. On an exception the pending files are removed, never renamed.
    """

    def __init__(self, root: Path, *, durable: bool) -> None:
        self._root = root
        self._durable = durable
        self._pending: list[tuple[str, str]] = []
        self._bytes = 0
        self._temporary = f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}-"
        self._number = itertools.count()

    def __enter__(self) -> WriteGroup:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self._discard()

    def add(self, path: str | Path, data: bytes, mode: int = 0o644) -> None:
        """Write ``data`` under a temporary name beside ``path``."""
        with self.stream(path, mode) as write:
            write(data)

    @contextlib.contextmanager
    def stream(self, path: str | Path, mode: int = 0o644) -> Iterator[Callable[[bytes], object]]:
        """A function that writes portions of the file at ``path``."""
        temporary = f"{os.path.dirname(path)}/{self._temporary}{next(self._number)}"
        with reporting_write_errors(self._root):
            stream = os.fdopen(_create(temporary, mode), "wb")
        try:
            with stream:
                # What the caller reads in the meantime may fail too, and that is no write error.
                yield partial(self._write, stream)
                with reporting_write_errors(self._root):
                    stream.flush()
        except BaseException:
            _remove(temporary)
            raise
        self._pending.append((temporary, os.fspath(path)))
        if len(self._pending) >= _GROUP_FILES or self._bytes >= _GROUP_BYTES:
            self.flush()

    def _write(self, stream: BinaryIO, data: bytes) -> None:
        with reporting_write_errors(self._root):
            self._bytes += stream.write(data)

    def drop_last(self) -> None:
        """Forget the last added file: it turned out to be there already."""
        temporary, _ = self._pending.pop()
        _remove(temporary)

    def rename_last(self, path: str) -> None:
        """Give the last added file another final place (its name follows from its content)."""
        temporary, _ = self._pending.pop()
        self._pending.append((temporary, path))

    def flush(self) -> None:
        """Sync the written data, rename everything into place, sync the folders."""
        if not self._pending:
            return
        with reporting_write_errors(self._root):
            if self._durable:
                sync_file_system(self._root)
            try:
                # In the order of adding: a document added last never appears before its data.
                for temporary, path in self._pending:
                    os.replace(temporary, path)
            finally:
                self._discard()
            if self._durable:
                sync_file_system(self._root)

    def _discard(self) -> None:
        for temporary, _ in self._pending:
            _remove(temporary)
        self._pending.clear()
        self._bytes = 0


def sync_file_system(path: Path) -> None:
    """Make everything written to the file system of ``path`` durable, names included.

    One ``syncfs`` costs about as much as a single ``fsync``, whatever the number of files.
    Where the platform has none, ``sync`` does the same for all file systems.
    """
    syncfs = _syncfs()
    if syncfs is None:
        os.sync()
        return
    while not path.exists():
        path = path.parent
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int]
    return function


def _create(temporary: str, mode: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(temporary, flags, mode)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(temporary), exist_ok=True)
        return os.open(temporary, flags, mode)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
