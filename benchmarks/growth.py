"""Rows about size: what a file costs among many, and the memory it takes.

The corpora are small real files, each unique, of one mix: `make_corpus`.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.commands import codebatch, run, settle
from benchmarks.corpus import SMALL_BYTES, make_corpus, read_all, stored_size
from benchmarks.memory import run_watched
from benchmarks.settings import Settings
from benchmarks.table import Result, Row

GROWTH = Row("growth", "time per file, {:,} files / {:,} files", 1.3)
MEMORY = Row("memory", "peak memory of a process, `scan` of {:,} files", 500, "MB")
STORED = Row("stored-files", "files in the store after `scan` of {:,} files", 3000, "files")
ROWS = (GROWTH, MEMORY, STORED)

_MEGABYTE = 1e6


def measure(settings: Settings) -> Iterator[Result]:
    """A row for every corpus but the smallest, and the memory and files of the largest.

    The smallest is scanned before and after the others, as often as is asked for in all; the
    others, which take long, once.
    """
    if not settings.wants(*(row.name for row in ROWS)):
        return
    small, *others = settings.files
    after = settings.repeat // 2
    seconds = _small_scans(settings, small, settings.repeat - after)
    large = {count: _large_scan(settings, count) for count in others}
    seconds += _small_scans(settings, small, after)
    if settings.wants(GROWTH.name):
        for count, (taken, _, _) in large.items():
            yield _growth(small, seconds, count, taken)
    count, (_, peak, stored) = max(large.items())
    if settings.wants(MEMORY.name):
        note = "shared pages count in every process"
        yield Result(_row(MEMORY, count), [peak / _MEGABYTE], note)
    if settings.wants(STORED.name):
        yield Result(_row(STORED, count), [stored], f"files of up to {SMALL_BYTES:,} bytes")


def _small_scans(settings: Settings, count: int, repeat: int) -> list[float]:
    """Seconds of cold scans of a corpus."""
    seconds = []
    for _ in range(repeat):
        with _scan_of(settings, count) as (command, _):
            seconds.append(run(command).seconds)
    return seconds


def _large_scan(settings: Settings, count: int) -> tuple[float, int, int]:
    """Seconds of one cold scan of a corpus, the most bytes that one process held, and how many
    files the store has then.
    """
    with _scan_of(settings, count) as (command, store):
        done, peak = run_watched(command)
        return done.seconds, peak, stored_size(store)[0]


@contextlib.contextmanager
def _scan_of(settings: Settings, count: int) -> Iterator[tuple[list[str], Path]]:
    """The command that scans a corpus of its own, which has been read, into an empty store."""
    with settings.folder() as folder:
        tree = make_corpus(settings.tree, folder / "tree", count, SMALL_BYTES)
        read_all(tree)
        settle()
        store = folder / "store"
        yield codebatch("scan", tree, "--store", store, "--quiet"), store


def _row(row: Row, *counts: int) -> Row:
    return replace(row, work=row.work.format(*counts))


def _growth(small: int, seconds: list[float], count: int, taken: float) -> Result:
    row = _row(GROWTH, count, small)
    values = [(taken / count) / (one / small) for one in seconds]
    note = (
        f"files of up to {SMALL_BYTES:,} bytes; {taken:.1f} s / {statistics.median(seconds):.2f} s"
    )
    return Result(row, values, note)
