"""Numbers of many batches, to be set side by side: metrics of their records, added up.

Outputs that several batches share are read once: what they hold is known by their digest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from codebatch.model.errors import FilterInvalidError
from codebatch.model.records import FAILED, ShardState
from codebatch.query.fields import check_choice
from codebatch.query.filters import RecordFilter, filters_for
from codebatch.query.records import Matcher
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

AGGREGATES = ("sum", "mean", "max", "count")

Number = int | float


class Measure(NamedTuple):
    """A metric over all files or functions of a batch, as one number."""

    metric: str
    aggregate: str = AGGREGATES[0]

    @property
    def name(self) -> str:
        """The words that mean it: ``complexity``, ``complexity:max``."""
        is_plain = self.aggregate == AGGREGATES[0]
        return self.metric if is_plain else f"{self.metric}:{self.aggregate}"


def parse_measure(text: str) -> Measure:
    """Return what ``complexity`` or ``complexity:max`` means; `FilterInvalidError` where it is
    nothing, or no number.
    """
    metric, colon, aggregate = text.partition(":")
    if metric == "language":
        raise FilterInvalidError("the metric language is no number")
    if colon:
        check_choice("aggregate", aggregate, AGGREGATES)
    return Measure(metric, aggregate or AGGREGATES[0])


class _Tally(NamedTuple):
    """How many values of a metric there are, their sum, and the largest."""

    number: int = 0
    total: Number = 0
    largest: Number | None = None


class Measuring:
    """Finds the values of measures. State: ``_known`` are the tallies by metric of outputs that
    were read, by their digest.
    """

    def __init__(self, store: StoreDirectory, measures: Sequence[Measure]) -> None:
        self._store = store
        self._measures = measures
        self._known: dict[str, Mapping[str, _Tally]] = {}
        metrics = ",".join(dict.fromkeys(measure.metric for measure in measures))
        self._filter = RecordFilter(metric=metrics) if metrics else None

    def values(self, batch_status: BatchStatus) -> dict[str, Number | None]:
        """Return the value of each measure in a batch, by its name; None where there are none to
        take the largest or the mean of. `FilterInvalidError` for a metric that it cannot have.
        """
        if self._filter is None:
            return {}
        filters = filters_for(self._store, self._filter, batch_status)
        parts = [
            self._tallies(batch_status, task.id, shard_id, state, Matcher(filters, task.fields))
            for task in batch_status.plan.tasks
            for shard_id, state in batch_status.states[task.id].items()
            if state is not None and state.status != FAILED and filters.may_match(state)
        ]
        return {
            measure.name: _value(measure, [part[measure.metric] for part in parts])
            for measure in self._measures
        }

    def _tallies(
        self, batch: BatchStatus, task_id: str, shard_id: str, state: ShardState, matcher: Matcher
    ) -> Mapping[str, _Tally]:
        if state.digest not in self._known:
            data = self._store.shards.read_outputs(batch.batch_id, task_id, shard_id, state)
            values: dict[str, list[Number]] = {one.metric: [] for one in self._measures}
            for record in matcher.records(data):
                value = record["value"]
                if isinstance(value, int | float):
                    values[str(record["metric"])].append(value)
            self._known[state.digest] = {
                metric: _Tally(len(found), _sum(found), max(found, default=None))
                for metric, found in values.items()
            }
        return self._known[state.digest]


def _value(measure: Measure, parts: Sequence[_Tally]) -> Number | None:
    number, total = sum(part.number for part in parts), _sum([part.total for part in parts])
    if measure.aggregate == "count":
        return number
    if measure.aggregate == "sum":
        return total
    if measure.aggregate == "mean":
        return total / number if number else None
    return max((part.largest for part in parts if part.largest is not None), default=None)


def _sum(values: Sequence[Number]) -> Number:
    """Return the exact sum, so that it is the same in whatever order they come."""
    return sum(values) if all(isinstance(one, int) for one in values) else math.fsum(values)
