"""Durable file primitives: the only code that writes, renames or syncs below a store.

A file comes into being under a unique temporary name in its own folder, an object in the folder
of all objects, and is renamed into place, so that a reader sees all of it or nothing. A
`WriteGroup` writes many files and pays for durability once: all data reaches the disk before the
first rename, all renames before it ends. Temporary names start with ``.tmp-``; readers never look
at them.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from codebatch.model.errors import StoreError, StoreReadError, StoreWriteError
from codebatch.store.bounds import INDEX_BYTES
from codebatch.store.door import ABSENT, TEMPORARY_PREFIX, Door, Folder, StorePath, misplaced
from codebatch.store.kept import KeptFolders
from codebatch.store.syncing import sync_file_system

_GROUP_FILES = 4096
_FREE_OR_PERMIT = "free space or restore the permission, then run the same command again"
_TO_DO = {
    errno.ENOENT: "something else removes files of the store: run the same command again",
    errno.EMFILE: "allow more open files (ulimit -n), then run the same command again",
}
_GROUP_BYTES = 256 * 2**20


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
            _remove(folder, temporary)


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
            _write_all(descriptor, data)
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
    is called before anything is. State: ``_pending`` holds, by final place, where data is written
    but not renamed, ``_bytes`` the size of it all; ``_renamed`` says that names in place are
    still to be synced. On an exception the pending files are removed, never renamed.
    """

    def __init__(
        self, door: Door, *, durable: bool, before_writing: Callable[[], object] = lambda: None
    ) -> None:
        self._door = door
        self._root = Path(door.root)
        self._durable = durable
        self._before_writing = before_writing
        self._pending: dict[str, str] = {}
        self._bytes = 0
        self._renamed = False
        self._temporary = temporary_name()
        self._number = itertools.count()
        self._kept = KeptFolders(door)

    def __enter__(self) -> WriteGroup:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
                self._sync_names()
            else:
                self._discard()
        finally:
            self._kept.close()

    def folder(self, place: str) -> Folder | None:
        """Open a folder to see what is in it; None where it is not there."""
        with reporting_write_errors(self._root):
            return self._kept.find(place)

    def add(self, path: str | Path, data: bytes, mode: int = 0o644) -> None:
        """Write ``data`` under a temporary name beside ``path``."""
        self._before_writing()
        parent, name = os.path.split(path)
        with reporting_write_errors(self._root), self._door.folder(parent, make=True) as folder:
            self._write(folder, folder.at(name), data, mode)

    def add_below(self, above: str, place: str, data: bytes, mode: int = 0o644) -> None:
        """Write ``data`` under a temporary name in a folder that is ``above`` the place where it
        will be, in a folder of a folder: both are places in the store.
        """
        self._before_writing()
        with reporting_write_errors(self._root):
            # It is kept from here on: to ask in vain for what is in one that is absent costs more.
            self._kept.at(place.rsplit("/", 2)[0], make=True)
            self._write(self._kept.at(above, make=True), place, data, mode)

    def _write(self, folder: Folder, place: str, data: bytes, mode: int) -> None:
        temporary = self._temporary_name()
        descriptor = folder.create(temporary, mode)
        try:
            _write_all(descriptor, data)
        except BaseException:
            _remove(folder, temporary)
            raise
        finally:
            os.close(descriptor)
        self._bytes += len(data)
        self._written(folder.at(temporary), place)

    @contextlib.contextmanager
    def stream(self, path: str, mode: int = 0o644) -> Iterator[StreamedFile]:
        """A file to be written in portions below a folder; the block sets its final path."""
        self._before_writing()
        temporary = self._temporary_name()
        with reporting_write_errors(self._root):
            folder = self._door.folder(path, make=True)
        with folder:
            with reporting_write_errors(self._root):
                stream = os.fdopen(folder.create(temporary, mode), "wb")
            file = StreamedFile(stream, self._root)
            try:
                with stream:
                    # What the caller reads meanwhile may fail too, and that is no write error.
                    yield file
                    with reporting_write_errors(self._root):
                        stream.flush()
            except BaseException:
                _remove(folder, temporary)
                raise
            if file.path is None:
                _remove(folder, temporary)
            else:
                self._bytes += file.size
                self._written(folder.at(temporary), self._door.place(file.path))

    def is_pending(self, place: str) -> bool:
        """Return True if a file was added that is still to appear at a place of the store."""
        return place in self._pending

    def _temporary_name(self) -> str:
        return f"{self._temporary}-{next(self._number)}"

    def _written(self, temporary: str, place: str) -> None:
        replaced = self._pending.pop(place, None)
        if replaced is not None:
            self._remove(replaced)
        self._pending[place] = temporary
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
                for place, temporary in self._pending.items():
                    self._put_in_place(temporary, place)
            except BaseException:
                self._discard()
                raise
        self._forget()
        self._renamed = True

    def _put_in_place(self, temporary: str, place: str) -> None:
        parent, _, name = place.rpartition("/")
        above, _, written = temporary.rpartition("/")
        if parent == above:
            with self._door.folder_at(parent, make=True) as folder:
                _replace(folder, written, folder, name)
            return
        try:
            self._move(above, written, parent, name)
        except FileNotFoundError:
            # `gc` removes a folder that it finds empty: a kept one, or the one just made.
            self._kept.close()
            self._move(above, written, parent, name)

    def _move(self, above: str, written: str, parent: str, name: str) -> None:
        """Give a file its name in a folder below the one in which it was written."""
        with self._kept.make(parent) as folder:
            _replace(self._kept.at(above), written, folder, name)

    def _sync_names(self) -> None:
        if self._renamed and self._durable:
            with reporting_write_errors(self._root):
                sync_file_system(self._root)
        self._renamed = False

    def _discard(self) -> None:
        for temporary in self._pending.values():
            self._remove(temporary)
        self._forget()

    def _remove(self, temporary: str) -> None:
        above, _, name = temporary.rpartition("/")
        with contextlib.suppress(OSError, StoreError):
            _remove(self._kept.at(above), name)

    def _forget(self) -> None:
        self._pending.clear()
        self._bytes = 0


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


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _remove(folder: Folder, name: str) -> None:
    """Remove a temporary file, where the disk lets us: one that just refused a write may refuse
    this as well, and what it refused first is what people should read.
    """
    with contextlib.suppress(OSError):
        folder.unlink(name)
