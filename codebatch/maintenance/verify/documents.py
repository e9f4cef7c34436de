"""Sealed documents, byte for byte.

A digest covers what a document says, not how it is laid out. A writer lays it out in one of two
ways, so anything else is damage, even where it says the same.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NamedTuple

from codebatch.model.digest import Document, compact, seal, unseal
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.store import StoreDirectory, pretty
from codebatch.store.door import form_of
from codebatch.store.files import file_status, read_file
from codebatch.store.layout import DOCUMENT_BYTES

_MISSING = "it is missing"


class Found(NamedTuple):
    """What is in a file: its bytes, the document if it is whole, and else what is wrong.

    ``is_unreadable`` says that it may be whole, and only cannot be read.
    """

    data: bytes | None = None
    document: Document | None = None
    wrong: str | None = None
    is_unreadable: bool = False

    @property
    def is_missing(self) -> bool:
        """Return True if nothing was there."""
        return self.wrong == _MISSING


def stray_form(store: StoreDirectory, path: Path) -> str | None:
    """Return the form of what stands in the place of a file; None for a file or nothing."""
    try:
        status = file_status(store.layout.door, path)
    except StoreError:
        return None  # nothing that can be looked at: reading it says why
    if status is None or stat.S_ISREG(status.st_mode):
        return None
    return form_of(status.st_mode)


def find_bytes(store: StoreDirectory, path: Path, limit: int = DOCUMENT_BYTES) -> Found:
    """The bytes of a file; what is wrong where there are none, more than so many, or no file."""
    stray = stray_form(store, path)
    if stray is not None:
        return Found(wrong=f"a {stray} stands in its place")
    try:
        data = read_file(store.layout.door, path, limit)
    except StoreDamagedError as error:
        return Found(wrong=error.message)
    except StoreError as error:
        return Found(wrong=error.message, is_unreadable=True)
    return Found(wrong=_MISSING) if data is None else Found(data)


def find_document(store: StoreDirectory, path: Path, limit: int = DOCUMENT_BYTES) -> Found:
    """A sealed document, if its bytes are those that a writer writes."""
    found = find_bytes(store, path, limit)
    if found.data is None:
        return found
    try:
        document = unseal(found.data, path.name)
        if found.data in (pretty(seal(document)), compact(document)):
            return Found(found.data, document)
    except StoreDamagedError as error:
        return Found(found.data, wrong=error.message.partition(": ")[2])
    except (ValueError, RecursionError) as error:
        return Found(found.data, wrong=f"it holds what canonical JSON cannot: {error}")
    return Found(found.data, wrong="it is not laid out as a writer lays it out")
