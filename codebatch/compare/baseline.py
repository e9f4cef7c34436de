r"""Baseline files: findings that are known and let be, one a line, in a file beside the code.

A line is ``fingerprint code path``, and the lines are sorted by it. Line numbers and counts are not
in it: they would change with every edit, and two branches could not both change the file. An entry
stands for the finding of that code on a line of that text, whichever task reports it; fingerprints
number equal findings of a file, so that each has its own.

A path is relative to the folder of the file where the tree is in that, else to the tree. It may
have any bytes: control characters, backslashes, what is not UTF-8 and a space at the end are
spelled ``\uXXXX``. Lines that start with ``#``, empty lines, the order and repeated lines mean
nothing to a reader: they are what a merge by lines leaves.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from codebatch.display.displayed import Displayed
from codebatch.model.digest import Document
from codebatch.model.errors import BaselineInvalidError
from codebatch.model.records import Record, path_key
from codebatch.store.destination import writing_file

DEFAULT_FILE = "codebatch-baseline.txt"

_HEADER = "# Known findings, written by codebatch baseline: fingerprint, code, path."
_MOST_BYTES = 2**26
_LINE = re.compile(r"([0-9a-f]{16}) ([A-Za-z][A-Za-z0-9_.-]{0,63}) (.+)")
_LISTS = ("added", "removed")
_MARKS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
# All that ends a line somewhere, steers a terminal, or is the sign of an escape.
_ESCAPED = re.compile(
    "[\\\\\x00-\x1f\x7f-\xa0\u2028-\u202e\u200e\u200f\u2066-\u2069\ud800-\udfff\ufeff]| $"
)
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")


class Entry(NamedTuple):
    """A known finding."""

    fingerprint: str
    code: str
    path: str


Baseline = frozenset[Entry]


@dataclass(frozen=True, repr=False)
class BaselineReport(Displayed):
    """A baseline file as it was written from a batch: how many entries it has, and those that were
    added and removed, by path; ``attributes`` is the file that was told how to merge it.
    """

    file: str
    batch_id: str
    entries: int
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    attributes: str | None = None

    def as_document(self) -> Document:
        """Return what the commands print as JSON."""
        lists = {name: [one._asdict() for one in getattr(self, name)] for name in _LISTS}
        return {**vars(self), **lists}


def entry_of(record: Record) -> Entry:
    """Return the entry that stands for a finding."""
    return Entry(str(record["fingerprint"]), str(record["code"]), str(record["path"]))


def entries_of(records: Iterable[Record]) -> Baseline:
    """Return the entries that stand for findings."""
    return frozenset(map(entry_of, records))


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order of paths."""
    return sorted(entries, key=lambda entry: (path_key(entry.path), entry.code, entry.fingerprint))


def read_baseline(name: str) -> Baseline:
    """Return the entries of a file; `BaselineInvalidError` says which line is none."""
    lines = _read(name).split("\n")
    return frozenset(
        _parsed(name, number, text)
        for number, line in enumerate(lines, 1)
        if (text := line.removesuffix("\r")) and not text.startswith("#")
    )


def write_baseline(name: str, baseline: Baseline) -> None:
    """Write a file with these entries, all or nothing."""
    lines = sorted(map(_line, baseline))
    with writing_file(name) as stream:
        stream.writelines(f"{line}\n".encode() for line in (_HEADER, *lines))


def _line(entry: Entry) -> str:
    return f"{entry.fingerprint} {entry.code} {_ESCAPED.sub(_escape, entry.path)}"


def _read(name: str) -> str:
    try:
        # Not to wait for whoever writes to a pipe: it is none of ours.
        with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise BaselineInvalidError(f"{name} is no file")
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise BaselineInvalidError(f"{name} is larger than {_MOST_BYTES >> 20:,} MiB")
        return data.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BaselineInvalidError(f"{name}, line {line}: it is not UTF-8") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        hints = ["make one: codebatch baseline create"]
        raise BaselineInvalidError(f"{name} cannot be read: {why}", hints=hints) from error


def _parsed(name: str, number: int, line: str) -> Entry:
    match = _LINE.fullmatch(line)
    if match is None or "\\" in _ESCAPE.sub("", line):
        hints = ["a line is: FINGERPRINT CODE PATH"]
        if line.startswith(_MARKS):
            hints = ["it is the mark of a conflict: keep the lines of both sides"]
        raise BaselineInvalidError(f"{name}, line {number}: it is no entry", hints=hints)
    fingerprint, code, path = match.groups()
    return Entry(fingerprint, code, _unescaped(path))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
