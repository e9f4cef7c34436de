"""Remove snapshots and batches, unless something needs them.

Each disappears as a whole, by one rename. What is left on disk, and the objects that nothing
refers to any more, go with the next `gc` that is allowed to take them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from codebatch.display.displayed import Displayed
from codebatch.model.clock import now, now_ns
from codebatch.model.errors import (
    BatchNotFoundError,
    CodeBatchError,
    NamedError,
    SnapshotInUseError,
    SnapshotNotFoundError,
    StoreError,
)
from codebatch.snapshot.resolve import find_batch, find_snapshot
from codebatch.store import Door, StoreDirectory
from codebatch.store.inventory import files_below, removed_folders, users_of
from codebatch.store.leases.leases import live_leases, refuse_beside, runs_of
from codebatch.store.leases.lock import maintenance_lock
from codebatch.store.removal import put_back, remove_tree, removed_at_ns, set_aside

_NAMED = 3


@dataclass(frozen=True)
class Removed:
    """A snapshot or a batch that was removed, or would be; ``bytes`` are those of its folder."""

    id: str
    bytes: int


@dataclass(frozen=True, repr=False)
class RemovalReport(Displayed):
    """What was removed, or with ``dry_run`` would be, in the order in which it was named."""

    dry_run: bool
    removed: tuple[Removed, ...]


def remove_batches(
    store: StoreDirectory, names: Sequence[str], *, dry_run: bool = False, wait_seconds: float = 0
) -> RemovalReport:
    """Remove batches by id, prefix, name or ``latest``: all of them, or none where one is refused.

    `BatchRunningError` where a run is at work on one, `NamedError` where one has a name.
    """
    found = {
        one: store.layout.batch_document(one) for one in (find_batch(store, name) for name in names)
    }
    refusal, missing = _refuse_running, BatchNotFoundError
    return _remove(store, "batch rm", found, refusal, missing, dry_run, wait_seconds)


def remove_snapshots(
    store: StoreDirectory, names: Sequence[str], *, dry_run: bool = False, wait_seconds: float = 0
) -> RemovalReport:
    """Remove snapshots by id, prefix, name or ``latest``: all, or none where one is refused.

    `SnapshotInUseError` where a batch refers to one, `NamedError` where one has a name.
    """
    found = {
        one: store.layout.snapshot_document(one)
        for one in (find_snapshot(store, name) for name in names)
    }
    refusal, missing = _refuse_in_use, SnapshotNotFoundError
    return _remove(store, "snapshot rm", found, refusal, missing, dry_run, wait_seconds)


def delete_removed(store: StoreDirectory) -> None:
    """Delete what removed snapshots and batches have left on disk, but for what somebody at work
    may rely on; `LockedError` where another command removes something.
    """
    layout = store.layout
    with maintenance_lock(layout, "gc", now()) as moment:
        leases = live_leases(layout, moment)
        for folder in removed_folders(layout):
            removed = removed_at_ns(layout.door, folder)
            if not any(one.since_ns <= removed for one in leases):
                remove_tree(layout.door, folder)


def _remove(
    store: StoreDirectory,
    command: str,
    documents: Mapping[str, Path],
    refuse: Callable[[StoreDirectory, Collection[str], int], None],
    missing: type[StoreError],
    dry_run: bool,  # noqa: FBT001 - as it was given
    wait_seconds: float,
) -> RemovalReport:
    """Remove the folders of documents, or only find out if that could be; ``refuse`` raises where
    something needs one of those named, at a time of the file system's.
    """
    door, done = store.layout.door, []
    locked = maintenance_lock(store.layout, command, now(), wait_seconds)
    with nullcontext(now_ns()) if dry_run else locked as moment:
        refuse(store, documents.keys(), moment)
        sizes = {one: _size(door, path.parent) for one, path in documents.items()}
        try:
            for one, path in () if dry_run else documents.items():
                aside = set_aside(door, path.parent)
                if aside is None:
                    raise missing(f"{one} was removed meanwhile")
                done.append((aside, path.parent))
            # What has come to need one before it was gone is seen now; what comes later sees that
            # it is gone.
            refuse(store, documents.keys(), moment)
        except CodeBatchError:
            for aside, folder in reversed(done):
                put_back(door, aside, folder)
            raise
    return RemovalReport(dry_run, tuple(Removed(one, size) for one, size in sizes.items()))


def _refuse_running(store: StoreDirectory, ids: Collection[str], moment: int) -> None:
    _refuse_named(store, ids)
    for batch_id in ids:
        refuse_beside(runs_of(store.layout, batch_id, moment), batch_id)


def _refuse_in_use(store: StoreDirectory, ids: Collection[str], _: int) -> None:
    _refuse_named(store, ids)
    for snapshot_id, batches in users_of(store.layout, ids).items():
        if batches:
            more = f" and {len(batches) - _NAMED} more" if len(batches) > _NAMED else ""
            raise SnapshotInUseError(
                f"snapshot {snapshot_id} is needed by {', '.join(batches[:_NAMED])}{more}",
                hints=_hints(store, batches),
                details={"snapshot_id": snapshot_id, "batches": batches},
            )


def _refuse_named(store: StoreDirectory, ids: Collection[str]) -> None:
    for one in ids:
        if names := store.names.of(one):
            raise NamedError(
                f"{one} has the name {' and '.join(names)}",
                hints=[f"give it to another, or remove it: codebatch name rm {' '.join(names)}"],
                details={"id": one, "names": names},
            )


def _hints(store: StoreDirectory, batches: Sequence[str]) -> list[str]:
    """Return how to remove batches; one that is not listed has no name that `batch rm` knows."""
    complete = set(store.batches.ids())
    listed = [one for one in batches if one in complete]
    hints = [f"remove them first: codebatch batch rm {' '.join(listed)}"] if listed else []
    if len(listed) < len(batches):
        hints.append(
            "a batch that is not listed: verify --repair restores it, or gc removes what was "
            "never begun"
        )
    return hints


def _size(door: Door, folder: Path) -> int:
    """The bytes that go with a folder; a file with other names stays."""
    return sum(file.size for file in files_below(door, folder) if file.links == 1)
