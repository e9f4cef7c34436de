r"""The SQL index: the records of batches as tables of an SQLite database.

Derived from the committed outputs, made when it is first needed. It consists of segments
(`store.indexes.segments`), and each holds the rows of many contents (`status.contents`), so that
what batches share is in it once. A statement is answered from one segment that holds all contents
of the batches it is about. Where there is none, one is made: from one that holds most of them, with
what is missing, or else from nothing. A segment is believed where its checksum is right and its
tables are those that would be made; where the store cannot be written, it is made in a temporary
folder and removed after use.

Text in it is spelled as in JSON where it could not be encoded: a byte of a path that is not
UTF-8 is ``\udcXX``.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.query.index_rows import Row, RowReader
from codebatch.query.sql_tables import BUILT_IN, Tables, own_tables
from codebatch.status.batch_status import BatchStatus
from codebatch.status.contents import Content, contents_of
from codebatch.store import StoreDirectory, is_intact, replacing
from codebatch.store.files import NewIndex
from codebatch.store.indexes.segments import (
    Segment,
    load_segments,
    make_segment,
    remove_segment,
    save_list,
)
from codebatch.store.layout import SEGMENT_BYTES

# Names that no field of a record has.
CONTENT = "$content"
_INDEXED = ("id", "path", "code", "name", "metric")
_BYTES_OF_OUTPUT = 64  # that a byte of outputs takes in a segment at most
_SPARE_BYTES = 2**26
_PORTION_ROWS = 10_000
_COPIED_BYTES = 2**20
_CACHE_KIB = 64 * 1024
# A segment that is mostly about something else is not used: a statement has to look through it. One
# that has half of what is needed is a start.
_LEAST_SHARED = 1 / 2
_LEAST_NEEDED = 1 / 4


class SegmentGoneError(Exception):
    """Another process removed the segment, or put a larger one in its place, before it was read."""


class Asked(NamedTuple):
    """The batches that a statement is about, each with what it holds."""

    statuses: Sequence[BatchStatus]
    contents: Sequence[Sequence[Content]]

    @classmethod
    def of(cls, statuses: Sequence[BatchStatus]) -> Asked:
        """Return the batches with their contents."""
        return cls(statuses, [tuple(contents_of(one)) for one in statuses])

    @property
    def output_bytes(self) -> int:
        """The size of the outputs of all batches."""
        return sum(one.output_bytes for one in self.statuses)

    def by_key(self) -> dict[str, tuple[BatchStatus, Content]]:
        """Each content once, by task and shard, with the first batch that has it."""
        found: dict[str, tuple[BatchStatus, Content]] = {}
        for batch_status, contents in zip(self.statuses, self.contents, strict=True):
            for content in contents:
                found.setdefault(content.key, (batch_status, content))
        return dict(sorted(found.items(), key=lambda item: (not item[1][1].task_id, item[1][1][3])))


class Index(NamedTuple):
    """A segment in which all contents of the batches are: its file, their numbers there, and
    whether it is in the store.
    """

    path: Path
    segment: Segment
    numbers: Mapping[str, int]
    is_kept: bool


@contextlib.contextmanager
def index_of(store: StoreDirectory, asked: Asked) -> Iterator[Index]:
    """The index of the batches as they are now, made where it is not; it is there during the
    block.
    """
    needed = asked.by_key()
    segments = load_segments(store.layout)
    with contextlib.ExitStack() as stack:
        segment = _holding(store, segments, asked, needed)
        if segment is None:
            base = _start(store, segments, asked, needed)
            segment, path = _made(store, asked, needed, base, stack)
        else:
            path = store.layout.segment(segment.name)
        numbers = {key: number for number, key in enumerate(segment.keys)}
        is_kept = path == store.layout.segment(segment.name)
        yield Index(path, segment, numbers, is_kept)


def database_uri(path: Path) -> str:
    """Return the URI with which SQLite opens a segment."""
    # The file is replaced as a whole, never changed: immutable spares SQLite its locks, which
    # a read-only file system would refuse.
    return f"{path.as_uri()}?mode=ro&immutable=1"


def _holding(
    store: StoreDirectory, segments: Sequence[Segment], asked: Asked, needed: Mapping[str, object]
) -> Segment | None:
    """Return the smallest segment that holds all that is needed."""
    whole = [one for one in _fitting(segments, needed) if needed.keys() <= {*one.keys}]
    whole.sort(key=lambda one: (len(one.keys), one.name))
    return next((one for one in whole if _is_whole(store, one, asked, needed)), None)


def _start(
    store: StoreDirectory, segments: Sequence[Segment], asked: Asked, needed: Mapping[str, object]
) -> Segment | None:
    """Return the segment that holds most of what is needed, where it is worth a copy."""
    shared = {one.name: len(needed.keys() & {*one.keys}) for one in _fitting(segments, needed)}
    least = len(needed) * _LEAST_SHARED
    fitting = [one for one in segments if shared.get(one.name, -1) >= least]
    fitting.sort(key=lambda one: (-shared[one.name], len(one.keys), one.name))
    return next((one for one in fitting if _is_whole(store, one, asked, needed)), None)


def _fitting(segments: Sequence[Segment], needed: Mapping[str, object]) -> list[Segment]:
    return [one for one in segments if len(needed) >= len(one.keys) * _LEAST_NEEDED]


def _is_whole(
    store: StoreDirectory, segment: Segment, asked: Asked, needed: Mapping[str, object]
) -> bool:
    """Return True if a segment is as it would be made.

    A store may come from anybody, so that anything may be called a table: only what is looked at
    in this order takes no more time than a look.
    """
    path = store.layout.segment(segment.name)
    share = max(1, len(segment.keys) / max(1, len(needed)))
    most = _SPARE_BYTES + int(_BYTES_OF_OUTPUT * asked.output_bytes * share)
    if not is_intact(store.layout, path, min(SEGMENT_BYTES, most)):
        return False
    expected = sorted(_schema(tables_in(segment)))
    # A foreign view must not be queried.
    schema = "SELECT substr(sql, 1, ?) FROM sqlite_master ORDER BY rowid LIMIT ?"
    longest = max(map(len, expected)) + 1
    uri = database_uri(path)
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as found:
            made = found.execute(schema, (longest, len(expected) + 1)).fetchall()
            return sorted(str(sql) for (sql,) in made) == expected
    except sqlite3.Error:
        return False


def tables_in(segment: Segment) -> Tables:
    """Return the columns of each table of a segment."""
    return {**BUILT_IN, **segment.own}


def _schema(tables: Tables) -> Iterator[str]:
    """The statements that make the tables, then their indexes. Names are such that nothing in them
    has to be escaped: plans and lists have been checked.
    """
    for table, columns in tables.items():
        declared = ", ".join(f'"{name}" {kind}'.rstrip() for name, kind in columns.items())
        yield (
            f'CREATE TABLE "{table}" ("{CONTENT}" INTEGER, "id" INTEGER, {declared}, '
            f'PRIMARY KEY ("{CONTENT}", "id")) WITHOUT ROWID'
        )
    for table, columns in tables.items():
        for column in _INDEXED:
            if column == "id" or column in columns:
                yield f'CREATE INDEX "{table}_{column}" ON "{table}" ("{column}")'
    yield _STATISTICS


_STATISTICS = "CREATE TABLE sqlite_stat1(tbl,idx,stat)"  # as SQLite's own ANALYZE makes it


def _made(
    store: StoreDirectory,
    asked: Asked,
    needed: Mapping[str, tuple[BatchStatus, Content]],
    base: Segment | None,
    stack: contextlib.ExitStack,
) -> tuple[Segment, Path]:
    """Make a segment of what is needed, and what the base holds, which is removed then."""
    own: dict[str, Mapping[str, str]] = dict(base.own) if base else {}
    for batch_status in asked.statuses:
        own.update(own_tables(batch_status.plan).values())
    keys = base.keys if base else ()
    missing = [pair for key, pair in needed.items() if key not in {*keys}]
    segment, listed = make_segment((*keys, *(content.key for _, content in missing)), own)
    path = store.layout.segment(segment.name)
    try:
        save_list(store.layout, segment, listed)
        with replacing(store.layout, path) as index:
            _copy(store, base, index)
            _fill(index.path, store, segment, base, missing)
    except (StoreWriteError, StoreDamagedError):
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="codebatch-"))
        path = Path(folder) / path.name
        path.touch()
        segment, _ = make_segment(needed, own)
        _fill(path, store, segment, None, list(needed.values()))
    else:
        if base is not None:
            remove_segment(store.layout, base.name)
    return segment, path


def _copy(store: StoreDirectory, base: Segment | None, index: NewIndex) -> None:
    if base is None:
        return
    try:
        with store.layout.door.stream(store.layout.segment(base.name)) as stream:
            while portion := stream.read(_COPIED_BYTES):
                index.write(portion)
    except FileNotFoundError:
        raise SegmentGoneError from None


def _fill(
    path: Path,
    store: StoreDirectory,
    segment: Segment,
    base: Segment | None,
    missing: Sequence[tuple[BatchStatus, Content]],
) -> None:
    """Add contents to an empty file, or to a copy of the base. SQLite must not make the file: it
    could be made anywhere by then.
    """
    there = tables_in(base) if base else {}
    numbers = {key: number for number, key in enumerate(segment.keys)}
    before = set(_schema(there)) if base else set()
    statements = [one for one in _schema(tables_in(segment)) if one not in before]
    tables = [one for one in statements if one.startswith("CREATE TABLE") and one != _STATISTICS]
    try:
        uri = f"{path.as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
            for setting in ("journal_mode = OFF", "synchronous = OFF"):
                database.execute(f"PRAGMA {setting}")
            database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            database.execute("BEGIN")
            for statement in tables:
                database.execute(statement)
            _insert_all(database, store, numbers, missing)
            for statement in statements:
                if statement not in tables and statement != _STATISTICS:
                    database.execute(statement)
            _analyze(database)
            database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise StoreWriteError(f"cannot write below {path.parent}: {error}") from error


def _analyze(database: sqlite3.Connection) -> None:
    """Have SQLite note how much there is of what, by which it chooses among indexes."""
    database.execute("PRAGMA analysis_limit = 1000")
    database.execute("ANALYZE")
    # Some builds have another table of it, which others could not tell from a foreign one.
    database.execute("DROP TABLE IF EXISTS sqlite_stat4")


def _insert_all(
    database: sqlite3.Connection,
    store: StoreDirectory,
    numbers: Mapping[str, int],
    missing: Sequence[tuple[BatchStatus, Content]],
) -> None:
    reader = RowReader(store)
    rows: dict[str, list[Row]] = {}
    held = 0
    for batch_status, content in missing:
        number = numbers[content.key]
        for table, row in reader.rows(batch_status, content):
            rows.setdefault(table, []).append((number, *row))
            held += 1
            if held >= _PORTION_ROWS:
                _insert(database, rows)
                held = 0
    _insert(database, rows)


def _insert(database: sqlite3.Connection, rows: dict[str, list[Row]]) -> None:
    for table, portion in rows.items():
        marks = ", ".join("?" * len(portion[0]))
        database.executemany(f'INSERT INTO "{table}" VALUES ({marks})', portion)  # noqa: S608 - checked names
    rows.clear()
