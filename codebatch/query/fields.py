"""The fields of each kind of record with their types: what columns, sort keys and tables are.

The record schemas describe what the fields of built-in kinds mean; here is their order, the one a
reader wants. The fields of kinds that tasks have of their own are in the plan of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from codebatch.model.digest import Document
from codebatch.model.errors import FilterInvalidError
from codebatch.model.records import Plan, PlannedTask
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch.model import field_types, kinds

TEXT = "TEXT"
INTEGER = "INTEGER"
REAL = "REAL"
ANY = ""  # what the value itself is
VALUE_TEXT = "value_text"  # the value of a metric that is no number, where records are flat
_DESCENDING = "-"

FIELDS: dict[str, dict[str, str]] = {
    "artifact": {
        "path": TEXT,
        "name": TEXT,
        "media_type": TEXT,
        "size": INTEGER,
        "object": TEXT,
        "chunked": INTEGER,
    },
    "ast": {
        "path": TEXT,
        "language": TEXT,
        "format": TEXT,
        "nodes": INTEGER,
        "object": TEXT,
        "chunked": INTEGER,
        "partial": INTEGER,
    },
    "diagnostic": {
        "path": TEXT,
        "line": INTEGER,
        "column": INTEGER,
        "severity": TEXT,
        "code": TEXT,
        "rule": TEXT,
        "message": TEXT,
        "fingerprint": TEXT,
    },
    "edge": {
        "path": TEXT,
        "line": INTEGER,
        "edge_type": TEXT,
        "target": TEXT,
        "name": TEXT,
        "alias": TEXT,
    },
    "metric": {
        "path": TEXT,
        "metric": TEXT,
        "value": ANY,
        VALUE_TEXT: TEXT,
        "name": TEXT,
        "line": INTEGER,
    },
    "patch": {
        "path": TEXT,
        "added": INTEGER,
        "removed": INTEGER,
        "result": TEXT,
        "object": TEXT,
        "chunked": INTEGER,
    },
    "skip": {"path": TEXT, "reason": TEXT},
    "suppression": {
        "path": TEXT,
        "line": INTEGER,
        "column": INTEGER,
        "severity": TEXT,
        "code": TEXT,
        "rule": TEXT,
        "message": TEXT,
        "how": TEXT,
        "reason": TEXT,
        "fingerprint": TEXT,
    },
    "symbol": {
        "path": TEXT,
        "line": INTEGER,
        "column": INTEGER,
        "end_line": INTEGER,
        "symbol_type": TEXT,
        "scope": TEXT,
        "name": TEXT,
    },
}
ADDED = ("task_id", "shard_id")
FILE_FIELDS = ("path", "object", "size", "language", "records", "diagnostics")


_COLUMN_TYPES = {
    frozenset({"str"}): TEXT,
    frozenset({"int"}): INTEGER,
    frozenset({"bool"}): INTEGER,
    frozenset({"float"}): REAL,
    frozenset({"int", "float"}): REAL,
}
Fields = Mapping[str, Mapping[str, str]]  # of each kind: fields with their types


def own_fields(tasks: Iterable[PlannedTask]) -> Fields:
    """Return the fields of the kinds that tasks have of their own, as a plan spells their types."""
    having = [task for task in tasks if task.fields]
    return kinds.own_kinds(having) if having else {}


def fields_of(plan: Plan) -> Fields:
    """Return the columns of the kinds that a batch may hold, built-in ones first."""
    own = {
        kind: {"path": TEXT, **{name: _column_type(words) for name, words in types.items()}}
        for kind, types in own_fields(plan.tasks).items()
    }
    return {**FIELDS, **own}


def types_in(words: str) -> frozenset[str]:
    """Return the types that a field may have, but for None."""
    return frozenset(field_types.alternatives(words)) - {"None"}


def _column_type(words: str) -> str:
    """Return the type of the column of a field. Lists and dicts are JSON, which is text."""
    types = types_in(words)
    if types and all(one.startswith(("list[", "dict[")) for one in types):
        return TEXT
    return _COLUMN_TYPES.get(types, ANY)


def record_columns(kinds: Iterable[str], fields: Fields = FIELDS) -> tuple[str, ...]:
    """All columns of records of these kinds: the kind, their fields, what readers add."""
    columns = {field: None for kind in kinds for field in fields.get(kind, {})}
    return ("kind", *columns, *ADDED)


def flat(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record as the row of a table, where a column has one type: the value of a metric
    is a number, or else in a column of its own.
    """
    value = record.get("value")
    if record.get("kind") == "metric" and isinstance(value, str):
        return {**record, "value": None, VALUE_TEXT: value}
    return record


def check_choice(what: str, value: str | None, choices: Iterable[str]) -> None:
    """Raise `FilterInvalidError` unless the value is None or one of the choices."""
    if value is not None and value not in choices:
        raise FilterInvalidError(
            f"unknown {what}: {value}", hints=[f"choose one of {', '.join(choices)}"]
        )


def spelled(text: str) -> str:
    r"""Return the text as in JSON where it cannot be encoded: a byte that is not UTF-8 is
    ``\udcXX``.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def check_sort(key: str | None, fields: Sequence[str]) -> None:
    """Raise `FilterInvalidError` unless the key is None or a field, perhaps after ``-``."""
    check_choice("sort key", None if key is None else key.removeprefix(_DESCENDING), fields)


def sorted_rows(rows: Iterable[Document], key: str | None) -> list[Document]:
    """The rows by a field, descending after ``-``; equal ones keep their order, rows without
    the field come last either way. Numbers go before text either way.
    """
    if key is None:
        return list(rows)
    field = key.removeprefix(_DESCENDING)
    numbers: list[Document] = []
    texts: list[Document] = []
    missing: list[Document] = []
    for row in rows:
        value = row.get(field)
        kind = missing if value is None else numbers if isinstance(value, int | float) else texts
        kind.append(row)
    descending = key.startswith(_DESCENDING)
    numbers.sort(key=lambda row: cast("float", row[field]), reverse=descending)
    texts.sort(key=lambda row: str(row[field]).encode("utf-8", "surrogatepass"), reverse=descending)
    return numbers + texts + missing
