"""Snapshots and batches as they are listed and found, and JSON of a store as typed values.

Both are folders in which a sealed document is written last: one without it is not there. One
disappears at any moment, as a whole, and what only it refers to goes with the next `gc`. Whoever
misses a part of one that was there looks here before calling it damage (`removal_of`).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from codebatch.model.clock import seconds_at
from codebatch.model.digest import Document, unseal
from codebatch.model.errors import (
    AmbiguousIdError,
    BatchNotFoundError,
    SnapshotNotFoundError,
    StoreDamagedError,
    StoreError,
    UsageError,
)
from codebatch.store.askings import Asking, load_asking, save_asking
from codebatch.store.door import Door
from codebatch.store.files import file_status, read_file
from codebatch.store.layout import BATCH_PREFIX, Layout, check_name, is_name
from codebatch.store.write_group import reporting_read_errors

LATEST = "latest"
LINES_KEPT = 4096  # of an index, parsed: some MB
_SKEW = 60.0  # seconds that clocks of machines may differ by
_LATEST = re.compile(rf"{LATEST}(?:~([0-9]{{1,9}}))?\Z")

T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True)
class Kind:
    """What tells snapshots from batches: their words, the largest document, how it is checked."""

    noun: str
    plural: str
    prefix: str
    time_key: str
    missing: type[StoreError]
    most_bytes: int
    check: Callable[[Document, str], Document]


class Documents:
    """The snapshots or the batches of a store."""

    def __init__(
        self, layout: Layout, kind: Kind, folder: Path, path_of: Callable[[str], Path]
    ) -> None:
        self._layout = layout
        self._door = layout.door
        self._kind = kind
        self._folder = folder
        self._path_of = path_of

    def ids(self) -> list[str]:
        """Return the ids of the complete ones, sorted."""
        with reporting_read_errors(self._folder):
            names = self._door.names(self._folder)
        return [
            name for name in names if name.startswith(f"{self._kind.prefix}-") and self.lists(name)
        ]

    def newest_first(self) -> list[str]:
        """Return the ids, the one whose document was written last first; ties by id."""

        def changed(name: str) -> float:
            try:
                status = file_status(self._door, self._path_of(name))
            except StoreError:
                return 0.0
            return 0.0 if status is None else status.st_mtime

        return sorted(self.ids(), key=lambda name: (-changed(name), name))

    @property
    def noun(self) -> str:
        """Return the word for one of these."""
        return self._kind.noun

    @property
    def missing(self) -> type[StoreError]:
        """The error where one is not there."""
        return self._kind.missing

    def newest_asked(self, now: float) -> list[str]:
        """Return the ids, the one that was asked for last first; ``now`` is in seconds since
        1970.
        """
        latest = now + _SKEW
        return sorted(self.ids(), key=lambda one: (self._asked_at(one, latest), one), reverse=True)

    def asking(self, name: str) -> Asking:
        """Return when it was last asked for, and over which tree; when it was made, where nothing
        says.
        """
        made = self.time_of(name)
        return load_asking(self._layout, name) or Asking(made)

    def ask(self, name: str, asking: Asking) -> None:
        """Note that it was asked for."""
        save_asking(self._layout, name, asking)

    def lists(self, name: str) -> bool:
        """Return True if that one is listed: what it refers to is then safe from `gc`."""
        return is_name(name) and self._door.is_file(self._path_of(name))

    def load(self, name: str) -> Document:
        """Return its document, checked against its digest."""
        what = f"no {self._kind.noun} {name} in {self._layout.root}"
        return load_document(
            self._door,
            self._path_of(name),
            self._kind.most_bytes,
            lambda: self._kind.missing(what),
            lambda document: self._kind.check(document, name),
        )

    def time_of(self, name: str) -> str:
        """Return when it was made (ISO 8601, UTC)."""
        return str(self.load(name).get(self._kind.time_key, ""))

    def find(self, text: str, now: float) -> str:
        """Return the one id that ``text`` (an id, a unique prefix, ``latest``, or ``latest~2``,
        the second before it) stands for ``now``.
        """
        noun, plural, missing = self._kind.noun, self._kind.plural, self._kind.missing
        ids = self.ids()
        hints = [f"list them: codebatch {plural}" if ids else f"the store has no {noun} yet"]
        if match := _LATEST.match(text):
            if not ids:
                raise missing(f"there is no {noun} in the store", hints=hints)
            before = int(match[1] or 0)
            if before >= len(ids):
                count = f"{len(ids)} {noun if len(ids) == 1 else plural}"
                raise missing(f"there is no {text}: the store has {count}", hints=hints)
            return self.newest_asked(now)[before]
        check_name(text, f"{noun} id")
        if text in ids:
            return text
        # An abbreviation may leave out the prefix: hex digits alone are enough.
        found = [name for name in ids if name.startswith((text, f"{self._kind.prefix}-{text}"))]
        if not found:
            raise missing(f"no {noun} {text} in the store", hints=hints)
        if len(found) > 1:
            raise AmbiguousIdError(
                f"{noun} id {text} is ambiguous: it fits {len(found)} {plural}",
                hints=["give more digits"],
                details={"candidates": found},
            )
        return found[0]

    def _asked_at(self, name: str, latest: float) -> tuple[bool, float]:
        """Return when it was asked for or made, and before that, whether this is to be believed:
        what is said to be in the future, is damaged or was removed hides no other.
        """
        try:
            texts = (self.time_of(name), self.asking(name).asked)
        except (self._kind.missing, StoreDamagedError):
            return (False, 0.0)
        return max((at <= latest, at) for at in (seconds_at(text) or 0.0 for text in texts))


def removal_of(layout: Layout, *ids: str) -> StoreError | None:
    """Return the error that says which of these snapshots and batches is gone; None where none is.

    One that lacks a single document is there, and damaged.
    """
    missing: type[StoreError]
    for one in ids:
        if one.startswith(f"{BATCH_PREFIX}-"):
            paths = (layout.batch_document(one), layout.plan_document(one))
            what, listing, missing = f"batch {one}", "batches", BatchNotFoundError
        else:
            paths = (layout.snapshot_document(one), layout.manifest(one))
            what, listing, missing = f"snapshot {one}", "snapshots", SnapshotNotFoundError
        if not any(map(layout.door.is_there, paths)):
            hints = [f"list what is there: codebatch {listing}"]
            return missing(f"{what} was removed meanwhile", hints=hints)
    return None


def check_there(layout: Layout, one: str) -> None:
    """Raise what `removal_of` finds."""
    gone = removal_of(layout, one)
    if gone is not None:
        raise gone


@contextlib.contextmanager
def expecting(layout: Layout, *ids: str) -> Iterator[None]:
    """For a block that relies on snapshots and batches which were there: what goes wrong in it
    because one of them is gone is said to be that.
    """
    try:
        yield
    except StoreError as error:
        gone = removal_of(layout, *ids)
        if gone is None or type(error) is type(gone):
            raise
        raise gone from error


def load_document(
    door: Door,
    path: Path,
    limit: int,
    missing: Callable[[], StoreError],
    check: Callable[[Document], Document] = lambda it: it,
) -> Document:
    """Return a sealed document of at most so many bytes, checked against its digest and for sense;
    what ``missing`` makes is raised if there is none. An error that a frame of its own traceback
    held would keep what all callers hold, be it a whole tree, until garbage is collected.
    """
    data = read_file(door, path, limit)
    if data is None:
        raise missing()
    name = f"{path.parent.name}/{path.name}"
    return typed(unseal(data, name), check, name)


def parse_line(line: bytes, parse: Callable[[Document], T]) -> T:
    """Return one line of an index."""
    # To have the encoding of bytes found out takes as long as a fifth of the rest.
    return typed(line, lambda text: parse(json.loads(text.decode())), "an index line")


def parse_lines(data: bytes, parse: Callable[[Document], T]) -> list[T]:
    """Return all lines of an index, read as one array: there are very many."""
    array = b"[" + b",".join(data.splitlines()) + b"]"
    return typed(array, lambda text: [parse(one) for one in json.loads(text)], "an index line")


def typed(value: V, parse: Callable[[V], T], name: str) -> T:
    """Return the value as ``parse`` types it; the error says of what by ``name``."""
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError, UsageError) as error:
        raise StoreDamagedError(f"{name} is not what the format says: {error}") from error


def pretty(document: Document) -> bytes:
    """Return indented JSON for people; the digest inside is of the canonical form."""
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode("utf-8", "backslashreplace") + b"\n"
