"""Rows about ``snapshot``, against git doing the like, with git's defaults.

A snapshot is durable when the command ends. Git by default makes sure of packs and of what a
commit refers to, not of loose objects, which ``git add`` writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import codebatch, interleaved, require, run, settle
from benchmarks.corpus import copy_tree, edited, files_below, python_files, read_all, remove
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

NEW = Row("snapshot", "`snapshot` of a new tree / `git add -A && git write-tree`", 0.3)
SAME = Row("unchanged", "`snapshot` of an unchanged git work tree / `git status`", 2.5)
PLAIN = Row("unchanged-plain", "`snapshot` of the same tree without `.git` / `git status`", 2.5)
REVISION = Row("revision", "`snapshot --rev`, one file other than in a known revision / cold", 0.15)
ROWS = (NEW, SAME, PLAIN, REVISION)

# Beyond the grain of any time stamp: nobody trusts one that was made in the same instant.
_AGE_SECONDS = 2.5
_AUTHOR = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if settings.wants(*(row.name for row in ROWS)):
        with settings.folder() as folder:
            tree = copy_tree(settings.tree, folder / "tree")
            read_all(tree)
            files = f"{len(files_below(tree)):,} files"
            if settings.wants(NEW.name):
                yield _measure_new(settings, tree, folder / "store", files)
            if settings.wants(SAME.name, PLAIN.name):
                yield from _measure_unchanged(settings, tree, folder, files)
    if settings.wants(REVISION.name):
        with settings.folder() as folder:
            yield _measure_revision(settings, folder)


def _measure_new(settings: Settings, tree: Path, store: Path, files: str) -> Result:
    def ours(_: int) -> float:
        remove(store)
        run(codebatch("init", store))
        settle()
        return run(_snapshot(tree, store)).seconds

    def git(_: int) -> float:
        run(["git", "init", "--quiet"], tree)
        settle()
        commands = (["git", "add", "-A"], ["git", "write-tree"])
        seconds = sum(run(command, tree).seconds for command in commands)
        remove(tree / ".git")
        return seconds

    pairs = interleaved((ours, git), settings.repeat)
    return ratio_result(NEW, pairs, f"{files}, durable; git's is not")


def _measure_unchanged(
    settings: Settings, tree: Path, folder: Path, files: str
) -> Iterator[Result]:
    plain = copy_tree(tree, folder / "plain")
    run(["git", "init", "--quiet"], tree)
    _commit(tree)
    time.sleep(_AGE_SECONDS)
    for row, measured in ((SAME, tree), (PLAIN, plain)):
        if settings.wants(row.name):
            yield _measure_status(settings, row, measured, tree, folder / row.name, files)


def _measure_status(
    settings: Settings, row: Row, measured: Path, work_tree: Path, store: Path, files: str
) -> Result:
    """Snapshots of ``measured`` against ``git status`` in ``work_tree``, both warmed up."""
    run(codebatch("init", store))
    taken = run(_snapshot(measured, store)).stdout

    def ours(_: int) -> float:
        done = run(_snapshot(measured, store))
        require(done.stdout == taken, "the same tree has two snapshot ids")
        return done.seconds

    def git(_: int) -> float:
        return run(["git", "status"], work_tree).seconds

    list(interleaved((ours, git), 1))
    settle()
    return ratio_result(row, interleaved((ours, git), settings.repeat), files)


def _measure_revision(settings: Settings, folder: Path) -> Result:
    """Snapshots of a commit against first ones of that before it, in a packed repository."""
    tree, store = copy_tree(settings.tree, folder / "tree"), folder / "store"
    files = f"{len(files_below(tree)):,} files"
    run(["git", "init", "--quiet"], tree)
    _commit(tree)
    with edited(python_files(tree)[:1], "changed"):
        _commit(tree)
        run(["git", "gc", "--quiet"], tree)

        def known(_: int) -> float:
            return run(_snapshot(tree, store, "--rev", "HEAD")).seconds

        def cold(_: int) -> float:
            remove(store)
            run(codebatch("init", store))
            settle()
            return run(_snapshot(tree, store, "--rev", "HEAD~1")).seconds

        pairs = [(second, first) for first, second in interleaved((cold, known), settings.repeat)]
    return ratio_result(REVISION, pairs, files)


def _commit(tree: Path) -> None:
    run(["git", "add", "-A"], tree)
    run(["git", *_AUTHOR, "commit", "--quiet", "-m", "x"], tree)


def _snapshot(tree: Path, store: Path, *options: str) -> list[str]:
    return codebatch("snapshot", tree, "--store", store, "--quiet", *options)
