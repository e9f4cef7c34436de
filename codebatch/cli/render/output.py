"""What the command line writes: documents and lines on stdout, notes and errors on stderr.

Names and messages come from untrusted trees: whatever could steer a terminal is escaped before
it is written.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import click

from codebatch.display.widths import GAP, first_rows, fits, fitted, padded, shortened, text_width
from codebatch.display.words import (
    ago,
    cell,
    counted,
    numeric_columns,
    plain,
    printable,
    revision,
    size,
)
from codebatch.model.records import SEVERITIES
from codebatch.model.unseen import UNSEEN
from codebatch.runtime.lazy import lazily

with lazily():
    import shutil  # 2 ms of every command, with bz2 and lzma

    from codebatch.cli.render import pager

# Words that notebooks use as well.
__all__ = ["ago", "cell", "counted", "numeric_columns", "printable", "revision", "size"]

# The columns of a table, each with its value in a row.
Columns = Mapping[str, Callable[[Any], object]]

# What could steer a terminal in JSON or in lines of text.
_STEERING = f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{UNSEEN}]|\r(?!\n)"
_SEVERITY_COLORS = {"error": "red", "warning": "yellow", "info": "cyan"}
_STATUS_COLORS = {"done": "green", "failed": "red", "partial": "yellow", "interrupted": "yellow"}
_SHOWN_APART = frozenset({"kind", "path", "line", "column", "task_id", "shard_id"})
_PORTION = 500


def write_document(document: object) -> None:
    """One JSON document on stdout."""
    indent = 2 if is_terminal() else None
    click.echo(document_bytes(document, indent), nl=False)


def document_bytes(document: object, indent: int | None = None) -> bytes:
    """One JSON document and a final newline; nothing in it could steer a terminal."""
    text = json.dumps(document, ensure_ascii=False, indent=indent) + "\n"
    return without_controls(text.encode("utf-8", "backslashreplace"))


def without_controls(data: bytes) -> bytes:
    """JSON, or other text, with what could steer a terminal spelled as JSON spells it."""
    escaped = re.sub(_STEERING, lambda match: f"\\u{ord(match[0]):04x}", data.decode())
    return escaped.encode()


def write_bytes(data: bytes) -> None:
    """Bytes on stdout, which is no terminal, as they are."""
    click.echo(data, nl=False)


def write_line(text: str = "") -> None:
    """One line on stdout; the caller has made foreign parts printable."""
    click.echo(text)


def write_lines(lines: Iterable[str], *, paged: bool = False) -> None:
    """Each line on stdout as it comes; a listing for people (``paged``) that is longer than the
    screen through a pager.
    """
    if paged and is_terminal():
        pager.write_lines(lines)
        return
    for line in lines:
        click.echo(line)


def write_many_lines(lines: Iterable[str]) -> None:
    """Lines on stdout, made printable, some at a time; on a terminal as a listing."""
    shown = map(printable, lines)
    if is_terminal():
        pager.write_lines(shown)
        return
    while portion := list(islice(shown, _PORTION)):
        click.echo("\n".join(portion))


def write_error(message: str, hints: Iterable[str] = ()) -> None:
    """An error and what to do about it, on stderr."""
    click.echo(f"{click.style('error', fg='red')}: {printable(message)}", file=sys.stderr)
    for hint in hints:
        click.echo(f"  {printable(hint)}", file=sys.stderr)


def write_note(message: str) -> None:
    """Something worth knowing, on stderr; above the progress that is drawn there, which takes the
    place of `sys.stderr` (click's own stderr goes around it).
    """
    click.echo(printable(message), file=sys.stderr)


def next_lines(*commands: str, store: str | None = None) -> Iterator[str]:
    """The commands that make sense now; ``store`` is the option as it was given, if it was."""
    yield ""
    for index, command in enumerate(commands):
        words = printable(command + store_option(store))
        yield f"{'next: ' if index == 0 else '      '}{words}"


def store_option(store: str | None) -> str:
    """Return the option with which another command is about the same store."""
    return "" if store is None else f" --store {shlex.quote(store)}"


def table(columns: Columns, rows: Iterable[object]) -> Iterator[str]:
    """The lines of a table of what ``columns`` read from the rows, as `terminal_table`."""
    return terminal_table(
        list(columns), [{name: read(row) for name, read in columns.items()} for row in rows]
    )


def heading(column: str) -> str:
    """The name of a column as a table shows it."""
    return printable(column.replace("_", " "))


def terminal_table(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    asked: Sequence[str] = (),
    whole: str = "--json",
    head: Callable[[str], str] = heading,
) -> Iterator[str]:
    """The lines of a table, cut to the width of a terminal; stderr says what was cut, and that the
    option ``whole`` shows all.
    """
    width = terminal_width() if is_terminal() else None
    return table_lines(columns, rows, width, asked, whole, head)


def is_unicode() -> bool:
    """Return True if lines and boxes can be written to stdout."""
    try:
        "├─●".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def arrow() -> str:
    """Return what stands between an old and a new value."""
    return "→" if is_unicode() else "->"


def cut_mark() -> str:
    """Return what stands where something is left out."""
    return "…" if is_unicode() else "..."


def terminal_width(default: int = 80) -> int:
    """Columns of the terminal, or as many as ``COLUMNS`` says."""
    return shutil.get_terminal_size((default, 24)).columns


def terminal_height() -> int:
    """Rows of the terminal, or as many as ``LINES`` says."""
    return shutil.get_terminal_size().lines


def table_lines(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    width: int | None = None,
    asked: Sequence[str] = (),
    whole: str = "--json",
    head: Callable[[str], str] = heading,
) -> Iterator[str]:
    """The lines of a table: heads, then rows; numbers to the right.

    In a ``width``, columns that were asked for stay, then the path, or else the first column; the
    others go from the right, before them those without a value. Without one, lines come while the
    rows are being read: columns are as wide as the first rows want them, and wider from where
    another one needs more.
    """
    first, rest = first_rows(rows) if width is None else (list(rows), iter(()))
    sheet = _Sheet.of(columns, first, head)
    natural = widths = sheet.natural
    if width is not None:
        natural = sheet.of_values(asked)
        kept = dict.fromkeys((*asked, "path" if "path" in columns else columns[0]))
        order = [columns.index(name) for name in dict.fromkeys((*kept, *columns))]
        widths = fitted(natural, sheet.numeric, width, order, len(kept))
    yield from sheet.lines((sheet.heads, *sheet.cells), widths)
    if widths != natural:
        write_note(f"cut to the terminal: {_cut(columns, natural, widths)} (all: {whole})")
    for row in rest:
        cells = [cell(row.get(column), column) for column in columns]
        widths = [max(*pair) for pair in zip(widths, map(text_width, cells), strict=True)]
        yield from sheet.lines((cells,), widths)


def table_or_records(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """The lines of a table or, on a terminal in which not all its columns have room, a line for
    each value.
    """
    sheet = _Sheet.of(columns, rows if is_terminal() else (), printable)
    if not is_terminal() or fits(sheet.natural, sheet.numeric, terminal_width()):
        yield from terminal_table(columns, rows, columns, "--format csv", printable)
        return
    wide = max(map(text_width, sheet.heads))
    for number, cells in enumerate(sheet.cells, 1):
        yield f"-[ RECORD {number:,} ]{'-' * wide}"
        for head, text in zip(sheet.heads, cells, strict=True):
            yield f"{padded(head, wide)}  {text}".rstrip()


class _Sheet(NamedTuple):
    """The texts of a table, the width of each column, and which columns are numbers."""

    columns: Sequence[str]
    heads: list[str]
    cells: list[list[str]]
    natural: list[int]
    numeric: list[bool]

    @classmethod
    def of(
        cls,
        columns: Sequence[str],
        rows: Iterable[Mapping[str, object]],
        head: Callable[[str], str],
    ) -> _Sheet:
        """Return the sheet of the rows."""
        heads = [head(column) for column in columns]
        cells = [[cell(row.get(column), column) for column in columns] for row in rows]
        natural = [max(map(text_width, texts)) for texts in zip(heads, *cells, strict=True)]
        return cls(columns, heads, cells, natural, numeric_columns(cells, len(columns)))

    def of_values(self, asked: Sequence[str]) -> list[int]:
        """Return the widths, 0 for a column in which no row has a value, unless it is asked for."""
        if not self.cells:
            return self.natural
        filled = map(any, zip(*self.cells, strict=True))
        found = zip(self.columns, self.natural, filled, strict=True)
        return [size if is_filled or name in asked else 0 for name, size, is_filled in found]

    def lines(self, rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
        """Yield lines of texts, with columns of these widths."""
        mark = cut_mark()
        shown = [index for index, size in enumerate(widths) if size]
        for cells in rows:
            texts = (
                padded(
                    shortened(cells[i], widths[i], mark), widths[i], to_the_right=self.numeric[i]
                )
                for i in shown
            )
            yield (" " * GAP).join(texts).rstrip()


def place(row: Mapping[str, object]) -> str:
    """``path:line:column``, as far as the record has them."""
    values = (row.get(key) for key in ("path", "line", "column"))
    return ":".join(printable(value) for value in values if value is not None)


def fields_in_words(row: Mapping[str, object]) -> str:
    """``name=value`` for each field of a record that has a value, but its kind and its place."""
    fields = ((name, value) for name, value in row.items() if value is not None)
    return " ".join(
        f"{printable(name)}={printable(plain(value))}"
        for name, value in fields
        if name not in _SHOWN_APART
    )


def severity(name: str, text: str = "") -> str:
    """A severity, or another text about it, in its colour."""
    return click.style(text or name, fg=_SEVERITY_COLORS.get(name))


def status(text: object) -> str:
    """A status in its colour."""
    return click.style(str(text), fg=_STATUS_COLORS.get(str(text)))


def findings(by_severity: Mapping[str, int]) -> str:
    """``3 findings: 1 error, 2 warnings``."""
    number = sum(by_severity.values())
    words = ", ".join(
        of_severity(by_severity[name], name) for name in SEVERITIES if by_severity.get(name)
    )
    return counted(number, "finding") + (f": {words}" if words else "")


def of_severity(number: int, name: str) -> str:
    """``1 error``, ``2 errors``, ``2 info``, the word in its colour."""
    many = name if name == "info" else f"{name}s"
    return f"{number:,} {severity(name, name if number == 1 else many)}"


def _cut(columns: Sequence[str], natural: Sequence[int], widths: Sequence[int]) -> str:
    found = [*zip(map(heading, columns), natural, widths, strict=True)]
    short = [name for name, before, now in found if 0 < now < before]
    gone = [name for name, before, now in found if now == 0 < before]
    parts = [f"shortened {', '.join(short)}"] if short else []
    parts += [f"left out {', '.join(gone)}"] if gone else []
    return "; ".join(parts)


def is_terminal(stream: object = None) -> bool:
    """Return true if the stream, stdout unless another is given, is a terminal."""
    return bool(getattr(stream or sys.stdout, "isatty", lambda: False)())
