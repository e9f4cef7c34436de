"""The journal of a run while it goes on: the events of the batch, and calls of ``progress``.

The events are lines in the store, for people and for ``status``; no result depends on them.
``progress`` is called in this process, with how far the run is, whenever that has changed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from codebatch.batch.options import Progress
from codebatch.model.clock import now
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import Plan, ShardState
from codebatch.reduction.tree import claim_of
from codebatch.shard.events import log_end
from codebatch.status.batch_status import States
from codebatch.status.progress import Tally
from codebatch.store import StoreDirectory


class Journal:
    """The journal of one run. State: ``_tally`` counts from `watch` on."""

    def __init__(self, store: StoreDirectory, batch_id: str, progress: Progress | None) -> None:
        self._store = store
        self._batch_id = batch_id
        self._progress = progress
        self._tally: Tally | None = None

    def watch(self, plan: Plan, states: States) -> None:
        """Report progress from here on, at once for the first time."""
        if self._progress is not None:
            self._tally = Tally(plan, states, time.monotonic())
            self._progress(self._tally.progress(time.monotonic()))

    def on_start(self, call: ShardCall) -> None:
        """Log that a shard starts in this process."""
        self.log("shard-started", shard_id=call.shard_id, attempt=call.attempt)

    def on_stall(self, facts: Mapping[str, object]) -> None:
        """Log that a cluster has given no answer for long."""
        self.log("run-stalled", **facts)

    def on_claimed(self, receipt: Receipt) -> None:
        """Log that a shard is left to another run."""
        self.log("shard-claimed", shard_id=receipt.shard_id, attempt=receipt.attempt)

    def on_end(self, receipt: Receipt) -> None:
        """Log how the attempt at a shard ended."""
        log_end(self._store, self._batch_id, receipt)

    def settle(
        self, shard_id: str, states: Sequence[ShardState | None], *, failed: bool = False
    ) -> None:
        """Count the states of a shard, one a task; if it ``failed``, it is not tried again."""
        if self._tally is None or self._progress is None:
            return
        if self._tally.settle(shard_id, states, time.monotonic(), failed=failed):
            self._progress(self._tally.progress(time.monotonic()))

    def log(self, event: str, **facts: object) -> None:
        """Log an event: when it happened, and facts."""
        self._store.batches.add_event(self._batch_id, {"event": event, "time": now(), **facts})


def begun_and_lost(store: StoreDirectory, batch_id: str) -> set[str]:
    """Return the shards that the last run had begun in its own process when that was killed, and
    the claims of batch tasks of which it had begun nodes.

    They may end the process which runs them.
    """
    begun: set[str] = set()
    for event in store.batches.last_run_events(batch_id):
        name, shard_id = event.get("event"), str(event.get("shard_id"))
        if name == "run-finished":
            return set()
        if name == "shard-started":
            begun.add(shard_id)
        elif name == "node-started":
            begun.add(claim_of(str(event.get("task_id"))))
        else:
            begun.discard(shard_id)
    return begun
