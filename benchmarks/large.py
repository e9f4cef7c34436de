"""Rows about trees that have to be named: a large one, and one of TypeScript.

The large one is scanned by this CodeBatch and by that of before, in turns, and must give the same
result. TypeScript is held against oxlint: one process that parses all files and applies its default
rules to them, on all cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import Run, codebatch, interleaved, require, run, settle
from benchmarks.corpus import copy_tree, files_below, read_all, remove
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result
from codebatch.tasks.languages.ecmascript.oxlint import OXLINT

LARGE = Row("large", "cold `scan` of a large tree / before", 0.5, needs=("large", "before"))
TYPESCRIPT = Row("typescript", "cold `scan` of TypeScript / oxlint", None, needs=("typescript",))
ROWS = (LARGE, TYPESCRIPT)

_MOST_TURNS = 2  # of the large tree, which takes minutes
_MEGABYTE = 1e6


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if settings.wants(LARGE.name) and settings.large:
        with settings.folder() as folder:
            yield _measure_large(settings, settings.large, folder)
    if settings.wants(TYPESCRIPT.name) and settings.typescript:
        with settings.folder() as folder:
            yield _measure_typescript(settings, settings.typescript, folder)


def _measure_large(settings: Settings, source: Path, folder: Path) -> Result:
    tree, words = _copy(source, folder)
    results: set[str] = set()

    def scan(of: Path | None) -> float:
        done = _scan(tree, folder / "store", of)
        results.add(done.document()["result"])
        return done.seconds

    sides = (lambda _: scan(None), lambda _: scan(settings.before))
    pairs = list(interleaved(sides, min(settings.repeat, _MOST_TURNS)))
    faults = [] if len(results) == 1 else [f"{len(results)} results of one tree"]
    return ratio_result(LARGE, pairs, words, faults)


def _measure_typescript(settings: Settings, source: Path, folder: Path) -> Result:
    tree, words = _copy(source, folder)
    # It ends with 1 where it finds an error.
    oxlint = ["sh", "-c", '"$@" || test $? = 1', "sh", OXLINT.binary(), "--no-ignore", str(tree)]

    def direct(_: int) -> float:
        settle()
        return run(oxlint).seconds

    sides = (lambda _: _scan(tree, folder / "store").seconds, direct)
    return ratio_result(TYPESCRIPT, interleaved(sides, settings.repeat), words)


def _scan(tree: Path, store: Path, of: Path | None = None) -> Run:
    """Scan a tree into an empty store."""
    remove(store)
    settle()
    done = run(codebatch("scan", tree, "--store", store, "--json", of=of))
    require(done.document()["status"] == "done", "the scan is not done")
    return done


def _copy(source: Path, folder: Path) -> tuple[Path, str]:
    """A copy of a tree that has been read, and how large it is in words."""
    tree = copy_tree(source, folder / "tree")
    size = read_all(tree) / _MEGABYTE
    return tree, f"{len(files_below(tree)):,} files, {size:.1f} MB"
