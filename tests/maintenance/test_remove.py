"""Removing snapshots and batches: as a whole, and never what something needs."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, write_tree

import codebatch
from codebatch.model.errors import (
    BatchNotFoundError,
    BatchRunningError,
    CodeBatchError,
    SnapshotInUseError,
    SnapshotNotFoundError,
)
from codebatch.model.messages import ShardCall
from codebatch.shard.compute import ShardContext
from codebatch.shard.run import run_shard
from codebatch.store.batches import Batches
from codebatch.store.leases import leases
from codebatch.store.leases.leases import Lease, Process, hold_lease
from codebatch.store.shards import Shards

Main = Callable[..., Outcome]


def folders(store: codebatch.Store, kind: str) -> list[str]:
    return sorted(path.name for path in (store.path / kind).iterdir())


def test_remove_a_batch_then_its_snapshot(scanned_copy: Scanned, main: Main) -> None:
    store, batch_id = scanned_copy.store, scanned_copy.batch.id
    snapshot_id = store.find_snapshot("latest").id
    done = main("snapshot", "rm", snapshot_id[:9], "--store", store.path)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        f"error: snapshot {snapshot_id} is needed by {batch_id}",
        f"  remove them first: codebatch batch rm {batch_id} --store {store.path}",
    ]
    done = main("batch", "rm", "latest", "--store", store.path, "--dry-run")
    assert done.out.startswith(f"{batch_id}  would be removed, ")
    assert f"\nnext: codebatch batch rm {batch_id} --store {store.path}\n" in done.out
    assert [row["batch_id"] for row in store.batches()] == [batch_id]
    done = main("batch", "rm", batch_id, "--store", store.path, "-q")
    assert (done.code, done.out) == (0, f"{batch_id}\n")
    assert store.batches() == []
    with pytest.raises(BatchNotFoundError):
        store.find_batch(batch_id)
    done = main("snapshot", "rm", snapshot_id, "--store", store.path, "--json")
    removed = json.loads(done.stdout)["removed"]
    assert [row["id"] for row in removed] == [snapshot_id]
    assert removed[0]["bytes"] > 0
    assert store.snapshots() == []
    report = store.gc(grace=0)
    assert (report.removed["discarded"], report.kept["objects"]) == (2, 0)
    assert (folders(store, "batches"), folders(store, "snapshots")) == ([], [])


def test_all_or_none(scanned_copy: Scanned, tmp_path: Path) -> None:
    store = scanned_copy.store
    other = store.snapshot(write_tree(tmp_path / "other", {"a": "a"}))
    used = store.find_snapshot(str(scanned_copy.batch.summary()["snapshot_id"]))
    with pytest.raises(SnapshotInUseError) as error:
        store.remove_snapshot(other, used)
    assert error.value.details["batches"] == [scanned_copy.batch.id]
    with pytest.raises(SnapshotNotFoundError):
        store.remove_snapshot(other, "snap-0000000000000000")
    assert len(store.snapshots()) == 2
    assert [one.id for one in store.remove_snapshot(other, other.id).removed] == [other.id]
    assert len(store.snapshots()) == 1


def test_a_batch_that_is_being_run(scanned_copy: Scanned, main: Main) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    with hold_lease(store.directory.layout, "run", batch.id):
        done = main("batch", "rm", batch.id, "--store", store.path, "--json")
        assert (done.code, json.loads(done.stdout)["error"]["code"]) == (5, "BATCH_RUNNING")
    with hold_lease(store.directory.layout, "run", "batch-0000000000000000"):
        store.remove_batch(batch)


def test_a_snapshot_of_a_batch_that_is_not_listed(scanned_copy: Scanned) -> None:
    """Whichever of its documents is left names it."""
    store, batch = scanned_copy.store, scanned_copy.batch
    folder = store.path / "batches" / batch.id
    document = (folder / "batch.json").read_bytes()
    (folder / "batch.json").unlink()
    with pytest.raises(SnapshotInUseError) as error:
        store.remove_snapshot("latest")
    assert error.value.details["batches"] == [batch.id]
    assert error.value.hints[0].startswith("a batch that is not listed: verify --repair")
    (folder / "plan.json").unlink()
    (folder / "batch.json").write_bytes(document)
    with pytest.raises(SnapshotInUseError):
        store.remove_snapshot("latest")
    assert len(store.snapshots()) == 1


ELSEWHERE = Process("elsewhere", "elsewhere boot pid", 1, "1")


@pytest.mark.parametrize("behind", [True, False])
def test_a_run_elsewhere_lives_by_the_clock_of_the_file_system(
    behind: bool, scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of this machine may say what it likes."""
    layout, batch = scanned_copy.store.directory.layout, scanned_copy.batch
    clock = time.time_ns() + (10**12 if behind else -(10**12))
    monkeypatch.setattr("codebatch.maintenance.remove.now_ns", lambda: clock)
    lease = Lease("a", "run", batch.id, 0, 0, ELSEWHERE)
    leases._write(layout, lease)
    with pytest.raises(BatchRunningError):
        scanned_copy.store.remove_batch(batch)
    os.utime(layout.lease("a"), (0, 0))
    scanned_copy.store.remove_batch(batch)


