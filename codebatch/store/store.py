"""Typed reading and writing of everything in a store directory.

A store is opened, never held: no state beyond the identity read from ``store.json``, no lock,
no handle. Readers get typed values or one of the errors of `codebatch.errors`; a document that
is damaged or half-written is an error where it is needed and absent where absence is ordinary
(`load_state`).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from codebatch.digest import (
    Document,
    canonical_json,
    digest_bytes,
    seal,
    short_id,
    unseal,
)
from codebatch.errors import (
    AmbiguousIdError,
    BatchNotFoundError,
    SnapshotNotFoundError,
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreNotFoundError,
    UsageError,
)
from codebatch.records import FAILED, FileRecord, InputFile, Plan, PlannedShard, Record, ShardState
from codebatch.store.cas import ObjectStore
from codebatch.store.files import (
    WriteGroup,
    append_line,
    read_file,
    reporting_read_errors,
    reporting_write_errors,
    write_file,
)
from codebatch.store.layout import BATCH_PREFIX, SNAPSHOT_PREFIX, Layout, check_name

FORMAT = "codebatch-store"
FORMAT_VERSION = 1
LATEST = "latest"

T = TypeVar("T")
V = TypeVar("V")


class StoreDirectory:
    """One store on disk. ``store_id`` is random, made at init; no result depends on it."""

    def __init__(self, layout: Layout, store_id: str) -> None:
        self.layout = layout
        self.store_id = store_id
        self.objects = ObjectStore(layout)

    @property
    def root(self) -> Path:
        """The store's directory."""
        return self.layout.root

    def group(self, *, durable: bool) -> WriteGroup:
        """A group of files to be written below this store."""
        return WriteGroup(self.root, durable=durable)

    # -- snapshots ---------------------------------------------------------------------------

    def list_snapshots(self) -> list[str]:
        """Ids of the complete snapshots, sorted."""
        return _complete(self.layout.snapshots, SNAPSHOT_PREFIX, self.layout.snapshot_document)

    def find_snapshot(self, text: str) -> str:
        """The snapshot id that ``text`` (an id, a unique prefix, ``latest``) stands for."""
        return _find(
            text, self.list_snapshots(), self.snapshot_time, "snapshot", SnapshotNotFoundError
        )

    def snapshot_time(self, snapshot_id: str) -> str:
        """When the snapshot was taken (ISO 8601, UTC)."""
        return str(self.load_snapshot(snapshot_id).get("taken", ""))

    def load_snapshot(self, snapshot_id: str) -> Document:
        """``snapshot.json``, checked against its digest."""
        path = self.layout.snapshot_document(snapshot_id)
        return _load(path, SnapshotNotFoundError(f"no snapshot {snapshot_id} in {self.root}"))

    def load_manifest(self, snapshot_id: str) -> list[FileRecord]:
        """The files of a snapshot ordered by path; checked against the snapshot's id."""
        data = read_file(self.layout.manifest(snapshot_id))
        if data is None:
            raise StoreDamagedError(f"the manifest of {snapshot_id} is missing")
        if short_id(SNAPSHOT_PREFIX, digest_bytes(data)) != snapshot_id:
            raise StoreDamagedError(
                f"the manifest of {snapshot_id} is damaged: its bytes give another id",
                hints=["take the snapshot again to restore it"],
            )
        return [_parsed(line, FileRecord.from_document) for line in data.splitlines()]

    def has_snapshot(self, snapshot_id: str) -> bool:
        """Whether the snapshot is there and undamaged."""
        try:
            self.load_snapshot(snapshot_id)
            self.load_manifest(snapshot_id)
        except StoreError:
            return False
        return True

    def save_snapshot(self, manifest: bytes, document: Document) -> str:
        """Make a snapshot durable: the manifest first, its document last. Returns the id."""
        snapshot_id = short_id(SNAPSHOT_PREFIX, digest_bytes(manifest))
        path = self.layout.snapshot_document(snapshot_id)
        write_file(self.layout.manifest(snapshot_id), manifest, durable=True)
        body = seal({"snapshot_id": snapshot_id, **document})
        write_file(path, _pretty(body), durable=True)
        return snapshot_id

    # -- batches -----------------------------------------------------------------------------

    def list_batches(self) -> list[str]:
        """Ids of the batches, sorted."""
        return _complete(self.layout.batches, BATCH_PREFIX, self.layout.batch_document)

    def find_batch(self, text: str) -> str:
        """The batch id that ``text`` (an id, a unique prefix, ``latest``) stands for."""
        return _find(text, self.list_batches(), self.batch_time, "batch", BatchNotFoundError)

    def batch_time(self, batch_id: str) -> str:
        """When the batch was created (ISO 8601, UTC)."""
        return str(self.load_batch(batch_id).get("created", ""))

    def load_batch(self, batch_id: str) -> Document:
        """``batch.json``, checked against its digest."""
        path = self.layout.batch_document(batch_id)
        return _load(path, BatchNotFoundError(f"no batch {batch_id} in {self.root}"))

    def load_plan(self, batch_id: str) -> Plan:
        """``plan.json``, checked against its digest."""
        document = self.load_plan_document(batch_id)
        return _typed(document, Plan.from_document, f"the plan of {batch_id}")

    def load_plan_document(self, batch_id: str) -> Document:
        """``plan.json`` as it is stored, checked against its digest."""
        missing = StoreDamagedError(f"the plan of {batch_id} is missing")
        return _load(self.layout.plan_document(batch_id), missing)

    def has_batch(self, batch_id: str) -> bool:
        """Whether the batch with its plan and inputs is there and undamaged."""
        try:
            self.load_batch(batch_id)
            plan = self.load_plan(batch_id)
            for shard in plan.shards:
                self.load_inputs(batch_id, shard)
        except StoreError:
            return False
        return True

    def save_batch(
        self,
        batch_id: str,
        inputs: bytes,
        plan: Document,
        tasks: Iterable[tuple[str, Document]],
        document: Document,
    ) -> None:
        """Make a new batch durable: inputs, tasks and plan first, ``batch.json`` last."""
        with self.group(durable=True) as group:
            group.add(self.layout.inputs(batch_id), inputs)
            for task_id, task in tasks:
                group.add(self.layout.task_document(batch_id, task_id), _pretty(seal(task)))
            group.add(self.layout.plan_document(batch_id), _pretty(seal(plan)))
        self.save_batch_document(batch_id, document)

    def save_batch_document(self, batch_id: str, document: Document) -> None:
        """Replace ``batch.json``; everything written before is durable when this returns."""
        path = self.layout.batch_document(batch_id)
        write_file(path, _pretty(seal(document)), durable=True)

    def read_inputs(self, batch_id: str) -> bytes:
        """The lines of all shards, unchecked; b"" where they are missing."""
        return read_file(self.layout.inputs(batch_id)) or b""

    def load_inputs(self, batch_id: str, shard: PlannedShard) -> list[InputFile]:
        """The files of one shard ordered by object, read as one range, checked by digest."""
        try:
            path = self.layout.inputs(batch_id)
            with reporting_read_errors(path), path.open("rb") as stream:
                stream.seek(shard.offset)
                data = stream.read(shard.length)
        except FileNotFoundError:
            data = b""
        if digest_bytes(data) != shard.digest:
            raise StoreDamagedError(
                f"the inputs of shard {shard.shard_id} of {batch_id} are damaged"
            )
        return [_parsed(line, InputFile.from_document) for line in data.splitlines()]

    # -- shards ------------------------------------------------------------------------------

    def load_state(self, batch_id: str, task_id: str, shard_id: str) -> ShardState | None:
        """The outcome of a shard; None while pending.

        A state that is half-written or damaged, or whose outputs are missing or of another
        size, counts as pending: the shard is computed again.
        """
        data = read_file(self.layout.state(batch_id, task_id, shard_id))
        if data is None:
            return None
        try:
            state = ShardState.from_document(unseal(data, "state.json"))
        except (StoreError, KeyError, TypeError, ValueError):
            return None
        if state.status == FAILED:
            return state
        try:
            path = self.layout.outputs(batch_id, task_id, shard_id)
            with reporting_read_errors(path):
                size = path.stat().st_size
        except FileNotFoundError:
            return None
        return state if size == state.size else None

    def load_verified_state(self, batch_id: str, task_id: str, shard_id: str) -> ShardState | None:
        """As `load_state`, but the outputs are read and must match their digest as well."""
        state = self.load_state(batch_id, task_id, shard_id)
        if state is None or state.status == FAILED:
            return state
        data = read_file(self.layout.outputs(batch_id, task_id, shard_id))
        return state if data is not None and digest_bytes(data) == state.digest else None

    def save_outputs(self, batch_id: str, task_id: str, shard_id: str, data: bytes) -> None:
        """Put the records of a shard into place."""
        write_file(self.layout.outputs(batch_id, task_id, shard_id), data, durable=False)

    def save_state(self, batch_id: str, task_id: str, shard_id: str, state: ShardState) -> None:
        """Put the state of a shard into place; call it after `save_outputs`."""
        path = self.layout.state(batch_id, task_id, shard_id)
        write_file(path, _pretty(seal(state.as_document())), durable=False)

    def iter_outputs(self, batch_id: str, task_id: str, shard_id: str) -> Iterator[Record]:
        """The records of a finished shard; their bytes are checked against the state first."""
        state = self.load_state(batch_id, task_id, shard_id)
        if state is None or state.status == FAILED:
            return
        data = read_file(self.layout.outputs(batch_id, task_id, shard_id))
        if data is None or digest_bytes(data) != state.digest:
            raise StoreDamagedError(
                f"the outputs of {batch_id}, task {task_id}, shard {shard_id}, are damaged",
                hints=[f"compute them again: codebatch resume --batch {batch_id}"],
            )
        for line in data.splitlines():
            yield _parsed(line, _record)

    def append_event(self, batch_id: str, event: Document) -> None:
        """Add one line to the batch's ``events.jsonl``."""
        append_line(self.layout.events(batch_id), canonical_json(event))


