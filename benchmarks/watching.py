"""The row about ``scan --watch``: from a save to what it has changed, on stdout.

One process watches the tree. Each save puts a file with one more unused import in the place of
another by a rename, as editors do, and is timed until the document with the new finding is there.
The first document is that of a cold scan, start-up included.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks.commands import codebatch, environment, require, settle
from benchmarks.corpus import copy_tree, files_below, python_files, read_all
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

SAVE = Row("watch", "`scan --watch`, from a save to what is new / cold `scan`", 0.1)
ROWS = (SAVE,)

_SAVES = 3  # each time that others are run once


def measure(settings: Settings) -> Iterator[Result]:
    """The row, if it is wanted."""
    if not settings.wants(SAVE.name):
        return
    with settings.folder() as folder:
        tree = copy_tree(settings.tree, folder / "tree")
        read_all(tree)
        pairs = _watched(tree, folder, _SAVES * settings.repeat)
        yield ratio_result(SAVE, pairs, f"{len(files_below(tree)):,} files")


def _watched(tree: Path, folder: Path, saves: int) -> list[tuple[float, float]]:
    """Return the seconds of each save, with those of the cold scan."""
    settle()
    words = codebatch("scan", tree, "--watch", "--json", "--store", folder / "store")
    began = time.perf_counter()
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            words, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            assert process.stdout is not None
            _read(process.stdout)
            cold = time.perf_counter() - began
            file = python_files(tree)[0]
            return [(_save(file, folder, process.stdout, n), cold) for n in range(saves)]
        finally:
            process.send_signal(signal.SIGINT)


def _save(file: Path, folder: Path, stdout: IO[bytes], number: int) -> float:
    """Save a file, and return after how long its new finding was printed."""
    aside = folder / "aside.py"
    aside.write_bytes(file.read_bytes() + f"\nimport benchmark_{number}\n".encode())
    settle()
    began = time.perf_counter()
    aside.replace(file)
    while not _read(stdout)["new"]:
        pass
    return time.perf_counter() - began


def _read(stdout: IO[bytes]) -> dict[str, list[object]]:
    line = stdout.readline()
    require(line, "scan --watch has ended")
    found: dict[str, list[object]] = json.loads(line)
    return found
