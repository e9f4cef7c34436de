"""The runs of a batch and their speed, as one process can tell of the others.

Leases say which runs there are, and the last events when shards were finished. No process is
asked and nothing is written. Of a batch without a live run, only the leases are read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from codebatch.model.clock import moment_at, now_ns, seconds_at
from codebatch.model.digest import Document
from codebatch.model.records import DONE, FAILED
from codebatch.status.batch_status import BatchStatus
from codebatch.status.progress import Pace, work_of
from codebatch.store import StoreDirectory
from codebatch.store.leases.leases import Lease, read_leases

_NS = 10**9


@dataclass(frozen=True)
class BatchRun:
    """A run of a batch: the process, and since when it runs (by the file system's clock).

    One that is not ``live`` has ended without an event: it was killed, or its machine was. ``host``
    and ``pid`` are None where its lease cannot be read. One that was left to a cluster has no
    ``pid``, and the address of the scheduler as its ``host``.
    """

    host: str | None
    pid: int | None
    since: str
    seconds: float
    live: bool


@dataclass(frozen=True)
class Activity:
    """The runs of a batch. Rates are of the last half minute or of the last few shards, over
    all runs; None, as ``seconds_left``, where nothing tells.
    """

    runs: tuple[BatchRun, ...]
    shards_per_second: float | None = None
    files_per_second: float | None = None
    seconds_left: float | None = None

    def as_document(self) -> Document:
        """The keys that ``codebatch status --json`` has of it."""
        return {
            "runs": [asdict(run) for run in self.runs],
            "rate": {
                "shards": _rounded(self.shards_per_second),
                "files": _rounded(self.files_per_second),
            },
            "seconds_left": _rounded(self.seconds_left),
        }


def load_activity(store: StoreDirectory, batch_status: BatchStatus) -> Activity:
    """Return the runs of a batch and their speed; runs that were killed count until it is done."""
    moment = now_ns()
    leases = [
        lease
        for lease in read_leases(store.layout)
        if lease.purpose == "run" and lease.batch_id == batch_status.batch_id
    ]
    live = [lease for lease in leases if lease.is_live(moment)]
    began = min((lease.since_ns for lease in live), default=0) / _NS
    runs = tuple(
        _run(lease, moment, live=lease in live)
        for lease in sorted(leases, key=lambda lease: lease.since_ns)
        if lease in live or batch_status.status != DONE
    )
    if not live:
        return Activity(runs)
    pace = _pace(store, batch_status, began)
    at = moment / _NS
    left = [
        shard
        for shard in batch_status.plan.shards
        if batch_status.shard_status(shard.shard_id) not in (DONE, FAILED)
    ]
    seconds_left = pace.seconds_for(sum(map(work_of, left)), at)
    return Activity(runs, pace.shards(at), pace.files(at), seconds_left)


def _run(lease: Lease, moment: int, *, live: bool) -> BatchRun:
    process = lease.process
    since = min(max(0, lease.since_ns), moment)  # a document may say anything
    return BatchRun(
        host=None if process is None else process.host,
        pid=None if process is None or process.is_cluster else process.pid,
        since=moment_at(since),
        seconds=round((moment - since) / _NS, 3),
        live=live,
    )


def _pace(store: StoreDirectory, batch_status: BatchStatus, began: float) -> Pace:
    """Return the pace of finished shards since then, as far back as the last events go."""
    shards = {shard.shard_id: shard for shard in batch_status.plan.shards}
    ends = []
    for event in store.batches.latest_events(batch_status.batch_id):
        at = seconds_at(str(event.get("time")))
        if at is not None and at >= began and event.get("event") == "shard-done":
            ends.append((at, str(event.get("shard_id"))))
    pace = Pace(began)
    for at, shard_id in sorted(ends):
        shard = shards.get(shard_id)
        if shard is not None:
            pace.arrive(at, shard.files, work_of(shard))
    return pace


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
