"""Runs in a program that has an event loop, and an asynchronous client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import distributed
import pytest
from clusters import two_workers
from conftest import Scanned

import codebatch
from codebatch.model.errors import UsageError

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

cluster = pytest.fixture(two_workers, scope="module")

LOCAL = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": False,
    "dashboard_address": "127.0.0.1:0",
    "asynchronous": True,
}


async def with_client(
    where: Any, act: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    async with distributed.Client(
        where, asynchronous=True, set_as_default=False, **options
    ) as client:
        return await act(client)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_the_loop_goes_on_during_a_run(
    transport: str, cluster: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def run(client: Any) -> codebatch.RunReport:
        ticking = asyncio.create_task(tick())
        report: codebatch.RunReport = await batch.run_async(client=client, transport=transport)
        ticking.cancel()
        return report

    report = asyncio.run(with_client(cluster.address, run))
    assert report.result == scanned.report.result
    assert report.cluster is not None
    assert report.cluster.transport == transport
    assert ticks > 3


def test_on_a_local_cluster_of_the_same_loop(batch: codebatch.Batch, scanned: Scanned) -> None:
    async def run() -> codebatch.RunReport:
        async with distributed.LocalCluster(**LOCAL) as local:
            return await with_client(local, lambda client: batch.run_async(client=client))

    assert asyncio.run(run()).result == scanned.report.result


def test_the_current_client_may_be_asynchronous(batch: codebatch.Batch, scanned: Scanned) -> None:
    async def run() -> codebatch.RunReport:
        local: Any
        async with (
            distributed.LocalCluster(**LOCAL) as local,
            distributed.Client(local, asynchronous=True),
        ):
            return await batch.run(wait=False)

    report = asyncio.run(run())
    assert report.result == scanned.report.result
    assert report.cluster is not None


@pytest.mark.slow
def test_a_handle_works_with_a_synchronous_client(
    cluster: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    with distributed.Client(cluster.address):
        report = batch.run(wait=False).result(240)
    assert report.result == scanned.report.result
    assert report.cluster is not None


@pytest.mark.slow
def test_a_handle_of_a_cluster_is_cancelled(
    cluster: Any, library: Path, store: codebatch.Store
) -> None:
    batch = store.batch(store.snapshot(library), "full")
    begun = threading.Event()
    handle = batch.run(cluster.address, wait=False, progress=lambda _: begun.set())
    assert begun.wait(240)
    handle.cancel()
    with pytest.raises(codebatch.RunInterrupted):
        handle.result(240)
    assert batch.status()["runs"] == []
    assert batch.run("processes").status == "done"


def test_a_run_that_is_cancelled_ends(cluster: Any, library: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(library), "full")

    async def run(client: Any) -> None:
        first = asyncio.Event()
        loop = asyncio.get_running_loop()

        def begin(_: object) -> None:
            loop.call_soon_threadsafe(first.set)

        running = asyncio.create_task(batch.run_async(client=client, progress=begin))
        await first.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(with_client(cluster.address, run))
    assert batch.status()["runs"] == []
    assert batch.run("processes").status == "done"


def test_an_asynchronous_client_names_the_other_method(
    cluster: Any, batch: codebatch.Batch
) -> None:
    async def run(client: Any) -> None:
        batch.run(client=client)

    with pytest.raises(UsageError) as raised:
        asyncio.run(with_client(cluster.address, run))
    assert any("run_async" in hint for hint in raised.value.hints)
