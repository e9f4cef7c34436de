"""Messages between processes: small, frozen and plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from codebatch.model.errors import CodeBatchError
from codebatch.model.limits import Limits
from codebatch.model.records import FAILED


class ReusePolicy(NamedTuple):
    """The results that a shard may take over.

    ``base`` is a batch that ran the same tasks, and may have most of the files as they are. With
    ``required``, nothing may be computed; with ``retry_quarantined``, what is quarantined is tried
    again.
    """

    base: str | None = None
    required: bool = False
    retry_quarantined: bool = False


class RunLease(NamedTuple):
    """The lease of a run, "" for none, and when the run began by the clock of the file system.

    ``left_to`` is the address of the scheduler of the cluster that the run was left to: who works
    for it keeps its lease alive. "" where a process has it.
    """

    lease_id: str = ""
    since_ns: int = 0
    left_to: str = ""


class ShardCall(NamedTuple):
    """Everything a worker that can open the store needs in order to run one shard.

    ``limits`` holds where it runs in a process of its own. ``lease`` is that of the run which the
    call belongs to; without one, the worker holds a lease of its own. ``recheck`` is the part of
    the files, in parts of a million, to compute again (`shard.recheck`); None to run the shard.
    ``pipeline`` is the name of the batch's, for people; ``tries`` how often the shard was asked for
    before, in vain. On a cluster, the shard is computed in so many ``parts``; there may be
    ``new_bytes`` of source that have to be computed, 0 where that is not known.
    """

    store: str
    store_id: str
    batch_id: str
    shard_id: str
    attempt: str
    limits: Limits = Limits()
    reuse: ReusePolicy = ReusePolicy()
    lease: RunLease = RunLease()
    recheck: int | None = None
    pipeline: str = ""
    tries: int = 0
    new_bytes: int = 0
    parts: int = 1


class Waiting(NamedTuple):
    """A run has nothing left to do but to wait for so many shards that these others work on."""

    shards: int
    runs: tuple[str, ...]


class Used(NamedTuple):
    """What a child process took: seconds of processor time, and bytes of memory at its peak."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    def plus(self, other: Used) -> Used:
        """Return the sum of the times, and the higher of the peaks."""
        return Used(self.cpu_seconds + other.cpu_seconds, max(self.peak_bytes, other.peak_bytes))


class Effort(NamedTuple):
    """What a child process of a worker of a cluster took, by the worker's name and address."""

    worker: str
    address: str
    used: Used


class Receipt(NamedTuple):
    """The report of a worker on a call, which counts only where the store says the same. The
    status ``claimed`` means that it did nothing, since another run has claimed the shard.

    ``worker`` is the name of the cluster's worker that did it, None on this machine.
    ``warning`` is what went wrong beside the results. A recheck says how many results of files
    it ``checked``, and the (task id, path) of those that ``differ``. ``used`` is what a child took,
    and ``efforts`` what was taken on a cluster, one for each task.
    """

    shard_id: str
    attempt: str
    status: str
    error: Mapping[str, object] | None = None
    warning: str | None = None
    checked: int = 0
    differ: tuple[tuple[str, str], ...] = ()
    worker: str | None = None
    used: Used = Used()
    efforts: tuple[Effort, ...] = ()


def call_from(wire: Sequence[Any]) -> ShardCall:
    """Return the call that another process has sent as plain lists."""
    call = ShardCall(*wire)
    return call._replace(
        limits=Limits(*call.limits), reuse=ReusePolicy(*call.reuse), lease=RunLease(*call.lease)
    )


def refusal(call: ShardCall, error: CodeBatchError) -> Receipt:
    """Return the receipt of a call that failed."""
    return Receipt(call.shard_id, call.attempt, FAILED, error.in_short())
