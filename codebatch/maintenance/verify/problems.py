"""What a check of a store finds: problems, each with what it touches, and what was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from codebatch.display.displayed import Displayed, card
from codebatch.store.path_kinds import Place

_DERIVED = frozenset(
    {"STATE_DAMAGED", "STATE_MISSING", "OUTPUTS_DAMAGED", "MEMO_DAMAGED", "INDEX_DAMAGED"}
)

DROPPED = "dropped"
RESTORED = "restored"
REWRITTEN = "rewritten"
NO_ACTION = "none"


@dataclass(frozen=True, repr=False)
class Problem(Displayed):
    """One damage: ``path`` is relative to the store, ``place`` what lies there. ``batches`` and
    ``snapshots`` are the ids of those it touches, ``action`` is what a repair has done about it.
    """

    code: str
    message: str
    path: str
    place: Place
    batches: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    action: str | None = None

    @property
    def is_derived(self) -> bool:
        """Return True if what is damaged can be computed again."""
        return self.code in _DERIVED


def merged(problems: Iterable[Problem]) -> Iterable[Problem]:
    """Return the problems, each once, with all that they touch."""
    found: dict[tuple[str, str, Place], Problem] = {}
    for one in problems:
        key = (one.path, one.code, one.place)
        same = found.get(key, one)
        batches, snapshots = {*same.batches, *one.batches}, {*same.snapshots, *one.snapshots}
        found[key] = replace(
            one, batches=tuple(sorted(batches)), snapshots=tuple(sorted(snapshots))
        )
    return found.values()


class Step(NamedTuple):
    """How far a check is: so many things are ``done`` of a ``total`` where that is known; a shard
    is one of the batch that is looked at. ``bytes`` are the raw bytes of the objects read so far.
    """

    unit: str
    done: int
    total: int | None = None
    bytes: int = 0


@dataclass
class Checked:
    """What was looked at; ``bytes`` are the raw bytes of the objects that were ``read``."""

    objects: int = 0
    bytes: int = 0
    shards: int = 0
    snapshots: int = 0
    batches: int = 0
    read: int = 0


@dataclass
class Notes:
    """What is no damage: files of killed or running writers, shards that are not done, and objects
    whose compressed form has no checksum.
    """

    temporary_files: int = 0
    unfinished_snapshots: int = 0
    unfinished_batches: int = 0
    pending_shards: int = 0
    objects_without_checksum: int = 0


@dataclass(frozen=True, repr=False)
class VerifyReport(Displayed):
    """What a check found; after a repair, what was done about each problem as well."""

    checked: Checked
    notes: Notes
    problems: tuple[Problem, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Return True if nothing is damaged, or all of it was seen to."""
        return all(problem.action not in (None, NO_ACTION) for problem in self.problems)

    def _card(self) -> card.Card:
        status = "damaged" if not self.ok else "repaired" if self.problems else "ok"
        facts = {"checked": card.Counts(vars(self.checked)), "notes": card.Counts(vars(self.notes))}
        rows = [card.row_of(problem) for problem in self.problems[: card.MOST_ROWS]]
        columns = ("code", "path", "message", "action")
        table = card.table_of(rows, len(self.problems), "problems", columns=columns)
        return card.Card("Verification", "", status, facts, [table] if rows else [])
