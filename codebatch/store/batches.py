"""The batches of a store: a plan each, the inputs of its shards, its document and its events.

No result depends on an event: they are for people and views. Lines that are no event, as a crash
may leave them, are left out where they are read.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from functools import lru_cache, partial

from codebatch.model.checks import check_batch, check_inputs, check_plan
from codebatch.model.digest import Document, canonical_json, compact, digest_bytes, seal
from codebatch.model.errors import BatchNotFoundError, StoreDamagedError, StoreError
from codebatch.model.records import InputFile, Plan, PlannedShard
from codebatch.store.documents import (
    LINES_KEPT,
    Documents,
    Kind,
    expecting,
    load_document,
    parse_line,
    pretty,
    removal_of,
    typed,
)
from codebatch.store.door import ABSENT
from codebatch.store.files import append_line, read_file, write_file
from codebatch.store.layout import (
    BATCH_PREFIX,
    DOCUMENT_BYTES,
    EVENTS_BYTES,
    INDEX_BYTES,
    Layout,
    check_name,
)
from codebatch.store.removal import set_aside
from codebatch.store.write_group import WriteGroup, reporting_read_errors

_KIND = Kind(
    noun="batch",
    plural="batches",
    prefix=BATCH_PREFIX,
    time_key="created",
    missing=BatchNotFoundError,
    most_bytes=DOCUMENT_BYTES,
    check=check_batch,
)
_RUN_STARTED = b'{"event":"run-started"'
_LATEST_BYTES = 128 * 1024


class Batches(Documents):
    """Reads and writes the batches of one store, but for the outcome of their shards."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, _KIND, layout.batches, layout.batch_document)

    def load_plan(self, batch_id: str) -> Plan:
        """Return ``plan.json``, checked against its digest."""
        document = self.load_plan_document(batch_id)
        return typed(document, partial(parse_plan, batch_id), f"the plan of {batch_id}")

    def load_plan_document(self, batch_id: str) -> Document:
        """Return ``plan.json`` as it is stored, checked against its digest."""
        missing = partial(StoreDamagedError, f"the plan of {batch_id} is missing")
        path = self._layout.plan_document(batch_id)
        with expecting(self._layout, batch_id):
            return load_document(self._door, path, DOCUMENT_BYTES, missing)

    def is_unfinished(self, batch_id: str) -> bool:
        """Return True if the batch is there and has no result yet: until it has one, a power cut
        may damage its outputs, its states, and the objects that they refer to.
        """
        try:
            return self.load(batch_id).get("result") is None
        except BatchNotFoundError:
            return False
        except StoreError:
            return True

    def is_whole(self, batch_id: str) -> bool:
        """Return True if the batch with its plan and inputs is there and undamaged."""
        try:
            self.load(batch_id)
            for shard in self.load_plan(batch_id).shards:
                self.read_shard_inputs(batch_id, shard)
        except StoreError:
            return False
        return True

    def save(
        self,
        batch_id: str,
        inputs: bytes,
        plan: Document,
        tasks: Iterable[tuple[str, Document]],
        document: Document,
    ) -> None:
        """Make a new batch durable: inputs, tasks and plan first, ``batch.json`` last."""
        with WriteGroup(self._door, durable=True) as group:
            group.add(self._layout.inputs(batch_id), inputs)
            for task_id, task in tasks:
                group.add(self._layout.task_document(batch_id, task_id), pretty(seal(task)))
            group.add(self._layout.plan_document(batch_id), compact(plan))
        self.save_document(batch_id, document)

    def save_task(self, batch_id: str, task_id: str, task: Document) -> None:
        """Replace the document of a task."""
        path = self._layout.task_document(batch_id, task_id)
        write_file(self._door, path, pretty(seal(task)), durable=True)

    def save_document(self, batch_id: str, document: Document) -> None:
        """Replace ``batch.json``; everything written before is durable when this returns."""
        path = self._layout.batch_document(batch_id)
        write_file(self._door, path, pretty(seal(document)), durable=True)

    def drop_result(self, batch_id: str) -> None:
        """Have a batch count as unfinished, durably: what is computed of it from now on is neither
        durable nor believed before it has a result again.

        A document that cannot be read is left to whoever restores it, by the states.
        """
        try:
            document = self.load(batch_id)
        except StoreError:
            return
        if document.get("result") is not None:
            document.pop("finished", None)
            self.save_document(batch_id, {**document, "result": None})

    def discard(self, batch_id: str) -> None:
        """Make a batch disappear as a whole."""
        set_aside(self._door, self._layout.batch_document(batch_id).parent)

    def read_inputs(self, batch_id: str) -> bytes:
        """Return the lines of all shards, unchecked; b"" where they are missing."""
        return read_file(self._door, self._layout.inputs(batch_id), INDEX_BYTES) or b""

    def load_inputs(self, batch_id: str, shard: PlannedShard) -> list[InputFile]:
        """Return the files of one shard ordered by object."""
        data = self.read_shard_inputs(batch_id, shard)
        files = list(map(_parse_input, data.splitlines()))
        return typed(files, partial(check_inputs, shard), f"shard {shard.shard_id} of {batch_id}")

    def read_shard_inputs(self, batch_id: str, shard: PlannedShard) -> bytes:
        """Return the lines of one shard, read as one range, checked by digest."""
        try:
            path = self._layout.inputs(batch_id)
            with reporting_read_errors(path), self._door.stream(path) as stream:
                is_there = shard.offset + shard.length <= os.fstat(stream.fileno()).st_size
                stream.seek(shard.offset if is_there else 0)
                data = stream.read(shard.length if is_there else 0)
        except ABSENT:
            is_there, data = False, b""
        if not is_there or digest_bytes(data) != shard.digest:
            what = f"the inputs of shard {shard.shard_id} of {batch_id} are damaged"
            raise removal_of(self._layout, batch_id) or StoreDamagedError(what)
        return data

    def add_event(self, batch_id: str, event: Document) -> None:
        """Add what happened in a batch to its events."""
        append_line(self._door, self._layout.events(batch_id), canonical_json(event))

    def last_run_events(self, batch_id: str) -> list[Document]:
        """Return the events since the last run started."""
        data = self._end_of_events(batch_id, EVENTS_BYTES)
        start = data.rfind(_RUN_STARTED)
        return _parse_events(data[max(start, 0) :].splitlines()[1:])

    def latest_events(self, batch_id: str, size: int = _LATEST_BYTES) -> list[Document]:
        """Return the events in so many bytes at the end: there may be very many."""
        return _parse_events(self._end_of_events(batch_id, size).splitlines())

    def _end_of_events(self, batch_id: str, size: int) -> bytes:
        """Return the last lines in so many bytes: there is no telling how long a file is."""
        path = self._layout.events(batch_id)
        try:
            with reporting_read_errors(path), self._door.stream(path) as stream:
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, end - size))
                data = stream.read(size)
        except ABSENT:
            return b""
        return data if end <= size else data.partition(b"\n")[2]


def parse_plan(batch_id: str, document: Document) -> Plan:
    """Return the plan of a batch; raise where it is none, or that of another."""
    if document["batch_id"] != batch_id:
        raise ValueError("it is of another batch")
    plan = Plan.from_document(document)
    for task in plan.tasks:
        check_name(task.id, "task id")
    check_name(plan.snapshot_id, "snapshot id")
    return check_plan(plan)


# From one revision to the next, most lines are the same.
@lru_cache(maxsize=LINES_KEPT)
def _parse_input(line: bytes) -> InputFile:
    return parse_line(line, InputFile.from_document)


def _parse_events(lines: Iterable[bytes]) -> list[Document]:
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                found.append(event)
    return found
