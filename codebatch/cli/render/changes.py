"""Changes between two batches: a summary with bars, as git's ``--stat``, and file by file."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from codebatch.cli.render import output
from codebatch.cli.render.change_words import contents, finding_words, words_of_file
from codebatch.cli.render.output import counted, printable
from codebatch.cli.render.source import page_width
from codebatch.compare.changes import CHANGED, RENAMED, Change
from codebatch.compare.compare import Comparison
from codebatch.compare.diff import ADDED, REMOVED
from codebatch.display.widths import padded, shortened, text_width

_SIGNS = {ADDED: ("+", "green"), REMOVED: ("-", "red"), CHANGED: ("~", "yellow")}
_HEADINGS = {"kind": "by kind", "code": "by code", "path": "by file"}
_WIDEST_NAME = 0.6  # of the page


def stat_lines(rows: Iterable[Mapping[str, Any]], renames: Mapping[str, str]) -> Iterator[str]:
    """Yield a line with a bar for each row of `count_changes`, under headings; ``renames`` are old
    paths by new ones.
    """
    for by, group in itertools.groupby(rows, lambda row: str(row["by"])):
        yield click.style(_HEADINGS[by], bold=True)
        named = [(_with_old_name(str(row["name"]), renames), row) for row in group]
        yield from _bars([(printable(name), row) for name, row in named])


def change_lines(found: Comparison, changes: Sequence[Change]) -> Iterator[str]:
    """Yield the changes in words, file by file, each file after an empty line."""
    renames = {new: old for old, new in found.rename_map.items()}
    for path, group in itertools.groupby(changes, lambda change: change.path):
        is_broken = path in found.diff.broken
        is_whole = path in found.new_files or path in found.gone_files
        heading = click.style(printable(_with_old_name(path, renames)), bold=True)
        yield f"\n{heading}{_fate(found, path)}"
        of_file = [change for change in group if change.change != RENAMED]
        said = contents(of_file) if is_whole else words_of_file(of_file)
        for change, words in itertools.chain(finding_words(of_file, broken=is_broken), said):
            mark, color = _SIGNS[change]
            yield click.style(f"  {mark} {words}", fg=color)


def total_line(found: Comparison, changes: Sequence[Change]) -> str:
    """Return how many files and records differ."""
    numbers = Counter(change.change for change in changes)
    files = {change.path for change in changes}
    fates = {
        "new": len(found.new_files & files),
        "gone": len(found.gone_files & files),
        RENAMED: numbers[RENAMED],
    }
    words = ", ".join(f"{number:,} {fate}" for fate, number in fates.items() if number)
    return (
        f"{counted(len(files), 'file')} changed{f' ({words})' if words else ''}; records: "
        f"{numbers[ADDED]:,} added, {numbers[REMOVED]:,} removed, {numbers[CHANGED]:,} changed, "
        f"{found.diff.unchanged:,} unchanged"
    )


def _fate(found: Comparison, path: str) -> str:
    if path in found.diff.broken:
        return " (cannot be analysed any more)"
    return " (new)" if path in found.new_files else " (gone)" if path in found.gone_files else ""


def _with_old_name(path: str, renames: Mapping[str, str]) -> str:
    return f"{renames[path]} {output.arrow()} {path}" if path in renames else path


def _bars(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    totals = [sum(int(row[what]) for what in _SIGNS) for _, row in rows]
    digits = len(f"{max(totals):,}")
    width = min(max(text_width(name) for name, _ in rows), int(page_width() * _WIDEST_NAME))
    room = page_width() - width - digits - 6
    scale = min(1.0, room / max(*totals, 1))
    for (name, row), total in zip(rows, totals, strict=True):
        shown = padded(shortened(name, width, output.cut_mark()), width)
        lengths = ((sign, _length(int(row[what]), scale)) for what, sign in _SIGNS.items())
        bar = "".join(click.style(mark * n, fg=color) for (mark, color), n in lengths if n)
        yield f"  {shown} | {total:>{digits},} {bar}".rstrip()


def _length(number: int, scale: float) -> int:
    """Return how long a part of a bar is: what there is shows."""
    return max(1, int(number * scale)) if number else 0
