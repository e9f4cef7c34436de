"""A folder in memory for the copies that tools look at, where there is one.

To make and remove a small file takes 50 to 400 microseconds on a disk's file system, 20 in memory,
and a cold scan makes one for every file in a language that a tool reads. What is left behind there
would take memory until the machine restarts: so only a process that cleans up after those that die
has such a folder (`processes.fork_server`), and those that it forks.

State: ``_folder`` is that folder; None where there is none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from codebatch.runtime.lazy import lazily

with lazily():
    import tempfile

_MEMORY = "/dev/shm"  # noqa: S108 - folders in it are private
_VARIABLES = ("TMPDIR", "TEMP", "TMP")
_MOST_BYTES = 2**26  # of copies
_ROOM_BYTES = 2**29  # beside them, for what tools write

_folder: str | None = None


@contextlib.contextmanager
def memory_folder() -> Iterator[None]:
    """Have such a folder for a block, unless the user has named one for temporary files."""
    global _folder
    if any(map(os.environ.get, _VARIABLES)) or not os.access(_MEMORY, os.R_OK | os.W_OK | os.X_OK):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="codebatch-", dir=_MEMORY) as _folder:
        yield


def folder_for(size: int) -> str | None:
    """Return the folder in memory where so many bytes of copies have room; None where not."""
    if _folder is None or size > _MOST_BYTES:
        return None
    try:
        room = os.statvfs(_folder)
    except OSError:
        return None
    return _folder if room.f_bavail * room.f_frsize >= size + _ROOM_BYTES else None
