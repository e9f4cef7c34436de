"""The memo: lines that tasks computed for files, by key, so that nothing is computed twice.

It lies below ``indexes/memo/`` in folders that spell the id of a shard digit by digit. A folder
holds *segments*: immutable files named by the SHA-256 of their bytes, each a Zstandard frame of
msgpack. A run adds one segment for what it computed; readers of a shard look at the segments of
its folder, of those above (shards were wider) and below (shards were narrower). A segment whose
bytes do not give its name, or do not hold what they should, counts as absent. So writers need no
lock, a sudden death costs no more than a segment, and anyone may delete any of it at any time.

A segment is an array of entries (`model.record_lines`) ordered by key. Entries are kept as they
are packed and unpacked when they are recalled, one at a time: of hostile bytes, what is unpacked
may take a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgpack

from codebatch.model.errors import StoreError
from codebatch.model.record_lines import Entry, FileLines, entry_key, from_entry, is_entry, to_entry
from codebatch.store.door import Door
from codebatch.store.files import read_file, remove_file, write_file
from codebatch.store.indexes.shard_folders import ShardFolders, freshen, name_of
from codebatch.store.layout import MEMO_SUFFIX, Layout
from codebatch.store.objects.compression import CompressionError, compress, decompress

_SEGMENT_BYTES = 64 * 2**20
MOST_BYTES = 2 * _SEGMENT_BYTES
# How an entry begins, an array of five with 32 bytes first, and where these and the lines are.
_START, _KEY, _LINES = b"\x95\xc4\x20", slice(3, 35), 35
_SIZES_OF_LINES = {0xC4: 1, 0xC5: 2, 0xC6: 4}  # of the length of bytes, by its first byte
_AROUND_LINES_BYTES = 2**20  # counts, names of objects: no entry of ours has so much
_SMALL_BYTES = 256 * 2**10
_SMALL_SEGMENTS = 48


class Memo:
    """The memo entries of one shard.

    State: ``_entries`` has each entry as it is packed, ``_places`` the segment it came from.
    """

    def __init__(self, door: Door, segments: Iterable[Path]) -> None:
        self._door = door
        self._entries: dict[bytes, bytes] = {}
        self._places: dict[bytes, Path] = {}
        self._used: set[Path] = set()
        for path in segments:
            for packed in load_segment(door, path):
                self._entries[key_in(packed)] = packed
                self._places[key_in(packed)] = path

    def lookup(self, key: str) -> FileLines | None:
        """The lines under a key, or None."""
        wire_key = entry_key(key)
        packed = self._entries.get(wire_key)
        if packed is None:
            return None
        self._used.add(self._places[wire_key])
        entry = unpack_entry(packed)
        return None if entry is None else from_entry(entry)

    def freshen(self, now_ns: int) -> None:
        """Note on each segment that was of use when that was: `gc` trims by age of use."""
        for path in sorted(self._used):
            freshen(self._door, path, now_ns)


class MemoStore:
    """The memo of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._door = layout.door
        self._folders = ShardFolders(layout.door, layout.memo_folder, MEMO_SUFFIX)

    def open(self, shard_id: str) -> Memo:
        """All memo entries of the files of a shard."""
        return Memo(self._door, sorted(self._folders.files_for(shard_id)))

    def add(self, shard_id: str, results: Mapping[str, FileLines]) -> None:
        """Remember results, by key."""
        if not results:
            return
        folder = self._layout.memo_folder(shard_id)
        self._merge_small(folder)
        packed = sorted(msgpack.packb(to_entry(key, result)) for key, result in results.items())
        _write(self._door, folder, packed)

    def forget(self, shard_id: str) -> None:
        """Forget everything about the files of a shard."""
        for path in self._folders.files_for(shard_id):
            remove_file(self._door, path)

    def add_segment(self, prefix: str, name: str, data: bytes) -> bool:
        """Put a segment that came from elsewhere into place; False where it is no segment."""
        if not is_segment(name, data):
            return False
        write_file(self._door, self._layout.memo_folder(prefix) / name, data, durable=False)
        return True

    def segments(self) -> list[tuple[str, Path]]:
        """All segments with the id of their shard, in order."""
        root = self._layout.memo
        return sorted(
            ("".join(path.parent.relative_to(root).parts), path)
            for path in self._folders.files_in(root, 3)
        )

    def _merge_small(self, folder: Path) -> None:
        """Many small segments, of many runs after small changes, become one."""
        door, small = self._door, self._folders.small_files(folder, _SMALL_BYTES)
        if len(small) < _SMALL_SEGMENTS:
            return
        entries = {key_in(e): e for path in sorted(small) for e in load_segment(door, path)}
        written = _write(door, folder, [entries[key] for key in sorted(entries)])
        for path in set(small) - set(written):  # the sum may be there already
            remove_file(door, path)


