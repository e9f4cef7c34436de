"""Words, numbers and foreign texts as people are shown them, in a terminal and in a notebook.

Names and messages come from untrusted trees: whatever could steer a terminal, or change how the
text around it is shown, is escaped by `printable`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from codebatch.model.digest import canonical_json
from codebatch.model.unseen import UNSEEN

_CONTROL = f"[\x00-\x1f\x7f-\x9f{UNSEEN}\ud800-\udfff]"
_SHORT_COMMIT = 7
_TIME = r"\A(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:\+00:00|Z)\Z"
_PLACES = frozenset({"line", "column", "end_line"})
_UNITS = (
    ("year", 31_536_000),
    ("month", 2_592_000),
    ("week", 604_800),
    ("day", 86_400),
    ("hour", 3_600),
    ("min", 60),
)


def printable(text: object) -> str:
    """The text with control characters, direction marks and undecodable bytes escaped."""
    shown = str(text)
    # Nothing that has to be escaped is printable to Python, and most texts are.
    return shown if shown.isprintable() else re.sub(_CONTROL, _escape, shown)


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: ``1 file``, ``2 files``; ``many`` where no s makes it."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """A number of bytes for people."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def revision(branch: str | None, commit: str | None) -> str:
    """Return what a work tree of git was at: ``main@1a2b3c4``, or the part that is known."""
    return "@".join(filter(None, (branch, commit and commit[:_SHORT_COMMIT])))


def ago(seconds: float) -> str:
    """Return a time in the past in the largest unit that fits: ``3 hours ago``."""
    for unit, length in _UNITS:
        number = int(seconds // length)
        if number > 0:
            return f"{number} {unit}{'' if number == 1 or unit == 'min' else 's'} ago"
    return "just now" if seconds > -60 else "in the future"  # by a little, clocks differ


def moment(text: str) -> str:
    """Return a time of UTC without parts of a second: ``2026-11-30 15:38:44``; another text as it
    is.
    """
    return re.sub(_TIME, r"\1 \2", text)


def cell(value: object, column: str = "") -> str:
    """A value as a table shows it: counts with separators, numbers of lines without."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if column in _PLACES else f"{value:,}"
    if isinstance(value, dict):
        return printable(plain(value))
    if isinstance(value, list | tuple):
        return printable(", ".join(map(str, map(plain, value))) or "-")
    return printable(value)


def numeric_columns(table: Sequence[Sequence[str]], number: int) -> list[bool]:
    """Return for each column if it holds numbers alone."""
    columns = zip(*table, strict=True) if table else ([""] for _ in range(number))
    return [any(cells) and all(not text or _is_number(text) for text in cells) for cells in columns]


def plain(value: object) -> object:
    """Return the value, a list or a dict as JSON, or as Python has it where it is no JSON."""
    if not isinstance(value, list | dict):
        return value
    try:
        return canonical_json(value).decode()
    except (TypeError, ValueError):  # a date in it, a number that is none, names of several types
        return str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return {10: "\\n", 13: "\\r", 9: "\\t"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )
