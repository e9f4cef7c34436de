"""The packs of a store: each index against its name, each pack against its index.

Frames are read where they are of the selection, and all of a pack that is not what its index says:
what is whole in it counts. A frame that does not match its checksum is no damage where its object
has a file of its own that is whole, which readers take then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from codebatch.maintenance.verify.findings import Findings, find_bytes, path_of
from codebatch.maintenance.verify.forms import read_frames
from codebatch.maintenance.verify.helpers import Helpers, Job, look
from codebatch.maintenance.verify.objects import pack_digests
from codebatch.maintenance.verify.selection import ALL, NONE, Selection
from codebatch.model.digest import DIGEST_PREFIX
from codebatch.store import path_kinds as kinds
from codebatch.store.layout import CACHE_BYTES
from codebatch.store.objects import pack_walk
from codebatch.store.objects.packs import Found, PackIndex, are_contiguous, index_name, is_index
from codebatch.store.path_kinds import Entry, Place

_JOB_BYTES = 2**22


def check_packs(
    findings: Findings, helpers: Helpers, selection: Selection, entries: Iterable[Entry]
) -> None:
    """Check packs and indexes, which are given in whatever order."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        if entry.place is not None:
            found.setdefault(entry.place.owner, {})[entry.place.kind] = entry
    packs = _whole_packs(findings, found)
    if selection == NONE:
        for _ in packs:
            pass
        return
    size = sum(entry.size or 0 for one in found.values() for entry in one.values())
    portions = [*_portions(packs)]
    answers = helpers.ask((_job(one, selection) for one in portions), size)
    for portion, told in zip(portions, answers, strict=True):
        answer = told or look(findings.store, _job(portion, selection))
        if "read" in answer:
            findings.add_read(*answer["read"])
        else:
            read_frames(findings, portion, selection)
        findings.tell_objects()


def _job(portion: Sequence[Found], selection: Selection) -> Job:
    return {"frames": portion, "selection": selection}


def _whole_packs(
    findings: Findings, found: dict[str, dict[str, Entry]]
) -> Iterator[Sequence[Found]]:
    """Yield the frames of the packs that are what their indexes say; report the others."""
    for name, entries in sorted(found.items()):
        pack = entries.get(kinds.PACK)
        index = _index_of(findings, name, entries.get(kinds.PACK_INDEX), pack)
        if index is None:
            continue
        frames = index.frames()
        findings.checked.objects += len(frames)
        wrong = _wrong_with(pack, frames)
        if wrong is None:
            findings.note_objects(pack_digests(DIGEST_PREFIX + one.digits for one in frames))
            yield frames
        elif findings.is_there(Place(kinds.PACK_INDEX, name)):  # it is no pack that has just gone
            problem = findings.blame(Place(kinds.PACK, name), wrong)
            read_frames(findings, frames, ALL, problem)


def _index_of(
    findings: Findings, name: str, entry: Entry | None, pack: Entry | None
) -> PackIndex | None:
    """Return the index of a pack; None where it is damaged or missing, which is noted."""
    place = Place(kinds.PACK_INDEX, name)
    if entry is None:
        if pack is not None and pack.form != kinds.FILE:
            findings.blame(Place(kinds.PACK, name), f"a {pack.form} stands in its place")
            return None
        if pack is not None and (pack.size or 0) > pack_walk.MOST_BYTES:
            message = "no writer makes a pack that large: move it away or delete it"
            findings.add("FOREIGN_FILE", message, pack.path)
            return None
        # Its writer was killed, or is about to add the index, or something needs what is in it.
        findings.notes.temporary_files += 1
        findings.unindexed.append(findings.problem(place, "it is missing"))
        return None
    found = find_bytes(findings.store, path_of(findings.store.layout, place), CACHE_BYTES)
    wrong = found.wrong
    if entry.form != kinds.FILE:
        wrong = f"a {entry.form} stands in its place"
    elif found.is_missing:
        return None  # removed meanwhile
    elif found.data is not None and index_name(found.data) != name:
        wrong = "its bytes do not give its name"
    elif found.data is not None and not is_index(found.data):
        wrong = "it holds something else than lines of an index, in order"
    elif found.data is not None:
        return PackIndex(name, findings.store.layout.pack(name), found.data)
    findings.unindexed.append(findings.blame(place, str(wrong), found))
    return None


def _wrong_with(entry: Entry | None, frames: Sequence[Found]) -> str | None:
    """Return how a pack, unread, differs from what its index says; None where it does not."""
    if entry is None or (entry.form == kinds.FILE and entry.size is None):
        return "it is missing"
    if entry.form != kinds.FILE:
        return f"a {entry.form} stands in its place"
    size = sum(frame.size for frame in frames)
    if entry.size != size:
        return f"it has {entry.size} bytes, its index says {size}"
    return None if are_contiguous(frames, size) else "its index leaves out some of its bytes"


def _portions(packs: Iterable[Sequence[Found]]) -> Iterator[Sequence[Found]]:
    """Yield the frames of packs in portions of some bytes."""
    for frames in packs:
        start = size = 0
        for number, frame in enumerate(frames, 1):
            size += frame.size
            if size >= _JOB_BYTES or number == len(frames):
                yield frames[start:number]
                start, size = number, 0