def is_segment(name: str, data: bytes) -> bool:
    """Return True for the whole bytes of a segment of that name, every entry well-formed."""
    entries = entries_in(name, data)
    return bool(entries) and None not in map(unpack_entry, entries)


def iter_entries(door: Door, path: Path) -> Iterator[Entry]:
    """Yield the entries of a segment that are well-formed."""
    return (entry for entry in map(unpack_entry, load_segment(door, path)) if entry is not None)


def load_segment(door: Door, path: Path) -> tuple[bytes, ...]:
    """Return the entries of a segment as they are packed; none where it is gone or damaged.

    What is in them but their keys is as the file has it, and checked when it is recalled.
    """
    try:
        data = read_file(door, path, MOST_BYTES)
    except StoreError:
        return ()
    return () if data is None else entries_in(path.name, data)


def entries_in(name: str, data: bytes) -> tuple[bytes, ...]:
    """Return what `load_segment` does for the bytes of a segment of that name."""
    return _packed_entries(data) if name_of(data, MEMO_SUFFIX) == name else ()


def make_segment(packed: Sequence[bytes]) -> tuple[str, bytes]:
    """Return the name and the bytes of a segment of these entries, which are ordered by key."""
    data = compress(msgpack.Packer().pack_array_header(len(packed)) + b"".join(packed))
    return name_of(data, MEMO_SUFFIX), data


def key_in(packed: bytes) -> bytes:
    """Return the key of an entry as it is packed."""
    return packed[_KEY]


def is_by_batch(packed: bytes, batch_id: str) -> bool:
    """Return True if the batch has computed an entry, which is as it is packed."""
    return packed.endswith(msgpack.packb(batch_id))


def _write(door: Door, folder: Path, packed: list[bytes]) -> list[Path]:
    """Write entries as one segment, or several where they are many bytes; returns which."""
    written: list[Path] = []
    portion: list[bytes] = []
    size = 0
    for entry in packed:
        if len(entry) > _SEGMENT_BYTES:
            continue  # dearer to keep and load than most of what it would save
        if size + len(entry) > _SEGMENT_BYTES:
            written.append(_write_one(door, folder, portion))
            portion, size = [], 0
        portion.append(entry)
        size += len(entry)
    if portion:
        written.append(_write_one(door, folder, portion))
    return written


def _write_one(door: Door, folder: Path, packed: list[bytes]) -> Path:
    name, data = make_segment(packed)
    write_file(door, folder / name, data, durable=False)
    return folder / name


def _packed_entries(data: bytes) -> tuple[bytes, ...]:
    """Take a segment apart without unpacking its entries; one that is none makes it none."""
    found = []
    try:
        raw = decompress(data, MOST_BYTES)
        unpacker = msgpack.Unpacker(max_buffer_size=len(raw))
        unpacker.feed(raw)
        count, start = unpacker.read_array_header(), unpacker.tell()
        for _ in range(count):
            unpacker.skip()
            end = unpacker.tell()
            if not raw.startswith(_START, start) or not _has_lines(packed := raw[start:end]):
                return ()
            found.append(packed)
            start = end
    except (CompressionError, ValueError, msgpack.OutOfData):
        return ()
    return tuple(found) if start == len(raw) else ()


def _has_lines(packed: bytes) -> bool:
    """Return True for what has lines where an entry has, and no more around them than one."""
    size = _SIZES_OF_LINES.get(packed[_LINES]) if len(packed) > _LINES else None
    if size is None:
        return False
    length = int.from_bytes(packed[_LINES + 1 : _LINES + 1 + size], "big")
    return len(packed) - length <= _AROUND_LINES_BYTES


def unpack_entry(packed: bytes) -> Entry | None:
    """Return an entry that was packed; None for what is none."""
    try:
        entry: Entry = msgpack.unpackb(packed, use_list=False)
    except ValueError:
        return None
    return entry if is_entry(entry) else None
