"""How severe findings are in a project: by code, and by path.

A level is a severity, or `OFF`: then the finding becomes a record of kind ``suppression``, as one
that a comment suppresses, so that nothing is hidden without a trace. It is given to a code, or to
all codes that begin with a text, of which the longest counts. What is said of paths that match a
pattern says more than what is said of all; of two patterns that say something of one text, the
later one does.

Levels are applied to what a task yields. What holds everywhere is a component of a task that yields
findings. What holds for some paths is a facet of each path (`FACET`): so a change of a pattern
changes the keys of the files that it is about, and of no others. A task over a whole batch has all
of it as a component.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, cast

from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import StoreDamagedError
from codebatch.model.patterns import PathPattern
from codebatch.model.records import BY_CONFIGURATION, LEVELS, OFF, Record
from codebatch.tasks.rules import FAILURES, SYNTAX_ERROR

FACET = "levels"
FIXED = FAILURES | {SYNTAX_ERROR}  # nothing that could not be looked at is passed over
_FINDINGS = ("diagnostic", "suppression")

ByCode = Mapping[str, str]


@dataclass(frozen=True)
class Levels:
    """Levels by code or beginning of codes: ``severities`` everywhere, ``per_path`` where a pattern
    matches, which is as in a ``.gitignore`` at the root of the tree.
    """

    severities: ByCode = field(default_factory=dict)
    per_path: tuple[tuple[str, ByCode], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.severities or self.per_path)

    def as_document(self) -> Document:
        """Return the document that `from_document` parses."""
        per_path = [[pattern, dict(sorted(levels.items()))] for pattern, levels in self.per_path]
        return {"severities": dict(sorted(self.severities.items())), "per_path": per_path}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Levels:
        """Parse levels, which have been checked."""
        per_path = tuple((pattern, levels) for pattern, levels in document["per_path"])
        return cls(document["severities"], per_path)

    def about(self, codes: Iterable[str] | None) -> Levels:
        """Return what is said of some codes; None is any."""
        if codes is None:
            return self
        known = tuple(codes)
        per_path = ((pattern, _about(levels, known)) for pattern, levels in self.per_path)
        kept = tuple((pattern, levels) for pattern, levels in per_path if levels)
        return Levels(_about(self.severities, known), kept)

    def of_path(self, path: str) -> str:
        """Return what is said of a path beyond what holds everywhere, as the value of a facet."""
        found: dict[str, str] = {}
        for pattern, levels in self._patterns:
            if pattern.matches(path):
                found.update(levels)
        return canonical_json(dict(sorted(found.items()))).decode() if found else ""

    @cached_property
    def _patterns(self) -> list[tuple[PathPattern, ByCode]]:
        return [(PathPattern(pattern), levels) for pattern, levels in self.per_path]


NO_LEVELS = Levels()


def _about(levels: ByCode, codes: Sequence[str]) -> dict[str, str]:
    return {
        text: level
        for text, level in levels.items()
        if any(code.startswith(text) for code in codes)
    }


def with_levels(records: list[Record], document: object, of_path: str) -> list[Record]:
    """Return the records of a file with the levels of their findings; ``document`` is the component
    of the task, None where there is none.
    """
    if document is None or not any(record["kind"] in _FINDINGS for record in records):
        return records
    everywhere = canonical_json(cast("Mapping[str, Any]", document)["severities"]).decode()
    level_of = _level_of(everywhere, of_path)
    kept: list[Record] = []
    for record in records:
        level = level_of(str(record["code"])) if record["kind"] in _FINDINGS else None
        kept.append(record if level is None else _judged(record, level))
    return kept


def _judged(record: Record, level: str) -> Record:
    if level != OFF:
        return {**record, "severity": level}
    if record["kind"] != "diagnostic":  # a comment suppresses it as well
        return record
    return {**record, "kind": "suppression", "how": BY_CONFIGURATION, "reason": ""}


def _table(text: str) -> ByCode:
    """Return levels by code; `StoreDamagedError` where a text, which a store may hold, has none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreDamagedError("a facet of levels is no JSON") from error
    if not isinstance(found, dict) or not all(
        isinstance(level, str) and level in LEVELS for level in found.values()
    ):
        raise StoreDamagedError("a facet of levels has others than there are")
    return found


@lru_cache(maxsize=256)
def _level_of(everywhere: str, of_path: str) -> Callable[[str], str | None]:
    """Return what gives the level of a code, None where nothing is said of it."""
    tables = [_table(text) for text in (of_path, everywhere) if text]

    @lru_cache(maxsize=4096)
    def level_of(code: str) -> str | None:
        if code in FIXED:
            return None
        for table in tables:
            for length in range(len(code), 0, -1):
                if code[:length] in table:
                    return table[code[:length]]
        return None

    return level_of
