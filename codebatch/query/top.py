"""The most frequent values of a field, or the largest numbers.

A field is counted over the kind of records that has it; ``path`` and ``language`` over the
findings, unless the filter asks for other kinds. A metric, and a field of numbers of a kind that is
a task's own, is ranked instead. A kind is counted by path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from codebatch.model.digest import Document, canonical_json
from codebatch.model.records import CODE, KINDS, Plan, Record, path_key
from codebatch.query.fields import check_choice, own_fields, types_in
from codebatch.query.filters import RecordFilter, has_own_metrics
from codebatch.query.records import NO_FILTER, FileLanguages, iter_records
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory
from codebatch.tasks.vocabulary import METRICS

DEFAULT_FIELD = "path"
# Each field to count by, with the kind of records it is counted over; None for all kinds.
FIELDS: Mapping[str, str | None] = {
    "path": "diagnostic",
    "code": "diagnostic",
    "severity": "diagnostic",
    "rule": "diagnostic",
    "language": "diagnostic",
    "kind": None,
    "symbol_type": "symbol",
    "edge_type": "edge",
    "target": "edge",
    "reason": "skip",
}
CHOICES = (*FIELDS, *(metric for metric in METRICS if metric != "language"))
_COUNTED = {"kind": "by_kind", "code": "by_code", "severity": "by_severity"}
_NUMBERS = frozenset({"int", "float"})


class Ranking(NamedTuple):
    """What rows are made of: a field of records of certain kinds (None: of all) is counted, or
    ranked if it is ``measured``; of a metric, ``field`` is its ``value``.
    """

    field: str
    kinds: tuple[str, ...] | None
    measured: bool = False
    metric: str | None = None


def ranking_of(plan: Plan, by: str) -> Ranking:
    """Return what a word means in a batch: a field, a metric, a kind, or ``KIND.FIELD``;
    `FilterInvalidError` for a word that means nothing.
    """
    if by in FIELDS:
        kind = FIELDS[by]
        return Ranking(by, None if kind is None else (kind,))
    if by in CHOICES:
        return Ranking("value", ("metric",), measured=True, metric=by)
    own = own_fields(plan.tasks)
    if by in KINDS or by in own:
        return Ranking("path", (by,))
    kind, _, field = by.rpartition(".")
    kinds = tuple(one for one, types in own.items() if field in types and kind in ("", one))
    if kinds:
        measured = all(types_in(own[one][field]) <= _NUMBERS for one in kinds)
        return Ranking(field, kinds, measured)
    if CODE.match(by) and any(map(has_own_metrics, plan.tasks)):
        return Ranking("value", ("metric",), measured=True, metric=by)
    fields = dict.fromkeys(name for types in own.values() for name in types)
    check_choice("field to count by", by, (*CHOICES, *own, *fields))
    raise AssertionError("unreachable")


def top_rows(
    store: StoreDirectory,
    batch_status: BatchStatus,
    by: str = DEFAULT_FIELD,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> list[Document]:
    """``[{name, count}]``, the most frequent first; where numbers are ranked ``[{path, value}]``,
    with ``name`` and ``line`` as far as records have them, the largest first. Ties by name, or by
    path and line.
    """
    ranking = ranking_of(batch_status.plan, by)
    if by in _COUNTED and filters == NO_FILTER:
        batch_status.check_task(task_id)
        return _ranked(getattr(batch_status.counts(task_id), _COUNTED[by]))
    if ranking.metric is not None:
        filters = replace(filters, kind=filters.kind or "metric", metric=ranking.metric)
    elif ranking.kinds is not None and (filters.kinds is None or by not in FIELDS):
        kinds = ranking.kinds if filters.kinds is None else filters.kinds & {*ranking.kinds}
        filters = replace(filters, kind=",".join(sorted(kinds)))
    records = iter_records(store, batch_status, filters, task_id)
    if ranking.measured:
        return _largest(records, ranking.field)
    if by == "language":
        languages = FileLanguages(store, batch_status)
        return _ranked(Counter(map(languages.of, records)))
    return _ranked(Counter(word for record in records for word in _words(record, ranking.field)))


def _words(record: Record, field: str) -> Iterator[str]:
    """Yield what a record counts for: of a list, each item."""
    value = record.get(field)
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, str):
            yield item
        elif item is not None:
            yield canonical_json(item).decode()


def _ranked(counts: Mapping[str, int]) -> list[Document]:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], path_key(entry[0])))
    return [{"name": name, "count": count} for name, count in ordered]


def _largest(records: Iterable[Record], field: str) -> list[Document]:
    measured: list[tuple[tuple[float, bytes, int], Document]] = []
    for record in records:
        value, line = record[field], record.get("line", 0)
        if isinstance(value, int | float):
            order = -value, path_key(str(record["path"])), line if isinstance(line, int) else 0
            row: Document = {"path": record["path"], "value": value}
            if isinstance(name := record.get("name"), str):
                row["name"] = name
            if isinstance(line, int) and line > 0:
                row["line"] = line
            measured.append((order, row))
    return [row for _, row in sorted(measured, key=lambda entry: entry[0])]
