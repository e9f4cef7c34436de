"""The new objects of a write group: many become a pack, a few become files of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import BinaryIO

from codebatch.store.layout import Layout
from codebatch.store.objects.packs import index_name, index_of
from codebatch.store.write_group import WriteGroup, reporting_write_errors

OBJECT_MODE = 0o444
LEAST_OBJECTS = 32  # of a pack: a change of a few files makes a few files
MOST_OBJECTS = 2**16  # all of which are held by name until it is whole; and an index has a limit
_LEAST_BYTES = 8 * 2**20  # or of what is held until it is known
_BATCH_OBJECTS = 128  # that go into a pack together
_BATCH_BYTES = 2**20


class PackWriter:
    """Gathers objects until the group makes them appear.

    ``parts`` are the folders of files of objects that were there when this began: in no other does
    one of another writer have to be looked for. ``frame`` makes of raw bytes what is stored in a
    pack, ``write`` puts an object into a file of its own. A pack is as new as ``modified_ns`` says,
    if it does. State: ``_held`` are the objects by digits that are in no pack yet; ``_file`` is the
    pack as soon as they were many, ``_frames`` what is in it.
    """

    def __init__(
        self,
        layout: Layout,
        group: WriteGroup,
        parts: frozenset[str],
        frame: Callable[[bytes], bytes],
        write: Callable[[str, bytes], object],
    ) -> None:
        self.parts = parts
        self.modified_ns: int | None = None
        self._layout = layout
        self._group = group
        self._frame = frame
        self._write = write
        self._held: dict[str, bytes] = {}
        self._held_bytes = 0
        self._file: BinaryIO | None = None
        self._temporary = ""
        self._frames: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __contains__(self, digits: str) -> bool:
        return digits in self._held or digits in self._frames

    def add(self, digits: str, data: bytes) -> None:
        """Take an object that is new."""
        self._held[digits] = data
        self._held_bytes += len(data)
        few, small = _BATCH_OBJECTS, _BATCH_BYTES
        if self._file is None:
            few, small = LEAST_OBJECTS, _LEAST_BYTES
        if len(self._held) >= few or self._held_bytes >= small:
            size = self._held_bytes
            self._pack()
            self._group.count(size)
            if len(self._frames) >= MOST_OBJECTS:
                self._group.flush()

    def add_frame(self, digits: str, frame: bytes) -> None:
        """Take the frame of an object into a pack, however few there are."""
        self._append([(digits, frame)])

    def finish(self) -> None:
        """Have the group make what was gathered appear with its next files, and before them."""
        if self._file is None:
            held, self._held, self._held_bytes = self._held, {}, 0
            for digits, data in held.items():
                self._write(digits, data)
            return
        self._pack()
        file, self._file = self._file, None
        with reporting_write_errors(self._group.root), file:
            file.flush()
            if self.modified_ns is not None:
                os.utime(file.fileno(), ns=(self.modified_ns, self.modified_ns))
        frames = self._frames.items()
        data = index_of((digits, offset, size) for digits, (offset, size) in frames)
        name = index_name(data)
        index = self._group.write_temporary(self._layout.packs, data, OBJECT_MODE, self.modified_ns)
        packed, self._temporary, self._frames, self._end = self._temporary, "", {}, 0
        self._group.put_first(
            {self._layout.pack(name): packed, self._layout.pack_index(name): index}
        )

    def discard(self) -> str:
        """Forget what was gathered; return the place of the file it was written to, if any."""
        place, self._temporary = self._temporary, ""
        file, self._file = self._file, None
        self._held, self._held_bytes, self._frames, self._end = {}, 0, {}, 0
        if file is not None:
            # What it still holds back a full disk refuses once more; it is closed all the same.
            with contextlib.suppress(OSError):
                file.close()
        return place

    def _pack(self) -> None:
        held, self._held, self._held_bytes = self._held, {}, 0
        self._append((digits, self._frame(data)) for digits, data in held.items())

    def _append(self, frames: Iterable[tuple[str, bytes]]) -> None:
        with reporting_write_errors(self._group.root):
            file = self._opened()
            for digits, frame in frames:
                file.write(frame)
                self._frames[digits] = self._end, len(frame)
                self._end += len(frame)

    def _opened(self) -> BinaryIO:
        if self._file is None:
            descriptor, self._temporary = self._group.create_temporary(
                self._layout.packs, OBJECT_MODE
            )
            self._file = os.fdopen(descriptor, "wb", buffering=2**20)
        return self._file
