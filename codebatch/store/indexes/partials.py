"""Partial values of batch tasks below ``indexes/partials/``, by key, so that none is made twice.

A folder a task, named by 16 digits of its fingerprint, holds two kinds of files. ``values/`` has
a file for each value that nodes pass on: 32 bytes, the SHA-256 of what follows, then a Zstandard
frame. ``packs/`` has what lies below a shard, in folders that spell its id digit by digit: files
named by the SHA-256 of their bytes, each a frame of very many values.

A frame holds MessagePack: a value is an array ``[key, target, nodes, value]``, a pack an array of
these. ``key`` is 32 bytes; ``target`` is empty, or the key under which the value stands, which is
empty here then; ``nodes`` says how many values of the tree it was made of, itself included. What
does not match its digest, or has another key than its name, counts as absent, as does a value that
is no MessagePack. Anyone may delete any of it at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import StoreError
from codebatch.store.door import Door
from codebatch.store.files import read_file, remove_file, write_file
from codebatch.store.indexes.shard_folders import ShardFolders, freshen, name_of
from codebatch.store.layout import PARTS_SUFFIX, Layout
from codebatch.store.objects.compression import CompressionError, compress, decompress
from codebatch.store.removal import remove_tree

MOST_BYTES = 2**30
_DIGEST_BYTES = 32
_SMALL_PACKS = 32
_SMALL_BYTES = 2**20


class Partial(NamedTuple):
    """A value of the tree, packed, and of how many values it was made, itself included.

    ``target`` is the key under which the value stands, where that is not here.
    """

    nodes: int
    value: bytes = b""
    target: str = ""


class PartialStore:
    """The partial values of one task in one store."""

    def __init__(self, layout: Layout, fingerprint: str) -> None:
        self._layout = layout
        self._door = layout.door
        self._fingerprint = fingerprint
        folder_of = partial(layout.partial_packs, fingerprint)
        self._folders = ShardFolders(layout.door, folder_of, PARTS_SUFFIX)

    def is_empty(self) -> bool:
        """Return whether nothing was kept of the task yet."""
        return not self._door.is_folder(self._layout.partials_of(self._fingerprint))

    def load(self, key: str) -> Partial | None:
        """Return the value that is passed on under a key, or None."""
        found = self._load(key)
        if found is not None and found.target:
            aimed = self._load(found.target)
            found = None if aimed is None else Partial(found.nodes, aimed.value)
        return found if found is not None and _is_readable(found) else None

    def find(self, key: str, packed: Mapping[str, Partial]) -> Partial | None:
        """Return a value from packs that were loaded, else the one that is passed on, or None."""
        found = packed.get(key)
        return found if found is not None and _is_readable(found) else self.load(key)

    def _load(self, key: str) -> Partial | None:
        path = self._layout.partial(self._fingerprint, key)
        try:
            data = read_file(self._door, path, MOST_BYTES)
        except StoreError:
            return None
        found = None if data is None else parse_partial(data)
        return found[1] if found is not None and found[0] == key else None

    def save(self, partials: Mapping[str, Partial]) -> None:
        """Keep values that are passed on, by key."""
        for key, one in partials.items():
            frame = compress(_packed(key, one))
            path = self._layout.partial(self._fingerprint, key)
            write_file(self._door, path, hashlib.sha256(frame).digest() + frame, durable=False)

    def freshen(self, keys: Iterable[str], now_ns: int) -> None:
        """Note that values were of use now: `gc` removes those that were not for long."""
        for key in keys:
            freshen(self._door, self._layout.partial(self._fingerprint, key), now_ns)

    def load_packs(
        self, prefix: str, now_ns: int | None = None, *, below: bool = True
    ) -> dict[str, Partial]:
        """Return all values in the packs of the shard with that id, and of those above and, with
        ``below``, below it: other batches had other widths.
        """
        found: dict[str, Partial] = {}
        for path in self._folders.files_for(prefix, below=below):
            entries = load_pack(self._door, path)
            found.update(entries)
            if now_ns is not None and entries:
                freshen(self._door, path, now_ns)
        return found

    def add_pack(self, prefix: str, partials: Mapping[str, Partial]) -> None:
        """Keep values below a shard, by key; many small packs of many runs become one."""
        if not partials:
            return
        folder = self._layout.partial_packs(self._fingerprint, prefix)
        small = self._folders.small_files(folder, _SMALL_BYTES)
        kept = dict(partials)
        if len(small) >= _SMALL_PACKS:
            for path in small:
                kept = {**load_pack(self._door, path), **kept}
        else:
            small = []
        written = self._write_pack(folder, kept)
        for path in small:
            if path != written:
                remove_file(self._door, path)

    def _write_pack(self, folder: Path, partials: Mapping[str, Partial]) -> Path:
        header = msgpack.Packer().pack_array_header(len(partials))
        data = compress(header + b"".join(_packed(key, partials[key]) for key in sorted(partials)))
        path = folder / name_of(data, PARTS_SUFFIX)
        write_file(self._door, path, data, durable=False)
        return path

    def forget(self) -> None:
        """Forget all values of the task."""
        remove_tree(self._door, self._layout.partials_of(self._fingerprint))


def is_whole(door: Door, path: Path) -> bool:
    """Return whether a file is what its name says; one that is gone does no harm."""
    try:
        data = read_file(door, path, MOST_BYTES)
    except StoreError:
        return False
    if data is None:
        return True
    if path.suffix == PARTS_SUFFIX:
        entries = _parse_pack(path.name, data)
        return bool(entries) and all(one.target or _is_readable(one) for one in entries.values())
    found = parse_partial(data)
    if found is None or found[0] != DIGEST_PREFIX + path.stem:
        return False
    return bool(found[1].target) or _is_readable(found[1])


def unpack_value(data: bytes) -> Any:
    """Return a value that nothing else refers to; ValueError or TypeError where it is none."""
    return msgpack.unpackb(
        data, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_refuse
    )


def _refuse(code: int, _: bytes) -> Any:
    raise ValueError(f"a value with an extension of MessagePack: {code}")


def _is_readable(partial: Partial) -> bool:
    """Return whether the value itself is here, and unpacks: else every run would fail on it."""
    try:
        unpack_value(partial.value)
    except (ValueError, TypeError):
        return False
    return True


def parse_partial(data: bytes) -> tuple[str, Partial] | None:
    """Return what is in a file of a value, with its key; None where it is damaged."""
    digest, frame = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(frame).digest() != digest:
        return None
    try:
        return _parsed(msgpack.unpackb(decompress(frame, MOST_BYTES), use_list=False))
    except (CompressionError, ValueError, TypeError):
        return None


def load_pack(door: Door, path: Path) -> dict[str, Partial]:
    """Return the values in a pack, by key; none where it is gone or damaged."""
    try:
        data = read_file(door, path, MOST_BYTES)
    except StoreError:
        return {}
    return {} if data is None else _parse_pack(path.name, data)


def _parse_pack(name: str, data: bytes) -> dict[str, Partial]:
    if name_of(data, PARTS_SUFFIX) != name:
        return {}
    try:
        entries = msgpack.unpackb(decompress(data, MOST_BYTES), use_list=False)
        return dict(map(_parsed, entries))
    except (CompressionError, ValueError, TypeError):
        return {}


def _packed(key: str, partial: Partial) -> bytes:
    target = _raw(partial.target) if partial.target else b""
    packed: bytes = msgpack.packb([_raw(key), target, partial.nodes, partial.value])
    return packed


def _parsed(entry: Any) -> tuple[str, Partial]:
    """Return a value with its key; TypeError or ValueError for what is none."""
    key, target, nodes, value = entry
    if type(key) is not bytes or len(key) != _DIGEST_BYTES or len(target) not in (0, 32):
        raise ValueError("not a partial value")
    if type(nodes) is not int or type(value) is not bytes or type(target) is not bytes:
        raise TypeError("not a partial value")
    return _digest(key), Partial(nodes, value, _digest(target) if target else "")


def _raw(digest: str) -> bytes:
    return bytes.fromhex(digest[len(DIGEST_PREFIX) :])


def _digest(raw: bytes) -> str:
    return DIGEST_PREFIX + raw.hex()
