"""The snapshots of a store: each manifest against its id, every line of it, and its document."""

from __future__ import annotations

import json
from typing import NamedTuple

from codebatch.maintenance.verify.documents import Found, find_bytes, find_document
from codebatch.maintenance.verify.findings import Findings
from codebatch.model.digest import canonical_json, digest_bytes, short_id
from codebatch.model.errors import InvalidIdError
from codebatch.model.records import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, FileRecord, path_key
from codebatch.store import SNAPSHOT_PREFIX
from codebatch.store.layout import INDEX_BYTES, SNAPSHOT_BYTES
from codebatch.store.path_kinds import MANIFEST, SNAPSHOT, SNAPSHOTS, Place, folders_in, walk_store

_MODES = frozenset({FILE_MODE, EXECUTABLE_MODE, SYMLINK_MODE})

_FIELDS = {"snapshot_id", "taken", "source", "file_count", "total_bytes", "skipped"}


class Sizes(NamedTuple):
    """What the lines of a manifest come to."""

    file_count: int
    total_bytes: int


class _WrongLineError(Exception):
    """A line of a manifest that is not what the format says."""


def check_snapshots(findings: Findings) -> None:
    """Check every snapshot, and note which objects they refer to."""
    door = findings.store.layout.door
    for entry in walk_store(door, SNAPSHOTS, depth=1):
        findings.add_stray(entry)
    for snapshot_id in folders_in(door, SNAPSHOTS):
        for entry in walk_store(door, f"{SNAPSHOTS}/{snapshot_id}"):
            findings.add_stray(entry, snapshot_id=snapshot_id)
        _check_snapshot(findings, snapshot_id)


def has_document(findings: Findings, snapshot_id: str) -> bool:
    """Return True if anything is in the place of a snapshot's document, which is written last."""
    return findings.is_there(findings.store.layout.snapshot_document(snapshot_id))


def _check_snapshot(findings: Findings, snapshot_id: str) -> None:
    layout = findings.store.layout
    is_finished = has_document(findings, snapshot_id)
    if not is_finished:
        findings.notes.unfinished_snapshots += 1
        if not findings.is_there(layout.manifest(snapshot_id)):
            return  # it was given up before anything of it could be read
    findings.checked.snapshots += 1
    before = len(findings.problems)
    manifest = find_bytes(findings.store, layout.manifest(snapshot_id), INDEX_BYTES)
    sizes = _check_manifest(findings, snapshot_id, manifest)
    if is_finished:
        path = layout.snapshot_document(snapshot_id)
        found = find_document(findings.store, path, SNAPSHOT_BYTES)
        _check_document(findings, snapshot_id, found, sizes)
        findings.forget_since(before, layout.snapshot_document(snapshot_id))


def _check_manifest(findings: Findings, snapshot_id: str, found: Found) -> Sizes | None:
    wrong = found.wrong
    sizes = None
    if found.data is not None:
        if short_id(SNAPSHOT_PREFIX, digest_bytes(found.data)) != snapshot_id:
            wrong = "its bytes give another id"
        else:
            try:
                sizes = _read_lines(findings, snapshot_id, found.data)
            except _WrongLineError as error:
                wrong = str(error)
    if wrong is not None:
        findings.is_complete = False
        findings.add(
            "UNREADABLE" if found.is_unreadable else "MANIFEST_DAMAGED",
            f"the manifest of {snapshot_id}: {wrong}",
            findings.store.layout.manifest(snapshot_id),
            Place(MANIFEST, snapshot_id),
            snapshots=(snapshot_id,),
        )
    return sizes


def _read_lines(findings: Findings, snapshot_id: str, data: bytes) -> Sizes:
    """Parse every line and follow what it refers to."""
    count = total = 0
    before = b""
    for count, line in enumerate(data.splitlines(keepends=True), 1):
        file = read_line(line)
        if file is None or file.mode not in _MODES:
            raise _WrongLineError(f"line {count} is not what the format says")
        if path_key(file.path) <= before:
            raise _WrongLineError(f"line {count} is not in path order")
        before = path_key(file.path)
        total += file.size
        findings.refer_from_snapshot(file.object, snapshot_id, file.path, file.size)
    return Sizes(count, total)


def read_line(line: bytes) -> FileRecord | None:
    """The file of a line of a manifest; None where it is no such line, to the byte."""
    try:
        document = json.loads(line)
        file = FileRecord.from_document(document)
        is_exact = canonical_json(file._asdict()) + b"\n" == line
    except (KeyError, TypeError, ValueError, RecursionError, InvalidIdError):
        return None
    parts = path_key(file.path).split(b"/")
    is_relative = not {b"", b".", b".."}.intersection(parts) and b"\0" not in parts
    return file if is_exact and is_relative else None


def _check_document(
    findings: Findings, snapshot_id: str, found: Found, sizes: Sizes | None
) -> None:
    wrong = found.wrong
    if found.document is not None:
        document = found.document
        if not _FIELDS.issubset(document):
            wrong = "it is not what the format says"
        elif document["snapshot_id"] != snapshot_id:
            wrong = "it is that of another snapshot"
        elif sizes is not None and sizes != (document["file_count"], document["total_bytes"]):
            wrong = "its counts are not those of the manifest"
    if wrong is not None:
        findings.add(
            "UNREADABLE" if found.is_unreadable else "SNAPSHOT_DAMAGED",
            f"the document of {snapshot_id}: {wrong}",
            findings.store.layout.snapshot_document(snapshot_id),
            Place(SNAPSHOT, snapshot_id),
            snapshots=(snapshot_id,),
        )
