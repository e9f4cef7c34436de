"""Rows about viewing a batch of a million records.

``errors`` is held against a plain scan that reads every record, and must list the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.commands import PYTHON, codebatch, interleaved, require, run, script, settle
from benchmarks.corpus import commentable, make_corpus, remove
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

SUMMARY = Row("summary", "`summary` of many records / `python -c 'import click'`", 3)
STATUS = Row("status", "`status` of many records / `python -c 'import click'`", 3)
ERRORS = Row("errors", "`errors` of many records / a plain scan of the JSON lines", 0.5)
ROWS = (SUMMARY, STATUS, ERRORS)

_IMPORT_CLICK = (PYTHON, "-c", "import click")


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if not settings.wants(*(row.name for row in ROWS)):
        return
    with settings.folder() as folder:
        store = folder / "store"
        batch_id, records = _make_batch(settings, folder, store)
        note = f"{records:,} records"
        for row in (SUMMARY, STATUS):
            if settings.wants(row.name):
                command = codebatch(row.name, "--batch", batch_id, "--store", store)
                yield ratio_result(row, _pairs(settings, command, _IMPORT_CLICK), note)
        if settings.wants(ERRORS.name):
            yield _measure_errors(settings, store, batch_id, records)


def _make_batch(settings: Settings, folder: Path, store: Path) -> tuple[str, int]:
    """A batch of about the records asked for; each file once says how many files that takes."""
    count = len(commentable(settings.tree))
    _, records = _scan(settings, folder, store, count)
    remove(store)
    return _scan(settings, folder, store, math.ceil(settings.records * count / records))


def _scan(settings: Settings, folder: Path, store: Path, count: int) -> tuple[str, int]:
    tree = make_corpus(settings.tree, folder / "tree", count)
    batch_id = run(codebatch("scan", tree, "--store", store, "--quiet")).stdout.decode().strip()
    remove(tree)
    summary = run(codebatch("summary", "--batch", batch_id, "--store", store, "--json"))
    return batch_id, summary.document()["records"]["total"]


def _measure_errors(settings: Settings, store: Path, batch_id: str, records: int) -> Result:
    ours = codebatch("errors", "--batch", batch_id, "--store", store)
    plain = script("plain_errors.py", store / "batches" / batch_id, records)
    settle()
    first = run(ours)
    findings = run(plain).stdout.splitlines()
    *listed, _totals = first.stdout.splitlines()
    require(sorted(listed) == sorted(findings), "errors and the plain scan list different findings")
    words = f"{records:,} records, {len(listed):,} findings; first time {first.seconds:.3g} s"
    return ratio_result(ERRORS, _pairs(settings, ours, plain), words)


def _pairs(
    settings: Settings, ours: Sequence[str], other: Sequence[str]
) -> Iterator[tuple[float, ...]]:
    """Seconds of two commands in turns, after one turn that does not count."""
    sides = (lambda _: run(ours).seconds, lambda _: run(other).seconds)
    list(interleaved(sides, 1))
    settle()
    yield from interleaved(sides, settings.repeat)
