"""Read the records of a batch, shard by shard, skipping shards that hold no match unread.

Of the lines of a shard few are parsed that do not match. Lines are canonical JSON, in which a quote
inside of a string is escaped: ``"kind":"metric"`` in a line is that key with that value, at the top
or in an inner object. A line without it cannot match; one with it is parsed and asked again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from codebatch.model.checks import record_check
from codebatch.model.digest import canonical_json
from codebatch.model.errors import MissingExtraError, StoreDamagedError
from codebatch.model.records import FAILED, Plan, Record
from codebatch.query.columns import Column, frame_type, merged_columns
from codebatch.query.fields import Fields, fields_of, flat, spelled
from codebatch.query.filters import RecordFilter
from codebatch.runtime.lazy import lazy
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

if TYPE_CHECKING:
    import pandas as pd

    from codebatch.query import ordered
else:
    ordered = lazy("codebatch.query.ordered")

NO_FILTER = RecordFilter()


class Records:
    """Records that are read when they are asked for, and again each time they are.

    ``columns`` gives those of a table of them.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Record]],
        columns: Callable[[], tuple[Column, ...]],
    ) -> None:
        self._read = read
        self._columns = columns

    def __iter__(self) -> Iterator[Record]:
        return self._read()

    def __repr__(self) -> str:
        return f"<codebatch.Records {', '.join(column.name for column in self._columns())}>"

    def to_list(self) -> list[Record]:
        """All of them."""
        return list(self)

    def to_pandas(self) -> pd.DataFrame:
        r"""A DataFrame with a column for each field; it needs pandas. Columns of numbers have types
        of numbers, also where there are no records: the value of a metric that is a text is in
        ``value_text``. Text that cannot be encoded is spelled as in JSON: a byte of a path that is
        not UTF-8 is ``\udcXX``.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - an optional package
        except ImportError as error:
            message = "DataFrames need pandas, which is not installed"
            raise MissingExtraError(message, hints=["pip install 'codebatch[pandas]'"]) from error
        rows = [
            {key: spelled(value) if isinstance(value, str) else value for key, value in row.items()}
            for row in map(flat, self)
        ]
        columns = self._columns()
        names = [column.name for column in columns]
        more = {key: None for row in rows for key in row if key not in names}
        frame = pd.DataFrame(rows, columns=[*names, *more])
        for column in columns:
            if (dtype := frame_type(column)) is not None:
                values = [row.get(column.name) for row in rows]
                frame[column.name] = pd.Series(values, dtype=dtype)
        return frame


def records(
    store: StoreDirectory,
    plan: Plan,
    batch_status: Callable[[], BatchStatus],
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
    *,
    in_order: bool = False,
) -> Records:
    """Matching records of the batch as it is whenever they are read, perhaps `ordered`."""
    read = ordered.ordered_records if in_order else iter_records
    return Records(
        lambda: read(store, batch_status(), filters, task_id),
        lambda: merged_columns(filters.kinds_in(fields_of(plan)), plan),
    )


def check_outputs(
    store: StoreDirectory, batch_status: BatchStatus, filters: RecordFilter, task_id: str | None
) -> None:
    """Read the outputs that matching records may be in: `StoreDamagedError` where some are not what
    their state says.
    """
    for _ in _outputs(store, batch_status, filters, task_id):
        pass


def _outputs(
    store: StoreDirectory, batch_status: BatchStatus, filters: RecordFilter, task_id: str | None
) -> Iterator[tuple[str, str, bytes]]:
    """Yield task, shard and outputs of all shards that matching records may be in."""
    batch_status.check_task(task_id)
    for task, states in batch_status.states.items():
        if task_id not in (None, task):
            continue
        for shard_id, state in states.items():
            if state is not None and state.status != FAILED and filters.may_match(state):
                data = store.shards.read_outputs(batch_status.batch_id, task, shard_id, state)
                yield task, shard_id, data


def iter_records(
    store: StoreDirectory,
    batch_status: BatchStatus,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> Iterator[Record]:
    """Matching records with ``task_id`` and ``shard_id`` added: by task, shard, path."""
    languages = FileLanguages(store, batch_status)
    matchers = {task.id: Matcher(filters, task.fields) for task in batch_status.plan.tasks}
    for task, shard_id, data in _outputs(store, batch_status, filters, task_id):
        for record in matchers[task].records(data):
            record["task_id"], record["shard_id"] = task, shard_id
            if filters.language is None or filters.matches_language(languages.of(record)):
                yield record


class FileLanguages:
    """Languages by path, of the shards that were asked for."""

    def __init__(self, store: StoreDirectory, batch_status: BatchStatus) -> None:
        self._store = store
        self._batch_status = batch_status
        self._of_shard = lru_cache(maxsize=4096)(self._languages_of)

    def of(self, record: Record) -> str:
        """The language of the file a record is about."""
        return self._of_shard(str(record["shard_id"]))[str(record["path"])]

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
        except (KeyError, TypeError, ValueError, RecursionError) as error:
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
