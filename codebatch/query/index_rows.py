"""The rows of the SQL index: those of one content, as a segment holds them.

A line of outputs is the JSON of its record. From one batch to the next most lines of a shard stay,
and what was made of a line is used again for the next content of the same task and shard, where
the kinds of the task have the same fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from codebatch.model.checks import record_check
from codebatch.model.digest import canonical_json
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.records import FAILED, Plan, Record, ShardState, path_key
from codebatch.query.fields import FIELDS, flat, spelled
from codebatch.query.sql_tables import FILES, RECORDS, TABLE_OF_KIND, own_tables
from codebatch.status.batch_status import BatchStatus
from codebatch.status.contents import Content
from codebatch.store import StoreDirectory, typed

_INT64 = 2**63
_MOST_KNOWN = 50_000  # lines

Row = tuple[object, ...]


class _Parsed(NamedTuple):
    """What is made of a line: its row in ``records``, and in the table of its kind, if it has
    one.
    """

    record: Row
    table: str | None
    values: Row


class RowReader:
    """Reads contents of batches. State: ``_known`` is what was made of the lines of the content
    that was read last.
    """

    def __init__(self, store: StoreDirectory) -> None:
        self._store = store
        self._form: object = None  # what, besides a line, its rows depend on
        self._known: dict[str, _Parsed] = {}

    def rows(self, batch_status: BatchStatus, content: Content) -> Iterator[tuple[str, Row]]:
        """Yield table and row, which begins with the id, for each record of a content."""
        if not content.task_id:
            for number, row in enumerate(self._files(batch_status, content.shard_id)):
                yield FILES, (content.first_id + number, *row)
            return
        state = self._state(batch_status, content.task_id, content.shard_id)
        data = self._store.shards.read_outputs(
            batch_status.batch_id, content.task_id, content.shard_id, state
        )
        parser = _Parser(batch_status.plan, content.task_id)
        form = (content.first_id, parser.fields, parser.tables)
        known = self._known if form == self._form else {}
        self._form, self._known = form, {}
        for number, line in enumerate(typed(data, _lines, "an index")):
            parsed = known.get(line) or typed(line, parser.parse, "an index line")
            if number < _MOST_KNOWN:
                self._known[line] = parsed
            yield RECORDS, (content.first_id + number, *parsed.record)
            if parsed.table is not None:
                yield parsed.table, (content.first_id + number, *parsed.values)

    def _state(self, batch_status: BatchStatus, task_id: str, shard_id: str) -> ShardState:
        state = self._store.shards.load_state(batch_status.batch_id, task_id, shard_id)
        if state is None or state.status == FAILED:
            # Somebody has removed the batch and begun it again since the status was read.
            raise BatchUnfinishedError(
                f"{batch_status.batch_id} changed while it was read: shard {shard_id} of {task_id}",
                hints=["ask again"],
            )
        return state

    def _files(self, batch_status: BatchStatus, shard_id: str) -> Iterator[Row]:
        """Yield the row of each file of a shard, in path order."""
        batch_id, plan = batch_status.batch_id, batch_status.plan
        files = self._store.batches.load_inputs(batch_id, plan.shard(shard_id))
        files.sort(key=lambda file: path_key(file.path))
        states = [self._store.shards.load_state(batch_id, t.id, shard_id) for t in plan.tasks]
        per_file = [state.per_file for state in states if state is not None and state.per_file]
        for number, file in enumerate(files):
            counts = [counts[number] for counts in per_file]
            records, diagnostics = sum(n for n, _ in counts), sum(n for _, n in counts)
            texts = map(spelled, (file.path, file.object))
            yield (*texts, file.size, spelled(file.language), records, diagnostics)


def _lines(data: bytes) -> list[str]:
    return list(filter(None, data.decode().split("\n")))


class _Parser:
    """Makes rows of the lines of one task: ``fields`` are those of its own kinds, and ``tables``
    has the table and columns of each kind.
    """

    def __init__(self, plan: Plan, task_id: str) -> None:
        task = plan.task(task_id)
        self.fields = task.fields
        self._check = record_check(task.fields)
        own = own_tables(plan) if task.fields else {}
        self.tables = {
            **{kind: (table, tuple(FIELDS[kind])) for kind, table in TABLE_OF_KIND.items()},
            **{kind: (own[kind][0], tuple(own[kind][1])) for kind in task.fields},
        }

    def parse(self, line: str) -> _Parsed:
        """Return what a line becomes; it raises on one that is no record."""
        record = self._check(json.loads(line))
        kind = str(record["kind"])
        head = (_stored_value(record["path"]), kind, line)
        if kind not in self.tables:
            return _Parsed(head, None, ())
        table, fields = self.tables[kind]
        return _Parsed(head, table, _values(record, fields))


def _values(record: Record, fields: tuple[str, ...]) -> Row:
    get = flat(record).get
    return tuple(
        value if value is None or type(value) is bool else _stored_value(value)
        for value in map(get, fields)
    )


def _stored_value(value: object) -> object:
    """Return the value that a database holds for one of JSON."""
    if isinstance(value, str):
        return value if value.isascii() else spelled(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value)
    if isinstance(value, list | dict):
        return canonical_json(value).decode()
    return value
