"""Lines of source for people, numbered, with a caret that stands under its column.

A character may take no place or two, a tab several, and one that could steer the terminal is shown
escaped. Of a line that is too long, the part around the column is shown, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

from codebatch.cli.render.output import cut_mark, printable, terminal_width
from codebatch.display.widths import text_width

_TAB_WIDTH = 4
_WIDEST = 160
_NARROWEST = 40


class _Cell(NamedTuple):
    """One character of the source as it is printed, and how many columns that takes."""

    text: str
    width: int


def page_width() -> int:
    """Columns to write into: the terminal's, within reason."""
    return min(max(terminal_width(100), _NARROWEST), _WIDEST)


def with_caret(number: int, line: str, column: int, digits: int, indent: str = "") -> list[str]:
    """The numbered line, and a line with the caret under ``column`` (from 1, in characters)."""
    gutter = f"{indent}{number:>{digits}} | "
    text, caret = _clipped(line, column, page_width() - len(gutter))
    blank = f"{indent}{'':>{digits}} | "
    return [_row(gutter, text), _row(blank, f"{' ' * caret}^")]


def numbered(number: int, line: str, digits: int, mark: str = " ") -> str:
    """The numbered line, cut to the page; ``mark`` stands before the number."""
    gutter = f"{mark} {number:>{digits}} | "
    text, _ = _clipped(line, 1, page_width() - len(gutter))
    return _row(gutter, text)


def _row(gutter: str, text: str) -> str:
    return f"{click.style(gutter.rstrip(), dim=True)} {text}".rstrip()


def _clipped(line: str, column: int, room: int) -> tuple[str, int]:
    """Return as much of the line as there is room for, and the place of ``column`` in it.

    Of a very long line, only what is near the column is looked at.
    """
    left_out = max(0, column - 1 - 2 * room)
    end = left_out + 4 * room
    cells = _cells(line[left_out:end])
    before = cells[: column - 1 - left_out]
    caret = _width(before)
    if not left_out and end >= len(line) and _width(cells) <= room:
        return _text(cells), caret
    first = _cells_before(before, room // 2) if left_out or caret >= room - 1 else 0
    mark = cut_mark()
    head = mark if left_out or first else ""
    last, used = first, len(head) + len(mark) - 1
    while last < len(cells) and used + cells[last].width < room:
        used += cells[last].width
        last += 1
    tail = mark if last < len(cells) or end < len(line) else ""
    return head + _text(cells[first:last]) + tail, caret - _width(cells[:first]) + len(head)


def _cells_before(line: Sequence[_Cell], width: int) -> int:
    """Index of the first of the last cells that fit into ``width``."""
    index = len(line)
    while index > 0 and width >= line[index - 1].width:
        width -= line[index - 1].width
        index -= 1
    return index


def _cells(line: str) -> list[_Cell]:
    """The characters of a line as they are printed."""
    found: list[_Cell] = []
    at = 0
    for character in line:
        is_tab = character == "\t"
        text = " " * (_TAB_WIDTH - at % _TAB_WIDTH) if is_tab else printable(character)
        found.append(_Cell(text, text_width(text)))
        at += found[-1].width
    return found


def _width(cells: Sequence[_Cell]) -> int:
    return sum(cell.width for cell in cells)


def _text(cells: Sequence[_Cell]) -> str:
    return "".join(cell.text for cell in cells)


def diff_lines(data: bytes) -> Iterator[str]:
    """Yield the lines of a diff, with nothing in them that could steer a terminal."""
    for line in data.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n"):
        yield printable(line.expandtabs())
