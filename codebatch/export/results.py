"""Findings for the formats that report findings: with their state against a base, in an order,
and no more of them than asked for.

The state is SARIF's ``baselineState``: ``new``, ``unchanged``, ``updated`` (the same finding, of
another severity or message) or ``absent`` (in the base only); None without a base.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

from codebatch.compare.baseline import Baseline, entry_of
from codebatch.compare.compare import Comparison, compare_batches
from codebatch.compare.diff import SEVERITY, improvements, regressions
from codebatch.export.selection import Selection
from codebatch.model.errors import UsageError
from codebatch.model.records import SEVERITIES, Record, path_key
from codebatch.query.filters import RecordFilter
from codebatch.query.rules import rules_of
from codebatch.query.views import file_rows
from codebatch.status.batch_status import BatchStatus
from codebatch.tasks.rules import Rule

NEW = "new"
UNCHANGED = "unchanged"
UPDATED = "updated"
ABSENT = "absent"

_DIAGNOSTIC = "diagnostic"
_BY_RELEVANCE = (NEW, UPDATED, UNCHANGED, ABSENT)

Key = tuple[Any, ...]


class Result(NamedTuple):
    """A finding, its state, and whether it is news: without a base, new in the head, or more severe
    there.
    """

    record: Record
    state: str | None
    is_news: bool = True


@dataclass(frozen=True)
class Results:
    """All findings of a selection, lazily, the rules that there are, by code, what limits the
    comparison with the base, whether there is any, and how many findings of the base are gone, or
    less severe, and how many are suppressed now.
    """

    each: Iterator[Result]
    rules: Mapping[str, Rule]
    notes: tuple[str, ...] = ()
    is_compared: bool = False
    fixed: int = 0
    suppressed: int = 0


def load_results(selection: Selection) -> Results:
    """The findings of a selection; those that are in its base only come last."""
    kinds = selection.filters.kinds
    if kinds not in (None, {_DIAGNOSTIC}):
        raise UsageError(
            f"this format holds findings, not records of kind {', '.join(sorted(kinds))}",
            hints=["leave --kind out, or choose jsonl, csv or parquet"],
        )
    findings = replace(selection, filters=replace(selection.filters, kind=_DIAGNOSTIC))
    if findings.base is None:
        rules = rules_of(findings.batch_status.plan)
        state = None if findings.baseline is None else NEW
        results = (Result(record, state) for record in findings.records())
        is_compared = findings.baseline is not None
        return Results(_without_known(results, findings.baseline), rules, (), is_compared)
    found = findings.comparison or compare_batches(
        findings.store, findings.base, findings.batch_status, RecordFilter(kind=_DIAGNOSTIC)
    )
    rules = {**rules_of(findings.base.plan), **rules_of(findings.batch_status.plan)}
    compared = _compared(findings, findings.base, found)
    fixed = sum(findings.takes(one.record) for one in improvements(found.diff, found.rename_map))
    suppressed = sum(map(findings.takes, found.diff.suppressed))
    each = _without_known(compared, findings.baseline)
    return Results(each, rules, found.notes, is_compared=True, fixed=fixed, suppressed=suppressed)


def place_of(result: Result) -> Key:
    """The order of findings: by place, then what they say."""
    record = result.record
    place = (path_key(str(record["path"])), record["line"], record["column"])
    names = ("code", "task_id", "fingerprint")
    return (*place, *(record[name] for name in names), result.state or "")


def relevance_of(result: Result) -> Key:
    """The order in which findings are kept: what is there, by severity, the new first, by place."""
    severity = SEVERITIES.index(severity_of(result))
    state = _BY_RELEVANCE.index(result.state or NEW)
    return (result.state == ABSENT, severity, state, *place_of(result))


def choose(
    results: Iterable[Result],
    limit: int | None,
    order: Callable[[Result], Key] = relevance_of,
    group: Callable[[Result], object] = lambda _: None,
) -> tuple[list[Result], Counter[str]]:
    """Return the first ``limit`` results of each group in an order, and the numbers of all by
    severity. None keeps all; at most twice the limit are held of a group.
    """
    totals: Counter[str] = Counter()
    groups: dict[object, list[Result]] = defaultdict(list)
    for result in results:
        totals[severity_of(result)] += 1
        kept = groups[group(result)]
        kept.append(result)
        if limit is not None and len(kept) > 2 * limit:
            kept.sort(key=order)
            del kept[limit:]
    firsts = (sorted(kept, key=order)[:limit] for kept in groups.values())
    return sorted(chain.from_iterable(firsts), key=order), totals


def severity_of(result: Result) -> str:
    """Return how severe a finding is."""
    return str(result.record["severity"])


def count_severities(results: Iterable[Result]) -> Counter[str]:
    """Return the number of results of each severity."""
    return Counter(map(severity_of, results))


def _without_known(results: Iterable[Result], baseline: Baseline | None) -> Iterator[Result]:
    """Yield the results; those that a baseline file has are no news."""
    for result in results:
        is_known = baseline and result.is_news and entry_of(result.record) in baseline
        yield Result(result.record, UNCHANGED, is_news=False) if is_known else result


def _compared(selection: Selection, base: BatchStatus, found: Comparison) -> Iterator[Result]:
    new = Counter(_identity(record) for record in found.diff.added)
    updated = Counter(_identity(change.new) for change in found.diff.changed)
    worse = {_identity(one.record) for one in regressions(found.diff) if one.change == SEVERITY}
    for record in selection.records():
        identity = _identity(record)
        if record["task_id"] not in base.states:
            yield Result(record, NEW)
        elif new[identity]:
            new[identity] -= 1
            yield Result(record, NEW)
        elif updated[identity]:
            updated[identity] -= 1
            yield Result(record, UPDATED, identity in worse)
        else:
            yield Result(record, UNCHANGED, is_news=False)
    if not selection.with_absent:
        return
    yield from (Result(record, ABSENT, is_news=False) for record in _absent(selection, base, found))


def _absent(selection: Selection, base: BatchStatus, found: Comparison) -> Iterator[Record]:
    """Yield the records that the base alone has, under the same conditions."""
    filters = selection.filters
    paths = None  # of all languages
    if filters.language is not None:
        rows = file_rows(selection.store, base, RecordFilter(language=filters.language))
        paths = frozenset(row["path"] for row in rows)
    for record in found.diff.removed:
        if not selection.takes(record):
            continue
        if paths is None or record["path"] in paths:
            yield record


def _identity(record: Record) -> Key:
    names = ("task_id", "path", "line", "column", "code", "fingerprint", "severity", "message")
    return tuple(record[name] for name in names)
