"""Cells of a real kernel: what they show, how they are interrupted, and what is left of them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import Note, Scanned
from kernels import Kernel, kernel

import codebatch

# A seed of one's own: INTERRUPT_SEED=1 INTERRUPTS=50 pytest …
SEED = os.environ.get("INTERRUPT_SEED", "20261130")
INTERRUPTS = int(os.environ.get("INTERRUPTS", "12"))

pytestmark = pytest.mark.slow

BEGIN = """
import asyncio, os, sys, time
import codebatch
TREE = {tree!r}

def planned(name, create=True):
    store = codebatch.open_store(name, create=create)
    return store, store.batch(store.snapshot(TREE, progress=False), "full")

def left_in(store):
    leases = store.path / "leases"
    return sorted(os.listdir(leases)) if leases.exists() else []

def check(store, batch):
    report = batch.run("processes", progress=False)
    bad = [problem.code for problem in store.verify(read_data=True).problems]
    print(report.status, report.result, bad, left_in(store))

done, done_batch = planned("done")
done_batch.run(progress=False).result
"""

# What is interrupted. Each is given a store in which a batch is planned, and one that is done.
CELLS = {
    "run sync": "batch.run('sync')",
    "run threads": "batch.run('threads')",
    "run processes": "batch.run('processes')",
    "result": "batch.run('processes', wait=False).result()",
    "await": "await batch.run('threads', wait=False)",
    "run_async": "await batch.run_async('processes')",
    "scan": "codebatch.scan(TREE, store.path)",
    "snapshot": "store.snapshot(TREE, use_cache=False)",
    "plan": "store.batch(store.snapshot(TREE), 'analyze')",
    "records": "[record for record in done_batch.records() for _ in '12']",
    "sql": "done_batch.sql('SELECT count(*) AS n FROM records')",
    "frame": "done_batch.outputs(kind='metric').to_pandas()",
    "verify": "done.verify(read_data=True)",
    "nothing": "None",
}


@pytest.fixture(scope="module")
def cells(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that knows the tree of a package."""
    folder = tmp_path_factory.mktemp("kernel")
    with kernel(folder) as opened:
        begun = opened.run(BEGIN.format(tree=str(library / "email")))
        assert begun.error is None, begun.text
        yield opened


def test_interrupted_cells_leave_a_kernel_and_a_batch_that_go_on(cells: Kernel, note: Note) -> None:
    """At random moments, at times twice: the next run finishes, with the same result."""
    rng = random.Random(SEED)
    names = [name for _ in range(INTERRUPTS) for name in CELLS][:INTERRUPTS]
    first = cells.run("check(done, done_batch)").text
    assert first.startswith("done sha256:"), first
    usual: dict[str, float] = {}
    interrupted = 0
    for number, name in enumerate(names):
        if name not in usual:
            assert cells.run(f"store, batch = planned('usual-{number}')").error is None
            began = time.monotonic()
            assert cells.run(CELLS[name]).error is None
            usual[name] = time.monotonic() - began
        where = f"{name}, interrupt {number} of seed {SEED}"
        begun = cells.run(f"store, batch = planned('store-{number}')")
        assert begun.error is None, (where, begun.text)
        cell = cells.begin(CELLS[name])
        time.sleep(usual[name] * rng.random())
        cells.interrupt()
        if rng.random() < 0.2:
            time.sleep(usual[name] * rng.random() / 4)
            cells.interrupt()
        shown = cells.end(cell)
        assert shown.error in (None, "KeyboardInterrupt", "RunInterrupted", "CancelledError"), (
            where,
            shown.text,
        )
        interrupted += shown.error is not None
        for names_of in ("store, batch", "done, done_batch"):
            found = cells.run(f"check({names_of})")
            assert found.error is None, (where, found.text)
            assert found.text == first, where
        # The server of worker processes is kept for the next run, and none of them.
        assert len(cells.others()) <= 1, where
    note(f"{len(names)} cells, {interrupted} of them interrupted, seed {SEED}")
    assert interrupted >= len(names) // 4


