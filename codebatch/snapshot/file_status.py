"""The status of a file, as the file system gives it without opening it, and its comparison.

Six numbers stand for the state of a file, folder or link: mode, inode, device, size and the times
of its last modification and last change, in nanoseconds. A change of content sets the time of
change, which no program can set back. It does so in ticks of the file system's clock: what was
changed in the very tick in which it was read looks unchanged. Numbers that young are no
evidence.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter

Status = tuple[int, int, int, int, int, int]

# To be raised whenever a walk takes or skips the same tree in another way.
WALK_VERSION = 3
# Of a file whose state is not known: no file has the mode 0.
UNKNOWN: Status = (0, 0, 0, 0, 0, 0)
_PACKED = struct.Struct("=6Q")
STATUS_BYTES = _PACKED.size

# Kernels tick every 10 milliseconds or less; some file systems keep times to two seconds only.
_TICK_NS = 100 * 10**6
_COARSE_TICK_NS = 2 * 10**9
_COARSE_UNIT_NS = 10**6

status_of: Callable[[os.stat_result], Status] = attrgetter(
    "st_mode", "st_ino", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns"
)


def reader_of_files() -> dict[str, object]:
    """Return what decides besides the tree what a walk takes: the rules, and who may read what."""
    return {
        "version": WALK_VERSION,
        "user": [os.geteuid(), os.getegid(), *sorted(os.getgroups())],
        "byteorder": sys.byteorder,
    }


def evidence_of(status: Status, moment: int) -> bytes:
    """Return the status as `STATUS_BYTES` bytes; as that of `UNKNOWN` if a change after
    ``moment`` (ns since 1970) might not show in it, or if a number does not fit.
    """
    modified, changed = status[4:]
    tick = _TICK_NS if changed % _COARSE_UNIT_NS else _COARSE_TICK_NS
    try:
        return _PACKED.pack(*(status if max(modified, changed) + tick < moment else UNKNOWN))
    except struct.error:  # a time before 1970
        return _PACKED.pack(*UNKNOWN)


def is_evident(status: Status, packed: bytes, place: int) -> bool:
    """Return True if this is the status at a place among packed ones."""
    return status == _PACKED.unpack_from(packed, place * STATUS_BYTES)


def changed_statuses(
    root: int, paths: Sequence[bytes], packed: bytes, most: int
) -> dict[int, Status] | None:
    """Return what is in another state than is packed for it, by place in ``paths``, below the open
    folder ``root``.

    None where something cannot be looked at, or where more than ``most`` have changed.
    """
    changed: dict[int, Status] = {}
    try:
        for place, known in enumerate(_PACKED.iter_unpack(packed)):
            status = status_of(os.lstat(paths[place], dir_fd=root))
            if status != known:
                changed[place] = status
                if len(changed) > most:
                    return None
    except OSError:
        return None
    return changed
