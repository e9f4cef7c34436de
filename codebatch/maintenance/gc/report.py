"""What a `gc` removes and what it keeps, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from codebatch.display.displayed import Displayed, card
from codebatch.store import StoreDirectory
from codebatch.store.inventory import FoundFile

_KINDS = (
    *("objects", "packs", "memo", "partials", "indexes", "stat_caches"),
    *("temporaries", "unfinished", "discarded", "leases"),
)

_KEPT = ("objects", "memo")


@dataclass(frozen=True, repr=False)
class GarbageReport(Displayed):
    """What was removed, or would be.

    ``removed`` and ``removed_bytes`` have: objects, packs that are gone or were written anew,
    segments of the memo, partial values, indexes of batches that are gone, stat caches, temporary
    files, folders of snapshots and batches that were never finished, folders of those that were
    removed, and expired leases. ``protected_by``
    are the commands at work whose leases made objects stay; ``left`` are links and the like in
    the places of folders, which were not looked into, relative to the store.
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

    def _card(self) -> card.Card:
        facts = {
            "removed": card.Counts(self.removed, with_total=True),
            "bytes": self.bytes,
            "kept": card.Counts(self.kept),
            "kept bytes": sum(self.kept_bytes.values()),
            "protected by": ", ".join(self.protected_by) or None,
            "left": ", ".join(self.left) or None,
        }
        return card.Card("Garbage collection", "", "dry run" if self.dry_run else "done", facts)


@dataclass
class Collection:
    """A `gc` of a store: what was modified since ``before_ns`` stays, but in folders that were
    removed, and so does a pack that was touched since ``touched_ns``; a dry run only counts. State:
    the numbers and bytes of what was removed and kept so far, by kind.
    """

    store: StoreDirectory
    before_ns: int
    touched_ns: int
    dry_run: bool

    removed: Counter[str] = field(default_factory=Counter)
    removed_bytes: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    kept_bytes: Counter[str] = field(default_factory=Counter)

    def remove(self, kind: str, number: int, size: int) -> None:
        """Count so many things that go."""
        self.removed[kind] += number
        self.removed_bytes[kind] += size

    def remove_file(self, kind: str, file: FoundFile, number: int = 1) -> None:
        """Count a file that goes, as so many things."""
        # A file with other names takes its room until the last of them goes.
        self.remove(kind, number, file.size if file.links == 1 else 0)

    def keep(self, kind: str, number: int, size: int) -> None:
        """Count so many things that stay."""
        self.kept[kind] += number
        self.kept_bytes[kind] += size

    def report(self, protected_by: Iterable[str], left: Iterable[str]) -> GarbageReport:
        """Return the report on it."""
        return GarbageReport(
            self.dry_run,
            {kind: self.removed[kind] for kind in _KINDS},
            {kind: self.removed_bytes[kind] for kind in _KINDS},
            {kind: self.kept[kind] for kind in _KEPT},
            {kind: self.kept_bytes[kind] for kind in _KEPT},
            tuple(protected_by),
            tuple(left),
        )
