"""Rows about ``check``: a second one against the same base, after one more file changed.

Every round starts with a store that is empty: a cold scan, and, in another store, a first check of
a work tree of git against its commit, and a second one. The base of both is that commit, which is
read from the objects of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import Run, codebatch, require, run, settle
from benchmarks.corpus import copy_tree, edited, files_below, python_files, read_all, remove
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

SECOND = Row("check", "second `check` of a commit, one more file changed / first", 0.25)
ONE_FILE = Row("check-one-file", "`check` after one file changed / cold `scan`", 0.12)
ROWS = (SECOND, ONE_FILE)

_AUTHOR = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if not settings.wants(*(row.name for row in ROWS)):
        return
    with settings.folder() as folder:
        tree = copy_tree(settings.tree, folder / "tree")
        read_all(tree)
        files = f"{len(files_below(tree)):,} files"
        for words in (["init", "--quiet"], ["add", "-A"], [*_AUTHOR, "commit", "-qm", "all"]):
            run(["git", *words], tree)
        rounds = [_round(tree, folder / "store") for _ in range(settings.repeat)]
    for row, pairs in zip(ROWS, zip(*rounds, strict=True), strict=True):
        if settings.wants(row.name):
            yield ratio_result(row, pairs, files)


def _round(tree: Path, store: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the seconds of the second check with those of the first, and of a cold scan."""
    remove(store)
    settle()
    cold = run(codebatch("scan", tree, "--store", store)).seconds
    remove(store)
    settle()
    one, other = python_files(tree)[:2]
    with edited([one], "first"):
        first = _check(tree, store)
        settle()
        with edited([other], "second"):
            second = _check(tree, store)
    require(first.document()["base"] == second.document()["base"], "a commit has two batches")
    return (second.seconds, first.seconds), (second.seconds, cold)


def _check(tree: Path, store: Path) -> Run:
    return run(codebatch("check", tree, "--base", "HEAD", "--store", store, "--json"))