@dataclass(frozen=True)
class OpenedStore:
    """A store, and whether this call made it."""

    store: StoreDirectory
    created: bool


def init_store(root: Path) -> OpenedStore:
    """Make a store in a new or empty directory; one that is a store already is opened."""
    layout = Layout(root)
    if layout.store_document.exists():
        return OpenedStore(open_store(root), created=False)
    if root.exists() and not root.is_dir():
        raise StoreExistsError(f"{root} is a file: a store is a directory")
    if root.is_dir() and any(entry.name != ".gitignore" for entry in root.iterdir()):
        raise StoreExistsError(
            f"{root} is not empty and not a store",
            hints=["name a new or an empty directory"],
        )
    document = {"format": FORMAT, "version": FORMAT_VERSION, "store_id": secrets.token_hex(16)}
    with reporting_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    write_file(layout.gitignore, b"*\n", durable=False)
    write_file(layout.store_document, _pretty(seal(document)), durable=True)
    return OpenedStore(open_store(root), created=True)


def is_store(root: Path) -> bool:
    """Whether the directory holds a ``store.json`` of CodeBatch, of whatever version."""
    try:
        data = read_file(Layout(root).store_document)
    except StoreError:
        return False
    return data is not None and f'"{FORMAT}"'.encode() in data


def open_store(root: Path) -> StoreDirectory:
    """Open an existing store, or say why it cannot be."""
    hints = [f"make one: codebatch init {root}", "or name another with --store or CODEBATCH_STORE"]
    if not root.is_dir():
        raise StoreNotFoundError(f"no store at {root}: there is no such directory", hints=hints)
    data = read_file(Layout(root).store_document)
    if data is None:
        raise StoreNotFoundError(f"{root} is not a store: it has no store.json", hints=hints)
    if not is_store(root):
        raise StoreFormatError(f"{root} is not a CodeBatch store: store.json names another format")
    document = unseal(data, f"{root}/store.json")
    if document.get("version") != FORMAT_VERSION:
        raise StoreFormatError(
            f"{root} has store format {document.get('version')}, not {FORMAT_VERSION}",
            hints=["use the version of codebatch that wrote the store, or a newer one"],
        )
    layout = Layout(Path(os.path.abspath(root)))  # a process may change its folder
    return StoreDirectory(layout, str(document["store_id"]))


