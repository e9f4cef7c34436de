"""Rows about viewing and checking a batch of a million records.

``errors`` is held against a plain scan that reads every record, and must list the same; and, as
``query`` and ``sql``, against the CodeBatch of before, over a store that it has made of the same
tree. The first turn of each, which makes indexes, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import verifying
from benchmarks.commands import PYTHON, codebatch, interleaved, require, run, script, settle
from benchmarks.corpus import commentable, make_corpus
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

SUMMARY = Row("summary", "`summary` of many records / `python -c 'import click'`", 3)
STATUS = Row("status", "`status` of many records / `python -c 'import click'`", 3)
ERRORS = Row("errors", "`errors` of many records / a plain scan of the JSON lines", 0.5)
# What is asked of both, by the row.
_ASKED: dict[Row, Sequence[str]] = {
    Row(
        f"{words[0]}-before", f"`{words[0]}` of many records / before", 1.05, needs=("before",)
    ): words
    for words in (
        ("query", "outputs", "--kind", "symbol", "--format", "jsonl"),
        ("errors",),
        ("sql", "SELECT kind, count(*) FROM records GROUP BY 1 ORDER BY 1"),
    )
}
ROWS = (SUMMARY, STATUS, ERRORS, *verifying.ROWS, *_ASKED)

_IMPORT_CLICK = (PYTHON, "-c", "import click")


@dataclass(frozen=True)
class _Batch:
    """The batch of a store, and how many records it has; ``of`` is the checkout that made it."""

    store: Path
    of: Path | None
    id: str
    records: int

    def asked(self, *words: str) -> list[str]:
        """The command line of a question."""
        return codebatch(*words, "--batch", self.id, "--store", self.store, of=self.of)


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if not settings.wants(*(row.name for row in ROWS)):
        return
    with settings.folder() as folder:
        tree = _make_tree(settings, folder)
        batch = _scan(tree, folder / "store")
        yield from verifying.measure(settings, batch.store)
        note = f"{batch.records:,} records"
        for row in (SUMMARY, STATUS):
            if settings.wants(row.name):
                pairs = _pairs(settings, batch.asked(row.name), _IMPORT_CLICK)
                yield ratio_result(row, pairs, note)
        if settings.wants(ERRORS.name):
            yield _measure_errors(settings, batch)
        if settings.wants(*(row.name for row in _ASKED)):
            yield from _measure_before(
                settings, batch, _scan(tree, folder / "old", settings.before)
            )


def _make_tree(settings: Settings, folder: Path) -> Path:
    """A tree of about the records asked for; each file once says how many files that takes."""
    count = len(commentable(settings.tree))
    once = make_corpus(settings.tree, folder / "once", count)
    files = math.ceil(settings.records * count / _scan(once, folder / "first").records)
    return make_corpus(settings.tree, folder / "tree", files)


def _scan(tree: Path, store: Path, of: Path | None = None) -> _Batch:
    command = codebatch("scan", tree, "--store", store, "--quiet", of=of)
    batch = _Batch(store, of, run(command).stdout.decode().strip(), 0)
    summary = run(batch.asked("summary", "--json")).document()
    return _Batch(store, of, batch.id, summary["records"]["total"])


def _measure_errors(settings: Settings, batch: _Batch) -> Result:
    ours = batch.asked("errors")
    plain = script("plain_errors.py", batch.store / "batches" / batch.id, batch.records)
    settle()
    first = run(ours)
    findings = run(plain).stdout.splitlines()
    *listed, _totals = first.stdout.splitlines()
    require(sorted(listed) == sorted(findings), "errors and the plain scan list different findings")
    words = f"{batch.records:,} records, {len(listed):,} findings"
    note = f"{words}; first time {first.seconds:.3g} s"
    return ratio_result(ERRORS, _pairs(settings, ours, plain), note)


def _measure_before(settings: Settings, batch: _Batch, old: _Batch) -> Iterator[Result]:
    """Rows about the same questions to both, which have the same answers."""
    for row, words in _ASKED.items():
        if settings.wants(row.name):
            ours, theirs = batch.asked(*words), old.asked(*words)
            settle()
            first, other = run(ours), run(theirs)
            faults = [] if first.stdout == other.stdout else ["another answer than before"]
            note = f"first time {first.seconds:.3g} s / {other.seconds:.3g} s"
            yield ratio_result(row, _pairs(settings, ours, theirs), note, faults)


def _pairs(
    settings: Settings, ours: Sequence[str], other: Sequence[str]
) -> Iterator[tuple[float, ...]]:
    """Seconds of two commands in turns, after one turn that does not count."""
    sides = (lambda _: run(ours).seconds, lambda _: run(other).seconds)
    list(interleaved(sides, 1))
    settle()
    yield from interleaved(sides, settings.repeat)
