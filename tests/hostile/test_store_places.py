"""Whatever stands in whatever place of a store: nothing outside is touched, nothing waits.

Each part of a real store is replaced in turn by a link that leads out of it (to a copy of what
was there, which would do as well), a named pipe, a folder or a file of 3 GiB of nothing, and
commands of every sort meet it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from conftest import Outcome, Scanned, write_tree

from codebatch.model.errors import EXIT_USAGE
from codebatch.store.objects import pack_writer

SEED = 12
SAMPLE = 5
CODES = {0, 1, 3, 4}
DAY = 24 * 3600

# With the most particular first, so that the glob is that of one place of the kind.
PLACES = (
    *("store.json", ".gitignore", "maintenance.lock", "maintenance.json"),
    *("objects", "objects/sha256", "objects/sha256/??", "objects/sha256/??/??"),
    *("objects/packs", "objects/packs/*.pack", "objects/packs/*.idx"),
    *("objects/sha256/??/??/*", "snapshots", "snapshots/*", "snapshots/*/snapshot.json"),
    *("snapshots/*/files.index.jsonl", "batches", "batches/*", "batches/*/batch.json"),
    *("batches/*/plan.json", "batches/*/inputs.index.jsonl", "batches/*/events.jsonl"),
    *("batches/*/tasks", "batches/*/tasks/lint", "batches/*/tasks/lint/task.json"),
    *("batches/*/tasks/lint/shards", "batches/*/tasks/lint/shards/?"),
    *("batches/*/tasks/lint/shards/?/state.json",),
    *("batches/*/tasks/lint/shards/?/outputs.index.jsonl.zst",),
    *("indexes", "indexes/memo", "indexes/memo/?", "indexes/memo/?/*.memo"),
    *("indexes/shards", "indexes/shards/??", "indexes/shards/??/*"),
    *("indexes/stat", "indexes/stat/*", "indexes/sql", "indexes/sql/*.sqlite"),
    *("indexes/columns", "indexes/columns/??", "indexes/columns/??/*.lz4"),
    *("indexes/sql/*.sha256", "indexes/totals", "indexes/quarantine", "leases"),
    *("names", "names/main"),
    *("leases/batch-0123456789abcdef", "leases/0123.json"),
)
SHAPES = ("link", "pipe", "folder", "sparse")
COMMANDS = (
    *("status --batch B", "summary --batch B", "errors --batch B", "inspect pkg/cart.py --batch B"),
    *("query symbols --batch B --limit 1", "batches", "snapshots", "show B", "diagnose"),
    *("store-stats", "verify --read-data", "gc --dry-run", "snapshot TREE", "plan --batch B"),
    *("scan TREE --scheduler sync", "memo export OUT", "batch rm B --dry-run"),
    *("gc --grace 0", "verify --repair", "sql --batch B SELECT", "batch rm B", "gc --grace 0"),
)
CASES = [(place, shape) for place in PLACES for shape in SHAPES]
CHOSEN = random.Random(SEED).sample(CASES, SAMPLE)


def place_in(store: Path, glob: str) -> Path:
    """The first thing in a place of the store; where it would be, if there is none."""
    return next(iter(sorted(store.glob(glob))), store / glob.replace("?", "0").replace("*", "x"))


def plant(path: Path, shape: str, outside: Path) -> None:
    """Put something into the place, and what was there into the folder outside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    was = outside / "was"
    if path.is_dir() or not path.exists():
        shutil.copytree(path, was) if path.exists() else was.mkdir()
        shutil.rmtree(path, ignore_errors=True)
        shutil.copy(outside / "canary", was)
    else:
        shutil.copy(path, was)
        path.unlink()
    if shape == "link":
        path.symlink_to(was)
    elif shape == "pipe":
        os.mkfifo(path)
    elif shape == "folder":
        path.mkdir()
        (path / "within").write_text("within")
    else:
        with path.open("wb") as stream:
            stream.truncate(3 * 2**30)  # more than a manifest may have


def listing(folder: Path) -> dict[str, tuple[int, int, float]]:
    paths = [folder, *folder.rglob("*")]
    found = {str(path): path.lstat() for path in paths}
    return {path: (s.st_mode, s.st_size, s.st_mtime) for path, s in found.items()}


@pytest.fixture
def in_time() -> Iterator[None]:
    """Nothing waits: an alarm ends the test, as a pipe would keep it for ever."""

    def stop(*_: object) -> None:
        pytest.fail("a command waits")  # which no command takes for an error of its own

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def check(
    glob: str, shape: str, scanned: Scanned, folder: Path, main: Callable[..., Outcome]
) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "canary").write_text("outside")
    main("sql", "--store", scanned.path, "--batch", scanned.batch.id, "SELECT 1")  # an index
    with mock.patch.object(pack_writer, "LEAST_OBJECTS", 1):  # and a pack
        tree = write_tree(folder / "other", {"other.py": "other = 1\n", "more.py": "more = 2\n"})
        main("snapshot", tree, "--store", scanned.path)
    plant(place_in(scanned.path, glob), shape, outside)
    for path in [*outside.rglob("*"), outside]:
        os.utime(path, (path.stat().st_mtime - 100 * DAY,) * 2)
    before = listing(outside)
    values = {"B": scanned.batch.id, "TREE": scanned.tree, "OUT": folder / "memo.tar"}
    values["SELECT"] = "SELECT count(*) FROM records"
    wrong = []
    for command in COMMANDS:
        words = [values.get(word, word) for word in command.split()]
        done = main(*words, "--store", scanned.path)
        is_pending = done.code == EXIT_USAGE and "is done yet: it has no records" in done.err
        if (done.code not in CODES and not is_pending) or "Traceback" in done.err:
            wrong.append(f"{command}: {done.code}: {done.err}")
        assert listing(outside) == before, command
    assert wrong == []


@pytest.mark.parametrize(("glob", "shape"), CHOSEN)
@pytest.mark.usefixtures("in_time")
def test_what_stands_in_a_place_of_a_store(
    glob: str, shape: str, scanned_copy: Scanned, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    check(glob, shape, scanned_copy, tmp_path, main)


@pytest.mark.slow
@pytest.mark.sample(60)
@pytest.mark.parametrize(("glob", "shape"), [case for case in CASES if case not in CHOSEN])
@pytest.mark.usefixtures("in_time")
def test_what_stands_in_any_place_of_a_store(
    glob: str, shape: str, scanned_copy: Scanned, tmp_path: Path, main: Callable[..., Outcome]
) -> None:
    check(glob, shape, scanned_copy, tmp_path, main)
