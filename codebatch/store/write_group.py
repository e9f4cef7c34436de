"""Writing below a store: the only code that makes files there, or syncs.

A file comes into being under a unique temporary name in its own folder, an object in the folder
of all objects, and is renamed into place, so that a reader sees all of it or nothing. `put_file`
does that with one. A `WriteGroup` writes many files and pays for durability once: all data reaches
the disk before the first rename, all renames before it ends. Temporary names start with ``.tmp-``;
readers never look at them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from codebatch.model.errors import StoreError, StoreReadError, StoreWriteError
from codebatch.runtime.lazy import lazily
from codebatch.store.door import ABSENT, TEMPORARY_PREFIX, Door, Folder, StorePath

with lazily():
    import ctypes

_GROUP_FILES = 4096
_GROUP_BYTES = 256 * 2**20
_FREE_OR_PERMIT = "free space or restore the permission, then run the same command again"
_TO_DO = {
    errno.ENOENT: "something else removes files of the store: run the same command again",
    errno.EMFILE: "allow more open files (ulimit -n), then run the same command again",
}


@contextlib.contextmanager
def reporting_write_errors(path: Path, passing: tuple[type[OSError], ...] = ()) -> Iterator[None]:
    """Turn what the file system refuses into a `StoreWriteError`, but for ``passing`` errors."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        raise StoreWriteError(
            f"cannot write below {path}: {error.strerror or error}",
            hints=[_TO_DO.get(error.errno or 0, _FREE_OR_PERMIT)],
            details={"errno": error.errno},
        ) from error


@contextlib.contextmanager
def reporting_read_errors(path: StorePath) -> Iterator[None]:
    """Turn what the file system refuses to read into one `StoreReadError`; absence passes."""
    try:
        yield
    except ABSENT:
        raise
    except OSError as error:
        raise StoreReadError(
            f"cannot read {os.fspath(path)}: {error.strerror or error}",
            hints=[_TO_DO.get(error.errno or 0, "restore the permission to read the store")],
            details={"errno": error.errno},
        ) from error


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


class Gathering(Protocol):
    """What is added to a group and becomes files when the group makes them appear."""

    def finish(self) -> None:
        """Add the files."""

    def discard(self) -> str:
        """Forget what was gathered; return the place of a temporary file, if there is one."""


