"""Remove what was never finished, and what is left of snapshots and batches that were removed."""

from __future__ import annotations

from pathlib import Path

from codebatch.maintenance.gc.report import Collected
from codebatch.store import StoreDirectory
from codebatch.store.door import Door
from codebatch.store.files import remove_file
from codebatch.store.inventory import (
    ASIDE_PREFIX,
    batch_folders,
    files_below,
    find_file,
    is_begun,
    is_removed,
    is_temporary,
    snapshot_folders,
    users_of,
)
from codebatch.store.layout import BATCH_PREFIX, Layout
from codebatch.store.leases.leases import Lease, read_leases
from codebatch.store.removal import newest_ns, put_back, remove_tree, set_aside


def remove_discarded(door: Door, folders: list[Path], found: Collected) -> None:
    """Delete snapshots and batches that were removed, and that no writer relies on."""
    for folder in folders:
        _count_tree("discarded", door, folder, found)
        if not found.dry_run:
            remove_tree(door, folder)


def remove_unfinished(store: StoreDirectory, before_ns: int, found: Collected) -> None:
    """Remove folders of snapshots and batches that were not finished, and are not being."""
    door = store.layout.door
    for folder in [*_unfinished_snapshots(store), *_unfinished_batches(store)]:
        newest = newest_ns(door, folder)
        if newest >= before_ns:
            continue
        if found.dry_run:
            _count_tree("unfinished", door, folder, found)
        elif (aside := set_aside(door, folder)) is not None:
            if any(file.modified_ns > newest for file in files_below(door, aside)):
                put_back(door, aside, folder)  # somebody has just begun to write in it
                continue
            _count_tree("unfinished", door, aside, found)
            remove_tree(door, aside)


def remove_temporaries(layout: Layout, before_ns: int, found: Collected) -> None:
    """Remove files that somebody began to write and that are no younger than that."""
    for file in files_below(layout.door, layout.root):
        name = file.path.rpartition("/")[2]
        if not is_temporary(name) or is_removed(file.path):
            continue
        if file.modified_ns < before_ns and not name.startswith(ASIDE_PREFIX):
            found.add("temporaries", file)
            if not found.dry_run:
                remove_file(layout.door, Path(file.path))


def remove_leases(layout: Layout, now_ns: int, found: Collected) -> None:
    """Remove leases whose holders have ended, and the claims of batches that nobody runs."""
    leases = read_leases(layout)
    live = [lease for lease in leases if lease.is_live(now_ns)]
    for lease in set(leases).difference(live):
        _remove_lease(layout, lease, found)
    running = {lease.batch_id for lease in live}
    for name in layout.door.names(layout.leases):
        folder = layout.leases / name
        is_of_batch = name.startswith(f"{BATCH_PREFIX}-") and layout.door.is_folder(folder)
        if is_of_batch and name not in running:
            _count_tree("leases", layout.door, folder, found, number=0)
            if not found.dry_run:
                remove_tree(layout.door, folder)


def _remove_lease(layout: Layout, lease: Lease, found: Collected) -> None:
    path = layout.lease(lease.lease_id)
    file = find_file(layout.door, path)
    if file is not None:
        found.add("leases", file)
        if not found.dry_run:
            remove_file(layout.door, path)


def _unfinished_snapshots(store: StoreDirectory) -> list[Path]:
    """Those that are not listed; where a batch names one, it was, and its document is lost."""
    complete = set(store.snapshots.ids())
    folders = [one for one in snapshot_folders(store.layout) if one.name not in complete]
    users = users_of(store.layout, [folder.name for folder in folders])
    return [folder for folder in folders if not users[folder.name]]


def _unfinished_batches(store: StoreDirectory) -> list[Path]:
    """Those of which nothing was computed; a batch that lacks its document alone is damaged."""
    folders = batch_folders(store.layout)
    return [folder for folder in folders if not is_begun(store.layout, folder)]


def _count_tree(kind: str, door: Door, folder: Path, found: Collected, number: int = 1) -> None:
    for file in files_below(door, folder):
        found.add(kind, file, 0)
    found.removed[kind] += number
