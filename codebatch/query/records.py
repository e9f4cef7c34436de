"""Read the records of a batch, shard by shard, skipping shards that hold no match unread.

Of the lines of a shard few are parsed that do not match. Lines are canonical JSON, in which a quote
inside of a string is escaped: ``"kind":"metric"`` in a line is that key with that value, at the top
or in an inner object. A line without it cannot match; one with it is parsed and asked again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from codebatch.display.displayed import Displayed, card
from codebatch.model.checks import record_check
from codebatch.model.digest import canonical_json
from codebatch.model.errors import InvalidIdError, StoreDamagedError, UsageError
from codebatch.model.records import FAILED, Plan, Record, ShardState
from codebatch.query.columns import Column, merged_columns
from codebatch.query.fields import Fields, fields_of
from codebatch.query.filters import RecordFilter
from codebatch.runtime.lazy import lazily
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

with lazily():
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from codebatch.query import arrow, frames, ordered, preview, tables

NO_FILTER = RecordFilter()
_PORTION = 65_536  # records in a batch where they are looked at one by one


class Partitioned(NamedTuple):
    """What makes the collections of Dask that records are read into, a partition a shard."""

    bag: Callable[[], Any]
    dataframe: Callable[[], Any]


class Records(Displayed):
    r"""Matching records of a batch as it is whenever they are read, and read again each time: as
    dicts by iterating, or as columns that come from the shards as such. Each kind has the same
    columns with the same types in every form, whichever records there are, also none.

    ``Batch.records`` and ``Batch.outputs`` give them by task, shard and path: the first names the
    conditions that are used most, the second takes all of them. ``Batch.sorted_records`` takes all
    of them too, and gives them by path, then task, whatever the sharding; that looks at the records
    one by one.

    Iterating and the stream of `__arrow_c_stream__` need memory for a shard at a time. Text that
    cannot be encoded is spelled as in JSON in columns: a byte of a path that is not UTF-8 is
    ``\udcXX``.
    """

    def __init__(  # noqa: PLR0913 - what to read, and how
        self,
        store: StoreDirectory,
        plan: Plan,
        batch_status: Callable[[], BatchStatus],
        filters: RecordFilter = NO_FILTER,
        task_id: str | None = None,
        *,
        in_order: bool = False,
        batch_id: str = "",
        partitioned: Partitioned | None = None,
    ) -> None:
        self._store = store
        self._plan = plan
        self._batch_status = batch_status
        self._filters = filters
        self._task_id = task_id
        self._in_order = in_order
        self._batch_id = batch_id
        self._partitioned = partitioned

    def __iter__(self) -> Iterator[Record]:
        return self._read(self._batch_status())

    def _read(self, batch_status: BatchStatus) -> Iterator[Record]:
        read = ordered.ordered_records if self._in_order else iter_records
        return read(self._store, batch_status, self._filters, self._task_id)

    def _card(self) -> card.Card:
        return preview.records_card(
            *(self._store, self._batch_id, self._plan, self._filters, self._task_id),
            columns=self.columns,
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a table of them."""
        return merged_columns(self._filters.kinds_in(fields_of(self._plan)), self._plan)

    def to_list(self) -> list[Record]:
        """All of them."""
        return list(self)

    def record_batches(self) -> Iterator[pa.RecordBatch]:
        """Return them as batches of Arrow, one at a time in memory."""
        arrow.require_arrow("a table of records")
        # Asked for here: what reads a stream would make another error of one that is raised in it.
        batch_status = self._batch_status()
        columns = self.columns
        if self._in_order:
            found = self._read(batch_status)
            portions = iter(lambda: list(islice(found, _PORTION)), [])
            return (arrow.rows_to_batch(portion, columns) for portion in portions)
        reading = tables.Tables(self._store, batch_status, self._filters, self._task_id, columns)
        return reading.batches()

    def to_arrow(self) -> pa.Table:
        """A table of Arrow; it needs pyarrow. What repeats, as paths and codes, is a dictionary;
        the value of a metric that is a text is in ``value_text``; what is not of one type is JSON.
        """
        arrow.require_arrow("a table of records")
        return pa.Table.from_batches(self.record_batches(), arrow.arrow_schema(self.columns))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return a stream of Arrow's C interface, which whatever reads Arrow takes, shard by
        shard.
        """
        arrow.require_arrow("a stream of records")
        schema = arrow.arrow_schema(self.columns)
        reader = pa.RecordBatchReader.from_batches(schema, self.record_batches())
        return reader.__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame; it needs pandas and pyarrow. Numbers and truth values that may be absent
        have the types of pandas that hold that, and what repeats is a category.
        """
        return frames.to_pandas(self)

    def to_polars(self) -> pl.DataFrame:
        """A DataFrame of Polars; it needs polars and pyarrow. What repeats is categorical."""
        return frames.to_polars(self)

    def to_duckdb(self, connection: Any = None) -> duckdb.DuckDBPyRelation:
        """A relation of DuckDB, of its default connection unless one is given, which reads the
        records each time that it is executed, a shard at a time; it needs duckdb and pyarrow.
        """
        self._batch_status()  # DuckDB would make another error of the one that is raised here
        return frames.to_duckdb(self, connection)

    def to_bag(self) -> Any:
        """Return what `Batch.to_bag` does, of these records."""
        return self._lazily().bag()

    def to_dask_dataframe(self) -> Any:
        """Return what `Batch.to_dask_dataframe` does, of these records."""
        return self._lazily().dataframe()

    def _lazily(self) -> Partitioned:
        if self._partitioned is None or self._in_order:
            raise UsageError(
                "partitions of Dask are shards, which are in no order of paths",
                hints=["take outputs() or records() in place of sorted_records()"],
            )
        return self._partitioned


