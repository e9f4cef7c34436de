"""What the file system says of a file without opening it, and whether it says the same again.

Six numbers stand for the state of a file, folder or link: mode, inode, device, size and the times
of its last modification and last change, in nanoseconds. A change of content sets the time of
change, which no program can set back. It does so in ticks of the file system's clock: what was
changed in the very tick in which it was read looks unchanged. Numbers that young are no
evidence (`is_settled`).
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import attrgetter

Status = tuple[int, int, int, int, int, int]

# To be raised whenever a walk takes or skips the same tree in another way.
WALK_VERSION = 1
# Of a file whose state is not known: no file has the mode 0.
UNKNOWN: Status = (0, 0, 0, 0, 0, 0)
_WORD = "Q"
_PACKED = struct.Struct(f"={len(UNKNOWN)}{_WORD}")
STATUS_BYTES = _PACKED.size

_PORTION = 4096
_MODIFIED, _CHANGED = 4, 5
# Kernels tick every 10 milliseconds or less; some file systems keep times to two seconds only.
_TICK_NS = 100 * 10**6
_COARSE_TICK_NS = 2 * 10**9
_COARSE_UNIT_NS = 10**6

status_of: Callable[[os.stat_result], Status] = attrgetter(
    "st_mode", "st_ino", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns"
)


def is_settled(status: Status, moment: int) -> bool:
    """Whether a change after ``moment`` (ns since 1970), before which this was seen, would show."""
    tick = _TICK_NS if status[_CHANGED] % _COARSE_UNIT_NS else _COARSE_TICK_NS
    return max(status[_MODIFIED], status[_CHANGED]) + tick < moment


def pack(status: Status) -> bytes:
    """The status as `STATUS_BYTES` bytes; as that of `UNKNOWN` where a number does not fit."""
    try:
        return _PACKED.pack(*status)
    except struct.error:  # a time before 1970
        return _PACKED.pack(*UNKNOWN)


def have_statuses(root: bytes, paths: Sequence[bytes], packed: bytes) -> bool:
    """Whether everything at these paths, relative to ``root``, is in the state that is packed."""
    remaining = iter(paths)
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for start in range(0, len(packed), _PORTION * STATUS_BYTES):
                words: list[int] = []
                for path in islice(remaining, _PORTION):
                    words += status_of(os.lstat(path, dir_fd=descriptor))
                seen = array(_WORD, words).tobytes()
                if seen != packed[start : start + _PORTION * STATUS_BYTES]:
                    return False
        finally:
            os.close(descriptor)
    except (OSError, OverflowError):
        return False  # what cannot be looked at, or was before 1970, is not as it was
    return next(remaining, None) is None


def are_absent(root: bytes, paths: Iterable[bytes]) -> bool:
    """Whether there is nothing at any of these paths."""
    return not any(os.path.lexists(os.path.join(root, path)) for path in paths)
