"""`store-stats`: bytes by kind, what equal files save, what each batch added."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from conftest import Outcome, Scanned, read_outputs, write_outputs, write_tree

import codebatch
from codebatch.maintenance.stats import StoreStats, Usage

Main = Callable[..., Outcome]


def usage(stats: StoreStats, kind: str) -> Usage:
    return next((one for one in stats.kinds if one.kind == kind), Usage(kind))


def size_of(paths: list[Path]) -> int:
    """The bytes of files, each once."""
    return sum({status.st_ino: status.st_size for status in map(os.stat, paths)}.values())


def test_every_byte_is_counted_once(scanned: Scanned) -> None:
    scanned.batch.sql("SELECT 1")  # which keeps an index, and its digest beside it
    stats = scanned.store.stats()
    files = [path for path in scanned.path.rglob("*") if path.is_file()]
    assert stats.total.files == len(files) == sum(one.files for one in stats.kinds)
    assert stats.total.bytes == size_of(files)
    outputs = [path for path in files if path.name == "outputs.index.jsonl.zst"]
    assert usage(stats, "outputs").bytes == size_of(outputs)
    assert usage(stats, "unreferenced objects").files == 0
    assert usage(stats, "other").files == 1  # .gitignore
    assert stats.total.disk_bytes >= stats.total.bytes // 2


def test_every_file_is_of_a_kind(scanned: Scanned) -> None:
    """Each kind of file that a scan writes is named; of none is what keeps the store out of git."""
    kinds = {one.kind: one.files for one in scanned.store.stats().kinds}
    expected = {"store", "snapshots", "manifests", "batches", "inputs", "tasks", "states"}
    assert kinds.keys() >= expected | {"outputs", "memo", "source objects"}
    assert kinds["other"] == 1


def test_what_equal_files_and_compression_save(store: codebatch.Store, tmp_path: Path) -> None:
    text = "value = 1\n" * 1000
    tree = write_tree(tmp_path / "tree", dict.fromkeys("abcd", text))
    store.snapshot(tree)
    store.snapshot(write_tree(tree, {"other": "x"}))
    stats = store.stats()
    assert (stats.snapshots, stats.files) == (2, 9)
    assert (stats.logical_bytes, stats.distinct_bytes) == (8 * 10_000 + 1, 10_001)
    assert stats.deduplication == round(80_001 / 10_001, 2)
    assert stats.stored_bytes == usage(stats, "source objects").bytes < 1000
    assert stats.saving is not None
    assert stats.saving > 80
    empty = codebatch.open_store(tmp_path / "empty", create=True).stats()
    assert (empty.deduplication, empty.compression, empty.saving) == (None, None, None)


def test_packs_and_their_objects(store: codebatch.Store, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {f"{one}.py": f"value = {one}\n" for one in range(40)})
    store.snapshot(tree)
    store.snapshot(write_tree(tree, {"alone.py": "alone = 1\n"}))
    stats = store.stats()
    objects = [path for path in (store.path / "objects").rglob("*") if path.is_file()]
    (index,) = (path for path in objects if path.suffix == ".idx")
    sources, packs = usage(stats, "source objects"), usage(stats, "packs")
    assert (sources.files, sources.objects) == (1, 41)
    assert (packs.files, packs.objects, packs.bytes) == (2, 0, index.stat().st_size)
    assert sources.bytes + packs.bytes == size_of(objects)
    assert sources.bytes == stats.stored_bytes
    assert min(sources.disk_bytes, packs.disk_bytes) >= 0
    assert stats.total.objects == 41
    assert len(stats.largest) == 10
    shutil.rmtree(store.path / "snapshots")
    assert usage(store.stats(), "unreferenced objects").objects == 41


def test_a_pack_that_is_not_what_its_index_says(store: codebatch.Store, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {f"{one}.py": f"value = {one}\n" for one in range(40)})
    store.snapshot(tree)
    (pack,) = store.path.glob("objects/packs/*.pack")
    pack.chmod(0o644)
    pack.write_bytes(b"")
    stats = store.stats()
    assert stats.stored_bytes == 0
    assert usage(stats, "packs").files == 2
    assert stats.total.bytes == size_of([path for path in store.path.rglob("*") if path.is_file()])


def test_what_each_batch_added(scanned_copy: Scanned, tree: Path) -> None:
    store = scanned_copy.store
    write_tree(tree, {"more.py": "more = 1\nless = 2\n"})
    second = store.batch(store.snapshot(tree))
    second.run("sync")
    first, other = store.stats().growth
    assert (first.batch_id, other.batch_id) == (scanned_copy.batch.id, second.id)
    assert first.objects > 20
    assert other.objects == 2  # the file and its tree
    assert 0 < other.object_bytes < first.object_bytes
    assert 0 < other.own_bytes < first.own_bytes  # outputs that are the same files count once
    store.remove_batch(second)
    store.remove_snapshot("latest")
    stats = store.stats()
    assert usage(stats, "unreferenced objects").files == 2
    assert usage(stats, "removed").files > 0


def test_the_largest_objects_have_paths(store: codebatch.Store, tmp_path: Path, main: Main) -> None:
    noise = os.urandom(5000)
    tree = write_tree(tmp_path / "tree", {"big": noise, "copy": noise, "a.py": "a = 1\n"})
    batch = store.batch(store.snapshot(tree))
    batch.run("sync")
    large = store.stats(largest=1).largest
    assert [(one.bytes, one.paths, one.path_count, one.kind) for one in large] == [
        (5000, ("big", "copy"), 2, "source objects")
    ]
    assert ("a.py",) in [one.paths for one in store.stats().largest if one.kind[0] == "d"]
    assert store.stats(largest=0).largest == ()
    found = store.path.rglob("outputs.index.jsonl.zst")
    outputs = next(path for path in found if b'"object"' in read_outputs(path))
    write_outputs(outputs, read_outputs(outputs).replace(b'"kind":', b'"kind"')[:-1])
    assert (5000, 2) in [(one.bytes, one.path_count) for one in store.stats().largest]
    done = main("store-stats", "--store", store.path)
    assert "big and 1 more" in done.out
    assert json.loads(main("store-stats", "--store", store.path, "--json").stdout)["batches"] == 1
