"""Source lines on a terminal: numbered, with a caret that stands under its column.

A character may take no place or two, a tab several, and one that could steer the terminal is
shown escaped: widths are those of what is printed. Of a line that is too long, the part
around the column is shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from codebatch.cli.render.output import printable, terminal_width

TAB_WIDTH = 4
CUT = "…"

_WIDEST = 160
_NARROWEST = 40
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})


class Cell(NamedTuple):
    """One character of the source as it is printed, and how many columns that takes."""

    text: str
    width: int


def page_width() -> int:
    """Columns to write into: the terminal's, within reason."""
    return min(max(terminal_width(100), _NARROWEST), _WIDEST)


def with_caret(number: int, line: str, column: int, digits: int, indent: str = "") -> list[str]:
    """The numbered line, and a line with the caret under ``column`` (from 1, in characters)."""
    gutter = f"{indent}{number:>{digits}} | "
    shown, caret = _clipped(cells(line), column, page_width() - len(gutter))
    blank = f"{indent}{'':>{digits}} | "
    return [(gutter + shown).rstrip(), f"{blank}{' ' * caret}^"]


def numbered(number: int, line: str, digits: int, mark: str = " ") -> str:
    """The numbered line, cut to the page; ``mark`` stands before the number."""
    gutter = f"{mark} {number:>{digits}} | "
    shown, _ = _clipped(cells(line), 1, page_width() - len(gutter))
    return (gutter + shown).rstrip()


def cells(line: str) -> list[Cell]:
    """The characters of a line as they are printed."""
    found: list[Cell] = []
    at = 0
    for character in line:
        width = TAB_WIDTH - at % TAB_WIDTH
        cell = Cell(" " * width, width) if character == "\t" else _cell(character)
        found.append(cell)
        at += cell.width
    return found


def _cell(character: str) -> Cell:
    text = printable(character)
    if text != character:
        return Cell(text, len(text))
    if unicodedata.category(character) in _NO_WIDTH:
        return Cell(text, 0)
    return Cell(text, 2 if unicodedata.east_asian_width(character) in "WF" else 1)


def _clipped(line: Sequence[Cell], column: int, room: int) -> tuple[str, int]:
    """Return as much of the line as there is room for, and the place of ``column`` in it."""
    caret = sum(cell.width for cell in line[: column - 1])
    if sum(cell.width for cell in line) <= room:
        return _text(line), caret
    first = 0
    if caret >= room - 1:
        first = _cells_before(line[: column - 1], room // 2)
    start = sum(cell.width for cell in line[:first])
    head = CUT if first else ""
    last, used = first, len(head)
    while last < len(line) and used + line[last].width < room:
        used += line[last].width
        last += 1
    tail = CUT if last < len(line) else ""
    return head + _text(line[first:last]) + tail, caret - start + len(head)


def _cells_before(line: Sequence[Cell], width: int) -> int:
    """Index of the first of the last cells that fit into ``width``."""
    index = len(line)
    while index > 0 and width >= line[index - 1].width:
        width -= line[index - 1].width
        index -= 1
    return index


def _text(line: Sequence[Cell]) -> str:
    return "".join(cell.text for cell in line)
