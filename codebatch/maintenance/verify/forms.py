"""Objects in the forms in which they are stored: files of their own, and frames of packs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from codebatch.maintenance.verify.findings import Findings
from codebatch.maintenance.verify.problems import Problem
from codebatch.maintenance.verify.selection import Selection
from codebatch.model.digest import DIGEST_PREFIX, EMPTY
from codebatch.model.errors import StoreError
from codebatch.store import ABSENT, StoreDirectory, check_object
from codebatch.store import path_kinds as kinds
from codebatch.store.layout import CHUNK_BYTES, OBJECT_BYTES
from codebatch.store.objects.compression import CompressionError
from codebatch.store.objects.forms import FRAME_BYTES
from codebatch.store.objects.packs import Found
from codebatch.store.path_kinds import Entry, Place

_DAMAGED = "OBJECT_DAMAGED"


def check_files(findings: Findings, entries: Iterable[Entry], selection: Selection) -> None:
    """Look at the files of objects, and read those of the selection."""
    for entry in entries:
        if findings.add_stray(entry) or entry.place is None:
            continue
        place, digest, wrong = entry.place, entry.place.digest, None
        findings.checked.objects += 1
        if entry.form != kinds.FILE:
            wrong = Problem(_DAMAGED, f"a {entry.form} stands in its place", entry.path, place)
        elif selection.takes(digest):
            found = Found(f"{findings.store.layout.door.root}/{entry.path}")
            wrong = problem_with(findings, found, digest)
        elif entry.size == 0 and not (digest == EMPTY and entry.path.endswith(EMPTY[-64:])):
            wrong = Problem(_DAMAGED, "the file is empty", entry.path, place)
        if wrong is not None:
            findings.lose(digest, wrong)
        elif entry.size is not None:
            findings.note_object(digest)
        findings.tell_objects()


def read_frames(
    findings: Findings,
    frames: Iterable[Found],
    selection: Selection,
    problem: Problem | None = None,
) -> None:
    """Read frames of the selection one by one, and note what is wrong with them, as a part of one
    problem with the pack where there is one.
    """
    for frame in frames:
        digest = DIGEST_PREFIX + frame.digits
        if selection.takes(digest):
            wrong = problem_with(findings, frame, digest)
            if wrong is None:
                findings.note_object(digest)
            elif not _is_in_a_file(findings.store, digest):
                findings.lose(digest, problem or wrong)


def problem_with(findings: Findings, found: Found, digest: str) -> Problem | None:
    """Read a form of an object, and return what is wrong with it."""
    layout, limit = findings.store.layout, CHUNK_BYTES if found.pack else OBJECT_BYTES
    code, place, wrong = _DAMAGED, Place(kinds.OBJECT, digest=digest), ""
    try:
        if found.size <= FRAME_BYTES:
            checked = check_object(layout.door, found, digest, limit)
            if checked is not None:
                findings.add_read(1, checked.size, not checked.has_checksum)
                return None
    except ABSENT:
        if not (found.pack and findings.is_there(Place(kinds.PACK_INDEX, found.pack))):
            return None  # gone meanwhile: if something refers to it, that is noticed there
        wrong = "its pack is missing"
    except StoreError as error:
        code, wrong = "UNREADABLE", error.message
        if found.pack:  # as all frames of the pack, which is one problem
            place = Place(kinds.PACK, found.pack)
    except CompressionError as error:
        wrong = str(error)
    wrong = wrong or "its bytes do not match its name"
    return Problem(code, wrong, layout.door.place(found.path), place)


def _is_in_a_file(store: StoreDirectory, digest: str) -> bool:
    """Return True if an object has a file of its own that is whole, and is what readers find."""
    layout = store.layout
    files = (layout.compressed_object(digest), layout.object(digest))
    if not any(store.objects.is_whole(Found(path), digest) for path in files):
        return False
    with contextlib.suppress(StoreError):
        store.objects.read(digest, CHUNK_BYTES)
        return True
    return False
