"""A store: a directory with a ``store.json``. Making stores, opening them, and their parts.

A store is opened, never held: no state beyond the identity read from ``store.json``, no lock,
no handle. Readers get typed values or one of the errors of `model.errors`; a document that
is damaged or half-written is an error where it is needed and absent where absence is ordinary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from pathlib import Path
from typing import NamedTuple, TypeGuard

from codebatch.model.digest import Document, damaged_document, seal, unseal
from codebatch.model.errors import (
    SnapshotNotFoundError,
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreNotFoundError,
    StoreReadError,
)
from codebatch.store.askings import Asking, Checkout
from codebatch.store.batches import Batches
from codebatch.store.documents import pretty
from codebatch.store.door import TEMPORARY_PREFIX
from codebatch.store.files import read_file, write_file
from codebatch.store.layout import (
    BATCH_PREFIX,
    SMALL_BYTES,
    SNAPSHOT_PREFIX,
    VERSION,
    VERSIONS,
    Layout,
)
from codebatch.store.leases.leases import Pins
from codebatch.store.names import Names
from codebatch.store.objects.cas import ObjectStore
from codebatch.store.shards import Shards
from codebatch.store.snapshots import Snapshots
from codebatch.store.write_group import WriteGroup, reporting_write_errors

FORMAT = "codebatch-store"
IGNORE_LINE = b"*\n"

_KNOWN = " or ".join(map(str, VERSIONS))
_STORE_ID = re.compile(r"[0-9a-f]{32}\Z")
_STORED_ID = re.compile(rb'"store_id":\s*"([0-9a-f]{32})"')
_STORED_VERSION = re.compile(rb'"version":\s*([0-9]{1,9})')
_KEYS = {"digest", "format", "store_id", "version"}


class StoreDirectory:
    """One store on disk. ``store_id`` is random, made at init; no result depends on it."""

    def __init__(self, layout: Layout, store_id: str) -> None:
        self.layout = layout
        self.store_id = store_id
        self.objects = ObjectStore(layout)
        self.snapshots = Snapshots(layout)
        self.batches = Batches(layout)
        self.names = Names(layout)
        self.shards = Shards(layout, self.objects)

    @property
    def version(self) -> int:
        """The version of the store's format: in it all is read and written."""
        return self.layout.version

    @property
    def root(self) -> Path:
        """The store's directory."""
        return self.layout.root

    def asking_of(self, one: str) -> Asking:
        """Return when a snapshot or a batch was last asked for, and over which tree; where nothing
        says which, the one that the snapshot was last taken of.
        """
        is_batch = one.startswith(f"{BATCH_PREFIX}-")
        asking = (self.batches if is_batch else self.snapshots).asking(one)
        if asking.checkout.source is not None:
            return asking
        try:
            if is_batch:
                taken = self.asking_of(str(self.batches.load(one)["snapshot_id"]))
                return asking._replace(checkout=taken.checkout)
            source = str(self.snapshots.load(one)["source"]) or None
            return asking._replace(checkout=Checkout(source))
        except (SnapshotNotFoundError, StoreDamagedError):
            return asking

    def group(self, *, durable: bool, pins: Pins | None = None) -> WriteGroup:
        """Return a group of files to be written below this store; with pins, under their lease."""
        if pins is None:
            return WriteGroup(self.layout.door, durable=durable)
        return WriteGroup(self.layout.door, durable=durable, before_writing=pins.start)


class OpenedStore(NamedTuple):
    """A store, and whether this call made it."""

    store: StoreDirectory
    created: bool


def init_store(root: Path) -> OpenedStore:
    """Make a store in a new or empty directory; one that is a store already is opened."""
    layout = _layout(root)
    if os.path.lexists(layout.store_document):
        return OpenedStore(open_store(root), created=False)
    if root.exists() and not root.is_dir():
        raise StoreExistsError(f"{root} is a file: a store is a directory")
    names = [entry.name for entry in root.iterdir()] if root.is_dir() else []
    # What a making of the store that was cut short leaves is no reason not to make it.
    if any(one != ".gitignore" and not one.startswith(TEMPORARY_PREFIX) for one in names):
        raise StoreExistsError(
            f"{root} is not empty and not a store",
            hints=["name a new or an empty directory"],
        )
    document = _document(VERSION, os.urandom(16).hex())
    with reporting_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    write_file(layout.door, layout.gitignore, IGNORE_LINE, durable=False)
    write_file(layout.door, layout.store_document, pretty(document), durable=True)
    return OpenedStore(open_store(root), created=True)


def is_store_document(data: bytes) -> bool:
    """Return True if a ``store.json`` with this content is one of CodeBatch, of any version."""
    return f'"{FORMAT}"'.encode() in data


