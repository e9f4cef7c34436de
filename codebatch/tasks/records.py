"""The records that tasks yield, and how they become those that are kept.

A task yields the types of this module, or dataclasses of its own. Each is checked as it comes and
made a plain record without a path; the built-in tasks, whose kinds the package knows, yield such
records themselves. `MisfitError` says which record does not fit, and which field of it.

The value of a `Patch` or an `Artifact` is an object of the store: a plain record of such a kind has
the bytes as ``data``, which whoever keeps it replaces by the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from codebatch.model.checks import check_path
from codebatch.model.field_types import MOST_CHARACTERS, fits, has_type
from codebatch.model.record_lines import LineWriter
from codebatch.model.records import CODE, SEVERITIES, Record
from codebatch.runtime.lazy import lazily
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.vocabulary import EDGE_TYPES, SYMBOL_TYPES

with lazily():
    from codebatch.model import unified

Convert = Callable[[Any], Record]
_Check = Callable[[object], "str | None"]


class MisfitError(Exception):
    """Something that a task yields is no record of it; the message says what, and which field."""


@dataclass(frozen=True)
class Diagnostic:
    """A finding at a place in a file. ``rule`` is the name of the rule, by default that of the
    `Rule` which the task declares for the code, else the code.
    """

    kind: ClassVar[str] = "diagnostic"

    code: str
    severity: str
    line: int
    message: str
    column: int = 1
    rule: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Metric:
    """A measure of a file, or of the function ``name`` at ``line``."""

    kind: ClassVar[str] = "metric"

    metric: str
    value: int | float | str
    name: str | None = None
    line: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class Symbol:
    """A name that a file defines, in a ``scope`` (the qualified name of what encloses it)."""

    kind: ClassVar[str] = "symbol"

    name: str
    symbol_type: str
    line: int
    scope: str = "module"
    column: int = 1
    end_line: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class Edge:
    """A reference from a file to something else."""

    kind: ClassVar[str] = "edge"

    edge_type: str
    target: str
    line: int
    name: str | None = None
    alias: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Skip:
    """The task does not look at the file, for a reason."""

    kind: ClassVar[str] = "skip"

    reason: str
    path: str | None = None


@dataclass(frozen=True)
class Patch:
    """A change of the file: a unified ``diff`` against its very bytes, of which the names of files
    are not looked at. A file has at most one from a task; one that changes nothing is left out.
    """

    kind: ClassVar[str] = "patch"

    diff: bytes

    @classmethod
    def of(cls, before: bytes, after: bytes) -> Patch:
        """Return the change from the bytes of the file to others."""
        return cls(unified.diff_hunks(before, after))


@dataclass(frozen=True)
class Artifact:
    """A file that the task has made of this one; ``name`` is a relative path."""

    kind: ClassVar[str] = "artifact"

    name: str
    data: bytes
    media_type: str = "application/octet-stream"


RECORD_TYPES: tuple[type, ...] = (Diagnostic, Metric, Symbol, Edge, Skip)
OBJECT_TYPES: tuple[type, ...] = (Patch, Artifact)  # of tasks that look at one file at a time

# The fields of built-in kinds by type. Those of `_OPTIONAL` are left out where they are None.
FIELDS: Mapping[str, Mapping[str, str]] = {
    "artifact": {
        **dict.fromkeys(("name", "media_type", "object"), "str"),
        "size": "int",
        "chunked": "bool",
    },
    "ast": {
        **dict.fromkeys(("language", "format", "object"), "str"),
        "nodes": "int",
        **dict.fromkeys(("chunked", "partial"), "bool"),
    },
    "diagnostic": {
        **dict.fromkeys(("code", "rule", "severity", "message"), "str"),
        "line": "int",
        "column": "int",
        "fingerprint": "str",
    },
    "edge": {
        "edge_type": "str",
        "target": "str",
        "line": "int",
        "name": "str",
        "alias": "str",
    },
    "metric": {"metric": "str", "value": "int | float | str", "name": "str", "line": "int"},
    "patch": {
        **dict.fromkeys(("added", "removed"), "int"),
        **dict.fromkeys(("result", "object"), "str"),
        "chunked": "bool",
    },
    "skip": {"reason": "str"},
    "suppression": {
        **dict.fromkeys(("code", "rule", "severity", "message"), "str"),
        **dict.fromkeys(("line", "column"), "int"),
        **dict.fromkeys(("fingerprint", "how", "reason"), "str"),
    },
    "symbol": {
        **dict.fromkeys(("name", "symbol_type", "scope"), "str"),
        **dict.fromkeys(("line", "column", "end_line"), "int"),
    },
}
_OPTIONAL: Mapping[str, frozenset[str]] = {
    "artifact": frozenset({"chunked"}),
    "ast": frozenset({"chunked", "partial"}),
    "edge": frozenset({"name", "alias"}),
    "metric": frozenset({"name", "line"}),
    "patch": frozenset({"chunked"}),
}


def _one_of(words: Sequence[str]) -> _Check:
    said = f"none of {', '.join(words)}"
    return lambda value: None if value in words else said


def _code(value: object) -> str | None:
    return None if CODE.match(str(value)) else "not letters, digits, '_', '.' and '-'"


def _place(value: object) -> str | None:
    return None if isinstance(value, int) and value >= 1 else "less than 1"


def _relative(value: object) -> str | None:
    try:
        check_path(str(value))
    except ValueError:
        return "no relative path"
    return None


def _text(value: object) -> str | None:
    return None if value else "empty"


# What the values of fields must be beyond their type.
_VALUES: Mapping[str, Mapping[str, _Check]] = {
    "artifact": {"name": _relative, "media_type": _text},
    "diagnostic": {
        "code": _code,
        "severity": _one_of(SEVERITIES),
        "rule": _text,
        "line": _place,
        "column": _place,
    },
    "edge": {"edge_type": _one_of(EDGE_TYPES), "line": _place},
    "metric": {"metric": _code, "line": _place},
    "skip": {"reason": _text},
    "symbol": {
        "symbol_type": _one_of(SYMBOL_TYPES),
        **dict.fromkeys(("line", "column", "end_line"), _place),
    },
}


class RecordForms:
    """What a task may yield: the kinds ``names``, and of ``own`` ones the types of their fields.

    ``classes`` has the kind of each type that it yields; a task without any yields plain records.
    ``rules`` are the names of rules by code. Where ``has_paths``, a record says itself which file
    it is of.
    """

    def __init__(
        self,
        names: Sequence[str],
        own: Mapping[str, Mapping[str, str]],
        classes: Mapping[type, str],
        rules: Mapping[str, str],
        *,
        has_paths: bool = False,
    ) -> None:
        self._names = frozenset(names)
        self._own = own
        self._rules = rules
        self._has_paths = has_paths
        self._converters = {cls: self._converter(cls, kind) for cls, kind in classes.items()}
        self.lines = LineWriter(self._check_plain).lines

    def records(self, yielded: Iterable[object]) -> list[Record]:
        """Return what a task yields as plain records; diagnostics have no fingerprint yet."""
        found: list[Record] = []
        for number, item in enumerate(yielded, 1):
            name = type(item).__name__
            convert = self._converters.get(type(item))
            if convert is None:
                known = ", ".join(cls.__name__ for cls in self._converters)
                raise MisfitError(f"record {number} is of type {name}, which is none of {known}")
            try:
                found.append(convert(item))
            except MisfitError as error:
                raise MisfitError(f"record {number} ({name}): {error}") from None
        return found

    def _converter(self, cls: type, kind: str) -> Convert:
        if cls in _OF_OBJECTS:
            return _OF_OBJECTS[cls]
        optional = frozenset[str]() if kind in self._own else _OPTIONAL.get(kind, frozenset())
        types = {"path": "str", **(self._own.get(kind) or FIELDS[kind])}
        values_of = _VALUES.get(kind, {})
        names = [f.name for f in fields(cls) if self._has_paths or f.name != "path"]
        checks = [(name, types[name], values_of.get(name)) for name in names]

        def convert(item: object) -> Record:
            record: Record = {"kind": kind}
            for name, words, check in checks:
                value = getattr(item, name)
                if value is None:
                    value = self._default(item, kind, name)
                if value is not None or name not in optional:
                    record[name] = _fitting(name, value, words, check)
            if not self._has_paths and getattr(item, "path", None) is not None:
                raise MisfitError("field path is for tasks of scope 'batch'")
            return record

        return convert

    def _default(self, item: object, kind: str, name: str) -> object:
        """Return what a field of a built-in kind is that a record leaves open."""
        if kind == "diagnostic" and name == "rule":
            code = getattr(item, "code", None)
            return self._rules.get(str(code), code)
        return getattr(item, "line", None) if (kind, name) == ("symbol", "end_line") else None

    def _check_plain(self, record: Record) -> None:
        """Raise `MisfitError` unless a plain record is of a kind of the task and has its fields."""
        kind = str(record.get("kind"))
        if kind not in self._names:
            raise MisfitError(f"a record is of kind {kind!r}, which the task does not declare")
        types = self._own.get(kind) or FIELDS[kind]
        for name in record.keys() - types.keys() - {"kind"}:
            raise MisfitError(f"a {kind} has no field {name}")
        for name, words in types.items():
            if name in record:
                if not has_type(
                    words, record[name]
                ):  # a check of one record says no more of others
                    found = type(record[name]).__name__
                    raise MisfitError(f"field {name} of a {kind} is {found}, not {words}")
            elif name not in _OPTIONAL.get(kind, ()):
                raise MisfitError(f"a {kind} lacks its field {name}")


def _plain_patch(item: Patch) -> Record:
    return {"kind": item.kind, "data": checked_bytes("diff", item.diff)}


def _plain_artifact(item: Artifact) -> Record:
    data = checked_bytes("data", item.data)
    record: Record = {"kind": item.kind, "size": len(data), "data": data}
    for name, check in _VALUES[item.kind].items():
        record[name] = _fitting(name, getattr(item, name), "str", check)
    return record


_OF_OBJECTS: Mapping[type, Convert] = {Patch: _plain_patch, Artifact: _plain_artifact}


def checked_bytes(name: str, value: object) -> bytes:
    """Return the value of a field, if it is bytes; `MisfitError` where it is not."""
    if type(value) is not bytes:
        raise MisfitError(f"field {name} is {_shown(value)}, not bytes")
    return value


def _fitting(name: str, value: object, words: str, check: _Check | None) -> object:
    """Return the value of a field, if it fits; `MisfitError` where it does not."""
    if not fits(words)(value):
        if type(value) is int and "float" in words and "int" not in words:
            return _fitting(name, float(value), words, check)
        if has_type(words, value) and isinstance(value, str):
            most = f"more than {MOST_CHARACTERS:,} characters"
            raise MisfitError(f"field {name} has {most}, or a lone surrogate")
        raise MisfitError(f"field {name} is {_shown(value)}, not {words}")
    wrong = check(value) if check is not None else None
    if wrong is not None:
        raise MisfitError(f"field {name} is {str(value)[:100]!r}: {wrong}")
    return value


def _shown(value: object) -> str:
    """Return a value in a few words, which are the same wherever the task runs."""
    if isinstance(value, int | float):
        return repr(value)
    items = value if isinstance(value, list) else [*value.values()] if type(value) is dict else []
    inner = ", ".join(sorted({type(one).__name__ for one in items}))
    return f"{type(value).__name__} of {inner}" if inner else type(value).__name__


def with_fingerprints(records: list[Record], lines: Callable[[], Sequence[str]]) -> list[Record]:
    """Return the records of a file with the diagnostics among them in order of their places, and
    with fingerprints; ``lines`` gives the text.
    """
    places = [place for place, record in enumerate(records) if record["kind"] == "diagnostic"]
    if places:
        found = [
            Finding(**{key: value for key, value in records[place].items() if key != "kind"})  # type: ignore[arg-type]
            for place in places
        ]
        for place, record in zip(places, diagnostic_records(found, lines()), strict=True):
            records[place] = record
    return records
