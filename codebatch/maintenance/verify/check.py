"""Check a whole store: everything is looked at, and everything that is wrong is reported.

Nothing is written. It is safe beside running writers: what a document refers to was written
before it, and what is read first here is what was written last. Objects are read in portions, so
that none is ever held.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import compress
from operator import not_
from pathlib import Path

from codebatch.maintenance.verify.batches import check_batches
from codebatch.maintenance.verify.findings import Findings, find_bytes, path_of
from codebatch.maintenance.verify.forms import check_files
from codebatch.maintenance.verify.helpers import Answer, Helpers
from codebatch.maintenance.verify.indexes import is_whole_index
from codebatch.maintenance.verify.manifests import parse_manifest
from codebatch.maintenance.verify.packs import check_packs
from codebatch.maintenance.verify.problems import Step
from codebatch.maintenance.verify.selection import NONE, Selection
from codebatch.model.checks import check_snapshot
from codebatch.model.digest import Document
from codebatch.store import IGNORE_LINE, StoreDirectory, check_named, is_own_document, removal_of
from codebatch.store import path_kinds as kinds
from codebatch.store.layout import (
    INDEX_BYTES,
    MEMO_SUFFIX,
    PARTIAL_SUFFIX,
    PARTS_SUFFIX,
    SMALL_BYTES,
    SNAPSHOT_BYTES,
)
from codebatch.store.path_kinds import Place, folders_in, walk_store

Progress = Callable[[Step], object]

_SEGMENT_BYTES = 2**17
# To look at an object takes as long as to check so many bytes.
_LOOK_BYTES = 2**12
_READ_BYTES = 2**14  # and to read it


def check_store(
    store: StoreDirectory, selection: Selection = NONE, progress: Progress | None = None
) -> Findings:
    """Return what a check of the store finds; objects of the selection are read."""
    findings = Findings(store, progress or (lambda _: None))
    with Helpers(store) as helpers:
        _check_root(findings)
        _check_names(findings)
        _check_objects(findings, helpers, selection)
        _check_snapshots(findings, helpers)
        check_batches(findings, helpers)
        _check_indexes(findings, helpers)
    return findings


def _check_root(findings: Findings) -> None:
    store = findings.store
    for entry in walk_store(store.layout.door, depth=0):
        findings.add_stray(entry)
    findings.judge(Place(kinds.STORE), findings.find(Place(kinds.STORE)), _checked_identity)
    ignore = find_bytes(store, store.layout.gitignore)
    if not ignore.is_missing and ignore.data != IGNORE_LINE:
        wrong = ignore.wrong or "it holds something else than one line with *"
        findings.blame(Place(kinds.IGNORE), wrong, ignore)


def _checked_identity(document: Document) -> Document:
    if not is_own_document(document):
        raise ValueError("it has other keys, or another format or version")
    return document


def _check_names(findings: Findings) -> None:
    """Check every name; what it holds was there before it, and is looked for after it."""
    layout = findings.store.layout
    for entry in walk_store(layout.door, kinds.NAMES):
        place = entry.place
        if findings.add_stray(entry) or place is None:
            continue
        before = len(findings.problems)
        check = partial(check_named, name=place.owner)
        document = findings.judge(place, findings.find(place, SMALL_BYTES), check)
        gone = document and removal_of(layout, str(document["id"]))
        if document and gone:
            wrong = f"it holds {document['id']}, which is not in the store"
            findings.blame(place, wrong, code="NAME_DANGLING")
        findings.forget_since(before, place)


def _check_objects(findings: Findings, helpers: Helpers, selection: Selection) -> None:
    """Look at every form of every object, and read those of the selection."""
    door = findings.store.layout.door
    entries = [*walk_store(door, kinds.OBJECTS, depth=2)]
    is_packed = [one.place is not None and one.place.kind != kinds.OBJECT for one in entries]
    check_files(findings, compress(entries, map(not_, is_packed)), selection)
    check_packs(findings, helpers, selection, compress(entries, is_packed))
    parts = folders_in(door, kinds.OBJECT_PARTS)
    size = 0
    if parts:
        number = len(folders_in(door, f"{kinds.OBJECT_PARTS}/{parts[0]}")) * len(parts)
        size = number * (_LOOK_BYTES if selection == NONE else _READ_BYTES)
    jobs = ({"part": part, "selection": selection} for part in parts)
    for part, answer in zip(parts, helpers.ask(jobs, size), strict=True):
        if answer:
            findings.checked.objects += answer["number"]
            findings.note_objects(answer["objects"])
            findings.add_read(*answer["read"])
            findings.tell_objects()
        else:
            check_files(findings, walk_store(door, f"{kinds.OBJECT_PARTS}/{part}"), selection)


def _check_snapshots(findings: Findings, helpers: Helpers) -> None:
    """Check every snapshot, and note which objects they refer to."""
    door = findings.store.layout.door
    for entry in walk_store(door, kinds.SNAPSHOTS, depth=1):
        findings.add_stray(entry)
    snapshots = folders_in(door, kinds.SNAPSHOTS)
    answers = helpers.ask(({"snapshot": snapshot_id} for snapshot_id in snapshots), 0)
    for snapshot_id, answer in zip(snapshots, answers, strict=True):
        entries = walk_store(door, f"{kinds.SNAPSHOTS}/{snapshot_id}")
        findings.check_asked([one.place for one in entries if not findings.add_stray(one)])
        _check_snapshot(findings, Place(kinds.SNAPSHOT, snapshot_id), answer)


def _check_snapshot(findings: Findings, place: Place, answer: Answer) -> None:
    manifest = Place(kinds.MANIFEST, place.owner)
    is_finished = findings.is_there(place)  # its document is written last
    if not is_finished:
        findings.notes.unfinished_snapshots += 1
        if not findings.is_there(manifest):
            return  # it was given up before anything of it could be read
    findings.checked.snapshots += 1
    before = len(findings.problems)
    if "number" in answer and findings.are_there(answer["objects"]):
        findings.numbers_of[place.owner] = int(answer["number"], 16)
        sizes: tuple[int, int] | None = (answer["files"], answer["bytes"])
    else:
        sizes = _check_manifest(findings, manifest)

    def check(document: Document) -> None:
        check_snapshot(document, place.owner)
        if sizes not in (None, (document["file_count"], document["total_bytes"])):
            raise ValueError("its counts are not those of the manifest")

    if is_finished:
        findings.judge(place, findings.find(place, SNAPSHOT_BYTES), check)
        findings.forget_since(before, place)


def _check_manifest(findings: Findings, place: Place) -> tuple[int, int] | None:
    """Return the numbers of files and of their bytes; None where the manifest is damaged."""
    found = find_bytes(findings.store, path_of(findings.store.layout, place), INDEX_BYTES)
    wrong = found.wrong
    if found.data is not None:
        try:
            return _read_manifest(findings, place.owner, found.data)
        except ValueError as error:
            wrong = str(error)
    findings.is_complete = False
    findings.blame(place, str(wrong), found)
    return None


def _read_manifest(findings: Findings, snapshot_id: str, data: bytes) -> tuple[int, int]:
    """Parse every line and follow what it refers to."""
    count = total = 0
    for file in parse_manifest(snapshot_id, data):
        count += 1
        total += file.size
        findings.refer_from_snapshot(file.object, snapshot_id, file.path)
    return count, total


def _check_indexes(findings: Findings, helpers: Helpers) -> None:
    """Check what is derived, and report what has no place there, nor among the leases."""
    door = findings.store.layout.door
    for entry in walk_store(door, kinds.LEASES_FOLDER):
        findings.add_stray(entry)
    found = [one for one in walk_store(door, kinds.INDEXES_FOLDER) if not findings.add_stray(one)]
    jobs = ({"path": f"{door.root}/{entry.path}"} for entry in found)
    # A part of the memo, and as good a measure as any: its sizes are not known yet.
    answers = helpers.ask(jobs, len(found) * _SEGMENT_BYTES)
    for number, (entry, answer) in enumerate(zip(found, answers, strict=True)):
        findings.tell(Step("file", number, len(found)))
        path = Path(door.root, entry.path)
        if answer.get("is_whole") or is_whole_index(findings.store, path):
            continue
        if entry.path.endswith(MEMO_SUFFIX):
            findings.add("MEMO_DAMAGED", "a segment is not what its name says", entry.path)
        elif entry.path.endswith((PARTIAL_SUFFIX, PARTS_SUFFIX)):
            findings.add("INDEX_DAMAGED", "a partial value is not what its name says", entry.path)
        else:
            findings.add("INDEX_DAMAGED", "an index does not match its checksum", entry.path)
