"""Ask the scheduler and the workers of a cluster what they run with, and refuse what is not fit.

All workers are asked at once, and answer in their event loops, so that busy threads do not matter.
One that does not answer in time is silent (stopped, or holding the interpreter's lock): it is left
out and named; where there are none at all, one is waited for. A worker that is fit for the tasks
starts the server of its child processes (`processes.pool`), which takes a moment that its first
shard need not wait for. Nothing of the plan's work is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from distributed.comm.core import CommClosedError

from codebatch.cluster.connect.connection import OnNotice, ignore
from codebatch.cluster.preflight.compatibility import (
    ERROR,
    ClusterFacts,
    Compatibility,
    Needs,
    Problem,
    SchedulerFacts,
    check_cluster,
    check_scheduler,
    check_worker,
    choose_transport,
    mismatch,
)
from codebatch.cluster.preflight.environment import (
    Facts,
    StoreProbe,
    facts_here,
    own_version,
    store_probe,
    trust_tools,
)
from codebatch.cluster.settings import AUTO, SHARED, SHIPPED
from codebatch.model.errors import ClusterError
from codebatch.model.records import PlannedTask
from codebatch.processes.pool import start_server
from codebatch.runtime.interrupts import check

ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.5
_NOTICE_SECONDS = 10.0
_AT_ONCE = 256
_SCHEDULER_PACKAGES = ("msgpack",)  # beside those that Dask always tells

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """The work for a cluster: the tasks of a plan, their store, and the code of users' tasks, which
    is sent along.
    """

    tasks: Sequence[PlannedTask]
    store: str
    store_id: str
    code: bytes = b""


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
    found: dict[str, tuple[Problem, ...]] = {}
    for address in addresses:
        facts = answers.get(address)
        problems = check_worker(address, facts, needs)
        found[address] = tuple(one for one in problems if facts is None or one.severity == ERROR)
    return found


def _probe(needs: Needs, store_id: str) -> contextlib.AbstractContextManager[StoreProbe | None]:
    """Return what workers look for: nothing where they need not see the store."""
    if needs.store is None or needs.transport == SHIPPED:
        return contextlib.nullcontext()
    return store_probe(needs.store, store_id)


def _refuse(problems: Sequence[Problem]) -> None:
    error = mismatch(problems)
    if error is not None:
        raise error


def _await_worker(client: Any, on_notice: OnNotice, timeout: float | None) -> None:
    """Wait until there is a worker. A cluster that adapts starts one when a task waits for it."""

    def has_workers() -> bool:
        return bool(answer_of(client, lambda: _known(client)))

    if has_workers():
        return
    probe = client.submit(os.getpid, key=f"codebatch-probe-{os.urandom(8).hex()}", pure=False)
    try:
        began = time.monotonic()
        told = began - _NOTICE_SECONDS + 1
        while not has_workers():
            if timeout is not None and time.monotonic() - began >= timeout:
                raise ClusterError(
                    f"the cluster has no workers, and none came within {timeout:g} s",
                    hints=["start some: dask worker ADDRESS"],
                )
            if time.monotonic() - told >= _NOTICE_SECONDS:
                told = time.monotonic()
                on_notice("waiting for workers: the cluster has none")
            time.sleep(0.25)
            check()
    finally:
        probe.release()


def ask_scheduler(client: Any) -> SchedulerFacts:
    """Return the facts of the scheduler; `ClusterError` where it does not answer."""

    async def ask_versions() -> Any:
        return await client.scheduler.versions(packages=_SCHEDULER_PACKAGES)

    async def ask_own() -> Any:
        try:
            return await client.run_on_scheduler(own_version), None
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever keeps it from loading us
            return None, _words(error)

    packages = answer_of(client, ask_versions)["packages"]
    own, error = answer_of(client, ask_own)
    found = {name: str(version) for name, version in packages.items() if version}
    if own is not None:
        found["codebatch"] = str(own)  # metadata may be of another copy
    return SchedulerFacts(found, error)


def ask_workers(
    client: Any,
    addresses: Sequence[str] | None,
    tasks: Sequence[PlannedTask],
    store: StoreProbe | None,
) -> dict[str, Facts | str | None]:
    """Return the answer of each worker (of those given, or all), in the order of addresses."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(address: str) -> Any:
        async with turns:
            said = client.run(_answer, tuple(tasks), store, workers=[address], on_error="return")
            try:
                return (await asyncio.wait_for(said, ANSWER_SECONDS)).get(address)
            except asyncio.TimeoutError:
                return None

    async def ask_all() -> dict[str, Any]:
        known = sorted(await _known(client) if addresses is None else addresses)
        return dict(zip(known, await asyncio.gather(*map(ask, known)), strict=True))

    answers = answer_of(client, ask_all, is_long=True)
    return {address: _understood(answer) for address, answer in answers.items()}


