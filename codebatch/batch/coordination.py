"""Coordination of several runs of one batch: claims of shards, and waiting for each other.

A worker claims a shard when it starts on it, and passes over what another live run has claimed.
A run that has nothing else left waits until the others have finished theirs, and takes over what
they leave behind when they die. Before it waits it has recorded the outcome of every shard of
its own, so that two runs never wait for each other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from codebatch.batch.options import OnWait
from codebatch.model.errors import BatchNotFoundError, NotReusedError, ShardFailedError, StoreError
from codebatch.model.messages import Receipt, RunLease, Waiting
from codebatch.model.records import DONE, FAILED, ShardState
from codebatch.runtime.interrupts import check, deferred
from codebatch.shard.commit import commit_failure
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import Lease, hold_lease, refuse_beside, runs_of, touched_ns
from codebatch.store.removal import remove_tree
from codebatch.tasks.rules import QUARANTINED

StatesOf = Callable[[str], Sequence["ShardState | None"]]

_RETRY = "retry"
_FIRST_POLL_SECONDS = 0.05
_LAST_POLL_SECONDS = 1.0


class Coordination:
    """The shards that one run leaves to the other runs of its batch.

    State: ``before`` is the batch as this run found it, ``claimed`` are the shards that other runs
    were at when this one came to them, ``settled`` those that are not to be run again, done or
    failed. ``_failed`` are the attempts that had failed before.
    """

    def __init__(self, store: StoreDirectory, lease: Lease, before: BatchStatus) -> None:
        self.before = before
        self.lease = RunLease(lease.lease_id, lease.since_ns)
        self.claimed: set[str] = set()
        self.settled: set[str] = set()
        self._claims = Claims(store.layout, before.batch_id, lease.lease_id)
        self._failed = {state.attempt for state in before.present() if state.status == FAILED}

    def is_free(self, shard_id: str) -> bool:
        """Return whether this run may try the shard."""
        return shard_id not in self.claimed and shard_id not in self.settled

    def await_others(self, states_of: StatesOf, on_wait: OnWait | None) -> bool:
        """Wait for the shards that are claimed; true as soon as this run may try some of them."""
        pause = _FIRST_POLL_SECONDS
        told: set[str] = set()
        while self.claimed:
            holders = {shard_id: self._claims.holder(shard_id) for shard_id in self.claimed}
            free = [shard_id for shard_id in holders if self._is_left(shard_id, holders, states_of)]
            if free:
                return True
            runs = {str(holder.process or "another") for holder in holders.values() if holder}
            if self.claimed and on_wait is not None and not runs <= told:
                told |= runs
                on_wait(Waiting(len(self.claimed), tuple(sorted(runs))))
            if self.claimed:
                check()
                time.sleep(pause)
                pause = min(2 * pause, _LAST_POLL_SECONDS)
        return False

    def _is_left(
        self, shard_id: str, holders: dict[str, Lease | None], states_of: StatesOf
    ) -> bool:
        """Return whether a shard is no longer claimed and still to be done.

        The holder was looked at before the states are: what a run has finished, it wrote first.
        """
        states = states_of(shard_id)
        if all(state is not None and state.status == DONE for state in states) or any(
            state is not None and state.status == FAILED and state.attempt not in self._failed
            for state in states
        ):
            self.settled.add(shard_id)
        elif holders[shard_id] is not None:
            return False
        self.claimed.discard(shard_id)
        return shard_id not in self.settled


@contextlib.contextmanager
def coordinated(
    store: StoreDirectory, batch_id: str, look: Callable[[], BatchStatus]
) -> Iterator[Coordination]:
    """Hold the lease of a run for a block; claims go with the last run of a batch.

    ``look`` reads the states when the lease is held: from then on, no retry drops any.
    """
    layout = store.layout
    moment = 0  # of the file system; at first, any lease may be that of a live run
    try:
        with hold_lease(layout, "run", batch_id) as lease:
            try:
                if not store.batches.lists(batch_id):  # from here on, it is not removed
                    raise BatchNotFoundError(f"batch {batch_id} was removed meanwhile")
                while any(one.purpose == _RETRY for one in _others(store, batch_id, lease)):
                    check()
                    time.sleep(_FIRST_POLL_SECONDS)
                yield Coordination(store, lease, look())
            finally:
                moment = _moment(store, lease)
    finally:
        with deferred(), contextlib.suppress(StoreError):  # else gc removes them
            if not runs_of(layout, batch_id, moment):
                remove_tree(store.layout.door, layout.claims(batch_id))


@contextlib.contextmanager
def retrying(store: StoreDirectory, batch_id: str) -> Iterator[None]:
    """Keep runs of the batch from looking at its states for a block in which some are dropped.

    `BatchRunningError` where one has looked already. It sees this lease, or this sees its.
    """
    with hold_lease(store.layout, _RETRY, batch_id) as lease:
        refuse_beside(_others(store, batch_id, lease), batch_id)
        yield


def drop_quarantined(store: StoreDirectory, batch_status: BatchStatus) -> set[str]:
    """Make shards of tasks pending where something is quarantined, and those of the tasks that
    build on them; return the ids of the shards.
    """
    batch_id = batch_status.batch_id
    dropped: dict[str, set[str]] = {}
    for task in batch_status.plan.of_files.tasks:  # in an order in which needs come first
        for shard_id, state in batch_status.states[task.id].items():
            codes = state.counts.by_code if state is not None and state.status == DONE else {}
            earlier = dropped.get(shard_id, set())
            if not QUARANTINED.isdisjoint(codes) or not earlier.isdisjoint(task.needs):
                dropped[shard_id] = {*earlier, task.id}
    anew: set[str] = set().union(*dropped.values())
    for task in batch_status.plan.batch_tasks:  # they look at the records of all shards
        if not anew.isdisjoint(task.needs):
            for shard_id in batch_status.shard_ids:
                dropped.setdefault(shard_id, set()).add(task.id)
    if dropped:
        store.batches.drop_result(batch_id)
    for shard_id, task_ids in dropped.items():
        for task_id in task_ids:
            store.shards.drop_state(batch_id, task_id, shard_id)
    return {shard_id for shard_id, task_ids in dropped.items() if not anew.isdisjoint(task_ids)}


def record_failures(
    store: StoreDirectory, batch_status: BatchStatus, arrived: Mapping[str, Receipt]
) -> None:
    """Give a failed state to every shard that answered with failure but left none.

    One that an earlier run has left says why it failed then, and other runs of the batch do not
    take it for an outcome of this one.
    """
    task_ids = [task.id for task in batch_status.plan.of_files.tasks]
    for shard_id in batch_status.shard_ids:
        receipt = arrived.get(shard_id)
        if receipt is None or batch_status.shard_status(shard_id) == DONE:
            continue
        error = receipt.error or {}
        is_recorded = batch_status.has_failed(shard_id, receipt.attempt)
        if is_recorded or error.get("code") == NotReusedError.code:
            continue
        if error.get("code") == BatchNotFoundError.code:
            raise BatchNotFoundError(str(error.get("message")))
        said = error.get("message", "the shard left no valid result in the store")
        failure = ShardFailedError(str(said), code=error.get("code"))
        batch_id, attempt = batch_status.batch_id, receipt.attempt
        commit_failure(store, batch_id, task_ids, shard_id, failure, attempt)


def _others(store: StoreDirectory, batch_id: str, lease: Lease) -> list[Lease]:
    runs = runs_of(store.layout, batch_id, _moment(store, lease))
    return [one for one in runs if one.lease_id != lease.lease_id]


def _moment(store: StoreDirectory, lease: Lease) -> int:
    """The time of the file system: when the lease was touched last."""
    with contextlib.suppress(StoreError):
        return touched_ns(store.layout, lease.lease_id) or lease.touched_ns
    return lease.touched_ns
