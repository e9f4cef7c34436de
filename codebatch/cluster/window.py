"""A bounded number of tasks of one run on a cluster at a time, topped up as answers come.

A window keeps a scheduler from holding a whole batch at once, and the client from sending more
than workers take. What the cluster loses (a worker that died with its task too often, a scheduler
that was restarted, a connection that was cut) comes back as `Lost`, to be asked for again under
another key: the scheduler may still know the old one.

State of `Window`: ``_flying`` has the jobs that are on the cluster, by key; ``_bytes`` is how many
bytes they take, and ``_tasks`` how many tasks; ``_ended`` the futures that ended, put there by
Dask's own threads; ``_due`` when the cluster is to be looked at, also where answers never pause;
``_there`` keeps what is shared on the cluster.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

import dask
import distributed
from dask.task_spec import DataNode, Task, TaskRef

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.preflight.preflight import asked, has_come
from codebatch.cluster.stall import PATIENCE, Patience, StallWatch
from codebatch.graph.keys import Key, code_key
from codebatch.model.errors import ENVIRONMENT_ERRORS, TRANSIENT_ERRORS, WorkerLostError
from codebatch.model.messages import Receipt, ShardCall, refusal

_POLL_SECONDS = 0.5
_REASON_SECONDS = 60
_MAX_TRIES = 4
_LARGE_BYTES = 8 * 2**20  # Dask warns of a larger graph
_UNFIT = frozenset(error.code for error in ENVIRONMENT_ERRORS)
_PASSING = frozenset(error.code for error in TRANSIENT_ERRORS)


class Job(NamedTuple):
    """One call on the cluster, of so many ``tasks``: ``nodes`` gives them, for what refers to what
    is shared. ``size`` is about how many bytes it sends; ``tag`` is for the caller.
    """

    key: Key
    nodes: Callable[..., Mapping[Key, Any]]
    tag: Any
    size: int = 0
    tasks: int = 1

    @classmethod
    def of(
        cls, key: Key, run: Callable[..., object], argument: object, tag: Any, size: int = 0
    ) -> Job:
        """Return a call of a function: one task."""
        return cls(key, lambda *shared: {key: Task(key, run, argument, *shared)}, tag, size)


class Shared(NamedTuple):
    """What all calls of a run get beside their argument, as one task that they depend on."""

    key: Key
    value: object


class Sent(NamedTuple):
    """A job on the cluster, for workers at the addresses ``chosen``; for all, without any."""

    job: Job
    future: Any
    chosen: frozenset[str]


class Lost(NamedTuple):
    """Instead of an answer. ``is_blamed`` where the call itself may be the reason."""

    message: str
    is_blamed: bool


_GONE = Lost("the scheduler or the workers for it were lost", is_blamed=False)


class Part(NamedTuple):
    """A shard, or a parcel of one by its number, that was sent before so many times, and failed at
    so many of them; ``is_whole`` where a worker has asked for contents that were left out.
    """

    call: ShardCall
    number: int = 0
    sent: int = 0
    failed: int = 0
    is_whole: bool = False


class Bounds(NamedTuple):
    """The most that is on the cluster at once: so many calls at least, more where it has many
    threads; and so many bytes, or a single call that is larger.
    """

    calls: int = 16
    calls_per_thread: int = 4
    bytes: int = 64 * 2**20


class Window:
    """The calls of one run that are on the cluster."""

    def __init__(
        self,
        cluster: Cluster,
        bounds: Bounds,
        shared: Shared | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self._cluster = cluster
        self._stall = StallWatch(patience)
        self._bounds = bounds
        self._shared = shared
        self._there: Any = None
        self._flying: dict[Key, Sent] = {}
        self._bytes = self._tasks = 0
        self._fresh: list[Job] = []
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._flying) + len(self._fresh)

    @property
    def has_room(self) -> bool:
        """True if another job may be added."""
        most = max(self._bounds.calls, self._bounds.calls_per_thread * self._cluster.threads)
        return self._tasks < most and self._bytes < self._bounds.bytes

    def add(self, job: Job) -> None:
        """Take a job; it goes out with the next `send`."""
        self._fresh.append(job)
        self._bytes += job.size
        self._tasks += job.tasks

    def send(self) -> None:
        """Send what was added, as one graph."""
        jobs, self._fresh = self._fresh, []
        if not jobs:
            return
        also, arguments = self._with_shared()
        nodes = {key: node for job in jobs for key, node in job.nodes(*arguments).items()}
        size = 2 * sum(job.size for job in jobs) + _LARGE_BYTES
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": size}):
            keys = [*(job.key for job in jobs), *also]
            futures, chosen = self._cluster.submit({**nodes, **also}, keys)
        self._stall.progress()
        if also:
            self._there = futures.pop()
        for job, future in zip(jobs, futures, strict=True):
            self._flying[job.key] = Sent(job, future, chosen)
            future.add_done_callback(self._ended.put)

    def answer(self) -> tuple[Job, object]:
        """Return the next job that ended, and its result or the loss; waits for as long as the
        cluster may take.
        """
        while True:
            left = self._due - time.monotonic()
            try:
                future = self._ended.get(timeout=max(left, 0))
            except queue.Empty:
                future = None
            if left <= 0:
                self._look()
            sent = None if future is None else self._flying.get(future.key)
            if sent is not None and sent.future is future:
                self._stall.progress()
                result = self._result_of(sent)
                del self._flying[sent.job.key]
                self._bytes -= sent.job.size
                self._tasks -= sent.job.tasks
                future.release()
                return sent.job, result

    def close(self) -> None:
        """Cancel what is still on the cluster; nothing of it stays there."""
        futures = [sent.future for sent in self._flying.values()]
        self._flying.clear()
        if self._there is not None:
            futures.append(self._there)
        self._cluster.cancel(futures)

    def _with_shared(self) -> tuple[dict[Key, Any], list[TaskRef]]:
        """Return the task of what is shared, where it is not there, and how others refer to it."""
        if self._shared is None:
            return {}, []
        key, value = self._shared
        there = self._there
        is_there = there is not None and there.status in ("pending", "finished")
        if is_there and not self._cluster.has_lost(there, frozenset()):
            return {}, [TaskRef(key)]
        return {key: DataNode(key, value)}, [TaskRef(key)]

    def _look(self) -> None:
        """Look at the cluster; jobs that cannot end any more count as ended."""
        if not self._cluster.look():
            self._stall.progress()  # it is said already what is waited for
        seconds = self._stall.seconds()
        if seconds is not None:
            self._cluster.report_stall(seconds, self._flying.keys())
        for sent in self._flying.values():
            if self._cluster.has_lost(sent.future, sent.chosen):
                self._ended.put(sent.future)
        self._due = time.monotonic() + _POLL_SECONDS

    def _result_of(self, sent: Sent) -> object:
        future = sent.future
        try:
            if future.status == "finished":
                return self._fetched(sent)
            if future.status == "error":
                raised = future.exception(timeout=_REASON_SECONDS)
                return Lost(f"{type(raised).__name__}: {raised}", is_blamed=True)
        except (CancelledError, OSError, distributed.TimeoutError) as error:  # it was lost
            return Lost(f"{type(error).__name__}: {error}", is_blamed=False)
        except Exception as error:  # noqa: BLE001 - whatever the cluster says instead
            return Lost(f"{type(error).__name__}: {error}", is_blamed=True)
        return _GONE

    def _fetched(self, sent: Sent) -> object:
        """Return the value of a future. It may have to be computed anew where its worker has gone,
        so the cluster is looked at while it comes.
        """
        client = sent.future.client
        with asked(client, client.gather(sent.future, asynchronous=True)) as value:
            while not has_come(value):
                self._look()
                if self._cluster.has_lost(sent.future, sent.chosen):
                    return _GONE
            return value.result()


def shared_code(calls: Sequence[ShardCall], code: bytes) -> Shared | None:
    """Return the code of users' tasks as all calls of a run get it; None where there is none."""
    return Shared(code_key(calls[0]), code) if calls and code else None


