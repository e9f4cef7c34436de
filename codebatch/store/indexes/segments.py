"""The segments of the SQL index below ``indexes/sql/``: tables of the contents of many shards.

A segment is a database and, beside it, the list of the contents it holds, ``<name>.keys``, whose
digest is the name of both. A database is put into place with a checksum and never changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import StoreError, StoreWriteError
from codebatch.model.json_types import to_list, to_mapping, to_text
from codebatch.store.files import read_file, remove_file, write_file
from codebatch.store.layout import CACHE_BYTES, KEYS_SUFFIX, Layout

LAYOUT = 4
_NAME_DIGITS = 32
_KEY = re.compile(r"[0-9a-f]{32}\Z")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_TYPES = frozenset({"TEXT", "INTEGER", "REAL", ""})

OwnTables = Mapping[str, Mapping[str, str]]  # of kinds of users: columns with their types


class Segment(NamedTuple):
    """What a segment holds: ``keys`` of contents, whose numbers are their places, and the tables
    of the kinds of users among them.
    """

    name: str
    keys: tuple[str, ...]
    own: OwnTables


def make_segment(keys: Iterable[str], own: OwnTables) -> tuple[Segment, bytes]:
    """Return the segment of these contents, and its list."""
    listed = tuple(keys)
    data = canonical_json({"layout": LAYOUT, "own": _as_document(own), "keys": list(listed)})
    return Segment(_name_of(data), listed, own), data


def save_list(layout: Layout, segment: Segment, data: bytes) -> None:
    """Put the list of a segment into place; call it before its database is."""
    write_file(layout.door, layout.segment_keys(segment.name), data, durable=False)


def segment_names(layout: Layout) -> list[str]:
    """The names of the lists there are."""
    names = layout.door.names(layout.sql_indexes)
    return sorted(name.removesuffix(KEYS_SUFFIX) for name in names if name.endswith(KEYS_SUFFIX))


def load_segments(layout: Layout) -> list[Segment]:
    """The segments there are; what is damaged, or of another layout, is none."""
    found = (load_segment(layout, name) for name in segment_names(layout))
    return [segment for segment in found if segment is not None]


def load_segment(layout: Layout, name: str) -> Segment | None:
    """The segment of that name, by its list; None where it is not what its name says."""
    try:
        data = read_file(layout.door, layout.segment_keys(name), CACHE_BYTES)
        if data is None or _name_of(data) != name:
            return None
        return _parsed(name, json.loads(data))
    except (StoreError, ValueError, KeyError, TypeError, RecursionError):
        return None


def is_list(name: str, data: bytes) -> bool:
    """Return True if the bytes are those that the name of a list says."""
    return f"{_name_of(data)}{KEYS_SUFFIX}" == name


def remove_segment(layout: Layout, name: str) -> None:
    """Remove a segment, and first its list, which makes it known; whoever has it open goes on."""
    files = [one for one in layout.door.names(layout.sql_indexes) if one.startswith(f"{name}.")]
    with contextlib.suppress(StoreWriteError):
        for file in sorted(files, key=lambda file: not file.endswith(KEYS_SUFFIX)):
            remove_file(layout.door, layout.sql_indexes / file)


def needed_segments(segments: Iterable[Segment], held: Iterable[AbstractSet[str]]) -> set[str]:
    """Return the names of the segments that have nothing but what batches hold, and that are not a
    part of another one: what was removed must not stay in one that has also something else.
    """
    keys_of = {one.name: frozenset(one.keys) for one in segments}
    unheld = {name: set(keys) for name, keys in keys_of.items()}
    for keys in held if unheld else ():
        for rest in unheld.values():
            rest.difference_update(keys)
    whole = {name: keys for name, keys in keys_of.items() if keys and not unheld[name]}
    return {name for name, keys in whole.items() if not any(keys < one for one in whole.values())}


def _name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_NAME_DIGITS]


def _as_document(own: OwnTables) -> Document:
    # A list of pairs: the order of columns is a part of what a table is.
    return {table: [list(column) for column in columns.items()] for table, columns in own.items()}


def _parsed(name: str, document: object) -> Segment | None:
    found = to_mapping(document)
    if found["layout"] != LAYOUT:
        return None
    keys = tuple(map(to_text, to_list(found["keys"])))
    own = {
        to_text(table): {to_text(column): to_text(kind) for column, kind in map(_pair, columns)}
        for table, columns in ((t, to_list(c)) for t, c in to_mapping(found["own"]).items())
    }
    words = [*own, *(column for columns in own.values() for column in columns)]
    types = {kind for columns in own.values() for kind in columns.values()}
    are_words = all(map(_WORD.match, words)) and types <= _TYPES
    if not (are_words and all(map(_KEY.match, keys)) and len(set(keys)) == len(keys)):
        raise ValueError("a list of contents is not what the format says")
    return Segment(name, keys, own)


def _pair(value: object) -> tuple[object, object]:
    first, second = to_list(value)
    return first, second
