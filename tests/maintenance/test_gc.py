"""Garbage collection: what nothing needs goes, what anybody may rely on stays."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, Scanned, cli_environment, make_tree, write_tree

import codebatch
import codebatch.shard.compute
from codebatch.maintenance.gc.marks import DigestSet
from codebatch.model.errors import LockedError, StoreDamagedError
from codebatch.store import removal as removals
from codebatch.store.door import Door
from codebatch.store.leases import leases
from codebatch.store.objects.packs import Packs
from codebatch.store.snapshots import Snapshots

Main = Callable[..., Outcome]

DAY = 86_400


def objects(store: codebatch.Store) -> dict[str, Path]:
    """The objects by digest, each with the file or the pack that it is in."""
    layout = store.directory.layout
    found = {
        found.digits: Path(found.path) for one in Packs(layout).all() for found in one.frames()
    }
    files = (store.path / "objects/sha256").rglob("*")
    return found | {one.name[:64]: one for one in files if len(one.name.partition(".")[0]) == 64}


def age(path: Path, seconds: float) -> None:
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


def age_all(store: codebatch.Store, seconds: float) -> None:
    """Everything in the store was last touched so long ago."""
    for path in sorted(store.path.rglob("*"), reverse=True):
        age(path, seconds)


def discard(store: codebatch.Store, kind: str, name: str) -> None:
    shutil.rmtree(store.path / kind / name)


def is_whole(store: codebatch.Store, batch: codebatch.Batch) -> bool:
    """Whether all that a batch and its snapshot refer to can be read."""
    assert batch.status()["status"] == "done"
    for file in store.find_snapshot(str(batch.summary()["snapshot_id"])).files:
        store.read_object(file.object)
    for record in batch.records(kind="ast"):
        store.read_object(str(record["object"]))
    return True


@contextlib.contextmanager
def another_process(source: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process, after it has printed a line; it is ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        env=cli_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() != ""
        yield process
    finally:
        process.kill()
        process.communicate()


# -- objects -------------------------------------------------------------------------------------


def test_all_that_is_needed_stays(scanned_copy: Scanned) -> None:
    store = scanned_copy.store
    age_all(store, 400 * DAY)
    before = objects(store)
    report = store.gc(grace=0)
    assert objects(store) == before
    assert report.removed["objects"] == 0
    assert report.kept["objects"] == len(before)
    assert is_whole(store, scanned_copy.batch)


def test_objects_of_removed_batches_and_snapshots_go(scanned_copy: Scanned) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    sources = {file.object[7:] for file in store.find_snapshot("latest").files}
    discard(store, "batches", batch.id)
    size = sum(path.stat().st_size for name, path in objects(store).items() if name not in sources)
    rehearsal = store.gc(dry_run=True, grace=0)
    assert objects(store).keys() > sources
    report = store.gc(grace=0)
    assert objects(store).keys() == sources
    assert (report.removed["objects"], report.removed_bytes["objects"]) == (
        rehearsal.removed["objects"],
        size,
    )
    assert rehearsal.removed_bytes == report.removed_bytes
    discard(store, "snapshots", store.find_snapshot("latest").id)
    store.gc(grace=0)
    assert objects(store) == {}
    store.gc(grace=0)
    assert list((store.path / "objects/sha256").glob("*/*")) == []


def test_objects_are_kept_for_two_weeks(scanned_copy: Scanned) -> None:
    store = scanned_copy.store
    discard(store, "batches", scanned_copy.batch.id)
    number = len(objects(store))
    assert store.gc().removed["objects"] == 0
    age_all(store, 13 * DAY)
    assert store.gc().removed["objects"] == 0
    age_all(store, 2 * DAY)
    assert store.gc().removed["objects"] > 0
    assert len(objects(store)) < number


def test_chunks_are_needed(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebatch.shard.compute, "MAX_OBJECT_BYTES", 100)
    batch, _ = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    before = objects(codebatch.open_store(batch.path))
    assert any("chunked" in record for record in batch.records(kind="ast"))
    assert codebatch.open_store(batch.path).gc(grace=0).removed["objects"] == 0
    assert objects(codebatch.open_store(batch.path)).keys() == before.keys()


def test_nothing_goes_where_a_manifest_is_damaged(scanned_copy: Scanned) -> None:
    store = scanned_copy.store
    manifest = next(store.path.glob("snapshots/*/files.index.jsonl"))
    manifest.write_bytes(manifest.read_bytes()[:-20])
    before = objects(store)
    with pytest.raises(StoreDamagedError):
        store.gc(grace=0)
    assert objects(store) == before


def test_marks_of_very_many_objects() -> None:
    marks = DigestSet()
    digests = [bytes([7, number % 256, number // 256]) + bytes(29) for number in range(5000)]
    for _ in range(3):
        marks.add(digests)
    marks.add([bytes(32)])
    assert marks.starting_with(7) == frozenset(digests)
    assert marks.starting_with(0) == {bytes(32)}
    assert sum(map(len, marks._parts)) < 2 * 32 * len(digests)


def test_an_object_set_aside_by_a_gc_that_was_killed(scanned_copy: Scanned) -> None:
    store = scanned_copy.store
    age_all(store, 30 * DAY)
    path = next(iter(objects(store).values()))
    aside = path.with_name(f".tmp-aside-{path.name}")
    path.rename(aside)
    store.gc()
    assert path.exists()
    assert not aside.exists()
    shutil.copy2(path, aside)
    discard(store, "batches", scanned_copy.batch.id)
    discard(store, "snapshots", store.find_snapshot("latest").id)
    store.gc()
    assert (path.exists(), aside.exists()) == (False, False)


# -- what killed commands leave ------------------------------------------------------------------


def test_temporary_files_go_when_they_are_old(scanned_copy: Scanned) -> None:
    store = scanned_copy.store
    places = ["objects/sha256/aa/bb", "indexes/sql", "leases", f"batches/{scanned_copy.batch.id}"]
    files = [store.path / place / ".tmp-1-abcdef" for place in places]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert store.gc().removed["temporaries"] == 0
    for path in files[1:]:
        age(path, 15 * DAY)
    report = store.gc()
    assert (report.removed["temporaries"], report.removed_bytes["temporaries"]) == (3, 12)
    assert [path.exists() for path in files] == [True, False, False, False]


DOCUMENTS = {"snapshots": "snapshot.json", "batches": "batch.json"}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_what_was_never_finished_goes_when_it_is_old(
    kind: str, store: codebatch.Store, tree: Path
) -> None:
    snapshot = store.snapshot(tree)
    if kind == "batches":
        store.batch(snapshot)
    path = next(store.path.glob(f"{kind}/*/{DOCUMENTS[kind]}"))
    path.unlink()
    assert store.gc().removed["unfinished"] == 0
    age_all(store, 30 * DAY)
    assert store.gc(dry_run=True).removed["unfinished"] == 1
    assert path.parent.exists()
    assert store.gc().removed["unfinished"] == 1
    assert not path.parent.exists()


@pytest.mark.parametrize("kinds", [["batches"], ["snapshots"], ["batches", "snapshots"]])
def test_what_lacks_its_document_alone_stays(kinds: list[str], scanned_copy: Scanned) -> None:
    """A batch that has states was begun, and what a batch names was a snapshot."""
    store = scanned_copy.store
    for kind in kinds:
        next(store.path.glob(f"{kind}/*/{DOCUMENTS[kind]}")).unlink()
    age_all(store, 30 * DAY)
    number = len(objects(store))
    report = store.gc()
    assert (report.removed["unfinished"], report.removed["objects"]) == (0, 0)
    assert len(objects(store)) == number
    assert store.verify(repair=True).ok
    assert is_whole(store, scanned_copy.batch)


def test_stat_caches_of_trees_that_are_gone_or_unused(store: codebatch.Store, tmp_path: Path):
    trees = [write_tree(tmp_path / name, {"a.py": "a = 1\n"}) for name in ("one", "two")]
    for tree in trees:
        store.snapshot(tree)
    caches = store.path / "indexes/stat"
    assert store.gc().removed["stat_caches"] == 0
    shutil.rmtree(trees[0])
    assert store.gc().removed["stat_caches"] == 1
    (left,) = caches.iterdir()
    age(left, 100 * DAY)
    assert store.gc(dry_run=True).removed["stat_caches"] == 1
    store.snapshot(trees[1])  # whether or not anything has changed
    assert store.gc().removed["stat_caches"] == 0
    (caches / "other").write_bytes(b"no cache\n")
    assert store.gc().removed["stat_caches"] == 1


# -- beside writers ------------------------------------------------------------------------------

HOLDING = """
import sys, pathlib, codebatch
from codebatch.store.leases.leases import hold_lease
with hold_lease(codebatch.open_store(sys.argv[1]).directory.layout, "test"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_live_lease_protects_what_was_touched_since(
    scanned_copy: Scanned, tmp_path: Path
) -> None:
    store = scanned_copy.store
    age_all(store, DAY)
    discard(store, "batches", scanned_copy.batch.id)
    discard(store, "snapshots", store.find_snapshot("latest").id)
    number = len(objects(store))
    with another_process(HOLDING, store.path) as process:
        young = next(iter(objects(store).values()))
        os.utime(young)
        report = store.gc(grace=0)
        assert objects(store) == {young.name[:64]: young}
        assert report.removed["objects"] == number - 1
        assert report.protected_by == (
            f"test ({leases.this_process()})".replace(str(os.getpid()), str(process.pid)),
        )
        assert len(leases.read_leases(store.directory.layout)) == 1
    report = store.gc(grace=0)
    assert (report.removed["objects"], report.removed["leases"]) == (1, 1)
    assert leases.read_leases(store.directory.layout) == []


def test_a_snapshot_secures_objects_that_nothing_refers_to(
    store: codebatch.Store, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment in which the manifest appears, no object is old enough to go."""
    first = store.snapshot(tree)
    discard(store, "snapshots", first.id)
    age_all(store, 30 * DAY)
    add = Snapshots.add

    def add_snapshot(*arguments: Any) -> None:
        assert store.gc(grace=0).removed["objects"] == 0
        add(*arguments)

    monkeypatch.setattr(Snapshots, "add", add_snapshot)
    again = store.snapshot(tree)
    assert again.taken is not None
    assert again.taken.created
    for file in again.files:
        store.read_object(file.object)


def test_a_snapshot_of_objects_that_go_meanwhile(
    store: codebatch.Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that were found and are gone when the manifest is due are written again."""
    first = store.snapshot(tree)
    shutil.rmtree(store.path / "snapshots")
    age_all(store, 30 * DAY)
    has = Snapshots.is_whole
    collected = []

    def has_snapshot(*arguments: Any) -> bool:
        if not collected:
            collected.append(store.gc())
        return bool(has(*arguments))

    monkeypatch.setattr(Snapshots, "is_whole", has_snapshot)
    again = store.snapshot(tree)
    assert collected[0].removed["objects"] > 5
    assert again.id == first.id
    for file in again.files:
        store.read_object(file.object)


def test_a_run_secures_the_trees_it_recalls(scanned_copy: Scanned) -> None:
    """Results that the memo remembers refer to objects that no batch may need any more."""
    store = scanned_copy.store
    discard(store, "batches", scanned_copy.batch.id)
    age_all(store, 30 * DAY)
    sources = {file.object[7:] for file in store.find_snapshot("latest").files}
    trees = [path for name, path in objects(store).items() if name not in sources]
    assert store.batch("latest").run("sync").files["computed"] == 0
    assert all(path.stat().st_mtime > time.time() - DAY for path in trees)


def test_an_object_that_is_touched_when_it_is_taken_away_comes_back(
    scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = scanned_copy.store
    discard(store, "batches", scanned_copy.batch.id)
    age_all(store, 30 * DAY)
    remove = removals.remove_if_old
    touched = []

    def touch_first(door: Door, path: str, before_ns: int) -> bool:
        if not touched:
            touched.append(Path(path))
            os.utime(path)
        return remove(door, path, before_ns)

    monkeypatch.setattr("codebatch.maintenance.gc.sweep.remove_if_old", touch_first)
    assert store.gc().removed["objects"] > 2
    assert touched[0].exists()


# -- the lock ------------------------------------------------------------------------------------

LOCKING = """
import sys, codebatch
from codebatch.store.leases.lock import maintenance_lock
layout = codebatch.open_store(sys.argv[1]).directory.layout
with maintenance_lock(layout, "test", "2026-11-01T00:00:00+00:00"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time(store: codebatch.Store, tree: Path, main: Main) -> None:
    snapshot = store.snapshot(tree)
    with another_process(LOCKING, store.path) as process:
        with pytest.raises(LockedError):
            store.gc()
        done = main("gc", "--store", store.path, "--json", "--wait", "0.1")
        error = json.loads(done.stdout)["error"]
        assert (done.code, error["code"]) == (5, "LOCKED")
        assert error["message"].startswith(
            f"the store is locked for 0.1 s by test (process {process.pid} on "
        )
        assert error["details"]["pid"] == process.pid
        assert error["details"]["since"] == "2026-11-01T00:00:00+00:00"
        for words in (["verify", "--repair"], ["snapshot", "rm", snapshot.id]):
            assert main(*words, "--store", store.path).code == 5
        assert main("verify", "--store", store.path).code == 0
        assert store.gc(dry_run=True).removed["objects"] == 0
        assert store.snapshot(store.path.parent).id
        process.kill()
        process.wait()
        assert main("gc", "--store", store.path, "--wait", 240).code == 0
    assert not (store.path / "maintenance.json").exists()


# -- the command ---------------------------------------------------------------------------------


def test_gc_for_people(scanned_copy: Scanned, main: Main) -> None:
    discard(scanned_copy.store, "batches", scanned_copy.batch.id)
    done = main("gc", "--store", scanned_copy.path, "--grace", "0", "--dry-run")
    assert done.code == 0
    assert done.out.startswith("would remove ")
    assert " objects, " in done.out
    done = main("gc", "--store", scanned_copy.path, "--grace", "1h")
    assert done.out.startswith("removed ")
    assert "  0 objects" not in done.out


@pytest.mark.parametrize("text", ["soon", "-1d", "1y", "inf", "nan", "", "5"])
def test_grace_that_is_no_length_of_time(text: str, store: codebatch.Store, main: Main) -> None:
    done = main("gc", "--store", store.path, "--grace", text)
    assert done.code == 2
    assert "length of time" in done.err


def test_gc_and_the_next_scan(tmp_path: Path, cli: Callable[..., Outcome]):
    """A store after gc is one to go on with."""
    tree = make_tree(tmp_path / "tree")
    batch, report = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    discard(codebatch.open_store(batch.path), "batches", batch.id)
    assert cli("gc", "--store", batch.path, "--grace", "0", "--max-memo-bytes", "0").code == 0
    again, second = codebatch.scan(tree, tmp_path / "store", scheduler="sync")
    assert (second.result, second.files["reused"] > 0) == (report.result, True)
    assert is_whole(codebatch.open_store(again.path), again)
