"""Folders and files of a tree that is not to be trusted, reached by descriptors.

A path is never handed to the system as a whole: each component is opened relative to the folder
that holds it and without following a link, so that nothing below a folder leads out of it, even
if it becomes a link in the meantime. Nothing is waited for, and only regular files are read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from codebatch.store.openat import FOLDER, LISTED, NEVER

FILE_FLAGS = os.O_RDONLY | NEVER
_FOLDER_FLAGS = LISTED | os.O_NONBLOCK
# What a path may have; one that is longer could not be named to any other program.
_LONGEST_PATH = 4095
_MOST_OPEN = 64


class Folder:
    """An open folder, to be used in a ``with`` block or closed.

    Paths are relative to it and without ``.`` or ``..``; ``OSError`` where one leads nowhere or
    over a link. ``path`` is where the folder was found; it is for messages and for finding out
    what is around it.
    """

    def __init__(self, path: bytes, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @classmethod
    def at(cls, path: bytes, *, search: bool = False) -> Folder:
        """Open a folder that the user names, over links if need be; with ``search``, one that
        perhaps cannot be listed.
        """
        return cls(path, os.open(path, FOLDER if search else _FOLDER_FLAGS))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def open(self, path: bytes, *, search: bool = False) -> Folder:
        """Open a folder below this one, as `at` does but not over links."""
        flags = (FOLDER if search else _FOLDER_FLAGS) | os.O_NOFOLLOW
        descriptor = self.descriptor
        for name in path.split(b"/"):
            try:
                inner = os.open(_checked(name), flags, dir_fd=descriptor)
            finally:
                if descriptor != self.descriptor:
                    os.close(descriptor)
            descriptor = inner
        return Folder(os.path.join(self.path, path), descriptor)

    def status(self, path: bytes) -> os.stat_result | None:
        """Return the status of what is there, of a link its own; None where there is nothing."""
        try:
            with self._holder(path) as (folder, name):
                return os.lstat(name, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_file(self, path: bytes) -> int:
        """Return a descriptor of a regular file."""
        with self._holder(path) as (folder, name):
            return _regular(os.open(name, FILE_FLAGS, dir_fd=folder))

    def read(self, path: bytes, most: int) -> bytes | None:
        """Return what a regular file of at most so many bytes holds; None where there is none."""
        try:
            descriptor = self.open_file(path)
        except FileNotFoundError:
            return None
        return _read_and_close(descriptor, most)

    @contextmanager
    def _holder(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Open the folder that holds what is at the path, and say what that is called in it."""
        head, _, name = path.rpartition(b"/")
        if not head:
            yield self.descriptor, _checked(name)
            return
        with self.open(head, search=True) as folder:
            yield folder.descriptor, _checked(name)


def read_file(path: bytes, most: int) -> bytes | None:
    """Return what a file that the user named holds, as `Folder.read` does, but over links."""
    try:
        descriptor = os.open(path, FILE_FLAGS & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    return _read_and_close(_regular(descriptor), most)


def _regular(descriptor: int) -> int:
    """Return the descriptor, unless it is that of something else than a file."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file")


def _read_and_close(descriptor: int, most: int) -> bytes:
    """Return what is in a regular file of at most so many bytes."""
    try:
        size = os.fstat(descriptor).st_size
        found = bytearray()
        while size <= most and (portion := os.read(descriptor, size + 1)):
            found += portion
            size = max(size, len(found))
        if size > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return bytes(found)
    finally:
        os.close(descriptor)


class Folders:
    """The folders of a tree, of which those that were asked for last are kept open; to be used
    in a ``with`` block, in which the root stays open.

    State: ``_open`` holds the last folder's ancestors and itself by depth, not all of them where
    it is very deep; ``_names`` are the components of its path, ``_path``.
    """

    def __init__(self, root: Folder) -> None:
        self._open: dict[int, Folder] = {0: root}
        self._names: list[bytes] = []
        self._path = b""

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep(0)

    def at(self, path: bytes) -> Folder:
        """Return the folder at a path relative to the root; it is open until the next question."""
        if path == self._path and len(self._names) in self._open:
            return self._open[len(self._names)]
        if len(path) > _LONGEST_PATH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        names = path.split(b"/") if path else []
        pairs = zip(names, self._names, strict=False)
        self._keep(len(list(takewhile(lambda pair: pair[0] == pair[1], pairs))))
        self._names, self._path = names, path
        for depth in range(max(self._open), len(names)):
            self._open[depth + 1] = self._open[depth].open(names[depth])
            if len(self._open) > _MOST_OPEN:
                # The one nearest to the root: a walk comes back to the deepest first.
                self._open.pop(next(d for d in self._open if d)).close()
        return self._open[len(names)]

    def _keep(self, depth: int) -> None:
        for other in [other for other in self._open if other > depth]:
            self._open.pop(other).close()


def _checked(name: bytes) -> bytes:
    if name in (b"", b".", b".."):
        raise OSError(errno.EINVAL, "not a name")
    return name
