"""What changed between the records of two batches. Pure: records in, changes out.

A record is the same in both batches when its identity is: where it stands in its file is no part
of that, so moved lines are no change. Identities, within a task and a file:

========== =====================================================
diagnostic code and fingerprint
symbol     scope, name and type, and its number among equals
metric     metric and name, and its number among equals
edge       type, target, name and alias, and its number among equals
ast        the file has one
patch      the file has one
artifact   name, and its number among equals
skip       reason, and its number among equals
others     fields that are no numbers, and the number among equals
========== =====================================================

*Others* are kinds that tasks have of their own: numbers, and lists and dicts of nothing else, are
what such a record says. Of a kind that no task declares it is the number in the file alone.

A record that is in both but says something else (another value, severity, message) is changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from codebatch.display.displayed import Displayed, card
from codebatch.model.digest import canonical_json
from codebatch.model.kinds import PLACES, Kinds
from codebatch.model.records import SEVERITIES, Record, path_key

ADDED, REMOVED, SEVERITY = "added", "removed", "severity"
_IDENTITY = {
    "diagnostic": ("code", "fingerprint"),
    "symbol": ("scope", "name", "symbol_type"),
    "metric": ("metric", "name"),
    "edge": ("edge_type", "target", "name", "alias"),
    "ast": (),
    "patch": (),
    "artifact": ("name",),
    "skip": ("reason",),
    "suppression": ("code", "fingerprint"),
}
# Where a record stands; the tree behind an ast record holds the place of every node, and the diff
# behind a patch those of its lines.
_PLACE = frozenset({*PLACES, "path", "task_id", "shard_id"})
_WORDS = re.compile(r"str|bool")
_BEHIND = {
    "ast": _PLACE | {"object", "chunked"},
    "patch": _PLACE | {"object", "chunked", "result"},
}
# A file that does not parse, and one on which a task failed: findings in it are not looked for.
UNREAD = frozenset({"E0001", "E0002", "E0003", "E0004", "E0005"})

Identity = tuple[Any, ...]


class ChangedRecord(NamedTuple):
    """A record that is in both batches and differs beyond its place."""

    old: Record
    new: Record


@dataclass(frozen=True, repr=False)
class RecordDiff(Displayed):
    """The changes, each in path order, and how many records are unchanged.

    ``broken`` holds the new paths of files that could be looked at before and cannot any more,
    ``suppressed`` the findings among ``removed`` that a comment suppresses now.
    """

    added: tuple[Record, ...]
    removed: tuple[Record, ...]
    changed: tuple[ChangedRecord, ...]
    unchanged: int
    broken: frozenset[str]
    suppressed: tuple[Record, ...] = ()

    def _card(self) -> card.Card:
        return card.Card("Changes of records", facts=self.facts())

    def facts(self) -> dict[str, object]:
        """Return the numbers by kind, for a card."""
        lists = {
            "added": self.added,
            "removed": self.removed,
            "changed": [change.new for change in self.changed],
        }
        counted = {
            name: card.Counts(Counter(sorted(str(one["kind"]) for one in records)), with_total=True)
            for name, records in lists.items()
        }
        return {**counted, "unchanged": self.unchanged, "suppressed": len(self.suppressed) or None}


class Finding(NamedTuple):
    """A diagnostic that got worse or better: ``change`` is added, removed or severity."""

    change: str
    record: Record


def diff_records(
    old: Iterable[Record], new: Iterable[Record], renames: Mapping[str, str], own: Kinds
) -> RecordDiff:
    """Compare two sets of records; ``renames`` maps old paths to new ones, ``own`` are the kinds
    that tasks have of their own.
    """
    identity = {**_IDENTITY, **{kind: _identity_of(types) for kind, types in own.items()}}
    before = _by_identity(old, renames, identity)
    after = _by_identity(new, {}, identity)
    added = [record for same, record in after.items() if same not in before]
    removed = [record for same, record in before.items() if same not in after]
    both = [(record, after[same]) for same, record in before.items() if same in after]
    changed = [ChangedRecord(*pair) for pair in both if _content(pair[0]) != _content(pair[1])]
    return RecordDiff(
        added=tuple(sorted(added, key=place_key)),
        removed=tuple(sorted(removed, key=place_key)),
        changed=tuple(sorted(changed, key=lambda change: place_key(change.new))),
        unchanged=len(both) - len(changed),
        broken=_paths_with_errors(after) - _paths_with_errors(before),
    )


def regressions(diff: RecordDiff) -> list[Finding]:
    """New findings, and findings whose severity rose."""
    new = [Finding(ADDED, record) for record in diff.added if _is_diagnostic(record)]
    risen = [Finding(SEVERITY, c.new) for c in diff.changed if _rise(c) > 0]
    return sorted(new + risen, key=lambda finding: place_key(finding.record))


def improvements(diff: RecordDiff, renames: Mapping[str, str]) -> list[Finding]:
    """Findings that are gone, and findings whose severity fell.

    The findings of a file that no longer parses are not gone: they were not looked for. Nor are
    those that a comment suppresses now.
    """
    apart = set(map(id, diff.suppressed))
    gone = [
        Finding(REMOVED, record)
        for record in diff.removed
        if _is_diagnostic(record)
        and id(record) not in apart
        and _new_path(record, renames) not in diff.broken
    ]
    fallen = [Finding(SEVERITY, c.new) for c in diff.changed if _rise(c) < 0]
    return sorted(gone + fallen, key=lambda finding: place_key(finding.record))


def newly_suppressed(
    removed: Iterable[Record],
    old: Iterable[Record],
    new: Iterable[Record],
    renames: Mapping[str, str],
) -> tuple[Record, ...]:
    """Return the findings among ``removed`` that ``new`` suppressions, beyond ``old`` ones, are of.
    A comment changes the text of its line and so the fingerprint: what is said is compared.
    """
    more = Counter(_said(one, {}) for one in new) - Counter(_said(one, renames) for one in old)
    found = []
    for record in filter(_is_diagnostic, removed):
        said = _said(record, renames)
        if more[said] > 0:
            more[said] -= 1
            found.append(record)
    return tuple(found)


def severity_rank(severity: object) -> int:
    """Return the rank of a severity: 0 for the least."""
    return len(SEVERITIES) - 1 - SEVERITIES.index(str(severity))


def finding_rows(findings: Iterable[Finding]) -> list[Record]:
    """Return the records of findings, each with what has changed: added, removed or severity."""
    return [{**finding.record, "change": finding.change} for finding in findings]


def place_key(record: Record) -> tuple[bytes, int, int, str, str]:
    """An order of records by place, then task and kind."""
    line, column = record.get("line", 0), record.get("column", 0)
    return (
        path_key(str(record["path"])),
        line if isinstance(line, int) else 0,
        column if isinstance(column, int) else 0,
        str(record["task_id"]),
        str(record["kind"]),
    )


def _identity_of(types: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields of a task's own kind that make two records the same."""
    return tuple(
        name
        for name, words in types.items()
        if name not in PLACES and _WORDS.search(words.replace("dict[str, ", "dict["))
    )


