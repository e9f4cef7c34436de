"""Typed reading and writing of everything in a store directory.

A store is opened, never held: no state beyond the identity read from ``store.json``, no lock,
no handle. Readers get typed values or one of the errors of `model.errors`; a document that
is damaged or half-written is an error where it is needed and absent where absence is ordinary
(`load_state`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from codebatch.model.checks import (
    check_batch,
    check_inputs,
    check_manifest,
    check_record,
    check_snapshot,
    check_state,
)
from codebatch.model.digest import Document, compact, digest_bytes, seal, short_id, unseal
from codebatch.model.errors import (
    BatchNotFoundError,
    SnapshotNotFoundError,
    StoreDamagedError,
    StoreError,
)
from codebatch.model.records import (
    FAILED,
    FileRecord,
    InputFile,
    Plan,
    PlannedShard,
    Record,
    ShardState,
)
from codebatch.store.bounds import DOCUMENT_BYTES, INDEX_BYTES, SNAPSHOT_BYTES
from codebatch.store.door import ABSENT
from codebatch.store.files import (
    WriteGroup,
    has_bytes,
    link_file,
    read_file,
    remove_file,
    reporting_read_errors,
    write_file,
)
from codebatch.store.ids import find_id, list_ids, newest_first
from codebatch.store.layout import BATCH_PREFIX, SNAPSHOT_PREFIX, Layout, is_name
from codebatch.store.leases.pins import Pins
from codebatch.store.objects.cas import ObjectStore
from codebatch.store.objects.references import has_objects_of
from codebatch.store.parsing import (
    load_document,
    parse_line,
    parse_lines,
    parse_plan,
    pretty,
    typed,
)
from codebatch.store.presence import check_there, expecting, removal_of
from codebatch.store.removal import set_aside


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

    def group(self, *, durable: bool, pins: Pins | None = None) -> WriteGroup:
        """Return a group of files to be written below this store; with pins, under their lease."""
        if pins is None:
            return WriteGroup(self.layout.door, durable=durable)
        return WriteGroup(self.layout.door, durable=durable, before_writing=pins.start)

    # -- snapshots ---------------------------------------------------------------------------

    def list_snapshots(self) -> list[str]:
        """Ids of the complete snapshots, sorted."""
        layout = self.layout
        return list_ids(layout.door, layout.snapshots, SNAPSHOT_PREFIX, layout.snapshot_document)

    def find_snapshot(self, text: str) -> str:
        """The snapshot id that ``text`` (an id, a unique prefix, ``latest``) stands for."""
        return find_id(
            text, self.list_snapshots(), self.snapshot_time, "snapshot", SnapshotNotFoundError
        )

    def snapshot_time(self, snapshot_id: str) -> str:
        """Return when the snapshot was taken (ISO 8601, UTC)."""
        return str(self.load_snapshot(snapshot_id).get("taken", ""))

    def load_snapshot(self, snapshot_id: str) -> Document:
        """``snapshot.json``, checked against its digest."""
        path = self.layout.snapshot_document(snapshot_id)
        missing = partial(SnapshotNotFoundError, f"no snapshot {snapshot_id} in {self.root}")
        check = partial(check_snapshot, snapshot_id=snapshot_id)
        return load_document(self.layout.door, path, SNAPSHOT_BYTES, missing, check)

    def load_manifest(self, snapshot_id: str) -> list[FileRecord]:
        """The files of a snapshot ordered by path; checked against the snapshot's id."""
        lines = io.BytesIO(self.read_manifest(snapshot_id))  # one at a time: there are very many
        files = [parse_line(line, FileRecord.from_document) for line in lines]
        typed(files, check_manifest, f"the manifest of {snapshot_id}")
        return files

    def read_manifest(self, snapshot_id: str) -> bytes:
        """The bytes of a manifest, checked against the snapshot's id."""
        data = read_file(self.layout.door, self.layout.manifest(snapshot_id), INDEX_BYTES)
        if data is None:
            check_there(self.layout, snapshot_id)
            raise StoreDamagedError(f"the manifest of {snapshot_id} is missing")
        if short_id(SNAPSHOT_PREFIX, digest_bytes(data)) != snapshot_id:
            raise StoreDamagedError(
                f"the manifest of {snapshot_id} is damaged: its bytes give another id",
                hints=["take the snapshot again to restore it"],
            )
        return data

    def lists_snapshot(self, snapshot_id: str) -> bool:
        """Return True if the snapshot is listed: what it refers to is then safe from `gc`."""
        layout = self.layout
        return is_name(snapshot_id) and layout.door.is_file(layout.snapshot_document(snapshot_id))

    def has_snapshot(self, snapshot_id: str) -> bool:
        """Return True if the snapshot is there and undamaged."""
        try:
            self.load_snapshot(snapshot_id)
            self.read_manifest(snapshot_id)
        except StoreError:
            return False
        return True

    def add_snapshot(
        self, snapshot_id: str, manifest: bytes, document: Document, group: WriteGroup
    ) -> None:
        """Add a snapshot to the group that has its objects: they appear before its manifest,
        and that before its document.
        """
        group.flush()
        group.add(self.layout.manifest(snapshot_id), manifest)
        group.flush()
        body = seal({"snapshot_id": snapshot_id, **document})
        group.add(self.layout.snapshot_document(snapshot_id), pretty(body))

    def restore_manifest(self, snapshot_id: str, manifest: bytes) -> None:
        """Put a manifest that gives the id into place again."""
        write_file(self.layout.door, self.layout.manifest(snapshot_id), manifest, durable=True)

    def restore_snapshot_document(self, snapshot_id: str, document: Document) -> None:
        """Put the document of a snapshot whose manifest is whole into place again."""
        path = self.layout.snapshot_document(snapshot_id)
        data = pretty(seal({**document, "snapshot_id": snapshot_id}))
        write_file(self.layout.door, path, data, durable=True)

    # -- batches -----------------------------------------------------------------------------

    def list_batches(self) -> list[str]:
        """Ids of the batches, sorted."""
        layout = self.layout
        return list_ids(layout.door, layout.batches, BATCH_PREFIX, layout.batch_document)

    def newest_batches(self) -> list[str]:
        """Ids of the batches, the one that changed last first."""
        ids = self.list_batches()
        return newest_first(self.layout.door, ids, self.layout.batch_document)

    def find_batch(self, text: str) -> str:
        """The batch id that ``text`` (an id, a unique prefix, ``latest``) stands for."""
        return find_id(text, self.list_batches(), self.batch_time, "batch", BatchNotFoundError)

    def batch_time(self, batch_id: str) -> str:
        """Return when the batch was created (ISO 8601, UTC)."""
        return str(self.load_batch(batch_id).get("created", ""))

    def load_batch(self, batch_id: str) -> Document:
        """``batch.json``, checked against its digest."""
        path = self.layout.batch_document(batch_id)
        missing = partial(BatchNotFoundError, f"no batch {batch_id} in {self.root}")
        check = partial(check_batch, batch_id=batch_id)
        return load_document(self.layout.door, path, DOCUMENT_BYTES, missing, check)

    def load_plan(self, batch_id: str) -> Plan:
        """``plan.json``, checked against its digest."""
        document = self.load_plan_document(batch_id)
        return typed(document, partial(parse_plan, batch_id), f"the plan of {batch_id}")

    def load_plan_document(self, batch_id: str) -> Document:
        """``plan.json`` as it is stored, checked against its digest."""
        missing = partial(StoreDamagedError, f"the plan of {batch_id} is missing")
        path = self.layout.plan_document(batch_id)
        with expecting(self.layout, batch_id):
            return load_document(self.layout.door, path, DOCUMENT_BYTES, missing)

    def lists_batch(self, batch_id: str) -> bool:
        """Return True if the batch is listed."""
        return self.layout.door.is_file(self.layout.batch_document(batch_id))

    def is_unfinished(self, batch_id: str) -> bool:
        """Return True if the batch is there and has no result yet: until it has one, a power cut
        may damage its outputs, its states, and the objects that they refer to.
        """
        try:
            return self.load_batch(batch_id).get("result") is None
        except BatchNotFoundError:
            return False
        except StoreError:
            return True

    def has_batch(self, batch_id: str) -> bool:
        """Return True if the batch with its plan and inputs is there and undamaged."""
        try:
            self.load_batch(batch_id)
            plan = self.load_plan(batch_id)
            for shard in plan.shards:
                self.read_shard_inputs(batch_id, shard)
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
                group.add(self.layout.task_document(batch_id, task_id), pretty(seal(task)))
            group.add(self.layout.plan_document(batch_id), compact(plan))
        self.save_batch_document(batch_id, document)

    def save_batch_document(self, batch_id: str, document: Document) -> None:
        """Replace ``batch.json``; everything written before is durable when this returns."""
        path = self.layout.batch_document(batch_id)
        write_file(self.layout.door, path, pretty(seal(document)), durable=True)

    def restore_plan(
        self, batch_id: str, inputs: bytes, plan: Document, tasks: Iterable[tuple[str, Document]]
    ) -> None:
        """Put inputs, tasks and plan of a batch into place again, where they are not as given."""
        self._restore({self.layout.inputs(batch_id): inputs})
        self.restore_tasks(batch_id, tasks)
        self._restore({self.layout.plan_document(batch_id): compact(plan)})

    def restore_tasks(self, batch_id: str, tasks: Iterable[tuple[str, Document]]) -> None:
        """Put the documents of tasks into place again, where they are not as given."""
        self._restore(
            {self.layout.task_document(batch_id, name): pretty(seal(task)) for name, task in tasks}
        )

    def _restore(self, files: Mapping[Path, bytes]) -> None:
        with self.group(durable=True) as group:
            for path, data in files.items():
                if not has_bytes(self.layout.door, path, data):
                    group.add(path, data)

    def discard_batch(self, batch_id: str) -> None:
        """Make a batch disappear as a whole."""
        set_aside(self.layout.door, self.layout.batch_document(batch_id).parent)

    def read_inputs(self, batch_id: str) -> bytes:
        """The lines of all shards, unchecked; b"" where they are missing."""
        return read_file(self.layout.door, self.layout.inputs(batch_id), INDEX_BYTES) or b""

    def load_inputs(self, batch_id: str, shard: PlannedShard) -> list[InputFile]:
        """The files of one shard ordered by object."""
        data = self.read_shard_inputs(batch_id, shard)
        files = parse_lines(data, InputFile.from_document)
        return typed(files, partial(check_inputs, shard), f"shard {shard.shard_id} of {batch_id}")

    def read_shard_inputs(self, batch_id: str, shard: PlannedShard) -> bytes:
        """The lines of one shard, read as one range, checked by digest."""
        try:
            path = self.layout.inputs(batch_id)
            with reporting_read_errors(path), self.layout.door.stream(path) as stream:
                is_there = shard.offset + shard.length <= os.fstat(stream.fileno()).st_size
                stream.seek(shard.offset if is_there else 0)
                data = stream.read(shard.length if is_there else 0)
        except ABSENT:
            is_there, data = False, b""
        if not is_there or digest_bytes(data) != shard.digest:
            what = f"the inputs of shard {shard.shard_id} of {batch_id} are damaged"
            raise removal_of(self.layout, batch_id) or StoreDamagedError(what)
        return data

    # -- shards ------------------------------------------------------------------------------

    def load_state(self, batch_id: str, task_id: str, shard_id: str) -> ShardState | None:
        """The outcome of a shard; None while pending.

        A state that is half-written or damaged, or whose outputs are missing or of another
        size, counts as pending: the shard is computed again.
        """
        data, size = self._look_at(self.layout.state(batch_id, task_id, shard_id))
        if data is None:
            return None
        try:
            state = check_state(ShardState.from_document(unseal(data, "state.json")))
        except (StoreError, KeyError, TypeError, ValueError):
            return None
        return state if state.status == FAILED or size == state.size else None

    def _look_at(self, path: Path) -> tuple[bytes | None, int]:
        """The bytes of a state, and the size of the outputs beside it; None where there is no
        state, or something else in its place.
        """
        try:
            with reporting_read_errors(path), self.layout.door.folder(path.parent) as folder:
                data = folder.read(path.name, DOCUMENT_BYTES)
                outputs = self.layout.outputs_name
                return data, folder.status(outputs).st_size if folder.has(outputs) else -1
        except (*ABSENT, StoreDamagedError):
            return None, -1

    def load_verified_state(
        self, batch_id: str, task_id: str, shard_id: str, *, whole: bool = False
    ) -> ShardState | None:
        """Return what `load_state` does, with the outputs read: they must match their digest, and
        the objects that they refer to must be there; with ``whole``, these are read as well.
        """
        return self.load_verified_outputs(batch_id, task_id, shard_id, whole=whole)[0]

    def load_verified_outputs(
        self, batch_id: str, task_id: str, shard_id: str, *, whole: bool = False
    ) -> tuple[ShardState | None, bytes]:
        """The state as `load_verified_state` gives it, and the lines it vouches for."""
        state = self.load_state(batch_id, task_id, shard_id)
        if state is None or state.status == FAILED:
            return state, b""
        data = self._outputs(batch_id, task_id, shard_id, state)
        if data is None:
            return None, b""
        has_trees = "ast" in state.counts.by_kind
        vouched = not has_trees or has_objects_of(self.objects, data, whole=whole)
        return (state, data) if vouched else (None, b"")

    def read_outputs(self, batch_id: str, task_id: str, shard_id: str, state: ShardState) -> bytes:
        """The lines of a finished shard, checked against its state."""
        data = self._outputs(batch_id, task_id, shard_id, state)
        if data is None:
            raise removal_of(self.layout, batch_id) or StoreDamagedError(
                f"the outputs of {batch_id}, task {task_id}, shard {shard_id}, are damaged",
                hints=[f"compute them again: codebatch resume --batch {batch_id}"],
            )
        return data

    def _outputs(
        self, batch_id: str, task_id: str, shard_id: str, state: ShardState
    ) -> bytes | None:
        path = self.layout.outputs(batch_id, task_id, shard_id)
        data = read_file(self.layout.door, path, min(state.size, INDEX_BYTES))
        return data if data is not None and digest_bytes(data) == state.digest else None

    def save_outputs(self, batch_id: str, task_id: str, shard_id: str, data: bytes) -> None:
        """Put the records of a shard into place."""
        path = self.layout.outputs(batch_id, task_id, shard_id)
        write_file(self.layout.door, path, data, durable=False)

    def link_outputs(self, source: tuple[str, str, str], target: tuple[str, str, str]) -> None:
        """Give one (batch, task, shard) the outputs of another as the same file, or a copy."""
        link_file(self.layout.door, self.layout.outputs(*source), self.layout.outputs(*target))

    def save_state(self, batch_id: str, task_id: str, shard_id: str, state: ShardState) -> None:
        """Put the state of a shard into place; call it after `save_outputs`."""
        path = self.layout.state(batch_id, task_id, shard_id)
        write_file(self.layout.door, path, compact(state.as_document()), durable=False)

    def drop_state(self, batch_id: str, task_id: str, shard_id: str) -> None:
        """Have a shard count as pending again."""
        remove_file(self.layout.door, self.layout.state(batch_id, task_id, shard_id))

    def iter_outputs(self, batch_id: str, task_id: str, shard_id: str) -> Iterator[Record]:
        """The records of a finished shard; their bytes are checked against the state first."""
        state = self.load_state(batch_id, task_id, shard_id)
        if state is None or state.status == FAILED:
            check_there(self.layout, batch_id)
            return
        data = self.read_outputs(batch_id, task_id, shard_id, state)
        for line in data.splitlines():
            yield parse_line(line, check_record)
