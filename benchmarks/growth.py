"""Rows about size: what a file costs among many, and the memory it takes.

The corpora are small real files, each unique, of one mix: `make_corpus`.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator

from benchmarks.commands import codebatch, run, settle
from benchmarks.corpus import SMALL_BYTES, make_corpus, read_all
from benchmarks.memory import run_watched
from benchmarks.settings import Settings
from benchmarks.table import Result, Row

GROWTH = Row("growth", "time per file, {:,} files / {:,} files", 1.3)
MEMORY = Row("memory", "peak memory of a process, `scan` of {:,} files", 500, "MB")
ROWS = (GROWTH, MEMORY)

_MEGABYTE = 1e6


def measure(settings: Settings) -> Iterator[Result]:
    """A row for every corpus but the smallest, and the memory of the largest.

    The smallest is scanned before and after the others, as often as is asked for in all; the
    others, which take long, once.
    """
    if not settings.wants(GROWTH.name, MEMORY.name):
        return
    small, *others = settings.files
    after = settings.repeat // 2
    seconds = _small_scans(settings, small, settings.repeat - after)
    large = {count: _large_scan(settings, count) for count in others}
    seconds += _small_scans(settings, small, after)
    if settings.wants(GROWTH.name):
        for count, (taken, _) in large.items():
            yield _growth(small, seconds, count, taken)
    if settings.wants(MEMORY.name):
        count, (_, peak) = max(large.items())
        row = Row(MEMORY.name, MEMORY.work.format(count), MEMORY.target, MEMORY.unit)
        yield Result(row, [peak / _MEGABYTE], "shared pages count in every process")


def _small_scans(settings: Settings, count: int, repeat: int) -> list[float]:
    """Seconds of cold scans of a corpus."""
    seconds = []
    for _ in range(repeat):
        with _scan_of(settings, count) as command:
            seconds.append(run(command).seconds)
    return seconds


def _large_scan(settings: Settings, count: int) -> tuple[float, int]:
    """Seconds of one cold scan of a corpus, and the most bytes that one process held."""
    with _scan_of(settings, count) as command:
        done, peak = run_watched(command)
    return done.seconds, peak


@contextlib.contextmanager
def _scan_of(settings: Settings, count: int) -> Iterator[list[str]]:
    """The command that scans a corpus of its own, which has been read, into an empty store."""
    with settings.folder() as folder:
        tree = make_corpus(settings.tree, folder / "tree", count, SMALL_BYTES)
        read_all(tree)
        settle()
        yield codebatch("scan", tree, "--store", folder / "store", "--quiet")


def _growth(small: int, seconds: list[float], count: int, taken: float) -> Result:
    row = Row(GROWTH.name, GROWTH.work.format(count, small), GROWTH.target)
    values = [(taken / count) / (one / small) for one in seconds]
    note = (
        f"files of up to {SMALL_BYTES:,} bytes; {taken:.1f} s / {statistics.median(seconds):.2f} s"
    )
    return Result(row, values, note)
