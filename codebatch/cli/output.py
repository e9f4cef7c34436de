"""What the command line writes: documents and lines on stdout, progress and errors on stderr.

Names and messages come from untrusted trees: whatever could steer a terminal is escaped before
it is written.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

import click

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BEYOND_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SEVERITY_COLORS = {"error": "red", "warning": "yellow", "info": "cyan"}
_STATUS_COLORS = {"done": "green", "failed": "red", "partial": "yellow", "interrupted": "yellow"}
_PROGRESS_SECONDS = 5.0
_TERMINAL_SECONDS = 0.1


def printable(text: object) -> str:
    """The text with control characters, direction marks and undecodable bytes escaped."""
    return _CONTROL.sub(_escape, str(text))


def write_document(document: object) -> None:
    """One JSON document on stdout."""
    text = json.dumps(document, ensure_ascii=False, indent=2 if _is_terminal(sys.stdout) else None)
    text = _BEYOND_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    click.echo(text.encode("utf-8", "backslashreplace"))


def write_line(text: str = "") -> None:
    """One line on stdout; the caller has made foreign parts printable."""
    click.echo(text)


def write_error(message: str, hints: Iterable[str] = ()) -> None:
    """An error and what to do about it, on stderr."""
    click.echo(f"{click.style('error', fg='red')}: {printable(message)}", err=True)
    for hint in hints:
        click.echo(f"  {printable(hint)}", err=True)


def write_note(message: str) -> None:
    """Something worth knowing, on stderr."""
    click.echo(printable(message), err=True)


def write_next(*commands: str, store: str | None = None) -> None:
    """The commands that make sense now; ``store`` is the option as it was given, if it was."""
    option = "" if store is None else f" --store {shlex.quote(store)}"
    write_line()
    for index, command in enumerate(commands):
        write_line(f"{'next: ' if index == 0 else '      '}{printable(command + option)}")


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A table of the named columns; numbers to the right, no line for an empty table."""
    table = [[_cell(row[column]) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    widths = [max(map(len, cells)) for cells in zip(heads, *table, strict=True)]
    columns_of_cells = zip(*table, strict=True) if table else ([""] for _ in heads)
    numeric = [all(map(_is_number, cells)) for cells in columns_of_cells]
    for cells in (heads, *table):
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        write_line("  ".join(padded).rstrip())


def severity(text: str) -> str:
    """A severity in its colour."""
    return click.style(text, fg=_SEVERITY_COLORS.get(text))


def status(text: object) -> str:
    """A status in its colour."""
    return click.style(str(text), fg=_STATUS_COLORS.get(str(text)))


def size(number: int) -> str:
    """A number of bytes for people."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


class Progress:
    """A line on stderr: redrawn on a terminal, elsewhere a new one every few seconds.

    State: ``_last`` is when it was last written, ``_drawn`` whether a terminal line is open.
    """

    def __init__(self, label: str, unit: str) -> None:
        self._label = label
        self._unit = unit
        self._live = _is_terminal(sys.stderr) and "CI" not in os.environ
        self._last = time.monotonic() if not self._live else 0.0
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        """Progress of a known total."""
        self._write(f"{self._label}: {done}/{total} {self._unit}", final=done == total)

    def count(self, files: int, total_bytes: int) -> None:
        """Progress of an unknown total."""
        self._write(f"{self._label}: {files} {self._unit}, {size(total_bytes)}", final=False)

    def close(self) -> None:
        """Leave the terminal line."""
        if self._drawn:
            click.echo(err=True)
            self._drawn = False

    def _write(self, text: str, *, final: bool) -> None:
        wait = _TERMINAL_SECONDS if self._live else _PROGRESS_SECONDS
        if time.monotonic() - self._last < wait and not (final and self._live):
            return
        self._last = time.monotonic()
        if self._live:
            click.echo(f"\r{text}\x1b[K", err=True, nl=False, color=True)
            self._drawn = True
        else:
            click.echo(text, err=True)


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return printable(", ".join(map(str, value)) or "-")
    return printable(value)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return {10: "\\n", 13: "\\r", 9: "\\t"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def _is_terminal(stream: object) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())
