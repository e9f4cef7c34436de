"""`watch`: which changes of a tree are scanned, what is told of them, and what a store keeps."""

from __future__ import annotations

import os
import queue
import random
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import write_tree
from repositories import git

import codebatch
from codebatch import api
from codebatch.api.scanning import prepare_scan
from codebatch.model.errors import MissingExtraError, SourceNotFoundError
from codebatch.store.inventory import removed_folders

WAIT = 60  # seconds, for what takes a fraction of one
UNUSED = "import os\n"
Failure = BaseException | None
Take = Callable[[Collection[bytes]], codebatch.Snapshot]


class Watch:
    """A tree that is watched in another thread; ``next`` is what it tells next."""

    def __init__(self, tree: Path, store: Path) -> None:
        self.tree, self.store = tree, store
        self.taken = 0
        self.same_names: Collection[bytes] = ()
        self.stop = threading.Event()
        self._updates: queue.SimpleQueue[codebatch.ScanUpdate | Failure] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._follow)

    def _follow(self) -> None:
        try:
            scan = prepare_scan(self.tree, self.store, scheduler="sync")
            counted = scan._replace(take=lambda same: self._counted(scan.take, same))
            for update in api.follow(counted, self.stop):
                self._updates.put(update)
            self._updates.put(None)
        except BaseException as error:  # noqa: BLE001 - it is for the test to see
            self._updates.put(error)

    def _counted(self, take: Take, same_names: Collection[bytes]) -> codebatch.Snapshot:
        self.taken += 1
        self.same_names = same_names
        return take(same_names)

    def next(self) -> codebatch.ScanUpdate:
        update = self._updates.get(timeout=WAIT)
        assert isinstance(update, codebatch.ScanUpdate), update
        return update

    def write(self, name: str, text: str) -> codebatch.ScanUpdate:
        """Write a file, and return what that changes."""
        write_tree(self.tree, {name: text})
        return self.next()

    def end(self) -> None:
        if self.stop.is_set():
            return
        self.stop.set()
        self._thread.join(WAIT)
        while (update := self._updates.get(timeout=WAIT)) is not None:
            assert isinstance(update, codebatch.ScanUpdate), update

    def start(self) -> codebatch.ScanUpdate:
        self._thread.start()
        return self.next()