def open_store(root: Path) -> StoreDirectory:
    """Open an existing store, or say why it cannot be."""
    hints = [f"make one: codebatch init {root}", "or name another with --store or CODEBATCH_STORE"]
    if not root.is_dir():
        raise StoreNotFoundError(f"no store at {root}: there is no such directory", hints=hints)
    layout = _layout(root)
    data = read_file(layout.door, layout.store_document, SMALL_BYTES)
    if data is None:
        raise StoreNotFoundError(f"{root} is not a store: it has no store.json", hints=hints)
    if not is_store_document(data):
        if _looks_like_store(layout) and not _is_of_another_format(data):
            raise damaged_document(f"{root}/store.json", "names no format")
        raise StoreFormatError(f"{root} is not a CodeBatch store: store.json names another format")
    document = unseal(data, f"{root}/store.json")
    version = document.get("version")
    if not _is_version(version):
        raise StoreFormatError(
            f"{root} has store format {version}, not {_KNOWN}",
            hints=["use the version of codebatch that wrote the store, or a newer one"],
        )
    if not is_own_document(document):
        raise damaged_document(f"{root}/store.json", "it is not what the format says")
    return _opened(layout, version, str(document["store_id"]))


def open_damaged_store(root: Path) -> StoreDirectory:
    """Open a store to check it: its document may be missing or damaged, if the rest shows that it
    is a store. One of another format or version is refused as ever.
    """
    try:
        return open_store(root)
    except (StoreNotFoundError, StoreFormatError, StoreDamagedError, StoreReadError):
        layout = _layout(root)
        if not _looks_like_store(layout):
            raise
        data = _legible_document(layout)
        if _is_of_another_format(data):
            raise
        return _opened(layout, _stated_version(data), _stated_id(data))


def is_own_document(document: Document | None) -> bool:
    """Return True if this is all that a whole ``store.json`` says."""
    return (
        document is not None
        and document.keys() == _KEYS
        and document["format"] == FORMAT
        and _is_version(document["version"])
        and _STORE_ID.match(str(document["store_id"])) is not None
    )


def _is_version(value: object) -> TypeGuard[int]:
    return type(value) is int and value in VERSIONS  # which True is not, though it equals 1


def _document(version: int, store_id: str) -> Document:
    return seal({"format": FORMAT, "version": version, "store_id": store_id})


def restore_identity(store: StoreDirectory) -> bool:
    """Write ``store.json`` anew with the id that is still legible, else a new one, on which no
    result depends. False where it names another version, which then may be true.
    """
    path = store.layout.store_document
    data = _legible_document(store.layout)
    document = _document(store.version, _stated_id(data))
    stated = _STORED_VERSION.search(data)
    is_certain = str(document["digest"]).encode() in data
    if stated is not None and int(stated[1]) != store.version and not is_certain:
        return False
    write_file(store.layout.door, path, pretty(document), durable=True)
    store.store_id = str(document["store_id"])
    return True


def raise_version(store: StoreDirectory) -> None:
    """Write durably that a store is of the present version; whoever has it open stays with the
    other.
    """
    document = _document(VERSION, store.store_id)
    write_file(store.layout.door, store.layout.store_document, pretty(document), durable=True)


def restore_ignore_file(store: StoreDirectory) -> None:
    """Write ``.gitignore`` anew."""
    write_file(store.layout.door, store.layout.gitignore, IGNORE_LINE, durable=False)


def _layout(root: Path) -> Layout:
    return Layout(Path(os.path.abspath(root)))  # a process may change its folder


def _opened(layout: Layout, version: int, store_id: str) -> StoreDirectory:
    return StoreDirectory(dataclasses.replace(layout, version=version), store_id)


def _legible_document(layout: Layout) -> bytes:
    """Return what is in ``store.json``; nothing where that cannot be read: the check says so."""
    try:
        return read_file(layout.door, layout.store_document, SMALL_BYTES) or b""
    except StoreError:
        return b""


def _stated_version(data: bytes) -> int:
    """Return the version of a damaged document: the one that it has the digest of, else the one
    that it names.
    """
    for version in VERSIONS:
        if str(_document(version, _stated_id(data))["digest"]).encode() in data:
            return version
    match = _STORED_VERSION.search(data)
    stated = VERSION if match is None else int(match[1])
    return stated if stated in VERSIONS else VERSION


def _stated_id(data: bytes) -> str:
    match = _STORED_ID.search(data)
    return os.urandom(16).hex() if match is None else match[1].decode()


def _looks_like_store(layout: Layout) -> bool:
    for folder, prefix in ((layout.snapshots, SNAPSHOT_PREFIX), (layout.batches, BATCH_PREFIX)):
        with contextlib.suppress(OSError, StoreError):
            if any(name.startswith(f"{prefix}-") for name in layout.door.names(folder)):
                return True
    return layout.door.is_folder(layout.objects)


def _is_of_another_format(data: bytes) -> bool:
    """Return True if a document is whole and not ours, or not of this version."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or len(_KEYS & document.keys()) < len(_KEYS) - 1:
        return True
    try:
        unseal(data, "store.json")
    except (StoreDamagedError, ValueError, RecursionError):
        return False
    version = document.get("version")
    return document.get("format") != FORMAT or (type(version) is int and version not in VERSIONS)
