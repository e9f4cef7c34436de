"""Files of entries in folders that spell the ids of shards digit by digit, named by their SHA-256:
what the memo and the packs of partial values are.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from codebatch.model.errors import StoreError
from codebatch.store.door import Door

_DIGITS = frozenset("0123456789abcdef")
_FRESH_NS = 24 * 3600 * 10**9


class ShardFolders(NamedTuple):
    """Such files with a ``suffix``; ``folder_of`` gives the folder of a shard."""

    door: Door
    folder_of: Callable[[str], Path]
    suffix: str

    def files_for(self, shard_id: str, *, below: bool = True) -> list[Path]:
        """Return the files of the shard with that id, and of those above and, with ``below``, below
        it: other batches had other widths.
        """
        above = (self.folder_of(shard_id[:length]) for length in range(1, len(shard_id)))
        found = [path for folder in above for path in self.files_in(folder)]
        digits = 3 - len(shard_id) if below else 0
        return [*found, *self.files_in(self.folder_of(shard_id), digits)]

    def files_in(self, folder: Path, digits: int = 0) -> list[Path]:
        """Return the files of a folder and of those up to so many digits below it, in order; none
        where it cannot be looked into.
        """
        try:
            names = self.door.names(folder)
        except (OSError, StoreError):
            return []
        pattern = re.compile(rf"[0-9a-f]{{64}}{re.escape(self.suffix)}\Z")
        found = [folder / name for name in names if pattern.match(name)]
        for name in names if digits > 0 else ():
            if name in _DIGITS:
                found += self.files_in(folder / name, digits - 1)
        return found

    def small_files(self, folder: Path, most_bytes: int) -> list[Path]:
        """Return the files of a folder that have at most so many bytes."""
        return [path for path in self.files_in(folder) if self._size(path) <= most_bytes]

    def _size(self, path: Path) -> int:
        with contextlib.suppress(OSError, StoreError):
            status = self.door.status(path)
            return 0 if status is None else status.st_size
        return 0


def name_of(data: bytes, suffix: str) -> str:
    """Return the name of a file with these bytes."""
    return hashlib.sha256(data).hexdigest() + suffix


def freshen(door: Door, path: Path, now_ns: int) -> None:
    """Note that a file was of use now, where that was noted long ago: `gc` trims by age of use. It
    may be deleted meanwhile, or not ours to change.
    """
    with contextlib.suppress(OSError, StoreError):
        status = door.status(path)
        if status is not None and now_ns - status.st_mtime_ns > _FRESH_NS:
            door.touch(path, now_ns)
