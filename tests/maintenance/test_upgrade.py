"""`store upgrade`: a store of format 1 becomes one of format 2, whenever it is interrupted."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, read_outputs, write_tree
from verifier import verify_store

import codebatch
from codebatch.maintenance import upgrade
from codebatch.model.errors import LockedError
from codebatch.store import store as stores
from codebatch.store.leases.leases import hold_lease

Main = Callable[..., Outcome]

PLAIN, COMPRESSED = "outputs.index.jsonl", "outputs.index.jsonl.zst"


FILES = {
    "cart.py": "import os\n\n\ndef add(a, b):\n    return a + b  \n",
    "broken.py": "def broken(:\n",
    "price.ts": "import { x } from './x';\nexport const price = 1;\n",
}


@pytest.fixture(scope="module")
def of_format_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of format 1 with two batches that share outputs, and the tree of the second."""
    base = tmp_path_factory.mktemp("format")
    tree = write_tree(base / "tree", FILES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "VERSION", 1)
        store = codebatch.open_store(base / "store", create=True)
    for text in ("import os\n", "import re\n"):
        write_tree(tree, {"more.py": text})
        codebatch.scan(tree, store.path, pipeline="analyze", scheduler="sync")
    return store.path


@pytest.fixture
def old(of_format_1: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", of_format_1, tmp_path / "store"], check=True)  # with its hard links
    return tmp_path / "store"


def answers(path: Path) -> list[Any]:
    store = codebatch.open_store(path)
    return [
        (batch.id, batch.summary(), batch.records().to_list())
        for batch in map(store.find_batch, sorted(p.name for p in path.glob("batches/batch-*")))
    ]


def names(path: Path) -> set[str]:
    return {file.name for file in (path / "batches").rglob("outputs*")}


def test_both_formats_give_the_same(of_format_1: Path, tmp_path: Path) -> None:
    old = codebatch.open_store(of_format_1)
    assert (old.directory.version, names(of_format_1)) == (1, {PLAIN})
    assert not list(of_format_1.glob("objects/packs"))
    verify_store(of_format_1)
    assert old.verify(read_data=True).ok
    codebatch.scan(
        of_format_1.parent / "tree", tmp_path / "new", pipeline="analyze", scheduler="sync"
    )
    place = tmp_path / "new"
    new = codebatch.open_store(place)
    assert (new.directory.version, names(place)) == (2, {COMPRESSED})
    one, other = (store.find_batch("latest") for store in (old, new))
    assert (one.id, one.summary()["result"]) == (other.id, other.summary()["result"])
    assert one.sorted_records().to_list() == other.sorted_records().to_list()


def test_upgrade(old: Path, main: Main) -> None:
    before, plain = answers(old), {p: p.read_bytes() for p in old.rglob(PLAIN)}
    sizes = {path.stat().st_ino: path.stat().st_size for path in plain}
    assert len(sizes) < len(plain)
    done = json.loads(main("store", "upgrade", "--store", old, "--json").stdout)
    assert (done["before"], done["version"], done["removed"]) == (1, 2, len(plain))
    assert done["removed_bytes"] == sum(sizes.values())
    assert done["written"] == len([size for size in sizes.values() if size])
    compressed = {path.with_name(PLAIN): path for path in old.rglob(COMPRESSED)}
    assert {path: read_outputs(one) for path, one in compressed.items()} == {
        path: data for path, data in plain.items() if data
    }
    written = {path.stat().st_ino: path.stat().st_size for path in compressed.values()}
    assert (len(written), sum(written.values())) == (done["written"], done["written_bytes"])
    assert answers(old) == before
    verify_store(old)
    store = codebatch.open_store(old)
    assert store.verify(read_data=True).ok
    assert store.find_batch("latest").run("sync").files["computed"] == 0
    assert "has format 2 already" in main("store", "upgrade", "--store", old).out
    again = store.upgrade()
    assert (again.before, again.written, again.removed) == (2, 0, 0)


STEPS = (
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("write_records", "link_file", "sync_file_system", "remove_file")
    ),
    "raise_version",
)


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_an_upgrade_that_is_cut_short_is_finished_by_the_next(
    step: str, is_done: bool, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = answers(old), getattr(upgrade, step)

    def cut(*arguments: Any, **options: Any) -> None:
        if is_done:
            real(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, step, cut)
        with pytest.raises(KeyboardInterrupt):
            codebatch.open_store(old).upgrade()
    assert answers(old) == before
    report = codebatch.open_store(old).verify(read_data=True)
    assert report.ok, report.problems
    store = codebatch.open_store(old)
    assert store.upgrade().version == store.directory.version == 2
    assert names(old) == {COMPRESSED}
    assert answers(old) == before
    verify_store(old)


def test_what_is_plain_in_a_store_of_format_2_is_read(old: Path) -> None:
    """Whoever had the store open before may write it."""
    batch = codebatch.open_store(old).find_batch("latest")
    before = answers(old)
    codebatch.open_store(old).upgrade()
    assert (batch.id, batch.summary(), batch.records().to_list()) in before
    path = next(old.glob(f"batches/{batch.id}/tasks/analyze/shards/*/{COMPRESSED}"))
    path.with_name(PLAIN).write_bytes(read_outputs(path))
    path.unlink()
    assert answers(old) == before
    assert codebatch.open_store(old).verify(read_data=True).ok


def test_it_is_refused_beside_others(old: Path, main: Main) -> None:
    store = codebatch.open_store(old)
    with hold_lease(store.directory.layout, "run"):
        done = main("store", "upgrade", "--store", old, "--json")
        assert (done.code, json.loads(done.stdout)["error"]["code"]) == (5, "LOCKED")
        with pytest.raises(LockedError, match="run"):
            store.upgrade()
    assert names(old) == {PLAIN}


def test_who_begins_meanwhile_is_waited_for(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = codebatch.open_store(old)
    before, layout = answers(old), store.directory.layout
    with contextlib.ExitStack() as stack, monkeypatch.context() as patch:
        begin = lambda _: stack.enter_context(hold_lease(layout, "run"))  # noqa: E731
        patch.setattr(upgrade, "sync_file_system", begin)
        with pytest.raises(LockedError, match="run"):
            store.upgrade()
    assert codebatch.open_store(old).directory.version == 1
    assert answers(old) == before
    assert store.upgrade().written
    assert names(old) == {COMPRESSED}


def test_what_was_written_plain_meanwhile_is_rewritten_by_the_next(old: Path, main: Main) -> None:
    before = answers(old)
    codebatch.open_store(old).upgrade()
    number = 0
    for path in list(old.rglob(COMPRESSED)):
        if path.stat().st_nlink == 1:
            path.with_name(PLAIN).write_bytes(read_outputs(path))
            path.unlink()
            number += 1
    assert number
    done = main("store", "upgrade", "--store", old).out
    assert "has format 2 already" in done
    assert f"wrote {number} file" in done
    assert names(old) == {COMPRESSED}
    assert answers(old) == before


def test_runs_of_a_process_that_had_it_open(old: Path, tmp_path: Path) -> None:
    def scan(text: str) -> None:
        tree = write_tree(tmp_path / "tree", {"a.py": text})
        codebatch.scan(tree, old, pipeline="analyze", scheduler="sync")

    scan("import os\n")
    codebatch.open_store(old).upgrade()
    scan("import re\n")
    assert names(old) == {COMPRESSED}


def test_gc_removes_outputs_that_are_not_read(old: Path) -> None:
    plain = next(path for path in old.rglob(PLAIN) if path.stat().st_size)
    shutil.copy(plain, plain.with_name("kept"))
    store = codebatch.open_store(old)
    store.upgrade()
    plain.with_name("kept").rename(plain)
    store.gc(grace=0)
    assert not plain.exists()
    assert plain.with_name(COMPRESSED).exists()
