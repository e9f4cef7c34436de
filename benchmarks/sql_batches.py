"""What the SQL index of many batches costs, that share most of their shards, held against one.

    python -m benchmarks.sql_batches --tree django --batches 100

The batches are of the tree and of changes of it, each of which makes 5 of 256 shards others, 2 %:
two files are edited, which leave a shard for another, as contents choose their shard, and one is
new. A statement is asked of one batch, and of all, without an index and again with it, in turns:
whole commands, wall time and processor time of the command and its children. What an index costs
is the difference; wanted is at most 3 times as much for all as for one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import codebatch as package
from benchmarks.commands import codebatch, costs, settle
from benchmarks.corpus import copy_tree, edited, python_files

_SHARDS = 256
_EDITED = 2
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
        ratios = [_ratios(store, first, chosen.engine) for _ in range(chosen.repeat)]
        wall, cpu = (median(side) for side in zip(*ratios, strict=True))
        print(f"index of {chosen.batches} batches / of one: {wall:.2f}, processor time {cpu:.2f}")


def _make_batches(tree: Path, path: Path, count: int) -> str:
    """Make the batches, and return the id of the first."""
    store = package.open_store(path, create=True)
    files = python_files(tree)
    first = store.batch(store.snapshot(tree), shards=_SHARDS)
    first.run()
    for number in range(1, count):
        chosen = [files[(number * _EDITED + n) % len(files)] for n in range(_EDITED)]
        new = tree / f"new_{number}.py"
        new.write_text(f"new = {number}\n")
        with edited(chosen, f"edit_{number}"):
            store.batch(store.snapshot(tree), shards=_SHARDS).run()
        new.unlink()
        print(f"\rbatch {number + 1}", end="", file=sys.stderr, flush=True)
    return first.id


def _ratios(store: Path, first: str, engine: str) -> tuple[float, float]:
    """Measure a turn, and return how many times the index of one batch takes that of all."""
    made = []
    for name, which in (("one", ("--batch", first)), ("all", ("--all",))):
        shutil.rmtree(store / "indexes" / "sql", ignore_errors=True)
        command = codebatch("sql", _STATEMENT, *which, "--engine", engine, "--store", store)
        without, there = costs(command), costs(command)
        made.append([a - b for a, b in zip(without, there, strict=True)])
        print(
            f"{name}: {without[0]:.2f} s ({without[1]:.2f} s of processors), "
            f"with the index {there[0]:.2f} s ({there[1]:.2f} s)",
            flush=True,
        )
    return made[1][0] / made[0][0], made[1][1] / made[0][1]


if __name__ == "__main__":
    main()
