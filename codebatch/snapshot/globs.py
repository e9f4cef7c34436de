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
from bisect import bisect_left, bisect_right

_LONGEST_TEXT = 4096
_SPECIAL = re.compile(rb"[*?\[\\]")
_SAME_AGAIN = re.compile(rb"(?:\*\*+/)*")
_WILD = re.compile(rb"[*?]+")
_INNER_SIZE = 3
_SLASH, _STAR, _ONE, _CLASS, _ESCAPE = b"/*?[\\"
# Codes of tokens that no pattern has as a literal: it ends at a line feed or a NUL.
_NONE, _ANY = 0, 10
_KINDS = ("optional", "in_name", "anywhere")
_EVERYTHING = (1 << 256) - 1


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
        self._suffixes = _Filed()
        self._by_start = _Filed()
        self._by_inner = _Filed()

    def add(self, pattern: bytes, number: int) -> None:
        """Add a pattern before the first question; numbers must grow."""
        size = _literal_size(pattern)
        start = self._key(pattern[:size])
        if size == len(pattern):
            self._literals[start] = number
        elif start:
            self._by_start.add(start, pattern[size:], number)
        elif not self._is_path and pattern[0] == _STAR and not _SPECIAL.search(pattern, 1):
            self._suffixes.add(self._key(pattern[1:]), b"", number)
        else:
            self._by_inner.add(self._key(_inner_literal(pattern)), pattern, number)

    def best(self, text: bytes) -> int:
        """Return the highest number of a pattern that matches; -1 if none does."""
        text = self._key(text)
        found = self._literals.get(text, -1)
        if self._suffixes.globs:
            for length in self._suffixes.lengths_to(len(text)):
                filed = self._suffixes.globs.get(text[len(text) - length :])
                if filed is not None:
                    found = max(found, filed[-1][1])
        if self._by_start.globs:
            for length in self._by_start.lengths_to(len(text)):
                if text[:length] in self._by_start.globs:
                    rest = text[length:]
                    found = max(found, self._automaton(self._by_start, text[:length], rest))
        if self._by_inner.globs:
            for key in self._inner_keys(text):
                found = max(found, self._automaton(self._by_inner, key, text))
        return found

    def _inner_keys(self, text: bytes) -> set[bytes]:
        pieces = {text[at : at + _INNER_SIZE] for at in range(len(text) - _INNER_SIZE + 1)}
        return (pieces | {b""}) & self._by_inner.globs.keys()

    def _automaton(self, filed: _Filed, key: bytes, text: bytes) -> int:
        if key not in filed.automata:
            filed.automata[key] = _Automaton(
                filed.globs[key], is_path=self._is_path, fold=self._fold
            )
        return filed.automata[key].best(text)

    def _key(self, literal: bytes) -> bytes:
        return literal.lower() if self._fold else literal


class _Filed:
    """Globs with their numbers by a literal, and the automata that have been made of them."""

    def __init__(self) -> None:
        self.globs: dict[bytes, list[tuple[bytes, int]]] = {}
        self.automata: dict[bytes, _Automaton] = {}
        self._lengths: list[int] = []

    def add(self, key: bytes, glob: bytes, number: int) -> None:
        """File a glob."""
        if key in self.globs:
            self.globs[key].append((glob, number))
            return
        self.globs[key] = [(glob, number)]
        at = bisect_left(self._lengths, len(key))
        if self._lengths[at : at + 1] != [len(key)]:
            self._lengths.insert(at, len(key))

    def lengths_to(self, most: int) -> list[int]:
        """Return the lengths of keys up to that one."""
        return self._lengths[: bisect_right(self._lengths, most)]


