r"""Rows of any command as a table, JSON, JSON lines, CSV or Markdown, on stdout or into files.

``--format`` is ``FORMAT`` or ``FORMAT:FILE`` and may be given several times, once without a
file at most; ``--json`` is ``--format json``. Machine formats hold every row and every field.
A table is cut to the width of a terminal, and says so. Text that cannot be encoded, as a byte
of a path that is not UTF-8, is spelled ``\udcXX`` as in JSON; tables and Markdown, for people,
spell the byte: ``\xXX``.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import click

from codebatch.cli.render import output
from codebatch.display.widths import first_rows
from codebatch.model.digest import canonical_json
from codebatch.model.errors import OutputError
from codebatch.query.fields import VALUE_TEXT, flat
from codebatch.runtime.lazy import lazily
from codebatch.store.destination import writing_file

with lazily():
    import csv

Row = Mapping[str, object]
Human = Callable[[Any], Iterable[str]]  # of rows, in a list where they are not streamed
Option = Callable[[Any], Any]

TEXT = "text"  # of commands that list no rows
TABLE, JSON, JSONL, CSV, MARKDOWN = FORMATS = ("table", "json", "jsonl", "csv", "md")
# Of a check, whose answer is a report.
REPORT_FORMATS = (TEXT, JSON, JSONL, "sarif", "github", "gitlab", "junit", MARKDOWN)
_HELD_BYTES = 4 * 2**20
_LONGEST_WAIT = 0.1
_ESCAPED = r"\\\g<0>"
_MARKDOWN = re.compile(r"[\\`*_<>\[\]|~&]")


class Destination(NamedTuple):
    """One format, and the file it goes to; None for stdout."""

    format: str
    file: str | None = None


class Columns(NamedTuple):
    """``shown`` are those of a table, of which those ``asked`` for are never left out, ``all``
    those of CSV, which adds what rows have besides; ``head`` is what is above a column in forms
    for people.
    """

    shown: Sequence[str]
    all: Sequence[str]
    asked: Sequence[str] = ()
    head: Callable[[str], str] = output.heading


def write_rows(
    rows: Iterable[Row],
    columns: Columns,
    destinations: Sequence[Destination],
    human: Human | None = None,
) -> None:
    """Write the rows in every form asked for; without one, as ``human`` does, or as a table.

    One form is written while the rows are being read, unless it is a table for a terminal.
    """
    if not is_streamed(destinations):
        rows = list(rows)
    for destination in destinations:
        _write(destination, rows, columns)
    if not destinations:
        lines = _table_here(columns, rows) if human is None else human(rows)
        output.write_lines(lines, paged=True)


def is_streamed(destinations: Sequence[Destination]) -> bool:
    """Return true if the rows are written while they are being read."""
    if is_for_people(destinations) and output.is_terminal():
        return False
    return len(destinations) <= 1


def is_lines(destinations: Sequence[Destination]) -> bool:
    """Return true if nothing but JSON lines is asked for."""
    return [destination.format for destination in destinations] == [JSONL]


def is_for_people(destinations: Sequence[Destination]) -> bool:
    """Return true if nothing but a table or text is asked for."""
    return all(destination.format in (TABLE, TEXT) for destination in destinations)


def format_choice(names: Sequence[str]) -> Option:
    """Return the option for one of these formats, and a file it goes to."""

    def destination(word: str) -> Destination:
        name, colon, file = word.partition(":")
        if name not in names:
            raise click.BadParameter(f"unknown format {name!r}: choose one of {', '.join(names)}")
        if colon and not file:
            raise click.BadParameter(f"{word!r} names no file")
        return Destination(name, None if file in ("", "-") else file)

    return click.option(
        "--format",
        "formats",
        multiple=True,
        callback=lambda _, __, words: tuple(map(destination, words)),
        metavar="FORMAT[:FILE]",
        help=f"One of {', '.join(names)}, to stdout or into a file; may be repeated.",
    )


format_option = format_choice(FORMATS)


def checked(destinations: tuple[Destination, ...]) -> tuple[Destination, ...]:
    """The destinations; `click.UsageError` where two are the same."""
    files = [destination.file for destination in destinations]
    if files.count(None) > 1:
        last = [one.format for one in destinations if one.file is None][-1]
        raise click.UsageError(f"two formats for stdout: give all but one a file, as {last}:FILE")
    for file in files:
        if files.count(file) > 1:
            raise click.UsageError(f"two formats for the same file: {file}")
    return destinations


def _write(destination: Destination, rows: Iterable[Row], columns: Columns) -> None:
    if destination.file is not None:
        with writing_file(destination.file) as stream:
            stream.writelines(_portions(destination.format, rows, columns))
    elif destination.format == TABLE:
        output.write_lines(_table_here(columns, rows), paged=True)
    elif destination.format == JSON and output.is_terminal():
        output.write_document(list(rows))
    else:
        safe = output.without_controls if output.is_terminal() else bytes
        portions = map(safe, _portions(destination.format, rows, columns))
        _write_portions(_begun_late(portions) if destination.format == JSON else portions)


def _begun_late(portions: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the first `_HELD_BYTES` in one piece: an error among them is written in their place,
    as an array that has begun cannot become one.
    """
    first = bytearray()
    for portion in portions:
        first += portion
        if len(first) > _HELD_BYTES:
            break
    yield bytes(first)
    yield from portions


