"""Repair of packs: an index is made from the pack, a damaged pack from what is whole in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import StoreDamagedError
from codebatch.store import ABSENT, StoreDirectory, reporting_read_errors
from codebatch.store.files import file_stamp
from codebatch.store.objects.forms import read_frame
from codebatch.store.objects.pack_walk import walk_pack
from codebatch.store.objects.pack_writer import OBJECT_MODE
from codebatch.store.objects.packs import Found, index_name, index_of, load_index
from codebatch.store.removal import drop_file


def rebuild_index(store: StoreDirectory, name: str) -> bool:
    """Make the index of a pack from its frames; return False where none is whole. Where they do not
    give the index that was there, they become a pack of another name.
    """
    layout = store.layout
    walk = walk_pack(layout, name)
    data = index_of((frame.digits, frame.offset, frame.size) for frame in walk.frames)
    if index_name(data) == name:
        with store.group(durable=True) as group:
            group.add(layout.pack_index(name), data, OBJECT_MODE)
        return True
    # What is left of a pack that is not all read may be of use to somebody: it stays.
    return _write_anew(store, name, walk.frames, drop=walk.is_whole)


def rewrite_pack(store: StoreDirectory, name: str) -> bool:
    """Write what is whole in a pack anew and remove the pack; return False where nothing is."""
    index = load_index(store.layout, name)
    if index is None and store.layout.door.is_file(store.layout.pack(name)):
        return False  # its index is gone meanwhile
    return _write_anew(store, name, [] if index is None else index.frames())


def is_elsewhere(store: StoreDirectory, digest: str, path: str) -> bool:
    """Return True if an object is whole, in another place than the file or pack at that path."""
    layout, packs = store.layout, store.objects.packs
    packs.refresh()
    packed = packs.places(digest[len(DIGEST_PREFIX) :], fresh=False)
    files = Found(layout.compressed_object(digest)), Found(layout.object(digest))
    return any(store.objects.is_whole(one, digest) for one in (*files, *packed) if one.path != path)


def _write_anew(
    store: StoreDirectory, name: str, frames: Iterable[Found], *, drop: bool = True
) -> bool:
    """Write what is whole of frames into a new pack; `StoreReadError` where that cannot be told, so
    that theirs stays.
    """
    layout = store.layout
    pack, index = Path(layout.pack(name)), Path(layout.pack_index(name))
    before, written = file_stamp(layout.door, pack), 0
    with store.group(durable=True) as group:
        writer = store.objects.pack_writer(group)
        with (
            contextlib.suppress(StoreDamagedError, *ABSENT),
            reporting_read_errors(pack),
            layout.door.stream(pack) as stream,
        ):
            for found in frames:
                frame = read_frame(stream, found)
                if frame is not None and found.digits not in writer:
                    writer.add_frame(found.digits, frame)
                    written += 1
    if file_stamp(layout.door, pack) == before:  # else it has been written under the same name
        drop_file(layout.door, index, lambda _: False)
        if drop:
            drop_file(layout.door, pack, lambda _: False)
    return written > 0