class WriteGroup:
    """Files that appear together at the end of a ``with`` block, or earlier in large portions.

    What was flushed is durable before anything that is added later appears. ``before_writing``
    is called before anything is. State: ``_pending`` holds, by final place, where data is written
    but not renamed, ``_bytes`` the size of it all; ``_renamed`` says that names in place are
    still to be synced; ``gathering`` has what is no file yet. On an exception the pending files are
    removed, never renamed.
    """

    def __init__(
        self, door: Door, *, durable: bool, before_writing: Callable[[], object] = lambda: None
    ) -> None:
        self._door = door
        self.root = Path(door.root)
        self.gathering: Gathering | None = None
        self.durable = durable
        self._before_writing = before_writing
        self._pending: dict[str, str] = {}
        self._bytes = 0
        self._renamed = False
        self._temporary = temporary_name()
        self._number = itertools.count()

    def __enter__(self) -> WriteGroup:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self._discard()
                return
            self.flush()
            if self._renamed and self.durable:
                with reporting_write_errors(self.root):
                    sync_file_system(self.root)
        finally:
            self.gathering = None  # which refers to this

    def add(
        self,
        path: StorePath,
        data: bytes,
        mode: int = 0o644,
        *,
        make: bool = True,
        above: StorePath | None = None,
    ) -> None:
        """Write ``data`` under a temporary name beside ``path``, or in a folder ``above`` it, which
        is made where ``make`` says so.
        """
        folder = os.path.dirname(path) if above is None else above
        temporary = self.write_temporary(folder, data, mode, make=make)
        self._bytes += len(data)
        self._written(temporary, self._door.place(path))

    def create_temporary(
        self, path: StorePath, mode: int = 0o644, *, make: bool = True
    ) -> tuple[int, str]:
        """Make a file in a folder, to be filled and given to `put_first`: a descriptor, and its
        place.
        """
        self._before_writing()
        temporary = f"{self._temporary}-{next(self._number)}"
        with reporting_write_errors(self.root), self._door.folder(path, make=make) as folder:
            return folder.create(temporary, mode), folder.at(temporary)

    def write_temporary(
        self,
        path: StorePath,
        data: bytes,
        mode: int = 0o644,
        modified_ns: int | None = None,
        *,
        make: bool = True,
    ) -> str:
        """Do so with a file of these bytes, as new as is told; return its place."""
        descriptor, place = self.create_temporary(path, mode, make=make)
        try:
            with reporting_write_errors(self.root):
                write_all(descriptor, data)
                if modified_ns is not None:
                    os.utime(descriptor, ns=(modified_ns, modified_ns))
        except BaseException:
            self._remove(place)
            raise
        finally:
            os.close(descriptor)
        return place

    def put_first(self, files: Mapping[str, str]) -> None:
        """Have temporary files appear before all that was added: their places by final path."""
        places = {self._door.place(path): temporary for path, temporary in files.items()}
        self._pending = {**places, **self._pending}

    def count(self, size: int) -> None:
        """Note that so many bytes were gathered."""
        self._bytes += size
        if self._bytes >= _GROUP_BYTES:
            self.flush()

    @contextlib.contextmanager
    def stream(self, path: str, mode: int = 0o644) -> Iterator[StreamedFile]:
        """A file to be written in portions below a folder; the block sets its final path."""
        descriptor, temporary = self.create_temporary(path, mode)
        stream = os.fdopen(descriptor, "wb")
        file = StreamedFile(stream, self.root)
        try:
            try:
                # What the caller reads meanwhile may fail too, and that is no write error.
                yield file
            finally:
                with reporting_write_errors(self.root):
                    stream.close()  # which writes what it still holds back
        except BaseException:
            self._remove(temporary)
            raise
        if file.path is None:
            self._remove(temporary)
        else:
            self._bytes += file.size
            self._written(temporary, self._door.place(file.path))

    def is_pending(self, place: str) -> bool:
        """Return True if a file was added that is still to appear at a place of the store."""
        return place in self._pending

    def _written(self, temporary: str, place: str) -> None:
        replaced = self._pending.pop(place, None)
        if replaced is not None:
            self._remove(replaced)
        self._pending[place] = temporary
        if len(self._pending) >= _GROUP_FILES or self._bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sync the written data, rename everything into place."""
        if self.gathering is not None:
            try:
                self.gathering.finish()
            except BaseException:
                self._discard()
                raise
        if not self._pending:
            return
        with reporting_write_errors(self.root):
            if self.durable:
                sync_file_system(self.root)  # with the names of the previous flush
            try:
                # In the order of adding: a document added last never appears before its data.
                for place, temporary in self._pending.items():
                    self._put_in_place(temporary, place)
            except BaseException:
                self._discard()
                raise
        self._pending.clear()
        self._bytes = 0
        self._renamed = True

    def _put_in_place(self, temporary: str, place: str) -> None:
        try:
            self._move(temporary, place)
        except FileNotFoundError:  # `gc` removes a folder that it finds empty: the one just made
            self._move(temporary, place)

    def _move(self, temporary: str, place: str) -> None:
        above, _, written = temporary.rpartition("/")
        parent, _, name = place.rpartition("/")
        with (
            self._door.folder_at(above) as source,
            self._door.folder_at(parent, make=True) as target,
        ):
            _replace(source, written, target, name)

    def _discard(self) -> None:
        try:
            if self.gathering is not None and (place := self.gathering.discard()):
                self._remove(place)
        finally:
            for temporary in self._pending.values():
                self._remove(temporary)
            self._pending.clear()

    def _remove(self, temporary: str) -> None:
        above, _, name = temporary.rpartition("/")
        with contextlib.suppress(OSError, StoreError), self._door.folder_at(above) as folder:
            discard(folder, name)


def temporary_name() -> str:
    """A name that no other process and no other call uses."""
    return f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"


def _replace(source: Folder, temporary: str, target: Folder, name: str) -> None:
    try:
        source.rename(temporary, name, target)
    except IsADirectoryError:
        # What stands there is none of ours: it steps aside, under a name that readers ignore.
        target.rename(name, temporary_name())
        source.rename(temporary, name, target)


def put_file(folder: Folder, name: str, data: bytes) -> None:
    """Write a file in a folder under a temporary name, and rename it into place."""
    temporary = temporary_name()
    descriptor = folder.create(temporary)
    try:
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)
        _replace(folder, temporary, folder, name)
    except BaseException:
        discard(folder, temporary)
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write all the bytes: one call may take a part of them."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def discard(folder: Folder, name: str) -> None:
    """Remove a temporary file, where the disk lets us: one that just refused a write may refuse
    this as well, and what it refused first is what people should read.
    """
    with contextlib.suppress(OSError):
        folder.unlink(name)


def sync_file_system(path: Path) -> None:
    """Make everything written to the file system of ``path`` durable, names included.

    One ``syncfs`` costs about as much as a single ``fsync``, whatever the number of files.
    Where the platform has none, ``sync`` does the same for all file systems.
    """
    syncfs = _syncfs()
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def has_syncfs() -> bool:
    """Return True if one file system can be synced, and not only all of them."""
    return _syncfs() is not None


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int]
    return function
