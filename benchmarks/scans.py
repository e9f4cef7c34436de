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

COLD = Row("cold", "cold `scan`, Django / floor", 1.6)
LIBRARY = Row("cold-library", "cold `scan`, standard library / floor", 1)
_ONE_FILE = "`scan` after one file changed / cold"
_AGAIN = "`scan` with nothing changed / cold"
_BRANCH = "`scan` of a branch, 2 % of the files differ / cold"
ONE_FILE = Row("one-file", _ONE_FILE, 0.12)
AGAIN = Row("again", _AGAIN, 0.06)
BRANCH = Row("branch", _BRANCH, 0.2)
REMOTE = Row("remote", "cold `scan` of what a remote in a folder has / without it", 0.5)
SIZE = Row("size", "store after `scan`, bytes / input bytes", 0.9)
FILES = Row("files", "files in the store after `scan`", 200, "files")
# The same scans as above, over a cold scan by the CodeBatch of before.
OLD = {
    COLD: Row("cold-before", "cold `scan`, Django / before", 1, needs=("before",)),
    ONE_FILE: Row("one-file-before", f"{_ONE_FILE} before", 0.08, needs=("before",)),
    AGAIN: Row("again-before", f"{_AGAIN} before", 0.045, needs=("before",)),
    BRANCH: Row("branch-before", f"{_BRANCH} before", 0.2, needs=("before",)),
}
ROWS = (COLD, LIBRARY, ONE_FILE, AGAIN, BRANCH, REMOTE, SIZE, FILES, *OLD.values())

_BRANCH_SHARE = 0.02
_MEGABYTE = 1e6


@dataclass
class _Rounds:
    """What the rounds over one tree gave: pairs of seconds, and files computed, by row."""

    pairs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    computed: dict[str, set[int]] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    stored: tuple[int, int, int] = (0, 0, 0)
    before: float = 0.0

    def add(self, row: Row, ours: Run, other: float) -> None:
        """Take a scan with the seconds it is compared to, and those of before where there are some;
        its result must be that of the round before.
        """
        report = ours.document()
        self.pairs.setdefault(row.name, []).append((ours.seconds, other))
        if self.before and row in OLD:
            self.pairs.setdefault(OLD[row].name, []).append((ours.seconds, self.before))
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
        if settings.wants(*(row.name for row in OLD.values())):
            _scan_before(settings, rounds, tree, folder / "before")
        cold = _against_floor(rounds, COLD, tree, store)
        rounds.stored = stored_size(store)
        if settings.wants(REMOTE.name):
            _with_remote(rounds, tree, folder, cold.seconds)
        _incremental(settings, rounds, tree, store, cold.seconds)
        if index == 0 and _is_wanted(settings, BRANCH):
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


def _scan_before(settings: Settings, rounds: _Rounds, tree: Path, store: Path) -> None:
    """A cold scan of the same tree by the CodeBatch of before, which gives the same result."""
    remove(store)
    settle()
    done = _scan(tree, store, of=settings.before)
    rounds.before = done.seconds
    rounds.same(COLD.name, done.document()["result"])


def _incremental(settings: Settings, rounds: _Rounds, tree: Path, store: Path, cold: float) -> None:
    """Scans of the same tree, of one with one edit, and of one with many, in a filled store."""
    if _is_wanted(settings, AGAIN):
        rounds.add(AGAIN, _settled_scan(tree, store), cold)
        rounds.same(COLD.name, rounds.results[AGAIN.name])
    for row, files in ((ONE_FILE, python_files(tree)[:1]), (BRANCH, _branch_files(tree))):
        if _is_wanted(settings, row):
            with edited(files, _mark(row)):
                rounds.add(row, _settled_scan(tree, store), cold)


def _is_wanted(settings: Settings, row: Row) -> bool:
    return settings.wants(row.name, OLD[row].name)


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


def _scan(tree: Path, store: Path, *options: object, of: Path | None = None) -> Run:
    done = run(codebatch("scan", tree, "--store", store, "--json", *options, of=of))
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
    files, total, disk = rounds.stored
    if settings.wants(SIZE.name):
        note = f"{total / _MEGABYTE:.1f} MB in {files:,} files; on disk {disk / size:.2f}"
        yield Result(SIZE, [total / size], note)
    if settings.wants(FILES.name):
        yield Result(FILES, [files], _size_words(tree, size))
    for row, old in OLD.items():
        if settings.wants(old.name):
            words = _computed_words(rounds, row)
            yield ratio_result(old, rounds.pairs[old.name], words)


def _incremental_result(row: Row, rounds: _Rounds, expected: int) -> Result:
    words = _computed_words(rounds, row)
    is_right = rounds.computed[row.name] == {expected}
    faults = [] if is_right else [f"{words}, not {expected:,}"]
    return ratio_result(row, rounds.pairs[row.name], words, faults)


def _computed_words(rounds: _Rounds, row: Row) -> str:
    numbers = " or ".join(f"{number:,}" for number in sorted(rounds.computed[row.name]))
    return f"{numbers} computed"


def _size_words(tree: Path, size: int) -> str:
    return f"{len(files_below(tree)):,} files, {size / _MEGABYTE:.1f} MB"
