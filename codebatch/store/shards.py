"""The outcome of the shards of a batch: a state each, and beside it the records it vouches for.

A state that is half-written or damaged is absent: the shard is computed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from codebatch.model.checks import check_state, record_check
from codebatch.model.digest import EMPTY, check_digest, compact, digest_bytes, unseal
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.model.records import FAILED, OBJECT_KINDS, PlannedTask, Record, ShardState
from codebatch.store.documents import check_there, parse_line, removal_of, typed
from codebatch.store.door import ABSENT
from codebatch.store.files import remove_file, write_file
from codebatch.store.layout import CHUNK_BYTES, DOCUMENT_BYTES, STATE, Layout
from codebatch.store.objects.cas import ObjectStore
from codebatch.store.objects.compression import CompressionError
from codebatch.store.outputs import link_records, read_records, size_in, write_records
from codebatch.store.write_group import reporting_read_errors

_OBJECT = re.compile(
    rb'"kind":"(?:%b)",[^\n]*?"object":"(sha256:[0-9a-f]{64})"'
    % "|".join(sorted(OBJECT_KINDS)).encode()
)
_CHUNKED = re.compile(rb'"chunked":true,[^\n]*?' + _OBJECT.pattern)


class Shards:
    """Reads and writes the states and outputs of one store: by batch, task and shard."""

    def __init__(self, layout: Layout, objects: ObjectStore) -> None:
        self._layout = layout
        self._door = layout.door
        self._objects = objects

    def load_state(self, batch_id: str, task_id: str, shard_id: str) -> ShardState | None:
        """The outcome of a shard; None while pending.

        A state that is half-written or damaged, or whose outputs are missing or of another
        size, counts as pending: the shard is computed again.
        """
        data, size = self._look_at(self._layout.shard(batch_id, task_id, shard_id))
        if data is None:
            return None
        try:
            state = check_state(ShardState.from_document(unseal(data, "state.json")))
        except (StoreError, KeyError, TypeError, ValueError):
            return None
        is_there = state.status == FAILED or state.size in (0, size)
        return state if is_there else None

    def _look_at(self, place: str) -> tuple[bytes | None, int | None]:
        """The bytes of a state, and the size of the outputs beside it; None where there is no
        state, or something else in its place.
        """
        try:
            with reporting_read_errors(f"{place}/{STATE}"), self._door.folder(place) as folder:
                return folder.read(STATE, DOCUMENT_BYTES), size_in(self._layout, folder)
        except (*ABSENT, StoreDamagedError):
            return None, None

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
        has_none = OBJECT_KINDS.isdisjoint(state.counts.by_kind)
        vouched = has_none or has_objects_of(self._objects, data, whole=whole)
        return (state, data) if vouched else (None, b"")

    def read_outputs(self, batch_id: str, task_id: str, shard_id: str, state: ShardState) -> bytes:
        """The lines of a finished shard, checked against its state."""
        data = self._outputs(batch_id, task_id, shard_id, state)
        if data is None:
            raise removal_of(self._layout, batch_id) or StoreDamagedError(
                f"the outputs of {batch_id}, task {task_id}, shard {shard_id}, are damaged",
                hints=[f"compute them again: codebatch resume --batch {batch_id}"],
            )
        return data

    def _outputs(
        self, batch_id: str, task_id: str, shard_id: str, state: ShardState
    ) -> bytes | None:
        data: bytes | None = b""
        if state.size:
            place = self._layout.shard(batch_id, task_id, shard_id)
            try:
                data = read_records(self._layout, place, state.size)
            except (CompressionError, StoreDamagedError):
                return None
        return data if data is not None and digest_bytes(data) == state.digest else None

    def save_outputs(self, batch_id: str, task_id: str, shard_id: str, data: bytes) -> None:
        """Put the records of a shard into place."""
        write_records(self._layout, self._layout.shard(batch_id, task_id, shard_id), data)

    def link_outputs(
        self, source: tuple[str, str, str], target: tuple[str, str, str], size: int
    ) -> None:
        """Give one (batch, task, shard) the outputs of another, of so many bytes of records, as
        the same file, or a copy.
        """
        if size:
            link_records(self._layout, self._layout.shard(*source), self._layout.shard(*target))
        else:
            self.save_outputs(*target, b"")

    def save_state(self, batch_id: str, task_id: str, shard_id: str, state: ShardState) -> None:
        """Put the state of a shard into place; call it after `save_outputs`."""
        path = f"{self._layout.shard(batch_id, task_id, shard_id)}/{STATE}"
        write_file(self._door, path, compact(state.as_document()), durable=False)

    def drop_state(self, batch_id: str, task_id: str, shard_id: str) -> None:
        """Have a shard count as pending again."""
        remove_file(self._door, self._layout.state(batch_id, task_id, shard_id))

    def iter_outputs(self, batch_id: str, task: PlannedTask, shard_id: str) -> Iterator[Record]:
        """The records of a finished shard; their bytes are checked against the state first."""
        state = self.load_state(batch_id, task.id, shard_id)
        if state is None or state.status == FAILED:
            check_there(self._layout, batch_id)
            return
        data = self.read_outputs(batch_id, task.id, shard_id, state)
        check = record_check(task.fields)
        for line in data.splitlines():
            yield parse_line(line, check)


def has_objects_of(objects: ObjectStore, lines: bytes, *, whole: bool) -> bool:
    """Return True if the objects that records refer to are there, and the chunks of these.

    With ``whole``, they are read; a list of chunks always is.
    """

    def are_there(digests: list[str]) -> bool:
        # An empty file may be what a power cut has left of another object.
        read = {*digests} if whole else {EMPTY}.intersection(digests)
        others = (digest for digest in digests if digest not in read)
        return all(objects.is_intact(one, CHUNK_BYTES) for one in read) and objects.has_all(others)

    if not are_there([digest.decode() for digest in _OBJECT.findall(lines)]):
        return False
    for digest in _CHUNKED.findall(lines):
        try:
            chunks = parse_chunks(objects.read(digest.decode(), CHUNK_BYTES))
        except StoreError:
            return False
        if not are_there(chunks):
            return False
    return True


def parse_chunks(data: bytes) -> list[str]:
    """Return the objects of the value which is cut into them; `StoreDamagedError` if it is none."""
    return typed(
        data, lambda text: [check_digest(x) for x in json.loads(text)["chunks"]], "a chunk list"
    )
