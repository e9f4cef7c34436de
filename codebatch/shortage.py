"""Tell what a process is short of from what a task says of a file. No state."""

from __future__ import annotations

import errno

from codebatch.errors import MemoryExhaustedError

_NO_HANDLES = {errno.EAGAIN, errno.EMFILE, errno.ENFILE}


def shortage_of(error: BaseException, *, memory_is_limited: bool) -> Exception | None:
    """What to raise where a task met that this process is short of something: it says nothing
    about the file, and elsewhere, or later, there may be enough. None where it is no such thing.

    Memory that runs out where it is limited stays a `MemoryError`: the file may be to blame.
    """
    code = error.errno if isinstance(error, OSError) else None
    no_memory = isinstance(error, MemoryError) or code == errno.ENOMEM
    if no_memory and memory_is_limited:
        return MemoryError(str(error))
    if no_memory or code in _NO_HANDLES:
        what = ": ".join(filter(None, (type(error).__name__, str(error))))
        return MemoryExhaustedError(f"this process has no memory or handles left: {what}")
    return None
