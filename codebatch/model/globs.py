"""Match names against many globs at once, with git's meaning of each, in bounded time.

Patterns come with a number; asked about a text, a `GlobTable` returns the highest number of those
that match. Literals and ``*.suffix`` are looked up. All other patterns are filed by the literal
that they begin with, or by a piece of one that they contain, and tried only if the text has it.
Those filed together are one automaton whose states are the bits of an integer: a character of the
text costs a few operations on integers as long as the patterns together. There is nothing to
backtrack: the time is at most text times patterns.

What a glob means is what git's ``wildmatch.c`` does, its peculiarities included: ``**`` is special
only as a whole component or just behind the literal that the pattern begins with, a malformed
class matches nothing, and classes do not fold what ``core.ignoreCase`` folds elsewhere.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from functools import cached_property

_LONGEST_TEXT = 4096
_SPECIAL = re.compile(rb"[*?\[\\]")
_SAME_AGAIN = re.compile(rb"(?:\*\*+/)*")
_WILD = re.compile(rb"[*?]+")
_INNER_SIZE = 3
_SLASH, _STAR, _ONE, _CLASS, _ESCAPE = b"/*?[\\"
# Codes of tokens that no pattern has as a literal: it ends at a line feed or a NUL.
_NONE, _ANY = 0, 10
# What is special about a place among the tokens: a match begins or ends there; it may be passed
# over when it is reached (``**/``); other bytes may be consumed there, but for a slash, or any.
_START, _END, _OPTIONAL, _IN_NAME, _ANYWHERE = 1, 2, 4, 8, 16
_EVERYTHING = (1 << 256) - 1
_LOWERED = bytes(range(256)).lower()


def _members(*ranges: bytes) -> int:
    """Return the set of bytes, as bits, in these ranges of two bytes each."""
    found = 0
    for first, last in ranges:
        found |= (2 << last) - (1 << first) if first <= last else 0
    return found


_LOWER, _UPPER = _members(b"az"), _members(b"AZ")
_POSIX = {
    b"alnum": _members(b"az", b"AZ", b"09"),
    b"alpha": _members(b"az", b"AZ"),
    b"blank": _members(b"  ", b"\t\t"),
    b"cntrl": _members(b"\x00\x1f", b"\x7f\x7f"),
    b"digit": _members(b"09"),
    b"graph": _members(b"!~"),
    b"lower": _LOWER,
    b"print": _members(b" ~"),
    b"punct": _members(b"!/", b":@", b"[`", b"{~"),
    b"space": _members(b"  ", b"\t\n", b"\r\r"),
    b"upper": _UPPER,
    b"xdigit": _members(b"09", b"AF", b"af"),
}


class GlobTable:
    """Patterns for whole paths, where ``is_path``, or for names. With ``fold``, the case of
    ASCII letters does not count.
    """

    def __init__(self, *, is_path: bool, fold: bool) -> None:
        self._is_path = is_path
        self._fold = fold
        self._literals: dict[bytes, int] = {}
        self._suffixes, self._by_start, self._by_inner = (
            _Filed(is_path=is_path, fold=fold) for _ in range(3)
        )

    def add(self, pattern: bytes, number: int) -> None:
        """Add a pattern before the first question; numbers must grow."""
        special = _SPECIAL.search(pattern)
        size = special.start() if special else len(pattern)
        start = self._key(pattern[:size])
        if special is None:
            self._literals[start] = number
        elif start:
            self._by_start.globs[start].append((pattern[size:], number))
        elif not self._is_path and pattern[0] == _STAR and not _SPECIAL.search(pattern, 1):
            self._suffixes.globs[self._key(pattern[1:])].append((b"", number))
        else:
            self._by_inner.globs[self._key(_inner_literal(pattern))].append((pattern, number))

    def best(self, text: bytes) -> int:
        """Return the highest number of a pattern that matches; -1 if none does."""
        text = self._key(text)
        size = len(text)
        found = self._literals.get(text, -1)
        for length in self._suffixes.lengths_to(size):
            if filed := self._suffixes.globs.get(text[size - length :]):
                found = max(found, filed[-1][1])
        for length in self._by_start.lengths_to(size):
            if text[:length] in self._by_start.globs:
                found = max(found, self._by_start.best(text[:length], text[length:]))
        if inner := self._by_inner.globs:
            pieces = {text[at : at + _INNER_SIZE] for at in range(size - _INNER_SIZE + 1)}
            for key in (pieces | {b""}) & inner.keys():
                found = max(found, self._by_inner.best(key, text))
        return found

    def _key(self, literal: bytes) -> bytes:
        return literal.lower() if self._fold else literal


class _Filed:
    """Globs with their numbers by a literal, and the automata that have been made of them."""

    def __init__(self, *, is_path: bool, fold: bool) -> None:
        self.globs: defaultdict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
        self._automata: dict[bytes, _Automaton] = {}
        self._is_path = is_path
        self._fold = fold

    def lengths_to(self, most: int) -> list[int]:
        """Return the lengths of keys up to that one."""
        return self._lengths[: bisect_right(self._lengths, most)] if self.globs else []

    def best(self, key: bytes, text: bytes) -> int:
        """Return the highest number of a glob filed by the key that matches; -1 if none does."""
        if key not in self._automata:
            globs = self.globs[key]
            self._automata[key] = _Automaton(globs, is_path=self._is_path, fold=self._fold)
        return self._automata[key].best(text)

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({*map(len, self.globs)})


class _Automaton:
    """Globs that are tried together.

    State: ``_codes`` has one byte for each token, a literal byte, `_ANY` for ``?`` or `_NONE`, and
    one `_NONE` behind each pattern, where a match ends; ``_numbers`` are those of the patterns by
    that place. ``_flags`` says what is special about each place, ``_classes`` which bytes are
    taken at some of them.
    """

    def __init__(self, globs: list[tuple[bytes, int]], *, is_path: bool, fold: bool) -> None:
        self._is_path = is_path
        self._fold = fold
        self._codes, self._flags = bytearray(), bytearray()
        self._classes: list[tuple[int, int]] = []
        self._numbers: dict[int, int] = {}
        self._masks: dict[int, tuple[int, int]] = {}
        for glob, number in globs:
            self._add(glob, number)
        self._optional = self._places(_OPTIONAL)
        starts = self._places(_START)
        self._starts = starts | (starts & self._optional) << 1
        self._anywhere = self._places(_ANYWHERE)
        self._in_name = self._places(_IN_NAME | _ANYWHERE)
        self._accepted = self._places(_END)

    def best(self, text: bytes) -> int:
        """Return the highest number of a glob that matches the text; -1 if none does."""
        state, masks, optional = self._starts, self._masks, self._optional
        for char in text:
            if char not in masks:
                masks[char] = self._masks_of(char)
            consumes, stays = masks[char]
            moved = (state & consumes) << 1
            state = moved | (moved & optional) << 1 | (state & stays)
            if not state:
                return -1
        reached = state & self._accepted
        return self._numbers[reached.bit_length() - 1] if reached else -1

    def _add(self, glob: bytes, number: int) -> None:
        """Add a glob, unless it matches nothing."""
        start = len(self._codes)
        self._flags.append(_START)
        if self._read(glob) and len(self._codes) - start < _LONGEST_TEXT:
            self._numbers[len(self._codes)] = number
            self._flags[-1] |= _END
            self._codes.append(_NONE)
            return
        del self._codes[start:], self._flags[start:]
        while self._classes and self._classes[-1][0] >= start:
            self._classes.pop()

    def _read(self, glob: bytes) -> bool:
        """Append tokens, and flags for the place behind each; False where the glob is invalid."""
        at = 0
        while at < len(glob):
            char = glob[at]
            at += 1
            if char == _STAR:
                flags, at = _read_stars(glob, at, is_path=self._is_path)
                self._flags[-1] |= flags
                if not flags & _OPTIONAL:
                    continue
                code = _SLASH
            elif char == _ONE:
                code = _ANY
            elif char == _CLASS:
                found = _read_class(glob, at, fold=self._fold)
                if found is None:
                    return False
                members, at = found
                members &= ~(1 << _SLASH) if self._is_path else _EVERYTHING
                self._classes.append((len(self._codes), members))
                code = _NONE
            elif char == _ESCAPE:
                if at == len(glob):
                    return False
                code = glob[at]
                at += 1
            else:
                code = _LOWERED[char] if self._fold else char
            self._codes.append(code)
            self._flags.append(0)
        return True

    def _places(self, flags: int) -> int:
        """Return the places that have one of the flags, as bits."""
        digits = bytes(0x31 if value & flags else 0x30 for value in range(256))
        return int(self._flags.translate(digits)[::-1] or b"0", 2)

    def _masks_of(self, char: int) -> tuple[int, int]:
        """Return the places that this byte moves on, and those that it may be consumed at."""
        crosses = self._is_path and char == _SLASH
        table = bytearray(b"0" * 256)
        table[char] = 0x31
        table[_ANY] = 0x30 if crosses else 0x31
        digits = self._codes.translate(table)
        for place, members in self._classes:
            if members >> char & 1:
                digits[place] = 0x31
        digits.reverse()
        return int(digits or b"0", 2), self._anywhere if crosses else self._in_name


def _read_stars(glob: bytes, at: int, *, is_path: bool) -> tuple[int, int]:
    """Return the flags of a place with stars, of which the first is before ``at``, and their end,
    which is behind the slash of ``**/``.
    """
    first, before = at, at - 2
    while at < len(glob) and glob[at] == _STAR:
        at += 1
    if not is_path:
        return _ANYWHERE, at
    follows = glob[at : at + 2]
    is_component = before < 0 or glob[before] == _SLASH
    ends = not follows or follows[:1] == b"/" or follows == b"\\/"
    if at == first or not (is_component and ends):
        return _IN_NAME, at
    if follows[:1] != b"/":
        return _ANYWHERE, at
    # Several in a row are as good as one: so no place is optional behind an optional one.
    end = _SAME_AGAIN.match(glob, at + 1).end()  # type: ignore[union-attr]  # may be empty
    return _ANYWHERE | _OPTIONAL, end


def _read_class(glob: bytes, at: int, *, fold: bool) -> tuple[int, int] | None:
    """Return the bytes, as bits, of the class that begins behind ``[``, and where it ends."""
    negated = glob[at : at + 1] in (b"!", b"^") and len(glob) > at
    at += negated
    start, members, before = at, 0, 0
    while at < len(glob):
        char = glob[at]
        if char == 0x5D and at > start:  # "]"
            return (_EVERYTHING & ~members if negated else members), at + 1
        if char == 0x2D and before and glob[at + 1 : at + 2] not in (b"", b"]"):  # "-"
            at += 1 + (glob[at + 1] == _ESCAPE)
            if at == len(glob):
                return None
            members |= _range(before, glob[at], fold=fold)
            before = 0
        elif char == _CLASS and glob[at + 1 : at + 2] == b":":
            end = glob.find(b"]", at + 2)
            if end < 0:
                return None
            if end == at + 2 or glob[end - 1] != 0x3A:  # ":"
                members |= 1 << char
                before = char
            else:
                name = glob[at + 2 : end - 1]
                if name not in _POSIX:
                    return None
                members |= _POSIX[name] | (_LOWER if fold and name == b"upper" else 0)
                at, before = end, 0
        else:
            at += char == _ESCAPE
            if at == len(glob):
                return None
            before = glob[at]
            members |= 1 << before
        at += 1
    return None


def _range(first: int, last: int, *, fold: bool) -> int:
    members = _members(bytes((first, last)))
    return members | (members & _UPPER) << 32 if fold else members


def _inner_literal(pattern: bytes) -> bytes:
    """Return a piece of `_INNER_SIZE` bytes that all that a pattern matches has in it, if one is
    easily found: behind all classes and escapes.
    """
    plain = pattern[max(map(pattern.rfind, (b"[", b"]"))) + 1 :]
    escape = plain.rfind(b"\\")
    plain = plain[escape + 2 :] if escape >= 0 else plain
    # The slash of ``**/`` need not be there.
    longest = max((run.removeprefix(b"/") for run in _WILD.split(plain)), key=len)
    return longest[:_INNER_SIZE] if len(longest) >= _INNER_SIZE else b""