@contextmanager
def watched(tree: Path, store: Path) -> Iterator[Watch]:
    watch = Watch(tree, store)
    first = watch.start()
    assert (first.base, first.new, first.fixed, first.error) == (None, [], [], None)
    try:
        yield watch
    finally:
        watch.end()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A small tree, with the store in it, as it is by default."""
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n", "pkg/b.py": UNUSED})
    with watched(tree, tree / ".codebatch") as started:
        yield started


def places(found: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(one["path"], one["code"], one["change"]) for one in found]


def test_an_update_has_what_is_new_and_what_is_fixed(watch: Watch) -> None:
    update = watch.write("a.py", "import sys\n")
    assert places(update.new) == [("a.py", "L101", "added")]
    assert update.fixed == []
    assert update.batch
    assert update.report
    assert update.base
    assert update.report.status == "done"
    again = watch.write("pkg/b.py", "y = 1\n")
    assert (places(again.new), places(again.fixed)) == ([], [("pkg/b.py", "L101", "removed")])
    assert again.base
    assert again.base.id == update.batch.id


def test_a_file_that_is_replaced_by_a_rename_is_seen(watch: Watch) -> None:
    aside = watch.tree / "a.py.tmp"
    aside.write_text("import sys\n")
    aside.replace(watch.tree / "a.py")
    found = watch.next()
    if not found.new:  # the scan saw the file beside it alone
        found = watch.next()
    assert ("a.py", "L101", "added") in places(found.new)
    assert b"." in watch.same_names  # a file of the same name: the folder need not be walked


def test_snapshots_are_those_of_a_walk_whatever_has_happened(watch: Watch) -> None:
    choose = random.Random(1)
    names = ["a.py", "b.py", "pkg/b.py", "pkg/c.py", "pkg/deep/d.py"]
    store = codebatch.open_store(watch.store.with_name(".codebatch-other"), create=True)

    def step(number: int) -> None:
        path = watch.tree / choose.choice(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = watch.tree / f"aside{number}.tmp"
        match choose.randrange(4):
            case 0:
                path.write_text(f"x = {number}\n")
            case 1:
                aside.write_text(f"y = {number}\n")
                aside.replace(path)
            case 2:
                path.unlink(missing_ok=True)
            case 3:
                path.parent.rename(aside) if path.parent != watch.tree else path.touch()

    last = None
    for number in range(40):
        step(number)
        if number % 4 == 3:
            wanted = store.snapshot(watch.tree, use_cache=False).id
            while last is None or last.id != wanted:
                last = watch.next().snapshot


def test_a_syntax_error_is_a_finding_and_what_was_found_is_not_fixed(watch: Watch) -> None:
    update = watch.write("pkg/b.py", "import os\ndef f(:\n")
    assert places(update.new) == [("pkg/b.py", "E0001", "added")]
    assert update.fixed == []


def test_folders_come_move_and_go(watch: Watch) -> None:
    update = watch.write("new/deep/c.py", UNUSED)
    if not update.new:  # seen with the folder, before the file was there
        update = watch.next()
    assert places(update.new) == [("new/deep/c.py", "L101", "added")]
    (watch.tree / "new").rename(watch.tree / "moved")
    assert watch.next().error is None
    moved = watch.write("moved/deep/c.py", "import sys\n")  # a folder with another name is watched
    assert places(moved.new) == [("moved/deep/c.py", "L101", "added")]
    shutil.rmtree(watch.tree / "moved")
    gone = watch.next()
    while not gone.fixed:
        gone = watch.next()
    assert places(gone.fixed) == [("moved/deep/c.py", "L101", "removed")]


def test_what_is_ignored_is_not_looked_at(tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path / "tree",
        {".gitignore": "*.log\nbuild/\n", "a.py": "x = 1\n", "out.log": "", "build/x.py": UNUSED},
    )
    git(tree, "init", "-q")
    (tree / "outside").symlink_to(tmp_path)
    with watched(tree, tree / ".codebatch") as watch:
        for number in range(5):
            (tree / "out.log").write_text(f"{number}\n")
            (tree / "build/x.py").write_text(f"import sys  # {number}\n")
            (tree / ".git/description").write_text(f"{number}\n")
            (tmp_path / "beside").write_text(f"{number}\n")  # behind the link
        assert watch.taken == 1
        assert places(watch.write("a.py", UNUSED).new) == [("a.py", "L101", "added")]
        assert watch.taken == 2
        shown = watch.write(".gitignore", "*.log\n")  # what was ignored is not any more
        assert ("build/x.py", "L101", "added") in places(shown.new)
        assert places(watch.write("build/x.py", "x = 1\n").fixed) == [
            ("build/x.py", "L101", "removed")
        ]


def test_the_same_content_is_no_update(watch: Watch) -> None:
    os.utime(watch.tree / "a.py")
    (watch.tree / "a.py").write_text("x = 1\n")
    assert places(watch.write("pkg/b.py", "import sys\n").new) == [("pkg/b.py", "L101", "added")]


def test_names_that_are_not_utf_8_do_not_end_the_watch(watch: Watch) -> None:
    with open(os.fsencode(watch.tree) + b"/caf\xe9.py", "w") as stream:
        stream.write(UNUSED)
    update = watch.next()
    while not update.new:  # the scan saw the file before there was something in it
        update = watch.next()
    assert places(update.new) == [("caf\udce9.py", "L101", "added")]
    (watch.tree / "a.py").write_text("import sys\n")
    assert places(watch.next().new) == [("a.py", "L101", "added")]


def test_of_the_batches_the_first_and_the_last_stay(watch: Watch) -> None:
    store = codebatch.open_store(watch.store)
    (first,) = store.batches()
    named = watch.write("a.py", "import re\n").batch
    assert named
    store.names["kept"] = named
    ids = [watch.write("a.py", f"import os, m{number}\n").batch for number in range(3)]
    watch.end()
    last = ids[-1]
    assert last
    assert {row["batch_id"] for row in store.batches()} == {first["batch_id"], named.id, last.id}
    assert len(store.snapshots()) == 3
    assert not removed_folders(store.directory.layout)
    assert store.verify().ok


def test_a_root_that_goes_and_comes_back(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    with watched(tree, tmp_path / "store") as watch:
        tree.rename(tmp_path / "aside")
        assert isinstance(watch.next().error, SourceNotFoundError)
        (tmp_path / "aside").rename(tree)
        update = watch.write("a.py", UNUSED)
        if not update.new:
            update = watch.next()
        assert places(update.new) == [("a.py", "L101", "added")]


def test_what_goes_wrong_with_a_scan_is_told_and_the_next_one_works(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n", "p.json": "[]"})
    pipeline = tree / "p.json"
    pipeline.write_text('{"name": "own", "tasks": [{"id": "lint", "task": "lint"}]}')
    stop, updates = threading.Event(), []
    for update in codebatch.watch(
        tree, tmp_path / "store", stop=stop, pipeline=pipeline, scheduler="sync"
    ):
        updates.append(update)
        if len(updates) == 1:
            pipeline.write_text('{"name": "own"}')
        elif update.error is not None and len(updates) == 2:
            assert update.error.code == "PIPELINE_INVALID"
            pipeline.write_text('{"name": "own", "tasks": [{"id": "lint", "task": "lint"}]} ')
        elif update.error is None:
            stop.set()
    assert updates[-1].report
    assert updates[-1].report.status == "done"


def test_watching_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match="watchfiles") as raised:
        next(codebatch.watch(write_tree(tmp_path / "t", {"a.py": ""}), tmp_path / "store"))
    assert raised.value.hints == ("pip install 'codebatch[watch]'",)
    assert not (tmp_path / "store").exists()


def test_a_run_that_fails_is_told_and_the_next_is_compared_with_the_one_before(
    tmp_path: Path,
) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})
    scan = prepare_scan(tree, tmp_path / "store", scheduler="sync")
    stop, updates = threading.Event(), []

    def run(snapshot: codebatch.Snapshot) -> tuple[codebatch.Batch, codebatch.RunReport]:
        batch, report = scan.run(snapshot)
        return batch, replace(report, status="failed") if len(updates) == 1 else report

    for update in api.follow(scan._replace(run=run), stop):
        updates.append(update)
        write_tree(aside := tmp_path / "aside", {"a.py": "import os\n" * len(updates)})
        (aside / "a.py").replace(tree / "a.py")
        if len(updates) == 3:
            stop.set()
    first, failed, last = updates
    assert failed.report
    assert (failed.report.status, failed.base, failed.new) == ("failed", None, [])
    assert last.base == first.batch
    assert places(last.new) == [("a.py", "L101", "added")]