def _write_portions(portions: Iterable[bytes]) -> None:
    """Bytes on stdout: what there is does not wait for more that takes its time to come."""
    stdout = sys.stdout.buffer
    flushed = 0.0
    for portion in portions:
        stdout.write(portion)
        now = time.monotonic()
        if now - flushed > _LONGEST_WAIT:
            stdout.flush()
            flushed = now


def _table_here(columns: Columns, rows: Iterable[Row]) -> Iterator[str]:
    return output.terminal_table(columns.shown, rows, columns.asked, "--format csv", columns.head)


def _portions(name: str, rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    return _WRITERS[name](rows, columns)


def _jsonl(rows: Iterable[Row], _: Columns) -> Iterator[bytes]:
    return (canonical_json(row) + b"\n" for row in rows)


def _json(rows: Iterable[Row], _: Columns) -> Iterator[bytes]:
    """An array, with a row on each line."""
    before = b"["
    for row in rows:
        yield before + output.document_bytes(row)[:-1]
        before = b",\n"
    yield b"[]\n" if before == b"[" else b"]\n"


def _table(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    return map(_line, output.table_lines(columns.shown, rows, head=columns.head))


def _csv(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    """RFC 4180: a header, CR LF; what is no text or number is JSON, what is missing is empty."""
    found = map(flat, rows) if VALUE_TEXT in columns.all else rows
    first, rest = first_rows(found)
    names = dict.fromkeys((*columns.all, *(name for row in first for name in row)))
    yield _csv_line(map(_csv_cell, names))
    for row in chain(first, rest):
        if not row.keys() <= names.keys():
            raise OutputError(
                f"a row has a field that the header of the CSV has not: {min({*row} - {*names})}",
                hints=["have all fields written: --format jsonl"],
            )
        yield _csv_line(_csv_cell(row.get(name)) for name in names)


def _csv_line(cells: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return _encoded(text.getvalue())


def _csv_cell(value: object) -> object:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        # Readers end a text at a NUL, or refuse it.
        return value.replace("\0", "\\u0000")
    return canonical_json(value).decode()


def _markdown(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    shown = columns.shown
    first, rest = first_rows(rows)
    cells = [[output.cell(row.get(column), column) for column in shown] for row in first]
    marks = ["---:" if right else "---" for right in output.numeric_columns(cells, len(shown))]
    heads = [columns.head(column) for column in shown]
    yield _markdown_line([_MARKDOWN.sub(_ESCAPED, head) for head in heads])
    yield _markdown_line(marks)
    more = ([output.cell(row.get(column), column) for column in shown] for row in rest)
    for line in chain(cells, more):
        yield _markdown_line([_MARKDOWN.sub(_ESCAPED, cell) for cell in line])


def _markdown_line(cells: Iterable[str]) -> bytes:
    return _line(f"| {' | '.join(cells)} |")


def _line(text: str) -> bytes:
    return _encoded(text + "\n")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


_WRITERS: Mapping[str, Callable[[Iterable[Row], Columns], Iterator[bytes]]] = {
    TABLE: _table,
    JSON: _json,
    JSONL: _jsonl,
    CSV: _csv,
    MARKDOWN: _markdown,
}
