"""What is removed beside a command is said to be gone: never damage, never a full disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from conftest import Scanned, write_tree

import codebatch
from codebatch.model.errors import (
    BatchNotFoundError,
    BatchUnfinishedError,
    SnapshotNotFoundError,
    StoreDamagedError,
)
from codebatch.query.index_rows import RowReader
from codebatch.store.batches import Batches
from codebatch.store.removal import put_back, set_aside
from codebatch.store.shards import Shards
from codebatch.store.snapshots import Snapshots
from codebatch.store.write_group import reporting_write_errors

READS: dict[str, Callable[[codebatch.Batch], object]] = {
    "batch_status": lambda batch: batch.load_status().status,
    "status": lambda batch: batch.status(),
    "summary": lambda batch: batch.summary(),
    "tasks": lambda batch: batch.tasks(),
    "shards": lambda batch: batch.shards(),
    "files": lambda batch: batch.files(),
    "stats": lambda batch: batch.stats(),
    "top": lambda batch: batch.top(),
    "sql": lambda batch: batch.sql("SELECT count(*) FROM records"),
    "inspect": lambda batch: batch.inspect("pkg/cart.py", at=2),
    "lines": lambda batch: batch.lines("pkg/cart.py"),
    "explain": lambda batch: batch.explain("parse", "pkg/cart.py"),
    "forecast": lambda batch: batch.forecast(),
    "records": lambda batch: list(batch.records()),
    "sorted": lambda batch: batch.sorted_records().to_list(),
    "outputs": lambda batch: batch.outputs(name="Cart").to_list(),
    "export": lambda batch: batch.export("sarif", BytesIO()),
    "run": lambda batch: batch.run("sync"),
    "recheck": lambda batch: batch.recheck(scheduler="sync"),
    "compare": lambda batch: codebatch.open_store(batch.path).compare(batch.id, batch.id),
    "show": lambda batch: codebatch.open_store(batch.path).show(batch.id),
}


def remove(batch: codebatch.Batch) -> None:
    """As ``batch rm``, ``snapshot rm`` and ``gc`` one after the other."""
    store = codebatch.open_store(batch.path)
    snapshot_id = batch.load_status().plan.snapshot_id
    store.remove_batch(batch)
    store.remove_snapshot(snapshot_id)
    store.gc(grace=0)


@pytest.mark.parametrize("name", READS)
def test_a_batch_that_goes_before_it_is_read(name: str, scanned_copy: Scanned) -> None:
    remove(scanned_copy.batch)
    with pytest.raises(BatchNotFoundError, match=scanned_copy.batch.id):
        READS[name](scanned_copy.batch)


# `compare` and `show` look for the batch before they read its plan.
@pytest.mark.parametrize("name", sorted(READS.keys() - {"compare", "show"}))
def test_a_batch_that_goes_when_its_plan_was_read(
    name: str, scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Batches.load_plan
    left = [1]

    def load_and_remove(self: Any, batch_id: str) -> object:
        plan = load(self, batch_id)
        if left:
            left.pop()
            remove(scanned_copy.batch)
        return plan

    monkeypatch.setattr(Batches, "load_plan", load_and_remove)
    with pytest.raises(BatchNotFoundError, match=scanned_copy.batch.id):
        READS[name](scanned_copy.batch)


def test_a_batch_that_goes_while_records_are_read(scanned_copy: Scanned) -> None:
    found = iter(scanned_copy.batch.records())
    next(found)
    remove(scanned_copy.batch)
    with pytest.raises(BatchNotFoundError, match="was removed meanwhile"):
        list(found)


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_a_batch_that_goes_while_it_is_run(scheduler: str, batch: codebatch.Batch) -> None:
    """Not by ``batch rm``, which refuses: by hand, or on a machine that lost its leases."""
    folder = batch.directory.layout.batch_document(batch.id).parent
    with pytest.raises(BatchNotFoundError, match="was removed meanwhile"):
        batch.run(scheduler, progress=lambda _: set_aside(batch.directory.layout.door, folder))


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_batch_that_is_put_back_while_it_is_run(
    scheduler: str, batch: codebatch.Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``batch rm`` does when it sees the run: what it writes just then is written again."""
    refusals = [OSError(errno.ENOENT, os.strerror(errno.ENOENT))]
    save = Shards.save_outputs

    def save_later(self: Shards, *arguments: Any) -> None:
        with reporting_write_errors(batch.path):
            if refusals:
                raise refusals.pop()
        save(self, *arguments)

    monkeypatch.setattr(Shards, "save_outputs", save_later)
    report = batch.run(scheduler)
    assert (report.status, refusals) == ("done", [])


def test_a_batch_that_is_begun_again_while_it_is_read(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(scanned_copy.path / "indexes", ignore_errors=True)  # which may answer as it is
    read = RowReader.rows

    def begun_again(self: RowReader, *arguments: Any) -> object:
        for path in scanned_copy.path.glob("batches/*/tasks/*/shards/*/state.json"):
            path.unlink()
        return read(self, *arguments)

    monkeypatch.setattr(RowReader, "rows", begun_again)
    with pytest.raises(BatchUnfinishedError, match="changed while it was read"):
        scanned_copy.batch.sql("SELECT count(*), max(json) FROM records")


def test_lists_leave_out_what_goes_meanwhile(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    snapshot_id = batch.load_status().plan.snapshot_id
    batches, snapshots = ["batch-" + "0" * 16, batch.id], ["snap-" + "f" * 16, snapshot_id]
    monkeypatch.setattr(Batches, "ids", lambda _: batches)
    monkeypatch.setattr(Snapshots, "ids", lambda _: snapshots)
    assert [row["batch_id"] for row in store.batches()] == [batch.id]
    assert [row["snapshot_id"] for row in store.snapshots()] == [snapshot_id]
    assert store.find_batch("latest").id == batch.id
    assert store.find_snapshot("latest").id == snapshot_id
    assert store.stats().files > 0


def test_a_snapshot_that_goes_while_a_batch_is_planned(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = scanned_copy.store
    snapshot = store.find_snapshot("latest")
    load = Snapshots.load_manifest

    def load_and_remove(self: Any, snapshot_id: str) -> object:
        files = load(self, snapshot_id)
        remove(scanned_copy.batch)
        return files

    monkeypatch.setattr(Snapshots, "load_manifest", load_and_remove)
    with pytest.raises(SnapshotNotFoundError, match="was removed meanwhile"):
        store.batch(snapshot, "parse")
    assert store.batches() == []


@pytest.mark.parametrize("lost", ["plan.json", "inputs.index.jsonl"])
def test_what_is_damaged_is_still_damage(lost: str, scanned_copy: Scanned) -> None:
    folder = scanned_copy.store.directory.layout.batch_document(scanned_copy.batch.id).parent
    (folder / lost).unlink()
    with pytest.raises(StoreDamagedError):
        scanned_copy.batch.files()


def test_a_batch_is_put_back_over_what_a_writer_has_begun(scanned_copy: Scanned) -> None:
    """A worker that comes late makes the folder anew while ``batch rm`` looks for runs."""
    batch = scanned_copy.batch
    folder = batch.directory.layout.batch_document(batch.id).parent
    aside = set_aside(batch.directory.layout.door, folder)
    assert aside is not None
    write_tree(folder, {"tasks/lint/shards/0/state.json": "{}"})
    put_back(batch.directory.layout.door, aside, folder)
    assert batch.summary()["result"] == scanned_copy.report.result
    codebatch.open_store(batch.path).gc(grace=0)
    assert codebatch.open_store(batch.path).verify().ok
