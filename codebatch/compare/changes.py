"""The changes between two batches in one order, as rows, and counted by kind, code and file.

A record of a renamed file is under the new name of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from codebatch.compare.compare import Comparison
from codebatch.compare.diff import ADDED, REMOVED, place_key
from codebatch.model.digest import Document, canonical_json
from codebatch.model.records import Record, path_key

CHANGED, RENAMED = "changed", "renamed"
ROW_FIELDS = (
    *("change", "kind", "path", "line", "code", "name", "severity", "old", "new"),
    *("old_path", "task_id"),
)
SHOWN_FIELDS = ("change", "path", "line", "kind", "code", "name", "old", "new")
STAT_FIELDS = ("by", "name", ADDED, REMOVED, CHANGED)
_NOT_SAID = frozenset({"kind", "path", "line", "column", "end_line", "task_id", "shard_id"})
# What of a record of a kind has a column of its own: its code, and what it is about.
_CODES = {
    "diagnostic": "code",
    "suppression": "code",
    "metric": "metric",
    "symbol": "symbol_type",
    "edge": "edge_type",
}
_VALUES = {
    "diagnostic": "message",
    "metric": "value",
    "ast": "nodes",
    "skip": "reason",
    "suppression": "message",
    "symbol": "name",
    "edge": "target",
}


class Change(NamedTuple):
    """A record, or a file under a new name, that differs between two batches."""

    change: str
    path: str
    old: Record | None = None
    new: Record | None = None
    old_path: str | None = None

    @property
    def record(self) -> Record:
        """The record as it is, or as it was where it is gone; empty where a file is renamed."""
        return self.new or self.old or {}

    @property
    def kind(self) -> str:
        """The kind of the record, or ``file``."""
        return str(self.record.get("kind", "file"))


def list_changes(found: Comparison) -> list[Change]:
    """Return all changes by path; of a file first its new name, then what is on its lines."""
    names = found.rename_map
    changes = [Change(RENAMED, new, old_path=old) for old, new in names.items()]
    for record in found.diff.removed:
        path = str(record["path"])
        changes.append(Change(REMOVED, names.get(path, path), old=record))
    changes += [Change(ADDED, str(record["path"]), new=record) for record in found.diff.added]
    changes += [Change(CHANGED, str(new["path"]), old, new) for old, new in found.diff.changed]
    return sorted(changes, key=_order)


def rows_of(changes: Iterable[Change]) -> list[Document]:
    """Return a row with `ROW_FIELDS` for each change."""
    return [_row(change) for change in changes]


def count_changes(changes: Iterable[Change]) -> list[Document]:
    """Return rows with `STAT_FIELDS`: by kind and by code, the most first, then by path; a file
    that has a new name alone has a row of zeros.
    """
    counts: dict[str, dict[str, Counter[str]]] = {"kind": {}, "code": {}, "path": {}}
    for change in changes:
        counts["path"].setdefault(change.path, Counter())[change.change] += 1
        if change.change != RENAMED:
            counts["kind"].setdefault(change.kind, Counter())[change.change] += 1
        if change.kind == "diagnostic":
            counts["code"].setdefault(str(change.record["code"]), Counter())[change.change] += 1
    for by in ("kind", "code"):
        ordered = sorted(counts[by].items(), key=lambda item: (-item[1].total(), item[0]))
        counts[by] = dict(ordered)
    return [
        {"by": by, "name": name, **{what: numbers[what] for what in STAT_FIELDS[2:]}}
        for by, named in counts.items()
        for name, numbers in named.items()
    ]


def _order(change: Change) -> tuple[bytes, bool, tuple[bytes, int, int, str, str]]:
    record = change.record
    place = place_key(record) if record else (b"", 0, 0, "", "")
    return path_key(change.path), change.change != RENAMED, place


def _row(change: Change) -> Document:
    record, kind = change.record, change.kind
    if not record:
        return {"change": RENAMED, "kind": kind, "path": change.path, "old_path": change.old_path}
    row = {
        "change": change.change,
        "kind": kind,
        "path": change.path,
        "line": record.get("line"),
        "code": record.get(_CODES.get(kind, "")),
        "name": name_of(record),
        "severity": record.get("severity"),
        "old": _value(change.old, change.new),
        "new": _value(change.new, change.old),
        "task_id": record["task_id"],
    }
    return {name: value for name, value in row.items() if value is not None}


def name_of(record: Record) -> str | None:
    """Return what a record is about: a qualified name, or the target of an edge; None if none."""
    if record["kind"] == "edge":
        return str(record["target"])
    name = record.get("name")
    inside = record["scope"] if record["kind"] == "symbol" else "module"
    if name is None:
        return None
    return str(name) if inside == "module" else f"{inside}.{name}"


def _value(record: Record | None, other: Record | None) -> object:
    """Return what the record says: a value, or its fields as JSON; None where it is not there."""
    if record is None:
        return None
    if other is not None and record.get("severity") != other.get("severity"):
        return record["severity"]
    field = _VALUES.get(str(record["kind"]))
    if field in record:
        return record[field]
    said = {name: value for name, value in record.items() if name not in _NOT_SAID}
    return canonical_json(said).decode()
