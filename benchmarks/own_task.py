"""Measure what a task costs that does nothing, by file.

    python -m benchmarks.own_task

Files of a few lines are taken through batches of one and of two tasks that yield nothing, in this
process and on stores of their own. Printed is the processor time by file of the whole run of one,
and what the other adds to it; wanted is at most 40 µs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import codebatch

WANTED = 40e-6


@codebatch.task
def first(file: codebatch.File) -> Sequence[codebatch.Metric]:
    """Do nothing."""
    return ()


@codebatch.task
def second(file: codebatch.File) -> Sequence[codebatch.Metric]:
    """Do nothing."""
    return ()


def main() -> int:
    """Measure, print, and say whether the target was met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_task", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="default: 10000")
    parser.add_argument("--repeat", type=int, default=5, help="default: 5")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = _tree(Path(scratch) / "tree", arguments.files)
        _seconds(Path(scratch) / "warm", tree, [first])
        one, added = [], []
        for number in range(arguments.repeat):
            stores = [Path(scratch) / f"{number}-{tasks}" for tasks in (1, 2)]
            alone = _seconds(stores[0], tree, [first])
            one.append(alone)
            added.append(_seconds(stores[1], tree, [first, second]) - alone)
    whole, more = median(one) / arguments.files, median(added) / arguments.files
    print(f"a run of one empty task: {whole * 1e6:.1f} µs a file")
    print(f"an empty task more: {more * 1e6:.1f} µs a file, wanted at most {WANTED * 1e6:.0f}")
    return 0 if more <= WANTED else 1


def _tree(root: Path, files: int) -> Path:
    for number in range(files):
        folder = root / f"{number % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.py").write_text(f"# file {number}\nx = {number}\n", encoding="ascii")
    return root


def _seconds(store: Path, tree: Path, tasks: Sequence[Callable[..., object]]) -> float:
    """Return the processor time of this process for running tasks over all files."""
    opened = codebatch.open_store(store, create=True)
    batch = opened.batch(opened.snapshot(tree), tasks)
    began = time.process_time()
    batch.run("sync")
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