def test_a_run_shows_bars_and_nothing_else(scanned: Scanned, tmp_path: Path) -> None:
    """No warning, and no word of a worker process."""
    code = f"""
import codebatch
batch, report = codebatch.scan({str(scanned.tree)!r}, "store", scheduler="processes")
"""
    with kernel(tmp_path) as opened:
        shown = opened.run(code)
        assert opened.run("print(report.result)").text.strip() == scanned.report.result
        has_widgets = opened.run("import ipywidgets").error is None
    assert shown.error is None
    if has_widgets:
        assert shown.text == ""
        bars = [data["text/plain"].partition(":")[0] for data in shown.displays]
        assert bars == [task["task_id"] for task in scanned.batch.tasks()]
    else:
        assert shown.text.rpartition("\r")[2].startswith("run: 100%")
        assert shown.displays == ()


def test_text_is_shown_where_there_are_no_widgets(scanned: Scanned, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["ipywidgets"] = None
import codebatch
batch, report = codebatch.scan({str(scanned.tree)!r}, "store", scheduler="processes")
"""
    with kernel(tmp_path) as opened:
        shown = opened.run(code)
    assert (shown.error, shown.displays) == (None, ())
    (line,) = [line for line in shown.text.split("\n") if line]
    assert line.rpartition("\r")[2].startswith("run: 100%")


def test_a_cancelled_run_leaves_a_kernel(scanned: Scanned, tmp_path: Path) -> None:
    """A task waits for it: an error of the wrong kind would come out of the loop of the kernel."""
    code = f"""
import asyncio, codebatch, threading
store = codebatch.open_store("store", create=True)
batch = store.batch(store.snapshot({str(scanned.tree)!r}, progress=False), "full")
gate = threading.Event()
handle = batch.run("sync", wait=False, progress=lambda _: gate.wait(60))
async def wait():
    return await handle
task = asyncio.create_task(wait())
"""
    with kernel(tmp_path) as opened:
        assert opened.run(code).error is None
        assert opened.run("handle.cancel(); gate.set()").error is None
        assert opened.run("await task").error == "CancelledError"
        assert opened.run("handle.result()").error == "RunInterrupted"
        assert opened.run("print(batch.run(progress=False).status)").text == "done\n"


CLIENTS = {
    "synchronous": """
import codebatch, distributed
client = distributed.Client(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0")
batch, report = codebatch.scan({tree!r}, "store", progress=False)
handle = batch.run(wait=False, progress=False)
again = await handle
client.close()
""",
    "asynchronous": """
import codebatch, distributed
options = dict(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0")
client = await distributed.Client(asynchronous=True, **options)
store = codebatch.open_store("store", create=True)
batch = store.batch(store.snapshot({tree!r}, progress=False), "full")
report = await batch.run(wait=False, progress=False)
await client.close()
""",
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_current_client_is_used(kind: str, scanned: Scanned, tmp_path: Path) -> None:
    with kernel(tmp_path) as opened:
        shown = opened.run(CLIENTS[kind].format(tree=str(scanned.tree)))
        assert shown.error is None, shown.text
        assert shown.text == ""
        used = opened.run("print(report.cluster is not None, report.result)").text
    assert used.split() == ["True", scanned.report.result]


@pytest.mark.parametrize("way", ["shutdown", "kill", "restart"])
def test_workers_end_with_their_kernel(way: str, library: Path, tmp_path: Path) -> None:
    code = f"""
import codebatch
store = codebatch.open_store("store", create=True)
batch = store.batch(store.snapshot({str(library)!r}), "full")
handle = batch.run("processes", workers=2, wait=False, progress=False)
while handle.progress is None or not handle.progress.done:
    time.sleep(0.001)
"""
    with kernel(tmp_path) as opened:
        begun = opened.run("import time" + code)
        assert begun.error is None, begun.text
        before = opened.others()
        assert len(before) > 1
        if way == "kill":
            os.kill(opened.pid, signal.SIGKILL)
        elif way == "shutdown":
            opened.manager.shutdown_kernel()
        else:
            opened.manager.restart_kernel()
        left = opened.await_end() if way != "restart" else []
        assert left == []
        assert psutil.wait_procs(before, timeout=30)[1] == []
    batch = codebatch.open_store(tmp_path / "store").find_batch("latest")
    assert batch.run("processes").status == "done"
