"""Runs that go on in a thread: `Batch.run` with ``wait=False``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import Interrupt, Scanned, cli_environment

import codebatch
from codebatch.api import bars
from codebatch.model.errors import UsageError


class Gate:
    """A function for the progress of a run that stops it at its first shard until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, progress: codebatch.RunProgress) -> None:
        if progress.done:
            self.reached.set()
            assert self._opened.wait(60)

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def parsed(scanned: Scanned, store: codebatch.Store) -> codebatch.Batch:
    """A batch that takes little time."""
    return store.batch(store.snapshot(scanned.tree), "parse")


@pytest.mark.parametrize("scheduler", ["sync", pytest.param("threads", marks=pytest.mark.slow)])
def test_a_handle_follows_a_run(scheduler: str, batch: codebatch.Batch, scanned: Scanned) -> None:
    gate = Gate()
    handle = batch.run(scheduler, wait=False, progress=gate)
    assert gate.reached.wait(60)
    assert not handle.done()
    assert handle.progress is not None
    assert 0 < handle.progress.done < handle.progress.total
    assert f"{handle.progress.done} of {handle.progress.total}" in repr(handle)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    gate.open()
    report = handle.result(timeout=60)
    assert handle.done()
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert repr(handle).startswith(f"Run of {batch.id} [done]")
    assert batch.id in handle._repr_html_()
    assert handle.progress.done == handle.progress.total


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_cancelled_run_is_resumed(
    scheduler: str, batch: codebatch.Batch, scanned: Scanned
) -> None:
    gate = Gate()
    handle = batch.run(scheduler, workers=1, wait=False, progress=gate)
    assert gate.reached.wait(60)
    handle.cancel()
    gate.open()
    with pytest.raises(codebatch.RunInterrupted) as raised:
        handle.result(timeout=60)
    report = raised.value.report
    assert report.status == "interrupted"
    assert 0 < report.shards["done"] < report.shards["total"]
    assert batch.status()["runs"] == []
    assert batch.run("sync").result == scanned.report.result


def test_a_cancelled_run_does_not_end_the_event_loop(parsed: codebatch.Batch) -> None:
    gate = Gate()

    async def run() -> None:
        handle = parsed.run("sync", wait=False, progress=gate)
        task = asyncio.ensure_future(wait(handle))
        await asyncio.to_thread(gate.reached.wait, 60)
        handle.cancel()
        gate.open()
        found = await asyncio.gather(task, handle, return_exceptions=True)
        assert [type(one) for one in found] == [asyncio.CancelledError] * 2
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(handle, 60)
        with pytest.raises(codebatch.RunInterrupted):
            handle.result()

    async def wait(handle: codebatch.RunHandle) -> codebatch.RunReport:
        return await handle

    asyncio.run(run())


def test_a_task_that_is_cancelled_ends_its_run(parsed: codebatch.Batch) -> None:
    gate = Gate()

    async def run() -> None:
        task = asyncio.ensure_future(parsed.run_async("sync", progress=gate))
        await asyncio.to_thread(gate.reached.wait, 60)
        task.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert parsed.status()["runs"] == []

    asyncio.run(run())


def test_a_run_that_has_ended_is_not_cancelled(
    parsed: codebatch.Batch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed, handles = bars._Bars.close, list[codebatch.RunHandle]()
    begun = threading.Event()

    def close(self: bars._Bars) -> None:
        assert begun.wait(60)
        handles[0].cancel()
        closed(self)

    monkeypatch.setattr(bars._Bars, "close", close)
    handles.append(parsed.run("sync", wait=False, progress=True))
    begun.set()
    assert handles[0].result(60).status == "done"
    assert "100%" in capsys.readouterr().err


def test_it_is_awaited_beside_an_event_loop(batch: codebatch.Batch, scanned: Scanned) -> None:
    gate = Gate()

    async def run() -> codebatch.RunReport:
        handle = batch.run("sync", wait=False, progress=gate)
        await asyncio.to_thread(gate.reached.wait, 60)  # the loop goes on meanwhile
        gate.open()
        assert await handle is await handle
        return await handle

    assert asyncio.run(run()).result == scanned.report.result


def test_who_stops_awaiting_it_does_not_end_it(parsed: codebatch.Batch) -> None:
    gate = Gate()
    handle = parsed.run("sync", wait=False, progress=gate)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle, 0.01)

    asyncio.run(give_up())
    gate.open()
    assert handle.result(60).status == "done"


def test_what_a_run_raises_is_raised_by_its_result(parsed: codebatch.Batch) -> None:
    handle = parsed.run("sync", wait=False, require_reused=True, retry_quarantined=True)
    lengths = set()
    for _ in range(3):
        with pytest.raises(UsageError, match="require-reused") as raised:
            handle.result(60)
        lengths.add(len(raised.traceback))
    assert len(lengths) == 1
    assert "UsageError" in repr(handle)


def test_two_handles_share_the_work(batch: codebatch.Batch, scanned: Scanned) -> None:
    first, second = batch.run("sync", wait=False), batch.run("sync", wait=False)
    reports = [first.result(60), second.result(60)]
    assert {report.result for report in reports} == {scanned.report.result}
    assert sum(report.files["computed"] for report in reports) == scanned.report.files["computed"]


def test_an_interrupt_of_the_waiting_leaves_the_run(
    parsed: codebatch.Batch,
    interrupt: Interrupt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    handle = parsed.run("sync", wait=False, progress=gate)
    monkeypatch.setattr(time, "sleep", lambda _: interrupt())
    with pytest.raises(KeyboardInterrupt):
        handle.result()
    monkeypatch.undo()
    gate.open()
    assert handle.result(60).status == "done"


ENDS = """
import sys, time, codebatch
store = codebatch.open_store(sys.argv[1])
batch = store.find_batch(sys.argv[2])
handle = batch.run(sys.argv[3], wait=False)
while handle.progress is None or not handle.progress.done:
    time.sleep(0.001)
    assert not handle.done(), handle
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_the_end_of_the_interpreter_ends_it(
    scheduler: str, library: Path, store: codebatch.Store
) -> None:
    batch = store.batch(store.snapshot(library), "full")
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(store.path), batch.id, scheduler],
        env=cli_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    status = batch.status()
    assert status["status"] == "partial"
    assert status["runs"] == []
    assert batch.run("processes").status == "done"
