"""The names of a store: each is a small sealed document that holds the id of a snapshot or a batch.

A name is written whole or not at all, and re-pointed by writing it again. What it points to is
there when it is written, and is not removed while it is named; a name whose id is gone, as a
copied or damaged store may have it, is an error where it is used, and a finding of `verify`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from codebatch.model.checks import check_time
from codebatch.model.digest import Document, seal
from codebatch.model.errors import NameNotFoundError, StoreDamagedError, StoreError
from codebatch.store.documents import check_there, load_document, pretty
from codebatch.store.files import remove_file, write_file
from codebatch.store.layout import SMALL_BYTES, Layout, check_ref, is_id, is_ref
from codebatch.store.write_group import reporting_read_errors


class Name(NamedTuple):
    """A name, the id that it holds, and when it was set (ISO 8601, UTC)."""

    name: str
    id: str
    set: str


class Names:
    """Reads and writes the names of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._door = layout.door

    def listed(self) -> list[str]:
        """Return the names, sorted; what is in their folder and has no such form is left out."""
        with reporting_read_errors(self._layout.names):
            return [name for name in self._door.names(self._layout.names) if is_ref(name)]

    def all(self) -> list[Name]:
        """Return every name with its id, sorted by name; one that is removed meanwhile is none."""
        found = []
        for name in self.listed():
            with contextlib.suppress(NameNotFoundError):
                found.append(self.load(name))
        return found

    def load(self, name: str) -> Name:
        """Return a name with its id; `NameNotFoundError` where there is none."""
        hints = ["list them: codebatch names"]
        document = load_document(
            self._door,
            self._layout.name(name),
            SMALL_BYTES,
            lambda: NameNotFoundError(f"no name {name} in the store", hints=hints),
            lambda document: check_named(document, name),
        )
        return Name(name, str(document["id"]), str(document["set"]))

    def has(self, name: str) -> bool:
        """Return True if there is something of that name."""
        return is_ref(name) and self._door.is_there(self._layout.name(name))

    def of(self, one: str) -> list[str]:
        """Return the names that hold an id; of those that are damaged, nothing is known."""
        return [name.name for name in self.readable() if name.id == one]

    def point(self, name: str, one: str, moment: str) -> str | None:
        """Have a name hold the id of a snapshot or a batch that is there; return the id that it
        held before, None where it is new.
        """
        before = self._held(check_ref(name))
        if before == one:
            check_there(self._layout, one)
            return before
        self._write(name, one, moment)
        try:
            check_there(self._layout, one)  # whoever removes it from now on sees the name
        except StoreError:
            if before is None:
                remove_file(self._door, self._layout.name(name))
            else:
                self._write(name, before, moment)
            raise
        return before

    def remove(self, name: str) -> None:
        """Remove a name, even a damaged one; `NameNotFoundError` where there is none."""
        if not self.has(name):
            self.load(name)  # which says what is wrong
        remove_file(self._door, self._layout.name(name))

    def _write(self, name: str, one: str, moment: str) -> None:
        data = pretty(seal({"id": one, "name": name, "set": moment}))
        write_file(self._door, self._layout.name(name), data, durable=True)

    def _held(self, name: str) -> str | None:
        try:
            return self.load(name).id
        except (NameNotFoundError, StoreDamagedError):
            return None  # a damaged one is set anew

    def readable(self) -> Iterator[Name]:
        """Yield every name that is whole, sorted."""
        for name in self.listed():
            with contextlib.suppress(NameNotFoundError, StoreDamagedError):
                yield self.load(name)


def check_named(document: Document, name: str) -> Document:
    """Return the document of a name, if it is one: it must say the name that its file has."""
    if document.keys() != {"digest", "id", "name", "set"} or document["name"] != name:
        raise ValueError("it is not the document of that name")
    if not isinstance(document["id"], str) or not is_id(document["id"]):
        raise ValueError("it holds no id of a snapshot or a batch")
    check_time(document["set"])
    return document