@pytest.mark.parametrize("kind", ["batch", "snapshot"])
def test_what_is_needed_in_the_last_moment_comes_back(
    kind: str, scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    refusals = {"batch": "_refuse_running", "snapshot": "_refuse_in_use"}
    calls = []

    def refuse(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise BatchRunningError("now it is")

    monkeypatch.setattr(f"codebatch.maintenance.remove.{refusals[kind]}", refuse)
    with pytest.raises(BatchRunningError):
        store.remove_batch(batch) if kind == "batch" else store.remove_snapshot("latest")
    assert (len(store.batches()), len(store.snapshots())) == (1, 1)
    assert batch.status()["status"] == "done"


def test_a_batch_of_a_snapshot_that_goes_meanwhile(
    store: codebatch.Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = store.snapshot(tree)
    save = Batches.save

    def save_late(*arguments: Any) -> None:
        store.remove_snapshot(snapshot)
        save(*arguments)

    monkeypatch.setattr(Batches, "save", save_late)
    with pytest.raises(SnapshotNotFoundError):
        store.batch(snapshot)
    assert (store.batches(), store.snapshots()) == ([], [])


def test_what_a_writer_relies_on_stays_until_it_ends(scanned_copy: Scanned, tree: Path) -> None:
    """A snapshot is removed while another is taken that takes its objects for granted."""
    store = scanned_copy.store
    snapshot = store.find_snapshot("latest")
    digests = [file.object for file in snapshot.files]
    store.remove_batch(scanned_copy.batch)
    time.sleep(0.05)  # the clock of the file system ticks
    with hold_lease(store.directory.layout, "snapshot"):
        store.remove_snapshot(snapshot)
        report = store.gc(grace=0)
        assert report.removed["discarded"] == 1  # the batch
        for digest in digests:
            store.read_object(digest)
    assert store.gc(grace=0).removed["discarded"] == 1
    with pytest.raises(CodeBatchError):
        store.read_object(digests[0])


def test_results_are_not_taken_over_from_a_batch_that_is_gone(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    """It disappears when a run has just decided to link its outputs."""
    store = scanned_copy.store
    write_tree(tree, {"more.py": "more = 1\n"})
    batch = store.batch(store.snapshot(tree))
    link = Shards.link_outputs

    def link_late(*arguments: Any) -> None:
        shutil.rmtree(store.path / "batches" / scanned_copy.batch.id, ignore_errors=True)
        link(*arguments)

    monkeypatch.setattr(Shards, "link_outputs", link_late)
    assert batch.run("sync").status == "done"


def test_removing_while_others_read(scanned_copy: Scanned) -> None:
    """A reader gets all of a batch, or an error that says what is missing."""
    store = scanned_copy.store
    expected = scanned_copy.batch.summary()
    found: list[object] = []
    ended = threading.Event()

    def look() -> object:
        try:
            return codebatch.open_store(store.path).find_batch("latest").summary()
        except CodeBatchError as error:
            return error.code

    def read() -> None:
        while not ended.is_set():
            found.append(look())

    thread = threading.Thread(target=read)
    thread.start()
    store.remove_batch("latest")
    ended.set()
    thread.join()
    wrong = [one for one in found if one not in (expected, "BATCH_NOT_FOUND")]
    assert wrong == []


# -- snapshot, and snapshot rm -------------------------------------------------------------------


def test_a_directory_called_rm(
    store: codebatch.Store, tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "rm", {"a": "a"})
    done = main("snapshot", "./rm", "--store", store.path, "-q")
    assert (done.code, done.out[:5]) == (0, "snap-")
    for words in (["rm"], ["rm", "--json"]):
        done = main("snapshot", *words, "--store", store.path)
        assert done.code == 2
        assert "a directory called rm is ./rm" in (done.out + done.err)
    done = main("snapshot", "--store", store.path, "rm")
    assert (done.code, "the directory is ./rm" in done.err) == (2, True)
    assert main("batch", "rm", "--store", store.path).code == 2
    assert len(store.snapshots()) == 1


def test_help_of_snapshot_names_the_other_command(main: Main) -> None:
    done = main("snapshot", "--help")
    assert (done.code, "rm" in done.out.split("Commands:")[1]) == (0, True)
    done = main("snapshot", "rm", "--help")
    assert done.out.startswith("Usage: codebatch snapshot rm [OPTIONS] ID...")


@pytest.mark.parametrize("command", [("batch", "rm"), ("snapshot", "rm")])
def test_names_that_fit_nothing_or_are_no_names(
    command: tuple[str, str], scanned_copy: Scanned, main: Main
) -> None:
    for name, code in (("nope", 4), ("../x", 2), ("", 2)):
        assert main(*command, name, "--store", scanned_copy.path).code == code
    assert len(scanned_copy.store.batches()) == 1


def test_a_batch_made_again_may_have_another_width(tree: Path, store: codebatch.Store) -> None:
    """In one process, which has run the batch that was removed."""
    snapshot = store.snapshot(tree)
    first = store.batch(snapshot, "full", shards=16)
    result = first.run("sync").result
    store.remove_batch(first.id)
    again = store.batch(snapshot, "full", shards=256)
    assert again.id == first.id
    report = again.run("sync")
    assert (report.status, report.errors) == ("done", ())
    assert (report.shards["failed"], report.result) == (0, result)


def call_of(batch: codebatch.Batch) -> ShardCall:
    """A call for a shard, as a scheduler hands it to a worker."""
    store = batch.directory
    shard_id = str(batch.shards()[0]["shard_id"])
    return ShardCall(str(store.root), store.store_id, batch.id, shard_id, "late")


def test_a_late_worker_leaves_a_removed_batch_alone(tree: Path, store: codebatch.Store) -> None:
    snapshot = store.snapshot(tree)
    batch = store.batch(snapshot, "full", shards=16)
    call = call_of(batch)
    assert run_shard(call).status == "done"  # it knows the batch
    store.remove_batch(batch.id)
    assert (run_shard(call).error or {})["code"] == "BATCH_NOT_FOUND"
    assert not (store.path / "batches" / batch.id).exists()
    assert store.verify().ok


@pytest.mark.parametrize("fails", [False, True])
def test_a_batch_removed_while_a_shard_is_computed(
    fails: bool, tree: Path, store: codebatch.Store
) -> None:
    """By a machine that takes its run for dead: neither results nor failures are left."""
    batch = store.batch(store.snapshot(tree), "full", shards=16)

    def remove(context: ShardContext) -> ShardContext:
        store.directory.batches.discard(batch.id)
        if fails:
            raise RuntimeError("it fails as well")
        return context

    assert (run_shard(call_of(batch), remove).error or {})["code"] == "BATCH_NOT_FOUND"
    assert not (store.path / "batches" / batch.id).exists()
    assert store.verify().ok
