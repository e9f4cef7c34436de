"""A remote in a folder, on this machine or in a file system that others see as well."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from codebatch.model.clock import now_ns
from codebatch.model.errors import RemoteError, StoreDamagedError, StoreError
from codebatch.remote.index import INDEX_BYTES
from codebatch.remote.location import Blob
from codebatch.store import ABSENT, Door
from codebatch.store.files import remove_file, write_file

_LOCK = "lock"
_PAUSE_SECONDS = 0.02


class FolderLocation:
    """A folder as a remote, which is made when something is first put into it."""

    def __init__(self, path: str, seconds: float) -> None:
        self._root = Path(os.path.abspath(path))
        self._seconds = seconds
        self._door = Door(str(self._root))

    def read(self, name: str, limit: int) -> Blob | None:
        """Return a file; the tag is not needed."""
        with _reporting():
            try:
                with os.fdopen(self._door.open(self._root / name), "rb") as stream:
                    size = os.fstat(stream.fileno()).st_size
                    return Blob(stream.read(min(size, limit) + 1), None)
            except ABSENT:
                return None
            except StoreDamagedError:  # a link, a folder, a pipe
                return Blob(b"", None)

    def write(self, name: str, data: bytes) -> None:
        """Put a file into place, all of it at once."""
        with _reporting():
            os.makedirs(self._root, exist_ok=True)
            write_file(self._door, self._root / name, data, durable=False)

    def swap(self, name: str, data: bytes, before: Blob | None) -> bool:
        """Put a file into place under a lock."""
        with _reporting():
            os.makedirs(self._root, exist_ok=True)
        with self._locked():
            there = self.read(name, INDEX_BYTES)
            if (there and there.data) != (before and before.data):
                return False
            self.write(name, data)
        return True

    def remove(self, name: str) -> bool:
        """Remove a file."""
        with _reporting():
            remove_file(self._door, self._root / name)
        return True

    def ages(self) -> dict[str, float]:
        """Return the files by name with their age."""
        found = {}
        with _reporting():
            for name in self._door.names(self._root):
                status = self._door.status(self._root / name)
                if status is not None and name != _LOCK:
                    found[name] = (now_ns() - status.st_mtime_ns) / 1e9
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock for a block; without it where the file system has no locks: then the last
        of several writers wins, which costs time alone.
        """
        with _reporting():
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._root / _LOCK, flags, 0o666)
        end = time.monotonic() + self._seconds
        try:
            while not _lock(descriptor):
                if time.monotonic() > end:
                    raise RemoteError("another command holds the lock of the remote for too long")
                time.sleep(_PAUSE_SECONDS)
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks here
    return True


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RemoteError(f"the folder cannot be used: {error.strerror or error}") from error
    except StoreError as error:
        raise RemoteError(f"the folder of the remote: {error.message}") from error
