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
from typing import TYPE_CHECKING, Any

import click

from codebatch.model.digest import canonical_json
from codebatch.model.records import SEVERITIES
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    import shutil

    from codebatch.cli.render import pager
else:
    shutil = lazy("shutil")  # 2 ms of every command, with bz2 and lzma
    pager = lazy("codebatch.cli.render.pager")

# The columns of a table, each with its value in a row.
Columns = Mapping[str, Callable[[Any], object]]

_CONTROL = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
# What could steer a terminal in JSON or in lines of text.
_STEERING = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)"
_SEVERITY_COLORS = {"error": "red", "warning": "yellow", "info": "cyan"}
_STATUS_COLORS = {"done": "green", "failed": "red", "partial": "yellow", "interrupted": "yellow"}
_PLACES = frozenset({"line", "column", "end_line"})
_SHOWN_APART = frozenset({"kind", "path", "line", "column", "task_id", "shard_id"})
_CUT = "..."
_LEAST = 16
_PORTION = 500
_UNITS = (
    ("year", 31_536_000),
    ("month", 2_592_000),
    ("week", 604_800),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
)


def printable(text: object) -> str:
    """The text with control characters, direction marks and undecodable bytes escaped."""
    shown = str(text)
    # Nothing that has to be escaped is printable to Python, and most texts are.
    return shown if shown.isprintable() else re.sub(_CONTROL, _escape, shown)


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: ``1 file``, ``2 files``; ``many`` where no s makes it."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


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


def stream_document(head: Mapping[str, object], name: str, items: Iterable[object]) -> None:
    """One JSON object on stdout: ``head``, and under ``name`` an array that is written as it comes,
    an item a line.
    """
    opening = document_bytes(head)[:-2] + f', "{name}": ['.encode()
    click.echo(opening, nl=False)
    lines = (document_bytes(item)[:-1] for item in items)
    separator = b"\n"
    while portion := b",\n".join(islice(lines, _PORTION)):
        click.echo(separator + portion, nl=False)
        separator = b",\n"
    click.echo(b"]}")


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
    """Lines on stdout, made printable, some at a time."""
    shown = map(printable, lines)
    while portion := list(islice(shown, _PORTION)):
        click.echo("\n".join(portion))


def write_error(message: str, hints: Iterable[str] = ()) -> None:
    """An error and what to do about it, on stderr."""
    click.echo(f"{click.style('error', fg='red')}: {printable(message)}", err=True)
    for hint in hints:
        click.echo(f"  {printable(hint)}", err=True)


def write_note(message: str) -> None:
    """Something worth knowing, on stderr."""
    click.echo(printable(message), err=True)


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


def terminal_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """The lines of a table, cut to the width of a terminal; stderr says what was cut."""
    return table_lines(columns, rows, terminal_width() if is_terminal() else None)


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


def terminal_width(default: int = 80) -> int:
    """Columns of the terminal, or as many as ``COLUMNS`` says."""
    return shutil.get_terminal_size((default, 24)).columns


def terminal_height() -> int:
    """Rows of the terminal, or as many as ``LINES`` says."""
    return shutil.get_terminal_size().lines


def table_lines(
    columns: Sequence[str], rows: Iterable[Mapping[str, object]], width: int | None = None
) -> Iterator[str]:
    """The lines of a table: heads, then rows; numbers to the right."""
    table = [[cell(row.get(column), column) for column in columns] for row in rows]
    heads = [heading(column) for column in columns]
    natural = [max(map(len, cells)) for cells in zip(heads, *table, strict=True)]
    numeric = numeric_columns(table, len(columns))
    widths = natural if width is None else fitted(columns, natural, numeric, width)
    for cells in (heads, *table):
        shown = (
            _padded(text, columns[index], widths[index], to_the_right=numeric[index])
            for index, text in enumerate(cells)
            if widths[index]
        )
        yield "  ".join(shown).rstrip()
    if widths != natural:
        _note_cut(columns, natural, widths)


def fitted(
    columns: Sequence[str], natural: Sequence[int], numeric: Sequence[bool], width: int
) -> list[int]:
    """Widths with which the columns fit: the widest texts are cut first, down to a few letters,
    then columns are left out (0), from the right; the path, or else the first column, never is.
    """
    widths = list(natural)
    while _total(widths) > width:
        wide = [i for i, size in enumerate(widths) if size > _LEAST and not numeric[i]]
        if not wide:
            break
        widest = max(wide, key=lambda index: (widths[index], index))
        widths[widest] -= 1
    kept = columns.index("path") if "path" in columns else 0
    for index in reversed(range(len(widths))):
        if _total(widths) > width and index != kept:
            widths[index] = 0
    return widths


def cell(value: object, column: str = "") -> str:
    """A value as a table shows it: counts with separators, numbers of lines without."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if column in _PLACES else f"{value:,}"
    if isinstance(value, dict):
        return printable(_plain(value))
    if isinstance(value, list | tuple):
        return printable(", ".join(map(str, map(_plain, value))) or "-")
    return printable(value)


def heading(column: str) -> str:
    """The name of a column as a table shows it."""
    return printable(column.replace("_", " "))


def numeric_columns(table: Sequence[Sequence[str]], number: int) -> list[bool]:
    """Return for each column if it holds numbers alone."""
    columns = zip(*table, strict=True) if table else ([""] for _ in range(number))
    return [any(cells) and all(not text or _is_number(text) for text in cells) for cells in columns]


def place(row: Mapping[str, object]) -> str:
    """``path:line:column``, as far as the record has them."""
    values = (row.get(key) for key in ("path", "line", "column"))
    return ":".join(printable(value) for value in values if value is not None)


def fields_in_words(row: Mapping[str, object]) -> str:
    """``name=value`` for each field of a record that has a value, but its kind and its place."""
    fields = ((name, value) for name, value in row.items() if value is not None)
    return " ".join(
        f"{printable(name)}={printable(_plain(value))}"
        for name, value in fields
        if name not in _SHOWN_APART
    )


def _plain(value: object) -> object:
    return canonical_json(value).decode() if isinstance(value, list | dict) else value


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


def size(number: int) -> str:
    """A number of bytes for people."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def ago(seconds: float) -> str:
    """Return a time in the past in the largest unit that fits: ``3 hours ago``."""
    for unit, length in _UNITS:
        number = int(seconds // length)
        if number > 0:
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"


def _padded(text: str, column: str, width: int, *, to_the_right: bool) -> str:
    if len(text) > width:
        # The end of a path says more than its beginning.
        inner = width - len(_CUT)
        text = _CUT + text[-inner:] if column == "path" else text[:inner] + _CUT
    return text.rjust(width) if to_the_right else text.ljust(width)


def _total(widths: Sequence[int]) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + 2 * (len(shown) - 1)


def _note_cut(columns: Sequence[str], natural: Sequence[int], widths: Sequence[int]) -> None:
    found = [*zip(map(heading, columns), natural, widths, strict=True)]
    short = [name for name, before, now in found if 0 < now < before]
    gone = [name for name, _, now in found if now == 0]
    parts = [f"shortened {', '.join(short)}"] if short else []
    parts += [f"left out {', '.join(gone)}"] if gone else []
    write_note(f"cut to the terminal: {'; '.join(parts)} (all: --format csv)")


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return {10: "\\n", 13: "\\r", 9: "\\t"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def is_terminal(stream: object = None) -> bool:
    """Return true if the stream, stdout unless another is given, is a terminal."""
    return bool(getattr(stream or sys.stdout, "isatty", lambda: False)())
