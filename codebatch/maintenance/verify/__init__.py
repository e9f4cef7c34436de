"""A store that can be trusted: check everything in it, and repair what is damaged.

`verify_store` looks at every file and reports all damage, each with what it touches. With
``repair`` it drops what can be computed again and restores what is lost.
"""

from __future__ import annotations

from pathlib import Path

from codebatch.maintenance.verify.check import Progress, check_store
from codebatch.maintenance.verify.problems import Problem, Step, VerifyReport
from codebatch.maintenance.verify.selection import ALL, NONE, parse_subset
from codebatch.model.clock import now
from codebatch.store import StoreDirectory
from codebatch.store.leases.lock import maintenance_lock

__all__ = ["Problem", "Progress", "Step", "VerifyReport", "verify_store"]


def verify_store(
    store: StoreDirectory,
    *,
    read_data: bool = False,
    subset: str | None = None,
    repair: bool = False,
    source: Path | None = None,
    progress: Progress | None = None,
    wait_seconds: float = 0,
) -> VerifyReport:
    """Check the store. With ``read_data`` every object is read, with ``subset`` (``10%``, ``2/5``)
    those of that part. ``repair`` sees to what is damaged; lost sources come from ``source``.

    One command at a time repairs or removes: `LockedError` where another is not done in time.
    """
    selection = parse_subset(subset) if subset is not None else ALL if read_data else NONE
    if repair:
        from codebatch.maintenance.verify.repair import (  # noqa: PLC0415 - with what takes snapshots
            repair_store,
        )

        with maintenance_lock(store.layout, "verify --repair", now(), wait_seconds):
            findings, problems = repair_store(store, selection, source, progress)
    else:
        findings = check_store(store, selection, progress)
        problems = findings.all_problems()
    return VerifyReport(findings.checked, findings.notes, tuple(problems))
