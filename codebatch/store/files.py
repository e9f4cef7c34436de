"""Durable file primitives: the only code that writes, renames or syncs below a store.

A file comes into being under a unique temporary name in its own folder and is renamed into
place, so that a reader sees all of it or nothing. A `WriteGroup` writes many files and pays
for durability once: all data reaches the disk before the first rename, all renames before it
ends. Temporary names start with ``.tmp-``; readers never look at them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from codebatch.errors import StoreReadError, StoreWriteError
from codebatch.lazy import lazy

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = lazy("ctypes")

TEMPORARY_PREFIX = ".tmp-"
_GROUP_FILES = 4096
_FREE_OR_PERMIT = "free space or restore the permission, then run the same command again"
_TO_DO = {
    errno.ENOENT: "something else removes files of the store: run the same command again",
    errno.EMFILE: "allow more open files (ulimit -n), then run the same command again",
    errno.ENFILE: "have fewer files open, then run the same command again",
}
_GROUP_BYTES = 256 * 2**20


@contextlib.contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one `StoreWriteError` that names the place."""
    try:
        yield
    except OSError as error:
        raise StoreWriteError(
            f"cannot write below {path}: {error.strerror or error}",
            hints=[_TO_DO.get(error.errno or 0, _FREE_OR_PERMIT)],
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
            hints=[_TO_DO.get(error.errno or 0, "restore the permission to read the store")],
            details={"errno": error.errno},
        ) from error


def read_file(path: str | Path) -> bytes | None:
    """All bytes of the file, or None where there is none."""
    try:
        with reporting_read_errors(path), open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from another one in its place; None where there is none."""
    try:
        with reporting_read_errors(path):
            status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def write_file(path: Path, data: bytes, *, durable: bool) -> None:
    """Put one file into place atomically; with ``durable``, it survives a power cut."""
    with WriteGroup(path.parent, durable=durable) as group:
        group.add(path, data)


def link_file(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, atomically; a copy where that cannot be."""
    temporary = f"{target.parent}/{temporary_name()}"
    with reporting_write_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, temporary)
        except OSError:  # another file system, no hard links, or too many of them
            data = read_file(source)
            if data is None:
                raise StoreReadError(f"cannot read {source}: it is gone") from None
            write_file(target, data, durable=False)
        else:
            try:
                os.replace(temporary, target)
            finally:
                # Renaming a file to another name of its own changes nothing.
                _remove(temporary)


def remove_file(path: Path) -> None:
    """Delete a file, if it is still there."""
    with reporting_write_errors(path.parent):
        path.unlink(missing_ok=True)


def create_file(path: Path, data: bytes = b"") -> int | None:
    """Make a new file of a few bytes and say when that was; None where there is one already."""
    with reporting_write_errors(path.parent):
        try:
            descriptor = _create(os.fspath(path), 0o644)
        except FileExistsError:
            return None
        try:
            _write_all(descriptor, data)
            return os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)


def append_line(path: Path, line: bytes) -> None:
    """Append one line in a single write, so that concurrent writers never mix.

    Where a full disk takes a part of the line only, that is an error; what is there of it stays,
    since another writer may have gone on behind it.
    """
    data = line + b"\n"
    with reporting_write_errors(path.parent):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


class StreamedFile:
    """A file while it is written in portions.

    ``path`` is where it will be: its name may follow from its content. None leaves it out.
    """

    def __init__(self, stream: BinaryIO, root: Path) -> None:
        self.path: str | None = None
        self.size = 0
        self._stream = stream
        self._root = root

    def write(self, data: bytes) -> None:
        """Append a portion."""
        with reporting_write_errors(self._root):
            self.size += self._stream.write(data)


