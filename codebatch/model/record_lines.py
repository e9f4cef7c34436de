"""The records of one file as lines of canonical JSON, with the path left open.

What a task yields about a file does not depend on the file's path, so its lines are kept without
one: a NUL byte, which canonical JSON never holds, stands where each record's path belongs, and
`fill_path` puts any path there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, NamedTuple

from codebatch.model.digest import canonical_json, digest_bytes
from codebatch.model.records import Counts, Record

_OPEN = b"\0"
_OPEN_VALUE = b'"path":' + _OPEN


@dataclass(frozen=True)
class FileLines:
    """The lines that one task yields about one file, with the path open.

    ``objects`` are the digests of what the lines refer to, ``batch_id`` names the batch that
    computed them.
    """

    lines: bytes
    counts: Counts
    objects: tuple[str, ...] = ()
    batch_id: str = ""

    @cached_property
    def digest(self) -> str:
        """Digest of the lines: what the keys of later tasks cover."""
        return digest_bytes(self.lines)


class _Shape(NamedTuple):
    """The written form of records of one set of keys: a template, and its values in order."""

    template: str
    values: Callable[[Record], tuple[Any, ...]]


# Values of exactly these types; a record that holds any other is written by `canonical_json`.
_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    bool: {False: "false", True: "true"}.__getitem__,
    type(None): lambda _: "null",
}


def encode_lines(records: Iterable[Record]) -> bytes:
    """One line a record, path open; b"" for no records."""
    lines = [_line(record) for record in records]
    return "".join(lines).encode("utf-8", "backslashreplace")


def fill_path(lines: bytes, path: str) -> bytes:
    """The lines as they stand in an index, each with the path."""
    return lines.replace(_OPEN, canonical_json(path))


def open_path(lines: bytes) -> bytes:
    """The inverse of `fill_path`: lines as they stand in an index, with the path open."""
    return encode_lines(_without_path(lines))


def decode_lines(lines: bytes) -> list[Record]:
    """The records in lines whose path is open, without a path."""
    return _without_path(lines.replace(_OPEN, b"0"))


def count_lines_of(outputs: bytes) -> Counts:
    """Return the counts of lines as they stand in an index."""
    return Counts.of([json.loads(line) for line in outputs.splitlines()])


def _without_path(lines: bytes) -> list[Record]:
    records: list[Record] = [json.loads(line) for line in lines.splitlines()]
    for record in records:
        del record["path"]
    return records


def _line(record: Record) -> str:
    shape = _shape_of(tuple(record))
    try:
        values = [_WRITERS[type(value)](value) for value in shape.values(record)]
    except KeyError:
        return _line_of_any(record)
    return shape.template % tuple(values)


@lru_cache(maxsize=1024)
def _shape_of(keys: tuple[str, ...]) -> _Shape:
    names = sorted({*keys, "path"})
    fields = (
        encode_basestring(name).replace("%", "%%") + (":\0" if name == "path" else ":%s")
        for name in names
    )
    taken = [name for name in names if name != "path"]
    return _Shape("{" + ",".join(fields) + "}\n", _getter(taken))


def _getter(names: list[str]) -> Callable[[Record], tuple[Any, ...]]:
    if len(names) == 1:
        return lambda record: (record[names[0]],)
    return itemgetter(*names)


def _line_of_any(record: Record) -> str:
    """The parts before and after the path are written apart, so that no value can be taken
    for the open place.
    """
    before = {key: value for key, value in record.items() if key < "path"}
    after = {key: value for key, value in record.items() if key > "path"}
    parts = (canonical_json(before)[1:-1], _OPEN_VALUE, canonical_json(after)[1:-1])
    return "{" + b",".join(part for part in parts if part).decode() + "}\n"
