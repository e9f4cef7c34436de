"""What each file of a store is, from where it lies: the inverse of `store.layout`.

A walk gives everything in a part of a store in order, with what it should be; what the format
has no place for is given too, so that nothing goes unseen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import StoreError
from codebatch.store.door import ABSENT, TEMPORARY_PREFIX, Door, form_of
from codebatch.store.layout import (
    BATCH_PREFIX,
    COMPRESSED_SUFFIX,
    INDEX_SUFFIX,
    PACK_SUFFIX,
    SNAPSHOT_PREFIX,
    is_name,
    is_ref,
)
from codebatch.store.write_group import reporting_read_errors

STORE, IGNORE, OBJECT = "store", "ignore", "object"
PACK, PACK_INDEX = "pack", "pack-index"
LOCK, HOLDER = "lock", "holder"
SNAPSHOT, MANIFEST = "snapshot", "manifest"
BATCH, PLAN, INPUTS, EVENTS, TASK = "batch", "plan", "inputs", "events", "task"
STATE, OUTPUTS = "state", "outputs"
DERIVED, LEASE, NAME, ASKED = "derived", "lease", "name", "asked"

FILE = "file"
FOLDER = "folder"
LINK = "symbolic link"
UNREADABLE = "unreadable"
TEMPORARY = "temporary"

_SNAPSHOT = rf"snapshots/(?P<owner>{SNAPSHOT_PREFIX}-[0-9a-f]{{16}})"
_BATCH = rf"batches/(?P<owner>{BATCH_PREFIX}-[0-9a-f]{{16}})"
_TASK = rf"{_BATCH}/tasks/(?P<task>[A-Za-z0-9_.-]+)"
_SHARD = rf"{_TASK}/shards/(?P<shard>[0-9a-f]{{1,3}})"
_ID = rf"{BATCH_PREFIX}-[0-9a-f]{{16}}"
_DERIVED = (
    # Earlier versions had an index for each batch, which gc removes.
    rf"(sql/({_ID}|[0-9a-f]{{32}})\.sqlite|totals/{_ID}\.json)(\.sha256)?"
    r"|sql/[0-9a-f]{32}(\.keys|\.[A-Za-z0-9_]+\.parquet(\.sha256)?)|(stat|git)/[0-9a-f]+"
    r"|columns/(?P<half>[0-9a-f]{2})/(?P=half)[0-9a-f]{62}\.[a-z][a-z0-9_]{0,63}"
    r"\.[0-9a-f]{16}\.arrows\.lz4(\.sha256)?"
    r"|quarantine/[0-9a-f]{64}\.json|shards/[0-9a-f]{2}/[0-9a-f]{62}"
    r"|memo(/[0-9a-f]){1,3}/[0-9a-f]{64}\.memo"
    r"|partials/[0-9a-f]{16}/(values/[0-9a-f]{2}/[0-9a-f]{64}\.part"
    r"|packs(/[0-9a-f]){1,3}/[0-9a-f]{64}\.parts)"
)
_OBJECT = r"objects/sha256/(?P<a>[0-9a-f]{2})/(?P<b>[0-9a-f]{2})/(?P<name>(?P=a)(?P=b)[0-9a-f]{60})"

_FILES = {
    STORE: r"store\.json",
    LOCK: r"maintenance\.lock",
    HOLDER: r"maintenance\.json",
    IGNORE: r"\.gitignore",
    OBJECT: rf"{_OBJECT}(\.zst)?",
    PACK: r"objects/packs/(?P<owner>[0-9a-f]{64})\.pack",
    PACK_INDEX: r"objects/packs/(?P<owner>[0-9a-f]{64})\.idx",
    SNAPSHOT: rf"{_SNAPSHOT}/snapshot\.json",
    MANIFEST: rf"{_SNAPSHOT}/files\.index\.jsonl",
    BATCH: rf"{_BATCH}/batch\.json",
    PLAN: rf"{_BATCH}/plan\.json",
    INPUTS: rf"{_BATCH}/inputs\.index\.jsonl",
    EVENTS: rf"{_BATCH}/events\.jsonl",
    ASKED: rf"(snapshots/(?={SNAPSHOT_PREFIX}-)|batches/(?={BATCH_PREFIX}-))"
    rf"(?P<owner>({SNAPSHOT_PREFIX}|{BATCH_PREFIX})-[0-9a-f]{{16}})/asked\.json",
    TASK: rf"{_TASK}/task\.json",
    STATE: rf"{_SHARD}/state\.json",
    OUTPUTS: rf"{_SHARD}/outputs\.index\.jsonl(\.zst)?",
    NAME: r"names/(?P<owner>[A-Za-z0-9_.-]+)",
    DERIVED: rf"indexes/({_DERIVED})",
    LEASE: rf"leases/([0-9a-f]+\.json|{_ID}/([0-9a-f]{{1,3}}|nodes-[A-Za-z0-9_-]+)"
    r"(\.[A-Za-z0-9_.-]+)?)",
}
_FOLDERS = re.compile(
    r"objects(/packs|/sha256(/[0-9a-f]{2}){0,2})?"
    rf"|snapshots(/{SNAPSHOT_PREFIX}-[0-9a-f]{{16}})?"
    rf"|batches(/{BATCH_PREFIX}-[0-9a-f]{{16}}"
    r"(/tasks(/[A-Za-z0-9_.-]+(/shards(/[0-9a-f]{1,3})?)?)?)?)?"
    r"|indexes(/sql|/totals|/columns(/[0-9a-f]{2})?|/stat|/git|/quarantine|/shards(/[0-9a-f]{2})?|/memo(/[0-9a-f]){0,3}"
    r"|/partials(/[0-9a-f]{16}(/values(/[0-9a-f]{2})?|/packs(/[0-9a-f]){0,3})?)?)?"
    rf"|leases(/{_ID})?|names"
)
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _FILES.items()}
# Most of what lies in a store: the file's name tells the kind, so that few patterns are tried.
_BY_NAME = {
    pattern.rpartition("/")[2].replace("\\", "").removesuffix(f"({COMPRESSED_SUFFIX})?"): kind
    for kind, pattern in _FILES.items()
    if kind not in (OBJECT, PACK, PACK_INDEX, NAME, DERIVED, LEASE)
}
_BY_START = {"indexes": DERIVED, "leases": LEASE, "names": NAME}
_BY_SUFFIX = {PACK_SUFFIX: PACK, INDEX_SUFFIX: PACK_INDEX}
OBJECTS, SNAPSHOTS, BATCHES, NAMES = "objects", "snapshots", "batches", "names"
INDEXES_FOLDER, LEASES_FOLDER = "indexes", "leases"
OBJECT_PARTS = f"{OBJECTS}/sha256"


class Place(NamedTuple):
    """What a file is by where it lies: its kind, the snapshot or batch, task and shard it belongs
    to, or the pack, and of an object its digest.
    """

    kind: str
    owner: str = ""
    task_id: str = ""
    shard_id: str = ""
    digest: str = ""


class Entry(NamedTuple):
    """Something in a store: ``path`` relative to it, what it is in the file system, and the place
    that its name says; None where the format has none of that name. ``size`` is told of the files
    of objects alone; None of one that is gone.
    """

    path: str
    form: str
    place: Place | None
    is_folder: bool = False
    reason: str = ""
    size: int | None = None


def place_of(path: str) -> Place | None:
    """The place of that path, relative to the store; None where the format has none."""
    name = path.rpartition("/")[2].removesuffix(COMPRESSED_SUFFIX)
    kind = _BY_START.get(path.partition("/")[0]) or _BY_NAME.get(name)
    kind = kind or _BY_SUFFIX.get(os.path.splitext(path)[1], OBJECT)
    match = _PATTERNS[kind].fullmatch(path)
    if match is None:
        return None
    if kind == OBJECT:
        return Place(OBJECT, digest=DIGEST_PREFIX + match["name"])
    parts = match.groupdict("")
    if kind == NAME and not is_ref(parts["owner"]):
        return None
    if parts.get("task") and not is_name(parts["task"]):
        return None
    return Place(kind, parts.get("owner", ""), parts.get("task", ""), parts.get("shard", ""))


def walk_store(door: Door, start: str = "", *, depth: int | None = None) -> Iterator[Entry]:
    """Everything below a folder of the store, files and what is out of place, in order of path;
    ``depth`` 1 is the folder's own entries alone. Folders that belong there are not given.
    """
    pending = [start]
    while pending:
        folder = pending.pop()
        below = []
        for entry in _listed(door, folder):
            if entry.is_folder and entry.form == FOLDER:
                below.append(entry.path)
            else:
                yield entry
        if depth is None or folder.count("/") + (folder != "") < depth:
            pending += reversed(below)


def misplaced_folders(door: Door) -> list[str]:
    """Return the places of the first levels where a folder belongs and something else stands."""
    starts = (
        "",
        "objects",
        OBJECT_PARTS,
        INDEXES_FOLDER,
        f"{INDEXES_FOLDER}/memo",
        LEASES_FOLDER,
    )
    entries = (entry for start in starts for entry in _listed(door, start))
    return [entry.path for entry in entries if entry.is_folder and entry.form != FOLDER]


def folders_in(door: Door, start: str) -> list[str]:
    """The names of the folders that belong into a folder of the store, sorted."""
    listed = _listed(door, start)
    return [e.path.rpartition("/")[2] for e in listed if e.is_folder and e.form == FOLDER]


def _listed(door: Door, place: str) -> list[Entry]:
    path = f"{door.root}/{place}"
    try:
        with (
            reporting_read_errors(path),
            door.folder_at(place) as folder,
            folder.entries() as found,
        ):
            return [_entry(one, place) for one in sorted(found, key=lambda e: e.name)]
    except ABSENT:
        return []  # gone while the store was read, or none yet
    except StoreError as error:
        return [Entry(place, UNREADABLE, None, reason=error.message)]


def _entry(found: os.DirEntry[str], folder: str) -> Entry:
    path = f"{folder}/{found.name}" if folder else found.name
    form = _form_of(found)
    if found.name.startswith(TEMPORARY_PREFIX) and form in (FILE, FOLDER):
        return Entry(path, TEMPORARY, None)
    if form == FILE and folder.startswith(OBJECTS):
        return Entry(path, form, place_of(path), size=_size_of(found))
    belongs = _FOLDERS.fullmatch(path) is not None
    return Entry(path, form, place_of(path), is_folder=belongs)


def _size_of(found: os.DirEntry[str]) -> int | None:
    try:
        return found.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def _form_of(found: os.DirEntry[str]) -> str:
    if found.is_file(follow_symlinks=False):
        return FILE
    if found.is_dir(follow_symlinks=False):
        return FOLDER
    return LINK if found.is_symlink() else form_of(found.stat(follow_symlinks=False).st_mode)
