"""Sweep the objects: remove those that are neither marked nor young."""

from __future__ import annotations

import os
from collections.abc import Iterator

from codebatch.maintenance.gc.marks import DigestSet
from codebatch.maintenance.gc.report import Collected
from codebatch.store.door import Door
from codebatch.store.inventory import (
    ASIDE_PREFIX,
    OBJECT_PREFIXES,
    FoundFile,
    ObjectFolder,
    object_folders,
)
from codebatch.store.layout import Layout
from codebatch.store.removal import (
    put_back_object,
    remove_aside,
    remove_empty_folder,
    remove_if_old,
)


def sweep_objects(layout: Layout, marks: DigestSet, before_ns: int, found: Collected) -> None:
    """Remove what was last modified before a moment and is not marked.

    An object that an earlier `gc` set aside and did not remove is given its name again first.
    """
    for prefix in OBJECT_PREFIXES:
        needed = marks.starting_with(int(prefix, 16))
        for folder in object_folders(layout, prefix):
            if not found.dry_run:
                _restore(layout.door, folder, needed, before_ns)
            for file in _unneeded(folder, needed, before_ns, found):
                if found.dry_run or remove_if_old(layout.door, file.path, before_ns):
                    found.add("objects", file)
            if folder.is_empty and folder.modified_ns < before_ns and not found.dry_run:
                remove_empty_folder(layout.door, folder.path)


def _unneeded(
    folder: ObjectFolder, needed: frozenset[bytes], before_ns: int, found: Collected
) -> Iterator[FoundFile]:
    for digest, file in folder.objects:
        if digest not in needed and file.modified_ns < before_ns:
            yield file
        else:
            found.keep("objects", file)


def _restore(door: Door, folder: ObjectFolder, needed: frozenset[bytes], before_ns: int) -> None:
    for digest, file in folder.aside:
        name = os.path.basename(file.path).removeprefix(ASIDE_PREFIX)
        if digest in needed and not door.is_there(f"{folder.path}/{name}"):
            put_back_object(door, file.path)
        else:
            remove_aside(door, file.path, before_ns)
