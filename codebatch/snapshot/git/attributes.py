"""Attributes of files, as far as they change what a checkout writes: the rules of gitattributes.

Patterns are those of ignore files, but that none negates and none is for folders. Macros count in
the topmost file; ``binary`` is one that is always there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from codebatch.model.globs import GlobTable

ATTRIBUTES_FILE = b".gitattributes"

_WANTED = frozenset((b"text", b"crlf", b"eol", b"ident", b"filter", b"working-tree-encoding"))
_LONGEST_LINE = 2048
_MOST_MACROS = 100
_MACRO = b"[attr]"
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_NAME = re.compile(rb"[A-Za-z0-9_.][-A-Za-z0-9_.]*\Z")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"(?=[ \t\r]|\Z)')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPES |= {b"v": b"\v", b"\\": b"\\", b'"': b'"'}

# True and False are set and unset, bytes a value; None is what was never said, or taken back.
Value = bool | bytes | None
_States = tuple[tuple[bytes, Value], ...]


class _Rank(NamedTuple):
    """What decides between two states: the deeper file, the later line, the later word."""

    depth: int
    line: int
    word: int


class _Table:
    """The lines of a file that say something of one attribute."""

    def __init__(self) -> None:
        self._names = GlobTable(is_path=False, fold=False)
        self._paths = GlobTable(is_path=True, fold=False)
        self._said: dict[int, tuple[int, Value]] = {}

    def add(self, pattern: bytes, line: int, word: int, value: Value) -> None:
        if line not in self._said:
            is_path = b"/" in pattern
            (self._paths if is_path else self._names).add(pattern.removeprefix(b"/"), line)
        self._said[line] = word, value

    def best(self, path: bytes) -> tuple[int, int, Value] | None:
        line = max(self._names.best(path[path.rfind(b"/") + 1 :]), self._paths.best(path))
        return (line, *self._said[line]) if line >= 0 else None


class AttributeRules:
    """The attribute files that hold in a folder, the topmost first, and the macros of that."""

    def __init__(self) -> None:
        self._files: tuple[tuple[bytes, dict[bytes, _Table]], ...] = ()
        self._macros: dict[bytes, _States] = {b"binary": ((b"text", False),)}

    def __bool__(self) -> bool:
        return bool(self._files)

    def with_file(self, folder: bytes, text: bytes) -> AttributeRules:
        """Return the rules with the file of a deeper folder."""
        found = AttributeRules()
        lines = list(_lines(text))
        found._macros = dict(self._macros)
        if not folder:
            for name, states, _ in [line for line in lines if line[2]][:_MOST_MACROS]:
                found._macros[name] = found._expanded(states)
        tables: dict[bytes, _Table] = {}
        for number, (pattern, states, is_macro) in enumerate(lines):
            for word, (name, value) in enumerate(() if is_macro else states):
                if name in _WANTED or name in found._macros:
                    tables.setdefault(name, _Table()).add(pattern, number, word, value)
        found._files = (*self._files, (folder, tables)) if tables else self._files
        return found

    def _expanded(self, states: _States) -> _States:
        """Return the states of a macro, with those of macros that were defined before it."""
        found: dict[bytes, Value] = {}
        for name, value in states:
            found |= dict(self._macros.get(name, ())) if value is True else {}
            found[name] = value
        return tuple(found.items())

    def of(self, path: bytes) -> dict[bytes, Value]:
        """Return the attributes of a file that change what a checkout writes."""
        if not self._files:
            return {}
        macros = [
            (rank, states)
            for name, states in self._macros.items()
            if (said := self._said(name, path)) and said[1] is True
            for rank in (said[0],)
        ]
        found: dict[bytes, Value] = {}
        for name in _WANTED:
            said = self._said(name, path)
            sources = [said] if said else []
            sources += [
                (rank, value) for rank, states in macros for one, value in states if one == name
            ]
            if sources:
                found[name] = max(sources, key=lambda source: source[0])[1]
        return found

    def _said(self, name: bytes, path: bytes) -> tuple[_Rank, Value] | None:
        """Return the state that lines set themselves, and its rank."""
        for depth in range(len(self._files) - 1, -1, -1):
            folder, tables = self._files[depth]
            if name in tables:
                said = tables[name].best(path[len(folder) + 1 :] if folder else path)
                if said is not None:
                    line, word, value = said
                    return _Rank(depth, line, word), value
        return None


def _lines(text: bytes) -> Iterator[tuple[bytes, _States, bool]]:
    """Yield pattern and states of each line, or the name of a macro, states, and True."""
    for raw in text.removeprefix(_BOM).split(b"\n"):
        line = raw.strip(_BLANK)
        if not line or line.startswith(b"#") or len(raw) >= _LONGEST_LINE:
            continue
        is_macro = line.startswith(_MACRO)
        pattern, rest = _pattern(line.removeprefix(_MACRO).lstrip(_BLANK) if is_macro else line)
        if is_macro or (pattern and not pattern.startswith(b"!") and not pattern.endswith(b"/")):
            if pattern.startswith(b"**/") and b"/" not in pattern[3:]:
                pattern = pattern[3:]  # a name at any depth
            states = tuple(_states(rest))
            names = [name for name, _ in states] + [pattern] * is_macro
            if all(map(_NAME.match, names)):  # else git leaves out the whole line
                yield pattern, states, is_macro


def _pattern(line: bytes) -> tuple[bytes, bytes]:
    """Return the pattern that a line begins with, and the rest."""
    if quoted := _QUOTED.match(line):
        return _ESCAPE.sub(_unescaped, quoted[1]), line[quoted.end() :]
    parts = line.split(maxsplit=1)
    return parts[0] if parts else b"", parts[1] if len(parts) > 1 else b""


def _unescaped(match: re.Match[bytes]) -> bytes:
    spelled = match[1]
    if spelled.isdigit():
        return bytes([int(spelled, 8) & 0xFF])
    return _ESCAPES.get(spelled, spelled)


def _states(words: bytes) -> Iterator[tuple[bytes, Value]]:
    for word in words.split():
        if word[:1] in (b"-", b"!"):
            yield word[1:], False if word[:1] == b"-" else None
        else:
            name, equals, value = word.partition(b"=")
            yield name, value if equals else True
