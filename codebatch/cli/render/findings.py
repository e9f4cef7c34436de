"""Findings as people read them: the most severe first, then by file and line.

With their source they are grouped by severity and file, each with its line and a caret; without,
there is a line for each. One that counts all of them is the last.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from codebatch.cli.render import output, pager
from codebatch.cli.render.output import printable
from codebatch.cli.render.source import with_caret
from codebatch.model.errors import StoreDamagedError
from codebatch.model.records import SEVERITIES, path_key
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch import api
    from codebatch.query import sources

Row = Mapping[str, Any]
Source = Callable[[Row], Sequence[str]]  # the lines of the file of a finding

PLAIN = click.option("--plain", is_flag=True, help="A line for each, also on a terminal.")
_CHANGES = {"added": "new ", "removed": "gone ", "severity": "now "}
_PAGE_ROWS = 50
_LEAST_ROWS = 5
_BELOW_A_PAGE = 4  # how many more there are, the counts, and the next prompt
_MOST_CODES = 8


def by_severity(rows: Iterable[Row]) -> list[Row]:
    """Return the findings with the most severe first, then by path, line and column."""
    return sorted(rows, key=_order)


def source_of(batch: api.Batch) -> Source:
    """Return what reads the lines of the file of a finding of the batch; there are none, and a note
    says so, where they are damaged.
    """

    @functools.cache
    def opened() -> sources.Sources:
        plan = batch.directory.batches.load_plan(batch.id)
        return sources.Sources(batch.directory, batch.id, plan)

    def lines(row: Row) -> Sequence[str]:
        try:
            return opened().lines(str(row["path"]), str(row["shard_id"]))
        except StoreDamagedError as error:
            output.write_note(f"the source cannot be shown: {error.message}")
            return ()

    return lines


def listing(
    rows: Sequence[Row], source: Source, limit: int | None, *, plain: bool, whole: bool
) -> Iterator[str]:
    """Yield the lines of the findings, up to so many, and one that counts all; on a terminal with
    their source, unless they are to be ``plain``, and no more than a page where neither ``whole``
    nor a limit is asked for and there is no pager.
    """
    on_terminal = output.is_terminal()
    grouped = on_terminal and not plain
    found = _blocks(rows[:limit], source if grouped else None)
    if on_terminal and limit is None and not (whole or pager.is_paged()):
        found = _first_page(found, output.terminal_height())
    shown = 0
    for block in found:
        yield from block
        shown += 1
    if grouped and rows:
        yield ""
    if shown < len(rows) and limit is None:
        yield f"{output.cut_mark()} {len(rows) - shown:,} more (all: --all)"
    yield _counts(rows) + (f"; {shown:,} shown" if shown < len(rows) else "")


def by_file(rows: Sequence[Row], source: Source) -> Iterator[str]:
    """Yield the lines of the findings by file, each with its line of source and a caret."""
    for path, of_file in itertools.groupby(rows, lambda row: str(row["path"])):
        yield click.style(printable(path), bold=True)
        yield from itertools.chain.from_iterable(_excerpts(list(of_file), source))
        yield ""


def inert(line: str) -> str:
    """Return a line with nothing in it that the log of a build takes for a command of its own, as
    ``::error::`` at its start, where a path may have it: ``./`` leads to the same file.
    """
    line = line.replace("##[", r"##\x5b")
    return f"./{line}" if click.unstyle(line).lstrip().startswith("::") else line


def one_a_line(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each finding."""
    yield from itertools.chain.from_iterable(_blocks(rows, None))


def changes(rows: Iterable[Row], source: Source) -> Iterator[str]:
    """Yield the lines of findings of a comparison, on a terminal with their source, uncounted."""
    shown = source if output.is_terminal() else None
    yield from itertools.chain.from_iterable(_blocks(by_severity(rows), shown))


def plain_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each finding, and one that counts them."""
    yield from one_a_line(rows)
    yield _counts(rows)


def _first_page(blocks: Iterable[list[str]], height: int) -> Iterator[list[str]]:
    """Yield what fits on a screen, which is some findings at least, and not very many."""
    left = height - _BELOW_A_PAGE
    for number, block in enumerate(itertools.islice(blocks, _PAGE_ROWS)):
        left -= len(block)
        if left < 0 and number >= _LEAST_ROWS:
            return
        yield block


def _blocks(rows: Sequence[Row], source: Source | None) -> Iterator[list[str]]:
    """Yield the lines of each finding; the first of a severity or a file have its heading."""
    if source is None:
        yield from ([inert(f"{output.place(row)}: {_in_words(row)}")] for row in rows)
        return
    totals = Counter(str(row["severity"]) for row in rows)
    heads: list[str] = []
    for severity, of_severity in itertools.groupby(rows, lambda row: str(row["severity"])):
        heads.append(click.style(output.of_severity(totals[severity], severity), bold=True))
        for path, of_file in itertools.groupby(of_severity, lambda row: str(row["path"])):
            heads += ["", click.style(printable(path), bold=True)]
            for block in _excerpts(list(of_file), source):
                yield heads + block
                heads = []
        heads = [""]


def _counts(rows: Sequence[Row]) -> str:
    """Return ``3 findings: 1 error, 2 warnings; by code: L101 2, E0001 1``."""
    total = output.findings(Counter(str(row["severity"]) for row in rows))
    codes = Counter(str(row["code"]) for row in rows)
    ordered = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{printable(code)} {number:,}" for code, number in ordered[:_MOST_CODES]]
    if len(ordered) > _MOST_CODES:
        words.append(f"{len(ordered) - _MOST_CODES:,} more codes")
    return f"{total}; by code: {', '.join(words)}" if rows else total


def _order(row: Row) -> tuple[int, bytes, int, int]:
    severity = SEVERITIES.index(row["severity"])
    return severity, path_key(row["path"]), row["line"], row["column"]


def _excerpts(rows: Sequence[Row], source: Source) -> Iterator[list[str]]:
    """Yield the lines of each finding of a file, its source line among them."""
    lines = source(rows[0])
    digits = len(str(max(row["line"] for row in rows)))
    for row in rows:
        number, column = row["line"], row["column"]
        shown = [f"  {number}:{column} {_in_words(row)}"]
        if number <= len(lines):
            shown += with_caret(number, lines[number - 1], column, digits, "    ")
        yield shown


def _in_words(row: Row) -> str:
    """Return ``warning L101 message``, of a comparison with what has changed before it."""
    change = _CHANGES.get(str(row.get("change")), "")
    severity = output.severity(str(row["severity"]))
    return f"{change}{severity} {printable(row['code'])} {printable(row['message'])}"
