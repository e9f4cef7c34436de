"""One stored thing by its id: a snapshot, a batch or an object."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from codebatch.display.displayed import Displayed
from codebatch.model.digest import DIGEST_PREFIX, Document
from codebatch.model.errors import (
    AmbiguousIdError,
    BatchNotFoundError,
    IdNotFoundError,
    InvalidIdError,
    ObjectNotFoundError,
)
from codebatch.snapshot.resolve import find_id, find_named, find_revision
from codebatch.store import BATCH_PREFIX, LATEST, SNAPSHOT_PREFIX, StoreDirectory, check_name

SNAPSHOT = "snapshot"
BATCH = "batch"
OBJECT = "object"

_FEWEST_DIGITS = 4
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, repr=False)
class Target(Displayed):
    """The meaning of an id: its type (snapshot, batch or object) and the complete id."""

    type: str
    id: str


def find_target(store: StoreDirectory, text: str) -> Target:
    """Return the meaning of ``text``: a digest, an id, a unique prefix of either, ``latest``,
    ``latest~2``, a name, or a revision of git.

    ``latest`` is the latest batch, or the latest snapshot where there is no batch. Hex digits
    alone are those of a snapshot or a batch, or a whole digest.
    """
    if named := find_named(store, text):
        return Target(BATCH if named.startswith(f"{BATCH_PREFIX}-") else SNAPSHOT, named)
    if text.startswith(DIGEST_PREFIX) or (len(text) == 64 and _DIGITS.issuperset(text)):
        return Target(OBJECT, _find_object(store, text.removeprefix(DIGEST_PREFIX)))
    is_latest = text.partition("~")[0] == LATEST
    if text.startswith(f"{BATCH_PREFIX}-") or (is_latest and store.batches.ids()):
        return Target(BATCH, find_id(store.batches, text))
    if is_latest or text.startswith(f"{SNAPSHOT_PREFIX}-"):
        return Target(SNAPSHOT, find_id(store.snapshots, text))
    try:
        return _find_by_digits(store, check_name(text, "id"))
    except (IdNotFoundError, InvalidIdError):
        found = _find_revision(store, text)
        if found is None:
            raise
        return found


def show(store: StoreDirectory, target: Target) -> Document:
    """The stored document; a batch's with its ``plan``; of an object how it is stored."""
    if target.type == SNAPSHOT:
        return store.snapshots.load(target.id)
    if target.type == BATCH:
        store.batches.load_plan(target.id)  # which checks that it is one
        return {
            **store.batches.load(target.id),
            "plan": store.batches.load_plan_document(target.id),
        }
    stored = store.objects.stored_form(target.id)
    return {
        "object": target.id,
        "size": store.objects.size(target.id),
        "compressed": stored.compressed,
        "stored_bytes": stored.size,
    }


def _find_by_digits(store: StoreDirectory, text: str) -> Target:
    found = [
        Target(kind, name)
        for kind, names in (
            (BATCH, store.batches.ids()),
            (SNAPSHOT, store.snapshots.ids()),
        )
        for name in names
        if name.split("-", 1)[1].startswith(text)
    ]
    if not found:
        raise IdNotFoundError(
            f"no batch and no snapshot {text} in the store",
            hints=["list them: codebatch batches", "or: codebatch snapshots"],
        )
    _check_unique(text, [target.id for target in found])
    return found[0]


def _find_revision(store: StoreDirectory, text: str) -> Target | None:
    """Return the batch of a commit, or its snapshot where there is no batch."""
    with contextlib.suppress(BatchNotFoundError):
        batch_id = find_revision(store, text, store.batches)
        return None if batch_id is None else Target(BATCH, batch_id)
    return Target(SNAPSHOT, str(find_revision(store, text, store.snapshots)))


def _find_object(store: StoreDirectory, digits: str) -> str:
    if not _DIGITS.issuperset(digits) or not _FEWEST_DIGITS <= len(digits) <= 64:
        raise InvalidIdError(
            f"not a digest: {DIGEST_PREFIX}{digits}",
            hints=[f"give sha256: and {_FEWEST_DIGITS} to 64 hex digits"],
        )
    found = store.objects.find(digits)
    if not found:
        raise ObjectNotFoundError(f"no object {DIGEST_PREFIX}{digits} in the store")
    _check_unique(DIGEST_PREFIX + digits, found)
    return found[0]


def _check_unique(text: str, found: list[str]) -> None:
    if len(found) > 1:
        raise AmbiguousIdError(
            f"id {text} is ambiguous: it fits {len(found):,}",
            hints=["give more digits", *found[:10]],
            details={"candidates": found},
        )
