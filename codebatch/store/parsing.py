"""JSON of a store as typed values, or `StoreDamagedError`; and JSON as people like to read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from codebatch.digest import Document
from codebatch.errors import StoreDamagedError, UsageError
from codebatch.records import Record

T = TypeVar("T")
V = TypeVar("V")


def parse_line(line: bytes, parse: Callable[[Document], T]) -> T:
    """One line of an index."""
    return typed(line, lambda text: parse(json.loads(text)), "an index line")


def parse_lines(data: bytes, parse: Callable[[Document], T]) -> list[T]:
    """All lines of an index, read as one array: there are very many."""
    array = b"[" + b",".join(data.splitlines()) + b"]"
    return typed(array, lambda text: [parse(one) for one in json.loads(text)], "an index line")


def as_record(document: Document) -> Record:
    """The document itself, if it has what every record has."""
    if not (isinstance(document["kind"], str) and isinstance(document["path"], str)):
        raise TypeError("a record has a kind and a path")
    return document


def typed(value: V, parse: Callable[[V], T], name: str) -> T:
    """What ``parse`` makes of a value; ``name`` says of what in the error."""
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, RecursionError, UsageError) as error:
        raise StoreDamagedError(f"{name} is not what the format says: {error}") from error


def pretty(document: Document) -> bytes:
    """Indented JSON for people; the digest inside is of the canonical form."""
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode("utf-8", "backslashreplace") + b"\n"
