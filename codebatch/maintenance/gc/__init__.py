"""Collect garbage: mark what snapshots and batches need, remove what is left over and old.

Writers go on meanwhile, without a lock. What they may rely on is kept by three rules, which
``SPEC.md`` states and proves: a writer holds a lease while it works; it touches every object
that it relies on and that may be referred to by nothing; and `gc` removes nothing that was
touched after the oldest live lease began.
"""

from __future__ import annotations

from contextlib import nullcontext

from codebatch.maintenance.gc.marks import mark_objects
from codebatch.maintenance.gc.report import Collection, GarbageReport
from codebatch.maintenance.gc.sweep import Sweep
from codebatch.model.clock import now, now_ns
from codebatch.store import StoreDirectory
from codebatch.store.inventory import removed_folders
from codebatch.store.leases.leases import live_leases
from codebatch.store.leases.lock import maintenance_lock
from codebatch.store.path_kinds import misplaced_folders
from codebatch.store.removal import removed_at_ns

__all__ = ["GarbageReport", "collect_garbage"]

_DAY = 24 * 3600
GRACE_SECONDS = 14 * _DAY
# Somebody relies on a pack as long as on any object in it: those that are in use are touched by
# each run, so their age counts from when they were written, and what touched them lately is spared.
TOUCH_SECONDS = 3600
MEMO_BYTES = 2 * 2**30
UNUSED_DAYS = 90


def collect_garbage(
    store: StoreDirectory,
    *,
    grace_seconds: float | None = None,
    memo_bytes: int | None = None,
    memo_days: int | None = None,
    dry_run: bool = False,
    wait_seconds: float = 0,
) -> GarbageReport:
    """Remove what is neither needed nor young; `LockedError` where another command does. A dry
    run takes no lock and changes nothing.

    Objects and files that nothing refers to are kept until they are ``grace_seconds`` old; of
    the memo so many bytes, and nothing unused for so many days, which goes for stat caches too.
    """
    layout = store.layout
    grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
    unused = (UNUSED_DAYS if memo_days is None else memo_days) * _DAY
    locked = maintenance_lock(layout, "gc", now(), wait_seconds)
    with nullcontext(now_ns()) if dry_run else locked as moment:
        # The order is what it is safe by: leases, then marks, then removal.
        leases = live_leases(layout, moment)
        began = min([moment, *(one.since_ns for one in leases)])
        before = min(began, moment - int(grace * 10**9))
        touched = min(began, moment - int(min(grace, TOUCH_SECONDS) * 10**9))
        removed = removed_folders(layout)
        relied_on = [
            folder
            for folder in removed
            if any(one.since_ns <= removed_at_ns(layout.door, folder) for one in leases)
        ]
        marks = mark_objects(store, relied_on)
        collection = Collection(store, before, touched, dry_run)
        sweep = Sweep(collection)
        sweep.objects(marks)
        sweep.discarded(folder for folder in removed if folder not in relied_on)
        sweep.unfinished()
        sweep.temporaries()
        sweep.memo(MEMO_BYTES if memo_bytes is None else memo_bytes, moment - unused * 10**9)
        sweep.partials(moment - unused * 10**9)
        sweep.stat_caches(moment - unused * 10**9)
        sweep.orphans()
        sweep.leases(moment)
    names = (f"{one.purpose} ({one.process})" for one in leases)
    return collection.report(names, misplaced_folders(layout.door))
