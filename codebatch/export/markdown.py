"""Markdown for the comment of a pull request or the summary of a job.

Against a base, only findings that are new or more severe are listed, by file, with a link to each
place if it is known where the sources are shown. All that comes from a tree is in code spans, in
which neither Markdown nor HTML, mentions nor references mean anything, and on one line.

A comment of GitHub holds 65,536 characters, here counted in units of UTF-16, of which there are
never less. What goes beyond is left out, the least severe first, and the last line says so.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from codebatch.export.results import (
    ABSENT,
    Result,
    Results,
    count_severities,
    load_results,
    place_of,
    relevance_of,
)
from codebatch.export.selection import ExportReport, Selection, severity_words
from codebatch.export.text import line_text, path_uri, short_text
from codebatch.model.records import Record

MAX_CHARACTERS = 65_536
_RESERVE = 1_000  # for the head, and for the line that says what is left out
_TICKS = re.compile("`+")


def write_markdown(selection: Selection, stream: BinaryIO) -> ExportReport:
    """The findings by path and place."""
    results = load_results(selection)
    there = [result for result in results.each if result.state != ABSENT]
    news = sorted((result for result in there if result.is_news), key=relevance_of)
    kept = sorted(_fitting(selection, news) if selection.limited else news, key=place_of)
    left_out = count_severities(news) - count_severities(kept)
    lines = [*_head(results, news, len(there)), *_listed(selection, kept)]
    notes = results.notes
    if left_out:
        note = (
            f"{left_out.total():,} of {len(news):,} findings are left out "
            f"({severity_words(left_out)}), the least severe first: "
            f"a comment holds {MAX_CHARACTERS:,} characters"
        )
        lines += ["", note]
        notes = (*notes, f"{note}; export --no-limit writes all")
    stream.writelines(f"{line}\n".encode() for line in lines)
    return ExportReport(len(kept), dict(left_out), notes)


def _fitting(selection: Selection, news: Sequence[Result]) -> Sequence[Result]:
    """Return the first results for which there is room."""
    room = MAX_CHARACTERS - _RESERVE
    files: set[object] = set()
    for number, result in enumerate(news):
        new_file = result.record["path"] not in files
        lines = _lines_of(selection, [result]) if new_file else [_line(selection, result.record)]
        room -= sum(_length(line) + 1 for line in lines)
        if room < 0:
            return news[:number]
        files.add(result.record["path"])
    return news


def _head(results: Results, news: Sequence[Result], there: int) -> Iterator[str]:
    compared = results.is_compared
    what = "new finding" if compared else "finding"
    yield f"### CodeBatch: {len(news):,} {what}{'' if len(news) == 1 else 's'}"
    parts = [severity_words(count_severities(news))] if news else []
    if compared:
        hidden = f"{results.suppressed:,} suppressed, " if results.suppressed else ""
        parts.append(f"{results.fixed:,} fixed, {hidden}{there - len(news):,} as before")
    if parts:
        yield from ("", "; ".join(parts))


def _listed(selection: Selection, kept: Sequence[Result]) -> Iterator[str]:
    for _, of_file in itertools.groupby(kept, lambda result: result.record["path"]):
        yield from _lines_of(selection, list(of_file))


def _lines_of(selection: Selection, of_file: Sequence[Result]) -> Iterator[str]:
    path = selection.place_of(of_file[0].record)
    yield from ("", f"**{_code(path)}**", "")
    for result in of_file:
        yield _line(selection, result.record)


def _line(selection: Selection, record: Record) -> str:
    place = f"line {record['line']}"
    if selection.link_base is not None:
        uri = path_uri(selection.place_of(record))
        place = f"[{place}]({selection.link_base}/{uri}#L{record['line']})"
    message = _code(short_text(record["message"]))
    return f"- {record['severity']} {_code(record['code'])} {place}: {message}"


def _code(value: object) -> str:
    """Return a code span: its fence is longer than any that is within."""
    text = line_text(value)
    fence = "`" * (max(map(len, _TICKS.findall(text)), default=0) + 1)
    # Of text that is all space, none would be taken away again.
    gap = " " if text[:1] in ("`", " ") or text[-1:] == "`" or not text.strip() else ""
    return f"{fence}{gap}{text}{gap}{fence}"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
