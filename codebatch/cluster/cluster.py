"""A Dask cluster as one run uses it: it may lose its scheduler or all of its workers for a while.

State of `Cluster`: ``client`` is the connection in use, ``threads`` how many threads the workers
have, ``_names`` the names of workers by address, and ``_listed`` when they were asked for;
``_avoided`` are the names of workers that get no work of this run, ``_checked`` the addresses of
those that were found fit, and ``_asked`` when one was last asked. ``_lonely_since`` is since when
there is no worker, or no scheduler, and ``_told`` when that was last said.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import dask
import distributed

from codebatch.cluster.connect.connection import close_client, open_client
from codebatch.cluster.preflight.compatibility import Compatibility, Problem
from codebatch.cluster.preflight.preflight import answer_of, ask_identity
from codebatch.cluster.settings import ClusterSettings
from codebatch.cluster.stall import Stall, places_of
from codebatch.graph.keys import Key
from codebatch.model.errors import ClusterError, UsageError
from codebatch.runtime.interrupts import allowed, check

_SCHEDULER_PATIENCE_SECONDS = 600
_FIRST_NOTICE_SECONDS = 2
_NOTICE_SECONDS = 30
_RETRY_SECONDS = 1.0
_ARRIVAL_SECONDS = 0.05
_LIST_SECONDS = 10
_ASK_AGAIN_SECONDS = 60
LARGE_BYTES = 64 * 2**20  # Dask warns of a graph that is larger than 10 MB

Open = Callable[[], Any]
CheckWorkers = Callable[[Sequence[str]], Mapping[str, Sequence[Problem]]]


class Cluster:
    """A cluster, by a client. ``reopen`` makes another client when that one has lost its scheduler
    for good; None where the client is the caller's.
    """

    def __init__(self, client: Any, settings: ClusterSettings, reopen: Open | None = None) -> None:
        if client.asynchronous:
            raise UsageError(
                "the client is asynchronous, and a run is not",
                hints=[
                    "await batch.run(client=client, wait=False), or batch.run_async(client=client)",
                    "or give it a synchronous one",
                ],
            )
        if client.status == "closed":
            raise UsageError("the client is closed: give a run one that is connected")
        self.client = client
        self.threads = 1
        self._settings = settings
        self._reopen = reopen
        self._names: dict[str, str] = {}
        self._avoided: set[str] = set()
        self._check: CheckWorkers | None = None
        self._checked: set[str] = set()
        self._listed = self._asked = 0.0
        self._lonely_since: float | None = None
        self._told = 0.0
        self._look_at_workers()

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return str(getattr(self.client.scheduler, "address", None) or "an unknown address")

    def submit(
        self, graph: Mapping[Key, Any], keys: Sequence[Key]
    ) -> tuple[list[Any], frozenset[str]]:
        """Return the futures of these tasks of a graph, and which workers alone may run it; none is
        all. Waits until there is a worker that may.
        """
        self._await_fit()
        only = self.addresses if self._avoided else []
        futures: list[Any] = self.client.get(
            dict(graph), list(keys), sync=False, workers=only or None
        )
        return futures, frozenset(only)

    def leave(self, graph: Mapping[Key, Any]) -> None:
        """Submit a graph that is worked on also when the client is gone, and wait until it is
        there. `ClusterError` where the scheduler cannot read it.
        """
        self._await_fit()
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGE_BYTES}):
            futures = self.client.get(dict(graph), list(graph), sync=False)
        distributed.fire_and_forget(futures)  # type: ignore[no-untyped-call]
        while not self.knows(futures[-1].key):
            self.look()
            if futures[-1].status == "error":
                raise ClusterError(f"the scheduler refuses the graph: {futures[-1].exception()}")
            time.sleep(_ARRIVAL_SECONDS)

    def knows(self, key: Key) -> bool:
        """Return true if the scheduler has a task of this key."""

        async def ask() -> Any:
            return await self.client.scheduler.get_task_status(keys=[key])

        return answer_of(self.client, ask).get(key) not in (None, "released", "forgotten")

    def report_stall(self, seconds: float, keys: Set[Key]) -> None:
        """Say that there was no answer to these tasks for so long, and who is at them."""
        with contextlib.suppress(ClusterError):
            at_work = answer_of(self.client, self.client.scheduler.processing)
            found = {self._names.get(one, one): keys & set(has) for one, has in at_work.items()}
            workers = {name: places_of(has) for name, has in sorted(found.items()) if has}
            stall = Stall(seconds, len(keys), workers)
            self._settings.on_notice(str(stall))
            self._settings.on_stall(
                {"seconds": round(seconds, 3), "calls": len(keys), "workers": sorted(workers)}
            )

    def has_lost(self, future: Any, chosen: frozenset[str]) -> bool:
        """Return true where a task may never end: it was sent by another client, or is for workers
        that are all gone.
        """
        return future.client is not self.client or (bool(chosen) and chosen.isdisjoint(self._names))

    def cancel(self, futures: Sequence[Any]) -> None:
        """Take tasks back, if the cluster is there to be told."""
        if self.client.status == "running":
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                self.client.cancel(futures, asynchronous=None)

    def look(self) -> bool:
        """See how the cluster is, and wait for its scheduler; false where it has no workers.
        `ClusterError` where that, or a worker, did not come back in time. An interrupt that was
        put off is taken.
        """
        check()
        if self.client.status != "running":
            self._await_scheduler()
        elif self._look_at_workers():
            self._lonely_since = None
        else:
            self._wait("workers", f"waiting for workers of {self.address}", self._settings.timeout)
        return self._lonely_since is None

    @property
    def addresses(self) -> list[str]:
        """The workers that may have work, of those there were when that was last looked at."""
        return [a for a, name in sorted(self._names.items()) if name not in self._avoided]

    def settle(self, found: Compatibility, check_workers: CheckWorkers) -> None:
        """Take over what the preflight found; workers that join later are checked then."""
        self._look_at_workers()  # there were perhaps none before
        self._check = check_workers
        self._checked = set(found.workers)
        self._asked = time.monotonic()
        self._avoided.update(self._names.get(address, address) for address in found.silent)

    def avoid(self, name: str, reason: str) -> bool:
        """Give a worker no more work; false, and nothing changes, where no other is left."""
        self._look_at_workers()
        others = set(self._names.values()) - {name, *self._avoided}
        if name not in self._avoided and others:
            self._leave_out(name, reason)
        return bool(others)

    def _leave_out(self, name: str, reason: str) -> None:
        self._avoided.add(name)
        self._settings.on_notice(f"worker {name} gets no work of this run: {reason}")

    def _await_fit(self) -> None:
        """Wait until work can be sent: where some are avoided, until there is another."""
        while self.client.status != "running" or (self._avoided and not self.addresses):
            self.look()
            time.sleep(_RETRY_SECONDS)

    def _look_at_workers(self) -> bool:
        """Return true if there are workers that may work. The list of them is asked for now and
        then alone: there may be very many.
        """
        with contextlib.suppress(ClusterError, OSError, asyncio.TimeoutError):
            now = time.monotonic()
            number = ask_identity(self.client, 0).get("n_workers")
            if number != len(self._names) or now - self._listed > _LIST_SECONDS:
                workers = ask_identity(self.client, -1).get("workers")
                if workers is not None:
                    self._names = {address: str(one["name"]) for address, one in workers.items()}
                    self.threads = sum(int(one["nthreads"]) for one in workers.values())
                    self._listed = now
            self._check_others(now)
        return bool(set(self._names.values()) - self._avoided)

    def _check_others(self, now: float) -> None:
        """Look at the workers that have joined, and now and then at those that were silent."""
        others = self._names.keys() - self._checked
        joined = {address for address in others if self._names[address] not in self._avoided}
        is_due = now - self._asked > _ASK_AGAIN_SECONDS
        if self._check is None or not (joined or (others and is_due)):
            return
        self._asked = now
        for address, problems in sorted(self._check(sorted(others)).items()):
            name = self._names[address]
            if not problems:
                self._checked.add(address)
                self._avoided.discard(name)
            elif name not in self._avoided:
                self._leave_out(name, f"{problems[0].message} ({problems[0].remedy})")

    def _await_scheduler(self) -> None:
        """Wait until there is a client that is connected."""
        timeout = self._settings.timeout
        patience = _SCHEDULER_PATIENCE_SECONDS if timeout is None else timeout
        while self.client.status != "running":
            check()
            what = f"lost the Dask scheduler at {self.address}, waiting for it"
            self._wait("scheduler", what, patience)
            if self.client.status == "closed":
                if self._reopen is None:
                    raise _gone(f"the client has lost the Dask scheduler at {self.address}")
                with contextlib.suppress(ClusterError), allowed():  # not there yet
                    self.client = self._reopen()
            time.sleep(_RETRY_SECONDS)
        self._lonely_since = None
        self._look_at_workers()

    def _wait(self, what: str, message: str, patience: float | None) -> None:
        """Say now and then that something is waited for; `ClusterError` when that is too long."""
        now = time.monotonic()
        if self._lonely_since is None:
            self._lonely_since, self._told = now, now - _NOTICE_SECONDS + _FIRST_NOTICE_SECONDS
        waited = now - self._lonely_since
        if patience is not None and waited > patience:
            raise _gone(f"the cluster at {self.address} had no {what} for {waited:.0f} s")
        if now - self._told >= _NOTICE_SECONDS:
            self._told = now
            self._settings.on_notice(f"{message}; what is done is stored")


@contextlib.contextmanager
def connected(scheduler: str, settings: ClusterSettings) -> Iterator[Cluster]:
    """Yield the cluster at an address or of a scheduler file; it may be about to start."""
    with allowed():
        client = open_client(scheduler, settings.on_notice, settings.timeout)
    cluster = Cluster(client, settings, lambda: open_client(scheduler))
    try:
        yield cluster
    finally:
        close_client(cluster.client)


def _gone(message: str) -> ClusterError:
    return ClusterError(
        message, hints=["what is done is stored: codebatch resume, when the cluster is there"]
    )
