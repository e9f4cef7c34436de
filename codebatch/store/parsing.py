"""JSON of a store as typed values, or `StoreDamagedError`; and JSON as people like to read it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from codebatch.model.checks import check_plan
from codebatch.model.digest import Document, check_digest, unseal
from codebatch.model.errors import StoreDamagedError, StoreError, UsageError
from codebatch.model.records import Plan
from codebatch.store.door import Door
from codebatch.store.files import read_file
from codebatch.store.layout import check_name

T = TypeVar("T")
V = TypeVar("V")


def parse_line(line: bytes, parse: Callable[[Document], T]) -> T:
    """One line of an index."""
    return typed(line, lambda text: parse(json.loads(text)), "an index line")


def parse_lines(data: bytes, parse: Callable[[Document], T]) -> list[T]:
    """All lines of an index, read as one array: there are very many."""
    array = b"[" + b",".join(data.splitlines()) + b"]"
    return typed(array, lambda text: [parse(one) for one in json.loads(text)], "an index line")


def parse_plan(batch_id: str, document: Document) -> Plan:
    """The plan of a batch; raises where it is none, or that of another."""
    if document["batch_id"] != batch_id:
        raise ValueError("it is of another batch")
    plan = Plan.from_document(document)
    for task in plan.tasks:
        check_name(task.id, "task id")
    check_name(plan.snapshot_id, "snapshot id")
    return check_plan(plan)


def parse_chunks(data: bytes) -> list[str]:
    """The objects that the value is cut into whose object holds these bytes."""
    return typed(
        data, lambda text: [check_digest(one) for one in json.loads(text)["chunks"]], "a chunk list"
    )


def parse_events(lines: Iterable[bytes]) -> list[Document]:
    """The events in lines, without those that are none."""
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                found.append(event)
    return found


def load_document(
    door: Door,
    path: Path,
    limit: int,
    missing: Callable[[], StoreError],
    check: Callable[[Document], Document] = lambda it: it,
) -> Document:
    """A sealed document of at most so many bytes, checked against its digest and for sense; what
    ``missing`` makes is raised if there is none. An error that a frame of its own traceback held
    would keep what all callers hold, be it a whole tree, until garbage is collected.
    """
    data = read_file(door, path, limit)
    if data is None:
        raise missing()
    name = f"{path.parent.name}/{path.name}"
    return typed(unseal(data, name), check, name)


def typed(value: V, parse: Callable[[V], T], name: str) -> T:
    """Return the value as ``parse`` types it; the error says of what by ``name``."""
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError, UsageError) as error:
        raise StoreDamagedError(f"{name} is not what the format says: {error}") from error


def pretty(document: Document) -> bytes:
    """Indented JSON for people; the digest inside is of the canonical form."""
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode("utf-8", "backslashreplace") + b"\n"
