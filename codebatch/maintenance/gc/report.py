"""What `gc` removes and keeps, counted while it is at work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from codebatch.store.inventory import FoundFile

KINDS = (
    "objects",
    "memo",
    "indexes",
    "stat_caches",
    "temporaries",
    "unfinished",
    "discarded",
    "leases",
)


@dataclass
class Collected:
    """Files removed, or to be removed by other than a dry run, and files kept, by kind."""

    dry_run: bool
    removed: Counter[str] = field(default_factory=Counter)
    removed_bytes: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    kept_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, file: FoundFile, number: int = 1) -> None:
        """Count a file that goes, as so many things."""
        self.removed[kind] += number
        # A file with other names takes its room until the last of them goes.
        self.removed_bytes[kind] += file.size if file.links == 1 else 0

    def keep(self, kind: str, file: FoundFile) -> None:
        """Count a file that stays."""
        self.kept[kind] += 1
        self.kept_bytes[kind] += file.size


@dataclass(frozen=True)
class GarbageReport:
    """What was removed, or would be.

    ``removed`` and ``removed_bytes`` have each of `KINDS`: objects, segments of the memo, indexes
    of batches that are gone, stat caches, temporary files, folders of snapshots and batches that
    were never finished, folders of those that were removed, and leases that have expired.
    ``protected_by`` are the commands at work whose leases made objects stay; ``left`` are links
    and the like in the places of folders, which were not looked into, relative to the store.
    """

    dry_run: bool
    removed: dict[str, int]
    removed_bytes: dict[str, int]
    kept: dict[str, int]
    kept_bytes: dict[str, int]
    protected_by: tuple[str, ...]
    left: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of everything removed."""
        return sum(self.removed_bytes.values())

    @classmethod
    def of(
        cls, found: Collected, protected_by: tuple[str, ...], left: tuple[str, ...]
    ) -> GarbageReport:
        """The report on what was collected."""
        return cls(
            found.dry_run,
            {kind: found.removed[kind] for kind in KINDS},
            {kind: found.removed_bytes[kind] for kind in KINDS},
            {kind: found.kept[kind] for kind in ("objects", "memo")},
            {kind: found.kept_bytes[kind] for kind in ("objects", "memo")},
            protected_by,
            left,
        )
