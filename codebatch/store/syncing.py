"""Making what was written durable."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = lazy("ctypes")


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
