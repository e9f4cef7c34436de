"""What the system says when a process is short of something, as an error of its own."""

from __future__ import annotations

import errno

from codebatch.model.errors import DiskExhaustedError, MemoryExhaustedError

_NO_HANDLES = {errno.EAGAIN, errno.EMFILE, errno.ENFILE}
_NO_ROOM = {errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EROFS}
# What Python and the loader of libraries say, without a number, where the system refuses.
_NO_THREAD = "can't start new thread"
_NO_FOLDER = "No usable temporary directory found"
_NOT_LOADED = ("failed to map segment", "cannot allocate memory", "Too many open files")


def shortage_of(error: BaseException, *, memory_is_limited: bool) -> Exception | None:
    """Return what to raise for an error which means that this process is short of something: it
    says nothing about the file, and elsewhere, or later, there may be enough. None for others.

    Memory that runs out where it is limited stays a `MemoryError`: the file may be to blame. What
    a store cannot write is no `OSError`, so a disk without room is that of temporary files.
    """
    cause = error if isinstance(error, OSError) else error.__cause__
    code = cause.errno if isinstance(cause, OSError) else None
    no_memory = isinstance(error, MemoryError) or code == errno.ENOMEM
    if no_memory and memory_is_limited:
        return MemoryError(str(error))
    text = str(error)
    what = ": ".join(filter(None, (type(error).__name__, text)))
    not_loaded = isinstance(error, ImportError) and any(words in text for words in _NOT_LOADED)
    no_thread = isinstance(error, RuntimeError) and text == _NO_THREAD
    if no_memory or code in _NO_HANDLES or not_loaded or no_thread:
        return MemoryExhaustedError(f"this process has no memory or handles left: {what}")
    if code in _NO_ROOM or _NO_FOLDER in what:
        return DiskExhaustedError(f"this process has no room for temporary files: {what}")
    return None
