"""What records show of themselves: how many there are, where counts tell, and the first of a few
small shards. Nothing else is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import islice

from codebatch.display.card import Card, table_of
from codebatch.model.records import DONE, Plan, Record, ShardState
from codebatch.query.columns import Column
from codebatch.query.filters import RecordFilter
from codebatch.query.records import NO_FILTER, iter_records
from codebatch.status.batch_status import BatchStatus, peek_batch_status
from codebatch.store import StoreDirectory

_MOST_ROWS = 5
_MOST_SHARDS, _MOST_BYTES = 32, 2**20
_MOST_COLUMNS = 9
# Of no use to a reader, or the same in many records.
_HIDDEN = frozenset({"task_id", "shard_id", "object", "fingerprint", "chunked", "id"})
_FIRST = ("kind", "path", "line")


def records_card(
    store: StoreDirectory,
    batch_id: str,
    plan: Plan,
    filters: RecordFilter,
    task_id: str | None,
    columns: Sequence[Column],
) -> Card:
    """Return the card of the records of a batch that fulfil conditions."""
    names = [column.name for column in columns]
    conditions = {"task": task_id, **_conditions(filters)}
    facts: dict[str, object] = {
        "conditions": ", ".join(f"{name} {text}" for name, text in conditions.items() if text),
        "columns": ", ".join(names),
    }
    facts["conditions"] = facts["conditions"] or None
    status = peek_batch_status(store, batch_id, plan)
    if status is None:
        return Card("Records of", batch_id, facts=facts)
    number = _number(status, filters, task_id)
    part = _small_part(store, status, filters, task_id)
    rows = list(islice(iter_records(store, part, filters, task_id), _MOST_ROWS))
    if len(rows) < _MOST_ROWS and len([*part.present()]) == len(plan.tasks) * len(plan.shards):
        number = len(rows)
    facts["records"] = number
    shown = _columns(rows, names, with_kind=filters.kinds is None or len(filters.kinds) > 1)
    tables = [table_of(iter(rows), number, columns=shown)] if rows else []
    notes = [] if status.status == DONE else [f"the batch is {status.status}: more may be to come"]
    word = "" if status.status == DONE else status.status
    return Card("Records of", batch_id, word, facts, tables, notes=notes)


def _conditions(filters: RecordFilter) -> Mapping[str, str]:
    named = {one.name: getattr(filters, one.name) for one in fields(filters) if one.name != "named"}
    return {name: _said(value) for name, value in named.items() if value is not None}


def _said(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(status: BatchStatus, filters: RecordFilter, task_id: str | None) -> int | None:
    """Return how many records there are; None where the counts do not tell."""
    counts = status.counts(task_id)
    told: dict[str, Mapping[str, int]] = {
        "kind": counts.by_kind,
        "severity": counts.by_severity,
        "code": counts.by_code,
    }
    given = [name for name in told if getattr(filters, name) is not None]
    bare = replace(filters, named=frozenset(), **dict.fromkeys(given))
    if bare != NO_FILTER or len(given) > 1:
        return None
    if not given:
        return counts.records
    return _sum_of(told[given[0]], str(getattr(filters, given[0])))


def _sum_of(numbers: Mapping[str, int], words: str) -> int:
    return sum(numbers.get(word, 0) for word in {word.strip() for word in words.split(",")})


def _small_part(
    store: StoreDirectory, status: BatchStatus, filters: RecordFilter, task_id: str | None
) -> BatchStatus:
    """Return the batch as if it had no more than a few small shards: some of each task, of which
    those that may match are small.
    """
    room = _MOST_BYTES
    states: dict[str, dict[str, ShardState | None]] = {}
    for task in status.plan.tasks:
        of_task = states.setdefault(task.id, {})
        for shard in status.plan.shards[:_MOST_SHARDS]:
            state = store.shards.load_state(status.batch_id, task.id, shard.shard_id)
            if state is not None and task_id in (None, task.id) and filters.may_match(state):
                room -= state.size
                if room < 0:
                    return BatchStatus(status.batch_id, status.plan, states)
            of_task[shard.shard_id] = state
    return BatchStatus(status.batch_id, status.plan, states)


def _columns(rows: Sequence[Record], names: Sequence[str], *, with_kind: bool) -> list[str]:
    """Return the columns that say most of some records."""
    filled = dict.fromkeys(name for row in rows for name in row)
    order = [*_FIRST, *names, *filled]
    hidden = _HIDDEN if with_kind else _HIDDEN | {"kind"}
    found = dict.fromkeys(name for name in order if name in filled and name not in hidden)
    return list(found)[:_MOST_COLUMNS]
