"""When a snapshot or a batch was last asked for, and over which tree: a sealed document beside it.

No result depends on it: it says what is the latest, and where an answer comes from. It is replaced
as a whole, and need not be durable: one that is missing or not whole counts as none, and what it
is about as asked for when that was made.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple, cast

from codebatch.model.checks import check_time
from codebatch.model.digest import Document, compact, seal, unseal
from codebatch.model.errors import StoreError, StoreWriteError
from codebatch.store.files import read_file, write_file
from codebatch.store.layout import ASKED, SMALL_BYTES, Layout

_TEXTS = ("source", "branch", "commit")
_KEYS = {"asked", "digest", "id", *_TEXTS}


class Checkout(NamedTuple):
    """A tree where it was taken: its folder, and the branch and the commit of git that it was at;
    each None where that is not known.
    """

    source: str | None = None
    branch: str | None = None
    commit: str | None = None


class Asking(NamedTuple):
    """When something was asked for (ISO 8601, UTC), and of which tree."""

    asked: str
    checkout: Checkout = Checkout()


def load_asking(layout: Layout, one: str) -> Asking | None:
    """Return when a snapshot or a batch was last asked for; None where nothing whole says so."""
    try:
        data = read_file(layout.door, layout.asked(one), SMALL_BYTES)
        document = None if data is None else check_asking(unseal(data, ASKED), one)
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    if document is None:
        return None
    texts = cast("list[str | None]", [document[name] for name in _TEXTS])
    return Asking(str(document["asked"]), Checkout(*texts))


def save_asking(layout: Layout, one: str, asking: Asking) -> None:
    """Replace the document. A store that cannot be written answers as it did before, and what was
    removed meanwhile stays so.
    """
    body: Document = {"asked": asking.asked, "id": one, **asking.checkout._asdict()}
    with contextlib.suppress(StoreWriteError):
        write_file(layout.door, layout.asked(one), compact(seal(body)), durable=False, make=False)


def check_asking(document: Document, one: str) -> Document:
    """Return the document itself, if it is that of the snapshot or batch."""
    if document.keys() != _KEYS or document["id"] != one:
        raise ValueError("it is not the document of that")
    if not all(isinstance(document[name], str | None) for name in _TEXTS):
        raise TypeError("it names no folder, branch and commit")
    check_time(document["asked"])
    return document
