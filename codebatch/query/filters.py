"""What to keep of the records of a batch. A value that nothing can have is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from codebatch.model.checks import EARLIER_EDGE_TYPES
from codebatch.model.errors import FilterInvalidError
from codebatch.model.records import KINDS, SEVERITIES, Record, ShardState
from codebatch.query.fields import check_choice
from codebatch.tasks.languages.detect import LANGUAGES
from codebatch.tasks.vocabulary import EDGE_TYPES, METRICS, SYMBOL_TYPES

_CODE = re.compile(r"[A-Z]+[0-9]+\Z")
# Conditions on a field that records of certain kinds alone have; other kinds never match.
_KINDS_WITH: Mapping[str, frozenset[str]] = {
    "severity": frozenset({"diagnostic"}),
    "code": frozenset({"diagnostic"}),
    "symbol_type": frozenset({"symbol"}),
    "edge_type": frozenset({"edge"}),
    "target": frozenset({"edge"}),
    "metric": frozenset({"metric"}),
    "min": frozenset({"metric"}),
    "max": frozenset({"metric"}),
    "name": frozenset({"symbol", "edge", "metric"}),
}
_CHOICES: Mapping[str, Sequence[str]] = {
    "kind": KINDS,
    "severity": SEVERITIES,
    "language": LANGUAGES,
    "symbol_type": SYMBOL_TYPES,
    "edge_type": EDGE_TYPES,
    "metric": METRICS,
}
_EQUAL = ("kind", "severity", "code", "symbol_type", "edge_type", "metric")
_GLOBS = ("path", "name", "target")


@dataclass(frozen=True)
class RecordFilter:
    """Conditions that all must hold; None sets none. ``path``, ``name`` and ``target`` are globs
    over the whole text, in which ``*`` also crosses folders; ``min`` and ``max`` bound the value
    of a metric; any other condition may name several values, with commas between.
    """

    kind: str | None = None
    severity: str | None = None
    code: str | None = None
    path: str | None = None
    language: str | None = None
    name: str | None = None
    symbol_type: str | None = None
    edge_type: str | None = None
    target: str | None = None
    metric: str | None = None
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            for value in self._words(field) or ():
                check_choice(field.replace("_", " "), value, choices)
        for code in self._words("code") or ():
            if not _CODE.match(code):
                hints = ["a code reads like E0001 or L101"]
                raise FilterInvalidError(f"unknown code: {code}", hints=hints)
        for bound in (self.min, self.max):
            if bound is not None and bound != bound:  # noqa: PLR0124 - not a number
                raise FilterInvalidError("a bound of values is not a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise FilterInvalidError(f"no value is at least {self.min:g} and at most {self.max:g}")

    @cached_property
    def kinds(self) -> frozenset[str] | None:
        """The kinds that can match, as far as the conditions say so; None for any."""
        wanted = self._values("kind")
        for field, kinds in _KINDS_WITH.items():
            if getattr(self, field, None) is not None:
                wanted = kinds if wanted is None else wanted & kinds
        return wanted

    @cached_property
    def wanted(self) -> Mapping[str, frozenset[str]]:
        """For each field that must have one of certain values as it is stored, these."""
        values = dict(self._equal)
        if self.kinds is not None:
            values["kind"] = self.kinds
        if "edge_type" in values:
            edges = values["edge_type"]
            values["edge_type"] = edges | {
                old for old, new in EARLIER_EDGE_TYPES.items() if new in edges
            }
        if self.name is not None and not set(self.name) & set("*?["):  # the text itself
            values["name"] = frozenset({self.name})
        return values

    def may_match(self, state: ShardState) -> bool:
        """False where the counts of a shard already say that nothing in it matches."""
        counts = state.counts
        return all(
            wanted is None or not wanted.isdisjoint(there)
            for wanted, there in (
                (self.kinds, counts.by_kind),
                (self._values("severity"), counts.by_severity),
                (self._values("code"), counts.by_code),
            )
        )

    def matches(self, record: Record) -> bool:
        """Return true if a record fulfils every condition but the language."""
        for field, wanted in self._equal.items():
            if record.get(field) not in wanted:
                return False
        for field, glob in self._globs.items():
            if field not in record or glob.match(str(record[field])) is None:
                return False
        if self.min is None and self.max is None:
            return True
        value = record.get("value")
        return (
            isinstance(value, int | float)
            and (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
        )

    def matches_file(self, path: str, language: str) -> bool:
        """Return true if a file fulfils the conditions on its path and language."""
        return self.matches_path(path) and self.matches_language(language)

    def matches_path(self, path: str) -> bool:
        """Return true if the path fulfils the glob."""
        glob = self._globs.get("path")
        return glob is None or glob.match(path) is not None

    def matches_language(self, language: str) -> bool:
        """Return true if the language is wanted."""
        wanted = self._values("language")
        return wanted is None or language in wanted

    @cached_property
    def _equal(self) -> dict[str, frozenset[str]]:
        found = {field: self._values(field) for field in _EQUAL}
        return {field: values for field, values in found.items() if values is not None}

    @cached_property
    def _globs(self) -> dict[str, re.Pattern[str]]:
        texts = {field: getattr(self, field) for field in _GLOBS}
        return {
            field: re.compile(translate(text)) for field, text in texts.items() if text is not None
        }

    def _values(self, field: str) -> frozenset[str] | None:
        words = self._words(field)
        return None if words is None else frozenset(words)

    def _words(self, field: str) -> Sequence[str] | None:
        value = getattr(self, field)
        return None if value is None else [word.strip() for word in value.split(",")]
