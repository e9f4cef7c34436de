"""What a tool says, made fit for records: texts without controls, numbers that are places."""

from __future__ import annotations

import re
from typing import NamedTuple

_MOST_CHARACTERS = 10_000
_MOST_IN_WORD = 200
_LARGEST_PLACE = 2**31 - 1
_NUMBER = re.compile(r"([0-9]{1,10})(?:\.0+)?\Z")

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_BYTE = re.compile(r"[\0\ud800-\udc7f\udd00-\udfff]")
_REPLACED = "\ufffd"


class Said(NamedTuple):
    """A finding as a tool says it.

    ``path`` is as printed, "" where it names none; ``line`` and ``column`` are 1-based, 0 where
    there is none; ``severity`` is the tool's own word in lower case. ``code`` and ``severity`` are
    "" where there is none.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    severity: str


class UnreadableOutputError(Exception):
    """An output is not of its format; the message says what is wrong, in a few words."""

    def __init__(self, message: str) -> None:
        super().__init__(clean_text(message, 500))


def said(
    path: str, line: object, column: object, code: str, message: str, severity: str = ""
) -> Said:
    """Return a finding of what was read, with texts cleaned and places that are none 0."""
    return Said(
        clean_path(path),
        place(line),
        place(column),
        clean_text(code, _MOST_IN_WORD),
        clean_text(message),
        clean_text(severity, _MOST_IN_WORD).lower(),
    )


def decoded(data: bytes) -> str:
    """Return the text of an output in UTF-8; bytes that are none become lone surrogates, which
    `clean_path` keeps for names of files and `clean_text` replaces.
    """
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def clean_path(path: str) -> str:
    """Return a path without what no path has."""
    return _NO_BYTE.sub(_REPLACED, path)


def clean_text(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a text without sequences for terminals, with other controls replaced but tabs and
    ends of lines, and no longer than ``most``.
    """
    text = text[: 2 * most].replace("\r\n", "\n")
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    text = _CONTROLS.sub(_REPLACED, text).strip()
    return text if len(text) <= most else f"{text[: most - 1]}…"


def place(value: object, base: int = 1) -> int:
    """Return a number of a line or column as 1-based; 0 where it is none."""
    match = None if isinstance(value, bool) else _NUMBER.match(str(value))
    number = int(match[1]) if match else -1
    return number + 1 - base if base <= number <= _LARGEST_PLACE else 0
