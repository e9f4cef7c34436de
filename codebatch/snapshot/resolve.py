"""What is meant where a snapshot or a batch is named: the one place that decides.

In this order: an id, or a unique prefix of one; ``latest``, or ``latest~2`` for the second before
it; a name. No name has a form of the first two, so none ever hides another.
"""

from __future__ import annotations

from collections.abc import Callable

from codebatch.model.errors import BatchNotFoundError, SnapshotNotFoundError
from codebatch.store import BATCH_PREFIX, StoreDirectory, removal_of

_NAMED = 5


def find_batch(store: StoreDirectory, text: str) -> str:
    """Return the id of the batch that is meant; `BatchNotFoundError` where there is none."""
    named = find_named(store, text)
    if named is None:
        return _found(store, text, store.batches.find)
    if not named.startswith(f"{BATCH_PREFIX}-"):
        raise BatchNotFoundError(
            f"the name {text} holds {named}, which is no batch",
            hints=[f"plan one: codebatch batch init --snapshot {text}"],
        )
    return named


def find_snapshot(store: StoreDirectory, text: str) -> str:
    """Return the id of the snapshot that is meant, of a name for a batch the one that it was
    planned over; `SnapshotNotFoundError` where there is none.
    """
    named = find_named(store, text)
    if named is None:
        return _found(store, text, store.snapshots.find)
    if named.startswith(f"{BATCH_PREFIX}-"):
        return store.snapshots.find(str(store.batches.load(named)["snapshot_id"]))
    return named


def find_named(store: StoreDirectory, text: str) -> str | None:
    """Return what a name holds, if it is there; None where there is no such name."""
    if not store.names.has(text):
        return None
    name = store.names.load(text)
    if gone := removal_of(store.layout, name.id):
        hints = [f"remove the name: codebatch name rm {text}", "or set it again"]
        raise type(gone)(f"the name {text} holds {name.id}, which is not there", hints=hints)
    return name.id


def _found(store: StoreDirectory, text: str, find: Callable[[str], str]) -> str:
    """Return what ``find`` finds; the error where it finds nothing lists the names, too."""
    try:
        return find(text)
    except (BatchNotFoundError, SnapshotNotFoundError) as error:
        names = store.names.listed()
        if not names:
            raise
        more = f"or the names: codebatch names ({', '.join(names[:_NAMED])})"
        raise type(error)(error.message, hints=[*error.hints, more]) from None
