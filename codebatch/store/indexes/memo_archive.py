"""The memo as one file, to carry it to another machine: a plain tar archive.

``memo/<shard id>/<name>.memo`` are the segments as they lie in a store, ``objects/<hex>.zst``
the objects that their entries refer to, each compressed. Names, sizes and digests are checked
on the way in, member by member; nothing is ever extracted to a path that the archive names.
An archive from elsewhere is trusted as far as its results go: what was computed there is taken
for what would be computed here.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from codebatch.display.displayed import Displayed
from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import ArchiveInvalidError
from codebatch.store.destination import writing_file
from codebatch.store.files import read_file
from codebatch.store.indexes.memo import MemoStore, iter_entries, load_segment
from codebatch.store.layout import CHUNK_BYTES, MEMO_SUFFIX
from codebatch.store.objects.compression import CompressionError, compress, decompress
from codebatch.store.store import StoreDirectory

_SEGMENT = re.compile(rf"memo/([0-9a-f]{{1,3}})/([0-9a-f]{{64}}{re.escape(MEMO_SUFFIX)})\Z")
_OBJECT = re.compile(r"objects/([0-9a-f]{64})\.zst\Z")
_MAX_MEMBER_BYTES = 256 * 2**20


class Member(NamedTuple):
    """A segment, of the shard whose id ``prefix`` is, or with none an object, compressed, whose
    ``name`` are 64 hex digits.
    """

    prefix: str
    name: str
    data: bytes

    @property
    def path(self) -> str:
        """The name of the member in the archive."""
        return f"memo/{self.prefix}/{self.name}" if self.prefix else f"objects/{self.name}.zst"


@dataclass(frozen=True, repr=False)
class ArchiveReport(Displayed):
    """How many segments and objects an archive holds, and how many bytes they are in it."""

    segments: int
    objects: int
    bytes: int


def export_memo(store: StoreDirectory, path: Path) -> ArchiveReport:
    """Write the whole memo to ``path``; the same memo gives the same bytes."""
    referenced: set[str] = set()
    size = count = 0
    with (
        writing_file(os.fspath(path)) as stream,
        new_archive(stream) as add,
    ):
        for shard_id, segment in MemoStore(store.layout).segments():
            data = read_file(store.layout.door, segment, _MAX_MEMBER_BYTES)
            if data is None or not load_segment(store.layout.door, segment):
                continue  # trimmed meanwhile, or damaged
            count += 1
            size += add(Member(shard_id, segment.name, data))
            for entry in iter_entries(store.layout.door, segment):
                referenced.update(DIGEST_PREFIX + digest.hex() for digest in entry[3])
        objects = 0
        for digest in sorted(referenced):
            # Entries that refer to a missing or damaged object are not used, here or there.
            if store.objects.is_intact(digest, CHUNK_BYTES):
                data = compress(store.objects.read(digest, CHUNK_BYTES))
                size += add(Member("", digest[len(DIGEST_PREFIX) :], data))
                objects += 1
    return ArchiveReport(count, objects, size)


def import_memo(store: StoreDirectory, path: Path) -> ArchiveReport:
    """Add what an archive remembers; `ArchiveInvalidError` at the first member that is wrong.

    Segments added before it stay, and do no harm: an entry whose objects are not there is not
    used.
    """
    try:
        with open(path, "rb") as stream:
            return import_archive(store, stream, str(path))
    except OSError as error:
        raise _invalid(str(path), str(error.strerror or error)) from error


def import_archive(store: StoreDirectory, stream: BinaryIO, name: str) -> ArchiveReport:
    """Add what an archive of that name in a stream remembers, as `import_memo` does."""
    memo = MemoStore(store.layout)
    segments = objects = size = 0
    # Durable, as no run will look at these objects again before it relies on them.
    with store.group(durable=True) as group:
        for member in members_of(stream, name):
            size += len(member.data)
            if member.prefix:
                if not memo.add_segment(member.prefix, member.name, member.data):
                    raise _invalid(name, f"{member.name} is not a segment of a memo")
                segments += 1
            else:
                store.objects.put(raw_object(member, name), group)
                objects += 1
    return ArchiveReport(segments, objects, size)


def members_of(stream: BinaryIO, name: str) -> Iterator[Member]:
    """Yield the members of an archive of that name, whose bytes are not checked yet;
    `ArchiveInvalidError` at the first that is none.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for info in archive:
                data = archive.extractfile(info) if info.isreg() else None
                if data is None or info.size > _MAX_MEMBER_BYTES:
                    raise _invalid(name, f"it holds {info.name!r}, no file of a sensible size")
                if match := _SEGMENT.match(info.name):
                    yield Member(match[1], match[2], data.read())
                elif match := _OBJECT.match(info.name):
                    yield Member("", match[1], data.read())
                else:
                    raise _invalid(name, f"it holds {info.name!r}, which is no part of a memo")
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise _invalid(name, f"not an archive: {error}") from error


def raw_object(member: Member, name: str) -> bytes:
    """Return the bytes of an object in an archive of that name; `ArchiveInvalidError` where they
    are others than its name says.
    """
    try:
        raw = decompress(member.data, CHUNK_BYTES)
    except CompressionError as error:
        raise _invalid(name, f"object {member.name} is damaged: {error}") from error
    if digest_bytes(raw) != DIGEST_PREFIX + member.name:
        raise _invalid(name, f"object {member.name} has other bytes than its name says")
    return raw


@contextlib.contextmanager
def new_archive(stream: BinaryIO) -> Iterator[Callable[[Member], int]]:
    """Give what adds a member to an archive and returns its size; the same members give the same
    bytes.
    """
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        yield partial(_add, archive)


def _add(archive: tarfile.TarFile, member: Member) -> int:
    info = tarfile.TarInfo(member.path)  # no time, no owner
    info.size = len(member.data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(member.data))
    return info.size


def _invalid(name: str, problem: str) -> ArchiveInvalidError:
    return ArchiveInvalidError(
        f"cannot import {name}: {problem}",
        hints=["name a file that codebatch memo export wrote"],
    )