class _Automaton:
    """Globs that are tried together.

    State: ``_codes`` has one byte for each token, a literal byte, `_ANY` for ``?`` or `_NONE`, and
    one `_NONE` behind each pattern, where a match ends; ``_ends`` are the places of those by
    number. A bit of ``_starts`` is a place where a match begins, of ``_optional`` one that may be
    passed over when it is reached (``**/``), of ``_in_name`` and ``_anywhere`` one at which other
    bytes may be consumed, but for a slash, or any.
    """

    def __init__(self, globs: list[tuple[bytes, int]], *, is_path: bool, fold: bool) -> None:
        self._is_path = is_path
        self._codes = bytearray()
        self._classes: list[tuple[int, int]] = []
        self._ends: dict[int, int] = {}
        self._masks: dict[int, tuple[int, int]] = {}
        places: dict[str, list[int]] = {name: [] for name in ("starts", *_KINDS)}
        for glob, number in globs:
            size = len(self._codes)
            tokens = _Tokens(glob, is_path=is_path, fold=fold)
            if tokens.is_valid:
                self._codes += tokens.codes + b"\0"
                self._classes += [(size + place, members) for place, members in tokens.classes]
                places["starts"].append(size)
                for kind in _KINDS:
                    places[kind] += [size + place for place in tokens.places[kind]]
                self._ends[len(self._codes) - 1] = number
        self._optional = self._bits(places["optional"])
        starts = self._bits(places["starts"])
        self._starts = starts | (starts & self._optional) << 1
        self._anywhere = self._bits(places["anywhere"])
        self._in_name = self._bits(places["in_name"]) | self._anywhere
        self._accepted = self._bits(list(self._ends))

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
        return self._ends[reached.bit_length() - 1] if reached else -1

    def _bits(self, places: list[int]) -> int:
        digits = bytearray(b"0" * (len(self._codes) + 1))
        for place in places:
            digits[-1 - place] = 0x31
        return int(bytes(digits), 2)

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
        consumes = int(bytes(digits), 2) if digits else 0
        return consumes, self._anywhere if crosses else self._in_name


class _Tokens:
    """One glob, taken apart; ``is_valid`` is false for one that matches nothing."""

    def __init__(self, glob: bytes, *, is_path: bool, fold: bool) -> None:
        self.codes = bytearray()
        self.classes: list[tuple[int, int]] = []
        self.places: dict[str, list[int]] = {kind: [] for kind in _KINDS}
        self._glob = glob
        self._is_path = is_path
        self._fold = fold
        self.is_valid = self._read() and len(self.codes) < _LONGEST_TEXT

    def _read(self) -> bool:
        glob, at = self._glob, 0
        while at < len(glob):
            char = glob[at]
            at += 1
            if char == _STAR:
                at = self._read_stars(at)
            elif char == _ONE:
                self.codes.append(_ANY)
            elif char == _CLASS:
                found = _read_class(glob, at, fold=self._fold)
                if found is None:
                    return False
                members, at = found
                self.classes.append((len(self.codes), self._without_slash(members)))
                self.codes.append(_NONE)
            elif char == _ESCAPE:
                if at == len(glob):
                    return False
                self.codes.append(glob[at])
                at += 1
            else:
                self.codes += bytes((char,)).lower() if self._fold else bytes((char,))
        return True

    def _without_slash(self, members: int) -> int:
        return members & ~(1 << _SLASH) if self._is_path else members

    def _read_stars(self, at: int) -> int:
        """Read what follows one star; return where it ends."""
        glob, before = self._glob, at - 2
        first = at
        while at < len(glob) and glob[at] == _STAR:
            at += 1
        place = len(self.codes)
        if not self._is_path:
            self.places["anywhere"].append(place)
            return at
        follows = glob[at : at + 2]
        is_component = before < 0 or glob[before] == _SLASH
        ends = not follows or follows[:1] == b"/" or follows == b"\\/"
        if at == first or not (is_component and ends):
            self.places["in_name"].append(place)
            return at
        self.places["anywhere"].append(place)
        if follows[:1] == b"/":
            self.places["optional"].append(place)
            self.codes.append(_SLASH)
            # Several in a row are as good as one: so no place is optional behind an optional one.
            at = _SAME_AGAIN.match(glob, at + 1).end()  # type: ignore[union-attr]  # may be empty
        return at


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


def _literal_size(pattern: bytes) -> int:
    """Return the number of bytes before the first one that is special in a glob."""
    found = _SPECIAL.search(pattern)
    return found.start() if found else len(pattern)


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