def ask_identity(client: Any, workers: int) -> Mapping[str, Any]:
    """Return what the scheduler says of itself and of so many workers (-1: of all); nothing where
    the connection to it was lost a moment ago. The answer may take long, so an interrupt that was
    deferred is taken meanwhile.
    """
    scheduler = client.scheduler
    if scheduler is None:
        return {}
    question: Coroutine[Any, Any, Mapping[str, Any]] = scheduler.identity(n_workers=workers)
    try:
        with asked(client, question) as answer:
            while not has_come(answer):
                check()
            return answer.result()
    except (CancelledError, OSError):
        return {}


@contextlib.contextmanager
def asked(client: Any, question: Coroutine[Any, Any, T]) -> Iterator[Future[T]]:
    """Yield the answer of a cluster, which comes during the block (`has_come`) or is cancelled."""
    answer = asyncio.run_coroutine_threadsafe(question, client.loop.asyncio_loop)
    try:
        yield answer
    finally:
        answer.cancel()  # without effect where it has come


def has_come(answer: Future[Any]) -> bool:
    """Return true if there is an answer; one that is not there yet is waited for a moment."""
    return bool(wait([answer], _POLL_SECONDS).done)


def answer_of(
    client: Any, ask: Callable[[], Coroutine[Any, Any, T]], *, is_long: bool = False
) -> T:
    """Return the answer of the scheduler; `ClusterError` where there is none in time."""

    async def bounded() -> T:
        return await asyncio.wait_for(ask(), None if is_long else ANSWER_SECONDS)

    try:
        answer: T = client.sync(bounded)
    except (asyncio.TimeoutError, OSError) as error:
        if client.status != "running":
            raise ClusterError(
                "the connection to the scheduler is lost", hints=["is the scheduler still running?"]
            ) from error
        raise ClusterError(
            f"the scheduler does not answer: {_words(error)}", hints=["is it stopped or very busy?"]
        ) from error
    return answer


async def _known(client: Any) -> list[str]:
    """Return the addresses of all workers that the scheduler knows."""
    known = await asyncio.wait_for(client.scheduler.ncores(), ANSWER_SECONDS)
    return list(known)


async def _answer(
    tasks: tuple[PlannedTask, ...], store: StoreProbe | None, dask_worker: Any = None
) -> dict[str, object]:
    """Runs on a worker, in its event loop; plain data, which a scheduler may hand on."""

    def answer() -> dict[str, object]:
        trust_tools(tasks)
        facts = facts_here(tasks, store)._replace(name=str(dask_worker.name))
        if tasks and all(facts.tasks.get(task.id) == task.components for task in tasks):
            start_server()
        return facts._asdict()

    return await asyncio.to_thread(answer)


def _understood(answer: Any) -> Facts | str | None:
    """Return the facts in an answer; those of another version may have other fields."""
    # The scheduler does not reach it: it has gone, or is about to.
    if answer is None or isinstance(answer, CommClosedError) or type(answer) is OSError:
        return None
    try:
        return Facts(**answer)
    except TypeError:
        return _words(answer) if isinstance(answer, BaseException) else "it has another codebatch"


def _words(error: BaseException) -> str:
    """Return an error in one line; a scheduler that hands on an error of a worker says its type in
    the text.
    """
    text = str(error).partition("\n")[0]
    if type(error) is Exception and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
