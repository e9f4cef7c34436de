"""Look at a cluster before work is sent to it, and refuse one that is not fit.

The facts of its processes (`preflight.facts`) are checked by `preflight.compatibility`.
Nothing of the plan's work is sent. Workers that do not answer are left out and named; where there
are none at all, one is waited for.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebatch.cluster.connect.connection import OnNotice, ignore
from codebatch.cluster.preflight.compatibility import (
    ERROR,
    ClusterFacts,
    Compatibility,
    Needs,
    Problem,
    check_cluster,
    check_scheduler,
    check_worker,
    choose_transport,
    mismatch,
)
from codebatch.cluster.preflight.environment import Facts, StoreProbe, facts_here, store_probe
from codebatch.cluster.preflight.facts import ask_scheduler, ask_workers, has_workers
from codebatch.cluster.settings import AUTO, SHARED, SHIPPED
from codebatch.model.errors import ClusterError
from codebatch.model.records import PlannedTask
from codebatch.runtime.interrupts import check

_NOTICE_SECONDS = 10.0
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Work:
    """The work for a cluster: the tasks of a plan, and their store."""

    tasks: Sequence[PlannedTask]
    store: str
    store_id: str


def examine(
    client: Any,
    work: Work,
    transport: str = AUTO,
    on_notice: OnNotice = ignore,
    timeout: float | None = None,
) -> Compatibility:
    """Return how a cluster can run the tasks of a plan.

    Where there are no workers, one is waited for, ``timeout`` seconds at most (None: as long as it
    takes). `ClusterMismatchError` names what does not fit, before any work is sent.
    """
    needs = Needs(facts_here(), work.tasks, work.store, transport)
    scheduler = ask_scheduler(client)
    _refuse(check_scheduler(scheduler, needs.here))  # before it starts workers for us
    _await_worker(client, on_notice, timeout)
    with _probe(needs, work.store_id) as probe:
        answers = ask_workers(client, None, work.tasks, probe)
    fit = {address: facts for address, facts in answers.items() if isinstance(facts, Facts)}
    silent = tuple(address for address, facts in answers.items() if facts is None)
    for address in silent:
        on_notice(f"worker {address} does not answer: it is left out")
    if len(silent) == len(answers):
        raise ClusterError(
            "none of the workers of the cluster answers", hints=["are they stopped, or very busy?"]
        )
    cluster = ClusterFacts(scheduler, answers)
    problems = check_cluster(cluster, needs)
    _refuse(problems)
    return Compatibility(choose_transport(cluster, transport), fit, silent, tuple(problems))


def examine_workers(
    client: Any,
    addresses: Sequence[str],
    work: Work,
    transport: str = SHARED,
) -> Mapping[str, tuple[Problem, ...]]:
    """Return the problems of each of some workers that have joined: errors, silence among them.

    ``transport`` is the one that the run has settled on.
    """
    needs = Needs(facts_here(), work.tasks, work.store, transport)
    with _probe(needs, work.store_id) as probe:
        answers = ask_workers(client, list(addresses), work.tasks, probe)
    return {address: _errors(address, answers.get(address), needs) for address in addresses}


@contextlib.contextmanager
def _probe(needs: Needs, store_id: str) -> Iterator[StoreProbe | None]:
    """Yield what workers look for: nothing where they need not see the store."""
    if needs.store is None or needs.transport == SHIPPED:
        yield None
        return
    with store_probe(needs.store, store_id) as probe:
        yield probe


def _refuse(problems: Sequence[Problem]) -> None:
    error = mismatch(problems)
    if error is not None:
        raise error


def _errors(address: str, facts: Facts | str | None, needs: Needs) -> tuple[Problem, ...]:
    found = check_worker(address, facts, needs)
    return tuple(one for one in found if facts is None or one.severity == ERROR)


def _await_worker(client: Any, on_notice: OnNotice, timeout: float | None) -> None:
    """Wait until there is a worker. A cluster that adapts starts one when a task waits for it."""
    if has_workers(client):
        return
    probe = client.submit(os.getpid, key=f"codebatch-probe-{os.urandom(8).hex()}", pure=False)
    try:
        began = time.monotonic()
        told = began - _NOTICE_SECONDS + 1
        while not has_workers(client):
            if timeout is not None and time.monotonic() - began >= timeout:
                raise ClusterError(
                    f"the cluster has no workers, and none came within {timeout:g} s",
                    hints=["start some: dask worker ADDRESS"],
                )
            if time.monotonic() - told >= _NOTICE_SECONDS:
                told = time.monotonic()
                on_notice("waiting for workers: the cluster has none")
            time.sleep(_POLL_SECONDS)
            check()
    finally:
        probe.release()
