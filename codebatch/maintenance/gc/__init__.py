"""Collect garbage: mark what snapshots and batches need, remove what is left over and old.

Writers go on meanwhile, without a lock. What they may rely on is kept by three rules, which
``SPEC.md`` states and proves: a writer holds a lease while it works; it touches every object
that it relies on and that may be referred to by nothing; and `gc` removes nothing that was
touched after the oldest live lease began.
"""

from __future__ import annotations

from dataclasses import dataclass

from codebatch.maintenance.gc.marks import mark_objects
from codebatch.maintenance.gc.sweep import GarbageReport, Sweep
from codebatch.model.clock import now, now_ns
from codebatch.store import StoreDirectory
from codebatch.store.inventory import removed_folders
from codebatch.store.leases.leases import live_leases
from codebatch.store.leases.lock import maintenance_lock
from codebatch.store.path_kinds import misplaced_folders
from codebatch.store.removal import removed_at_ns

__all__ = ["DEFAULT_GRACE_SECONDS", "GarbageReport", "Limits", "collect_garbage"]

_DAY = 24 * 3600
DEFAULT_GRACE_SECONDS = 14 * _DAY
DEFAULT_MEMO_BYTES = 2 * 2**30
DEFAULT_UNUSED_DAYS = 90


@dataclass(frozen=True)
class Limits:
    """How much is kept of what nothing needs.

    Objects and files that nothing refers to are kept until they are ``grace_seconds`` old; of
    the memo so many bytes, and nothing unused for so many days, which goes for stat caches too.
    """

    grace_seconds: float = DEFAULT_GRACE_SECONDS
    memo_bytes: int = DEFAULT_MEMO_BYTES
    memo_days: int = DEFAULT_UNUSED_DAYS

    @classmethod
    def of(
        cls, grace_seconds: float | None, memo_bytes: int | None, memo_days: int | None
    ) -> Limits:
        """These limits; None is the default."""
        return cls(
            DEFAULT_GRACE_SECONDS if grace_seconds is None else grace_seconds,
            DEFAULT_MEMO_BYTES if memo_bytes is None else memo_bytes,
            DEFAULT_UNUSED_DAYS if memo_days is None else memo_days,
        )


def collect_garbage(
    store: StoreDirectory, limits: Limits, *, dry_run: bool = False, wait_seconds: float = 0
) -> GarbageReport:
    """Remove what is neither needed nor young; `LockedError` where another command does.

    A dry run takes no lock and changes nothing.
    """
    if dry_run:
        return _collect(store, limits, now_ns(), dry_run=True)
    with maintenance_lock(store.layout, "gc", now(), wait_seconds) as moment:
        return _collect(store, limits, moment, dry_run=False)


def _collect(store: StoreDirectory, limits: Limits, moment: int, *, dry_run: bool) -> GarbageReport:
    # The order is what it is safe by: leases, then marks, then removal.
    layout = store.layout
    leases = live_leases(layout, moment)
    before = min([moment - int(limits.grace_seconds * 10**9), *(one.since_ns for one in leases)])
    removed = removed_folders(layout)
    relied_on = [
        folder
        for folder in removed
        if any(one.since_ns <= removed_at_ns(layout.door, folder) for one in leases)
    ]
    marks = mark_objects(store, relied_on)
    oldest = moment - limits.memo_days * _DAY * 10**9
    sweep = Sweep(store, before, dry_run=dry_run)
    sweep.objects(marks)
    sweep.discarded(folder for folder in removed if folder not in relied_on)
    sweep.unfinished()
    sweep.temporaries()
    sweep.memo(limits.memo_bytes, oldest)
    sweep.stat_caches(oldest)
    sweep.orphans()
    sweep.leases(moment)
    names = (f"{one.purpose} ({one.process})" for one in leases)
    return sweep.report(names, misplaced_folders(layout.door))
