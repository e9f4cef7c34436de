"""Rows about ``scan``: against the floor, and what is left to do when little has changed.

One round does all of them after one another in a store that starts empty, so every ratio of a
round has the same cold scan below it. A result must be the same in every round, and the result
of an incremental scan that of a cold scan of the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.commands import Run, codebatch, require, run, script, settle
from benchmarks.corpus import (
    copy_tree,
    edited,
    files_below,
    python_files,
    read_all,
    remove,
    stored_size,
)
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result
from codebatch.plan.pipeline import load_pipeline
from codebatch.tasks.languages.python.ruff import RUFF_RULES

COLD = Row("cold", "cold `scan`, Django / floor", 1.5)
LIBRARY = Row("cold-library", "cold `scan`, standard library / floor", 1.3)
ONE_FILE = Row("one-file", "`scan` after one file changed / cold", 0.12)
AGAIN = Row("again", "`scan` with nothing changed / cold", 0.06)
BRANCH = Row("branch", "`scan` of a branch, 2 % of the files differ / cold", 0.2)
REMOTE = Row("remote", "cold `scan` of what a remote in a folder has / without it", 0.5)
SIZE = Row("size", "store after `scan`, bytes / input bytes", 2.2)
ROWS = (COLD, LIBRARY, ONE_FILE, AGAIN, BRANCH, REMOTE, SIZE)

_BRANCH_SHARE = 0.02
_MEGABYTE = 1e6


@dataclass
class _Rounds:
    """What the rounds over one tree gave: pairs of seconds, and files computed, by row."""

    pairs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    computed: dict[str, set[int]] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    stored: tuple[int, int, int] = (0, 0, 0)

    def add(self, row: Row, ours: Run, other: float) -> None:
        """Take a scan with the seconds it is compared to; its result must be that of before."""
        report = ours.document()
        self.pairs.setdefault(row.name, []).append((ours.seconds, other))
        self.computed.setdefault(row.name, set()).add(report["files"]["computed"])
        self.same(row.name, report["result"])

    def same(self, name: str, result: str) -> None:
        """The result of the tree that a row is about is one and the same, however it came."""
        require(self.results.setdefault(name, result) == result, f"{name}: results differ")


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if settings.wants(*(row.name for row in ROWS if row is not LIBRARY)):
        with settings.folder() as folder:
            yield from _measure_tree(settings, folder)
    if settings.wants(LIBRARY.name):
        with settings.folder() as folder:
            tree = copy_tree(settings.library, folder / "tree")
            size = read_all(tree)
            rounds = _Rounds()
            for _ in range(settings.repeat):
                _against_floor(rounds, LIBRARY, tree, folder / "store")
            yield ratio_result(LIBRARY, rounds.pairs[LIBRARY.name], _size_words(tree, size))


def _measure_tree(settings: Settings, folder: Path) -> Iterator[Result]:
    tree, store = copy_tree(settings.tree, folder / "tree"), folder / "store"
    size = read_all(tree)
    rounds = _Rounds()
    for index in range(settings.repeat):
        cold = _against_floor(rounds, COLD, tree, store)
        rounds.stored = stored_size(store)
        if settings.wants(REMOTE.name):
            _with_remote(rounds, tree, folder, cold.seconds)
        _incremental(settings, rounds, tree, store, cold.seconds)
        if index == 0 and settings.wants(BRANCH.name):
            _check_branch(rounds, tree, folder / "other")
    yield from _results(settings, rounds, tree, size)


def _against_floor(rounds: _Rounds, row: Row, tree: Path, store: Path) -> Run:
    """A cold scan after the floor of the same tree."""
    rules = ",".join(sorted(RUFF_RULES))
    remove(store)
    settle()
    floor = run(script("floor.py", tree, rules))
    settle()
    cold = _scan(tree, store)
    files = len(files_below(tree))
    require(floor.document()["files"] == files, "the floor did not read every file")
    rounds.add(row, cold, floor.seconds)
    return cold


def _incremental(settings: Settings, rounds: _Rounds, tree: Path, store: Path, cold: float) -> None:
    """Scans of the same tree, of one with one edit, and of one with many, in a filled store."""
    if settings.wants(AGAIN.name):
        rounds.add(AGAIN, _settled_scan(tree, store), cold)
        rounds.same(COLD.name, rounds.results[AGAIN.name])
    for row, files in ((ONE_FILE, python_files(tree)[:1]), (BRANCH, _branch_files(tree))):
        if settings.wants(row.name):
            with edited(files, _mark(row)):
                rounds.add(row, _settled_scan(tree, store), cold)


def _with_remote(rounds: _Rounds, tree: Path, folder: Path, cold: float) -> None:
    """A cold scan of a tree whose results are in a remote, all of them, from another store."""
    store, remote = folder / "store", folder / "remote"
    run(codebatch("memo", "push", remote, "--store", store))
    settle()
    rounds.add(REMOTE, _scan(tree, folder / "other", "--memo", remote), cold)
    rounds.same(COLD.name, rounds.results[REMOTE.name])
    remove(folder / "other")


def _check_branch(rounds: _Rounds, tree: Path, store: Path) -> None:
    """A cold scan of the branch gives what the incremental one gave."""
    with edited(_branch_files(tree), _mark(BRANCH)):
        rounds.same(BRANCH.name, _scan(tree, store).document()["result"])
    remove(store)


def _branch_files(tree: Path) -> Sequence[Path]:
    """Two files of a hundred, spread over the Python files by path."""
    files = sorted(python_files(tree))
    count = max(2, round(len(files_below(tree)) * _BRANCH_SHARE))
    step = max(1, len(files) // count)
    return files[::step][:count]


def _mark(row: Row) -> str:
    """A name for what is appended, so that no two rows make equal files."""
    return f"edit_{row.name.replace('-', '_')}"


def _scan(tree: Path, store: Path, *options: object) -> Run:
    done = run(codebatch("scan", tree, "--store", store, "--json", *options))
    require(done.document()["status"] == "done", "the scan is not done")
    return done


def _settled_scan(tree: Path, store: Path) -> Run:
    settle()
    return _scan(tree, store)


def _results(settings: Settings, rounds: _Rounds, tree: Path, size: int) -> Iterator[Result]:
    tasks = len(load_pipeline("full").tasks)
    branch = tasks * len(_branch_files(tree))
    expected = {ONE_FILE: tasks, AGAIN: 0, BRANCH: branch, REMOTE: 0}
    if settings.wants(COLD.name):
        yield ratio_result(COLD, rounds.pairs[COLD.name], _size_words(tree, size))
    for row, number in expected.items():
        if settings.wants(row.name):
            yield _incremental_result(row, rounds, number)
    if settings.wants(SIZE.name):
        files, total, disk = rounds.stored
        note = f"{total / _MEGABYTE:.1f} MB in {files:,} files; on disk {disk / size:.2f}"
        yield Result(SIZE, [total / size], note)


def _incremental_result(row: Row, rounds: _Rounds, expected: int) -> Result:
    computed = rounds.computed[row.name]
    words = " or ".join(f"{number:,}" for number in sorted(computed))
    faults = [] if computed == {expected} else [f"{words} results computed, not {expected:,}"]
    return ratio_result(row, rounds.pairs[row.name], f"{words} computed", faults)


def _size_words(tree: Path, size: int) -> str:
    return f"{len(files_below(tree)):,} files, {size / _MEGABYTE:.1f} MB"
