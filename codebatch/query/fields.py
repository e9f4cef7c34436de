"""The fields of each kind of record with their types: what columns, sort keys and tables are.

The record schemas describe what the fields mean; here is their order, the one a reader wants.
"""

from __future__ import annotations

from collections.abc import Iterable

from codebatch.model.errors import FilterInvalidError

TEXT = "TEXT"
INTEGER = "INTEGER"
ANY = ""  # what the value itself is

FIELDS: dict[str, dict[str, str]] = {
    "ast": {
        "path": TEXT,
        "language": TEXT,
        "format": TEXT,
        "nodes": INTEGER,
        "object": TEXT,
        "chunked": INTEGER,
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
    "metric": {"path": TEXT, "metric": TEXT, "value": ANY, "name": TEXT, "line": INTEGER},
    "skip": {"path": TEXT, "reason": TEXT},
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


def record_columns(kinds: Iterable[str]) -> tuple[str, ...]:
    """All columns of records of these kinds: the kind, their fields, what readers add."""
    fields = {field: None for kind in kinds for field in FIELDS.get(kind, {})}
    return ("kind", *fields, *ADDED)


def check_choice(what: str, value: str | None, choices: Iterable[str]) -> None:
    """Raise `FilterInvalidError` unless the value is None or one of the choices."""
    if value is not None and value not in choices:
        raise FilterInvalidError(
            f"unknown {what}: {value}", hints=[f"choose one of {', '.join(choices)}"]
        )
