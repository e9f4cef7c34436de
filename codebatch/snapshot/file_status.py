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
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

Status = tuple[int, int, int, int, int, int]

# To be raised whenever a walk takes or skips the same tree in another way.
WALK_VERSION = 3
# Of a file whose state is not known: no file has the mode 0.
UNKNOWN: Status = (0, 0, 0, 0, 0, 0)
_WORD = "Q"
_PACKED = struct.Struct(f"={len(UNKNOWN)}{_WORD}")
STATUS_BYTES = _PACKED.size

_UNKNOWN = _PACKED.pack(*UNKNOWN)
_PORTION = 512
_MODIFIED, _CHANGED = 4, 5
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


def is_settled(status: Status, moment: int) -> bool:
    """Return True if a change after ``moment`` (ns since 1970) would show in this status."""
    tick = _TICK_NS if status[_CHANGED] % _COARSE_UNIT_NS else _COARSE_TICK_NS
    return max(status[_MODIFIED], status[_CHANGED]) + tick < moment


def pack(status: Status) -> bytes:
    """The status as `STATUS_BYTES` bytes; as that of `UNKNOWN` where a number does not fit."""
    try:
        return _PACKED.pack(*status)
    except struct.error:  # a time before 1970
        return _UNKNOWN


def is_packed(status: Status, packed: bytes) -> bool:
    """Return True if the packed status is known, and this one."""
    return pack(status) == packed != _UNKNOWN


def changed_statuses(
    root: int, paths: Sequence[bytes], packed: bytes, most: int
) -> dict[int, Status] | None:
    """Return what is in another state than is packed for it, by place in ``paths``, below the open
    folder ``root``.

    None where something cannot be looked at, or where about ``most`` have changed.
    """
    changed: dict[int, Status] = {}
    try:
        for start in range(0, len(paths), _PORTION):
            stop = start + _PORTION
            words: list[int] = []
            for path in paths[start:stop]:
                words += status_of(os.lstat(path, dir_fd=root))
            known = packed[start * STATUS_BYTES : stop * STATUS_BYTES]
            if not _are_packed(words, known):
                changed.update((start + n, seen) for n, seen in _differing(words, known))
                if len(changed) > most:
                    return None
    except OSError:
        return None
    return changed


def _are_packed(words: list[int], packed: bytes) -> bool:
    try:
        return array(_WORD, words).tobytes() == packed
    except OverflowError:  # a time before 1970
        return False


def _differing(words: list[int], packed: bytes) -> Iterator[tuple[int, Status]]:
    for number in range(len(packed) // STATUS_BYTES):
        known = packed[number * STATUS_BYTES : (number + 1) * STATUS_BYTES]
        mode, inode, device, size, modified, changed = words[number * 6 : number * 6 + 6]
        status = mode, inode, device, size, modified, changed
        if not is_packed(status, known):
            yield number, status
