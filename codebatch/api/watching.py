"""Scan a tree again whenever it changes: `watch`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codebatch.api.batch import Batch
from codebatch.api.given import PathLike
from codebatch.api.scanning import Scan, prepare_scan
from codebatch.api.snapshots import Snapshot
from codebatch.api.store import Roots
from codebatch.display.displayed import Displayed, card
from codebatch.model.errors import (
    BatchNotFoundError,
    CodeBatchError,
    LockedError,
    NamedError,
    SnapshotInUseError,
    SnapshotNotFoundError,
    UsageError,
)
from codebatch.model.records import DONE, Record
from codebatch.runtime.gc_paused import collector_held
from codebatch.runtime.lazy import lazily

if TYPE_CHECKING:
    from codebatch.batch import RunReport
    from codebatch.compare import compare as comparisons

with lazily():
    from codebatch.maintenance import remove as removal
    from codebatch.snapshot import watching as trees

_WANTED_OR_GONE = (NamedError, SnapshotInUseError, BatchNotFoundError, SnapshotNotFoundError)


@dataclass(frozen=True, repr=False)
class ScanUpdate(Displayed):
    """What a scan has found: ``new`` are findings that are not in ``base`` or less severe there,
    ``fixed`` those that are gone since or more severe there, as ``regressions`` and
    ``improvements`` list them; each has a ``change`` of ``added``, ``removed`` or ``severity``.

    ``base`` is the batch that was done last before this one, None for the first. Where the scan
    itself could not be done, ``error`` says why, and there is no snapshot, batch or report; where
    its run failed, the ``report`` says so, and nothing is compared. ``seconds`` have passed since
    the change was seen.
    """

    seconds: float
    snapshot: Snapshot | None = None
    batch: Batch | None = None
    report: RunReport | None = None
    base: Batch | None = None
    new: list[Record] = field(default_factory=list)
    fixed: list[Record] = field(default_factory=list)
    error: CodeBatchError | None = None

    def _card(self) -> card.Card:
        facts = {
            "batch": self.batch and self.batch.id,
            "base": self.base and self.base.id,
            "new": len(self.new),
            "fixed": len(self.fixed),
            "seconds": self.seconds,
        }
        lists = {"new": self.new, "fixed": self.fixed}
        tables = [card.findings_table(rows, title) for title, rows in lists.items() if rows]
        notes = [] if self.error is None else [self.error.message]
        status = "failed" if self.error else self.report.status if self.report else ""
        return card.Card("Scan", "", status, facts, tables, notes=notes)


def watch(
    root: Roots,
    store: PathLike | None = None,
    *,
    stop: threading.Event | None = None,
    **options: Any,
) -> Iterator[ScanUpdate]:
    """Scan a tree, and again whenever it has changed, until the loop is left or ``stop`` is set:
    ``for change in codebatch.watch("src")``. The ``options`` are those of `scan`, but for ``rev``,
    ``staged`` and ``require_reused``: a tree is watched as it is.

    Of the batches and snapshots that this makes, the first and the last stay in the store; one
    between them is removed when the next is done, unless it has got a name. What goes wrong with
    the first scan is raised, later it is the ``error`` of a `ScanUpdate`.
    """
    trees.check_installed()
    for name in ("rev", "staged", "require_reused"):
        if options.get(name):
            raise UsageError(f"a tree is watched as it is, again and again: not with {name}")
    return follow(prepare_scan(root, store, **{"progress": False, **options}), stop)


def follow(scan: Scan, stop: threading.Event | None = None) -> Iterator[ScanUpdate]:
    """Yield the first scan, then one for each state of the tree that is watched, as `watch`."""
    stop = threading.Event() if stop is None else stop
    with contextlib.closing(scan.watch()) as watched:
        following = _Following(scan, watched)
        yield following.first()
        while watched.wait(stop):
            with collector_held():  # a tenth of the time, where nothing but a file has changed
                change = following.next()
            if change is not None:
                yield change
                following.remove_passed()


class _Following:
    """Scans of one tree, one after the other.

    State: ``_snapshot`` is that of the last scan, ``_done`` the last batch that was done,
    ``_passed`` are scans after the first that have made their batches.
    """

    def __init__(self, scan: Scan, watched: trees.TreeWatch) -> None:
        self._scan = scan
        self._watched = watched
        self._snapshot: Snapshot | None = None
        self._done: Batch | None = None
        self._passed: list[tuple[Batch, Snapshot]] = []

    def first(self) -> ScanUpdate:
        """Scan, with nothing to compare with."""
        begun = time.perf_counter()
        return self._run(self._take(), begun)

    def next(self) -> ScanUpdate | None:
        """Scan again, and compare; None where the tree is what it was."""
        begun, last = time.perf_counter(), self._snapshot
        try:
            snapshot = self._take()
            if last is not None and snapshot.id == last.id:
                return None
            change = self._run(snapshot, begun)
        except CodeBatchError as error:
            self._snapshot = None  # the next try is not the same again
            return ScanUpdate(time.perf_counter() - begun, error=error)
        if change.batch is not None and change.batch.made and change.batch.made.created:
            self._passed.append((change.batch, snapshot))
        return change

    def remove_passed(self) -> None:
        """Remove the batches between the first and the last one, and their snapshots, with what
        these leave on disk.
        """
        kept = []
        for batch, snapshot in self._passed:
            is_last = self._snapshot is None or snapshot.id == self._snapshot.id
            if is_last or batch == self._done or not self._is_removed(batch, snapshot):
                kept.append((batch, snapshot))
        if len(kept) < len(self._passed):
            with contextlib.suppress(LockedError):  # the next time, then
                removal.delete_removed(self._scan.store.directory)
        self._passed = kept

    def _is_removed(self, batch: Batch, snapshot: Snapshot) -> bool:
        """Remove a batch and the snapshot that was made for it, unless something needs them; False
        where that has to wait for another command.
        """
        try:
            self._scan.store.remove_batch(batch)
            if snapshot.taken is not None and snapshot.taken.created:
                self._scan.store.remove_snapshot(snapshot)
        except LockedError:
            return False
        except _WANTED_OR_GONE:
            return True  # it is wanted, or gone already
        return True

    def _take(self) -> Snapshot:
        snapshot = self._scan.take(self._watched.same_names)
        if snapshot.taken is not None:
            files = snapshot  # of which the paths are read when they are wanted
            self._watched.taken(snapshot.taken.skipped, lambda: [file.path for file in files.files])
        return snapshot

    def _run(self, snapshot: Snapshot, begun: float) -> ScanUpdate:
        batch, report = self._scan.run(snapshot)
        self._snapshot = snapshot
        base, found = None, None
        if report.status == DONE:
            base, self._done = self._done, batch
            found = None if base is None else self._compared(base, batch)
        seconds = time.perf_counter() - begun
        if found is None:
            return ScanUpdate(seconds, snapshot, batch, report)
        new, fixed = found.regressions(), found.improvements()
        return ScanUpdate(seconds, snapshot, batch, report, base, new, fixed)

    def _compared(self, base: Batch, batch: Batch) -> comparisons.Comparison | None:
        """Return what has changed; None where the batch to compare with was removed meanwhile."""
        try:
            return self._scan.store.compare(base, batch, kind="diagnostic")
        except BatchNotFoundError:
            return None
