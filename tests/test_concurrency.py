"""Any number of processes on one store: snapshots, runs, queries, removals and gc at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Note, cli_command, cli_environment, make_tree, run_cli, write_tree
from soak import Soak, changing

import codebatch

# What each process does over and over: `TREE` is a tree of its own, which changes in between.
WRITER = (("scan", "TREE", "--scheduler", "sync"), ("errors", "--batch", "BATCH"))
READER = (("batches",), ("errors",), ("store-stats",))
COLLECTOR = (("gc", "--grace", "0", "--wait", "600"),)


class Worker:
    """Commands one after the other, each in a process of its own."""

    def __init__(self, store: Path, tree: Path | None, commands: Sequence[Sequence[str]]) -> None:
        self.store = store
        self.tree = tree
        self.results: set[tuple[str, str]] = set()
        self.batch_id = "latest"
        self.failures: list[str] = []
        self.rounds = 0
        self._commands = commands
        self._next = 0
        self._process: subprocess.Popen[bytes] | None = None

    def step(self, *, stop: bool) -> bool:
        """Start the next command if the last one has ended; whether one runs."""
        if self._process is not None:
            if self._process.poll() is None:
                return True
            self._end(self._process)
            self._process = None
        if stop and self._next == 0:
            return False
        self._process = self._start(self._commands[self._next])
        self._next = (self._next + 1) % len(self._commands)
        self.rounds += self._next == 0
        return True

    def _start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        if words[0] == "scan" and self.tree is not None:
            # Two states in turns: what one needs, the other has made unreferenced before.
            write_tree(self.tree, changing(self.rounds % 2))
        names = {"TREE": str(self.tree), "BATCH": self.batch_id}
        words = [names.get(word, word) for word in words]
        return subprocess.Popen(
            cli_command(*words, "--store", self.store, "--json"),
            env=cli_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        out, err = process.communicate()
        if self.tree is None and b'"BATCH_UNFINISHED"' in out:
            return  # the latest batch is one that a writer has begun this moment
        if process.returncode != 0:
            self.failures.append(f"{process.args}: {process.returncode}\n{out[:500]!r}\n{err!r}")
        elif self._commands is WRITER and self._next == 1:
            report = json.loads(out)
            self.batch_id = report["batch_id"]
            self.results.add((report["batch_id"], report["result"]))


def work(workers: Sequence[Worker], seconds: float) -> None:
    """Have them work for so long, or until each that writes has seen both states of its tree."""
    deadline = time.monotonic() + seconds
    latest = deadline + 600
    writers = [worker for worker in workers if worker.tree is not None]
    running = True
    while running:
        now = time.monotonic()
        stop = now > deadline and (now > latest or all(one.rounds > 1 for one in writers))
        running = sum(worker.step(stop=stop) for worker in workers) > 0
        time.sleep(0.005)
    assert [failure for worker in workers for failure in worker.failures] == []


def check_whole(store: codebatch.Store, results: set[tuple[str, str]], base: Path) -> None:
    """Every object is there, and every result is what it is in a store of its own."""
    assert len({batch_id for batch_id, _ in results}) == len(results)
    for row in store.snapshots():
        for file in store.find_snapshot(str(row["snapshot_id"])).files:
            store.read_object(file.object)
    listed = {row["batch_id"]: row["result"] for row in store.batches()}
    assert results <= set(listed.items())
    for batch_id in listed:
        for record in store.find_batch(batch_id).records(kind="ast"):
            store.read_object(str(record["object"]))
    for number in range(2):
        tree = make_tree(base / f"again{number}")
        write_tree(tree, {"own.py": "own = 0\n", **changing(number)})
        batch, report = codebatch.scan(tree, base / "again", scheduler="sync")
        assert listed[batch.id] == report.result


def stress(tmp_path: Path, writers: int, seconds: float) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    trees = [make_tree(tmp_path / f"tree{number}") for number in range(writers)]
    for number, tree in enumerate(trees):
        write_tree(tree, {"own.py": f"own = {number // 2}\n"})  # two share all that they have
    run_cli("scan", trees[0], "--store", store.path)
    workers = [Worker(store.path, tree, WRITER) for tree in trees]
    others = [Worker(store.path, None, COLLECTOR), Worker(store.path, None, READER)]
    work([*workers, *others], seconds)
    assert all(worker.rounds > 1 for worker in workers)
    check_whole(store, set().union(*(worker.results for worker in workers)), tmp_path)
    assert store.gc(grace=0).removed["leases"] == 0
    assert list((store.path / "leases").iterdir()) == []


@pytest.mark.slow
def test_writers_readers_and_collectors(tmp_path: Path) -> None:
    stress(tmp_path, writers=2, seconds=4)


@pytest.mark.slow
def test_many_writers_readers_and_collectors(tmp_path: Path) -> None:
    stress(tmp_path, writers=5, seconds=40)


def remove_and_take_again(base: Path, seconds: float) -> None:
    """Snapshots that are removed all the time, so that hardly an object is ever referred to."""
    store = codebatch.open_store(base / "store", create=True)
    tree = make_tree(base / "tree")
    taken = 0
    collector = Worker(store.path, None, COLLECTOR)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or taken < 4:
        collector.step(stop=False)
        snapshot = store.snapshot(tree, use_cache=taken % 3 > 0)
        for file in snapshot.files:
            store.read_object(file.object)
        batch = store.batch(snapshot)
        assert batch.run("sync").status == "done"
        for record in batch.records(kind="ast"):
            store.read_object(str(record["object"]))
        store.remove_batch(batch, wait=600)
        store.remove_snapshot(snapshot, wait=600)
        write_tree(tree, {"changing.py": f"value = {taken % 2}\n"})
        taken += 1
    while collector.step(stop=True):
        time.sleep(0.01)
    assert collector.failures == []
    store.gc(grace=0)
    assert store.stats().kinds[0].kind != "source objects"


LEAST_OBJECTS = "codebatch.store.objects.pack_writer.LEAST_OBJECTS"


def test_snapshots_and_batches_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LEAST_OBJECTS, 2)
    remove_and_take_again(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("least", [2, 1000])
def test_snapshots_and_batches_come_and_go_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    """With packs, and with objects in files of their own."""
    monkeypatch.setattr(LEAST_OBJECTS, least)
    remove_and_take_again(tmp_path, 40)


@pytest.mark.slow
def test_seven_kinds_of_processes(tmp_path: Path, note: Note) -> None:
    """A minute of them; longer with ``SOAK_SECONDS``, in another order with ``SOAK_SEED``."""
    seconds = float(os.environ.get("SOAK_SECONDS", "60"))
    soak = Soak(tmp_path, seconds, int(os.environ.get("SOAK_SEED", "20261129")))
    soak.run()
    note("; ".join(f"{what}: {number}" for what, number in sorted(soak.counts.items())))
    assert soak.wrong == []
    assert all(len(results) == 1 for results in soak.results.values()), soak.results
    store = codebatch.open_store(soak.store)
    for batch_id in [str(row["batch_id"]) for row in store.batches()]:
        store.find_batch(batch_id).run("sync")
    store.gc(grace=0)
    assert store.verify(read_data=True).problems == ()
    for number, tree in enumerate(soak.trees):
        _, report = codebatch.scan(tree, soak.store, scheduler="sync")
        _, alone = codebatch.scan(tree, tmp_path / f"alone{number}", scheduler="sync")
        assert report.result == alone.result


def test_derived_parts_and_leases_are_deletable(tmp_path: Path) -> None:
    """Whatever is deleted of the derived parts and the leases, a run comes to its end."""
    tree = make_tree(tmp_path / "tree")
    batch, report = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    shutil.rmtree(batch.path / "indexes")
    shutil.rmtree(batch.path / "leases")
    again, second = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    assert (again.id, second.result) == (batch.id, report.result)
