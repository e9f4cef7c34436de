"""Very many stored objects, looked at in one go: that they are there, and that some are whole.

Nothing is said of what is not plainly whole: whoever wants to know what is wrong looks closer.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from codebatch.model.digest import DIGEST_PREFIX, EMPTY
from codebatch.store.door import Door
from codebatch.store.layout import CHUNK_BYTES, COMPRESSED_SUFFIX
from codebatch.store.objects.compression import CompressionError, open_frame, stored_limit
from codebatch.store.objects.forms import check_object
from codebatch.store.objects.packs import HEX_DIGITS, Frame
from codebatch.store.openat import LISTED, open_in
from codebatch.store.path_kinds import OBJECT_PARTS

_PART = re.compile(r"[0-9a-f]{2}\Z")
_OBJECT_NAME = re.compile(r"[0-9a-f]{64}(\.zst)?\Z")
_HELD_BYTES = 2**22  # of a file; a larger one is read in portions
FRAME_BYTES = stored_limit(CHUNK_BYTES)  # of an object in a pack

Takes = Callable[[str], bool]


@dataclass
class Whole:
    """Objects that are there, by digest, and what those of them sum up to that were read."""

    digests: list[str] = field(default_factory=list)
    read: int = 0
    bytes: int = 0
    without_checksum: int = 0

    @property
    def sums(self) -> tuple[int, int, int]:
        """The three numbers."""
        return self.read, self.bytes, self.without_checksum

    def note(self, size: int, *, has_checksum: bool) -> None:
        """Note that one was read and is whole."""
        self.read += 1
        self.bytes += size
        self.without_checksum += not has_checksum


def whole_files(door: Door, part: str, takes: Takes) -> Whole | None:
    """Return the objects in a folder of `OBJECT_PARTS`, of which some are to be read; None where
    anything there is not a file in its place with something in it, but for the empty object.
    """
    found = Whole()
    with door.folder_at(f"{OBJECT_PARTS}/{part}") as folder:
        for name in folder.names():
            if not _PART.match(name):
                return None
            below = open_in(folder.descriptor, name, LISTED)
            try:
                for one in os.listdir(below):
                    digest = DIGEST_PREFIX + one[:HEX_DIGITS]
                    if not one.startswith(part + name) or not _OBJECT_NAME.match(one):
                        return None
                    found.digests.append(digest)
                    path = f"{door.root}/{OBJECT_PARTS}/{part}/{name}/{one}"
                    if takes(digest):
                        if not _read_file(found, door, below, path, digest):
                            return None
                    elif not _is_plain(os.stat(one, dir_fd=below, follow_symlinks=False), one):
                        return None
            finally:
                os.close(below)
    return found


def _is_plain(status: os.stat_result, name: str) -> bool:
    return stat.S_ISREG(status.st_mode) and (status.st_size > 0 or DIGEST_PREFIX + name == EMPTY)


def _read_file(found: Whole, door: Door, folder: int, path: str, digest: str) -> bool:
    """Return True if a file is whole, which is noted then."""
    name = os.path.basename(path)
    descriptor = open_in(folder, name, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        if not _is_plain(status, name):
            return False
        held = status.st_size <= _HELD_BYTES
        stored = os.read(descriptor, status.st_size + 1) if held else b""
    finally:
        os.close(descriptor)
    if held and _is_whole(found, stored, digest, is_frame=name.endswith(COMPRESSED_SUFFIX)):
        return True
    checked = check_object(door, path, digest)  # which takes any size
    if checked is not None:
        found.note(checked.size, has_checksum=checked.has_checksum)
    return checked is not None


def whole_frames(door: Door, path: str, frames: Iterable[Frame], takes: Takes) -> Whole | None:
    """Return what those frames of a pack sum up to that are to be read; None where any of them is
    damaged.
    """
    found = Whole()
    with door.stream(path) as stream:
        for frame in frames:
            digest = DIGEST_PREFIX + frame.digits
            if takes(digest):
                if frame.size > FRAME_BYTES:
                    return None
                stored = os.pread(stream.fileno(), frame.size, frame.offset)
                if len(stored) != frame.size or not _is_whole(found, stored, digest, is_frame=True):
                    return None
    return found


def _is_whole(found: Whole, stored: bytes, digest: str, *, is_frame: bool) -> bool:
    try:
        raw = open_frame(stored, CHUNK_BYTES + 1) if is_frame else stored
    except CompressionError:
        return False
    if is_frame and len(raw) > CHUNK_BYTES:
        return False
    if DIGEST_PREFIX + hashlib.sha256(raw).hexdigest() != digest:
        return False
    found.note(len(raw), has_checksum=True)
    return True
