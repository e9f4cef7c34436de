"""Ask the scheduler and the workers of a cluster what they run with.

All workers are asked at once, and answer in their event loops, so that busy threads do not matter.
A worker that does not answer in time is silent: it may be stopped, or hold the interpreter's lock.
A worker that is fit for the tasks starts the server of its child processes (`processes.pool`),
which takes a moment that its first shard need not wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

from codebatch.cluster.preflight.compatibility import SchedulerFacts
from codebatch.cluster.preflight.environment import (
    Facts,
    StoreProbe,
    facts_here,
    own_version,
)
from codebatch.model.errors import ClusterError
from codebatch.model.records import PlannedTask
from codebatch.processes.pool import start_server
from codebatch.runtime.interrupts import check
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    from distributed.comm import core
else:
    core = lazy("distributed.comm.core")

ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.5
_AT_ONCE = 256
_SCHEDULER_PACKAGES = ("msgpack",)  # beside those that Dask always tells

T = TypeVar("T")
Answers = dict[str, Facts | str | None]


def _ask(client: Any, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the answer of the scheduler; `ClusterError` where there is none in time."""

    async def bounded() -> T:
        return await asyncio.wait_for(ask(), ANSWER_SECONDS)

    return _reporting(client, bounded)


def _reporting(client: Any, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        answer: T = client.sync(ask)
    except (asyncio.TimeoutError, OSError) as error:
        if client.status != "running":
            raise ClusterError(
                "the connection to the scheduler is lost", hints=["is the scheduler still running?"]
            ) from error
        raise ClusterError(
            f"the scheduler does not answer: {_words(error)}", hints=["is it stopped or very busy?"]
        ) from error
    return answer


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

    packages = _ask(client, ask_versions)["packages"]
    own, error = _ask(client, ask_own)
    found = {name: str(version) for name, version in packages.items() if version}
    if own is not None:
        found["codebatch"] = str(own)  # metadata may be of another copy
    return SchedulerFacts(found, error)


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


def ask_workers(
    client: Any,
    addresses: list[str] | None,
    tasks: Sequence[PlannedTask],
    store: StoreProbe | None,
) -> Answers:
    """Return the answer of each worker (of those given, or all), in the order of addresses."""

    async def ask(workers: list[str] | None) -> dict[str, Any]:
        said = client.run(_answer, tuple(tasks), store, workers=workers, on_error="return")
        found: dict[str, Any] = await asyncio.wait_for(said, ANSWER_SECONDS)
        return found

    async def ask_all() -> dict[str, Any]:
        try:
            return await ask(addresses)
        except asyncio.TimeoutError:  # one is silent, which only asking each tells
            known = addresses
            if known is None:
                known = await asyncio.wait_for(_known(client), ANSWER_SECONDS)
            return await _one_by_one(known, ask)

    answers = _reporting(client, ask_all)
    return {address: _understood(answers[address]) for address in sorted(answers)}


def ask_briefly(client: Any, question: Callable[[], T]) -> dict[str, T]:
    """Return each worker's answer to a question that may stay open; nothing where one is silent."""

    async def ask() -> dict[str, T]:
        said = client.run(question, on_error="ignore")
        found: dict[str, T] = await asyncio.wait_for(said, ANSWER_SECONDS)
        return found

    try:
        answers: dict[str, T] = client.sync(ask)
    except (asyncio.TimeoutError, OSError):
        return {}
    return answers


async def _known(client: Any) -> list[str]:
    """Return the addresses of all workers that the scheduler knows."""
    return list(await client.scheduler.ncores())


async def _one_by_one(addresses: Sequence[str], ask: Any) -> dict[str, Any]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ask_one(address: str) -> Any:
        async with turns:
            try:
                return (await ask([address])).get(address)
            except asyncio.TimeoutError:
                return None

    answers = await asyncio.gather(*map(ask_one, addresses))
    return dict(zip(addresses, answers, strict=True))


async def _answer(
    tasks: tuple[PlannedTask, ...], store: StoreProbe | None, dask_worker: Any = None
) -> dict[str, object]:
    """Runs on a worker, in its event loop; plain data, which a scheduler may hand on."""
    return await asyncio.to_thread(_facts, tasks, store, str(dask_worker.name))


def _facts(
    tasks: tuple[PlannedTask, ...], store: StoreProbe | None, name: str
) -> dict[str, object]:
    facts = facts_here(tasks, store)._replace(name=name)
    if tasks and all(facts.tasks.get(task.id) == task.components for task in tasks):
        start_server()
    return facts._asdict()


def _understood(answer: Any) -> Facts | str | None:
    """Return the facts in an answer; those of another version may have other fields."""
    # The scheduler does not reach it: it has gone, or is about to.
    if answer is None or isinstance(answer, core.CommClosedError) or type(answer) is OSError:
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


def has_workers(client: Any) -> bool:
    """Return true if the scheduler knows any worker."""

    async def ask() -> bool:
        return bool(await _known(client))

    return _ask(client, ask)
