"""The objects of a store: where they lie, and with reading, what they hold.

Both forms of an object are checked where there are two. Objects are read in portions, so that
none is ever held.
"""

from __future__ import annotations

from collections.abc import Callable

from codebatch.maintenance.verify.findings import EMPTY, Findings
from codebatch.maintenance.verify.selection import Selection
from codebatch.model.errors import StoreError
from codebatch.store.objects.cas import check_object
from codebatch.store.objects.zstd_frames import FrameDamagedError
from codebatch.store.path_kinds import FILE, OBJECTS, Entry, walk_store

Progress = Callable[[int, int], None]


def check_objects(findings: Findings, selection: Selection, progress: Progress | None) -> None:
    """Look at every object, and read those of the selection."""
    for entry in walk_store(findings.store.layout.door, OBJECTS):
        if findings.add_stray(entry):
            continue
        assert entry.place is not None  # noqa: S101 - what has none is stray
        findings.checked.objects += 1
        if entry.form != FILE:
            message = f"a {entry.form} stands in its place"
            findings.add_form(entry.place.digest, "OBJECT_DAMAGED", message, entry.path)
        elif selection.takes(entry.place.digest):
            _read(findings, entry, entry.place.digest)
        else:
            _look(findings, entry, entry.place.digest)
        if progress is not None:
            progress(findings.checked.objects, findings.checked.bytes)


def _look(findings: Findings, entry: Entry, digest: str) -> None:
    """Find what shows without reading: an empty file is no object but the empty one."""
    status = findings.store.layout.door.status(findings.store.root / entry.path)
    if status is None:
        return
    if status.st_size == 0 and not (entry.path.endswith(digest[-64:]) and digest == EMPTY):
        findings.add_form(digest, "OBJECT_DAMAGED", "the file is empty", entry.path)


def _read(findings: Findings, entry: Entry, digest: str) -> None:
    try:
        door = findings.store.layout.door
        found = check_object(door, f"{door.root}/{entry.path}", digest)
    except FileNotFoundError:
        return  # removed meanwhile: if something refers to it, that is noticed there
    except StoreError as error:
        findings.add_form(digest, "UNREADABLE", error.message, entry.path)
        return
    except FrameDamagedError as error:
        findings.add_form(digest, "OBJECT_DAMAGED", str(error), entry.path)
        return
    if found is None:
        message = "its bytes do not match its name"
        findings.add_form(digest, "OBJECT_DAMAGED", message, entry.path)
        return
    findings.checked.read += 1
    findings.checked.bytes += found.size
    findings.notes.objects_without_checksum += not found.has_checksum