def drive(
    window: Window, jobs: Iterator[Job], take: Callable[[Job, object], Iterable[Job]]
) -> None:
    """Run all jobs; ``take`` gets the result of each, and gives the jobs that follow from it.

    ``jobs`` is asked for the next one when there is room for it.
    """
    again: deque[Job] = deque()
    try:
        while True:
            while window.has_room:
                job = again.popleft() if again else next(jobs, None)
                if job is None:
                    break
                window.add(job)
            window.send()
            if not len(window):
                return
            again.extend(take(*window.answer()))
    finally:
        window.close()


def next_try(cluster: Cluster, part: Part, result: object) -> Part | Receipt:
    """Return the part as it is sent the next time, where its result is one that another try may
    change; else the receipt. A worker that can do none of this run's work gets no more of it.
    """
    is_last = part.failed + 1 >= _MAX_TRIES
    if isinstance(result, Receipt):
        error, is_blamed = result.error or {}, True
        if not is_last and error.get("code") in _UNFIT and result.worker is not None:
            again = cluster.avoid(result.worker, str(error.get("message")))
        else:
            again = not is_last and error.get("code") in _PASSING
    else:
        odd = Lost(f"a worker answered with {type(result).__name__}", is_blamed=True)
        message, is_blamed = result if isinstance(result, Lost) else odd
        again = not (is_blamed and is_last)
        result = refusal(part.call, WorkerLostError(message))
    following = part._replace(sent=part.sent + 1, failed=part.failed + is_blamed)
    return following if again else result
