"""What the SQL index of many batches costs, that share most of their shards, held against one.

    python -m benchmarks.sql_batches --tree django --batches 100

The batches are of the tree and of edits of it: each changes a file in 2 % of the shards. A
statement is asked of one batch, and of all, each time without an index: whole commands, wall time
and processor time of the command and its children, in turns. Wanted is at most 3.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import codebatch as package
from benchmarks.commands import codebatch, run, settle
from benchmarks.corpus import copy_tree, edited, python_files

_SHARDS = 256
_CHANGED = 5
_STATEMENT = "SELECT kind, count(*) FROM records GROUP BY 1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line for each turn, and one for the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sql_batches", description=__doc__)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--engine", choices=("sqlite", "duckdb"), default="sqlite")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where to work; default: the temporary folder")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
        store = Path(folder) / "store"
        first = _make_batches(copy_tree(chosen.tree, Path(folder) / "tree"), store, chosen.batches)
        settle()
        ratios = []
        for one, every in _turns(store, first, chosen.engine, chosen.repeat):
            ratios.append([b / a for a, b in zip(one, every, strict=True)])
            print(
                f"one {one[0]:.2f} s ({one[1]:.2f} s of processors), all {every[0]:.2f} s "
                f"({every[1]:.2f} s)",
                flush=True,
            )
        wall, cpu = (median(side) for side in zip(*ratios, strict=True))
        print(f"{chosen.batches} batches / one: {wall:.2f}, of processor time {cpu:.2f}")


def _make_batches(tree: Path, path: Path, count: int) -> str:
    """Make the batches, and return the id of the first."""
    store = package.open_store(path, create=True)
    files = python_files(tree)
    first = store.batch(store.snapshot(tree), shards=_SHARDS)
    first.run()
    for number in range(1, count):
        chosen = [files[(number * _CHANGED + n) % len(files)] for n in range(_CHANGED)]
        with edited(chosen, f"edit_{number}"):
            store.batch(store.snapshot(tree), shards=_SHARDS).run()
        print(f"\rbatch {number + 1}", end="", file=sys.stderr, flush=True)
    return first.id


def _turns(
    store: Path, first: str, engine: str, repeat: int
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    for _ in range(repeat):
        one, every = (_timed(store, engine, which) for which in (("--batch", first), ("--all",)))
        yield one, every


def _timed(store: Path, engine: str, which: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of a statement without an index: of the clock, and of processors."""
    shutil.rmtree(store / "indexes" / "sql", ignore_errors=True)
    before = _processor_seconds()
    done = run(codebatch("sql", _STATEMENT, *which, "--engine", engine, "--store", store))
    return done.seconds, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