def check_outputs(
    store: StoreDirectory, batch_status: BatchStatus, filters: RecordFilter, task_id: str | None
) -> None:
    """Read the outputs that matching records may be in: `StoreDamagedError` where some are not what
    their state says.
    """
    for task, shard_id, state in finished_shards(batch_status, filters, task_id):
        store.shards.read_outputs(batch_status.batch_id, task, shard_id, state)


def finished_shards(
    batch_status: BatchStatus, filters: RecordFilter = NO_FILTER, task_id: str | None = None
) -> Iterator[tuple[str, str, ShardState]]:
    """Yield task, shard and state of all shards that matching records may be in."""
    batch_status.check_task(task_id)
    for task, states in batch_status.states.items():
        if task_id not in (None, task):
            continue
        for shard_id, state in states.items():
            if state is not None and state.status != FAILED and filters.may_match(state):
                yield task, shard_id, state


def iter_records(
    store: StoreDirectory,
    batch_status: BatchStatus,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> Iterator[Record]:
    """Matching records with ``task_id`` and ``shard_id`` added: by task, shard, path."""
    languages = FileLanguages(store, batch_status)
    matchers = {task.id: Matcher(filters, task.fields) for task in batch_status.plan.tasks}
    for task, shard_id, state in finished_shards(batch_status, filters, task_id):
        data = store.shards.read_outputs(batch_status.batch_id, task, shard_id, state)
        for record in matchers[task].records(data):
            record["task_id"], record["shard_id"] = task, shard_id
            if filters.language is None or filters.matches_language(languages.of(record)):
                yield record


class FileLanguages:
    """Languages by path, of the shards that were asked for: ``in_shard`` gives those of one."""

    def __init__(self, store: StoreDirectory, batch_status: BatchStatus) -> None:
        self._store = store
        self._batch_status = batch_status
        self.in_shard = lru_cache(maxsize=4096)(self._languages_of)

    def of(self, record: Record) -> str:
        """The language of the file a record is about."""
        return self.in_shard(str(record["shard_id"]))[str(record["path"])]

    def _languages_of(self, shard_id: str) -> dict[str, str]:
        shard = self._batch_status.plan.shard(shard_id)
        inputs = self._store.batches.load_inputs(self._batch_status.batch_id, shard)
        return {file.path: file.language for file in inputs}


_PATH = '"path":"'
_decode = json.JSONDecoder().raw_decode


class Matcher:
    """Finds in lines the records that fulfil every condition but the language. ``own`` are the
    kinds that are the task's own.
    """

    def __init__(self, filters: RecordFilter, own: Fields) -> None:
        self._filters = filters
        self._check = record_check(own)
        self._texts = [
            [canonical_json({field: value})[1:-1].decode() for value in sorted(values)]
            for field, values in filters.wanted.items()
        ]

    def records(self, data: bytes) -> Iterator[Record]:
        """Yield the records in lines; `StoreDamagedError` where one that may match is none."""
        check, matches = self._check, self._filters.matches
        try:
            for line in self._candidates(data.decode().split("\n")):
                record, end = _decode(line)
                if end != len(line):
                    raise ValueError("one record is a line")
                if matches(check(record)):
                    yield record
        except (InvalidIdError, KeyError, TypeError, ValueError, RecursionError) as error:
            message = f"an index line is not what the format says: {error}"
            raise StoreDamagedError(message) from error

    def _candidates(self, lines: list[str]) -> list[str]:
        """The lines in which all is that the conditions ask for."""
        found = list(filter(None, lines))
        for texts in self._texts:
            if len(texts) == 1:
                text = texts[0]
                found = [line for line in found if text in line]
            else:
                found = [line for line in found if any(text in line for text in texts)]
        filters = self._filters
        return found if filters.path is None else list(filter(_path_test(filters), found))


def _path_test(filters: RecordFilter) -> Callable[[str], bool]:
    """Return a test of the path in a line; lines of one path follow one another."""
    last, fits = "", False

    def test(line: str) -> bool:
        nonlocal last, fits
        begin = line.find(_PATH) + len(_PATH)
        path = line[begin : line.find('"', begin)]
        if "\\" in path or line.find(_PATH, begin) != -1:
            return True  # spelled with escapes, or one of two: to be parsed
        if path != last:
            last, fits = path, filters.matches_path(path)
        return fits

    return test
