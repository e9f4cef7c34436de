"""Tell what was removed from what is damaged.

A snapshot or a batch disappears at any moment, as a whole, and what only it refers to goes with the
next `gc`. Whoever misses a part of one that was there looks here before calling it damage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from codebatch.model.errors import BatchNotFoundError, SnapshotNotFoundError, StoreError
from codebatch.store.layout import BATCH_PREFIX, Layout


def removal_of(layout: Layout, *ids: str) -> StoreError | None:
    """The error that says which of these snapshots and batches is gone; None where none is.

    One that lacks a single document is there, and damaged.
    """
    for one in ids:
        if one.startswith(f"{BATCH_PREFIX}-"):
            paths = (layout.batch_document(one), layout.plan_document(one))
            if not any(map(layout.door.is_there, paths)):
                hints = ["list what is there: codebatch batches"]
                return BatchNotFoundError(f"batch {one} was removed meanwhile", hints=hints)
        else:
            paths = (layout.snapshot_document(one), layout.manifest(one))
            if not any(map(layout.door.is_there, paths)):
                hints = ["list what is there: codebatch snapshots"]
                return SnapshotNotFoundError(f"snapshot {one} was removed meanwhile", hints=hints)
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
