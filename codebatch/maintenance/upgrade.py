"""Rewrite a store of an earlier format in place as one of the present format.

All outputs are written in the form of the present format and made durable, then the document of
the store says so, then the others are removed. Both forms can be read at any moment, so a command
that is killed leaves a whole store, and the next one goes on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from codebatch.display.displayed import Displayed, card
from codebatch.model.clock import now, now_ns
from codebatch.model.errors import LockedError
from codebatch.store import (
    StoreDirectory,
    open_store,
    raise_version,
    reporting_write_errors,
    sync_file_system,
)
from codebatch.store.files import link_file, read_file, remove_file
from codebatch.store.inventory import batch_folders, files_below, find_file
from codebatch.store.layout import INDEX_BYTES, VERSION, Layout
from codebatch.store.leases.leases import Lease, live_leases
from codebatch.store.leases.lock import maintenance_lock
from codebatch.store.outputs import is_spare, write_records


@dataclass(frozen=True, repr=False)
class UpgradeReport(Displayed):
    """What was done: from format ``before`` to ``version``; ``removed`` files of ``removed_bytes``
    gave way to ``written`` ones of ``written_bytes``.
    """

    before: int
    version: int
    written: int = 0
    written_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0

    def _card(self) -> card.Card:
        return card.Card("Upgrade", facts=card.row_of(self))


def upgrade_store(store: StoreDirectory, *, wait_seconds: float = 0) -> UpgradeReport:
    """Rewrite a store that has an earlier format; `LockedError` where a command works in it, or
    removes something. Objects stay as they are.
    """
    layout = store.layout
    with maintenance_lock(layout, "store upgrade", now(), wait_seconds) as moment:
        before = open_store(store.root).version  # which may be another than when it was opened
        layout, target = replace(layout, version=before), replace(layout, version=VERSION)
        if before != VERSION:
            _refuse_beside(live_leases(layout, moment))
        written = _write_outputs(layout, target)
        if written:
            with reporting_write_errors(store.root):
                sync_file_system(store.root)
        if before != VERSION:
            # Who began meanwhile may have written what was read here before.
            _refuse_beside(live_leases(layout, now_ns()))
            raise_version(store)
        removed = _remove_spare(target)
    return UpgradeReport(before, VERSION, len(written), sum(written), len(removed), sum(removed))


def _refuse_beside(leases: Sequence[Lease]) -> None:
    if leases:
        names = ", ".join(f"{one.purpose} ({one.process})" for one in leases)
        raise LockedError(f"the store is used by {names}", hints=["wait until that has ended"])


def _write_outputs(layout: Layout, target: Layout) -> list[int]:
    """Write all outputs that readers take in an earlier form in that of the present format; what
    is one file of several shards stays one. Return the sizes of the files written.
    """
    door, (name, plain) = layout.door, target.outputs_names
    first: dict[tuple[int, int], str] = {}
    sizes = []
    for batch in batch_folders(layout):
        for path in layout.in_shards(batch, plain):
            file, folder = find_file(door, path), os.path.dirname(path)
            if file is None or is_spare(layout, os.fspath(path), file.size) or not file.size:
                continue
            if file.inode in first:
                link_file(door, f"{first[file.inode]}/{name}", f"{folder}/{name}")
                continue
            write_records(target, folder, read_file(door, path, INDEX_BYTES) or b"")
            if file.links > 1:
                first[file.inode] = folder
            made = door.status(f"{folder}/{name}")
            sizes.append(0 if made is None else made.st_size)
    return sizes


def _remove_spare(layout: Layout) -> list[int]:
    """Remove outputs that no reader takes, and return what room they took."""
    sizes = []
    for file in files_below(layout.door, layout.batches):
        if is_spare(layout, file.path, file.size):
            remove_file(layout.door, layout.root / file.path)
            sizes.append(file.size if file.links == 1 else 0)
    return sizes