class WriteGroup:
    """Files that appear together at the end of a ``with`` block, or earlier in large portions.

    What was flushed is durable before anything that is added later appears. ``before_writing``
    is called before anything is. State: ``_pending``
    holds, by final path, where data is written but not renamed, ``_bytes`` the size of it all;
    ``_renamed`` says that names in place are still to be synced; ``_folders`` are known to be
    there. On an exception the pending files are removed, never renamed.
    """

    def __init__(
        self, root: Path, *, durable: bool, before_writing: Callable[[], object] = lambda: None
    ) -> None:
        self._root = root
        self._durable = durable
        self._before_writing = before_writing
        self._pending: dict[str, str] = {}
        self._bytes = 0
        self._renamed = False
        self._folders: set[str] = set()
        self._temporary = temporary_name()
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
            self._sync_names()
        else:
            self._discard()

    def add(self, path: str | Path, data: bytes, mode: int = 0o644) -> None:
        """Write ``data`` under a temporary name beside ``path``."""
        self._before_writing()
        temporary = self._beside(path)
        with reporting_write_errors(self._root):
            descriptor = _create(temporary, mode)
            try:
                _write_all(descriptor, data)
            except BaseException:
                _remove(temporary)
                raise
            finally:
                os.close(descriptor)
        self._bytes += len(data)
        self._written(temporary, path)

    @contextlib.contextmanager
    def stream(self, folder: str, mode: int = 0o644) -> Iterator[StreamedFile]:
        """A file to be written in portions below ``folder``; the block sets its final path."""
        self._before_writing()
        temporary = self._beside(f"{folder}/")
        with reporting_write_errors(self._root):
            stream = os.fdopen(_create(temporary, mode), "wb")
        file = StreamedFile(stream, self._root)
        try:
            with stream:
                # What the caller reads in the meantime may fail too, and that is no write error.
                yield file
                with reporting_write_errors(self._root):
                    stream.flush()
        except BaseException:
            _remove(temporary)
            raise
        if file.path is None:
            _remove(temporary)
        else:
            self._bytes += file.size
            self._written(temporary, file.path)

    def makes_folder(self, folder: str) -> bool:
        """Make sure that the folder is there; whether it was not before, and is empty."""
        if folder in self._folders:
            return False
        self._folders.add(folder)
        with reporting_write_errors(self._root):
            return _make_folder(folder)

    def is_pending(self, path: str) -> bool:
        """Whether a file was added that is still to appear there."""
        return path in self._pending

    def _beside(self, path: str | Path) -> str:
        return f"{os.path.dirname(path)}/{self._temporary}-{next(self._number)}"

    def _written(self, temporary: str, path: str | Path) -> None:
        replaced = self._pending.pop(os.fspath(path), None)
        if replaced is not None:
            _remove(replaced)
        self._pending[os.fspath(path)] = temporary
        if len(self._pending) >= _GROUP_FILES or self._bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sync the written data, rename everything into place."""
        if not self._pending:
            return
        with reporting_write_errors(self._root):
            if self._durable:
                sync_file_system(self._root)  # with the names of the previous flush
            try:
                # In the order of adding: a document added last never appears before its data.
                for path, temporary in self._pending.items():
                    _put_in_place(temporary, path)
            except BaseException:
                self._discard()
                raise
        self._forget()
        self._renamed = True

    def _sync_names(self) -> None:
        if self._renamed and self._durable:
            with reporting_write_errors(self._root):
                sync_file_system(self._root)
        self._renamed = False

    def _discard(self) -> None:
        for temporary in self._pending.values():
            _remove(temporary)
        self._forget()

    def _forget(self) -> None:
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


def has_syncfs() -> bool:
    """Whether one file system can be synced, and not only all of them."""
    return _syncfs() is not None


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int]
    return function


def temporary_name() -> str:
    """A name that no other process and no other call uses."""
    return f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"


def _create(temporary: str, mode: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(temporary, flags, mode)
    except FileNotFoundError:
        _make_folder(os.path.dirname(temporary))
        return os.open(temporary, flags, mode)


def _make_folder(folder: str) -> bool:
    """Whether this call has made it."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return False
    except FileNotFoundError:
        _make_folder(os.path.dirname(folder))
        return _make_folder(folder)
    return True


def _put_in_place(temporary: str, path: str) -> None:
    try:
        os.replace(temporary, path)
    except IsADirectoryError:
        # What stands there is none of ours: it steps aside, under a name that readers ignore.
        os.rename(path, f"{os.path.dirname(path)}/{temporary_name()}")
        os.replace(temporary, path)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _remove(path: str) -> None:
    """Remove a temporary file, where the disk lets us: one that just refused a write may refuse
    this as well, and what it refused first is what people should read.
    """
    with contextlib.suppress(OSError):
        os.unlink(path)
