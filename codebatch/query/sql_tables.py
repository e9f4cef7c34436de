"""The tables of `sql`: what they are called, and their columns, of one batch or of several.

Each kind that a task has of its own has a table: its name is that of the kind and an ``s``, and
where that is taken, the kind's. Where batches mean different things by one kind, its table has the
columns of all, and a column of several types has none. Over several batches each table tells the
``batch`` of a row; a field of that name is ``batch_2`` then.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from codebatch.model.digest import canonical_json, digest_bytes
from codebatch.model.records import Plan
from codebatch.query.fields import ADDED, ANY, FIELDS, FILE_FIELDS, INTEGER, TEXT, fields_of

FILES, RECORDS = "files", "records"
ID, BATCH = "id", "batch"
TABLE_OF_KIND = {
    "diagnostic": "diagnostics",
    "symbol": "symbols",
    "edge": "edges",
    "metric": "metrics",
    "patch": "patches",
    "artifact": "artifacts",
    "suppression": "suppressions",
}
_DIGITS = slice(len("sha256:"), len("sha256:") + 8)

Columns = Mapping[str, str]  # with their types
Tables = Mapping[str, Columns]

# What segments hold of the kinds that every batch may have; readers add task and shard.
BUILT_IN: Tables = {
    FILES: {n: INTEGER if n in ("size", "records", "diagnostics") else TEXT for n in FILE_FIELDS},
    RECORDS: {"path": TEXT, "kind": TEXT, "json": TEXT},
    **{table: FIELDS[kind] for kind, table in TABLE_OF_KIND.items()},
}
_RECORD_COLUMNS = {"path": TEXT, **dict.fromkeys(ADDED, TEXT), "kind": TEXT, "json": TEXT}


class Part(NamedTuple):
    """A table of segments as a part of one that is asked: ``columns`` maps the names of those it
    has to their names there.
    """

    held: str
    columns: Mapping[str, str]


class View(NamedTuple):
    """A table that can be asked: its columns with their types, and what its rows are taken from."""

    columns: Columns
    parts: tuple[Part, ...]


def own_tables(plan: Plan) -> dict[str, tuple[str, Columns]]:
    """Return of each kind that is the tasks' own what segments call its table, and its columns."""
    found = fields_of(plan)
    return {kind: (_held(kind, found[kind]), found[kind]) for kind in found if kind not in FIELDS}


def _held(kind: str, columns: Columns) -> str:
    digest = digest_bytes(canonical_json([list(column) for column in columns.items()]))
    return f"{kind}_{digest[_DIGITS]}"


def views_of(plans: Sequence[Plan], *, several: bool) -> dict[str, View]:
    """Return the tables over the batches with these plans; ``several`` is with ``batch``."""
    of_batch = {BATCH: TEXT} if several else {}
    names = {column: column for columns in BUILT_IN.values() for column in columns}
    columns = {
        table: _RECORD_COLUMNS if table == RECORDS else {**held, **_added(table)}
        for table, held in BUILT_IN.items()
    }
    found = {
        table: View({ID: INTEGER, **of_batch, **columns[table]}, (_part(table, held, names),))
        for table, held in BUILT_IN.items()
    }
    for kind, table in _own_names(plans).items():
        found[table] = _own_view(kind, plans, of_batch)
    return found


def _added(table: str) -> dict[str, str]:
    return {} if table == FILES else dict.fromkeys(ADDED, TEXT)


def _part(held: str, columns: Iterable[str], names: Mapping[str, str]) -> Part:
    return Part(held, {names[column]: column for column in columns})


def _own_names(plans: Iterable[Plan]) -> dict[str, str]:
    """Return the table of each kind that is the tasks' own."""
    names: dict[str, str] = {}
    taken = {*BUILT_IN, "meta"}  # a table of earlier versions
    for kind in sorted({kind for plan in plans for kind in own_tables(plan)}):
        names[kind] = next(name for name in _candidates(kind) if name not in taken)
        taken.add(names[kind])
    return names


def _candidates(kind: str) -> Iterator[str]:
    yield from (f"{kind}s", kind)
    yield from (f"{kind}_{number}" for number in itertools.count(2))


def _own_view(kind: str, plans: Sequence[Plan], of_batch: Columns) -> View:
    own = [own_tables(plan) for plan in plans]
    held = dict(tables[kind] for tables in own if kind in tables)
    types: dict[str, str] = {}
    names: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for column, of_type in (pair for columns in held.values() for pair in columns.items()):
        name = f"{column}_2" if column.lower() in of_batch else column
        names[column] = name = spellings.setdefault(name.lower(), name)
        types[name] = of_type if types.get(name, of_type) == of_type else ANY
    parts = tuple(_part(table, columns, names) for table, columns in held.items())
    return View({ID: INTEGER, **of_batch, **types, **dict.fromkeys(ADDED, TEXT)}, parts)
