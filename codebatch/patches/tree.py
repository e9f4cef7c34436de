"""The files of a tree that is not to be trusted, looked at and replaced one at a time.

Every folder is opened relative to the one above and without following a link (`descriptors`). A
file is replaced by one that is written beside it, under a name that follows from its own: what a
killed process has left is known by that name, and by a file of the other name in its folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.snapshot.descriptors import Folder, Folders
from codebatch.store.openat import NEVER

_PREFIX = b".codebatch-apply-"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NEVER
_PORTION = 2**20
_REASONS = {
    errno.ENOENT: "it is not there",
    errno.ENOTDIR: "a folder above it is none, or a link",
    errno.ELOOP: "it is a link",
    errno.EINVAL: "it is no regular file",
    errno.ENXIO: "it is no regular file",
}


class Found(NamedTuple):
    """What was found at a path: the status of a regular file, and which folder holds it."""

    status: os.stat_result
    folder: tuple[int, int]

    @property
    def evidence(self) -> tuple[object, ...]:
        """What differs where somebody has changed the file, or put another one there."""
        status = self.status
        times = status.st_mtime_ns, status.st_ctime_ns
        return self.folder, status.st_dev, status.st_ino, status.st_mode, status.st_size, *times


class Tree:
    """Files below an open folder, by paths relative to it; to be used in a ``with`` block."""

    def __init__(self, root: Folder) -> None:
        self._folders = Folders(root)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.__exit__()

    def look(self, path: bytes) -> Found:
        """Return what is there; OSError where that is no regular file, or a link leads there."""
        folder, name = self._place(path)
        descriptor = folder.open_file(name)
        try:
            return Found(os.fstat(descriptor), _identity(folder))
        finally:
            os.close(descriptor)

    def digest(self, path: bytes, size: int) -> str:
        """Return the digest of the first bytes of a file, up to one more than ``size``."""
        folder, name = self._place(path)
        descriptor, hasher, left = folder.open_file(name), hashlib.sha256(), size + 1
        try:
            while left > 0 and (portion := os.read(descriptor, min(left, _PORTION))):
                hasher.update(portion)
                left -= len(portion)
        finally:
            os.close(descriptor)
        return DIGEST_PREFIX + hasher.hexdigest()

    def is_as_found(self, path: bytes, found: Found) -> bool:
        """Return whether at a path there is still what was found there."""
        try:
            return self.look(path).evidence == found.evidence
        except OSError:
            return False

    def write_beside(self, path: bytes, data: bytes, found: Found, *, durable: bool) -> None:
        """Write what is to replace a file, with its permissions, if ``durable`` onto the disk;
        nothing stays of it where that cannot be.
        """
        folder, name = self._place(path)
        descriptor = os.open(_beside(name), _NEW_FILE, 0o600, dir_fd=folder.descriptor)
        try:
            _fill(descriptor, data, found.status, durable=durable)
        except BaseException:
            with contextlib.suppress(OSError):  # the next run removes it
                self.discard(path)
            raise

    def replace(self, path: bytes) -> None:
        """Put what was written beside a file into its place."""
        folder, name = self._place(path)
        at = folder.descriptor
        os.rename(_beside(name), name, src_dir_fd=at, dst_dir_fd=at)

    def discard(self, path: bytes) -> None:
        """Remove what was written beside a file, if it is still there."""
        folder, name = self._place(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_beside(name), dir_fd=folder.descriptor)

    def remove_leftovers(self, head: bytes) -> None:
        """Remove what a killed process has written beside files of a folder."""
        folder = self._folders.at(head)
        names = list(map(os.fsencode, os.listdir(folder.descriptor)))
        if any(name.startswith(_PREFIX) for name in names):
            for name in {_beside(name) for name in names} & {*names}:
                status = os.lstat(name, dir_fd=folder.descriptor)
                if stat.S_ISREG(status.st_mode):
                    os.unlink(name, dir_fd=folder.descriptor)

    def sync(self, head: bytes) -> None:
        """Have the names of files in a folder on the disk."""
        os.fsync(self._folders.at(head).descriptor)

    def _place(self, path: bytes) -> tuple[Folder, bytes]:
        head, _, name = path.rpartition(b"/")
        return self._folders.at(head), name


def reason_of(error: OSError) -> str:
    """Return why a file cannot be looked at, in a few words."""
    return _REASONS.get(error.errno or 0) or os.strerror(error.errno or 0)


def _identity(folder: Folder) -> tuple[int, int]:
    status = os.fstat(folder.descriptor)
    return status.st_dev, status.st_ino


def _beside(name: bytes) -> bytes:
    return _PREFIX + hashlib.sha256(name).hexdigest()[:32].encode()


def _fill(descriptor: int, data: bytes, like: os.stat_result, *, durable: bool) -> None:
    """Write a new file with the permissions of another, and close it."""
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        made = os.fstat(descriptor)
        if (like.st_uid, like.st_gid) != (made.st_uid, made.st_gid):
            # Who may replace a file need not be allowed to give files away.
            with contextlib.suppress(PermissionError):
                os.chown(descriptor, like.st_uid, like.st_gid)
        os.chmod(descriptor, stat.S_IMODE(like.st_mode))
        if durable:
            os.fsync(descriptor)
