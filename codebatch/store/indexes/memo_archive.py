"""The memo as one file, to carry it to another machine: a plain tar archive.

``memo/<shard id>/<name>.memo`` are the segments as they lie in a store, ``objects/<hex>.zst``
the objects that their entries refer to, each compressed. Names, sizes and digests are checked
on the way in, member by member; nothing is ever extracted to a path that the archive names.
An archive from elsewhere is trusted as far as its results go: what was computed there is taken
for what would be computed here.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import ArchiveInvalidError
from codebatch.store.destination import writing_file
from codebatch.store.files import read_file
from codebatch.store.indexes.memo import MemoStore, iter_entries, load_segment
from codebatch.store.layout import CHUNK_BYTES, MEMO_SUFFIX
from codebatch.store.objects.compression import CompressionError, compress, decompress
from codebatch.store.store import StoreDirectory
from codebatch.store.write_group import WriteGroup

_SEGMENT = re.compile(rf"memo/([0-9a-f]{{1,3}})/([0-9a-f]{{64}}{re.escape(MEMO_SUFFIX)})\Z")
_OBJECT = re.compile(r"objects/([0-9a-f]{64})\.zst\Z")
_MAX_MEMBER_BYTES = 256 * 2**20


@dataclass(frozen=True)
class ArchiveReport:
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
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for shard_id, segment in MemoStore(store.layout).segments():
            data = read_file(store.layout.door, segment, _MAX_MEMBER_BYTES)
            if data is None or not load_segment(store.layout.door, segment):
                continue  # trimmed meanwhile, or damaged
            count += 1
            size += _add(archive, f"memo/{shard_id}/{segment.name}", data)
            for entry in iter_entries(store.layout.door, segment):
                referenced.update(DIGEST_PREFIX + digest.hex() for digest in entry[3])
        objects = 0
        for digest in sorted(referenced):
            # Entries that refer to a missing or damaged object are not used, here or there.
            if store.objects.is_intact(digest, CHUNK_BYTES):
                data = compress(store.objects.read(digest, CHUNK_BYTES))
                size += _add(archive, f"objects/{digest[len(DIGEST_PREFIX) :]}.zst", data)
                objects += 1
    return ArchiveReport(count, objects, size)


def import_memo(store: StoreDirectory, path: Path) -> ArchiveReport:
    """Add what an archive remembers; `ArchiveInvalidError` at the first member that is wrong.

    Segments added before it stay, and do no harm: an entry whose objects are not there is not
    used.
    """
    memo = MemoStore(store.layout)
    segments = objects = size = 0
    # Durable, as no run will look at these objects again before it relies on them.
    with store.group(durable=True) as group:
        for name, data in _members(path):
            size += len(data)
            if match := _SEGMENT.match(name):
                if not memo.add_segment(match[1], match[2], data):
                    raise _invalid(path, f"{name} is not a segment of a memo")
                segments += 1
            elif match := _OBJECT.match(name):
                _put_object(store, path, match[1], data, group)
                objects += 1
            else:
                raise _invalid(path, f"it holds {name!r}, which is no part of a memo")
    return ArchiveReport(segments, objects, size)


def _put_object(
    store: StoreDirectory, path: Path, name: str, data: bytes, group: WriteGroup
) -> None:
    try:
        raw = decompress(data, CHUNK_BYTES)
    except CompressionError as error:
        raise _invalid(path, f"object {name} is damaged: {error}") from error
    if digest_bytes(raw) != DIGEST_PREFIX + name:
        raise _invalid(path, f"object {name} has other bytes than its name says")
    store.objects.put(raw, group)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each member of an archive."""
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or member.size > _MAX_MEMBER_BYTES:
                    raise _invalid(path, f"it holds {member.name!r}, no file of a sensible size")
                yield member.name, stream.read()
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise _invalid(path, f"not an archive: {error}") from error
    except OSError as error:
        raise _invalid(path, str(error.strerror or error)) from error


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> int:
    member = tarfile.TarInfo(name)  # no time, no owner
    member.size = len(data)
    member.mode = 0o644
    archive.addfile(member, io.BytesIO(data))
    return len(data)


def _invalid(path: Path, problem: str) -> ArchiveInvalidError:
    return ArchiveInvalidError(
        f"cannot import {path}: {problem}",
        hints=["name a file that codebatch memo export wrote"],
    )
