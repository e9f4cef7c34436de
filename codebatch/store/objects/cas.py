"""The content-addressed object store: immutable bytes named by their digest.

An object is stored once, raw or zstd-compressed, whichever is clearly smaller; the name is
always the digest of the raw bytes. Every read checks the bytes against the name, so damage is
reported and never handed on. Adding bytes that are there already restores them where they are
damaged, whatever stands in their place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import ObjectNotFoundError, StoreDamagedError, StoreError
from codebatch.store.door import ABSENT, Folder
from codebatch.store.layout import CHUNK_BYTES, COMPRESSED_SUFFIX, HELD_BYTES, OBJECT_BYTES, Layout
from codebatch.store.leases.leases import Pins, kept_in
from codebatch.store.objects.compression import (
    CompressionError,
    FrameWriter,
    declared_size,
    has_sound_frame,
    stored_limit,
)
from codebatch.store.objects.forms import (
    FRAME_BYTES,
    StoredBytes,
    StoredForm,
    check_object,
    damaged,
    forms,
    frame,
    missing,
    new_form,
    open_stored,
    opened,
    raw_portions,
)
from codebatch.store.objects.pack_writer import OBJECT_MODE, PackWriter
from codebatch.store.objects.packs import Found, Packs, pack_names
from codebatch.store.write_group import WriteGroup, reporting_read_errors


class StoredObject(NamedTuple):
    """An object in the store: ``size`` is of the raw bytes, ``location`` as `location` gives it,
    without a pack where it is to be in one that does not exist yet.
    """

    digest: str
    size: int
    location: str


PACKED_VERSION = 2  # of the format, the first that has packs


class ObjectStore:
    """Reads and writes the objects of one store."""

    def __init__(self, layout: Layout) -> None:
        self.packs = Packs(layout)
        self._layout = layout
        self._door = layout.door
        self.packing = layout.version >= PACKED_VERSION

    def location(self, digest: str) -> str | None:
        """Return where an object is: the path of its file relative to the folder of such files, or
        its digits, ``@`` and the name of the pack; None where it is not there.
        """
        found = self._find(digest)
        return None if found is None else self._location(found)

    def are_at(self, locations: Iterable[bytes]) -> bool:
        """Return True if there is an object at each of these places, whatever its bytes."""
        parts = [location.partition(b"@") for location in locations]
        packs = {pack.decode("ascii", "replace") for _, at, pack in parts if at}
        if not packs <= pack_names(self._layout):
            return False
        files = [place for place, at, _ in parts if not at]
        if not files:
            return True
        try:
            folder = self._door.folder(self._layout.objects)
        except (OSError, StoreError):
            return False
        with folder:
            # Very many at once, to spare reading their sources: whoever reads one of them looks
            # closer, and whoever lists them in a snapshot relies on the bytes alone.
            return all(os.access(place, os.F_OK, dir_fd=folder.descriptor) for place in files)

    def has(self, digest: str) -> bool:
        """Return True if there is such an object, not empty; its bytes are not looked at."""
        return self._is_there(digest, Folder.is_filled)

    def has_all(self, digests: Iterable[str]) -> bool:
        """Return True if `has` does of each; a pack is looked at once for all that it has."""
        packs: dict[str, bool] = {}
        for digest in digests:
            found = self.packs.find(_digits(digest), fresh=False)
            if found is not None and found.path not in packs:
                packs[found.path] = self._holds(found.path, Folder.is_filled)
            if not (found and packs[found.path]) and not self.has(digest):
                return False
        return True

    def is_kept(self, digest: str, since_ns: int | None) -> bool:
        """Return True if `has` does and `gc` keeps it for a writer with a lease since then."""
        if since_ns is None:
            return self.has(digest)
        return self._is_there(digest, lambda folder, name: bool(kept_in(folder, name, since_ns)))

    def _is_there(self, digest: str, holds: Callable[[Folder, str], bool]) -> bool:
        """Return True if that holds of a file in which the object is, in the order of readers."""
        with contextlib.suppress(StoreError):
            return any(self._holds(found.path, holds) for found in self.places(digest))
        return False

    def _holds(self, path: str, holds: Callable[[Folder, str], bool]) -> bool:
        with contextlib.suppress(OSError, StoreError):
            folder, name = self._door.above(path)
            with folder:
                return holds(folder, name)
        return False

    def settled(self, locations: Iterable[bytes]) -> list[bytes]:
        """Return locations with the packs that did not exist when they were given."""
        self.packs.refresh()
        given = [*locations]
        packs = self.packs.names_of(frozenset(one[:-1] for one in given if one.endswith(b"@")))
        return [self._settled(one, packs) if one.endswith(b"@") else one for one in given]

    def _settled(self, location: bytes, packs: Mapping[bytes, str]) -> bytes:
        digits = location[:-1]
        if digits in packs:
            return location + packs[digits].encode()
        return (self.location(DIGEST_PREFIX + digits.decode()) or "").encode()

    def is_intact(self, digest: str, limit: int = OBJECT_BYTES) -> bool:
        """Return True if it is there and its bytes, at most so many, are what its name says."""
        return any(self.is_whole(found, digest, limit) for found in self.places(digest))

    def is_whole(self, found: Found, digest: str, limit: int = OBJECT_BYTES) -> bool | None:
        """Return whether what is there is the object; None where nothing is there any more."""
        try:
            return check_object(self._door, found, digest, limit) is not None
        except ABSENT:
            return None
        except (StoreError, CompressionError):
            return False

    def put(self, data: bytes, group: WriteGroup, pins: Pins | None = None) -> StoredObject:
        """Add the bytes unless they are there, intact; durable when the group is.

        Without ``pins`` they may be gone at any time after.
        """
        digest = digest_bytes(data)
        digits = _digits(digest)
        writer = self.pack_writer(group) if self.packing else None
        if writer is not None and digits in writer:
            return StoredObject(digest, len(data), f"{digits}@")
        found = None
        if writer is None or digits[:2] in writer.parts:
            for path in forms(self._layout.object(digest)):
                if group.is_pending(self._door.place(path)):
                    return StoredObject(digest, len(data), self._location(Found(path)))
            # The form that readers find first has to be right.
            found = next(iter(self._files(digest)), None)
        found = found or self.packs.find(digits, fresh=False)
        if found is None and writer is not None and len(data) <= CHUNK_BYTES:
            writer.add(digits, data)
            return StoredObject(digest, len(data), f"{digits}@")
        if found and self.is_whole(found, digest, len(data)) and _pin(pins, found.path):
            return StoredObject(digest, len(data), self._location(found))
        damaged = os.path.basename(found.path) if found and not found.pack else None
        return StoredObject(digest, len(data), self._add_file(group, digits, data, damaged))

    def _add_file(
        self, group: WriteGroup, digits: str, data: bytes, damaged: str | None = None
    ) -> str:
        """Write an object into a file of its own; return its location."""
        form, stored = new_form(digits, data, damaged)
        location, objects = f"{digits[:2]}/{digits[2:4]}/{form}", self._layout.objects
        group.add(f"{objects}/{location}", stored, OBJECT_MODE, above=objects)
        return location

    def pack_writer(self, group: WriteGroup) -> PackWriter:
        """Return what gathers new objects for a group."""
        if not isinstance(group.gathering, PackWriter):
            self.packs.refresh()
            group.gathering = PackWriter(
                self._layout,
                group,
                frozenset(self._door.names(self._layout.objects)),
                frame,
                partial(self._add_file, group),
            )
        return group.gathering

    def pin(self, digest: str, pins: Pins) -> bool:
        """Pin an object; return False where it is not there."""
        return any(pins.add(found.path) for found in self.places(digest))

    def put_stream(
        self, portions: Iterable[bytes], group: WriteGroup, pins: Pins | None = None
    ) -> StoredObject:
        """Add bytes of any length without holding them."""
        hasher = hashlib.sha256()
        size = 0
        compressor = FrameWriter()
        with group.stream(self._layout.objects, OBJECT_MODE) as file:
            for portion in portions:
                hasher.update(portion)
                size += len(portion)
                file.write(compressor.compress(portion))
            file.write(compressor.finish())
            digest = DIGEST_PREFIX + hasher.hexdigest()
            found = self._find(digest)
            if found is None or not (self.is_whole(found, digest, size) and _pin(pins, found.path)):
                file.path = self._layout.compressed_object(digest)
                found = Found(file.path)
        return StoredObject(digest, size, self._location(found))

    def read(self, digest: str, limit: int = HELD_BYTES) -> bytes:
        """The raw bytes, checked against the digest; an object of more than so many is damaged."""
        try:
            return open_stored(self.read_stored(digest, limit), limit)
        except StoreDamagedError:
            for copy in self._copies(digest, stored_limit(limit)):
                with contextlib.suppress(StoreDamagedError):
                    return open_stored(copy, limit)
            raise

    def read_stored(self, digest: str, limit: int = HELD_BYTES) -> StoredBytes:
        """The bytes as they lie in the store, of an object that has at most so many; of several
        copies the first that is not seen to be damaged.
        """
        first = None
        for copy in self._copies(digest, stored_limit(limit)):
            if not copy.compressed or has_sound_frame(copy.data):
                return copy
            first = first or copy
        if first is None:
            raise missing(digest)
        return first

    def _copies(self, digest: str, most: int) -> Iterator[StoredBytes]:
        """Yield what is stored of an object, at most so many bytes of each copy: what is in packs
        that are known, as most are, in files, and in packs that were not known.
        """
        digits = _digits(digest)
        known = self.packs.places(digits, fresh=False)
        yield from self._packed_copies(digest, known, most)
        parent, name = os.path.split(self._layout.object(digest))
        with (
            contextlib.suppress(*ABSENT),
            reporting_read_errors(parent),
            self._door.folder(parent) as folder,
        ):
            for form in forms(name):
                with contextlib.suppress(FileNotFoundError):
                    stored = folder.read(form, most)
                    yield StoredBytes(digest, form.endswith(COMPRESSED_SUFFIX), stored)
        self.packs.refresh()
        others = [one for one in self.packs.places(digits, fresh=False) if one not in known]
        yield from self._packed_copies(digest, others, most)

    def _packed_copies(
        self, digest: str, places: Iterable[Found], most: int
    ) -> Iterator[StoredBytes]:
        for found in places:
            if found.size > min(most, FRAME_BYTES):
                data: bytes | None = b""
            else:
                data = self.packs.read(found)
                if data is not None and not has_sound_frame(data):
                    data = self.packs.read_again(found)
            if data is not None:
                is_small = 0 <= (declared_size(data) or 0) <= CHUNK_BYTES
                yield StoredBytes(digest, compressed=True, data=data if is_small else b"")

    def read_head(self, digest: str, size: int) -> bytes:
        """The first bytes, checked as `read` checks; an object of any length is not held."""
        head = b""
        for portion in self.portions(digest):
            head += portion[: size - len(head)]
        return head

    def size(self, digest: str) -> int:
        """Return the number of raw bytes, checked as `read` checks."""
        return sum(map(len, self.portions(digest)))

    def portions(self, digest: str) -> Iterator[bytes]:
        """The raw bytes in portions. Whether they match the digest is known at the end: nothing
        may be made of them before.
        """
        files = self._files(digest)
        if not files or self.packs.places(_digits(digest), fresh=False):
            try:
                data = self.read(digest, CHUNK_BYTES)
            except StoreDamagedError:
                if not files:
                    raise
            else:
                yield data
                return
        yield from self._portions(digest, files)

    def _portions(self, digest: str, files: Iterable[Found]) -> Iterator[bytes]:
        hasher = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            found, read = self._open(digest, files, stack)
            try:
                with reporting_read_errors(found.path):
                    for portion in raw_portions(found, read, OBJECT_BYTES):
                        hasher.update(portion)
                        yield portion
            except CompressionError as error:
                raise damaged(digest) from error
        if DIGEST_PREFIX + hasher.hexdigest() != digest:
            raise damaged(digest)

    def _open(
        self, digest: str, files: Iterable[Found], stack: contextlib.ExitStack
    ) -> tuple[Found, Callable[[int], bytes]]:
        for found in files:
            with contextlib.suppress(*ABSENT), reporting_read_errors(found.path):
                return found, stack.enter_context(opened(self._door, found))
        raise missing(digest)

    def find(self, digits: str) -> list[str]:
        """The digests that start with these hex digits (lower case, at least four), sorted."""
        names = self._door.names(f"{self._layout.objects}/{digits[:2]}/{digits[2:4]}")
        found = {name.removesuffix(COMPRESSED_SUFFIX) for name in names if name.startswith(digits)}
        for index in self.packs.all():
            found.update(one.digits for one in index.starting_with(digits.encode()))
        return sorted(DIGEST_PREFIX + name for name in found)

    def stored_form(self, digest: str) -> StoredForm:
        """Return the form in which the object is stored; `ObjectNotFoundError` where it is not."""
        found = self._find(digest)
        if found is None:
            raise ObjectNotFoundError(f"no object {digest} in the store")
        if found.pack:
            return StoredForm(found.size, compressed=True)
        status = self._door.status(found.path)
        size = 0 if status is None else status.st_size
        return StoredForm(size, found.is_frame)

    def _find(self, digest: str) -> Found | None:
        return next(self.places(digest), None)

    def places(self, digest: str) -> Iterator[Found]:
        """Yield where an object is, in the order of readers: the next one is for whoever finds that
        the one before is gone.
        """
        yield from self._files(digest)
        yield from self._packed(_digits(digest))

    def _files(self, digest: str) -> list[Found]:
        """Return the files of an object, in the order of readers."""
        parent, name = os.path.split(self._layout.object(digest))
        with (
            contextlib.suppress(*ABSENT),
            reporting_read_errors(parent),
            self._door.folder(parent) as folder,
        ):
            return [Found(f"{parent}/{form}") for form in forms(name) if folder.has(form)]
        return []

    def _packed(self, digits: str) -> Iterator[Found]:
        """Yield where it is in packs; then where it is now, as `gc` may have put another pack in
        the place of one.
        """
        packed = self.packs.places(digits)
        yield from packed
        if packed:
            self.packs.refresh()
            yield from (one for one in self.packs.places(digits) if one not in packed)

    def _location(self, found: Found) -> str:
        if found.pack:
            return f"{found.digits}@{found.pack}"
        return found.path[len(self._layout.objects) + 1 :]


def _digits(digest: str) -> str:
    return digest[len(DIGEST_PREFIX) :]


def _pin(pins: Pins | None, path: str) -> bool:
    return pins is None or pins.add(path)
