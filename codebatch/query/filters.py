"""What to keep of the records of a batch. A value that nothing can have is an error: one of the
closed sets at once, a kind, a code, a metric, a path or a language where the batch is known
(`filters_for`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cached_property
from itertools import chain

from codebatch.model.checks import EARLIER_EDGE_TYPES
from codebatch.model.errors import FilterInvalidError
from codebatch.model.records import CODE, KINDS, SEVERITIES, PlannedTask, Record, ShardState
from codebatch.query.fields import check_choice, own_fields
from codebatch.query.paths import PathLike, path_pattern, path_texts, paths_in
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory
from codebatch.tasks.languages.detect import LANGUAGES
from codebatch.tasks.rules import RULES
from codebatch.tasks.vocabulary import EDGE_TYPES, METRICS, SYMBOL_TYPES

_BUILT_IN = re.compile(r"[A-Z]+[0-9]+\Z")  # the form that codes of built-in tasks have
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
    "name": frozenset({"artifact", "symbol", "edge", "metric"}),
}
_CHOICES: Mapping[str, Sequence[str]] = {
    "severity": SEVERITIES,
    "language": LANGUAGES,
    "symbol_type": SYMBOL_TYPES,
    "edge_type": EDGE_TYPES,
}
_EQUAL = ("kind", "severity", "code", "symbol_type", "edge_type", "metric")
_GLOBS = ("name", "target")


@dataclass(frozen=True)
class RecordFilter:
    """Conditions that all must hold; None sets none. ``path`` is a folder, a file or a glob, or
    several of which one must fit (`query.paths`). ``name`` and ``target`` are globs over the whole
    text; ``min`` and ``max`` bound the value of a metric; any other condition may name several
    values, with commas between. ``named`` are kinds that tasks have of their own, with a field
    ``name``.
    """

    kind: str | None = None
    severity: str | None = None
    code: str | None = None
    path: PathLike | Sequence[PathLike] | None = None
    language: str | None = None
    name: str | None = None
    symbol_type: str | None = None
    edge_type: str | None = None
    target: str | None = None
    metric: str | None = None
    min: float | None = None
    max: float | None = None
    named: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", path_texts(self.path))
        for field, choices in _CHOICES.items():
            for value in self.words(field) or ():
                check_choice(field.replace("_", " "), value, choices)
        for code in self.words("code") or ():
            if not CODE.match(code):
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
                kinds = kinds | self.named if field == "name" else kinds  # noqa: PLW2901
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
        if self.path is not None and not self.matches_path(str(record["path"])):
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

    @cached_property
    def text_tests(self) -> Mapping[str, Callable[[str], bool]]:
        """For each field with a condition on its text, the kind aside, what says if it fits."""
        tests: dict[str, Callable[[str], bool]] = {
            field: values.__contains__ for field, values in self._equal.items() if field != "kind"
        }
        for field, glob in self._globs.items():
            tests[field] = lambda text, glob=glob: glob.match(text) is not None  # type: ignore[misc]
        return tests if self.path is None else {**tests, "path": self.matches_path}

    def kinds_in(self, known: Iterable[str]) -> list[str]:
        """Return which of the known kinds are asked for: those that are named, else those that can
        match.
        """
        asked = self.kinds if self.kind is None else self._values("kind")
        return [kind for kind in known if asked is None or kind in asked]

    def matches_file(self, path: str, language: str) -> bool:
        """Return true if a file fulfils the conditions on its path and language."""
        return self.matches_path(path) and self.matches_language(language)

    def matches_path(self, path: str) -> bool:
        """Return true if the path is one of those wanted, or below one."""
        return self._paths is None or self._paths.match(path) is not None

    def matches_language(self, language: str) -> bool:
        """Return true if the language is wanted."""
        wanted = self._values("language")
        return wanted is None or language in wanted

    @cached_property
    def _equal(self) -> dict[str, frozenset[str]]:
        found = {field: self._values(field) for field in _EQUAL}
        return {field: values for field, values in found.items() if values is not None}

    @cached_property
    def _paths(self) -> re.Pattern[str] | None:
        texts = path_texts(self.path)
        return None if texts is None else path_pattern(texts)

    @cached_property
    def _globs(self) -> dict[str, re.Pattern[str]]:
        texts = {field: getattr(self, field) for field in _GLOBS}
        return {
            field: re.compile(translate(text)) for field, text in texts.items() if text is not None
        }

    def _values(self, field: str) -> frozenset[str] | None:
        words = self.words(field)
        return None if words is None else frozenset(words)

    def words(self, field: str) -> Sequence[str] | None:
        """Return the values that a condition names; None where it is not set."""
        value = getattr(self, field)
        return None if value is None else [word.strip() for word in value.split(",")]


def filters_for(
    store: StoreDirectory, filters: RecordFilter, *batches: BatchStatus
) -> RecordFilter:
    """Return the conditions as they are for these batches; `FilterInvalidError` where one names a
    kind, a code or a metric that their tasks do not give, or a language that no file has,
    `PathNotInBatchError` where a path is that of no file.
    """
    tasks = [task for batch in batches for task in batch.plan.tasks]
    for kind in filters.words("kind") or ():
        _check_known("kind", kind, (kind for task in tasks for kind in task.kinds), KINDS)
    for language in filters.words("language") or ():
        if (there := {one for b in batches for one in b.plan.languages}).isdisjoint({language}):
            hints = [f"languages of this batch: {', '.join(sorted(there))}"]
            raise FilterInvalidError(f"no file of this batch is in {language}", hints=hints)
    if not any(map(has_own_metrics, tasks)):
        for metric in filters.words("metric") or ():
            check_choice("metric", metric, METRICS)
    _check_codes(filters, tasks, batches)
    if (texts := path_texts(filters.path)) is not None:
        filters = replace(filters, path=paths_in(store, batches, texts))
    if filters.name is None:
        return filters
    named = (kind for kind, types in own_fields(tasks).items() if "name" in types)
    return replace(filters, named=frozenset(named))


def _check_codes(
    filters: RecordFilter, tasks: Sequence[PlannedTask], batches: Sequence[BatchStatus]
) -> None:
    # What a task finds that declares no rules, only its findings tell.
    if any(task.source and not task.rules for task in tasks):
        return
    for code in filters.words("code") or ():
        if _BUILT_IN.match(code):  # of this version or of another: it finds nothing here
            continue
        declared = (str(rule["code"]) for task in tasks for rule in task.rules)
        found = (code for batch in batches for code in batch.counts().by_code)
        _check_known("code", code, chain(declared, found), RULES)


def has_own_metrics(task: PlannedTask) -> bool:
    """Return whether a task is a user's, whose metrics have any name, and any numbers."""
    return bool(task.source) and "metric" in task.kinds


def _check_known(what: str, value: str, here: Iterable[str], always: Container[str]) -> None:
    """Raise unless the value is one that any batch may have, or of this one."""
    if value not in always:
        known = sorted({*here})
        if value not in known:
            hints = [f"{what}s of this batch: {', '.join(known)}"]
            raise FilterInvalidError(f"unknown {what}: {value}", hints=hints)