def _by_identity(
    records: Iterable[Record], renames: Mapping[str, str], names: Mapping[str, Sequence[str]]
) -> dict[Identity, Record]:
    seen: Counter[Identity] = Counter()
    found: dict[Identity, Record] = {}
    for record in records:
        kind = record["kind"]
        fields = tuple(_hashable(record.get(name)) for name in names.get(str(kind), ()))
        identity = (record["task_id"], kind, _new_path(record, renames), fields)
        found[(*identity, seen[identity])] = record
        seen[identity] += 1
    return found


def _hashable(value: object) -> object:
    return canonical_json(value) if isinstance(value, list | dict) else value


def _content(record: Record) -> Record:
    place = _BEHIND.get(str(record["kind"]), _PLACE)
    return {name: value for name, value in record.items() if name not in place}


def _new_path(record: Record, renames: Mapping[str, str]) -> str:
    path = str(record["path"])
    return renames.get(path, path)


def _paths_with_errors(records: Mapping[Identity, Record]) -> frozenset[str]:
    return frozenset(
        str(identity[2])
        for identity, record in records.items()
        if _is_diagnostic(record) and record["code"] in UNREAD
    )


def _said(record: Record, renames: Mapping[str, str]) -> Identity:
    names = ("task_id", "code", "message")
    return (_new_path(record, renames), *(record[name] for name in names))


def _is_diagnostic(record: Record) -> bool:
    return record["kind"] == "diagnostic"


def _rise(change: ChangedRecord) -> int:
    if not _is_diagnostic(change.new):
        return 0
    return severity_rank(change.new["severity"]) - severity_rank(change.old["severity"])
