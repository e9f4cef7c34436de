"""The most frequent values of a field, or the largest values of a metric.

A field is counted over the kind of records that has it; ``path`` and ``language`` over the
findings, unless the filter asks for other kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from codebatch.model.digest import Document
from codebatch.model.records import Record, path_key
from codebatch.query.fields import check_choice
from codebatch.query.filters import RecordFilter
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


def top_rows(
    store: StoreDirectory,
    batch_status: BatchStatus,
    by: str = DEFAULT_FIELD,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> list[Document]:
    """``[{name, count}]``, the most frequent first; for a metric ``[{path, value}]``, of a
    function with ``name`` and ``line``, the largest first. Ties by name, or by path and line.
    """
    check_choice("field to count by", by, CHOICES)
    if by not in FIELDS:
        wanted = replace(filters, kind=filters.kind or "metric", metric=by)
        return _largest(iter_records(store, batch_status, wanted, task_id))
    if by in _COUNTED and filters == NO_FILTER:
        batch_status.check_task(task_id)
        return _ranked(getattr(batch_status.counts(task_id), _COUNTED[by]))
    kind = FIELDS[by]
    if filters.kinds is None and kind is not None:
        filters = replace(filters, kind=kind)
    records = iter_records(store, batch_status, filters, task_id)
    if by == "language":
        languages = FileLanguages(store, batch_status)
        return _ranked(Counter(map(languages.of, records)))
    return _ranked(Counter(str(record[by]) for record in records if by in record))


def _ranked(counts: Mapping[str, int]) -> list[Document]:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], path_key(entry[0])))
    return [{"name": name, "count": count} for name, count in ordered]


def _largest(records: Iterable[Record]) -> list[Document]:
    measured: list[tuple[tuple[float, bytes, int], Document]] = []
    for record in records:
        value, line = record["value"], record.get("line", 0)
        if isinstance(value, int | float):
            order = -value, path_key(str(record["path"])), line if isinstance(line, int) else 0
            fields = ("path", "value", "name", "line")
            measured.append((order, {name: record[name] for name in fields if name in record}))
    return [row for _, row in sorted(measured, key=lambda entry: entry[0])]
