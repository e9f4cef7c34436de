r"""Unified diffs of bytes: made, read, applied.

A line ends with ``\n`` and with nothing else, so that what a file holds makes no difference: a
``\r`` before it, bytes that are no text, a NUL are parts of a line. Nothing is guessed: a diff
applies where each of its lines is just where it says, or not at all.

A diff in the *normal form* is hunks alone, without names of files, with `CONTEXT` lines around each
or as many as its maker has given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from codebatch.model.line_diff import Block, changed_blocks

CONTEXT = 3

_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_NO_END = b"\\"
_KEPT, _OLD, _NEW = b" ", b"-", b"+"
_LONGEST_SHOWN = 60

# How git quotes names (`core.quotePath`): all but printable ASCII is escaped.
_PLAIN = re.compile(rb"[ -!#-\[\]-~]*")
_SPECIAL = re.compile(rb"[^ -!#-\[\]-~]", re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = zip(b'\a\b\t\n\v\f\r"\\', b'abtnvfr"\\', strict=True)
_LETTERS = {bytes([char]): bytes([letter]) for char, letter in _ESCAPED}
_MEANT = {letter: char for char, letter in _LETTERS.items()}


class PatchMisfitError(ValueError):
    """A diff that is none, or does not apply; the message says where."""


class Hunk(NamedTuple):
    """Lines that are replaced, from the line ``start`` on (the first is 1; where there are no old
    lines, the line before), each with a mark in front of it.
    """

    start: int
    new_start: int
    lines: tuple[bytes, ...]

    def old(self) -> list[bytes]:
        """The lines as they were."""
        return [line[1:] for line in self.lines if line[:1] != _NEW]

    def new(self) -> list[bytes]:
        """The lines as they become."""
        return [line[1:] for line in self.lines if line[:1] != _OLD]

    def written(self) -> Iterator[bytes]:
        """The hunk as it stands in a diff."""
        spans = (_span(self.start, len(self.old())), _span(self.new_start, len(self.new())))
        yield b"@@ -%b +%b @@\n" % spans
        for line in self.lines:
            yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"


def split_lines(data: bytes) -> list[bytes]:
    r"""Return the lines with their ends, which are ``\n`` alone."""
    lines = data.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def diff_hunks(before: bytes, after: bytes) -> bytes:
    """Return the diff between two contents in the normal form; b"" where they are equal."""
    old, new = split_lines(before), split_lines(after)
    groups = _grouped(list(changed_blocks(old, new)))
    return normal_form(_hunk_of(group, old, new) for group in groups)


def normal_form(hunks: Iterable[Hunk]) -> bytes:
    """Return hunks as a diff in the normal form, the places of new lines counted anew."""
    parts, moved = list[bytes](), 0
    for hunk in hunks:
        old, new = len(hunk.old()), len(hunk.new())
        start = hunk.start - bool(old) + moved + bool(new)
        parts += hunk._replace(new_start=start).written()
        moved += new - old
    return b"".join(parts)


def apply_diff(before: bytes, diff: bytes) -> bytes:
    """Return what a diff makes of a content; `PatchMisfitError` where it does not apply."""
    return apply_hunks(before, read_hunks(diff))


def apply_hunks(before: bytes, hunks: Iterable[Hunk]) -> bytes:
    """Return what hunks make of a content; `PatchMisfitError` where they do not apply."""
    lines, made, at = split_lines(before), list[bytes](), 0
    for hunk in hunks:
        old = hunk.old()
        start = hunk.start - 1 if old else hunk.start
        if not at <= start <= len(lines):
            raise PatchMisfitError(f"the hunk at line {hunk.start} is out of place")
        made += lines[at:start]
        for number, line in enumerate(old, start):
            if number >= len(lines) or lines[number] != line:
                shown = line[:_LONGEST_SHOWN].decode("ascii", "backslashreplace")
                raise PatchMisfitError(f"line {number + 1} is not {shown!r}")
        made += hunk.new()
        at = start + len(old)
    made += lines[at:]
    if any(not line.endswith(b"\n") for line in made[:-1]):
        raise PatchMisfitError("a line that does not end is not the last one")
    return b"".join(made)


def read_hunks(diff: bytes) -> list[Hunk]:
    """Return the hunks of a diff of one file, whatever stands above them; `PatchMisfitError` where
    something else comes between or after them.
    """
    lines = split_lines(diff)
    at = next((at for at, line in enumerate(lines) if line.startswith(b"@@ ")), None)
    if at is None:
        if lines:
            raise PatchMisfitError("it has no hunks")
        return []
    hunks = []
    while at < len(lines):
        hunk, at = read_hunk(lines, at)
        hunks.append(hunk)
    return hunks


def read_hunk(lines: Sequence[bytes], at: int) -> tuple[Hunk, int]:
    """Return the hunk that begins at a line of a diff, and where the next line after it is."""
    match = _HUNK.match(lines[at])
    if match is None:
        raise PatchMisfitError(f"line {at + 1} of the diff begins no hunk")
    start, old, new_start, new = (int(n) if n is not None else 1 for n in match.groups())
    first = at + 1
    at, body = first, list[bytes]()
    while (old > 0 or new > 0) and min(old, new) >= 0:
        line = lines[at] if at < len(lines) else b""
        line = line if line != b"\n" else b" \n"  # some take the blank off an empty line
        mark = line[:1]
        if mark not in (_KEPT, _OLD, _NEW) or not line.endswith(b"\n"):
            raise PatchMisfitError(f"the hunk at line {first} of the diff ends too early")
        old -= mark != _NEW
        new -= mark != _OLD
        at += 1
        if at < len(lines) and lines[at].startswith(_NO_END):
            line, at = line[:-1], at + 1
        body.append(line)
    if old or new:
        raise PatchMisfitError(f"the hunk at line {first} of the diff has other lines than it says")
    return Hunk(start, new_start, tuple(body)), at


def count_changes(hunks: Iterable[Hunk]) -> tuple[int, int]:
    """Return how many lines hunks add, and how many they remove."""
    marks = [line[:1] for hunk in hunks for line in hunk.lines]
    return marks.count(_NEW), marks.count(_OLD)


def _span(start: int, count: int) -> bytes:
    return b"%d" % start if count == 1 else b"%d,%d" % (start, count)


def _grouped(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Yield the blocks of each hunk: those between which there are few lines share one."""
    group: list[Block] = []
    for block in blocks:
        if group and block.first - group[-1].last > 2 * CONTEXT:
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _hunk_of(group: Sequence[Block], old: Sequence[bytes], new: Sequence[bytes]) -> Hunk:
    first = max(group[0].first - CONTEXT, 0)
    lines, at = list[bytes](), first
    for block in group:
        lines += (_KEPT + line for line in old[at : block.first])
        lines += (_OLD + line for line in old[block.first : block.last])
        lines += (_NEW + line for line in new[block.new_first : block.new_last])
        at = block.last
    lines += (_KEPT + line for line in old[at : at + CONTEXT])
    hunk = Hunk(first, 0, tuple(lines))
    return hunk._replace(start=first + bool(hunk.old()))


def file_header(path: bytes) -> bytes:
    """Return the lines above the hunks of a file, as git writes and reads them."""
    old, new = _quoted(b"a/" + path), _quoted(b"b/" + path)
    # A blank would be where the name ends, to those who look for a time behind it.
    end = b"\t\n" if b" " in path and not old.startswith(b'"') else b"\n"
    return b"diff --git %b %b\n--- %b%b+++ %b%b" % (old, new, old, end, new, end)


def unquoted(text: bytes) -> bytes:
    """Return the name at the start of a text that git has quoted."""
    match = _QUOTED.match(text)
    if match is None:
        raise PatchMisfitError("a name of a file is quoted and does not end")
    return _ESCAPE.sub(_meant, match[1])


def _quoted(name: bytes) -> bytes:
    if _PLAIN.fullmatch(name):
        return name
    return b'"%b"' % _SPECIAL.sub(_spelled, name)


def _spelled(match: re.Match[bytes]) -> bytes:
    letter = _LETTERS.get(match[0])
    return b"\\" + letter if letter else b"\\%03o" % ord(match[0])


def _meant(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) & 0xFF]) if match[1] else _MEANT.get(match[2], match[2])