def _load(path: Path, missing: StoreError) -> Document:
    data = read_file(path)
    if data is None:
        raise missing
    return unseal(data, f"{path.parent.name}/{path.name}")


def _complete(folder: Path, prefix: str, document_of: Callable[[str], Path]) -> list[str]:
    if not folder.is_dir():
        return []
    with reporting_read_errors(folder):
        names = [entry.name for entry in folder.iterdir() if entry.name.startswith(f"{prefix}-")]
        return sorted(name for name in names if document_of(name).is_file())


def _find(
    text: str,
    ids: list[str],
    time_of: Callable[[str], str],
    what: str,
    missing: type[StoreError],
) -> str:
    hints = [f"list them: codebatch {_plural(what)}" if ids else f"the store has no {what} yet"]
    if text == LATEST:
        if not ids:
            raise missing(f"there is no {what} in the store", hints=hints)
        return max(ids, key=lambda name: (_time_or_none(time_of, name), name))
    check_name(text, f"{what} id")
    if text in ids:
        return text
    # An abbreviation may leave out the prefix: hex digits alone are enough.
    found = [name for name in ids if name.startswith((text, f"{ids[0].split('-')[0]}-{text}"))]
    if not found:
        raise missing(f"no {what} {text} in the store", hints=hints)
    if len(found) > 1:
        raise AmbiguousIdError(
            f"{what} id {text} is ambiguous: it fits {len(found)} {_plural(what)}",
            hints=["give more digits"],
            details={"candidates": found},
        )
    return found[0]


def _time_or_none(time_of: Callable[[str], str], name: str) -> str:
    """A damaged document has no time: it is never the latest, and hides no other."""
    try:
        return time_of(name)
    except StoreDamagedError:
        return ""


def _plural(what: str) -> str:
    return "batches" if what == "batch" else f"{what}s"


def _parsed(line: bytes, parse: Callable[[Document], T]) -> T:
    return _typed(line, lambda text: parse(json.loads(text)), "an index line")


def _record(document: Document) -> Record:
    """The document itself, if it has what every record has."""
    if not (isinstance(document["kind"], str) and isinstance(document["path"], str)):
        raise TypeError("a record has a kind and a path")
    return document


def _typed(value: V, parse: Callable[[V], T], name: str) -> T:
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, RecursionError, UsageError) as error:
        raise StoreDamagedError(f"{name} is not what the format says: {error}") from error


def _pretty(document: Document) -> bytes:
    """Indented JSON for people; the digest inside is of the canonical form."""
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode("utf-8", "backslashreplace") + b"\n"
