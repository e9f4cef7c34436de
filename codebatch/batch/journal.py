"""What is told of a run while it goes on: to the events of the batch, and to whoever watches.

The events are lines in the store, for people and for ``status``; no result depends on them. Who
watches is called in this process, with how far the run is, each time that something was news.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from codebatch.model.clock import now
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import Plan, ShardState
from codebatch.status.batch_status import States
from codebatch.status.progress import RunProgress, Tally
from codebatch.store import StoreDirectory
from codebatch.store.events import append_event

Progress = Callable[[RunProgress], None]

_LONGEST_NAME = 100
_OF_AN_END = ("shard_id", "attempt", "status", "error", "warning")


class Journal:
    """The journal of one run. State: ``_tally`` counts from `watch` on."""

    def __init__(self, store: StoreDirectory, batch_id: str, progress: Progress | None) -> None:
        self._store = store
        self._batch_id = batch_id
        self._progress = progress
        self._tally: Tally | None = None

    def start(self, pending: int, scheduler: str | None = None) -> None:
        """The run has found so many shards that are not done, and runs on a scheduler of this
        kind; None where there is nothing to run.
        """
        self._log("run-started", pending=pending, scheduler=scheduler)

    def watch(self, plan: Plan, states: States) -> None:
        """From here on, tell how far it is; first, from where it starts."""
        if self._progress is not None:
            self._tally = Tally(plan, states, time.monotonic())
            self._tell(self._progress)

    def announce(self, call: ShardCall) -> None:
        """A shard starts in this process."""
        self._log("shard-started", shard_id=call.shard_id, attempt=call.attempt)

    def claimed(self, receipt: Receipt) -> None:
        """A shard is left to another run."""
        self._log("shard-claimed", shard_id=receipt.shard_id, attempt=receipt.attempt)

    def end(self, receipt: Receipt) -> None:
        """A shard was tried."""
        facts: dict[str, object] = {name: getattr(receipt, name) for name in _OF_AN_END}
        worker = receipt.worker
        facts["worker"] = None if worker is None else worker[:_LONGEST_NAME]
        self._log(f"shard-{receipt.status}", **facts)

    def settle(
        self, shard_id: str, states: Sequence[ShardState | None], *, failed: bool = False
    ) -> None:
        """A shard has these states now, one a task; it will not be tried again if it has failed."""
        if self._tally is None or self._progress is None:
            return
        if self._tally.settle(shard_id, states, time.monotonic(), failed=failed):
            self._tell(self._progress)

    def finish(self, status: str) -> None:
        """The run has ended."""
        self._log("run-finished", status=status)

    def _tell(self, progress: Progress) -> None:
        if self._tally is not None:
            progress(self._tally.progress(time.monotonic()))

    def _log(self, event: str, **facts: object) -> None:
        append_event(self._store.layout, self._batch_id, {"event": event, "time": now(), **facts})
